"""jaxKAN's ``BaseGrid``."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from edgewise.compat.jaxkan.grids.placement import LayerGrid
from edgewise.compat.jaxkan.grids.SplineGrid import SplineGrid
from edgewise.errors import check_count

__all__ = ["BaseGrid"]


class BaseGrid(LayerGrid):
    """Knots ``item`` ``[n_out * n_in, G + 2k + 1]``, a row per edge, those into the first output node first.

    The edges of an input node see the same samples, so their rows are equal.
    """

    def __init__(
        self,
        n_in: int = 2,
        n_out: int = 5,
        k: int = 3,
        G: int = 3,
        grid_range: Any = (-1, 1),
        grid_e: float = 0.05,
    ):
        self.n_in, self.n_out, self.k, self.G = n_in, check_count("n_out", n_out), k, G
        self.grid_range, self.grid_e = grid_range, grid_e
        self.item = self._initialize()

    def _initialize(self) -> Any:
        return jnp.tile(SplineGrid(self.n_in, self.k, self.G, self.grid_range).item, (self.n_out, 1))

    def update(self, x: Any, G_new: int) -> None:
        """Move to samples ``x`` ``[n, n_in]``, with ``G_new`` intervals."""
        nodes = SplineGrid(self.n_in, self.k, self.G, self.grid_range, self.grid_e)
        nodes.item = np.asarray(self.item)[: self.n_in]
        nodes.update(x, G_new)
        self.item = jnp.tile(nodes.item, (self.n_out, 1))
        self.G = G_new
