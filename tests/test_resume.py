"""Resuming: bit by bit the run that was not interrupted, and one clear error for everything that is not that run."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import edgewise as ew
from edgewise.errors import EdgewiseError
from edgewise.training import Callback, Checkpoint, EarlyStopping, NonFiniteError, ReduceOnPlateau, loop
from edgewise.training.checkpoint import CheckpointError, leaf_names, read_header
from edgewise.training.loggers import CSVLogger
from edgewise.training.optim import OPTIMIZERS
from edgewise.training.regularizers import EdgeL1
from model_checks import Noisy

rng = np.random.default_rng(0)
X = rng.uniform(-1, 1, (32, 2)).astype(np.float32)
Y = (X[:, :1] ** 2 + np.sin(2 * X[:, 1:])).astype(np.float32)
FRESH = (X[::3] * 0.9, Y[::3])


def new(seed=0, basis=None, width=3):
    return ew.KAN([2, width, 1], basis or ew.Chebyshev(3), residual=None, rngs=nnx.Rngs(seed))


def noisy(seed=0):
    return Noisy(nnx.Rngs(seed))


def settled(seed=0):
    """One whose statistics stay."""
    model = noisy(seed)
    model.norm.use_running_average = True
    return model


def cubes(model, batch):
    return jnp.mean(jnp.abs(model(batch[0]) - batch[1]) ** 3)


@dataclass
class StopAt(Callback):
    """Ends a run at the first chunk that reaches ``step``, as a time limit would."""

    step: int

    def on_chunk(self, run):
        if run.step >= self.step:
            run.stop("the time is up")


@pytest.fixture
def chunks(monkeypatch):
    """``chunks(n)``: every chunk has ``n`` steps from now on."""

    def fixed(length):
        monkeypatch.setattr(loop.Pace, "length", length)
        monkeypatch.setattr(loop.Pace, "took", lambda self, steps, seconds: None)

    return fixed


def bits(leaf):
    leaf = jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
    leaf = np.asarray(leaf)
    return leaf.dtype, leaf.shape, leaf.tobytes()


def assert_same_tree(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    pairs = zip(leaf_names(expected), jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    assert not [name for name, a, b in pairs if bits(a) != bits(b)]


def assert_same_run(found, expected):
    """Bit by bit, but for the time it took."""
    assert (found.step, found.reason) == (expected.step, expected.reason)
    ours, theirs = vars(found.history), vars(expected.history)
    for name in ("steps", "loss", "validation_steps", "validation", "score"):
        assert bits(ours[name]) == bits(theirs[name]), name
    assert (ours["score_name"], ours["events"]) == (theirs["score_name"], theirs["events"])
    assert_same_tree(nnx.state(found.model), nnx.state(expected.model))
    assert_same_tree(found.state, expected.state)


@dataclass
class Case:
    """How ``fit`` is called; ``data`` makes the data anew for every call, in a folder."""

    options: dict[str, Any] = field(default_factory=dict)
    steps: int = 12
    data: Any = lambda folder: (X, Y)
    make: Any = new


def mapped(folder):
    for name, array in (("x", X), ("y", Y)):
        np.save(folder / name, array)
    return tuple(np.load(folder / f"{name}.npy", mmap_mode="r") for name in "xy")


class Pieces:
    """Batches of unequal lengths, to be gone through again and again."""

    def __init__(self, folder):
        self.folder = folder

    def __iter__(self):
        return ((X[a:b], Y[a:b]) for a, b in ((0, 5), (5, 24), (24, 32)))


MONITORS = [EarlyStopping(patience=3), ReduceOnPlateau(patience=1, min_delta=1e-2)]
CASES = {name: Case({"optimizer": name}) for name in OPTIMIZERS} | {
    "rates in the name": Case({"optimizer": "adam:1e-2,cosine,warmup=5"}),
    "optax": Case({"optimizer": optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2))}),
    "double": Case({"optimizer": "adam:1e-2", "dtype": "float64"}),
    "shuffled": Case({"optimizer": "adam:1e-2", "batch_size": 10, "seed": 3, "validation": 0.2}),
    "mapped": Case({"optimizer": "adam:1e-2", "batch_size": 10, "seed": 3}, data=mapped),
    "iterable": Case({"optimizer": "adam:1e-2", "batch_size": 8}, data=Pieces),
    "function": Case({"optimizer": "adam:1e-2", "batch_size": 12}, data=lambda folder: lambda: Pieces(folder)),
    "generator": Case({"optimizer": "adam:1e-2", "batch_size": 4}, steps=30, data=lambda folder: iter(Pieces(folder))),
    "looks": Case({"optimizer": "adam:1e-2", "validation": FRESH, "validate_every": 5}),
    "score": Case({"optimizer": "adam:1e-2", "loss": "huber", "validation": FRESH, "regularizers": [EdgeL1(1e-3)]}),
    "monitors": Case(
        {"optimizer": "adam:0.3", "validation": FRESH, "validate_every": 2, "callbacks": MONITORS}, steps=60
    ),
    "monitors without validation": Case(
        {"optimizer": "adam:0.3", "batch_size": 8, "validate_every": 3, "callbacks": MONITORS}, steps=60
    ),
    "function as loss": Case({"optimizer": "adam:1e-2", "loss": cubes}),
    "what is not trained": Case({"optimizer": "adam:1e-2", "batch_size": 8, "validation": FRESH}, make=noisy),
    "what is not trained, second order": Case({"optimizer": "lbfgs", "validation": FRESH}, make=settled),
    "halved rates": Case({"optimizer": "sgd:20.0", "on_nonfinite": "restore"}, steps=40),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_resumed_run_is_the_run_that_was_not_interrupted(case, chunks, tmp_path):
    chunks(100)
    expected = ew.fit(case.make(0), case.data(tmp_path), steps=case.steps, **case.options)
    assert expected.step >= 8
    options = {"steps": case.steps, "checkpoint": tmp_path / "run.npz", "resume": True} | case.options
    given = options.pop("callbacks", [])
    # another start every time: what counts is what is in the file
    for seed, (length, step) in enumerate([(2, 4), (1, 5), (3, 8)]):
        chunks(length)
        part = ew.fit(case.make(seed), case.data(tmp_path), callbacks=[*given, StopAt(step)], **options)
        assert (part.step, part.reason) == (step, "the time is up")
        np.testing.assert_array_equal(part.history.loss, expected.history.loss[:step])
    chunks(5)
    found = ew.fit(case.make(7), case.data(tmp_path), callbacks=given, **options)
    assert_same_run(found, expected)
    if case.steps == 60:
        assert expected.reason == "early stopping"
        assert float(expected.state["scale"]) < 1
    if "restore" in case.options.values():
        assert expected.history.events


# What a resumed run may differ in, and what it may not


def run(folder, model=None, data=(X, Y), **options):
    """A short run with a checkpoint."""
    options = {"steps": 6, "optimizer": "adam:1e-2", "checkpoint": folder / "run.npz"} | options
    return ew.fit(new() if model is None else model, data, **options)


def test_a_run_goes_on_for_more_steps(tmp_path):
    looks = {"validation": FRESH, "validate_every": 4}
    expected = ew.fit(new(), (X, Y), steps=18, optimizer="adam:1e-2", **looks)
    run(tmp_path, **looks)
    for steps in (6, 18):  # 6 steps are done: nothing is left to do at first
        found = run(tmp_path, new(steps), steps=steps, resume=True, **looks)
        assert (found.step, found.reason) == (steps, "completed")
        assert len(found.history.loss) == steps
    assert_same_run(found, expected)
    assert read_header(tmp_path / "run.npz")["step"] == 18


def test_without_a_checkpoint_a_run_begins(tmp_path):
    expected = ew.fit(new(), (X, Y), steps=6, optimizer="adam:1e-2")
    assert_same_run(run(tmp_path / "folder" / "of" / "runs", resume=True), expected)


@pytest.mark.parametrize("reason", ["completed", "early stopping"])
def test_a_finished_run_is_not_trained_again(tmp_path, reason):
    options = {"validation": FRESH, "validate_every": 2, "callbacks": [EarlyStopping(patience=2)], "steps": 60}
    options |= {"optimizer": "adam:0.3" if reason == "early stopping" else "adam:1e-3"}
    expected = run(tmp_path, **options)
    assert expected.reason == reason
    found = run(tmp_path, new(5), resume=True, **options)
    assert_same_run(found, expected)


def test_without_resume_a_run_begins_anew(tmp_path):
    first = run(tmp_path, steps=20)
    again = run(tmp_path)
    np.testing.assert_array_equal(again.history.loss, first.history.loss[:6])
    assert read_header(tmp_path / "run.npz")["step"] == 6


def test_a_function_as_the_loss_and_numbers_of_numpy_are_the_same_in_another_process(tmp_path, run_python):
    # a function's repr has an address in it, which differs from process to process
    code = """
import sys
import jax.numpy as jnp, numpy as np
import edgewise as ew
from flax import nnx

def cubes(model, batch):
    return jnp.mean(jnp.abs(model(batch[0]) - batch[1]) ** 3)

X = np.linspace(-1, 1, 8, dtype=np.float32)[:, None]
steps, padding = np.int64(sys.argv[2]), [lambda: None for _ in range(int(sys.argv[2]) * 1000)]
options = {"steps": steps, "batch_size": np.int64(4), "seed": np.int32(1)}
model = ew.KAN([1, 1], ew.Chebyshev(2), rngs=nnx.Rngs(0))
print(ew.fit(model, (X, X), loss=cubes, **options, checkpoint=sys.argv[1], resume=True).history.loss.size)
"""
    assert [run_python(code, str(tmp_path / "run.npz"), steps) for steps in ("2", "3")] == ["2\n", "3\n"]


OTHERS = {
    "optimizer": ({"optimizer": "adam:2e-2"}, "optimizer='adam:1e-2', this one has 'adam:2e-2'"),
    "loss": ({"loss": "mae"}, "loss="),
    "function": ({"loss": cubes}, "loss="),
    "seed": ({"seed": 1}, "seed=0, this one has 1"),
    "batches": ({"batch_size": 8}, "batch_size=None, this one has 8"),
    "data": ({"data": (X[:30], Y[:30])}, "samples=32, this one has 30"),
    "values": ({"data": (X + 1, Y)}, "data='of checksum [0-9a-f]{8}', this one has 'of checksum"),
    "precision": ({"dtype": "float64"}, "dtype='float32'"),
    "looks": ({"validate_every": 3}, "validate_every=1, this one has 3"),
    "monitors": ({"callbacks": [EarlyStopping()]}, "monitors="),
    "validation": ({"validation": FRESH}, "another model, optimizer or run. missing: validation"),
    "width": ({"model": new(width=4)}, r"model='KAN\(\[2, 3, 1\], .*, this one has 'KAN\(\[2, 4, 1\]"),
    "basis": ({"model": new(basis=ew.Legendre(3))}, r"model='KAN\(\[2, 3, 1\], Cheb.*, this one has 'KAN\(.*Legendre"),
    "module": ({"model": noisy()}, "this one has 'Noisy'"),
    "steps": ({"steps": 5}, "has 6 steps already, steps=5"),
}


@pytest.mark.parametrize(("given", "message"), OTHERS.values(), ids=OTHERS)
def test_another_run_is_refused_and_nothing_is_touched(tmp_path_factory, given, message):
    folder = tmp_path_factory.getbasetemp() / "others"
    if not (folder / "run.npz").exists():
        run(folder)
    model = given.get("model", new(3))
    before, file = jax.tree.map(jnp.copy, nnx.state(model)), (folder / "run.npz").read_bytes()
    with pytest.raises(EdgewiseError, match=message):
        run(folder, **({"model": model, "resume": True} | given))
    assert_same_tree(nnx.state(model), before)
    assert (folder / "run.npz").read_bytes() == file


def test_a_run_that_did_not_begin_leaves_the_file_alone(tmp_path):
    run(tmp_path)
    file, foreign = (tmp_path / "run.npz").read_bytes(), tmp_path / "log.csv"
    foreign.write_text("a,b\n1,2\n")
    for resume in (False, True):
        with pytest.raises(EdgewiseError, match=r"log\.csv' is not a log"):
            run(tmp_path, steps=9, callbacks=[CSVLogger(foreign)], resume=resume)
        assert (tmp_path / "run.npz").read_bytes() == file


@pytest.mark.parametrize("what", ["truncated", "text", "empty", "folder", "a model"])
def test_a_file_that_is_no_run_is_refused_and_kept(tmp_path, what):
    path, model = tmp_path / "run.npz", new()
    run(tmp_path)
    whole = path.read_bytes()
    path.unlink()
    if what == "folder":
        path.mkdir()
    elif what == "a model":
        ew.save_model(model, path)
    else:
        path.write_bytes({"truncated": whole[: len(whole) // 2], "text": b"a text", "empty": b""}[what])
    before, file = jax.tree.map(jnp.copy, nnx.state(model)), None if path.is_dir() else path.read_bytes()
    with pytest.raises(CheckpointError, match=r"run\.npz"):
        run(tmp_path, model, resume=True)
    assert_same_tree(nnx.state(model), before)
    assert file is None or path.read_bytes() == file


def test_a_folder_that_cannot_be_written_is_refused_before_training(tmp_path):
    (tmp_path / "file").touch()
    model, chunks = new(), []

    class Count(Callback):
        def on_chunk(self, run):
            chunks.append(run.step)

    before = jax.tree.map(jnp.copy, nnx.state(model))
    with pytest.raises(CheckpointError, match=r"cannot be written(?s:.*)Do: "):
        run(tmp_path / "file" / "folder", model, callbacks=[Count()])
    assert chunks == []
    assert_same_tree(nnx.state(model), before)


# A full disk


class Ends(Callback):
    """Whether a run told its callbacks that it has ended."""

    ended = False

    def on_end(self, run):
        self.ended = True


@pytest.fixture
def disk(monkeypatch):
    """``disk(n, m)``: the disk is full from the n-th write on, and has room again from the m-th on."""

    fsync = os.fsync

    def limited(first, last=10**9):
        writes = iter(range(10**9))

        def full(descriptor):
            if first <= next(writes) < last:
                raise OSError(errno.ENOSPC, "No space left on device")
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", full)

    return limited


def test_a_disk_that_stays_full_is_told_at_the_end_and_nothing_is_lost(tmp_path, chunks, disk):
    chunks(2)
    options = {"steps": 12, "checkpoint": Checkpoint(tmp_path / "run.npz", every=0.0)}
    expected, model, ends = ew.fit(new(), (X, Y), steps=12, optimizer="adam:1e-2"), new(), Ends()
    disk(4)  # two writes, each with a file and a folder
    with (
        pytest.warns(RuntimeWarning, match=r"run.npz cannot be written: No space left on device. Training goes on."),
        pytest.raises(CheckpointError, match=r"No space left on device(?s:.*)as it was(?s:.*)free space") as caught,
    ):
        run(tmp_path, model, callbacks=[ends], **options)
    assert ends.ended
    result = caught.value.result
    assert (result.step, result.reason) == (12, "completed")
    assert_same_tree(nnx.state(model), nnx.state(expected.model))
    assert_same_tree(result.state, expected.state)
    assert {what for _, what in result.history.events} == {"checkpoint not written"}
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]
    assert read_header(tmp_path / "run.npz")["step"] == 4
    disk(10**9)
    assert_same_run(run(tmp_path, new(5), resume=True, **options), expected)


def test_a_disk_with_room_again_is_written_to(tmp_path, chunks, disk):
    chunks(2)
    disk(2, 4)
    with pytest.warns(RuntimeWarning, match="cannot be written"):
        result = run(tmp_path, steps=12, checkpoint=Checkpoint(tmp_path / "run.npz", every=0.0))
    assert [what for _, what in result.history.events] == ["checkpoint not written"] * 2
    assert read_header(tmp_path / "run.npz")["step"] == 12


def test_a_full_disk_does_not_hide_why_a_run_failed(tmp_path, disk):
    disk(0)
    with pytest.raises(NonFiniteError):
        run(tmp_path, optimizer="sgd:1e6", steps=50)


# Kill -9

TRAINER = """
import sys
import numpy as np
import edgewise as ew
from edgewise.training import Callback, Checkpoint, loop
from flax import nnx

path, optimizer, batch_size, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]) or None, int(sys.argv[4])
loop.Pace.length, loop.Pace.took = 5, lambda self, steps, seconds: None  # as many moments to be killed at as possible

class Say(Callback):
    def on_chunk(self, run):
        print(run.step, flush=True)

X = np.random.default_rng(0).uniform(-1, 1, (32, 2)).astype(np.float32)
model = ew.KAN([2, 3, 1], ew.Chebyshev(3), residual=None, rngs=nnx.Rngs(seed))
ew.fit(model, (X, X[:, :1] * X[:, 1:]), optimizer=optimizer, batch_size=batch_size, steps=1500, validation=0.25,
       callbacks=[Say()], checkpoint=Checkpoint(path, every=0.0), resume=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("optimizer", "batch_size", "first"), [("adam:1e-2,cosine", 7, 0), ("lbfgs", 0, 10)])
def test_kill_9_at_random_moments_changes_no_bit(tmp_path, root, optimizer, batch_size, first):
    environment = os.environ | {
        "PYTHONPATH": str(root / "src"),
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    command = lambda name, seed: [sys.executable, "-c", TRAINER, str(tmp_path / name), optimizer, str(batch_size), seed]
    subprocess.run(command("whole.npz", str(first)), env=environment, check=True, stdout=subprocess.DEVNULL)
    unfinished = lambda: set(tmp_path.glob(".run.npz*"))
    moments, reached, torn = np.random.default_rng(first), [], 0
    for kill in range(first, first + 10):  # 20 in all
        with subprocess.Popen(command("run.npz", str(kill)), env=environment, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            # what it says second and later, it says after a write
            for _ in range(moments.integers(2, 10)):
                said = int(child.stdout.readline())
            time.sleep(moments.uniform(0, 0.01))
            if kill % 2:  # every second one in the middle of a write, whatever the load of the machine
                deadline = time.monotonic() + 10
                while not any(f".{child.pid}." in path.name for path in unfinished()) and time.monotonic() < deadline:
                    pass
            child.kill()
        assert child.returncode == -signal.SIGKILL
        torn += len(unfinished())
        reached.append(read_header(tmp_path / "run.npz")["step"])
        assert reached[-1] >= said - 5, "a state that had been written is lost"
    assert reached == sorted(set(reached)), "every life goes on from where the one before was killed"
    assert reached[-1] < 1500
    assert torn > 0, "no kill fell into a write"
    subprocess.run(command("run.npz", "99"), env=environment, check=True, stdout=subprocess.DEVNULL)
    (names, found, told), (expected_names, expected, as_told) = (
        contents(tmp_path / f"{name}.npz") for name in ("run", "whole")
    )
    assert names == expected_names
    assert [name for name in names if found[name].tobytes() != expected[name].tobytes()] == []
    assert (told["step"], told["settings"]) == (as_told["step"], as_told["settings"])


def contents(path):
    """Names, arrays and header of a checkpoint."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if name != "header.json"}
    return sorted(arrays), arrays, read_header(path)
