"""Standardization of inputs and targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgewise.errors import DataError

__all__ = ["Scaling"]


@dataclass(frozen=True)
class Scaling:
    """z = (x - mean) / std, column by column, and back.

    Attributes:
        mean, std: float64 ``[k]``; ``std`` is 0 for a column that does not vary, whose z is 0 whatever x is.
    """

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, weight: np.ndarray | None, *, reach: float = 1.0) -> Scaling:
        """The scaling that gives ``values`` ``[n, k]`` the mean 0 and the standard deviation ``reach``.

        Args:
            weight: of the rows, ``[n]``; None for all alike.

        Raises ``DataError`` for a column whose variance overflows float64.
        """
        values = np.asarray(values, np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = np.average(values, axis=0, weights=weight)
            std = np.sqrt(np.average((values - mean) ** 2, axis=0, weights=weight))
        if not np.isfinite(std).all():
            column = int(np.argmin(np.isfinite(std)))
            raise DataError(
                f"column {column} has no standard deviation: its values reach {np.abs(values[:, column]).max():.3g}.",
                "their squares overflow.",
                "divide the column by a large number, or pass standardize=False.",
            )
        # what rounding leaves of a column that is constant
        rounding = 10 * np.finfo(np.float64).eps * np.abs(mean)
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
