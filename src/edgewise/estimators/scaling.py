"""Standardization of inputs and targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgewise.errors import DataError

__all__ = ["Scaling"]

_LEAST = np.finfo(np.float64).tiny ** 0.5  # the square of less is 0, or has lost digits


@dataclass(frozen=True)
class Scaling:
    """z = (x - mean) / std, column by column, and back.

    Attributes:
        mean, std: float64 ``[k]``; ``std`` is 0 for a column that does not vary, whose z is 0 whatever x is.
    """

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, weight: np.ndarray | None, *, reach: float = 1.0, name: str = "X") -> Scaling:
        """The scaling that gives ``values`` ``[n, k]`` the mean 0 and the standard deviation ``reach``.

        Args:
            weight: of the rows, ``[n]``; None for all alike.
            name: of the array, for errors.

        Raises ``DataError`` for a column whose variance overflows float64, or underflows though the column varies.
        """
        values = np.asarray(values, np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = np.average(values, axis=0, weights=weight)
            std = np.sqrt(np.average((values - mean) ** 2, axis=0, weights=weight))
            span = np.ptp(values, axis=0)
        # what rounding leaves of a column that is constant
        rounding = 10 * np.finfo(np.float64).eps * np.abs(mean)
        lost = (std < _LEAST) & (span > rounding)
        for column in np.flatnonzero(~np.isfinite(std) | lost)[:1]:
            many = not lost[column]
            raise DataError(
                f"column {column} of {name} has no standard deviation: its values reach "
                f"{np.abs(values[:, column]).max():.3g}.",
                f"their squares {'overflow' if many else 'underflow'}.",
                f"{'divide' if many else 'multiply'} the column by a large number, or pass standardize=False.",
            )
        return cls(mean, np.where(std > rounding, std, 0.0) / reach)

    @classmethod
    def none(cls, columns: int) -> Scaling:
        """z = x."""
        return cls(np.zeros(columns), np.ones(columns))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """z of x, float64 ``[n, k]``."""
        inverse = np.divide(1.0, self.std, out=np.zeros_like(self.std), where=self.std > 0)
        return (values - self.mean) * inverse

    def inverse(self, values: np.ndarray) -> np.ndarray:
        """x of z, ``[n, k]``."""
        return values * self.std + self.mean
