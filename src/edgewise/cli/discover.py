"""``edgewise discover``: a formula for a column of a table."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from edgewise.cli.folder import check_folder
from edgewise.cli.parsing import NOT_SAVED, Parser, enable_compilation_cache, free_folder
from edgewise.errors import DataError, EdgewiseError

__all__ = ["add_parser", "run"]

OUT = "edgewise-discover"
FORMULA, TABLE, REPORT = "formula.json", "formula.txt", "report.html"


def add_parser(commands: Any) -> Parser:
    """The parser of the command, among the ``commands`` of argparse."""
    discover = commands.add_parser(
        "discover",
        help="find a formula for a column of a table",
        description="Fit networks to a table, prune and refine them, and read the formula of one column in the others. "
        "The candidates and an interactive report are kept in a folder.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    quiet = argparse.SUPPRESS
    data = discover.add_argument_group("data")
    data.add_argument("data", help="CSV, Parquet or NPZ file of numbers")
    data.add_argument("--target", metavar="COLUMN", required=True, default=quiet, help="the column to explain")
    data.add_argument("--ignore", metavar="COLUMNS", default=quiet, help="columns to leave out, with commas")
    search = discover.add_argument_group("search")
    search.add_argument("--forms", metavar="NAMES", default=quiet,
                        help="functions to choose from, with commas: x,x^2,sin,exp (default: all)")  # fmt: skip
    search.add_argument("--widths", metavar="N,N", default=quiet,
                        help="fit one network with these hidden widths (default: simple structures first)")  # fmt: skip
    search.add_argument("--basis", default="bspline:3,6", help="family and size")
    search.add_argument("--seed", type=int, default=0, metavar="N", help="of the networks' starts")
    output = discover.add_argument_group("output")
    output.add_argument("--out", metavar="DIR", default=quiet,
                        help=f"folder for the result (default: {OUT}, or {OUT}-2, ... where that exists)")  # fmt: skip
    output.add_argument("--force", action="store_true", default=quiet, help="overwrite a result in --out")
    output.add_argument("--json", action="store_true", default=quiet, help="print the table as JSON, and only that")
    output.add_argument("--quiet", action="store_true", default=quiet, help="no progress and no table")
    return discover


def run(arguments: argparse.Namespace) -> int:
    """Find the formula and write it; returns the exit code."""
    given = vars(arguments)
    as_json, quiet = given.get("json", False), given.get("quiet", False)
    widths = _counts(given["widths"]) if "widths" in given else None
    forms = _words(given["forms"]) if "forms" in given else None
    out = Path(given["out"]) if "out" in given else free_folder(OUT)
    from edgewise.bases import parse
    from edgewise.datasets import Preprocessor, read_columns

    basis = parse(arguments.basis)
    check_folder(out, force=given.get("force", False), needed=None, what="result")
    enable_compilation_cache()
    columns = read_columns(arguments.data)
    preprocessor = Preprocessor.fit(
        columns, [arguments.target], task="regression", ignore=tuple(_words(given.get("ignore", "")))
    )
    if preprocessor.categories:
        raise DataError(
            f"{', '.join(preprocessor.categories)} holds categories.",
            "a formula is of numbers.",
            f"leave such columns out: --ignore {','.join(preprocessor.categories)}",
        )
    X, y = preprocessor.transform(columns), preprocessor.target(columns)
    from edgewise.interpret import discover

    found = discover(
        X, y,
        widths=None if widths is None else [X.shape[1], *widths, 1],
        basis=basis, forms=forms, features=preprocessor.feature_names, target=arguments.target, seed=arguments.seed,
        progress=None if as_json or quiet else lambda line: print(line, file=sys.stderr),
    )  # fmt: skip
    problem = _written(found, X, preprocessor.feature_names, arguments.target, out)
    if as_json:
        print(json.dumps(_result(found), indent=1))
    elif not quiet:
        print(found)
        if problem is None:
            print(f"Result: {out}  Report: {out / REPORT}")
    if problem is not None:
        print(f"Not everything could be written to {out}: {problem}", file=sys.stderr)
    return 0 if problem is None else NOT_SAVED


def _result(found: Any) -> dict[str, Any]:
    return {"candidates": found.formula.table(), "unused": list(found.unused), "fits": found.fits}


def _written(found: Any, X: Any, features: Any, target: str, out: Path) -> str | None:
    """Write the files; what went wrong, if anything."""
    from edgewise.interpret import write_report

    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / FORMULA).write_text(json.dumps(_result(found), indent=1) + "\n", encoding="utf-8")
        (out / TABLE).write_text(f"{found}\n", encoding="utf-8")
        table = found.formula.table()
        write_report(found.symbolic, X, out / REPORT, features=features, outputs=[target], formulas=table)
    except (OSError, EdgewiseError) as error:
        return str(error)
    return None


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _counts(text: str) -> list[int]:
    try:
        return [int(word) for word in _words(text)]
    except ValueError as error:
        raise EdgewiseError(f"--widths {text!r} are no numbers.", do="give say --widths 5, or --widths 5,3.") from error
