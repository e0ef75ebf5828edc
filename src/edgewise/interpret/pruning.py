"""Pruning: a smaller network that computes the same, or nearly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from edgewise.errors import EdgewiseError, check_choice, check_count
from edgewise.interpret.compaction import Compacted, check_left, compacted, removed, subnodes
from edgewise.interpret.observing import (
    Activity,
    Edge,
    arities_of,
    checked_kan,
    edge_at,
    feature_names,
    in_its_precision,
    observed,
    present,
)
from edgewise.interpret.scoring import KINDS, scores
from edgewise.interpret.symbolic import targets_of
from edgewise.models import KAN
from edgewise.nn.products import multiply

__all__ = ["Pruned", "prune"]


@dataclass(frozen=True)
class Pruned:
    """What pruning did.

    Attributes:
        model: the smaller network.  It takes the same columns of x as the one before.
        edges: what went: (layer, input node, output node), as the network before counts them.
        nodes: (level, node), level 0 being the inputs.
        inputs: names of the columns that the network no longer looks at.
        kept: the old numbers of the nodes that stayed, a level each.
        loss: mean squared error on the data, before and after; against the network's own outputs where no targets
            were given.
        edge_count: edges before and after.
    """

    model: KAN
    edges: tuple[Edge, ...]
    nodes: tuple[tuple[int, int], ...]
    inputs: tuple[str, ...]
    kept: tuple[np.ndarray, ...]
    loss: tuple[float, float]
    edge_count: tuple[int, int]

    def __str__(self) -> str:
        before, after = self.loss
        share = f" ({after / before - 1:+.2%})" if after < 10 * before else ""
        return "\n".join(
            [
                f"edges {self.edge_count[0]} -> {self.edge_count[1]}, nodes removed {len(self.nodes)}",
                f"inputs removed: {', '.join(self.inputs) or 'none'}",
                f"mean squared error {before:.3e} -> {after:.3e}{share}",
                str(self.model),
            ]
        )


_SURE = 1.645  # one-sided 95 % of the normal law


@in_its_precision
def prune(
    model: Any,
    data: Any,
    *,
    threshold: Any = None,
    allowed: Any = None,
    edges: Sequence[Any] = (),
    nodes: Sequence[Any] = (),
    inputs: Sequence[Any] = (),
    kind: str = "attribution",
    features: Sequence[str] | None = None,
) -> Pruned:
    """A smaller network without the edges, nodes and inputs that matter least.

    What is removed leaves its mean over the data in the bias of the node that it entered, so that pruning a constant
    loses nothing.  Nodes that nothing enters or leaves any more go as well.

    Args:
        model: a ``KAN``, or a fitted estimator.  It stays as it is.
        data: X ``[n, n_features]`` as the network gets it, or (X, y).
        threshold: edges and nodes with a score below go; with nothing else given, 0.03.
        allowed: instead, how much the mean squared error may rise, 0.01 being 1 %: as many edges go as that permits
            with 95 % confidence over the samples, so that it holds for other samples too, those with the smallest
            scores first.
        edges, nodes, inputs: what is to go in any case: (layer, input node, output node); (level, node) with level 0
            the inputs; names or numbers of columns.
        kind: of score, see :func:`scores`.
        features: names of the columns.

    Raises:
        EdgewiseError: for a model of another kind, an edge that does not exist or went before, both ``threshold`` and
            ``allowed``, unusable data, and where no edge of a layer would be left.

    Liu et al., arXiv 2404.19756, section 2.5.1; the means are our addition.
    """
    check_choice("kind", kind, KINDS)
    model = checked_kan(model)
    names = feature_names(model, features)
    x, y = targets_of(model, data)
    activity = observed(model, x)
    gone = [~present(layer) for layer in model.layers]
    asked = _asked(model, names, edges, nodes, inputs)
    if threshold is not None and allowed is not None:
        raise EdgewiseError("threshold and allowed are both given.", do="pass one: threshold=0.03, or allowed=0.01.")
    if threshold is None and allowed is None and not any(layer.any() for layer in asked):
        threshold = 0.03
    gone = [before | new for before, new in zip(gone, asked, strict=True)]
    before = _loss(activity.outputs, y)
    if threshold is not None:
        gone = [
            old | new for old, new in zip(gone, _below(model, x, kind, _positive("threshold", threshold)), strict=True)
        ]
    elif allowed is not None:
        gone = _within(model, activity, x, y, gone, kind, before * _positive("allowed", allowed))
    smaller = _without(model, activity, gone)
    return _report(model, smaller, names, (before, _loss(observed(smaller.model, x).outputs, y)))


def _loss(outputs: np.ndarray, y: np.ndarray) -> float:
    return float(np.mean((outputs - y) ** 2))


def _positive(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) < np.inf:
        raise EdgewiseError(f"{name} must be a number of at least 0, got {value!r}.", do=f"pass say {name}=0.01.")
    return float(value)


def _asked(
    model: KAN, names: Sequence[str], edges: Sequence[Any], nodes: Sequence[Any], inputs: Sequence[Any]
) -> list[np.ndarray]:
    """The edges that are named, alone or as those of a node or an input; bool ``[n_in, n_out]`` a layer."""
    gone = [np.zeros((layer.n_in, layer.n_out), bool) for layer in model.layers]
    for edge in edges:
        layer, i, j = edge_at(model, edge)
        gone[layer][i, j] = True
    for given in inputs:
        if isinstance(given, str):
            check_choice("feature", given, names)
            column = names.index(given)
        elif (column := check_count("an input", given, 0)) >= model.n_features:
            raise EdgewiseError(f"there is no input {column}.", do=f"pass one from 0 to {model.n_features - 1}.")
        gone[0][model.columns == column] = True
    for node in nodes:
        level, number = _node(model, node)
        if level < len(gone):
            gone[level][number] = True
    return gone


def _node(model: KAN, node: Any) -> tuple[int, int]:
    widths = [layer.n_in for layer in model.layers]
    try:
        level, number = (check_count("a node", part, 0) for part in node)
    except (TypeError, ValueError) as error:
        raise EdgewiseError(f"{node!r} is no node.", do="pass (level, node), level 0 being the inputs.") from error
    if level >= len(widths) or number >= widths[level]:
        raise EdgewiseError(
            f"node {(level, number)} does not exist or is an output.",
            f"levels 0 to {len(widths) - 1} have {', '.join(map(str, widths))} nodes.",
            "pass (level, node), level 0 being the inputs.",
        )
    return level, number


def _below(model: KAN, x: np.ndarray, kind: str, threshold: float) -> list[np.ndarray]:
    """Edges that score below the threshold, or enter or leave a node that does."""
    found = scores(model, x, kind, resamples=2)
    gone = []
    for place, values in enumerate(found.edges):
        leaves = found.nodes[place] < threshold
        gone.append((values < threshold) | leaves[:, None])
    return gone


def _within(
    model: KAN, activity: Activity, x: np.ndarray, y: np.ndarray, gone: list[np.ndarray], kind: str, rise: float
) -> list[np.ndarray]:
    """The edges with the smallest scores that can go together while the loss surely rises no more than that."""
    found = scores(model, x, kind, resamples=2)
    order = sorted(
        (float(values[i, j]), place, int(i), int(j))
        for place, values in enumerate(found.edges)
        for i, j in np.argwhere(~gone[place])
    )
    graphdef, state = nnx.split(model)
    rows, means = jnp.asarray(x, model.layers[0].param_dtype), [values.mean(axis=0) for values in activity.edges]

    squares = lambda outputs: np.mean((np.asarray(outputs, np.float64) - y) ** 2, axis=-1)
    before = squares(activity.outputs)

    def allowed(masks: list[np.ndarray]) -> bool:
        change = squares(_masked(graphdef, state, rows, masks, means)) - before  # of every sample: paired
        return bool(change.mean() + _SURE * change.std() / np.sqrt(len(change)) <= rise)

    def with_first(count: int) -> list[np.ndarray]:
        masks = [mask.copy() for mask in gone]
        for _, place, i, j in order[:count]:
            masks[place][i, j] = True
        return masks

    low, high = 0, len(order)  # the longest prefix by bisection, then what else can go, one by one
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if allowed(with_first(middle)) else (low, middle - 1)
    masks = with_first(low)
    for _, place, i, j in order[low:]:
        masks[place][i, j] = True
        if masks[place].all() or not allowed(masks):
            masks[place][i, j] = False
    return masks


@partial(jax.jit, static_argnums=0)
def _masked(graphdef: Any, state: Any, x: Any, gone: Any, means: Any) -> Any:
    """Outputs with the edges ``gone`` replaced by their means."""
    model = nnx.merge(graphdef, state)
    x = x[..., model.columns] if model.inputs else x
    for layer, arities, away, mean in zip(model.layers, arities_of(model), gone, means, strict=True):
        edges = layer.edges(x)
        change = jnp.sum(jnp.where(away, mean - edges, 0), axis=-2)
        x = multiply(layer(x) + change, arities)
    return x


def _without(model: KAN, activity: Activity, gone: list[np.ndarray]) -> Compacted:
    copy = nnx.clone(model)
    leaving = [np.asarray(~away.all(axis=1)) for away in gone[1:]]
    used = [subnodes(nodes, ways) for nodes, ways in zip(leaving, arities_of(model), strict=False)]
    for layer, away, values, outputs in zip(copy.layers, gone, activity.edges, [*used, True], strict=True):
        new = away & present(layer)
        if new.all():
            continue  # compacted says what is wrong
        if new.any():
            removed(layer, new, values.mean(axis=0) * outputs)  # no mean where nothing takes it
    check_left([~away for away in gone])
    return compacted(copy)


def _report(model: KAN, smaller: Compacted, names: Sequence[str], loss: tuple[float, float]) -> Pruned:
    went = [present(layer) for layer in model.layers]
    for place, layer in enumerate(smaller.model.layers):
        went[place][np.ix_(smaller.nodes[place], smaller.columns[place])] &= ~present(layer)
    looks = lambda network: network.inputs or (True,) * network.n_features
    dropped = [
        name for name, old, new in zip(names, looks(model), looks(smaller.model), strict=True) if old and not new
    ]
    count = lambda network: sum(int(present(layer).sum()) for layer in network.layers)
    return Pruned(
        smaller.model,
        tuple((place, int(i), int(j)) for place, away in enumerate(went) for i, j in np.argwhere(away)),
        tuple(
            (level, k)
            for level, layer in enumerate(model.layers)
            for k in sorted(set(range(layer.n_in)) - set(smaller.nodes[level].tolist()))
        ),
        tuple(dropped),
        tuple(smaller.nodes),
        loss,
        (count(model), count(smaller.model)),
    )
