"""What a trained estimator says of rows, and the table of it."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.cli.estimator import load_estimator
from edgewise.cli.folder import COLUMNS, MODEL, check_run, read_json
from edgewise.datasets import Preprocessor
from edgewise.errors import DataError

__all__ = ["load_run", "outcome", "predictions_csv"]


def load_run(folder: Path) -> tuple[Preprocessor, Any]:
    """The columns and the trained estimator of a run.

    Raises:
        DataError: ``folder`` is no run, or its files are damaged.
    """
    check_run(folder, MODEL)
    check_run(folder, COLUMNS)
    record = read_json(folder / COLUMNS)
    if not isinstance(record, dict) or not isinstance(record.get("columns"), dict):
        raise DataError(f"{str(folder / COLUMNS)!r} is not as edgewise writes it.", do="run 'edgewise fit' again.")
    preprocessor = Preprocessor.from_dict(record["columns"])
    estimator = load_estimator(preprocessor.task, folder / MODEL)
    _check_fits(folder, preprocessor, estimator)
    return preprocessor, estimator


def _check_fits(folder: Path, preprocessor: Preprocessor, estimator: Any) -> None:
    described = [len(preprocessor.feature_names), len(preprocessor.classes or preprocessor.targets)]
    made_for = [estimator.n_features_in_, estimator.model_.widths[-1]]
    if described != made_for:
        raise DataError(
            f"{str(folder / COLUMNS)!r} describes {described[0]} inputs and {described[1]} outputs, {MODEL} has "
            f"{made_for[0]} and {made_for[1]}.",
            "they are not of the same run.",
            "run 'edgewise fit' again.",
        )


def outcome(estimator: Any, preprocessor: Preprocessor, X: np.ndarray) -> np.ndarray:
    """What the estimator says of rows ``[n, n_features]``: ``[n, n_targets]``, or probabilities ``[n, n_classes]``."""
    if preprocessor.classes:
        return np.asarray(estimator.predict_proba(X))
    return np.asarray(estimator.predict(X)).reshape(len(X), -1)


def predictions_csv(
    preprocessor: Preprocessor, said: np.ndarray, *, rows: np.ndarray | None = None, truth: np.ndarray | None = None
) -> str:
    """A row per prediction: ``predicted_<target>``, then for classes ``probability_<class>``.

    Args:
        said: the :func:`outcome`.
        rows: how the file counts them, for a column ``row`` (``row_number`` beside a target of that name).
        truth: the targets, for columns of their names.
    """
    named: list[tuple[str, Any]] = []  # in pairs, since two may have the same name
    if rows is not None:
        named.append(("row" if "row" not in preprocessor.targets else "row_number", rows))
    if preprocessor.classes:
        names, target = np.array(preprocessor.classes), preprocessor.targets[0]
        if truth is not None:
            named.append((target, names[truth]))
        named.append((f"predicted_{target}", names[said.argmax(axis=1)]))
        named += [(f"probability_{name}", column) for name, column in zip(names, said.T, strict=True)]
    else:
        if truth is not None:
            named += zip(preprocessor.targets, truth.reshape(len(said), -1).T, strict=True)
        named += [(f"predicted_{name}", column) for name, column in zip(preprocessor.targets, said.T, strict=True)]
    header, columns = zip(*named, strict=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    # str of a NumPy number has as many digits as tell it apart within its own precision
    writer.writerows([str(value) for value in row] for row in zip(*columns, strict=True))
    return text.getvalue()
