"""Networks: short compositions of layers."""

from edgewise.models.actnet import ActLayer, ActNet
from edgewise.models.compositions import Chain, Transformed
from edgewise.models.convolutional import ConvKAN
from edgewise.models.deeponet import DeepONet
from edgewise.models.group_rational import GroupRational, GroupRationalKAN
from edgewise.models.kan import KAN, count_parameters
from edgewise.models.kkan import KKAN
from edgewise.models.rga import RGAKAN
from edgewise.models.separable import SeparableKAN

__all__ = [
    "KAN",
    "KKAN",
    "RGAKAN",
    "ActLayer",
    "ActNet",
    "Chain",
    "ConvKAN",
    "DeepONet",
    "GroupRational",
    "GroupRationalKAN",
    "SeparableKAN",
    "Transformed",
    "count_parameters",
]
