"""Kernels for layers on a CPU, compiled on request."""

from edgewise.nn.kernels.library import Built, available, build, remove
from edgewise.nn.kernels.swish import Swish
from edgewise.nn.kernels.trilinear import layer_sum

__all__ = ["Built", "Swish", "available", "build", "layer_sum", "remove"]
