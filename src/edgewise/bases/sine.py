"""Sines with trained frequencies and phases."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from edgewise._numerics import floats, sinc, sincos
from edgewise.bases.base import Pointwise, Refinement
from edgewise.errors import check_count

__all__ = ["Sine"]

_MEAN_SERIES = [(-1) ** j / factorial(j + 1) for j in range(11)]


@dataclass(frozen=True)
class Sine(Pointwise):
    """(sin(w_m x + p_m) - mean) / std, with mean 0 and variance 1 when x ~ N(0, 1).

    Args:
        size: number of sines.

    State, trained, shared by the input nodes: ``frequency`` ``[size]``, from N(0, 1), and ``phase`` ``[size]``, 0.
    Guilhoto and Perdikaris, ActNet, arXiv 2410.01990, equations 6 to 8, in a form that stays finite as w goes to 0.
    """

    trained: ClassVar[tuple[str, ...]] = ("frequency", "phase")
    nested: ClassVar[bool] = True

    size: int = 5

    def __post_init__(self):
        check_count("Sine: size", self.size)

    def init(self, n_in, *, key):
        return {"frequency": jax.random.normal(key, (self.size,)), "phase": floats(np.zeros(self.size))}

    def extended(self, state, size, *, n_in, key, importance=None):
        finer, fresh, lift = super().extended(state, size, n_in=n_in, key=key)
        return Refinement(
            finer, {name: np.append(state[name], value[self.size :]) for name, value in fresh.items()}, lift
        )

    def parameters(self, state):
        # numerator and deviation both vanish as w -> 0; w is divided out of each before one is divided by the other
        wide = jnp.promote_types(state["frequency"].dtype, jnp.float32)
        frequency, phase = (state[name].astype(wide)[:, None] for name in ("frequency", "phase"))
        sign = jnp.where(frequency < 0, -1.0, 1.0).astype(wide)
        square = frequency * frequency
        sin_p, cos_p = sincos(phase)
        half = jnp.exp(-square / 2)
        variance = _exponential_mean(square) * (cos_p * cos_p * half * half - jnp.expm1(-square) / 2)
        # 1e-12 in float32; the variance itself goes to 0 where w and cos p do
        scale = sign / jnp.sqrt(variance + float(jnp.finfo(wide).resolution) ** 2)
        shift = sin_p * frequency * _exponential_mean(square / 2) / 2
        return frequency / 2, scale * cos_p, scale * sin_p, scale * shift

    def mode(self, x, half_frequency, cos_p, sin_p, shift):
        turn = half_frequency * x
        sin_t, cos_t = sincos(turn)
        return x * sinc(turn, sin_t) * (cos_p * cos_t - sin_p * sin_t) + shift


def _exponential_mean(z):
    """(1 - exp(-z)) / z, 1 at 0; by its Taylor series for z < 0.1, where the derivatives of the quotient cancel."""
    small = jnp.abs(z) < 0.1
    near = jnp.where(small, z, 0.0)
    series = jnp.full_like(z, _MEAN_SERIES[-1])
    for coefficient in _MEAN_SERIES[-2::-1]:
        series = series * near + coefficient
    safe = jnp.where(small, 1.0, z)
    return jnp.where(small, series, -jnp.expm1(-safe) / safe)
