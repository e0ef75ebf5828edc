"""Layers by jaxKAN's names."""

from __future__ import annotations

from edgewise.compat.jaxkan.layers.Chebyshev import ChebyshevLayer
from edgewise.compat.jaxkan.layers.Fourier import FourierLayer
from edgewise.compat.jaxkan.layers.Legendre import LegendreLayer
from edgewise.compat.jaxkan.layers.RBF import RBFLayer
from edgewise.compat.jaxkan.layers.Sine import SineLayer
from edgewise.compat.jaxkan.layers.Spline import BaseLayer, SplineLayer
from edgewise.compat.jaxkan.translation import Layer
from edgewise.errors import check_choice

__all__ = [
    "BaseLayer",
    "ChebyshevLayer",
    "FourierLayer",
    "LegendreLayer",
    "RBFLayer",
    "SineLayer",
    "SplineLayer",
    "get_layer",
]

_LAYERS: dict[str, type[Layer]] = {
    "base": BaseLayer,
    "spline": SplineLayer,
    "chebyshev": ChebyshevLayer,
    "legendre": LegendreLayer,
    "fourier": FourierLayer,
    "rbf": RBFLayer,
    "sine": SineLayer,
}


def get_layer(layer_type: str) -> type[Layer]:
    """The class of the layers called ``layer_type``; raises ``UnknownNameError`` for an unknown name."""
    check_choice("layer type", layer_type, _LAYERS)
    return _LAYERS[layer_type]
