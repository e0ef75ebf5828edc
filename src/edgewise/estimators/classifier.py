"""Classification."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, validate_data

from edgewise.errors import DataError, EdgewiseError
from edgewise.estimators.base import KANEstimator
from edgewise.training.losses import CrossEntropy, Loss, resolve_loss
from edgewise.training.targets import check_class_weight, check_weights

__all__ = ["KANClassifier"]


class KANClassifier(ClassifierMixin, KANEstimator):
    """A Kolmogorov-Arnold network for two or more classes, as an estimator of scikit-learn.

    Args:
        loss: "cross_entropy:0.05", whose label smoothing keeps the probabilities from 0 and 1, "cross_entropy" without
            any, a ``CrossEntropy``, or a function ``(model, (x, class numbers, weight)) -> scalar``.
        class_weight: None, "balanced", or a weight for each class, which multiplies those of its samples.

    The other parameters and attributes are those of :class:`KANRegressor`; the validation samples represent all
    classes.

    Attributes:
        classes_: the labels, sorted; the order of the columns of :meth:`predict_proba`.
    """

    classes_: np.ndarray

    def __init__(
        self,
        hidden_widths: Any = (100,),
        basis: Any = "chebyshev:2",
        *,
        init: Any = None,
        residual: Any = "identity",
        loss: Any = "cross_entropy:0.05",
        optimizer: Any = "adam:1e-2,cosine",
        max_steps: Any = 400,
        schedule: Any = (),
        batch_size: Any = "auto",
        alpha: Any = 6.0,
        regularizers: Any = (),
        class_weight: Any = None,
        validation_fraction: Any = 0.0,
        patience: Any = 10,
        standardize: Any = True,
        callbacks: Any = (),
        random_state: Any = None,
        verbose: Any = False,
    ):
        super().__init__(
            hidden_widths,
            basis,
            init=init,
            residual=residual,
            loss=loss,
            optimizer=optimizer,
            max_steps=max_steps,
            schedule=schedule,
            batch_size=batch_size,
            alpha=alpha,
            regularizers=regularizers,
            validation_fraction=validation_fraction,
            patience=patience,
            standardize=standardize,
            callbacks=callbacks,
            random_state=random_state,
            verbose=verbose,
        )
        self.class_weight = class_weight

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        checkpoint: Path | str | Any = None,
        resume: bool = False,
    ) -> KANClassifier:
        """Train on ``X`` ``[n, n_features]`` and labels ``y`` ``[n]``, numbers or texts.

        ``sample_weight``, ``checkpoint``, ``resume`` and what is raised are as for :meth:`KANRegressor.fit`; a single
        class raises ``DataError``.
        """
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(y)
        y = column_or_1d(y, warn=True)
        weight = self._checked_weight(X, sample_weight)
        classes, numbers = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise DataError(
                f"y has one class only, {classes.tolist()[0]!r}.",
                "there is nothing to tell apart.",
                "pass samples of two classes or more.",
            )
        by_class = compute_class_weight(self.class_weight, classes=classes, y=y)
        if isinstance(self.class_weight, str):  # "balanced": a class has as much weight as its samples have together
            counts = np.bincount(numbers, weight)
            by_class = counts.sum() / len(counts) / np.where(counts > 0, counts, 1.0)
        check_class_weight(by_class)
        weight = weight * by_class[numbers]
        check_weights(weight, len(X))
        present = weight > 0
        X, numbers, weight = (values[present] for values in (X, numbers.astype(np.int32), weight))
        self._train(
            X,
            numbers,
            weight,
            len(classes),
            checkpoint=checkpoint,
            resume=resume,
            strata=numbers,
        )
        self.classes_ = classes
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, ``[n, n_features]`` to ``[n, n_classes]``; rows sum to 1."""
        logits = self._outputs(X)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable label, ``[n, n_features]`` to ``[n]``."""
        logits = self._outputs(X)
        return self.classes_[logits.argmax(axis=1)]

    def _loss(self) -> Any:
        loss = resolve_loss(self.loss)
        if isinstance(loss, Loss) and not isinstance(loss, CrossEntropy):
            raise EdgewiseError(
                f"loss={self.loss!r} is for numbers.",
                "KANClassifier has an output for each class.",
                "use loss='cross_entropy', or KANRegressor.",
            )
        return loss
