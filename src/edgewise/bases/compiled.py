"""What a family tells the compiled kernels of ``edgewise.nn.kernels``, where these know it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

__all__ = ["Compiled", "Rate"]


class Rate(NamedTuple):
    """A part of the rate of change of every mode: ``point`` B_m^(order) ``mode``.

    ``point`` is of the points, ``[*, batch, n_in]``, and ``mode`` of modes and nodes, ``[*, M, n_in]``; None for 1.
    """

    order: int
    point: Array | None = None
    mode: Array | None = None


class Compiled(ABC):
    """Mixed into a family for which ``layer.cc`` has a function.

    Arrays may have leading axes of models before those that are named here.
    """

    @property
    @abstractmethod
    def compiled_as(self) -> str | None:
        """The name of the function; None where this member of the family, or a subclass of it, needs another."""

    @abstractmethod
    def compiled_constants(self, order: int) -> np.ndarray:
        """What the function needs for derivatives of this order: ``[any]``, in the order that it reads them."""

    def compiled_table(self, state) -> Array:
        """What it needs of the state: ``[n_in, any]``."""
        return jnp.zeros((1, 0), jnp.float32)

    @abstractmethod
    def compiled_rates(self, order: int, x: Array, dx: Array | None, table: Array, dtable: Array | None) -> list[Rate]:
        """The rate of change of the modes' derivatives of this order, as points and table change by ``dx``, ``dtable``.

        None is no change.
        """
