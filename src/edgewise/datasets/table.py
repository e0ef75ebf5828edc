"""Tables of numbers from CSV files, with one clear error for everything that can be wrong with them.

Rows are counted as a spreadsheet counts them: the header is row 1 and the first row of data is row 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from edgewise.datasets.cells import (
    MINIMUM_ROWS,
    check_commas,
    check_header,
    check_rows,
    first_text,
    is_whole,
    listing,
    numbers,
    plural,
    read_cells,
)
from edgewise.errors import DataError

__all__ = ["MINIMUM_ROWS", "Table", "check_constant", "check_target", "class_column", "class_numbers", "read_csv"]

MOST_NAMED = 30
CLASSES = "if they are classes, use task='classification' (--task classification)."
REMOVE_TEXT = "remove the column, or write it as numbers (for categories: one 0/1 column per category)."


@dataclass(frozen=True)
class Table:
    """A table of features and one target, all checked.

    Attributes:
        name: what to call it.
        X: features, float64 ``[n, n_features]``, finite, no constant column.
        y: target. Regression: float64 ``[n]``. Classification: class numbers, int ``[n]``.
        feature_names: a name per column of ``X``.
        target_name: the name of the target.
        class_names: a name per class; empty for regression.
        notes: what was done to the data on the way, for the reader.
    """

    name: str
    X: np.ndarray
    y: np.ndarray
    feature_names: tuple[str, ...]
    target_name: str
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """``"classification"`` where there are class names, ``"regression"`` otherwise."""
        return "classification" if self.class_names else "regression"


def read_csv(path: str | Path, target: str | None, task: str | None = None) -> Table:
    """Read a CSV file with a header and numeric columns.

    The delimiter (comma, semicolon or tab) is the one the header uses most; empty lines are skipped.

    Args:
        path: the file.
        target: name of the column to predict; all others are features.
        task: ``"regression"``, ``"classification"``, or ``None``: classification if the target column is text.

    Raises:
        DataError: a missing, unreadable or empty file, no header, duplicated or empty column names, ragged rows, fewer
            than five rows, no or an unknown target, text, missing, infinite or constant columns, or classes with a
            single member.  The message names column and row.
    """
    path = Path(path)
    header, rows, lines = read_cells(path)
    check_header(path, header)
    if target is None:
        raise DataError(
            f"no target column was given for {path.name}.",
            f"its columns are: {', '.join(header)}.",
            f"name the column to predict: target={header[-1]!r} (on the command line: --target {header[-1]!r}).",
        )
    check_column(path.name, target, header, "name one of these as the target.")
    check_rows(path, header, rows, lines)
    columns = list(zip(*rows, strict=True))
    features = [name for name in header if name != target]
    if not features:
        raise DataError(
            f"{path.name} has no column besides the target {target!r}.", do="add at least one feature column."
        )
    X = _numbers(path, features, [columns[header.index(name)] for name in features], lines)
    cells = columns[header.index(target)]
    if task != "classification":
        check_commas(path.name, target, cells, lines, CLASSES)
    if task is None:
        task = "classification" if first_text(cells) is not None else "regression"
    if task == "classification":
        y, classes = class_column(path.name, target, cells, lines)
        check_constant(path.name, features, X)
        return Table(path.name, X, y, tuple(features), target, classes)
    y = _numbers(path, [target], [cells], lines, "use task='classification' (--task classification) for class labels.")[
        :, 0
    ]
    check_constant(path.name, features, X)
    check_target(path.name, target, y)
    return Table(path.name, X, y, tuple(features), target, notes=integer_note(target, y))


def check_column(name: str, column: str, header: Sequence[str], advice: str) -> None:
    """Raise :class:`DataError` unless ``column`` is in ``header``; it offers the nearest name, or gives ``advice``."""
    if column in header:
        return
    if len(header) == 1:
        advice = "columns are told apart by commas, semicolons or tabs: is it written with others?"
    near = get_close_matches(column.lower(), [other.lower() for other in header], n=1, cutoff=0.5)
    nearest = next((other for other in header if near and other.lower() == near[0]), None)
    raise DataError(
        f"{name} has no column {column!r}.",
        f"its columns are: {', '.join(header[:MOST_NAMED])}{' ...' if len(header) > MOST_NAMED else ''}.",
        f"did you mean {nearest!r}?" if nearest else advice,
    )


def check_constant(name: str, features: Sequence[str], X: np.ndarray) -> None:
    """Raise :class:`DataError` if columns of ``X`` ``[n, n_features]`` do not vary."""
    constant = [feature for feature, values in zip(features, X.T, strict=True) if values.min() == values.max()]
    if constant:
        verb = "is" if len(constant) == 1 else "are"
        raise DataError(
            f"{name}: {plural('column', constant)} {listing(constant)} {verb} constant.",
            "a column with one value cannot be standardized and says nothing about the target.",
            "remove it." if len(constant) == 1 else "remove them.",
        )


def check_target(name: str, target: str, y: np.ndarray) -> None:
    """Raise :class:`DataError` if the target ``y`` ``[n]`` does not vary."""
    if y.min() == y.max():
        raise DataError(
            f"{name}: the target {target!r} is constant ({y[0]:g} in every row).",
            "there is nothing to learn.",
            "choose another target column.",
        )


def class_numbers(name: str, target: str, labels: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class numbers ``[n]`` and class names of ``labels`` ``[n]``, in sorted order.

    Raises:
        DataError: fewer than two classes, or a class with a single member.
    """
    values, y, counts = np.unique(labels, return_inverse=True, return_counts=True)
    classes = tuple(str(value) for value in values)
    if len(classes) < 2:
        raise DataError(
            f"{name}: the target {target!r} has one class only ({str(values[0])!r} in every row).",
            "there is nothing to tell apart.",
            "choose another target column, or add rows of another class.",
        )
    single = [label for label, count in zip(classes, counts, strict=True) if count == 1]
    if single:
        raise DataError(
            f"{name}: {plural('class', single, 'es')} {listing(single)} of the target {target!r} "
            f"{'has' if len(single) == 1 else 'have'} a single member.",
            "every class needs one row to train on and one to test on.",
            "remove or merge the rare classes; if the target is a number to predict, use task='regression'.",
        )
    return y.astype(np.int64).reshape(-1), classes


def _numbers(
    path: Path, names: Sequence[str], columns: Sequence[Sequence[str]], lines: list[int], advice: str = REMOVE_TEXT
) -> np.ndarray:
    """The columns as float64 ``[n, n_columns]``, or an error that names the first bad cell of each bad column."""
    parsed, text = [], []
    for name, cells in zip(names, columns, strict=True):
        try:
            parsed.append(numbers([cell or "nan" for cell in cells]))
        except ValueError:
            row = first_text(cells)
            assert row is not None
            text.append(f"{name!r} ({cells[row]!r} in row {lines[row]})")
    if text:
        raise DataError(
            f"{path.name}: {plural('column', text)} {', '.join(text)} {'holds' if len(text) == 1 else 'hold'} text.",
            "a network takes numbers.",
            advice,
        )
    values = np.stack(parsed, axis=1)
    for column, row in np.argwhere(~np.isfinite(values).T)[:1]:
        cell = columns[column][row]
        what = f"the cell is {cell!r}" if cell else "the cell is empty"
        count = int((~np.isfinite(values)).sum())
        raise DataError(
            f"{path.name}: column {names[column]!r} is not finite in row {lines[row]}: {what}.",
            "one such value makes every loss and every gradient undefined"
            + (f" ({count} cells of the table are missing or infinite)." if count > 1 else "."),
            "fill in or remove such cells.",
        )
    return values


def class_column(
    name: str, target: str, cells: Sequence[str], lines: Sequence[int]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class numbers ``[n]`` and class names of a column of cells in the rows ``lines``: texts or whole numbers.

    Raises:
        DataError: as :func:`class_numbers`, and for an empty cell or a number that is not whole.
    """
    if any(not cell for cell in cells):
        row = next(i for i, cell in enumerate(cells) if not cell)
        raise DataError(
            f"{name}: the target {target!r} is empty in row {lines[row]}.", do="fill in or remove that row."
        )
    if first_text(cells) is not None:
        return class_numbers(name, target, np.array(cells))
    values = np.array(cells, dtype=np.float64)
    whole = np.isfinite(values) & (values == np.round(values))
    if not whole.all():
        row = int(np.argmin(whole))
        raise DataError(
            f"{name}: the target {target!r} is no class label in row {lines[row]}: {cells[row]}.",
            "classes are whole numbers or texts.",
            "use task='regression' (on the command line: --task regression) for a number to predict.",
        )
    # exact ones: a float has 53 bits, and int64 has 63
    labels = [int(cell) if isinstance(cell, str) and is_whole(cell) else int(float(cell)) for cell in cells]
    return class_numbers(name, target, np.array(labels, object))


def integer_note(target: str, y: np.ndarray) -> tuple[str, ...]:
    """A note where the numbers ``y`` ``[n]`` may be classes."""
    values = np.unique(y)
    if len(values) > 20 or (values != np.round(values)).any():
        return ()
    return (f"{target!r} has {len(values)} distinct whole values; if they are classes, use --task classification.",)
