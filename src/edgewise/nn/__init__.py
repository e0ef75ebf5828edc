"""Layers."""

from edgewise.nn.layer import KANLayer, count_parameters
from edgewise.nn.residuals import RESIDUALS
from edgewise.nn.variables import Grid

__all__ = ["RESIDUALS", "Grid", "KANLayer", "count_parameters"]
