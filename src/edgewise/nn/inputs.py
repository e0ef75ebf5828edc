"""What a layer or a model checks of its input."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from edgewise.errors import ShapeError

__all__ = ["checked_input"]


def checked_input(x: Any, n_in: int, param_dtype: Any, what: str = "model") -> Array:
    """``x`` as an array of floats; integers and booleans become ``param_dtype``.

    Raises ``ShapeError``, which says ``what`` has these inputs, for another number of features and for an empty batch.
    """
    x = jnp.asarray(x)
    expected = f"expected (..., {n_in}), got {x.shape}"
    if x.ndim == 0 or x.shape[-1] != n_in:
        raise ShapeError(f"{expected}.", f"the {what} has {n_in} input nodes, one a feature, on the last axis.")
    if x.size == 0:
        raise ShapeError(f"empty batch: {expected}.", do="pass at least one sample.")
    return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(param_dtype)
