"""Several devices and several processes: the result of one device, wherever the rows and the members lie."""

from __future__ import annotations

import os
import runpy
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import jax
import numpy as np
import pytest
from flax import nnx

from edgewise.training import read_header

pytestmark = pytest.mark.slow  # an interpreter each, or two

START = """
import sys, warnings
warnings.simplefilter("error")
import jax, numpy as np
from flax import nnx
import edgewise as ew
from edgewise.errors import EdgewiseError, ShapeError
from edgewise.training import Callback, Checkpoint, NonFiniteError
from edgewise.training.loggers import CSVLogger

rng = np.random.default_rng(0)
X = rng.uniform(-1, 1, (64, 2)).astype(np.float32)
Y = (X[:, :1] ** 2 + np.sin(2 * X[:, 1:])).astype(np.float32)
TEST = (X[::3] * 0.9, Y[::3])
batches = lambda: [(X[first : first + 16], Y[first : first + 16]) for first in range(0, 64, 16)]

def new(seed=0):
    return ew.KAN([2, 3, 1], ew.Chebyshev(3), residual=None, rngs=nnx.Rngs(seed))

def parameters(model):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param))])

def fit(data=(X, Y), **options):
    options = {"optimizer": "adam:1e-2", "steps": 24, "validation": TEST, "validate_every": 5, **options}
    return ew.fit(new(), data, **options)

def ensemble(optimizer, mesh=None):
    return ew.fit_ensemble(new, (X, Y), seeds=5, optimizer=optimizer, steps=12, validation=TEST, mesh=mesh)

def same(found, expected, rtol=1e-5, atol=1e-6):
    close = lambda one, two: np.testing.assert_allclose(one, two, rtol, atol)
    close(found.history.loss, expected.history.loss)
    close(found.history.validation, expected.history.validation)
    close(parameters(found.model), parameters(expected.model))

def shards(arrays):
    return {(leaf.shape, leaf.addressable_shards[0].data.shape, leaf.sharding.num_devices)
        for leaf in jax.tree.leaves(arrays)}

class Stop(Callback):
    def on_chunk(self, run):
        if run.step >= 2:
            run.stop("it is enough")
"""

# --- eight devices ------------------------------------------------------------------------------------------------

ROWS = """
from edgewise.training import loop, run

mesh, seen = jax.make_mesh((8,), ("batch",)), {}

class Watched(loop.Compiled):
    def __init__(self, program):
        super().__init__(program)
        advance = self.advance

        def watched(state, data, *others):
            new = advance(state, data, *others)
            seen["data"], seen["state"] = shards(data["arrays"]), new
            return new

        self.advance = watched

run.compiled = Watched
for name in ("X", "Y"):
    np.save(f"{sys.argv[1]}/{name}.npy", globals()[name])
mapped = tuple(np.load(f"{sys.argv[1]}/{name}.npy", mmap_mode="r") for name in ("X", "Y"))
window = {((256, 16, 1), (256, 2, 1), 8), ((256, 16, 2), (256, 2, 2), 8)}
whole = {((64, 1), (8, 1), 8), ((64, 2), (8, 2), 8)}
drawn = {((64, 1), (64, 1), 8), ((64, 2), (64, 2), 8)}  # every device has all rows and takes its part of a batch
cases = {
    "full": (whole, {}),
    "shuffled": (drawn, {"batch_size": 16}),
    "memory-mapped": (window, {"data": mapped, "batch_size": 16}),
    "levenberg_marquardt": (whole, {"optimizer": "levenberg_marquardt"}),
}
for name, (layout, options) in cases.items():
    split = fit(mesh=mesh, **options)
    assert seen["data"] == layout, (name, seen["data"])
    assert all(leaf.is_fully_replicated for leaf in jax.tree.leaves(seen["state"])), name
    assert {leaf.sharding.num_devices for leaf in jax.tree.leaves(seen["state"])} == {8}
    same(split, fit(**options))
    print(name)
"""


def test_rows_over_eight_devices_train_as_on_one(run_python, tmp_path):
    cases = ["full", "shuffled", "memory-mapped", "levenberg_marquardt"]
    assert run_python(START + ROWS, str(tmp_path), devices=8).split() == cases


DRAWN = """
from edgewise.training.feeds import Shuffled, rows_over
from edgewise.training.processes import plain_mesh

mesh = jax.make_mesh((8,), ("batch",))
feed = Shuffled(64, 16, rows_over(plain_mesh(mesh)))
draw = jax.jit(lambda data, step: feed.batch(data, feed.begin(data, step), step)[0])
batch = draw({"arrays": (X, Y), "seed": np.uint32(0)}, np.int32(0))
assert shards(batch) == {((16, 1), (2, 1), 8), ((16, 2), (2, 2), 8)}, shards(batch)

# a checkpoint knows nothing of devices
for before, after in ((mesh, None), (None, mesh)):
    path = f"{sys.argv[1]}/{before is None}.npz"
    stopped = fit(mesh=before, batch_size=16, checkpoint=path, callbacks=[Stop()])
    assert (stopped.step, stopped.reason) == (2, "it is enough")
    resumed = fit(mesh=after, batch_size=16, checkpoint=path, resume=True)
    assert resumed.step == 24
    same(resumed, fit(batch_size=16))

def refused(**options):
    try:
        fit(mesh=mesh, **options)
    except ShapeError as error:
        return str(error)

for options, what in (
    ({"data": (X[:60], Y[:60])}, "the number of samples, 60, does not divide by the 8 devices"),
    ({"batch_size": 12}, "batch_size, 12, does not divide by the 8 devices"),
    ({"data": lambda: [(X[:12], Y[:12])]}, "batch_size, 12, does not divide by the 8 devices"),
):
    message = refused(**options)
    assert what in message and "use a multiple of 8" in message, message
fit(mesh=mesh, data=(X[:60], Y[:60]), batch_size=16, steps=2)  # a batch has to divide, not the data
try:
    ensemble("adam", mesh=2)
except EdgewiseError as error:
    assert "is no mesh of devices" in str(error)
print("done")
"""


def test_checkpoints_and_batches_over_eight_devices(run_python, tmp_path):
    assert run_python(START + DRAWN, str(tmp_path), devices=8).split() == ["done"]


MEMBERS = """
from edgewise.training import members

layouts = set()
advance = members.Members.advance

def watched(self, stop):
    losses = advance(self, stop)
    layouts.update((leaf.sharding.num_devices, leaf.shape[0] // leaf.addressable_shards[0].data.shape[0])
        for leaf in jax.tree.leaves(self.state))
    return losses

members.Members.advance = watched
names = ["adam:1e-2", "lbfgs"]
split = ensemble(names, jax.make_mesh((8,), ("members",)))
assert layouts == {(8, 8)}, layouts
alone = ensemble(names)
assert split.members == alone.members and len(split) == 10
for name in ("loss", "validation", "diverged_at"):
    np.testing.assert_allclose(getattr(split, name), getattr(alone, name), 1e-5, 1e-6)
for index in range(10):
    np.testing.assert_allclose(parameters(split.model(index)), parameters(alone.model(index)), 1e-5, 1e-6)
print("equal")
"""


def test_members_over_eight_devices_train_as_on_one(run_python):
    assert run_python(START + MEMBERS, devices=8).split() == ["equal"]


# --- two processes ------------------------------------------------------------------------------------------------


@pytest.fixture
def run_two(root, tmp_path) -> Callable[..., None]:
    """``run_two(code, *argv, devices=1)``: two processes, called with port, process, *argv.

    One that fails takes the other one with it, and the test shows what both have printed.
    """

    def run(code: str, *argv: str, devices: int = 1, timeout: float = 240) -> None:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = str(free.getsockname()[1])
        settings = {name: value for name, value in os.environ.items() if not name.startswith(("COV_", "PYTEST_"))}
        settings |= {"PYTHONPATH": str(root / "src"), "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
        logs = [tmp_path / f"process-{process}.txt" for process in (0, 1)]
        children = []
        for process, log in enumerate(logs):
            with log.open("wb") as file:
                command = [sys.executable, "-c", code, port, str(process), *argv]
                children.append(subprocess.Popen(command, env=settings, stdout=file, stderr=subprocess.STDOUT))
        try:
            _wait_for(children, timeout)
        finally:
            for child in children:
                child.kill()
                child.wait()
        codes = [child.returncode for child in children]
        if any(codes):
            said = "\n".join(f"--- process {process}\n{log.read_text()}" for process, log in enumerate(logs))
            pytest.fail(f"exit statuses {codes}\n{said}", pytrace=False)

    return run


def _wait_for(children: list[subprocess.Popen], timeout: float) -> None:
    """Until both have ended, time is up, or one has failed and the other had time to notice."""
    end = time.monotonic() + timeout
    while any(child.poll() is None for child in children) and time.monotonic() < end:
        if any(child.poll() for child in children):
            end = min(end, time.monotonic() + 5)
        time.sleep(0.05)


FITS = """
port, process, folder = sys.argv[1:]
alone = process == "alone"
if not alone:
    jax.distributed.initialize(f"localhost:{port}", num_processes=2, process_id=int(process))
    assert (jax.process_count(), jax.device_count(), jax.local_device_count()) == (2, 4, 2)
mesh, results = None if alone else jax.make_mesh((jax.device_count(),), ("batch",)), {}

def keep(name, **options):
    result = fit(mesh=mesh, **options)
    results[f"{name} loss"], results[f"{name} validation"] = result.history.loss, result.history.validation
    results[f"{name} parameters"] = parameters(result.model)

keep("full")
keep("shuffled", batch_size=16)
keep("stream", data=batches)
together = ensemble(["adam:1e-2", "adam:1e-3"], mesh)
results |= {"members loss": together.loss, "members validation": together.validation}
results |= {f"member {index}": parameters(together.model(index)) for index in range(len(together))}
np.savez(f"{folder}/{process}.npz", **results)
"""


def test_two_processes_train_as_one(run_two, run_python, tmp_path):
    run_two(START + FITS, str(tmp_path), devices=2)
    run_python(START + FITS, "0", "alone", str(tmp_path))
    alone, first, second = (np.load(tmp_path / f"{process}.npz") for process in ("alone", 0, 1))
    assert list(first) == list(alone)
    for name in alone:
        np.testing.assert_allclose(first[name], alone[name], rtol=1e-5, atol=1e-6, err_msg=name)
        np.testing.assert_array_equal(first[name], second[name], err_msg=f"{name} differs between the processes")


ACCIDENTS = """
import shutil
from pathlib import Path

port, process, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
jax.distributed.initialize(f"localhost:{port}", num_processes=2, process_id=process)
mesh = jax.make_mesh((2,), ("batch",))
expected = fit(mesh=mesh)

# one process ends the run of both, and both find what the first has written
second = [Stop()] if process else []
for backend in ("npz", "orbax"):
    kept = Checkpoint(folder / backend, every=0, backend=backend)
    stopped = fit(mesh=mesh, checkpoint=kept, callbacks=second)
    assert (stopped.step, stopped.reason) == (2, "it is enough" if process else "interrupted")
    if process and backend == "npz":
        shutil.copy(kept.path, folder / "own.npz")
    resumed = fit(mesh=mesh, checkpoint=kept, resume=True)
    same(resumed, expected, 0, 0)

# an error in one process ends both
class Faulty(Callback):
    def on_chunk(self, run):
        if process and run.step >= 2:
            raise ValueError("mine")

try:
    result = fit(mesh=mesh, checkpoint=folder / "faulty.npz", callbacks=[Faulty()])
    assert (process, result.reason) == (0, "interrupted")
except ValueError as error:
    assert (process, str(error)) == (1, "mine")
same(fit(mesh=mesh, checkpoint=folder / "faulty.npz", resume=True), expected, 0, 0)

# what is not finite is explained to both
try:
    fit(mesh=mesh, optimizer="sgd:1e3")
    raise SystemExit("it is finite?")
except NonFiniteError as error:
    assert "the learning rate is too high" in str(error), error

# one run has one log
fit(mesh=mesh, callbacks=[CSVLogger(folder / f"{process}.csv")])

# without a mesh a process trains and writes for itself; a checkpoint knows nothing of processes
if process:
    same(fit(checkpoint=folder / "own.npz", resume=True), expected)
"""


def test_what_happens_in_one_process_happens_to_the_run(run_two, tmp_path):
    pytest.importorskip("orbax.checkpoint")
    run_two(START + ACCIDENTS, str(tmp_path))
    assert (tmp_path / "0.csv").exists()
    assert not (tmp_path / "1.csv").exists()
    assert read_header(tmp_path / "own.npz")["step"] == 24


EXAMPLE = """
import runpy, sys, warnings
warnings.simplefilter("error")
import jax, numpy as np
from flax import nnx

port, process, script, folder = sys.argv[1:]
options = ["--coordinator", f"localhost:{port}", "--processes", "2", "--process", process]
sys.argv = [script, "--steps", "24", "--checkpoint", f"{folder}/two.npz", *options]
names = runpy.run_path(script, run_name="__main__")
runs = {"whole": names["result"]}
runs["resumed"] = names["run"](["--steps", "24", "--checkpoint", f"{folder}/single.npz"])
leaves = lambda run: jax.tree.leaves(nnx.state(run.model, nnx.Param))
found = {name: np.concatenate([run.history.loss, run.history.validation, *map(np.ravel, leaves(run))])
    for name, run in runs.items()}
np.savez(f"{folder}/{process}.npz", **found)
"""


def test_the_example_gives_the_same_in_one_process_and_in_two(run_two, root, tmp_path):
    script = root / "examples" / "distributed.py"
    run = runpy.run_path(str(script))["run"]

    def alone(steps: int, name: str) -> np.ndarray:
        result = run(["--steps", str(steps), "--checkpoint", str(tmp_path / name)])
        assert result.step == steps
        leaves = jax.tree.leaves(nnx.state(result.model, nnx.Param))
        return np.concatenate([result.history.loss, result.history.validation, *map(np.ravel, leaves)])

    whole = alone(24, "whole.npz")
    alone(12, "single.npz")
    run_two(EXAMPLE, str(script), str(tmp_path))
    first, second = np.load(tmp_path / "0.npz"), np.load(tmp_path / "1.npz")
    assert "FitResult(completed after 24 steps" in (tmp_path / "process-0.txt").read_text()
    assert "FitResult" not in (tmp_path / "process-1.txt").read_text()
    for name in ("whole", "resumed"):
        np.testing.assert_array_equal(first[name], second[name])
        np.testing.assert_allclose(first[name], whole, rtol=1e-5, atol=1e-5)
