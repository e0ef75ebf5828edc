"""Tables, named data and generators: what they hold, and one clear error for everything that can be wrong."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest
from scipy import special

from edgewise import datasets
from edgewise.datasets import read_csv
from edgewise.errors import DataError, MissingExtraError, UnknownNameError

GOOD = "a,b,y\n1,2,3\n2,5,1\n3,1,4\n4,0,2\n5,9,9\n"


def write(folder, text, name="data.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_of_numbers(tmp_path):
    table = read_csv(write(tmp_path, GOOD), "y")
    assert table.feature_names == ("a", "b")
    assert table.kind == "regression"
    np.testing.assert_array_equal(table.X, [[1, 2], [2, 5], [3, 1], [4, 0], [5, 9]])
    np.testing.assert_array_equal(table.y, [3, 1, 4, 2, 9])


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace(",", ";"),
        GOOD.replace(",", "\t"),
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("a,b,y", '"a", "b" ,y').replace("3,1,4", "3, 1 ,4\n\n"),
        "\n \n" + GOOD.replace(",", ";"),
    ],
    ids=["semicolon", "tab", "byte order mark", "windows", "quotes, spaces and an empty line", "empty lines first"],
)
def test_spellings_of_csv(tmp_path, text):
    table = read_csv(write(tmp_path, text), "y")
    assert table.feature_names == ("a", "b")
    np.testing.assert_array_equal(table.X[2], [3, 1])


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ('"length, width, m"', "length, width, m"),
        ('"length,\nin m"', "length,\nin m"),
        ('"the ""long, wide"" side"', 'the "long, wide" side'),
        ('5" wide', '5" wide'),
    ],
)
def test_delimiters_within_quotes_do_not_count(tmp_path, name, first):
    table = read_csv(write(tmp_path, GOOD.replace(",", ";").replace("a;b", f'{name};6" wide')), "y")
    assert table.feature_names == (first, '6" wide')
    np.testing.assert_array_equal(table.X[2], [3, 1])


def test_a_pipe_is_read_like_a_file(tmp_path):
    """As in ``edgewise predict run <(zcat rows.csv.gz)``."""
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=[GOOD])
    writer.start()
    np.testing.assert_array_equal(read_csv(tmp_path / "pipe", "y").y, [3, 1, 4, 2, 9])
    writer.join()


def test_rows_are_counted_as_a_spreadsheet_does(tmp_path):
    text = 'a,"b,\nin m",y\n1,2,3\n\n"2\n",5,1\n3,1,4\n4,0,x\n5,9,9\n'
    with pytest.raises(DataError, match="'x' in row 6"):
        read_csv(write(tmp_path, text), "y", "regression")


def test_classes(tmp_path):
    text = "a,kind\n1,dog\n2,cat\n3,dog\n4,cat\n5,cat\n"
    table = read_csv(write(tmp_path, text), "kind")
    assert table.class_names == ("cat", "dog")
    np.testing.assert_array_equal(table.y, [1, 0, 1, 0, 0])
    numbers = read_csv(write(tmp_path, "a,k\n1,3\n2,1.0\n3,3\n4,10\n5,1\n6,10\n"), "k", "classification")
    assert numbers.class_names == ("1", "3", "10")
    rows = "".join(f"{i},{code}\n" for i, code in enumerate(["9007199254740993", "9007199254740992", "1e19"] * 2))
    long = read_csv(write(tmp_path, "a,k\n" + rows), "k", "classification")
    assert long.class_names == ("9007199254740992", "9007199254740993", "10000000000000000000")


def test_texts_that_python_reads_as_numbers_are_texts(tmp_path):
    text = "a,kind\n" + "".join(f"{a},{kind}\n" for a, kind in enumerate(["1_2", "12", "x"] * 2))
    assert read_csv(write(tmp_path, text), "kind").class_names == ("12", "1_2", "x")
    with pytest.raises(DataError, match=r"'a' \('0_1' in row 3\) holds text"):
        read_csv(write(tmp_path, GOOD.replace("2,5,1", "0_1,5,1")), "y")
    table = read_csv(write(tmp_path, GOOD.replace("a,b", "1_2,3")), "y")  # names, not a row of numbers
    assert table.feature_names == ("1_2", "3")


def test_whole_numbers_hint_at_classes(tmp_path):
    assert "--task classification" in read_csv(write(tmp_path, GOOD), "y").notes[0]


BAD = {
    "no header": ("1,2,3\n4,5,6\n", "y", None, ["no header", "'1', '2', '3'"]),
    "empty": ("", "y", None, ["is empty"]),
    "blank": ("\n \n", "y", None, ["is empty"]),
    "header only": ("a,y\n", "y", None, ["0 rows"]),
    "no target given": (GOOD, None, None, ["no target column", "a, b, y", "--target 'y'"]),
    "missing target": (GOOD.replace("y", "price"), "prise", None, ["no column 'prise'", "did you mean 'price'"]),
    "another delimiter": (GOOD.replace(",", "|"), "y", None, ["no column 'y'", "a|b|y", "commas, semicolons or tabs"]),
    "missing target, nothing near": (GOOD, "qqqqqq", None, ["no column 'qqqqqq'", "a, b, y"]),
    "text": ("a,city,y\n1,2,3\n2,Oslo,1\n3,Rome,4\n4,0,2\n5,9,9\n", "y", None, ["'city'", "'Oslo' in row 3", "text"]),
    "text target": ("a,y\n1,2\n2,x\n3,1\n4,0\n5,9\n", "y", "regression", ["'y'", "'x' in row 3", "classification"]),
    "decimal commas": (
        "a;y\n" + "1;2,5\n2;3,5\n" * 3,
        "y",
        None,
        ["'y'", "numbers with a comma", "row 2", "'2,5'", "--task classification"],
    ),
    "ragged": (GOOD.replace("3,1,4", "3,1"), "y", None, ["row 4 has 2 cells", "3 columns"]),
    "one row": ("a,y\n1,2\n", "y", None, ["1 row of data", "at least 5"]),
    "constant": ("a,b,y\n1,7,3\n2,7,1\n3,7,4\n4,7,2\n5,7,9\n", "y", None, ["column 'b' is constant"]),
    "two constant": ("a,b,y\n1,7,3\n1,7,1\n1,7,4\n1,7,2\n1,7,9\n", "y", None, ["columns 'a', 'b' are constant"]),
    "constant, classes": ("b,y\n7,3\n7,1\n7,3\n7,1\n7,1\n", "y", "classification", ["column 'b' is constant"]),
    "nan": (GOOD.replace("3,1,4", "3,nan,4"), "y", None, ["column 'b'", "row 4", "'nan'"]),
    "infinite": (GOOD.replace("5,9,9", "5,inf,-inf"), "y", None, ["column 'b'", "row 6", "'inf'"]),
    "empty cell": (GOOD.replace("3,1,4", "3,,4"), "y", None, ["column 'b'", "row 4", "empty"]),
    "nan in the target": (GOOD.replace("3,1,4", "3,1,nan"), "y", None, ["column 'y'", "row 4"]),
    "doubled name": (GOOD.replace("a,b", "a,a"), "y", None, ["column name 'a' appears more than once"]),
    "empty name": (GOOD.replace("a,b", ",b"), "y", None, ["column 1 has no name", "index=False"]),
    "constant target": ("a,y\n1,3\n2,3\n3,3\n4,3\n5,3\n", "y", None, ["target 'y' is constant", "3"]),
    "no feature": ("y\n1\n2\n3\n4\n5\n", "y", None, ["no column besides"]),
    "one class": ("a,y\n1,u\n2,u\n3,u\n4,u\n5,u\n", "y", None, ["one class only", "'u'"]),
    "single member": ("a,y\n1,u\n2,v\n3,u\n4,v\n5,w\n", "y", None, ["class 'w'", "single member"]),
    "empty label": ("a,y\n1,u\n2,v\n3,\n4,v\n5,u\n", "y", None, ["'y' is empty in row 4"]),
    "fractional class": ("a,y\n1,1\n2,2\n3,1.5\n4,1\n5,2\n", "y", "classification", ["row 4", "1.5", "regression"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_named(tmp_path, case):
    text, target, task, expected = BAD[case]
    with pytest.raises(DataError) as error:
        read_csv(write(tmp_path, text), target, task)
    for part in expected:
        assert part in str(error.value), str(error.value)
    assert error.value.do or error.value.why


def test_a_missing_file(tmp_path):
    write(tmp_path, GOOD, "houses.csv")
    with pytest.raises(DataError, match=r"no file .*house\.csv") as error:
        read_csv(tmp_path / "house.csv", "y")
    assert "houses.csv" in error.value.do


def test_what_is_no_text_file(tmp_path):
    path = tmp_path / "data.csv"
    path.write_bytes(b"a,b\n\xff\xfe\x00,1\n")
    with pytest.raises(DataError, match="UTF-8"):
        read_csv(path, "a")
    with pytest.raises(DataError, match="cannot read") as error:
        read_csv(tmp_path, "a")
    assert error.value.why == "Is a directory."


@pytest.mark.parametrize(
    ("name", "rows", "features", "classes"),
    [("diabetes", 442, 10, 0), ("breast_cancer", 569, 30, 2), ("digits", 1797, 61, 10), ("iris", 150, 4, 3),
     ("wine", 178, 13, 3)],
)  # fmt: skip
def test_named_data(name, rows, features, classes):
    pytest.importorskip("sklearn")
    table = datasets.load(name)
    assert table.X.shape == (rows, features) == (len(table.y), len(table.feature_names))
    assert len(table.class_names) == classes
    assert (table.X.min(axis=0) < table.X.max(axis=0)).all()
    assert bool(table.notes) == (name == "digits")


def test_an_unknown_name():
    with pytest.raises(UnknownNameError, match="did you mean 'diabetes'"):
        datasets.load("diabets")


def test_named_data_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtraError, match=r"edgewise\[sklearn\]"):
        datasets.load("iris")


def test_the_published_data():
    data = datasets.published()
    assert [part.shape for part in data] == [(800, 2), (800, 1), (200, 2), (200, 1)]
    assert all(part.dtype == np.float32 for part in data)
    for X, y in (data[:2], data[2:]):
        wide = X.astype(np.float64)
        np.testing.assert_allclose(y[:, 0], wide[:, 0] ** 2 + 2 * np.exp(wide[:, 1]), rtol=1e-6)


def test_the_published_split_is_that_of_scikit_learn():
    selection = pytest.importorskip("sklearn.model_selection")
    import jax

    x_key, y_key = jax.random.split(jax.random.PRNGKey(42))
    draws = [jax.random.uniform(key, shape=(1000,), minval=-1, maxval=1) for key in (x_key, y_key)]
    train, test = selection.train_test_split(np.stack(draws, axis=1), test_size=0.2, random_state=42)
    data = datasets.published()
    np.testing.assert_array_equal(data.X_train, train)
    np.testing.assert_array_equal(data.X_test, test)


def test_function_values():
    """Against series and closed forms at a point, written out again."""
    x1, x2 = np.array([0.3, 0.9]), np.array([-0.4, 0.8])
    f = {name: function(x1, x2) for name, function in datasets.FUNCTIONS.items()}
    np.testing.assert_allclose(f["f1"], [-0.12, 0.72])
    np.testing.assert_allclose(f["f2"], np.exp(np.sin(np.pi * x1)) * np.exp(x2 * x2))
    f3 = special.iv(1, x1) + np.exp(special.ive(1, x2)) + np.sin(x1 * x2)
    np.testing.assert_allclose(f["f3"], f3)
    sine, cosine = special.fresnel(f3 + special.erfinv(x2))
    np.testing.assert_allclose(f["f4"], sine * cosine)
    np.testing.assert_allclose(f["f5"], [x2[0] + special.erf(0.3) * -0.12, -x2[1] + special.erf(0.9) * 0.72])


@pytest.mark.parametrize("name", datasets.FUNCTIONS)
def test_function_data(name):
    data = datasets.function_data(name, train=50, test=20, seed=1)
    assert data.X_train.shape == (50, 2)
    assert data.y_test.shape == (20, 1)
    assert all(np.isfinite(part).all() and part.dtype == np.float32 for part in data)
    assert np.abs(data.X_train).max() <= 1
    again = datasets.function_data(name, train=50, test=20, seed=1)
    np.testing.assert_array_equal(data.y_train, again.y_train)


def test_f5_beyond_the_square():
    """Where x1 x2 exceeds 1, its inverse takes over."""
    value = datasets.FUNCTIONS["f5"](np.array([2.0]), np.array([4.0]))
    np.testing.assert_allclose(value, -4 + special.erf(2.0) / 8)


def test_unknown_function():
    with pytest.raises(UnknownNameError, match="f6"):
        datasets.function_data("f6")
