"""Grids that adapt and grow, other bases, and optimizer state carried across."""

from edgewise.refine.grids import Refined, RefinementWarning, adapt, change_basis, coarsen, extend
from edgewise.refine.layers import LayerChange
from edgewise.refine.optimizer_state import carry_state

__all__ = ["LayerChange", "Refined", "RefinementWarning", "adapt", "carry_state", "change_basis", "coarsen", "extend"]
