"""From data to a formula: in one call, by the command, and through the estimator."""

import json
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import sympy
from flax import nnx

import edgewise as ew
from edgewise.cli import main
from edgewise.errors import DataError, EdgewiseError, ShapeError
from edgewise.estimators import KANRegressor
from edgewise.interpret import discover, discovery
from edgewise.interpret.formulas import Candidate, Formula
from edgewise.interpret.symbolic import NoFormError
from edgewise.nn.forms import FORMS

FEW = ["x", "x^2", "exp", "sin", "sqrt", "log"]


@pytest.fixture(scope="module")
def table():
    random = np.random.default_rng(0)
    X = random.uniform(-1, 1, (400, 3)) * [1, 2, 1] + [0, 1, 5]
    return X, X[:, 0] ** 2 + 2 * np.exp(X[:, 1])


@pytest.fixture(scope="module")
def found(table):
    lines = []
    result = discover(
        *table, features=["a", "rate of b", "c"], target="z", forms=FEW, widths=[3, 1], progress=lines.append
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
def test_a_structure_without_a_formula_is_passed_over(table, monkeypatch):
    lines = []

    def none(*_):
        raise NoFormError("edge (0, 0, 0) has no form that is defined where the data are.", do="pass more forms.")

    monkeypatch.setattr(discovery, "symbolized", none)
    with pytest.raises(EdgewiseError, match=r"no form that is defined(?s:.*)pass more forms"):
        discover(*table, forms=FEW, widths=[3, 1], progress=lines.append)
    assert "has no form" in lines[-1]


@pytest.mark.slow
def test_with_noise_the_search_ends_at_a_formula_as_good_as_the_curves():
    """The first network of few rows fits their noise; on held-out rows it is no better than the formula."""
    random = np.random.default_rng(3)
    t = np.linspace(0, 5, 200)[:, None]
    y = 3.7 * np.exp(-t[:, 0] / 1.3) + 0.5 + 0.01 * random.normal(size=200)
    result = discover(t, y, features=["t"], forms=["x", "exp"])
    assert list(result.fits) == ["[1,5,1]", "[1,1]"]
    np.testing.assert_allclose(result.formula.numpy()(t), 3.7 * np.exp(-t[:, 0] / 1.3) + 0.5, atol=0.01)


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
    code = main(["discover", str(tmp_path / "data.csv"), "--target", "z", "--forms", ",".join(FEW), "--out", str(out)])
    assert code == 0
    assert "z = a**2 + 2*exp(b)" in capsys.readouterr().out
    picked = [row for row in json.loads((out / "formula.json").read_text())["candidates"] if row["picked"]]
    assert [row["formula"] for row in picked] == ["a**2 + 2*exp(b)"]
    assert "a**2 + 2*exp(b)" in (out / "report.html").read_text()


@pytest.fixture
def regressor():
    """Fitted badly, so that nothing can be read from its own network."""
    return KANRegressor((2,), "chebyshev:3", max_steps=2, random_state=3)


@pytest.mark.slow
def test_the_formula_of_a_regressor_is_searched_for_from_its_data(regressor, table, monkeypatch):
    """As by the command before it, whose compiled programs it finds: hence the same data."""
    pandas = pytest.importorskip("pandas")
    monkeypatch.setattr("edgewise.interpret.symbolic.FORMS", {name: FORMS[name] for name in FEW})
    frame, y = pandas.DataFrame(table[0], columns=["a", "rate of b", "c"]), table[1]
    before = regressor.fit(frame, y).predict(frame)
    network, states = regressor.model_, [np.array(leaf) for leaf in jax.tree.leaves(nnx.state(regressor.model_))]
    found = regressor.formula_
    a, b = sympy.Symbol("a", real=True), sympy.Symbol("rate of b", real=True)
    assert sympy.simplify(found.sympy() - (a**2 + 2 * sympy.exp(b))) == 0
    assert found.features == ("a", "rate of b", "c")
    np.testing.assert_allclose(found.numpy()(frame.to_numpy()), y, rtol=1e-9)
    assert all(row.check < 1e-6 for row in found.rows)
    # the network is as it was, and the data are let go
    assert regressor.model_ is network
    assert all(map(np.array_equal, states, jax.tree.leaves(nnx.state(network))))
    np.testing.assert_array_equal(regressor.predict(frame), before)
    assert regressor.formula_ is found
    assert not any(isinstance(value, tuple) and len(value) == 2 for value in vars(regressor).values())


def test_what_a_regressor_asks_for(regressor, monkeypatch):
    x1, x2 = sympy.symbols("x1 x2", real=True)
    asked, tables = [], {"y1": ([x1, x1 + 1, x1**2], [0.5, 0.2, 0.1], 1), "y2": ([x2, x2**3], [0.9, 0.0], 1)}
    tables["y"] = tables["y1"]

    def fake(X, y, *, features, target, seed):
        asked.append((X, y, features, target, seed))
        expressions, errors, picked = tables[target]
        rows = [
            Candidate((e,), n + 1, error, 1e-9) for n, (e, error) in enumerate(zip(expressions, errors, strict=True))
        ]
        return SimpleNamespace(formula=Formula(tuple(rows), picked, ("x1", "x2"), (target,)))

    monkeypatch.setattr("edgewise.interpret.discovery.discover", fake)
    X = np.random.default_rng(0).normal(size=(2500, 2))
    assert regressor.fit(X, X[:, 0]).formula_.sympy() == x1 + 1
    rows, y, *options = asked[0]
    assert rows.shape == (2000, 2)
    np.testing.assert_array_equal(y, rows[:, 0])
    assert options == [None, "y", 3]
    assert "formula_" not in vars(regressor.fit(X, X))  # of the new data
    both = regressor.formula_
    assert [options[3] for options in asked[1:]] == ["y1", "y2"]
    assert [row.expressions for row in both.rows] == [(x1, x2), (x1, x2**3), (x1 + 1, x2**3), (x1**2, x2**3)]
    assert both.sympy() == [x1 + 1, x2**3]
    assert both.outputs == ("y1", "y2")
    np.testing.assert_allclose(both.error, 0.2 / np.sqrt(2))
    assert KANRegressor((), max_steps=1).fit(X[:30], X[:30, 0]).formula_
    assert asked[-1][-1] == 0


def test_a_picture_of_a_regressor_starts_no_search(regressor, table):
    regressor.fit(*table)
    assert "model_" in regressor._repr_mimebundle_()["text/html"]
    assert "formula_" not in {*vars(regressor), *dir(regressor)}


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
        ({"y": np.full(400, 1 / 3)}, DataError, "constant"),
        ({"X": np.full((400, 3), np.nan)}, DataError, "not finite"),
        ({"X": np.ones((5, 3)), "y": np.arange(5.0)}, DataError, "too few"),
        ({"widths": [2, 1]}, ShapeError, "do not fit 3 features"),
        ({"forms": ["sine"]}, EdgewiseError, "did you mean"),
        ({"features": ["a"]}, ShapeError, "3 features"),
        ({"features": ["a", "b", "c", "a"]}, ShapeError, "3 features"),
        ({"features": ["a", "b", "a"]}, EdgewiseError, "comes twice"),
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


def test_the_command_does_not_overwrite_what_is_there(tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "formula.txt").write_text("mine")
    command = ["discover", str(tmp_path / "none.csv"), "--target", "z", "--out", str(tmp_path / "out")]
    assert main(command) == 2
    err = capsys.readouterr().err
    assert "an earlier result would be overwritten" in err
    assert "choose another --out, or overwrite it with --force" in err
    assert main([*command, "--force"]) == 2
    assert "no file" in capsys.readouterr().err
    assert (tmp_path / "out" / "formula.txt").read_text() == "mine"


def test_the_room_offers_its_names():
    assert set(ew.interpret.__all__) <= set(dir(ew.interpret))
    assert all(getattr(ew.interpret, name) is not None for name in ew.interpret.__all__)
