"""Bernstein polynomials."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import ClassVar

import jax.numpy as jnp
import numpy as np

from edgewise.bases.base import Basis, Refinement
from edgewise.bases.squash import check_squash, squash_to_ends
from edgewise.errors import EdgewiseError, check_count

__all__ = ["Bernstein"]

_MAX_DEGREE = 100  # C(100, 50) = 1e29 leaves room in float32 for the derivatives of the powers


@dataclass(frozen=True)
class Bernstein(Basis):
    """b_m(t) = C(n, m) u^m (1 - u)^(n - m), u = (1 + t) / 2, m = 0..n: a partition of unity on [-1, 1].

    Args:
        degree: n; the family has n + 1 modes, all of degree n. At most 100.
        squash: "tanh", "affine" (the domain to [-1, 1]) or None.
        domain: interval of the inputs.
    """

    resolution: ClassVar[str] = "degree"

    degree: int = 5
    squash: str | None = "tanh"
    domain: tuple[float, float] = (-1.0, 1.0)

    def __post_init__(self):
        if check_count("Bernstein: degree", self.degree) > _MAX_DEGREE:
            raise EdgewiseError(
                f"Bernstein(degree={self.degree}) is above {_MAX_DEGREE}.",
                "its binomial coefficients, or their products with derivatives, leave float32.",
                "use Chebyshev or a B-spline for so many modes.",
            )
        check_squash("Bernstein", self.squash, self.domain)

    @property
    def size(self) -> int:
        return self.degree + 1

    def modes(self, x, state):
        ends = squash_to_ends(x, self.squash, self.domain)
        near, far = ends.gap / 2, 1 - ends.gap / 2  # distances to the two ends, both to full relative precision
        u, v = jnp.where(ends.side > 0, far, near), jnp.where(ends.side > 0, near, far)
        powers_u, powers_v = _powers(u, self.degree), _powers(v, self.degree)
        return [float(comb(self.degree, m)) * powers_u[m] * powers_v[self.degree - m] for m in range(self.size)]

    def extended(self, state, size, *, n_in, key, importance=None):
        n, more = self.degree, size - self.degree
        lift = np.zeros((size + 1, n + 1))
        for m in range(n + 1):  # degree elevation: b_m times the partition of unity of degree `more`
            lift[m : m + more + 1, m] = [comb(n, m) * comb(more, j) / comb(size, m + j) for j in range(more + 1)]
        return Refinement(self.resized(size), {}, lift)


def _powers(base, degree):
    powers = [jnp.ones_like(base), base]
    for n in range(2, degree + 1):
        powers.append(powers[n // 2] * powers[n - n // 2])
    return powers
