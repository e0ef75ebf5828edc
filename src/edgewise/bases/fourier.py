"""Fourier series."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from edgewise._numerics import sincos
from edgewise.bases.base import Basis, Refinement
from edgewise.bases.compiled import Compiled, Rate
from edgewise.errors import check_count, check_positive

__all__ = ["Fourier"]

_PLAIN_ORDER = 8  # up to here the three-term recurrence is exact enough (2e-6), and a third of the work
_LISTED = 16  # waves computed one by one; beyond, all that are known give as many more: a program of few operations


@dataclass(frozen=True)
class Fourier(Compiled, Basis):
    """cos(2 pi k x / period) for k = 1..order, then sin(2 pi k x / period) for k = 1..order.

    Args:
        order: K; the family has 2 K modes.
        period: length of one period of the lowest mode, 2 pi by default.
        smooth: default coefficients fall off as 1 / k^2 (a smooth start) instead of staying level.
        constant: whether 1 comes before them, which a layer with a bias needs not.

    One sine and cosine a point; the others by recurrence, for high orders by the addition theorem, halving k, whose
    errors grow with k instead of k^2.  The slope of a wave is the other of its pair.
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

    @property
    def broadcasts(self):
        return self.order > _LISTED  # waves beyond those come as arrays

    def modes(self, x, state):
        modes = _modes(self, False, *_waves(self.order, self._angle(x)))
        return [modes[..., m, :] for m in range(self.size)]

    def blocks(self, x, state, edges):
        angle = self._angle(x)
        # the rule of the blocks differentiates, along the angle, so that the recurrence need not be
        return _traced(self, tuple(edges), False, angle, _waves(self.order, jax.lax.stop_gradient(angle)))

    def _angle(self, x):
        scale = float(2 * np.pi / self.period)
        return x if scale == 1.0 else x * scale

    @property
    def compiled_as(self):
        return "waves" if type(self) is Fourier else None

    def compiled_constants(self, order):
        scale, k = 2 * np.pi / self.period, np.arange(1, self.order + 1)
        signs = [(1, 1), (-1, 1), (-1, -1), (1, -1)][order % 4]  # of the derivatives of cosine and sine
        factors = np.concatenate([sign * (k * scale) ** order for sign in signs])
        return np.array([self.order, self.constant, order == 0, scale, order % 2, *factors])

    def compiled_rates(self, order, x, dx, table, dtable):
        return [] if dx is None else [Rate(order + 1, dx)]

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


@partial(jax.jit, static_argnums=0)  # traced once, however many derivatives there are
def _waves(order: int, angle: Array) -> tuple[Array, Array]:
    """cos(k angle) and sin(k angle) for k = 1..order, ``[*batch, order, n]`` for angles ``[*batch, n]``."""
    sine, cosine = sincos(angle)
    sines, cosines = [sine], [cosine]
    for k in range(2, min(order, _LISTED) + 1):
        if order <= _PLAIN_ORDER:
            twice = 2 * cosine
            cosines.append(twice * cosines[-1] - (cosines[-2] if k > 2 else 1))
            sines.append(twice * sines[-1] - sines[-2] if k > 2 else twice * sine)
            continue
        i, j = k // 2 - 1, k - k // 2 - 1
        cosines.append(cosines[i] * cosines[j] - sines[i] * sines[j])
        sines.append(sines[i] * cosines[j] + cosines[i] * sines[j])
    c, s = jnp.stack(cosines, axis=-2), jnp.stack(sines, axis=-2)
    while (known := c.shape[-2]) < order:
        (last_c, low_c), (last_s, low_s) = ((w[..., -1:, :], w[..., : order - known, :]) for w in (c, s))
        more_c, more_s = last_c * low_c - last_s * low_s, last_s * low_c + last_c * low_s
        c, s = jnp.concatenate([c, more_c], axis=-2), jnp.concatenate([s, more_s], axis=-2)
    return c, s


def _modes(basis: Fourier, swapped: bool, cosines: Array, sines: Array) -> Array:
    """The modes ``[*batch, M, n]``; ``swapped``, the other of each pair: the slope of a wave but for its factor."""
    level = [jnp.ones_like(cosines[..., :1, :])] if basis.constant else []
    return jnp.concatenate([*level, sines, cosines] if swapped else [*level, cosines, sines], axis=-2)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _blocks(
    basis: Fourier, edges: tuple[int, ...], swapped: bool, angle: Array, waves: tuple[Array, Array]
) -> list[Array]:
    """The modes in blocks."""
    modes = _modes(basis, swapped, *waves)
    return [modes[..., start:stop, :] for start, stop in pairwise(edges)]


@_blocks.defjvp
def _turned(basis, edges, swapped, primals, tangents):
    """Derivatives of any order take a product a wave, instead of a recurrence of their own."""
    slopes = _traced(basis, edges, not swapped, *primals)
    k = np.arange(1, basis.order + 1)
    factors = np.concatenate([np.zeros(int(basis.constant)), k if swapped else -k, -k if swapped else k])
    rates = [jnp.asarray(factors[start:stop, None], tangents[0].dtype) for start, stop in pairwise(edges)]
    changes = [rate * slope * tangents[0][..., None, :] for rate, slope in zip(rates, slopes, strict=True)]
    return _traced(basis, edges, swapped, *primals), changes


_traced = jax.jit(_blocks, static_argnums=(0, 1, 2))  # once: derivatives of derivatives see that it is the same
