"""Many models in one compiled program."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh, PartitionSpec

from edgewise._compilation import CompiledBySize, Filling, compiled_for_few_runs
from edgewise.errors import ShapeError
from edgewise.training.arrays import cast_to
from edgewise.training.interrupt import Interrupt
from edgewise.training.loop import PROGRAMS, Pace, Program, Room
from edgewise.training.optim import Optimizer
from edgewise.training.packing import packing_of
from edgewise.training.processes import agreed, on_host, spans_processes
from edgewise.training.progress import Progress
from edgewise.training.sources import place

__all__ = ["Members", "check_alike"]

_CACHE_BYTES = 3e6  # on a CPU the temporaries of one group should stay in the second-level cache
_MEMORY_BYTES = 2e9  # elsewhere a step costs its kernel launches: as many members share them as memory holds


class Members:
    """The state of all members (padded to whole groups), the member on the leading axis of every array.

    ``lax.map`` runs over groups of vmapped members, each the loop of ``Program``: on a CPU a group is small enough for
    its temporaries to stay in cache, on a GPU as large as memory allows.

    Args:
        models: all of one architecture.
        data: what ``Program.advance`` wants, shared by all members.
        samples: how many of them a step sees, to choose the size of a group.
        scales: what every member's updates are multiplied by, ``[members]``; None for 1.
        mesh: splits the members over the devices of its first axis.
        options: of ``Program``.
    """

    def __init__(
        self,
        models: Sequence[nnx.Module],
        data: Any,
        samples: int,
        steps: int,
        *,
        scales: Any = None,
        mesh: Mesh | None = None,
        dtype: Any = None,
        **options: Any,
    ):
        split = [jax.tree.map(cast_to(dtype), nnx.split(model, nnx.Param, ...)[1:]) for model in models]
        graphdef = nnx.split(models[0])[0]
        packing = packing_of(split[0][0], options["optimizer"])
        self.program = Program(graphdef, packing=packing, halts=False, **options)
        self.count, self.done, self.steps, self.data = len(split), 0, steps, data
        self.compile_seconds = 0.0
        devices = 1 if mesh is None else mesh.size
        platform = jax.default_backend() if mesh is None else mesh.devices.flat[0].platform
        group = _group_size(split[0][0], samples, -(-self.count // devices), platform)
        self.spread = _Spread(1 if platform == "cpu" and _factorizes(options["optimizer"], mesh) else group, mesh)
        self._compiled = _compiled(self.program, self.spread)
        padding = -self.count % (self.spread.group * devices)
        split += split[:1] * padding
        params = _stack([packing.packed(params) for params, _ in split])
        room = Room.of(steps, self.program.stride, int(data.get("every", steps)))
        self.state = self._compiled.init(params, _stack([rest for _, rest in split]), room)
        if scales is not None:
            scales = np.concatenate([scales, np.ones(padding)])
            self.state["scale"] = jax.device_put(scales.astype(self.state["scale"].dtype))
        if mesh is not None:
            self.state = place(self.state, mesh, split=True)
        if self.program.optimizer.remembers:
            self.state = self._compiled.once(Program.begun, self.state, data)

    def train(self, on_progress: Callable[[Progress], None] | None) -> bool:
        """Advance to the last step; whether Ctrl-C came first."""
        pace, mesh = Pace(), self.spread.mesh
        if spans_processes(mesh) and jax.process_index():
            on_progress = None  # one run has one progress bar
        with Interrupt() as interrupt:
            try:
                while self.done < self.steps:
                    length, ends, _ = agreed(mesh, self.done, pace.length, interrupt.requested)
                    if ends:
                        break
                    begin, before = time.perf_counter(), self.done
                    losses = self.advance(min(before + length, self.steps))
                    seconds = time.perf_counter() - begin
                    self.compile_seconds = self.compile_seconds or seconds
                    pace.took(self.done - before, seconds)
                    if on_progress is not None:
                        rate, left = pace.steps_per_second, self.steps - self.done
                        on_progress(Progress(self.done, self.steps, losses, rate * self.count, left / rate))
            except KeyboardInterrupt:
                if self.done < self.steps:
                    agreed(mesh, self.done, 0, ends=True)  # the other processes wait for this one: they end too
                if not self.done:
                    raise
                return True
        return self.done < self.steps

    def advance(self, stop: int) -> np.ndarray:
        """Train every member up to step ``stop``; the latest recorded losses ``[members]``."""
        state = self._compiled.advance(self.state, self.data, np.int32(self.done), np.int32(stop))
        losses = on_host(state["loss"])[: self.count, (stop - 1) // self.program.stride]
        self.state, self.done = state, stop
        return losses

    def evaluate(self, function: Callable[[Program, Any, Any], Any], data: Any) -> Any:
        """``function`` of the program, every member's state and the data, once; in NumPy."""
        return on_host(self._compiled.once(function, self.state, data))

    def arrays(self) -> dict[str, Any]:
        """The state without the padding, in NumPy; losses are NaN from the step of divergence on."""
        state = jax.tree.map(lambda leaf: leaf[: self.count], on_host(self.state))
        finite = [np.isfinite(leaf).reshape(self.count, -1).all(axis=1) for leaf in jax.tree.leaves(state["params"])]
        last = (state["halted"] < 0) & ~np.all(finite, axis=0)  # by its last update, which no step follows
        state["halted"] = np.where(last, self.done, state["halted"])
        diverged, recorded = state["halted"][:, None], np.arange(0, self.done, self.program.stride)
        loss = state["loss"][:, : len(recorded)]
        state["loss"] = np.where((diverged >= 0) & (recorded >= diverged), np.nan, loss)
        return state | {"recorded": recorded, "params": self.program.packing.unpacked(state["params"])}


@dataclass(frozen=True)
class _Spread:
    """Where the members are computed: split over the devices of a mesh, there in groups, a group under vmap."""

    group: int
    mesh: Mesh | None

    def over(self, one: Callable, state: Any, data: Any) -> Any:
        """``one`` of every member's state and of the data that all share."""

        def over_groups(state, data):
            if jax.tree.leaves(state)[0].shape[0] == 1:  # a single member needs neither loop nor vmap: half the tracing
                alone = one(jax.tree.map(lambda leaf: leaf[0], state), data)
                return jax.tree.map(lambda leaf: leaf[None], alone)
            grouped = jax.tree.map(lambda leaf: leaf.reshape(-1, self.group, *leaf.shape[1:]), state)
            members = jax.lax.map(jax.vmap(lambda member: one(member, data)), grouped)
            return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), members)

        if self.mesh is None:
            return over_groups(state, data)
        split, shared = PartitionSpec(self.mesh.axis_names[0]), PartitionSpec()
        return jax.shard_map(over_groups, mesh=self.mesh, in_specs=(split, shared), out_specs=split, check_vma=False)(
            state, data
        )


class _Compiled:
    """The functions of a program over all members, each compiled at its first call, and again for other shapes."""

    def __init__(self, program: Program, spread: _Spread):
        def advance(state: Any, data: Any, start: Any, stop: Any) -> Any:
            return spread.over(lambda member, shared: program.advance(member, *shared), state, (data, start, stop))

        def once(function: Callable, state: Any, data: Any) -> Any:
            return spread.over(partial(function, program), state, data)

        def init(params: Any, rest: Any, room: Room) -> Any:
            return jax.vmap(partial(program.init, room=room))(params, rest)

        self.advance = CompiledBySize(advance)
        self.once = compiled_for_few_runs(once, static_argnums=0)
        self.init = Filling(init, static=2)


_compiled = lru_cache(maxsize=PROGRAMS)(_Compiled)  # the next ensemble of a kind compiles nothing


def check_alike(models: Sequence[nnx.Module], names: Sequence[str]) -> None:
    """Raise ``ShapeError`` unless all models have the shapes of the first and, where they tell, compute the same."""
    described = [(jax.tree.map(np.shape, nnx.state(model)), _architecture(model)) for model in models]
    for (shapes, architecture), name in zip(described, names, strict=True):
        if (shapes, architecture) != described[0]:
            what = "architecture" if shapes == described[0][0] else "parameter shapes"
            raise ShapeError(
                f"the model of {name} differs in {what} from the first one.",
                "an ensemble is one compiled program over stacked parameters.",
                "train ensembles of different architectures one after the other.",
            )


def _stack(trees):
    """By NumPy, which compiles nothing, but for keys of ``jax.random``, which it does not know."""
    stacked = lambda *leaves: (np if isinstance(leaves[0], np.ndarray) else jnp).stack(leaves)
    return jax.tree.map(stacked, *trees)


def _architecture(model):
    """What tells apart models of equal shapes: the configuration, but for the initialization."""
    return {name: value for name, value in getattr(model, "config", {}).items() if name != "init"}


def _factorizes(optimizer: Optimizer, mesh: Mesh | None) -> bool:
    """Whether a step may call LAPACK, which must not get the matrices of several members at once on a CPU.

    jaxlib hands them to the threads that XLA computes with and waits for them on one of these: where several devices
    share the threads, all may wait for ever.  On one device it gains nothing.
    """
    return optimizer.least_squares or (mesh is not None and not optimizer.packed)


def _group_size(params, samples: int, members: int, platform: str) -> int:
    """How many members to vmap: as many as keep the temporaries of a step in cache, at most 4; on a GPU in memory."""
    per_sample = sum(leaf.size // leaf.shape[-1] for leaf in jax.tree.leaves(params) if leaf.ndim > 1)
    allowed, most = (_CACHE_BYTES, 4) if platform == "cpu" else (_MEMORY_BYTES, members)
    largest = max(1, min(most, members, int(allowed / (3 * 4 * samples * max(per_sample, 1)))))
    return -(-members // -(-members // largest))  # spread evenly, so that little is padded
