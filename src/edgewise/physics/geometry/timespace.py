"""A domain in space over a span of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgewise.errors import EdgewiseError
from edgewise.physics.geometry.base import (
    EVERYTHING,
    Geometry,
    Part,
    check_names,
    finite,
    number_text,
    slack,
)
from edgewise.physics.geometry.shapes import Interval

__all__ = ["TimeSpace"]

_SPACE = Interval(-1.0, 1.0)
_MOMENTS = ("initial", "final")


@dataclass(frozen=True, repr=False)
class TimeSpace(Geometry):
    """Points (t, x) with t in a span of time and x in a domain in space; axis 0 is time.

    Args:
        time: first and last moment.
        space: the domain in space.
        name: of time.

    Parts: ``"boundary"``, which is the boundary of the space at all times, ``"initial"`` and ``"final"``, which are
    the space at the first and the last moment, and the parts of the space, each at all times.  Normals are -1 and +1
    along time on ``"initial"`` and ``"final"``, those of the space elsewhere.

    Raises:
        EdgewiseError: for a span of time that is none, a space that is none, a name that the space has too.
    """

    time: Any = (0.0, 1.0)
    space: Any = _SPACE
    name: Any = "t"

    def __post_init__(self):
        time = finite("TimeSpace: time", self.time, 2)
        if not time[0] < time[1]:
            raise EdgewiseError(
                f"TimeSpace: time from {number_text(time[0])} to {number_text(time[1])} is no span of time.",
                "the first moment lies before the last.",
                "pass say (0, 1).",
            )
        if not isinstance(self.space, Geometry) or isinstance(self.space, TimeSpace):
            raise EdgewiseError(
                f"TimeSpace: space={self.space!r} is no domain in space.",
                "it says where the points lie at every moment.",
                'pass say Interval(-1, 1); for an equation in time alone use Interval(0, 10, name="t").',
            )
        if self.name in self.space.names:
            raise EdgewiseError(
                f"TimeSpace: time and a coordinate in space are both called {self.name!r}.",
                "each coordinate has a name of its own.",
                f"rename one of {(self.name, *self.space.names)}.",
            )
        check_names(self.name, 1)
        object.__setattr__(self, "time", time)

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.space.names)

    @property
    def bounds(self) -> np.ndarray:
        return np.concatenate([[self.time], self.space.bounds])

    @property
    def measure(self) -> float:
        return self._duration * self.space.measure

    @property
    def _duration(self) -> float:
        return self.time[1] - self.time[0]

    def contains(self, x: Any, tolerance: Any = None) -> np.ndarray:
        x = self._points(x)
        return self._at_some_time(x, tolerance) & self.space.contains(x[:, 1:], tolerance)

    def size(self, part: str = EVERYTHING) -> float:
        self._pieces(part)
        return self.space.measure if part in _MOMENTS else self._duration * self.space.size(part)

    def _parts(self):
        space = self.space._parts()
        moments = {
            piece: Part(f"{self.name} = {number_text(time)}", (piece,))
            for piece, time in zip(_MOMENTS, self.time, strict=True)
        }
        at_all_times = {name: Part(f"{part.text}, at all times", part.pieces) for name, part in space.items()}
        return {EVERYTHING: at_all_times[EVERYTHING]} | moments | {**at_all_times, **moments}

    def _times(self, u: np.ndarray) -> np.ndarray:
        return self.time[0] + self._duration * u[:, :1]

    def _fill(self, u):
        points, kept = self.space._fill(u[:, 1:])
        return np.concatenate([self._times(u), points], axis=1), kept

    def _lattice(self, u):
        points, kept = self.space._lattice(u[:, 1:])
        return np.concatenate([self._times(u), points], axis=1), kept

    def _source(self):
        return self._duration * self.space._source()

    def _size(self, piece):
        return self.space.measure if piece in _MOMENTS else self._duration * self.space._size(piece)

    def _reach(self, piece):
        return self.space._source() if piece in _MOMENTS else self._duration * self.space._reach(piece)

    def _piece(self, u, piece):
        if piece in _MOMENTS:
            points, kept = self.space._fill(u)
            points = np.insert(points, 0, self.time[_MOMENTS.index(piece)], axis=1)
            return points, self._normals(points, [piece]), kept
        points, normals, kept = self.space._piece(u[:, 1:], piece)
        return np.concatenate([self._times(u), points], axis=1), np.insert(normals, 0, 0.0, axis=1), kept

    def _near(self, x, piece, tolerance):
        if piece in _MOMENTS:
            at = np.abs(x[:, 0] - self.time[_MOMENTS.index(piece)]) <= self._slack(tolerance)
            return at & self.space.contains(x[:, 1:], tolerance)
        return self._at_some_time(x, tolerance) & self.space._near(x[:, 1:], piece, tolerance)

    def _normals(self, x, pieces: Sequence[str]):
        if pieces[0] in _MOMENTS:
            normals = np.zeros_like(x)
            normals[:, 0] = 2 * _MOMENTS.index(pieces[0]) - 1
            return normals
        return np.insert(self.space._normals(x[:, 1:], pieces), 0, 0.0, axis=1)

    def _at_some_time(self, x: np.ndarray, tolerance: Any) -> np.ndarray:
        t = self._slack(tolerance)
        return (x[:, 0] >= self.time[0] - t) & (x[:, 0] <= self.time[1] + t)

    def _slack(self, tolerance: Any) -> float:
        return float(slack(np.array(self.time), tolerance))

    def __repr__(self) -> str:
        name = f", name={self.name!r}" if self.name != "t" else ""
        return f"TimeSpace({number_text(self.time)}, {self.space!r}{name})"
