"""The network as SVG: complete without a program; ``report.js`` lets the reader move in it."""

from __future__ import annotations

from html import escape
from itertools import groupby

import numpy as np

from edgewise.interpret.diagram import Diagram, DiagramEdge, DiagramNode
from edgewise.interpret.report.names import edge_function, edge_name, node_name, shown

__all__ = ["network_svg", "strongest_only"]

MOST_CURVES = 40
"""So many curves of a layer at most have a place of their own; other edges are lines."""

_ROW, _FLATTEST = 200.0, 0.2  # height of a layer, at least, and as a part of the width
_NARROW, _WIDE = 420.0, 1400.0  # of the picture
_LARGEST = 62.0  # side of a curve's frame
_MARGIN = 34.0
_LETTER = 8.3  # width of one, about
_LONGEST = 26  # letters of a label
_RADIUS = {"input": 5.0, "factor": 7.0}


class _Canvas:
    """Sizes, and places on paper."""

    def __init__(self, diagram: Diagram):
        # The gaps that the layout leaves between groups of curves are part of the inverse of a slot.
        slots = [44 / edge.slot for edge in diagram.edges if edge.place is not None]
        nodes = [40 * sum(1 for _ in row) for _, row in groupby(diagram.nodes, lambda node: node.level)]
        self.inner = float(np.clip(max(slots + nodes), _NARROW, _WIDE))
        self.row = max(_ROW, _FLATTEST * self.inner)
        inputs, outputs = (
            [min(len(node.label), _LONGEST) * _LETTER for node in diagram.nodes if node.kind == kind]
            for kind in ("input", "output")
        )
        # Names too long to stand side by side are turned: those of inputs end, those of outputs start at their node.
        self.turned = {
            kind
            for kind, row in (("input", inputs), ("output", outputs))
            if max(row, default=0) > 0.96 * self.inner / max(len(row), 1)
        }
        below, above = max(inputs, default=0.0), max(outputs)
        self.left = _MARGIN + (0.72 * below if "input" in self.turned else 0)
        right = _MARGIN + (0.72 * above if "output" in self.turned else 0)
        self.top = 46 + (0.64 * above if "output" in self.turned else 0)
        self.depth = diagram.depth
        self.width = self.left + self.inner + right
        self.height = self.top + self.row * self.depth + 46 + (0.64 * below if "input" in self.turned else 0)
        self.crowded = {place for place in range(self.depth) if len(diagram.layer(place)) > MOST_CURVES}

    def at(self, place: tuple[float, float]) -> tuple[float, float]:
        return self.left + place[0] * self.inner, self.top + (1 - place[1]) * self.row * self.depth


def strongest_only(diagram: Diagram) -> tuple[Diagram, list[int]]:
    """The diagram with at most ``MOST_CURVES`` curves a layer, and the layers in which others are lines."""
    crowded = [place for place in range(diagram.depth) if len(diagram.layer(place)) > MOST_CURVES]
    return (diagram.strongest(MOST_CURVES) if crowded else diagram), crowded


def network_svg(diagram: Diagram) -> str:
    """The diagram as an ``<svg>``; edge and node k of it are the elements with ``data-edge`` and ``data-node`` k."""
    canvas = _Canvas(diagram)
    behind = sorted(enumerate(diagram.edges), key=lambda item: item[1].place is not None)  # lines first, then curves
    edges = "".join(_edge(diagram, canvas, number, edge) for number, edge in behind)
    joins = "".join(_join(diagram, canvas, node) for node in diagram.nodes if node.product is not None)
    nodes = "".join(_node(diagram, canvas, place, node) for place, node in enumerate(diagram.nodes))
    return (
        f'<svg id="network" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {canvas.width:.0f} {canvas.height:.0f}" '
        f'role="group" aria-label="The network, {len(diagram.edges)} edges, inputs below, outputs above">'
        f'<g id="view">{joins}{edges}{nodes}</g></svg>'
    )


def _edge(diagram: Diagram, canvas: _Canvas, number: int, edge: DiagramEdge) -> str:
    kind = "numeric" if edge.form is None else "symbolic"
    start, end = canvas.at(edge.start), canvas.at(edge.end)
    words = f"{edge_name(diagram, edge)}, {edge_function(edge)}, score {shown(edge.score)}"
    if edge.place is None:
        path = _wire(start, end)
        picture = "" if edge.form is None else _dot(start, end)
    else:
        side = min(0.86 * edge.slot * canvas.inner, _LARGEST)
        x, y = canvas.at(edge.place)
        path = _wire(start, (x, y + side / 2)) + _wire((x, y - side / 2), end)
        picture = _frame(x, y, side, edge)
    # A square root keeps weak edges visible where there is room; what is exactly proportional stands in the tables.
    strength = 0.16 + 0.84 * float(np.nan_to_num(edge.strength)) ** (1 if edge.layer in canvas.crowded else 0.5)
    kind += " line" if edge.place is None else ""
    return (
        f'<g class="edge {kind}" data-edge="{number}" tabindex="{-1 if number else 0}" role="button" '
        f'aria-pressed="false" aria-label="{escape(words)}" style="--strength:{strength:.2f}">'
        f'<path class="hit" d="{path}"/><g class="ink"><path class="wire" d="{path}"/></g>{picture}</g>'
    )


def _wire(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x0, y0), (x1, y1) = start, end
    bend = (y0 - y1) * 0.45
    return f"M{x0:.1f} {y0:.1f}C{x0:.1f} {y0 - bend:.1f} {x1:.1f} {y1 + bend:.1f} {x1:.1f} {y1:.1f}"


def _dot(start: tuple[float, float], end: tuple[float, float]) -> str:
    """What tells the line of a formula from another: a circle on it, a fifth of the way up, where no curves are."""
    bent = 3 * 0.2**2 - 2 * 0.2**3  # how far the line has gone to the side there
    x, y = start[0] + bent * (end[0] - start[0]), start[1] + 0.22 * (end[1] - start[1])
    return f'<g class="ink"><circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/></g>'


def _frame(x: float, y: float, side: float, edge: DiagramEdge) -> str:
    """A square for a function of the basis, a circle for a formula; behind it, so that no wire shows, the ground."""
    half = side / 2
    if edge.form is None:
        shape = f'x="{x - half:.1f}" y="{y - half:.1f}" width="{side:.1f}" height="{side:.1f}" rx="{side / 12:.1f}"'
        shapes, inset = [f'<rect class="{name}" {shape}/>' for name in ("back", "frame")], 0.8
    else:
        shape = f'cx="{x:.1f}" cy="{y:.1f}" r="{half:.1f}"'
        shapes, inset = [f'<circle class="{name}" {shape}/>' for name in ("back", "frame")], 0.62
    back, frame = shapes
    width = f"stroke-width:{max(side / 28, 0.8):.1f}"
    curve = f'<path class="curve" d="{_curve(edge.y, x, y, half * inset)}" style="{width}"/>'
    words = ""
    if edge.form is not None and side >= 18:
        label = escape(_cut(edge.label, max(int(side / 6), 4)))
        words = f'<text class="form" x="{x:.1f}" y="{y + half + 13:.1f}">{label}</text>'
    return f'{back}<g class="ink">{frame}{curve}</g>{words}'


def _curve(values: np.ndarray, x: float, y: float, half: float) -> str:
    """Values over an even grid as a path in a square; where there is none, a gap."""
    finite = np.isfinite(values)
    if not finite.any():
        return ""
    low, high = float(values[finite].min()), float(values[finite].max())
    span = high - low
    level = (values - (low + high) / 2) / (span if span > 1e-9 * max(abs(low), abs(high), 1e-30) else np.inf)
    across = np.linspace(x - half, x + half, len(values))
    parts, started = [], False
    for place, there in enumerate(finite):
        if there:
            parts.append(f"{'L' if started else 'M'}{across[place]:.1f} {y - 2 * half * level[place]:.1f}")
        started = bool(there)
    return "".join(parts)


def _join(diagram: Diagram, canvas: _Canvas, node: DiagramNode) -> str:
    """The line from a factor to its product."""
    assert node.product is not None
    product = diagram.nodes[node.product]
    (x0, y0), (x1, y1) = canvas.at((node.x, node.y)), canvas.at((product.x, product.y))
    return f'<path class="join" d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}"/>'


def _node(diagram: Diagram, canvas: _Canvas, number: int, node: DiagramNode) -> str:
    x, y = canvas.at((node.x, node.y))
    radius = _RADIUS.get(node.kind, 11.0)
    shape = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.0f}"/>'
    if node.operator == "×":  # a diamond: products are told from sums from afar
        turned = f'transform="rotate(45 {x:.1f} {y:.1f})"'
        shape = f'<rect x="{x - 9.5:.1f}" y="{y - 9.5:.1f}" width="19" height="19" {turned}/>'
    words = f"{node_name(diagram, node)}, score {shown(node.score)}"
    operator = f'<text class="operator" x="{x:.1f}" y="{y:.1f}">{node.operator}</text>' if node.operator else ""
    classes = f"node {node.kind}{' small' if node.kind == 'factor' else ''}"
    return (
        f'<g class="{classes}" data-node="{number}"><title>{escape(words)}</title>{shape}{operator}'
        f"{_label(canvas, node, x, y)}</g>"
    )


def _label(canvas: _Canvas, node: DiagramNode, x: float, y: float) -> str:
    if not node.label:
        return ""
    below = node.kind == "input"
    x, y = x, y + (24 if below else -18)
    place = 'text-anchor="middle"'
    if node.kind in canvas.turned:
        place = f'text-anchor="{"end" if below else "start"}" transform="rotate(-40 {x:.1f} {y:.1f})"'
    return f'<text class="label" x="{x:.1f}" y="{y:.1f}" {place}>{escape(_cut(node.label, _LONGEST))}</text>'


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
