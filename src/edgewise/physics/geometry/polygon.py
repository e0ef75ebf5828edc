"""Simple polygons, cut into triangles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from edgewise.errors import EdgewiseError
from edgewise.physics.geometry.base import (
    EVERYTHING,
    Geometry,
    Part,
    boxed,
    check_names,
    finite,
    number_text,
    slack,
    split,
)

__all__ = ["Polygon"]

ROUNDING = 1e-12
"""Lengths below this share of the extent count as 0."""


@dataclass(frozen=True, repr=False)
class Polygon(Geometry):
    """The inside of a closed line through ``vertices``, in either direction; it need not be convex.

    Args:
        vertices: ``[k, 2]``, at least 3; a last one that repeats the first is left out.
        names: of the coordinates.

    Parts: ``"edge0"`` from the first vertex to the second, ``"edge1"``, ...

    Raises:
        EdgewiseError: for fewer than 3 vertices, numbers that are not finite, a line that meets itself.

    Cut into triangles by ear clipping (Meisters, Amer. Math. Monthly 82 (1975) 648).
    """

    vertices: Any
    names: Any = ("x", "y")

    def __post_init__(self):
        try:
            rows = list(self.vertices)
        except TypeError:
            rows = []
        vertices = tuple(finite("Polygon: a vertex", row, 2) for row in rows)
        if len(vertices) > 1 and vertices[0] == vertices[-1]:
            vertices = vertices[:-1]
        if len(vertices) < 3:
            raise EdgewiseError(
                f"Polygon: {len(vertices)} different vertices enclose nothing.",
                "a polygon has at least 3.",
                "pass say [(0, 0), (1, 0), (0, 1)].",
            )
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "names", check_names(self.names, 2))
        _check_simple(self._starts, self._steps)

    @property
    def bounds(self) -> np.ndarray:
        return np.stack([self._starts.min(0), self._starts.max(0)], axis=1)

    @property
    def measure(self) -> float:
        return abs(_area(self._starts))

    def contains(self, x: Any, tolerance: Any = None) -> np.ndarray:
        x, t = self._points(x), self._slack(tolerance)
        inside, close = np.zeros(len(x), bool), np.zeros(len(x), bool)
        for start, step in zip(self._starts, self._steps, strict=True):
            away = x - start
            # a ray along the first axis meets an edge whose ends lie on different sides of it
            across = (away[:, 1] < 0) != (away[:, 1] < step[1])
            inside ^= across & ((_cross(step, away) > 0) == (step[1] > 0))
            close |= _distance(x, start, step) <= t
        return inside | close

    @cached_property
    def _starts(self) -> np.ndarray:
        return np.asarray(self.vertices)

    @cached_property
    def _steps(self) -> np.ndarray:
        return np.roll(self._starts, -1, axis=0) - self._starts

    @cached_property
    def _outward(self) -> np.ndarray:
        """Unit normals of the edges, ``[k, 2]``."""
        normals = self._steps[:, ::-1] * np.array([1.0, -1.0]) * np.sign(_area(self._starts))
        return normals / np.hypot(*normals.T)[:, None]

    @cached_property
    def _triangles(self) -> np.ndarray:
        """``[k, 3, 2]``."""
        corners = self._starts[:: 1 if _area(self._starts) > 0 else -1]
        return corners[_ears(corners)]

    def _parts(self):
        k, text = len(self.vertices), [number_text(vertex) for vertex in self.vertices]
        edges = {f"edge{i}": Part(f"{text[i]} to {text[(i + 1) % k]}", (f"edge{i}",)) for i in range(k)}
        return {EVERYTHING: Part("all edges", tuple(edges))} | edges

    def _fill(self, u):
        a, b, c = np.moveaxis(self._triangles, 1, 0)
        which, u = split(u, _cross(b - a, c - a).tolist())
        a, b, c = a[which], b[which], c[which]
        root = np.sqrt(u[:, :1])  # lines parallel to bc: as many points on each as it is long
        return a + root * (b - a) + root * u[:, 1:] * (c - b), np.ones(len(u), bool)

    def _lattice(self, u):
        return boxed(self, u)

    def _size(self, piece):
        return float(np.hypot(*self._steps[_index(piece)]))

    def _piece(self, u, piece):
        i = _index(piece)
        normals = np.tile(self._outward[i], (len(u), 1))
        return self._starts[i] + u * self._steps[i], normals, np.ones(len(u), bool)

    def _near(self, x, piece, tolerance):
        i = _index(piece)
        return _distance(x, self._starts[i], self._steps[i]) <= self._slack(tolerance)

    def _normals(self, x, pieces: Sequence[str]):
        rows = np.array([_index(piece) for piece in pieces])
        return self._outward[rows[np.argmin([_distance(x, self._starts[i], self._steps[i]) for i in rows], axis=0)]]

    def _slack(self, tolerance: Any) -> float:
        return float(np.max(slack(self.bounds, tolerance)))

    def __repr__(self) -> str:
        names = f", names={self.names!r}" if self.names != ("x", "y") else ""
        return f"Polygon({number_text(self.vertices)}{names})"


def _index(piece: str) -> int:
    return int(piece.removeprefix("edge"))


def _cross(a: np.ndarray, b: np.ndarray) -> Any:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _area(vertices: np.ndarray) -> float:
    """Above 0 where the vertices run counterclockwise."""
    away = vertices - vertices[0]
    return float(np.sum(_cross(away[:-1], away[1:])) / 2)


def _distance(x: np.ndarray, start: np.ndarray, step: np.ndarray) -> np.ndarray:
    """From points ``[n, 2]`` to a segment, ``[n]``."""
    away = x - start
    along = np.clip(away @ step / (step @ step), 0, 1)
    return np.hypot(*(away - along[:, None] * step).T)


def _check_simple(starts: np.ndarray, steps: np.ndarray) -> None:
    """Raise ``EdgewiseError`` if the closed line meets itself, or encloses nothing."""
    k, least = len(starts), ROUNDING * np.ptp(starts, axis=0).max()
    why = "the inside is clear only of a line that does not meet itself, and that encloses something."
    do = "pass the vertices in the order in which one walks around the domain, each once."
    lengths = np.hypot(*steps.T)
    if np.any(lengths <= least):
        i = int(np.argmin(lengths))
        raise EdgewiseError(f"Polygon: the vertices {i} and {(i + 1) % k} coincide.", why, do)
    for i in range(k):
        others = np.array([j for j in range(k) if j not in (i, (i + 1) % k)])
        touching = others[_distance(starts[others], starts[i], steps[i]) <= least]
        ahead, after = _cross(steps[i], starts - starts[i]), _cross(steps[i], np.roll(starts, -1, axis=0) - starts[i])
        back, front = _cross(steps, starts[i] - starts), _cross(steps, starts[i] + steps[i] - starts)
        crossing = np.flatnonzero((ahead * after < 0) & (back * front < 0))
        crossing = crossing[~np.isin(crossing, (i, (i + 1) % k, (i - 1) % k))]
        if len(touching):
            raise EdgewiseError(f"Polygon: edge{i} meets the vertex {touching[0]}.", why, do)
        if len(crossing):
            raise EdgewiseError(f"Polygon: edge{i} crosses edge{crossing[0]}.", why, do)


def _ears(corners: np.ndarray) -> np.ndarray:
    """Triangles of a simple polygon that runs counterclockwise, by the numbers of their corners, ``[k, 3]``."""
    left, ears = list(range(len(corners))), []
    least = ROUNDING * np.ptp(corners, axis=0).max() ** 2
    while len(left) > 2:
        at = next((at for at in range(len(left)) if _is_ear(corners[left], at, least)), None)
        if at is None:  # only rounding hides the ears: what is flattest is no loss
            around = corners[left]
            at = int(
                np.argmin(np.abs(_cross(around - np.roll(around, 1, axis=0), np.roll(around, -1, axis=0) - around)))
            )
        ears.append([left[at - 1], left[at], left[(at + 1) % len(left)]])
        del left[at]
    ears = np.array(ears)
    a, b, c = np.moveaxis(corners[ears], 1, 0)
    doubled = _cross(b - a, c - a)
    if abs(np.abs(doubled).sum() / 2 - _area(corners)) > 1e-9 * _area(corners):
        raise EdgewiseError(
            "Polygon: it cannot be cut into triangles.", "edges come too close to each other.", "leave out vertices."
        )
    return ears[doubled > 0]


def _is_ear(around: np.ndarray, at: int, least: float) -> bool:
    """Whether the triangle at one of the corners left has no other corner inside or on it."""
    k = len(around)
    a, b, c = around[at - 1], around[at], around[(at + 1) % k]
    if _cross(b - a, c - b) <= least:
        return False
    rest = np.delete(around, [at - 1 if at else k - 1, at, (at + 1) % k], axis=0)
    sides = [_cross(end - start, rest - start) for start, end in ((a, b), (b, c), (c, a))]
    return not np.any(np.min(sides, axis=0) >= -least) if len(rest) else True
