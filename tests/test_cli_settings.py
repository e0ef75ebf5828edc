"""The options of ``edgewise fit``: the same on the command line and in TOML, and what is written reads the same."""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
import shlex
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewise import cli
from edgewise.cli.fit import command_line, resolve_settings
from edgewise.cli.settings import KEYWORDS, OPTIONS, Settings, config_values, run_values, settings_of
from edgewise.cli.toml_text import toml_text
from edgewise.errors import EdgewiseError

# Option -> words of the command line, its line in TOML, and what both mean.
SPELLINGS = {
    "data": (["d.csv"], 'data = "d.csv"', "d.csv"),
    "target": (["--target", "a,b"], 'target = ["a", "b"]', ("a", "b")),
    "task": (["--task", "regression"], 'task = "regression"', "regression"),
    "categorical": (["--categorical", "a, b"], 'categorical = "a,b"', ("a", "b")),
    "ignore": (["--ignore", "id"], 'ignore = ["id"]', ("id",)),
    "test": (["--test", "0"], "test = 0", 0.0),
    "basis": (["--basis", "chebyshev:5"], 'basis = "chebyshev:5"', "chebyshev:5"),
    "widths": (["--widths", "8,4"], "widths = [8, 4]", (8, 4)),
    "residual": (["--residual", "none"], 'residual = "none"', "none"),
    "init": (["--init", "glorot"], 'init = "glorot"', "glorot"),
    "loss": (["--loss", "huber:0.5"], 'loss = "huber:0.5"', "huber:0.5"),
    "optimizer": (["--optimizer", "adam:1e-3,cosine"], 'optimizer = "adam:1e-3,cosine"', "adam:1e-3,cosine"),
    "steps": (["--steps", "300"], "steps = 300", 300),
    "schedule": (["--schedule", "9+refine:8+9"], 'schedule = [9, "refine:8", 9]', (9, "refine:8", 9)),
    "batch-size": (["--batch-size", "64"], "batch-size = 64", 64),
    "alpha": (["--alpha", "0"], "alpha = 0", 0.0),
    "validation": (["--validation", "0.1"], "validation = 0.1", 0.1),
    "patience": (["--patience", "5"], "patience = 5", 5),
    "seed": (["--seed", "3"], "seed = 3", 3),
    "out": (["--out", "run"], 'out = "run"', "run"),
    "force": (["--force"], "force = true", True),
    "resume": (["--resume"], "resume = true", True),
    "json": (["--json"], "json = true", True),
    "quiet": (["--quiet"], "quiet = true", True),
}


@pytest.fixture(autouse=True)
def _folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def config(text: str) -> Path:
    path = Path("run.toml")
    path.write_text(text, encoding="utf-8")
    return path


def given_on_the_command_line(*words: str) -> dict:
    arguments = vars(cli._parser().parse_args(["fit", *words]))
    return {name: arguments[name] for name in SPELLINGS if name in arguments}


def test_every_option_has_a_field_and_a_spelling():
    assert list(SPELLINGS) == [option.name for option in OPTIONS]
    assert [option.field for option in OPTIONS] == [field.name for field in dataclasses.fields(Settings)]
    assert set(KEYWORDS) <= set(SPELLINGS)


@pytest.mark.parametrize("name", SPELLINGS)
def test_the_command_line_and_toml_mean_the_same(name):
    words, line, value = SPELLINGS[name]
    assert given_on_the_command_line(*words) == {name: value}
    read = config_values(config(line))
    assert read == {name: value}
    assert type(read[name]) is type(value)


@pytest.mark.parametrize("word", ["auto", "all"])
def test_words_for_how_many_rows_a_step_takes(word):
    assert given_on_the_command_line("--batch-size", word) == {"batch-size": word}
    assert config_values(config(f'batch-size = "{word}"')) == {"batch-size": word}


def test_the_help_tells_the_defaults_of_the_estimators():
    pytest.importorskip("sklearn")
    from edgewise.estimators import KANClassifier, KANRegressor

    told = {option.name: re.search(r"\(default: (.*)\)", option.help) for option in OPTIONS}
    spoken = {(32,): "32", (100,): "100", None: "that of the family", (): "none"}
    for name, keyword in KEYWORDS.items():
        if name == "seed":  # a run can be repeated
            continue
        values = [inspect.signature(kind).parameters[keyword].default for kind in (KANRegressor, KANClassifier)]
        texts = dict.fromkeys(spoken.get(value, str(value)) for value in values)
        assert told[name] is not None, name
        assert told[name][1] == ", ".join(texts) + " for classes" * (len(texts) > 1), name


def test_the_command_line_goes_first():
    path = config('data = "d.csv"\nsteps = 300\nbatch_size = 16\n')
    settings = resolve_settings(given_on_the_command_line("--steps", "7"), str(path))
    assert (settings.data, settings.steps, settings.batch_size, settings.seed) == ("d.csv", 7, 16, 0)


def test_a_length_on_the_command_line_replaces_that_of_the_file():
    path = str(config('data = "d.csv"\nsteps = 300\n'))
    settings = resolve_settings(given_on_the_command_line("--schedule", "5+refine:8+5"), path)
    assert (settings.steps, settings.schedule) == (None, (5, "refine:8", 5))
    path = str(config('schedule = [5, "refine:8", 5]\n'))
    settings = resolve_settings(given_on_the_command_line("--steps", "7"), path)
    assert (settings.steps, settings.schedule) == (7, ())
    path = str(config("steps = 3\nschedule = [5]\n"))
    with pytest.raises(EdgewiseError, match="steps and schedule were given"):
        resolve_settings({}, path)


def test_no_hidden_layer_is_not_the_default():
    settings = resolve_settings({}, str(config("widths = []\ntarget = []\nschedule = []")))
    assert run_values(settings) == {"test": 0.2, "seed": 0, "widths": ()}
    assert run_values(settings_of(given_on_the_command_line("--widths", ""))) == run_values(settings)
    again = given_on_the_command_line(*shlex.split(command_line(settings))[2:])
    assert again["widths"] == ()


def test_a_file_with_a_byte_order_mark():
    assert config_values(config("\ufeffsteps = 3\n")) == {"steps": 3}


BAD = {
    "both spellings": ("batch-size = 3\nbatch_size = 4", ["batch-size is given twice, as batch_size too"]),
    "unknown key": ("stepz = 3", ["unknown key in run.toml: 'stepz'", "did you mean 'steps'"]),
    "the file itself": ('config = "run.toml"', ["unknown key", "'config'"]),
    "text for a count": ('steps = "many"', ["steps = 'many' is not a whole number", "it is a text"]),
    "wrong word for rows": ('batch-size = "al"', ["batch-size = 'al' is not a whole number", 'or "auto", or "all"']),
    "number for a count": ("steps = 1.5", ["steps = 1.5", "it is a number"]),
    "yes for a count": ("steps = true", ["it is true or false"]),
    "number for a text": ("basis = 5", ["basis = 5 is not a text in quotes"]),
    "text for a list": ('widths = "8,8"', ["widths = '8,8' is not a list of whole numbers", "such as [8, 8]"]),
    "number for a list": ("widths = 8", ["widths = 8", "it is a whole number"]),
    "texts in a list": ('widths = ["8"]', ["it is a list"]),
    "number for a flag": ("force = 1", ["force = 1 is not true or false"]),
    "numbers for names": ("target = [1]", ["target = [1] is not a text"]),
    "a section": ("[steps]\nn = 3", ["it is a table", "without [sections]"]),
    "no TOML": ("steps = 3\nbasis = chebyshev:5", ["run.toml is no TOML", "line 2", 'basis = "chebyshev:5"']),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_explained(case):
    text, expected = BAD[case]
    with pytest.raises(EdgewiseError) as error:
        config_values(config(text))
    for part in expected:
        assert part in str(error.value), str(error.value)
    assert error.value.do


def test_files_that_cannot_be_read():
    with pytest.raises(EdgewiseError, match=r"no file 'none\.toml'"):
        config_values(Path("none.toml"))
    with pytest.raises(EdgewiseError, match="cannot read"):
        config_values(Path())
    Path("run.toml").write_bytes(b"a = '\xff'")
    with pytest.raises(EdgewiseError, match="no TOML"):
        config_values(Path("run.toml"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"batch-size": -1}, "batch-size must be at least 1"),
        ({"patience": 0}, "patience must be at least 1"),
        ({"widths": (8, 0)}, "a width must be at least 1"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "seed"),
        ({"test": 1.0}, r"test must be in \[0, 1\), got 1.0"),
        ({"validation": -0.1}, "validation"),
        ({"test": math.nan}, "test"),
        ({"force": True, "resume": True}, "--force and --resume"),
    ],
)
def test_values_out_of_range(values, message):
    with pytest.raises(EdgewiseError, match=message) as error:
        settings_of(values)
    assert error.value.do


SCALARS = st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False), st.text())


@given(st.dictionaries(st.text(), st.one_of(SCALARS, st.lists(SCALARS))))
def test_toml_reads_as_it_was_written(values):
    read = tomllib.loads(toml_text(values))
    assert read == values
    assert list(read) == list(values)
    assert [type(value) for value in read.values()] == [type(value) for value in values.values()]


def test_numbers_that_are_none_and_tuples():
    read = tomllib.loads(toml_text({"a": math.nan, "b": -math.inf, "c": (1, 2)}))
    assert math.isnan(read["a"])
    assert (read["b"], read["c"]) == (-math.inf, [1, 2])


@pytest.mark.parametrize("value", [None, {"a": 1}, "\udcff", [None]])
def test_what_toml_cannot_hold(value):
    with pytest.raises(EdgewiseError, match="cannot be written"):
        toml_text({"a": value})


@pytest.mark.parametrize("length", ["steps", "schedule"])
def test_settings_written_are_settings_read(length):
    left_out = {"resume", "steps", "schedule"} - {length}
    everything = {name: value for name, (_, _, value) in SPELLINGS.items() if name not in left_out}
    settings = settings_of(everything)
    again = settings_of(config_values(config(toml_text(run_values(settings)))))
    assert run_values(again) == run_values(settings)
    assert "out" not in run_values(settings)


@pytest.mark.parametrize("length", ["steps", "schedule"])
def test_the_command_repeats_the_run(length):
    left_out = {"force", "resume", "steps", "schedule"} - {length}
    words = [word for name, (words, _, _) in SPELLINGS.items() if name not in left_out for word in words]
    settings = settings_of(given_on_the_command_line(*words))
    repeated = command_line(settings)
    assert repeated.startswith("edgewise fit d.csv --target a,b")
    assert run_values(settings_of(given_on_the_command_line(*shlex.split(repeated)[2:]))) == run_values(settings)
    assert command_line(Settings(data="d.csv", target=("price, USD",))) == "edgewise fit --config settings.toml"
    dashed = Settings(data="d.csv", target=("-dG",))
    assert settings_of(given_on_the_command_line(*shlex.split(command_line(dashed))[2:])) == dashed


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["fit", "--wdths", "8"], "Did you mean --widths?\nSee: edgewise fit --help"),
        (["predict", "run", "d.csv", "--outptu", "p.csv"], "Did you mean --output?\nSee: edgewise predict --help"),
        (["show", "run", "--jason"], "Did you mean --json?\nSee: edgewise show --help"),
        (["fit", "--steps", "many"], "argument --steps: invalid int value: 'many'"),
        (["fit", "--batch-size", "full"], "'full' is neither a whole number nor auto nor all"),
        (["fit", "--widths", "8;8"], "argument --widths: '8;8' is no list of whole numbers"),
        (["predict", "run"], "the following arguments are required: data"),
        (["fti"], "invalid choice: 'fti'"),
        (["shwo"], "Did you mean show?"),
        (["--verson"], "Did you mean --version?"),
    ],
)
def test_mistakes_in_options(argv, message, capsys):
    with pytest.raises(SystemExit) as done:
        cli.main(argv)
    assert done.value.code == 2
    assert message in capsys.readouterr().err
