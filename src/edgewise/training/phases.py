"""Phases of a run, and what the state of the loop becomes when the model is refined between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from edgewise.bases import Basis, from_config
from edgewise.errors import EdgewiseError
from edgewise.refine import Refine, Refined, Steps, carry_state, parse_schedule
from edgewise.refine.grids import resolution, sizes_to_extend
from edgewise.refine.layers import layers_of, reshape
from edgewise.training.loop import Program
from edgewise.training.monitors import Monitor, Plateau
from edgewise.training.packing import AsTree, AsVector

__all__ = ["Phases", "bases_of", "carried_optimizer", "grid_data", "reshape_to"]

_ROWS = 4096  # samples that a grid looks at


@dataclass
class Phases:
    """Where a run stands in its schedule.

    Attributes:
        items: all of them.
        position: how many are done; the one at this place is under way.
        end: the step at which it ends, at the latest.
    """

    items: tuple[Steps | Refine, ...]
    position: int = -1
    end: int = 0

    @classmethod
    def of(cls, schedule: Any, steps: int | None) -> Phases:
        """Of what ``fit`` was given; raises ``EdgewiseError`` where the two contradict each other."""
        items = () if schedule is None else parse_schedule(schedule)
        items = items or (() if steps is None else (Steps(steps),))
        total = sum(item.count for item in items if isinstance(item, Steps))
        if not total:
            raise EdgewiseError("there are no steps to train.", do="pass steps=1000, or a schedule with Steps(1000).")
        if steps is not None and steps != total:
            raise EdgewiseError(
                f"steps={steps}, but the phases of schedule have {total} together.",
                do="leave steps out: the schedule says how many.",
            )
        return cls(items)

    @property
    def steps(self) -> int:
        """Of all phases together."""
        return sum(item.count for item in self.items if isinstance(item, Steps))

    @property
    def now(self) -> Steps | Refine | None:
        """What is under way; None before and after all."""
        return self.items[self.position] if 0 <= self.position < len(self.items) else None

    def next(self, step: int) -> bool:
        """Go on to the next item, at this step; whether there is one."""
        self.position += 1
        if isinstance(self.now, Steps):
            self.end = step + self.now.count
        return self.now is not None

    @property
    def plateau(self) -> tuple[Monitor, ...]:
        """What ends the phase under way early."""
        patience = self.now.patience if isinstance(self.now, Steps) else None
        return () if patience is None else (Plateau(patience),)

    def to_come(self) -> int:
        """Steps of the phases after this one."""
        return sum(item.count for item in self.items[self.position + 1 :] if isinstance(item, Steps))

    @property
    def spelled(self) -> list[str]:
        """The schedule in words that ``parse_schedule`` reads; nothing for one phase."""
        plain = len(self.items) == 1 and str(self.items[0]).isdigit()
        return [] if plain else [str(item) for item in self.items]


def grid_data(data: Any, items: Sequence[Any]) -> Any:
    """The inputs among training data, for grids that follow them; None where no refinement does, or no data are."""
    if data is None or not any(isinstance(item, Refine) and item.adaptivity is not None for item in items):
        return None
    arrays = data[0] if isinstance(data, tuple | list) and data else data
    if not hasattr(arrays, "shape") or callable(data):
        raise EdgewiseError(
            "Refine(adaptivity=...) needs data in memory, (X, y).",
            "grids follow what reaches the nodes when the model gets X.",
            "pass arrays, or leave adaptivity out: grids are then refined evenly.",
        )
    if arrays is not data and len(data) == 3:  # (X, y, weight)
        arrays = np.asarray(arrays)[np.asarray(data[2]) > 0]
    return np.asarray(arrays[:: max(1, len(arrays) // _ROWS)])


def check_growth(model: Any, items: Sequence[Any]) -> None:
    """Raise ``EdgewiseError`` now where a refinement of a later phase is going to be impossible."""
    refinements = [item for item in items if isinstance(item, Refine)]
    if not refinements:
        return
    layers = layers_of(model)
    sizes = {path: resolution(layer.basis) for path, layer in layers.items()}
    for item in refinements:
        if item.size is not None:
            sizes = sizes_to_extend(layers, item.size, sizes)


def bases_of(model: Any) -> dict[str, Any]:
    """The bases of all layers by their paths, ready for JSON."""
    return {"/".join(map(str, path)): layer.basis.config for path, layer in layers_of(model).items()}


def reshape_to(model: Any, bases: Mapping[str, Any]) -> None:
    """Give a model the bases that :func:`bases_of` described, with arrays of zeros."""

    def basis(path: tuple[Any, ...]) -> Basis | None:
        config = bases.get("/".join(map(str, path)))
        return None if config is None else from_config(config)

    reshape(model, basis)


def carried_optimizer(old: Any, fresh: Any, before: Program, after: Program, refined: Refined, how: str) -> Any:
    """The optimizer's state of one program in the shapes of another.

    Methods that keep a picture of the landscape (a damping, a Hessian) start anew: new directions are not in it.
    """
    if after.optimizer.full_batch:
        return fresh
    found = carry_state(_unpacked(old, before.packing), _unpacked(fresh, after.packing), refined, how=how)
    packing = after.packing
    if isinstance(packing, AsTree):
        return found
    packed = lambda leaf, tree: packing.packed(tree) if np.shape(leaf) == _length(packing) else tree
    return jax.tree.map(packed, fresh, found)


def _unpacked(state: Any, packing: AsTree | AsVector) -> Any:
    """Vectors of parameters as trees of them."""
    if isinstance(packing, AsTree):
        return state
    unpacked = lambda leaf: packing.unpacked(np.asarray(leaf)) if np.shape(leaf) == _length(packing) else leaf
    return jax.tree.map(unpacked, state)


def _length(packing: AsVector) -> tuple[int]:
    return (sum(int(np.prod(shape, dtype=int)) for shape in packing.shapes),)
