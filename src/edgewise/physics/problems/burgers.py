"""Burgers: u_t + u u_x = nu u_xx on [-1, 1], t in [0, 1], u(0, x) = -sin(pi x), u(t, -1) = u(t, 1) = 0."""

from __future__ import annotations

from functools import cache, partial
from math import pi
from typing import Any

import jax.numpy as jnp
import numpy as np

from edgewise.errors import check_positive
from edgewise.physics import spectral
from edgewise.physics.conditions import Dirichlet, Initial
from edgewise.physics.geometry import Interval, TimeSpace
from edgewise.physics.operators import taylor, time_derivative
from edgewise.physics.problem import Problem
from edgewise.physics.reference import Reference

__all__ = ["burgers"]


@cache
def burgers(viscosity: Any = 0.01 / pi) -> Problem:
    """Burgers: a shock of width about 2 nu, which forms at x = 0 near t = 1 / pi.

    Args:
        viscosity: nu.

    Source: Basdevant et al., Comput. Fluids 14 (1986) 23; with nu = 0.01 / pi Raissi, Perdikaris and Karniadakis,
    J. Comput. Phys. 378 (2019) 686.
    Reference: 101 x 257 points of (t, x), Cole-Hopf, relative L2 1e-15.
    """
    check_positive("viscosity", viscosity)

    def equation(u, x):
        value, slope, curvature = taylor(u, x, 1, 2)
        return time_derivative(u, x) + value * slope - viscosity * curvature

    return Problem(
        TimeSpace((0.0, 1.0), Interval(-1.0, 1.0)),
        equation,
        [Initial(value=_start), Dirichlet(value=0.0)],
        reference=partial(_reference, viscosity),
        name="burgers",
        source="Raissi, Perdikaris and Karniadakis 2019",
    )


def _start(x):
    return -jnp.sin(jnp.pi * x[:, 1:2])


@cache
def _reference(viscosity: Any) -> Reference:
    return spectral.burgers(np.linspace(0, 1, 101), np.linspace(-1, 1, 257), viscosity=viscosity)
