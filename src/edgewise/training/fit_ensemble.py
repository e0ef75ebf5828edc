"""``fit_ensemble``: many models, seeds and learning rates at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, SupportsIndex

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from edgewise.errors import DataError, EdgewiseError, check_count, check_seed, check_seeds, checked_keywords
from edgewise.training.arrays import computing, deliver
from edgewise.training.diagnosis import explained
from edgewise.training.fit import check_method, computing_dtype, held_out, listed, looks_every
from edgewise.training.members import Members, check_alike
from edgewise.training.objective import Objective
from edgewise.training.optim import Optimizer, resolve_optimizer
from edgewise.training.processes import plain_mesh
from edgewise.training.progress import Progress, shown
from edgewise.training.sources import InMemory, as_numbers, is_stream

__all__ = ["FittedEnsemble", "fit_ensemble"]

_RECORDED = 1000  # losses kept of each member at most


@dataclass(frozen=True)
class FittedEnsemble:
    """What ``fit_ensemble`` gives back.

    Attributes:
        members: (optimizer, seed) of each.
        steps, loss: ``[T]`` and ``[members, T]``, the loss before update number ``steps[i] + 1``; NaN once diverged.
        validation_steps, validation: ``[V]`` and ``[members, V]``, the looks that happened, NaN for a member that had
            not come so far; empty without validation data.
        diverged_at: ``[members]``, the step at which a loss or gradient was not finite and the member was frozen; -1
            for never.
        interrupted: whether Ctrl-C ended the run early.
        seconds: wall time, compilation included.
    """

    members: tuple[tuple[str, int], ...]
    steps: np.ndarray
    loss: np.ndarray
    validation_steps: np.ndarray
    validation: np.ndarray
    diverged_at: np.ndarray
    interrupted: bool
    seconds: float
    _last: np.ndarray = field(repr=False)  # what `best` compares, [members]
    _models: tuple[Callable[[], nnx.Module], ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.members)

    def model(self, index: int) -> nnx.Module:
        """The trained model of a member; a diverged one as it was when it was frozen."""
        return self._models[index]()

    @property
    def best(self) -> int:
        """The member with the lowest last validation loss, or training loss where there was no look at such data.

        Raises ``EdgewiseError`` if all have diverged, or were interrupted before they began.
        """
        last = np.where((self.diverged_at >= 0) | ~np.isfinite(self._last), np.inf, self._last)
        if np.isinf(last).all():
            what = "no member has a finite loss." if (self.diverged_at < 0).any() else "every member has diverged."
            raise EdgewiseError(what, do="lower the learning rates, or scale the data.")
        return int(np.argmin(last))


@checked_keywords
def fit_ensemble(
    make_model: Callable[[int], nnx.Module],
    data: Any,
    *,
    seeds: SupportsIndex | Iterable[int] = 10,
    optimizer: Any = "adam",
    loss: Any = "mse",
    steps: int,
    batch_size: int | None = None,
    validation: Any = None,
    validate_every: int | None = None,
    regularizers: Any = (),
    seed: int = 0,
    mesh: Mesh | None = None,
    progress: bool | Callable[[Progress], None] | None = None,
) -> FittedEnsemble:
    """Train ``make_model(seed)`` for every seed under every optimizer, many of them in one compiled program.

    Optimizers that differ in the learning rate only share a program; each other one takes its turn.

    Args:
        make_model: gives a model for a seed; all have one architecture.
        data, loss, batch_size, validation, validate_every, regularizers, seed, progress: as ``fit`` takes them; data in
            memory.  All members see the same batches.
        seeds: how many (0, 1, ...), or which ones, below 2**32.
        optimizer: one, or a sequence: ``["adam:1e-2", "adam:1e-3", "lbfgs"]``.
        steps: updates of each member.
        mesh: splits the members over the devices of its first axis.

    Returns:
        A :class:`FittedEnsemble`, optimizer by optimizer, seed by seed.  A member whose loss or gradient is not finite
        is marked and frozen; the others go on.  Ctrl-C gives back what is finished.

    Raises:
        EdgewiseError: for what ``fit`` refuses too, models of unequal architecture, no seeds or no optimizers.
    """
    start = time.perf_counter()
    chosen, seed = check_seeds(seeds), check_seed("seed", seed)
    one = isinstance(optimizer, str) or not isinstance(optimizer, Sequence) or hasattr(optimizer, "update")
    given = _distinct((optimizer,) if one else tuple(optimizer))
    resolved = [resolve_optimizer(each, check_count("steps", steps)) for each in given]
    models = [make_model(each) for each in chosen]
    check_alike(models, [f"seed {each}" for each in chosen])
    objective = Objective(loss, listed(regularizers))
    every = looks_every(steps, validate_every)
    if callable(data) or is_stream(data):
        raise DataError(
            "an ensemble needs its data in memory.",
            "all members see the same batches, which are drawn on the device.",
            "pass arrays, or train the models one by one with fit.",
        )
    data, validation = held_out(data, validation, seed)
    parts, interrupted, mesh = [], False, plain_mesh(mesh)
    with shown(progress) as display:
        for group in _alike_but_for_the_rate(resolved):
            check_method(group[0], objective, models[0], data, batch_size)
            dtype = computing_dtype(models[0], group[0], None)
            with computing(dtype), explained(models[0], objective, data, dtype):
                check = lambda arrays: objective.check(models[0], arrays)
                source = InMemory(_checked(data, dtype, check), batch_size, seed=seed, mesh=None)
                wanted = objective.of(models[0], data) if group[0].least_squares else objective
                shared = source.data | {"every": np.int32(every), "steps": np.int32(steps)}
                if validation is not None:
                    shared["validation"] = jax.device_put(_checked(validation, dtype, check))
                run = Members(
                    models * len(group), shared, batch_size or source.rows, steps, scales=_scales(group, len(chosen)),
                    mesh=mesh, dtype=dtype, objective=wanted, optimizer=group[0], feed=source.feed,
                    stride=-(-steps // _RECORDED), validates=validation is not None,
                )  # fmt: skip
                interrupted = run.train(display)
                parts.append((group, run.arrays() | {"looks": _looks(run.done, steps, every)}))
            if interrupted:
                break
    members = tuple((each.spec, own) for group, _ in parts for each in group for own in chosen)
    return _joined(parts, members, models, interrupted, time.perf_counter() - start)


def _joined(parts, members, models, interrupted, seconds) -> FittedEnsemble:
    """The members of all programs; one that was interrupted recorded less than the others."""
    states = [state for _, state in parts]
    recorded = max((state["recorded"] for state in states), key=len)
    looks = max((state["looks"] for state in states), key=len) if "validation" in states[0] else np.empty(0)

    def column(name, length):
        wide = [state[name][:, :length] for state in states]
        return np.concatenate([np.pad(a, ((0, 0), (0, length - a.shape[1])), constant_values=np.nan) for a in wide])

    def last(state):
        name, seen = ("validation", state["looks"]) if len(looks) else ("loss", state["recorded"])
        return state[name][:, len(seen) - 1] if len(seen) else np.full(len(state["halted"]), np.nan)

    def model_of(state, index):
        def make():
            model = nnx.clone(models[index % len(models)])
            part = lambda tree: jax.tree.map(lambda leaf: leaf[index], tree)
            deliver(model, part(state["params"]), part(state["rest"]))
            return model

        return make

    return FittedEnsemble(
        members=members,
        steps=recorded,
        loss=column("loss", len(recorded)),
        validation_steps=looks,
        validation=column("validation", len(looks)) if len(looks) else np.empty((len(members), 0)),
        diverged_at=np.concatenate([state["halted"] for state in states]),
        interrupted=interrupted,
        seconds=seconds,
        _last=np.concatenate([last(state) for state in states]),
        _models=tuple(model_of(state, index) for state in states for index in range(len(state["halted"]))),
    )


def _looks(done: int, steps: int, every: int) -> np.ndarray:
    """The steps after which a run of which so many are done has looked at validation data."""
    looks = np.arange(every, done + 1, every)
    return np.append(looks, steps) if done == steps and steps % every else looks


def _alike_but_for_the_rate(optimizers: Sequence[Optimizer]) -> list[list[Optimizer]]:
    """Groups of optimizers that one program serves: updates are linear in the learning rate."""
    groups: dict[Any, list[Optimizer]] = {}
    for each in optimizers:
        head, *options = each.spec.split(",")
        key = id(each) if each.rate is None else (head.partition(":")[0], *options)
        groups.setdefault(key, []).append(each)
    return list(groups.values())


def _scales(group: Sequence[Optimizer], seeds: int) -> np.ndarray:
    rates = [each.rate or 1.0 for each in group]
    return np.repeat(np.array(rates) / rates[0], seeds)


def _checked(data: Any, dtype: Any, check: Callable[[Any], None]) -> Any:
    arrays = as_numbers(data, dtype)
    check(arrays)
    return arrays


def _distinct(optimizers: tuple[Any, ...]) -> tuple[Any, ...]:
    if not optimizers or len({str(each) for each in optimizers}) < len(optimizers):
        raise EdgewiseError(
            f"optimizers must be distinct and at least one, got {optimizers!r}.", do="pass one or more optimizers."
        )
    return optimizers
