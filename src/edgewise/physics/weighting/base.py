"""What every weighting has: a state, its update between steps, and the weights that follow from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
from jax import Array

from edgewise.errors import CheckedKeywords, check_count

__all__ = ["EQUATION", "Look", "Weighting"]

EQUATION = "equation"
"""The name of the term of the differential equation itself."""

Arrays = dict[str, Any]


@dataclass(frozen=True)
class Look:
    """What a weighting sees of a model between two steps.

    Attributes:
        step: number of the step that comes next.
        residuals: of every term, ``[n, k]``.
        points: of every term, ``[n, d]``.
        time: of every term, 0 at the start and 1 at the end of the time of each point, ``[n]``; 0 without time.
        active: of every term, 1 for points that count and 0 for places kept free for points to come, ``[n]``.
        loss_of: (parameters, term) to the mean square of the term's residuals, summed over equations: differentiable.
        rows_of: (parameters, term, rows ``[r]``) to the residuals ``[r, k]`` at chosen points: differentiable.
        params: what the two are called with, a pytree.
    """

    step: Array
    residuals: Mapping[str, Array]
    points: Mapping[str, Array]
    time: Mapping[str, Array]
    active: Mapping[str, Array]
    loss_of: Callable[[Any, str], Array]
    rows_of: Callable[[Any, str, Array], Array]
    params: Any


class Weighting(CheckedKeywords, ABC):
    """Weights on squared residuals that follow the training: multiplied with those of other weightings.

    A frozen dataclass.  No gradient flows through weights: they are renewed between steps, every ``every`` of them.
    """

    every: int

    needs_time: ClassVar[bool] = False

    @abstractmethod
    def init(self, points: Mapping[str, Array]) -> Arrays:
        """The state before the first step: a dictionary of arrays. ``points``: of every term, ``[n, d]``."""

    @abstractmethod
    def update(self, state: Arrays, look: Look) -> Arrays:
        """The state after a look at the model, of the same shapes."""

    @abstractmethod
    def weights(self, state: Arrays) -> Mapping[str, Array]:
        """For terms by name: what each point counts, ``[n]``, or the whole term, ``[]``; terms left out count 1."""

    def moved(self, state: Arrays, term: str, rows: Array) -> Arrays:
        """The state after ``rows`` of a term, a truth value each, have got new points: the old ones are forgotten."""
        return state

    def check(self) -> None:
        """Raise ``EdgewiseError`` for an ``every`` that is no count."""
        check_count(f"{type(self).__name__}: every", self.every)


def ones(points: Mapping[str, Array]) -> Arrays:
    """A weight of 1 for every point of every term."""
    return {term: jnp.ones(x.shape[0], x.dtype) for term, x in points.items()}
