"""Files of mixed columns, numbers and texts, from CSV, Parquet and NPZ."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.datasets.cells import (
    MINIMUM_ROWS,
    check_count_of_rows,
    check_header,
    check_rows,
    is_number,
    is_whole,
    listing,
    missing_file,
    numbers,
    read_cells,
)
from edgewise.errors import DataError, MissingExtraError, require

__all__ = ["Columns", "is_text", "label", "read_columns"]

MISSING = {"", "na", "n/a", "#n/a", "nan", "null", "none", "?"}
PARQUET, NPZ = (".parquet", ".pq"), (".npz",)


@dataclass(frozen=True, eq=False)
class Columns:
    """The columns of a file as they stand in it, before anything is decided about them.

    Attributes:
        name: of the file.
        values: a column each, ``[n]``: numbers are float64, NaN where missing; texts are objects, "" where missing.
        rows: how the file counts its rows, int ``[n]``.  CSV: as a spreadsheet does, the first row of data is row 2;
            Parquet and NPZ: from 0.
        targets: columns that the file itself declares to be targets (``y`` of an NPZ file).
    """

    name: str
    values: Mapping[str, np.ndarray]
    rows: np.ndarray
    targets: tuple[str, ...] = ()


def is_text(values: np.ndarray) -> bool:
    """Whether a column of :class:`Columns` holds texts."""
    return values.dtype.kind == "O"


def label(value: Any) -> str:
    """What a value is called as a category: "" where missing; 3, 3.0, "3" and "3.0" are one category."""
    if isinstance(value, str) and not is_number(value):
        return value.strip()
    if isinstance(value, str) and is_whole(value):
        return str(int(value))  # not by way of a float, which has 53 bits
    number = float(value)
    if np.isnan(number):
        return ""
    return str(int(number)) if number.is_integer() else repr(number)


def read_columns(path: str | Path, *, minimum_rows: int = MINIMUM_ROWS) -> Columns:
    """Read a CSV file (any name), a Parquet file (.parquet, .pq) or an NPZ file (.npz).

    CSV: a header, then rows; the delimiter (comma, semicolon or tab) is the one the header uses most.  NPZ: arrays
    ``X`` ``[n, n_features]``, ``y`` ``[n]`` or ``[n, n_targets]`` (not needed to predict), and, where wanted,
    ``feature_names``.

    Raises:
        DataError: a missing, unreadable or empty file, no header, duplicated or empty column names, ragged rows, less
            than ``minimum_rows`` rows, columns that are neither numbers nor texts, arrays of wrong names or shapes.
        MissingExtraError: a Parquet file without pandas and pyarrow.
    """
    path = Path(path)
    if not path.exists():
        raise missing_file(path)
    reader = {**dict.fromkeys(PARQUET, _read_parquet), **dict.fromkeys(NPZ, _read_npz)}.get(path.suffix.lower())
    columns = reader(path) if reader else _read_csv(path, minimum_rows)
    check_count_of_rows(path.name, len(columns.rows), minimum_rows)
    return columns


def _read_csv(path: Path, minimum_rows: int) -> Columns:
    header, rows, lines = read_cells(path)
    check_header(path, header)
    check_rows(path, header, rows, lines, minimum_rows)
    values = {name: _parsed(cells) for name, cells in zip(header, zip(*rows, strict=True), strict=True)}
    return Columns(path.name, values, np.array(lines))


def _parsed(cells: Sequence[str]) -> np.ndarray:
    """Cells as numbers where all that are there are numbers, as texts elsewhere."""
    try:
        return numbers([cell or "nan" for cell in cells])
    except ValueError:
        pass
    try:
        found = numbers(["nan" if cell.lower() in MISSING else cell for cell in cells])
    except ValueError:
        return np.array(cells, object)
    # a column of nothing but "none" and the like is a category
    return found if np.isfinite(found).any() else np.array(cells, object)


def _read_parquet(path: Path) -> Columns:
    pandas = require("pandas", "tables")
    try:
        frame = pandas.read_parquet(path)
    except ImportError as error:
        raise MissingExtraError(
            "pyarrow is not installed.",
            "pandas reads Parquet files by it.",
            "pip install 'edgewise[tables]' pyarrow, or write the table as CSV.",
        ) from error
    except Exception as error:  # pyarrow has errors of its own, which are not importable without it
        raise _unreadable(path, error, "a Parquet file") from error
    names = [str(name) for name in frame.columns]
    if names:
        check_header(path, names)
    series = [frame.iloc[:, position] for position in range(len(names))]
    values = {name: _series_column(path, name, column) for name, column in zip(names, series, strict=True)}
    return Columns(path.name, values, np.arange(len(frame)))


def _series_column(path: Path, name: str, series: Any) -> np.ndarray:
    """A ``pandas.Series`` as numbers or texts; yes and no are texts, as they are in a CSV file."""
    pandas = require("pandas", "tables")
    types = pandas.api.types
    if types.is_bool_dtype(series):
        return _texts(path, name, series.to_list())
    if types.is_numeric_dtype(series) and not types.is_complex_dtype(series):
        return series.to_numpy(np.float64, na_value=np.nan)
    if isinstance(series.dtype, pandas.CategoricalDtype) or types.is_string_dtype(series) or series.dtype == object:
        return _texts(path, name, series.to_list())
    raise _neither(path, name, str(series.dtype))


def _texts(path: Path, name: str, cells: Sequence[Any]) -> np.ndarray:
    for cell in cells:
        if not (_is_missing(cell) or isinstance(cell, str | bool | int | float | np.bool_)):
            raise _neither(path, name, type(cell).__name__)
    return np.array(["" if _is_missing(cell) else str(cell) for cell in cells], object)


def _is_missing(cell: Any) -> bool:
    return cell is None or type(cell).__name__ in ("NAType", "NaTType") or (isinstance(cell, float) and cell != cell)


def _read_npz(path: Path) -> Columns:
    try:
        # opened here: NumPy leaves the file open where it is no zip file
        with path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if isinstance(file, np.ndarray):
                raise ValueError("it is a single array, as numpy.save writes it")
            arrays = {name: file[name] for name in file.files if name in ("X", "y", "feature_names")}
            found = file.files
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error, "an NPZ file of numbers or texts, no Python objects") from error
    if "X" not in arrays:
        raise DataError(
            f"{path.name} has no array 'X'.",
            f"its arrays are: {', '.join(found) or '(none)'}.",
            "write it as numpy.savez(path, X=X, y=y), X of shape (rows, features).",
        )
    X = arrays["X"]
    if X.ndim != 2:
        raise DataError(
            f"{path.name}: X has shape {X.shape}.", "X is (rows, features).", "reshape it; one feature is X[:, None]."
        )
    names = _npz_names(path, arrays.get("feature_names", np.array([f"x{i}" for i in range(X.shape[1])], str)))
    if len(names) != X.shape[1]:
        raise DataError(
            f"{path.name} has {len(names)} feature_names for {X.shape[1]} columns of X.", do="give a name per column."
        )
    values = {name: _array_column(path, "X", column) for name, column in zip(names, X.T, strict=True)}
    targets = _npz_targets(path, arrays["y"], len(X)) if "y" in arrays else {}
    doubled = sorted({name for name in names if names.count(name) > 1} | (set(values) & set(targets)))
    if doubled:
        raise DataError(f"{path.name}: {listing(doubled)} names several columns.", do="give every column its own name.")
    return Columns(path.name, {**values, **targets}, np.arange(len(X)), tuple(targets))


def _npz_names(path: Path, given: np.ndarray) -> list[str]:
    if given.ndim != 1:
        raise DataError(f"{path.name}: feature_names has shape {given.shape}.", do="write a text per column of X.")
    names = _array_column(path, "feature_names", given if given.dtype.kind == "S" else given.astype(str)).tolist()
    if "" in names:
        raise DataError(f"{path.name}: an entry of feature_names is empty.", do="write a text per column of X.")
    return names


def _npz_targets(path: Path, y: np.ndarray, rows: int) -> dict[str, np.ndarray]:
    if y.ndim not in (1, 2) or len(y) != rows:
        raise DataError(
            f"{path.name}: y has shape {y.shape} and X has {rows} rows.",
            "y is (rows,) or (rows, targets), with the rows of X.",
            "write arrays of the same number of rows.",
        )
    columns = y.reshape(rows, -1).T
    names = ["y"] if len(columns) == 1 else [f"y{i}" for i in range(len(columns))]
    return {name: _array_column(path, "y", column) for name, column in zip(names, columns, strict=True)}


def _array_column(path: Path, array: str, values: np.ndarray) -> np.ndarray:
    if values.dtype.kind in "iuf":
        return values.astype(np.float64)
    if values.dtype.kind == "S":
        try:
            return np.char.decode(values, "utf-8").astype(object)
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path.name}: {array!r} holds bytes that are no text in UTF-8.", do="write texts."
            ) from error
    if values.dtype.kind in "Ub":
        return values.astype(str).astype(object)
    raise _neither(path, array, str(values.dtype))


def _neither(path: Path, name: str, kind: str) -> DataError:
    return DataError(
        f"{path.name}: {name!r} is of type {kind}.",
        "a column holds numbers, texts or yes and no.",
        "turn it into numbers (for dates say days since a date), or leave it out.",
    )


def _unreadable(path: Path, error: Exception, kind: str) -> DataError:
    said = error.strerror if isinstance(error, OSError) else None
    reason = (said or str(error) or type(error).__name__).splitlines()[0].rstrip(".")
    return DataError(f"cannot read {str(path)!r}.", f"{reason}.", f"give {kind}.")
