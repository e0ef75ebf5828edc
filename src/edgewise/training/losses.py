"""Losses and scores of a whole batch."""

from __future__ import annotations

import jax.numpy as jnp
import optax
from jax import Array

__all__ = ["LOSSES", "SCORES"]


def mse(predicted: Array, y: Array) -> Array:
    """Mean squared error of ``[n, n_out]`` against ``[n, n_out]``."""
    return jnp.mean((predicted - y) ** 2)


def cross_entropy(logits: Array, labels: Array) -> Array:
    """Mean cross-entropy of logits ``[n, classes]`` against integer labels ``[n]``."""
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels))


def accuracy(logits: Array, labels: Array) -> Array:
    """Share of right classes."""
    return jnp.mean(jnp.argmax(logits, axis=-1) == labels)


LOSSES = {"mse": mse, "cross_entropy": cross_entropy}
SCORES = {"mse": mse, "cross_entropy": accuracy}
"""What a study reports of a model trained on the loss of that name."""
