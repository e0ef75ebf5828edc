"""``edgewise pde``: solve a built-in differential equation, over several seeds."""

from __future__ import annotations

import argparse
import ast
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewise.cli.parsing import INTERRUPTED, NOT_SAVED, Parser, enable_compilation_cache, free_folder
from edgewise.errors import EdgewiseError, check_choice

if TYPE_CHECKING:
    from edgewise.cli.pde_runs import Finished

__all__ = ["add_parser", "run"]

OUT = "edgewise-pde"
MODELS = ("separable", "kan", "chebyshev", "rga")
SAVED = ("problem", "model", "optimizer", "steps", "points", "weighting", "seeds", "seed", "constants")


def add_parser(commands: Any) -> Parser:
    """The parser of the command, among the ``commands`` of argparse."""
    pde = commands.add_parser(
        "pde",
        help="solve a differential equation",
        description="Train a network to satisfy one of the built-in differential equations, with settings that are "
        "known to solve it, and compare it with a reference solution. The solutions and a report are kept in a folder.",
    )
    quiet = argparse.SUPPRESS
    problem = pde.add_argument_group("problem")
    problem.add_argument("problem", nargs="?", default=quiet, help="its name; --list shows them")
    problem.add_argument("--list", action="store_true", default=quiet, help="show the problems, and do no more")
    problem.add_argument("--parameter", metavar="NAME=VALUE", action="append", default=quiet,
                         help="a constant of the problem: w=2; may be given several times")  # fmt: skip
    training = pde.add_argument_group("training")
    training.add_argument("--model", metavar="NAME", default=quiet,
                          help="separable, kan, chebyshev or rga (default: separable where the problem has settings of "
                          "its own or is an ordinary differential equation, otherwise kan)")  # fmt: skip
    training.add_argument("--optimizer", metavar="NAME:RATE", default=quiet,
                          help="default: levenberg_marquardt; adam:1e-3 for rga")  # fmt: skip
    training.add_argument("--steps", type=int, metavar="N", default=quiet, help="steps of the optimizer")
    training.add_argument("--points", type=int, metavar="N", default=quiet, help="points of the equation")
    training.add_argument("--weighting", metavar="NAMES", default=quiet,
                          help="rba, causal, gradient_norm, ntk, variational, or several with +")  # fmt: skip
    training.add_argument("--seeds", type=int, metavar="N", default=quiet, help="how many seeds (default: 5)")
    training.add_argument("--seed", type=int, metavar="N", default=quiet, help="the first of them (default: 0)")
    output = pde.add_argument_group("output")
    output.add_argument("--out", metavar="DIR", default=quiet,
                        help=f"folder for the result (default: {OUT}, or {OUT}-2, ... where that exists)")  # fmt: skip
    output.add_argument("--force", action="store_true", default=quiet, help="overwrite a result in --out")
    output.add_argument("--resume", action="store_true", default=quiet, help="go on with the result in --out")
    output.add_argument("--json", action="store_true", default=quiet, help="print the results as JSON, and only that")
    output.add_argument("--quiet", action="store_true", default=quiet, help="no progress and no table")
    return pde


def run(arguments: argparse.Namespace) -> int:
    """Solve the problem for every seed and write what was found; returns the exit code."""
    given = vars(arguments)
    if given.get("list"):
        _print_list(as_json=given.get("json", False))
        return 0
    as_json, quiet = given.get("json", False), given.get("quiet", False)
    force, resume = given.get("force", False), given.get("resume", False)
    wanted = _checked(given)
    if force and resume:
        raise EdgewiseError("both --force and --resume were given.", do="give one of them.")
    out = Path(given["out"]) if "out" in given else Path(OUT) if resume else free_folder(OUT)
    enable_compilation_cache()
    from edgewise.cli.pde_runs import resolved_settings, solve_all

    settings = resolved_settings(wanted, out, force=force, resume=resume)
    finished = solve_all(settings, out, resume=resume, show=not (as_json or quiet))
    _show(finished, as_json=as_json, quiet=quiet)
    return INTERRUPTED if finished.interrupted else 0 if not finished.trouble else NOT_SAVED


def _checked(given: dict[str, Any]) -> dict[str, Any]:
    """What was asked for, checked as far as it can be without importing anything heavy."""
    from edgewise.cli.pde_list import catalogue

    names = [entry.name for entry in catalogue()]
    if "problem" in given:
        check_choice("problem", given["problem"], names)
    elif not given.get("resume"):
        raise EdgewiseError(
            "no problem was named.", do="name one: edgewise pde burgers; edgewise pde --list shows all."
        )
    if "model" in given:
        check_choice("model", given["model"], MODELS)
    wanted = {name: given[name] for name in SAVED if name in given}
    if "weighting" in given:
        wanted["weighting"] = [word.strip() for word in given["weighting"].split("+") if word.strip()]
    if "parameter" in given:
        wanted["constants"] = dict(_constant(text) for text in given["parameter"])
    return wanted


def _constant(text: str) -> tuple[str, Any]:
    """``NAME=VALUE``: a number, several with commas, or a word."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip() or not value.strip():
        raise EdgewiseError(f"--parameter {text!r} is no NAME=VALUE.", do="write say --parameter w=2.")
    try:
        found = ast.literal_eval(value.strip())
    except (ValueError, SyntaxError):
        found = value.strip()
    return name.strip(), list(found) if isinstance(found, tuple) else found


def _print_list(*, as_json: bool) -> None:
    from dataclasses import asdict

    from edgewise.cli.pde_list import catalogue

    entries = catalogue()
    if as_json:
        print(json.dumps([asdict(entry) for entry in entries], indent=1))
        return
    _print_table(["problem", "equation", "reference"], [[e.name, e.equation, e.reference] for e in entries], left=3)


def _print_table(headings: list[str], cells: list[list[str]], left: int = 1) -> None:
    """A table, the first columns from the left; one row a line where the output is no terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1))
    for number, heading in enumerate(headings):
        flush = "left" if number < left else "right"
        table.add_column(heading, justify=flush, no_wrap=number == 0, overflow="fold")
    for row in cells:
        table.add_row(*row)
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=10_000)
        for column in table.columns:
            column.no_wrap = True
    with console.capture() as capture:
        console.print(table)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()))


def _show(finished: Finished, *, as_json: bool, quiet: bool) -> None:
    from edgewise.physics.report import headline, table_columns, unknown_columns

    if as_json:
        print(json.dumps(finished.results, indent=1))
    elif not quiet:
        _print_table(*table_columns(finished.rows))
        headings, cells = unknown_columns(finished.rows)
        if cells:
            print()
            _print_table(headings, cells)
        print(f"\n{headline(finished.rows)}")
        for note in finished.notes:
            print(f"Note: {note}")
    stream = sys.stderr if as_json else sys.stdout
    if finished.interrupted:
        again = shlex.join(["edgewise", "pde", "--resume", "--out", str(finished.folder)])
        print(f"Interrupted. Go on with:\n  {again}", file=stream)
    if finished.trouble:
        print(f"Not everything could be written to {finished.folder}: {finished.trouble}", file=sys.stderr)
    else:
        print(f"Result: {finished.folder}  Report: {finished.folder / 'report.html'}", file=stream)
