"""A training run: the state of the compiled loop, and what happens between its chunks."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from edgewise.errors import check_count
from edgewise.refine import Refine, Refined
from edgewise.training.arrays import cast_to, deliver, lengthened
from edgewise.training.callbacks import Callback, Logging
from edgewise.training.checkpoint import Checkpoint, CheckpointError
from edgewise.training.diagnosis import NonFiniteError, explain
from edgewise.training.history import History
from edgewise.training.interrupt import Interrupt
from edgewise.training.loop import Pace, Program, Room, compiled
from edgewise.training.monitors import EarlyStopping, Monitor
from edgewise.training.objective import Objective
from edgewise.training.optim import Optimizer
from edgewise.training.packing import packing_of
from edgewise.training.phases import Phases, bases_of, carried_optimizer, grid_data, reshape_to
from edgewise.training.processes import agreed, on_host, plain_mesh, spans_processes, wait
from edgewise.training.progress import Progress
from edgewise.training.settings import check_same_run, checksum, described, without_addresses
from edgewise.training.sources import as_numbers, place, source_of

__all__ = ["Run"]

_RECORDED = 100_000  # losses kept at most; beyond, every second one, or third, ...
_HALVINGS = 30


class Run:
    """A run of ``fit``, and what callbacks see of it.

    Attributes:
        step, steps: updates done, and asked for.
        start_step: updates that an earlier run had done, 0 unless resumed.
        reason: why the run has ended, once it has.
        settings: how ``fit`` was called, ready for JSON.
        loss, history, model, stop: see there.
    """

    def __init__(
        self,
        model: nnx.Module,
        data: Any,
        objective: Objective,
        optimizer: Optimizer,
        *,
        phases: Phases,
        batch_size: int | None,
        validation: Any,
        every: int,
        monitors: tuple[Monitor, ...],
        hooks: tuple[Callback, ...],
        mesh: Mesh | None,
        seed: int,
        dtype: np.dtype,
        display: Callable[[Progress], None] | None,
        checkpoint: Checkpoint | None,
        halve: bool,
        outer_x64: bool,
        header: dict[str, Any] | None = None,
    ):
        self._phases, steps = phases, phases.steps
        self.steps, self.step, self.start_step, self.reason = steps, 0, 0, ""
        self.error: NonFiniteError | CheckpointError | None = None
        self._model, self._hooks, self._display, self._checkpoint = model, hooks, display, checkpoint
        self._halve, self._outer_x64, self._mesh = halve, outer_x64, plain_mesh(mesh)
        if spans_processes(self._mesh) and jax.process_index():  # one run has one log and one progress bar
            self._hooks, self._display = tuple(each for each in hooks if not isinstance(each, Logging)), None
        self._begun_hooks: list[Callback] = []
        self._started = False  # until then there is nothing to be kept
        self._events: list[tuple[int, str]] = []
        self._seconds, self._begin, self._in_step = 0.0, time.perf_counter(), True
        self._dtype, self._objective, self._optimizer, self._monitors = dtype, objective, optimizer, monitors
        self._every, self._grid_data = every, grid_data(data, phases.items)
        self._stride = -(-steps // _RECORDED) if header is None else header["stride"]
        working = nnx.clone(model)
        self._bases: dict[str, Any] = {}  # of a refined model
        self._refined = None if header is None else header.get("refined_model")
        if header is not None and phases.spelled:
            phases.position, phases.end, self._bases = header["position"], header["phase_end"], header["bases"]
            reshape_to(working, self._bases)
        self._split(working)
        check = lambda arrays: objective.check(self._merged(self._params, self._rest), arrays)
        self._source = source_of(data, batch_size, seed=seed, dtype=dtype, mesh=self._mesh, check=check)
        if optimizer.least_squares:
            self._objective = objective.of(self._merged(self._params, self._rest), data)
        self._validation = None
        if validation is not None:
            arrays = as_numbers(validation, dtype)
            check(arrays)
            self._validation = place(arrays, self._mesh, split=False)
        self._program = self._made_program()
        self.settings = self._settings(data, batch_size, check_count("seed", seed, 0))
        if header is not None and self._refined == self.settings["model"]:
            self.settings["model"] = header["settings"]["model"]  # the run was interrupted in this process
        self.state = self._begun(self._initial(steps))

    @property
    def loss(self) -> float:
        """The latest recorded training loss."""
        return float(np.asarray(self.state["loss"])[(self.step - 1) // self._program.stride]) if self.step else np.nan

    @property
    def history(self) -> History:
        """What has been recorded so far."""
        looks = -(-self.step // self._every) if self.step == self.steps else self.step // self._every
        recorded = np.arange(0, self.step, self._program.stride)
        validated = self._validation is not None
        values = lambda name: np.asarray(self.state[name])[:looks] if validated else np.empty(0)
        return History(
            steps=recorded,
            loss=np.asarray(self.state["loss"])[: len(recorded)],
            validation_steps=np.minimum((np.arange(looks if validated else 0) + 1) * self._every, self.steps),
            validation=values("validation"),
            score=values("score") if self._program.score_name else np.empty(0),
            score_name=self._program.score_name if validated else "",
            seconds=self._seconds + time.perf_counter() - self._begin,
            events=tuple(self._events),
        )

    @property
    def model(self) -> nnx.Module:
        """A copy of the model as it stands."""
        copy = nnx.clone(self._model)
        self._deliver(copy, self.state["params"], self.state["rest"])
        return copy

    def stop(self, reason: str) -> None:
        """End the run after this chunk."""
        self.reason = reason

    def resume(self, header: dict[str, Any]) -> None:
        """Go on from the checkpoint of this header; raises ``EdgewiseError`` where it is of another run."""
        assert self._checkpoint is not None
        step, steps = header["step"], header["settings"]["steps"]
        check_same_run(self._checkpoint.path, header["settings"], self.settings, step)
        state, _ = self._checkpoint.load(self._initial(steps))
        self.state = self._placed(lengthened(state, self.state))
        self.step = self.start_step = step
        self._seconds, self._events = header["seconds"], [tuple(event) for event in header["events"]]
        if self._phases.spelled:
            self.steps = header["planned"]
        else:
            self._phases.position, self._phases.end = 0, self.steps

    def train(self) -> None:
        """Advance to the last step, or to the end for another reason; the model is updated however it ends."""
        self._pace, written = Pace(), time.perf_counter()
        with Interrupt() as self._interrupt:
            try:
                self._spare = self._buffers()
                self._call("on_start")
                self._started = True
                while self._under_way():
                    due = self._checkpoint is not None and time.perf_counter() - written >= self._checkpoint.every
                    ends = bool(self.reason) or self._interrupt.requested
                    length, ends, due = agreed(self._mesh, self.step, self._pace.length, ends, due)
                    if ends:
                        self.reason = self.reason or "interrupted"
                        break
                    if due and self.step > self.start_step:
                        if failure := self._write():
                            # to end a run would lose what it can still do; the last write tells in any case
                            warnings.warn(f"{failure.what} Training goes on.", RuntimeWarning, stacklevel=3)
                        written = time.perf_counter()
                    begin, before = time.perf_counter(), self.step
                    self._in_step = False  # the other processes do not hear of an error in here
                    self._advance(min(before + length, self._phases.end))
                    self._in_step = True
                    self._pace.took(self.step - before, time.perf_counter() - begin)
                    self._show()
                    self._call("on_chunk")
                self.reason = self.reason or "completed"
            finally:
                self._end()

    def _under_way(self) -> bool:
        """Whether there are steps to do, now that the refinements before them are done."""
        while self.step >= self._phases.end and not self.reason and self._phases.next(self.step):
            item = self._phases.now
            if isinstance(item, Refine):
                self._refine(item)
            elif self._phases.plateau or self._made_program() != self._program:
                self._go_on()
        return self.step < self._phases.end

    def _refine(self, item: Refine) -> None:
        state = on_host({name: self.state[name] for name in ("params", "rest")})
        working = self._merged(self._program.packing.unpacked(state["params"]), state["rest"])
        own = self._objective.inputs(working)
        refined = item(working, self._grid_data if own is None else np.asarray(own))
        self._bases, self._refined = bases_of(working), described(working)
        self._split(working)
        self._go_on(refined, item.optimizer)
        self._events.append((self.step, str(item)))
        self._call("on_refine")

    def _go_on(self, refined: Refined | None = None, how: str = "lift") -> None:
        """With another program: that of a refined model, or of a phase with other monitors."""
        before, old = self._program, self.state
        if refined is None:
            self._params = before.packing.unpacked(on_host(old["params"]))
            self._rest = on_host(old["rest"])
        self._program = self._made_program()
        fresh, opt = self._initial(self._phases.steps), old["opt"]
        if refined is not None:
            opt = carried_optimizer(on_host(opt), fresh["opt"], before, self._program, refined, how)
        kept = {name: old[name] for name in ("loss", "validation", "score", "scale") if name in old}
        if refined is None and self._monitors:  # that of a phase begins anew, as do those of another network
            own = len(self._monitors)
            kept |= {"monitors": old["monitors"][:own] + fresh["monitors"][own:], "mean": old["mean"]}
        self.state = self._begun(self._placed(fresh | kept | {"opt": opt}))
        self._spare, self._pace = self._buffers(), Pace()

    def _advance(self, stop: int) -> None:
        # processes that share a mesh end together, between chunks
        ends = lambda: self._interrupt.requested and not spans_processes(self._mesh)
        data, limit = self._source.window(self.step, ends)
        if limit == self.step:
            self.reason = "interrupted" if ends() else "the data ran out"
            return
        data = data | {"validation": self._validation, "every": np.int32(self._every), "steps": np.int32(self.steps)}
        stop = min(stop, limit or stop)
        advance, begin, halted = compiled(self._program).advance, np.int32(self.step), -1
        new = advance(self.state, data, begin, np.int32(stop), self._spare)
        while (wrong := int(new["halted"])) >= 0:
            # the steps before it again; more than once only where they do not repeat bit by bit, as on some devices
            halted = wrong
            new = advance(self.state, data, begin, np.int32(halted), new)
        self.state, self._spare = new, self.state
        stopped = int(new.get("stopped", -1))
        self.step = halted if halted >= 0 else stopped if stopped >= 0 else stop
        if halted >= 0:
            self._go_back(data)
        elif stopped >= 0 and self._phases.plateau and bool(new["monitors"][-1]["reached"]):
            self._events.append((self.step, "plateau"))
            self.steps, self._phases.end = self.step + self._phases.to_come(), self.step
        elif stopped >= 0:
            self.reason = "early stopping"
        elif self.step == self._phases.end and not self._finite():
            self._go_back(data)  # no step follows that would tell

    def _finite(self) -> bool:
        return all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(self.state["params"]))

    def _go_back(self, data: Any) -> None:
        """To the parameters before the update that made the loss or the gradient not finite."""
        bad = nnx.clone(self._model)
        self._deliver(bad, self.state["params"], self.state["rest"])
        self.state = self.state | {"params": jax.tree.map(jnp.copy, self.state["before"])}
        halvings = sum(what == "rate halved" for _, what in self._events)
        if self.step and self._halve and halvings < _HALVINGS:
            self.state["scale"] = self.state["scale"] / 2
            self._events.append((self.step, "rate halved"))
            return
        self.reason = "not finite"
        batch = on_host(compiled(self._program).batch(data, np.int32(self.step)))
        halve = not self._program.optimizer.full_batch
        self.error = explain(bad, batch, self._program.objective, self.step, halve=halve)

    def _end(self) -> None:
        self._source.close()
        arrays = self.state["params"], self.state["rest"]
        for monitor, state in zip(self._program.monitors, self.state.get("monitors", ()), strict=True):
            if isinstance(monitor, EarlyStopping) and np.isfinite(state["best"]):
                arrays = state["arrays"]
        self._deliver(self._model, *arrays)
        self._seconds += time.perf_counter() - self._begin
        self._begin = time.perf_counter()
        failure = self._write() if self._checkpoint and self._started else None
        if self._checkpoint and self._in_step:
            wait(self._mesh)  # whoever resumes next finds the file that the first process has written
        self.error = self.error or failure
        self._call("on_end")

    def _settings(self, data: Any, batch_size: int | None, seed: int) -> dict[str, Any]:
        return {
            "model": described(self._model),
            "loss": without_addresses(self._objective),
            "optimizer": self._optimizer.spec,
            "steps": int(self.steps),
            "seed": seed,
            "samples": self._source.rows,
            "data": checksum(data) if self._checkpoint else None,
            "batch_size": None if batch_size is None else int(batch_size),
            "validate_every": self._every,
            "monitors": [str(monitor) for monitor in self._monitors],
            "dtype": self._dtype.name,
            "schedule": self._phases.spelled,
        }

    def _split(self, working: nnx.Module) -> None:
        self._graphdef, params, rest = nnx.split(working, nnx.Param, ...)
        self._params, self._rest = (jax.tree.map(cast_to(self._dtype), part) for part in (params, rest))

    def _merged(self, params: Any, rest: Any) -> nnx.Module:
        """The model with these arrays, in the types of the computation."""
        # device_put, since jnp.asarray compiles a program for every shape
        return nnx.merge(self._graphdef, *jax.device_put((params, rest)), copy=True)

    def _made_program(self) -> Program:
        return Program(
            self._graphdef,
            self._objective,
            self._optimizer,
            packing_of(self._params, self._optimizer),
            feed=self._source.feed,
            monitors=self._monitors + self._phases.plateau,
            stride=self._stride,
            validates=self._validation is not None,
        )

    def _begun(self, state: dict[str, Any]) -> dict[str, Any]:
        if not self._program.optimizer.remembers:
            return state
        return compiled(self._program).begun(state, self._source.window(0)[0])

    def _initial(self, steps: int) -> dict[str, Any]:
        params = self._program.packing.packed(self._params)
        room = Room.of(steps, self._stride, self._every)
        return self._placed(compiled(self._program).init(params, self._rest, room))

    def _placed(self, state: Any) -> Any:
        return state if self._mesh is None else place(state, self._mesh, split=False)

    def _buffers(self) -> Any:
        """Another set of buffers for the state, of any content."""
        if self._mesh is not None:
            return jax.tree.map(jnp.copy, self.state)
        extended = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.extended)
        # NumPy's compile nothing
        return jax.tree.map(
            lambda leaf: jnp.copy(leaf) if extended(leaf) else np.empty(leaf.shape, leaf.dtype), self.state
        )

    def _call(self, hook: str) -> None:
        try:
            with jax.enable_x64(self._outer_x64):
                for callback in self._begun_hooks if hook == "on_end" else self._hooks:
                    getattr(callback, hook)(self)
                    if hook == "on_start":
                        self._begun_hooks.append(callback)
        except BaseException:
            if hook != "on_end" and self.step < self.steps:
                agreed(self._mesh, self.step, 0, ends=True)  # the other processes wait for this one: they end too
            raise

    def _deliver(self, model: nnx.Module, params: Any, rest: Any) -> None:
        """Give ``model`` its arrays, in its own types."""
        with jax.enable_x64(self._outer_x64):
            if self._bases:
                reshape_to(model, self._bases)
            deliver(model, self._program.packing.unpacked(jax.tree.map(np.asarray, params)), rest)

    def _show(self) -> None:
        if self._display is None:
            return
        rate = self._pace.steps_per_second
        eta = (self.steps - self.step) / rate if rate else 0.0
        metric = ""
        if self._validation is not None and len(validated := self.history.validation):
            metric = f"validation {validated[-1]:.3g}"
        self._display(Progress(self.step, self.steps, np.array([self.loss]), rate, eta, metric))

    def _write(self) -> CheckpointError | None:
        """Write the checkpoint; the error where that fails."""
        assert self._checkpoint is not None
        header = {"settings": self.settings, "step": self.step, "stride": self._program.stride}
        header |= {"seconds": self.history.seconds, "events": self._events, "planned": self.steps}
        header |= {"position": self._phases.position, "phase_end": self._phases.end, "bases": self._bases}
        header["refined_model"] = self._refined
        try:
            self._checkpoint.save(self.state, header)
        except CheckpointError as error:
            self._events.append((self.step, "checkpoint not written"))
            return error
        return None
