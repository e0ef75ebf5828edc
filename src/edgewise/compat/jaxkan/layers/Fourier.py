"""jaxKAN's ``FourierLayer``."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp
from jax import Array

from edgewise.bases import Fourier
from edgewise.compat.jaxkan.translation import Layer
from edgewise.errors import check_count

__all__ = ["FourierLayer"]


class FourierLayer(Layer):
    """cos(k x) with ``c_cos`` and sin(k x) with ``c_sin``, ``[n_out, n_in, D]`` each, for k = 1..D."""

    coefficients: ClassVar[tuple[str, ...]] = ("c_cos", "c_sin")

    def __init__(
        self, n_in: int = 2, n_out: int = 5, D: int = 5, smooth_init: bool = True, add_bias: bool = True, seed: Any = 42
    ):
        self.D = check_count("D", D)
        self._translate(n_in, n_out, Fourier(D, smooth=bool(smooth_init)), None, False, None, add_bias, seed)

    def basis(self, x: Any) -> tuple[Array, Array]:
        """cos(k x) and sin(k x), ``[*batch, n_in, D]`` each."""
        cosines, sines = jnp.split(super().basis(x), 2, axis=-1)
        return cosines, sines
