"""The search for the forms of all edges, judged by the loss of the whole network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from edgewise.interpret.fitting import Curve, FormFit, fit_forms
from edgewise.interpret.observing import spread_rows
from edgewise.interpret.skeleton import Sampled, Skeleton, cost
from edgewise.nn.forms import Form

__all__ = ["Found", "criterion", "pareto", "searched"]

_CANDIDATES = 5  # forms an edge that are tried in the network
_EXACT = 1e-8  # relative error at which nothing is left to look for
_FLOOR = 1e-9  # relative error below which all are alike
_CURVE = 1e-10  # 1 - R^2 below which a curve says no more: the rounding of float32
_PASSES = 2
_CURVES = 30  # samples that a comparison counts as while other edges are curves
_SHORT, _LONG, _LAST = 12, 30, 200  # evaluations of a refit: in between, of a symbolic network, at the end
_ROWS = 400  # samples that candidates are compared on


@dataclass
class Found:
    """Symbolic networks that were met, the best of each complexity.

    Attributes:
        best: complexity: (error, skeleton).
    """

    best: dict[float, tuple[float, Skeleton]] = field(default_factory=dict)

    def add(self, skeleton: Skeleton, error: float) -> None:
        """Keep a copy where it is the best of its complexity."""
        if skeleton.symbolic and error < self.best.get(skeleton.complexity, (np.inf,))[0]:
            self.best[skeleton.complexity] = error, skeleton.copy()

    def front(self) -> list[tuple[float, Skeleton]]:
        """Those with a smaller error than every simpler one, the simplest first."""
        front: list[tuple[float, Skeleton]] = []
        for _, (error, skeleton) in sorted(self.best.items(), key=lambda item: item[0]):
            if not front or error < 0.999 * front[-1][0]:
                front.append((error, skeleton))
        return front


def criterion(error: float, complexity: float, count: int) -> float:
    """n log(mean square) + complexity log n: the Bayesian information criterion with the complexity as parameters.

    Schwarz, Ann. Statist. 6 (1978) 461.
    """
    return 2 * count * float(np.log(max(error, _FLOOR))) + complexity * float(np.log(count))


def pareto(fits: Sequence[FormFit], count: int | None = None) -> list[FormFit]:
    """Fits that no simpler one beats, the simplest first; the ``count`` most exact of them."""
    front: list[FormFit] = []
    order = lambda fit: (cost(fit.form), round(float(np.log10(max(fit.error, 1e-300))), 1), abs(fit.constants[2]))
    for fit in sorted(fits, key=order):
        if not front or fit.error < 0.9 * front[-1].error:
            front.append(fit)
    return front if count is None else front[-count:]


def searched(skeleton: Skeleton, x: np.ndarray, y: np.ndarray, forms: Sequence[Form], found: Found) -> Skeleton:
    """Replace all sampled curves by forms.

    Edge by edge, the one with the clearest form first: its best candidates are put into the network in turn, all
    constants are fitted again for a few steps, and the one with the smallest criterion stays.  When all are formulas,
    every edge is looked at again, by the same criterion.

    Args:
        x, y: ``[n, n_features]`` and ``[n, n_outputs]``.
        found: gets every network that consists of formulas.
    """
    skeleton, few = skeleton.copy(), spread_rows(len(x), _ROWS)
    x_few, y_few = x[few], y[few]
    curves = [number for number, term in enumerate(skeleton.terms) if isinstance(term.function, Sampled)]
    offers = {number: _offers(skeleton, number, x, forms) for number in curves}
    for number in sorted(offers, key=lambda number: offers[number][-1].error if offers[number] else np.inf):
        # what reaches the edge has changed a little with the edges before it
        fresh = _offers(skeleton, number, x, [offer.form for offer in offers[number]])
        fresh = fresh or _offers(skeleton, number, x, forms)  # none of them is defined there any more
        skeleton = _best(skeleton, number, fresh, x, (x_few, y_few), _SHORT, found)
    if not skeleton.symbolic:
        return skeleton
    error = skeleton.fit(x, y, _LAST)
    found.add(skeleton, error)
    for _ in range(_PASSES):
        if error <= _EXACT:
            break
        skeleton, before = _again(skeleton, offers, x, (x_few, y_few), found), error
        error = skeleton.fit(x, y, _LAST)
        found.add(skeleton, error)
        if error > 0.5 * before:
            break
    return skeleton


def _offers(skeleton: Skeleton, number: int, x: np.ndarray, forms: Sequence[Form]) -> list[FormFit]:
    """Forms for one edge as it is: the most exact of the Pareto front, and the two closest of all."""
    term = skeleton.terms[number]
    places, weight = Curve.places(skeleton.reaching(x)[term.layer][:, term.i])
    a, b, c = term.constants
    curve = Curve(places, a * term.value_and_slope(b * places + c)[0], weight)
    if not np.isfinite(curve.y).all():
        return []
    fits = [fit._replace(error=max(fit.error, _CURVE)) for fit in fit_forms(curve, forms)]
    closest = sorted(fits, key=lambda fit: fit.error)[:2]
    offers = pareto(fits, _CANDIDATES)
    return offers + [fit for fit in closest if fit not in offers]


def _best(
    skeleton: Skeleton,
    number: int,
    offers: Sequence[FormFit],
    x: np.ndarray,
    few: tuple[np.ndarray, np.ndarray],
    steps: int,
    found: Found,
) -> Skeleton:
    """The skeleton with the offer that suits the network best on one edge, of those that are defined at all of x."""
    trials, (x_few, y) = [], few
    for offer in offers:
        trial = _with(skeleton, number, offer)
        error = trial.fit(x_few, y, steps)
        if not trial.defined(x):
            continue
        found.add(trial, error)
        # between curves, errors are those of the curves: they do not count as so many independent ones
        count = len(y) if trial.symbolic else min(_CURVES, len(y))
        trials.append((criterion(error, trial.complexity, count), trial))
    trials = [trial for trial in trials if np.isfinite(trial[0])]
    return min(trials, key=lambda trial: trial[0])[1] if trials else skeleton


def _with(skeleton: Skeleton, number: int, offer: FormFit) -> Skeleton:
    trial = skeleton.copy()
    term = trial.terms[number]
    term.function = offer.form
    term.constants[:] = offer.constants[:3]
    trial.biases[term.layer][term.j] += offer.constants[3]
    return trial


def _again(
    skeleton: Skeleton,
    offers: dict[int, list[FormFit]],
    x: np.ndarray,
    few: tuple[np.ndarray, np.ndarray],
    found: Found,
) -> Skeleton:
    """One pass over the edges of a symbolic network: other forms."""
    x_few, y_few = few
    for number in offers:
        now = criterion(skeleton.error(x_few, y_few), skeleton.complexity, len(y_few))
        forms = [offer.form for offer in offers[number] if offer.form != skeleton.terms[number].function]
        others = _offers(skeleton, number, x, forms) if forms else []
        better = _best(skeleton, number, others, x, few, _LONG, found)
        if criterion(better.error(x_few, y_few), better.complexity, len(y_few)) < now - 1:
            skeleton = better
    return skeleton
