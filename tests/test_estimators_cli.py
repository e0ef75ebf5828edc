"""The commands with the real estimators: from a table to a run, its predictions, and what it shows."""

from __future__ import annotations

import csv
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

from edgewise import cli
from edgewise.estimators import KANClassifier, KANRegressor

COMMON = ["--out", "run", "--widths", "3", "--steps", "40", "--optimizer", "adam:3e-2", "--quiet"]
CITIES = ["Lima", "Oslo", "Rome"]


@pytest.fixture(autouse=True)
def _tables(monkeypatch, tmp_path):
    """An empty folder with two tables in it, and one of new rows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEWISE_CACHE_DIR", "0")
    random = np.random.default_rng(0)
    size, city = random.uniform(20, 150, 60).round(1), random.choice(CITIES, 60)
    price = (3 * size + 90 * (city == "Oslo")).round(1)
    write("houses.csv", ["size", "city", "price"], zip(size, city, price, strict=True))
    write("new.csv", ["city", "size"], [["Rome", 50], ["Oslo", 50], ["Lima", 120]])
    kind = np.repeat(["lily", "rose", "tulip"], 20)
    X = random.normal(size=(60, 2)) + 4 * np.eye(3)[np.repeat([0, 1, 2], 20)][:, :2]
    write("flowers.csv", ["length", "width", "species"], [[*row, name] for row, name in zip(X, kind, strict=True)])


def write(name, header, rows):
    with Path(name).open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def columns(name):
    with Path(name).open(newline="") as file:
        header, *rows = csv.reader(file)
    return dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))


def test_a_regression_with_a_categorical_column(capsys):
    assert cli.main(["fit", "houses.csv", "--target", "price", *COMMON]) == 0
    metrics = json.loads(Path("run", "metrics.json").read_text())
    assert metrics["scores"]["price"]["test"]["R2"] > 0.8
    assert cli.main(["predict", "run", "new.csv", "-o", "predictions.csv"]) == 0
    # size, and a column for each city, in order
    X = np.array([[50, 0, 0, 1], [50, 0, 1, 0], [120, 1, 0, 0]], float)
    estimator = KANRegressor.load(Path("run", "model.npz"))
    found = np.array(columns("predictions.csv")["predicted_price"], float)
    np.testing.assert_allclose(found, estimator.predict(X), rtol=1e-12)
    assert "</html>" in Path("run", "report.html").read_text()
    capsys.readouterr()
    assert cli.main(["show", "run"]) == 0
    assert "price from houses.csv: regression, 40 steps" in capsys.readouterr().out


def test_a_run_is_the_estimator_fitted_on_the_training_rows():
    assert cli.main(["fit", "houses.csv", "--target", "price", *COMMON]) == 0
    table, tested = columns("houses.csv"), columns(Path("run", "predictions.csv"))
    X = np.column_stack([np.array(table["size"], float), *(np.array(table["city"]) == city for city in CITIES)])
    test = np.array(tested["row"], int) - 2  # lines of the file, whose first is the header
    training = np.setdiff1d(np.arange(60), test)
    options = {"hidden_widths": (3,), "max_steps": 40, "optimizer": "adam:3e-2", "random_state": 0}
    estimator = KANRegressor(**options).fit(X[training], np.array(table["price"], float)[training])
    # the rows may come in another order, which changes sums in the last digits
    found = np.array(tested["predicted_price"], float)
    np.testing.assert_allclose(found, estimator.predict(X[test]), rtol=1e-6)


def test_a_schedule_refines_the_network_and_is_in_the_settings():
    assert cli.main(["fit", "houses.csv", "--target", "price", "--widths", "3", "--out", "run", "--quiet",
                     "--schedule", "10+refine:7+10"]) == 0  # fmt: skip
    settings = tomllib.loads(Path("run", "settings.toml").read_text())
    assert settings["schedule"] == [10, "refine:7", 10]
    assert "steps" not in settings
    estimator = KANRegressor.load(Path("run", "model.npz"))
    assert [layer.basis.size for layer in estimator.model_.layers] == [7, 7]
    assert estimator.n_iter_ == 20
    assert estimator.history_.events == ((10, "refine:7"),)
    assert cli.main(["fit", "--config", str(Path("run", "settings.toml")), "--out", "again", "--quiet"]) == 0
    assert Path("again", "predictions.csv").read_text() == Path("run", "predictions.csv").read_text()


def test_a_classification(capsys):
    assert cli.main(["fit", "flowers.csv", "--target", "species", *COMMON]) == 0
    metrics = json.loads(Path("run", "metrics.json").read_text())
    assert metrics["scores"]["species"]["test"]["accuracy"] > 0.8
    assert cli.main(["predict", "run", "flowers.csv", "-o", "predictions.csv"]) == 0
    table, found = columns("flowers.csv"), columns("predictions.csv")
    X = np.column_stack([np.array(table[name], float) for name in ("length", "width")])
    chances = KANClassifier.load(Path("run", "model.npz")).predict_proba(X)
    names = ["lily", "rose", "tulip"]
    written = np.stack([np.array(found[f"probability_{name}"], float) for name in names], axis=1)
    np.testing.assert_allclose(written, chances, rtol=1e-12, atol=1e-300)
    assert found["predicted_species"] == [names[k] for k in chances.argmax(axis=1)]
    assert "</html>" in Path("run", "report.html").read_text()
    capsys.readouterr()
    assert cli.main(["show", "run"]) == 0
    assert "species from flowers.csv: classification, 40 steps" in capsys.readouterr().out
