"""What every domain has: coordinates with names, parts of the boundary with names, points spread evenly over both.

A domain is given by maps from the unit cube, which keep volumes up to a factor: sequences of low discrepancy stay so.
Its boundary consists of *pieces*, each of which has a map of its own; a *part* is one piece or several.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from math import inf, isfinite
from numbers import Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edgewise.errors import CheckedKeywords, DataError, EdgewiseError, ShapeError, check_choice, check_count
from edgewise.physics.sampling import evenly, unit_points

if TYPE_CHECKING:
    from edgewise.physics.geometry.combined import Difference, Union

__all__ = [
    "EVERYTHING",
    "Geometry",
    "Part",
    "boxed",
    "check_names",
    "finite",
    "finite_number",
    "number_text",
    "slack",
    "split",
    "usual_names",
]

EVERYTHING = "boundary"
"""The part that every domain has."""

ROUNDING = 1e-6
"""The usual tolerance, as a share of the largest coordinate: several units of rounding in float32."""

NARROW = 1e-3
"""The most it may be, as a share of the extent: far from 0, rounding in float32 is wider than a domain can be."""

TRIES = 2**16
"""If none of so many points is kept, there is nothing to be found."""


class Part(NamedTuple):
    """A part of the boundary: in words, and the pieces that it consists of."""

    text: str
    pieces: tuple[str, ...]


class Geometry(CheckedKeywords, ABC):
    """A closed, bounded domain; immutable, hashable, equal to one of the same description.

    Points are ``[n, dim]`` in the order of ``names``; what is returned is NumPy in float64.  ``a | b`` and ``a - b``
    are the union and the difference of two domains.  Families give ``names``, ``bounds``, ``measure``, the parts and
    the maps: :meth:`contains`, ``_parts``, ``_fill``, ``_size``, ``_piece``, ``_near``, ``_normals``.
    """

    names: Any
    """Names of the coordinates, a tuple."""

    @property
    def dim(self) -> int:
        """How many coordinates there are."""
        return len(self.names)

    @property
    @abstractmethod
    def bounds(self) -> np.ndarray:
        """The smallest and the largest value of each coordinate, ``[dim, 2]``."""

    @property
    @abstractmethod
    def measure(self) -> float:
        """Length, area or volume."""

    @property
    def parts(self) -> Mapping[str, str]:
        """The parts of the boundary by name, each in words; ``"boundary"`` is all of it."""
        return MappingProxyType({name: part.text for name, part in self._parts().items()})

    @abstractmethod
    def contains(self, x: Any, tolerance: Any = None) -> np.ndarray:
        """Whether points ``[n, dim]`` lie in the domain or on its boundary: bool ``[n]``.

        Args:
            x: the points.
            tolerance: so far outside they may lie, in the units of the coordinates; None is 1e-6 of the largest
                coordinate, which points rounded to float32 pass, but at most a thousandth of the extent.  With 0,
                rounding decides on the boundary.

        Raises ``ShapeError`` for another shape, ``DataError`` for what are no numbers; NaN lies nowhere.
        """

    def on(self, x: Any, part: str = EVERYTHING, tolerance: Any = None) -> np.ndarray:
        """Whether points ``[n, dim]`` lie on a part of the boundary: bool ``[n]``.

        Args:
            x: the points.
            part: a name out of ``parts``.
            tolerance: so far from it they may lie; None as in :meth:`contains`.
        """
        pieces, x = self._pieces(part), self._points(x)
        return np.any([self._near(x, piece, tolerance) for piece in pieces], axis=0)

    def check_inside(self, x: Any, why: str, do: str, whose: str = "") -> None:
        """Raise ``DataError`` where points ``[n, dim]`` lie outside, naming the first of them."""
        x = self._points(x)
        outside = np.flatnonzero(~self.contains(x))
        if len(outside):
            row = int(outside[0])
            told = f"{whose}{len(outside)} of {len(x)} points lie outside {self}, the first in row {row}"
            raise DataError(f"{told}: {x[row].tolist()}.", why, do)

    def normals(self, x: Any, part: str = EVERYTHING) -> np.ndarray:
        """Outward unit normals ``[n, dim]`` at points ``[n, dim]`` on a part of the boundary.

        At a corner it is the normal of one of the pieces that meet; for points off the part it has no meaning.
        """
        return self._normals(self._points(x), self._pieces(part))

    def size(self, part: str = EVERYTHING) -> float:
        """Area or length of a part of the boundary; in one dimension, how many points it has."""
        return float(sum(self._size(piece) for piece in self._pieces(part)))

    def interior(self, n: Any, method: str = "sobol", seed: Any = 0) -> np.ndarray:
        """``n`` points ``[n, dim]`` spread evenly over the domain.

        Args:
            n: how many, at least 1.
            method: see :func:`edgewise.physics.sampling.unit_points`.  The grid of a polygon or a union is the one of
                the box around it, as far as it lies inside.
            seed: a whole number, at least 0.
        """
        mapped = self._lattice if method == "grid" else self._fill
        return _sampled(n, self.dim, method, seed, mapped, f"the inside of {self}")[0]

    def boundary(
        self, n: Any, part: str = EVERYTHING, method: str = "sobol", seed: Any = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """``n`` points spread evenly over a part of the boundary, and the outward unit normals there.

        With one seed, opposite faces of a :class:`Box`, and the ends of an interval in time, get opposite points.
        In one dimension the ends take turns, whatever the method.

        Args:
            n: how many, at least 1.
            part: a name out of ``parts``; of several pieces each gets points in proportion to its size.
            method: see :func:`edgewise.physics.sampling.unit_points`.
            seed: a whole number, at least 0.

        Returns:
            Points ``[n, dim]``, normals ``[n, dim]``.

        Raises:
            EdgewiseError: for an unknown part or method, numbers too small, a part of which nothing is left.
        """
        spread = partial(self._surface, pieces=self._pieces(part))
        points, normals = _sampled(n, self.dim - 1, method, seed, spread, f"the part {part!r} of {self}")
        return points, normals

    def __or__(self, other: Any) -> Union:
        """The union with ``other``."""
        from edgewise.physics.geometry.combined import Union  # built on this module

        return Union(self, other)

    def __sub__(self, other: Any) -> Difference:
        """What is left when ``other`` is cut away."""
        from edgewise.physics.geometry.combined import Difference  # built on this module

        return Difference(self, other)

    @abstractmethod
    def _parts(self) -> dict[str, Part]:
        """The parts; the first is ``"boundary"``."""

    @abstractmethod
    def _fill(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Unit points ``[n, dim]`` mapped to ``[n, dim]``, and whether each is one of the domain, ``[n]``."""

    def _lattice(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """:meth:`_fill` for a grid, which has too few different coordinates to be shared out among several shapes."""
        return self._fill(u)

    def _source(self) -> float:
        """The volume that :meth:`_fill` spreads points over, before some are left out."""
        return self.measure

    @abstractmethod
    def _size(self, piece: str) -> float:
        """Area, length or number of points of a piece."""

    def _reach(self, piece: str) -> float:
        """What :meth:`_piece` spreads points over, before some are left out."""
        return self._size(piece)

    @abstractmethod
    def _piece(self, u: np.ndarray, piece: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Unit points ``[n, dim - 1]`` mapped to points, normals, and whether each is one of the boundary."""

    @abstractmethod
    def _near(self, x: np.ndarray, piece: str, tolerance: Any) -> np.ndarray:
        """Whether ``x`` lies on the piece."""

    @abstractmethod
    def _normals(self, x: np.ndarray, pieces: Sequence[str]) -> np.ndarray:
        """Normals at ``x`` of the nearest of the pieces."""

    def _surface(self, u: np.ndarray, pieces: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Points, normals and which to keep, spread over several pieces together."""
        if self.dim == 1:
            which = np.arange(len(u)) % len(pieces)
        else:
            which, u = split(u, [self._reach(piece) for piece in pieces])
        points, normals, kept = np.empty((len(u), self.dim)), np.empty((len(u), self.dim)), np.empty(len(u), bool)
        for index, piece in enumerate(pieces):
            rows = which == index
            points[rows], normals[rows], kept[rows] = self._piece(u[rows], piece)
        return points, normals, kept

    def _pieces(self, part: Any) -> tuple[str, ...]:
        parts = self._parts()
        check_choice("part of the boundary", part, parts)
        return parts[part].pieces

    def _points(self, x: Any) -> np.ndarray:
        try:
            x = np.asarray(x, np.float64)
        except (TypeError, ValueError) as error:
            raise DataError("the points are no numbers.", str(error), f"pass an array [n, {self.dim}].") from None
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise ShapeError(
                f"points of shape {x.shape} in {self.dim} dimension{'s' * (self.dim > 1)}.",
                f"the coordinates are {', '.join(self.names)}: one column each.",
                f"pass [n, {self.dim}]" + (", say x[:, None]." if x.ndim == 1 and self.dim == 1 else "."),
            )
        return x


def _sampled(
    n: Any, d: int, method: str, seed: Any, mapped: Callable[[np.ndarray], tuple[np.ndarray, ...]], what: str
) -> list[np.ndarray]:
    """``n`` rows of what ``mapped`` makes of unit points ``[m, d]``; its last result says which rows to keep."""
    n, m = check_count("n", n), check_count("n", n)
    while True:
        u = unit_points(m, max(d, 1), method, seed)[:, :d]
        *arrays, kept = mapped(u)
        rows = np.flatnonzero(kept)
        if len(rows) >= n:
            # a sequence may end anywhere; the first rows of a grid would be one side of the domain
            rows = rows[evenly(n, len(rows))] if method == "grid" else rows[:n]
            return [array[rows] for array in arrays]
        if not len(rows) and m >= TRIES:
            raise EdgewiseError(
                f"nothing is left of {what}.",
                f"none of {m} points spread over it belongs to the domain: the other shape covers it, or cuts it away.",
                "leave it out; conditions on 'boundary' hold on what there is.",
            )
        wanted = -(-m * n // len(rows)) if len(rows) else 4 * m
        # what a sequence has too many costs little, one more try much; of a grid nothing should go to waste
        m = max(m + 1, wanted if method == "grid" else wanted + wanted // 20 + 8)


def boxed(shape: Geometry, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit points mapped onto the box around a shape, and whether they lie inside."""
    low, high = shape.bounds.T
    points = low + (high - low) * u
    return points, shape.contains(points, 0.0)


def split(u: np.ndarray, sizes: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Share unit points out among several shapes in proportion to their sizes.

    The first coordinate chooses the shape and is then stretched over (0, 1) again: the points of each shape spread as
    evenly as all did.

    Returns:
        The shape of each point, int ``[n]``, and its unit points, ``[n, d]``.
    """
    ends = np.cumsum(sizes) / np.sum(sizes)
    starts = np.concatenate([[0.0], ends[:-1]])
    which = np.minimum(np.searchsorted(ends, u[:, 0], side="right"), len(ends) - 1)
    u = u.copy()
    u[:, 0] = np.clip((u[:, 0] - starts[which]) / (ends - starts)[which], 2.0**-53, 1 - 2.0**-53)
    return which, u


def slack(bounds: np.ndarray, tolerance: Any) -> Any:
    """The tolerance, or the usual one for coordinates within ``bounds``, ``[..., 2]``."""
    if tolerance is None:
        return np.minimum(ROUNDING * np.abs(bounds).max(-1), NARROW * np.ptp(bounds, axis=-1))
    if isinstance(tolerance, bool) or not isinstance(tolerance, Real) or not 0 <= float(tolerance) < inf:
        raise EdgewiseError(
            f"tolerance must be a finite number, at least 0, got {tolerance!r}.",
            do="pass say 1e-6, in the units of the coordinates, or None.",
        )
    return float(tolerance)


def finite(what: str, values: Any, count: int | None = None) -> tuple[float, ...]:
    """``values`` as a tuple of finite floats, ``count`` of them; ``EdgewiseError`` otherwise."""
    try:
        numbers = tuple(values)
    except TypeError:
        numbers = ()
    if not numbers or (count is not None and len(numbers) != count):
        raise EdgewiseError(
            f"{what} must be {'numbers' if count is None else f'{count} numbers'}, got {values!r}.",
            "there is one for each coordinate." if count != 1 else "",
            f"pass say {tuple(map(float, range(count or 2)))}.",
        )
    return tuple(finite_number(what, number) for number in numbers)


def finite_number(what: str, value: Any) -> float:
    """``value`` as a float; ``EdgewiseError`` unless it is a finite number."""
    if getattr(value, "ndim", None) == 0:  # an element of an array, of JAX too
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real) or not isfinite(value):
        raise EdgewiseError(
            f"{what}: {value!r} is no finite number.",
            "domains are bounded, and described by plain numbers.",
            "pass a number.",
        )
    return float(value)


def check_names(names: Any, count: int) -> tuple[str, ...]:
    """``names`` as a tuple of ``count`` different names; ``EdgewiseError`` otherwise."""
    given = tuple(names) if isinstance(names, Iterable) and not isinstance(names, str) else (names,)
    if len(given) != count or len(set(given)) != count or not all(isinstance(name, str) and name for name in given):
        raise EdgewiseError(
            f"names={names!r} do not name {count} coordinate{'s' * (count > 1)}.",
            "each coordinate has one name, and no two the same.",
            f"pass say {usual_names(count)}.",
        )
    return given


def usual_names(count: int) -> tuple[str, ...]:
    """x, y, z; from four coordinates on x1, x2, ..."""
    return ("x", "y", "z")[:count] if count < 4 else tuple(f"x{i + 1}" for i in range(count))


def number_text(value: Any) -> str:
    """A number, or tuples of numbers, as briefly as can be read back exactly."""
    if isinstance(value, tuple):
        return f"({', '.join(map(number_text, value))}{',' * (len(value) == 1)})"
    return repr(value).removesuffix(".0")
