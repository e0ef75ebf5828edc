"""Unions and differences of two domains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from edgewise.errors import EdgewiseError
from edgewise.physics.geometry.base import EVERYTHING, TRIES, Geometry, Part, boxed, split
from edgewise.physics.geometry.timespace import TimeSpace
from edgewise.physics.sampling import unit_points

__all__ = ["Difference", "Union"]

SEAM = 1e-9
"""So close, as a share of the largest coordinate, two boundaries count as one when points are spread over them."""

COUNTED = 2**16
"""Points that estimate areas and lengths that have no formula."""


@dataclass(frozen=True, repr=False)
class _Pair(Geometry):
    """Two domains of the same coordinates, called the first and the second.

    A piece of one boundary belongs to the whole where the other shape leaves it.  Where both boundaries coincide, the
    normals tell whether there is domain on one side only; such a piece is counted once, as the first's.
    """

    first: Any
    second: Any

    _sign: ClassVar[float]
    """Of the normals of the second shape."""
    _symbol: ClassVar[str]

    def __post_init__(self):
        kind = type(self).__name__
        for shape in (self.first, self.second):
            if not isinstance(shape, Geometry):
                raise EdgewiseError(f"{kind}: {shape!r} is no domain.", do="pass say Box((0, 0), (1, 1)).")
            if isinstance(shape, TimeSpace):
                raise EdgewiseError(
                    f"{kind} of domains in space and time.",
                    f"the parts of {shape} would lose their meaning.",
                    f"combine the spaces first: TimeSpace(time, a {self._symbol} b).",
                )
        if self.first.names != self.second.names:
            raise EdgewiseError(
                f"{kind} of domains with the coordinates {self.first.names} and {self.second.names}.",
                f"{self.first} and {self.second} do not lie in the same space.",
                "pass domains of the same dimension, with the same names.",
            )

    @property
    def names(self) -> tuple[str, ...]:
        return self.first.names

    @cached_property
    def _shared(self) -> float:
        """The measure of what both have in common, by the share of the smaller one: exact for none or all of it."""
        small, large = sorted((self.first, self.second), key=_measure)
        return small.measure * float(np.mean(large.contains(small.interior(COUNTED), 0.0)))

    def _parts(self):
        parts = {
            f"{which}.{name}": Part(f"{part.text}, as far as it is left", tuple(f"{which}.{p}" for p in part.pieces))
            for which, shape in (("first", self.first), ("second", self.second))
            for name, part in shape._parts().items()
        }
        pieces = (*parts[f"first.{EVERYTHING}"].pieces, *parts[f"second.{EVERYTHING}"].pieces)
        return {EVERYTHING: Part("all that is left of both boundaries", pieces), **parts}

    def _of(self, piece: str) -> tuple[bool, Geometry, str, Geometry]:
        """Whether a piece is the second's, its shape, its name there, and the other shape."""
        which, _, name = piece.partition(".")
        own, other = (self.second, self.first) if which == "second" else (self.first, self.second)
        return which == "second", own, name, other

    def _belongs(self, second: bool, inside: np.ndarray, touching: np.ndarray, facing: np.ndarray) -> np.ndarray:
        """Which points of a shape's boundary are some of the whole's, all ``[n]``.

        ``inside``, ``touching``: whether they lie in the other shape, on its boundary; ``facing``: cosine between
        the outward normals of both shapes.
        """
        raise NotImplementedError

    def _left(self, x: np.ndarray, normals: np.ndarray, second: bool, other: Geometry, t: Any) -> np.ndarray:
        facing = np.sum(normals * other.normals(x), axis=1)
        return self._belongs(second, other.contains(x, 0.0), other.on(x, EVERYTHING, t), facing)

    def _size(self, piece):
        count = {1: 1, 2: COUNTED >> 4}.get(self.dim, COUNTED >> 2)  # along a line the error falls as 1 / count
        u = unit_points(count, max(self.dim - 1, 1))[:, : self.dim - 1]
        return self._reach(piece) * float(np.mean(self._piece(u, piece)[2]))

    def _reach(self, piece):
        _, own, name, _ = self._of(piece)
        return own._reach(name)

    def _piece(self, u, piece):
        second, own, name, other = self._of(piece)
        points, normals, kept = own._piece(u, name)
        kept = kept & self._left(points, normals, second, other, SEAM * float(np.abs(self.bounds).max()))
        return points, normals * (self._sign if second else 1.0), kept

    def _near(self, x, piece, tolerance):
        second, own, name, other = self._of(piece)
        near = own._near(x, name, tolerance)
        near[near] = self._left(x[near], own._normals(x[near], [name]), second, other, tolerance)
        return near

    def _normals(self, x, pieces: Sequence[str]):
        normals, missing = np.zeros_like(x), np.ones(len(x), bool)
        for piece in pieces:
            second, own, name, _ = self._of(piece)
            rows = missing & self._near(x, piece, None)
            normals[rows] = own._normals(x[rows], [name]) * (self._sign if second else 1.0)
            missing &= ~rows
        return normals

    def __repr__(self) -> str:
        texts = [f"({shape!r})" if isinstance(shape, _Pair) else repr(shape) for shape in (self.first, self.second)]
        return f" {self._symbol} ".join(texts)


@dataclass(frozen=True, repr=False)
class Union(_Pair):
    """Points in either of two domains: ``first | second``.

    Args:
        first, second: the domains, of the same coordinates.

    Parts: ``"boundary"``, and what is left of those of both, ``"first.x-"``, ``"second.circle"``, ...  Where the two
    have areas in common, but neither lies within the other, ``measure`` is an estimate to about three digits; sizes
    of parts are where a part is covered in part.

    Raises:
        EdgewiseError: for domains of other dimensions or names of coordinates, or in space and time.
    """

    _sign = 1.0
    _symbol = "|"

    @property
    def bounds(self) -> np.ndarray:
        a, b = self.first.bounds, self.second.bounds
        return np.stack([np.minimum(a[:, 0], b[:, 0]), np.maximum(a[:, 1], b[:, 1])], axis=1)

    @property
    def measure(self) -> float:
        return self.first.measure + self.second.measure - self._shared

    def contains(self, x: Any, tolerance: Any = None) -> np.ndarray:
        return self.first.contains(x, tolerance) | self.second.contains(x, tolerance)

    def _source(self):
        return self.first._source() + self.second._source()

    def _fill(self, u):
        which, u = split(u, [self.first._source(), self.second._source()])
        points, kept = np.empty_like(u), np.empty(len(u), bool)
        for index, shape in enumerate((self.first, self.second)):
            points[which == index], kept[which == index] = shape._fill(u[which == index])
        # what both have in common is the first's, lest it get twice as many points
        second = which == 1
        kept[second] &= ~self.first.contains(points[second], 0.0)
        return points, kept

    def _lattice(self, u):
        return boxed(self, u)

    def _belongs(self, second, inside, touching, facing):
        return np.where(touching, np.abs(facing) < 1 - 1e-6 if second else facing > -1 + 1e-6, ~inside)


@dataclass(frozen=True, repr=False)
class Difference(_Pair):
    """Points in one domain and not in another: ``first - second``, with its boundary.

    Args:
        first: the domain.
        second: what is cut away, of the same coordinates.

    Parts: ``"boundary"``, and what is left of those of both, ``"first.x-"``, ``"second.circle"``, ...; normals on the
    second's point into what was cut away.  Where the second lies neither within nor without the first, ``measure`` is
    an estimate to about three digits; sizes of parts are where a part is cut in part.

    Raises:
        EdgewiseError: for domains of other dimensions or names of coordinates, or in space and time; where nothing is
            left.
    """

    _sign = -1.0
    _symbol = "-"

    def __post_init__(self):
        super().__post_init__()
        for n in (TRIES // 16, TRIES):
            if not np.all(self.second.contains(self.first.interior(n), 0.0)):
                return
        raise EdgewiseError(
            f"nothing is left of {self}.",
            f"all of {TRIES} points spread over the first lie in the second.",
            "cut away less, or swap the two.",
        )

    @property
    def bounds(self) -> np.ndarray:
        return self.first.bounds

    @property
    def measure(self) -> float:
        return self.first.measure - self._shared

    def contains(self, x: Any, tolerance: Any = None) -> np.ndarray:
        cut = self.second.contains(x, 0.0) & ~self.second.on(x, EVERYTHING, tolerance)
        return self.first.contains(x, tolerance) & ~cut

    def _source(self):
        return self.first._source()

    def _fill(self, u):
        return self._uncut(*self.first._fill(u))

    def _lattice(self, u):
        return self._uncut(*self.first._lattice(u))

    def _uncut(self, points: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return points, kept & ~self.second.contains(points, 0.0)

    def _belongs(self, second, inside, touching, facing):
        if second:
            return np.where(touching, np.abs(facing) < 1 - 1e-6, inside)
        return np.where(touching, facing < 1 - 1e-6, ~inside)


def _measure(shape: Geometry) -> float:
    return shape.measure
