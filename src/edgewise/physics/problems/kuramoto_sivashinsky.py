"""Kuramoto-Sivashinsky: u_t + a u u_x + b u_xx + c u_xxxx = 0 on [0, 2 pi], periodic, u(0, x) = cos(x) (1 + sin(x))."""

from __future__ import annotations

from functools import cache, partial
from math import pi
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

__all__ = ["kuramoto_sivashinsky"]


@cache
def kuramoto_sivashinsky(
    advection: Any = 100 / 16, antidiffusion: Any = 100 / 16**2, hyperdiffusion: Any = 100 / 16**4, end: Any = 0.1
) -> Problem:
    """Kuramoto-Sivashinsky in its first window of time; t in [0, 1] is chaotic.

    Args:
        advection: a.
        antidiffusion: b, which feeds long waves.
        hyperdiffusion: c, which damps short ones.
        end: last moment, 0.1 for the first window.

    Source: Wang, Sankaran and Perdikaris, arXiv 2203.07404.
    Reference: 101 x 257 points of (t, x), Fourier series and ETDRK4, relative L2 3e-10 up to t = 0.1, 1e-7 up to 1.
    """
    for name, value in (
        ("advection", advection), ("antidiffusion", antidiffusion), ("hyperdiffusion", hyperdiffusion), ("end", end)
    ):  # fmt: skip
        check_positive(name, value)

    def equation(u, x):
        value, slope, curvature, _, fourth = taylor(u, x, 1, 4)
        waves = antidiffusion * curvature + hyperdiffusion * fourth
        return time_derivative(u, x) + advection * value * slope + waves

    return Problem(
        TimeSpace((0.0, end), Interval(0.0, 2 * pi)),
        equation,
        [Initial(value=_start), Periodic(axis="x", order=3)],
        reference=partial(_reference, advection, antidiffusion, hyperdiffusion, end),
        name="kuramoto-sivashinsky",
        source="Wang, Sankaran and Perdikaris 2022",
    )


def _start(x):
    return jnp.cos(x[:, 1:2]) * (1 + jnp.sin(x[:, 1:2]))


@cache
def _reference(advection: Any, antidiffusion: Any, hyperdiffusion: Any, end: Any) -> Reference:
    return spectral.kuramoto_sivashinsky(
        np.linspace(0, end, 101),
        np.linspace(0, 2 * pi, 257),
        advection=advection,
        antidiffusion=antidiffusion,
        hyperdiffusion=hyperdiffusion,
    )
