"""``edgewise fit``, ``predict`` and ``show``: from a table to a run, and from a run to predictions."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import numpy as np
import pytest

import fake_estimators
from edgewise import cli
from edgewise.cli import scores
from edgewise.cli.summary import sparkline
from edgewise.errors import EdgewiseError
from test_study_report import Page

FILES = {
    "checkpoint.npz", "columns.json", "history.csv", "metrics.json", "model.npz", "predictions.csv", "report.html",
    "settings.toml",
}  # fmt: skip
HOUSES = ["fit", "houses.csv", "--target", "price", "--steps", "100", "--out", "run"]
FLOWERS = ["fit", "flowers.csv", "--target", "species", "--out", "run"]


@pytest.fixture(autouse=True)
def _tables(monkeypatch, tmp_path):
    """An empty folder with two tables in it, and no estimators but the stand-ins."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEWISE_CACHE_DIR", "0")
    monkeypatch.setitem(sys.modules, "edgewise.estimators", fake_estimators)
    random = np.random.default_rng(0)
    size, floor = random.uniform(20, 150, 60).round(1), random.integers(0, 9, 60)
    city = random.choice(["Lima", "Oslo", "Rome"], 60)
    price = 3 * size + np.select([city == "Oslo", city == "Rome"], [90, 40]) + random.normal(size=60)
    rows = zip(size, city, floor, price.round(2), strict=True)
    Path("houses.csv").write_text("size,city,floor,price\n" + "".join(f"{a},{b},{c},{d}\n" for a, b, c, d in rows))
    kind = np.repeat([0, 1, 2], 20)
    X = random.normal(size=(60, 2)) + 4 * np.eye(3)[kind][:, :2]
    names = np.array(["rose", "tulip", "lily"])[kind]
    Path("flowers.csv").write_text(
        "length,width,species\n" + "".join(f"{a},{b},{name}\n" for (a, b), name in zip(X, names, strict=True))
    )


@pytest.fixture
def _no_plots(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)


def table(text: str) -> dict[str, list[str]]:
    header, *rows = csv.reader(io.StringIO(text))
    return dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))


def numbers(cells: list[str]) -> np.ndarray:
    return np.array(cells, float)


def metrics() -> dict:
    return json.loads(Path("run", "metrics.json").read_text())


def test_a_run_from_the_table_to_the_report(capsys):
    assert cli.main(HOUSES) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert {path.name for path in Path("run").iterdir()} == FILES
    tested = table(Path("run", "predictions.csv").read_text())
    assert list(tested) == ["row", "price", "predicted_price"]
    assert len(tested["row"]) == 12
    truth, predicted = numbers(tested["price"]), numbers(tested["predicted_price"])
    found = metrics()["scores"]["price"]["test"]
    assert found["RMSE"] == pytest.approx(np.sqrt(np.mean((truth - predicted) ** 2)))
    assert found["R2"] == pytest.approx(1 - np.mean((truth - predicted) ** 2) / np.var(truth))
    assert found["RMSE"] < 2
    assert "On the 12 test rows the error of 'price' is" in out
    assert out.endswith(f"Run: run  Report: {Path('run', 'report.html')}\n")


def test_test_rows_are_those_of_the_file():
    assert cli.main(HOUSES) == 0
    tested = table(Path("run", "predictions.csv").read_text())
    lines = Path("houses.csv").read_text().splitlines()
    for row, price in zip(tested["row"], tested["price"], strict=True):
        assert float(lines[int(row) - 1].split(",")[3]) == float(price)


@pytest.mark.usefixtures("_no_plots")
def test_a_target_called_row_does_not_cost_the_numbers_of_the_rows():
    Path("seats.csv").write_text(Path("houses.csv").read_text().replace("price", "row", 1))
    assert cli.main(["fit", "seats.csv", "--target", "row", "--out", "run", "--quiet"]) == 0
    found = table(Path("run", "predictions.csv").read_text())
    assert list(found) == ["row_number", "row", "predicted_row"]
    given = table(Path("seats.csv").read_text())["row"]
    np.testing.assert_array_equal(numbers(found["row"]), [float(given[int(row) - 2]) for row in found["row_number"]])


def test_predictions_are_those_of_the_run(capsys):
    """Predicted again from the whole file, without the target and with its columns in another order."""
    assert cli.main(HOUSES) == 0
    tested = table(Path("run", "predictions.csv").read_text())
    rows = list(csv.DictReader(io.StringIO(Path("houses.csv").read_text())))
    Path("new.csv").write_text(
        "note,floor,city,size\n" + "".join(f"x,{r['floor']},{r['city']},{r['size']}\n" for r in rows)
    )
    capsys.readouterr()
    assert cli.main(["predict", "run", "new.csv"]) == 0
    out, err = capsys.readouterr()
    assert err == "Note: not used, since the model was trained without: 'note'.\n"
    predicted = table(out)
    assert list(predicted) == ["predicted_price"]
    chosen = np.array(tested["row"], int) - 2
    np.testing.assert_allclose(
        numbers(predicted["predicted_price"])[chosen], numbers(tested["predicted_price"]), rtol=1e-12
    )
    assert cli.main(["predict", "run", "new.csv", "-o", "p.csv"]) == 0
    assert Path("p.csv").read_text() == out


def test_classes(capsys):
    assert cli.main(FLOWERS) == 0
    tested = table(Path("run", "predictions.csv").read_text())
    names = ["lily", "rose", "tulip"]
    assert list(tested) == ["row", "species", "predicted_species", *(f"probability_{name}" for name in names)]
    chances = np.stack([numbers(tested[f"probability_{name}"]) for name in names], axis=1)
    np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-6)
    assert tested["predicted_species"] == [names[i] for i in chances.argmax(axis=1)]
    right = np.mean([a == b for a, b in zip(tested["species"], tested["predicted_species"], strict=True)])
    assert metrics()["scores"]["species"]["test"]["accuracy"] == pytest.approx(right)
    assert metrics()["scores"]["species"]["baseline"]["accuracy"] == pytest.approx(1 / 3)
    assert sorted(tested["species"]) == sorted(names * 4)
    capsys.readouterr()
    assert cli.main(["predict", "run", "flowers.csv"]) == 0
    assert capsys.readouterr().out.startswith("predicted_species,probability_lily")


def test_several_targets(capsys):
    assert cli.main(["fit", "houses.csv", "--target", "price,size", "--out", "run"]) == 0
    assert "price, test" in capsys.readouterr().out
    assert set(metrics()["scores"]) == {"price", "size"}
    tested = table(Path("run", "predictions.csv").read_text())
    assert list(tested) == ["row", "price", "size", "predicted_price", "predicted_size"]


def test_npz():
    X = np.random.default_rng(0).normal(size=(40, 3))
    np.savez("d.npz", X=X, y=X @ [1, 2, 3])
    np.savez("new.npz", X=X[:2])
    assert cli.main(["fit", "d.npz", "--out", "run"]) == 0
    assert cli.main(["predict", "run", "new.npz", "-o", "p.csv"]) == 0
    np.testing.assert_allclose(numbers(table(Path("p.csv").read_text())["predicted_y"]), X[:2] @ [1, 2, 3], rtol=1e-6)


@pytest.mark.usefixtures("_no_plots")
def test_settings_reach_the_estimator_and_the_folder(monkeypatch):
    made = []
    build = fake_estimators._Linear.__init__
    monkeypatch.setattr(
        fake_estimators._Linear,
        "__init__",
        lambda self, **keywords: (made.append(keywords), build(self, **keywords))[0],
    )
    Path("run.toml").write_text('data = "houses.csv"\ntarget = "price"\nsteps = 5\nbasis = "fourier:3"\nout = "run"\n')
    assert cli.main(["fit", "--config", "run.toml", "--steps", "7", "--widths", "4,4", "--quiet"]) == 0
    assert made == [
        {"basis": "fourier:3", "hidden_widths": (4, 4), "max_steps": 7, "random_state": 0, "verbose": False}
    ]
    settings = tomllib.loads(Path("run", "settings.toml").read_text())
    assert (settings["steps"], settings["basis"], settings["widths"]) == (7, "fourier:3", [4, 4])
    assert settings["residual"] == "silu", "what was not set is written as the estimator has it"
    again = ["fit", "--config", str(Path("run", "settings.toml")), "--out", "again"]
    assert cli.main(again) == 0
    assert Path("again", "predictions.csv").read_text() == Path("run", "predictions.csv").read_text()


@pytest.mark.usefixtures("_no_plots")
def test_json_alone_on_the_output(capsys):
    assert cli.main([*HOUSES, "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == metrics()
    assert "Run: run" in err
    assert cli.main(["show", "run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == metrics()


@pytest.mark.usefixtures("_no_plots")
def test_quiet(capsys):
    assert cli.main([*HOUSES, "--quiet"]) == 0
    assert capsys.readouterr() == (f"Run: run  Report: {Path('run', 'report.html')}\n", "")


@pytest.mark.usefixtures("_no_plots")
def test_twice_makes_two_folders():
    command = ["fit", "houses.csv", "--target", "price", "--quiet"]
    assert [cli.main(command) for _ in range(2)] == [0, 0]
    assert Path("edgewise-run", "model.npz").exists()
    assert Path("edgewise-run-2", "model.npz").exists()


@pytest.mark.usefixtures("_no_plots")
def test_an_existing_run_needs_force(capsys):
    assert cli.main(HOUSES) == 0
    Path("run", "mine.txt").write_text("mine")
    capsys.readouterr()
    assert cli.main(HOUSES) == 2
    error = capsys.readouterr().err
    assert "--force" in error
    assert "--resume" in error
    assert cli.main([*FLOWERS, "--force", "--test", "0"]) == 0
    assert {path.name for path in Path("run").iterdir()} == FILES - {"predictions.csv"} | {"mine.txt"}
    assert metrics()["rows"] == {"training": 60, "test": 0}
    assert set(metrics()["scores"]["species"]) == {"training", "baseline"}


@pytest.mark.usefixtures("_no_plots")
@pytest.mark.parametrize("mistake", [["--target", "prise"], ["--steps", "0"], []])
def test_a_mistake_does_not_cost_the_earlier_run(mistake, monkeypatch, capsys):
    def fit(self, X, y, checkpoint=None, resume=False):
        raise EdgewiseError("no such basis.")

    assert cli.main(HOUSES) == 0
    monkeypatch.setattr(fake_estimators._Linear, "fit", fit)
    before = {path: path.read_bytes() for path in Path("run").iterdir()}
    assert cli.main([*HOUSES, "--force", *mistake]) == 2
    assert {path: path.read_bytes() for path in Path("run").iterdir()} == before
    assert "error: " in capsys.readouterr().err


@pytest.mark.usefixtures("_no_plots")
def test_interrupted_and_resumed(monkeypatch, capsys):
    monkeypatch.setattr(fake_estimators._Linear, "stop_after", 30)
    assert cli.main(HOUSES) == 130
    out = capsys.readouterr().out
    assert "Interrupted after 30 steps" in out
    assert "  edgewise fit --resume --out run\n" in out
    assert metrics()["stop"] == "interrupted"
    assert "Interrupted after 30 steps. " in Path("run", "report.html").read_text()
    assert cli.main(["show", "run"]) == 0
    assert "regression, 30 steps (interrupted)" in capsys.readouterr().out
    assert cli.main(["predict", "run", "houses.csv"]) == 0
    monkeypatch.setattr(fake_estimators._Linear, "stop_after", None)
    assert cli.main(["fit", "--resume", "--out", "run", "--steps", "200"]) == 0
    assert metrics()["steps"] == 200
    assert metrics()["stop"] == "completed"
    assert tomllib.loads(Path("run", "settings.toml").read_text())["steps"] == 200


@pytest.mark.usefixtures("_no_plots")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--optimizer", "lbfgs"], "optimizer is 'lbfgs', but the run in 'run' has 'adam'"),
        (["other.csv"], "data is 'other.csv'"),
        (["--force"], "--force and --resume"),
        (["--out", "elsewhere"], "no run in 'elsewhere' to go on with"),
    ],
)
def test_what_cannot_be_resumed(words, message, capsys):
    assert cli.main(HOUSES) == 0
    assert cli.main(["fit", "--resume", "--out", "run", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("_no_plots")
def test_resumed_without_a_checkpoint(capsys):
    assert cli.main(HOUSES) == 0
    Path("run", "checkpoint.npz").unlink()
    assert cli.main(["fit", "--resume", "--out", "run"]) == 2
    assert "it has no checkpoint.npz" in capsys.readouterr().err
    assert {path.name for path in Path("run").iterdir()} == FILES - {"checkpoint.npz"}


@pytest.mark.usefixtures("_no_plots")
def test_resumed_on_other_data(capsys):
    assert cli.main(HOUSES) == 0
    text = Path("houses.csv").read_text()
    Path("houses.csv").write_text(text.replace("Oslo,", "Rome,", 1))
    assert cli.main(["fit", "--resume", "--out", "run"]) == 2
    assert "houses.csv is not what the run was trained on" in capsys.readouterr().err


@pytest.mark.parametrize("way", ["raised", "reported"])
def test_interrupted_before_anything(way, monkeypatch, capsys):
    def raised(self, X, y, checkpoint=None, resume=False):
        raise KeyboardInterrupt

    def reported(self, X, y, checkpoint=None, resume=False):
        self.n_iter_, self.stop_reason_ = 0, "interrupted"

    monkeypatch.setattr(fake_estimators._Linear, "fit", raised if way == "raised" else reported)
    assert cli.main(HOUSES) == 130
    assert "interrupted before" in capsys.readouterr().err
    assert not Path("run").exists()


def test_interrupted_while_it_is_scored(monkeypatch, capsys):
    def predict(self, X):
        raise KeyboardInterrupt

    monkeypatch.setattr(fake_estimators.KANRegressor, "predict", predict)
    assert cli.main(HOUSES) == 130
    assert "edgewise fit --resume --out run" in capsys.readouterr().err
    assert cli.main(["show", "run"]) == 2
    assert "is not finished" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made(monkeypatch, capsys):
    monkeypatch.setattr(fake_estimators._Linear, "fit", None)
    Path("file").write_text("x")
    for out in ("file", str(Path("file", "run"))):
        assert cli.main([*HOUSES[:-1], out]) == 2
        assert "cannot write to the folder" in capsys.readouterr().err
    assert Path("file").read_text() == "x"


@pytest.mark.usefixtures("_no_plots")
@pytest.mark.parametrize("fails", ["model.npz", "metrics.json"])
def test_a_full_disk_does_not_cost_the_scores(fails, monkeypatch, capsys):
    replace, save = os.replace, fake_estimators._Linear.save

    def full(source, target):
        if Path(target).name == fails:
            raise OSError(28, "No space left on device")
        replace(source, target)

    def unsaved(self, path):
        if Path(path).name == fails:
            raise OSError(28, "No space left on device")
        save(self, path)

    monkeypatch.setattr(os, "replace", full)
    monkeypatch.setattr(fake_estimators._Linear, "save", unsaved)
    assert cli.main(HOUSES) == 1
    out, err = capsys.readouterr()
    assert "On the 12 test rows" in out
    assert "No space left on device" in err


BAD = {
    "no data": (["fit"], "no data were given"),
    "no target": (["fit", "houses.csv"], "no target column"),
    "no such target": (["fit", "houses.csv", "--target", "prise"], "did you mean 'price'"),
    "no such file": (["fit", "house.csv", "--target", "price"], "no file 'house.csv'"),
    "task": ([*HOUSES, "--task", "clasification"], "did you mean 'classification'"),
    "quantiles": ([*HOUSES, "--loss", "quantile:0.1,0.9"], "predicts several values for one target"),
    "config": ([*HOUSES, "--config", "none.toml"], "no file 'none.toml'"),
    "nothing to train on": ([*HOUSES, "--test", "0.999"], "leaves none of the 60 rows"),
    "no run": (["predict", "run", "houses.csv"], "no folder 'run'"),
    "no run to show": (["show", "run"], "no folder 'run'"),
    "not a run": (["show", "."], "'.' is not the folder of a run"),
}


@pytest.mark.parametrize("case", BAD)
def test_mistakes_are_explained_without_a_traceback(case, capsys):
    argv, message = BAD[case]
    assert cli.main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert message in err
    assert not Path("run").exists()


@pytest.mark.usefixtures("_no_plots")
def test_mistakes_in_what_to_predict(capsys):
    assert cli.main([*HOUSES, "--quiet"]) == 0
    Path("seen.csv").write_text("size,city,floor\n50,Oslo,1\n")
    Path("unseen.csv").write_text("size,city,floor\n50,Oslo,1\n60,Bonn,2\n")
    Path("short.csv").write_text("size,city\n50,Oslo\n")
    for words, message in (
        (["unseen.csv"], "column 'city' has an unknown category in row 3: 'Bonn'"),
        (["short.csv"], "has no column 'floor'"),
        (["none.csv"], "no file 'none.csv'"),
        (["seen.csv", "-o", "seen.csv"], "is the file with the rows"),
        (["seen.csv", "-o", "run"], "'run' is a folder"),
        (["seen.csv", "-o", str(Path("nowhere", "p.csv"))], "no folder 'nowhere'"),
        (["seen.csv", "-o", "p.parquet"], "predictions are written as CSV"),
    ):
        capsys.readouterr()
        assert cli.main(["predict", "run", *words]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert message in err
    assert Path("seen.csv").read_text().startswith("size")


@pytest.mark.usefixtures("_no_plots")
def test_what_is_no_file_is_not_replaced(capsys):
    assert cli.main([*HOUSES, "--quiet"]) == 0
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    assert cli.main(["predict", "run", "houses.csv", "-o", "pipe"]) == 0
    assert os.read(reader, 100).startswith(b"predicted_price\n")
    os.close(reader)
    assert Path("pipe").is_fifo()


@pytest.mark.usefixtures("_no_plots")
@pytest.mark.parametrize(("file", "command"), [("columns.json", "predict"), ("metrics.json", "show")])
def test_damaged_files(file, command, capsys):
    assert cli.main([*HOUSES, "--quiet"]) == 0
    for text in ("{", "[]", "{}", '{"columns": {}}', '{"columns": {"format": 1}}'):
        Path("run", file).write_text(text)
        assert cli.main([command, "run", *(["houses.csv"] if command == "predict" else [])]) == 2
        assert "edgewise" in capsys.readouterr().err


@pytest.mark.usefixtures("_no_plots")
def test_files_that_do_not_fit(capsys):
    assert cli.main([*HOUSES, "--quiet"]) == 0
    written = metrics()
    for change in ({"settings": {}}, {"seconds": "x"}):
        Path("run", "metrics.json").write_text(json.dumps(written | change))
        assert cli.main(["show", "run"]) == 2
        assert "'run/metrics.json' is not as edgewise writes it" in capsys.readouterr().err
    record = json.loads(Path("run", "columns.json").read_text())
    for part, inputs, outputs in (("features", 4, 1), ("targets", 5, 0)):
        fewer = record["columns"] | {part: record["columns"][part][:-1]}
        Path("run", "columns.json").write_text(json.dumps(record | {"columns": fewer}))
        assert cli.main(["predict", "run", "houses.csv"]) == 2
        said = f"describes {inputs} inputs and {outputs} outputs, model.npz has 5 and 1"
        assert said in capsys.readouterr().err


@pytest.mark.usefixtures("_no_plots")
def test_show(capsys):
    assert cli.main([*HOUSES, "--validation", "0.1", "--quiet"]) == 0
    capsys.readouterr()
    assert cli.main(["show", "run"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("price from houses.csv: regression, 100 steps")
    for part in ("RMSE", "baseline", "On the 12 test rows", "optimizer   adam", "validation  0.1", "target      price",
                 "Repeat: edgewise fit houses.csv --target price --steps 100 --validation 0.1"):  # fmt: skip
        assert part in out
    assert "penalty" not in out
    for name in ("training", "validation"):
        assert re.search(rf"^{name} +\S+ █[▁-█]+▁ \S+$", out, re.MULTILINE)


def test_a_loss_with_a_penalty_is_told_from_one_without(capsys):
    """Without a word, a loss of training above that of validation looks like a fault."""
    told = "includes the penalty on the size of the coefficients (alpha)"
    for more, end in ([], f"{told}."), (["--validation", "0.1"], f"{told}; that of validation is without."):
        assert cli.main([*HOUSES, "--alpha", "2", *more, "--force"]) == 0
        capsys.readouterr()
        assert cli.main(["show", "run"]) == 0
        assert end in capsys.readouterr().out
        assert end in Path("run", "report.html").read_text()


@pytest.mark.usefixtures("_no_plots")
def test_show_where_bars_cannot_be_printed(run_python):
    assert cli.main([*HOUSES, "--quiet"]) == 0
    code = "import sys; from edgewise.cli import main; sys.exit(main(['show', 'run']))"
    out = run_python(code, env={"PYTHONIOENCODING": "ascii"}, cwd=Path.cwd())
    assert re.search(r"^training +1 @[_.=+*#@-]+_ ", out, re.MULTILINE)


def test_show_needs_no_jax(run_python):
    assert cli.main([*HOUSES, "--quiet"]) == 0
    code = "import sys; from edgewise.cli import main; main(['show', 'run']); print('jax' in sys.modules)"
    assert run_python(code, cwd=Path.cwd()).splitlines()[-1] == "False"


def test_sparklines():
    assert sparkline([1, 10, 100], "abc") == "cba"[::-1]
    assert sparkline([0, 5, 10], "abc") == "abc"
    assert sparkline([1, None, float("nan"), 2], "ab") == "a  b"
    assert sparkline([3, 3], "ab") == "aa"
    assert sparkline([], "ab") == sparkline([None], "ab") == ""
    assert len(sparkline(range(1, 1000))) == 60


@pytest.mark.parametrize("command", [HOUSES, FLOWERS, [*HOUSES, "--target", "price,size", "--validation", "0.2"]])
def test_the_page_needs_nothing_else_and_says_everything(command):
    assert cli.main(command) == 0
    text = Path("run", "report.html").read_text()
    page = Page(text)
    assert page.open == []
    assert page.fetched == []
    assert not re.search(r"url\((?!#)|@import|<script", text)
    assert text.count("<svg") == 2
    for part in ("Loss while training", "test rows", "baseline", "jaxlib", "edgewise fit", "prefers-color-scheme"):
        assert part in text


@pytest.mark.usefixtures("_no_plots")
def test_a_page_without_plots_says_how_to_get_them():
    assert cli.main(HOUSES) == 0
    text = Path("run", "report.html").read_text()
    assert "<svg" not in text
    assert "edgewise[plot]" in text
    assert "edgewise[plot]" in metrics()["notes"][-1]


def test_names_are_escaped_and_no_formulas():
    text = Path("houses.csv").read_text().replace("price", "<script>$\\frac$").replace("Oslo", "<b>")
    Path("odd.csv").write_text(text)
    assert cli.main(["fit", "odd.csv", "--target", "<script>$\\frac$", "--out", "run"]) == 0
    page = Path("run", "report.html").read_text()
    assert "<script>" not in page
    assert "<b>" not in page


def test_many_classes_have_a_report():
    X = np.random.default_rng(0).normal(size=(90, 2))
    np.savez("d.npz", X=X, y=np.array([f"kind {i % 30}" for i in range(90)]))
    assert cli.main(["fit", "d.npz", "--out", "run"]) == 0
    assert Path("run", "report.html").read_text().count("<svg") == 2


def test_scores_against_scikit_learn():
    theirs = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(0)
    truth, said = random.normal(size=50), random.normal(size=50)
    ours = scores.regression_scores(truth, said)
    assert ours["R2"] == pytest.approx(theirs.r2_score(truth, said))
    assert ours["MAE"] == pytest.approx(theirs.mean_absolute_error(truth, said))
    assert ours["MSE"] == pytest.approx(theirs.mean_squared_error(truth, said))
    labels, chances = random.integers(0, 3, 50), random.dirichlet(np.ones(3), 50)
    ours = scores.class_scores(labels, chances)
    assert ours["accuracy"] == pytest.approx(theirs.accuracy_score(labels, chances.argmax(1)))
    assert ours["balanced accuracy"] == pytest.approx(theirs.balanced_accuracy_score(labels, chances.argmax(1)))
    assert ours["log loss"] == pytest.approx(theirs.log_loss(labels, chances))
    np.testing.assert_array_equal(
        scores.confusion_matrix(labels, chances.argmax(1), 3), theirs.confusion_matrix(labels, chances.argmax(1))
    )


def test_a_target_that_does_not_vary_in_the_test_rows_has_no_r2():
    said = np.array([0.1, 0.2, 0.3])
    assert np.isnan(scores.regression_scores(np.full(3, 0.1), said)["R2"])  # whose variance is 2e-34
    assert np.isnan(scores.regression_scores(1e-200 * said, said)["R2"])


@pytest.fixture
def _real(monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.delitem(sys.modules, "edgewise.estimators")
    import edgewise.estimators as real

    monkeypatch.setitem(sys.modules, "edgewise.estimators", real)


MISSPELLED = {
    "--basis": ("chebishev:5", "did you mean 'chebyshev'"),
    "--init": ("glorto", "did you mean 'glorot'"),
    "--residual": ("sillu", "did you mean 'silu'"),
    "--loss": ("hubr", "did you mean 'huber'"),
    "--optimizer": ("adan:1e-3", "did you mean 'adam'"),
}


@pytest.mark.usefixtures("_real")
@pytest.mark.parametrize("option", MISSPELLED)
def test_names_that_there_are_not(option, capsys):
    word, message = MISSPELLED[option]
    assert cli.main([*HOUSES, option, word]) == 2
    assert message in capsys.readouterr().err
    assert not Path("run").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("_real", "_no_plots")
def test_a_regression_for_real(capsys):
    """The command as it is used; its own model, loaded again, says what it said; going on changes nothing done."""
    exactly = ["--optimizer", "levenberg_marquardt", "--alpha", "0", "--widths", "2", "--steps", "30"]
    assert cli.main([*HOUSES, *exactly]) == 0
    assert metrics()["scores"]["price"]["test"]["R2"] > 0.99
    assert metrics()["curve"]["training"][-1][1] < 0.1 * metrics()["curve"]["training"][0][1]
    capsys.readouterr()
    assert cli.main(["predict", "run", "houses.csv"]) == 0
    tested = table(Path("run", "predictions.csv").read_text())
    predicted = numbers(table(capsys.readouterr().out)["predicted_price"])
    np.testing.assert_allclose(
        predicted[np.array(tested["row"], int) - 2], numbers(tested["predicted_price"]), rtol=1e-12
    )
    before = Path("run", "predictions.csv").read_text()
    assert cli.main(["fit", "--resume", "--out", "run"]) == 0
    assert Path("run", "predictions.csv").read_text() == before


@pytest.mark.slow
@pytest.mark.usefixtures("_real", "_no_plots")
def test_a_classification_for_real():
    assert cli.main([*FLOWERS, "--validation", "0.2", "--optimizer", "adam:3e-2", "--seed", "1"]) == 0
    assert metrics()["scores"]["species"]["test"]["accuracy"] > 0.8
    assert len(metrics()["curve"]["validation"]) > 3


@pytest.mark.slow
def test_interrupted_for_real(root, tmp_path):
    """Ctrl-C while it trains: the run is kept as it is then, and goes on from there."""
    pytest.importorskip("sklearn")
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += "from edgewise.cli import main; sys.exit(main())"
    with subprocess.Popen(
        [sys.executable, "-c", code, *HOUSES, "--steps", "100000000", "--optimizer", "adam:1e-3"],
        env={**os.environ, "PYTHONPATH": str(root / "src"), "EDGEWISE_CACHE_DIR": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    ) as process:
        watchdog = threading.Timer(300, process.kill)
        watchdog.start()
        assert process.stderr is not None
        assert "/100000000" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
        watchdog.cancel()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    steps = re.search(r"Interrupted after (\d+) steps", out)
    assert steps
    assert metrics()["steps"] == int(steps[1]) > 0
    assert {path.name for path in Path("run").iterdir()} == FILES
