"""How much edges, nodes and inputs matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from edgewise.errors import check_choice, check_count
from edgewise.interpret.evaluation import interval_of
from edgewise.interpret.observing import (
    Activity,
    arities_of,
    checked_kan,
    data_of,
    feature_names,
    in_its_precision,
    observed,
    present,
)
from edgewise.models import KAN
from edgewise.nn.products import multiply

__all__ = ["KINDS", "Scores", "scores"]

KINDS = ("attribution", "std", "l1", "sensitivity")
"""Kinds of scores."""

_ROUNDINGS = 8  # so many of the dtype, at most, make a constant vary


@dataclass(frozen=True)
class Scores:
    """Scores, each with the interval that 95 % of the bootstrap samples fall into.

    Attributes:
        kind: one of ``KINDS``.
        features: names of the columns of x.
        edges: ``[n_in, n_out]`` a layer; 0 where an edge was pruned.
        nodes: ``[n]`` a level, that of the input nodes first, that of the outputs last.
        inputs: ``[n_features]``; 0 for those that the network does not look at.
        edge_intervals: ``[2, n_in, n_out]`` a layer, low and high.
        node_intervals: ``[2, n]`` a level.
        input_intervals: ``[2, n_features]``.
    """

    kind: str
    features: tuple[str, ...]
    edges: tuple[np.ndarray, ...]
    nodes: tuple[np.ndarray, ...]
    inputs: np.ndarray
    edge_intervals: tuple[np.ndarray, ...]
    node_intervals: tuple[np.ndarray, ...]
    input_intervals: np.ndarray

    def __str__(self) -> str:
        order = np.argsort(-self.inputs, kind="stable")
        width = max(map(len, self.features))
        low, high = self.input_intervals
        rows = [f"{self.features[i]:<{width}}  {self.inputs[i]:.3g}  ({low[i]:.3g} to {high[i]:.3g})" for i in order]
        return "\n".join([f"{self.kind} of the inputs", *rows])


@in_its_precision
def scores(
    model: Any,
    data: Any,
    kind: str = "attribution",
    *,
    features: Sequence[str] | None = None,
    resamples: int = 200,
    seed: int = 0,
) -> Scores:
    """Scores of all edges, nodes and inputs of a network on data.

    Kinds, for an edge phi_ij into a node j:

    * "std": the standard deviation of phi_ij over the samples, in units of the node; "l1": the mean of |phi_ij - its
      mean|.  A constant function has 0: it belongs into the bias.  A node has the smaller of its largest edge in and
      its largest edge out (Liu et al., arXiv 2404.19756, section 2.5.1, equations 2.21 and 2.22).
    * "attribution": the score of a node, the outputs having 1, is passed back to its edges by their share
      std(phi_ij) / std(node j), and summed over the edges that leave a node (Liu et al., KAN 2.0, arXiv 2408.10205,
      section 4.1).  A factor of a product node has the score of the product.
    * "sensitivity": std(phi_ij) times the root mean square of the outputs' derivative by it: what a change of the size
      of phi_ij does to the outputs, to first order, in their units.

    Args:
        model: a ``KAN``, or a fitted estimator.
        data: X ``[n, n_features]`` as the network gets it, or (X, y); at most 4096 samples are looked at.
        features: names of the columns.
        resamples: bootstrap samples for the intervals.
        seed: of the bootstrap.

    Raises:
        EdgewiseError: for a model of another kind, an unknown kind of score, or data that cannot be used.
    """
    check_choice("kind", kind, KINDS)
    model = checked_kan(model)
    names, x = feature_names(model, features), data_of(model, data)
    activity = observed(model, x)
    n = len(x)
    random = np.random.default_rng(seed)
    draws = random.multinomial(n, np.full(n, 1 / n), size=check_count("resamples", resamples, 2))
    weights = np.concatenate([np.full((1, n), 1 / n), draws / n])  # the samples as they are come first
    edges = [_spread(values, weights, kind == "l1") for values in activity.edges]
    if kind in ("std", "l1"):
        nodes = _weakest_ends(edges, arities_of(model))
    elif kind == "attribution":
        rounding = _ROUNDINGS * float(np.finfo(model.layers[0].param_dtype).eps)
        edges, nodes = _passed_back(edges, activity, weights, arities_of(model), rounding)
    else:
        slopes = _slopes(*nnx.split(model), jnp.asarray(x, model.layers[0].param_dtype))
        edges, nodes = _times_slopes(edges, activity, slopes, weights)
    edges = [values * present(layer) for values, layer in zip(edges, model.layers, strict=True)]
    inputs = np.zeros((len(weights), model.n_features))
    inputs[:, model.columns] = nodes[0]
    first = lambda arrays: tuple(values[0] for values in arrays)
    spans = lambda arrays: tuple(interval_of(values[1:]) for values in arrays)
    return Scores(
        kind, names, first(edges), first(nodes), inputs[0], spans(edges), spans(nodes), interval_of(inputs[1:])
    )


def _spread(values: np.ndarray, weights: np.ndarray, absolute: bool = False) -> np.ndarray:
    """Standard deviation, or mean absolute deviation, of ``[n, ...]`` under each row of weights: ``[B, ...]``."""
    shape = values.shape[1:]
    centred = (values - values.mean(axis=0)).reshape(len(values), -1)
    if absolute:
        return (weights @ np.abs(centred)).reshape(-1, *shape)
    variance = weights @ centred**2 - (weights @ centred) ** 2
    return np.sqrt(np.maximum(variance, 0)).reshape(-1, *shape)


def _weakest_ends(edges: list[np.ndarray], arities: list[tuple[int, ...]]) -> list[np.ndarray]:
    """Scores ``[B, n]`` of the nodes of every level."""
    arriving = [_of_products(values.max(axis=1), ways) for values, ways in zip(edges, arities, strict=True)]
    leaving = [values.max(axis=2) for values in edges]
    between = [np.minimum(into, out) for into, out in zip(arriving, leaving[1:], strict=False)]
    return [leaving[0], *between, arriving[-1]]


def _of_products(factors: np.ndarray, arities: Sequence[int]) -> np.ndarray:
    """Of subnodes ``[B, n]`` to nodes: a product has the largest of its factors."""
    start = factors.shape[1] - sum(arities)
    ends = start + np.cumsum([0, *arities])
    products = [factors[:, low:high].max(axis=1) for low, high in pairwise(ends)]
    return np.stack([*factors[:, :start].T, *products], axis=1)


def _to_factors(nodes: np.ndarray, arities: Sequence[int]) -> np.ndarray:
    """Of nodes ``[B, n]`` to subnodes: every factor has what its product has."""
    sums = nodes.shape[1] - len(arities)
    return np.concatenate([nodes[:, :sums], np.repeat(nodes[:, sums:], arities, axis=1)], axis=1)


def _passed_back(
    edges: list[np.ndarray],
    activity: Activity,
    weights: np.ndarray,
    arities: list[tuple[int, ...]],
    rounding: float,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Scores of edges and nodes; what varies by no more than ``rounding``, relatively, is constant and passes none."""
    score = np.ones((len(weights), activity.outputs.shape[1]))
    shares, nodes = [], [score]
    for values, added, ways in zip(edges[::-1], activity.edges[::-1], arities[::-1], strict=True):
        size = _spread(added.sum(axis=1), weights)
        least = rounding * np.abs(added).sum(axis=1).max(axis=0)
        share = np.divide(_to_factors(score, ways), size, out=np.zeros_like(size), where=size > least)
        shares.append(values * share[:, None])
        score = shares[-1].sum(axis=2)
        nodes.append(score)
    return shares[::-1], nodes[::-1]


@partial(jax.jit, static_argnums=0)
def _slopes(graphdef: Any, state: Any, x: Any) -> Any:
    """Derivative of each output by the nodes of each level, and by the sums of each layer: ``[n_outputs, n, .]``."""
    model: KAN = nnx.merge(graphdef, state)
    x = x[..., model.columns] if model.inputs else x

    def outputs(node_changes: list[Any], sum_changes: list[Any]) -> Any:
        value = x + node_changes[0]
        for layer, arities, node, change in zip(
            model.layers, arities_of(model), node_changes[1:], sum_changes, strict=True
        ):
            value = multiply(layer(value) + change, arities) + node
        return value

    zeros = lambda width: jnp.zeros((len(x), width), x.dtype)
    levels = [zeros(layer.n_in) for layer in model.layers]
    sums = [zeros(layer.n_out) for layer in model.layers]
    result = jax.eval_shape(model.layers[-1], levels[-1])
    last = zeros(result.shape[1] - sum(way - 1 for way in arities_of(model)[-1]))
    result, backward = jax.vjp(outputs, [*levels, last], sums)
    units = jnp.broadcast_to(jnp.eye(result.shape[1], dtype=x.dtype)[:, None], (result.shape[1], *result.shape))
    return jax.vmap(backward)(units)


def _times_slopes(
    edges: list[np.ndarray], activity: Activity, slopes: Any, weights: np.ndarray
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    effect = lambda slope: np.sqrt(weights @ np.sum(np.asarray(slope, np.float64) ** 2, axis=0))
    by_node, by_sum = slopes
    nodes = [
        _spread(values, weights) * effect(slope)
        for values, slope in zip([*activity.inputs, activity.outputs], by_node, strict=True)
    ]
    return [spread * effect(slope)[:, None] for spread, slope in zip(edges, by_sum, strict=True)], nodes
