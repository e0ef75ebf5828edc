"""Kinds of state beside trained parameters."""

from flax import nnx

__all__ = ["Grid", "Mask"]


class Grid(nnx.Variable):
    """Knots and centres: part of the state, seen by compiled functions and checkpoints, moved but not trained."""


class Mask(nnx.Variable):
    """1 where an edge is there and 0 where it was pruned or is a formula, ``[n_in, n_out]``: not trained."""
