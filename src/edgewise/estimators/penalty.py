"""What keeps an estimator's network small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax import Array

__all__ = ["Ridge"]


@dataclass(frozen=True)
class Ridge:
    """``alpha`` / n times the sum of squares of coefficients and residual kernels; biases are free.

    n, the sum of the sample weights, is taken from the batch ``(x, y, weight)`` and so is no part of the program: data
    of other lengths find it compiled.  A penalty over n is a prior, which more samples outweigh; scikit-learn's
    perceptrons have the same.  A sum of squares, so that second-order methods take it.

    Args:
        share: of the samples that are in a batch.

    Hoerl and Kennard, Technometrics 12 (1970) 55.
    """

    alpha: float
    share: float = 1.0

    def __call__(self, model: Any, batch: Any) -> Array:
        """The penalty, a scalar."""
        return jnp.sum(self.residuals(model, batch) ** 2)

    def residuals(self, model: Any, batch: Any) -> Array:
        """``[m]`` whose squares sum to the penalty."""
        variables = [variable for layer in model.layers for variable in (layer.coef, layer.residual_kernel)]
        values = jnp.concatenate([jnp.ravel(variable[...]) for variable in variables if variable is not None])
        return jnp.sqrt(self.alpha * self.share / jnp.sum(batch[2])) * values
