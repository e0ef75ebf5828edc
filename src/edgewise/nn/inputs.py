"""What a layer or a model checks of its input."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from edgewise.errors import DataError, ShapeError

__all__ = ["checked_input", "real_array"]


def checked_input(x: Any, n_in: int, param_dtype: Any, what: str = "model") -> Array:
    """``x`` as an array of floats; integers and booleans become ``param_dtype``.

    Raises ``ShapeError``, which says ``what`` has these inputs, for another number of features and for an empty batch;
    ``DataError`` for what is no array of real numbers.
    """
    x = real_array(x)
    expected = f"expected (..., {n_in}), got {x.shape}"
    if x.ndim == 0 or x.shape[-1] != n_in:
        raise ShapeError(f"{expected}.", f"the {what} has {n_in} input nodes, one a feature, on the last axis.")
    if x.size == 0:
        raise ShapeError(f"empty batch: {expected}.", do="pass at least one sample.")
    return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(param_dtype)


def real_array(x: Any) -> Array:
    """``x`` as an array of real numbers; ``DataError`` for anything else, complex numbers included."""
    try:
        array = jnp.asarray(x)
    except (TypeError, ValueError) as error:
        raise _no_numbers(getattr(x, "dtype", type(x).__name__)) from error
    if jnp.issubdtype(array.dtype, jnp.complexfloating):  # their imaginary part would be lost on the way
        raise _no_numbers(array.dtype)
    return array


def _no_numbers(kind: Any) -> DataError:
    return DataError(
        f"x of {kind} is no array of real numbers.",
        "a model computes with real numbers, in rows of one length.",
        "encode text and dates as numbers, objects by x.astype(float), complex ones as two features: x.real, x.imag.",
    )
