"""The study itself: one network, one task, every initialization scheme, many seeds, trained together."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np

from edgewise.errors import EdgewiseError, check_count, check_counts, check_seeds, checked_keywords
from edgewise.study.comparison import Comparison, Curves, quantiles
from edgewise.study.repeat import Spelled, repeating
from edgewise.study.report import prepare_folder
from edgewise.study.schemes import choose_schemes
from edgewise.study.tasks import SPLIT_SEED, TEST_FRACTION, Task, resolve_task
from edgewise.study.verdict import judge

__all__ = ["compare"]


@checked_keywords
def compare(
    data: Any = None,
    *,
    target: str | None = None,
    task: str | None = None,
    basis: Any = "chebyshev:5",
    widths: SupportsIndex | Iterable[int] = (6, 6),
    schemes: Any = "all",
    seeds: SupportsIndex | Iterable[int] = 16,
    epochs: int = 2000,
    optimizer: Any = "adam:1e-3",
    residual: Any = None,
    bias: bool = True,
    out: str | Path | None = None,
    force: bool = False,
    progress: bool | Callable[[Any], None] | None = None,
    devices: int | None = None,
) -> Comparison:
    """Train a KAN under several initialization schemes and seeds, and say which schemes are the best.

    Full-batch training, all runs together; every scheme sees the same data and the same seeds.

    Args:
        data: ``None`` for the published experiment (x^2 + 2 exp(y), jaxKAN's tutorial 3), a name of
            ``edgewise.study.DATA_NAMES``, the path of a CSV file, a :class:`Task`, or arrays ``(X, y)`` of shapes
            ``[n, n_features]`` and ``[n]``.  Files, named tables and arrays are split 80/20 and standardized.
        target: the column of a CSV file to predict.
        task: ``"regression"`` or ``"classification"``; ``None``: as the data suggest.
        basis: a name such as ``"chebyshev:5"``, or a basis.
        widths: widths of the hidden layers; one number is one layer.
        schemes: ``"all"``, ``"published"`` (the five of the published experiment), names (with commas, or a sequence),
            or initializers: one, a sequence, or a mapping from names.
        seeds: how many (0, 1, ...), or which ones, below 2**32.
        epochs: steps of the optimizer on the whole training data.
        optimizer: as ``fit`` takes it, such as ``"adam:1e-3"``.
        residual: ``None`` or ``"none"``, a residual function, or the name of one, such as ``"silu"``.
        bias: whether layers have a bias.
        out: folder for results.json, report.html and plots; ``None`` writes nothing.
        force: whether to overwrite a study in ``out``.
        progress: ``True`` shows a progress bar on the error stream; a callable gets each ``training.Progress``.
        devices: split the runs over that many devices; ``None``: all there are.

    Returns:
        The :class:`Comparison`.  Interrupted by Ctrl-C, it holds what was finished until then.

    Raises:
        EdgewiseError: bad data, an unknown name, or an existing ``out`` without ``force``, all before training starts.
        KeyboardInterrupt: interrupted before the first epochs were finished.
    """
    task_ = resolve_task(data, target=target, task=task)
    seed_list, hidden, epochs = check_seeds(seeds), check_counts("width", widths), check_count("epochs", epochs)
    if isinstance(residual, str) and residual.lower() == "none":
        residual = None
    folder = None if out is None else prepare_folder(Path(out), force=force)
    try:
        chosen, notes = choose_schemes(schemes, residual)
        make_model, basis_name = _model_maker((task_.n_in, *hidden, task_.n_out), basis, residual, bias)
        gains = _gains(make_model, chosen, seed_list[0])
        settings = _settings(task_, basis_name, hidden, chosen, seed_list, epochs, optimizer, residual, bias)
        given = Spelled(data, schemes, basis, residual, optimizer)
        command = repeating(given, task_, chosen, seed_list, settings)
        result = _train(make_model, chosen, seed_list, task_, optimizer, epochs, devices, progress)
        task_, unlike = _with_fair_reference(task_, given, hidden, bias, result.completed)
        comparison = _assemble(result, task_, chosen, seed_list, gains, settings, command, (*notes, *unlike))
    except BaseException:
        if folder is not None and not any(folder.iterdir()):
            folder.rmdir()
        raise
    if folder is None:
        return comparison
    try:
        return comparison.save(folder, force=True)
    except EdgewiseError as error:
        # The runs are done and must not be lost with the disk.
        return comparison.with_note(f"the report could not be written: {error.what} {error.why}")


def _model_maker(widths: tuple[int, ...], basis: Any, residual: Any, bias: bool) -> tuple[Callable[..., Any], str]:
    from flax import nnx

    from edgewise import bases
    from edgewise.models.kan import KAN

    parsed = bases.parse(basis) if isinstance(basis, str) else basis

    def make_model(scheme: Any, seed: int) -> Any:
        return KAN(widths, parsed, init=scheme, residual=residual, bias=bias, rngs=nnx.Rngs(seed))

    return make_model, str(basis)


def _gains(
    make_model: Callable[..., Any], schemes: Mapping[str, Any], seed: int
) -> tuple[tuple[tuple[float, float], ...], ...]:
    from edgewise import init

    model = make_model(next(iter(schemes.values())), seed)
    return tuple(
        tuple((float(gain.forward), float(gain.backward)) for gain in init.gains(model, scheme=scheme))
        for scheme in schemes.values()
    )


def _train(
    make_model: Callable[..., Any],
    schemes: Mapping[str, Any],
    seeds: Sequence[int],
    task: Task,
    optimizer: Any,
    epochs: int,
    devices: int | None,
    progress: bool | Callable[[Any], None] | None,
) -> Any:
    from edgewise.training import ensemble
    from edgewise.training.progress import shown

    members = [(scheme, seed) for scheme in schemes.values() for seed in seeds]
    with shown(bool(progress) if progress is None else progress) as callback:
        result = ensemble.train_ensemble(
            make_model,
            members,
            (task.X_train, task.y_train),
            (task.X_test, task.y_test),
            loss=task.loss,
            optimizer=optimizer,
            epochs=epochs,
            mesh=_mesh(devices),
            on_progress=callback,
        )
    if result.interrupted and result.completed == 0:
        raise KeyboardInterrupt
    return result


def _mesh(devices: int | None) -> Any:
    import jax

    available = jax.devices()
    devices = len(available) if devices is None else check_count("devices", devices)
    if devices == 1:
        return None
    if devices > len(available):
        raise EdgewiseError(
            f"{devices} devices were asked for, there are {len(available)}.",
            f"JAX sees {', '.join(sorted({device.device_kind for device in available}))}.",
            f"pass at most {len(available)}.",
        )
    return jax.sharding.Mesh(np.array(available[:devices]), ("members",))


def _assemble(
    result: Any,
    task: Task,
    schemes: Mapping[str, Any],
    seeds: tuple[int, ...],
    gains: tuple[tuple[tuple[float, float], ...], ...],
    settings: Mapping[str, Any],
    command: str,
    notes: tuple[str, ...],
) -> Comparison:
    shape = (len(schemes), len(seeds))
    diverged_at = np.asarray(result.diverged_at).reshape(shape)
    scores = np.asarray(result.score, np.float64).reshape(shape)
    scores = np.where((diverged_at >= 0) | ~np.isfinite(scores), np.nan, scores)
    names = tuple(schemes)
    verdict = judge(names, scores, score_name=task.score_name, higher_is_better=task.higher_is_better)
    predictions = np.asarray(result.predictions)
    return Comparison(
        task=task,
        names=names,
        seeds=seeds,
        scores=scores,
        diverged_at=diverged_at,
        predictions=predictions.reshape(*shape, *predictions.shape[1:]),
        gains=gains,
        curves=Curves(np.asarray(result.epochs), _quartile_curves(result.train_loss, shape)),
        verdict=verdict,
        settings=settings,
        versions=_versions(),
        command=command,
        completed=int(result.completed),
        interrupted=bool(result.interrupted),
        seconds=float(result.seconds),
        compile_seconds=float(result.compile_seconds),
        notes=(*task.notes, *notes, *_reading_notes(task, scores, result)),
    )


def _quartile_curves(losses: Any, shape: tuple[int, int]) -> np.ndarray:
    values = np.asarray(losses, np.float64).reshape(*shape, -1)
    return np.stack([quantiles(runs) for runs in values])


def _reading_notes(task: Task, scores: np.ndarray, result: Any) -> tuple[str, ...]:
    notes = []
    if task.kind == "regression" and task.standardized:
        scale = ", ".join(f"{value:.4g}" for value in np.atleast_1d(task.y_scale))
        notes.append(
            f"features and target are standardized, so a test MSE of 1 is about as good as predicting the mean; "
            f"the root of the test MSE times {scale} is the error in the target's own units."
        )
    if not np.isfinite(scores).all():
        notes.append("a diverged run counts as the worst possible score in the median, the quartiles and the test.")
    if task.reference:
        notes.append(
            "the published scores are jaxKAN 0.3.7 with seed 42, one seed each; ours draw other random numbers."
        )
    if result.interrupted:
        notes.append(f"interrupted after epoch {result.completed}: scores are of the networks as they were then.")
    return tuple(notes)


def _settings(
    task: Task,
    basis: str,
    hidden: tuple[int, ...],
    schemes: Mapping[str, Any],
    seeds: tuple[int, ...],
    epochs: int,
    optimizer: Any,
    residual: Any,
    bias: bool,
) -> dict[str, Any]:
    from edgewise.nn.residuals import residual_name
    from edgewise.training.optim import resolve_optimizer

    return {
        "data": task.name,
        "task": task.kind,
        "n_train": len(task.X_train),
        "n_test": len(task.X_test),
        "split": f"test fraction {TEST_FRACTION}, seed {SPLIT_SEED}" if task.standardized else "as published",
        "standardized": task.standardized,
        "widths": [task.n_in, *hidden, task.n_out],
        "basis": basis,
        "residual": residual if isinstance(residual, str) else residual_name(residual),
        "bias": bias,
        "schemes": {name: _called(scheme) for name, scheme in schemes.items()},
        "seeds": list(seeds),
        "epochs": epochs,
        "batch": "full",
        "optimizer": resolve_optimizer(optimizer, epochs).spec,
        "loss": task.loss,
        "score": task.score_name,
    }


def _called(function: Any) -> str:
    """A function by its name, an object as it prints itself, without addresses in memory."""
    return getattr(function, "__name__", re.sub(r"<(?:function )?(\S+?)(?: object)? at 0x\w+>", r"\1", repr(function)))


def _with_fair_reference(
    task: Task, given: Spelled, hidden: tuple[int, ...], bias: bool, epochs: int
) -> tuple[Task, tuple[str, ...]]:
    """The task without its published scores, and a note, where they were obtained with other settings."""
    from edgewise import bases
    from edgewise.nn.residuals import resolve_residual
    from edgewise.training.optim import resolve_optimizer

    def method(optimizer: Any) -> tuple[Any, ...]:
        resolved = resolve_optimizer(optimizer, epochs)
        head, *options = resolved.spec.lower().replace(" ", "").split(",")
        return head.partition(":")[0], resolved.rate, options

    meanings: dict[str, Callable[[Any], Any]] = {
        "basis": lambda basis: bases.parse(basis) if isinstance(basis, str) else basis,
        "widths": tuple,
        "epochs": int,
        "optimizer": method,
        "residual": resolve_residual,
        "bias": bool,
    }
    used = {"basis": given.basis, "widths": hidden, "epochs": epochs, "optimizer": given.optimizer,
            "residual": given.residual, "bias": bias}  # fmt: skip
    unlike = [
        f"{name} {','.join(map(str, value)) if isinstance(value, tuple) else value}"
        for name, value in task.reference_settings.items()
        if meanings[name](used[name]) != meanings[name](value)
    ]
    if not task.reference or not unlike:
        return task, ()
    return replace(task, reference={}), (
        f"the published scores are left out, since they were obtained with other settings: {', '.join(unlike)}.",
    )


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for package in ("edgewise", "jax", "jaxlib", "flax", "optax", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed as a package"
    import jax

    devices = jax.devices()
    found["platform"] = platform.platform()
    found["devices"] = f"{len(devices)} x {devices[0].device_kind} ({os.cpu_count()} cores)"
    return found
