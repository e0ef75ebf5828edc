"""The page: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from edgewise._files import write_whole
from edgewise.errors import EdgewiseError
from edgewise.interpret.diagram import Diagram
from edgewise.interpret.observing import checked_kan, data_of
from edgewise.interpret.report.drawing import MOST_CURVES, network_svg, strongest_only
from edgewise.interpret.report.payload import payload, script_json
from edgewise.interpret.report.tables import edges_table, formulas_table, inputs_table
from edgewise.interpret.scoring import Scores, scores

__all__ = ["html_page", "write_report"]

_PAGE = "report.html"

_KEY = (
    '<ul class="key under">'
    '<li><svg viewBox="0 0 18 18" aria-hidden="true" style="color:var(--numeric)"><rect x="2" y="2" width="14" '
    'height="14" rx="1" fill="none" stroke="currentColor" stroke-width="1.5"/></svg>'
    "square: a function of the basis</li>"
    '<li><svg viewBox="0 0 18 18" aria-hidden="true" style="color:var(--symbolic)"><circle cx="9" cy="9" r="7" '
    'fill="none" stroke="currentColor" stroke-width="2"/></svg>circle: a formula</li>'
    "<li>+ adds, × multiplies</li><li>fainter: a lower score in its layer</li></ul>"
)

_KINDS = {
    "attribution": "The score of an output is 1; it is passed back to edges and nodes by their share of what varies.",
    "std": "The score of an edge is the standard deviation of its values on the data.",
    "l1": "The score of an edge is the mean distance of its values on the data from their mean.",
    "sensitivity": "The score of an edge is what a change of its size does to the outputs, in their units.",
}


def write_report(
    model: Any,
    data: Any,
    path: Any,
    *,
    features: Sequence[str] | None = None,
    outputs: Any = None,
    kind: str = "attribution",
    formulas: Any = None,
    title: Any = None,
) -> Path:
    """Write one HTML page about a network: its picture to look around in, its curves, scores, and what pruning keeps.

    The page needs nothing else and asks no network for anything.  An edge under the mouse, or reached with Tab and the
    arrow keys, shows its curve, the data that reach it, its score and its formula; a slider shows which edges
    ``prune(model, data, threshold=...)`` would keep.  The file appears whole or not at all.

    Args:
        model: a ``KAN``, or a fitted estimator.
        data: X ``[n, n_features]`` as the network gets it, or (X, y); at most 4096 samples are looked at.
        path: of the file, or a folder, where it is called report.html.
        features: names of the columns, by default x1, x2, ...
        outputs: names of the outputs, by default y, or y1, y2, ...
        kind: of the scores, see :func:`~edgewise.interpret.scores.scores`.
        formulas: to list: dicts of "output", "complexity", "error", "formula", and if wanted "latex" and "picked".
        title: of the page.

    Returns the path of the file.

    Raises:
        EdgewiseError: for a model of another kind, an unknown kind of score, names that do not fit, data that cannot be
            used, formulas without one of their entries, and where the file cannot be written.
    """
    network = checked_kan(model)
    diagram, crowded = strongest_only(Diagram.of(network, data, kind=kind, features=features, outputs=outputs))
    rated = scores(network, data, kind, features=diagram.features)
    title = f"KAN {list(network.widths)}" if title is None else str(title)
    listed = "" if formulas is None else formulas_table(formulas)
    page = html_page(diagram, rated, title, samples=len(data_of(network, data)), crowded=crowded, formulas=listed)
    target = Path(path)
    target = target / _PAGE if target.is_dir() else target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, page.encode())
    except OSError as error:
        raise EdgewiseError(
            f"cannot write {str(target)!r}.", f"{error.strerror or error}.", "choose another path."
        ) from error
    return target


def html_page(
    diagram: Diagram, rated: Scores, title: str, *, samples: int, crowded: Sequence[int] = (), formulas: str = ""
) -> str:
    """The page; ``crowded`` are the layers in which not every curve is drawn, ``formulas`` the table of them, HTML."""
    style, program = _shipped("report.css"), _shipped("report.js")
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src '{_digest(program)}'"
    symbolic = sum(edge.form is not None for edge in diagram.edges)
    pruned = sum(n_in * n_out for n_in, n_out in diagram.shapes) - len(diagram.edges)
    facts = [
        _counted(len(diagram.edges), "edge"),
        *([f"{_counted(symbolic, 'formula')} among them"] if symbolic else []),
        *([f"{pruned} pruned before"] if pruned else []),
        f"{diagram.kind} scores on {_counted(samples, 'sample')}",
    ]
    unused = f"The network does not look at {', '.join(diagram.unused)}." if diagram.unused else ""
    lines = (
        f"Of a layer of more, the {MOST_CURVES} strongest edges are drawn with their curves, others as lines."
        * bool(crowded)
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{escape(title)}</title><style>{style}</style></head><body>
<header><div><h1>{escape(title)}</h1><p class="under">{escape(" · ".join(facts))}</p></div>
<button id="theme" class="js-only" type="button">Dark</button></header>
<main><div class="work"><section aria-label="Network">
<figure class="stage" id="stage" aria-label="The network">
<div class="tools js-only" role="group" aria-label="Zoom">
<button id="zoom-in" type="button" aria-label="Zoom in">+</button>
<button id="zoom-out" type="button" aria-label="Zoom out">−</button>
<button id="zoom-reset" type="button" aria-label="Show the whole network">100 %</button></div>
{network_svg(diagram)}</figure>
{_KEY}
<p class="under">{escape(" ".join(filter(None, [unused, lines, "Every curve has its own scale."])))}</p>
<p class="under help js-only"><kbd>Tab</kbd> enters the network, <kbd>←</kbd> <kbd>→</kbd> <kbd>↑</kbd> <kbd>↓</kbd> go
from edge to edge, <kbd>Enter</kbd> keeps one in the panel, <kbd>Esc</kbd> lets it go. <kbd>+</kbd> <kbd>−</kbd>
<kbd>0</kbd>, pinching, or <kbd>Ctrl</kbd> and the wheel zoom; dragging moves.</p>
</section>
<aside id="panel" class="js-only" aria-label="Edge"></aside>
{_PRUNE}</div>
<h2>Inputs</h2><div class="wide">{inputs_table(rated)}</div>
<p class="under">{_KINDS[diagram.kind]} The line spans 95 % of the bootstrap samples.</p>
{f'<h2>Formulas</h2><div class="wide">{formulas}</div>' if formulas else ""}
<h2>Edges</h2><div class="wide tall" tabindex="0" role="region" aria-label="Edges">{edges_table(diagram)}</div>
<p class="under">Edges are (layer, input node, output node) and nodes (level, node), counted from 0, as in
<code>prune(edges=…, nodes=…)</code>; an output node of a layer with products may be one of their factors.</p></main>
<script type="application/json" id="data">{script_json(payload(diagram, samples))}</script>
<script>{program}</script></body></html>
"""


_PRUNE = """<div class="prune js-only" role="group" aria-labelledby="prune-title">
<h3 id="prune-title">What pruning would keep</h3>
<div class="slide"><svg id="spread" viewBox="0 0 1000 16" preserveAspectRatio="none" aria-hidden="true"></svg>
<input id="threshold" type="range" min="0" max="1000" step="1" value="0" aria-label="Pruning threshold"></div>
<div class="row"><label>threshold <input id="exact" type="number" min="0" step="any" value="0"></label>
<p class="count" id="count" role="status"></p></div><p class="alert" id="alert" role="alert"></p>
<div class="row"><code class="code" id="code"></code><button id="copy" type="button">Copy</button></div></div>"""


def _counted(count: int, name: str) -> str:
    return f"{count:,} {name}{'s' * (count != 1)}"


def _shipped(name: str) -> str:
    return files("edgewise.interpret.report").joinpath(name).read_text(encoding="utf-8")


def _digest(program: str) -> str:
    """What the policy of the page lets run: this program and no other."""
    return f"sha256-{base64.b64encode(hashlib.sha256(program.encode()).digest()).decode()}"
