"""Elementary functions that keep float32 exact where the textbook formula cancels; quadrature; default floats.

The functions are elementwise, differentiable any number of times in forward and reverse mode, and finite for every
finite input.
"""

from __future__ import annotations

from functools import cache
from math import factorial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

__all__ = ["floats", "gauss_legendre", "magnitude", "negative_part", "positive_part", "sinc", "sincos"]

_SINC_SERIES = [(-1) ** j / factorial(2 * j + 1) for j in range(9)]


def floats(values: ArrayLike) -> Array:
    """``values`` in JAX's default floating type; converted by NumPy, since JAX compiles that for every shape."""
    dtype = jnp.result_type(float)
    return jnp.asarray(np.asarray(values, dtype), dtype)


def positive_part(x: Array) -> Array:
    """max(x, 0), with derivative 0 at 0 (``jnp.maximum`` splits ties in halves)."""
    return jnp.where(x > 0, x, jnp.zeros_like(x))


def negative_part(x: Array) -> Array:
    """min(x, 0), with derivative 0 at 0."""
    return jnp.where(x < 0, x, jnp.zeros_like(x))


def magnitude(x: Array) -> Array:
    """|x|, with derivative 1 at 0: even functions of |x| keep their second derivative, unlike with ``jnp.abs``."""
    return jnp.where(x < 0, -x, x)


def sinc(x: Array, sine: Array | None = None) -> Array:
    """sin(x) / x, 1 at 0; by its Taylor series for |x| < 1, where the derivatives of the quotient cancel.

    ``sine`` is sin(x) where it is known already.
    """
    small = jnp.abs(x) < 1
    square = jnp.where(small, x, 0.0) ** 2
    series = jnp.full_like(x, _SINC_SERIES[-1])
    for coefficient in _SINC_SERIES[-2::-1]:
        series = series * square + coefficient
    safe = jnp.where(small, 1.0, x)
    return jnp.where(small, series, (sincos(safe)[0] if sine is None else sine) / safe)


@jax.custom_jvp
def sincos(x: Array) -> tuple[Array, Array]:
    """(sin x, cos x).

    On a CPU in float32 by Cody-Waite reduction and a minimax polynomial for the tangent of the half angle (error 2e-7
    for |x| < 1e4), which XLA vectorizes; its own sine costs ten times as much there.  Elsewhere by ``jnp.sin``.
    """
    if x.dtype != jnp.float32:
        return jnp.sin(x), jnp.cos(x)
    return jax.lax.platform_dependent(x, cpu=_sincos_polynomial, default=lambda v: (jnp.sin(v), jnp.cos(v)))


@sincos.defjvp
def _sincos_jvp(primals, tangents):
    sine, cosine = sincos(*primals)
    (dx,) = tangents
    return (sine, cosine), (cosine * dx, -sine * dx)


def _sincos_polynomial(x: Array) -> tuple[Array, Array]:
    quarter = jnp.round(x * (2 / np.pi))
    # pi/2 in three parts of few bits each: the products with `quarter` are exact for |x| < 1e4
    r = ((x - quarter * 1.5703125) - quarter * 4.837512969970703125e-4) - quarter * 7.54978995489188216e-8
    half = jnp.clip(r / 2, -0.5, 0.5)  # beyond 1e6 the reduction loses all digits; stay bounded
    z = half * half
    tangent = ((((0.02575651 * z + 0.053414) * z + 0.13336503) * z + 0.3333327) * z + 1.0) * half
    square = tangent * tangent
    sine, cosine = tangent + tangent, 1 - square
    n = jnp.bitwise_and(jnp.clip(quarter, -1e9, 1e9).astype(jnp.int32), 3)
    swap = jnp.bitwise_and(n, 1) == 1
    s, c = jnp.where(swap, cosine, sine), jnp.where(swap, sine, cosine)
    s, c = jnp.where(n >= 2, -s, s), jnp.where((n == 1) | (n == 2), -c, c)
    # the division comes last: XLA stores the result of one where it would repeat cheaper operations in every user
    return s / (1 + square), c / (1 + square)


@cache
def gauss_legendre(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [-1, 1] in float64; exact for polynomials of degree 2 ``nodes`` - 1."""
    return np.polynomial.legendre.leggauss(nodes)
