"""A run in plain text: its scores, its learning curve, its settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["curve_text", "metrics_table", "penalty_text", "score_text", "sentence", "sparkline", "steps_text"]

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 60


def score_text(value: float | int | None) -> str:
    """A score with four significant digits, large ones whole; what is not a number is a dash."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"


def score_rows(metrics: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headings and cells of the table of scores: a row per target and part of the data."""
    several = len(metrics["targets"]) > 1
    rows = []
    names: list[str] = []
    for target, parts in metrics["scores"].items():
        for part, scores in parts.items():
            names = list(scores)
            rows.append([f"{target}, {part}" if several else part, *map(score_text, scores.values())])
    return ["", *names], rows


def metrics_table(metrics: Mapping[str, Any]) -> str:
    """The scores as aligned columns."""
    headings, rows = score_rows(metrics)
    first, *widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    lines = [
        "  ".join([name.ljust(first), *(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))])
        for name, *cells in [headings, *rows]
    ]
    return "\n".join(line.rstrip() for line in lines)


def steps_text(metrics: Mapping[str, Any]) -> str:
    """How many steps were done, and why no more where that is not for having done them all."""
    reason = "" if metrics["stop"] == "completed" else f" ({metrics['stop']})"
    return f"{metrics['steps']} steps{reason}"


def penalty_text(metrics: Mapping[str, Any]) -> str:
    """Why the loss of training may lie above that of validation; "" where there is no penalty."""
    if not metrics["settings"].get("alpha"):
        return ""
    without = "; that of validation is without" if metrics["curve"]["validation"] else ""
    return f"The loss of training includes the penalty on the size of the coefficients (alpha){without}."


def sentence(metrics: Mapping[str, Any]) -> str:
    """What the scores say, in words."""
    target, *others = metrics["targets"]
    scores = metrics["scores"]
    part = "test" if "test" in scores[target] else "training"
    rows = metrics["rows"][part]
    mine, guess = scores[target][part], scores[target]["baseline"]
    if metrics["task"] == "classification":
        return (
            f"{mine['accuracy']:.1%} of the {rows} {part} rows are classified rightly; always naming the most frequent "
            f"class is right for {guess['accuracy']:.1%}."
        )
    if others:
        shown = [
            f"{score_text(scores[name][part]['RMSE'])} ({score_text(scores[name]['baseline']['RMSE'])}) for {name!r}"
            for name in metrics["targets"]
        ]
        return (
            f"On the {rows} {part} rows the error (root mean square; in brackets that of always predicting the mean) "
            f"is {', '.join(shown)}."
        )
    return (
        f"On the {rows} {part} rows the error of {target!r} is {score_text(mine['RMSE'])} (root mean square); always "
        f"predicting the mean errs by {score_text(guess['RMSE'])}."
    )


def sparkline(values: Sequence[float | int | None], bars: str = BARS, width: int = WIDTH) -> str:
    """Values as a row of bars, on a logarithmic scale where all are above 0; a gap where one is not finite."""
    if len(values) > width:
        values = [values[round(i * (len(values) - 1) / (width - 1))] for i in range(width)]
    finite = [value for value in values if value is not None and math.isfinite(value)]
    if not finite:
        return ""
    scale = math.log if min(finite) > 0 else float
    low, high = scale(min(finite)), scale(max(finite))
    span = (high - low) or 1.0
    heights = [
        None if value is None or not math.isfinite(value) else round((scale(value) - low) / span * (len(bars) - 1))
        for value in values
    ]
    return "".join(" " if height is None else bars[height] for height in heights)


def curve_text(metrics: Mapping[str, Any]) -> str:
    """The learning curve as bars, a line for training and one for validation."""
    lines = []
    for part, points in metrics["curve"].items():
        if points:
            losses = [value for _, value in points]
            lines.append(f"{part:10} {score_text(losses[0]):>9} {sparkline(losses)} {score_text(losses[-1])}")
    return "\n".join(lines)
