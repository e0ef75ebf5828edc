"""A task: data split into training and test, standardized, ready for every scheme and every seed alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from edgewise import datasets
from edgewise.datasets.table import MINIMUM_ROWS, Table, check_constant, check_target, class_numbers, read_csv
from edgewise.errors import DataError, UnknownNameError, check_choice, check_keywords, unknown_name

__all__ = ["DATA_NAMES", "PUBLISHED_SCORES", "SPLIT_SEED", "TEST_FRACTION", "Task", "resolve_task"]

TEST_FRACTION = 0.2
SPLIT_SEED = 42
KINDS = ("regression", "classification")
NO_LABEL = ("None", "nan", "inf", "-inf", "NaT", "<NA>")
DATA_NAMES = ("published", *datasets.FUNCTIONS, *datasets.NAMES)

# Test MSE of jaxKAN's tutorial 3 (jaxKAN 0.3.7, seed 42), one seed each, and how it was obtained.
PUBLISHED_SCORES = {"default": 0.00563, "lecun": 0.00630, "glorot": 0.00090, "glorot_fine": 0.00090, "power": 0.00127}
PUBLISHED_SETTINGS = {"basis": "chebyshev:5", "widths": (6, 6), "epochs": 2000, "optimizer": "adam:1e-3",
                      "residual": None, "bias": True}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Task:
    """Data to train on and to test on.

    Attributes:
        name: what to call it.
        kind: ``"regression"`` (loss and score: mean squared error) or ``"classification"`` (cross entropy, accuracy).
        X_train, X_test: float32 ``[n, n_features]``.
        y_train, y_test: float32 ``[n, n_outputs]`` for regression; class numbers, int32 ``[n]``, for classification.
        feature_names, target_names: a name per column.
        class_names: a name per class; empty for regression.
        y_mean, y_scale: a network output ``y`` stands for ``y * y_scale + y_mean`` in the target's own units.
        standardized: whether features and target were standardized with the statistics of the training data.
        source: how to name the data again: keywords of ``compare``, such as ``{"data": "diabetes"}``; without
            ``"data"`` they have no name.
        reference: published scores by scheme, to stand beside the study's own.
        reference_settings: arguments of ``compare`` that they were obtained with; a study with others leaves them out.
        notes: what a reader should know about the data.
    """

    name: str
    kind: str
    X_train: np.ndarray
    y_train: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    feature_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    y_mean: np.ndarray | float = 0.0
    y_scale: np.ndarray | float = 1.0
    standardized: bool = False
    source: Mapping[str, Any] = field(default_factory=dict)
    reference: Mapping[str, float] = field(default_factory=dict)
    reference_settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_choice("kind of task", self.kind, KINDS)
        check_keywords("reference_settings", self.reference_settings, PUBLISHED_SETTINGS)
        for part, X, y in (("train", self.X_train, self.y_train), ("test", self.X_test, self.y_test)):
            if X.ndim != 2 or len(X) != len(y) or len(X) == 0:
                raise DataError(
                    f"{self.name}: the {part} data have shapes X {X.shape} and y {y.shape}.",
                    "X is (rows, features) and y has as many rows.",
                    "pass arrays of matching, non-zero length.",
                )
            _finite_array(f"{self.name}: X_{part}", X)
            _finite_array(f"{self.name}: y_{part}", y)
        if self.kind == "classification" and (self.y_train.ndim != 1 or len(self.class_names) < 2):
            raise DataError(
                f"{self.name}: a classification task has class numbers y of shape (rows,), and two class names.",
                f"y_train has shape {self.y_train.shape} and there are {len(self.class_names)} class names.",
                "pass (X, y) with task='classification' and let edgewise build the task.",
            )
        if self.kind == "regression" and self.y_train.ndim != 2:
            raise DataError(
                f"{self.name}: y_train has shape {self.y_train.shape}.",
                "a regression target is (rows, outputs).",
                "pass y[:, None].",
            )

    @property
    def loss(self) -> str:
        """The loss to train with: ``"mse"`` or ``"cross_entropy"``."""
        return "mse" if self.kind == "regression" else "cross_entropy"

    @property
    def score_name(self) -> str:
        """What the score of a run is called."""
        return "test MSE" if self.kind == "regression" else "test accuracy"

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher score is the better one."""
        return self.kind == "classification"

    @property
    def n_in(self) -> int:
        """Number of features."""
        return self.X_train.shape[1]

    @property
    def n_out(self) -> int:
        """Number of network outputs: targets, or classes."""
        return self.y_train.shape[1] if self.kind == "regression" else len(self.class_names)

    def unscale(self, y: np.ndarray) -> np.ndarray:
        """Network outputs ``[..., n_outputs]`` of a regression in the target's own units."""
        return np.asarray(y) * self.y_scale + self.y_mean


def resolve_task(data: Any, *, target: str | None = None, task: str | None = None) -> Task:
    """The task that ``data`` means.

    Args:
        data: ``None`` (the published experiment), a name of ``DATA_NAMES``, the path of a CSV file, a :class:`Task`, or
            a pair ``(X, y)`` of arrays ``[n, n_features]`` and ``[n]`` (regression also ``[n, n_outputs]``).
        target: the column of a CSV file to predict.
        task: ``"regression"`` or ``"classification"``; ``None``: as the data suggest (numbers: regression).

    Raises:
        DataError: the data cannot be used as they are.
        UnknownNameError: no such named data, or no such kind of task.
    """
    if task is not None:
        check_choice("task", task, KINDS)
    if isinstance(data, Task):
        return data
    if data is None:
        data = "published"
    if isinstance(data, str | Path):
        text = str(data)
        if text not in DATA_NAMES and ("." in text or "/" in text or Path(text).exists()):
            table = read_csv(text, target, task)
            source = {"data": text, "target": target} | ({"task": task} if task else {})
            return standardized_task(table, source)
        return _named_task(text, target, task)
    if isinstance(data, tuple | list) and len(data) == 2:
        return standardized_task(_array_table(data[0], data[1], task), {"task": task} if task else {})
    raise DataError(
        f"cannot use {type(data).__name__} as data.",
        do="pass a name, the path of a CSV file, a pair (X, y) of arrays, or an edgewise.study.Task.",
    )


def standardized_task(table: Table, source: Mapping[str, Any]) -> Task:
    """``table`` split into training and test rows and standardized with the training rows' statistics.

    The split takes ``TEST_FRACTION`` of the rows with the fixed seed ``SPLIT_SEED``, class by class for classification,
    so that every scheme, every seed and every run sees the same rows.
    """
    train, test = split_rows(table.y if table.class_names else None, len(table.X))
    X, _, _ = _standardized(table.name, table.feature_names, table.X, train)
    common: dict[str, Any] = {
        "name": table.name,
        "kind": table.kind,
        "feature_names": table.feature_names,
        "class_names": table.class_names,
        "standardized": True,
        "source": source,
        "notes": table.notes,
    }
    if table.class_names:
        y, y_mean, y_scale = table.y.astype(np.int32), 0.0, 1.0
        target_names: tuple[str, ...] = (table.target_name,)
    else:
        raw = table.y.reshape(len(table.X), -1)
        names = tuple(f"{table.target_name}{i}" for i in range(raw.shape[1]))
        target_names = (table.target_name,) if raw.shape[1] == 1 else names
        y, y_mean, y_scale = _standardized(table.name, target_names, raw, train)
    return Task(
        X_train=X[train],
        y_train=y[train],
        X_test=X[test],
        y_test=y[test],
        target_names=target_names,
        y_mean=y_mean,
        y_scale=y_scale,
        **common,
    )


def split_rows(classes: np.ndarray | None, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers for training and for the test; stratified where ``classes`` ``[rows]`` is given.

    Without classes it is the split of scikit-learn's ``train_test_split(test_size=0.2, random_state=42)``.
    """
    random = np.random.RandomState(SPLIT_SEED)
    if classes is None:
        order = random.permutation(rows)
        n_test = int(np.ceil(TEST_FRACTION * rows))
        return order[n_test:], order[:n_test]
    train, test = [], []
    for label in np.unique(classes):
        members = random.permutation(np.flatnonzero(classes == label))
        n_test = min(max(round(TEST_FRACTION * len(members)), 1), len(members) - 1)
        test.append(members[:n_test])
        train.append(members[n_test:])
    return random.permutation(np.concatenate(train)), random.permutation(np.concatenate(test))


def _standardized(
    table: str, names: Sequence[str], values: np.ndarray, train: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``values`` ``[n, columns]`` as float32 by the statistics of the rows ``train``; their means and scales."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean, scale = values[train].mean(axis=0), values[train].std(axis=0)
        # A column may vary in the test rows only; leaving its scale alone keeps it finite.
        scale = np.where(scale > 0, scale, 1.0)
        scaled = ((values - mean) / scale).astype(np.float32)
    for column in np.flatnonzero(~np.isfinite(scale) | ~np.isfinite(scaled).all(axis=0))[:1]:
        raise DataError(
            f"{table}: column {names[column]!r} holds {values[np.abs(values[:, column]).argmax(), column]:g}.",
            "it is so large that the column cannot be standardized.",
            "mend or remove that row, or give the column in larger units.",
        )
    return scaled, mean, scale


def _named_task(name: str, target: str | None, task: str | None) -> Task:
    if name not in DATA_NAMES:
        error = unknown_name("data set", name, DATA_NAMES)
        files = {file.stem: file.name for file in Path.cwd().glob("*.csv")}
        near = get_close_matches(name, files, n=1)
        why = "it is no file either." if target is not None else ""
        raise UnknownNameError(error.what, why, error.do + (f" Or the file {files[near[0]]!r}?" if near else ""))
    if target is not None:
        raise DataError(f"{name!r} has its own target; target={target!r} does not apply.", do="leave the target out.")
    if name in datasets.NAMES:
        result = standardized_task(datasets.load(name), {"data": name})
    else:
        data = datasets.published() if name == "published" else datasets.function_data(name)
        title = "published experiment: x^2 + 2 exp(y)" if name == "published" else name
        result = Task(
            title,
            "regression",
            *data,
            feature_names=("x", "y") if name == "published" else ("x1", "x2"),
            target_names=("f",),
            source={"data": name},
            reference=PUBLISHED_SCORES if name == "published" else {},
            reference_settings=PUBLISHED_SETTINGS if name == "published" else {},
        )
    if task is not None and task != result.kind:
        raise DataError(f"{name!r} is a {result.kind} task, not a {task} task.", do="leave task out.")
    return result


def _array_table(X: Any, y: Any, task: str | None) -> Table:
    X, labels = np.asarray(X), np.asarray(y)
    if X.ndim != 2 or labels.shape[:1] != X.shape[:1]:
        raise DataError(
            f"X has shape {X.shape} and y has shape {labels.shape}.",
            "X is (rows, features) and y has as many rows.",
            "reshape them; a single feature is X[:, None].",
        )
    if len(X) < MINIMUM_ROWS:
        raise DataError(
            f"there are {len(X)} rows; at least {MINIMUM_ROWS} are needed to split them.", do="pass more rows."
        )
    names = tuple(f"x{i}" for i in range(X.shape[1]))
    if task is None:
        task = "classification" if labels.dtype.kind in "USO" else "regression"
    X = _finite_array("X", X)
    check_constant("X", names, X)
    if task == "classification":
        numbers, classes = class_numbers("y", "y", _labels(y))
        return Table("arrays", X, numbers, names, "y", classes)
    values = _finite_array("y", labels)
    for i, column in enumerate(values.reshape(len(X), -1).T):
        check_target("y", f"y{i}" if values.ndim > 1 else "y", column)
    return Table("arrays", X, values, names, "y")


def _labels(y: Any) -> np.ndarray:
    """Class labels as an array ``[n]`` that can be sorted: texts, or numbers."""
    # As they were given: NumPy makes text of a missing label between texts.
    labels = np.asarray(y, None if np.asarray(y).dtype.kind in "biuf" else object)
    if labels.size != len(labels):
        raise DataError(
            f"y has shape {labels.shape}.",
            "a classification has one label per row.",
            "pass labels of shape (rows,); for a 0/1 column per class: y.argmax(axis=1).",
        )
    labels = labels.reshape(-1)
    for row, label in enumerate(labels):
        if not isinstance(label, str) and str(label) in NO_LABEL:
            raise DataError(f"y[{row}] is {label}.", "it is no class.", "fill in or remove such rows.")
    kinds = sorted({"text" if isinstance(label, str) else type(label).__name__ for label in labels.tolist()})
    if len(kinds) > 1 and "text" in kinds:
        raise DataError(
            f"y holds labels of several types: {', '.join(kinds)}.",
            "classes are sorted, and these have no common order.",
            "make all labels texts, or all of them numbers.",
        )
    return labels


def _finite_array(name: str, values: np.ndarray) -> np.ndarray:
    try:
        values = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} is no array of numbers: {error}.", do="pass numbers.") from error
    for position in np.argwhere(~np.isfinite(values))[:1]:
        index = ", ".join(str(i) for i in position)
        raise DataError(
            f"{name}[{index}] is {values[tuple(position)]}.",
            "one such value makes every loss and every gradient undefined.",
            "fill in or remove such rows.",
        )
    return values
