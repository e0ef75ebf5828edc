"""jaxKAN's ``RBFLayer``."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from edgewise.bases import RBF
from edgewise.compat.jaxkan.fitting import fit_at
from edgewise.compat.jaxkan.grids.placement import moved
from edgewise.compat.jaxkan.grids.RBFGrid import RBFGrid
from edgewise.compat.jaxkan.translation import Layer, float_pair
from edgewise.errors import check_count, check_keywords
from edgewise.nn import KANLayer
from edgewise.nn.variables import Grid

__all__ = ["RBFLayer"]


class RBFLayer(Layer):
    """D radial functions with even centres over ``grid_range``.

    ``kernel`` is ``{"type": "gaussian", "std": 1.0}``, or has another type that :class:`edgewise.RBF` knows.
    A grid update moves the centres to the samples, mixed with even ones by ``grid_e``; the width stays.
    """

    def __init__(
        self,
        n_in: int = 2,
        n_out: int = 5,
        D: int = 5,
        kernel: dict[str, Any] | None = None,
        grid_range: Any = (-2.0, 2.0),
        grid_e: float = 1.0,
        residual: Any = None,
        external_weights: bool = False,
        init_scheme: Any = None,
        add_bias: bool = True,
        seed: Any = 42,
    ):
        self.D, self.grid_e = check_count("D", D), grid_e
        kernel = kernel or {}
        check_keywords("kernel", kernel, ("type", "std"))
        self.grid_range = float_pair(grid_range)
        basis = RBF(D, self.grid_range, kernel.get("std", 1.0), kernel.get("type", "gaussian"))
        self._translate(n_in, n_out, basis, residual, external_weights, init_scheme, add_bias, seed)

    @property
    def grid(self) -> RBFGrid:
        """The centres as ``item`` ``[n_in, D]``, with ``D`` and ``grid_e``."""
        return RBFGrid.of(self, n_nodes=self.n_in, D=self.D, grid_range=self.grid_range, grid_e=self.grid_e)

    def read_grid(self) -> Array:
        """The centres, ``[n_in, D]``."""
        return self.basis_state["centres"][...]

    def write_grid(self, item: Any) -> None:
        """Set the centres, ``[n_in, D]``, and leave the coefficients as they are."""
        self.D = np.shape(item)[-1]
        self._family = self._sized(self.D)
        for name, value in self._around(jnp.asarray(item, jnp.float32)).items():
            self.basis_state[name] = Grid(value)

    def _refine(self, layer: KANLayer, x: np.ndarray, size: int) -> None:
        centres = self.read_grid()
        old = np.stack([centres.min(axis=1), centres.max(axis=1)], axis=1)
        state = self._around(jnp.asarray(moved(x, old, size - 1, self.grid_e, margin=0.0), jnp.float32))
        fit_at(layer, self._sized(size), state, x)

    def _sized(self, size: int) -> RBF:
        return RBF(size, self._family.domain, self._family.width, self._family.kernel)

    def _around(self, centres: Array) -> dict[str, Array]:
        return {"centres": centres, "widths": jnp.full_like(centres, self._family.width)}
