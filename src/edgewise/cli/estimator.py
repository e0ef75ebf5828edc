"""The one place where the commands call the estimators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgewise.cli.settings import KEYWORDS, OPTIONS, Settings, run_values
from edgewise.errors import EdgewiseError

__all__ = ["load_estimator", "make_estimator", "resolved_values", "train_estimator"]


def make_estimator(task: str, settings: Settings) -> Any:
    """The untrained estimator for ``task``; what was not set is left to its own defaults.

    Raises:
        EdgewiseError: a loss that predicts several values for one target.
    """
    if settings.loss is not None and settings.loss.startswith("quantile") and "," in settings.loss:
        raise EdgewiseError(
            f"loss {settings.loss!r} predicts several values for one target.",
            "a run predicts one, which it is scored by.",
            "train a run a quantile, say --loss quantile:0.1.",
        )
    values = run_values(settings)
    keywords = {KEYWORDS[name]: value for name, value in values.items() if name in KEYWORDS}
    if settings.batch_size == "all":
        keywords["batch_size"] = None
    return _kind(task)(**keywords, verbose=not settings.quiet)


def resolved_values(estimator: Any, settings: Settings) -> dict[str, Any]:
    """What the run is made of, by option name, the estimator's own defaults included where TOML can hold them."""
    own = estimator.get_params(deep=False)
    known = {name: own[keyword] for name, keyword in KEYWORDS.items()}
    known |= run_values(settings)
    if known["schedule"]:
        del known["steps"]
    else:
        del known["schedule"]
    ordered = {option.name: known[option.name] for option in OPTIONS if option.name in known}
    return {name: value for name, value in ordered.items() if isinstance(value, int | float | str | tuple | list)}


def train_estimator(estimator: Any, X: np.ndarray, y: np.ndarray, checkpoint: Path, *, resume: bool) -> None:
    """Train on ``[n, n_features]`` and ``[n]`` or ``[n, n_targets]``; Ctrl-C ends it with what was done until then.

    Raises:
        EdgewiseError: for settings that cannot be used, and where training fails.
        KeyboardInterrupt: before a step was done.
    """
    estimator.fit(X, y, checkpoint=checkpoint, resume=resume)
    if estimator.stop_reason_ == "interrupted" and not estimator.n_iter_:
        raise KeyboardInterrupt


def load_estimator(task: str, path: Path) -> Any:
    """The trained estimator that was saved in the file ``path``."""
    return _kind(task).load(path)


def _kind(task: str) -> Any:
    from edgewise.estimators import KANClassifier, KANRegressor

    return KANClassifier if task == "classification" else KANRegressor
