"""Korteweg-de Vries: u_t + u u_x + delta^2 u_xxx = 0, periodic, u(0, x) = cos(pi x) (Zabusky and Kruskal 1965)."""

from __future__ import annotations

from collections.abc import Callable
from math import pi
from typing import Any

import numpy as np

from edgewise.errors import check_count, check_positive
from edgewise.physics.reference import Reference, checked_axis, checked_times
from edgewise.physics.spectral.etdrk4 import solve
from edgewise.physics.spectral.fourier import dealiased_square, evaluate, highest, initial_values, series

__all__ = ["kdv"]


def _cosine(x: np.ndarray) -> np.ndarray:
    return np.cos(pi * x)


def kdv(
    t: Any,
    x: Any,
    *,
    dispersion: Any = 0.022,
    initial: Callable[[np.ndarray], np.ndarray] = _cosine,
    domain: tuple[float, float] = (-1.0, 1.0),
    modes: int = 256,
    step: Any = 1 / 8000,
) -> Reference:
    """Fourier series and ETDRK4, the square free of aliasing.

    Args:
        t: output times, [n_t], from 0.
        x: output points, [n_x], anywhere.
        dispersion: delta.
        initial: u(0, x), [n, 1] -> [n, 1], smooth and periodic on ``domain``.
        domain: one period.
        modes: highest wave number; 256 is the half of a grid of 512.
        step: longest time step.

    Returns:
        Reference with axes (t, x) and one output u.  Relative L2 4e-10 for t in [0, 1], in about 2 s; its
        ``accuracy`` is estimated at each call (2e-9).
    """
    t, x, modes = checked_times(t), checked_axis("x", x), check_count("modes", modes, 8)
    check_positive("dispersion", dispersion)
    origin, period = float(domain[0]), float(domain[1] - domain[0])
    check_positive("the length of domain", period)
    k = 2 * pi / period * np.arange(modes + 1)

    def nonlinear(c: np.ndarray) -> np.ndarray:
        return -0.5j * k * dealiased_square(c)

    start = series(initial, modes, origin, period)
    states, accuracy = solve(1j * dispersion**2 * k**3, nonlinear, start, t, step, highest(modes))
    values = evaluate(states, x, origin, period)
    values[t == 0] = initial_values(initial, x[:, None])
    return Reference((t, x), values[..., None], ("t", "x"), accuracy)
