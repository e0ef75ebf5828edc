"""Intervals, boxes and disks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi
from typing import Any

import numpy as np

from edgewise.errors import EdgewiseError, check_positive
from edgewise.physics.geometry.base import (
    EVERYTHING,
    Geometry,
    Part,
    check_names,
    finite,
    finite_number,
    number_text,
    slack,
    usual_names,
)

__all__ = ["Box", "Disk", "Interval"]


class _Rectangular(Geometry):
    """Of coordinates between two numbers each: pieces come in pairs, low and high, axis by axis."""

    def _ends(self) -> tuple[str, ...]:
        """Names of the pieces: low and high end of the first axis, of the second, ..."""
        raise NotImplementedError

    @property
    def measure(self) -> float:
        return float(np.prod(np.diff(self.bounds, axis=1)))

    def contains(self, x: Any, tolerance: Any = None) -> np.ndarray:
        x, bounds = self._points(x), self.bounds
        t = slack(bounds, tolerance)
        return np.all((x >= bounds[:, 0] - t) & (x <= bounds[:, 1] + t), axis=1)

    def _fill(self, u):
        low, high = self.bounds.T
        return low + (high - low) * u, np.ones(len(u), bool)

    def _size(self, piece):
        axis, _ = self._side(piece)
        return float(np.prod(np.delete(np.diff(self.bounds, axis=1), axis)))

    def _piece(self, u, piece):
        axis, end = self._side(piece)
        # the coordinate across the face takes no part: whatever is put there is overwritten
        points, kept = self._fill(np.insert(u, axis, 0.5, axis=1))
        points[:, axis] = self.bounds[axis, end]
        return points, self._normals(points, [piece]), kept

    def _near(self, x, piece, tolerance):
        axis, end = self._side(piece)
        t = np.broadcast_to(slack(self.bounds, tolerance), self.dim)[axis]
        return self.contains(x, tolerance) & (np.abs(x[:, axis] - self.bounds[axis, end]) <= t)

    def _normals(self, x, pieces):
        sides = [self._side(piece) for piece in pieces]
        distances = [np.abs(x[:, axis] - self.bounds[axis, end]) for axis, end in sides]
        table = np.zeros((len(sides), self.dim))
        for row, (axis, end) in zip(table, sides, strict=True):
            row[axis] = 2 * end - 1
        return table[np.argmin(distances, axis=0)]

    def _side(self, piece: str) -> tuple[int, int]:
        """Axis of a piece, and 0 for its low or 1 for its high end."""
        return divmod(self._ends().index(piece), 2)


@dataclass(frozen=True, repr=False)
class Interval(_Rectangular):
    """low <= x <= high.

    Args:
        low, high: the ends.
        name: of the coordinate.  An interval of ``"t"`` is a span of time: its ends are ``"initial"`` and ``"final"``
            too.

    Parts: ``"left"``, ``"right"``.

    Raises:
        EdgewiseError: unless low < high, both finite.
    """

    low: Any
    high: Any
    name: Any = "x"

    def __post_init__(self):
        low, high = finite_number("Interval: low", self.low), finite_number("Interval: high", self.high)
        _check_order("Interval", low, high)
        check_names(self.name, 1)
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def bounds(self) -> np.ndarray:
        return np.array([[self.low, self.high]])

    def _ends(self):
        return ("left", "right")

    def _parts(self):
        low, high = (f"{self.name} = {number_text(end)}" for end in (self.low, self.high))
        parts = {
            EVERYTHING: Part("both ends", ("left", "right")),
            "left": Part(low, ("left",)),
            "right": Part(high, ("right",)),
        }
        if self.name == "t":
            parts |= {"initial": parts["left"], "final": parts["right"]}
        return parts

    def __repr__(self) -> str:
        name = f", name={self.name!r}" if self.name != "x" else ""
        return f"Interval({number_text(self.low)}, {number_text(self.high)}{name})"


@dataclass(frozen=True, repr=False)
class Box(_Rectangular):
    """low_i <= x_i <= high_i for every coordinate i.

    Args:
        low, high: two opposite corners, ``[d]`` each.
        names: of the coordinates; None is x, y, z, and x1, x2, ... from four on.

    Parts: ``"x-"`` where x is smallest, ``"x+"`` where it is largest, ``"y-"``, ...

    Raises:
        EdgewiseError: unless low < high, all finite, as many of the one as of the other.
    """

    low: Any
    high: Any
    names: Any = None

    def __post_init__(self):
        low = finite("Box: low", self.low)
        high = finite("Box: high", self.high, len(low))
        names = check_names(usual_names(len(low)) if self.names is None else self.names, len(low))
        for name, a, b in zip(names, low, high, strict=True):
            _check_order(f"Box: {name}", a, b)
        for key, value in {"low": low, "high": high, "names": names}.items():
            object.__setattr__(self, key, value)

    @property
    def bounds(self) -> np.ndarray:
        return np.stack([self.low, self.high], axis=1)

    def _ends(self):
        return tuple(name + sign for name in self.names for sign in "-+")

    def _parts(self):
        ends = self._ends()
        text = {
            end: f"{end[:-1]} = {number_text(float(value))}" for end, value in zip(ends, self.bounds.flat, strict=True)
        }
        return {EVERYTHING: Part("all faces", ends)} | {end: Part(text[end], (end,)) for end in ends}

    def __repr__(self) -> str:
        names = "" if self.names == usual_names(self.dim) else f", names={self.names!r}"
        return f"Box({number_text(self.low)}, {number_text(self.high)}{names})"


@dataclass(frozen=True, repr=False)
class Disk(Geometry):
    """|x - center| <= radius in the plane.

    Args:
        center: ``[2]``.
        radius: above 0.
        names: of the coordinates.

    Parts: ``"circle"``.

    Raises:
        EdgewiseError: for a center that is not two finite numbers, a radius that is not above 0.
    """

    center: Any = (0.0, 0.0)
    radius: Any = 1.0
    names: Any = ("x", "y")

    def __post_init__(self):
        check_positive("Disk: radius", self.radius)
        center, names = finite("Disk: center", self.center, 2), check_names(self.names, 2)
        for key, value in {"center": center, "radius": float(self.radius), "names": names}.items():
            object.__setattr__(self, key, value)

    @property
    def bounds(self) -> np.ndarray:
        return np.asarray(self.center)[:, None] + self.radius * np.array([-1.0, 1.0])

    @property
    def measure(self) -> float:
        return pi * self.radius**2

    def contains(self, x: Any, tolerance: Any = None) -> np.ndarray:
        return self._distance(self._points(x)) <= self.radius + self._slack(tolerance)

    def _parts(self):
        center = " = ".join([f"|({', '.join(self.names)}) - {number_text(self.center)}|", number_text(self.radius)])
        return {EVERYTHING: Part(center, ("circle",)), "circle": Part(center, ("circle",))}

    def _fill(self, u):
        # equal areas: the radius is the root of a coordinate
        return self.center + self.radius * np.sqrt(u[:, :1]) * _directions(u[:, 1]), np.ones(len(u), bool)

    def _size(self, piece):
        return 2 * pi * self.radius

    def _piece(self, u, piece):
        normals = _directions(u[:, 0])
        return self.center + self.radius * normals, normals, np.ones(len(u), bool)

    def _near(self, x, piece, tolerance):
        return np.abs(self._distance(x) - self.radius) <= self._slack(tolerance)

    def _normals(self, x, pieces: Sequence[str]):
        distance = self._distance(x)[:, None]
        # at the center every direction is as good
        return np.where(distance > 0, (x - self.center) / np.where(distance > 0, distance, 1), [1.0, 0.0])

    def _distance(self, x: np.ndarray) -> np.ndarray:
        return np.hypot(*(x - self.center).T)

    def _slack(self, tolerance: Any) -> float:
        return float(np.max(slack(self.bounds, tolerance)))

    def __repr__(self) -> str:
        names = f", names={self.names!r}" if self.names != ("x", "y") else ""
        return f"Disk({number_text(self.center)}, {number_text(self.radius)}{names})"


def _directions(turns: np.ndarray) -> np.ndarray:
    """Unit vectors ``[n, 2]`` at so many turns from the x axis."""
    angle = 2 * pi * turns
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _check_order(what: str, low: float, high: float) -> None:
    if not low < high:
        raise EdgewiseError(
            f"{what} from {number_text(low)} to {number_text(high)} is empty.",
            "the low end must lie below the high end.",
            f"pass ({number_text(high)}, {number_text(low)})." if high < low else "pass two different numbers.",
        )
