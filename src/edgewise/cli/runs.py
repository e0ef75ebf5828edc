"""A run, from the table to the folder: train, score, save."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgewise._files import write_whole
from edgewise.cli.estimator import make_estimator, resolved_values, train_estimator
from edgewise.cli.folder import (
    CHECKPOINT,
    COLUMNS,
    HISTORY,
    METRICS,
    MODEL,
    PREDICTIONS,
    REPORT,
    SETTINGS,
    check_folder,
    new_run,
    read_json,
)
from edgewise.cli.predictions import outcome, predictions_csv
from edgewise.cli.scores import score_parts
from edgewise.cli.settings import Settings
from edgewise.cli.toml_text import toml_text
from edgewise.datasets import Preprocessor, read_columns, split_rows
from edgewise.errors import EdgewiseError, MissingExtraError
from edgewise.study.comparison import _plain
from edgewise.study.experiment import _versions

__all__ = ["Part", "Run", "Table", "train"]

FORMAT = 1  # of metrics.json
CURVE_POINTS = 400


@dataclass(frozen=True, eq=False)
class Part:
    """Rows of a table: features ``[n, n_features]``, targets ``[n]`` or ``[n, n_targets]``, numbers in the file."""

    X: np.ndarray
    y: np.ndarray
    rows: np.ndarray


@dataclass(frozen=True, eq=False)
class Table:
    """A table ready to train on: which columns are used, and its rows for training and for the test (maybe none)."""

    preprocessor: Preprocessor
    training: Part
    test: Part

    @property
    def judged(self) -> Part:
        """The rows that a fit is shown on: those of the test, or of the training where there is none."""
        return self.test if len(self.test.y) else self.training

    def record(self, file: str) -> dict[str, Any]:
        """What columns.json holds: the columns, and marks by which the same data are known again."""
        digest = hashlib.sha256()
        for array in (self.training.X, self.training.y, self.test.X, self.test.y):
            digest.update(array.tobytes())
        rows = len(self.training.y) + len(self.test.y)
        data = {"file": file, "rows": rows, "digest": digest.hexdigest()}
        return {"columns": self.preprocessor.to_dict(), "data": data}


@dataclass(eq=False)
class Run:
    """A run that has ended.

    Attributes:
        folder: where it is.
        table: what it was trained on.
        outcome: what it says of the judged rows: ``[n, n_targets]``, or probabilities ``[n, n_classes]``.
        metrics: what metrics.json holds.
        problem: why something could not be written; "" where all was.
    """

    folder: Path
    table: Table
    outcome: np.ndarray
    metrics: dict[str, Any]
    problem: str = field(default="")

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended it early."""
        return self.metrics["stop"] == "interrupted"

    def metrics_json(self) -> str:
        """The metrics as JSON text."""
        return json.dumps(self.metrics, allow_nan=False, indent=1)


def train(settings: Settings, folder: Path, command: str) -> Run:
    """Train as ``settings`` say and write everything to ``folder``; interrupted by Ctrl-C, as far as it came.

    Raises:
        EdgewiseError: bad data or settings, or a folder that cannot be written to, before training starts.
        KeyboardInterrupt: before a step was done; then no trace is left.
    """
    check_folder(folder, force=settings.force, resume=settings.resume)
    table = prepared(settings)
    estimator = make_estimator(table.preprocessor.task, settings)
    values = resolved_values(estimator, settings)
    record = table.record(str(settings.data))
    texts = {SETTINGS: toml_text(values), COLUMNS: json.dumps(record, indent=1)}
    if settings.resume:
        _check_same_data(record, read_json(folder / COLUMNS))
    begin = time.perf_counter()
    with new_run(folder, force=settings.force):
        for name, text in texts.items():
            write_whole(folder / name, text.encode())
        X, y = table.training.X, table.training.y
        train_estimator(estimator, X, y, folder / CHECKPOINT, resume=settings.resume)
    facts = {"command": command, "settings": values, "seconds": time.perf_counter() - begin}
    try:
        estimator.save(folder / MODEL)
        problem = ""
    except (OSError, EdgewiseError) as error:  # the scores must not be lost with the disk
        problem = str(error)
    said = outcome(estimator, table.preprocessor, table.judged.X)
    run = Run(folder, table, said, _plain(_metrics(estimator, table, said) | facts), problem)
    _save(run, estimator)
    return run


def prepared(settings: Settings) -> Table:
    """The table that ``settings`` name, its columns chosen, its rows split.

    Raises:
        DataError: no data, or data that cannot be used.
    """
    if settings.data is None:
        raise EdgewiseError("no data were given.", do="name a file: edgewise fit data.csv --target COLUMN")
    columns = read_columns(settings.data)
    preprocessor = Preprocessor.fit(
        columns, settings.target, task=settings.task, categorical=settings.categorical, ignore=settings.ignore
    )
    X, y = preprocessor.transform(columns), preprocessor.target(columns)
    classes = y if preprocessor.classes else None
    training, test = split_rows(len(y), settings.test, settings.seed, classes=classes)
    return Table(preprocessor, *(Part(X[rows], y[rows], columns.rows[rows]) for rows in (training, test)))


def _check_same_data(record: dict[str, Any], earlier: Any) -> None:
    if earlier != record:
        raise EdgewiseError(
            f"{record['data']['file']} is not what the run was trained on.",
            "its columns or cells have changed since, and a resumed run goes on as it was.",
            "start a new run with --out or --force.",
        )


def _metrics(estimator: Any, table: Table, said: np.ndarray) -> dict[str, Any]:
    preprocessor, history = table.preprocessor, estimator.history_
    parts = {"training": (table.training.y, said)}
    if table.judged is table.test:
        of_training = outcome(estimator, preprocessor, table.training.X)
        parts = {"training": (table.training.y, of_training), "test": (table.test.y, said)}
    notes = [*preprocessor.notes, *(f"step {step}: {what}." for step, what in history.events)]
    return {
        "format": FORMAT,
        "task": preprocessor.task,
        "targets": preprocessor.targets,
        "classes": preprocessor.classes,
        "features": preprocessor.feature_names,
        "rows": {"training": len(table.training.y), "test": len(table.test.y)},
        "scores": score_parts(preprocessor.targets, len(preprocessor.classes), parts),
        "steps": int(estimator.n_iter_),
        "stop": estimator.stop_reason_,
        "curve": {
            "training": _thinned(history.steps + 1, history.loss),
            "validation": _thinned(history.validation_steps, history.validation),
        },
        "versions": _versions(),
        "notes": notes,
    }


def _thinned(steps: np.ndarray, values: np.ndarray) -> list[tuple[int, float]]:
    """Pairs of a step and a value, at most ``CURVE_POINTS`` of them, the first and the last included."""
    chosen = np.unique(np.linspace(0, max(len(steps) - 1, 0), min(CURVE_POINTS, len(steps))).astype(int))
    return [(int(step), float(value)) for step, value in zip(steps[chosen], values[chosen], strict=True)]


def _save(run: Run, estimator: Any) -> None:
    """Write what is made of the run; what stands in the way is noted in ``run.problem``."""
    from edgewise.cli.run_report import html_page

    folder, part = run.folder, run.table.judged
    try:
        write_whole(folder / METRICS, run.metrics_json().encode())
        estimator.history_.to_csv(folder / HISTORY)
        if len(run.table.test.y):
            text = predictions_csv(run.table.preprocessor, run.outcome, rows=part.rows, truth=part.y)
            write_whole(folder / PREDICTIONS, text.encode())
        try:
            from edgewise.cli.run_plots import pictures

            drawn = pictures(run)
        except MissingExtraError as error:
            run.metrics["notes"].append(f"no plots were made: {error.what} {error.do}")
            write_whole(folder / METRICS, run.metrics_json().encode())
            drawn = {}
        write_whole(folder / REPORT, html_page(run.metrics, drawn).encode())
    except (OSError, EdgewiseError) as error:
        run.problem = run.problem or str(error)
