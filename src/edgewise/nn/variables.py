"""Kinds of state beside trained parameters."""

from flax import nnx

__all__ = ["Grid"]


class Grid(nnx.Variable):
    """Knots and centres: part of the state, seen by compiled functions and checkpoints, moved but not trained."""
