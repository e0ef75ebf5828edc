"""Helmholtz: u_xx + u_yy + u = (1 - pi^2 (a1^2 + a2^2)) u* on [-1, 1]^2, 0 on the boundary."""

from __future__ import annotations

from functools import cache, partial
from math import pi
from typing import Any

import jax.numpy as jnp
import numpy as np

from edgewise.errors import check_count
from edgewise.physics.conditions import Dirichlet
from edgewise.physics.geometry import Box
from edgewise.physics.operators import laplacian
from edgewise.physics.problem import Problem
from edgewise.physics.reference import Reference

__all__ = ["helmholtz"]


@cache
def helmholtz(a1: Any = 1, a2: Any = 4) -> Problem:
    """Helmholtz with the solution u* = sin(a1 pi x) sin(a2 pi y).

    Args:
        a1, a2: half-waves per unit of length along x and y, whole numbers: u* is 0 on the boundary.

    Source: Wang, Teng and Perdikaris, SIAM J. Sci. Comput. 43 (2021) A3055.
    Reference: 201 x 201 points of (x, y), exact.
    """
    a1, a2 = check_count("a1", a1), check_count("a2", a2)
    factor = 1 - pi**2 * (a1**2 + a2**2)

    def equation(u, x):
        source = factor * jnp.sin(a1 * jnp.pi * x[:, 0:1]) * jnp.sin(a2 * jnp.pi * x[:, 1:2])
        return laplacian(u, x) + u(x) - source

    return Problem(
        Box((-1.0, -1.0), (1.0, 1.0)),
        equation,
        [Dirichlet(value=0.0)],
        reference=partial(_reference, a1, a2),
        name="helmholtz",
        source="Wang, Teng and Perdikaris 2021",
    )


@cache
def _reference(a1: int, a2: int) -> Reference:
    def exact(x):
        return np.sin(a1 * pi * x[:, 0:1]) * np.sin(a2 * pi * x[:, 1:2])

    return Reference.exact(exact, [np.linspace(-1, 1, 201)] * 2, ("x", "y"))
