"""Wavelets with trained scale and shift."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
import numpy as np

from edgewise._numerics import floats, magnitude, sinc, sincos
from edgewise.bases.base import Pointwise, Refinement
from edgewise.bases.radial import even_points, spacing
from edgewise.bases.squash import check_domain
from edgewise.errors import check_choice, check_count, check_positive

__all__ = ["Wavelet"]

_FAR = 1e3  # in scales: the Gaussian envelopes are 0 there, and a square still fits float32


def _mexican_hat(u):
    square = jnp.clip(u, -_FAR, _FAR) ** 2
    return float(2 / (3**0.5 * np.pi**0.25)) * (1 - square) * jnp.exp(-square / 2)


def _morlet(u):
    u = jnp.clip(u, -_FAR, _FAR)
    return sincos(5 * u)[1] * jnp.exp(-u * u / 2)


def _derivative_of_gaussian(u):
    u = jnp.clip(u, -_FAR, _FAR)
    return -u * jnp.exp(-u * u / 2)


def _shannon(u):
    return sinc(np.pi / 2 * u) * sincos(3 * np.pi / 2 * u)[1]


def _meyer(u):
    """Closed form of Valenzuela and de Oliveira (arXiv 1502.00161), its removable poles resolved into sincs."""
    pi = float(np.pi)
    v = u - 0.5
    a, b = 4 / 3 * v, magnitude(8 / 3 * v)
    low = (sinc(pi / 2 * (1 - a)) + sinc(pi / 2 * (1 + a))) / 3
    low = low - 4 / 3 * (sinc(pi * a) + (sinc(pi * (1 - a)) + sinc(pi * (1 + a))) / 2)
    c = 1 - b
    high = (pi / 2) * sincos(3 * pi / 4 * c)[0] * sinc(pi / 4 * c) - sincos(pi / 2 * c)[1]
    high = 8 / (3 * pi) * ((pi / 2) * sinc(pi / 2 * b) + high / (1 + b))
    return low + high


_MOTHERS = {
    "mexican_hat": _mexican_hat,
    "morlet": _morlet,
    "dog": _derivative_of_gaussian,
    "shannon": _shannon,
    "meyer": _meyer,
}


@dataclass(frozen=True)
class Wavelet(Pointwise):
    """psi((x - shift_m) / scale_m) of a mother wavelet psi.

    Args:
        size: number of wavelets for each input node.
        kind: "mexican_hat", "morlet" (real part, frequency 5), "dog" (derivative of a Gaussian), "shannon" or "meyer".
        domain: first and last shift at the start.
        width: scale at the start; None takes the distance between shifts.

    State, trained, per input node: ``shift`` and ``scale``, ``[n_in, size]``.
    As a basis of KANs: Bozorgasl and Chen, Wav-KAN, arXiv 2405.12832.  Mother wavelets: Daubechies (1992).
    """

    trained: ClassVar[tuple[str, ...]] = ("shift", "scale")

    size: int = 8
    kind: str = "mexican_hat"
    domain: tuple[float, float] = (-1.0, 1.0)
    width: float | None = None

    def __post_init__(self):
        check_count("Wavelet: size", self.size)
        check_choice("kind of Wavelet:", self.kind, _MOTHERS)
        check_domain("Wavelet", self.domain)
        if self.width is not None:
            check_positive("Wavelet: width", self.width)

    def init(self, n_in, *, key):
        scale = self.width or spacing(self.size, self.domain)
        shift = np.tile(even_points(self.size, self.domain), (n_in, 1))
        return {"shift": floats(shift), "scale": floats(np.full((n_in, self.size), scale))}

    def extended(self, state, size, *, n_in, key, importance=None):
        # those that have been trained stay; the new ones are as narrow as if all had been there from the start
        narrower = spacing(size, self.domain) / spacing(self.size, self.domain)
        width = narrower * (self.width or spacing(self.size, self.domain))
        added = dataclasses.replace(self, size=size - self.size, width=width).init(n_in, key=key)
        joined = {name: np.concatenate([state[name], added[name]], axis=1) for name in added}
        return Refinement(self.resized(size), joined, np.eye(size, self.size))

    def parameters(self, state):
        return state["shift"].T, state["scale"].T

    def mode(self, x, shift, scale):
        # a scale that training drives to 0 must not divide by it
        safe = jnp.where(jnp.abs(scale) < 1e-6, 1e-6, scale)
        return _MOTHERS[self.kind]((x - shift) / safe)
