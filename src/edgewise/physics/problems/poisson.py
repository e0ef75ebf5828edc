"""Poisson: u_xx + u_yy = -2 w^2 pi^2 u* on [-1, 1]^2, 0 on the boundary."""

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

__all__ = ["poisson"]


@cache
def poisson(w: Any = 1) -> Problem:
    """Poisson with the solution u* = sin(w pi x) sin(w pi y).

    Args:
        w: half-waves per unit of length, a whole number (1, 2 and 4 are published): u* is 0 on the boundary.

    Source: Liu et al., arXiv 2404.19756 ("KAN"), with w = 1.
    Reference: 201 x 201 points of (x, y), exact.
    """
    w = check_count("w", w)

    def equation(u, x):
        wave = jnp.sin(w * jnp.pi * x[:, 0:1]) * jnp.sin(w * jnp.pi * x[:, 1:2])
        return laplacian(u, x) + 2 * w**2 * pi**2 * wave

    return Problem(
        Box((-1.0, -1.0), (1.0, 1.0)),
        equation,
        [Dirichlet(value=0.0)],
        reference=partial(_reference, w),
        name="poisson",
        source="Liu et al. 2024",
    )


@cache
def _reference(w: int) -> Reference:
    def exact(x):
        return np.sin(w * pi * x[:, 0:1]) * np.sin(w * pi * x[:, 1:2])

    return Reference.exact(exact, [np.linspace(-1, 1, 201)] * 2, ("x", "y"))
