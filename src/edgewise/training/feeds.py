"""How a step of the compiled loop gets its batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import NamedSharding, PartitionSpec

__all__ = ["Feed", "Full", "Shuffled", "Window"]


@runtime_checkable
class Feed(Protocol):
    """Batches inside the compiled loop, a function of the step alone, so that a resumed run sees the same ones."""

    def begin(self, data: Any, start: Array) -> Any:
        """What is carried from step to step of a chunk that begins at ``start``."""
        ...

    def batch(self, data: Any, carried: Any, step: Array) -> tuple[Any, Any]:
        """The batch of ``step`` and what is carried on."""
        ...


@dataclass(frozen=True)
class Full:
    """The whole data at every step."""

    def begin(self, data: Any, start: Array) -> Any:
        """Nothing."""
        return ()

    def batch(self, data: Any, carried: Any, step: Array) -> tuple[Any, Any]:
        """All of it."""
        return data["arrays"], carried


@dataclass(frozen=True)
class Shuffled:
    """Mini-batches of data on the device, in a new order every epoch; the rest that fills no batch waits its turn.

    The order is a function of the seed and the epoch.  ``sharding`` splits a batch over devices.
    """

    samples: int
    size: int
    sharding: NamedSharding | None = None

    def begin(self, data: Any, start: Array) -> Any:
        """The order of the epoch."""
        return self._order(data, start // self._per_epoch)

    def batch(self, data: Any, carried: Any, step: Array) -> tuple[Any, Any]:
        """``size`` rows, without repetition within an epoch."""
        epoch, position = step // self._per_epoch, step % self._per_epoch
        order = jax.lax.cond(position == 0, lambda: self._order(data, epoch), lambda: carried)
        rows = jax.lax.dynamic_slice(order, (position * self.size,), (self.size,))
        batch = jax.tree.map(lambda leaf: leaf.at[rows].get(mode="promise_in_bounds"), data["arrays"])
        if self.sharding is not None:
            batch = jax.lax.with_sharding_constraint(batch, self.sharding)
        return batch, order

    @property
    def _per_epoch(self) -> int:
        return self.samples // self.size

    def _order(self, data: Any, epoch: Array) -> Array:
        key = jax.random.fold_in(jax.random.key(data["seed"]), epoch)
        # equal random numbers are rare and change nothing that matters
        return jnp.argsort(jax.random.bits(key, (self.samples,), jnp.uint32)).astype(jnp.int32)


@dataclass(frozen=True)
class Window:
    """Consecutive batches ``[count, size, ...]`` of data that are larger than memory; ``start`` is the first's step."""

    def begin(self, data: Any, start: Array) -> Any:
        """Nothing."""
        return ()

    def batch(self, data: Any, carried: Any, step: Array) -> tuple[Any, Any]:
        """The batch at its place in the window."""
        index = step - data["start"]
        take = lambda leaf: jax.lax.dynamic_index_in_dim(leaf, index, keepdims=False)
        return jax.tree.map(take, data["arrays"]), carried


def rows_over(mesh: Any) -> NamedSharding:
    """Rows split over the first axis of a mesh."""
    return NamedSharding(mesh, PartitionSpec(mesh.axis_names[0]))
