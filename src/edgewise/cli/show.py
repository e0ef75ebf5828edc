"""``edgewise show``: the scores, the learning curve and the settings of a run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from edgewise.cli.folder import METRICS, REPORT, check_run, read_json
from edgewise.cli.parsing import Parser
from edgewise.cli.summary import curve_text, metrics_table, penalty_text, sentence, steps_text
from edgewise.errors import DataError

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> Parser:
    """The parser of the command, among the ``commands`` of argparse."""
    show = commands.add_parser(
        "show",
        help="show the scores, the learning curve and the settings of a run",
        description="Show the scores, the learning curve and the settings of a run that 'edgewise fit' wrote.",
    )
    show.add_argument("run", help="folder of the run")
    show.add_argument("--json", action="store_true", help="print the metrics as JSON, and only that")
    return show


def run(arguments: argparse.Namespace) -> int:
    """Print the run; returns the exit code."""
    folder = Path(arguments.run)
    check_run(folder, METRICS)
    metrics = read_json(folder / METRICS)
    if arguments.json:
        print(json.dumps(metrics, indent=1))
        return 0
    try:
        lines = _lines(metrics)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise DataError(
            f"{str(folder / METRICS)!r} is not as edgewise writes it.",
            f"{type(error).__name__}: {error}.",
            "run 'edgewise fit' again.",
        ) from error
    print("\n".join(lines))
    if (folder / REPORT).exists():
        print(f"\nReport: {folder / REPORT}")
    return 0


def _lines(metrics: dict[str, Any]) -> list[str]:
    settings = metrics["settings"]
    width = max(map(len, settings))
    return [
        f"{', '.join(metrics['targets'])} from {settings['data']}: {metrics['task']}, {steps_text(metrics)}, "
        f"{metrics['seconds']:.1f} s",
        "",
        metrics_table(metrics),
        "",
        sentence(metrics),
        *(f"Note: {note}" for note in metrics["notes"]),
        "",
        "loss",
        curve_text(metrics),
        *filter(None, [penalty_text(metrics)]),
        "",
        *(f"{name:{width}}  {_spoken(value)}" for name, value in settings.items()),
        "",
        f"Repeat: {metrics['command']}",
    ]


def _spoken(value: Any) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)
