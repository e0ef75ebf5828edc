"""Jacobians of residuals, by the cheapest mode, in blocks of rows that bound the memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

__all__ = ["MODES", "Blocks", "LeastSquaresProblem", "Rows", "cheapest", "jacobian_blocks"]

MODES = ("rows", "forward", "reverse")

_COPIES = 3  # of a block: what reverse mode keeps besides its result


class Rows(NamedTuple):
    """Residuals that belong to one sample each.

    Attributes:
        function: (parameters ``[P]``, one sample) to its own residuals ``[k]``.
        samples: what ``function`` is mapped over: arrays with a leading axis of n.
    """

    function: Callable[[Array, Any], Array]
    samples: Any


class LeastSquaresProblem(NamedTuple):
    """The loss |r|^2, a sum of squares.

    Attributes:
        residuals: parameters ``[P]`` to r ``[m]``.
        rows: the same residuals sample by sample, kind after kind, where each belongs to one sample; otherwise empty.
    """

    residuals: Callable[[Array], Array]
    rows: tuple[Rows, ...] = ()


def cheapest(problem: LeastSquaresProblem, params: Array, memory: float) -> str:
    """The mode of the fewest operations whose Jacobian fits.

    Reverse mode sample by sample costs k passes; otherwise forward mode costs P passes over all the data, with all of
    J in memory, and reverse mode m passes.
    """
    if problem.rows:
        return "rows"
    m = jax.eval_shape(problem.residuals, params).shape[0]
    fits = _COPIES * m * params.size * params.dtype.itemsize <= memory
    return "forward" if params.size <= m and fits else "reverse"


class _Block(NamedTuple):
    """J' ``[P, b]`` and r ``[b]`` of one kind, by the index of ``count`` blocks."""

    at: Callable[[Any], tuple[Array, Array]]
    count: int


class Blocks(NamedTuple):
    """J' in blocks ``[P, b]`` of columns, with r ``[b]``: the last of each kind is filled up with zeros.

    Transposed, since J'J by a product over the contiguous axis takes half the time on a CPU.
    """

    kinds: tuple[_Block, ...]

    @property
    def whole(self) -> tuple[Array, Array] | None:
        """All of J' and r, where they are in memory."""
        if any(kind.count > 1 for kind in self.kinds):
            return None
        jacobians, residuals = zip(*(kind.at(0) for kind in self.kinds), strict=True)
        return jnp.concatenate(jacobians, axis=1), jnp.concatenate(residuals)

    def fold(self, function: Callable[[Any, Array, Array], Any], start: Any) -> Any:
        """``function(carry, J_b', r_b)`` over the blocks."""
        for at, count in self.kinds:
            if count == 1:
                start = function(start, *at(0))
            else:
                start = jax.lax.fori_loop(0, count, lambda i, carry, at=at: function(carry, *at(i)), start)
        return start


def jacobian_blocks(problem: LeastSquaresProblem, params: Array, mode: str, memory: float) -> Blocks:
    """J at ``params`` in as few blocks as take about ``memory`` bytes, or hold one sample each.

    In the mode "forward" there is one block.
    """
    if mode == "forward":
        return Blocks((_one(_by_tangents(problem, params)),))
    if mode == "reverse":
        return Blocks((_cut(*_by_cotangents(problem, params), params, memory),))
    return Blocks(tuple(_cut(*_by_samples(rows, params), params, memory) for rows in problem.rows))


def _cut(columns, count, size, params, memory):
    """``columns`` of ``count`` samples or rows, ``size`` numbers each, in blocks."""
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

    return _Block(block, number)


def _one(block):
    return _Block(lambda _: block, 1)


def _by_samples(rows, params):
    """Columns of J' and residuals of chosen samples, n, and numbers in J per sample."""
    function, samples = rows
    first = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), samples)
    n, k = jax.tree.leaves(samples)[0].shape[0], jax.eval_shape(function, params, first).shape[0]

    def of_sample(sample):
        if k == 1:  # no axis of length 1 in every operation of the pass backwards
            value, slope = jax.value_and_grad(lambda params: function(params, sample)[0])(params)
            return slope[:, None], value[None]
        values, pull = jax.vjp(lambda params: function(params, sample), params)
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
