"""The one training loop: updates of one model, compiled once for every length of a chunk."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array, lax

from edgewise._compilation import CompiledBySize, Filling, compiled_for_few_runs
from edgewise.training.feeds import Feed, Full
from edgewise.training.losses import MSE
from edgewise.training.monitors import Monitor
from edgewise.training.objective import Objective
from edgewise.training.optim import LeastSquaresProblem, LevenbergMarquardt, Optimizer, Rows, without_last_step
from edgewise.training.packing import AsTree, AsVector

__all__ = ["PROGRAMS", "Compiled", "Pace", "Program", "Room", "compiled"]

PROGRAMS = 32  # that stay compiled
_ROOM = 1024  # for so many numbers there is room in the shortest run
_SECONDS_PER_CHUNK = 0.5  # how long Ctrl-C, callbacks and the progress bar may have to wait

# for the products of optimizers: JAX's default on a GPU, TF32, has three digits
_in_full_precision = partial(jax.default_matmul_precision, "highest")


class Room(NamedTuple):
    """How many losses, and how many looks at validation data, a run can record."""

    losses: int
    looks: int

    @classmethod
    def of(cls, steps: int, stride: int, every: int) -> Room:
        """As many as there will be, or more: a power of two, so that one program serves runs of many lengths."""
        return cls(*(max(_ROOM, 1 << (-(-steps // interval) - 1).bit_length()) for interval in (stride, every)))


@dataclass(frozen=True)
class Program:
    """What a compiled loop depends on; programs that are equal are compiled once in a process.

    Attributes:
        graphdef: the model without its arrays, from ``nnx.split``.
        feed: how a step gets its batch.
        monitors: see ``monitors.py``.
        stride: steps between recorded losses.
        validates: whether there are validation data.
        halts: whether the loop ends when there is nothing left to do; an ensemble goes on for the other members.
    """

    graphdef: Any
    objective: Objective
    optimizer: Optimizer
    packing: AsTree | AsVector
    feed: Feed = field(default_factory=Full)
    monitors: tuple[Monitor, ...] = ()
    stride: int = 1
    validates: bool = False
    halts: bool = True

    def init(self, params: Any, rest: Any, room: Room) -> dict[str, Any]:
        """The state of a run before its first step, ``params`` packed.

        ``before`` are the parameters before the latest update: those to go back to if it led to no finite loss.
        ``loss``, ``validation`` and ``score`` are ``[room]``; what is not recorded yet is NaN.  ``halted`` and
        ``stopped`` are the step at which a loss or gradient was not finite, and at which a monitor ended the run; -1
        for never.
        """
        dtype = jax.tree.leaves(params)[0].dtype
        recorded = lambda count: jnp.full(count, jnp.nan, dtype)
        state = {"params": params, "rest": rest, "opt": self.optimizer.transform.init(params)}
        if self.halts:
            state["before"] = params
        state |= {"scale": jnp.ones((), dtype), "halted": jnp.int32(-1), "loss": recorded(room.losses)}
        if self.validates:
            state["validation"] = recorded(room.looks)
        if self.validates and self.score_name:
            state["score"] = recorded(room.looks)
        if self.monitors:
            state |= {
                "stopped": jnp.int32(-1),
                "monitors": tuple(watch.init((params, rest)) for watch in self.monitors),
            }
            state |= {"mean": jnp.zeros((2,), dtype)}
        return state

    def advance(self, state: dict[str, Any], data: Any, start: Array, stop: Array) -> dict[str, Any]:
        """Steps ``start`` to ``stop``, or fewer where ``halts``.

        ``data`` are those of the feed; with validation or monitors also "validation", "every", the steps between two
        looks, and "steps", after the last of which there is one too.

        A loop that halts has made the update of that step, too, which is of no use: to keep every number that could be
        needed again would cost each step a tenth of its time.  The steps before it, from ``state``, give what it was.
        """

        def going(carry):
            step, state, _ = carry
            return (step < stop) & self._alive(state) if self.halts else step < stop

        def body(carry):
            step, state, carried = carry
            batch, carried = self.feed.batch(data, carried, step)
            if self.objective.refreshes:
                state = self._refreshed(step, state, batch)
            return step + 1, self._step(step, state, batch, data), carried

        return lax.while_loop(going, body, (start, state, self.feed.begin(data, start)))[1]

    @property
    def score_name(self) -> str:
        """What is reported beside the loss on validation data; empty where it would be the loss itself."""
        return "" if isinstance(self.objective.loss, MSE) else self.objective.score_name or ""

    def begun(self, state: dict[str, Any], data: Any) -> dict[str, Any]:
        """With loss and gradient of the first step, for an optimizer that takes over those of the step before."""
        return self._begun(state, data["arrays"])

    def _begun(self, state, batch):
        loss_of = lambda params: self._loss(state, self.model(self.packing.unpacked(params), state["rest"]), batch)
        value, gradients = jax.value_and_grad(loss_of)(state["params"])
        opt = without_last_step(state["opt"], state["params"], gradients)
        return state | {"opt": optax.tree.set(opt, value=value, grad=gradients)}

    def batch(self, data: Any, step: Array) -> Any:
        """The batch of one step."""
        return self.feed.batch(data, self.feed.begin(data, step), step)[0]

    def evaluate(self, state: dict[str, Any], data: Any) -> tuple[Array, Array]:
        """Loss, without regularizers, and score of the model on other data."""
        model = self.model(self.packing.unpacked(state["params"]), state["rest"])
        model.eval()
        return jax.tree.map(partial(_as, state["loss"]), self.objective.measured(model, data))

    def model(self, params: Any, rest: Any) -> nnx.Module:
        """The model with these arrays."""
        # a copy: what a model keeps track of can be set only in the trace where its variables were made
        return nnx.merge(self.graphdef, params, rest, copy=True)

    def _loss(self, state, model, batch):
        """In the type of the parameters, whatever it was computed in: weights, say, may have another one."""
        return _as(state["loss"], self.objective(model, batch))

    def _alive(self, state):
        alive = state["halted"] < 0
        return alive & (state["stopped"] < 0) if self.monitors else alive

    def _step(self, step, state, batch, data):
        moved, loss, finite = self._moved(state, batch)
        if self.halts:
            new = state | moved | {"before": state["params"]}
            new["halted"] = jnp.where(finite, jnp.int32(-1), step)
        else:
            alive = self._alive(state)
            kept = {name: state[name] for name in moved}
            new = state | jax.tree.map(partial(jnp.where, alive & finite), moved, kept)
            new["halted"] = jnp.where(alive & ~finite, step, state["halted"])
            loss = jnp.where(alive, loss, jnp.nan)
        new["loss"] = self._recorded(state["loss"], step, loss)
        if not (self.validates or self.monitors):
            return new
        if self.monitors:
            new["mean"] = state["mean"] + jnp.stack([loss, jnp.ones_like(loss)])
        due = ((step + 1) % data["every"] == 0) | (step + 1 == data["steps"])
        return lax.cond(due, lambda: self._looked(step, new, data), lambda: new)

    def _recorded(self, losses, step, loss):
        """With the loss of this step, if it is a multiple of the stride."""
        slot = step
        if self.stride > 1:  # most runs are spared these: a tenth of the operations of a small step
            slot = step // self.stride
            loss = jnp.where(step % self.stride == 0, loss, losses[slot])
        return _put(losses, slot, loss)

    def _moved(self, state, batch):
        """Parameters, optimizer's state and the rest after one update; the loss before it; whether all is finite."""
        params, opt, transform = state["params"], state["opt"], self.optimizer.transform

        def value_of(params):
            model = self.model(self.packing.unpacked(params), state["rest"])
            return self._loss(state, model, batch), nnx.split(model, nnx.Param, ...)[2]

        if isinstance(transform, LevenbergMarquardt):
            with _in_full_precision():
                params, opt, loss = transform.step(self._problem(state, batch), params, opt)
            return {"params": params, "opt": opt}, loss, jnp.isfinite(loss) & _finite(params)
        loss_of = lambda params: value_of(params)[0]
        rest = state["rest"]
        if self.optimizer.full_batch:
            loss, gradients = optax.tree.get(opt, "value"), optax.tree.get(opt, "grad")
        else:
            (loss, rest), gradients = jax.value_and_grad(value_of, has_aux=True)(params)
        with _in_full_precision():
            updates, opt = transform.update(gradients, opt, params, value=loss, grad=gradients, value_fn=loss_of)
        if not self.optimizer.full_batch:
            updates = jax.tree.map(lambda update: update * state["scale"].astype(update.dtype), updates)
        moved = {"params": optax.apply_updates(params, updates), "opt": opt, "rest": rest}
        return moved, loss, jnp.isfinite(loss) & _finite(gradients)

    def _problem(self, state, batch):
        model_of = lambda params: self.model(self.packing.unpacked(params), state["rest"])
        residuals = lambda params: _as(params, self.objective.residuals(model_of(params), batch))
        rows = self.objective.rows(model_of, state["params"], batch)
        typed = lambda function: lambda params, sample: _as(params, function(params, sample))
        return LeastSquaresProblem(residuals, tuple(Rows(typed(row), samples) for row, samples in rows))

    def _refreshed(self, step, state, batch):
        """With what the loss renews before this step; a method that takes over loss and gradient gets them anew."""
        model = self.model(self.packing.unpacked(state["params"]), state["rest"])
        changed = self.objective.refresh(model, step)
        state = state | {"rest": nnx.split(model, nnx.Param, ...)[2]}
        if not self.optimizer.remembers:
            return state
        return lax.cond(changed, lambda: self._begun(state, batch), lambda: state)

    def _looked(self, step, state, data):
        """Validate, then let every monitor look."""
        state, slot, value = dict(state), step // data["every"], jnp.asarray(jnp.nan)
        if self.validates:
            value, score = self.evaluate(state, data["validation"])
            state["validation"] = _put(state["validation"], slot, value)
            if self.score_name:
                state["score"] = _put(state["score"], slot, score)
        if not self.monitors:
            return state
        if not self.validates:
            value = state["mean"][0] / state["mean"][1]
        alive, looked = self._alive(state), []
        for watch, seen in zip(self.monitors, state["monitors"], strict=True):
            new, factor, stop = watch.look(seen, value, (state["params"], state["rest"]))
            looked.append(jax.tree.map(lambda new, old: jnp.where(alive, new, old), new, seen))
            state["scale"] = jnp.where(alive, state["scale"] * factor, state["scale"])
            state["stopped"] = jnp.where(alive & stop, step + 1, state["stopped"])
        return state | {"monitors": tuple(looked), "mean": jnp.zeros_like(state["mean"])}


def _put(values: Array, slot: Array, value: Array) -> Array:
    """``values`` ``[n]`` with another one in a slot."""
    return lax.dynamic_update_slice(values, value[None], (slot,), allow_negative_indices=False)


def _as(like: Array, value: Any) -> Array:
    """``value`` in the type of ``like``."""
    return lax.convert_element_type(value, like.dtype)


def _finite(tree: Any) -> Array:
    """Whether all numbers are: 0 times infinity is NaN, which stays in every sum."""
    return jnp.isfinite(sum(jnp.sum(0 * leaf) for leaf in jax.tree.leaves(tree)))


class Compiled:
    """The functions of a program, each compiled at its first call, and again for other shapes."""

    def __init__(self, program: Program):
        def advance(state: Any, data: Any, start: Any, stop: Any, spare: Any) -> dict[str, Any]:
            """``program.advance`` into the buffers of ``spare``: ``state`` stays as it is, whatever happens."""
            return program.advance(state, data, start, stop)

        self.advance = CompiledBySize(advance, donate_argnums=4, keep_unused=True)
        self.init = Filling(program.init, static=2)
        self.begun = compiled_for_few_runs(program.begun)
        self.batch = jax.jit(program.batch)


@lru_cache(maxsize=PROGRAMS)
def compiled(program: Program) -> Compiled:
    """The same for equal programs; of those used last, since each takes some megabytes."""
    return Compiled(program)


class Pace:
    """How many steps a chunk has: one at first, then as many as take half a second."""

    length = 1
    steps_per_second = float("nan")
    _compiled = False

    def took(self, steps: int, seconds: float) -> None:
        """Learn from a chunk; the first one tells how long compilation takes, not a step."""
        if not self._compiled or not steps:
            self._compiled = True
            return
        self.steps_per_second = steps / seconds
        self.length = max(1, min(10 * self.length, round(self.steps_per_second * _SECONDS_PER_CHUNK)))
