"""How good predictions are, in numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

__all__ = ["class_scores", "class_weights", "confusion_matrix", "regression_scores", "score_parts"]


def regression_scores(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """R2 (1 is perfect, 0 no better than the mean), RMSE and MAE in the target's units, MSE, of ``[n]`` and ``[n]``."""
    error = predicted.astype(np.float64) - truth
    mse = float(np.mean(error**2))
    variance = float(np.var(truth)) if truth.min() < truth.max() else 0.0  # rounding leaves some to a constant
    r2 = 1 - mse / variance if variance > 0 else float("nan")
    return {"R2": r2, "RMSE": mse**0.5, "MAE": float(np.mean(np.abs(error))), "MSE": mse}


def class_scores(truth: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Accuracy, its mean over the classes (balanced), and the mean of -log p(true class).

    Args:
        truth: class numbers, int ``[n]``.
        probabilities: ``[n, n_classes]``.
    """
    right = probabilities.argmax(axis=1) == truth
    recalls = [float(right[truth == label].mean()) for label in np.unique(truth)]
    chosen = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    return {
        "accuracy": float(right.mean()),
        "balanced accuracy": float(np.mean(recalls)),
        "log loss": float(-np.log(np.maximum(chosen, np.finfo(np.float64).tiny)).mean()),
    }


def class_weights(truth: np.ndarray, n_classes: int) -> np.ndarray:
    """The frequency of every class, ``[n_classes]``."""
    return np.bincount(truth, minlength=n_classes) / len(truth)


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """How many rows of each true class (row) were given each class (column), int ``[n_classes, n_classes]``."""
    return np.bincount(truth * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)


def score_parts(
    targets: Sequence[str], n_classes: int, parts: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> dict[str, dict[str, dict[str, float]]]:
    """Scores by target and part of the data, and beside them those of a guess that looks at no feature.

    The guess, "baseline", is the mean of the training targets, or the frequencies of the classes there, on the last
    part.

    Args:
        targets: names of the targets.
        n_classes: 0 for regression.
        parts: truth and outcome by name, "training" first: ``[n]`` or ``[n, n_targets]`` and ``[n, n_targets]``, or
            class numbers ``[n]`` and probabilities ``[n, n_classes]``.
    """
    first, (last, _) = parts["training"][0], list(parts.values())[-1]
    if n_classes:
        guess = np.tile(class_weights(first, n_classes), (len(last), 1))
        everything = {**parts, "baseline": (last, guess)}
        return {targets[0]: {name: class_scores(truth, said) for name, (truth, said) in everything.items()}}
    guess = np.tile(first.reshape(len(first), -1).mean(axis=0), (len(last), 1))
    everything = {**parts, "baseline": (last, guess)}
    return {
        target: {
            name: regression_scores(truth.reshape(len(truth), -1)[:, i], said[:, i])
            for name, (truth, said) in everything.items()
        }
        for i, target in enumerate(targets)
    }
