"""jaxKAN's ``RBFLayer``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from edgewise.bases import RBF
from edgewise.compat.jaxkan.translation import Layer, float_pair
from edgewise.errors import check_count, check_keywords

__all__ = ["RBFLayer"]


class RBFLayer(Layer):
    """D radial functions with even centres over ``grid_range``.

    ``kernel`` is ``{"type": "gaussian", "std": 1.0}``, or has another type that :class:`edgewise.RBF` knows.
    ``grid_e`` is kept; only a grid update would use it.
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
        basis = RBF(D, float_pair(grid_range), kernel.get("std", 1.0), kernel.get("type", "gaussian"))
        self._translate(n_in, n_out, basis, residual, external_weights, init_scheme, add_bias, seed)

    @property
    def grid(self) -> SimpleNamespace:
        """The centres as ``item`` ``[n_in, D]``, with ``D`` and ``grid_e``."""
        return SimpleNamespace(item=self.basis_state["centres"][...], D=self.D, grid_e=self.grid_e)
