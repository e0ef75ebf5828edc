"""Rational functions."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from edgewise._numerics import floats, magnitude
from edgewise.bases.base import Basis, Refinement
from edgewise.errors import EdgewiseError, check_choice, check_count

__all__ = ["Rational"]

_FAR = 1e9
_LOWEST = 1e-12  # of the denominator over |x|^q: its inverse square, in the gradient of b, stays within float32


def _silu(x):
    return x / (1 + np.exp(-x))


_SHAPES = {"identity": lambda x: x, "silu": _silu, "tanh": np.tanh}


@dataclass(frozen=True)
class Rational(Basis):
    """One safe Pade function a group of inputs, F(x) = P(x) / (1 + |Q(x)|), which every edge only scales.

    P(x) = a_0 + ... + a_p x^p and Q(x) = b_1 x + ... + b_q x^q.

    Args:
        numerator: p.
        denominator: q, at least p - 1.
        groups: number of functions; None is one for each input. Must divide the number of inputs.
        start: shape of F at the start: "silu", "tanh" or "identity", fitted on [-3, 3].

    The denominator is held at 1e-12 |x|^q or above, so that F grows no faster than x even where b_q is 0, and all of it
    is finite.  Up to \\|x\\| = 10^(12/q), 1000 for q = 4, that changes nothing; nor does it beyond, up to 1e9, where
    inputs are held, unless b_q is tiny, as it is right after q was raised: by m, F is the same up to
    \\|x\\| = (1e12 b)^(1/m), with b the highest coefficient before.

    State, trained: ``numerator`` ``[groups, p + 1]`` and ``denominator`` ``[groups, q]``.
    Molina et al., Pade activation units, arXiv 1907.06732; Yang and Wang, GR-KAN, arXiv 2409.10594.
    """

    trained: ClassVar[tuple[str, ...]] = ("numerator", "denominator")
    resolution: ClassVar[str] = "numerator"

    numerator: int = 5
    denominator: int = 4
    groups: int | None = None
    start: str = "silu"

    def __post_init__(self):
        check_count("Rational: numerator", self.numerator)
        check_count("Rational: denominator", self.denominator)
        check_choice("start of Rational:", self.start, _SHAPES)
        if self.groups is not None:
            check_count("Rational: groups", self.groups)
        if self.denominator < self.numerator - 1:
            raise EdgewiseError(
                f"Rational(numerator={self.numerator}, denominator={self.denominator}) grows faster than its input.",
                "large inputs then overflow.",
                f"pass denominator={self.numerator - 1} or more.",
            )

    @property
    def size(self) -> int:
        return 1

    def init(self, n_in, *, key):
        groups = self.groups or n_in
        if n_in % groups:
            raise EdgewiseError(
                f"Rational(groups={groups}) does not divide the {n_in} inputs of the layer.",
                do="choose a divisor, or None for one function an input.",
            )
        a, b = _fit(_SHAPES[self.start], self.numerator, self.denominator)
        tiled = {"numerator": np.tile(a, (groups, 1)), "denominator": np.tile(b, (groups, 1))}
        return {name: floats(value) for name, value in tiled.items()}

    def resized(self, size):
        return dataclasses.replace(self, numerator=size, denominator=max(self.denominator, size - 1))

    def extended(self, state, size, *, n_in, key, importance=None):
        finer = self.resized(size)
        lengths = {"numerator": size + 1, "denominator": finer.denominator}
        padded = {name: np.pad(value, ((0, 0), (0, lengths[name] - value.shape[1]))) for name, value in state.items()}
        return Refinement(finer, padded, np.eye(1))

    def modes(self, x, state):
        wide = jnp.promote_types(x.dtype, jnp.float32)
        repeats = x.shape[-1] // state["numerator"].shape[0]
        a, b = (jnp.repeat(state[name].astype(wide), repeats, axis=0) for name in ("numerator", "denominator"))
        z = jnp.clip(x.astype(wide), -_FAR, _FAR)
        # beyond 1, in powers of 1/x, with x^q cancelled between P and Q: x^5 and Q^2 would overflow
        far = jnp.abs(z) > 1
        near, inverse = jnp.where(far, 1.0, z), 1 / jnp.where(far, z, 1.0)
        p, q = self.numerator, self.denominator
        inner = _ratio(_horner(a, near), 1 + magnitude(near * _horner(b, near)))
        # |x|^q comes out of the denominator; what is left of x^p over it is x, 1 or a power of 1/x, and a sign
        top = _horner(a[:, ::-1], inverse) * inverse ** max(q - p, 0)
        bottom = magnitude(inverse) ** q + magnitude(_horner(b[:, ::-1], inverse))
        sign = jnp.where(inverse < 0, -1.0, 1.0) ** q
        outer = (jnp.where(far, z, 1.0) if p > q else 1.0) * sign * _ratio(top, jnp.maximum(bottom, _LOWEST))
        return [jnp.where(far, outer, inner).astype(x.dtype)]

    def default_std(self, fan_in, modes):
        return 1.0 / np.sqrt(fan_in), "normal"


@jax.custom_jvp
def _ratio(top: Array, bottom: Array) -> Array:
    """top / bottom, whose derivatives divide by it once an order: its powers in the rule of JAX would overflow."""
    return top / bottom


@_ratio.defjvp
def _ratio_jvp(primals, tangents):
    (top, bottom), (d_top, d_bottom) = primals, tangents
    ratio = _ratio(top, bottom)
    return ratio, _ratio(d_top - ratio * d_bottom, bottom)


def _horner(coefficients, x):
    """c_0 + c_1 x + ... with coefficients ``[n_in, n]`` at ``x`` ``[*batch, n_in]``."""
    total = coefficients[:, -1] * jnp.ones_like(x)
    for j in range(coefficients.shape[1] - 2, -1, -1):
        total = total * x + coefficients[:, j]
    return total


def _fit(shape, p: int, q: int) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of P / (1 + |Q|) that follow ``shape`` on [-3, 3], by linearized least squares, Q even and >= 0."""
    x = np.linspace(-3, 3, 241)
    y = shape(x)
    u = x[:, None] / 3  # whose powers stay comparable
    powers = np.arange(2, q + 1, 2)
    design = np.concatenate([u ** np.arange(p + 1), -y[:, None] * u**powers], axis=1)
    b = np.zeros(q)
    b[powers - 1] = np.maximum(_least_squares(design, y)[p + 1 :], 0)
    a = _least_squares(u ** np.arange(p + 1) / (1 + u ** np.arange(1, q + 1) @ b)[:, None], y)
    return a / 3.0 ** np.arange(p + 1), b / 3.0 ** np.arange(1, q + 1)


def _least_squares(design: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The solution, with 0 for what is rounding: far out, x^9 of it is all that there would be."""
    solution = np.linalg.lstsq(design, y, rcond=None)[0]
    return np.where(np.abs(solution) < 1e-9, 0.0, solution)
