"""How far a model is from a reference."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from edgewise.errors import ShapeError

__all__ = ["model_eval"]


def model_eval(model: Any, coords: Any, refsol: Any) -> Array:
    """|u - reference| / |reference| over all points and outputs, a scalar; in float64, but for compiled code.

    Args:
        model: points ``[N, d]`` to u ``[N, m]``.
        coords: ``[N, d]``.
        refsol: the reference, ``[N, m]``; of one output in any shape, say that of a grid.

    Raises ``ShapeError`` for a reference that is none of these.
    """
    output = model(coords)
    if np.size(output) != np.size(refsol) or (output.shape[-1] > 1 and output.shape != np.shape(refsol)):
        raise ShapeError(
            f"the model returns {output.shape}, and refsol has shape {np.shape(refsol)}.",
            "numbers would be compared with those of other points or outputs.",
        )
    traced = isinstance(output, Tracer) or isinstance(refsol, Tracer)
    xp, dtype = (jnp, output.dtype) if traced else (np, np.float64)
    found, known = xp.asarray(output, dtype).ravel(), xp.asarray(refsol, dtype).ravel()
    return jnp.asarray(xp.linalg.norm(found - known) / xp.linalg.norm(known))
