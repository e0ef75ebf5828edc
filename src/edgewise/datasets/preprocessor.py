"""From columns of numbers and texts to what a network takes, and the same again for new rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgewise.datasets.cells import check_commas, first_text, is_number, listing, plural
from edgewise.datasets.columns import Columns, is_text, label
from edgewise.datasets.table import CLASSES, check_column, check_target, class_column, integer_note
from edgewise.errors import DataError, check_choice

__all__ = ["TASKS", "Preprocessor"]

TASKS = ("regression", "classification")
FORMAT = 1
FEW = 20  # distinct texts that are categories in any case; above it they must repeat


@dataclass(frozen=True)
class Preprocessor:
    """Which columns are used and how: numbers as they are, a 0/1 column per category.

    It is plain data: :meth:`to_dict` is ready for JSON.

    Attributes:
        features: columns used, in order.
        targets: columns to predict.
        categories: of every categorical column of ``features``, in order.
        classes: names of the classes; empty for regression.
        ignored: columns left out on purpose.
        notes: what was done to the columns, for the reader.
    """

    features: tuple[str, ...]
    targets: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls,
        columns: Columns,
        targets: Sequence[str] = (),
        *,
        task: str | None = None,
        categorical: Sequence[str] = (),
        ignore: Sequence[str] = (),
    ) -> Preprocessor:
        """Decide from a file which columns are used and how.

        Text columns are categorical.  Constant columns are left out, and a note says so.

        Args:
            columns: of the file.
            targets: columns to predict; none: what the file declares.  All other columns are features.
            task: ``"regression"``, ``"classification"``, or ``None``: classification if the one target is text.
            categorical: columns of numbers that are categories.
            ignore: columns to leave out.

        Raises:
            DataError: no or unknown columns, missing or infinite values, texts that are no categories, constant
                targets, classes with a single member, several targets of classes.  It names column and row.
            UnknownNameError: ``task`` is none of ``TASKS``.
        """
        targets = tuple(targets) or columns.targets
        _check_roles(columns, targets, categorical, ignore)
        notes: list[str] = []
        classes = _classes(columns, targets, task, notes)
        features, constant, categories = [], [], {}
        for name in columns.values:
            if name in targets or name in ignore or name in columns.targets:
                continue
            values = columns.values[name]
            if is_text(values) or name in categorical:
                found = _categories(columns, name, asked=name in categorical)
                single = len(found) == 1
                categories |= {} if single else {name: found}
            else:
                single = len(np.unique(_numbers(columns, name))) == 1
            (constant if single else features).append(name)
        if constant:
            verb = "is" if len(constant) == 1 else "are"
            notes.insert(0, f"the {plural('column', constant)} {listing(constant)} {verb} constant and left out.")
        if not features:
            raise DataError(
                f"{columns.name} has no column besides the target {listing(targets)} to learn from.",
                notes[0] if constant else "",
                "add at least one feature column that varies.",
            )
        return cls(tuple(features), targets, categories, classes, (*ignore, *constant), tuple(notes))

    @property
    def task(self) -> str:
        """``"classification"`` where there are classes, ``"regression"`` otherwise."""
        return "classification" if self.classes else "regression"

    @property
    def feature_names(self) -> tuple[str, ...]:
        """A name per column of :meth:`transform`: the column's, or column=category."""
        return tuple(
            entry
            for name in self.features
            for entry in ([f"{name}={category}" for category in self.categories.get(name, ())] or [name])
        )

    def transform(self, columns: Columns) -> np.ndarray:
        """The features of a file, float64 ``[n, len(feature_names)]``; columns that are not needed are passed over.

        Raises:
            DataError: a missing column, a missing or infinite value, a text among numbers, or a category that was not
                there in :meth:`fit`.  It names column and row.
        """
        self._check_columns(columns)
        parts = [
            self._one_hot(columns, name) if name in self.categories else _numbers(columns, name)[:, None]
            for name in self.features
        ]
        return np.concatenate(parts, axis=1)

    def target(self, columns: Columns) -> np.ndarray:
        """The targets of a file: float64 ``[n]``, or ``[n, n_targets]`` for several; class numbers, int64 ``[n]``.

        Raises:
            DataError: as :meth:`transform`.
        """
        if self.classes:
            return self._positions(columns, self.targets[0], self.classes, "class")
        y = np.stack([_numbers(columns, name) for name in self.targets], axis=1)
        return y[:, 0] if len(self.targets) == 1 else y

    def unused(self, columns: Columns) -> tuple[str, ...]:
        """Columns of a file that are new: neither features nor targets nor ignored."""
        known = {*self.features, *self.targets, *self.ignored, *columns.targets}
        return tuple(name for name in columns.values if name not in known)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain lists, texts and mappings."""
        features = [
            {"name": name} | ({"categories": list(self.categories[name])} if name in self.categories else {})
            for name in self.features
        ]
        rest = {name: list(getattr(self, name)) for name in ("targets", "classes", "ignored", "notes")}
        return {"format": FORMAT, "task": self.task, "features": features} | rest

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Preprocessor:
        """The preprocessor that :meth:`to_dict` wrote.

        Raises:
            DataError: ``data`` is nothing that :meth:`to_dict` writes.
        """
        try:
            if data["format"] != FORMAT:
                raise DataError(
                    f"the columns are written in format {data['format']!r}; this version reads {FORMAT}.",
                    do="use the version of edgewise that wrote them.",
                )
            features = data["features"]
            categories = {each["name"]: tuple(each["categories"]) for each in features if "categories" in each}
            rest = {name: tuple(data[name]) for name in ("targets", "classes", "ignored", "notes")}
            return cls(features=tuple(each["name"] for each in features), categories=categories, **rest)
        except (KeyError, TypeError) as error:
            raise DataError(
                "these are no columns as edgewise writes them.", f"{type(error).__name__}: {error}.", "fit again."
            ) from error

    def _check_columns(self, columns: Columns) -> None:
        missing = [name for name in self.features if name not in columns.values]
        if len(missing) == 1:
            check_column(columns.name, missing[0], list(columns.values), "the model was trained with it: add it.")
        if missing:
            raise DataError(
                f"{columns.name} has no columns {listing(missing)}.",
                f"the model was trained with {listing(self.features)}; the file has {listing(list(columns.values))}.",
                "give a file with the columns of the training data.",
            )

    def _one_hot(self, columns: Columns, name: str) -> np.ndarray:
        categories = self.categories[name]
        return np.eye(len(categories))[self._positions(columns, name, categories, "category")]

    def _positions(self, columns: Columns, name: str, known: tuple[str, ...], kind: str) -> np.ndarray:
        """Position in ``known`` of every cell of a column, int64 ``[n]``."""
        position = {category: i for i, category in enumerate(known)}
        labels = _labels(columns, name)
        for row, cell in enumerate(labels):
            if cell not in position:
                raise DataError(
                    f"{columns.name}: column {name!r} has an unknown {kind} in row {columns.rows[row]}: {cell!r}.",
                    f"the known ones are {listing(known, 20)}.",
                    "correct the cell, remove the row, or train again with data that have it.",
                )
        return np.array([position[cell] for cell in labels], np.int64)


def _check_roles(columns: Columns, targets: tuple[str, ...], categorical: Sequence[str], ignore: Sequence[str]) -> None:
    header = list(columns.values)
    if not targets:
        raise DataError(
            f"no target column was given for {columns.name}.",
            f"its columns are: {', '.join(header)}.",
            f"name the column to predict: on the command line --target {header[-1]!r}.",
        )
    for target in targets:
        check_column(columns.name, target, header, "name one of these as the target.")
    for name in (*categorical, *ignore):
        check_column(columns.name, name, header, "name one of these.")
    twice = sorted({name for name in targets if targets.count(name) > 1})
    if twice:
        raise DataError(f"{listing(twice)} is named as a target more than once.", do="name every target once.")
    for role, names in (("categorical", categorical), ("ignored", ignore)):
        both = [name for name in names if name in targets]
        if both:
            raise DataError(
                f"{listing(both)} cannot be a target and {role} at once.",
                "a target is what is to be predicted; all the rest describes the features.",
                "use task='classification' (--task classification) for a target of classes."
                if role == "categorical"
                else "name it once.",
            )


def _classes(columns: Columns, targets: Sequence[str], task: str | None, notes: list[str]) -> tuple[str, ...]:
    """Names of the classes, or none for regression; the targets are checked and remarked upon."""
    texts = [name for name in targets if is_text(columns.values[name])]
    for name in texts if task != "classification" else ():
        check_commas(columns.name, name, columns.values[name].tolist(), columns.rows.tolist(), CLASSES)
    if task is None:
        task = "classification" if texts and len(targets) == 1 else "regression"
    check_choice("task", task, TASKS)
    if task == "classification":
        if len(targets) > 1:
            raise DataError(
                f"{listing(targets)} are several targets of classes.",
                "a classifier predicts one.",
                "train one model a target.",
            )
        rows = columns.rows.tolist()
        return class_column(columns.name, targets[0], _labels(columns, targets[0], check=False), rows)[1]
    for name in targets:
        advice = "use task='classification' (--task classification) for class labels, of one target."
        y = _numbers(columns, name, advice)
        check_target(columns.name, name, y)
        notes.extend(integer_note(name, y))
    return ()


def _numbers(columns: Columns, name: str, advice: str = "give a number, or correct the cell.") -> np.ndarray:
    """A column as finite float64 ``[n]``."""
    values = columns.values[name]
    if is_text(values):
        row = first_text(list(values))
        cell = f" in row {columns.rows[row]}: {values[row]!r}" if row is not None else ""
        raise DataError(f"{columns.name}: column {name!r} holds text{cell}.", "numbers are expected there.", advice)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        kind = "missing" if np.isnan(values[bad[0]]) else "infinite"
        raise DataError(
            f"{columns.name}: the value of column {name!r} in row {columns.rows[bad[0]]} is {kind}.",
            "one such value makes every loss and every gradient undefined"
            + (f" ({len(bad)} cells of this column are missing or infinite)." if len(bad) > 1 else "."),
            "fill it in, remove the row, or train without the column (--ignore).",
        )
    return values


def _labels(columns: Columns, name: str, *, check: bool = True) -> list[str]:
    """A column as names of categories; a missing one is an error if ``check``."""
    labels = [label(value) for value in columns.values[name]]
    if check and "" in labels:
        raise DataError(
            f"{columns.name}: the value of column {name!r} in row {columns.rows[labels.index('')]} is missing.",
            f"{labels.count('')} of {len(labels)} cells are.",
            "fill in such cells (say with 'unknown', a category of its own), or remove the rows.",
        )
    return labels


def _categories(columns: Columns, name: str, *, asked: bool) -> tuple[str, ...]:
    """The categories of a column in order, numbers by size; texts that are no categories are an error."""
    labels = _labels(columns, name)
    if not asked:
        check_commas(columns.name, name, labels, columns.rows.tolist(), "if they are categories, say --categorical.")
    found = sorted(set(labels))
    texts = [row for row, cell in enumerate(labels) if not is_number(cell)]
    if not asked and 0 < len(texts) < len(labels) / 2:
        row = texts[0]
        raise DataError(
            f"{columns.name}: column {name!r} holds text in row {columns.rows[row]}: {labels[row]!r}.",
            f"{len(labels) - len(texts)} of its {len(labels)} cells are numbers.",
            "correct the cells that are not, leave the column out (--ignore), or make it categories (--categorical).",
        )
    if not asked and len(found) > max(FEW, len(labels) / 2):
        raise DataError(
            f"{columns.name}: column {name!r} has {len(found)} different texts in {len(labels)} rows.",
            f"texts become categories, which must repeat to teach anything; this looks like names or dates: "
            f"{listing(labels, 3)}.",
            "leave the column out (--ignore), turn it into numbers, or insist with --categorical.",
        )
    return tuple(found if texts else sorted(found, key=float))
