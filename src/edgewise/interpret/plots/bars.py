"""Scores as bars, with how sure they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgewise.errors import check_choice
from edgewise.interpret.plots.canvas import FRAME, INK, NUMERIC, figure_with_axes, plain_axes
from edgewise.interpret.scoring import Scores

__all__ = ["LEVELS", "plot_scores"]

LEVELS = ("inputs", "nodes", "edges")
_MOST = 40  # bars


def plot_scores(scores: Scores, *, level: str = "inputs", ax: Any = None) -> Any:
    """Draw scores as horizontal bars, the highest on top, each with the interval of 95 % of its bootstrap samples.

    Of more than 40 the highest are drawn.  Edges that were pruned, whose score is 0, are left out.

    Args:
        scores: of :func:`~edgewise.interpret.scores`.
        level: "inputs", "nodes" (hidden ones; "1.0" is node 0 of level 1), or "edges".
        ax: Matplotlib axes to draw on; by default those of a new figure.

    Returns:
        What was drawn on: ``ax``, or the new ``Figure``, which pyplot does not know: nothing is shown.

    Raises:
        EdgewiseError: for an unknown level.
        MissingExtraError: without Matplotlib.

    >>> plot_scores(scores(model, X), level="edges").savefig("edges.svg")
    """
    check_choice("level", level, LEVELS)
    names, values, intervals = _rows(scores, level)
    order = np.argsort(-values, kind="stable")[:_MOST]
    names, values, intervals = [names[place] for place in order], values[order], intervals[:, order]
    figure, axes = figure_with_axes(5.2, 0.9 + 0.24 * max(len(names), 2), ax)
    plain_axes(axes)
    places = np.arange(len(names))
    # a bootstrap interval need not hold the value itself
    errors = np.maximum([values - intervals[0], intervals[1] - values], 0)
    axes.barh(places, values, height=0.62, color=NUMERIC, alpha=0.75, linewidth=0)
    axes.errorbar(values, places, xerr=errors, fmt="none", ecolor=INK, elinewidth=1, capsize=2.5)
    axes.set_yticks(places, names, parse_math=False)
    axes.set_ylim(max(len(names), 1) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=FRAME, alpha=0.6, linewidth=0.6)
    axes.set_xlabel(f"{scores.kind} of the {level}")
    axes.xaxis.label.set_color(INK)
    return figure


def _rows(scores: Scores, level: str) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names, values ``[k]`` and intervals ``[2, k]``."""
    if level == "inputs":
        return list(scores.features), scores.inputs, scores.input_intervals
    if level == "nodes":
        hidden = list(zip(scores.nodes, scores.node_intervals, strict=True))[1:-1]
        names = [f"{place}.{index}" for place, (values, _) in enumerate(hidden, 1) for index in range(len(values))]
        values, intervals = [values for values, _ in hidden], [spans for _, spans in hidden]
    else:
        names, values, intervals = [], [], []
        for layer, (edges, spans) in enumerate(zip(scores.edges, scores.edge_intervals, strict=True)):
            i, j = np.nonzero(edges)
            names += [f"({layer}, {a}, {b})" for a, b in zip(i, j, strict=True)]
            values.append(edges[i, j])
            intervals.append(spans[:, i, j])
    return names, np.concatenate([np.zeros(0), *values]), np.concatenate([np.zeros((2, 0)), *intervals], axis=1)
