"""Muon for layers whose matrix is an array of three axes."""

from __future__ import annotations

import math

import jax
import optax

__all__ = ["muon"]


def muon(
    learning_rate: optax.ScalarOrSchedule,
    beta: float = 0.95,
    ns_steps: int = 5,
    weight_decay: float = 0.0,
    rms: float = 0.2,
) -> optax.GradientTransformationExtraArgs:
    """U S V' -> ``rms`` sqrt(max(rows, columns)) U V' for the momentum of every matrix; Adam for all other parameters.

    An array ``[..., n_out]`` of two axes or more, such as the coefficients ``[M, n_in, n_out]`` of a layer, is one
    matrix of ``n_out`` columns: the one that multiplies the basis.  U V' comes from ``ns_steps`` Newton-Schulz steps
    (optax).  The scale makes the root mean square of an update that of Adam's, so that Adam's rates serve.

    Args:
        learning_rate: a number, or a schedule.
        beta: of the momentum.
        ns_steps: Newton-Schulz steps.
        weight_decay: of the matrices, times the learning rate.
        rms: root mean square of an update of a matrix of full rank.

    Jordan, "Muon: an optimizer for hidden layers" (2024); the scale: Liu et al., arXiv 2502.16982.
    """
    # learning rate and decay come after the rescaling, which is not to touch them
    direction = optax.contrib.muon(1.0, beta=beta, ns_steps=ns_steps, muon_weight_dimension_numbers=_dimensions)

    def rescaled(updates, state, params=None):
        return jax.tree.map(lambda update: update * _relative_scale(update.shape, rms), updates), state

    return optax.chain(
        direction,
        optax.GradientTransformation(lambda params: optax.EmptyState(), rescaled),
        optax.add_decayed_weights(-weight_decay, _matrices),
        optax.scale_by_learning_rate(learning_rate, flip_sign=False),
    )


def _dimensions(params):
    of = lambda leaf: optax.contrib.MuonDimensionNumbers(tuple(range(leaf.ndim - 1)), -1) if leaf.ndim > 1 else None
    return jax.tree.map(of, params)


def _matrices(params):
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def _relative_scale(shape: tuple[int, ...], rms: float) -> float:
    """From optax's scale, sqrt(max(1, columns / rows)), to ``rms`` sqrt(max(rows, columns))."""
    if len(shape) < 2:
        return 1.0
    rows, columns = math.prod(shape[:-1]), shape[-1]
    return rms * math.sqrt(max(rows, columns) / max(1.0, columns / rows))
