"""Layers."""

from edgewise.nn.layer import KANLayer
from edgewise.nn.residuals import RESIDUALS
from edgewise.nn.variables import Grid

__all__ = ["RESIDUALS", "Grid", "KANLayer"]
