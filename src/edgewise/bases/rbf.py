"""Radial basis functions."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from edgewise._numerics import magnitude
from edgewise.bases.base import Pointwise
from edgewise.bases.squash import check_domain
from edgewise.errors import check_choice, check_count, check_positive

__all__ = ["RBF", "even_centres"]

_KERNELS = {
    "gaussian": lambda r: jnp.exp(-0.5 * r * r),
    "inverse_quadratic": lambda r: 1 / (1 + r * r),
    "inverse_multiquadric": lambda r: 1 / jnp.sqrt(1 + r * r),
    "matern32": lambda r: (1 + 3**0.5 * magnitude(r)) * jnp.exp(-(3**0.5) * magnitude(r)),
    "matern52": lambda r: (1 + 5**0.5 * magnitude(r) + 5 / 3 * r * r) * jnp.exp(-(5**0.5) * magnitude(r)),
}


def even_points(size: int, domain: tuple[float, float]) -> np.ndarray:
    """``size`` evenly spaced points, ends included, or the middle: float64 ``[size]``."""
    return np.linspace(*domain, size) if size > 1 else np.array([sum(domain) / 2])


def even_centres(n_in: int, size: int, domain: tuple[float, float]):
    """The same for each of ``n_in`` nodes: ``[n_in, size]``."""
    return jnp.asarray(np.tile(even_points(size, domain), (n_in, 1)), float)


def spacing(size: int, domain: tuple[float, float]) -> float:
    """The distance between neighbours among ``size`` even centres."""
    return (domain[1] - domain[0]) / max(size - 1, 1)


@dataclass(frozen=True)
class RBF(Pointwise):
    """phi((x - centre_m) / width) with evenly spaced centres.

    Args:
        size: number of centres.
        domain: first and last centre.
        width: length scale of the kernel; None takes the distance between centres.
        kernel: "gaussian" exp(-r^2/2), "inverse_quadratic", "inverse_multiquadric", "matern32" or "matern52".

    State: ``centres`` ``[n_in, size]``.  As a basis of KANs: Li, arXiv 2405.06721.
    """

    size: int = 8
    domain: tuple[float, float] = (-2.0, 2.0)
    width: float | None = None
    kernel: str = "gaussian"

    def __post_init__(self):
        check_count("RBF: size", self.size)
        check_domain("RBF", self.domain)
        check_choice("kernel of RBF:", self.kernel, _KERNELS)
        if self.width is not None:
            check_positive("RBF: width", self.width)

    def init(self, n_in, *, key):
        return {"centres": even_centres(n_in, self.size, self.domain)}

    def parameters(self, state):
        return (state["centres"].T,)

    def mode(self, x, centre):
        width = self.width or spacing(self.size, self.domain)
        return _KERNELS[self.kernel]((x - centre) * (1 / width))

    def default_std(self, fan_in, modes):
        return 1.0 / np.sqrt(fan_in * modes), "truncated_normal"

    def breakpoints(self):
        matern = self.kernel.startswith("matern")  # |x - centre| has a kink
        return even_points(self.size, self.domain) if matern else None
