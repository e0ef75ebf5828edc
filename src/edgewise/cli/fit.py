"""``edgewise fit``: train a network on a table."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewise.cli.folder import CHECKPOINT, REPORT, SETTINGS
from edgewise.cli.parsing import INTERRUPTED, NOT_SAVED, Parser, enable_compilation_cache, free_folder
from edgewise.cli.settings import HANDLING, KINDS, OPTIONS, OUT, Settings, config_values, settings_of
from edgewise.errors import EdgewiseError

if TYPE_CHECKING:
    from edgewise.cli.runs import Run

__all__ = ["add_parser", "command_line", "resolve_settings", "run"]


def add_parser(commands: Any) -> Parser:
    """The parser of the command, among the ``commands`` of argparse."""
    fit = commands.add_parser(
        "fit",
        help="train a network on a table",
        description="Train a network to predict columns of a table from the others. The run, with the model, its test "
        "scores and a report, is kept in a folder, for 'edgewise predict' and 'edgewise show'.",
    )
    groups = {name: fit.add_argument_group(name) for name in ("data", "network", "training", "output")}
    for option in OPTIONS:
        kind: dict[str, Any] = {"action": "store_true"} if option.kind == "flag" else {
            "type": KINDS[option.kind].from_text, "metavar": option.metavar,
        }  # fmt: skip
        name = {"nargs": "?"} if option.name == "data" else {"dest": option.name}
        flag = option.name if option.name == "data" else f"--{option.name}"
        groups[option.group].add_argument(flag, help=option.help, default=argparse.SUPPRESS, **name, **kind)
    groups["output"].add_argument(
        "--config", metavar="FILE", help="TOML file with any of these options; the command line goes first"
    )
    return fit


def run(arguments: argparse.Namespace) -> int:
    """Train, and write the run; returns the exit code."""
    given = {option.name: vars(arguments)[option.name] for option in OPTIONS if option.name in vars(arguments)}
    settings = resolve_settings(given, arguments.config)
    folder = Path(settings.out) if settings.out else free_folder(OUT)
    enable_compilation_cache()
    from edgewise.cli.runs import train

    try:
        finished = train(settings, folder, command_line(settings))
    except KeyboardInterrupt:
        if not (folder / CHECKPOINT).exists():
            raise
        print(f"interrupted; go on with:\n  {_resume_command(folder)}", file=sys.stderr)
        return INTERRUPTED
    _show(finished, settings)
    return INTERRUPTED if finished.interrupted else 0 if not finished.problem else NOT_SAVED


def resolve_settings(given: Mapping[str, Any], config: str | None) -> Settings:
    """The settings of ``given`` options by name, over those of the TOML file ``config``, over the defaults.

    With ``resume`` the settings of the run in ``out`` are the defaults, and nothing but the steps may differ from them.

    Raises:
        EdgewiseError: a bad file, key or value; nothing to resume.
    """
    values = config_values(Path(config)) if config else {}
    for name, instead in (("steps", "schedule"), ("schedule", "steps")):
        if name in given:  # each says how long training is, and the command line goes first
            values.pop(instead, None)
    values |= given
    if not values.get("resume"):
        return settings_of(values)
    out = Path(values.get("out", OUT))
    missing = [name for name in (SETTINGS, CHECKPOINT) if not (out / name).exists()]
    if missing:
        raise EdgewiseError(
            f"there is no run in {str(out)!r} to go on with.",
            f"it has no {missing[0]}.",
            "name the folder of a run with --out, or leave --resume out.",
        )
    saved = config_values(out / SETTINGS)
    free = (*HANDLING, "steps")
    for name in values:
        if name not in free and values[name] != saved.get(name):
            raise EdgewiseError(
                f"{name} is {values[name]!r}, but the run in {str(out)!r} has {saved.get(name)!r}.",
                "a run that is resumed goes on as it was; only --steps may be more.",
                "leave the option out, or start a new run with --out or --force.",
            )
    return settings_of(saved | values | {"out": str(out)})


def command_line(settings: Settings) -> str:
    """The command that repeats a run, of what was set; by its file where a column has a comma in its name."""
    if any("," in name for name in (*settings.target, *settings.categorical, *settings.ignore)):
        return f"edgewise fit --config {SETTINGS}"
    standard = Settings()
    words = ["edgewise", "fit", settings.data or ""]
    for option in OPTIONS:
        value = getattr(settings, option.field)
        if option.name not in ("data", *HANDLING) and value != getattr(standard, option.field):
            between = "+" if option.kind == "phases" else ","
            text = between.join(map(str, value)) if isinstance(value, tuple) else str(value)
            words += [f"--{option.name}={text}"] if text.startswith("-") else [f"--{option.name}", text]
    return shlex.join(words)


def _show(finished: Run, settings: Settings) -> None:
    from edgewise.cli.summary import metrics_table, sentence

    if settings.json:
        print(finished.metrics_json())
    elif not settings.quiet:
        print("\n".join([metrics_table(finished.metrics), "", sentence(finished.metrics)]))
        for note in finished.metrics["notes"]:
            print(f"Note: {note}")
    stream = sys.stderr if settings.json else sys.stdout
    if finished.interrupted:
        steps = finished.metrics["steps"]
        print(f"Interrupted after {steps} steps; the model is kept as it was then. Go on with:", file=stream)
        print(f"  {_resume_command(finished.folder)}", file=stream)
    if finished.problem:
        print(f"Not everything could be written to {finished.folder}: {finished.problem}", file=sys.stderr)
    else:
        print(f"Run: {finished.folder}  Report: {finished.folder / REPORT}", file=stream)


def _resume_command(folder: Path) -> str:
    return shlex.join(["edgewise", "fit", "--resume", "--out", str(folder)])
