"""Optimizers by name."""

from __future__ import annotations

import optax

from edgewise.errors import EdgewiseError, check_choice, check_positive

__all__ = ["OPTIMIZERS", "parse_optimizer"]

OPTIMIZERS = {
    "adam": optax.adam,
    "adamw": optax.adamw,
    "nadam": optax.nadam,
    "lion": optax.lion,
    "rmsprop": optax.rmsprop,
    "sgd": optax.sgd,
}
"""First-order optimizers of optax by name."""


def parse_optimizer(optimizer: str | optax.GradientTransformation) -> optax.GradientTransformation:
    """The optax transformation itself, or the one that "name:learning_rate" spells, say "adam:1e-3" (the default rate).

    Raises ``UnknownNameError`` for an unknown name, ``EdgewiseError`` for a learning rate that is not above 0.
    """
    if not isinstance(optimizer, str):
        return optimizer
    name, _, rate = optimizer.partition(":")
    check_choice("optimizer", name, OPTIMIZERS)
    try:
        learning_rate = float(rate or 1e-3)
    except ValueError:
        raise EdgewiseError(
            f"optimizer {optimizer!r}: {rate!r} is not a learning rate.", do=f'write say "{name}:1e-3".'
        ) from None
    check_positive(f"optimizer {optimizer!r}: learning rate", learning_rate)
    return OPTIMIZERS[name](learning_rate)
