"""The default estimators against the default perceptrons of scikit-learn, on the five tables that it ships."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.measure import markdown, median
from edgewise.estimators import KANClassifier, KANRegressor

__all__ = ["TABLES", "cross_validated", "main", "ours", "perceptron"]

_FOLDS = 2026  # seed of the folds; the defaults were chosen on others

TABLES: dict[str, Callable[..., Any]] = {
    "diabetes": datasets.load_diabetes,
    "breast cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
    "wine": datasets.load_wine,
    "iris": datasets.load_iris,
}


def is_regression(name: str) -> bool:
    """Whether the table has a number to predict."""
    return name == "diabetes"


def ours(name: str, **options: Any) -> Any:
    """Our estimator for a table."""
    kind = KANRegressor if is_regression(name) else KANClassifier
    return kind(**{"random_state": 0} | options)


def perceptron(name: str) -> Any:
    """scikit-learn's, with its defaults, behind a scaler."""
    kind = MLPRegressor if is_regression(name) else MLPClassifier
    return make_pipeline(StandardScaler(), kind(random_state=0))


def cross_validated(
    make: Callable[[], Any], name: str, *, repeats: int, folds: int | None = None
) -> tuple[np.ndarray, list[float]]:
    """The score (R2 or accuracy) and the seconds of ``fit``, by fold; the first ``folds`` of them, or all."""
    X, y = TABLES[name](return_X_y=True)
    kind = RepeatedKFold if is_regression(name) else RepeatedStratifiedKFold
    splits = list(kind(n_splits=5, n_repeats=repeats, random_state=_FOLDS).split(X, y))[:folds]
    scores, seconds = [], []
    for training, test in splits:
        estimator = make()
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the default perceptron stops before it has converged
            estimator.fit(X[training], y[training])
        seconds.append(time.perf_counter() - start)
        scores.append(estimator.score(X[test], y[test]))
    return np.array(scores), seconds


def _figures(scores: np.ndarray) -> str:
    return f"{scores.mean():.4f} ± {scores.std():.3f}"


def main(quick: bool) -> str:
    """5-fold cross-validation, repeated with other folds; the same folds for both."""
    repeats, folds = (1, 1) if quick else (10, None)
    rows = []
    for name in ("diabetes", "iris") if quick else TABLES:
        mine, mine_seconds = cross_validated(lambda name=name: ours(name), name, repeats=repeats, folds=folds)
        theirs, their_seconds = cross_validated(lambda name=name: perceptron(name), name, repeats=repeats, folds=folds)
        seconds = [f"{median(mine_seconds):.2f}", f"{mine_seconds[0]:.2f}", f"{median(their_seconds):.2f}"]
        score = "R2" if is_regression(name) else "accuracy"
        rows.append([name, score, _figures(mine), _figures(theirs), f"{np.mean(mine - theirs):+.4f}", *seconds])
    header = ["data", "score", "edgewise", "scikit-learn", "difference", "fit s", "first fit s", "fit s, scikit-learn"]
    return markdown(header, rows)


if __name__ == "__main__":
    print(main("--quick" in sys.argv))
