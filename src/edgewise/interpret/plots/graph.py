"""Nodes, lines, and a curve on every edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from edgewise.interpret.diagram import Diagram, DiagramEdge, DiagramNode, row_width
from edgewise.interpret.plots.canvas import (
    FAINT,
    FRAME,
    INK,
    SYMBOLIC,
    Canvas,
    colours,
    curves_in,
    figure_with_axes,
    number,
    short_number,
    width_of,
)
from edgewise.interpret.plots.captions import Caption, caption_of

__all__ = ["draw"]

_SIDE, _SMALLEST = 0.62, 0.26  # inches: of the largest square, and of the smallest slot a curve is readable in
_WIDEST = 11.0  # inches of a new figure
_LINES = 1500  # edges without a curve that are drawn, the strongest
_RADIUS = 0.085
_MARGIN = 0.1
_LONGEST = 1.3  # inches of a name that stands upright
_NAME, _LABEL = 9.0, 6.5  # points


def draw(diagram: Diagram, *, top: int | None, labels: str, title: str | None, ax: Any) -> Any:
    """Draw the graph on ``ax`` or a new figure; returns which."""
    slots = _slots(diagram)
    width = float(np.clip(max(0.56 * slots, 0.55 * max(map(len, _named(diagram)))) + 0.4, 3.2, _WIDEST))
    names = sum(depth for _, _, depth in _names(diagram, width - 2 * _MARGIN))
    height = diagram.depth * (1.2 + 0.07 * width) + 0.6 + names + 0.3 * bool(title)
    figure, axes = figure_with_axes(width, height, ax, whole=True)
    canvas = Canvas(axes)
    diagram = _readable(diagram, top, (canvas.width - 2 * _MARGIN) / _SMALLEST)
    caption = caption_of(canvas, diagram, labels, sum(edge.place is not None for edge in diagram.edges))
    sheet = _sheet(canvas, diagram, caption, title)
    drawn = [edge for edge in diagram.edges if edge.place is not None]
    _draw_bare(sheet, [edge for edge in diagram.edges if edge.place is None])
    if drawn:
        _draw_edges(sheet, drawn, labels, len(drawn) < len(diagram.edges))
    _draw_nodes(sheet, diagram)
    caption.write(canvas)
    if title:
        canvas.write(
            0.1, canvas.height - 0.08, canvas.shortened(title, 11.0, canvas.width - 0.2), 11.0, ha="left", va="top"
        )
    return figure


def _slots(diagram: Diagram) -> float:
    """The width of the widest row in curves."""
    return 1 / min((edge.slot for edge in diagram.edges if edge.place is not None), default=1.0)


def _readable(diagram: Diagram, top: int | None, room: float) -> Diagram:
    """With curves for the ``top`` edges of every layer; by default for so many that ``room`` has place for them."""
    if top is not None:
        return diagram.strongest(top)
    if _slots(diagram) <= room:
        return diagram
    ranked = [sorted(diagram.layer(place), key=lambda edge: -edge.score) for place in range(diagram.depth)]
    widest = lambda count: max(row_width([edge.j for edge in row[:count]]) for row in ranked)
    return diagram.strongest(next((count for count in range(int(room), 1, -1) if widest(count) <= room), 1))


@dataclass(frozen=True)
class _Sheet:
    """Where a diagram lies on a canvas.

    Attributes:
        left, bottom, width, height: of the diagram's unit square, in inches.
        rows: height of a layer.
        radius: of the nodes.
        spacing: between the closest two inputs, and outputs.
        upright: whether names of inputs, and of outputs, stand upright, where they have no room side by side.
    """

    canvas: Canvas
    left: float
    bottom: float
    width: float
    height: float
    rows: float
    radius: float
    spacing: tuple[float, float]
    upright: tuple[bool, bool]

    def places(self, points: Sequence[tuple[float, float]]) -> np.ndarray:
        """``[E, 2]`` in inches."""
        return np.array([self.left, self.bottom]) + np.reshape(points, (-1, 2)) * [self.width, self.height]


def _sheet(canvas: Canvas, diagram: Diagram, caption: Caption, title: str | None) -> _Sheet:
    width = canvas.width - 2 * _MARGIN
    crowd = max(len(list(row)) for _, row in groupby(diagram.nodes, lambda node: (node.level, node.kind == "factor")))
    radius = min(_RADIUS, 0.27 * width / crowd)
    spacing, upright, depths = zip(*_names(diagram, width), strict=True)
    bottom = caption.height + depths[0] + radius + 0.12
    height = max(canvas.height - bottom - depths[1] - radius - 0.14 - 0.28 * bool(title), 0.1)
    return _Sheet(
        canvas, _MARGIN, bottom, width, height, height / diagram.depth, radius,
        (spacing[0], spacing[1]), (upright[0], upright[1]),
    )  # fmt: skip


def _named(diagram: Diagram) -> list[list[str]]:
    """The names of inputs, and of outputs, that are drawn."""
    ends = ("input", 0), ("output", diagram.depth)
    return [[node.label for node in diagram.nodes if (node.kind, node.level) == end] for end in ends]


def _names(diagram: Diagram, width: float) -> list[tuple[float, bool, float]]:
    """For inputs, and outputs, on so much ``width``: their distance, whether names stand upright, and their height."""
    found = []
    for names in _named(diagram):
        spacing = width / max(len(names), 1)
        widest = max((width_of(name, _NAME) for name in names), default=0.0)
        upright = widest > spacing - 0.06 and spacing < _LONGEST
        found.append((spacing, upright, min(widest, _LONGEST) if upright else _NAME / 72 * 1.1))
    return found


def _bent(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Lines ``[E, k, 2]`` that leave and arrive upright, so that they keep out of the labels."""
    t = np.linspace(0, 1, 25)[None, :, None]
    across, up = t * t * (3 - 2 * t), t
    return np.concatenate(
        [
            start[:, None, :1] + (end - start)[:, None, :1] * across,
            start[:, None, 1:] + (end - start)[:, None, 1:] * up,
        ],
        axis=2,
    )


def _draw_bare(sheet: _Sheet, edges: list[DiagramEdge]) -> None:
    edges = sorted(edges, key=lambda edge: -edge.score)[:_LINES]
    if edges:
        shades = colours(edges)
        shades[:, 3] *= 0.7 * min(1.0, (150 / len(edges)) ** 0.5)  # many lines are no dark ground
        segments = _bent(sheet.places([edge.start for edge in edges]), sheet.places([edge.end for edge in edges]))
        sheet.canvas.lines(segments, colors=shades, linewidths=0.35, zorder=1)


def _draw_edges(sheet: _Sheet, edges: list[DiagramEdge], labels: str, crossed: bool) -> None:
    canvas, shades = sheet.canvas, colours(edges)
    centres = sheet.places([edge.place for edge in edges if edge.place])
    slots = sheet.width * np.array([edge.slot for edge in edges])
    sides = np.minimum(np.minimum(0.88 * slots, _SIDE), 0.42 * sheet.rows)
    size = _LABEL if slots.min() > 0.33 else _LABEL - 1
    scores = _scores(edges, slots, size) if labels in ("auto", "scores") else [""] * len(edges)
    forms = [
        edge.label if labels in ("auto", "forms") and width_of(edge.label, size) <= slot - 0.02 else ""
        for edge, slot in zip(edges, slots, strict=True)
    ]
    line = size / 72 * 1.15
    low, high = centres - [0, 0.5] * sides[:, None], centres + [0, 0.5] * sides[:, None]
    under, over = (np.array([[0, line * bool(text)] for text in texts]) for texts in (forms, scores))
    canvas.lines(
        _bent(sheet.places([edge.start for edge in edges]), low - under), colors=shades, linewidths=0.9, zorder=2
    )
    canvas.lines(
        _bent(high + over, sheet.places([edge.end for edge in edges])), colors=shades, linewidths=0.9, zorder=2
    )
    formula = np.array([edge.form is not None for edge in edges])
    canvas.squares(
        centres, sides, facecolors="white", zorder=3,
        edgecolors=[SYMBOLIC if one else FRAME for one in formula], linewidths=np.where(formula, 1.3, 0.6),
    )  # fmt: skip
    widths = np.where(sides > 0.4, 1.5, 1.1)
    canvas.lines(curves_in(edges, centres, 0.76 * sides), colors=shades, linewidths=widths, zorder=4, capstyle="round")
    # lines without a curve run anywhere, those with one keep out of the labels
    behind = {"bbox": {"facecolor": "white", "linewidth": 0, "pad": 0.4}} if crossed else {}
    for (x, y), form in zip(low, forms, strict=True):
        if form:
            canvas.write(x, y - 0.25 * line, form, size, va="top", color=SYMBOLIC, **behind)
    for (x, y), score in zip(high, scores, strict=True):
        if score:
            canvas.write(x, y + 0.25 * line, score, size, color=FAINT, **behind)


def _scores(edges: list[DiagramEdge], slots: np.ndarray, size: float) -> list[str]:
    """The scores as texts, in two digits or in a few characters; a row without room for one has none of them.

    Single gaps would look like other scores.
    """
    texts = [""] * len(edges)
    for layer in {edge.layer for edge in edges}:
        mine = [place for place, edge in enumerate(edges) if edge.layer == layer]
        for written in (number, short_number) if max(edges[place].score for place in mine) > 0.1 else (number,):
            row = {place: written(edges[place].score) for place in mine}
            if all(width_of(text, size) <= slots[place] - 0.03 for place, text in row.items()):
                for place, text in row.items():
                    texts[place] = text
                break
    return texts


def _draw_nodes(sheet: _Sheet, diagram: Diagram) -> None:
    canvas, nodes = sheet.canvas, diagram.nodes
    centres = sheet.places([(node.x, node.y) for node in nodes])
    wired = [(place, node.product) for place, node in enumerate(nodes) if node.product is not None]
    canvas.lines(centres[np.reshape(wired, (-1, 2)).astype(int)], colors=INK, linewidths=0.9, zorder=4)
    inputs = [place for place, node in enumerate(nodes) if node.kind == "input"]
    canvas.circles(centres[inputs], 0.55 * sheet.radius, facecolors=INK, linewidths=0, zorder=5)
    for smaller, radius in ((False, sheet.radius), (True, 0.75 * sheet.radius)):
        for operator, turn in (("+", 0.0), ("×", np.pi / 4)):
            chosen = [
                place
                for place, node in enumerate(nodes)
                if node.operator == operator and (node.kind == "factor") == smaller
            ]
            canvas.circles(centres[chosen], radius, facecolors="white", edgecolors=INK, linewidths=0.9, zorder=5)
            canvas.lines(_crosses(centres[chosen], 0.58 * radius, turn), colors=INK, linewidths=1.0, zorder=6)
    _write_names(sheet, nodes, centres)


def _crosses(centres: np.ndarray, radius: float, turn: float) -> np.ndarray:
    """Two strokes a cross, ``[2 E, 2, 2]``."""
    angles = turn + np.array([0, np.pi / 2])
    strokes = radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.concatenate([np.stack([centres - stroke, centres + stroke], axis=1) for stroke in strokes])


def _write_names(sheet: _Sheet, nodes: Sequence[DiagramNode], centres: np.ndarray) -> None:
    canvas = sheet.canvas
    for node, (x, y) in zip(nodes, centres, strict=True):
        if node.kind not in ("input", "output"):
            continue
        below = node.kind == "input"
        upright, spacing = sheet.upright[not below], sheet.spacing[not below]
        size = min(_NAME, spacing * 72 * 0.85) if upright else _NAME
        text = canvas.shortened(node.label, size, _LONGEST if upright else spacing - 0.06)
        offset = sheet.radius + 0.05
        canvas.write(
            x, y - offset if below else y + offset, text, size,
            va="top" if below else "bottom", rotation=90 if upright else 0,
        )  # fmt: skip
