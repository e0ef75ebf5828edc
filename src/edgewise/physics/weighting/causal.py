"""Causal weights: a stretch of time counts once the equation holds in those before it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import jax.numpy as jnp
from jax import Array

from edgewise.errors import EdgewiseError, check_count
from edgewise.physics.weighting.arguments import positive
from edgewise.physics.weighting.base import EQUATION, Weighting, ones

__all__ = ["Causal"]

_SOLVED = 0.99  # the smallest weight above which the next tolerance follows


@dataclass(frozen=True)
class Causal(Weighting):
    """w_i = exp(-eps sum_{k < i} L_k) for the points in chunk i of time: L_k is the mean of |r|^2 in chunk k.

    Points of the equation are weighted, others count 1.  Chunks are of equal length; one without points adds nothing.

    Args:
        tolerance: eps, in units of 1 / |r|^2; or several, increasing: the next one follows when all weights are above
            0.99, as in the paper.
        chunks: number of stretches of time.
        every: steps between updates.

    Wang, Sankaran and Perdikaris, Comput. Methods Appl. Mech. Eng. 421 (2024) 116813, arXiv 2203.07404.
    """

    tolerance: Any = 1.0
    chunks: int = 32
    every: int = 1

    needs_time: ClassVar[bool] = True

    def __post_init__(self):
        self.check()
        check_count("Causal: chunks", self.chunks, 2)
        given = tuple(self.tolerance) if isinstance(self.tolerance, (tuple, list)) else (self.tolerance,)
        values = tuple(positive("Causal: tolerance", each) for each in given)
        if not values or any(after <= before for before, after in pairwise(values)):
            raise EdgewiseError(
                f"Causal: tolerance={self.tolerance!r} does not increase.",
                "training goes from lenient to strict.",
                "pass a number, or say (0.01, 0.1, 1.0, 10.0, 100.0).",
            )
        object.__setattr__(self, "tolerance", values if isinstance(self.tolerance, (tuple, list)) else values[0])

    def init(self, points):
        state = {"weights": ones({EQUATION: points[EQUATION]})[EQUATION]}
        return state | {"losses": jnp.zeros(self.chunks, state["weights"].dtype), "level": jnp.zeros((), jnp.int32)}

    def update(self, state, look):
        old, level = state["weights"], state["level"]
        tolerances = jnp.atleast_1d(jnp.asarray(self.tolerance, old.dtype))
        chunk = jnp.clip(jnp.floor(look.time[EQUATION] * self.chunks).astype(jnp.int32), 0, self.chunks - 1)
        losses = self._losses(chunk, look.residuals[EQUATION], look.active[EQUATION])
        before = jnp.concatenate([jnp.zeros(1, losses.dtype), jnp.cumsum(losses)[:-1]])
        weights = jnp.exp(-tolerances[level] * before)
        solved = (jnp.min(weights) > _SOLVED).astype(level.dtype)
        return {
            "weights": weights[chunk].astype(old.dtype),
            "losses": losses.astype(old.dtype),
            "level": jnp.minimum(level + solved, tolerances.size - 1),
        }

    def weights(self, state):
        return {EQUATION: state["weights"]}

    def moved(self, state, term, rows):
        if term != EQUATION:
            return state
        weights = state["weights"]
        return dict(state) | {"weights": jnp.where(rows, jnp.mean(weights), weights)}

    def _losses(self, chunk: Array, residuals: Array, active: Array) -> Array:
        squares = active * jnp.sum(residuals**2, axis=1)
        empty = jnp.zeros(self.chunks, squares.dtype)
        return empty.at[chunk].add(squares) / jnp.maximum(empty.at[chunk].add(active), 1)
