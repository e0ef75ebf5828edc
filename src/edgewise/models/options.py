"""Options that every layer of a model shares, and their place in its configuration."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp
from jax import lax

from edgewise.bases import Basis
from edgewise.errors import EdgewiseError
from edgewise.init import config_of
from edgewise.nn import KANLayer
from edgewise.nn.residuals import residual_name

__all__ = ["LAYER_OPTIONS", "dtype_name", "layer_config", "shared_basis"]

LAYER_OPTIONS = tuple(
    name
    for name in inspect.signature(KANLayer.__init__).parameters
    if name not in ("self", "n_in", "n_out", "basis", "rngs")
)
"""Keywords of a KANLayer that a model passes on."""


def layer_config(layer: KANLayer) -> dict[str, Any]:
    """The options that ``layer`` was made with, ready for JSON."""
    return {
        "init": config_of(layer.init),
        "residual": residual_name(layer.residual),
        "bias": layer.bias is not None,
        "edge_scale": layer.edge_scale is not None,
        "dtype": dtype_name(layer.dtype),
        "param_dtype": dtype_name(layer.param_dtype),
        "precision": _precision_name(layer.precision),
    }


def shared_basis(layers: Iterable[KANLayer]) -> Basis:
    """The basis of all ``layers``; raises ``EdgewiseError`` where they have come to differ."""
    bases = list(dict.fromkeys(layer.basis for layer in layers))
    if len(bases) > 1:
        raise EdgewiseError(
            f"the layers of one kind have different bases: {', '.join(map(str, bases))}.",
            "the configuration of this architecture names one for all of them.",
            "give all of them one basis, or save the state: Checkpoint(path).save(nnx.state(model), {}).",
        )
    return bases[0]


def dtype_name(dtype: Any) -> str | None:
    """The name of a dtype, None for None."""
    return None if dtype is None else jnp.dtype(dtype).name


def _precision_name(precision: Any) -> str | None:
    if precision is None or isinstance(precision, str):
        return precision
    return precision.name.lower() if isinstance(precision, lax.Precision) else str(precision)
