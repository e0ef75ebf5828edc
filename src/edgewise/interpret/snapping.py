"""Constants of a formula without those that say nothing, and as numbers with a name where the data allow it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from math import e, pi, sqrt

import numpy as np

from edgewise.interpret.fitting import canonical
from edgewise.interpret.skeleton import Named, Skeleton, Term
from edgewise.nn.forms import FORMS, Form

__all__ = ["settle", "snap", "straighten"]

_NEAR = 0.05  # how far a named number may lie from the fitted one, relative (absolute below 1)
_WHOLE = 1e9  # beyond, a whole number is no more of a name than another
_NOTHING = 1e-9  # of what a constant is added to: it may be 0, whatever the units
_ALLOWED = 6.0  # rise of the log likelihood ratio that a snapped constant may cost, as of a test at 1.4 %
_EXACT = 1e-12  # how far rounding takes a constant from the 0 or 1 that it is by choice
_ROUNDING = 1e-6  # relative error below which all are alike: what float32 makes of exact data


def straighten(skeleton: Skeleton, x: np.ndarray) -> None:
    """Write |h| as h, or as -h, where h has one sign at all of ``x`` ``[n, n_features]``, in place."""
    reaching = skeleton.reaching(x)
    for term in skeleton.terms:
        if term.function is FORMS["abs"]:
            a, b, c = term.constants
            signs = np.unique(np.sign(b * reaching[term.layer][:, term.i] + c))
            if len(signs) == 1 and signs[0]:
                term.function = FORMS["x"]
                term.constants[0] = signs[0] * a


def settle(skeleton: Skeleton) -> None:
    """Remove what is redundant among the constants of a symbolic skeleton, in place; the function stays.

    Within an edge: b and c of powers, the shift of an exponential (``fitting.canonical``).  Between edges: a hidden
    node has the scale and the offset with which the first edge that leaves it is f(h) or f(-h).  What is then 0 or 1
    by choice is fixed.
    """
    skeleton.fixed, skeleton.exact = set(), {}
    for term in skeleton.terms:
        _canonical(skeleton, term)
    for layer in range(len(skeleton.biases) - 1):
        arities = skeleton.arities[layer]
        sums = len(skeleton.biases[layer]) - sum(arities)
        for node in range(sums):
            _settle_node(skeleton, layer, node)
        start = sums
        for arity in arities:
            _settle_factors(skeleton, layer, range(start, start + arity))
            start += arity
    last = len(skeleton.biases) - 1
    start = len(skeleton.biases[last]) - sum(skeleton.arities[last])
    for arity in skeleton.arities[last]:
        _settle_factors(skeleton, last, range(start, start + arity))
        start += arity
    for term in skeleton.terms:
        _fix_redundant(skeleton, term)
    vector = skeleton.vector
    for place in skeleton.fixed:  # rounding away from 0 and 1
        if abs(whole := np.rint(vector[place])) <= 1 and abs(vector[place] - whole) < _EXACT:
            vector[place] = whole + 0.0
    skeleton.vector = vector


def _canonical(skeleton: Skeleton, term: Term) -> None:
    assert isinstance(term.function, Form)
    a, b, c = term.constants
    *constants, d = canonical(term.function, a, b, c, 0.0)
    term.constants[:] = constants
    skeleton.biases[term.layer][term.j] += d


def _fix_redundant(skeleton: Skeleton, term: Term) -> None:
    assert isinstance(term.function, Form)
    place, form = skeleton.place(term), term.function
    if form.name in ("x", "log") or form.degree is not None:
        skeleton.fixed.add(place + 1)
    if form.name in ("x", "exp"):
        skeleton.fixed.add(place + 2)


def _arriving(skeleton: Skeleton, layer: int, j: int) -> list[Term]:
    return [term for term in skeleton.terms if term.layer == layer and term.j == j]


def _settle_node(skeleton: Skeleton, layer: int, node: int) -> None:
    """Give a hidden sum node the scale and offset that its first edge out takes."""
    leaving = [term for term in skeleton.terms if term.layer == layer + 1 and term.i == node]
    arriving = _arriving(skeleton, layer, node)
    if not leaving or not arriving:
        return
    first, bias = leaving[0], skeleton.biases[layer]
    assert isinstance(first.function, Form)
    form, place = first.function, skeleton.place(first)
    a, b, c = first.constants
    scale, shift = b, c  # h becomes b h + c
    if form.name == "x":
        scale, shift = a, -a * bias[node]
    elif form.name == "exp":
        shift = -b * bias[node]
    elif form.degree is not None:
        factor = abs(a) ** (1 / form.degree)
        odd = form.parity == "odd" and a < 0
        scale, shift = (-b if odd else b) * factor, (-c if odd else c) * factor
    elif form.name == "log":
        largest = max(arriving, key=lambda term: abs(term.constants[0]))
        factor = 1 / abs(largest.constants[0])
        scale, shift = b * factor, c * factor
    if not (np.isfinite([scale, shift]).all() and scale):
        return
    for term in arriving:
        term.constants[0] *= scale
    bias[node] = bias[node] * scale + shift
    for term in leaving:  # f(b h + c) with h = (new - shift) / scale
        term.constants[2] -= term.constants[1] * shift / scale
        term.constants[1] /= scale
        _canonical(skeleton, term)
    if form.name in ("x", "exp"):
        skeleton.fixed.add(skeleton.bias_place(layer, node))
    if form.name == "log":
        skeleton.fixed.add(skeleton.place(largest))  # pyright: ignore[reportPossiblyUnboundVariable]
    if form.name == "x" or form.degree is not None:
        skeleton.fixed.add(place)
    skeleton.fixed |= {place + 1, place + 2}


def _settle_factors(skeleton: Skeleton, layer: int, factors: range) -> None:
    """Give the factors of a product largest coefficients of 1, all of the size being in the edge that leaves it."""
    leaving = [term for term in skeleton.terms if term.layer == layer + 1 and term.i == _node(skeleton, layer, factors)]
    size = 1.0
    # without an edge behind it, the size stays in the first factor
    for j in factors if leaving else factors[1:]:
        arriving = _arriving(skeleton, layer, j)
        if not arriving:
            continue
        largest = max(arriving, key=lambda term: abs(term.constants[0]))
        scale = largest.constants[0]
        if not scale:
            continue
        for term in arriving:
            term.constants[0] /= scale
        skeleton.biases[layer][j] /= scale
        skeleton.fixed.add(skeleton.place(largest))
        size *= scale
    for term in leaving:
        term.constants[1] *= size
        _canonical(skeleton, term)
    if not leaving:
        for term in _arriving(skeleton, layer, factors[0]):
            term.constants[0] *= size
        skeleton.biases[layer][factors[0]] *= size


def _node(skeleton: Skeleton, layer: int, factors: range) -> int:
    """The product node that has these factors."""
    arities = skeleton.arities[layer]
    sums = len(skeleton.biases[layer]) - sum(arities)
    ends = sums + np.cumsum([0, *arities])
    return sums + int(np.searchsorted(ends, factors[0]))


def snap(skeleton: Skeleton, x: np.ndarray, y: np.ndarray) -> float:
    """Make constants of a settled skeleton exact numbers, in place, one after the other, where the fit allows it.

    A constant is tried as 0, an integer, a fraction, the root of one, or a multiple of pi or e near it, simple ones
    first; all others are then fitted again, and it stays if the likelihood ratio does not speak against it.

    Returns the relative error on ``x`` ``[n, n_features]``, ``y`` ``[n, n_outputs]``.
    """
    error = max(skeleton.fit(x, y, 100), _ROUNDING)
    count = y.size
    allowed = lambda: error * np.exp(_ALLOWED / (2 * count))
    places = [place for place in range(len(skeleton.vector)) if place not in skeleton.fixed]
    nothing = _negligible(skeleton, x)
    tried: set[int] = set()
    while len(tried) < len(places):
        vector = skeleton.vector
        place = min((p for p in places if p not in tried), key=lambda p: _distance(vector[p]))
        tried.add(place)
        zero = [(0.0, Named("rational", Fraction(0), 1))] if place in nothing else []
        for value, name in [*zero, *_candidates(float(vector[place]))]:
            trial = skeleton.copy()
            changed = vector.copy()
            changed[place] = value
            trial.vector = changed
            trial.fixed.add(place)
            found = trial.fit(x, y, 25)
            if found <= allowed():
                skeleton.terms, skeleton.biases, skeleton.fixed = trial.terms, trial.biases, trial.fixed
                skeleton.exact[place] = name
                error = max(error, found)
                break
    return skeleton.error(x, y)


def _negligible(skeleton: Skeleton, x: np.ndarray) -> list[int]:
    """Places of the biases and of the shifts inside forms that are nothing beside what they are added to."""
    found = []
    sums = [np.zeros(len(bias)) for bias in skeleton.biases]
    with np.errstate(all="ignore"):
        reaching = skeleton.reaching(x)
        for term in skeleton.terms:
            a, b, c = term.constants
            argument = b * reaching[term.layer][:, term.i]
            sums[term.layer][term.j] += abs(a * term.value_and_slope(argument + c)[0]).max()
            if abs(c) < _NOTHING * abs(argument).max():
                found.append(skeleton.place(term) + 2)
    for layer, (bias, size) in enumerate(zip(skeleton.biases, sums, strict=True)):
        found += [skeleton.bias_place(layer, int(j)) for j in np.flatnonzero(abs(bias) < _NOTHING * size)]
    return found


def _distance(value: float) -> float:
    """How far a number is from the nearest simple one, relatively."""
    best = min(_named(), key=lambda named: abs(named[0] - value))
    return abs(best[0] - value) / max(1.0, abs(value))


def _candidates(value: float) -> Iterator[tuple[float, Named]]:
    """Named numbers near ``value``, the simplest first, four at most."""
    if not np.isfinite(value):
        return
    if abs(value) > 12:
        yield from _whole(value)
        return
    near = [named for named in _named() if abs(named[0] - value) <= _NEAR * max(1.0, abs(value))]
    scored = sorted(near, key=lambda named: abs(named[0] - value) / max(1.0, abs(value)) + 2e-3 * _size(named[1]))
    yield from scored[:4]


def _whole(value: float) -> Iterator[tuple[float, Named]]:
    """Whole numbers near ``value``, those of few digits first, up to four, then the nearest."""
    found = [int(float(f"{value:.{digits}e}")) for digits in range(4) if abs(value) >= 10**digits]
    found += [round(value)] if abs(value) < _WHOLE else []
    for whole in dict.fromkeys(found):
        if abs(whole - value) <= _NEAR * abs(value):
            yield float(whole), Named("rational", Fraction(whole), 1)


def _size(description: Named) -> float:
    """How much there is to say: of 0 and 1 little, of 7/12 pi much."""
    kind, fraction, _ = description
    return fraction.denominator + abs(fraction.numerator) / 4 + {"rational": 0, "pi": 2, "e": 4, "root": 3}[kind]


@cache
def _named() -> list[tuple[float, Named]]:
    """Numbers and what they are."""
    found: dict[float, Named] = {}
    rationals = {Fraction(n, d) for d in (1, 2, 3, 4, 5, 6, 8, 10) for n in range(0, 12 * d + 1) if n <= 24}
    rationals |= {Fraction(n, 100) for n in range(0, 100)}
    simple = {Fraction(n, d) for d in (1, 2, 3, 4, 6) for n in range(1, 13)}
    for sign in (1, -1):
        for fraction in sorted(rationals, key=lambda f: f.denominator):
            found.setdefault(sign * float(fraction), Named("rational", fraction, sign))
        for fraction in sorted(simple, key=lambda f: f.denominator):
            found.setdefault(sign * float(fraction) * pi, Named("pi", fraction, sign))
        for fraction in (Fraction(1), Fraction(2), Fraction(1, 2)):
            found.setdefault(sign * float(fraction) * e, Named("e", fraction, sign))
        for fraction in (Fraction(1, 2), Fraction(2), Fraction(3), Fraction(1, 3), Fraction(5), Fraction(3, 2)):
            found.setdefault(sign * sqrt(fraction), Named("root", fraction, sign))
    return list(found.items())
