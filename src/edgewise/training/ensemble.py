"""Many models at once: every member of an ensemble trained in one compiled program."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.core import Tracer
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from edgewise._compilation import compiled_for_few_runs
from edgewise.errors import EdgewiseError, ShapeError, check_choice, check_count
from edgewise.training.interrupt import Interrupt
from edgewise.training.losses import LOSSES, SCORES
from edgewise.training.optimizers import parse_optimizer

__all__ = ["EnsembleProgress", "EnsembleResult", "train_ensemble"]

_CACHE_BYTES = 3e6  # temporaries of one group should stay in the second-level cache
_SECONDS_PER_CHUNK = 0.5  # how long Ctrl-C and the progress bar may have to wait


@dataclass(frozen=True)
class EnsembleProgress:
    """Where a run stands: ``losses`` ``[members]`` after ``epoch`` of ``epochs``."""

    epoch: int
    epochs: int
    losses: np.ndarray
    steps_per_second: float
    eta_seconds: float


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
    on_progress: Callable[[EnsembleProgress], None] | None = None,
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
    run = _Run(make_model, members, train, test, loss, optimizer, mesh, epochs, record)
    compile_seconds, chunk, interrupted = run.compile(), 1, False
    with Interrupt() as interrupt:
        try:
            while run.done < epochs and not interrupt.requested:
                begin, before = time.perf_counter(), run.done
                losses = run.advance(min(before + chunk, epochs))
                steps, elapsed = run.done - before, time.perf_counter() - begin
                if on_progress is not None:
                    rate, left = steps / elapsed, epochs - run.done
                    on_progress(EnsembleProgress(run.done, epochs, losses, rate * len(members), left / rate))
                chunk = max(1, min(10 * chunk, round(steps * _SECONDS_PER_CHUNK / elapsed)))
            interrupted = run.done < epochs
        except KeyboardInterrupt:
            if not run.done:
                raise
            interrupted = True
    return run.result(interrupted, compile_seconds, start)


class _Run:
    """The compiled program and its state, the member (padded to whole groups) on the leading axis of every array."""

    def __init__(self, make_model, members, train, test, loss, optimizer, mesh, epochs, record):
        models = [make_model(scheme, seed) for scheme, seed in members]
        _check_alike(models, members)
        models = [nnx.split(model, nnx.Param, ...) for model in models]
        self.members, self.done, self.graphdef = len(members), 0, models[0][0]
        self.train, self.test, self.tx, self.mesh = train, test, parse_optimizer(optimizer), mesh
        self.loss, self.score = LOSSES[loss], SCORES[loss]
        self.stride = -(-epochs // record)
        devices = 1 if mesh is None else mesh.size
        self.group = _group_size(models[0][1], train[0].shape[0], -(-self.members // devices))
        models += models[:1] * (-self.members % (self.group * devices))
        # the optimizers known by name act on each number alone: on one vector they are one kernel
        self.pack = _Vector(models[0][1]) if isinstance(optimizer, str) else _Tree()
        params = _stack([self.pack.packed(model[1]) for model in models])
        self.state = {
            "params": params,
            "rest": _stack([model[2] for model in models]),
            "opt": jax.jit(jax.vmap(self.tx.init))(params),
            "diverged_at": np.full(len(models), -1, np.int32),
            "loss": np.full((len(models), -(-epochs // self.stride)), np.nan, np.float32),
        }
        if mesh is not None:
            self.state = jax.device_put(self.state, NamedSharding(mesh, PartitionSpec(mesh.axis_names[0])))

    def compile(self) -> float:
        """Compile the training program; its wall time in seconds."""
        begin = time.perf_counter()
        program = jax.jit(self._over_members(self._train_member))
        self._program = program.lower(self.state, self.train, (np.int32(0), np.int32(0))).compile()
        return time.perf_counter() - begin

    def advance(self, stop: int) -> np.ndarray:
        """Train every member up to epoch ``stop``; the latest recorded losses ``[members]``."""
        state = self._program(self.state, self.train, (np.int32(self.done), np.int32(stop)))
        losses = np.asarray(state["loss"])[: self.members, (stop - 1) // self.stride]
        self.state, self.done = state, stop
        return losses

    def result(self, interrupted: bool, compile_seconds: float, start: float) -> EnsembleResult:
        """Every member as it stands."""
        evaluate = compiled_for_few_runs(self._over_members(self._test_member))
        score, predictions = evaluate(self.state, self.test, ())
        state = jax.tree.map(lambda leaf: np.asarray(leaf)[: self.members], self.state)
        recorded = np.arange(0, self.done, self.stride)
        diverged = state["diverged_at"]
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
            params=self.pack.unpacked(state["params"]),
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

    def _train_member(self, state, data, start, stop):
        x, y = data

        def loss_of(params):
            return self.loss(self._model(params, state)(x), y)

        def step(epoch, state):
            loss, gradients = jax.value_and_grad(loss_of)(self.pack.unpacked(state["params"]))
            gradients = self.pack.packed(gradients)
            updates, opt = self.tx.update(gradients, state["opt"], state["params"])
            finite = jnp.isfinite(loss) & jnp.isfinite(optax.tree.norm(gradients))
            alive = finite & (state["diverged_at"] < 0)
            moved = {"params": optax.apply_updates(state["params"], updates), "opt": opt}
            kept = {name: state[name] for name in moved}
            # an index past the end writes nothing: losses are recorded every `stride` epochs
            slot = jnp.where(epoch % self.stride == 0, epoch // self.stride, state["loss"].shape[0])
            return state | jax.tree.map(lambda new, old: jnp.where(alive, new, old), moved, kept) | {
                "diverged_at": jnp.where((state["diverged_at"] < 0) & ~finite, epoch, state["diverged_at"]),
                "loss": state["loss"].at[slot].set(loss, mode="drop"),
            }  # fmt: skip

        return jax.lax.fori_loop(start, stop, step, state)

    def _test_member(self, state, data):
        x, y = data
        predicted = self._model(self.pack.unpacked(state["params"]), state)(x)
        return self.score(predicted, y), predicted

    def _model(self, params, state):
        return nnx.merge(self.graphdef, params, state["rest"])


class _Tree:
    """Parameters as the model has them."""

    def packed(self, tree):
        return tree

    unpacked = packed


class _Vector:
    """Parameters in one vector; any leading axes are kept when they are unpacked."""

    def __init__(self, tree):
        leaves, self.treedef = jax.tree.flatten(tree)
        self.shapes = [leaf.shape for leaf in leaves]
        self.ends = np.cumsum([leaf.size for leaf in leaves]).tolist()

    def packed(self, tree):
        leaves = jax.tree.leaves(tree)
        backend = jnp if isinstance(leaves[0], Tracer) else np  # NumPy compiles nothing
        return backend.concatenate([backend.ravel(leaf) for leaf in leaves])

    def unpacked(self, vector):
        starts = [0, *self.ends[:-1]]
        leaves = [
            vector[..., start:end].reshape(*vector.shape[:-1], *shape)
            for start, end, shape in zip(starts, self.ends, self.shapes, strict=True)
        ]
        return jax.tree.unflatten(self.treedef, leaves)


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
