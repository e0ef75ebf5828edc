"""Where knots and centres go: at equal shares of an importance, a density over the inputs of every node.

On the host, in float64: refining a grid happens between compiled programs, not in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Importance", "continued"]

_CELLS = 1024  # of the density; closer than a cell, repeated samples draw no more knots
_LEAST = 0.01  # share of the uniform density, so that no stretch is without any
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Importance:
    """How much of the importance of a node lies below a point.

    Attributes:
        points: ``[n_in, R]``, increasing: from the first to the last place for a knot.
        shares: ``[n_in, R]``, increasing from 0 to 1.
    """

    points: np.ndarray
    shares: np.ndarray

    @classmethod
    def even(cls, ends: np.ndarray) -> Importance:
        """The same everywhere between ``ends`` ``[n_in, 2]``."""
        return cls(np.asarray(ends, np.float64), np.tile([0.0, 1.0], (len(ends), 1)))

    @classmethod
    def of(cls, x: np.ndarray, weights: np.ndarray, ends: np.ndarray, adaptivity: float) -> Importance:
        """(1 - ``adaptivity``) times the uniform density between ``ends``, ``adaptivity`` times that of the samples.

        Args:
            x, weights: ``[n, n_in]``, the samples and what each of them counts.
            ends: ``[n_in, 2]``.
        """
        unit = np.linspace(0, 1, _CELLS + 1)
        points = ends[:, :1] + unit * (ends[:, 1:] - ends[:, :1])
        share = min(adaptivity, 1 - _LEAST)
        shares = np.empty_like(points)
        for node in range(len(ends)):
            counts, _ = np.histogram(x[:, node], bins=points[node], weights=weights[:, node])
            below = np.concatenate([[0.0], np.cumsum(counts)])
            shares[node] = (1 - share) * unit + share * below / below[-1] if below[-1] > 0 else unit
        return cls(points, shares / shares[:, -1:])

    @property
    def ends(self) -> np.ndarray:
        """First and last place, ``[n_in, 2]``."""
        return self.points[:, [0, -1]]

    def spread(self, count: int) -> np.ndarray:
        """``[n_in, count]``: points with equal shares between them, both ends included; one is in the middle."""
        wanted = np.linspace(0, 1, count) if count > 1 else np.array([0.5])
        pairs = zip(self.shares, self.points, strict=True)
        return np.stack([np.interp(wanted, shares, points) for shares, points in pairs])

    def between(self, points: Sequence[np.ndarray], counts: Sequence[int]) -> list[np.ndarray]:
        """For every node as many points more as ``counts`` says, in the cells between its ``points``, ends included.

        Every further one goes to the cell with the largest share a part; a cell is divided into equal shares.
        """
        rows = []
        for known, count, place, share in zip(points, counts, self.points, self.shares, strict=True):
            below = np.interp(known, place, share)
            parts = np.ones(len(known) - 1, int)
            # of equal cells, scattered ones come first, and not the leftmost
            load = np.diff(below) * (1 + 1e-9 * (np.arange(len(parts)) * _GOLDEN % 1))
            for _ in range(count):
                parts[np.argmax(load / parts)] += 1
            inner = [
                np.linspace(below[cell], below[cell + 1], parts[cell] + 1)[1:-1] for cell in np.flatnonzero(parts > 1)
            ]
            rows.append(np.interp(np.concatenate([np.empty(0), *inner]), share, place))
        return rows


def continued(points: np.ndarray, k: int) -> np.ndarray:
    """``k`` knots more on either side of ``points`` ``[n_in, G + 1]``, at their mean distance."""
    low, high = points[:, :1], points[:, -1:]
    steps = np.arange(1, k + 1) * (high - low) / (points.shape[1] - 1)
    return np.concatenate([low - steps[:, ::-1], points, high + steps], axis=1)
