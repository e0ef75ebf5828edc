"""jaxKAN's ``RBFGrid``."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from edgewise.compat.jaxkan.grids.placement import LayerGrid, moved
from edgewise.errors import check_count

__all__ = ["RBFGrid"]


class RBFGrid(LayerGrid):
    """Centres ``item`` ``[n_nodes, D]`` of radial functions.

    ``grid_e`` is the share of even centres when they move to data, from 1 (even) to 0 (at equal ranks of the samples).
    """

    def __init__(self, n_nodes: int = 2, D: int = 3, grid_range: Any = (-2.0, 2.0), grid_e: float = 1.0):
        self.n_nodes, self.D = check_count("n_nodes", n_nodes), check_count("D", D)
        self.grid_range, self.grid_e = grid_range, grid_e
        self.item = self._initialize()

    def _initialize(self) -> Any:
        return jnp.tile(jnp.linspace(float(self.grid_range[0]), float(self.grid_range[-1]), self.D), (self.n_nodes, 1))

    def update(self, x: Any, D_new: int) -> None:
        """Move to samples ``x`` ``[n, n_nodes]``, with ``D_new`` centres."""
        old = np.asarray(self.item)
        old = np.stack([old.min(axis=1), old.max(axis=1)], axis=1)
        self.item = jnp.asarray(moved(x, old, check_count("D_new", D_new) - 1, self.grid_e, margin=0.0), jnp.float32)
        self.D = D_new
