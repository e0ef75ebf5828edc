"""The sum over modes and inputs, in the form that the shapes call for.

A layer is one matrix product of ``[batch, K n_in]`` with ``[K n_in, n_out]``; the forms differ in how much of its left
side is in memory at once, and in which axis is contiguous while the basis is evaluated.  The figures are in
``benchmarks/README.md``.
"""

from __future__ import annotations

from functools import partial, reduce
from operator import add
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero

from edgewise.bases import Basis, State
from edgewise.bases.compiled import Compiled
from edgewise.nn import kernels
from edgewise.nn.residuals import Residual

__all__ = ["contract"]

_NARROW = 32  # up to this width the product is too small to hide the evaluation of the basis
_MANY = 16  # modes, or
_SPARSE = 3  # times the outputs: with more, a narrow layer fetches the coefficients of those that are not 0
_PAID = 16  # outputs for which modes may be computed anew
_BLOCK = 2048  # columns of a product: more gain nothing, and leave the cache
_FEW = 4  # modes that are worth joining: fewer repeat a recurrence, and are copied, for nothing
_FUSED = 8  # arrays that XLA joins in the same loop that computes them; it copies longer lists one by one


def contract(
    basis: Basis,
    x: Array,
    state: State,
    coef: Array,
    *,
    first: int = 0,
    residual: Residual | None = None,
    kernel: Array | None = None,
    bias: Array | None = None,
    precision: Any = None,
) -> Array:
    """sum_m B_m(x) coef_m + R(x) kernel + bias: ``[*batch, n_in]`` to ``[*batch, n_out]``.

    Args:
        coef: of the modes from number ``first`` on, ``[K, n_in, n_out]``.
        residual: R, or None for no such branch.
        kernel: ``[n_in, n_out]``.
        bias: ``[n_out]``.

    Every form is the same sum, and differentiates in forward mode, reverse mode and their compositions.
    """
    modes, n_in, n_out = coef.shape
    rows = x.reshape(-1, n_in)
    sparse = basis.support and modes > max(_MANY, _SPARSE * n_out)
    branch = (residual, kernel) if residual is not None and kernel is not None else None
    if _is_compiled(basis, rows, coef):
        y = _compiled(basis, rows, state, coef, first, precision, branch, bias)
    elif max(n_in, n_out) <= _NARROW and not sparse:
        y = _features_first(basis, rows, state, coef, first, precision, branch, bias)
    else:
        # a GPU has memory for all modes, and takes 1.3 times the floor where products by mode take 1.7
        dense = _by_blocks if jax.default_backend() == "cpu" else _at_once
        form = _gathered if max(n_in, n_out) <= _NARROW else dense
        y = form(basis, rows, state, coef, first, precision)
        if branch is not None:
            y = y + jnp.matmul(branch[0](rows), branch[1], precision=precision)
        y = y if bias is None else y + bias[None]
    return y.reshape(*x.shape[:-1], n_out)


def _is_compiled(basis: Basis, x: Array, coef: Array) -> bool:
    """Whether the compiled kernels are there for this layer, and faster.

    They compute the modes anew for each of the three products of a training step, which many outputs make up for; of
    fine splines, only those that are not 0.
    """
    if not (isinstance(basis, Compiled) and basis.compiled_as and x.dtype == coef.dtype == jnp.float32):
        return False
    modes, n_in, n_out = coef.shape
    fine = basis.support is not None and modes > _MANY
    return (fine or (max(n_in, n_out) > _NARROW and n_out >= _PAID)) and kernels.available()


def _compiled(basis, x, state, coef, first, precision, branch, bias):
    """Modes and products together, in the cache."""
    start = bias
    if branch is not None:
        residual, kernel = branch
        if residual is nnx.silu:
            start = kernels.layer_sum(kernels.Swish(), x, jnp.zeros((1, 0), x.dtype), kernel[None], 0, bias)
        else:
            start = jnp.matmul(residual(x), kernel, precision=precision)
            start = start if bias is None else start + bias[None]
    return kernels.layer_sum(basis, x, basis.compiled_table(state).astype(x.dtype), coef, first, start)


def _by_blocks(basis, x, state, coef, first, precision):
    """One product for every few modes: the whole basis is never in memory at once."""
    modes, n_in, n_out = coef.shape
    most = _BLOCK // n_in
    if most < _FEW:
        most = 1
    elif not basis.broadcasts:
        most = min(_FUSED, most)
    blocks = -(-modes // most)
    edges = [first + modes * block // blocks for block in range(blocks + 1)]
    products = []
    for values, start in zip(basis.blocks(x, state, edges), edges, strict=False):
        kernel = coef[start - first : start - first + values.shape[-2]].reshape(-1, n_out)
        products.append(jnp.matmul(values.reshape(x.shape[0], -1), kernel, precision=precision))
    return reduce(add, products)


def _at_once(basis, x, state, coef, first, precision):
    """One product of all modes."""
    stacked = basis.stacked(x, state)[:, first:].reshape(x.shape[0], -1)
    return jnp.matmul(stacked, coef.reshape(-1, coef.shape[-1]), precision=precision)


def _gathered(basis, x, state, coef, first, precision):
    """Only the modes that are not 0 at a point: a row of coefficients for each, fetched and added up."""
    _, n_in, n_out = coef.shape
    cell, values = basis.local(x, state)
    rows, flat = (cell - first) * n_in + jnp.arange(n_in)[None], coef.reshape(-1, n_out)
    fetched = [flat.at[rows + j * n_in].get(mode="promise_in_bounds") for j in range(len(values))]
    products = [jnp.einsum("bi,bio->bo", *pair, precision=precision) for pair in zip(values, fetched, strict=True)]
    return reduce(add, products)


def _features_first(basis, x, state, coef, first, precision, branch=None, bias=None):
    """One product on ``[K n_in, batch]``: the batch is the contiguous axis, long enough to vectorize everything.

    x is transposed once, and everything is made of that: derivatives are then added up features first, too, and not in
    the layout of the batch, where they cost four times as much.  Nothing comes after the transposition at the end: it
    cancels that of the next layer.
    """
    modes, n_in, n_out = coef.shape
    x = x.T
    if not state and type(basis).blocks is Basis.blocks:  # others have a form, or derivatives, of their own
        # stacked where the product wants them: a transposition is an operation more to trace, compile and run
        values = jnp.stack(basis.modes(x, state)[first:])
    elif not state:
        values = jnp.moveaxis(basis.blocks(x, state, (first, basis.size))[0], -2, 0)
    else:
        # arrays of two or more axes lead with the node, or with a group of neighbouring nodes
        per_node = {name: 0 if value.ndim >= 2 else None for name, value in state.items()}
        state = {
            name: value
            if value.ndim < 2 or value.shape[0] == n_in
            else jnp.repeat(value, n_in // value.shape[0], axis=0)
            for name, value in state.items()
        }

        def of_node(x, state):
            # the samples of one node take the place of nodes, all with that node's state
            rows = {name: value if per_node[name] is None else value[None] for name, value in state.items()}
            return basis.blocks(x, rows, (first, basis.size))[0]

        values = jax.vmap(of_node, in_axes=(0, per_node), out_axes=1)(x, state)
    columns, flat = values.reshape(modes * n_in, -1), coef.reshape(-1, n_out)
    if branch is not None:
        residual, kernel = branch
        # in the same product: one of its own would double the time of a narrow layer
        columns, flat = jnp.concatenate([columns, residual(x)]), jnp.concatenate([flat, kernel])
    by_rows = n_out > 1 and columns.dtype == jnp.float32 and jax.default_backend() == "cpu"
    y = (_product_by_rows if by_rows else _product)(flat, columns, precision)
    return y.T if bias is None else (y + lax.broadcast_in_dim(bias, y.shape, (0,))).T


def _product(flat: Array, columns: Array, precision: Any) -> Array:
    """flat^T columns, ``[n, n_out]`` and ``[n, batch]`` to ``[n_out, batch]``."""
    return lax.dot_general(flat, columns, (((0,), (0,)), ((), ())), precision=precision)


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _product_by_rows(flat: Array, columns: Array, precision: Any) -> Array:
    """The same of a transposed copy of ``flat``, with XLA's own kernels instead of a library's for float32 on a CPU.

    Those take up to a fifth less time, and the library 26 ms in every process, for kernels that it generates.  Of
    ``flat`` as it is, the derivatives in reverse mode have no need of a copy.
    """
    return lax.dot(lax.optimization_barrier(flat.T), columns, precision=precision)


@partial(_product_by_rows.defjvp, symbolic_zeros=True)
def _product_by_rows_jvp(precision, primals, tangents):
    pairs = (tangents[0], primals[1]), (primals[0], tangents[1])
    rates = [_product(*pair, precision) for pair in pairs if not any(isinstance(each, SymbolicZero) for each in pair)]
    return _product_by_rows(*primals, precision), reduce(add, rates)
