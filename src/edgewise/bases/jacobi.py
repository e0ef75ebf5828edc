"""Jacobi polynomials."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import numpy as np

from edgewise.bases.polynomial import OrthogonalPolynomials
from edgewise.errors import EdgewiseError

__all__ = ["Jacobi"]


@dataclass(frozen=True)
class Jacobi(OrthogonalPolynomials):
    """P_n^(alpha, beta), orthogonal on [-1, 1] with weight (1 - t)^alpha (1 + t)^beta, for n = 0..degree (DLMF 18.3).

    Args:
        degree: highest degree; the family has degree + 1 modes.
        squash: "tanh", "affine" (the domain to [-1, 1]) or None.
        domain: interval of the inputs.
        alpha, beta: exponents of the weight, each above -1.

    As a basis of KANs: Aghaei, arXiv 2406.07456.
    """

    alpha: float = 1.0
    beta: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        for exponent in (self.alpha, self.beta):
            if not isinstance(exponent, Real) or not -1 < exponent < float("inf"):
                raise EdgewiseError(
                    f"Jacobi(alpha={self.alpha!r}, beta={self.beta!r}): both exponents must be numbers above -1.",
                    "the weight (1 - t)^alpha (1 + t)^beta has no integral otherwise.",
                    "pass alpha=1.0, beta=1.0, or use Legendre or Chebyshev.",
                )

    @property
    def exponents(self):
        return float(self.alpha), float(self.beta)

    def end_values(self, exponent):
        n = np.arange(1, self.size)
        return np.concatenate([[1.0], np.cumprod((n + exponent) / n)])
