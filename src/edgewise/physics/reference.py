"""A reference solution: values on a tensor grid in float64, with its own stated accuracy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from edgewise.errors import DataError, EdgewiseError, ShapeError

__all__ = ["Reference", "checked_axis", "checked_times"]


def checked_axis(name: str, values: Any) -> np.ndarray:
    """``values`` as a float64 array ``[n]``, finite and strictly increasing; :class:`EdgewiseError` otherwise."""
    try:
        axis = np.array(values, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"the axis {name} is not numeric: {values!r}.", do="pass a 1-d array, say np.linspace(0, 1, 101)."
        ) from error
    if axis.ndim != 1 or not axis.size:
        raise ShapeError(
            f"the axis {name} has shape {list(axis.shape)}; it must be [n] with n >= 1.",
            "a reference lies on a tensor grid, one 1-d array of coordinates an axis.",
            "pass say np.linspace(0, 1, 101).",
        )
    if not np.isfinite(axis).all() or (np.diff(axis) <= 0).any():
        raise DataError(
            f"the axis {name} must be finite and strictly increasing.", do=f"pass np.unique of the {name} wanted."
        )
    return axis


def checked_times(values: Any) -> np.ndarray:
    """``values`` as an axis of times that starts at 0 or later; :class:`EdgewiseError` otherwise."""
    times = checked_axis("t", values)
    if times[0] < 0:
        raise DataError(f"t starts at {times[0]:g}.", "the initial condition holds at t = 0.", "pass times >= 0.")
    return times


@dataclass(frozen=True, eq=False)
class Reference:
    """A solution on a tensor grid, read-only.

    Attributes:
        axes: one array ``[n_i]`` a coordinate, strictly increasing; axis 0 is time where there is time.
        values: ``[n_0, ..., n_{d-1}, m]``, one entry of the last axis for each output.
        names: of the coordinates, ``d`` of them.
        accuracy: relative L2 error of the reference itself, 0 for an exact solution.

    Raises:
        ShapeError: where axes, names and values do not fit each other.
        DataError: for axes that do not increase, values that are not finite.
        EdgewiseError: for an accuracy that is negative or not finite, names that repeat.
    """

    axes: tuple[np.ndarray, ...]
    values: np.ndarray
    names: tuple[str, ...]
    accuracy: float = 0.0

    def __post_init__(self):
        names = tuple(self.names)
        if len(set(names)) != len(names) or not all(isinstance(name, str) and name for name in names):
            raise EdgewiseError(f"names={names!r} must be distinct words.", do='pass say ("t", "x").')
        if len(self.axes) != len(names) or not names:
            raise ShapeError(
                f"{len(self.axes)} axes and {len(names)} names.", "every coordinate has one axis and one name."
            )
        axes = tuple(checked_axis(name, axis) for name, axis in zip(names, self.axes, strict=True))
        values, lengths = np.array(self.values, np.float64), [axis.size for axis in axes]
        if values.ndim != len(axes) + 1 or list(values.shape[:-1]) != lengths or not values.shape[-1]:
            raise ShapeError(
                f"values have shape {list(values.shape)}; the axes ask for {[*lengths, 'm']}.",
                "the last axis counts the outputs, also where there is one.",
                "pass values[..., None] for a single output." if list(values.shape) == lengths else "",
            )
        if not np.isfinite(values).all():
            raise DataError(
                f"{np.count_nonzero(~np.isfinite(values))} of {values.size} values are not finite.",
                do="a finer resolution of the solver, or a smaller step.",
            )
        if not isinstance(self.accuracy, Real) or not 0 <= float(self.accuracy) < float("inf"):
            raise EdgewiseError(f"accuracy={self.accuracy!r} must be >= 0 and finite.", do="pass 0.0 for an exact one.")
        for array in (*axes, values):
            array.flags.writeable = False
        for name, value in (("axes", axes), ("values", values), ("names", names), ("accuracy", float(self.accuracy))):
            object.__setattr__(self, name, value)

    @property
    def points(self) -> np.ndarray:
        """The grid, ``[N, d]``, the last coordinate fastest."""
        return np.stack([part.ravel() for part in np.meshgrid(*self.axes, indexing="ij")], axis=1)

    @property
    def flat(self) -> np.ndarray:
        """The values at :attr:`points`, ``[N, m]``."""
        return self.values.reshape(-1, self.values.shape[-1])

    def relative_l2(self, predicted: Any) -> float:
        """|predicted - values| / |values| over all points and outputs, in float64; NaN where a prediction is.

        Args:
            predicted: ``[N, m]``, at :attr:`points`.

        Raises:
            ShapeError: for another shape, [N] included: broadcasting would give a wrong figure.
            DataError: where the reference is zero everywhere.
        """
        predicted, flat = np.asarray(predicted, np.float64), self.flat
        if predicted.shape != flat.shape:
            raise ShapeError(
                f"predictions have shape {list(predicted.shape)}; the reference has {list(flat.shape)}.",
                "one row for each of reference.points, one column for each output.",
                "pass model(reference.points).",
            )
        scale = np.linalg.norm(flat)
        if not scale:
            raise DataError("the reference is zero everywhere.", "an error relative to zero has no meaning.")
        return float(np.linalg.norm(predicted - flat) / scale)

    @classmethod
    def exact(cls, function: Callable[[np.ndarray], Any], axes: Sequence[Any], names: Sequence[str]) -> Reference:
        """The values of a NumPy ``function`` [N, d] -> [N, m] on the grid of ``axes``, with accuracy 0.

        Raises:
            ShapeError: where the function returns anything but [N, m].
        """
        axes = tuple(checked_axis(name, axis) for name, axis in zip(names, axes, strict=False))
        if len(axes) != len(names) or not axes:
            raise ShapeError(f"{len(axes)} axes for {len(names)} names.", "every coordinate has one axis and one name.")
        grid = np.stack([part.ravel() for part in np.meshgrid(*axes, indexing="ij")], axis=1)
        values = np.asarray(function(grid), np.float64)
        if values.ndim != 2 or len(values) != len(grid):
            raise ShapeError(
                f"the exact solution maps [{len(grid)}, {len(axes)}] to {list(values.shape)}.",
                "it must return [N, m], one row a point.",
                "slice columns as x[:, 1:2], not x[:, 1].",
            )
        return cls(axes, values.reshape(*(axis.size for axis in axes), -1), tuple(names))

    def __repr__(self) -> str:
        axes = ", ".join(
            f"{name} {axis.size} in [{axis[0]:g}, {axis[-1]:g}]"
            for name, axis in zip(self.names, self.axes, strict=True)
        )
        return f"Reference({axes}; {self.values.shape[-1]} outputs, accuracy {self.accuracy:.1g})"
