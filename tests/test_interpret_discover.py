"""From data to a formula: in one call, by the command, and through the estimator."""

import json

import numpy as np
import pytest
import sympy

import edgewise as ew
from edgewise.cli import main
from edgewise.errors import DataError, EdgewiseError, ShapeError
from edgewise.estimators import KANRegressor
from edgewise.interpret import discover, formula

FORMS = ["x", "x^2", "exp", "sin", "sqrt", "log"]


@pytest.fixture(scope="module")
def table():
    random = np.random.default_rng(0)
    X = random.uniform(-1, 1, (400, 3)) * [1, 2, 1] + [0, 1, 5]
    return X, X[:, 0] ** 2 + 2 * np.exp(X[:, 1])


@pytest.fixture(scope="module")
def found(table):
    lines = []
    result = discover(
        *table, features=["a", "rate of b", "c"], target="z", forms=FORMS, widths=[3, 1], progress=lines.append
    )
    return result, lines


@pytest.mark.slow
def test_a_sum_is_found_exactly_and_the_unused_input_is_named(found, table):
    result, lines = found
    a, b = sympy.Symbol("a", real=True), sympy.Symbol("rate of b", real=True)
    assert sympy.simplify(result.formula.sympy() - (a**2 + 2 * sympy.exp(b))) == 0
    assert result.unused == ("c",)
    np.testing.assert_allclose(result.formula.numpy()(table[0]), table[1], rtol=1e-9)
    assert any(line.startswith("[3,1]: pruned to [2,1]") for line in lines)
    assert "unused: c" in str(result)


@pytest.mark.slow
def test_the_networks_that_come_with_a_formula_take_the_columns_of_x(found, table):
    result, _ = found
    X, y = table
    np.testing.assert_allclose(np.asarray(result.symbolic(X))[:, 0], y, rtol=1e-4, atol=1e-4)
    curves = np.asarray(result.model(result.inputs(X)))[:, 0] * result.target.std + result.target.mean
    assert np.sqrt(np.mean((curves - y) ** 2)) < 1e-2 * y.std()
    assert result.model.inputs == (True, True, False)


@pytest.mark.slow
def test_the_command_writes_the_table_and_a_report(tmp_path, table, capsys):
    X, y = table
    rows = "\n".join(",".join(map(repr, row)) for row in np.column_stack([X, y]).tolist())
    (tmp_path / "data.csv").write_text("a,b,c,z\n" + rows + "\n")
    out = tmp_path / "out"
    code = main(
        ["discover", str(tmp_path / "data.csv"), "--target", "z", "--forms", ",".join(FORMS), "--out", str(out)]
    )
    assert code == 0
    assert "z = a**2 + 2*exp(b)" in capsys.readouterr().out
    picked = [row for row in json.loads((out / "formula.json").read_text())["candidates"] if row["picked"]]
    assert [row["formula"] for row in picked] == ["a**2 + 2*exp(b)"]
    assert "a**2 + 2*exp(b)" in (out / "report.html").read_text()


@pytest.mark.slow
def test_a_fitted_regressor_has_a_formula_in_units_of_the_data(table):
    X, y = table
    model = KANRegressor(
        (),
        "bspline:3,10",
        optimizer="levenberg_marquardt",
        max_steps=30,
        alpha=0.0,
        validation_fraction=0.0,
        random_state=0,
    ).fit(X, y)
    assert model.formula_ is model.formula_
    x1, x2, _ = sympy.symbols("x1 x2 x3", real=True)
    found = [formula(model, (X, y), forms=FORMS), model.formula_]
    assert all(sympy.simplify(each.sympy() - (x1**2 + 2 * sympy.exp(x2))) == 0 for each in found)


def test_an_estimator_without_its_data_says_what_to_call(table, tmp_path):
    model = KANRegressor((), "chebyshev:3", max_steps=2, random_state=0).fit(*table)
    model.save(tmp_path / "model.npz")
    with pytest.raises(EdgewiseError, match="without the data"):
        _ = KANRegressor.load(tmp_path / "model.npz").formula_


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"y": np.ones((400, 2))}, ShapeError, "one target"),
        ({"y": np.ones(400)}, DataError, "constant"),
        ({"X": np.full((400, 3), np.nan)}, DataError, "not finite"),
        ({"X": np.ones((5, 3)), "y": np.arange(5.0)}, DataError, "too few"),
        ({"widths": [2, 1]}, ShapeError, "do not fit 3 features"),
        ({"forms": ["sine"]}, EdgewiseError, "did you mean"),
        ({"features": ["a"]}, ShapeError, "3 features"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_fitted(table, change, error, message):
    arguments = {"X": table[0], "y": table[1]} | change
    with pytest.raises(error, match=message):
        discover(**arguments)


def test_the_command_refuses_categories_and_bad_widths(tmp_path, capsys):
    rows = "\n".join(f"{i % 7},{'ab'[i % 2]},{i}" for i in range(30))
    (tmp_path / "data.csv").write_text("n,kind,z\n" + rows + "\n")
    assert main(["discover", str(tmp_path / "data.csv"), "--target", "z"]) == 2
    assert "--ignore kind" in capsys.readouterr().err
    assert main(["discover", str(tmp_path / "data.csv"), "--target", "z", "--widths", "five"]) == 2
    assert "--widths" in capsys.readouterr().err


def test_the_room_offers_its_names():
    assert set(ew.interpret.__all__) <= set(dir(ew.interpret))
    assert all(getattr(ew.interpret, name) is not None for name in ew.interpret.__all__)
