"""``edgewise predict``: what a trained run says of new rows."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from edgewise.cli.parsing import Parser, enable_compilation_cache
from edgewise.errors import EdgewiseError

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> Parser:
    """The parser of the command, among the ``commands`` of argparse."""
    predict = commands.add_parser(
        "predict",
        help="predict new rows with a run",
        description="Predict the rows of a file with a run that 'edgewise fit' wrote. Prints CSV, a line per row in "
        "the order of the file: the prediction, and for classes the probability of each.",
    )
    predict.add_argument("run", help="folder of the run")
    predict.add_argument("data", help="file with the columns of the training data (CSV, .parquet or .npz)")
    predict.add_argument("-o", "--output", metavar="FILE", help="CSV file to write (default: standard output)")
    return predict


def run(arguments: argparse.Namespace) -> int:
    """Predict; returns the exit code."""
    folder, data = Path(arguments.run), Path(arguments.data)
    output = None if arguments.output in (None, "-") else Path(arguments.output)
    if output is not None:
        _check_output(output, data)
    enable_compilation_cache()
    from edgewise.cli.predictions import load_run, outcome, predictions_csv
    from edgewise.datasets import read_columns

    preprocessor, estimator = load_run(folder)
    columns = read_columns(data, minimum_rows=1)
    X = preprocessor.transform(columns)
    unused = preprocessor.unused(columns)
    if unused:
        print(f"Note: not used, since the model was trained without: {', '.join(map(repr, unused))}.", file=sys.stderr)
    text = predictions_csv(preprocessor, outcome(estimator, preprocessor, X))
    if output is None:
        print(text, end="")
        return 0
    _write_predictions(output, text)
    print(f"{len(X)} predictions: {output}", file=sys.stderr)
    return 0


def _check_output(output: Path, data: Path) -> None:
    """Raise :class:`EdgewiseError` where predictions cannot go to ``output``, before anything is computed."""
    if output.suffix.lower() in (".parquet", ".pq", ".npz", ".xlsx", ".json"):
        raise EdgewiseError(f"{str(output)!r} is no CSV file.", "predictions are written as CSV.", "name it .csv.")
    if output.exists() and data.exists() and output.samefile(data):
        raise EdgewiseError(f"{str(output)!r} is the file with the rows.", do="name another file with -o.")
    if output.is_dir():
        raise EdgewiseError(f"{str(output)!r} is a folder.", do="name a file with -o.")
    if not output.parent.is_dir():
        raise EdgewiseError(f"there is no folder {str(output.parent)!r}.", do="make it, or name another file with -o.")


def _write_predictions(output: Path, text: str) -> None:
    from edgewise._files import write_whole

    try:
        if output.exists() and not output.is_file():  # a device or a pipe must not be replaced by a file
            with output.open("w", encoding="utf-8") as stream:
                stream.write(text)
        else:
            write_whole(output.resolve(), text.encode())
    except OSError as error:
        raise EdgewiseError(
            f"cannot write {str(output)!r}.", f"{error.strerror or error}.", "name another file with -o."
        ) from error
