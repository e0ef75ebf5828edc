"""Cells of text: how a CSV file becomes rows of them, with one clear error for everything that can be wrong.

Rows are counted as a spreadsheet counts them: the header is row 1 and the first row of data is row 2.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from edgewise.errors import DataError

__all__ = [
    "MINIMUM_ROWS",
    "check_commas",
    "check_count_of_rows",
    "check_header",
    "check_rows",
    "first_text",
    "is_number",
    "is_whole",
    "listing",
    "missing_file",
    "numbers",
    "plural",
    "read_cells",
]

MINIMUM_ROWS = 5  # four rows to train on and one to test on
DELIMITERS = ",;\t"
WHOLE = re.compile(r"[+-]?[0-9]{1,300}")
START = 100_000  # characters in which the header ends
COMMAS = re.compile(r"[+-]?(\d{1,3}(,\d{3})+(\.\d*)?|\d{1,3}(\.\d{3})+,\d+|\d*,\d+)(e[+-]?\d+)?", re.IGNORECASE)
QUOTED = re.compile(r'(?<![^,;\t\s])"(?:[^"]|"")*"')  # a cell in quotes


def read_cells(path: Path) -> tuple[list[str], list[list[str]], list[int]]:
    """The header, the rows of cells, and the row number of each."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            text = file.read()  # at once: a pipe cannot be read twice
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text[:START]), skipinitialspace=True)
        numbered = [
            (number, [cell.strip() for cell in row])
            for number, row in enumerate(reader, 1)  # not lines of text: a cell in quotes may hold several
            if any(cell.strip() for cell in row)
        ]
    except FileNotFoundError as error:
        raise missing_file(path) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        said = error.strerror if isinstance(error, OSError) else None
        reason = "it is not a text file in UTF-8" if isinstance(error, UnicodeDecodeError) else said or str(error)
        raise DataError(
            f"cannot read {str(path)!r}.", reason + ".", "give a CSV file: text, one row a line."
        ) from error
    if not numbered:
        raise DataError(f"{path.name} is empty.", do="give a CSV file with a header and rows of numbers.")
    header = numbered[0][1]
    return header, [row for _, row in numbered[1:]], [line for line, _ in numbered[1:]]


def _delimiter(start: str) -> str:
    """The delimiter that the first row of a file uses most, outside of quotes."""
    bare = QUOTED.sub("", start.lstrip("\r\n "))
    first = next(iter(bare.splitlines()), "")
    return max(DELIMITERS, key=first.count)


def missing_file(path: Path) -> DataError:
    """The error for a file that is not there."""
    return DataError(
        f"there is no file {str(path)!r}.",
        f"the current folder is {Path.cwd()}.",
        "check the spelling, or give the whole path." + _similar_file(path),
    )


def _similar_file(path: Path) -> str:
    patterns = {"*.csv", f"*{path.suffix}"} if path.parent.is_dir() else ()
    siblings = [file.name for pattern in patterns for file in path.parent.glob(pattern)]
    near = get_close_matches(path.name, siblings, n=1)
    return f" Did you mean {str(path.parent / near[0])!r}?" if near else ""


def check_header(path: Path, header: list[str]) -> None:
    """Raise :class:`DataError` unless every column has a name of its own."""
    if all(is_number(cell) for cell in header):
        raise DataError(
            f"{path.name} has no header.",
            f"its first row holds numbers: {listing(header)}.",
            "put the column names in the first row.",
        )
    for position, name in enumerate(header, 1):
        if not name:
            raise DataError(
                f"{path.name}: column {position} has no name.",
                "columns are told apart by name; an unnamed first column is often an index written by pandas.",
                "name it, or remove it (in pandas: to_csv(path, index=False)).",
            )
    doubled = sorted({name for name in header if header.count(name) > 1})
    if doubled:
        raise DataError(
            f"{path.name}: the column {plural('name', doubled)} {listing(doubled)} "
            f"{'appears' if len(doubled) == 1 else 'appear'} more than once.",
            "columns are told apart by name.",
            "rename or remove the duplicates.",
        )


def check_rows(
    path: Path, header: list[str], rows: list[list[str]], lines: list[int], minimum: int = MINIMUM_ROWS
) -> None:
    """Raise :class:`DataError` unless every row is as long as the header and there are ``minimum`` rows."""
    for line, row in zip(lines, rows, strict=True):
        if len(row) != len(header):
            raise DataError(
                f"{path.name}: row {line} has {len(row)} cells, the header has {len(header)} columns.",
                "every row needs one cell per column.",
                "mend that row; a comma inside a text must stand in double quotes.",
            )
    check_count_of_rows(path.name, len(rows), minimum)


def check_count_of_rows(name: str, rows: int, minimum: int = MINIMUM_ROWS) -> None:
    """Raise :class:`DataError` if there are less than ``minimum`` rows of data."""
    if rows >= minimum:
        return
    raise DataError(
        f"{name} has {rows} {'row' if rows == 1 else 'rows'} of data.",
        f"a split into training and test data needs at least {minimum}, and a useful study some hundreds."
        if minimum > 1
        else "there is nothing to predict.",
        "give a file with more rows.",
    )


def check_commas(name: str, column: str, cells: Sequence[str], rows: Sequence[int], otherwise: str) -> None:
    """Raise :class:`DataError` if a column of the rows ``rows`` holds nothing but numbers, most of them with a comma.

    ``otherwise`` is what to do where they are none.
    """
    there = [(row, cell) for row, cell in zip(rows, cells, strict=True) if cell]
    found = [(row, cell) for row, cell in there if COMMAS.fullmatch(cell)]
    if 2 * len(found) <= len(there) or any(not (is_number(cell) or COMMAS.fullmatch(cell)) for _, cell in there):
        return
    raise DataError(
        f"{name}: column {column!r} holds numbers with a comma, in row {found[0][0]}: {found[0][1]!r}.",
        "a number has a point before its decimals, and nothing between its thousands.",
        f"write them so; {otherwise}",
    )


def first_text(cells: Sequence[str]) -> int | None:
    """Position of the first cell that is there and is no number."""
    return next((row for row, cell in enumerate(cells) if cell and not is_number(cell)), None)


def is_number(cell: str) -> bool:
    """Whether the cell is a number: ``float`` reads it, and it is no text such as 1_2, which Python takes for 12."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def is_whole(cell: str) -> bool:
    """Whether the cell is a whole number written in digits alone, no more of them than ``float`` has room for."""
    return WHOLE.fullmatch(cell.strip()) is not None


def numbers(cells: Sequence[str]) -> np.ndarray:
    """Cells as float64 ``[n]``; raises ``ValueError`` where one is no number."""
    if any("_" in cell for cell in cells):
        raise ValueError("a cell is no number")
    return np.array(cells, np.float64)


def listing(names: Sequence[str], limit: int = 8) -> str:
    """The names, quoted, with commas; how many more there are beyond ``limit``."""
    shown = ", ".join(repr(name) for name in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")


def plural(noun: str, things: Sequence[object], ending: str = "s") -> str:
    """``noun`` for one thing, with ``ending`` for several."""
    return noun if len(things) == 1 else noun + ending
