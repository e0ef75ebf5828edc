"""What the page calls nodes and edges, and how it writes numbers."""

from __future__ import annotations

import math
import re

from edgewise.interpret.diagram import Diagram, DiagramEdge, DiagramNode

__all__ = ["edge_function", "edge_name", "node_name", "shown"]

_VARIABLE = re.compile(r"(?<![A-Za-z])x(?![A-Za-z])")  # not the one in "exp"


def node_name(diagram: Diagram, node: DiagramNode) -> str:
    """Inputs and outputs by their names, others as (level, node), the way ``prune(nodes=...)`` counts."""
    if node.kind in ("input", "output"):
        return node.label
    if node.product is not None:
        return f"factor {node.index} of {node_name(diagram, diagram.nodes[node.product])}"
    return f"{'product' if node.kind == 'product' else 'node'} ({node.level}, {node.index})"


def edge_name(diagram: Diagram, edge: DiagramEdge) -> str:
    """From where to where."""
    source, target = (node_name(diagram, diagram.nodes[place]) for place in (edge.source, edge.target))
    return f"{source} → {target}"


def edge_function(edge: DiagramEdge) -> str:
    """The formula of a symbolic edge with its constants, say "2 sin(3 x + 1) − 4"; "numeric" for another."""
    if edge.constants is None:
        return "numeric"
    a, b, c, d = map(shown, edge.constants)
    inside = _plus(_times(b, "x"), c)
    argument = inside if inside == "x" else f"({inside})"
    value, places = _VARIABLE.subn(lambda _: argument, edge.label)
    return _plus(_times(a, value if places else f"{value}({inside})"), d)


def shown(value: float) -> str:
    """A number with four digits, "–" where there is none."""
    return f"{value:.4g}".replace("-", "−") if math.isfinite(value) else "–"


def _times(factor: str, value: str) -> str:
    return {"1": value, "−1": f"−{value}"}.get(factor, f"{factor} {value}")


def _plus(value: str, constant: str) -> str:
    if constant in ("0", "−0"):
        return value
    return f"{value} − {constant[1:]}" if constant.startswith("−") else f"{value} + {constant}"
