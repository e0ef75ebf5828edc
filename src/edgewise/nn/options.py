"""Options of a layer, and their place in a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
from jax import lax

from edgewise.init import config_of
from edgewise.nn.residuals import residual_name

if TYPE_CHECKING:
    from edgewise.nn.layer import KANLayer

__all__ = ["layer_config"]


def layer_config(layer: KANLayer) -> dict[str, Any]:
    """The options that ``layer`` was made with, ready for JSON."""
    return {
        "init": config_of(layer.init),
        "residual": residual_name(layer.residual),
        "bias": layer.bias is not None,
        "edge_scale": layer.edge_scale is not None,
        "dtype": _dtype_name(layer.dtype),
        "param_dtype": _dtype_name(layer.param_dtype),
        "precision": _precision_name(layer.precision),
    }


def _dtype_name(dtype: Any) -> str | None:
    return None if dtype is None else jnp.dtype(dtype).name


def _precision_name(precision: Any) -> str | None:
    if precision is None or isinstance(precision, str):
        return precision
    return precision.name.lower() if isinstance(precision, lax.Precision) else str(precision)
