"""Tasks: what data may be given, how they are split and standardized."""

from __future__ import annotations

import numpy as np
import pytest

from edgewise.errors import DataError, UnknownNameError
from edgewise.study import DATA_NAMES, Task, resolve_task
from edgewise.study.tasks import split_rows


@pytest.fixture
def table():
    random = np.random.default_rng(0)
    X = random.normal(size=(50, 3)) * [1, 10, 100] + 5
    return X, X @ [1.0, 2.0, 3.0]


def test_the_default_is_the_published_experiment():
    task = resolve_task(None)
    assert task.source == {"data": "published"}
    assert (task.n_in, task.n_out, len(task.X_train), len(task.X_test)) == (2, 1, 800, 200)
    assert not task.standardized
    assert task.reference["default"] == 0.00563
    assert abs(task.y_train.mean()) > 1


def test_arrays_are_standardized_with_the_training_rows(table):
    task = resolve_task(table)
    assert (len(task.X_train), len(task.X_test)) == (40, 10)
    np.testing.assert_allclose(task.X_train.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(task.X_train.std(axis=0), 1, rtol=1e-6)
    np.testing.assert_allclose(task.y_train.std(), 1, rtol=1e-6)
    everything = np.concatenate([task.unscale(task.y_train), task.unscale(task.y_test)])[:, 0]
    np.testing.assert_allclose(np.sort(everything), np.sort(table[1]), rtol=1e-4)
    assert task.X_train.dtype == task.y_train.dtype == np.float32


def test_the_split_is_that_of_scikit_learn():
    selection = pytest.importorskip("sklearn.model_selection")
    train, test = split_rows(None, 57)
    expected = selection.train_test_split(np.arange(57), test_size=0.2, random_state=42)
    np.testing.assert_array_equal(train, expected[0])
    np.testing.assert_array_equal(test, expected[1])


def test_the_split_keeps_the_share_of_classes():
    classes = np.repeat([0, 1, 2], [80, 18, 2])
    train, test = split_rows(classes, 100)
    assert np.bincount(classes[test]).tolist() == [16, 4, 1]
    assert np.bincount(classes[train]).tolist() == [64, 14, 1]
    assert sorted([*train, *test]) == list(range(100))


def test_a_column_that_varies_in_the_test_only(table):
    X = table[0].copy()
    _, test = split_rows(None, 50)
    X[:, 0] = 0
    X[test[0], 0] = 1
    assert np.isfinite(resolve_task((X, table[1])).X_test).all()


def test_several_targets(table):
    X, y = table
    task = resolve_task((X, np.stack([y, -2 * y], axis=1)))
    assert task.n_out == 2
    assert task.target_names == ("y0", "y1")
    np.testing.assert_allclose(task.y_train.std(axis=0), 1, rtol=1e-6)


def test_text_labels_are_classes(table):
    task = resolve_task((table[0], np.where(table[1] > table[1].mean(), "high", "low")))
    assert task.kind == "classification"
    assert task.class_names == ("high", "low")
    assert task.y_train.dtype == np.int32
    assert (task.n_out, task.loss, task.score_name, task.higher_is_better) == (
        2,
        "cross_entropy",
        "test accuracy",
        True,
    )


def test_a_csv_file(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("a,y\n" + "".join(f"{i},{i * i + 0.5}\n" for i in range(20)))
    task = resolve_task(str(path), target="y")
    assert task.source == {"data": str(path), "target": "y"}
    assert task.feature_names == ("a",)
    assert resolve_task(path, target="y", task="regression").source["task"] == "regression"


def test_a_task_is_itself():
    task = resolve_task("f1")
    assert resolve_task(task) is task
    assert {"published", "f5", "diabetes", "digits"} <= set(DATA_NAMES)


@pytest.mark.parametrize("kind", ["diabetes", "breast_cancer"])
def test_named_tables(kind):
    pytest.importorskip("sklearn")
    task = resolve_task(kind)
    assert task.kind == ("regression" if kind == "diabetes" else "classification")
    assert task.standardized


ROWS = np.arange(20.0)[:, None]


def labels(*last):
    """Labels of two classes for ``ROWS``, the last ones as given, as NumPy objects."""
    return np.array([*["a", "b"] * 10][: 20 - len(last)] + list(last), object)


BAD = {
    "unknown name with a target": (("diabetis",), {"target": "y"}, UnknownNameError, "did you mean 'diabetes'"),
    "missing label": (((ROWS, labels(None)),), {}, DataError, r"y\[19\] is None"),
    "nan label": (((ROWS, labels(np.nan)),), {}, DataError, r"y\[19\] is nan"),
    "nan between texts": (((ROWS, [*"ab" * 9, "a", np.nan]),), {}, DataError, r"y\[19\] is nan"),
    "infinite class": (((ROWS, np.where(ROWS[:, 0] > 9, 1.0, np.inf)),), {"task": "classification"}, DataError,
                       r"y\[0\] is inf"),
    "nan class": (((ROWS, np.where(ROWS[:, 0] > 9, 1.0, np.nan)),), {"task": "classification"}, DataError,
                  r"y\[0\] is nan"),
    "mixed labels": (((ROWS, labels(1, 1)),), {}, DataError, "several types: int, text"),
    "labels of several columns": (((ROWS, np.eye(2)[np.arange(20) % 2]),), {"task": "classification"}, DataError,
                                  "one label per row"),
    **{f"huge in row {row}": (((ROWS, np.where(row == ROWS, 1e300, ROWS)[:, 0]),), {}, DataError, "'y' holds 1e")
       for row in (0, 4)},
    "unknown name": (("diabets",), {}, UnknownNameError, "did you mean 'diabetes'"),
    "unknown task": ((None,), {"task": "regresion"}, UnknownNameError, "did you mean 'regression'"),
    "wrong task": (("f1",), {"task": "classification"}, DataError, "is a regression task"),
    "target of a name": (("f1",), {"target": "y"}, DataError, "has its own target"),
    "missing file": (("nothing.csv",), {"target": "y"}, DataError, "no file"),
    "no data": ((7,), {}, DataError, "cannot use int"),
    "rows differ": (((ROWS, np.arange(19.0)),), {}, DataError, r"\(20, 1\)"),
    "one-dimensional": (((ROWS[:, 0], ROWS[:, 0]),), {}, DataError, "X is"),
    "few rows": (((ROWS[:3], ROWS[:3, 0]),), {}, DataError, "3 rows"),
    "nan": (((np.where(ROWS == 4, np.nan, ROWS), ROWS[:, 0]),), {}, DataError, r"X\[4, 0\] is nan"),
    "infinite target": (((ROWS, np.where(ROWS == 4, np.inf, ROWS)[:, 0]),), {}, DataError, r"y\[4\] is inf"),
    "text": (((np.full((20, 1), "a"), ROWS[:, 0]),), {}, DataError, "no array of numbers"),
    "constant": (((np.ones((20, 1)), ROWS[:, 0]),), {}, DataError, "constant"),
    "constant target": (((ROWS, np.ones(20)),), {}, DataError, "constant"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_data_are_named(case):
    arguments, keywords, kind, message = BAD[case]
    with pytest.raises(kind, match=message):
        resolve_task(*arguments, **keywords)


def test_a_name_that_is_nothing_offers_the_file(tmp_path, monkeypatch):
    (tmp_path / "prices.csv").write_text("a,y\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownNameError, match=r"no file either(.|\n)*Or the file 'prices.csv'"):
        resolve_task("price", target="y")


def test_labels_may_be_a_column_or_truth_values():
    for y in (ROWS > 9, (ROWS > 9).astype(int), np.where(ROWS > 9, "yes", "no")):
        assert len(resolve_task((ROWS, y), task="classification").class_names) == 2


def test_a_task_checks_its_shapes():
    X, y = np.zeros((4, 2), np.float32), np.zeros((4, 1), np.float32)
    with pytest.raises(DataError, match="shapes"):
        Task("t", "regression", X, y[:3], X, y)
    with pytest.raises(DataError, match=r"t: y_test\[2, 0\] is nan"):
        Task("t", "regression", X, y, X, np.where(np.arange(4)[:, None] == 2, np.nan, y))
    with pytest.raises(DataError, match=r"y\[:, None\]"):
        Task("t", "regression", X, y[:, 0], X, y)
    with pytest.raises(DataError, match="class names"):
        Task("t", "classification", X, np.zeros(4, int), X, np.zeros(4, int))
