"""The report of a run: one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from edgewise.cli.summary import penalty_text, score_rows, sentence, steps_text
from edgewise.study.report import STYLE, _facts, _table

__all__ = ["html_page"]

# Beside the study's look: pictures stay at their own size.
OWN_STYLE = """figure svg { width: auto; max-width: 100%; display: block; }
.wide + .under { margin-top: .6rem; }
"""
MOST_FEATURES = 40

GLOSSARY = {
    "regression": "R2 is 1 for perfect predictions and 0 for those no better than the mean; RMSE (root mean square "
    "error) and MAE (mean absolute error) are in the unit of the target. The baseline always predicts the mean of the "
    "training rows.",
    "classification": "Balanced accuracy is the mean over the classes of the share of their rows classified rightly; "
    "log loss is the mean of -log p(true class). The baseline looks at no feature: it names the frequencies of the "
    "classes in the training rows.",
}


def html_page(metrics: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """The report as one HTML page; ``pictures`` are SVG elements by caption."""
    settings, rows, features = metrics["settings"], metrics["rows"], metrics["features"]
    title = f"{', '.join(metrics['targets'])} from {settings['data']}"
    headings, cells = score_rows(metrics)
    facts = {
        "rows": f"{rows['training']} to train on, {rows['test']} to test on",
        "features": f"{len(features)}: {', '.join(features[:MOST_FEATURES])}"
        + (", ..." if len(features) > MOST_FEATURES else ""),
        "training": steps_text(metrics),
        "time": f"{metrics['seconds']:.1f} s",
    }
    if metrics["classes"]:
        facts["classes"] = ", ".join(metrics["classes"])
    shown = {name: (", ".join(map(str, v)) or None) if isinstance(v, list) else v for name, v in settings.items()}
    words = penalty_text(metrics)
    told = {"Loss while training": f"<p class='under'>{escape(words)}</p>"} if words else {}
    figures = "".join(
        f"<h2>{escape(caption)}</h2><figure role='img' aria-label='{escape(caption)}'>{svg}</figure>"
        + told.get(caption, "")
        for caption, svg in pictures.items()
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in metrics["notes"])
    interrupted = metrics["stop"] == "interrupted"
    verdict = "verdict interrupted" if interrupted else "verdict"
    stopped = f"Interrupted after {metrics['steps']} steps. " if interrupted else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>edgewise fit: {escape(title)}</title><style>{STYLE}{OWN_STYLE}</style></head><body>
<h1>{escape(title)}</h1>
<p class="under">{escape(headline(metrics))}</p>
<p class="{verdict}">{escape(stopped + sentence(metrics))}</p>
<div class="wide">{_table(headings, cells, best="test")}</div>
<p class="under">{GLOSSARY[metrics["task"]]}</p>
{f"<ul>{notes}</ul>" if notes else ""}{figures}
<h2>Repeat it</h2><pre>{escape(metrics["command"])}</pre>
<p class="under">Or with every default as it is now, from the file beside this page:
<code>edgewise fit --config settings.toml</code></p>
<h2>Run</h2>{_facts(facts)}
<h2>Settings</h2>{_facts(shown)}
<h2>Versions</h2>{_facts(metrics["versions"])}
</body></html>
"""


def headline(metrics: Mapping[str, Any]) -> str:
    """Network, optimizer and steps in one line."""
    settings = metrics["settings"]
    outputs = len(metrics["classes"]) or len(metrics["targets"])
    widths = [len(metrics["features"]), *settings.get("widths", ()), outputs]
    words = [metrics["task"], f"[{', '.join(map(str, widths))}] {settings.get('basis', '')}".strip()]
    words += [str(settings["optimizer"])] if "optimizer" in settings else []
    return " · ".join([*words, steps_text(metrics)])
