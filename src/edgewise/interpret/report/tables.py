"""The tables of the page, as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import numpy as np

from edgewise.errors import EdgewiseError
from edgewise.interpret.diagram import Diagram
from edgewise.interpret.report.names import edge_function, node_name, shown
from edgewise.interpret.scoring import Scores

__all__ = ["edges_table", "formulas_table", "inputs_table"]

_NEEDED = ("output", "complexity", "error", "formula")


def inputs_table(rated: Scores) -> str:
    """Every column of x with its score, its interval, and both as a bar; the highest score first."""
    low, high = rated.input_intervals
    scale = float(np.nanmax([*high, *rated.inputs, 1e-300]))
    rows = []
    for place in np.argsort(-rated.inputs, kind="stable"):
        ends, score = (float(low[place]), float(high[place])), float(rated.inputs[place])
        rows.append(
            f'<tr><td class="name">{escape(rated.features[place])}</td><td class="number">{shown(score)}</td>'
            f'<td class="number">{shown(ends[0])} to {shown(ends[1])}</td>'
            f'<td class="span">{_bar(score / scale, ends[0] / scale, ends[1] / scale)}</td></tr>'
        )
    head = (
        '<th scope="col">Input</th><th scope="col" class="number">Score</th>'
        '<th scope="col" class="number">95 % interval</th><td class="span"></td>'
    )
    return _table("inputs", head, rows)


def _bar(score: float, low: float, high: float) -> str:
    if not np.isfinite([score, low, high]).all():
        return ""
    s, a, b = (f"{1000 * value:.1f}" for value in (score, low, high))
    return (
        '<svg viewBox="0 0 1000 14" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect y="2" width="{s}" height="10"/>'
        f'<path d="M{a} 7H{b}M{a} 3V11M{b} 3V11"/></svg>'
    )


def edges_table(diagram: Diagram) -> str:
    """Every edge that is there; ``report.js`` sorts it, and fills in what a threshold keeps."""
    rows = []
    for number, edge in enumerate(diagram.edges):
        source, target = (node_name(diagram, diagram.nodes[place]) for place in (edge.source, edge.target))
        order = float(np.nan_to_num(edge.score, nan=-1.0))
        rows.append(
            f'<tr data-edge="{number}"><td data-value="{number}"><code>{edge.key}</code></td>'
            f'<td class="name">{escape(source)}</td><td class="name">{escape(target)}</td>'
            f'<td class="name">{escape(edge_function(edge))}</td>'
            f'<td class="number" data-value="{order!r}">{shown(edge.score)}</td><td class="stays">yes</td></tr>'
        )
    headings = [("Edge", ""), ("From", ""), ("To", ""), ("Function", ""), ("Score", "number"), ("Stays", "")]
    head = "".join(
        f'<th scope="col" class="{classes}"><button type="button">{name}</button></th>' for name, classes in headings
    )
    return _table("edges", head, rows)


def formulas_table(formulas: Any) -> str:
    """Formulas found for the outputs, in the order given.

    Raises ``EdgewiseError`` for one without output, complexity, error or formula.
    """
    rows = []
    for entry in _checked(formulas):
        latex = entry.get("latex")
        copy = (
            ""
            if not latex
            else f'<button type="button" class="js-only" data-copy="{escape(str(latex))}">LaTeX</button>'
        )
        picked = bool(entry.get("picked"))
        mark = ' <span class="badge">picked</span>' if picked else ""
        rows.append(
            f'<tr{" class=picked" if picked else ""}><td class="name">{escape(str(entry["output"]))}{mark}</td>'
            f'<td class="number">{_number(entry["complexity"])}</td><td class="number">{_number(entry["error"])}</td>'
            f'<td class="name"><code>{escape(str(entry["formula"]))}</code></td>'
            f"<td>{copy}</td></tr>"
        )
    head = (
        '<th scope="col">Output</th><th scope="col" class="number">Complexity</th>'
        '<th scope="col" class="number">Error</th><th scope="col">Formula</th><td></td>'
    )
    return _table("formulas", head, rows)


def _checked(formulas: Any) -> list[Mapping[str, Any]]:
    several = isinstance(formulas, Iterable) and not isinstance(formulas, str | Mapping)
    entries: list[Any] = list(formulas) if several else [formulas]
    for entry in entries:
        missing = [name for name in _NEEDED if not isinstance(entry, Mapping) or name not in entry]
        if missing:
            raise EdgewiseError(
                f"the formula {entry!r} has no {missing[0]!r}.",
                do='pass a list of dicts: {"output": "y", "complexity": 3, "error": 0.01, "formula": "sin(x1)"}.',
            )
    return entries


def _number(value: Any) -> str:
    try:
        return shown(float(value))
    except (TypeError, ValueError):
        return escape(str(value))


def _table(name: str, head: str, rows: Iterable[str]) -> str:
    return f'<table id="{name}"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
