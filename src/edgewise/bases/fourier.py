"""Fourier series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
import numpy as np

from edgewise._numerics import sincos
from edgewise.bases.base import Basis, Refinement
from edgewise.errors import check_count, check_positive

__all__ = ["Fourier"]

_PLAIN_ORDER = 8  # up to here the three-term recurrence is exact enough (2e-6), and a third of the work


@dataclass(frozen=True)
class Fourier(Basis):
    """cos(2 pi k x / period) for k = 1..order, then sin(2 pi k x / period) for k = 1..order.

    Args:
        order: K; the family has 2 K modes.
        period: length of one period of the lowest mode, 2 pi by default.
        smooth: default coefficients fall off as 1 / k^2 (a smooth start) instead of staying level.
        constant: whether 1 comes before them, which a layer with a bias needs not.

    One sine and cosine a point; the others by recurrence, for high orders by the addition theorem, halving k, whose
    errors grow with k instead of k^2.
    As a basis of KANs: Xu et al., arXiv 2406.01034.
    """

    resolution: ClassVar[str] = "order"

    order: int = 5
    period: float = 2 * np.pi
    smooth: bool = True
    constant: bool = False

    def __post_init__(self):
        check_count("Fourier: order", self.order)
        check_positive("Fourier: period", self.period)

    @property
    def size(self) -> int:
        return 2 * self.order + self.constant

    @property
    def has_constant(self):
        return self.constant

    def modes(self, x, state):
        scale = float(2 * np.pi / self.period)
        sine, cosine = sincos(x if scale == 1.0 else x * scale)
        sines, cosines = [sine], [cosine]
        for k in range(2, self.order + 1):
            if self.order <= _PLAIN_ORDER:
                twice = 2 * cosine
                cosines.append(twice * cosines[-1] - (cosines[-2] if k > 2 else 1))
                sines.append(twice * sines[-1] - sines[-2] if k > 2 else twice * sine)
                continue
            i, j = k // 2 - 1, k - k // 2 - 1
            cosines.append(cosines[i] * cosines[j] - sines[i] * sines[j])
            sines.append(sines[i] * cosines[j] + cosines[i] * sines[j])
        return [jnp.ones_like(x), *cosines, *sines] if self.constant else [*cosines, *sines]

    def extended(self, state, size, *, n_in, key, importance=None):
        finer = self.resized(size)
        lift = np.zeros((finer.size, self.size))
        lift[:1, :1] = 1.0  # the constant, or the first cosine
        lift[self.constant :, self.constant :] = np.kron(np.eye(2), np.eye(size, self.order))
        return Refinement(finer, {}, lift)

    def cells(self, state, n_in):
        return np.tile(np.linspace(-self.period / 2, self.period / 2, 2 * self.order + 1), (n_in, 1))

    def default_std(self, fan_in, modes):
        k = np.arange(1, self.order + 1)
        level = 1 / k**2 if self.smooth else np.full(self.order, self.order**-0.5)
        levels = np.tile(level, 2)
        return np.append(levels[:1], levels)[-modes:] / np.sqrt(fan_in), "normal"
