"""The report of a study: results.json, one self-contained HTML page, and the plots as PNG and SVG files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

from edgewise._figures import figure_bytes, inline_svg
from edgewise._files import write_whole
from edgewise._pages import page_style
from edgewise.errors import EdgewiseError, MissingExtraError, unwritable
from edgewise.study.comparison import Comparison

__all__ = ["REPORT", "RESULTS", "prepare_folder", "write_report"]

RESULTS, REPORT = "results.json", "report.html"

CAPTIONS = {
    "loss": "Training loss",
    "scores": "Test scores over the seeds",
    "fit": "Fit against truth on the test rows",
}

STYLE = page_style("""
table { width: 100%; font-size: .86rem; }
th, td { padding: .38rem .45rem; }
th { vertical-align: bottom; }
td { white-space: nowrap; }
th:first-child, td:first-child, .plain td, .plain th { text-align: left; }
.plain td { white-space: normal; overflow-wrap: anywhere; }
.plain th { width: 11rem; vertical-align: top; }
tr.best td { font-weight: 700; }
figure svg { width: 100%; }
@media (prefers-color-scheme: dark) { figure svg { filter: brightness(1.2); } }
pre { font-size: .88rem; }
ul { padding-left: 1.2rem; }
""")

GLOSSARY = (
    "Rows are in order of the median. A gain is what the scheme predicts before training: the variance of the output "
    "over that of the input (forward), and of the gradient at the input over that at the output (backward), as the "
    "product over the layers; far from 1 means signals or gradients vanish or blow up. p is the corrected p-value of "
    "the paired test against the best scheme; below 0.05 the scheme is worse."
)


def prepare_folder(out: Path, *, force: bool = False) -> Path:
    """Make the folder ``out``, so that what stands in the way of writing shows before training.

    Raises:
        EdgewiseError: ``out`` is a file, holds something already and ``force`` is not set, or cannot be made.
    """
    if out.is_dir() and any(out.iterdir()) and not force:
        raise EdgewiseError(
            f"the folder {str(out)!r} exists and is not empty.",
            "an earlier study would be overwritten.",
            "choose another --out, or overwrite it with --force (in Python: force=True).",
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise unwritable(out, error) from error
    return out


def write_report(result: Comparison, out: Path, *, force: bool = False) -> Comparison:
    """Write results.json, then report.html and the plots, to the folder ``out``; returns ``result`` with ``out`` set.

    Each file appears whole or not at all.  Without matplotlib the page has no plots, and a note says how to get them.

    Raises:
        EdgewiseError: as for :func:`prepare_folder`.
    """
    prepare_folder(out, force=force)
    result = replace(result, out=out)
    try:
        write_whole(out / RESULTS, result.to_json().encode())
        try:
            from edgewise.study.plots import figures

            drawn = figures(result)
            pictures = {name: figure_bytes(figure, "svg") for name, figure in drawn.items()}
        except MissingExtraError as error:
            result = result.with_note(f"no plots were made: {error.what} {error.do}")
            write_whole(out / RESULTS, result.to_json().encode())
            write_whole(out / REPORT, html_page(result, {}).encode())
            return result
        write_whole(out / REPORT, html_page(result, {name: inline_svg(svg) for name, svg in pictures.items()}).encode())
        for name, figure in drawn.items():
            write_whole(out / f"{name}.svg", pictures[name])
            write_whole(out / f"{name}.png", figure_bytes(figure, "png"))
    except OSError as error:
        raise unwritable(out, error) from error
    return result


def html_page(result: Comparison, pictures: dict[str, str]) -> str:
    """The report as one HTML page; ``pictures`` are SVG elements by figure name."""
    settings = result.settings
    facts = {
        "runs": f"{len(result.names)} schemes x {len(result.seeds)} seeds = {result.scores.size} networks",
        "epochs done": f"{result.completed} of {settings['epochs']}" + (" (interrupted)" if result.interrupted else ""),
        "time": f"{result.seconds:.1f} s for all runs, {result.compile_seconds:.1f} s of it to compile",
    }
    shown = {name: value for name, value in settings.items() if name not in ("schemes", "seeds")}
    gains = [
        [row.scheme, *(f"{forward:.3g} / {backward:.3g}" for forward, backward in row.gains)] for row in result.rows
    ]
    layers = [f"layer {i + 1}" for i in range(len(result.gains[0]))]
    figures = "".join(
        f"<h2>{CAPTIONS[name]}</h2><figure role='img' aria-label='{CAPTIONS[name]}'>{svg}</figure>"
        for name, svg in pictures.items()
    )
    notes = f"<ul>{''.join(f'<li>{escape(note)}</li>' for note in result.notes)}</ul>" if result.notes else ""
    verdict = "verdict interrupted" if result.interrupted else "verdict"
    stopped = f"Interrupted at epoch {result.completed} of {settings['epochs']}. " if result.interrupted else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>edgewise study: {escape(result.task.name)}</title><style>{STYLE}</style></head><body>
<h1>Initialization schemes compared: {escape(result.task.name)}</h1>
<p class="under">{escape(result.headline)}</p>
<p class="{verdict}">{escape(stopped + result.verdict.text)}</p>
<div class="wide">{_table(result.columns(), result.cells(), best=result.verdict.best)}</div>
<p class="under">{GLOSSARY}</p>
{notes}{figures}
<h2>Predicted gain of each layer, forward / backward</h2>
<div class="wide">{_table(["scheme", *layers], gains, best=result.verdict.best)}</div>
<h2>Repeat it</h2><pre>{escape(result.command)}</pre>
<h2>Settings</h2>{_facts(facts | shown)}
<h2>Schemes</h2>{_facts(settings["schemes"])}
<h2>Versions</h2>{_facts(result.versions)}
</body></html>
"""


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]], best: str | None) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = []
    for row in rows:
        cells = list(row)
        mark = " class='best'" if cells[0] == best else ""
        body.append(f"<tr{mark}>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _facts(facts: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><th>{escape(str(name))}</th><td>{escape(_spoken(value))}</td></tr>" for name, value in facts.items()
    )
    return f"<table class='plain'><tbody>{rows}</tbody></table>"


def _spoken(value: object) -> str:
    return {None: "none", True: "yes", False: "no"}[value] if value is None or isinstance(value, bool) else str(value)
