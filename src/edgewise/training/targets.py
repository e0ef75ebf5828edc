"""Targets and weights of samples: their shapes, and what can be said of their values before training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from edgewise.errors import DataError, EdgewiseError, ShapeError

__all__ = [
    "as_weights",
    "beside",
    "check_alike",
    "check_binary",
    "check_class_weight",
    "check_label_range",
    "check_labels",
    "check_not_negative",
    "check_weights",
    "count_outputs",
    "first",
    "numbers",
    "squeezed",
    "total",
    "weighted_mean",
]


def squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Without a last axis of one, unless it is the only axis."""
    return shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape


def count_outputs(predicted: tuple[int, ...]) -> int:
    """How many numbers predictions of this shape hold for a sample."""
    return predicted[1] if len(predicted) > 1 else 1


def check_alike(predicted: tuple[int, ...], y: tuple[int, ...]) -> None:
    """Raise unless targets belong to predictions one to one; broadcasting ``[n]`` against ``[n, 1]`` would not."""
    if squeezed(predicted) == squeezed(y):
        return
    if predicted[:1] != y[:1]:
        raise ShapeError(
            f"{y[0] if y else 'no'} targets for {predicted[0] if predicted else 'no'} predictions.",
            "there is one row of y for each row of x.",
        )
    raise ShapeError(
        f"targets of shape {y} for predictions of shape {predicted}.",
        "both need the same outputs: they are compared one by one, never broadcast.",
        f"give the model {count_outputs(y)} output(s), or y the shape {predicted}.",
    )


def as_weights(weight: Any, samples: int) -> Array | None:
    """Sample weights as floats ``[samples]``, or None.  Raises ``ShapeError`` for another shape."""
    if weight is None:
        return None
    weight = jnp.asarray(weight)
    if weight.shape != (samples,):
        raise _wrong_weights(weight.shape, samples)
    return weight if jnp.issubdtype(weight.dtype, jnp.floating) else weight.astype(float)


def _wrong_weights(shape: tuple[int, ...], samples: int) -> ShapeError:
    return ShapeError(
        f"sample weights must have the shape ({samples},), one for each sample, got {shape}.",
        do="pass weight.reshape(-1)." if shape == (samples, 1) else "pass one weight >= 0 for each row of x.",
    )


def numbers(what: str, values: Any) -> np.ndarray:
    """``values`` as a NumPy array of finite real numbers."""
    values = np.asarray(values)
    real = jnp.issubdtype(values.dtype, jnp.floating)  # NumPy alone does not know bfloat16
    if not real and values.dtype.kind not in "biu":
        raise DataError(
            f"{what} must be real numbers, got {values.dtype}.",
            do="encode classes as integers: classes, y = np.unique(y, return_inverse=True)."
            if values.dtype.kind in "OSUT"
            else "convert them, say by .astype(np.float32).",
        )
    if real and not (finite := np.isfinite(values)).all():
        raise DataError(
            f"{what} have a value that is not finite: {first(values, ~finite)}.",
            do="drop those samples, or fill them in.",
        )
    return values


def check_not_negative(y: np.ndarray) -> None:
    """Raise unless ``y`` can be counts."""
    if (y < 0).any():
        raise DataError(
            f"target {first(y, y < 0)} is negative.",
            "the Poisson loss is for counts and other amounts >= 0.",
            'check y, or use loss="mse".',
        )


def check_binary(y: np.ndarray) -> None:
    """Raise unless every one of ``y`` is 0 or 1."""
    strange = (y != 0) & (y != 1)
    if strange.any():
        raise DataError(
            f"target {first(y, strange)} is neither 0 nor 1.",
            "binary cross-entropy takes yes (1) or no (0).",
            'pass (y == positive_class), or use loss="cross_entropy" for more than two classes.',
        )


def check_labels(predicted: tuple[int, ...], y: Any, class_weight: Sequence[float] | None) -> None:
    """Raise unless ``y`` is one integer for each row of the logits ``predicted``, and there is a weight a class."""
    if len(predicted) != 2 or predicted[1] < 2:
        raise ShapeError(
            f"cross-entropy needs predictions (n, classes) of 2 classes or more, got {predicted}.",
            do='give the model one output for each class, or use loss="binary_cross_entropy".',
        )
    if squeezed(y.shape) != predicted[:1]:
        one_hot = y.shape == predicted
        raise ShapeError(
            f"labels must have the shape {predicted[:1]}, one for each sample, got {y.shape}.",
            "cross-entropy takes the number of the class" + (", not its one-hot code." if one_hot else "."),
            "pass y.argmax(axis=1)." if one_hot else "",
        )
    if not jnp.issubdtype(y.dtype, jnp.integer):
        raise DataError(
            f"labels must be integers, got {y.dtype}.",
            "cross-entropy takes the number of the class.",
            'pass y.astype(int), or use loss="mse" for a regression.',
        )
    if class_weight is not None and len(class_weight) != predicted[1]:
        raise ShapeError(f"{len(class_weight)} class weights for {predicted[1]} classes.", do="pass one each.")


def check_label_range(classes: int, y: np.ndarray) -> None:
    """Raise unless every label is in 0..classes-1."""
    outside = (y < 0) | (y >= classes)
    if outside.any():
        raise DataError(
            f"label {first(y, outside)} is out of range for {classes} classes.",
            f"the model has {classes} outputs, so labels are 0..{classes - 1}.",
            f"give the model {max(int(y.max()) + 1, 2)} outputs, "
            "or renumber the labels: classes, y = np.unique(y, return_inverse=True).",
        )


def check_weights(weight: np.ndarray, samples: int) -> None:
    """Raise unless finite weights are ``[samples]``, none negative and not all 0."""
    if weight.shape != (samples,):
        raise _wrong_weights(weight.shape, samples)
    if (weight < 0).any():
        raise DataError(f"sample weight {first(weight, weight < 0)} is negative.", do="pass weights >= 0.")
    if not weight.any():
        raise DataError("all sample weights are 0.", "nothing would be trained.", "give some samples a weight above 0.")


def first(values: np.ndarray, where: np.ndarray) -> str:
    """The first of ``values`` where ``where`` holds, and its sample."""
    index = np.unravel_index(int(np.argmax(where)), values.shape)
    return f"{values[index]} (sample {index[0] if index else 0})"


def check_class_weight(weights: Any) -> tuple[float, ...] | None:
    """Weights of classes as a tuple.  Raises ``EdgewiseError`` unless they are finite, >= 0 and not all 0."""
    if weights is None:
        return None
    values = tuple(float(weight) for weight in weights)
    if not all(0 <= weight < float("inf") for weight in values) or not any(values):
        raise EdgewiseError(
            f"class weights must be finite, at least 0, and not all 0, got {values}.", do="pass one weight a class."
        )
    return values


def weighted_mean(terms: Array, weights: Array | None) -> Array:
    """The mean of ``terms`` ``[n, ...]`` under weights ``[n]`` or of their shape, a scalar; 0 where all weights are."""
    if weights is None:
        return jnp.mean(terms)
    return jnp.sum(beside(weights, terms) * terms) / total(terms, weights)


def beside(weights: Array, terms: Array) -> Array:
    """Weights of samples, to multiply the terms of all their outputs."""
    return weights.reshape(weights.shape + (1,) * (terms.ndim - weights.ndim))


def total(terms: Array, weights: Array) -> Array:
    """What divides a weighted sum of terms; 1 for nothing but zeros, whose sum is 0."""
    weight = jnp.sum(weights) * (terms.size // weights.size)
    return jnp.where(weight > 0, weight, 1)
