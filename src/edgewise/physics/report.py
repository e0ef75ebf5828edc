"""The report of solutions of one problem: a self-contained HTML page."""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from math import isfinite, nan
from pathlib import Path
from typing import Any

import numpy as np

from edgewise._files import write_whole
from edgewise._pages import page_style
from edgewise.errors import EdgewiseError, MissingExtraError, ShapeError, unwritable
from edgewise.physics.problems import PROBLEMS
from edgewise.physics.solution import Solution
from edgewise.training.settings import described

__all__ = ["REPORT", "headline", "median_run", "summary_rows", "table_columns", "unknown_columns", "write_report"]

REPORT = "report.html"

_STYLE = page_style("""
body { max-width: 76rem; }
.wide + .under { margin-top: .6rem; }
table { font-size: .9rem; }
th, td { padding: .38rem .9rem; white-space: nowrap; }
th:first-child, td:first-child, .plain td, .plain th { text-align: left; padding-left: .2rem; }
.plain { width: 100%; }
.plain td { white-space: normal; overflow-wrap: anywhere; }
.plain th { width: 11rem; vertical-align: top; }
tr.median td { font-weight: 700; }
figure svg { max-width: 100%; display: block; }
.maps svg { min-width: 46rem; }
pre { font-size: .86rem; }
pre, code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
""")

_MAPS = "The solution, its error and the residual"
_TRAINING = "Loss while training"


def write_report(
    solutions: Sequence[Solution],
    folder: str | Path,
    *,
    seeds: Sequence[int] | None = None,
    rows: Sequence[Mapping[str, Any]] | None = None,
    settings: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> Path:
    """Write report.html about solutions of one problem, of several seeds: their table, and pictures of the median one.

    The page needs nothing else and asks no network for anything; it appears whole or not at all.  Without matplotlib it
    has no pictures, and says how to get them.

    Args:
        solutions: at least one, of the same problem.
        folder: is made where it is not there.
        seeds: of the solutions; 0, 1, ... where None.
        rows: what :func:`summary_rows` gave for them, where that is known already.
        settings: to list besides what the solutions say themselves.
        notes: to show above the pictures.

    Returns the path of the page.

    Raises:
        EdgewiseError: for no solutions, those of different problems, a folder that cannot be written to.
    """
    solutions = list(solutions)
    names = {solution.problem.name for solution in solutions}
    if len(names) != 1:
        found = f"solutions of {', '.join(sorted(names))}" if names else "no solutions"
        raise EdgewiseError(f"a report of {found}.", "it is about one problem.", "pass solutions of the same problem.")
    rows = summary_rows(solutions, seeds) if rows is None else list(rows)
    target, notes = Path(folder) / REPORT, list(notes)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        chosen = solutions[median_run(rows)]
        try:
            pictures = _pictures(chosen)
        except MissingExtraError as error:
            pictures, notes = {}, [*notes, f"no pictures were made: {error.what} {error.do}"]
        write_whole(target, _page(chosen, rows, pictures, settings or {}, notes).encode())
    except OSError as error:
        raise unwritable(Path(folder), error, "choose another folder.") from error
    return target


def summary_rows(solutions: Sequence[Solution], seeds: Sequence[int] | None = None) -> list[dict[str, Any]]:
    """What each solution reached and cost.

    Returns, for each, ``seed``, ``relative_l2`` (None without a reference, and where training was interrupted in a
    window of time before the last), ``parameters`` (how many were trained), ``steps``, ``seconds``, ``stop`` (why
    training ended) and ``unknown``: for each unknown parameter its ``value``, the ends ``low`` and ``high`` of its 95 %
    interval, None where no data tell it, and its ``truth``, None where unknown.

    Raises:
        ShapeError: for another number of seeds.
    """
    seeds = range(len(solutions)) if seeds is None else seeds
    if len(seeds) != len(solutions):
        raise ShapeError(f"{len(seeds)} seeds of {len(solutions)} solutions.", do="pass one for each.")
    return [_row(solution, int(seed)) for solution, seed in zip(solutions, seeds, strict=True)]


def _row(solution: Solution, seed: int) -> dict[str, Any]:
    unknown = {}
    for name, estimate in solution.parameters.items():
        low, high = (end if isfinite(end) else None for end in estimate.interval)
        truth = solution.problem.truth.get(name)
        unknown[name] = {"value": estimate.value, "low": low, "high": high, "truth": truth}
    return {
        "seed": seed,
        "relative_l2": solution.error() if solution.problem.reference is not None and solution.complete else None,
        "parameters": solution.n_parameters,
        "steps": solution.steps,
        "seconds": solution.seconds,
        "stop": solution.windows[-1].result.reason,
        "unknown": unknown,
    }


def median_run(rows: Sequence[Mapping[str, Any]]) -> int:
    """The number of the run with the median error: the lower one of two; the first where no errors are known."""
    errors = np.asarray([nan if row["relative_l2"] is None else row["relative_l2"] for row in rows], float)
    count = int(np.isfinite(errors).sum())
    return int(np.argsort(errors, kind="stable")[(count - 1) // 2]) if count else 0


def headline(rows: Sequence[Mapping[str, Any]]) -> str:
    """The relative L2 error of all runs in one line: median, and spread."""
    errors = [row["relative_l2"] for row in rows if row["relative_l2"] is not None]
    if not errors and any(row["stop"] == "interrupted" for row in rows):
        return "Training was interrupted before there was an error to tell."
    if not errors:
        return "There is no reference solution to compare with."
    if len(errors) == 1:
        return f"Relative L2 error {errors[0]:.2e} (one seed)."
    spread = f"{min(errors):.2e} to {max(errors):.2e}"
    return f"Relative L2 error: median {np.median(errors):.2e}, from {spread}, over {len(errors)} seeds."


def table_columns(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Headings and cells of the table of runs."""
    cells = []
    for row in rows:
        error = "-" if row["relative_l2"] is None else f"{row['relative_l2']:.2e}"
        steps = f"{row['steps']:,}" + ("" if row["stop"] == "completed" else f" ({row['stop']})")
        cells.append([str(row["seed"]), error, f"{row['parameters']:,}", steps, f"{row['seconds']:.1f} s"])
    return ["seed", "relative L2", "parameters", "steps", "time"], cells


def unknown_columns(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Headings and cells of the table of unknown parameters; no cells where there are none."""
    cells = []
    for row in rows:
        for name, found in row["unknown"].items():
            known = found["low"] is not None
            interval = f"{found['low']:.7g} to {found['high']:.7g}" if known else "-"
            truth = found["truth"]
            off = "-" if not truth else f"{abs(found['value'] / truth - 1):.1e}"
            cells.append([
                name, str(row["seed"]), f"{found['value']:.7g}", interval, "-" if truth is None else f"{truth:.7g}", off
            ])  # fmt: skip
    return ["parameter", "seed", "found", "95 % interval", "truth", "relative error"], cells


def _pictures(solution: Solution) -> dict[str, str]:
    from edgewise.physics.plots import figure_svg, plot_solution, plot_training

    return {_MAPS: figure_svg(plot_solution(solution)), _TRAINING: figure_svg(plot_training(solution))}


def _page(
    solution: Solution, rows: Sequence[Mapping[str, Any]], pictures: Mapping[str, str], settings: Mapping, notes: list
) -> str:
    problem, median = solution.problem, rows[median_run(rows)]
    equation, about = _statement(problem)
    code = "" if about else _program(problem)
    headings, cells = table_columns(rows)
    unknown = unknown_columns(rows)
    many = len(rows) > 1
    of = f" (seed {median['seed']}, the median)" if many else ""
    figures = "".join(
        f"<h2>{escape(caption + of)}</h2>"
        + _wide(
            f"<figure role='img' aria-label='{escape(_in_words(caption, problem))}'"
            f"{' class=maps' * (caption == _MAPS)}>{svg}</figure>",
            caption,
        )
        for caption, svg in pictures.items()
    )
    listed = "".join(f"<li>{escape(note)}</li>" for note in notes)
    interrupted = any(row["stop"] == "interrupted" for row in rows)
    accuracy = "" if problem.reference is None else _accuracy(solution.reference.accuracy)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>edgewise pde: {escape(problem.name)}</title><style>{_STYLE}</style></head><body><main>
<h1>{escape(problem.name)}</h1>
<p class="under">{escape(equation)}</p>
<p class="verdict{" interrupted" * interrupted}">{escape(headline(rows) + accuracy)}</p>
{_wide(_table(headings, cells, median_run(rows) if many else None), "Runs")}
<p class="under">Parameters are trained numbers; time is wall time, compilation included.</p>
{f"<h2>Unknown parameters</h2>{_wide(_table(*unknown, None), 'Unknown parameters')}" if unknown[1] else ""}
{f"<ul>{listed}</ul>" if listed else ""}{figures}
<h2>Problem</h2>{f"<pre>{escape(about)}</pre>" if about else ""}
{_facts({"source": problem.source} if problem.source and not about else {})}
{f'<p class="under">The equation as it is programmed:</p><pre>{escape(code)}</pre>' if code else ""}
<h2>Settings</h2>{_facts(dict(settings) | _facts_of(solution))}
</main></body></html>
"""


def _wide(content: str, label: str) -> str:
    """What scrolls by itself where the window is narrow, by keys too."""
    return f'<div class="wide" tabindex="0" role="region" aria-label="{escape(label)}">{content}</div>'


def _in_words(caption: str, problem: Any) -> str:
    """What a reader who does not see the picture is told."""
    if caption == _TRAINING:
        return f"{caption}: the loss over the steps, on a logarithmic axis"
    kind = "curves" if problem.domain.dim == 1 else "maps"
    return f"{caption}: {kind} over {', '.join(problem.domain.names)}; errors on logarithmic scales"


def _accuracy(accuracy: float) -> str:
    return f" The reference itself is accurate to {accuracy:.0e}." if accuracy else " The reference is exact."


def _statement(problem: Any) -> tuple[str, str]:
    """The equation in one line and what is said of the problem, where it is built in."""
    module = getattr(problem.residual, "__module__", "")
    if problem.name not in PROBLEMS or not module.startswith("edgewise.physics.problems"):
        return str(problem.domain), ""
    text = inspect.getdoc(sys.modules[module]) or ""
    builder = PROBLEMS[problem.name]
    about = inspect.getdoc(getattr(builder, "func", builder)) or ""
    lines = [line for line in text.splitlines() if "=" in line]
    return (lines[0].rpartition(": ")[2] if lines else str(problem.domain)), _plain(f"{text}\n\n{about}")


def _plain(text: str) -> str:
    return text.replace(":func:", "").replace("`", "")


def _program(problem: Any) -> str:
    try:
        return textwrap.dedent(inspect.getsource(problem.residual))
    except (OSError, TypeError):
        return ""


def _facts_of(solution: Solution) -> dict[str, Any]:
    problem, window = solution.problem, solution.windows[-1]
    trial, loss = window.trial, window.loss
    points = {name: f"{trial.of(name)['x'].shape[0]:,}" for name in loss.terms}
    facts: dict[str, Any] = {
        "domain": str(problem.domain),
        "network": described(solution.model),
        "built in": ", ".join(condition.name for condition in trial.ansatz.hard) or "nothing",
        "points": ", ".join(f"{name}: {count}" for name, count in points.items()),
    }
    if loss.weightings:
        facts["weights"] = ", ".join(map(str, loss.weightings))
    if loss.resampling is not None:
        facts["resampling"] = str(loss.resampling)
    if len(solution.windows) > 1:
        facts["windows of time"] = len(solution.windows)
    return facts


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]], marked: int | None) -> str:
    head = "".join(f"<th scope='col'>{escape(column)}</th>" for column in columns)
    body = [
        f"<tr{' class=median' * (number == marked)}>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>"
        for number, row in enumerate(rows)
    ]
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _facts(facts: Mapping[str, Any]) -> str:
    if not facts:
        return ""
    rows = "".join(
        f"<tr><th scope='row'>{escape(str(name))}</th><td>{escape(str(value))}</td></tr>"
        for name, value in facts.items()
    )
    return f"<table class='plain'><tbody>{rows}</tbody></table>"
