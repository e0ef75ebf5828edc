"""Jacobians of residuals, by the cheapest mode, in blocks of rows that bound the memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

__all__ = ["MODES", "Blocks", "LeastSquaresProblem", "cheapest", "jacobian_blocks"]

MODES = ("rows", "forward", "reverse")

_COPIES = 3  # of a block: what reverse mode keeps besides its result


class LeastSquaresProblem(NamedTuple):
    """The loss |r|^2, a sum of squares.

    Attributes:
        residuals: parameters ``[P]`` to r ``[m]``.
        rows: (parameters ``[P]``, one sample) to its own residuals ``[k]``, where each belongs to one sample, in the
            order of ``residuals``; otherwise None.
        samples: what ``rows`` is mapped over: arrays with a leading axis of n, m = n k.
    """

    residuals: Callable[[Array], Array]
    rows: Callable[[Array, Any], Array] | None = None
    samples: Any = None


def cheapest(problem: LeastSquaresProblem, params: Array, memory: float) -> str:
    """The mode of the fewest operations whose Jacobian fits.

    Reverse mode sample by sample costs k passes; otherwise forward mode costs P passes over all the data, with all of
    J in memory, and reverse mode m passes.
    """
    if problem.rows is not None:
        return "rows"
    m = jax.eval_shape(problem.residuals, params).shape[0]
    fits = _COPIES * m * params.size * params.dtype.itemsize <= memory
    return "forward" if params.size <= m and fits else "reverse"


class Blocks(NamedTuple):
    """J' in ``count`` blocks ``[P, b]`` of columns, with r ``[b]``: the last is filled up with zeros.

    Transposed, since J'J by a product over the contiguous axis takes half the time on a CPU.
    """

    block: Callable[[Any], tuple[Array, Array]]
    count: int

    def fold(self, function: Callable[[Any, Array, Array], Any], start: Any) -> Any:
        """``function(carry, J_b', r_b)`` over the blocks."""
        if self.count == 1:
            return function(start, *self.block(0))
        return jax.lax.fori_loop(0, self.count, lambda i, carry: function(carry, *self.block(i)), start)


def jacobian_blocks(problem: LeastSquaresProblem, params: Array, mode: str, memory: float) -> Blocks:
    """J at ``params`` in as few blocks as take about ``memory`` bytes, or hold one sample each.

    In the mode "forward" there is one block.
    """
    if mode == "forward":
        return _one(_by_tangents(problem, params))
    columns, count, size = (_by_samples if mode == "rows" else _by_cotangents)(problem, params)
    most = max(1, int(memory / (_COPIES * size * params.dtype.itemsize)))
    if count <= most:
        return _one(columns(jnp.arange(count)))
    number = -(-count // most)
    most = -(-count // number)  # spread evenly, so that little is filled up

    def block(index):
        wanted = index * most + jnp.arange(most)
        jacobian, residuals = columns(jnp.minimum(wanted, count - 1))
        real = jnp.repeat(wanted < count, residuals.shape[0] // most)
        return jnp.where(real, jacobian, 0), jnp.where(real, residuals, 0)

    return Blocks(block, number)


def _one(block):
    return Blocks(lambda _: block, 1)


def _by_samples(problem, params):
    """Columns of J' and residuals of chosen samples, n, and numbers in J per sample."""
    rows, samples = problem.rows, problem.samples
    first = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), samples)
    n, k = jax.tree.leaves(samples)[0].shape[0], jax.eval_shape(rows, params, first).shape[0]

    def of_sample(sample):
        if k == 1:  # no axis of length 1 in every operation of the pass backwards
            value, slope = jax.value_and_grad(lambda params: rows(params, sample)[0])(params)
            return slope[:, None], value[None]
        values, pull = jax.vjp(lambda params: rows(params, sample), params)
        return jax.vmap(pull, out_axes=1)(jnp.eye(k, dtype=values.dtype))[0], values

    def columns(index):
        chosen = samples if index.shape[0] == n else jax.tree.map(lambda leaf: leaf[index], samples)
        jacobian, values = jax.vmap(of_sample, out_axes=(1, 0))(chosen)
        return jacobian.reshape(params.size, -1), values.reshape(-1)

    return columns, n, k * params.size


def _by_cotangents(problem, params):
    """Columns of J' and residuals of chosen rows, m, and numbers in J and in the cotangent per row."""
    values, pull = jax.vjp(problem.residuals, params)

    def columns(index):
        chosen = jnp.zeros((index.shape[0], values.shape[0]), values.dtype)
        chosen = chosen.at[jnp.arange(index.shape[0]), index].set(1)
        return jax.vmap(pull, out_axes=-1)(chosen)[0], values[index]

    return columns, values.shape[0], params.size + values.shape[0]


def _by_tangents(problem, params):
    """All of J' and r."""
    values, push = jax.linearize(problem.residuals, params)
    return jax.vmap(push)(jnp.eye(params.size, dtype=params.dtype)), values
