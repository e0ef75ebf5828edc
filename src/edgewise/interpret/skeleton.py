"""A network reduced to one-variable functions and constants: every edge is a f(b x + c), every node has a bias.

f is a form, or the sampled curve of an edge that is no formula yet, so that all constants of a network can be fitted
to data at any stage, in float64, whatever the basis was.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple, cast

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.optimize import least_squares

from edgewise.interpret.fitting import value_and_slope
from edgewise.interpret.observing import Activity, arities_of, numeric, sampled
from edgewise.models import KAN
from edgewise.nn.forms import Form, form_named

__all__ = ["Named", "Sampled", "Skeleton", "Term", "cost"]

_SAMPLES = 512  # points of a sampled curve
_MARGIN = 0.05  # of the range of the data, on either side
_FEW, _OFTEN = 24, 5  # different numbers that are few, and how often each comes on average
_SAME = 1e-5  # of the range: what numbers that are the same differ by in float32
_CONSTANT = 1e-7  # relative range of a number: the rounding of float32
_SLACK = 1e-9  # rounding that an argument may be outside its form's domain
_FITTING = 0.2  # the same while constants are fitted
_INSIDE = 1e-14  # of the domain, where arguments outside are taken to be
_HUGE = 1e6  # residual where a form is not defined: no step leads there


class Named(NamedTuple):
    """A number with a name.

    Attributes:
        kind: "rational" is the fraction itself, "pi" and "e" are multiples, "root" is its square root.
        fraction, sign: the sign is 1 or -1, and multiplied.
    """

    kind: str
    fraction: Fraction
    sign: int


@dataclass(frozen=True, eq=False)
class Sampled:
    """The function of an edge between samples: a cubic spline, continued by its end slopes."""

    spline: CubicSpline

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """f and f'."""
        low, high = self.spline.x[0], self.spline.x[-1]
        inside = np.clip(x, low, high)
        slope = self.spline(inside, 1)
        return self.spline(inside) + slope * (x - inside), slope


def cost(function: Form | Sampled) -> float:
    """What an edge counts in the complexity of a network: the operations of its form, and its free constants."""
    if isinstance(function, Sampled):
        return 20.0  # as much as no formula
    redundant = {"x": 2, "exp": 1, "log": 1}.get(function.name, int(function.degree is not None))
    return float(function.complexity) + 3 - redundant


@dataclass
class Term:
    """a f(b x_i + c) on the edge i -> j of a layer."""

    layer: int
    i: int
    j: int
    function: Form | Sampled
    constants: np.ndarray = field(default_factory=lambda: np.array([1.0, 1.0, 0.0]))

    def value_and_slope(self, x: np.ndarray, slack: float = _SLACK) -> tuple[np.ndarray, np.ndarray]:
        """f and f' at the argument; outside the domain by up to ``slack`` of the argument's range, those at its end."""
        if not isinstance(self.function, Form):
            return self.function(x)
        low, high = self.function.domain
        if low > -np.inf or high < np.inf:
            margin = slack * max(float(np.ptp(x)), 1e-12)
            x = np.where((x < low) & (x >= low - margin), low + _INSIDE, x)
            x = np.where((x > high) & (x <= high + margin), high - _INSIDE, x)
        return value_and_slope(self.function, x)


@dataclass
class Skeleton:
    """Functions and constants of a network.

    Attributes:
        inputs: the columns of x that the input nodes are.
        arities: numbers of factors of the product nodes after each layer.
        biases: ``[n_out]`` a layer.
        terms: one for each edge that is there, layer by layer.
        exact: constants that are numbers with a name, by their place in ``vector``.
        fixed: places of the constants that are not fitted.
    """

    inputs: np.ndarray
    arities: list[tuple[int, ...]]
    biases: list[np.ndarray]
    terms: list[Term]
    exact: dict[int, Named] = field(default_factory=dict)
    fixed: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, model: KAN, activity: Activity) -> Skeleton:
        """Of a network: formulas as they are, other edges sampled on the range of what reaches them.

        Where one number reaches a curve, its value is part of the bias.  Where few do, say whole numbers, the curve is
        a smooth one through its values there: what a network has between them is left over from its fit.
        """
        biases, terms = [], []
        grids = [_places(reaching) for reaching in activity.inputs]
        curves = sampled(model, grids)
        for place, (layer, grid, values) in enumerate(zip(model.layers, grids, curves, strict=True)):
            reaching = activity.inputs[place]
            constant = (np.ptp(reaching, axis=0) <= _CONSTANT * abs(reaching).max(axis=0)) & (layer.bias is not None)
            bias = np.zeros(layer.n_out) if layer.bias is None else np.array(layer.bias[...], np.float64)
            entries = () if layer.symbolic is None else layer.symbolic.entries
            constants = {} if layer.symbolic is None else np.asarray(layer.symbolic.constants[...], np.float64)
            for number, (i, j, name) in enumerate(entries):
                a, b, c, d = constants[number]
                terms.append(Term(place, i, j, form_named(name), np.array([a, b, c])))
                bias[j] += d
            few = [_few(column) for column in reaching.T]
            for i, j in np.argwhere(numeric(layer)):
                if (rows := few[i]) is None:
                    curve = Sampled(CubicSpline(grid[:, i], values[:, i, j]))
                else:
                    curve = Sampled(CubicSpline(reaching[rows, i], activity.edges[place][rows, i, j]))
                if constant[i]:
                    bias[j] += curve(reaching[:1, i])[0][0]
                else:
                    terms.append(Term(place, int(i), int(j), curve))
            biases.append(bias)
        terms.sort(key=lambda term: (term.layer, term.i, term.j))
        return cls(model.columns, arities_of(model), biases, terms)

    def copy(self) -> Skeleton:
        """One that can be changed on its own."""
        twin = copy.copy(self)
        twin.biases = [bias.copy() for bias in self.biases]
        twin.terms = [copy.copy(term) for term in self.terms]
        for term in twin.terms:
            term.constants = term.constants.copy()
        twin.exact, twin.fixed = dict(self.exact), set(self.fixed)
        return twin

    @property
    def complexity(self) -> float:
        """Of all terms together."""
        return sum(cost(term.function) for term in self.terms)

    @property
    def symbolic(self) -> bool:
        """Whether all edges are formulas."""
        return all(isinstance(term.function, Form) for term in self.terms)

    @property
    def vector(self) -> np.ndarray:
        """All constants: the biases, layer by layer, then a, b, c of every term."""
        return np.concatenate([*self.biases, *(term.constants for term in self.terms)])

    @vector.setter
    def vector(self, values: np.ndarray) -> None:
        start = 0
        for bias in self.biases:
            bias[:] = values[start : start + len(bias)]
            start += len(bias)
        for term in self.terms:
            term.constants[:] = values[start : start + 3]
            start += 3

    def bias_place(self, layer: int, j: int) -> int:
        """Of the bias of a (sub)node in ``vector``."""
        return sum(len(bias) for bias in self.biases[:layer]) + j

    def place(self, term: Term) -> int:
        """Of a term's a in ``vector``; b and c follow."""
        number = next(number for number, other in enumerate(self.terms) if other is term)
        return sum(map(len, self.biases)) + 3 * number

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Outputs ``[n, n_outputs]`` for x ``[n, n_features]``, float64."""
        return self._run(x, False)[0]

    def reaching(self, x: np.ndarray) -> list[np.ndarray]:
        """What reaches each layer, ``[n, n_in]``."""
        return self._run(x, False)[2]

    def _run(self, x: np.ndarray, jacobian: bool, slack: float = _SLACK) -> tuple[np.ndarray, Any, list[np.ndarray]]:
        """Outputs, their derivatives by the constants ``[n, n_outputs, P]``, and what reaches the layers."""
        h = np.asarray(x, np.float64)[:, self.inputs]
        size = len(self.vector) if jacobian else 0
        dh = np.zeros((len(h), h.shape[1], size))
        reaching = []
        start, number = 0, 0
        first = sum(map(len, self.biases))
        for layer, (bias, arities) in enumerate(zip(self.biases, self.arities, strict=True)):
            reaching.append(h)
            sums = np.tile(bias, (len(h), 1))
            dsums = np.zeros((len(h), len(bias), size))
            if jacobian:
                dsums[:, np.arange(len(bias)), start + np.arange(len(bias))] = 1
            start += len(bias)
            while number < len(self.terms) and self.terms[number].layer == layer:
                term, place = self.terms[number], first + 3 * number
                a, b, c = term.constants
                f, slope = term.value_and_slope(b * h[:, term.i] + c, slack)
                sums[:, term.j] += a * f
                if jacobian:
                    dsums[:, term.j] += (a * b * slope)[:, None] * dh[:, term.i]
                    dsums[:, term.j, place] += f
                    dsums[:, term.j, place + 1] += a * slope * h[:, term.i]
                    dsums[:, term.j, place + 2] += a * slope
                number += 1
            h, dh = _multiplied(sums, dsums, arities)
        return h, dh, reaching

    def defined(self, x: np.ndarray) -> bool:
        """Whether all outputs at x are finite."""
        with np.errstate(all="ignore"):
            return bool(np.isfinite(self(x)).all())

    def error(self, x: np.ndarray, y: np.ndarray) -> float:
        """Root mean square of the residual relative to the targets' standard deviation, inf where not finite."""
        with np.errstate(all="ignore"):
            residual = (self(x) - y) / _scale(y)
            value = float(np.sqrt(np.mean(residual**2)))
        return value if np.isfinite(value) else np.inf

    def fit(self, x: np.ndarray, y: np.ndarray, evaluations: int = 50) -> float:
        """Fit all constants that are not fixed to ``y`` ``[n, n_outputs]`` by Levenberg-Marquardt; the error then."""
        start = self.vector
        free = np.array([place for place in range(len(start)) if place not in self.fixed], int)
        scale = _scale(y)
        if not len(free):
            return self.error(x, y)
        seen: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}

        def both(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            if (key := values.tobytes()) not in seen:
                seen.clear()
                vector = start.copy()
                vector[free] = values
                self.vector = vector
                with np.errstate(all="ignore"):
                    outputs, derivatives, _ = self._run(x, True, _FITTING)
                    residual = ((outputs - y) / scale).ravel()
                    matrix = (derivatives / scale[:, None]).reshape(len(residual), -1)[:, free]
                if not (np.isfinite(residual).all() and np.isfinite(matrix).all()):
                    residual, matrix = np.full_like(residual, _HUGE), np.zeros_like(matrix)
                seen[key] = residual, matrix
            return seen[key]

        if both(start[free])[0][0] == _HUGE:
            self.vector = start
            return np.inf
        rows = len(y) * y.shape[1]
        with np.errstate(all="ignore"):  # squares may overflow, too
            result = least_squares(
                lambda values: both(values)[0], start[free], jac=cast("Any", lambda values: both(values)[1]),
                x_scale="jac", method="lm" if rows >= len(free) else "trf", max_nfev=evaluations, xtol=1e-15,
                ftol=1e-15, gtol=1e-15,
            )  # fmt: skip
        vector = start.copy()
        vector[free] = result.x
        self.vector = vector
        error = self.error(x, y)
        if np.isinf(error):  # defined within the slack of the fitting only
            self._move_inside(x)
            moved, error = self.vector, self.error(x, y)
            self.vector = start
            if error < (before := self.error(x, y)):
                self.vector = moved
            else:
                error = before
            if np.isinf(error):
                self.vector = vector
        return error

    def _move_inside(self, x: np.ndarray) -> None:
        """Let arguments that are beyond an end of their form's domain begin at it, where c is not fixed, in place."""
        for term in self.terms:
            if isinstance(term.function, Form) and self.place(term) + 2 not in self.fixed:
                low, high = term.function.domain
                _, b, c = term.constants
                with np.errstate(all="ignore"):
                    arguments = b * self.reaching(x)[term.layer][:, term.i] + c
                if arguments.min() < low:
                    term.constants[2] += low - arguments.min()
                elif arguments.max() > high:
                    term.constants[2] += high - arguments.max()


def _scale(y: np.ndarray) -> np.ndarray:
    return np.where(np.ptp(y, axis=0) > 0, y.std(axis=0), 1.0)  # of equal numbers std may be their rounding


def _few(values: np.ndarray) -> np.ndarray | None:
    """Rows of the different numbers among ``values`` ``[n]``, rising, where these are few and come often; else None."""
    order = np.argsort(values, kind="stable")
    rows = order[np.diff(values[order], prepend=-np.inf) > _SAME * np.ptp(values)]
    return rows if 1 < len(rows) <= min(_FEW, len(values) / _OFTEN) else None


def _places(reaching: np.ndarray) -> np.ndarray:
    """Where to sample the edges, ``[_SAMPLES, n_in]``."""
    low, high = reaching.min(axis=0), reaching.max(axis=0)
    width = np.maximum(high - low, 1e-6 * np.maximum(np.abs(high), 1.0))
    return np.linspace(low - _MARGIN * width, low + (1 + _MARGIN) * width, _SAMPLES)


def _multiplied(sums: np.ndarray, dsums: np.ndarray, arities: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Sum nodes as they are, then the products of consecutive subnodes, and the derivatives."""
    if not arities:
        return sums, dsums
    start = sums.shape[1] - sum(arities)
    nodes, slopes = [sums[:, :start]], [dsums[:, :start]]
    for low, high in pairwise(start + np.cumsum([0, *arities])):
        value, slope = sums[:, low], dsums[:, low]
        for k in range(low + 1, high):
            value, slope = value * sums[:, k], slope * sums[:, k, None] + value[:, None] * dsums[:, k]
        nodes.append(value[:, None])
        slopes.append(slope[:, None])
    return np.concatenate(nodes, axis=1), np.concatenate(slopes, axis=1)
