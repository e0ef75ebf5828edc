"""The commands: ``edgewise study``.

Nothing heavy is imported before the arguments are read, so that help and mistakes are answered at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from edgewise.errors import EdgewiseError

if TYPE_CHECKING:
    from edgewise.study import Comparison

__all__ = ["main"]

BAD_INPUT, INTERRUPTED, NOT_SAVED = 2, 130, 1
OUT = "edgewise-study"


class Parser(argparse.ArgumentParser):
    """argparse, with the nearest valid option offered for an unknown one."""

    options: tuple[str, ...] = ()

    def error(self, message: str) -> NoReturn:
        """Print ``message`` with a suggestion and leave with the code for bad input."""
        unknown = message.removeprefix("unrecognized arguments: ").split() if message.startswith("unrecognized") else []
        near = [match for word in unknown for match in get_close_matches(word.split("=")[0], self.options, n=1)]
        hint = f"\nDid you mean {near[0]}?" if near else ""
        self.exit(BAD_INPUT, f"error: {message}{hint}\nSee: {self.prog.split()[0]} study --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv`` (``sys.argv`` without the program where ``None``); returns the exit code.

    0: done; 1: done, but the report could not be written; 2: bad input, named on the error stream; 130: interrupted.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help()
        return 0
    try:
        return _study(arguments)
    except EdgewiseError as error:
        _complain(error)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("interrupted before there was anything to report.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has left; a second complaint at exit is of no use.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> Parser:
    parser = Parser(prog="edgewise", description="Kolmogorov-Arnold networks on JAX.")
    parser.add_argument("--version", action=Version, nargs=0, help="print the version and leave")
    commands = parser.add_subparsers(dest="command", metavar="command", parser_class=Parser)
    study = commands.add_parser(
        "study",
        help="compare initialization schemes on one task, over many seeds",
        description="Train one network under every initialization scheme, over many seeds, and show which scheme wins. "
        "Without data it runs the published experiment, x^2 + 2 exp(y), and shows the published numbers beside its "
        "own.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    _study_options(study)
    parser.options = study.options = tuple(option for action in study._actions for option in action.option_strings)
    return parser


def _study_options(study: argparse.ArgumentParser) -> None:
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


class Version(argparse.Action):
    """``--version``, which looks the version up only when asked."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Print the version and leave."""
        from importlib.metadata import PackageNotFoundError, version

        try:
            found = version("edgewise")
        except PackageNotFoundError:
            found = "(not installed as a package)"
        print(f"edgewise {found}")
        parser.exit()


def _study(arguments: argparse.Namespace) -> int:
    given = vars(arguments)
    if "csv" in given and "data" in given:
        raise EdgewiseError("both a file and --data were given.", do="give one of them.")
    as_json, quiet = given.get("json", False), given.get("quiet", False)
    out = Path(given["out"]) if "out" in given else _free_folder()
    residual = None if arguments.residual.lower() == "none" else arguments.residual
    from edgewise.study.tasks import resolve_task

    _enable_compilation_cache()
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
        residual=residual,
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


def _complain(error: EdgewiseError) -> None:
    print(f"error: {error.what}", file=sys.stderr)
    for label, text in (("why", error.why), ("do", error.do)):
        if text:
            print(f"  {label + ':':4} {text}", file=sys.stderr)


def _widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(",") if word.strip())
    except ValueError as error:
        raise EdgewiseError(
            f"--widths {text!r} is no list of whole numbers.",
            do="write the hidden widths with commas, such as --widths 6,6.",
        ) from error


def _free_folder() -> Path:
    """``edgewise-study`` in the current folder, or the first of ``edgewise-study-2``, ``-3``, ... that is not there."""
    number = 1
    while (folder := Path(OUT if number == 1 else f"{OUT}-{number}")).exists():
        number += 1
    return folder


def _use_all_cores() -> None:
    """Make every core a device that trains its share of the runs; a GPU or the user's choice goes first."""
    if "jax" not in sys.modules and "JAX_NUM_CPU_DEVICES" not in os.environ and "XLA_FLAGS" not in os.environ:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        os.environ["JAX_NUM_CPU_DEVICES"] = str(cores)


def _enable_compilation_cache() -> None:
    """Keep compiled programs in the user's cache folder: compiling costs more than a small study.

    ``EDGEWISE_CACHE_DIR`` names another folder, or ``0`` for none; JAX's own setting goes first, and so does that of a
    program that has imported JAX already.  A folder that cannot be written to is passed over, since only time is lost.
    """
    place = os.environ.get("EDGEWISE_CACHE_DIR", "")
    if place == "0" or "jax" in sys.modules or os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    caches = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(place) if place else Path(caches) / "edgewise"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            return
    except OSError:
        return
    # JAX reads these when it is imported, which is later, or never if the input is bad.
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")


if __name__ == "__main__":
    raise SystemExit(main())
