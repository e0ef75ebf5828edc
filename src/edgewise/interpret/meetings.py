"""Which features act together, and where in a network they meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np

from edgewise.errors import DataError, EdgewiseError, check_choice, check_count
from edgewise.interpret.evaluation import Subject, interval_of, mixed, partners, subject_of
from edgewise.interpret.observing import arities_of, checked_kan, observed, present
from edgewise.interpret.scoring import scores
from edgewise.models import KAN

__all__ = ["INTERACTION_KINDS", "Interactions", "Meeting", "interactions"]

INTERACTION_KINDS = ("exchange", "h")
"""Measures of the interaction of two features."""


@dataclass(frozen=True)
class Meeting:
    """A node that several features reach.

    Attributes:
        level: 1 for the nodes after the first layer.
        node: its number in the level.
        kind: "sum" or "product".
        features: names of those with a share above the threshold, the largest first.
        shares: theirs of what the node is made of, along all paths.
        score: attribution score of the node.
        strength: score times the smallest of the shares.
    """

    level: int
    node: int
    kind: str
    features: tuple[str, ...]
    shares: tuple[float, ...]
    score: float
    strength: float

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {share:.0%}" for name, share in zip(self.features, self.shares, strict=True))
        return f"level {self.level}, {self.kind} {self.node}: {parts} (strength {self.strength:.2g})"


@dataclass(frozen=True)
class Interactions:
    """How strongly each pair of features acts together.

    Attributes:
        kind: one of ``INTERACTION_KINDS``.
        features: names of the columns of x.
        pairs: ``[d, d]``, symmetric, 0 for features that act separately; 0 on the diagonal.
        intervals: ``[2, d, d]``, what 95 % of the bootstrap samples fall into.
        nodes: the nodes of a ``KAN`` where features meet, the strongest first; empty for another model.
    """

    kind: str
    features: tuple[str, ...]
    pairs: np.ndarray
    intervals: np.ndarray
    nodes: tuple[Meeting, ...]

    def __str__(self) -> str:
        pairs = sorted(combinations(range(len(self.features)), 2), key=lambda pair: -self.pairs[pair])
        names = {(i, j): f"{self.features[i]}, {self.features[j]}" for i, j in pairs}
        width = max(map(len, names.values()), default=0)
        low, high = self.intervals
        lines = [f"interactions of features ({self.kind})"]
        lines += [f"{names[p]:<{width}}  {self.pairs[p]:.3g}  ({low[p]:.3g} to {high[p]:.3g})" for p in pairs]
        return "\n".join([*lines, *(["where they meet"] if self.nodes else []), *map(str, self.nodes)])


def interactions(
    model: Any,
    data: Any,
    *,
    features: Sequence[str] | None = None,
    kind: Any = "exchange",
    threshold: Any = 0.05,
    samples: Any = None,
    resamples: Any = 200,
    seed: int = 0,
) -> Interactions:
    """Strength of the interaction of every pair of features, and the nodes of a network where they meet.

    Kinds:

    * "exchange": the root mean square of (f - f with x_i exchanged - f with x_j exchanged + f with both exchanged) / 2
      between samples, relative to the standard deviation of f: for independent features its square is the share of the
      variance that involves both (superset importance: Liu and Owen, J. Amer. Stat. Assoc. 101 (2006) 712).
    * "h": the share of the pair's partial dependence that is not the sum of those of its two features, H of Friedman
      and Popescu, Ann. Appl. Stat. 2 (2008) 916, section 8: relative to the pair, however little the pair matters; of
      few samples it can exceed 1.

    The root mean square is over the outputs too, each relative to its own size.

    In a network the share of a feature in a node is passed along the edges, by the standard deviation of an edge
    relative to all edges into the node; a product has the mean of its factors.  Features that meet in a sum do not
    interact there: only a later edge that is not straight, or a product, makes them.

    Args:
        model: a ``KAN``, any module, a fitted estimator (its network), or a function of ``[n, d]`` to ``[n]`` or
            ``[n, k]``.
        data: X ``[n, d]`` as the model gets it, or (X, y); at most 4096 samples are looked at.
        features: names of the columns.
        kind: one of ``INTERACTION_KINDS``.
        threshold: the share from which a feature counts as met in a node.
        samples: pairs of samples for "exchange", 1024 by default; samples for "h", 64 by default: it evaluates their
            square for every pair of features.
        resamples: bootstrap samples for the intervals.
        seed: of both.

    Raises:
        EdgewiseError: for an unknown kind, one feature only, names or numbers that are not as said, or data that cannot
            be used.
    """
    check_choice("kind", kind, INTERACTION_KINDS)
    subject = subject_of(model, data, features)
    if len(subject.names) < 2:
        raise EdgewiseError("there is one feature.", "interactions are of pairs.", "pass data of two or more features.")
    samples = check_count("samples", (1024 if kind == "exchange" else 64) if samples is None else samples, 2)
    random = np.random.default_rng(seed)
    measured = _exchanged if kind == "exchange" else _h
    parts, wholes = measured(subject, samples, random)
    n = parts.shape[-1]
    draws = random.multinomial(n, np.full(n, 1 / n), size=check_count("resamples", resamples, 2))
    weights = np.concatenate([np.full((1, n), 1 / n), draws / n])
    strengths = np.sqrt(_share(parts @ weights.T, wholes @ weights.T).mean(axis=1))  # [pairs, B]
    d = len(subject.names)
    table = np.zeros((len(weights), d, d))
    for (i, j), strength in zip(combinations(range(d), 2), strengths, strict=True):
        table[:, i, j] = table[:, j, i] = strength
    network = getattr(model, "model_", model)
    nodes = _meetings(network, subject, threshold) if isinstance(network, KAN) else ()
    return Interactions(kind, subject.names, table[0], interval_of(table[1:]), nodes)


def _exchanged(subject: Subject, samples: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Squares of the differences, and of f, ``[pairs, k, n]`` each."""
    x, other = partners(subject.x, samples, random)
    here = subject.outputs(x)
    alone = [subject.outputs(mixed(x, other, [i])) for i in range(x.shape[1])]
    both = [subject.outputs(mixed(x, other, pair)) for pair in map(list, combinations(range(x.shape[1]), 2))]
    ends = list(combinations(range(x.shape[1]), 2))
    parts = [(here - alone[i] - alone[j] + value) ** 2 / 4 for (i, j), value in zip(ends, both, strict=True)]
    wholes = np.broadcast_to((here - here.mean(axis=0)) ** 2, np.shape(parts))
    return _usable(np.moveaxis(np.array(parts), 1, -1), np.moveaxis(wholes, 1, -1))


def _h(subject: Subject, samples: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Squares of what the pair has beyond both features, and of the pair, ``[pairs, k, n]`` each."""
    x = subject.x[random.permutation(len(subject.x))[:samples]]
    alone = [_partial(subject, x, [i]) for i in range(x.shape[1])]
    parts, wholes = [], []
    for i, j in combinations(range(x.shape[1]), 2):
        pair = _partial(subject, x, [i, j])
        parts.append((pair - alone[i] - alone[j]) ** 2)
        wholes.append(pair**2)
    return _usable(np.moveaxis(np.array(parts), 1, -1), np.moveaxis(np.array(wholes), 1, -1))


def _partial(subject: Subject, x: np.ndarray, columns: list[int]) -> np.ndarray:
    """Partial dependence on ``columns`` at the samples, less its mean, ``[n, k]``."""
    n = len(x)
    grid = np.tile(x, (n, 1))
    grid[:, columns] = np.repeat(x[:, columns], n, axis=0)
    values = subject.outputs(grid).reshape(n, n, -1).mean(axis=1)
    return values - values.mean(axis=0)


def _usable(parts: np.ndarray, wholes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    finite = np.isfinite(parts).all(axis=(0, 1)) & np.isfinite(wholes).all(axis=(0, 1))
    if finite.sum() < 2:
        raise DataError("the function is not finite on exchanged samples.", do="pass data where it is defined.")
    return parts[..., finite], wholes[..., finite]


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, ``[pairs, k, B]``, and 0 where there is no more than rounding."""
    least = 1e-10 * whole.max(axis=(0, 2), keepdims=True)
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > least)


def _meetings(model: Any, subject: Subject, threshold: float) -> tuple[Meeting, ...]:
    model = checked_kan(model)
    activity, score = observed(model, subject.x), scores(model, subject.x, resamples=2).nodes
    reach = np.eye(model.n_features)  # [node, feature]
    reach = reach[model.columns]
    found = []
    for level, (layer, arities) in enumerate(zip(model.layers, arities_of(model), strict=True), 1):
        spread = activity.edges[level - 1].std(axis=0) * present(layer)
        into = spread.sum(axis=0)
        reach = np.divide(spread, into, out=np.zeros_like(spread), where=into > 0).T @ reach
        sums = len(reach) - sum(arities)
        ends = sums + np.cumsum([0, *arities])
        reach = np.stack([*reach[:sums], *(reach[low:high].mean(axis=0) for low, high in pairwise(ends))])
        for node, shares in enumerate(reach):
            order = [i for i in np.argsort(-shares, kind="stable") if shares[i] >= threshold]
            if len(order) > 1:
                among, own = tuple(float(shares[i]) for i in order), float(score[level][node])
                names = tuple(subject.names[i] for i in order)
                place, what = (node, "sum") if node < sums else (node, "product")
                found.append(Meeting(level, place, what, names, among, own, own * among[-1]))
    return tuple(sorted(found, key=lambda meeting: (-meeting.strength, meeting.level, meeting.node)))
