"""Lotka-Volterra: x' = alpha x - beta x y, y' = delta x y - gamma y, prey and predators; numbers known or not."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import jax.numpy as jnp
from jax import Array

from edgewise.physics import spectral
from edgewise.physics.operators import time_derivative
from edgewise.physics.problem import Problem
from edgewise.physics.problems.dynamics import Dynamics

__all__ = ["inverse_lotka_volterra", "lotka_volterra"]


@cache
def lotka_volterra(
    alpha: Any = 1.5, beta: Any = 1.0, gamma: Any = 3.0, delta: Any = 1.0, start: Any = (1.0, 1.0), end: Any = 5.0
) -> Problem:
    """Prey x and predators y, the two outputs, over time t in [0, ``end``].

    Args:
        alpha: growth of the prey.
        beta: prey eaten.
        gamma: death of the predators.
        delta: growth of the predators.
        start: (x, y) at t = 0, a tuple.
        end: last moment; one period takes 3.3.

    Source: Lotka, Elements of Physical Biology (1925); Volterra, Nature 118 (1926) 558; with these numbers in the
    examples of SciPy's and MATLAB's solvers.
    Reference: 501 moments, DOP853 with tolerance 1e-13, relative L2 1e-13.
    """
    return _DYNAMICS.forward({"alpha": alpha, "beta": beta, "gamma": gamma, "delta": delta}, start, end)


@cache
def inverse_lotka_volterra(
    alpha: Any = 1.5,
    beta: Any = 1.0,
    gamma: Any = 3.0,
    delta: Any = 1.0,
    start: Any = (1.0, 1.0),
    end: Any = 5.0,
    guess: Any = 2.0,
    n: Any = 50,
    noise: Any = 0.01,
    seed: Any = 0,
) -> Problem:
    """All four numbers unknown, to be found from x and y at ``n`` moments, evenly spaced; the start is known.

    Args:
        alpha, beta, gamma, delta: their true values.
        start, end: as for :func:`lotka_volterra`.
        guess: where the search for each of them starts.
        n: how many moments.
        noise: standard deviation of the Gaussian errors relative to the largest value; 0 for exact ones.
        seed: of the errors.

    Source and reference: as for :func:`lotka_volterra`.
    """
    numbers = {"alpha": alpha, "beta": beta, "gamma": gamma, "delta": delta}
    return _DYNAMICS.inverse(numbers, start, end, guess, n, noise, seed)


def _missing(u: Any, t: Any, p: Mapping[str, Any]) -> Array:
    state = u(t)
    x, y = state[:, 0:1], state[:, 1:2]
    rate = [p["alpha"] * x - p["beta"] * x * y, p["delta"] * x * y - p["gamma"] * y]
    return time_derivative(u, t) - jnp.concatenate(rate, axis=1)


_DYNAMICS = Dynamics("lotka-volterra", "Lotka 1925, Volterra 1926", 2, _missing, spectral.lotka_volterra)
