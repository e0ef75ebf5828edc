"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from edgewise.errors import check_count

__all__ = ["SOAPState", "scale_by_soap", "soap"]

Matrices = tuple[tuple[Array, ...], ...]  # one for every preconditioned axis of every parameter


class SOAPState(NamedTuple):
    """``mean`` of the gradient, ``variance`` of the rotated gradient; ``statistics`` L and ``bases`` Q, ``[d, d]``."""

    count: Array
    mean: Any
    variance: Any
    statistics: Matrices
    bases: Matrices


def soap(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.95,
    b2: float = 0.95,
    shampoo_beta: float | None = None,
    eps: float = 1e-8,
    precondition_frequency: int = 10,
    max_precond_dim: int = 1024,
    weight_decay: float = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """:func:`scale_by_soap`, decoupled weight decay, and a learning rate: a number, or a schedule."""
    return optax.chain(
        scale_by_soap(b1, b2, shampoo_beta, eps, precondition_frequency, max_precond_dim),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


def scale_by_soap(
    b1: float = 0.95,
    b2: float = 0.95,
    shampoo_beta: float | None = None,
    eps: float = 1e-8,
    precondition_frequency: int = 10,
    max_precond_dim: int = 1024,
) -> optax.GradientTransformation:
    """Adam on gradients rotated, axis by axis, to the eigenvectors Q of L = E[G G'] of that axis.

        M = b1 M + (1 - b1) G,   G~ = Q'G,   V = b2 V + (1 - b2) G~^2,   update = Q (Q'M^ / (sqrt(V^) + eps)),
        L = beta L + (1 - beta) G G',   and every few steps  Q = QR(L Q), one step of power iteration,

    with Q'G along every axis of two entries or more, M^ and V^ without their bias towards 0.  A parameter of one axis,
    and an axis longer than ``max_precond_dim``, is not rotated: without any rotation this is Adam.  The first step is
    Adam's; it gives the first Q, from all eigenvectors of L.

    Args:
        b1, b2: of the means.
        shampoo_beta: beta; None is ``b2``.
        eps: of Adam.
        precondition_frequency: steps between new bases.
        max_precond_dim: longest axis that is rotated.  Memory: four matrices ``[d, d]`` for an axis of d.

    Raises:
        EdgewiseError: for a frequency below 1, or a negative ``max_precond_dim``.

    Vyas et al., arXiv 2409.11321, algorithm 3; like its authors' program, a new basis is sorted by eigenvalue.
    """
    check_count("precondition_frequency", precondition_frequency)
    check_count("max_precond_dim", max_precond_dim, 0)
    beta = b2 if shampoo_beta is None else shampoo_beta

    def init(params):
        dims = [[leaf.shape[axis] for axis in _axes(leaf, max_precond_dim)] for leaf in jax.tree.leaves(params)]
        matrices = lambda make: tuple(
            tuple(make(d, dtype=leaf.dtype) for d in row)
            for row, leaf in zip(dims, jax.tree.leaves(params), strict=True)
        )
        square = lambda d, dtype: jnp.zeros((d, d), dtype)
        zeros = jax.tree.map(jnp.zeros_like, params)
        return SOAPState(jnp.int32(0), zeros, zeros, matrices(square), matrices(jnp.eye))

    def update(updates, state, params=None):
        gradients, treedef = jax.tree.flatten(updates)
        count = jnp.asarray(optax.safe_increment(state.count))
        axes = [_axes(gradient, max_precond_dim) for gradient in gradients]
        means = [_mix(m, g, b1) for m, g in zip(jax.tree.leaves(state.mean), gradients, strict=True)]
        rotated = [_rotated(*each) for each in zip(gradients, state.bases, axes, strict=True)]
        variances = [_mix(v, g**2, b2) for v, g in zip(jax.tree.leaves(state.variance), rotated, strict=True)]
        moved = []
        for mean, variance, bases, of in zip(means, variances, state.bases, axes, strict=True):
            adam = _rotated(mean, bases, of) / (1 - b1**count) / (jnp.sqrt(variance / (1 - b2**count)) + eps)
            moved.append(_rotated(adam, tuple(q.T for q in bases), of))
        statistics = tuple(
            tuple(_mix(old, _outer(gradient, axis), beta) for old, axis in zip(each, of, strict=True))
            for gradient, each, of in zip(gradients, state.statistics, axes, strict=True)
        )

        def first():
            bases = tuple(tuple(jnp.linalg.eigh(matrix)[1][:, ::-1] for matrix in each) for each in statistics)
            turned = [_rotated(*each) for each in zip(gradients, bases, axes, strict=True)]
            return bases, [(1 - b2) * gradient**2 for gradient in turned]

        def later():
            pairs = [_followed(*each) for each in zip(statistics, state.bases, variances, axes, strict=True)]
            return tuple(bases for bases, _ in pairs), [variance for _, variance in pairs]

        due = jnp.where(count == 1, 2, jnp.where(count % precondition_frequency == 0, 1, 0))
        bases, variances = jax.lax.switch(due, [lambda: (state.bases, variances), later, first])
        join = lambda leaves: jax.tree.unflatten(treedef, leaves)
        return join(moved), SOAPState(count, join(means), join(variances), statistics, bases)

    return optax.GradientTransformation(init, update)


def _axes(array: Array, longest: int) -> tuple[int, ...]:
    """The axes that are rotated."""
    return tuple(axis for axis, d in enumerate(array.shape) if array.ndim > 1 and 1 < d <= longest)


def _mix(old: Array, new: Array, share: float) -> Array:
    return share * old + (1 - share) * new


def _rotated(array: Array, bases: tuple[Array, ...], axes: tuple[int, ...]) -> Array:
    """Q' along every axis."""
    for basis, axis in zip(bases, axes, strict=True):
        array = jnp.moveaxis(jnp.tensordot(array, basis, axes=((axis,), (0,))), -1, axis)
    return array


def _outer(array: Array, axis: int) -> Array:
    """G G' with G the matrix whose rows are along ``axis``."""
    others = tuple(other for other in range(array.ndim) if other != axis)
    return jnp.tensordot(array, array, axes=(others, others))


def _followed(
    statistics: tuple[Array, ...], bases: tuple[Array, ...], variance: Array, axes: tuple[int, ...]
) -> tuple[tuple[Array, ...], Array]:
    """The bases after one power iteration, largest eigenvalue first, and the variance in the same order."""
    new = []
    for matrix, basis, axis in zip(statistics, bases, axes, strict=True):
        image = matrix @ basis
        order = jnp.argsort(-jnp.sum(basis * image, axis=0))
        new.append(jnp.linalg.qr(image[:, order])[0])
        variance = jnp.take(variance, order, axis=axis)
    return tuple(new), variance
