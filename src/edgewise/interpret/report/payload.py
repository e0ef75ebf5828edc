"""What the page's program reads: the diagram as JSON that may stand in a ``<script>``."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from edgewise.interpret.diagram import Diagram, DiagramEdge, DiagramNode
from edgewise.interpret.report.names import edge_function, edge_name, node_name, shown

__all__ = ["payload", "script_json"]

# "</script>", "<!--" and "]]>" would end or change the element; the two separators are line ends to older programs.
_ESCAPES = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}


def payload(diagram: Diagram, samples: int) -> dict[str, Any]:
    """Nodes and edges in the order of the diagram; scores are whole, so that counts agree with ``prune``."""
    return {
        "kind": diagram.kind,
        "depth": diagram.depth,
        "samples": samples,
        "nodes": [_node(diagram, node) for node in diagram.nodes],
        "edges": [_edge(diagram, edge) for edge in diagram.edges],
    }


def script_json(value: Any) -> str:
    """JSON without anything that HTML could take for markup; numbers that are not finite are null."""
    return json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(_ESCAPES)


def _node(diagram: Diagram, node: DiagramNode) -> dict[str, Any]:
    return {
        "name": node_name(diagram, node),
        "level": node.level,
        "kind": node.kind,
        "product": node.product,
        "score": node.score,
        "x": round(node.x, 4),
        "low": node.low,
        "high": node.high,
        "quantiles": [_short(value) for value in node.quantiles],
        "density": [round(float(value), 3) for value in node.density],
    }


def _edge(diagram: Diagram, edge: DiagramEdge) -> dict[str, Any]:
    return {
        "key": list(edge.key),
        "name": edge_name(diagram, edge),
        "source": edge.source,
        "target": edge.target,
        "score": edge.score,
        "score_text": shown(edge.score),
        "form": edge.form,
        "function": edge_function(edge),
        "from": _short(edge.x[0]),
        "to": _short(edge.x[-1]),
        "y": [_short(value) for value in edge.y],
        "cells": [_short(value) for value in edge.grid],
    }


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value
