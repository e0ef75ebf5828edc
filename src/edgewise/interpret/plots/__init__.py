"""Pictures of networks, their edges and their scores."""

from __future__ import annotations

from edgewise.interpret.plots.bars import plot_scores
from edgewise.interpret.plots.edge import plot_edge
from edgewise.interpret.plots.network import plot

__all__ = ["plot", "plot_edge", "plot_scores"]
