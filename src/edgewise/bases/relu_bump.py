"""Bumps made of rectified linear units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
import numpy as np

from edgewise._numerics import positive_part
from edgewise.bases.base import Pointwise
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

    State, trained, per input node: ``start`` and ``end``, ``[n_in, G + k]``; width is the initial (k + 1) cells.
    Qiu et al., ReLU-KAN, arXiv 2406.02075; So and Yung, higher-order-ReLU-KAN, arXiv 2409.14248.
    """

    trained: ClassVar[tuple[str, ...]] = ("start", "end")

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
        start = np.tile(self._starts(), (n_in, 1))
        width = (self.degree + 1) * self._cell
        return {"start": jnp.asarray(start, float), "end": jnp.asarray(start + width, float)}

    def parameters(self, state):
        return state["start"].T, state["end"].T

    def mode(self, x, start, end):
        scale = 2 / ((self.degree + 1) * self._cell)
        return (positive_part((end - x) * scale) * positive_part((x - start) * scale)) ** self.order

    def breakpoints(self):
        cells = np.arange(-self.degree, self.intervals + self.degree + 1)  # starts and ends alike
        return self.domain[0] + self._cell * cells
