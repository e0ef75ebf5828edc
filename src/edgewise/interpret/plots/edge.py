"""The picture of one edge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgewise.interpret.diagram import Diagram, DiagramEdge, form_label
from edgewise.interpret.observing import checked_kan, edge_at
from edgewise.interpret.plots.canvas import FAINT, INK, NUMERIC, SYMBOLIC, figure_with_axes, number, plain_axes

__all__ = ["plot_edge"]

_SHADE = "#e9ecef"
_POINTS = 400
_STRIP = 0.16  # of the height, for the density


def plot_edge(model: Any, data: Any, edge: Any, *, features: Sequence[str] | None = None, ax: Any = None) -> Any:
    """Draw the function of one edge over the range of the data, and how often its argument takes which value.

    The range is shaded, darker between the quartiles; the strip at the bottom is the density; small ticks under the
    curve are the cells of the basis, those that lie in sight.

    Args:
        model: a ``KAN``, or a fitted estimator.
        data: X ``[n, n_features]`` as the network gets it, or (X, y); at most 4096 samples are looked at.
        edge: (layer, input node, output node), counted from 0; negative numbers count from the end.
        features: names of the columns, by default x1, x2, ...
        ax: Matplotlib axes to draw on; by default those of a new figure.

    Returns:
        What was drawn on: ``ax``, or the new ``Figure``, which pyplot does not know: nothing is shown.

    Raises:
        EdgewiseError: for a model of another kind, an edge that does not exist or was pruned, names that do not fit,
            or data that cannot be used.
        MissingExtraError: without Matplotlib.

    >>> plot_edge(model, X, (0, 1, 0)).savefig("edge.svg")
    """
    key = edge_at(checked_kan(model), edge)
    diagram = Diagram.of(model, data, features=features, points=_POINTS)
    drawn = next(one for one in diagram.edges if one.key == key)
    figure, axes = figure_with_axes(4.8, 3.4, ax)
    colour = NUMERIC if drawn.form is None else SYMBOLIC
    plain_axes(axes)
    source = diagram.nodes[drawn.source]
    axes.axvspan(source.low, source.high, color=_SHADE, alpha=0.6, linewidth=0, zorder=0)
    axes.axvspan(source.quantiles[1], source.quantiles[3], color=_SHADE, linewidth=0, zorder=0)
    axes.plot(drawn.x, drawn.y, color=colour, linewidth=2, zorder=3)
    axes.set_xlim(drawn.x[0], drawn.x[-1])
    _limit(axes, drawn.y)
    _draw_density(axes, drawn, source.density)
    axes.set_xlabel(
        source.label or f"{'product' if source.operator == '×' else 'sum'} {source.index} of level {key[0]}"
    )
    axes.set_ylabel(f"contribution to node {drawn.j}")
    axes.xaxis.label.set(color=INK, parse_math=False)
    axes.yaxis.label.set(color=INK)
    axes.set_title(_title(drawn), fontsize=9.5, color=INK, loc="left", parse_math=False)
    return figure


def _limit(axes: Any, y: np.ndarray) -> None:
    """Leave the strip of the density free."""
    finite = y[np.isfinite(y)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    # rounding of a constant is no curve
    span = high - low if high - low > 1e-5 * max(abs(low), abs(high)) else max(abs(low), abs(high), 1e-3)
    axes.set_ylim(low - span * (_STRIP + 0.08) / (1 - _STRIP - 0.14), high + span * 0.08)


def _draw_density(axes: Any, edge: DiagramEdge, density: np.ndarray) -> None:
    # its bins divide the range of the data, of which the curve's ends are 1 % off
    margin = (edge.x[-1] - edge.x[0]) * 0.01 / 1.02
    bins = np.linspace(edge.x[0] + margin, edge.x[-1] - margin, len(density) + 1)
    strip = axes.get_xaxis_transform()
    axes.stairs(density * _STRIP, bins, fill=True, color=FAINT, alpha=0.45, linewidth=0, transform=strip, zorder=1)
    inside = edge.grid[(edge.grid >= edge.x[0]) & (edge.grid <= edge.x[-1])]
    axes.vlines(inside, _STRIP, _STRIP + 0.035, color=INK, linewidth=0.9, transform=strip, zorder=2)


def _title(edge: DiagramEdge) -> str:
    where = f"edge {edge.key}, attribution {number(edge.score)}"
    return f"{_formula(edge)}\n{where}" if edge.form else where


def _formula(edge: DiagramEdge) -> str:
    """a f(b x + c) + d, with what is 1 or 0 left out."""
    a, b, c, d = edge.constants or (1.0, 1.0, 0.0, 0.0)
    factor = lambda value: "" if f"{value:.3g}" == "1" else "−" if f"{value:.3g}" == "-1" else _signed(value) + " "
    added = lambda value: "" if value == 0 else f" {'−' if value < 0 else '+'} {abs(value):.3g}"
    inner = f"{factor(b)}x{added(c)}"
    name = form_label(edge.form or "")
    plain = inner if inner == "x" else f"({inner})"
    # a name with an x in it is a formula of x, any other that of a function
    written = name.replace("x", plain) if "x" in name.replace("exp", "") else f"{name}({inner})"
    if name.startswith("1/") and name[2:].isalpha() and "x" not in name:
        written = f"1/{name[2:]}({inner})"
    return f"{factor(a)}{written}{added(d)}"


def _signed(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")
