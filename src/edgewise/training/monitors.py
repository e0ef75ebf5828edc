"""What watches the loss while training: early stopping, and a learning rate that falls on a plateau.

Monitors run inside the compiled loop at every validation, so that what they do depends on the steps alone and not on
how the steps were cut into chunks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from edgewise.errors import EdgewiseError, check_count

__all__ = ["EarlyStopping", "Monitor", "Plateau", "ReduceOnPlateau"]


@dataclass(frozen=True)
class Monitor(ABC):
    """Watches the validation loss, or without validation data the mean training loss since it last looked.

    Args:
        patience: how many looks in a row may bring no improvement.
        min_delta: how much lower than the best a loss must be to count as an improvement.
    """

    patience: int = 10
    min_delta: float = 0.0

    def __post_init__(self):
        check_count("patience", self.patience)
        if not 0 <= self.min_delta < float("inf"):
            raise EdgewiseError(
                f"min_delta must be a finite number of at least 0, got {self.min_delta}.", do="pass say 1e-6."
            )

    def check(self, optimizer: Any) -> None:  # noqa: B027
        """Raise ``EdgewiseError`` where it does not go with the optimizer; it does by default."""

    @abstractmethod
    def init(self, arrays: Any) -> dict[str, Any]:
        """State before the first look; ``arrays`` are (parameters, the other arrays of the model)."""

    @abstractmethod
    def look(self, state: dict[str, Any], value: Array, arrays: Any) -> tuple[dict[str, Any], Array, Array]:
        """New state, factor of the learning rate from now on, and whether to stop."""

    def _counted(self, state: dict[str, Any], value: Array) -> tuple[Array, Array, Array]:
        """Whether ``value`` is better, the best value and the number of looks without improvement."""
        better = value < state["best"] - self.min_delta
        return better, jnp.where(better, value, state["best"]), jnp.where(better, 0, state["stale"] + 1)


@dataclass(frozen=True)
class EarlyStopping(Monitor):
    """Stops when ``patience`` looks in a row bring no improvement, and gives back the model of the best one.

    It is given back too when training ends for another reason.  A refinement begins the count anew.
    """

    def init(self, arrays: Any) -> dict[str, Any]:
        """No best value yet."""
        # a copy: buffers given to the compiled loop must not appear twice
        return {**_nothing_yet(arrays), "arrays": jax.tree.map(jnp.copy, arrays)}

    def look(self, state: dict[str, Any], value: Array, arrays: Any) -> tuple[dict[str, Any], Array, Array]:
        """Keep the arrays where they are the best so far."""
        better, best, stale = self._counted(state, value)
        kept = jax.tree.map(lambda new, old: jnp.where(better, new, old), arrays, state["arrays"])
        return {"best": best, "stale": stale, "arrays": kept}, jnp.ones_like(best), stale >= self.patience


@dataclass(frozen=True)
class ReduceOnPlateau(Monitor):
    """Multiplies the learning rate by ``factor`` whenever ``patience`` looks in a row bring no improvement."""

    factor: float = 0.5

    def __post_init__(self):
        Monitor.__post_init__(self)
        if not 0 < self.factor < 1:
            raise EdgewiseError(f"factor must lie between 0 and 1, got {self.factor}.", do="pass say factor=0.5.")

    def check(self, optimizer: Any) -> None:
        """A method that finds its own step has no learning rate to reduce."""
        if optimizer.full_batch:
            raise EdgewiseError(f"{optimizer.spec} has no learning rate to reduce.", do="leave ReduceOnPlateau out.")

    def init(self, arrays: Any) -> dict[str, Any]:
        """No best value yet."""
        return _nothing_yet(arrays)

    def look(self, state: dict[str, Any], value: Array, arrays: Any) -> tuple[dict[str, Any], Array, Array]:
        """Reduce, and begin to count anew."""
        _, best, stale = self._counted(state, value)
        reduce = stale >= self.patience
        factor = jnp.where(reduce, jnp.asarray(self.factor, best.dtype), jnp.ones_like(best))
        return {"best": best, "stale": jnp.where(reduce, 0, stale)}, factor, jnp.zeros((), bool)


@dataclass(frozen=True)
class Plateau(Monitor):
    """Ends a phase of a schedule where ``patience`` looks in a row bring no improvement."""

    def init(self, arrays: Any) -> dict[str, Any]:
        """No best value yet."""
        return {**_nothing_yet(arrays), "reached": jnp.zeros((), bool)}

    def look(self, state: dict[str, Any], value: Array, arrays: Any) -> tuple[dict[str, Any], Array, Array]:
        """Count, and say when it is over."""
        _, best, stale = self._counted(state, value)
        reached = stale >= self.patience
        return {"best": best, "stale": stale, "reached": reached}, jnp.ones_like(best), reached


def _nothing_yet(arrays: Any) -> dict[str, Any]:
    return {"best": jnp.full((), jnp.inf, jax.tree.leaves(arrays)[0].dtype), "stale": jnp.int32(0)}
