"""Diffusion: u_t = D u_xx on [0, 1], t in [0, 1], u(0, x) = sin(pi x), u(t, 0) = u(t, 1) = 0; D known or not."""

from __future__ import annotations

from functools import cache, partial
from math import pi
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from edgewise.errors import check_count, check_positive
from edgewise.physics.conditions import Dirichlet, Initial
from edgewise.physics.geometry import Interval, TimeSpace
from edgewise.physics.operators import derivative, time_derivative
from edgewise.physics.problem import Problem
from edgewise.physics.problems.measuring import measured
from edgewise.physics.reference import Reference

__all__ = ["diffusion", "inverse_diffusion"]


@cache
def diffusion(D: Any = 0.25) -> Problem:
    """Diffusion of a half-wave that dies away.

    Args:
        D: diffusion coefficient; at 0.25 u falls to 8 % within t = 1.

    Source: Rigas et al., IEEE Access 12 (2024), arXiv 2407.17611, for the equation.
    Reference: 101 x 129 points of (t, x), exact: sin(pi x) exp(-D pi^2 t).
    """
    check_positive("D", D)

    def equation(u, x):
        return _missing(u, x, D)

    return Problem(
        _domain(),
        equation,
        _conditions(),
        reference=partial(_reference, D),
        name="diffusion",
        source="Rigas et al. 2024",
    )


@cache
def inverse_diffusion(D: Any = 0.1, guess: Any = 1.0, n: Any = 200, noise: Any = 0.01, seed: Any = 0) -> Problem:
    """Diffusion with D unknown, to be found from ``n`` values of u at random points inside.

    u depends on D and t through D pi^2 t alone: data tell D best where that is about 1. 0.1 lets it run from 0 to 1
    within t = 1. No estimate without bias is then better than a standard error of 3.5e-4 from 200 values with 1 %
    noise (the bound of Cramer and Rao, all else known): 0.35 % of D.  It falls as noise / sqrt(n).

    Args:
        D: its true value.
        guess: where the search starts.
        n: how many values.
        noise: standard deviation of their Gaussian errors relative to the largest value, which is 1; 0 for exact ones.
        seed: of points and errors.

    Source: Raissi, Perdikaris and Karniadakis, J. Comput. Phys. 378 (2019) 686, for the kind of problem.
    Reference: as for :func:`diffusion`.
    """
    for name, value in (("D", D), ("guess", guess)):
        check_positive(name, value)
    n, seed = check_count("n", n), check_count("seed", seed, 0)
    domain = _domain()
    points = domain.interior(n, "uniform", seed)
    data = measured(points, _exact(points, D), noise, 1.0, seed)

    def equation(u, x, p):
        return _missing(u, x, p["D"])

    return Problem(
        domain,
        equation,
        [*_conditions(), data],
        parameters={"D": guess},
        reference=partial(_reference, D),
        truth={"D": D},
        name="inverse-diffusion",
        source="Raissi, Perdikaris and Karniadakis 2019",
    )


def _domain() -> TimeSpace:
    return TimeSpace((0.0, 1.0), Interval(0.0, 1.0))


def _conditions() -> list:
    return [Initial(value=_start), Dirichlet(value=0.0)]


def _missing(u: Any, x: Any, D: Any) -> Array:
    return time_derivative(u, x) - D * derivative(u, x, 1, 1)


def _start(x):
    return jnp.sin(jnp.pi * x[:, 1:2])


def _exact(x: np.ndarray, D: Any) -> np.ndarray:
    return np.sin(pi * x[:, 1:2]) * np.exp(-D * pi**2 * x[:, 0:1])


@cache
def _reference(D: Any) -> Reference:
    return Reference.exact(partial(_exact, D=D), [np.linspace(0, 1, 101), np.linspace(0, 1, 129)], ("t", "x"))
