"""Grids that adapt and grow, other bases, and optimizer state carried across."""

from edgewise.refine.grids import Refined, RefinementWarning, adapt, change_basis, coarsen, extend
from edgewise.refine.layers import LayerChange
from edgewise.refine.optimizer_state import carry_state
from edgewise.refine.schedule import Refine, Steps, parse_schedule

__all__ = [
    "LayerChange",
    "Refine",
    "Refined",
    "RefinementWarning",
    "Steps",
    "adapt",
    "carry_state",
    "change_basis",
    "coarsen",
    "extend",
    "parse_schedule",
]
