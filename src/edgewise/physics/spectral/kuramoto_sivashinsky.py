"""Kuramoto-Sivashinsky: u_t + a u u_x + b u_xx + c u_xxxx = 0, 2 pi-periodic, the chaotic case.

a = 100/16, b = 100/16^2, c = 100/16^4, u(0, x) = cos(x) (1 + sin(x)) (Wang, Sankaran and Perdikaris 2022, arXiv
2203.07404; the chaotic benchmark of jaxpi, whose first time window is t in [0, 0.1] of [0, 1]).
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi
from typing import Any

import numpy as np

from edgewise.errors import check_count, check_positive
from edgewise.physics.reference import Reference, checked_axis, checked_times
from edgewise.physics.spectral.etdrk4 import solve
from edgewise.physics.spectral.fourier import dealiased_square, evaluate, highest, initial_values, series

__all__ = ["kuramoto_sivashinsky"]


def _start(x: np.ndarray) -> np.ndarray:
    return np.cos(x) * (1 + np.sin(x))


def kuramoto_sivashinsky(
    t: Any,
    x: Any,
    *,
    advection: Any = 100 / 16,
    antidiffusion: Any = 100 / 16**2,
    hyperdiffusion: Any = 100 / 16**4,
    initial: Callable[[np.ndarray], np.ndarray] = _start,
    modes: int = 128,
    step: Any = 1e-4,
) -> Reference:
    """Fourier series and ETDRK4, the square free of aliasing.

    Args:
        t: output times, [n_t], from 0.
        x: output points in [0, 2 pi], [n_x], anywhere.
        advection: a.
        antidiffusion: b, which feeds long waves.
        hyperdiffusion: c, which damps short ones.
        initial: u(0, x), [n, 1] -> [n, 1], smooth and 2 pi-periodic.
        modes: highest wave number.
        step: longest time step.

    Returns:
        Reference with axes (t, x) and one output u.  Relative L2 3e-10 for t in [0, 0.1], in half a second, and 1e-7
        for t in [0, 1], where chaos amplifies every error, in 2 s; its ``accuracy`` is estimated at each call.
    """
    t, x, modes = checked_times(t), checked_axis("x", x), check_count("modes", modes, 8)
    check_positive("hyperdiffusion", hyperdiffusion)
    k = np.arange(modes + 1.0)

    def nonlinear(c: np.ndarray) -> np.ndarray:
        return (-0.5j * advection) * k * dealiased_square(c)

    start = series(initial, modes, 0.0, 2 * pi)
    states, accuracy = solve(antidiffusion * k**2 - hyperdiffusion * k**4, nonlinear, start, t, step, highest(modes))
    values = evaluate(states, x, 0.0, 2 * pi)
    values[t == 0] = initial_values(initial, x[:, None])
    return Reference((t, x), values[..., None], ("t", "x"), accuracy)
