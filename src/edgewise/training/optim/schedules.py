"""Learning rates over the steps of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array

from edgewise.errors import EdgewiseError, check_choice, check_count, check_positive

__all__ = ["SHAPES", "Schedule"]

SHAPES: dict[str, Callable[[Array, float], Array]] = {
    "constant": lambda t, end: jnp.ones_like(t),
    "linear": lambda t, end: 1 - (1 - end) * t,
    "cosine": lambda t, end: end + (1 - end) * (1 + jnp.cos(jnp.pi * t)) / 2,
    "exponential": lambda t, end: jnp.asarray(end, t.dtype) ** t,
}
"""Share of the learning rate at t in [0, 1], the part of the steps after the warmup, going from 1 to ``end``."""


@dataclass(frozen=True)
class Schedule:
    """rate * min(1, (step + 1) / warmup) * shape(t), with t = (step - warmup) / (steps - warmup) clipped to [0, 1].

    Args:
        rate: the learning rate after the warmup.
        shape: "constant", "linear", "cosine" (Loshchilov and Hutter, arXiv 1608.03983) or "exponential".
        end: share of the rate that is left after ``steps``.
        warmup: steps of linear growth at the start.
        steps: of the whole run.

    Raises:
        EdgewiseError: for a rate not above 0, an ``end`` outside [0, 1] (or 0 for "exponential"), a warmup that does
            not leave a step; ``UnknownNameError`` for an unknown shape.
    """

    rate: float
    shape: str
    end: float
    warmup: int
    steps: int

    def __post_init__(self):
        check_choice("schedule", self.shape, SHAPES)
        check_positive("learning rate", self.rate)
        check_count("steps", self.steps)
        check_count("warmup", self.warmup, 0)
        if not 0 <= self.end <= 1 or (self.shape == "exponential" and self.end == 0):
            raise EdgewiseError(
                f"the schedule {self.shape!r} cannot end at {self.end:g} of the learning rate.",
                "the rate falls from all of it to that share" + (", which is above 0." if self.end == 0 else "."),
                "give a share of at most 1, say 0.01.",
            )
        if self.warmup >= self.steps:
            raise EdgewiseError(
                f"warmup={self.warmup} leaves none of {self.steps} steps.",
                "the learning rate would never arrive.",
                f"give warmup={self.steps // 10} or more steps.",
            )

    def __call__(self, step: Array | int) -> Array:
        """The learning rate of a step, counted from 0."""
        step = jnp.asarray(step)
        t = jnp.clip((step - self.warmup) / (self.steps - self.warmup), 0.0, 1.0)
        grown = jnp.minimum(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        return self.rate * grown * SHAPES[self.shape](t, self.end)
