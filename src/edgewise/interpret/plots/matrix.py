"""A grid of curves a layer: every edge has its place, however many there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgewise.interpret.diagram import Diagram, DiagramEdge
from edgewise.interpret.plots.canvas import (
    FAINT,
    FRAME,
    INK,
    SYMBOLIC,
    Canvas,
    colours,
    curves_in,
    figure_with_axes,
    width_of,
)
from edgewise.interpret.plots.captions import caption_of

__all__ = ["draw"]

_CELL, _SMALLEST = 0.42, 0.07  # inches: of a cell, and of the smallest that a curve is drawn in
_WIDEST, _HIGHEST = 11.0, 9.0  # inches of a new figure
_GAP, _HEAD, _MARGIN = 0.3, 0.3, 0.1
_NAME, _LABEL = 8.0, 5.5  # points


@dataclass(frozen=True)
class _Panel:
    """A layer: titles, the longest first, and names of its rows (outputs) and columns (inputs)."""

    titles: tuple[str, ...]
    rows: tuple[str, ...]
    columns: tuple[str, ...]

    @property
    def inset(self) -> float:
        """What the names of the rows take on the left, in inches."""
        return min(max(width_of(name, _NAME) for name in self.rows), 1.2) + 0.06

    @property
    def foot(self) -> float:
        """What the names of the columns take below, in inches."""
        return min(max(width_of(name, _NAME) for name in self.columns), 1.2) + 0.06


def draw(diagram: Diagram, *, top: int | None, labels: str, title: str | None, ax: Any) -> Any:
    """Draw the grids on ``ax`` or a new figure; returns which."""
    if top is not None:
        diagram = diagram.strongest(top)
    columns = sum(n_in for n_in, _ in diagram.shapes)
    rows = max(n_out for _, n_out in diagram.shapes)
    panels = [_panel(diagram, layer) for layer in range(diagram.depth)]
    head, room = _HEAD + 0.3 * bool(title), _MARGIN * 2 + _GAP * (diagram.depth - 1)
    wide = room + sum(panel.inset for panel in panels)
    high = head + max(panel.foot for panel in panels) + 0.4
    cell = min(_CELL, (_WIDEST - wide) / columns, (_HIGHEST - high) / rows)
    figure, axes = figure_with_axes(max(columns * cell + wide, 3.2), max(rows * cell + high, 1.6), ax, whole=True)
    canvas = Canvas(axes)
    drawn = [edge for edge in diagram.edges if edge.place is not None]
    caption = caption_of(canvas, diagram, "none", len(drawn))
    across = canvas.width - wide
    up = canvas.height - head - caption.height - max(panel.foot for panel in panels) - 0.05
    cell = max(min(_CELL, across / columns, up / rows), 1e-3)
    x = _MARGIN
    for layer, panel in enumerate(panels):
        corner = np.array([x + panel.inset, canvas.height - head])
        _draw_names(canvas, panel, corner, cell)
        _draw_cells(canvas, [edge for edge in drawn if edge.layer == layer], corner, cell, labels)
        x = corner[0] + len(panel.columns) * cell + _GAP
    caption.write(canvas)
    if title:
        canvas.write(
            0.1, canvas.height - 0.08, canvas.shortened(title, 11.0, canvas.width - 0.2), 11.0, ha="left", va="top"
        )
    return figure


def _panel(diagram: Diagram, layer: int) -> _Panel:
    """Nodes are called by their numbers, products and their factors with a ×, inputs and outputs by their names."""
    n_in, n_out = diagram.shapes[layer]
    rows, columns = [str(j) for j in range(n_out)], [str(i) for i in range(n_in)]
    if layer == 0 and n_in == len(diagram.features):
        columns = list(diagram.features)
    for node in diagram.nodes:
        if node.level == layer and node.kind != "factor":
            columns[node.index] = node.label or f"{'×' if node.operator == '×' else ''}{node.index}"
        elif node.level == layer + 1 and node.operator == "+":
            product = diagram.nodes[node.product] if node.product is not None else None
            rows[node.index] = f"×{product.label or product.index}" if product else node.label or str(node.index)
    titles = (f"layer {layer}: {n_in} → {n_out}", f"layer {layer}", str(layer))
    return _Panel(titles, tuple(rows), tuple(columns))


def _draw_names(canvas: Canvas, panel: _Panel, corner: np.ndarray, cell: float) -> None:
    left, top = corner
    size = min(_NAME, cell * 72 * 0.85)
    wide = panel.inset + len(panel.columns) * cell + 0.5 * _GAP
    title = next((text for text in panel.titles if width_of(text, _NAME) < wide), "")
    canvas.write(left - panel.inset, top + 0.08, title, _NAME, ha="left", color=FAINT)
    if size < 4:
        return
    for j, name in enumerate(panel.rows):
        text = canvas.shortened(name, size, 1.2)
        canvas.write(left - 0.05, top - (j + 0.5) * cell, text, size, ha="right", va="center_baseline")
    upright = max(width_of(name, size) for name in panel.columns) > cell - 0.04
    bottom = top - len(panel.rows) * cell - 0.05
    for i, name in enumerate(panel.columns):
        text = canvas.shortened(name, size, 1.2)
        canvas.write(left + (i + 0.5) * cell, bottom, text, size, va="top", rotation=90 if upright else 0)


def _draw_cells(canvas: Canvas, edges: list[DiagramEdge], corner: np.ndarray, cell: float, labels: str) -> None:
    if not edges:
        return
    centres = corner + cell * np.array([(edge.i + 0.5, -edge.j - 0.5) for edge in edges])
    shades, formula = colours(edges), np.array([edge.form is not None for edge in edges])
    if cell < _SMALLEST:
        canvas.squares(centres, np.full(len(edges), cell), facecolors=shades, linewidths=0, zorder=2)
        return
    # frames of formulas lie over those of their neighbours
    sides = np.full(len(edges), cell)
    canvas.squares(centres, sides, facecolors="none", edgecolors=FRAME, linewidths=0.5, zorder=2)
    canvas.squares(
        centres[formula], sides[formula] - 0.025, facecolors="none", edgecolors=SYMBOLIC, linewidths=1.1, zorder=3
    )
    named = np.array([
        labels in ("auto", "forms") and cell > 0.3 and 0 < width_of(edge.label, _LABEL) < cell - 0.06
        for edge in edges
    ])  # fmt: skip
    lift = np.stack([np.zeros(len(edges)), 0.04 * named], axis=1)
    curves = curves_in(edges, centres + lift, cell * np.where(named, 0.58, 0.74))
    canvas.lines(curves, colors=shades, linewidths=1.2 if cell > 0.25 else 0.8, zorder=4, capstyle="round")
    for edge, (x, y) in zip((edge for edge, one in zip(edges, named, strict=True) if one), centres[named], strict=True):
        canvas.write(x, y - cell / 2 + 0.04, edge.label, _LABEL, color=INK)
