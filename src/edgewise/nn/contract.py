"""The sum over modes and inputs, in the form that the shapes call for."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from edgewise.bases import Basis, State

__all__ = ["contract"]


def contract(basis: Basis, x: Array, state: State, coef: Array, *, first: int = 0, precision=None) -> Array:
    """sum_m B_m(x) coef_m: ``[*batch, n_in]`` with ``coef`` ``[K, n_in, n_out]`` gives ``[*batch, n_out]``.

    ``first`` is the mode that ``coef`` starts from.
    """
    y = None
    for m, mode in enumerate(basis.modes(x, state)[first:]):
        term = jnp.matmul(mode, coef[m], precision=precision)
        y = term if y is None else y + term
    return y
