"""Optimizer state carried across a change of shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from edgewise.errors import check_choice
from edgewise.refine.grids import Refined
from edgewise.refine.layers import LayerChange

__all__ = ["carry_state"]

_SQUARES = ("nu", "nu_max", "v", "variance", "sum_of_squares", "accumulator", "e_g", "e_x")
"""Fields of optax states that hold means or sums of squares."""


class _NotCarriedError(Exception):
    """A leaf of a state changed its shape in a way that no lift describes."""


def carry_state(old: Any, fresh: Any, refined: Refined | Sequence[Refined], *, how: str = "lift") -> Any:
    """The state of an optimizer after a refinement: what kept its shape is kept, the rest lifted or reset.

    Coefficients are lifted by the matrix that lifted the coefficients of the model, so that momentum still points where
    it did as a function; means of squares by its squared entries, new modes starting with the mean over the old ones of
    their edge.  A state of which some array cannot be lifted, such as the memory of L-BFGS or the rotations of SOAP,
    starts anew, alone: the step counts of schedules go on.

    Args:
        old: the state before the refinement, of any chain of optax transformations.
        fresh: that of the refined model, ``optimizer.init(params)``.
        refined: what the refinement returned, or several in order.
        how: "lift", or "reset" for the fresh state of every array that changed its shape.

    >>> refined = edgewise.refine.extend(model, 10)
    >>> state = carry_state(state, optimizer.init(nnx.state(model, nnx.Param)), refined)
    """
    check_choice("how", how, ("lift", "reset"))
    steps = [refined] if isinstance(refined, Refined) else list(refined)
    changes = [{change.path: change for change in step.changes} for step in steps]
    return _carried(old, fresh, changes, how, ())


def _carried(old: Any, fresh: Any, changes: Any, how: str, path: tuple[str, ...]) -> Any:
    if isinstance(old, tuple) and hasattr(old, "_fields"):  # the state of one transformation
        try:
            parts = zip(type(old)._fields, old, fresh, strict=True)  # pyright: ignore
            return type(old)(*(_carried(a, b, changes, how, (*path, name)) for name, a, b in parts))
        except _NotCarriedError:
            return fresh
    if isinstance(old, tuple | list):
        return type(old)(_carried(a, b, changes, how, path) for a, b in zip(old, fresh, strict=True))
    if isinstance(old, dict):
        return {name: _carried(old[name], fresh[name], changes, how, (*path, str(name))) for name in fresh}
    olds, _ = jax.tree_util.tree_flatten_with_path(old)
    news, treedef = jax.tree_util.tree_flatten_with_path(fresh)
    if [key for key, _ in olds] != [key for key, _ in news]:
        raise _NotCarriedError
    leaves = [_leaf(a, b, changes, how, (*path, *map(_key, key))) for (key, a), (_, b) in zip(olds, news, strict=True)]
    return jax.tree_util.tree_unflatten(treedef, leaves)


def _key(key: Any) -> str:
    return str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key))))


def _leaf(old: Any, fresh: Any, changes: Any, how: str, path: tuple[str, ...]) -> Any:
    if np.shape(old) == np.shape(fresh) or how == "reset":
        return old if np.shape(old) == np.shape(fresh) else fresh
    value, squares = np.asarray(old, np.float64), any(name in _SQUARES for name in path)
    for step in changes:
        found = [(change, name) for where, change in step.items() if (name := _named(path, where)) is not None]
        if found:
            value = lifted(value, *found[0], squares=squares)
    if value.shape != np.shape(fresh):
        raise _NotCarriedError
    return jnp.asarray(value, fresh.dtype)


def _named(path: tuple[str, ...], layer: tuple[Any, ...]) -> str | None:
    """What a path says after that of the layer: "coef", "shift"."""
    wanted = tuple(map(str, layer))
    for start in range(len(path) - len(wanted)):
        if path[start : start + len(wanted)] == wanted:
            rest = [name for name in path[start + len(wanted) :] if name not in ("value", "basis_state")]
            return rest[0] if rest else None
    return None


def lifted(value: np.ndarray, change: LayerChange, name: str, *, squares: bool) -> np.ndarray:
    """What belongs to the parameter ``name`` of a layer, lifted: a momentum, a copy, or a mean of ``squares``."""
    if name == "coef" and value.shape[0] == change.lift.shape[2]:
        new = np.einsum("nab,bno->ano", change.lift**2 if squares else change.lift, value)
        if squares:
            untouched = np.logical_not(np.any(change.lift, axis=2)).T[:, :, None]
            new = np.where(untouched, value.mean(axis=0, keepdims=True), new)
        return new
    if name in change.added:  # trained state of the basis: what is new comes last
        more = [(0, count) for count in change.added[name]]
        return np.pad(value, more, mode="mean") if squares else np.pad(value, more)
    return value
