"""Chebyshev polynomials."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgewise.bases.polynomial import OrthogonalPolynomials
from edgewise.errors import EdgewiseError

__all__ = ["Chebyshev"]


@dataclass(frozen=True)
class Chebyshev(OrthogonalPolynomials):
    """T_n(cos a) = cos(n a), or of the second ``kind`` U_n(cos a) = sin((n + 1) a) / sin(a), for n = 0..degree.

    Args:
        degree: highest degree; the family has degree + 1 modes.
        squash: "tanh", "affine" (the domain to [-1, 1]) or None.
        domain: interval of the inputs.
        kind: 1 or 2.

    As a basis of KANs: Sidharth et al., arXiv 2405.07200.
    """

    kind: int = 1

    def __post_init__(self):
        super().__post_init__()
        if self.kind not in (1, 2):
            raise EdgewiseError(f"Chebyshev(kind={self.kind!r}) is neither 1 nor 2.", do="pass kind=1 or kind=2.")

    @property
    def exponents(self):
        return (-0.5, -0.5) if self.kind == 1 else (0.5, 0.5)

    def end_values(self, exponent):
        return np.ones(self.size) if self.kind == 1 else np.arange(1.0, self.size + 1)
