"""Losses: what training minimizes, as a weighted mean over samples, and the score that is reported beside it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from edgewise.errors import CheckedKeywords, EdgewiseError, ShapeError, check_choice, check_positive
from edgewise.training.targets import (
    as_weights,
    beside,
    check_alike,
    check_binary,
    check_class_weight,
    check_label_range,
    check_labels,
    check_not_negative,
    check_weights,
    count_outputs,
    numbers,
    squeezed,
    total,
    weighted_mean,
)

__all__ = [
    "LOSSES",
    "MAE",
    "MSE",
    "SCORES",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Huber",
    "Loss",
    "Poisson",
    "Quantile",
    "resolve_loss",
]


class Loss(CheckedKeywords, ABC):
    """sum_i w_i l(f(x_i), y_i) / sum_i w_i: a weighted mean over samples of the mean over outputs of l.

    A family is a frozen dataclass with :meth:`terms`; it compares and hashes by value.

    ``loss(predicted, y, weight=None)`` takes predictions ``[n, n_out]`` or ``[n]``, targets of the same shape
    (``[n]`` and ``[n, 1]`` stand for each other) and weights >= 0 ``[n]``.  Weights that are all 0 give 0.
    """

    score_name: ClassVar[str] = "mse"

    @abstractmethod
    def terms(self, predicted: Array, y: Array) -> Array:
        """l, one by one: ``[n, ...]`` of predictions and aligned :meth:`targets`."""

    def __call__(self, predicted: Any, y: Any, weight: Any = None) -> Array:
        """The weighted mean, a scalar.  Raises ``ShapeError`` for targets or weights of the wrong shape."""
        predicted = jnp.asarray(predicted)
        y = self.targets(predicted, y)
        return weighted_mean(self.terms(predicted, y), self.weights(y, weight))

    def score(self, predicted: Any, y: Any, weight: Any = None) -> Array:
        """What is reported beside the loss, called ``score_name``: here the mean squared error."""
        predicted = jnp.asarray(predicted)
        return weighted_mean((predicted - self.targets(predicted, y)) ** 2, as_weights(weight, len(predicted)))

    def total_weight(self, predicted: Any, y: Any, weight: Any = None) -> Array:
        """The denominator, a scalar: the mean over blocks of samples weights the loss of each block by it."""
        predicted = jnp.asarray(predicted)
        weights = self.weights(self.targets(predicted, y), weight)
        return jnp.asarray(float(len(predicted))) if weights is None else jnp.sum(weights) * len(weights) / weights.size

    def targets(self, predicted: Array, y: Any) -> Array:
        """``y`` in the shape of the predictions."""
        y = jnp.asarray(y)
        check_alike(predicted.shape, y.shape)
        return y.reshape(predicted.shape)

    def weights(self, y: Array, weight: Any) -> Array | None:
        """The weights of aligned targets, ``[n]`` or of the shape of :meth:`terms`; None for all alike."""
        return as_weights(weight, len(y))

    def check(self, predicted_shape: tuple[int, ...], y: Any, weight: Any = None) -> None:
        """Look at the data before training, on the host.

        Args:
            predicted_shape: of the predictions for all of ``y``.
            y: targets, an array.
            weight: ``[n]``, or None.

        Raises:
            ShapeError: for targets or weights of the wrong shape.
            DataError: for targets that are not finite numbers or that this loss does not allow; for weights that are
                negative, not finite, or all 0.
        """
        y = numbers("targets y", y)
        self.check_targets(predicted_shape, y)
        if weight is not None:
            check_weights(numbers("sample weights", weight), len(y))

    def check_targets(self, predicted_shape: tuple[int, ...], y: np.ndarray) -> None:
        """The part of :meth:`check` that a family may have more to say to; ``y`` is finite."""
        check_alike(predicted_shape, y.shape)


@dataclass(frozen=True)
class MSE(Loss):
    """(f - y)^2, the mean squared error."""

    def terms(self, predicted, y):
        return (predicted - y) ** 2

    def residuals(self, predicted: Any, y: Any, weight: Any = None) -> Array:
        """``[m]`` whose squares sum to the loss: sqrt(w_i / sum w / n_out) (f - y), all samples and outputs."""
        predicted = jnp.asarray(predicted)
        error = predicted - self.targets(predicted, y)
        weights = self.weights(error, weight)
        if weights is None:
            return jnp.ravel(error) * error.size**-0.5
        return jnp.ravel(error * jnp.sqrt(beside(weights, error) / total(error, weights)))


@dataclass(frozen=True)
class MAE(Loss):
    """|f - y|, the mean absolute error."""

    def terms(self, predicted, y):
        error = predicted - y
        return error * jnp.sign(error)  # the derivative of jnp.abs at 0 is 1: a perfect fit would move


@dataclass(frozen=True)
class Huber(Loss):
    """(f - y)^2 / 2 where |f - y| <= delta, beyond it delta (|f - y| - delta / 2).

    Args:
        delta: where the square goes over into the line, in the units of y.

    Huber, Ann. Math. Statist. 35 (1964) 73.
    """

    delta: float = 1.0

    def __post_init__(self):
        check_positive("Huber: delta", self.delta)

    def terms(self, predicted, y):
        error = jnp.abs(predicted - y)
        inner = jnp.minimum(error, self.delta)
        return inner * inner / 2 + self.delta * (error - inner)


@dataclass(frozen=True)
class Quantile(Loss):
    """max(q (y - f), (q - 1) (y - f)), the pinball loss: its minimum is the q-quantile of y given x.

    Args:
        q: above 0 and below 1; or a tuple, one for each output.  A single target ``[n]`` then serves all of them.

    Koenker and Bassett, Econometrica 46 (1978) 33.
    """

    q: float | Sequence[float] = 0.5

    def __post_init__(self):
        several = isinstance(self.q, (tuple, list))
        values: Any = self.q if several else (self.q,)
        if not values or not all(isinstance(q, Real) and 0 < float(q) < 1 for q in values):
            raise EdgewiseError(
                f"Quantile: q must lie above 0 and below 1, got {self.q!r}.",
                do="pass say 0.9, or (0.1, 0.5, 0.9) for a model of three outputs.",
            )
        object.__setattr__(self, "q", tuple(map(float, values)) if several else float(values[0]))

    def terms(self, predicted, y):
        q = jnp.broadcast_to(jnp.asarray(self.q, predicted.dtype), predicted.shape)
        return jnp.maximum(q * (y - predicted), (q - 1) * (y - predicted))

    def targets(self, predicted, y):
        y = jnp.asarray(y)
        if self._shared(predicted.shape, y.shape):
            return jnp.broadcast_to(y.reshape(-1, 1), predicted.shape)
        return super().targets(predicted, y)

    def check_targets(self, predicted_shape, y):
        if not self._shared(predicted_shape, y.shape):
            super().check_targets(predicted_shape, y)

    def _shared(self, predicted: tuple[int, ...], y: tuple[int, ...]) -> bool:
        """Whether one target serves all quantiles.  Raises ``ShapeError`` for as many outputs as there are not q."""
        if not isinstance(self.q, tuple):
            return False
        if len(predicted) != 2 or predicted[1] != len(self.q):
            raise ShapeError(
                f"{len(self.q)} quantiles for predictions of shape {predicted}.",
                "there is one q for each output.",
                f"give the model {len(self.q)} outputs, or pass {count_outputs(predicted)} values of q.",
            )
        return squeezed(y) == predicted[:1]


@dataclass(frozen=True)
class Poisson(Loss):
    """y log(y / mu) - y + mu with mu = exp(f): half the deviance of counts y >= 0 whose log-rate is f.

    It is 0 where mu = y.  The score is the mean squared error of mu.  Log-rates above 88 overflow float32.
    McCullagh and Nelder, Generalized Linear Models (1989), 2.3.
    """

    def terms(self, predicted, y):
        positive = jnp.where(y > 0, y, 1)
        ratio = predicted - jnp.log(positive)
        # the deviance itself would cancel for large counts: y (exp r - 1 - r) with r = log(mu / y) does not
        return positive * jnp.where(y > 0, jnp.expm1(ratio) - ratio, jnp.exp(ratio))

    def score(self, predicted: Any, y: Any, weight: Any = None) -> Array:
        """The mean squared error of the rate exp(f)."""
        return super().score(jnp.exp(jnp.asarray(predicted)), y, weight)

    def check_targets(self, predicted_shape, y):
        super().check_targets(predicted_shape, y)
        check_not_negative(y)


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """-log softmax(f)_y of logits ``[n, classes]`` against integer labels ``[n]`` in 0..classes-1.

    Args:
        class_weight: a weight >= 0 for each class, which multiplies those of its samples; None for all alike.
        label_smoothing: e in [0, 1): the target is 1 - e on the label plus e / classes everywhere
            (Szegedy et al., arXiv 1512.00567).

    A label out of range, which :meth:`check` refuses, gives NaN.
    """

    score_name: ClassVar[str] = "accuracy"

    class_weight: Sequence[float] | None = None
    label_smoothing: float = 0.0

    def __post_init__(self):
        object.__setattr__(self, "class_weight", check_class_weight(self.class_weight))
        if not isinstance(self.label_smoothing, Real) or not 0 <= self.label_smoothing < 1:
            raise EdgewiseError(
                f"label_smoothing must be at least 0 and below 1, got {self.label_smoothing!r}.", do="pass say 0.1."
            )

    def terms(self, predicted, y):
        logits = predicted - jax.lax.stop_gradient(jnp.max(predicted, axis=-1, keepdims=True))
        classes = predicted.shape[-1]
        # compared with every class: a gather and its gradient, a scatter, take longer to compile and to run
        right = jnp.sum(jnp.where(y[:, None] == jnp.arange(classes)[None], logits, 0), axis=-1)
        right = jnp.where((y >= 0) & (y < classes), right, jnp.nan)
        if self.label_smoothing:
            right = (1 - self.label_smoothing) * right + self.label_smoothing * jnp.mean(logits, axis=-1)
        return jnp.log(jnp.sum(jnp.exp(logits), axis=-1)) - right

    def score(self, predicted: Any, y: Any, weight: Any = None) -> Array:
        """Share of right classes."""
        predicted = jnp.asarray(predicted)
        right = jnp.argmax(predicted, axis=-1) == self.targets(predicted, y)
        return weighted_mean(right.astype(predicted.dtype), as_weights(weight, len(predicted)))

    def targets(self, predicted, y):
        y = jnp.asarray(y)
        check_labels(predicted.shape, y, self.class_weight)
        return y.reshape(-1)

    def weights(self, y, weight):
        weight = as_weights(weight, len(y))
        if self.class_weight is None:
            return weight
        ours = jnp.asarray(self.class_weight)[y]
        return ours if weight is None else ours * weight

    def check_targets(self, predicted_shape, y):
        check_labels(predicted_shape, y, self.class_weight)
        check_label_range(predicted_shape[1], y)


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """-log sigmoid(f) where y is 1 and -log sigmoid(-f) where it is 0, of logits ``[n]``, ``[n, 1]`` or ``[n, k]``.

    With k > 1 every output is a yes or no of its own (several labels a sample).

    Args:
        class_weight: (w_0, w_1), which multiply the weights of targets 0 and 1; None for all alike.
    """

    score_name: ClassVar[str] = "accuracy"

    class_weight: Sequence[float] | None = None

    def __post_init__(self):
        object.__setattr__(self, "class_weight", check_class_weight(self.class_weight))
        if self.class_weight is not None and len(self.class_weight) != 2:
            raise EdgewiseError(
                f"BinaryCrossEntropy: class_weight={self.class_weight!r} is not a pair.",
                do="pass (weight of class 0, weight of class 1).",
            )

    def terms(self, predicted, y):
        # one softplus of the signed logit: the usual max(f, 0) - f y + ... loses the tail beyond 16 in float32
        return jax.nn.softplus(predicted * (1 - 2 * y.astype(predicted.dtype)))

    def score(self, predicted: Any, y: Any, weight: Any = None) -> Array:
        """Share of right answers, yes being f > 0."""
        predicted = jnp.asarray(predicted)
        right = (predicted > 0) == (self.targets(predicted, y) > 0)
        return weighted_mean(right.astype(predicted.dtype), as_weights(weight, len(predicted)))

    def weights(self, y, weight):
        weight = as_weights(weight, len(y))
        if self.class_weight is None:
            return weight
        ours = jnp.asarray(self.class_weight)[(y > 0).astype(jnp.int32)]
        return ours if weight is None else ours * beside(weight, y)

    def check_targets(self, predicted_shape, y):
        super().check_targets(predicted_shape, y)
        check_binary(y)


LOSSES: dict[str, Loss] = {
    "mse": MSE(),
    "mae": MAE(),
    "huber": Huber(),
    "cross_entropy": CrossEntropy(),
    "binary_cross_entropy": BinaryCrossEntropy(),
    "poisson": Poisson(),
    "quantile": Quantile(),
}
"""The losses by name, as they are by default."""

SCORES: dict[str, Callable[..., Array]] = {name: loss.score for name, loss in LOSSES.items()}
"""What is reported of a model trained on the loss of that name."""

# what a number after the name gives, and one for an error to suggest
_SPELLED = {"huber": ("delta", "0.5"), "quantile": ("q", "0.9"), "cross_entropy": ("label_smoothing", "0.1")}


def resolve_loss(loss: Any) -> Loss | Callable[[Any, Any], Any]:
    """The loss that a name spells, or ``loss`` itself where it is a :class:`Loss` or a function ``(model, batch)``.

    Names are those of ``LOSSES``; ``"huber:0.5"`` gives its delta, ``"quantile:0.9"`` its q (``"quantile:0.1,0.9"`` one
    for each output), ``"cross_entropy:0.1"`` its label smoothing.

    Raises ``UnknownNameError`` for an unknown name, ``EdgewiseError`` for a bad parameter, a class instead of its
    instance, or something that cannot be called or hashed.
    """
    if isinstance(loss, str):
        name, colon, text = loss.partition(":")
        check_choice("loss", name, LOSSES)
        return _spelled(loss, name, text) if colon else LOSSES[name]
    if isinstance(loss, type) or not callable(loss):
        name = loss.__name__ if isinstance(loss, type) else "MSE"
        raise EdgewiseError(
            f"loss={loss!r} is not a loss.",
            do=f"pass a name ({', '.join(LOSSES)}), an instance, say {name}(), or a function of (model, batch).",
        )
    try:
        hash(loss)
    except TypeError:
        raise EdgewiseError(
            f"loss={loss!r} cannot be hashed.",
            "compiled programs are kept by their loss.",
            "pass a function, or make its class a dataclass with frozen=True.",
        ) from None
    return loss


def _spelled(loss: str, name: str, text: str) -> Loss:
    if name not in _SPELLED:
        raise EdgewiseError(f"loss {loss!r}: {name} takes no parameter.", do=f'write "{name}".')
    parameter, example = _SPELLED[name]
    try:
        values = [float(value) for value in text.split(",")]
    except ValueError:
        values = []
    if not values or (name != "quantile" and len(values) > 1):
        raise EdgewiseError(f"loss {loss!r}: {text!r} is not a parameter.", do=f'write say "{name}:{example}".')
    return type(LOSSES[name])(**{parameter: tuple(values) if len(values) > 1 else values[0]})
