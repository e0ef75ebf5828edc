"""Another basis for a layer, fitted as jaxKAN fits it: the edge functions stay at the samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from edgewise.bases import Basis, Refinement
from edgewise.nn import KANLayer
from edgewise.refine.grids import shrunk
from edgewise.refine.layers import replace, state_of
from edgewise.refine.projection import Points, fitted, quadrature

__all__ = ["fit_at", "shrink"]

_BETWEEN, _BEYOND = 1e-4, 1e-8  # weights of the ranges between the samples and beyond them, the samples counting 1
_SAMPLES = 2048


def fit_at(layer: KANLayer, basis: Basis, state: Mapping[str, Any], x: np.ndarray) -> None:
    """Give ``layer`` that basis and state, and the coefficients that keep its edge functions at ``x`` ``[n, n_in]``.

    Least squares at the samples.  What these leave open, few or equal ones say, is decided by the rest of the grid,
    where the functions stay as well as they then can.
    """
    dtype = layer.coef[...].dtype
    state = {name: np.asarray(value, dtype) for name, value in state.items()}
    old = (layer.basis, state_of(layer))
    new = (basis, {name: np.asarray(value, np.float64) for name, value in state.items()})
    around = quadrature(old, new, layer.n_in, None, moved=True)
    within = (around.x >= x.min(axis=0)) & (around.x <= x.max(axis=0))
    if len(x) > _SAMPLES:
        x = np.quantile(x, np.linspace(0, 1, _SAMPLES), axis=0)
    points = np.concatenate([around.x, np.asarray(x, np.float64)])
    weights = np.concatenate([around.weights * np.where(within, _BETWEEN, _BEYOND), np.full(x.shape, 1 / len(x))])
    lift = fitted(old, new, Points(points, weights), dtype).lift
    replace(layer, Refinement(basis, state, lift), (), None)


def shrink(layer: KANLayer, size: int, x: np.ndarray) -> None:
    """A smaller member of the layer's family without a grid: its first modes, fitted at ``x``."""
    smaller = shrunk(layer, size, jax.random.key(0))
    fit_at(layer, smaller.basis, smaller.state, x)
