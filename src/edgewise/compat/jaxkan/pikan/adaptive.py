"""Weights of points and of terms that follow the training, and points drawn where residuals are large.

``eps`` is relative to the largest residual: residuals of 1e-12 are weighted as those of 1 are.  ``ShapeError`` is
raised where arrays would be broadcast against each other by mistake.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from edgewise.errors import EdgewiseError, ShapeError, check_count
from edgewise.physics.weighting.rba import relative_sizes

__all__ = [
    "DEFAULT_EPS",
    "apply_rba_weights",
    "get_causal_weights",
    "get_colloc_indices",
    "get_rad_indices",
    "get_rad_probabilities",
    "lr_anneal",
    "update_rba_weights",
]

DEFAULT_EPS = 1e-12

_SMALLEST = 1e-5  # added to the share of a term's gradient, so that its weight stays below 1e5


def get_colloc_indices(collocs_pool: Any, batch_size: int, px: Any, seed: Any) -> Array:
    """``batch_size`` different rows of the pool, drawn with weights ``px`` and sorted by their first coordinate.

    Args:
        collocs_pool: ``[N, d]``.
        batch_size: at most N.
        px: probabilities ``[N]``.
        seed: of the draw, which is jaxKAN's.

    Raises ``ShapeError`` for another shape, ``EdgewiseError`` for more points than there are.
    """
    pool, px = jnp.asarray(collocs_pool), jnp.asarray(px)
    if pool.ndim != 2 or px.shape != pool.shape[:1]:
        raise ShapeError(f"collocs_pool has shape {pool.shape} and px {px.shape}, expected (N, d) and (N,).")
    if check_count("batch_size", batch_size) > len(pool):
        raise EdgewiseError(f"batch_size={batch_size} is more than the {len(pool)} points of the pool.")
    drawn = jax.random.choice(jax.random.key(seed), len(pool), (batch_size,), replace=False, p=px)
    return drawn[jnp.argsort(pool[drawn, 0])]


@jax.jit
def update_rba_weights(residuals: Any, weights: Any, gamma: Any, eta: Any, eps: Any = DEFAULT_EPS) -> Array:
    """gamma w + eta |r| / max |r|: residual-based attention, of the shape of ``residuals``, say ``[N, 1]``.

    Anagnostopoulos et al., Comput. Methods Appl. Mech. Eng. 421 (2024) 116805.
    """
    sizes = jnp.abs(residuals)
    largest = jnp.max(sizes)
    relative = sizes / jnp.where(largest > 0, largest, 1) / (1 + eps)
    return gamma * _matching(weights, residuals) + eta * relative


@jax.jit
def apply_rba_weights(residuals: Any, weights: Any) -> Array:
    """w r, without a gradient through w."""
    return jax.lax.stop_gradient(_matching(weights, residuals)) * residuals


@jax.jit
def get_causal_weights(losses: Any, causal_matrix: Any, causal_tol: Any) -> Array:
    """exp(-tol M L) ``[chunks]``, without a gradient: L are the losses of chunks of time, and M_ik is 1 for k < i.

    Where M is 0 nothing is added, an infinite loss neither.

    Wang, Sankaran and Perdikaris, Comput. Methods Appl. Mech. Eng. 421 (2024) 116813.
    """
    losses, matrix = jnp.asarray(losses), jnp.asarray(causal_matrix)
    if losses.ndim not in (1, 2) or matrix.ndim != 2 or matrix.shape[1] != losses.shape[0]:
        raise ShapeError(f"causal_matrix has shape {matrix.shape} and losses {losses.shape}: they do not multiply.")
    matrix = matrix.reshape(*matrix.shape, *(1,) * (losses.ndim - 1))
    before = jnp.sum(jnp.where(matrix == 0, 0, matrix * losses), axis=1)
    return jax.lax.stop_gradient(jnp.exp(-causal_tol * before))


@jax.jit
def get_rad_probabilities(weighted_residuals: Any, rad_a: Any, rad_c: Any, eps: Any = DEFAULT_EPS) -> Array:
    """p ~ |r|^a / mean |r|^a + c, ``[N, k]`` to ``[N]``, with sum 1; |r| is the norm over equations.

    The draw is uniform where all residuals are 0 or one is not finite.

    Wu et al., Comput. Methods Appl. Mech. Eng. 403 (2023) 115671.
    """
    residuals = jnp.asarray(weighted_residuals)
    if residuals.ndim != 2:
        raise ShapeError(f"weighted_residuals has shape {residuals.shape}, expected (N, 1).")
    density = relative_sizes(residuals) ** rad_a
    weights = density / (jnp.mean(density) + eps) + rad_c
    return weights / jnp.sum(weights)


@partial(jax.jit, static_argnames="batch_size")
def get_rad_indices(
    collocs_pool: Any,
    residuals: Any,
    old_indices: Any,
    batch_weights: Any,
    pool_weights: Any,
    batch_size: int,
    rad_a: Any,
    rad_c: Any,
    seed: Any,
    eps: Any = DEFAULT_EPS,
) -> tuple[Array, Array, Array]:
    """A batch drawn anew by residual and weight: its rows of the pool, the pool's weights, the probabilities ``[N]``.

    Args:
        collocs_pool: ``[N, d]``.
        residuals: of the whole pool, ``[N, k]``.
        old_indices: rows of the batch until now.
        batch_weights: its weights, which go into those of the pool.
        pool_weights: ``[N, 1]``.
        batch_size: of the new batch; jaxKAN's draw, sorted by the first coordinate.
        rad_a, rad_c, eps: of :func:`get_rad_probabilities`.
        seed: of the draw.

    Raises as :func:`get_colloc_indices` does.
    """
    weights = jnp.asarray(pool_weights).at[old_indices].set(batch_weights)
    px = get_rad_probabilities(_matching(weights, residuals) * residuals, rad_a, rad_c, eps)
    return get_colloc_indices(collocs_pool, batch_size, px, seed), weights, px


def lr_anneal(grads: Any, lambdas: Any, grad_mixing: Any) -> tuple[Array, ...]:
    """mixing lambda + (1 - mixing) / (s + 1e-5) for each term: s is the share of its gradient's norm in their sum.

    Weights stay as they are where all gradients are 0, or one is not finite.

    Args:
        grads: gradients by term, pytrees.
        lambdas: weights of the terms, in the same order.
        grad_mixing: how much of a weight stays.

    Raises ``EdgewiseError`` for no terms, or another number of weights.

    Wang et al., "An expert's guide to training physics-informed neural networks", arXiv 2308.08468.
    """
    grads, lambdas = tuple(grads), tuple(lambdas)
    if not grads or len(grads) != len(lambdas):
        raise EdgewiseError(
            f"{len(grads)} gradients and {len(lambdas)} weights do not match.", do="pass one of each for every term."
        )
    return _annealed(grads, lambdas, grad_mixing)


@jax.jit
def _annealed(grads: Any, lambdas: Any, grad_mixing: Any) -> tuple[Array, ...]:
    largest = jnp.max(jnp.stack([jnp.max(jnp.abs(leaf), initial=0) for leaf in jax.tree.leaves(grads)]))
    known = (largest > 0) & jnp.isfinite(largest)
    scale = jnp.where(known, largest, 1)  # shares stay, and squares of small gradients do not vanish
    norms = jnp.stack([optax.tree.norm(jax.tree.map(lambda leaf: leaf / scale, grad)) for grad in grads])
    targets = 1 / (norms / jnp.where(known, jnp.sum(norms), 1) + _SMALLEST)
    mixed = [grad_mixing * old + (1 - grad_mixing) * new for old, new in zip(lambdas, targets, strict=True)]
    return tuple(jnp.where(known, new, old) for old, new in zip(lambdas, mixed, strict=True))


def _matching(weights: Any, residuals: Any) -> Array:
    """The weights, after a look at their shape: ``[N]`` and ``[N, 1]`` would give ``[N, N]``."""
    weights, shape = jnp.asarray(weights), jnp.shape(residuals)
    ones = (1,) * (len(shape) - 1)
    if weights.shape not in ((), shape, shape[:1] + ones):
        raise ShapeError(f"weights have shape {weights.shape} and residuals {shape}.", do="give both the same shape.")
    return weights
