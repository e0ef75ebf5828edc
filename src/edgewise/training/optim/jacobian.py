"""Jacobians of residuals, by the cheapest mode, in blocks of rows that bound the memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

__all__ = ["MODES", "LeastSquaresProblem", "accumulate", "cheapest"]

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


def accumulate(
    problem: LeastSquaresProblem,
    params: Array,
    mode: str,
    memory: float,
    fold: Callable[[Any, Array, Array], Any],
    start,
) -> Any:
    """``fold(carry, J_b, r_b)`` over blocks of rows of J ``[m, P]`` and r ``[m]``, from ``start``.

    A block and what makes it take about ``memory`` bytes, or one sample. Rows that fill up the last block are 0.
    """
    make = {"rows": _by_samples, "forward": _at_once, "reverse": _by_cotangents}[mode]
    block, count, size = make(problem, params)
    most = max(1, int(memory / (_COPIES * size * params.dtype.itemsize)))
    if mode == "forward" or count <= most:
        return fold(start, *block(jnp.arange(count)))
    blocks = -(-count // most)
    most = -(-count // blocks)  # spread evenly, so that little is filled up

    def body(index, carry):
        wanted = index * most + jnp.arange(most)
        jacobian, residuals = block(jnp.minimum(wanted, count - 1))
        real = jnp.repeat(wanted < count, residuals.shape[0] // most)
        return fold(carry, jnp.where(real[:, None], jacobian, 0), jnp.where(real, residuals, 0))

    return jax.lax.fori_loop(0, blocks, body, start)


def _by_samples(problem, params):
    """(block, n, numbers in J per sample)."""
    rows, samples = problem.rows, problem.samples
    first = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), samples)
    n, k = jax.tree.leaves(samples)[0].shape[0], jax.eval_shape(rows, params, first).shape[0]

    def of_sample(sample):
        if k == 1:  # no axis of length 1 in every operation of the pass backwards
            value, slope = jax.value_and_grad(lambda params: rows(params, sample)[0])(params)
            return slope[None], value[None]
        values, pull = jax.vjp(lambda params: rows(params, sample), params)
        return jax.vmap(pull)(jnp.eye(k, dtype=values.dtype))[0], values

    def block(index):
        chosen = samples if index.shape[0] == n else jax.tree.map(lambda leaf: leaf[index], samples)
        jacobian, values = jax.vmap(of_sample)(chosen)
        return jacobian.reshape(-1, params.size), values.reshape(-1)

    return block, n, k * params.size


def _by_cotangents(problem, params):
    """(block, m, numbers in J per residual)."""
    values, pull = jax.vjp(problem.residuals, params)

    def block(index):
        chosen = jnp.zeros((index.shape[0], values.shape[0]), values.dtype)
        chosen = chosen.at[jnp.arange(index.shape[0]), index].set(1)
        return jax.vmap(pull)(chosen)[0], values[index]

    return block, values.shape[0], params.size + values.shape[0]


def _at_once(problem, params):
    """(block, m, numbers in J per residual): all of J by forward mode."""
    values, push = jax.linearize(problem.residuals, params)

    def block(index):
        return jax.vmap(push, out_axes=1)(jnp.eye(params.size, dtype=params.dtype)), values

    return block, values.shape[0], params.size
