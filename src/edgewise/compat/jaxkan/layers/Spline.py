"""jaxKAN's ``BaseLayer`` and ``SplineLayer``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from edgewise.bases import BSpline
from edgewise.bases.placement import continued
from edgewise.compat.jaxkan.fitting import fit_at
from edgewise.compat.jaxkan.grids.BaseGrid import BaseGrid
from edgewise.compat.jaxkan.grids.placement import moved
from edgewise.compat.jaxkan.grids.SplineGrid import SplineGrid
from edgewise.compat.jaxkan.translation import Layer, float_pair
from edgewise.errors import ShapeError, check_count
from edgewise.nn import KANLayer
from edgewise.nn.variables import Grid

__all__ = ["BaseLayer", "SplineLayer"]


class SplineLayer(Layer):
    """B-splines of order ``k`` on ``G`` intervals over ``grid_range``, which fade to 0 outside it.

    A grid update moves the knots to the samples, mixed with even ones by ``grid_e``.
    """

    external: ClassVar[str] = "c_spl"

    def __init__(
        self,
        n_in: int = 2,
        n_out: int = 5,
        k: int = 3,
        G: int = 3,
        grid_range: Any = (-1, 1),
        grid_e: float = 0.05,
        residual: Any = nnx.silu,
        external_weights: bool = True,
        init_scheme: Any = None,
        add_bias: bool = True,
        seed: Any = 42,
    ):
        self.k, self.G, self.grid_e = check_count("k", k), check_count("G", G), grid_e
        self.grid_range = float_pair(grid_range)
        basis = BSpline(k, G, self.grid_range, extrapolate="zero")
        self._translate(n_in, n_out, basis, residual, external_weights, init_scheme, add_bias, seed)

    def update_grid(self, x: Any, G_new: int) -> None:
        """Move the grid to ``x``, with ``G_new`` intervals, and fit the coefficients anew: the functions stay at x.

        Where samples are few, the functions also stay between them, as far as the new grid allows.

        Args:
            x: samples, ``[*batch, n_in]``.
            G_new: the new G; it may be smaller.

        Raises:
            EdgewiseError: for ``G_new`` below 1, x of a wrong shape or not finite.

        Warns:
            RefinementWarning: where the samples do not determine a grid (see ``grids.placement.moved``).
        """
        self._update(x, "G", check_count("G_new", G_new))

    def _refine(self, layer: KANLayer, x: np.ndarray, size: int) -> None:
        points = moved(x, self._knots()[:, [self.k, -self.k - 1]], size, self.grid_e)
        basis = replace(self._family, intervals=size, knots="free")
        fit_at(layer, basis, {"knots": continued(points, self.k)}, x)

    @property
    def grid(self) -> SplineGrid | BaseGrid:
        """The knots as ``item`` ``[n_in, G + 2k + 1]``, a row per edge in a base layer; ``k``, ``G``, ``grid_e``."""
        own = {"k": self.k, "G": self.G, "grid_range": self.grid_range, "grid_e": self.grid_e}
        return SplineGrid.of(self, n_nodes=self.n_in, **own)

    def read_grid(self) -> Array:
        """The knots, ``[n_in, G + 2k + 1]``; a row per edge in a base layer."""
        return self._knots()

    def write_grid(self, item: Any) -> None:
        """Set the knots, in the shape of :meth:`read_grid`, and leave the coefficients as they are."""
        knots = jnp.asarray(item, jnp.float32)
        self.G = knots.shape[-1] - 2 * self.k - 1
        self._family = replace(self._family, intervals=self.G, knots="free")
        self.basis_state = nnx.Dict(knots=Grid(knots))

    def _knots(self) -> Array:
        if self._family.knots == "free":
            return self.basis_state["knots"][...]
        low, high = self.basis_state["ends"][:, :1], self.basis_state["ends"][:, 1:]
        return low + jnp.arange(-self.k, self.G + self.k + 1) / self.G * (high - low)


class BaseLayer(SplineLayer):
    """The same with a row of the grid per edge; the edges of an input node have equal rows, so ``c_basis`` differs.

    It is ``[n_out * n_in, G + k]``, the edges into the first output node first.
    """

    flat: ClassVar[bool] = True

    @property
    def grid(self) -> BaseGrid:
        """The knots as ``item`` ``[n_out * n_in, G + 2k + 1]``; ``k``, ``G``, ``grid_e``."""
        own = {"k": self.k, "G": self.G, "grid_range": self.grid_range, "grid_e": self.grid_e}
        return BaseGrid.of(self, n_in=self.n_in, n_out=self.n_out, **own)

    def read_grid(self) -> Array:
        return jnp.tile(self._knots(), (self.n_out, 1))

    def write_grid(self, item: Any) -> None:
        rows = np.asarray(item).reshape(self.n_out, self.n_in, -1)
        if np.ptp(rows, axis=0).max() > 0:
            raise ShapeError(
                "the edges of an input node have different knots.",
                "they see the same samples, and here they share one row.",
                "give equal rows, numpy.tile(knots, (n_out, 1)) with knots [n_in, G + 2k + 1].",
            )
        super().write_grid(rows[0])

    def basis(self, x: Any) -> Array:
        """The splines as jaxKAN's base layer has them: ``[n, n_in]`` to ``[n_out * n_in, G + k, n]``."""
        return jnp.tile(jnp.transpose(super().basis(x), (1, 2, 0)), (self.n_out, 1, 1))
