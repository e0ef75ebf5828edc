"""Korteweg-de Vries: u_t + u u_x + delta^2 u_xxx = 0 on [-1, 1], periodic, t in [0, 1], u(0, x) = cos(pi x)."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from edgewise.errors import check_positive
from edgewise.physics import spectral
from edgewise.physics.conditions import Initial, Periodic
from edgewise.physics.geometry import Interval, TimeSpace
from edgewise.physics.operators import taylor, time_derivative
from edgewise.physics.problem import Problem
from edgewise.physics.reference import Reference

__all__ = ["kdv"]


@cache
def kdv(dispersion: Any = 0.022, end: Any = 1.0) -> Problem:
    """Korteweg-de Vries: a cosine steepens and breaks up into solitons.

    Args:
        dispersion: delta.
        end: last moment.

    Source: Zabusky and Kruskal, Phys. Rev. Lett. 15 (1965) 240; as a benchmark Wang et al., arXiv 2402.00326.
    Reference: 101 x 257 points of (t, x), Fourier series and ETDRK4, relative L2 4e-10 (estimated 2e-9).
    """
    check_positive("dispersion", dispersion)
    check_positive("end", end)

    def equation(u, x):
        value, slope, _, third = taylor(u, x, 1, 3)
        return time_derivative(u, x) + value * slope + dispersion**2 * third

    return Problem(
        TimeSpace((0.0, end), Interval(-1.0, 1.0)),
        equation,
        [Initial(value=_start), Periodic(axis="x", order=2)],
        reference=partial(_reference, dispersion, end),
        name="kdv",
        source="Zabusky and Kruskal 1965",
    )


def _start(x):
    return jnp.cos(jnp.pi * x[:, 1:2])


@cache
def _reference(dispersion: Any, end: Any) -> Reference:
    return spectral.kdv(np.linspace(0, end, 101), np.linspace(-1, 1, 257), dispersion=dispersion)
