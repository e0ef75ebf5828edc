"""Random parameters in one compiled draw: unit variance, scaled afterwards."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from edgewise.errors import check_choice

__all__ = ["draw_units"]

_TRUNCATION = 2.0
_TRUNCATED_STD = 0.87962566103423978  # of a standard normal cut there
_LAWS = ("normal", "truncated_normal", "uniform")


def draw_units(key: Array, stream: int, shape: tuple[int, ...], law: str) -> Array | np.ndarray:
    """Numbers of mean 0 and variance 1 in float32 from a "normal", a "truncated_normal" or a "uniform" law.

    The truncated normal is cut at two of its own untruncated deviations and then widened to variance 1, so that a scale
    is the standard deviation it says (the initializer of JAX leaves 0.88 of it).

    ``stream`` tells apart the draws made from one key.  The count is rounded up to a power of two before compiling, so
    that layers share compiled draws; concrete keys give NumPy arrays, whose slicing compiles nothing.
    """
    check_choice("law", law, _LAWS)
    count = math.prod(shape)
    padded = max(256, 1 << (count - 1).bit_length())
    units = _units(key, stream, padded, law)
    if not isinstance(units, Tracer):
        units = np.asarray(units)
    return units[:count].reshape(shape)


@partial(jax.jit, static_argnums=(2, 3))
def _units(key: Array, stream: Array, count: int, law: str) -> Array:
    key = jax.random.fold_in(key, stream)
    if law == "normal":
        return jax.random.normal(key, (count,), jnp.float32)
    if law == "uniform":
        return jax.random.uniform(key, (count,), jnp.float32, -(3**0.5), 3**0.5)
    return jax.random.truncated_normal(key, -_TRUNCATION, _TRUNCATION, (count,), jnp.float32) / _TRUNCATED_STD
