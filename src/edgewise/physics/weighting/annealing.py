"""Learning-rate annealing: weights of terms under which the gradients of all are equally large."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from edgewise.physics.weighting.arguments import share
from edgewise.physics.weighting.base import Weighting

__all__ = ["Balance", "GradientNorm"]

_SMALLEST = 1e-5  # the size of a term beside that of all, below which its weight grows no further


@dataclass(frozen=True)
class Balance(Weighting):
    """Weights of terms, lambda <- alpha lambda + (1 - alpha) sum_j s_j / s, of a size s that a scheme gives each term.

    They start at 1, and stay there where a loss has one term.  A size below 1e-5 of
    the sum counts as that, as in the authors' program: no weight aims above 1e5.
    """

    alpha: float = 0.9
    every: int = 1000

    def __post_init__(self):
        self.check()
        object.__setattr__(self, "alpha", share(f"{type(self).__name__}: alpha", self.alpha))

    def init(self, points):
        return {term: jnp.ones((), x.dtype) for term, x in points.items()}

    def weights(self, state):
        return dict(state)

    def balanced(self, state: Mapping[str, Array], sizes: Mapping[str, Array]) -> dict[str, Any]:
        """The state after the sizes of all terms have been found."""
        total = jnp.sum(jnp.stack([*sizes.values()]))
        known = (total > 0) & jnp.isfinite(total)
        new = {}
        for term, old in state.items():
            ratio = total / jnp.maximum(sizes[term], jnp.where(known, _SMALLEST * total, 1))
            new[term] = jnp.where(known, self.alpha * old + (1 - self.alpha) * ratio, old).astype(old.dtype)
        return new


@dataclass(frozen=True)
class GradientNorm(Balance):
    """lambda <- alpha lambda + (1 - alpha) sum_j |grad L_j| / |grad L|: L is the mean of |r|^2 of a term.

    Args:
        alpha: how much of a weight stays, 0 or more and below 1.
        every: steps between updates; each costs one gradient for each term.

    Wang et al., "An expert's guide to training physics-informed neural networks", arXiv 2308.08468, after Wang, Teng
    and Perdikaris, SIAM J. Sci. Comput. 43 (2021) A3055, which takes max |grad L_r| / mean |grad L|.
    """

    def update(self, state, look):
        sizes = {}
        for term in state:
            leaves = jax.tree.leaves(jax.grad(look.loss_of)(look.params, term))
            # scaled by the largest: squares of small numbers vanish in float32
            largest = jnp.max(jnp.stack([jnp.max(jnp.abs(leaf), initial=0) for leaf in leaves]))
            scale = jnp.where(largest > 0, largest, 1)
            sizes[term] = largest * jnp.sqrt(sum(jnp.sum((leaf / scale) ** 2) for leaf in leaves))
        return self.balanced(state, sizes)
