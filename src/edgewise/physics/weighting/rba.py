"""Residual-based attention: a moving average of how large the residual of each point is beside the largest."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax import Array

from edgewise.physics.weighting.arguments import chosen, positive, share, term_names
from edgewise.physics.weighting.base import Weighting, ones

__all__ = ["RBA", "Attention"]


@dataclass(frozen=True)
class Attention(Weighting):
    """Weights of points, w <- gamma w + eta a, of an attention a that a scheme finds from the residuals.

    They multiply residuals: a point counts w^2 in the loss.  They start at 1.  After points have been drawn anew, all
    their weights are the mean of the old ones; with points drawn at every step there is nothing to remember.
    """

    gamma: float = 0.999
    eta: float = 0.01
    every: int = 1
    terms: Any = None

    def __post_init__(self):
        self.check()
        name = type(self).__name__
        object.__setattr__(self, "gamma", share(f"{name}: gamma", self.gamma))
        object.__setattr__(self, "eta", positive(f"{name}: eta", self.eta))
        object.__setattr__(self, "terms", term_names(f"{name}: terms", self.terms))

    @abstractmethod
    def attention(self, relative: Array, step: Array) -> Array:
        """a of the points of a term, ``[n]``, from their residuals as shares of the largest, at a step."""

    def init(self, points):
        return ones({term: points[term] for term in chosen(self.terms, points)})

    def update(self, state, look):
        new = {}
        for term, old in state.items():
            attention = self.attention(relative_sizes(look.residuals[term]), look.step)
            new[term] = (self.gamma * old + self.eta * attention).astype(old.dtype)
        return new

    def weights(self, state):
        return {term: weight**2 for term, weight in state.items()}

    def moved(self, state, term, rows):
        if term not in state:
            return state
        return dict(state) | {term: jnp.where(rows, jnp.mean(state[term]), state[term])}


@dataclass(frozen=True)
class RBA(Attention):
    """Residual-based attention: w <- gamma w + eta |r| / max |r|, and the loss is mean (w r)^2.

    |r| is the norm over equations.  Weights stay below eta / (1 - gamma), or 1 if that is more.

    Args:
        gamma: how much of a weight stays, 0 or more and below 1.
        eta: how much is added where the residual is largest.
        every: steps between updates.
        terms: names of the terms whose points are weighted; None for all.

    Anagnostopoulos et al., Comput. Methods Appl. Mech. Eng. 421 (2024) 116805, arXiv 2307.00379.  There weights start
    at 0, or at |r| / max |r|; here at 1, so that the first steps see the loss as it is.
    """

    def attention(self, relative, step):
        return relative


def relative_sizes(residuals: Array) -> Array:
    """The norm over equations of residuals ``[n, k]``, as shares of the largest, ``[n]``; 1 where all are 0."""
    peak = jnp.max(jnp.abs(residuals))
    usable = (peak > 0) & jnp.isfinite(peak)
    sizes = jnp.linalg.norm(residuals / jnp.where(usable, peak, 1), axis=1)  # scaled: small squares are 0 in float32
    largest = jnp.max(sizes)
    usable = usable & (largest > 0)
    return jnp.where(usable, sizes / jnp.where(usable, largest, 1), 1)
