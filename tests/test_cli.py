"""The command line: what it prints, where, and with which exit code."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import fake_engine
from edgewise import cli
from edgewise.study import plots
from edgewise.training import ensemble

QUICK = ["study", "--schemes", "default,glorot_fine", "--seeds", "8", "--epochs", "50"]


@pytest.fixture(autouse=True)
def _folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEWISE_CACHE_DIR", "0")


@pytest.fixture
def _engine(monkeypatch):
    """A stand-in for the training, and no plots: both have tests of their own."""
    monkeypatch.setattr(ensemble, "train_ensemble", fake_engine.train_ensemble)
    monkeypatch.setattr(plots, "figures", lambda result: {})


@pytest.mark.parametrize("argv", [["--help"], ["study", "--help"], ["--version"], []])
def test_help_is_answered_without_jax(run_python, argv):
    code = (
        "import sys; from edgewise.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as done: assert not done.code\n"
        "print([name for name in ('jax', 'numpy', 'rich', 'flax') if name in sys.modules])"
    )
    assert run_python(code, *argv).splitlines()[-1] == "[]"


def test_help_says_what_there_is(capsys):
    with pytest.raises(SystemExit) as done:
        cli.main(["study", "--help"])
    assert done.value.code == 0
    text = capsys.readouterr().out
    for part in ("--target", "--basis", "chebyshev:5", "--out", "--force", "diabetes", "edgewise-study"):
        assert part in text


@pytest.mark.usefixtures("_engine")
def test_table_on_the_output_progress_on_the_error_stream(capsys):
    assert cli.main([*QUICK, "--epochs", "2000"]) == 0
    out, err = capsys.readouterr()
    assert "glorot_fine" in out
    assert "0.00563" in out
    assert "Best: default" in out
    assert out.rstrip().endswith(f"Report: {Path('edgewise-study', 'report.html')}")
    assert "2000/2000" in err
    assert "2000/2000" not in out


@pytest.mark.usefixtures("_engine")
def test_twice_makes_two_folders():
    assert [cli.main([*QUICK, "--quiet"]) for _ in range(3)] == [0, 0, 0]
    assert sorted(path.name for path in Path().iterdir()) == ["edgewise-study", "edgewise-study-2", "edgewise-study-3"]


@pytest.mark.usefixtures("_engine")
def test_json_alone_on_the_output(capsys):
    assert cli.main([*QUICK, "--json", "--out", "o"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == json.loads(Path("o", "results.json").read_text())
    assert "Report: o" in err


@pytest.mark.usefixtures("_engine")
def test_quiet(capsys):
    assert cli.main([*QUICK, "--quiet"]) == 0
    assert capsys.readouterr() == (f"Report: {Path('edgewise-study', 'report.html')}\n", "")


@pytest.mark.usefixtures("_engine")
def test_an_existing_out_needs_force(capsys):
    Path("o").mkdir()
    Path("o", "x").write_text("mine")
    assert cli.main([*QUICK, "--out", "o"]) == 2
    assert "--force" in capsys.readouterr().err
    assert cli.main([*QUICK, "--out", "o", "--force"]) == 0


@pytest.mark.usefixtures("_engine")
def test_a_csv_file(capsys):
    Path("d.csv").write_text("a,b,y\n" + "".join(f"{i},{i * i % 7},{i * 0.5}\n" for i in range(30)))
    assert cli.main([*QUICK, "d.csv", "--target", "y", "--residual", "silu", "--widths", "3", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["settings"]["widths"] == [2, 3, 1]
    assert data["settings"]["residual"] == "silu"
    assert data["command"].startswith("edgewise study d.csv --target y --basis chebyshev:5 --widths 3")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.usefixtures("_engine")
def test_an_output_that_is_not_utf_8(encoding, monkeypatch):
    Path("d.csv").write_text("a,höhe Ω\n" + "".join(f"{i},{i * i}\n" for i in range(30)), encoding="utf-8")
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding=encoding) as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert cli.main([*QUICK, "d.csv", "--target", "höhe Ω", "--out", "Übung Ω"]) == 0
        stream.flush()
        text = raw.getvalue().decode(encoding)
    assert "+---------" in text
    assert re.search(r"\d-\d", text)
    letter = r"\xdc" if encoding == "ascii" else "Ü"
    assert text.rstrip().endswith(rf"Report: {letter}bung \u03a9/report.html")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("argv", [["--version"], ["pde", "--list"]])
def test_a_reader_that_has_left(root, argv, unbuffered):
    """As in ``edgewise ... | head``: no complaint, and exit code 0."""
    reader, writer = os.pipe()
    os.close(reader)
    assert run_into(root, argv, writer, unbuffered) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_output_that_is_full(root, unbuffered):
    code, said = run_into(root, ["pde", "--list"], os.open("/dev/full", os.O_WRONLY), unbuffered)
    assert code == 1
    assert said == "error: cannot write to standard output.\n  why: No space left on device.\n"


def run_into(root, argv, output, unbuffered):
    """Exit code and error stream of the command with the file descriptor ``output`` as its standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "edgewise.cli", *argv],
        env={**os.environ, "PYTHONPATH": str(root / "src"), "PYTHONUNBUFFERED": unbuffered},
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(output)
    return done.returncode, done.stderr


@pytest.mark.parametrize("argv", [["show"], ["fit", "--target", "y"]])
def test_a_path_that_the_system_refuses(argv, capsys):
    assert cli.main([*argv, "x" * 300]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: cannot use 'xxx")
    assert "why: File name too long." in err


BAD = {
    "scheme": (["--schemes", "glorto"], "did you mean 'glorot'"),
    "basis": (["--basis", "chebishev:5"], "did you mean 'chebyshev'"),
    "data": (["--data", "diabets"], "did you mean 'diabetes'"),
    "task": (["--data", "f1", "--task", "regresion"], "did you mean 'regression'"),
    "residual": (["--residual", "sillu"], "did you mean 'silu'"),
    "optimizer": (["--optimizer", "adan:1e-3"], "did you mean 'adam'"),
    "widths": (["--widths", "6,x"], "--widths '6,x'"),
    "no target": (["d.csv"], "no target column"),
    "wrong target": (["d.csv", "--target", "z"], "no column 'z'"),
    "missing file": (["e.csv", "--target", "y"], "no file 'e.csv'"),
    "two sources": (["d.csv", "--data", "f1"], "both"),
    "seeds": (["--seeds", "0"], "seeds must be at least 1"),
}


@pytest.mark.parametrize("case", BAD)
def test_mistakes_are_explained_without_a_traceback(case, capsys):
    arguments, message = BAD[case]
    Path("d.csv").write_text("a,y\n" + "".join(f"{i},{i * i}\n" for i in range(9)))
    assert cli.main(["study", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert message in err
    assert "Traceback" not in err
    assert sorted(path.name for path in Path().iterdir()) == ["d.csv"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["study", "--sheme", "all"], "Did you mean --schemes?"),
        (["study", "--seeds", "many"], "invalid int value"),
        (["stduy"], "invalid choice: 'stduy'"),
    ],
)
def test_mistakes_in_options(argv, message, capsys):
    with pytest.raises(SystemExit) as done:
        cli.main(argv)
    assert done.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("_engine")
def test_a_report_that_cannot_be_written(monkeypatch, capsys):
    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert cli.main(QUICK) == 1
    out = capsys.readouterr().out
    assert "Best: default" in out
    assert "No space left on device" in out


@pytest.mark.usefixtures("_engine")
def test_interrupted_before_anything(monkeypatch, capsys):
    def train_ensemble(*arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr(ensemble, "train_ensemble", train_ensemble)
    assert cli.main(QUICK) == 130
    assert "interrupted" in capsys.readouterr().err
    assert not list(Path().iterdir())


def test_the_compilation_cache(run_python, tmp_path):
    code = (
        "from edgewise.cli.parsing import enable_compilation_cache\nenable_compilation_cache()\n"
        "import jax; print(jax.config.jax_compilation_cache_dir)"
    )
    assert run_python(code, env={"EDGEWISE_CACHE_DIR": str(tmp_path / "c")}).strip() == str(tmp_path / "c")
    assert run_python(code, env={"EDGEWISE_CACHE_DIR": "0"}).strip() == "None"
    (tmp_path / "file").write_text("x")
    assert run_python(code, env={"EDGEWISE_CACHE_DIR": str(tmp_path / "file" / "c")}).strip() == "None"
    place = run_python(code, env={"EDGEWISE_CACHE_DIR": "", "XDG_CACHE_HOME": str(tmp_path)}).strip()
    assert place == str(tmp_path / "edgewise")


def test_a_small_study_for_real(capsys):
    """Everything from the command to the files, on the engine itself."""
    assert cli.main(["study", "--schemes", "default,glorot", "--seeds", "3", "--epochs", "20", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert set(data["scores"]) == {"default", "glorot"}
    assert all(0 < score < 100 for scores in data["scores"].values() for score in scores)
    for low, median, high in data["curves"]["train_loss"].values():
        assert median[-1] < median[0]
        assert all(a <= b <= c for a, b, c in zip(low, median, high, strict=True))
    assert data["completed"] == 20
    assert Path("edgewise-study", "report.html").exists()


def test_a_small_classification_for_real(capsys):
    pytest.importorskip("sklearn")
    command = ["study", "--data", "iris", "--schemes", "glorot", "--seeds", "2", "--epochs", "300", "--widths", "4"]
    assert cli.main([*command, "--optimizer", "adam:1e-2", "--json"]) == 0
    assert min(json.loads(capsys.readouterr().out)["scores"]["glorot"]) > 0.8


def test_interrupted_for_real(root, tmp_path):
    """Ctrl-C while it trains: the table and the report of what is finished, and exit code 130."""
    # a process started in the background inherits that Ctrl-C is ignored: here it must not be
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += "from edgewise.cli import main; sys.exit(main())"
    arguments = ["study", "--schemes", "default,glorot", "--seeds", "2", "--epochs", "10000000"]
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(root / "src"), "EDGEWISE_CACHE_DIR": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    ) as process:
        watchdog = threading.Timer(300, process.kill)
        watchdog.start()
        assert process.stderr is not None
        assert "/10000000" in process.stderr.readline()
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
        watchdog.cancel()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "interrupted" in out
    assert "Interrupted at epoch" in Path(tmp_path, "edgewise-study", "report.html").read_text()
