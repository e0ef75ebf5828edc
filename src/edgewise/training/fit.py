"""``fit``: train one model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh

from edgewise.errors import DataError, EdgewiseError, check_choice, check_count, check_seed, checked_keywords
from edgewise.training.arrays import computing, dtype_of
from edgewise.training.callbacks import Callback, Logging
from edgewise.training.checkpoint import Checkpoint, CheckpointError, read_header
from edgewise.training.diagnosis import explained
from edgewise.training.history import History
from edgewise.training.loggers import Logger
from edgewise.training.losses import resolve_loss
from edgewise.training.monitors import Monitor
from edgewise.training.objective import Objective
from edgewise.training.optim import LevenbergMarquardt, Optimizer, resolve_optimizer
from edgewise.training.phases import Phases, check_growth
from edgewise.training.progress import Progress, shown
from edgewise.training.run import Run
from edgewise.training.sources import is_stream, rows_of

__all__ = ["FitResult", "fit"]

_LOOKS = 100  # how often the validation data are looked at, unless told otherwise


@dataclass(frozen=True)
class FitResult:
    """What ``fit`` gives back.

    Attributes:
        model: the model that was passed in, trained.
        history: what was recorded.
        state: the arrays of the run, the optimizer's included, by name; what a checkpoint holds.
        step: updates done.
        reason: why training ended: "completed", "interrupted", "early stopping", "the data ran out", or what a callback
            said.
    """

    model: Any
    history: History
    state: dict[str, Any]
    step: int
    reason: str

    def __repr__(self) -> str:
        return f"FitResult({self.reason} after {self.step} steps, {self.history}, model={self.model})"


@checked_keywords
def fit(
    model: nnx.Module,
    data: Any,
    *,
    loss: Any = "mse",
    optimizer: str | optax.GradientTransformation | LevenbergMarquardt | Optimizer = "adam",
    steps: int | None = None,
    batch_size: int | None = None,
    validation: Any = None,
    validate_every: int | None = None,
    regularizers: Any = (),
    callbacks: Callback | Monitor | Logger | Sequence[Callback | Monitor | Logger] | None = (),
    schedule: Sequence[Any] | None = (),
    mesh: Mesh | None = None,
    seed: int = 0,
    progress: bool | Callable[[Progress], None] | None = None,
    checkpoint: str | Path | Checkpoint | None = None,
    resume: bool = False,
    on_nonfinite: str = "stop",
    dtype: Any = None,
) -> FitResult:
    """Train ``model``, which is updated and given back.

    All steps run in one compiled loop, cut into chunks of about half a second; between them progress is shown,
    callbacks run, checkpoints are written and Ctrl-C is heard.

    Args:
        model: any ``nnx.Module``; its ``nnx.Param`` are trained.
        data: ``(X, y)`` or ``(X, y, weight)``: ``[n, n_in]``, ``[n, n_out]`` (``[n]`` for one output and for class
            numbers) and ``[n]``.  Arrays, memory-mapped arrays (read batch by batch), an iterable of such batches (a
            list of tuples, lists or dicts of arrays is one), or a function that returns one for every epoch.  A
            callable loss gets its batch as it is, any pytree of arrays; None for one that looks at the model alone.
        loss: a name (see ``training.losses``), a loss, or a function ``(model, batch) -> scalar``.
        optimizer: a name with options, say "adam:1e-3,cosine" (see ``training.optim``), or an optax transformation.
        steps: updates in all, those of a resumed run included; None where a ``schedule`` says how many.
        batch_size: rows a step, shuffled anew every epoch; None is all.
        validation: data to measure the loss on, or the fraction of the samples to keep for that.
        validate_every: steps between looks at them, and by monitors; None is a hundredth of ``steps``.
        regularizers: one or several, see ``training.regularizers``.
        callbacks: one or several: callbacks, monitors (``EarlyStopping``, ``ReduceOnPlateau``) and loggers.
        schedule: phases with refinements between, ``[Steps(200), Refine(6), Steps(200)]`` or ``[200, "refine:6", 200]``
            (see :mod:`edgewise.refine`).  The optimizer's state is carried across.
        mesh: splits every batch over the devices of its first axis.
        seed: of the order of mini-batches and the choice of validation samples, below 2**32.
        progress: True shows it, False does not, None shows it on a terminal; or a function of ``Progress``.
        checkpoint: file to keep the run in, or a ``Checkpoint``.
        resume: go on from the checkpoint where there is one; the same as if there had been no interruption, bit by bit.
        on_nonfinite: "stop" raises; "restore" goes back to the last finite parameters and halves the learning rate.
        dtype: of the computation: "float32", "float64", or None: that of the parameters, but float64 for second-order
            optimizers.  The parameters come back as they were; JAX's own setting is not touched.

    Returns:
        A :class:`FitResult`; interrupted by Ctrl-C, with what was done until then.

    Raises:
        EdgewiseError: for arguments, data or checkpoints that cannot be used, before anything is trained.
        NonFiniteError: a loss or gradient that is not finite; the model has its last finite state.
    """
    steps = None if steps is None else check_count("steps", steps)
    check_choice("on_nonfinite", on_nonfinite, ("stop", "restore"))
    seed = check_seed("seed", seed)
    _check_model(model)
    phases = Phases.of(schedule, steps)
    check_growth(model, phases.items)
    steps = phases.steps
    resolved = resolve_optimizer(optimizer, steps)
    objective = Objective(resolve_loss(loss), listed(regularizers))
    check_method(resolved, objective, model, data, batch_size)
    if resolved.full_batch and on_nonfinite == "restore":
        raise EdgewiseError(f"{resolved.spec} has no learning rate to halve.", do="leave on_nonfinite='restore' out.")
    monitors, hooks = _sorted_callbacks(listed(callbacks), resolved)
    kept, header = _opened(checkpoint, resume)
    every = looks_every(steps, validate_every)
    if header is not None and validate_every is None:
        every = header["settings"]["validate_every"]  # a longer run looks as often as it did
    data, validation = held_out(data, validation, seed)
    kind = computing_dtype(model, resolved, dtype)
    outer = jax.config.read("jax_enable_x64")
    with computing(kind), shown(progress) as display, explained(model, objective, data, kind):
        run = Run(
            model, data, objective, resolved,
            phases=phases, batch_size=batch_size, validation=validation, every=every, monitors=monitors, hooks=hooks,
            mesh=mesh, seed=seed, dtype=kind, display=display, checkpoint=kept, halve=on_nonfinite == "restore",
            outer_x64=outer, header=header,
        )  # fmt: skip
        if header is not None:
            run.resume(header)
        run.train()
    result = FitResult(model, run.history, run.state, run.step, run.reason)
    if run.error is not None:
        run.error.result = result
        raise run.error
    return result


def _check_model(model: Any) -> None:
    if not isinstance(model, nnx.Module):
        raise EdgewiseError(
            f"model={model!r} is no nnx.Module.", do="pass say edgewise.KAN([2, 6, 1], rngs=nnx.Rngs(0))."
        )
    if not jax.tree.leaves(nnx.state(model, nnx.Param)):
        raise EdgewiseError("the model has no parameters to train.", do="give it nnx.Param variables.")


def _opened(checkpoint: str | Path | Checkpoint | None, resume: bool) -> tuple[Checkpoint | None, dict | None]:
    """Where to keep the run, ready to be written to, and the header of what is to be resumed."""
    kept = checkpoint if checkpoint is None or isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)
    if kept is None:
        if resume:
            raise EdgewiseError("resume=True needs a checkpoint to go on from.", do="pass checkpoint='run.npz' too.")
        return None, None
    kept.prepare()
    header = read_header(kept.path) if resume and kept.exists() else None
    if header is not None and "settings" not in header:
        raise CheckpointError(
            f"{kept.path} is a checkpoint, but not of a run.",
            "fit goes on from what fit wrote; a model by itself is read by edgewise.load_model.",
            "name another file, or pass the loaded model and resume=False.",
        )
    return kept, header


def check_method(optimizer: Optimizer, objective: Objective, model: nnx.Module, data: Any, batch_size: Any) -> None:
    """Raise ``EdgewiseError`` where the optimizer does not go with the loss, the model or mini-batches."""
    if optimizer.full_batch and batch_size is not None:
        raise EdgewiseError(
            f"{optimizer.spec} needs the whole data at every step, but batch_size={batch_size}.",
            "it compares losses between steps, which differ from batch to batch.",
            "leave batch_size out, or take a first-order optimizer, say 'adam:1e-3'.",
        )
    if optimizer.full_batch and (callable(data) or is_stream(data)):
        raise EdgewiseError(
            f"{optimizer.spec} needs the whole data at every step, but they come batch by batch.",
            do="pass arrays, or take a first-order optimizer, say 'adam:1e-3'.",
        )
    if optimizer.remembers and objective.refreshed_every == 1:
        raise EdgewiseError(
            f"{optimizer.spec} learns from the steps before, but the loss changes at every one of them.",
            "what it has learnt is of another loss and is forgotten: it would never get beyond its first step.",
            "renew weights and points less often, say RBA(every=50), or take 'levenberg_marquardt' or 'adam'.",
        )
    if optimizer.least_squares and not objective.least_squares:
        raise EdgewiseError(
            f"{optimizer.spec} needs a sum of squares to minimize.",
            f"{objective} is none.",
            "use loss='mse', or training.LeastSquares(residuals), or another optimizer, say 'lbfgs'.",
        )
    norms = (part for _, part in nnx.iter_modules(model) if isinstance(part, nnx.BatchNorm))
    if optimizer.full_batch and not all(part.use_running_average for part in norms):
        raise EdgewiseError(
            f"{optimizer.spec} does not go with BatchNorm, whose statistics are averaged over many steps.",
            "it takes few steps and evaluates the loss several times in each: predictions would use other statistics.",
            "use nnx.LayerNorm, or a first-order optimizer, say 'adam:1e-3', or fix the statistics by model.eval().",
        )


def listed(given: Any) -> tuple[Any, ...]:
    """One thing, several of them or None as a tuple."""
    if given is None:
        return ()
    return tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)


def _sorted_callbacks(
    callbacks: Sequence[Any], optimizer: Optimizer
) -> tuple[tuple[Monitor, ...], tuple[Callback, ...]]:
    monitors, hooks = [], []
    for callback in callbacks:
        if isinstance(callback, Monitor):
            callback.check(optimizer)
            monitors.append(callback)
        elif isinstance(callback, Logger):
            hooks.append(Logging(callback))
        elif isinstance(callback, Callback) and not isinstance(callback, type):
            hooks.append(callback)
        else:
            raise EdgewiseError(
                f"{callback!r} is no callback.",
                "a callback has on_start, on_chunk, on_refine and on_end.",
                "subclass edgewise.training.Callback, and pass an instance of it.",
            )
    return tuple(monitors), tuple(hooks)


def held_out(data: Any, validation: Any, seed: int) -> tuple[Any, Any]:
    """Training and validation data; a fraction is drawn from the samples."""
    if is_stream(validation):
        raise DataError(
            "the validation data come batch by batch.",
            "they are looked at as a whole.",
            "pass arrays: validation=(X, y).",
        )
    if not isinstance(validation, Real) and getattr(validation, "shape", None) != ():
        return data, validation
    streams = callable(data) or is_stream(data)
    leaves = [] if streams else jax.tree.leaves(data)
    if streams or any(isinstance(leaf, np.memmap) for leaf in leaves):
        raise EdgewiseError(
            f"validation={validation} needs data in memory.",
            "a fraction of a stream cannot be held out.",
            "pass the validation data themselves: validation=(X, y).",
        )
    rows = rows_of(data)
    fraction: Any = validation
    proper = 0 < fraction < 1
    held = round(float(fraction) * rows) if proper else 0
    if not 0 < held < rows:
        parts = f"of {rows} samples leaves {rows - held} to train on and {held} to validate on."
        raise DataError(
            f"validation={validation} {parts if proper else 'is no fraction of the samples.'}",
            do="pass a fraction between 0 and 1 that leaves some of both, say validation=0.2.",
        )
    order = np.random.default_rng(seed).permutation(rows)
    part = lambda chosen: jax.tree.map(lambda leaf: np.asarray(leaf)[chosen], data)
    return part(np.sort(order[held:])), part(np.sort(order[:held]))


def looks_every(steps: int, validate_every: int | None) -> int:
    """Steps between looks at the validation data."""
    return max(1, steps // _LOOKS) if validate_every is None else check_count("validate_every", validate_every)


def computing_dtype(model: nnx.Module, optimizer: Optimizer, dtype: Any) -> np.dtype:
    """What to compute in: ``dtype`` if given, float64 for second order, or that of the parameters."""
    if dtype is not None:
        try:
            name = np.dtype(dtype).name
        except TypeError:
            name = dtype
        check_choice("dtype", name, ("float32", "float64"))
        return np.dtype(dtype)
    own = dtype_of(jax.tree.leaves(nnx.state(model, nnx.Param))[0])
    return np.dtype(np.float64) if optimizer.float64 else jnp.dtype(own)
