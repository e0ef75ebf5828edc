"""The arrays of a model and of a run: in the types of the computation, and back in those of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

__all__ = ["cast_to", "computing", "deliver", "dtype_of", "lengthened"]


@contextmanager
def computing(dtype: Any) -> Iterator[None]:
    """The settings of JAX in which a run computes, whatever the user's are.

    Its ``debug_nans`` and ``debug_infs`` are off: what is not recorded yet is NaN, and a loss that is not finite ends
    the run in any case, with an error that says where it came from.
    """
    x64 = bool(jax.config.read("jax_enable_x64")) or dtype == np.float64
    with jax.enable_x64(x64), jax.debug_nans(False), jax.debug_infs(False):
        yield


def deliver(model: nnx.Module, params: Any, rest: Any) -> None:
    """Give ``model`` the parameters, and the rest of its arrays, in its own types."""
    for values, old in zip((params, rest), nnx.split(model, nnx.Param, ...)[1:], strict=True):
        nnx.update(model, jax.device_put(jax.tree.map(_like, values, old)))


def cast_to(dtype: np.dtype | None) -> Callable[[Any], Any]:
    """A copy by NumPy, which compiles nothing, with floats in ``dtype``; keys of ``jax.random`` stay as they are.

    None leaves the types as they are.
    """

    def cast(leaf):
        own = dtype_of(leaf)
        if jnp.issubdtype(own, jax.dtypes.extended):
            return leaf
        return np.array(leaf, dtype if dtype is not None and jnp.issubdtype(own, jnp.floating) else own)

    return cast


def dtype_of(leaf: Any) -> Any:
    """The type of a variable's value; of a number of Python that of the array it becomes."""
    return leaf.dtype if hasattr(leaf, "dtype") else jnp.result_type(leaf)


def _like(value: Any, old: Any) -> Any:
    own = dtype_of(old)
    if jnp.issubdtype(own, jax.dtypes.extended):
        return value
    return np.asarray(value).astype(own)


def lengthened(state: dict[str, Any], like: dict[str, Any]) -> dict[str, Any]:
    """A state of a run of fewer or more steps, with what was recorded in buffers of the new length."""

    def fitted(old, new):
        buffer = np.full_like(np.asarray(new), np.nan)
        common = min(len(old), len(buffer))
        buffer[:common] = np.asarray(old)[:common]
        return buffer

    recorded = {name: fitted(state[name], like[name]) for name in ("loss", "validation", "score") if name in state}
    return state | recorded
