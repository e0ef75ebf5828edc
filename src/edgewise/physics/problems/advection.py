"""Advection: u_t + c u_x = 0 on [0, 2 pi], periodic, t in [0, 1], u(0, x) = sin(x)."""

from __future__ import annotations

from functools import cache, partial
from math import pi
from typing import Any

import jax.numpy as jnp
import numpy as np

from edgewise.errors import check_positive
from edgewise.physics.conditions import Initial, Periodic
from edgewise.physics.geometry import Interval, TimeSpace
from edgewise.physics.operators import derivative, time_derivative
from edgewise.physics.problem import Problem
from edgewise.physics.reference import Reference

__all__ = ["advection"]


@cache
def advection(c: Any = 20.0) -> Problem:
    """Advection: a sine that travels c / (2 pi) periods to the right.

    Args:
        c: speed; 30 and 80 are published too.

    Source: Krishnapriyan et al., NeurIPS 2021, arXiv 2109.01050 ("convection").
    Reference: 201 x 129 points of (t, x), exact: sin(x - c t).
    """
    check_positive("c", c)

    def equation(u, x):
        return time_derivative(u, x) + c * derivative(u, x, 1)

    return Problem(
        TimeSpace((0.0, 1.0), Interval(0.0, 2 * pi)),
        equation,
        [Initial(value=_start), Periodic(axis="x", order=0)],
        reference=partial(_reference, c),
        name="advection",
        source="Krishnapriyan et al. 2021",
    )


def _start(x):
    return jnp.sin(x[:, 1:2])


@cache
def _reference(c: Any) -> Reference:
    def exact(x):
        return np.sin(x[:, 1:2] - c * x[:, 0:1])

    return Reference.exact(exact, [np.linspace(0, 1, 201), np.linspace(0, 2 * pi, 129)], ("t", "x"))
