"""Legendre polynomials."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgewise.bases.polynomial import OrthogonalPolynomials

__all__ = ["Legendre"]


@dataclass(frozen=True)
class Legendre(OrthogonalPolynomials):
    """P_n, orthogonal on [-1, 1] with weight 1 and P_n(1) = 1, for n = 0..degree (DLMF 18.3).

    Args:
        degree: highest degree; the family has degree + 1 modes.
        squash: "tanh", "affine" (the domain to [-1, 1]) or None.
        domain: interval of the inputs.
    """

    @property
    def exponents(self):
        return 0.0, 0.0

    def end_values(self, exponent):
        return np.ones(self.size)
