"""Estimators in one file: that of the network, with what else the estimator has learned in its header."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from edgewise.bases import Basis, from_config
from edgewise.estimators.scaling import Scaling
from edgewise.init import Scheme, config_of, resolve
from edgewise.nn.residuals import RESIDUALS
from edgewise.refine import Refine, Steps
from edgewise.training.checkpoint import Checkpoint, CheckpointError, read_header
from edgewise.training.history import History
from edgewise.training.losses import LOSSES, Loss
from edgewise.training.saved_model import load_model

__all__ = ["read_estimator", "write_estimator"]

_PLAIN = ("n_iter_", "stop_reason_", "n_features_in_", "n_outputs_", "_flat")
_LABELS = ("classes_", "feature_names_in_")
_SCALINGS = ("input_scaling_", "target_scaling_")
_SERIES = ("steps", "loss", "validation_steps", "validation", "score")
_LOST = object()  # code, for which there is no place in the file


def write_estimator(estimator: Any, path: Path | str) -> None:
    """Write a fitted estimator; see ``KANEstimator.save``."""
    learned: dict[str, Any] = {name: getattr(estimator, name) for name in _PLAIN if hasattr(estimator, name)}
    learned |= {name: _of_labels(getattr(estimator, name)) for name in _LABELS if hasattr(estimator, name)}
    for name in _SCALINGS:
        if hasattr(estimator, name):
            scaling = getattr(estimator, name)
            learned[name] = {"mean": scaling.mean.tolist(), "std": scaling.std.tolist()}
    learned["history_"] = estimator.history_.to_dict()
    learned["loss_"] = _written(estimator.loss_)
    parameters = {name: _written(value) for name, value in estimator.get_params(deep=False).items()}
    lost = [name for name, value in parameters.items() if value is _LOST]
    if lost:
        warnings.warn(f"not in the file, which holds no code: {', '.join(lost)}.", stacklevel=3)
    header = {
        "model": "KAN",
        "config": estimator.model_.config,
        "estimator": type(estimator).__name__,
        "parameters": {name: value for name, value in parameters.items() if value is not _LOST},
        "learned": {name: value for name, value in learned.items() if value is not _LOST},
    }
    checkpoint = Checkpoint(path)
    checkpoint.prepare()
    checkpoint.save(nnx.state(estimator.model_), header)


def read_estimator(kind: Any, path: Path | str) -> Any:
    """The estimator of class ``kind`` in the file."""
    header = read_header(path)
    if header.get("estimator") != kind.__name__:
        found = header.get("estimator") or ("a model" if "model" in header else "the checkpoint of a run")
        raise CheckpointError(
            f"{path} holds {found}, and no {kind.__name__}.",
            do=f"load it as what it is, or pass a file that {kind.__name__}.save wrote.",
        )
    estimator = kind(**{name: _read(value) for name, value in header["parameters"].items()})
    estimator.loss_ = None  # for a loss that is code, which the file does not hold
    for name, value in header["learned"].items():
        if name in _LABELS:
            value = np.array(value["labels"], dtype=value["dtype"])
        elif name in _SCALINGS:
            value = Scaling(np.array(value["mean"]), np.array(value["std"]))
        elif name == "history_":
            value = _history(value)
        elif name == "loss_":
            value = _read(value)
        setattr(estimator, name, value)
    estimator.model_ = load_model(path)
    return estimator


def _of_labels(labels: np.ndarray) -> dict[str, Any]:
    return {"labels": labels.tolist(), "dtype": "object" if labels.dtype.kind == "O" else labels.dtype.str}


def _history(record: dict[str, Any]) -> History:
    series: dict[str, Any] = {name: np.array(record[name], float) for name in _SERIES}  # null becomes NaN
    series |= {name: series[name].astype(int) for name in ("steps", "validation_steps")}
    series["events"] = tuple(map(tuple, record["events"]))
    return History(**record | series)


def _written(value: Any) -> Any:
    """A parameter as JSON: what JSON has no word for becomes {"kind": ..., "value": ...}; ``_LOST`` for code."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list | dict):
        parts = [part for pair in value.items() for part in pair] if isinstance(value, dict) else value
        parts = [_written(part) for part in parts]
        return _LOST if any(part is _LOST for part in parts) else {"kind": type(value).__name__, "value": parts}
    if isinstance(value, Steps | Refine):
        return str(value)
    if isinstance(value, Basis):
        return {"kind": "basis", "value": value.config}
    if isinstance(value, Scheme) and (config := config_of(value)) is not None:
        return {"kind": "init", "value": config}
    names = [name for name, loss in LOSSES.items() if type(loss) is type(value)]
    if names:
        return {"kind": "loss", "value": {"name": names[0]} | dataclasses.asdict(value)}
    return next((name for name, residual in RESIDUALS.items() if residual is value), _LOST)


def _loss(options: dict[str, Any]) -> Loss:
    return type(LOSSES[options["name"]])(**{name: value for name, value in options.items() if name != "name"})


def _dict(parts: list[Any]) -> dict[Any, Any]:
    return dict(zip(parts[::2], parts[1::2], strict=True))


_COLLECTIONS: dict[str, Callable[[list[Any]], Any]] = {"tuple": tuple, "list": list, "dict": _dict}
_OBJECTS: dict[str, Callable[[Any], Any]] = {"basis": from_config, "init": resolve, "loss": _loss}


def _read(value: Any) -> Any:
    """What :func:`_written` wrote."""
    if not isinstance(value, dict):
        return value
    kind, value = value["kind"], value["value"]
    return _COLLECTIONS[kind]([_read(part) for part in value]) if kind in _COLLECTIONS else _OBJECTS[kind](value)
