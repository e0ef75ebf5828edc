"""Many models at once: every member of an ensemble trained in one compiled program."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from edgewise._compilation import compiled_for_few_runs
from edgewise.errors import EdgewiseError, ShapeError, check_choice, check_count
from edgewise.training.interrupt import Interrupt
from edgewise.training.loop import Pace, Program
from edgewise.training.losses import LOSSES
from edgewise.training.objective import Objective
from edgewise.training.optim import resolve_optimizer
from edgewise.training.packing import AsTree, AsVector
from edgewise.training.progress import Progress

__all__ = ["EnsembleResult", "train_ensemble"]

_CACHE_BYTES = 3e6  # temporaries of one group should stay in the second-level cache


@dataclass(frozen=True)
class EnsembleResult:
    """What became of the members.

    Attributes:
        epochs: ``[T]``, the epochs at which losses were recorded.
        train_loss: ``[members, T]``, the loss before the update of that epoch; NaN from the epoch of divergence on.
        score: ``[members]``, test error (mean squared) or accuracy of a classification; NaN if diverged.
        predictions: ``[members, n_test, n_out]``.
        diverged_at: ``[members]``, the epoch at which the loss or the gradient stopped being finite; -1 for never.
        completed: epochs done by every member.
        interrupted: whether Ctrl-C ended the run early.
        seconds, compile_seconds: wall time in all, and of the first chunk's compilation within it.
        params: parameters, the member on the leading axis.
    """

    epochs: np.ndarray
    train_loss: np.ndarray
    score: np.ndarray
    predictions: np.ndarray
    diverged_at: np.ndarray
    completed: int
    interrupted: bool
    seconds: float
    compile_seconds: float
    params: Any


def train_ensemble(
    make_model: Callable[[Any, int], nnx.Module],
    members: Sequence[tuple[Any, int]],
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    *,
    loss: str = "mse",
    optimizer: str | optax.GradientTransformation = "adam:1e-3",
    epochs: int = 2000,
    record: int = 200,
    mesh: Mesh | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> EnsembleResult:
    """Train ``make_model(scheme, seed)`` for every member, full batch, all in one compiled program.

    ``lax.map`` runs over groups of vmapped members, each a ``lax.scan`` over the epochs of a chunk: a group is small
    enough for its temporaries to stay in cache, a chunk short enough for Ctrl-C and the progress to be prompt.

    Args:
        members: (scheme, seed) pairs. All models must have equal shapes.
        train, test: (X ``[n, features]``, y ``[n, n_out]`` or integer labels ``[n]``).
        loss: "mse" or "cross_entropy".
        record: how many points of the loss curve to keep at most.
        mesh: splits the members over the devices of its one axis.
        on_progress: called after every chunk.

    Returns:
        An :class:`EnsembleResult`; Ctrl-C ends the run and gives back what is finished, if there is anything.

    Raises:
        EdgewiseError: for an empty ensemble or data set, models of unequal shapes, or an unknown loss or optimizer.

    A member whose loss or gradient is not finite is frozen there and marked; the others go on.
    """
    check_choice("loss", loss, LOSSES)
    check_count("epochs", epochs)
    check_count("record", record)
    if not members:
        raise EdgewiseError("no members to train.", do="pass at least one (scheme, seed) pair.")
    if any(part.shape[0] == 0 for part in (*train, *test)):
        raise ShapeError("an empty training or test set.", do="pass at least one sample in each.")
    start = time.perf_counter()
    models = [make_model(scheme, seed) for scheme, seed in members]
    _check_alike(models, members)
    run = _Run(models, train, Objective(loss), resolve_optimizer(optimizer, epochs), mesh, epochs, record)
    pace, interrupted, compile_seconds = Pace(), False, 0.0
    with Interrupt() as interrupt:
        try:
            while run.done < epochs and not interrupt.requested:
                begin, before = time.perf_counter(), run.done
                losses = run.advance(min(before + pace.length, epochs))
                seconds = time.perf_counter() - begin
                compile_seconds = seconds if before == 0 else compile_seconds
                pace.took(run.done - before, seconds)
                if on_progress is not None:
                    rate = pace.steps_per_second
                    on_progress(Progress(run.done, epochs, losses, rate * len(members), (epochs - run.done) / rate))
            interrupted = run.done < epochs
        except KeyboardInterrupt:
            if not run.done:
                raise
            interrupted = True
    return run.result(test, interrupted, compile_seconds, start)


class _Run:
    """The state of all members (padded to whole groups), the member on the leading axis of every array."""

    def __init__(self, models, train, objective, optimizer, mesh, epochs, record):
        models = [nnx.split(model, nnx.Param, ...) for model in models]
        packing = AsVector.of(models[0][1]) if optimizer.packed else AsTree()
        stride = -(-epochs // record)
        self.program = Program(models[0][0], objective, optimizer, packing, stride=stride, halts=False)
        self.members, self.done, self.data, self.mesh = len(models), 0, {"arrays": train}, mesh
        devices = 1 if mesh is None else mesh.size
        self.group = _group_size(models[0][1], train[0].shape[0], -(-self.members // devices))
        models += models[:1] * (-self.members % (self.group * devices))
        params = _stack([packing.packed(model[1]) for model in models])
        init = jax.vmap(partial(self.program.init, steps=epochs))
        self.state = jax.jit(init)(params, _stack([model[2] for model in models]))
        if mesh is not None:
            self.state = jax.device_put(self.state, NamedSharding(mesh, PartitionSpec(mesh.axis_names[0])))
        self._advance = jax.jit(self._over_members(self.program.advance))

    def advance(self, stop: int) -> np.ndarray:
        """Train every member up to epoch ``stop``; the latest recorded losses ``[members]``."""
        state = self._advance(self.state, self.data, (np.int32(self.done), np.int32(stop)))
        losses = np.asarray(state["loss"])[: self.members, (stop - 1) // self.program.stride]
        self.state, self.done = state, stop
        return losses

    def result(self, test: Any, interrupted: bool, compile_seconds: float, start: float) -> EnsembleResult:
        """Every member as it stands."""
        evaluate = compiled_for_few_runs(self._over_members(self._tested))
        score, predictions = evaluate(self.state, test, ())
        state = jax.tree.map(lambda leaf: np.asarray(leaf)[: self.members], self.state)
        recorded = np.arange(0, self.done, self.program.stride)
        diverged = state["halted"]
        loss = state["loss"][:, : len(recorded)]
        return EnsembleResult(
            epochs=recorded,
            train_loss=np.where((diverged[:, None] >= 0) & (recorded >= diverged[:, None]), np.nan, loss),
            score=np.where(diverged >= 0, np.nan, np.asarray(score)[: self.members]),
            predictions=np.asarray(predictions)[: self.members],
            diverged_at=diverged,
            completed=self.done,
            interrupted=interrupted,
            seconds=time.perf_counter() - start,
            compile_seconds=compile_seconds,
            params=self.program.packing.unpacked(state["params"]),
        )

    def _over_members(self, function):
        """``function`` of one member's state, of shared data and arguments, over all members: devices, groups, vmap."""

        def over_groups(state, data, arguments):
            one = lambda member: function(member, data, *arguments)
            if jax.tree.leaves(state)[0].shape[0] == 1:  # a single member needs neither loop nor vmap: half the tracing
                alone = one(jax.tree.map(lambda leaf: leaf[0], state))
                return jax.tree.map(lambda leaf: leaf[None], alone)
            grouped = jax.tree.map(lambda leaf: leaf.reshape(-1, self.group, *leaf.shape[1:]), state)
            members = jax.lax.map(jax.vmap(one), grouped)
            return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), members)

        if self.mesh is None:
            return over_groups
        split, shared = PartitionSpec(self.mesh.axis_names[0]), PartitionSpec()
        return jax.shard_map(
            over_groups, mesh=self.mesh, in_specs=(split, shared, shared), out_specs=split, check_vma=False
        )

    def _tested(self, state, data):
        x, y = data
        predicted = self.program.model(self.program.packing.unpacked(state["params"]), state["rest"])(x)
        return self.program.objective.loss.score(predicted, y), predicted


def _stack(trees):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def _check_alike(models, members) -> None:
    """Raise unless all models have the shapes of the first one and, where they tell, compute the same function."""
    described = [(jax.tree.map(np.shape, nnx.state(model)), _architecture(model)) for model in models]
    for (shapes, architecture), (scheme, seed) in zip(described, members, strict=True):
        if (shapes, architecture) != described[0]:
            what = "architecture" if shapes == described[0][0] else "parameter shapes"
            raise ShapeError(
                f"the model of {scheme!r}, seed {seed}, differs in {what} from the first one.",
                "an ensemble is one compiled program over stacked parameters.",
                "train ensembles of different architectures one after the other.",
            )


def _architecture(model):
    """What tells apart models of equal shapes: the configuration, but for the initialization."""
    return {name: value for name, value in getattr(model, "config", {}).items() if name != "init"}


def _group_size(params, samples: int, members: int) -> int:
    """How many members to vmap: as many as keep the temporaries of a step in cache, at most 4."""
    per_sample = sum(leaf.size // leaf.shape[-1] for leaf in jax.tree.leaves(params) if leaf.ndim > 1)
    largest = max(1, min(4, members, int(_CACHE_BYTES / (3 * 4 * samples * max(per_sample, 1)))))
    return -(-members // -(-members // largest))  # spread evenly, so that little is padded
