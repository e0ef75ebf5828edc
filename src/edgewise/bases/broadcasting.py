"""One formula for many modes, in the form that XLA's CPU compiler turns into vector loops."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

__all__ = ["broadcast_modes"]


def broadcast_modes(formula: Callable[[Array, slice], Array], x: Array, start: int, stop: int) -> Array:
    """``formula(x, modes)`` at ``x`` ``[*batch, n]`` for the modes ``start`` to ``stop - 1``, ``[*batch, modes, n]``.

    In two halves, joined: a concatenation is computed in loops of its own shape, whereas one broadcast formula is fused
    with the reshape before a matrix product, into loops over divided indices that do not vectorize (4 times slower).
    """
    middle = (start + stop + 1) // 2
    halves = [slice(low, high) for low, high in ((start, middle), (middle, stop)) if low < high]
    return jnp.concatenate([formula(_spread(x, half.stop - half.start), half) for half in halves], axis=-2)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _spread(x: Array, count: int) -> Array:
    """``x`` ``[*batch, n]`` repeated, ``[*batch, count, n]``."""
    return jnp.broadcast_to(x[..., None, :], (*x.shape[:-1], count, x.shape[-1]))


@_spread.defjvp
def _spread_jvp(count, primals, tangents):
    # the transpose of a stack adds slices, in vector loops; that of a broadcast is a reduction, three times slower
    return _spread(primals[0], count), jnp.stack([tangents[0]] * count, axis=-2)
