"""One function around every centre: what the radial families share."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jax import Array

from edgewise._numerics import floats
from edgewise.bases.base import Pointwise, Refinement, Wrapped
from edgewise.bases.placement import Importance
from edgewise.bases.squash import check_domain
from edgewise.errors import check_count, check_positive

__all__ = ["Radial", "SharedCentres", "even_points", "spacing"]


def even_points(size: int, domain: tuple[float, float]) -> np.ndarray:
    """``size`` evenly spaced points, ends included, or the middle: float64 ``[size]``."""
    return np.linspace(*domain, size) if size > 1 else np.array([sum(domain) / 2])


def spacing(size: int, domain: tuple[float, float]) -> float:
    """The distance between neighbours among ``size`` even centres."""
    return (domain[1] - domain[0]) / max(size - 1, 1)


@dataclass(frozen=True)
class Radial(Pointwise):
    """phi((x - centre_m) / width_m); a family names phi.

    State, per input node: ``centres`` and ``widths``, ``[n_in, size]``.  Moved centres take widths in proportion to the
    distances between them, so that they overlap as much as at the start.
    """

    size: int = 8
    domain: tuple[float, float] = (-2.0, 2.0)
    width: float | None = None

    def __post_init__(self):
        name = type(self).__name__
        check_count(f"{name}: size", self.size)
        check_domain(name, self.domain)
        if self.width is not None:
            check_positive(f"{name}: width", self.width)

    def init(self, n_in, *, key):
        return self._around(np.tile(even_points(self.size, self.domain), (n_in, 1)))

    def parameters(self, state):
        return state["centres"].T, 1 / state["widths"].T

    def resized(self, size):
        narrower = spacing(size, self.domain) / spacing(self.size, self.domain)
        return dataclasses.replace(self, size=size, width=self.width and self.width * narrower)

    def extended(self, state, size, *, n_in, key, importance=None):
        # those that are there stay, wide as they are; narrower ones come in between, as in a sparse grid
        if importance is None:
            importance = Importance.even(self.cells(state, n_in)[:, [0, -1]])
        known = np.asarray(state["centres"], np.float64)
        low, high = importance.ends.T[:, :, None]
        marks = np.sort(np.concatenate([np.minimum(low, known), known, np.maximum(high, known)], axis=1), axis=1)
        added = np.stack(importance.between(list(marks), [size - self.size] * n_in))
        centres = np.concatenate([known, added], axis=1)
        order = np.argsort(centres, axis=1)
        sorted_ = lambda values: np.take_along_axis(values, order, axis=1)
        old = sorted_(np.concatenate([state["widths"], np.zeros_like(added)], axis=1))
        centres = sorted_(centres)
        widths = np.where(old > 0, old, self._widths(centres))
        lift = np.eye(size, self.size)[order]
        return Refinement(self.resized(size), {"centres": centres, "widths": widths}, lift)

    def adapted(self, state, importance):
        return Refinement(self, self._around(importance.spread(self.size)))

    def cells(self, state, n_in):
        centres = np.sort(np.asarray(state["centres"], np.float64), axis=1)
        return centres if self.size > 1 else super().cells(state, n_in)

    def _around(self, centres: np.ndarray) -> dict[str, Array]:
        """The state with these ``centres`` ``[n_in, size]``, in increasing order."""
        return {"centres": floats(centres), "widths": floats(self._widths(centres))}

    def _widths(self, centres: np.ndarray) -> np.ndarray:
        """In proportion to the distances between increasing centres ``[n_in, K]``."""
        even = spacing(self.size, self.domain)
        gaps = np.diff(centres, axis=1) if centres.shape[1] > 1 else np.full((len(centres), 1), even)
        left, right = np.append(gaps[:, :1], gaps, axis=1), np.append(gaps, gaps[:, -1:], axis=1)
        return (left + right)[:, : centres.shape[1]] / 2 * ((self.width or even) / even)


@dataclass(frozen=True)
class SharedCentres(Wrapped):
    """Radial functions whose centres are trained, the same ones for all input nodes: the outer block of KKAN.

    Args:
        basis: where the centres are at the start, and how wide the functions stay.

    State: ``centres``, trained, and ``widths``, ``[1, M]``.
    """

    trained: ClassVar[tuple[str, ...]] = ("centres",)

    basis: Radial

    def init(self, n_in, *, key):
        return self.basis.init(1, key=key)

    def modes(self, x, state):
        return self.basis.modes(x, state)

    def cells(self, state, n_in):
        return np.tile(self.basis.cells(state, 1), (n_in, 1))

    def extended(self, state, size, *, n_in, key, importance=None):
        finer = self.basis.extended(state, size, n_in=1, key=key)
        lift = None if finer.exact is None else finer.exact.reshape(size, self.size)
        return Refinement(self.resized(size), finer.state, lift)
