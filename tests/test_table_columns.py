"""Files of mixed columns, and what becomes of them: the same numbers from every format, one error per fault."""

from __future__ import annotations

import builtins
import json

import numpy as np
import pytest

from edgewise.datasets import Columns, Preprocessor, read_columns, split_rows
from edgewise.errors import DataError, MissingExtraError, UnknownNameError

MIXED = """size,city,floor,sold,price
50,Oslo,1,yes,300
70.5,Rome,2,no,250
30,Oslo,10,yes,200
90,Lima,2,no,150
65,Rome,1,yes,260
40,Lima,10,no,120
"""


def write(folder, text, name="data.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def mixed(tmp_path):
    return read_columns(write(tmp_path, MIXED))


def columns(**values):
    made = {name: np.array(v, object if isinstance(v[0], str) else np.float64) for name, v in values.items()}
    return Columns("t", made, np.arange(len(next(iter(made.values())))))


def test_numbers_and_texts(mixed):
    assert list(mixed.values) == ["size", "city", "floor", "sold", "price"]
    np.testing.assert_array_equal(mixed.values["size"], [50, 70.5, 30, 90, 65, 40])
    assert mixed.values["city"].tolist() == ["Oslo", "Rome", "Oslo", "Lima", "Rome", "Lima"]
    np.testing.assert_array_equal(mixed.rows, [2, 3, 4, 5, 6, 7])


def test_texts_become_categories(mixed):
    chosen = Preprocessor.fit(mixed, ["price"])
    assert chosen.features == ("size", "city", "floor", "sold")
    assert chosen.categories == {"city": ("Lima", "Oslo", "Rome"), "sold": ("no", "yes")}
    assert chosen.feature_names == ("size", "city=Lima", "city=Oslo", "city=Rome", "floor", "sold=no", "sold=yes")
    X = chosen.transform(mixed)
    assert X.dtype == np.float64
    np.testing.assert_array_equal(X[:3], [[50, 0, 1, 0, 1, 0, 1], [70.5, 0, 0, 1, 2, 1, 0], [30, 0, 1, 0, 10, 0, 1]])
    np.testing.assert_array_equal(chosen.target(mixed), [300, 250, 200, 150, 260, 120])
    assert chosen.task == "regression"


def test_numbers_forced_to_be_categories_are_in_order_of_size(mixed):
    chosen = Preprocessor.fit(mixed, ["price"], categorical=["floor"])
    assert chosen.categories["floor"] == ("1", "2", "10")


def test_one_category_however_it_is_written(tmp_path, mixed):
    chosen = Preprocessor.fit(mixed, ["price"], categorical=["floor"])
    again = read_columns(write(tmp_path, MIXED.replace(",10,", ",10.0,").replace("Oslo,1,", "Oslo,01,")))
    np.testing.assert_array_equal(chosen.transform(again), chosen.transform(mixed))


def test_long_codes_are_told_apart():
    codes = ["9007199254740992", "9007199254740993", "-07"] * 2
    assert Preprocessor.fit(columns(a=codes, y=NUMBERS), ["y"]).categories["a"] == ("-7", *codes[:2])
    assert Preprocessor.fit(columns(a=NUMBERS, y=codes), ["y"]).classes == ("-7", *codes[:2])
    assert Preprocessor.fit(columns(a=["1e3", "+1000", "1000.0", "2"] * 2, y=NUMBERS + [7, 8]), ["y"]).categories[
        "a"
    ] == ("2", "1000")


def test_texts_that_python_reads_as_numbers_are_texts(tmp_path):
    rows = [("1_2", "0_1"), ("12", "2_4"), ("x", "0_1")] * 2
    text = "kind,part,value\n" + "".join(f"{kind},{part},{i}\n" for i, (kind, part) in enumerate(rows))
    found = read_columns(write(tmp_path, text))
    chosen = Preprocessor.fit(found, ["kind"])
    assert chosen.classes == ("12", "1_2", "x")
    assert chosen.categories == {"part": ("0_1", "2_4")}
    np.testing.assert_array_equal(chosen.target(found), [1, 0, 2] * 2)


def test_classes(mixed):
    chosen = Preprocessor.fit(mixed, ["sold"])
    assert chosen.task == "classification"
    assert chosen.classes == ("no", "yes")
    np.testing.assert_array_equal(chosen.target(mixed), [1, 0, 1, 0, 1, 0])
    numbered = Preprocessor.fit(mixed, ["floor"], task="classification")
    assert numbered.classes == ("1", "2", "10")
    np.testing.assert_array_equal(numbered.target(mixed), [0, 1, 2, 1, 0, 2])


def test_several_targets(mixed):
    chosen = Preprocessor.fit(mixed, ["price", "size"])
    np.testing.assert_array_equal(chosen.target(mixed)[1], [250, 70.5])
    assert chosen.features == ("city", "floor", "sold")


def test_ignored_columns(mixed):
    chosen = Preprocessor.fit(mixed, ["price"], ignore=["city", "sold"])
    assert chosen.features == ("size", "floor")
    assert chosen.unused(mixed) == ()


def test_constant_columns_are_left_out_with_a_note():
    data = columns(a=[1, 2, 3, 4, 5], b=[7, 7, 7, 7, 7], c=["x"] * 5, y=[1.5, 2, 3, 4, 5])
    chosen = Preprocessor.fit(data, ["y"])
    assert chosen.features == ("a",)
    assert chosen.notes == ("the columns 'b', 'c' are constant and left out.",)
    assert chosen.unused(data) == ()


def test_whole_numbers_hint_at_classes(mixed):
    assert any("--task classification" in note for note in Preprocessor.fit(mixed, ["floor"]).notes)


def test_new_rows(tmp_path, mixed):
    """Columns in another order, one more, no target; a single row."""
    chosen = Preprocessor.fit(mixed, ["price"])
    new = read_columns(write(tmp_path, "sold,note,floor,city,size\nno,hello,3,Rome,20\n"), minimum_rows=1)
    np.testing.assert_array_equal(chosen.transform(new), [[20, 0, 0, 1, 3, 1, 0]])
    assert chosen.unused(new) == ("note",)


def test_the_record_is_json(mixed):
    for chosen in (Preprocessor.fit(mixed, ["price"], categorical=["floor"]), Preprocessor.fit(mixed, ["sold"])):
        again = Preprocessor.from_dict(json.loads(json.dumps(chosen.to_dict())))
        assert again == chosen
        np.testing.assert_array_equal(again.transform(mixed), chosen.transform(mixed))


@pytest.mark.parametrize("data", [{}, {"format": 1}, {"format": 2}, {"format": 1, "features": [1]}, []])
def test_what_is_no_record(data):
    with pytest.raises(DataError) as error:
        Preprocessor.from_dict(data) if isinstance(data, dict) else Preprocessor.from_dict(dict(data))
    assert error.value.do


BAD_ROWS = {
    "unseen category": ("50,Bonn,1,yes", ["'city'", "row 2", "'Bonn'", "'Lima', 'Oslo', 'Rome'"]),
    "missing number": (",Oslo,1,yes", ["'size'", "row 2", "missing"]),
    "missing number, spelled": ("n/a,Oslo,1,yes\n3,Oslo,1,yes", ["'size'", "row 2", "missing"]),
    "missing category": ("50,,1,yes", ["'city'", "row 2", "missing"]),
    "infinite": ("inf,Oslo,1,yes", ["'size'", "row 2", "infinite"]),
    "text among numbers": ("5,Oslo,1,yes\n50m,Oslo,1,yes", ["'size'", "row 3", "'50m'"]),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_new_rows_that_do_not_fit(tmp_path, mixed, case):
    rows, expected = BAD_ROWS[case]
    chosen = Preprocessor.fit(mixed, ["price"])
    new = read_columns(write(tmp_path, "size,city,floor,sold\n" + rows + "\n"), minimum_rows=1)
    with pytest.raises(DataError) as error:
        chosen.transform(new)
    for part in expected:
        assert part in str(error.value), str(error.value)
    assert error.value.do


def test_missing_columns(tmp_path, mixed):
    chosen = Preprocessor.fit(mixed, ["price"])
    with pytest.raises(DataError, match="no column 'size'") as error:
        chosen.transform(read_columns(write(tmp_path, "sise,city,floor,sold\n1,Oslo,1,no\n"), minimum_rows=1))
    assert "'sise'" in error.value.do
    with pytest.raises(DataError, match="no columns 'city', 'floor'"):
        chosen.transform(read_columns(write(tmp_path, "size,sold\n1,no\n"), minimum_rows=1))


NUMBERS = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
BAD = {
    "no target": ({"a": NUMBERS, "y": NUMBERS}, {}, ["no target", "a, y", "--target 'y'"]),
    "unknown target": ({"a": NUMBERS, "price": NUMBERS}, {"targets": ["prise"]}, ["'prise'", "did you mean 'price'"]),
    "unknown categorical": (
        {"city": NUMBERS, "y": NUMBERS}, {"targets": ["y"], "categorical": ["citi"]}, ["'citi'", "'city'"]
    ),
    "unknown ignored": ({"a": NUMBERS, "y": NUMBERS}, {"targets": ["y"], "ignore": ["q"]}, ["no column 'q'"]),
    "target ignored": ({"a": NUMBERS, "y": NUMBERS}, {"targets": ["y"], "ignore": ["y"]}, ["target and ignored"]),
    "target categorical": (
        {"a": NUMBERS, "y": NUMBERS}, {"targets": ["y"], "categorical": ["y"]}, ["target and categorical", "--task"]
    ),
    "a target twice": ({"a": NUMBERS, "y": NUMBERS}, {"targets": ["y", "y"]}, ["'y' is named", "more than once"]),
    "only a target": ({"y": NUMBERS}, {"targets": ["y"]}, ["no column besides"]),
    "nothing varies": ({"a": [1.0] * 6, "y": NUMBERS}, {"targets": ["y"]}, ["no column besides", "constant"]),
    "missing value": ({"a": [1, np.nan, 3, 4, 5, 6], "y": NUMBERS}, {"targets": ["y"]}, ["'a' in row 1 is missing"]),
    "missing target": ({"a": NUMBERS, "y": [1, 2, 3, 4, np.nan, 6]}, {"targets": ["y"]}, ["'y' in row 4 is missing"]),
    "missing text": ({"c": ["u", "v", "", "u", "v", ""], "y": NUMBERS}, {"targets": ["y"]}, ["'c'", "row 2", "2 of 6"]),
    "a typing error": (
        {"a": ["1", "2", "3", "4", "5,5", "6"], "y": NUMBERS},
        {"targets": ["y"]}, ["'a'", "row 4", "'5,5'", "5 of its 6"],
    ),
    "decimal commas": (
        {"a": ["1", "2,5", "-3,25", ",5", "1.234,5", "1,5e-3"], "y": NUMBERS},
        {"targets": ["y"]}, ["'a'", "numbers with a comma", "row 1", "'2,5'", "--categorical"],
    ),
    "thousands": (
        {"a": NUMBERS, "y": ["1,250", "1,250", "12,300.5", "12,300.5", "900", "1,234,567"]},
        {"targets": ["y"]}, ["'y'", "numbers with a comma", "row 0", "'1,250'", "--task classification"],
    ),
    "thousands, for regression": (
        {"a": NUMBERS, "y": ["1,250", "1,251", "12,300", "12,301", "13,000", "1,234"]},
        {"targets": ["y"], "task": "regression"}, ["'y'", "numbers with a comma"],
    ),
    "names": (
        {"a": [f"name {i}" for i in range(30)], "y": list(map(float, range(30)))},
        {"targets": ["y"]}, ["'a'", "30 different texts", "--ignore", "--categorical"],
    ),
    "text for regression": ({"a": NUMBERS, "y": ["u", "v"] * 3}, {"targets": ["y"], "task": "regression"}, ["--task"]),
    "constant target": ({"a": NUMBERS, "y": [2.0] * 6}, {"targets": ["y"]}, ["'y' is constant"]),
    "one class": ({"a": NUMBERS, "y": ["u"] * 6}, {"targets": ["y"]}, ["one class only"]),
    "single member": ({"a": NUMBERS, "y": ["u"] * 5 + ["v"]}, {"targets": ["y"]}, ["'v'", "single member"]),
    "empty class": ({"a": NUMBERS, "y": ["u", "", "v"] * 2}, {"targets": ["y"]}, ["'y' is empty in row 1"]),
    "fractions as classes": ({"a": NUMBERS, "y": [0.5] * 6}, {"targets": ["y"], "task": "classification"}, ["0.5"]),
    "two targets of classes": (
        {"a": NUMBERS, "y": NUMBERS, "z": NUMBERS},
        {"targets": ["y", "z"], "task": "classification"}, ["several targets"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_columns_are_named(case):
    values, arguments, expected = BAD[case]
    with pytest.raises(DataError) as error:
        Preprocessor.fit(columns(**values), **arguments)
    for part in expected:
        assert part in str(error.value), str(error.value)
    assert error.value.do or error.value.why


def test_what_looks_like_names_can_be_forced():
    data = columns(a=[f"name {i}" for i in range(30)], y=list(map(float, range(30))))
    assert len(Preprocessor.fit(data, ["y"], categorical=["a"]).feature_names) == 30


def test_what_looks_like_numbers_with_commas_can_be_forced():
    choices = ["1,2", "1,3", "2,3"] * 2
    assert Preprocessor.fit(columns(a=choices, y=NUMBERS), ["y"], categorical=["a"]).categories["a"][0] == "1,2"
    assert Preprocessor.fit(columns(a=NUMBERS, y=choices), ["y"], task="classification").classes[0] == "1,2"
    assert Preprocessor.fit(columns(a=["1,2 m", "1,3 m", "2,3 m"] * 2, y=NUMBERS), ["y"]).categories["a"][0] == "1,2 m"


def test_an_unknown_task(mixed):
    with pytest.raises(UnknownNameError, match="'regression'"):
        Preprocessor.fit(mixed, ["price"], task="regresion")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2\n3,4\n", "no header"),
        ("a,a\n1,2\n", "more than once"),
        ("a,b\n1\n", "row 2 has 1 cells"),
        ("a,b\n", "0 rows"),
        ("a,b\n1,2\n", "1 row of data"),
        ("", "is empty"),
    ],
)
def test_bad_csv_files(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_columns(write(tmp_path, text))


def test_nothing_to_predict(tmp_path):
    with pytest.raises(DataError, match="0 rows") as error:
        read_columns(write(tmp_path, "a,b\n"), minimum_rows=1)
    assert "nothing to predict" in error.value.why


def test_a_missing_file_offers_its_like(tmp_path):
    np.savez(tmp_path / "houses.npz", X=np.eye(6))
    with pytest.raises(DataError, match="no file") as error:
        read_columns(tmp_path / "house.npz")
    assert "houses.npz" in error.value.do


def test_npz(tmp_path):
    X = np.arange(12.0, dtype=np.float32).reshape(6, 2)
    np.savez(tmp_path / "d.npz", X=X, y=np.arange(6))
    data = read_columns(tmp_path / "d.npz")
    chosen = Preprocessor.fit(data)
    assert chosen.features == ("x0", "x1")
    assert chosen.targets == ("y",)
    np.testing.assert_array_equal(chosen.transform(data), X)
    np.testing.assert_array_equal(chosen.target(data), np.arange(6))
    np.savez(tmp_path / "new.npz", X=X[:2])
    np.testing.assert_array_equal(chosen.transform(read_columns(tmp_path / "new.npz", minimum_rows=1)), X[:2])


def test_npz_with_names_texts_and_several_targets(tmp_path):
    X = np.array([["u", "1"], ["v", "2"], ["u", "3"], ["v", "4"], ["u", "5"]])
    np.savez(tmp_path / "d.npz", X=X, y=np.arange(10.0).reshape(5, 2), feature_names=["kind", "n"])
    data = read_columns(tmp_path / "d.npz")
    assert Preprocessor.fit(data).targets == ("y0", "y1")
    one = Preprocessor.fit(data, ["y1"])
    assert one.features == ("kind", "n")
    assert one.categories["kind"] == ("u", "v")
    np.testing.assert_array_equal(one.target(data), [1, 3, 5, 7, 9])
    np.savez(tmp_path / "c.npz", X=np.arange(5.0)[:, None], y=np.array([True, False, True, False, True]))
    assert Preprocessor.fit(read_columns(tmp_path / "c.npz")).classes == ("False", "True")


BAD_NPZ = {
    "no X": ({"x": np.eye(6)}, ["no array 'X'", "its arrays are: x"]),
    "X of one dimension": ({"X": np.ones(6)}, ["(6,)", "X[:, None]"]),
    "y too short": ({"X": np.eye(6), "y": np.ones(5)}, ["(5,)", "6 rows"]),
    "names too few": ({"X": np.eye(6), "feature_names": ["a"]}, ["1 feature_names", "6 columns"]),
    "names doubled": ({"X": np.ones((6, 2)), "feature_names": ["a", "a"]}, ["'a'", "several columns"]),
    "names of no shape": ({"X": np.ones((6, 2)), "feature_names": "ab"}, ["feature_names has shape ()"]),
    "names in a column": ({"X": np.ones((6, 2)), "feature_names": [["a"], ["b"]]}, ["feature_names has shape (2, 1)"]),
    "a name that is empty": ({"X": np.ones((6, 2)), "feature_names": ["a", ""]}, ["feature_names is empty"]),
    "bytes that are no text": ({"X": np.ones((6, 1)), "y": np.array([b"a", b"\xff"] * 3)}, ["'y'", "UTF-8"]),
    "named like the target": ({"X": np.ones((6, 1)), "y": np.ones(6), "feature_names": ["y"]}, ["'y'", "several"]),
    "objects": ({"X": np.array([[object()]] * 6)}, ["cannot read", "no Python objects"]),
    "complex": ({"X": np.ones((6, 1), complex)}, ["'X' is of type complex128"]),
    "few rows": ({"X": np.ones((3, 1))}, ["3 rows"]),
}


@pytest.mark.parametrize("case", BAD_NPZ)
def test_bad_npz_files(tmp_path, case):
    arrays, expected = BAD_NPZ[case]
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(DataError) as error:
        read_columns(tmp_path / "d.npz")
    for part in expected:
        assert part in str(error.value), str(error.value)


def test_texts_of_npz_as_bytes(tmp_path):
    y = np.array(["é".encode(), b"e"] * 3)
    np.savez(tmp_path / "d.npz", X=np.arange(12.0).reshape(6, 2), y=y, feature_names=np.array(["ü".encode(), b"u"]))
    chosen = Preprocessor.fit(read_columns(tmp_path / "d.npz"))
    assert (chosen.features, chosen.classes) == (("ü", "u"), ("e", "é"))


def test_a_single_array_is_no_npz_file(tmp_path):
    with (tmp_path / "d.npz").open("wb") as file:
        np.save(file, np.ones((6, 2)))
    with pytest.raises(DataError, match="cannot read") as error:
        read_columns(tmp_path / "d.npz")
    assert error.value.why == "it is a single array, as numpy.save writes it."


def test_a_truncated_npz_file(tmp_path):
    np.savez(tmp_path / "d.npz", X=np.ones((50, 3)))
    whole = (tmp_path / "d.npz").read_bytes()
    (tmp_path / "d.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot read"):
        read_columns(tmp_path / "d.npz")


def test_parquet_is_read_like_csv(tmp_path, mixed):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.read_csv(tmp_path / "data.csv").astype({"sold": "category", "floor": "Int64"})
    frame.assign(flag=frame["sold"] == "yes").to_parquet(tmp_path / "data.parquet")
    data = read_columns(tmp_path / "data.parquet")
    assert data.values["flag"].tolist() == ["True", "False"] * 3
    chosen = Preprocessor.fit(mixed, ["price"], categorical=["floor"])
    np.testing.assert_array_equal(chosen.transform(data), chosen.transform(mixed))
    np.testing.assert_array_equal(chosen.target(data), chosen.target(mixed))


def test_missing_values_and_dates_of_parquet(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    path = tmp_path / "d.parquet"
    frame = pandas.DataFrame({"a": pandas.array([1, None, 3, 4, 5], "Int64"), "c": ["u", None, "v", "u", "v"]})
    frame.to_parquet(path)
    data = read_columns(path)
    assert np.isnan(data.values["a"][1])
    assert data.values["c"].tolist() == ["u", "", "v", "u", "v"]
    frame.assign(day=pandas.Timestamp("2024-01-01")).to_parquet(path)
    with pytest.raises(DataError, match="'day' is of type datetime"):
        read_columns(path)
    pandas.DataFrame({"a": [[1, 2]] * 5, "y": [1.0] * 5}).to_parquet(path)
    with pytest.raises(DataError, match="'a' is of type ndarray"):
        read_columns(path)
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match="cannot read"):
        read_columns(path)


def test_parquet_without_its_engine(tmp_path, monkeypatch):
    pytest.importorskip("pandas")
    path = write(tmp_path, "", "d.parquet")
    found = builtins.__import__

    def refuse(name, *arguments, **keywords):
        if name.split(".")[0] in ("pyarrow", "fastparquet"):
            raise ImportError(name)
        return found(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.delitem(__import__("sys").modules, "pyarrow", raising=False)
    with pytest.raises(MissingExtraError, match=r"pyarrow is not installed"):
        read_columns(path)


def test_parquet_without_pandas(tmp_path, monkeypatch):
    path = write(tmp_path, "", "d.parquet")
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"edgewise\[tables\]"):
        read_columns(path)


def test_the_split_is_that_of_the_study():
    from edgewise.study import tasks

    classes = np.arange(53) % 3
    for given in (None, classes):
        for ours, theirs in zip(split_rows(53, classes=given), tasks.split_rows(given, 53), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.3, 0.9])
@pytest.mark.parametrize("stratified", [False, True])
def test_a_split_has_every_row_once(fraction, stratified):
    classes = np.repeat([0, 1, 2], [2, 10, 40]) if stratified else None
    train, test = split_rows(52, fraction, 3, classes=classes)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(52))
    if classes is not None and fraction:
        assert set(classes[train]) == set(classes[test]) == {0, 1, 2}
    assert fraction or not len(test)


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan"), 0.99])
def test_a_split_that_leaves_nothing(fraction):
    with pytest.raises(DataError, match="fraction"):
        split_rows(6, fraction)
