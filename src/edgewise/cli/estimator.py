"""The one place where the commands call the estimators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgewise.cli.settings import KEYWORDS, OPTIONS, Settings, run_values

__all__ = ["check_spellings", "load_estimator", "make_estimator", "resolved_values", "train_estimator", "trained_steps"]


def make_estimator(task: str, settings: Settings) -> Any:
    """The untrained estimator for ``task``; what was not set is left to its own defaults."""
    values = run_values(settings)
    keywords = {KEYWORDS[name]: value for name, value in values.items() if name in KEYWORDS}
    return _kind(task)(**keywords, verbose=not settings.quiet)


def check_spellings(settings: Settings) -> None:
    """Raise :class:`UnknownNameError` or :class:`EdgewiseError` for a family, scheme, loss ... that there is not.

    The estimators find out too, but only once they train: later than a folder may be overwritten.
    """
    from edgewise import bases, init
    from edgewise.nn.residuals import resolve_residual
    from edgewise.training.losses import resolve_loss
    from edgewise.training.optim import resolve_optimizer

    if settings.basis is not None:
        bases.parse(settings.basis)
    init.resolve(settings.init)
    resolve_residual(settings.residual)
    if settings.loss is not None:
        resolve_loss(settings.loss)
    if settings.optimizer is not None:
        resolve_optimizer(settings.optimizer, settings.steps or 1)


def resolved_values(estimator: Any, settings: Settings) -> dict[str, Any]:
    """What the run is made of, by option name, the estimator's own defaults included where TOML can hold them."""
    own = estimator.get_params(deep=False)
    known = {name: own[keyword] for name, keyword in KEYWORDS.items()}
    known |= run_values(settings)
    ordered = {option.name: known[option.name] for option in OPTIONS if option.name in known}
    return {name: value for name, value in ordered.items() if isinstance(value, int | float | str | tuple | list)}


def train_estimator(estimator: Any, X: np.ndarray, y: np.ndarray, checkpoint: Path, *, resume: bool) -> bool:
    """Train on ``[n, n_features]`` and ``[n]`` or ``[n, n_targets]``; whether Ctrl-C ended it early.

    Raises:
        KeyboardInterrupt: before a step was done.
    """
    try:
        estimator.fit(X, y, checkpoint=checkpoint, resume=resume)
    except KeyboardInterrupt:
        if not trained_steps(estimator):
            raise
        return True
    interrupted = getattr(estimator, "stop_reason_", "completed") == "interrupted"
    if interrupted and not trained_steps(estimator):
        raise KeyboardInterrupt
    return interrupted


def trained_steps(estimator: Any) -> int:
    """Steps done."""
    return int(getattr(estimator, "n_iter_", 0))


def load_estimator(task: str, path: Path) -> Any:
    """The trained estimator that was saved in the file ``path``."""
    return _kind(task).load(path)


def _kind(task: str) -> Any:
    from edgewise.estimators import KANClassifier, KANRegressor

    return KANClassifier if task == "classification" else KANRegressor
