"""jaxKAN's ``BaseLayer`` and ``SplineLayer``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import jax.numpy as jnp
from flax import nnx

from edgewise.bases import BSpline
from edgewise.compat.jaxkan.translation import Layer, float_pair
from edgewise.errors import check_count

__all__ = ["BaseLayer", "SplineLayer"]


class SplineLayer(Layer):
    """B-splines of order ``k`` on ``G`` intervals over ``grid_range``, which fade to 0 outside it.

    ``grid_e`` is kept; only a grid update would use it.
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
        basis = BSpline(k, G, float_pair(grid_range), extrapolate="zero")
        self._translate(n_in, n_out, basis, residual, external_weights, init_scheme, add_bias, seed)

    @property
    def grid(self) -> SimpleNamespace:
        """The knots as ``item`` ``[n_in, G + 2k + 1]``, a row per edge in a base layer; ``k``, ``G``, ``grid_e``."""
        low, high = self.basis_state["ends"][:, :1], self.basis_state["ends"][:, 1:]
        knots = low + jnp.arange(-self.k, self.G + self.k + 1) / self.G * (high - low)
        item = jnp.tile(knots, (self.n_out, 1)) if self.flat else knots
        return SimpleNamespace(item=item, k=self.k, G=self.G, grid_e=self.grid_e)


class BaseLayer(SplineLayer):
    """The same with a grid per edge: all are equal until a grid update, so only ``c_basis`` differs.

    It is ``[n_out * n_in, G + k]``, the edges into the first output node first.
    """

    flat: ClassVar[bool] = True
