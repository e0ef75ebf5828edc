"""jaxKAN's helpers of layers: optimizer state across a grid update, and least squares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from edgewise.errors import EdgewiseError

__all__ = ["adam_transition", "interpolate_moments", "solve_full_lstsq", "solve_single_lstsq"]


def adam_transition(old_state: Any, model_state: Any) -> None:
    """Give the moments in ``old_state`` the shapes of the parameters, by linear interpolation; in place.

    jaxKAN's handles a bare Adam of a KAN with ``c_basis``.  Here every array of any optax chain is looked at, and every
    parameter that a grid update changes, of any model.

    Args:
        old_state: ``optimizer.opt_state`` of an ``nnx.Optimizer``, from before the grid update.
        model_state: ``nnx.state(model)``, or the second part of ``nnx.split(model)``, from after it.

    Raises:
        EdgewiseError: for arrays that changed in another axis than that of the basis functions, or cannot be set.

    Rigas et al., Adaptive Training of Grid-Dependent Physics-Informed Kolmogorov-Arnold Networks, arXiv 2407.17611.
    """
    shapes = {_names(path): value.shape for path, value in _leaves(model_state)}
    for path, moment in _leaves(old_state):
        names = _names(path)
        # what belongs to a parameter ends as its path does, below the names of the transformations
        shape = next((shapes[end] for n in range(len(names)) if (end := names[n:]) in shapes), None)
        if shape is None or shape == moment.shape:
            continue
        if not isinstance(moment, nnx.Variable):
            raise EdgewiseError(
                f"the moments of {'.'.join(names)} are a plain array, which cannot be changed in place.",
                do="pass the opt_state of an nnx.Optimizer, or use edgewise.refine.carry_state.",
            )
        moment.set_value(_interpolated(moment[...], shape))


def interpolate_moments(mu_old: Any, nu_old: Any, new_shape: Sequence[int]) -> tuple[Array, Array]:
    """Both moments on ``new_shape``, of which only the last axis, over the basis functions, may differ."""
    return _interpolated(mu_old, tuple(new_shape)), _interpolated(nu_old, tuple(new_shape))


def solve_single_lstsq(A_single: Any, B_single: Any) -> Array:
    """X ``[N, K]`` of least |A X - B|, A ``[M, N]``, B ``[M, K]``; by singular values, so finite for any A."""
    return jnp.linalg.lstsq(A_single, B_single)[0]


def solve_full_lstsq(A_full: Any, B_full: Any) -> Array:
    """:func:`solve_single_lstsq` for every one of a batch of problems, on the first axis."""
    return jax.vmap(solve_single_lstsq)(A_full, B_full)


def _leaves(tree: Any) -> list[tuple[Any, Any]]:
    return jax.tree_util.tree_flatten_with_path(tree, is_leaf=lambda node: isinstance(node, nnx.Variable))[0]


def _names(path: Any) -> tuple[str, ...]:
    return tuple(str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key)))) for key in path)


def _interpolated(old: Any, shape: tuple[int, ...]) -> Array:
    old = jnp.asarray(old)
    changed = [axis for axis, (a, b) in enumerate(zip(old.shape, shape, strict=False)) if a != b]
    if old.ndim != len(shape) or len(changed) > 1:
        raise EdgewiseError(
            f"moments of shape {old.shape} cannot become {shape}.",
            "a grid update changes the number of basis functions alone.",
            "pass the state of the model whose optimizer this is.",
        )
    if not changed:
        return old
    axis = changed[0]
    places = jnp.linspace(0, old.shape[axis] - 1, shape[axis])
    known = jnp.arange(old.shape[axis], dtype=places.dtype)
    return jnp.apply_along_axis(lambda row: jnp.interp(places, known, row), axis, old)
