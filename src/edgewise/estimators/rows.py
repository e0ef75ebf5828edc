"""How many rows a program sees: few numbers, so that data of other lengths find it compiled."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import numpy as np
from flax import nnx

__all__ = ["outputs", "padded"]

_SHORTEST = 64  # below, more rows cost nothing
_BLOCKS = (64, 512, 4096)


def padded(arrays: tuple[np.ndarray, ...], weight: np.ndarray) -> tuple[np.ndarray, ...]:
    """The ``arrays`` and ``weight`` ``[n]``, their rows repeated with weight 0 up to the next of few lengths.

    At most an eighth is added to 64 rows or more.
    """
    rows = len(weight)
    step = max(_SHORTEST, 2 ** (rows - 1).bit_length()) // 8 if rows > _SHORTEST else _SHORTEST
    length = -(-rows // step) * step
    repeated = np.arange(length) % rows
    return *(values[repeated] for values in arrays), np.where(np.arange(length) < rows, weight[repeated], 0.0)


def outputs(model: nnx.Module, x: np.ndarray) -> np.ndarray:
    """The model at ``x`` ``[n, n_in]``, float64 ``[n, n_out]``: in float64, so that no row depends on the others."""
    graphdef, state = nnx.split(model)
    with jax.enable_x64(True):
        state = jax.tree.map(_wide, state)
        size = next((size for size in _BLOCKS if size >= len(x)), _BLOCKS[-1])
        blocks = [x[start : start + size] for start in range(0, len(x), size)]
        results = [np.asarray(_evaluated(graphdef, state, _filled(block, size))) for block in blocks]
        # slices of NumPy: JAX would compile one for every length
        return np.concatenate([result[: len(block)] for result, block in zip(results, blocks, strict=True)])


def _wide(leaf: Any) -> Any:
    return np.asarray(leaf, np.float64) if jax.numpy.issubdtype(leaf.dtype, np.floating) else leaf


def _filled(block: np.ndarray, size: int) -> np.ndarray:
    return np.concatenate([block, np.zeros((size - len(block), block.shape[1]))])


@partial(jax.jit, static_argnums=0)
def _evaluated(graphdef: Any, state: Any, x: Any) -> Any:
    return nnx.merge(graphdef, state)(x)
