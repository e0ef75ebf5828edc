"""Regression."""

from __future__ import annotations

from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from edgewise.errors import EdgewiseError
from edgewise.estimators.base import KANEstimator
from edgewise.estimators.scaling import Scaling
from edgewise.training.losses import BinaryCrossEntropy, CrossEntropy, Poisson, Quantile, resolve_loss

__all__ = ["KANRegressor"]

_KEPT = 2000  # rows kept for ``formula_``


class KANRegressor(MultiOutputMixin, RegressorMixin, KANEstimator):
    """A Kolmogorov-Arnold network for one or several real targets, as an estimator of scikit-learn.

    Args:
        hidden_widths: widths of the hidden layers; ``()`` is an additive model.
        basis: the functions on the edges: as :func:`edgewise.bases.parse` spells them, a ``Basis``, or one for each
            layer.
        init: an initialization scheme, its name, or None for that of the family's paper.
        residual: the activation beside the basis, its name, or None.
        loss: "mse", "mae", "huber:delta", "quantile:q", "poisson", a loss, or a function
            ``(model, (x, y, weight)) -> scalar``.  The target is in units of its standard deviation, except for
            "poisson", which predicts the rate of counts.  "quantile:0.1,0.9" predicts as many columns as it has q.
        optimizer: spelled as for ``edgewise.fit``: "adam:1e-2,cosine", "lbfgs", "levenberg_marquardt".
        max_steps: updates of the parameters.
        schedule: instead of ``max_steps``, phases with refinements between: ``[100, "refine:8", 200]``, see
            :mod:`edgewise.refine`.
        batch_size: rows a step; None is all of them, "auto" all up to 4096 and otherwise 1024.
        alpha: weight of the sum of squares of coefficients and residual kernels beside the sum of the losses of all
            samples, as in scikit-learn's perceptrons.
        regularizers: further penalties (``edgewise.training.regularizers``).
        validation_fraction: share of the samples held back to end training early; 0 trains on all.
        patience: looks in a row without improvement that end training early; there are a hundred in ``max_steps``.
        standardize: whether inputs and targets are centred and scaled inside.  Two standard deviations of an input
            then reach the ends of the basis' interval.  A column that does not vary counts for nothing.
        callbacks: see ``edgewise.fit``.
        random_state: seed, ``RandomState`` or None, of the initial network, the batches and the validation samples.
        verbose: whether progress is shown.

    Attributes:
        model_: the network, ``edgewise.KAN``, from standardized inputs to standardized targets.
        history_, loss_curve_: what was recorded; the training loss, ``[T]``.
        n_iter_, stop_reason_: updates done, and why they ended.
        input_scaling_, target_scaling_: mean and standard deviation of the columns.
        loss_: the loss, resolved; None after :meth:`load` of an estimator whose loss is a function.
        n_features_in_, feature_names_in_: as everywhere in scikit-learn.
        n_outputs_: columns of the target.
        formula_: formulas of the target, found when they are first asked for.
    """

    target_scaling_: Scaling

    def __init__(
        self,
        hidden_widths: Any = (32,),
        basis: Any = "rbf:5",
        *,
        init: Any = None,
        residual: Any = "silu",
        loss: Any = "mse",
        optimizer: Any = "adam:1e-2,cosine",
        max_steps: Any = 300,
        schedule: Any = (),
        batch_size: Any = "auto",
        alpha: Any = 8.0,
        regularizers: Any = (),
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

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        checkpoint: Path | str | Any = None,
        resume: bool = False,
    ) -> KANRegressor:
        """Train on ``X`` ``[n, n_features]`` and ``y`` ``[n]`` or ``[n, n_outputs]``.

        Args:
            sample_weight: ``[n]``, at least 0: how often each sample counts.
            checkpoint: file (or ``Checkpoint``) to keep the run in.
            resume: go on from the checkpoint where there is one; ``random_state`` must be an integer.

        Raises:
            ValueError: for data that are missing, not finite, or of wrong shapes.
            EdgewiseError: for a parameter that cannot be used; it is a ``ValueError``.
        """
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], multi_output=True, y_numeric=True)
        weight = self._checked_weight(X, sample_weight)
        X, y, weight = (values[weight > 0] for values in (X, y, weight))
        loss = self._loss()
        columns = np.asarray(y, np.float64).reshape(len(y), -1)
        n_outputs = columns.shape[1]
        scaling = Scaling.none(n_outputs)
        if self._standardizes() and not isinstance(loss, Poisson):
            scaling = Scaling.of(columns, weight, name="y")
        several = len(loss.q) if isinstance(loss, Quantile) and isinstance(loss.q, tuple) else 1
        n_out = several if several > 1 and n_outputs == 1 else n_outputs
        self._train(X, scaling(columns), weight, n_out, checkpoint=checkpoint, resume=resume)
        self.n_outputs_, self._flat, self.target_scaling_ = n_outputs, y.ndim == 1, scaling
        self.__dict__.pop("formula_", None)
        self._data = _thinned(X, columns)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """``[n, n_features]`` to ``[n]`` or ``[n, n_outputs]``, as ``y`` was; ``[n, k]`` for k quantiles."""
        outputs = self._outputs(X)
        predicted = self.target_scaling_.inverse(outputs)
        if isinstance(self.loss_, Poisson):
            predicted = np.exp(predicted)
        return predicted[:, 0] if self._flat and predicted.shape[1] == 1 else predicted

    @cached_property
    def formula_(self) -> Any:
        """Candidate formulas of the target, in units of the data: :class:`edgewise.interpret.Formula`.

        What :func:`edgewise.interpret.discover` finds on the training data (2000 rows of them, all of one weight) when
        this is first asked for, in about a minute an output: small networks of its own are fitted, pruned, refined and
        read.  ``model_`` has no part in it and stays as it is; ``edgewise.interpret.formula(estimator, (X, y))`` reads
        that one.  The rows are kept until then.

        Raises ``NotFittedError`` before ``fit``, ``EdgewiseError`` for a loss whose outputs are not the target's mean,
        for data of which no formula can be found (fewer than 20 rows, a constant target), and for an estimator that
        was read from a file, which holds no data.
        """
        check_is_fitted(self)
        from edgewise.interpret import discover
        from edgewise.interpret.formulas import joined

        if isinstance(self.loss_, Poisson | Quantile):
            raise EdgewiseError(
                f"loss={self.loss!r} has no formula of the target.",
                "its outputs are quantiles, or logarithms of rates.",
                "call edgewise.interpret.formula(estimator.model_, X) for the network's own outputs.",
            )
        if not hasattr(self, "_data"):
            raise EdgewiseError(
                "this estimator was read from a file, without the data that it was trained on.",
                do="call edgewise.interpret.discover(X, y), or formula(estimator, (X, y)) for its own network.",
            )
        X, y = self._data
        names, seed = getattr(self, "feature_names_in_", None), self.random_state
        outputs = ["y"] if y.shape[1] == 1 else [f"y{place + 1}" for place in range(y.shape[1])]
        options: dict[str, Any] = {"features": None if names is None else list(map(str, names))}
        options["seed"] = int(seed) % 2**31 if isinstance(seed, Integral) else 0
        found = [discover(X, column, target=name, **options) for name, column in zip(outputs, y.T, strict=True)]
        del self._data
        return joined([each.formula for each in found])

    def __dir__(self) -> list[str]:
        # scikit-learn's own, and its picture of an estimator, ask for every attribute: that must not start the search
        there = lambda name: name in vars(self) if name == "formula_" else hasattr(self, name)
        return [name for name in object.__dir__(self) if there(name)]

    def _loss(self) -> Any:
        loss = resolve_loss(self.loss)
        if isinstance(loss, (CrossEntropy, BinaryCrossEntropy)):
            raise EdgewiseError(
                f"loss={self.loss!r} is for classes.",
                "KANRegressor predicts numbers.",
                "use KANClassifier, or loss='mse'.",
            )
        return loss


def _thinned(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows that formulas are judged on: at most so many, evenly spread."""
    rows = np.unique(np.linspace(0, len(X) - 1, min(len(X), _KEPT)).round().astype(int))
    return np.asarray(X, np.float64)[rows], y[rows]
