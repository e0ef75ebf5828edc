"""Lorenz: x' = sigma (y - x), y' = x (rho - z) - y, z' = x y - beta z; numbers known or not."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from edgewise.errors import check_count, check_positive
from edgewise.physics import spectral
from edgewise.physics.conditions import Initial
from edgewise.physics.geometry import Interval
from edgewise.physics.operators import time_derivative
from edgewise.physics.problem import Problem
from edgewise.physics.problems.measuring import measured
from edgewise.physics.reference import Reference

__all__ = ["inverse_lorenz", "lorenz"]

_START = (1.0, 1.0, 1.0)
_SOURCE = "Lorenz 1963"


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
    numbers = _checked({"sigma": sigma, "rho": rho, "beta": beta}, end)

    def equation(u, t):
        return _missing(u, t, numbers)

    return Problem(
        Interval(0.0, end, name="t"),
        equation,
        [Initial(value=start)],
        n_out=3,
        reference=partial(_reference, *numbers.values(), start, end),
        name="lorenz",
        source=_SOURCE,
    )


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
    numbers = _checked({"sigma": sigma, "rho": rho, "beta": beta}, end)
    check_positive("guess", guess)
    t = end * np.arange(1, check_count("n", n) + 1) / n
    values = spectral.lorenz(t, **numbers, start=start).flat

    return Problem(
        Interval(0.0, end, name="t"),
        _missing,
        [Initial(value=start), measured(t[:, None], values, noise, float(np.abs(values).max()), seed)],
        n_out=3,
        parameters=dict.fromkeys(numbers, float(guess)),
        reference=partial(_reference, *numbers.values(), start, end),
        truth=numbers,
        name="inverse-lorenz",
        source=_SOURCE,
    )


def _missing(u: Any, t: Any, p: Mapping[str, Any]) -> Array:
    state = u(t)
    x, y, z = state[:, 0:1], state[:, 1:2], state[:, 2:3]
    rate = [p["sigma"] * (y - x), x * (p["rho"] - z) - y, x * y - p["beta"] * z]
    return time_derivative(u, t) - jnp.concatenate(rate, axis=1)


def _checked(numbers: dict[str, Any], end: Any) -> dict[str, Any]:
    for name, value in {**numbers, "end": end}.items():
        check_positive(name, value)
    return numbers


@cache
def _reference(sigma: Any, rho: Any, beta: Any, start: Any, end: Any) -> Reference:
    return spectral.lorenz(np.linspace(0, end, 501), sigma=sigma, rho=rho, beta=beta, start=start)
