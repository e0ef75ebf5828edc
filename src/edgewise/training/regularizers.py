"""Regularizers on edges: sparse, few, and smooth.

Each is called with a model and a batch, of which it looks at the inputs: the first array of a tuple, or the array.
Inputs are those that reach a layer; all samples count alike, whatever their weight in the loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from edgewise.bases import Basis, Fourier, Hermite, Rational, Sine
from edgewise.bases.base import Concatenated
from edgewise.bases.polynomial import OrthogonalPolynomials
from edgewise.errors import CheckedKeywords, EdgewiseError
from edgewise.nn import KANLayer
from edgewise.nn.watching import watching

__all__ = ["EdgeEntropy", "EdgeL1", "Smoothness", "edge_norms"]


@dataclass(frozen=True)
class EdgeL1(CheckedKeywords):
    """weight sum_l sum_ij |phi_ij|, where |phi_ij| is the mean of |phi_ij(x_i)| over the batch, for every layer l.

    It holds every edge of one layer at every sample: n n_in n_out numbers, and as many again for the gradient.  Train
    by mini-batches where that is too much.

    Args:
        weight: lambda mu_1 of the paper, at least 0, in units of the loss over those of the activations.

    Raises ``EdgewiseError`` for a negative weight, and when called with a model that is no chain of KAN layers.
    Liu et al., arXiv 2404.19756, equations 2.17, 2.18 and 2.20.
    """

    weight: float

    def __post_init__(self):
        _check_weight(self)

    def __call__(self, model: Any, batch: Any) -> Array:
        """The penalty, a scalar."""
        return self.weight * jnp.sum(jnp.stack([jnp.sum(norms) for norms in edge_norms(model, batch)]))


@dataclass(frozen=True)
class EdgeEntropy(CheckedKeywords):
    """weight sum_l S_l, with S_l = -sum_ij p_ij log p_ij and p_ij = |phi_ij| / sum |phi|: few edges carry a layer.

    S_l is at most log(n_in n_out), reached where all edges are alike, and 0 where one edge carries all or none carries
    anything.  Memory as for :class:`EdgeL1`, with which it shares the edges in a compiled program.

    Args:
        weight: lambda mu_2 of the paper, at least 0, in units of the loss.

    Raises ``EdgewiseError`` as :class:`EdgeL1`.  Liu et al., arXiv 2404.19756, equations 2.19 and 2.20.
    """

    weight: float

    def __post_init__(self):
        _check_weight(self)

    def __call__(self, model: Any, batch: Any) -> Array:
        """The penalty, a scalar."""
        return self.weight * jnp.sum(jnp.stack([_entropy(norms) for norms in edge_norms(model, batch)]))


@dataclass(frozen=True)
class Smoothness(CheckedKeywords):
    """weight times a sum of squares over the coefficients of every edge that grows with the square of its curvature.

    * Modes side by side (B-splines, Bernstein, radial functions, bumps, wavelets, families of your own): second
      differences, sum_m (c_m - 2 c_m-1 + c_m-2)^2, as in P-splines (Eilers and Marx, Statist. Sci. 11 (1996) 89).
    * Modes by frequency: sum_n (n^2 c_n)^2 for the orthogonal polynomials and Fourier series, which is the mean square
      of the second derivative in the angle (up to a constant, and exactly for Chebyshev of the first kind and Fourier);
      sum_n (n c_n)^2 for Hermite functions, whose second derivatives grow as n.

    Coefficients are taken times the edge's scale.  Residual branches and biases are free.  It is a sum of squares, so
    second-order methods take it.

    Args:
        weight: at least 0, in units of the loss over those of the coefficients squared.

    Raises ``EdgewiseError`` for a negative weight, and when called with a model without KAN layers or with a basis
    whose modes have no order (``Sine``, ``Rational``).
    """

    weight: float

    def __post_init__(self):
        _check_weight(self)

    def __call__(self, model: Any, batch: Any = None) -> Array:
        """The penalty, a scalar; the batch plays no part."""
        return jnp.sum(self.residuals(model, batch) ** 2)

    def residuals(self, model: Any, batch: Any = None) -> Array:
        """``[m]`` whose squares sum to the penalty."""
        layers = [node for _, node in nnx.iter_graph(model) if isinstance(node, KANLayer)]
        if not layers:
            raise _no_layers(self, model)
        rows = [jnp.ravel(row) for layer in layers for row in _roughness(layer)]
        return float(self.weight) ** 0.5 * jnp.concatenate(rows)


def edge_norms(model: Any, batch: Any) -> list[Array]:
    """Mean of |phi_ij(x_i)| over the batch for every call of a layer: ``[n_in, n_out]`` each.

    Raises ``EdgewiseError`` for a model that calls no KAN layers.
    """
    x = batch[0] if isinstance(batch, (tuple, list)) else batch
    norms = []

    def look(layer, x):
        edges = layer.edges(x)
        samples = tuple(range(edges.ndim - 2))
        # the derivative of jnp.abs at 0 is 1, which would move an edge away from 0
        norms.append(jnp.mean(edges * jnp.sign(edges), axis=samples))

    if callable(model):
        with watching(look):
            model(x)
    if not norms:
        raise _no_layers("a penalty on edges", model)
    return norms


def _entropy(norms: Array) -> Array:
    """-sum p log p of the shares of all norms; it and its gradient are 0 for a norm of 0."""
    limits = jnp.finfo(norms.dtype)
    # the gradient divides by the square of the sum: a layer that carries next to nothing must not overflow it
    share = norms / jnp.maximum(jnp.sum(norms), float(limits.eps) ** 2)
    present = share > limits.tiny
    return -jnp.sum(jnp.where(present, share * jnp.log(jnp.where(present, share, 1)), 0))


def _roughness(layer: KANLayer) -> list[Array]:
    """Arrays ``[., n_in, n_out]`` whose squares sum to the roughness of a layer's edges."""
    coef = layer.coef[...]
    scaled = coef if layer.edge_scale is None else coef * layer.edge_scale[...]
    return _rows(layer.basis, scaled, layer.first_mode)


def _rows(basis: Basis, coef: Array, first: int) -> list[Array]:
    """The same for coefficients of the modes from ``first`` on."""
    if isinstance(basis, Concatenated):
        kept = basis.left.size - first
        return _rows(basis.left, coef[:kept], first) + _rows(basis.right, coef[kept:], 0)
    if isinstance(basis, (Sine, Rational)):
        raise EdgewiseError(
            f"Smoothness has no meaning for {basis}.",
            "the modes of this family have no order in which neighbours could be compared.",
            "use EdgeL1, or another basis.",
        )
    if isinstance(basis, OrthogonalPolynomials):
        return [_times(np.arange(first, basis.size) ** 2, coef)]
    if isinstance(basis, Fourier):
        return [_times(np.tile(np.arange(1, basis.order + 1), 2) ** 2, coef)]
    if isinstance(basis, Hermite):
        return [_times(np.arange(basis.size), coef)]
    return [jnp.diff(coef, n=2, axis=0)] if len(coef) > 2 else [coef[:0]]


def _times(factors: np.ndarray, coef: Array) -> Array:
    return coef * jnp.asarray(factors, coef.dtype)[:, None, None]


def _check_weight(regularizer: Any) -> None:
    weight = regularizer.weight
    if isinstance(weight, bool) or not isinstance(weight, Real) or not 0 <= float(weight) < float("inf"):
        raise EdgewiseError(
            f"{type(regularizer).__name__}: weight must be a finite number of at least 0, got {weight!r}.",
            do=f"pass say {type(regularizer).__name__}(1e-3).",
        )


def _no_layers(what: Any, model: Any) -> EdgewiseError:
    return EdgewiseError(
        f"{what} has no edges to look at in {type(model).__name__}.",
        "it works on models that are made of KANLayers.",
        "use a KAN, a KANLayer, or a regularizer of your own: a function (model, batch) -> scalar.",
    )
