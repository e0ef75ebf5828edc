"""Navier-Stokes in two dimensions, as vorticity and velocity: two vortices that turn about each other.

w_t + u w_x + v w_y = (w_xx + w_yy) / Re,  u_x + v_y = 0,  w = v_x - u_y  on the torus [0, 2 pi]^2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from math import pi
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from scipy.special import ive

from edgewise.errors import check_positive
from edgewise.physics import spectral
from edgewise.physics.conditions import Condition, Initial, Periodic
from edgewise.physics.geometry import Box, TimeSpace
from edgewise.physics.operators import grad, laplacian
from edgewise.physics.problem import Problem
from edgewise.physics.reference import Reference
from edgewise.physics.sampling import unit_points

__all__ = ["navier_stokes"]

_SHIFT, _SHARP, _STRONG = 0.6, 8.0, 10.0  # of the spectral solver's two_vortices
_WAVES = 32  # the rest of the series is below 1e-20


@cache
def navier_stokes(reynolds: Any = 100.0, end: Any = 1.0) -> Problem:
    """Two vortices at (pi -+ 0.6, pi), from rest in the mean; they have merged at t = 4 for Re = 100.

    Outputs are u, v, w; equations are that of w, of mass, of w as a curl. They leave the mean velocity open at every
    moment, since whoever moves along sees the same flow: it is 0 as the center (pi, pi), about which the vortices are
    symmetric, is at rest.

    Args:
        reynolds: Re, 1 / viscosity.
        end: last moment.

    Source: the form of the equations and of their outputs from Wang et al., arXiv 2308.08468.
    Reference: 21 x 65 x 65 points of (t, x, y), Fourier series and ETDRK4, relative L2 1e-7 up to t = 1, 3e-7 up to 4.
    """
    check_positive("reynolds", reynolds)
    check_positive("end", end)

    def equation(u, x):
        state, slopes = u(x), grad(u, x)
        of = lambda output, axis: slopes[:, output : output + 1, axis]
        carried = of(2, 0) + state[:, 0:1] * of(2, 1) + state[:, 1:2] * of(2, 2)
        friction = laplacian(partial(_vorticity, u), x, axes=(1, 2)) / reynolds
        return jnp.concatenate([carried - friction, of(0, 1) + of(1, 2), state[:, 2:3] - of(1, 1) + of(0, 2)], axis=1)

    return Problem(
        TimeSpace((0.0, end), Box((0.0, 0.0), (2 * pi, 2 * pi))),
        equation,
        [Initial(value=_start), Periodic(axis="x"), Periodic(axis="y"), _Still()],
        n_out=3,
        reference=partial(_reference, reynolds, end),
        name="navier-stokes",
        source="Wang et al. 2023",
    )


@dataclass(frozen=True, eq=False)
class _Still(Condition):
    """No velocity at the center, at any time."""

    on: Any = "center"
    outputs: tuple[int, ...] | None = (0, 1)

    kind: ClassVar[str] = "rest"

    def check(self, domain):
        pass

    def samples(self, domain, n, method, seed):
        low, high = domain.bounds[0]
        t = low + (high - low) * unit_points(n, 1, method, seed)
        return {"x": np.concatenate([t, np.full((n, 2), pi)], axis=1), "target": np.zeros((n, 2))}

    def residual(self, u, samples):
        return self._of(u(samples["x"])) - samples["target"]


def _vorticity(u, x):
    return u(x)[:, 2:3]


def _start(x):
    """u, v, w of the solver's ``two_vortices``; exp(s cos a) is a series with Bessel functions I_k(s)."""
    a, b = x[:, 1:2] - pi, x[:, 2:3] - pi
    pair = sum(jnp.exp(_SHARP * (jnp.cos(a - shift) + jnp.cos(b) - 2)) for shift in (-_SHIFT, _SHIFT))
    w = _STRONG * (pair - 2 * float(ive(0, _SHARP)) ** 2)
    k = np.arange(_WAVES + 1.0)
    bessel = ive(k, _SHARP) * np.where(k == 0, 1, 2)
    square = k[:, None] ** 2 + k**2
    square[0, 0] = np.inf
    # of the stream function, a series in cos(k a) cos(l b)
    stream = 2 * _STRONG * np.outer(bessel * np.cos(_SHIFT * k), bessel) / square
    of_u, of_v, k = (jnp.asarray(table, x.dtype) for table in (stream * k, stream * k[:, None], k[None]))
    product = partial(jnp.matmul, precision="highest")
    u = -jnp.sum(product(jnp.cos(k * a), of_u) * jnp.sin(k * b), axis=1, keepdims=True)
    v = jnp.sum(product(jnp.sin(k * a), of_v) * jnp.cos(k * b), axis=1, keepdims=True)
    return jnp.concatenate([u, v, w], axis=1)


@cache
def _reference(reynolds: Any, end: Any) -> Reference:
    line = np.linspace(0, 2 * pi, 65)
    return spectral.navier_stokes(np.linspace(0, end, 21), line, line, reynolds=reynolds)
