"""Weights from the neural tangent kernel: every term learns equally fast."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from edgewise.errors import check_count
from edgewise.physics.weighting.annealing import Balance
from edgewise.physics.weighting.base import Look

__all__ = ["NTK"]

_AT_ONCE = 32  # rows of a Jacobian that are held in memory together
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class NTK(Balance):
    """lambda <- alpha lambda + (1 - alpha) sum_j tr_j / tr, with tr the mean of K_ii = |d r_i / d theta|^2 of a term.

    d r_i / d theta is found row by row, in reverse mode, and summed over equations.

    Args:
        alpha: how much of a weight stays, 0 or more and below 1.
        every: steps between updates.
        points: at most so many points of a term are looked at, spread over them.

    Wang, Yu and Perdikaris, J. Comput. Phys. 449 (2022) 110768, arXiv 2007.14527, with the moving average and the mean
    (which does not depend on the number of points) of Wang et al., arXiv 2308.08468.
    """

    points: int = 256

    def __post_init__(self):
        super().__post_init__()
        check_count("NTK: points", self.points)

    def update(self, state, look):
        return self.balanced(state, {term: self._trace(look, term) for term in state})

    def _trace(self, look: Look, term: str) -> Array:
        def kernel(row):
            jacobian = jax.jacrev(lambda params: look.rows_of(params, term, row[None])[0])(look.params)
            return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(jacobian))

        rows = jnp.asarray(spread_rows(look.points[term].shape[0], self.points))
        active = look.active[term][rows]
        traces = jax.lax.map(kernel, rows, batch_size=min(_AT_ONCE, len(rows)))
        return jnp.sum(active * traces) / jnp.maximum(jnp.sum(active), 1)


def spread_rows(n: int, wanted: int) -> np.ndarray:
    """At most ``wanted`` of ``n`` rows, evenly spread without a stride: one of 2^k would meet the same part of a domain
    all along a Sobol sequence."""
    if n <= wanted:
        return np.arange(n)
    return np.unique(np.floor(np.arange(1, wanted + 1) * _GOLDEN % 1 * n).astype(int))
