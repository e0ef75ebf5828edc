"""Real Fourier series u(x) = c_0 + 2 Re sum_k c_k exp(2 pi i k (x - origin) / period), k = 1..modes."""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np
import scipy.fft

from edgewise.errors import ShapeError

__all__ = ["dealiased_square", "evaluate", "highest", "initial_values", "series", "transforms"]

transforms: Any = scipy.fft  # its functions have no types of their own


def initial_values(initial: Any, points: np.ndarray) -> np.ndarray:
    """``initial`` at ``points`` [n, d] as a float64 array [n]; ShapeError unless it returns [n, 1]."""
    values = np.asarray(initial(points), np.float64)
    if values.shape != (len(points), 1):
        raise ShapeError(
            f"the initial condition maps {list(points.shape)} to {list(values.shape)}.",
            "it must return [n, 1], one row a point.",
            "slice columns as x[:, 0:1], not x[:, 0].",
        )
    return values[:, 0]


def highest(modes: int) -> np.ndarray:
    """Mask [modes + 1] of the highest eighth of the modes."""
    return np.arange(modes + 1) > 0.875 * modes


def series(initial: Any, modes: int, origin: float, period: float) -> np.ndarray:
    """Coefficients [modes + 1] of a function [n, 1] -> [n, 1], from four points a wave of the highest mode."""
    x = origin + period * np.arange(4 * modes) / (4 * modes)
    return transforms.rfft(initial_values(initial, x[:, None]), norm="forward")[: modes + 1]


def dealiased_square(c: np.ndarray) -> np.ndarray:
    """Coefficients of u^2 from those of u, free of aliasing: on a grid of three points a wave (Orszag's rule)."""
    modes = len(c) - 1
    u = transforms.irfft(c, transforms.next_fast_len(3 * modes + 1, real=True), norm="forward")
    return transforms.rfft(u * u, norm="forward")[: modes + 1]


def evaluate(c: np.ndarray, x: np.ndarray, origin: float, period: float) -> np.ndarray:
    """The series [..., modes + 1] at any points ``x`` [n], by its sum: [..., n]."""
    k = np.arange(c.shape[-1])
    phase = 2 * pi / period * np.outer(k, x - origin)
    weight = np.where(k == 0, 1.0, 2.0)
    return (np.real(c) * weight) @ np.cos(phase) - (np.imag(c) * weight) @ np.sin(phase)
