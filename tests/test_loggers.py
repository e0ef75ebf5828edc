"""Loggers: what their files hold, resuming, failing, and what the adapters call."""

from __future__ import annotations

import csv
import json
import math
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from edgewise.errors import DataError, EdgewiseError, MissingExtraError
from edgewise.training.loggers import (
    CSVLogger,
    JSONLLogger,
    Logger,
    MLflowLogger,
    SafeLogger,
    TensorBoardLogger,
    WandbLogger,
)

ROWS = [
    (1, {"loss": 1.5}),
    (2, {"loss": 0.1, "validation_loss": 0.2}),
    (3, {"loss": math.nan}),
    (4, {"loss": 1e-12, "validation_loss": math.inf, "accuracy": 1.0}),
]
FILES = {CSVLogger: "log.csv", JSONLLogger: "log.jsonl"}


def write(logger, rows, start=0, close=True):
    logger.open({"start_step": start, "loss": "mse"})
    for step, values in rows:
        logger.write(step, values)
    if close:
        logger.close()


def read(path):
    """Step and finite values of every row."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file)) if path.suffix == ".csv" else [json.loads(line) for line in file]
    return [
        (int(row["step"]), {k: float(v) for k, v in row.items() if k != "step" and v not in ("", None, "nan", "inf")})
        for row in rows
    ]


def finite(rows):
    return [(step, {name: value for name, value in values.items() if math.isfinite(value)}) for step, values in rows]


@pytest.fixture(params=FILES, ids=lambda kind: kind.__name__)
def make(request, tmp_path):
    """Makes loggers of one path, in a folder that is not there yet."""
    path = tmp_path / "run" / FILES[request.param]
    return lambda: request.param(path)


def test_rows_come_back(make):
    write(make(), ROWS)
    assert read(make().path) == finite(ROWS)
    assert [path.name for path in make().path.parent.iterdir()] == [make().path.name]


def test_texts(tmp_path):
    write(CSVLogger(tmp_path / "a.csv"), ROWS)
    assert (tmp_path / "a.csv").read_text() == (
        "step,loss,validation_loss,accuracy\n1,1.5,,\n2,0.1,0.2,\n3,nan,,\n4,1e-12,inf,1.0\n"
    )
    write(JSONLLogger(tmp_path / "a.jsonl"), ROWS[2:])
    assert (tmp_path / "a.jsonl").read_text() == (
        '{"step": 3, "loss": null}\n{"step": 4, "loss": 1e-12, "validation_loss": null, "accuracy": 1.0}\n'
    )


def test_every_row_is_on_disk_at_once(make):
    logger = make()
    logger.open({})
    for count, (step, values) in enumerate(ROWS):
        logger.write(step, values)
        assert read(logger.path) == finite(ROWS[: count + 1])
    logger.close()
    logger.close()


@pytest.mark.parametrize("resumed_at", [2, 3, 4])
def test_a_resumed_run_is_as_if_never_interrupted(make, resumed_at):
    whole = [(step, {"loss": float(step)} | ({"score": 0.5} if step % 2 else {})) for step in range(1, 7)]
    write(make(), whole)
    uninterrupted = make().path.read_text()
    write(make(), whole[:4])
    with make().path.open("a") as file:
        file.write('{"step": 5' if make().path.suffix == ".jsonl" else "5,")  # killed while it wrote
    write(make(), whole[resumed_at:], start=resumed_at)
    assert make().path.read_text() == uninterrupted


def test_a_new_run_replaces_the_log_of_an_old_one(make):
    write(make(), ROWS)
    write(make(), [(1, {"error": 2.0})])
    assert read(make().path) == [(1, {"error": 2.0})]
    assert "loss" not in make().path.read_text()


def test_resuming_where_there_is_no_file_or_an_empty_one(make):
    write(make(), ROWS[:1], start=5)
    assert read(make().path) == finite(ROWS[:1])
    make().path.write_text("")
    write(make(), ROWS[:1], start=5)
    assert read(make().path) == finite(ROWS[:1])


def test_one_logger_may_serve_two_runs(make):
    logger = make()
    write(logger, ROWS)
    write(logger, ROWS[:2], close=False)
    write(logger, ROWS[2:], start=2)
    assert read(logger.path) == finite(ROWS)


@pytest.mark.parametrize(
    "text", ["x,y\n1,2\n", "[1, 2]\n", '{"x": 1}\n', "step,loss\n1,2,3\n", "step,loss\nx,2\n", "\0"]
)
def test_a_file_that_is_no_log_is_left_alone(make, text):
    logger = make()
    logger.path.parent.mkdir()
    logger.path.write_text(text)
    for start in (0, 3):
        with pytest.raises(DataError, match="would be overwritten"):
            logger.open({"start_step": start})
    assert logger.path.read_text() == text


@pytest.mark.parametrize("kind", FILES)
def test_what_cannot_be_written_is_an_error_at_once(tmp_path, kind):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "log", tmp_path):
        with pytest.raises(EdgewiseError, match=r"(?s)cannot write the log .*pass another path"):
            kind(path).open({})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


class Full:
    """A disk that is full."""

    def write(self, text):
        raise OSError(28, "No space left on device")

    def close(self):
        raise OSError(28, "No space left on device")


def test_a_full_disk_later_is_warned_of_once(make, recwarn):
    logger = make()
    write(logger, ROWS[:2], close=False)
    logger._file.close()
    logger._file = Full()
    with pytest.warns(RuntimeWarning, match=r"log\S*'\) failed at step 3 and stops logging"):
        logger.write(3, {"loss": 0.0})
    logger.write(4, {"loss": 0.0})
    logger.close()
    assert len(recwarn) == 0
    assert read(logger.path) == finite(ROWS[:2])
    write(logger, ROWS[2:], start=2)
    assert read(logger.path) == finite(ROWS)


def test_a_full_disk_when_it_closes(make):
    logger = make()
    write(logger, ROWS[:2], close=False)
    logger._file.close()
    logger._file = Full()
    with pytest.warns(RuntimeWarning, match="failed when it was closed"):
        logger.close()


def test_writing_to_a_logger_that_is_not_open(make):
    with pytest.warns(RuntimeWarning, match=r"is not open"):
        make().write(1, {"loss": 1.0})


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
@pytest.mark.parametrize("kind", FILES)
def test_the_full_disk_of_the_operating_system(kind, tmp_path):
    logger = kind(tmp_path / "log")
    write(logger, ROWS[:1], close=False)
    logger._file.close()
    logger._file = os.fdopen(os.open("/dev/full", os.O_WRONLY), "w")
    with pytest.warns(RuntimeWarning, match="No space left on device"):
        logger.write(2, {"loss": 1.0})
    logger.close()
    assert logger._file is None


def test_anything_with_the_three_methods_is_a_logger():
    class Mine:
        def open(self, settings): ...
        def write(self, step, values): ...
        def close(self): ...

    assert isinstance(Mine(), Logger)
    assert isinstance(CSVLogger("log.csv"), Logger)
    assert not isinstance(object(), Logger)


class Recorder(SafeLogger):
    """Notes its calls; raises on what is listed."""

    def __init__(self, *fails):
        self.calls, self.fails = [], fails

    def begin(self, settings):
        self._note("begin")

    def row(self, step, values):
        self._note("row")

    def end(self):
        self._note("end")

    def _note(self, name):
        self.calls.append(name)
        if name in self.fails:
            raise ConnectionError("gone")


def test_a_safe_logger_gives_up_once():
    logger = Recorder("row", "end")
    logger.open({})
    with pytest.warns(RuntimeWarning, match="ConnectionError: gone"):
        logger.write(1, {})
    logger.write(2, {})
    logger.close()
    assert logger.calls == ["begin", "row", "end"]
    with pytest.raises(ConnectionError):
        Recorder("begin").open({})


class Fake:
    """A module or an object that notes every call: (name, arguments, keywords)."""

    def __init__(self, calls, prefix=""):
        self._calls, self._prefix = calls, prefix

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*arguments, **keywords):
            self._calls.append((self._prefix + name, arguments, keywords))
            return Fake(self._calls, f"{self._prefix}{name}.")

        return call


def install(monkeypatch, name, members):
    """A module whose names are the attributes of ``members``."""
    module = ModuleType(name)
    module.__getattr__ = lambda attribute: getattr(members, attribute)
    monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def calls(monkeypatch):
    found = []
    for name in ("tensorboardX", "mlflow", "wandb"):
        install(monkeypatch, name, Fake(found))
    return found


SETTINGS = {"loss": "mse", "optimizer": {"name": "adam", "rate": 1e-3}, "long": "x" * 1000}


def run(logger, start=0):
    logger.open(SETTINGS | {"start_step": start})
    logger.write(7, {"loss": 0.5, "score": 1})
    logger.close()
    logger.close()


def test_tensorboard(calls, tmp_path):
    run(TensorBoardLogger(tmp_path))
    (start, where, options), (text, (tag, body, step), _), *scalars, close = calls
    assert (start, where, options) == ("SummaryWriter", (str(tmp_path),), {})
    assert (text, tag, step) == ("SummaryWriter.add_text", "settings", 0)
    assert json.loads(body.removeprefix("```json").removesuffix("```"))["optimizer"] == SETTINGS["optimizer"]
    scalar = "SummaryWriter.add_scalar"
    assert scalars == [(scalar, ("loss", 0.5, 7), {}), (scalar, ("score", 1.0, 7), {})]
    assert close[0] == "SummaryWriter.close"
    calls.clear()
    run(TensorBoardLogger(tmp_path), start=6)
    assert calls[0][2] == {"purge_step": 7}


def test_mlflow(calls):
    run(MLflowLogger(run_name="first"))
    names = [name for name, _, _ in calls]
    assert names == ["start_run", "log_params", "log_metrics", "end_run"]
    assert calls[0][2] == {"run_name": "first"}
    params = calls[1][1][0]
    assert params["optimizer.name"] == "adam"
    assert params["loss"] == "mse"
    assert len(params["long"]) == 500
    assert calls[2][1:] == (({"loss": 0.5, "score": 1.0},), {"step": 7})
    calls.clear()
    run(MLflowLogger(run_id="abc"), start=6)
    assert [name for name, _, _ in calls] == ["start_run", "log_metrics", "end_run"]


def test_wandb(calls):
    run(WandbLogger(project="kan", config={"mine": 1}))
    (init, _, options), log, finish = calls
    assert init == "init"
    assert options["project"] == "kan"
    assert options["config"] == SETTINGS | {"start_step": 0, "mine": 1}
    assert log == ("init.log", ({"loss": 0.5, "score": 1.0},), {"step": 7})
    assert finish[0] == "init.finish"


@pytest.mark.parametrize(
    ("logger", "module", "extra"),
    [
        (TensorBoardLogger("runs"), "tensorboardX", "tensorboard"),
        (MLflowLogger(), "mlflow", "mlflow"),
        (WandbLogger(), "wandb", "wandb"),
    ],
)
def test_a_missing_package_names_its_extra(monkeypatch, logger, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"(?s){module} is not installed.*edgewise\[{extra}\]"):
        logger.open({})
    logger.close()


def test_a_tracker_that_fails_does_not_end_the_run(monkeypatch):
    def log(values, step):
        raise ConnectionError("no network")

    finished = []
    tracked = SimpleNamespace(log=log, finish=lambda: finished.append(True))
    install(monkeypatch, "wandb", SimpleNamespace(init=lambda **options: tracked))
    logger = WandbLogger(project="kan")
    logger.open({})
    with pytest.warns(RuntimeWarning, match=r"WandbLogger\(project='kan'\) failed at step 1 .*no network"):
        logger.write(1, {"loss": 1.0})
    logger.write(2, {"loss": 1.0})
    logger.close()
    assert finished == [True]
