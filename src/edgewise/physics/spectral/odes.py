"""Systems of ordinary differential equations: Lotka-Volterra and Lorenz, by DOP853."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from edgewise.errors import EdgewiseError, ShapeError
from edgewise.physics.reference import Reference, checked_times

__all__ = ["lorenz", "lotka_volterra"]

TOLERANCE = 1e-13


def _trajectory(field: Callable[..., Any], start: np.ndarray, times: np.ndarray, tolerance: float) -> np.ndarray:
    """States [n_t, m]; every output time ends a step, since the dense output is of a lower order."""
    states, now, state = [], 0.0, start
    for time in times:
        if time > now:
            done = solve_ivp(field, (now, time), state, "DOP853", rtol=tolerance, atol=tolerance)
            if not done.success:
                raise EdgewiseError(f"no solution beyond t = {done.t[-1]:g}.", done.message, "a shorter time span.")
            now, state = time, done.y[:, -1]
        states.append(state)
    return np.stack(states)


def _reference(field: Callable[..., Any], start: Any, t: Any, count: int) -> Reference:
    times, start = checked_times(t), np.array(start, np.float64)
    if start.shape != (count,):
        raise ShapeError(f"start has shape {list(start.shape)}; it must be [{count}].", do="pass one value an unknown.")
    values, second = (_trajectory(field, start, times, tolerance) for tolerance in (TOLERANCE, 10 * TOLERANCE))
    scale = np.linalg.norm(values)
    accuracy = max(float(np.linalg.norm(values - second) / scale), 1e-14) if scale else 0.0
    return Reference((times,), values, ("t",), accuracy)


def lotka_volterra(
    t: Any, *, alpha: Any = 1.5, beta: Any = 1.0, gamma: Any = 3.0, delta: Any = 1.0, start: Any = (1.0, 1.0)
) -> Reference:
    """x' = alpha x - beta x y, y' = delta x y - gamma y: prey and predators.

    Args:
        t: output times, [n_t], from 0.
        alpha: growth of the prey.
        beta: prey eaten.
        gamma: death of the predators.
        delta: growth of the predators.
        start: (x, y) at t = 0.

    Returns:
        Reference with axis t and outputs (x, y).  Relative L2 1e-13 for t in [0, 20]; its ``accuracy`` is the
        difference to a run with ten times the tolerance.
    """

    def field(_: float, state: np.ndarray) -> tuple[float, float]:
        x, y = state
        return alpha * x - beta * x * y, delta * x * y - gamma * y

    return _reference(field, start, t, 2)


def lorenz(t: Any, *, sigma: Any = 10.0, rho: Any = 28.0, beta: Any = 8 / 3, start: Any = (1.0, 1.0, 1.0)) -> Reference:
    """x' = sigma (y - x), y' = x (rho - z) - y, z' = x y - beta z (Lorenz 1963).

    Args:
        t: output times, [n_t], from 0.
        sigma: Prandtl number.
        rho: Rayleigh number over its critical value.
        beta: of the geometry.
        start: (x, y, z) at t = 0.

    Returns:
        Reference with axis t and outputs (x, y, z).  Relative L2 2e-14 for t in [0, 3], 1e-13 for t in [0, 10]
        and 3e-10 for t in [0, 20]: errors grow as exp(0.9 t).  Its ``accuracy`` is the difference to a run with ten
        times the tolerance.
    """

    def field(_: float, state: np.ndarray) -> tuple[float, float, float]:
        x, y, z = state
        return sigma * (y - x), x * (rho - z) - y, x * y - beta * z

    return _reference(field, start, t, 3)
