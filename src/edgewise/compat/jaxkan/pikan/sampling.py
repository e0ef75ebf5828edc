"""Points inside a box: on a grid, at random, or of low discrepancy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from edgewise.errors import EdgewiseError, check_count

__all__ = ["get_collocs_grid", "get_collocs_random", "get_collocs_sobol"]

Ranges = Sequence[Sequence[Any]]


def get_collocs_grid(ranges: Ranges) -> Array:
    """The points of a grid, ends included, ``[total, d]``: the last coordinate varies fastest.

    Args:
        ranges: (low, high, number of points) of each coordinate.

    Raises ``EdgewiseError`` for a range that is none, or no points.
    """
    lows, highs = _ends(ranges, 3)
    counts = [check_count("number of points in a range", row[2]) for row in ranges]
    axes = [np.linspace(*row) for row in zip(lows, highs, counts, strict=True)]
    return jnp.asarray(np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1))


def get_collocs_random(ranges: Ranges, total_points: int, seed: Any = 42) -> Array:
    """Uniform points, ``[total_points, d]``: jaxKAN's.

    Args:
        ranges: (low, high) of each coordinate.
        total_points: how many.
        seed: of the draw.

    Raises ``EdgewiseError`` for a range that is none, or no points.
    """
    lows, highs = _ends(ranges, 2)
    check_count("total_points", total_points)
    key, columns = jax.random.key(seed), []
    for low, high in zip(lows, highs, strict=True):
        key, own = jax.random.split(key)
        columns.append(jax.random.uniform(own, (total_points,), minval=low, maxval=high))
    return jnp.stack(columns, axis=1)


def get_collocs_sobol(ranges: Ranges, total_points: int, seed: Any = 42) -> Array:
    """The first ``total_points`` of a scrambled Sobol sequence, ``[total_points, d]``: jaxKAN's, and as many as asked.

    Args:
        ranges: (low, high) of each coordinate.
        total_points: how many; powers of two are spread best.
        seed: of the scrambling.

    Raises ``EdgewiseError`` for a range that is none, or no points.
    """
    from scipy.stats.qmc import Sobol  # takes longer to import than all of this library's own modules

    lows, highs = _ends(ranges, 2)
    n = check_count("total_points", total_points)
    options: dict[str, Any] = {"seed": seed}  # SciPy 1.14 does not yet call it rng; a Generator scrambles otherwise
    sequence = Sobol(len(ranges), scramble=True, **options)
    return jnp.asarray(lows + sequence.random_base2((n - 1).bit_length())[:n] * (highs - lows))


def _ends(ranges: Ranges, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Low and high ends, float64 ``[d]``; equal ones keep a coordinate fixed."""
    for row in ranges:
        if len(row) != length or not -np.inf < row[0] <= row[1] < np.inf:
            wanted = "(low, high)" if length == 2 else "(low, high, number of points)"
            raise EdgewiseError(f"{row!r} is no range {wanted}.", do="pass finite ends, the lower one first.")
    if not len(ranges):
        raise EdgewiseError("ranges is empty.", do="pass one range for each coordinate.")
    return np.array([row[0] for row in ranges], float), np.array([row[1] for row in ranges], float)
