"""Orthogonal polynomials on [-1, 1]: one recurrence for Chebyshev, Legendre and Jacobi."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from edgewise.bases.base import Basis
from edgewise.bases.compiled import Compiled, Rate
from edgewise.bases.squash import Ends, check_squash, squash_to_ends, squash_to_point
from edgewise.errors import check_count

__all__ = ["OrthogonalPolynomials"]

_PLAIN_DEGREE = 6  # up to here the plain recurrence is exact enough (7e-6 after a float32 tanh), and a fifth faster
_STRETCH = 16  # steps of a recurrence that a kernel repeats: fewer take more memory


@dataclass(frozen=True)
class OrthogonalPolynomials(Compiled, Basis):
    """Jacobi polynomials P_0, ..., P_degree, each times a constant; a family names ``exponents`` and ``end_values``.

    Evaluated by their three-term recurrence (DLMF 18.9.1); for high degrees in differences anchored at the nearer end
    of the interval (Reinsch's modification, Oliver 1977), which keeps float32 errors near n eps where the plain
    recurrence, and the rounding of a squashed point, have n^2 eps.
    """

    has_constant: ClassVar[bool] = True
    resolution: ClassVar[str] = "degree"
    nested: ClassVar[bool] = True

    degree: int = 5
    squash: str | None = "tanh"
    domain: tuple[float, float] = (-1.0, 1.0)

    def __post_init__(self):
        check_count(f"{type(self).__name__}: degree", self.degree)
        check_squash(type(self).__name__, self.squash, self.domain)

    @property
    @abstractmethod
    def exponents(self) -> tuple[float, float]:
        """(alpha, beta) of the weight (1 - t)^alpha (1 + t)^beta."""

    @abstractmethod
    def end_values(self, exponent: float) -> np.ndarray:
        """|P_0|, ..., |P_degree| at the end of the interval whose exponent is given, float64 ``[degree + 1]``."""

    @property
    def size(self) -> int:
        return self.degree + 1

    @property
    def _polynomials(self) -> _Polynomials:
        right, left = (tuple(self.end_values(exponent).tolist()) for exponent in self.exponents)
        return _Polynomials(*self.exponents, right, left)

    def _place(self, x: Array) -> Array | Ends:
        squashed = squash_to_point if self.degree <= _PLAIN_DEGREE else squash_to_ends
        return squashed(x, self.squash, self.domain)

    def modes(self, x, state):
        return _values(self._polynomials, self._place(x))

    @property
    def compiled_as(self):
        return "polynomials" if type(self).modes is OrthogonalPolynomials.modes else None

    def compiled_constants(self, order):
        low, high = self.domain
        place = [self.squash == "tanh", (low + high) / 2, 2 / (high - low), *_in_two(low), *_in_two(high)]
        if order > self.degree:
            return np.array([*place, self.size])
        polynomials = self._polynomials
        for _ in range(order):
            polynomials = polynomials.slopes
        signs = (-1.0) ** np.arange(self.size - order)
        ends = np.stack([polynomials.right, signs * polynomials.left], axis=1)
        sides = (polynomials.alpha, polynomials.beta), (polynomials.beta, polynomials.alpha)
        steps = [[_coefficients(n, *side) for side in sides] for n in range(self.degree - order)]
        return np.concatenate([place, [order], ends.ravel(), np.swapaxes(steps, 1, 2).ravel() if steps else []])

    def compiled_rates(self, order, x, dx, table, dtable):
        return [] if dx is None else [Rate(order + 1, _change(*jax.jvp(self._place, (x,), (dx,))))]

    def default_std(self, fan_in, modes):
        return 1.0 / np.sqrt(fan_in * modes), "truncated_normal"


@dataclass(frozen=True)
class _Polynomials:
    """P_0, P_1, ...: Jacobi polynomials of these exponents, each times a constant.

    Attributes:
        right, left: |P_n| at 1 and at -1.
    """

    alpha: float
    beta: float
    right: tuple[float, ...]
    left: tuple[float, ...]

    @property
    def slopes(self) -> _Polynomials:
        """P_1', P_2', ..., which are polynomials of exponents higher by one (DLMF 18.9.15)."""
        n = np.arange(1, len(self.right))
        growth = n * (n + self.alpha + self.beta + 1) / 2
        right, left = growth / (self.alpha + 1) * self.right[1:], growth / (self.beta + 1) * self.left[1:]
        return _Polynomials(self.alpha + 1, self.beta + 1, tuple(right.tolist()), tuple(left.tolist()))

    def at(self, t: Array) -> list[Array]:
        """By the recurrence P_{n+1} = (A t + B) P_n - C P_{n-1}."""
        values = [jnp.full_like(t, constant) for constant in self.right[:1]]
        line = cache(partial(_line, t))
        for n in range(len(self.right) - 1):
            a, c = _coefficients(n, self.alpha, self.beta)
            growth = self.right[n + 1] / self.right[n]
            slope, offset = a * growth, (1 + c - a) * growth if self.alpha != self.beta else 0.0
            if n == 0:
                values.append(line(slope * self.right[0], offset * self.right[0]))
                continue
            ratio = c * growth * self.right[n] / self.right[n - 1]
            values.append(line(slope, offset) * values[n] - _line(values[n - 1], ratio))
        return values

    def near(self, ends: Ends) -> list[Array]:
        """By R_n = P_n(t) / P_n(nearer end), from R_{n+1} - R_n = c_n (R_n - R_{n-1}) - a_n gap R_n."""
        sides = dict.fromkeys([(self.alpha, self.beta), (self.beta, self.alpha)])
        table = [[_coefficients(n, *side) for side in sides] for n in range(len(self.right) - 1)]

        def advance(latest, coefficients):
            ratio, step = latest
            a, c = (_by_side(ends, *values) for values in zip(*coefficients, strict=True))
            step = c * step - a * (ends.gap * ratio)
            return ratio + step, step

        latest = jnp.ones_like(ends.gap), jnp.zeros_like(ends.gap)
        reached = _reached(advance, latest, table)
        ratios = [latest[0]]
        for n, coefficients in enumerate(table):
            latest = advance(reached.get(n, latest), coefficients)
            ratios.append(latest[0])
        signs = (-1.0) ** np.arange(len(ratios))
        at_ends = zip(self.right, (signs * self.left).tolist(), strict=True)
        return [ratio * _by_side(ends, *values) for ratio, values in zip(ratios, at_ends, strict=True)]


def _change(place: Array | Ends, rate: Any) -> Array:
    """The rate of change of a point, of one of its place."""
    return -place.side * rate.gap if isinstance(place, Ends) else rate


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _evaluated(polynomials: _Polynomials, place: Array | Ends) -> list[Array]:
    """P_0, ..., P_n at ``place``; derivatives of any order are the recurrence of another family, none is expanded."""
    return polynomials.near(place) if isinstance(place, Ends) else polynomials.at(place)


@_evaluated.defjvp
def _rates(polynomials, primals, tangents):
    (place,), (rate,) = primals, tangents
    values = _values(polynomials, place)
    change = _change(place, rate)
    changes = [slope * change for slope in _values(polynomials.slopes, place)]
    return values, [jnp.zeros_like(change), *changes][: len(values)]


_values = jax.jit(_evaluated, static_argnums=0)  # traced once for all layers and derivatives that share it


def _in_two(value: float) -> tuple[float, float]:
    """A number as one of float32 and what that leaves."""
    rounded = float(np.float32(value))
    return rounded, value - rounded


def _line(t: Array, slope: float, offset: float = 0.0) -> Array:
    """slope t + offset, without operations that change nothing."""
    scaled = t if math.isclose(slope, 1, rel_tol=1e-14) else slope * t
    return scaled if offset == 0 else scaled + offset


def _by_side(ends: Ends, right: Any, left: Any = None) -> Any:
    """A constant that may differ between the two halves of the interval."""
    if left is None or (isinstance(left, float) and left == right):
        return right
    if isinstance(left, float) and left == -right:
        return ends.side * right
    return jnp.where(ends.side > 0, right, left).astype(ends.gap.dtype)


def _reached(advance: Callable, begin: tuple[Array, ...], table: Sequence) -> dict[int, tuple[Array, ...]]:
    """Where a long recurrence has come to after every stretch, by number of steps, from a loop of its own.

    XLA computes a chain anew in every kernel that needs its end: without these, each mode starts from the first one.
    On a CPU; loops cost a GPU more than operations.

    Args:
        advance: a step, of the latest values and a row of the table.
        table: the coefficients of all steps.
    """
    parts = (len(table) - 1) // _STRETCH
    if parts < 2 or jax.default_backend() != "cpu":
        return {}
    rows = np.reshape(table[: parts * _STRETCH], (parts, _STRETCH, *np.shape(table[0])))

    def stretch(latest, rows):
        for row in rows:
            latest = advance(latest, row)
        return latest, latest

    latest = jax.lax.scan(stretch, begin, jnp.asarray(rows, begin[0].dtype))[1]
    return {(part + 1) * _STRETCH: tuple(values[part] for values in latest) for part in range(parts)}


def _coefficients(n: int, alpha: float, beta: float) -> tuple[float, float]:
    """(a_n, c_n) of DLMF 18.9.2 for polynomials normalized to 1 at t = 1, where a_n + b_n - c_n = 1."""
    if n == 0:
        return (alpha + beta + 2) / (2 * (alpha + 1)), 0.0
    s = 2 * n + alpha + beta
    growth, growth_before = (n + 1 + alpha) / (n + 1), (n + alpha) / n
    a = (s + 1) * (s + 2) / (2 * (n + 1) * (n + alpha + beta + 1))
    c = (n + alpha) * (n + beta) * (s + 2) / ((n + 1) * (n + alpha + beta + 1) * s)
    return a / growth, c / (growth * growth_before)
