"""``compare``: what comes out of the runs, on a stand-in for the training engine."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import numpy as np
import optax
import pytest

import edgewise
import fake_engine
from edgewise import init
from edgewise.errors import EdgewiseError, MissingExtraError, UnknownNameError
from edgewise.nn.residuals import RESIDUALS
from edgewise.study import compare, resolve_task
from edgewise.study.comparison import quantiles
from edgewise.study.schemes import choose_schemes
from edgewise.training import ensemble
from edgewise.training.optim import LevenbergMarquardt

QUICK = {"schemes": "published", "seeds": 8, "epochs": 50}
PUBLISHED = QUICK | {"epochs": 2000}
ADAM = optax.adam(1e-3)


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    """The stand-in, which remembers how it was called."""
    calls = []

    def train_ensemble(make_model, members, *arguments, **keywords):
        calls.append(SimpleNamespace(make_model=make_model, members=members, arguments=arguments, keywords=keywords))
        return fake_engine.train_ensemble(make_model, members, *arguments, **keywords)

    monkeypatch.setattr(ensemble, "train_ensemble", train_ensemble)
    return calls


def test_rows_follow_the_scores():
    result = compare(**PUBLISHED)
    assert [row.scheme for row in result.rows] == ["default", "lecun", "glorot", "glorot_fine", "power"]
    assert result.scores.shape == (5, 8)
    for row in result.rows[:-1]:
        scores = result.scores[result.names.index(row.scheme)]
        assert row.median == pytest.approx(np.median(scores))
        assert (row.q25, row.q75) == pytest.approx(tuple(np.quantile(scores, (0.25, 0.75))))
        assert (row.best, row.worst, row.diverged) == (scores.min(), scores.max(), 0)
    assert result.rows[0].reference == 0.00563
    assert result.rows[-1].diverged == 1
    assert result.predictions.shape == (5, 8, 200, 1)


def test_the_engine_gets_every_scheme_with_every_seed(engine):
    result = compare("f1", schemes="default,glorot", seeds=[3, 5], epochs=7, optimizer="adam:1e-2", widths=(4,))
    (call,) = engine
    assert [(type(scheme).__name__, seed) for scheme, seed in call.members] == [
        ("Default", 3), ("Default", 5), ("Glorot", 3), ("Glorot", 5)]  # fmt: skip
    assert call.keywords["epochs"] == 7
    assert call.keywords["optimizer"] == "adam:1e-2"
    assert call.keywords["loss"] == "mse"
    assert result.settings["widths"] == [2, 4, 1]
    model = call.make_model(*call.members[0])
    assert np.asarray(model(result.task.X_test[:3])).shape == (3, 1)


def test_gains_are_those_of_the_schemes():
    result = compare(**QUICK)
    from flax import nnx

    from edgewise.bases import parse
    from edgewise.models.kan import KAN

    model = KAN([2, 6, 6, 1], parse("chebyshev:5"), residual=None, rngs=nnx.Rngs(0))
    expected = [tuple(gain) for gain in init.gains(model, scheme=init.Glorot())]
    np.testing.assert_allclose(result.gains[result.names.index("glorot")], expected)
    row = next(row for row in result.rows if row.scheme == "glorot")
    assert row.forward == pytest.approx(np.prod([gain[0] for gain in expected]))


def test_classification():
    pytest.importorskip("sklearn")
    result = compare("iris", schemes="default,lecun,glorot", seeds=8, epochs=20)
    assert result.rows[0].median >= result.rows[-1].median
    assert all(row.q25 <= row.median <= row.q75 and row.worst <= row.best for row in result.rows)
    assert result.settings["loss"] == "cross_entropy"
    assert "test accuracy" in str(result)


def test_the_text_has_table_verdict_and_notes():
    text = str(compare(**PUBLISHED))
    for part in ("glorot_fine", "0.00563", "published", "Best: default", "gain", "Wilcoxon", "Note: ", "1/8"):
        assert part in text, text
    assert max(len(line) for line in text.split("Best:")[0].splitlines()) <= 118


def test_json_is_strict_and_complete():
    result = compare(**QUICK)
    data = json.loads(result.to_json(), parse_constant=pytest.fail)
    assert data["verdict"]["best"] == "default"
    assert data["scores"]["power"][-1] is None
    assert data["scores"]["default"] == pytest.approx(result.scores[0].tolist())
    assert len(data["curves"]["train_loss"]["lecun"][1]) == len(data["curves"]["epochs"])
    assert data["settings"]["basis"] == "chebyshev:5"
    assert {"python", "jax", "flax", "edgewise"} <= set(data["versions"])
    assert data["rows"][0]["forward"] > 0


def test_pandas_tables():
    pytest.importorskip("pandas")
    result = compare(**QUICK)
    assert list(result.to_pandas()["scheme"]) == [row.scheme for row in result.rows]
    runs = result.to_pandas(runs=True)
    assert len(runs) == 40
    assert runs["score"].isna().sum() == 1


def test_without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"edgewise\[tables\]"):
        compare(**QUICK).to_pandas()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, "edgewise study --data published --basis chebyshev:5 --widths 6,6 --schemes all --seeds 8 --epochs 50 "
             "--optimizer adam:1e-3 --residual none"),
        ({"data": "f2", "residual": "silu", "bias": False, "schemes": ["default", "glorot"], "widths": ()},
         "edgewise study --data f2 --basis chebyshev:5 --widths '' --schemes default,glorot --seeds 8 --epochs 50 "
         "--optimizer adam:1e-3 --residual silu --no-bias"),
    ],
)  # fmt: skip
def test_the_command_that_repeats_it(arguments, expected):
    assert compare(**(QUICK | {"schemes": "all"} | arguments)).command == expected


def test_a_column_that_begins_with_a_dash(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.csv").write_text("a,-y\n" + "".join(f"{i},{i * i}\n" for i in range(20)))
    command = compare("d.csv", target="-y", task="regression", **QUICK).command
    assert command.startswith("edgewise study d.csv --target=-y --task regression --basis chebyshev:5")


def half(x):
    """A residual function that another program finds by its module."""
    return 0.5 * x


def mine(stats):
    """A scheme of the user's."""
    return init.Scales(0.1)


X = np.random.default_rng(0).normal(size=(30, 2))
Y = np.arange(30) % 3
TASK = resolve_task((X, Y))
PYTHON = {
    "basis": ({"data": "f1", "basis": edgewise.Chebyshev(3) | edgewise.Fourier(2)}, "", {}),
    "numbers of NumPy": ({"data": "f1", "basis": edgewise.BSpline(domain=(0.0, np.float64(2)))}, "", {}),
    "schemes": ({"data": "f1", "schemes": {"gain 1": init.Glorot(gain=1.0), "default": "default"}}, "", {}),
    "seeds": ({"data": "f1", "seeds": (3, 5)}, "", {}),
    "residual": ({"data": "f1", "residual": half}, "", {}),
    "known residual": ({"data": "f1", "residual": RESIDUALS["silu"], "basis": edgewise.Sine(3)}, "", {}),
    "least squares": ({"data": "f1", "optimizer": LevenbergMarquardt(damping=0.5)}, "", {}),
    "file": ({"data": "d.csv", "target": "y", "task": "classification", "basis": edgewise.Chebyshev(3)}, "", {}),
    "arrays": ({"data": (X, Y), "task": "classification"}, "X: the array given; y: the array given", {"X": X, "y": Y}),
    "task": ({"data": TASK, "schemes": "default"}, "task: the Task given", {"task": TASK}),
    "optax": ({"data": "f1", "optimizer": ADAM}, "optimizer: the object given", {"optimizer": ADAM}),
    "functions": ({"data": "f1", "schemes": {"a": mine, "b": init.Glorot(distribution=half)}},
                  "mine: the function given; half: the function given", {"mine": mine, "half": half}),
}  # fmt: skip


@pytest.mark.parametrize("case", PYTHON)
def test_a_study_of_objects_is_repeated_in_python(case, engine, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.csv").write_text("a,y\n" + "".join(f"{i},{i % 2}\n" for i in range(20)))
    arguments, comment, names = PYTHON[case]
    first = compare(**({"seeds": 2, "epochs": 5, "widths": 3, "bias": False} | arguments))
    call, _, said = first.command.partition("  # ")
    assert said == comment
    assert "0x" not in first.to_json()
    again = eval(call, {"edgewise": edgewise} | names)
    assert {**again.settings, "basis": ""} == {**first.settings, "basis": ""}
    assert again.gains == first.gains
    one, other = engine
    assert one.members == other.members
    assert [one.keywords[name] for name in ("optimizer", "loss")] == [
        other.keywords[name] for name in ("optimizer", "loss")
    ]
    np.testing.assert_array_equal(one.arguments[0][1], other.arguments[0][1])


def test_no_name_stands_for_two_things():
    schemes = {"a": init.Glorot(distribution=lambda p: p), "b": init.LeCun(distribution=lambda p: 2 * p)}
    result = compare("f1", schemes=schemes, seeds=2, epochs=5, basis=edgewise.Chebyshev(3))
    assert "LeCun(distribution=distribution_)" in result.command
    assert result.command.endswith("distribution: the function given; distribution_: the function given")
    assert "· [2, 6, 6, 1] Chebyshev(3) ·" in result.headline


@pytest.mark.parametrize(
    ("given", "left_out"),
    [
        ({}, ""),
        ({"basis": edgewise.Chebyshev(5), "optimizer": "adam:0.001", "residual": "none"}, ""),
        ({"epochs": 5, "widths": 2}, "widths 6,6, epochs 2000."),
        ({"basis": "rbf:4", "optimizer": ADAM}, "basis chebyshev:5, optimizer adam:1e-3."),
        ({"residual": "silu", "bias": False}, "residual None, bias True."),
    ],
)
def test_published_scores_stand_beside_the_same_experiment_only(given, left_out):
    result = compare(schemes="glorot", seeds=2, **given)
    assert result.rows[0].reference == (None if left_out else 0.0009)
    assert ("published" in result.columns()) == (not left_out)
    text = " ".join(result.notes)
    assert (f"other settings: {left_out}" in text) == bool(left_out)
    assert ("one seed each" in text) == (not left_out)


def test_progress_is_told():
    states = []
    compare(**QUICK, progress=states.append)
    assert [state.step for state in states] == [1, 25, 50]


def test_progress_goes_to_the_error_stream(capsys):
    compare(**QUICK, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "step 50/50" in err
    assert "steps/s" in err
    assert "0:03 left" in err


def test_interrupted(monkeypatch):
    def train_ensemble(*arguments, **keywords):
        result = fake_engine.train_ensemble(*arguments, **keywords)
        result.interrupted, result.completed = True, 20
        return result

    monkeypatch.setattr(ensemble, "train_ensemble", train_ensemble)
    result = compare(**QUICK)
    assert result.interrupted
    assert "20 of 50 epochs (interrupted)" in " ".join(str(result).split())
    assert any("after epoch 20" in note for note in result.notes)


def test_interrupted_before_anything(monkeypatch, tmp_path):
    def train_ensemble(*arguments, **keywords):
        result = fake_engine.train_ensemble(*arguments, **keywords)
        result.interrupted, result.completed = True, 0
        return result

    monkeypatch.setattr(ensemble, "train_ensemble", train_ensemble)
    with pytest.raises(KeyboardInterrupt):
        compare(**QUICK, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


BAD = {
    "scheme": ({"schemes": "glorto"}, UnknownNameError, "did you mean 'glorot'"),
    "no scheme": ({"schemes": " , "}, EdgewiseError, "no scheme"),
    "scheme twice": ({"schemes": "glorot,lecun,glorot"}, EdgewiseError, "named twice"),
    "residual": ({"schemes": "residual_first,glorot"}, EdgewiseError, "needs a residual branch"),
    "basis": ({"basis": "chebishev:5"}, UnknownNameError, "did you mean 'chebyshev'"),
    "seeds": ({"seeds": 0}, EdgewiseError, "seeds must be at least 1"),
    "same seeds": ({"seeds": [1, 1]}, EdgewiseError, "distinct"),
    "epochs": ({"epochs": 0}, EdgewiseError, "epochs must be at least 1"),
    "widths": ({"widths": (6, -1)}, EdgewiseError, "width must be at least 1"),
    "schemes": ({"schemes": 5}, EdgewiseError, "5 is neither a name nor an initializer"),
    "no schemes": ({"schemes": None}, EdgewiseError, "None is neither a name"),
    "schemes of a list": ({"schemes": ["glorot", 5]}, EdgewiseError, "5 is neither a name"),
    "keyword": ({"scheme": "glorot"}, UnknownNameError, r"keyword of compare: 'scheme'(.|\n)*did you mean 'schemes'"),
    "devices": ({"devices": 4096}, EdgewiseError, "4096 devices"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_named_before_training(case, engine, tmp_path):
    arguments, kind, message = BAD[case]
    with pytest.raises(kind, match=message):
        compare(**(QUICK | arguments), out=tmp_path / "out")
    assert not engine
    assert not (tmp_path / "out").exists()


def test_numbers_of_a_wrong_type_are_refused(run_python):
    code = """
from edgewise.study import compare
for given in ({"seeds": 2.0}, {"seeds": [1.5]}, {"seeds": None}, {"widths": 6.0}, {"widths": "6,6"}, {"epochs": 2.0}):
    try:
        compare("f1", **given)
    except ValueError as error:
        print(error.what)
"""  # beside the type checks of the tests
    assert run_python(code).splitlines() == [
        f"{what} must be an integer, got {value}."
        for what, value in [("seeds", 2.0), ("each of seeds", 1.5), ("seeds", None), ("width", 6.0), ("width", "'6,6'"),
                            ("epochs", 2.0)]
    ]  # fmt: skip


def test_numbers_may_be_of_any_integer_type_and_none_is_a_residual():
    result = compare("f1", widths=6, seeds=np.int64(3), epochs=5, residual="none")
    assert (result.settings["widths"], result.seeds, result.settings["residual"]) == ([2, 6, 1], (0, 1, 2), None)
    assert compare("f1", widths=np.array([6]), seeds=np.arange(3), epochs=5).settings == result.settings


def test_an_existing_folder_is_kept(engine, tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(EdgewiseError, match="not empty"):
        compare(**QUICK, out=tmp_path)
    assert not engine
    result = compare(**QUICK, out=tmp_path, force=True)
    assert result.out == tmp_path
    assert (tmp_path / "mine.txt").exists()


def test_all_leaves_residual_first_out_only_without_a_residual():
    schemes, notes = choose_schemes("all", None)
    assert "residual_first" not in schemes
    assert "residual_first is left out" in notes[0]
    schemes, notes = choose_schemes("all", "silu")
    assert list(schemes) == list(init.SCHEMES)
    assert notes == ()


def test_ways_to_name_schemes():
    assert list(choose_schemes("published", None)[0]) == ["default", "lecun", "glorot", "glorot_fine", "power"]
    assert list(choose_schemes(["glorot", init.LeCun()], None)[0]) == ["glorot", "lecun"]
    assert list(choose_schemes(init.Power(), None)[0]) == ["power"]
    assert list(choose_schemes({"a": init.Power(), "b": "lecun"}, None)[0]) == ["a", "b"]

    assert list(choose_schemes([mine], None)[0]) == ["mine"]


def test_quantiles_rank_what_is_not_finite_last():
    values = np.array([3.0, np.nan, 1.0, 2.0])
    np.testing.assert_allclose(quantiles(values, (0.0, 0.5)), [1.0, 2.5])
    assert quantiles(values, (1.0,))[0] == np.inf
    random = np.random.default_rng(0).normal(size=(9, 4))
    np.testing.assert_allclose(quantiles(random), np.quantile(random, (0.25, 0.5, 0.75), axis=0))
