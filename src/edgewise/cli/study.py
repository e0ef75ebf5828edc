"""``edgewise study``: initialization schemes compared on one task, over many seeds."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewise.cli.parsing import INTERRUPTED, NOT_SAVED, Parser, enable_compilation_cache, free_folder
from edgewise.errors import EdgewiseError

if TYPE_CHECKING:
    from edgewise.study import Comparison

__all__ = ["add_parser", "run"]

OUT = "edgewise-study"


def add_parser(commands: Any) -> Parser:
    """The parser of the command, among the ``commands`` of argparse."""
    study = commands.add_parser(
        "study",
        help="compare initialization schemes on one task, over many seeds",
        description="Train one network under every initialization scheme, over many seeds, and show which scheme wins. "
        "Without data it runs the published experiment, x^2 + 2 exp(y), and shows the published numbers beside its "
        "own.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    _add_options(study)
    return study


def _add_options(study: argparse.ArgumentParser) -> None:
    quiet = argparse.SUPPRESS
    data = study.add_argument_group("data")
    data.add_argument("csv", nargs="?", default=quiet, help="CSV file with a header and numeric columns")
    data.add_argument("--data", metavar="NAME", default=quiet,
                      help="named data: diabetes, breast_cancer, digits, iris, wine, published, f1 ... f5")  # fmt: skip
    data.add_argument("--target", metavar="COLUMN", default=quiet, help="column of the file to predict")
    data.add_argument("--task", default=quiet, metavar="KIND",
                      help="regression or classification (default: classification if the target is text)")  # fmt: skip
    network = study.add_argument_group("network")
    network.add_argument("--basis", default="chebyshev:5", help="family and size")
    network.add_argument("--widths", default="6,6", metavar="N,N", help="widths of the hidden layers")
    network.add_argument("--residual", default="none", metavar="NAME", help="residual function, such as silu")
    network.add_argument("--no-bias", action="store_true", default=quiet, help="layers without a bias")
    runs = study.add_argument_group("runs")
    runs.add_argument("--schemes", default="all", metavar="NAMES", help="all, published, or names with commas")
    runs.add_argument("--seeds", default=16, type=int, metavar="N", help="how many seeds")
    runs.add_argument("--epochs", default=2000, type=int, metavar="N", help="full-batch steps")
    runs.add_argument("--optimizer", default="adam:1e-3", metavar="NAME:RATE", help="optimizer and learning rate")
    runs.add_argument("--devices", type=int, metavar="N", default=quiet, help="split the runs over N devices")
    output = study.add_argument_group("output")
    output.add_argument("--out", metavar="DIR", default=quiet,
                        help=f"folder for the report (default: {OUT}, or {OUT}-2, ... where that exists)")  # fmt: skip
    output.add_argument("--force", action="store_true", default=quiet, help="overwrite a study in --out")
    output.add_argument("--json", action="store_true", default=quiet, help="print the results as JSON, and only that")
    output.add_argument("--quiet", action="store_true", default=quiet, help="no progress and no table")


def run(arguments: argparse.Namespace) -> int:
    """Run the study; returns the exit code."""
    given = vars(arguments)
    if "csv" in given and "data" in given:
        raise EdgewiseError("both a file and --data were given.", do="give one of them.")
    as_json, quiet = given.get("json", False), given.get("quiet", False)
    out = Path(given["out"]) if "out" in given else free_folder(OUT)
    from edgewise.study.tasks import resolve_task

    enable_compilation_cache()
    _use_all_cores()
    task = resolve_task(given.get("csv", given.get("data")), target=given.get("target"), task=given.get("task"))
    from edgewise.study.experiment import compare

    comparison = compare(
        task,
        basis=arguments.basis,
        widths=_widths(arguments.widths),
        schemes=arguments.schemes,
        seeds=arguments.seeds,
        epochs=arguments.epochs,
        optimizer=arguments.optimizer,
        residual=arguments.residual,
        bias=not given.get("no_bias", False),
        out=out,
        force=given.get("force", False),
        progress=not quiet,
        devices=given.get("devices"),
    )
    _show(comparison, as_json=as_json, quiet=quiet)
    return INTERRUPTED if comparison.interrupted else 0 if comparison.out else NOT_SAVED


def _show(comparison: Comparison, *, as_json: bool, quiet: bool) -> None:
    from rich.console import Console

    where = f"Report: {comparison.out / 'report.html'}" if comparison.out else "No report was written."
    if as_json:
        print(comparison.to_json())
        print(where, file=sys.stderr)
        return
    if not quiet:
        console = Console(highlight=False)
        if console.is_terminal:
            console.print(comparison.table())
            for line in (comparison.verdict.text, *(f"Note: {note}" for note in comparison.notes)):
                console.print(line, markup=False)
        else:
            print(comparison)
    print(where)


def _widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(",") if word.strip())
    except ValueError as error:
        raise EdgewiseError(
            f"--widths {text!r} is no list of whole numbers.",
            do="write the hidden widths with commas, such as --widths 6,6.",
        ) from error


def _use_all_cores() -> None:
    """Make every core a device that trains its share of the runs; a GPU or the user's choice goes first."""
    if "jax" not in sys.modules and "JAX_NUM_CPU_DEVICES" not in os.environ and "XLA_FLAGS" not in os.environ:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        os.environ["JAX_NUM_CPU_DEVICES"] = str(cores)
