"""Networks: short compositions of layers."""

from edgewise.models.kan import KAN, count_parameters

__all__ = ["KAN", "count_parameters"]
