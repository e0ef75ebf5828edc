"""Many models at once: every member of an ensemble trained in one compiled program."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh

from edgewise.errors import EdgewiseError, ShapeError, check_choice, check_count
from edgewise.training.arrays import computing
from edgewise.training.loop import Program
from edgewise.training.losses import LOSSES
from edgewise.training.members import Members, check_alike
from edgewise.training.objective import Objective
from edgewise.training.optim import resolve_optimizer
from edgewise.training.progress import Progress

__all__ = ["EnsembleResult", "train_ensemble"]


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
    check_alike(models, [f"{scheme!r}, seed {seed}," for scheme, seed in members])
    resolved, stride = resolve_optimizer(optimizer, epochs), -(-epochs // record)
    options = {"objective": Objective(loss), "optimizer": resolved, "stride": stride, "mesh": mesh}
    with computing(None):
        run = Members(models, {"arrays": train}, train[0].shape[0], epochs, **options)
        interrupted = run.train(on_progress)
        score, predictions = (np.asarray(part)[: run.count] for part in run.evaluate(_tested, test))
        state = run.arrays()
    return EnsembleResult(
        epochs=state["recorded"],
        train_loss=state["loss"],
        score=np.where(state["halted"] >= 0, np.nan, score),
        predictions=predictions,
        diverged_at=state["halted"],
        completed=run.done,
        interrupted=interrupted,
        seconds=time.perf_counter() - start,
        compile_seconds=run.compile_seconds,
        params=state["params"],
    )


def _tested(program: Program, state: Any, data: Any) -> tuple[Any, Any]:
    """Score and predictions of a member on (X, y)."""
    x, y = data
    predicted = program.model(program.packing.unpacked(state["params"]), state["rest"])(x)
    return program.objective.loss.score(predicted, y), predicted
