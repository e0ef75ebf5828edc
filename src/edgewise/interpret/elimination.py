"""Fits of small networks, and the removal of what they can do without, with a refit after each step."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from edgewise.interpret.compaction import removed
from edgewise.interpret.observing import arities_of, numeric, observed, present
from edgewise.interpret.scoring import scores
from edgewise.models import KAN
from edgewise.nn.variables import Mask
from edgewise.refine import RefinementWarning, adapt, extend
from edgewise.training import fit
from edgewise.training.diagnosis import NonFiniteError

__all__ = ["Trained", "eliminated", "refined", "trained"]

_SIMPLE = 3  # seeds that are tried
_GOOD = 5e-3  # relative error at which no other seed is tried
_REFIT = 30  # steps after a removal
_NEGLIGIBLE = 3e-2  # score below which all edges go at once, first of all


@dataclass
class Trained:
    """A network on its way to a formula.

    Attributes:
        model: the network; pruned edges are masked, so that its shapes, and its compiled programs, stay.
        x, y: what it is trained on, standardized: float32 ``[n, n_features]`` and ``[n]``.
        error: root mean square, relative to the standard deviation of y.
        steps: updates done.
    """

    model: KAN
    x: np.ndarray
    y: np.ndarray
    error: float = np.inf
    steps: int = 0

    def train(self, steps: int) -> Trained:
        """Go on by Levenberg-Marquardt; a run that diverges keeps its last finite state."""
        with suppress(NonFiniteError):
            fit(self.model, (self.x, self.y), optimizer="levenberg_marquardt", steps=steps, progress=False)
        self.steps += steps
        outputs = observed(self.model, self.x).outputs[:, 0]
        self.error = float(np.sqrt(np.mean((outputs - self.y) ** 2)) / max(float(self.y.std()), 1e-300))
        self.error = self.error if np.isfinite(self.error) else np.inf
        return self

    def copy(self) -> Trained:
        """One that can go on on its own."""
        return Trained(nnx.clone(self.model), self.x, self.y, self.error, self.steps)


def trained(
    build: Callable[[int], KAN], x: np.ndarray, y: np.ndarray, steps: int, seed: int, seeds: int = _SIMPLE
) -> Trained:
    """The best of a few starts, the first that is good."""
    best: Trained | None = None
    for number in range(seeds):
        model = build(seed + number)
        for layer in model.layers:
            if layer.mask is None:
                layer.mask = Mask(jnp.ones((layer.n_in, layer.n_out), layer.param_dtype))
        run = Trained(model, x, y).train(steps)
        if best is None or run.error < best.error:
            best = run
        if best.error < _GOOD:
            break
    assert best is not None
    return best


def eliminated(run: Trained, tolerance: float, kinds: Sequence[str] = ("inputs", "nodes", "edges")) -> Trained:
    """The network with as few inputs, hidden nodes and edges as the error allows.

    One kind after the other, those with the smallest attribution first; each removal is followed by a refit and taken
    back where the error rises above ``tolerance`` and by more than a fifth.
    """
    limit = max(tolerance, 1.2 * run.error)
    for kind in kinds:
        group, kept = _GROUPS[kind], set[Any]()
        while True:
            waiting = [item for item in group(run.model, run.x) if item[0] not in kept]
            if not waiting:
                break
            negligible = [item for item in waiting if item[2] < _NEGLIGIBLE] if not kept else []
            if len(negligible) > 1 and (trial := _refitted(run, [item[1] for item in negligible], limit)):
                run = trial
                continue
            name, gone, _ = waiting[0]
            if trial := _refitted(run, [gone], limit):
                run = trial
            else:
                kept.add(name)
    return run


def refined(run: Trained, size: int, steps: int) -> Trained:
    """On grids that cover what reaches the nodes, and then finer ones."""
    with warnings.catch_warnings():  # masked nodes are constant
        warnings.simplefilter("ignore", RefinementWarning)
        adapt(run.model, run.x)
        if all(hasattr(layer.basis, layer.basis.resolution) for layer in run.model.layers):
            sizes = [max(size, getattr(layer.basis, layer.basis.resolution)) for layer in run.model.layers]
            extend(run.model, sizes)
    return run.train(steps)


Item = tuple[Any, list[np.ndarray], float]
"""Name, edges that go with it, score."""


def _inputs(model: KAN, x: np.ndarray) -> Iterator[Item]:
    found = scores(model, x, resamples=2)
    there = present(model.layers[0]).any(axis=1)
    if there.sum() > 1:
        for i in sorted(np.flatnonzero(there), key=lambda i: found.nodes[0][i]):
            gone = _none(model)
            gone[0][i] = True
            yield int(i), gone, float(found.nodes[0][i])


def _nodes(model: KAN, x: np.ndarray) -> Iterator[Item]:
    found = scores(model, x, resamples=2)
    items: list[Item] = []
    for level, layer in enumerate(model.layers[1:], 1):
        there = present(layer).any(axis=1)
        factors = sum(arities_of(model)[level - 1])
        sums = model.layers[level - 1].n_out - factors
        for k in np.flatnonzero(there):
            if there.sum() > 1:
                gone = _none(model)
                gone[level][k] = True
                if k < sums:
                    gone[level - 1][:, k] = True
                items.append(((level, int(k)), gone, float(found.nodes[level][k])))
    yield from sorted(items, key=lambda item: item[2])


def _edges(model: KAN, x: np.ndarray) -> Iterator[Item]:
    found = scores(model, x, resamples=2)
    items: list[Item] = []
    for place, layer in enumerate(model.layers):
        there = numeric(layer)
        for i, j in np.argwhere(there):
            gone = _none(model)
            gone[place][i, j] = True
            items.append(((place, int(i), int(j)), gone, float(found.edges[place][i, j])))
    yield from sorted(items, key=lambda item: item[2])


_GROUPS = {"inputs": _inputs, "nodes": _nodes, "edges": _edges}


def _none(model: KAN) -> list[np.ndarray]:
    return [np.zeros((layer.n_in, layer.n_out), bool) for layer in model.layers]


def _refitted(run: Trained, groups: Sequence[list[np.ndarray]], limit: float) -> Trained | None:
    """A copy without these edges, fitted again; None where the error is above the limit, or a layer has none left."""
    trial = run.copy()
    gone = [np.logical_or.reduce(layers) for layers in zip(*groups, strict=True)]
    activity = observed(trial.model, trial.x)
    for layer, away, values in zip(trial.model.layers, gone, activity.edges, strict=True):
        away = away & present(layer)
        if (away == present(layer)).all():
            return None
        if away.any():
            removed(layer, away, values.mean(axis=0))
    return trial if trial.train(_REFIT).error <= limit else None
