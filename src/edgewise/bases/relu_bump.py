"""Bumps made of rectified linear units."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from jax import Array

from edgewise._numerics import floats, positive_part
from edgewise.bases.base import Pointwise, Refinement
from edgewise.bases.squash import check_domain
from edgewise.errors import check_count

__all__ = ["ReLUBump"]


@dataclass(frozen=True)
class ReLUBump(Pointwise):
    """(relu(end_m - x) relu(x - start_m) 4 / width^2)^order: bumps of height 1, 0 outside (start_m, end_m).

    Args:
        degree: k, how many cells more than one a bump covers.
        intervals: G, the number of cells of the domain; the family has G + k modes.
        domain: interval of the inputs.
        order: 2 for ReLU-KAN, higher for its smoother higher-order form.

    State, per input node, ``[n_in, G + k]``: ``start`` and ``end``, trained, and ``width``, the initial (k + 1) cells.
    Qiu et al., ReLU-KAN, arXiv 2406.02075; So and Yung, higher-order-ReLU-KAN, arXiv 2409.14248.
    """

    trained: ClassVar[tuple[str, ...]] = ("start", "end")
    resolution: ClassVar[str] = "intervals"

    degree: int = 3
    intervals: int = 5
    domain: tuple[float, float] = (-1.0, 1.0)
    order: int = 2

    def __post_init__(self):
        check_count("ReLUBump: degree", self.degree)
        check_count("ReLUBump: intervals", self.intervals)
        check_count("ReLUBump: order", self.order)
        check_domain("ReLUBump", self.domain)

    @property
    def size(self) -> int:
        return self.intervals + self.degree

    @property
    def _cell(self) -> float:
        return (self.domain[1] - self.domain[0]) / self.intervals

    def _starts(self) -> np.ndarray:
        return self.domain[0] + self._cell * np.arange(-self.degree, self.intervals)

    def init(self, n_in, *, key):
        return self._bumps(self._starts(), n_in)

    def _bumps(self, starts: np.ndarray, n_in: int) -> dict[str, Array]:
        start, width = np.tile(starts, (n_in, 1)), (self.degree + 1) * self._cell
        state = {"start": start, "end": start + width, "width": np.full_like(start, width)}
        return {name: floats(value) for name, value in state.items()}

    def extended(self, state, size, *, n_in, key, importance=None):
        # those that have been trained stay; of the finer ones, as many as are missing, from one end to the other
        finer = replace(self, intervals=size)
        chosen = np.linspace(0, finer.size - 1, finer.size - self.size + 2)[1:-1].round().astype(int)
        added = finer._bumps(finer._starts()[chosen], n_in)
        joined = {name: np.concatenate([state[name], added[name]], axis=1) for name in added}
        return Refinement(finer, joined, np.eye(finer.size, self.size))

    def cells(self, state, n_in):
        return np.tile(np.linspace(*self.domain, self.intervals + 1), (n_in, 1))

    def parameters(self, state):
        return state["start"].T, state["end"].T, 2 / state["width"].T

    def mode(self, x, start, end, scale):
        return (positive_part((end - x) * scale) * positive_part((x - start) * scale)) ** self.order

    def breakpoints(self):
        cells = np.arange(-self.degree, self.intervals + self.degree + 1)  # starts and ends alike
        return self.domain[0] + self._cell * cells
