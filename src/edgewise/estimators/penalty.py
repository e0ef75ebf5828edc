"""What keeps an estimator's network small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax import Array

__all__ = ["Ridge"]


@dataclass(frozen=True)
class Ridge:
    """``weight`` times the sum of squares of coefficients and residual kernels; biases are free.

    A sum of squares, so that second-order methods take it.  Hoerl and Kennard, Technometrics 12 (1970) 55.
    """

    weight: float

    def __call__(self, model: Any, batch: Any) -> Array:
        """The penalty, a scalar."""
        return jnp.sum(self.residuals(model, batch) ** 2)

    def residuals(self, model: Any, batch: Any) -> Array:
        """``[m]`` whose squares sum to the penalty."""
        variables = [variable for layer in model.layers for variable in (layer.coef, layer.residual_kernel)]
        values = jnp.concatenate([jnp.ravel(variable[...]) for variable in variables if variable is not None])
        return self.weight**0.5 * values
