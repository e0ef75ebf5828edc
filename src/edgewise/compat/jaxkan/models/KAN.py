"""jaxKAN's ``KAN``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from flax import nnx
from jax import Array

from edgewise import models
from edgewise._compilation import compiled_for_few_runs
from edgewise.compat.jaxkan.layers import get_layer
from edgewise.compat.jaxkan.translation import Layer
from edgewise.errors import EdgewiseError, check_keywords

__all__ = ["KAN"]


class KAN(nnx.Module):
    """Layers of one type, one after the other.

    Args:
        layer_dims: numbers of nodes, input and output included, at least two.
        layer_type: "base", "spline", "chebyshev", "legendre", "fourier", "rbf" or "sine".
        required_parameters: the layer's parameters, a dictionary; ``{}`` takes all defaults.
        seed: given to every layer, as jaxKAN does: layers of equal shape start equal.

    Attributes:
        layers: the layers, an ``nnx.List``.

    Raises:
        EdgewiseError: for an unknown layer type or parameter (with the nearest name), or a size below 1.
    """

    def __init__(
        self,
        layer_dims: Sequence[int],
        layer_type: str = "base",
        required_parameters: Mapping[str, Any] | None = None,
        seed: Any = 42,
    ):
        layer_class = get_layer(layer_type.lower())
        if required_parameters is None:
            raise EdgewiseError(
                "required_parameters is missing.",
                "every layer is made with them.",
                "pass a dictionary, say required_parameters={} for all defaults.",
            )
        valid = [name for name in layer_class.parameters() if name not in ("n_in", "n_out", "seed")]
        check_keywords(f"required_parameters of {layer_type!r}", required_parameters, valid)
        if len(layer_dims) < 2:
            raise EdgewiseError(
                f"layer_dims={layer_dims!r} needs at least inputs and outputs.", do="pass say [2, 6, 1]."
            )
        self.layers = nnx.List(
            layer_class(n_in=n_in, n_out=n_out, **required_parameters, seed=seed)
            for n_in, n_out in pairwise(layer_dims)
        )

    def __call__(self, x: Any) -> Array:
        """``[*batch, layer_dims[0]]`` to ``[*batch, layer_dims[-1]]``."""
        for layer in self.layers:
            x = layer(x)
        return x

    def update_grids(self, x: Any, G_new: int) -> None:
        """``update_grid`` of every layer; each sees what the updated ones before it make of ``x``.

        Args:
            x: samples, ``[*batch, layer_dims[0]]``.
            G_new: intervals of splines, degree, order or number of functions elsewhere.
        """
        for layer in self.layers:
            layer.update_grid(x, G_new)
            if layer is not self.layers[-1]:
                x = compiled_for_few_runs(Layer.__call__)(layer, x)

    def to_edgewise(self) -> models.KAN:
        """The same network, with copies of these parameters, in edgewise's own spelling."""
        layers = [layer.to_edgewise() for layer in self.layers]
        widths = [layers[0].n_in, *(layer.n_out for layer in layers)]
        model = nnx.eval_shape(lambda: models.KAN(widths, rngs=nnx.Rngs(0)))
        model.layers = nnx.List(layers)
        return model
