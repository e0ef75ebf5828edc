"""Lorenz: x' = sigma (y - x), y' = x (rho - z) - y, z' = x y - beta z; numbers known or not."""

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

__all__ = ["inverse_lorenz", "lorenz"]

_START = (1.0, 1.0, 1.0)


@cache
def lorenz(sigma: Any = 10.0, rho: Any = 28.0, beta: Any = 8 / 3, start: Any = _START, end: Any = 3.0) -> Problem:
    """The chaotic convection of Lorenz, outputs x, y, z over time t in [0, ``end``]; errors grow as exp(0.9 t).

    Args:
        sigma: Prandtl number.
        rho: Rayleigh number over its critical value.
        beta: of the geometry.
        start: (x, y, z) at t = 0, a tuple.
        end: last moment.

    Source: Lorenz, J. Atmos. Sci. 20 (1963) 130.
    Reference: 501 moments, DOP853 with tolerance 1e-13, relative L2 2e-14 up to t = 3.
    """
    return _DYNAMICS.forward({"sigma": sigma, "rho": rho, "beta": beta}, start, end)


@cache
def inverse_lorenz(
    sigma: Any = 10.0,
    rho: Any = 28.0,
    beta: Any = 8 / 3,
    start: Any = _START,
    end: Any = 3.0,
    guess: Any = 1.0,
    n: Any = 60,
    noise: Any = 0.01,
    seed: Any = 0,
) -> Problem:
    """All three numbers unknown, to be found from x, y and z at ``n`` moments, evenly spaced; the start is known.

    Args:
        sigma, rho, beta: their true values.
        start, end: as for :func:`lorenz`.
        guess: where the search for each of them starts.
        n: how many moments.
        noise: standard deviation of the Gaussian errors relative to the largest value; 0 for exact ones.
        seed: of the errors.

    Source: the kind of problem is that of DeepXDE's example (Lu et al., SIAM Rev. 63 (2021) 208).
    Reference: as for :func:`lorenz`.
    """
    numbers = {"sigma": sigma, "rho": rho, "beta": beta}
    return _DYNAMICS.inverse(numbers, start, end, guess, n, noise, seed)


def _missing(u: Any, t: Any, p: Mapping[str, Any]) -> Array:
    state = u(t)
    x, y, z = state[:, 0:1], state[:, 1:2], state[:, 2:3]
    rate = [p["sigma"] * (y - x), x * (p["rho"] - z) - y, x * y - p["beta"] * z]
    return time_derivative(u, t) - jnp.concatenate(rate, axis=1)


_DYNAMICS = Dynamics("lorenz", "Lorenz 1963", 3, _missing, spectral.lorenz)
