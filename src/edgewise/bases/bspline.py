"""B-splines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import pairwise
from math import comb, factorial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.polynomial import Polynomial

from edgewise._numerics import floats, magnitude, negative_part, positive_part
from edgewise.bases.base import Basis, Refinement, State
from edgewise.bases.broadcasting import broadcast_modes
from edgewise.bases.compiled import Compiled, Rate
from edgewise.bases.placement import Importance, continued
from edgewise.bases.squash import check_domain
from edgewise.errors import EdgewiseError, check_choice, check_count

__all__ = ["BSpline"]

_COMPARED = 64  # inner knots that points are compared with one by one
_SELECTED = 8  # inner knots of which those around a point are found by comparing, too
_MAX_DEGREE = 7  # beyond, the truncated powers of the uniform form cancel in float32


@dataclass(frozen=True)
class BSpline(Compiled, Basis):
    """B-splines of a ``degree`` on ``intervals`` cells, with the knots continued beyond both ends: G + k modes.

    Args:
        degree: k, of the piecewise polynomials (3 = cubic), 1 to 7.
        intervals: G, the number of cells of the domain.
        domain: first and last knot of the domain.
        extrapolate: "linear" (value and slope at the end, continued), "clip" (the value at the end) or "zero"
            (the B-splines themselves, which fade to 0 over k cells beyond the domain).
        knots: "uniform" or "free".

    State, per input node: ``ends`` ``[n_in, 2]``, the domain of a uniform grid, or ``knots`` ``[n_in, G + 2k + 1]``,
    all knots of a free one in increasing order.  Uniform knots use the cardinal closed form (Schoenberg 1946), free
    ones the Cox-de Boor recurrence (de Boor 1972).  As a basis of KANs: Liu et al., arXiv 2404.19756.
    """

    broadcasts: ClassVar[bool] = True
    resolution: ClassVar[str] = "intervals"

    degree: int = 3
    intervals: int = 5
    domain: tuple[float, float] = (-1.0, 1.0)
    extrapolate: str = "linear"
    knots: str = "uniform"

    def __post_init__(self):
        if check_count("BSpline: degree", self.degree) > _MAX_DEGREE:
            raise EdgewiseError(
                f"BSpline(degree={self.degree}) is above {_MAX_DEGREE}.", do="use degree=3, or Chebyshev."
            )
        check_count("BSpline: intervals", self.intervals)
        check_domain("BSpline", self.domain)
        check_choice("extrapolate of BSpline:", self.extrapolate, ("linear", "clip", "zero"))
        check_choice("knots of BSpline:", self.knots, ("uniform", "free"))

    @classmethod
    def synonyms(cls):
        return super().synonyms() | dict.fromkeys(("k", "order", "spline_order"), "degree")

    @property
    def size(self) -> int:
        return self.intervals + self.degree

    def init(self, n_in, *, key):
        if self.knots == "uniform":
            return {"ends": floats(np.tile(self.domain, (n_in, 1)))}
        return {"knots": floats(np.tile(self._all_knots(), (n_in, 1)))}

    def _all_knots(self) -> np.ndarray:
        """The initial knots, those beyond the domain included, float64 ``[G + 2k + 1]``."""
        return self._even_knots(np.asarray([self.domain], np.float64))[0]

    def breakpoints(self):
        knots = self._all_knots()
        return knots if self.extrapolate == "zero" else knots[self.degree : -self.degree]

    def default_std(self, fan_in, modes):
        return 0.1, "normal"

    def extended(self, state, size, *, n_in, key, importance=None):
        # every old knot stays where it is, so that the finer splines contain the old ones exactly
        even = self.knots == "uniform" and importance is None and self.extrapolate != "zero"
        if even and size % self.intervals == 0:
            return Refinement(self.resized(size), {"ends": state["ends"]})
        knots, k = self._known(state), self.degree
        inner, beyond = knots[:, k:-k], (knots[:, :k], knots[:, -k:])
        if importance is None:
            importance = Importance.even(inner[:, [0, -1]])
        wide = [self._covered(*node, size - self.intervals) for node in zip(inner, importance.ends, strict=True)]
        added = importance.between(wide, [size + 1 - len(row) for row in wide])
        points = np.stack([np.sort(np.append(*node)) for node in zip(wide, added, strict=True)])
        kept = self.extrapolate == "zero"  # beyond the ends these splines fade over the outer knots, which stay too
        return replace(self, intervals=size)._on(points, beyond if kept else None)

    def adapted(self, state, importance):
        return self._on(importance.spread(self.intervals + 1))

    def cells(self, state, n_in):
        knots = self._known(state)
        return knots if self.extrapolate == "zero" else knots[:, self.degree : -self.degree]

    def _known(self, state: State) -> np.ndarray:
        """All knots, float64 ``[n_in, G + 2k + 1]``."""
        if self.knots == "free":
            return np.asarray(state["knots"], np.float64)
        return self._even_knots(np.asarray(state["ends"], np.float64))

    def _even_knots(self, ends: np.ndarray) -> np.ndarray:
        low, high = ends.T[:, :, None]
        return low + np.arange(-self.degree, self.intervals + self.degree + 1) / self.intervals * (high - low)

    def _on(self, points: np.ndarray, beyond: tuple[np.ndarray, np.ndarray] | None = None) -> Refinement:
        """On ``points`` ``[n_in, G + 1]``, continued ``beyond`` them by the mean spacing or as given."""
        if beyond is not None:
            knots = np.concatenate([beyond[0], points, beyond[1]], axis=1)
        else:
            low, high = points[:, :1], points[:, -1:]
            even = low + np.linspace(0, 1, self.intervals + 1) * (high - low)
            if self.knots == "uniform" and np.allclose(points, even, rtol=0, atol=1e-9 * np.ptp(points)):
                return Refinement(self, {"ends": floats(points[:, [0, -1]])})
            knots = continued(points, self.degree)
        return Refinement(replace(self, knots="free"), {"knots": floats(knots)})

    def _covered(self, points: np.ndarray, ends: np.ndarray, budget: int) -> np.ndarray:
        """``points`` ``[G + 1]`` of a node, moved out to ``ends`` where at most ``budget`` knots more allow it.

        The old end is then a knot as often as the continuation, with its first derivative alone, needs it.
        """
        often = {"linear": self.degree - 1, "clip": self.degree, "zero": budget + 1}[self.extrapolate]
        reach = max(points[-1] - points[0], 1e-9)
        beyond = [points[0] - ends[0], ends[1] - points[-1]]
        for side in np.argsort(beyond)[::-1]:  # the farther one first
            if beyond[side] <= 1e-6 * reach or often > budget:
                continue
            budget -= often
            inner, old = (points[1:], points[0]) if side == 0 else (points[:-1], points[-1])
            moved = [ends[0], *[old] * often, *inner] if side == 0 else [*inner, *[old] * often, ends[1]]
            points = np.array(moved)
        return points

    def modes(self, x, state):
        if self.knots == "free":
            return list(jnp.moveaxis(self._free(x, state["knots"]), -2, 0))
        z = self._in_spacings(x, state)
        return [self._uniform(z, slice(m, m + 1)).astype(x.dtype) for m in range(self.size)]

    def blocks(self, x, state, edges):
        if self.knots == "free":
            values = self._free(x, state["knots"])
            return [values[..., start:stop, :] for start, stop in pairwise(edges)]
        z = self._in_spacings(x, state)
        return [broadcast_modes(self._uniform, z, *block).astype(x.dtype) for block in pairwise(edges)]

    @property
    def support(self) -> int | None:
        return self.degree + 1 if self.knots == "uniform" and self.extrapolate != "zero" else None

    def local(self, x, state):
        z = self._in_spacings(x, state)
        half = self.intervals / 2
        inside = _held(z, -half, half)
        # the last cell is closed on the right; as integers, so that not even a NaN is out of bounds
        cell = jnp.clip(jnp.floor(inside + half).astype(jnp.int32), 0, self.intervals - 1)
        u = inside - (cell.astype(z.dtype) - half)
        if self.extrapolate == "linear":
            beyond = negative_part(z + half) + positive_part(z - half)
            values, slopes = jax.jvp(lambda u: _in_cell(u, self.degree, jnp.ones_like(u)), (u,), (jnp.ones_like(u),))
            values = [value + slope * beyond for value, slope in zip(values, slopes, strict=True)]
        else:
            values = _in_cell(u, self.degree, jnp.ones_like(u))
        return cell, [value.astype(x.dtype) for value in values]

    @property
    def compiled_as(self):
        smooth = self.degree > 1  # of a first degree, two slopes meet at a knot, and one is chosen
        return "splines" if smooth and self.support and type(self) is BSpline else None

    def compiled_constants(self, order):
        pieces = _in_cell(Polynomial([0.0, 1.0]), self.degree, Polynomial([1.0]))
        values, slopes = (
            np.stack([np.resize(np.append(piece.deriv(n).coef, np.zeros(n)), self.degree + 1) for piece in pieces])
            for n in (order, order + 1)
        )
        linear = self.extrapolate == "linear"
        keep = order == 0 or (order == 1 and linear)
        slopes = slopes * (order == 0 and linear)
        return np.array([self.intervals, self.degree, keep, *values.ravel(), *slopes.ravel()])

    def compiled_table(self, state):
        return state["ends"]

    def compiled_rates(self, order, x, dx, table, dtable):
        in_spacings = lambda x, ends: self._from_middle(x, ends[..., None, :, 0], ends[..., None, :, 1])
        changes = (dx if dx is not None else jnp.zeros_like(x), dtable if dtable is not None else jnp.zeros_like(table))
        return [Rate(order + 1, jax.jvp(in_spacings, (x, table), changes)[1])]

    def _in_spacings(self, x: Array, state) -> Array:
        """``x`` in knot spacings from the middle of the domain."""
        wide = jnp.promote_types(x.dtype, jnp.float32)
        ends = state["ends"].astype(wide).reshape(*[1] * (x.ndim - 1), -1, 2)
        return self._from_middle(x.astype(wide), ends[..., 0], ends[..., 1])

    def _from_middle(self, x: Array, low: Array, high: Array) -> Array:
        # not from the first knot: float32 then keeps 1e-5 at 200 cells
        return (x - (low + high) / 2) * (self.intervals / (high - low))

    def _uniform(self, z: Array, modes: slice) -> Array:
        """Modes on uniform knots at ``z`` ``[*batch, modes or 1, n_in]``, or one mode at ``[*batch, n_in]``."""
        half = self.intervals / 2
        shape = (*[1] * (z.ndim - 2), -1, 1)
        column = lambda values: jnp.asarray(
            values[modes].reshape(shape) if len(values[modes]) > 1 else values[modes][0], z.dtype
        )
        centres = column(np.arange(self.size) - half - (self.degree - 1) / 2)
        inside = z if self.extrapolate == "zero" else _held(z, -half, half)
        value = _hat(inside, centres) if self.degree == 1 else _cardinal(inside - centres, self.degree)
        if self.extrapolate == "linear":
            for slopes, beyond in zip(
                _end_slopes(self.degree, self.intervals),
                (negative_part(z + half), positive_part(z - half)),
                strict=True,
            ):
                if slopes[modes].any():
                    value = value + column(slopes) * beyond
        return value

    def _free(self, x: Array, knots: Array) -> Array:
        """All modes on free knots, ``[*batch, M, n_in]``."""
        wide = jnp.promote_types(x.dtype, jnp.float32)
        k = self.degree
        t = knots.T.astype(wide)  # [G + 2k + 1, n_in]
        z = x.astype(wide)
        if self.extrapolate == "zero":
            return _cox_de_boor(z, t, k).astype(x.dtype)
        cell, values = self._local_free(x, knots)

        def block(start, stop):
            mode = jnp.arange(start, stop)[:, None] - cell[..., None, :]
            total = jnp.zeros(mode.shape, values[0].dtype)
            for j, value in enumerate(values):
                total = jnp.where(mode == j, value[..., None, :], total)
            return total

        # the few that are not 0, each in its place: a quarter of the time of the recurrence for all of them.  In two
        # halves, joined, for the reason that broadcast_modes has
        middle = (self.size + 1) // 2
        return jnp.concatenate([block(0, middle), block(middle, self.size)], axis=-2).astype(x.dtype)

    def _local_free(self, x: Array, knots: Array) -> tuple[Array, list[Array]]:
        """The first mode that is not 0, ``[*batch, n_in]``, and the values of k + 1 of them, continued by name."""
        k, wide = self.degree, jnp.promote_types(x.dtype, jnp.float32)
        t, z = knots.T.astype(wide), x.astype(wide)
        low, high = t[k], t[-k - 1]
        inside = _held(z, low, high)
        # the last cell is closed on the right, and one that repeated knots left empty holds no point
        inner = t[k + 1 : -k - 1]
        passed, around = jnp.zeros(inside.shape, jnp.int32), list(t[1 : 2 * k + 1])
        if len(inner) > _COMPARED:
            passed = jnp.sum(inside[..., None, :] >= inner, axis=-2, dtype=jnp.int32)
        else:  # a reduction does not vectorize
            for knot in inner:
                passed = passed + (inside >= knot)
        if len(inner) > _SELECTED:
            node = jnp.arange(t.shape[1])
            around = [t.at[passed + j, node].get(mode="promise_in_bounds") for j in range(1, 2 * k + 1)]
        else:  # nor does a gather; of longer chains XLA computes every link many times
            for cell, knot in enumerate(inner, start=1):
                around = [jnp.where(inside >= knot, t[cell + j], known) for j, known in enumerate(around, start=1)]
        formula = lambda z: _in_free_cell(z, around, k)
        if self.extrapolate != "linear":
            return passed, formula(inside)
        values, slopes = jax.jvp(formula, (inside,), (jnp.ones_like(inside),))
        beyond = negative_part(z - low) + positive_part(z - high)
        return passed, [value + slope * beyond for value, slope in zip(values, slopes, strict=True)]


def _held(z: Array, low: Array | float, high: Array | float) -> Array:
    """``z`` held between the ends, with derivative 1 at both (``jnp.clip`` splits ties in halves)."""
    return jnp.where(z < low, low, jnp.where(z > high, high, z))


def _cardinal(u: Array, degree: int) -> Array:
    """The centred cardinal B-spline of unit knot spacing, by truncated powers of its shorter tail."""
    distance = magnitude(u)
    total = jnp.zeros_like(u)
    for j in range((degree + 2) // 2):
        tail = positive_part((degree + 1) / 2 - j - distance)
        total = total + ((-1) ** j * comb(degree + 1, j) / factorial(degree)) * tail**degree
    return total


@jax.custom_jvp
def _hat(z: Array, centres: Array) -> Array:
    """The cardinal B-spline of degree 1 about ``centres``; where it has two slopes, the one towards z = 0.

    At the ends of the domain, which z is measured from the middle of, that is the one from inside.
    """
    return _cardinal(z - centres, 1)


@_hat.defjvp
def _hat_slope(primals, tangents):
    z, centres = primals
    inward = z - centres - 2 * jnp.finfo(z.dtype).eps * z  # a rounding error further in, which decides at a knot
    rises, falls = (inward >= -1) & (inward < 0), (inward >= 0) & (inward < 1)
    slope = rises.astype(z.dtype) - falls.astype(z.dtype)
    return _hat(z, centres), slope * tangents[0]


def _in_cell(u: Any, degree: int, one: Any) -> list[Any]:
    """The k + 1 B-splines of unit knot spacing that are not 0 in a cell, at ``u`` in [0, 1], from the left one on.

    ``one`` is 1 in the type of ``u``: arrays, or polynomials.
    """
    values = [one]
    for k in range(1, degree + 1):
        falling = [(j + 1 - u) * value for j, value in enumerate(values)]
        rising = [(u + (k - 1 - j)) * value for j, value in enumerate(values)]
        inner = [fall + rise for fall, rise in zip(falling[1:], rising, strict=False)]
        values = [value * (1 / k) for value in (falling[0], *inner, rising[-1])]
    return values


def _in_free_cell(x: Array, t: list[Array], degree: int) -> list[Array]:
    """The k + 1 B-splines that are not 0 between ``t[k - 1]`` and ``t[k]``, two of 2 k knots (de Boor 1972)."""
    values = [jnp.ones_like(x)]
    for k in range(1, degree + 1):
        # value j of order k lives on the knots j - k to j + 1 from the cell's left one
        shares = []
        for j in range(k):
            width = t[degree + j] - t[degree - k + j]
            positive = width > 0
            shares.append(values[j] * jnp.where(positive, 1 / jnp.where(positive, width, 1), 0))
        left = [(t[degree + j] - x) * shares[j] for j in range(k)]
        right = [(x - t[degree - k + j]) * shares[j] for j in range(k)]
        inner = [right[j - 1] + left[j] for j in range(1, k)]
        values = [left[0], *inner, right[-1]]
    return values


@partial(jax.jit, static_argnums=2)  # for calls outside compiled code, which would compile every operation
def _cox_de_boor(x: Array, t: Array, degree: int) -> Array:
    """B-splines on knots ``t`` ``[K, n_in]`` at ``x`` ``[*batch, n_in]``: ``[*batch, K - degree - 1, n_in]``.

    The last cell is closed on the right.
    """
    x = x[..., None, :]
    last = jnp.arange(t.shape[0] - 1)[:, None] == t.shape[0] - 2
    inside = (x >= t[:-1]) & ((x < t[1:]) | last & (x == t[1:]))
    values = jnp.where(inside, 1.0, 0.0).astype(x.dtype)
    for order in range(1, degree + 1):
        width = t[order:] - t[:-order]
        inverse = jnp.where(width > 0, 1 / jnp.where(width > 0, width, 1.0), 0.0)
        left = (x - t[: -order - 1]) * inverse[:-1] * values[..., :-1, :]
        right = (t[order + 1 :] - x) * inverse[1:] * values[..., 1:, :]
        values = left + right
    return values


@cache
def _end_slopes(degree: int, intervals: int) -> tuple[np.ndarray, np.ndarray]:
    """Slopes of all uniform B-splines, in knot spacings, at the two ends of the domain: float64 ``[M]`` each."""
    centres = np.arange(intervals + degree) - intervals / 2 - (degree - 1) / 2

    def slope(u):
        tails = np.maximum((degree + 1) / 2 - np.arange(degree + 2) + u[:, None], 0)
        signs = np.array([(-1) ** j * comb(degree + 1, j) for j in range(degree + 2)])
        power = tails ** (degree - 1) * (tails > 0)
        return np.round(power @ signs / factorial(degree - 1), 12)

    # degree 1 has kinks at the ends: there the slope from inside counts, which is minus its mirror image's
    low = slope(np.nextafter(-intervals / 2, 0) - centres)
    return low, -low[::-1]
