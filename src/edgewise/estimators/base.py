"""What both estimators share: their parameters, and the training of a network on arrays."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from edgewise.bases import Basis, parse
from edgewise.errors import DataError, EdgewiseError, check_count
from edgewise.estimators.files import read_estimator, write_estimator
from edgewise.estimators.penalty import Ridge
from edgewise.estimators.rows import outputs, padded
from edgewise.estimators.scaling import Scaling
from edgewise.models import KAN
from edgewise.training import EarlyStopping, FitResult, fit
from edgewise.training.history import History
from edgewise.training.losses import Loss
from edgewise.training.optim import resolve_optimizer
from edgewise.training.phases import Phases

__all__ = ["KANEstimator"]

_FULL = 4096  # up to so many rows a step takes all of them
_BATCH = 1024


class KANEstimator(BaseEstimator):
    """Parameters as attributes, unchecked; :meth:`_train` checks and uses them."""

    model_: KAN
    history_: History
    n_features_in_: int

    def __init__(
        self,
        hidden_widths: Any,
        basis: Any,
        *,
        init: Any,
        residual: Any,
        loss: Any,
        optimizer: Any,
        max_steps: Any,
        schedule: Any,
        batch_size: Any,
        alpha: Any,
        regularizers: Any,
        validation_fraction: Any,
        patience: Any,
        standardize: Any,
        callbacks: Any,
        random_state: Any,
        verbose: Any,
    ):
        self.hidden_widths = hidden_widths
        self.basis = basis
        self.init = init
        self.residual = residual
        self.loss = loss
        self.optimizer = optimizer
        self.max_steps = max_steps
        self.schedule = schedule
        self.batch_size = batch_size
        self.alpha = alpha
        self.regularizers = regularizers
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.standardize = standardize
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose

    @property
    def loss_curve_(self) -> np.ndarray:
        """Training loss by recorded step, ``[T]``, penalties included, in standardized units of the target."""
        check_is_fitted(self)
        return self.history_.loss

    def save(self, path: Path | str) -> None:
        """Write the fitted estimator to one file, atomically and without pickle; :meth:`load` reads it.

        ``edgewise.training.saved_model.load_model`` reads the network alone from it.  Parameters that are code (a
        transformation of optax, a function as loss, callbacks, a ``RandomState``) are left out with a warning; the
        predictions do not need them.

        Raises ``NotFittedError`` before ``fit``, ``EdgewiseError`` where the file cannot be written.
        """
        check_is_fitted(self)
        write_estimator(self, path)

    @classmethod
    def load(cls, path: Path | str) -> Any:
        """The estimator that :meth:`save` wrote; its predictions are equal bit for bit.

        Raises ``EdgewiseError`` for a file that is missing, damaged, or of something else.
        """
        return read_estimator(cls, path)

    def __getstate__(self) -> dict[str, Any]:
        state = cast("dict[str, Any]", super().__getstate__())
        return state | {"model_": _mapped(np.asarray, self.model_)} if "model_" in state else state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "model_" in state:
            with jax.enable_x64(True):  # outside, an array of JAX is read in single precision
                self.model_ = _mapped(jnp.asarray, self.model_)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    @abstractmethod
    def _loss(self) -> Any:
        """The resolved ``loss``; raises ``EdgewiseError`` for one that this estimator cannot be trained on."""

    def _checked_weight(self, X: np.ndarray, sample_weight: Any) -> np.ndarray:
        """Weights ``[n]``, ones for None; they mean repetition, so that 0 is absence."""
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
        if (weight < 0).any():
            raise DataError("a sample weight is negative.", do="pass weights >= 0.")
        if not weight.any():
            raise DataError("all sample weights are zero.", "nothing would be trained.", "give some a weight above 0.")
        return weight

    def _train(
        self,
        X: np.ndarray,
        targets: np.ndarray,
        weight: np.ndarray,
        n_out: int,
        *,
        checkpoint: Any,
        resume: bool,
        strata: np.ndarray | None = None,
    ) -> None:
        """Fit a network ``[n_features, *hidden_widths, n_out]``.

        Args:
            X: ``[n, n_features]`` as validated.
            targets: ``[n, n_out]``, or class numbers ``[n]``.
            weight: ``[n]``, none of them 0.
            strata: ``[n]``, groups that the validation samples are to represent.
        """
        if resume and not hasattr(self.random_state, "__index__"):
            raise EdgewiseError(
                f"resume=True needs an integer as random_state, got {self.random_state!r}.",
                "a resumed run goes on as if there had been no interruption.",
                "pass say random_state=0, to the run that is resumed too.",
            )
        random, loss = check_random_state(self.random_state), self._loss()
        seed = int(random.randint(2**31 - 1))
        bases = self._bases()
        scaling = Scaling.none(X.shape[1])
        if self._standardizes():
            scaling = Scaling.of(X, weight, reach=_reach(bases[0]))
        inputs = scaling(X)
        widths = [X.shape[1], *self._widths(), n_out]
        basis = bases if len(bases) > 1 else bases[0]
        scheduled = isinstance(self.schedule, Sequence) and len(self.schedule) > 0
        phases = Phases.of(self.schedule, None if scheduled else check_count("max_steps", self.max_steps))
        batch_size = self._batch_size(len(X), phases.steps)
        # small data in float64: a sample of weight two is then the same as two samples, whatever the order of sums
        kind = np.float32 if batch_size else np.float64
        with jax.enable_x64(True):
            options = {"init": self.init, "residual": self.residual, "param_dtype": kind}
            model = KAN(widths, basis, rngs=nnx.Rngs(seed), **options)
        chosen = _held_back(len(X), self._fraction(), strata, np.random.RandomState(seed))
        training, validation = (
            tuple(values[rows] for values in (inputs, targets, weight)) for rows in (~chosen, chosen)
        )
        if batch_size is None and isinstance(loss, Loss) and not self.regularizers:  # they may look at every row
            training = padded(training[:2], training[2])
        with jax.enable_x64(True):
            result = fit(
                model,
                training,
                loss=loss,
                optimizer=self.optimizer,
                schedule=phases.items,
                batch_size=batch_size,
                validation=validation if chosen.any() else None,
                regularizers=self._penalties(1.0 if batch_size is None else batch_size / int(np.sum(~chosen))),
                callbacks=self._callbacks(bool(chosen.any())),
                seed=seed,
                progress=bool(self.verbose),
                checkpoint=checkpoint,
                resume=resume,
            )
        self._keep(result, loss, scaling)

    def _keep(self, result: FitResult, loss: Any, scaling: Scaling) -> None:
        # all of it after training: a fit that fails must not leave an earlier network with the units of other data
        self.input_scaling_ = scaling
        self.model_, self.history_ = result.model, result.history
        self.n_iter_, self.stop_reason_ = result.step, result.reason
        self.loss_ = loss

    def _standardizes(self) -> bool:
        if not isinstance(self.standardize, bool | np.bool_):
            raise EdgewiseError(f"standardize must be True or False, got {self.standardize!r}.", do="pass True.")
        return bool(self.standardize)

    def _bases(self) -> list[Basis]:
        """One basis for all layers, or one for each."""
        given = list(self.basis) if isinstance(self.basis, tuple | list) else [self.basis]
        bases = [parse(basis) if isinstance(basis, str) else basis for basis in given]
        if not bases or not all(isinstance(basis, Basis) for basis in bases):
            raise EdgewiseError(
                f"basis={self.basis!r} is no basis.",
                do="pass say basis='chebyshev:5', edgewise.Chebyshev(5), or a list of one for each layer.",
            )
        return bases

    def _widths(self) -> list[int]:
        if isinstance(self.hidden_widths, str) or not isinstance(self.hidden_widths, Sequence | np.ndarray):
            raise EdgewiseError(
                f"hidden_widths={self.hidden_widths!r} is no sequence of widths.",
                do="pass say hidden_widths=(8,), or () for no hidden layer.",
            )
        return [check_count(f"hidden_widths[{i}]", width) for i, width in enumerate(self.hidden_widths)]

    def _penalties(self, share: float) -> tuple[Any, ...]:
        """What is added to the loss of a batch with that share of the samples."""
        if not _is_number(self.alpha) or not 0 <= self.alpha < np.inf:
            raise EdgewiseError(f"alpha must be a number of at least 0, got {self.alpha!r}.", do="pass say alpha=1.0.")
        further = self.regularizers if isinstance(self.regularizers, tuple | list) else (self.regularizers,)
        return (*((Ridge(float(self.alpha), share),) if self.alpha else ()), *further)

    def _callbacks(self, validates: bool) -> tuple[Any, ...]:
        stopping = EarlyStopping(self.patience)  # made in any case: it checks the patience
        if not isinstance(self.callbacks, tuple | list):
            raise EdgewiseError(
                f"callbacks={self.callbacks!r} is no sequence of callbacks.", do="pass a list of them, or () for none."
            )
        return (*self.callbacks, *((stopping,) if validates else ()))

    def _fraction(self) -> float:
        fraction = 0.0 if self.validation_fraction is None else self.validation_fraction
        if not _is_number(fraction) or not 0 <= fraction < 1:
            raise EdgewiseError(
                f"validation_fraction must be at least 0 and below 1, got {self.validation_fraction!r}.",
                do="pass say validation_fraction=0.1, or 0.0 for none.",
            )
        return float(fraction)

    def _batch_size(self, rows: int, steps: int) -> int | None:
        if not isinstance(self.batch_size, str) or self.batch_size != "auto":
            return self.batch_size if self.batch_size is None else check_count("batch_size", self.batch_size)
        whole = rows <= _FULL or resolve_optimizer(self.optimizer, steps).full_batch
        return None if whole else _BATCH

    def _outputs(self, X: Any) -> np.ndarray:
        """The network's outputs, float64 ``[n, n_out]``."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return outputs(self.model_, self.input_scaling_(X))


def _mapped(function: Callable[[Any], Any], model: KAN) -> KAN:
    """A copy of the network with the function applied to its arrays."""
    graphdef, state = nnx.split(model)
    return nnx.merge(graphdef, jax.tree.map(function, state))


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _reach(basis: Basis) -> float:
    """Standard deviation of inputs: twice as much is the end of the interval where the basis expects them."""
    low, high = basis.interval
    return (high - low) / 4


def _held_back(rows: int, fraction: float, strata: np.ndarray | None, random: np.random.RandomState) -> np.ndarray:
    """Which rows are kept for validation, bool ``[n]``."""
    held = max(1, round(fraction * rows)) if fraction else 0
    if held >= rows:
        raise DataError(
            f"validation_fraction={fraction} of {rows} samples leaves none to train on.",
            do="pass a smaller one, or validation_fraction=0.0.",
        )
    order = random.permutation(rows)
    if strata is not None:
        order = order[np.argsort(_places(strata[order]), kind="stable")]
    chosen = np.zeros(rows, bool)
    chosen[order[:held]] = True
    return chosen


def _places(strata: np.ndarray) -> np.ndarray:
    """Where each row stands among those of its class, as a share: the smallest shares represent all classes."""
    places = np.empty(len(strata))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        # the first of a class comes after half its share, so that a class of one is trained on
        places[members] = (np.arange(len(members)) + 0.5) / len(members)
    return places
