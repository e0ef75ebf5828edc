"""Measurements for inverse problems: values of a solution with Gaussian errors."""

from __future__ import annotations

from math import isfinite
from numbers import Real
from typing import Any

import numpy as np

from edgewise.errors import EdgewiseError, check_count
from edgewise.physics.conditions import Data

__all__ = ["measured"]


def measured(points: np.ndarray, values: np.ndarray, noise: Any, largest: float, seed: Any) -> Data:
    """``values`` ``[n, m]`` at ``points`` ``[n, d]``, with errors of ``noise`` times ``largest``, drawn by ``seed``.

    Raises:
        EdgewiseError: unless noise is a number, at least 0.
    """
    if isinstance(noise, bool) or not isinstance(noise, Real) or not isfinite(noise) or noise < 0:
        raise EdgewiseError(f"noise={noise!r} must be a number, at least 0.", do="pass say 0.01, or 0.0 for none.")
    size = float(noise) * largest
    # a stream of its own: the seed also draws the points
    errors = np.random.default_rng((check_count("seed", seed, 0), 1)).standard_normal(values.shape)
    return Data(points=points, values=values + size * errors, noise=size or None)
