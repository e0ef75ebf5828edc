"""Random parameters: unit variance, scaled afterwards."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jax.core import Tracer

from edgewise.errors import check_choice
from edgewise.nn import threefry

__all__ = ["draw_units", "next_key"]

_TRUNCATION = 2.0
_TRUNCATED_STD = 0.87962566103423978  # of a standard normal cut there
_LAWS = ("normal", "truncated_normal", "uniform")
# of the inverse error function over u, in w = -log(1 - u^2) about 2.5; in the root of w about 3 where w >= 5
_CENTRAL = np.array(
    [2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 2.1858087e-04]
    + [-1.25372503e-03, -4.17768164e-03, 0.246640727, 1.50140941],
    np.float32,
)
_TAIL = np.array(
    [-2.00214257e-04, 1.00950558e-04, 1.34934322e-03, -3.67342844e-03, 5.73950773e-03]
    + [-7.6224613e-03, 9.43887047e-03, 1.00167406, 2.83297682],
    np.float32,
)


def draw_units(key: Array, stream: int, shape: tuple[int, ...], law: str) -> Array | np.ndarray:
    """Numbers of mean 0 and variance 1 in float32 from a "normal", a "truncated_normal" or a "uniform" law.

    The truncated normal is cut at two of its own untruncated deviations and then widened to variance 1, so that a scale
    is the standard deviation it says (the initializer of JAX leaves 0.88 of it).

    ``stream`` tells apart the draws made from one key.  A concrete key gives a NumPy array, without compilation; one
    that is traced, or of another generator than JAX's default, an array of JAX.  Both come from the same bits, and are
    equal but for the last ones of the law.
    """
    check_choice("law", law, _LAWS)
    count = math.prod(shape)
    if isinstance(key, Tracer) or not _is_default(key):
        return _by_jax(key, stream, count, law).reshape(shape)
    blocks = threefry.bits(_folded(key, stream), count)
    return np.concatenate([_by_numpy(block, law) for block in blocks]).reshape(shape)


def next_key(stream: nnx.RngStream) -> Array:
    """``stream()``: the next key of Flax's stream, which counts them; a concrete one without compilation."""
    key, count = stream.key[...], stream.count[...]
    if isinstance(key, Tracer) or isinstance(count, Tracer) or key.ndim or not _is_default(key):
        return stream()
    stream.count[...] = jnp.asarray(np.asarray(count) + np.uint32(1), jnp.uint32)
    return jax.random.wrap_key_data(jnp.asarray(_folded(key, int(count)), jnp.uint32))


def _is_default(key: Array) -> bool:
    return str(jax.random.key_impl(key)) == "threefry2x32" and jax.threefry_partitionable.value


def _folded(key: Array, number: int) -> np.ndarray:
    return threefry.fold_in(np.asarray(jax.random.key_data(key)), number)


@partial(jax.jit, static_argnums=(2, 3))
def _by_jax(key: Array, stream: Array, count: int, law: str) -> Array:
    key = jax.random.fold_in(key, stream)
    if law == "normal":
        return jax.random.normal(key, (count,), jnp.float32)
    if law == "uniform":
        return jax.random.uniform(key, (count,), jnp.float32, -(3**0.5), 3**0.5)
    return jax.random.truncated_normal(key, -_TRUNCATION, _TRUNCATION, (count,), jnp.float32) / _TRUNCATED_STD


def _by_numpy(bits: np.ndarray, law: str) -> np.ndarray:
    """What the functions of ``jax.random`` make of random ``bits`` ``[n]``."""
    if law == "uniform":
        return _uniform(bits, -(3**0.5), 3**0.5)
    if law == "normal":
        return np.float32(2**0.5) * _erf_inv(_uniform(bits, 2**-24 - 1, 1.0))  # above -1, where it is infinite
    end = math.erf(_TRUNCATION / 2**0.5)
    most = np.nextafter(np.float32(_TRUNCATION), np.float32(0))
    return np.clip(np.float32(2**0.5) * _erf_inv(_uniform(bits, -end, end)), -most, most) / np.float32(_TRUNCATED_STD)


def _uniform(bits: np.ndarray, low: float, high: float) -> np.ndarray:
    """Between ``low`` and ``high``, of the 23 highest bits."""
    lowest, width = np.float32(low), np.float32(high) - np.float32(low)
    unit = ((bits >> 9) | np.float32(1).view(np.uint32)).view(np.float32) - np.float32(1)
    return np.maximum(lowest, unit * width + lowest)


def _erf_inv(u: np.ndarray) -> np.ndarray:
    """The inverse error function in float32 (Giles, Approximating the erfinv function, GPU Computing Gems 2, 2012)."""
    w = -np.log1p(-u * u)
    value = _polynomial(_CENTRAL, w - np.float32(2.5))
    if (tail := w >= 5).any():
        value[tail] = _polynomial(_TAIL, np.sqrt(w[tail]) - np.float32(3))
    return value * u


def _polynomial(coefficients: np.ndarray, x: np.ndarray) -> np.ndarray:
    """With the coefficient of the highest power first (``np.polyval`` without its float64)."""
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value *= x
        value += coefficient
    return value
