"""The sum over modes and inputs, in the form that the shapes call for."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from edgewise.bases import Basis, State

__all__ = ["contract"]

_NARROW = 32  # up to here a product is too small to hide the evaluation of the basis, which is faster features first


def contract(basis: Basis, x: Array, state: State, coef: Array, *, first: int = 0, precision=None) -> Array:
    """sum_m B_m(x) coef_m: ``[*batch, n_in]`` with ``coef`` ``[K, n_in, n_out]`` gives ``[*batch, n_out]``.

    ``first`` is the mode that ``coef`` starts from.  Every form is the same sum, and differentiates in forward mode,
    reverse mode and their compositions.
    """
    _, n_in, n_out = coef.shape
    if x.ndim == 2 and max(n_in, n_out) <= _NARROW:
        return _features_first(basis, x, state, coef, first, precision)
    return _mode_by_mode(basis, x, state, coef, first, precision)


def _mode_by_mode(basis, x, state, coef, first, precision):
    """One product a mode: the whole basis is never in memory at once."""
    y = None
    for m, mode in enumerate(basis.modes(x, state)[first:]):
        term = jnp.matmul(mode, coef[m], precision=precision)
        y = term if y is None else y + term
    return y


def _features_first(basis, x, state, coef, first, precision):
    """One product on ``[K n_in, batch]``: the batch is the contiguous axis, long enough to vectorize everything."""
    per_node = {name: 0 if value.ndim >= 2 and value.shape[0] == x.shape[-1] else None for name, value in state.items()}

    def modes_of_node(x, state):
        rows = {name: value if per_node[name] is None else value[None] for name, value in state.items()}
        return [mode[..., 0] for mode in basis.modes(x[..., None], rows)[first:]]

    modes = jax.vmap(modes_of_node, in_axes=(-1, per_node))(x, dict(state))
    return jnp.tensordot(
        coef.reshape(-1, coef.shape[-1]), jnp.concatenate(modes), axes=((0,), (0,)), precision=precision
    ).T
