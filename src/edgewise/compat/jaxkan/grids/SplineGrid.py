"""jaxKAN's ``SplineGrid``."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from edgewise.bases.placement import continued
from edgewise.compat.jaxkan.grids.placement import LayerGrid, moved
from edgewise.errors import check_count

__all__ = ["SplineGrid"]


class SplineGrid(LayerGrid):
    """Knots ``item`` ``[n_nodes, G + 2k + 1]`` of splines of order ``k`` on ``G`` intervals.

    ``grid_e`` is the share of even knots when they move to data, from 1 (even) to 0 (at equal ranks of the samples).
    """

    def __init__(self, n_nodes: int = 2, k: int = 3, G: int = 3, grid_range: Any = (-1, 1), grid_e: float = 0.05):
        self.n_nodes, self.k, self.G = check_count("n_nodes", n_nodes), check_count("k", k), check_count("G", G)
        self.grid_range, self.grid_e = grid_range, grid_e
        self.item = self._initialize()

    def _initialize(self) -> Any:
        points = np.linspace(float(self.grid_range[0]), float(self.grid_range[-1]), self.G + 1)
        return jnp.asarray(np.tile(continued(points[None], self.k), (self.n_nodes, 1)), jnp.float32)

    def update(self, x: Any, G_new: int) -> None:
        """Move to samples ``x`` ``[n, n_nodes]``, with ``G_new`` intervals."""
        old = np.asarray(self.item)[:, [self.k, -self.k - 1]]
        points = moved(x, old, check_count("G_new", G_new), self.grid_e)
        self.item = jnp.asarray(continued(points, self.k), jnp.float32)
        self.G = G_new
