"""Where jaxKAN puts knots and centres, and an ``item`` that is a layer's or a grid's own."""

from __future__ import annotations

import warnings
from typing import Any

import jax.numpy as jnp
import numpy as np

from edgewise.errors import DataError, ShapeError
from edgewise.refine import RefinementWarning

__all__ = ["LayerGrid", "moved"]

_ROUNDING = 8 * float(np.finfo(np.float32).eps)  # closer than this, relative to where they are, points coincide
_CONSTANT = 1e-6
_MARGIN = 0.01


class LayerGrid:
    """A grid with an array ``item`` of its own, or the view of a layer's, which it then reads and sets."""

    _layer: Any = None

    @classmethod
    def of(cls, layer: Any, **attributes: Any):
        """The grid of ``layer``, of which ``read_grid`` and ``write_grid`` know the array."""
        grid = cls.__new__(cls)
        vars(grid).update(attributes, _layer=layer)
        return grid

    @property
    def item(self) -> Any:
        """The array of knots or centres."""
        return self._item if self._layer is None else self._layer.read_grid()

    @item.setter
    def item(self, value: Any) -> None:
        if self._layer is None:
            self._item = jnp.asarray(value)
        else:
            self._layer.write_grid(value)


def moved(x: Any, old: Any, parts: int, grid_e: float, margin: float = _MARGIN) -> np.ndarray:
    """``parts`` + 1 increasing points for every input node, ``[n_in, parts + 1]``, where jaxKAN puts them.

    They are ``grid_e`` times even points from the least to the largest sample, ``margin`` beyond both, plus
    (1 - ``grid_e``) times samples at equal ranks.  Where samples are all equal, or points would coincide, jaxKAN's
    coefficients are NaN: there, even points cover the old range and the samples.

    Args:
        x: samples, ``[n, n_in]``.
        old: ends of the old grid, ``[n_in, 2]``.

    Warns:
        RefinementWarning: for such nodes.
    """
    x, old = np.asarray(x, np.float64), np.asarray(old, np.float64)
    if x.ndim != 2 or x.shape[1] != len(old) or len(x) == 0:
        raise ShapeError(f"x has shape {x.shape}, expected (samples, {len(old)}).")
    if not np.isfinite(x).all():
        raise DataError("x has values that are not finite.", "a grid cannot follow them.", "remove such rows.")
    ordered = np.sort(x, axis=0)
    low, high = ordered[0], ordered[-1]
    count = max(parts, 1)
    even = low - margin + np.arange(parts + 1)[:, None] * ((high - low + 2 * margin) / count)
    # in float32 as there: which sample a rank names depends on its rounding
    ranks = np.floor(np.float32(len(x) / count) * np.arange(parts, dtype=np.float32)).astype(int)
    points = (grid_e * even + (1 - grid_e) * ordered[[*ranks, -1]]).T
    size = np.maximum(np.abs(low), np.abs(high))
    gaps = np.diff(points, axis=1).min(axis=1, initial=np.inf)
    lost = (high - low <= _CONSTANT * size) | (gaps <= _ROUNDING * size)
    if parts == 0:
        return (low + high)[:, None] / 2
    if lost.any():
        numbers = ", ".join(map(str, np.flatnonzero(lost)))
        warnings.warn(
            f"the samples of input {numbers} are constant, or too often equal to place {parts + 1} points: "
            "the grid there is even, over its old range and the samples.",
            RefinementWarning,
            stacklevel=3,
        )
    beyond = np.maximum(margin, 1e-3 * size)
    ends = np.minimum(old[:, 0], low - beyond), np.maximum(old[:, 1], high + beyond)
    return np.where(lost[:, None], np.linspace(*ends, parts + 1, axis=1), points)
