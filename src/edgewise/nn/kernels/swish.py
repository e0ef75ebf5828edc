"""The residual x / (1 + e^-x) as a family of one mode, for the compiled kernels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import Polynomial

from edgewise.bases.compiled import Compiled, Rate

__all__ = ["Swish"]


@dataclass(frozen=True)
class Swish(Compiled):
    """x s(x), with s(x) = 1 / (1 + e^-x); its derivatives are x s^(q)(x) + q s^(q - 1)(x), polynomials in s."""

    size = 1

    @property
    def compiled_as(self):
        return "swish"

    def compiled_constants(self, order):
        slope = Polynomial([0.0, 1.0, -1.0])  # s' = s (1 - s)
        before, powers = Polynomial([0.0]), Polynomial([0.0, 1.0])
        for _ in range(order):
            before, powers = powers, powers.deriv() * slope
        terms = order + 2
        return np.concatenate([[order], *(np.append(p.coef, np.zeros(terms - len(p.coef))) for p in (powers, before))])

    def compiled_rates(self, order, x, dx, table, dtable):
        return [] if dx is None else [Rate(order + 1, dx)]
