"""Layers."""

from edgewise.nn.convolution import KANConv1D, KANConv2D
from edgewise.nn.embeddings import FourierFeatures, PeriodicEmbedding
from edgewise.nn.layer import KANLayer, count_parameters
from edgewise.nn.residuals import RESIDUALS
from edgewise.nn.variables import Grid

__all__ = [
    "RESIDUALS",
    "FourierFeatures",
    "Grid",
    "KANConv1D",
    "KANConv2D",
    "KANLayer",
    "PeriodicEmbedding",
    "count_parameters",
]
