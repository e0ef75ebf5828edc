"""Residuals of differential equations, as functions of a model and points.

``get_*_res(coefficients)`` returns ``res(model, collocs)``: points ``[N, 2]`` to residuals ``[N, 1]``, of the model's
first output.  Columns are (t, x); for Helmholtz and Poisson (x, y).  ``ShapeError`` is raised for points or outputs of
another shape.
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi
from typing import Any

import jax.numpy as jnp
from jax import Array

from edgewise.errors import ShapeError
from edgewise.physics.operators import derivative

__all__ = [
    "get_ac_res",
    "get_advection_res",
    "get_burgers_res",
    "get_diffusion_res",
    "get_helmholtz_res",
    "get_kdv_res",
    "get_ks_res",
    "get_poisson_res",
    "get_sg_res",
    "get_wave_res",
]

Residual = Callable[[Any, Any], Array]


def get_ac_res(D: Any = 1e-4, c: Any = 5.0) -> Residual:
    """Allen-Cahn: u_t - D u_xx - c (u - u^3)."""

    def ac_res(model: Any, collocs: Any) -> Array:
        u, x = _first_output(model, collocs)
        value = u(x)
        return derivative(u, x, 0) - D * derivative(u, x, 1, 1) - c * (value - value**3)

    return ac_res


def get_diffusion_res(D: Any = 0.25) -> Residual:
    """Diffusion: u_t - D u_xx."""

    def diffusion_res(model: Any, collocs: Any) -> Array:
        u, x = _first_output(model, collocs)
        return derivative(u, x, 0) - D * derivative(u, x, 1, 1)

    return diffusion_res


def get_burgers_res(nu: Any = 0.01 / pi) -> Residual:
    """Burgers: u_t + u u_x - nu u_xx."""

    def burgers_res(model: Any, collocs: Any) -> Array:
        u, x = _first_output(model, collocs)
        return derivative(u, x, 0) + u(x) * derivative(u, x, 1) - nu * derivative(u, x, 1, 1)

    return burgers_res


def get_kdv_res(eta: Any = 1.0, mu: Any = 0.022) -> Residual:
    """Korteweg-de Vries: u_t + eta u u_x + mu^2 u_xxx."""

    def kdv_res(model: Any, collocs: Any) -> Array:
        u, x = _first_output(model, collocs)
        return derivative(u, x, 0) + eta * u(x) * derivative(u, x, 1) + mu**2 * derivative(u, x, 1, 1, 1)

    return kdv_res


def get_sg_res(D: Any = 1.0) -> Residual:
    """Sine-Gordon: u_tt - D u_xx + sin u; D is the square of the speed."""

    def sg_res(model: Any, collocs: Any) -> Array:
        u, x = _first_output(model, collocs)
        return derivative(u, x, 0, 0) - D * derivative(u, x, 1, 1) + jnp.sin(u(x))

    return sg_res


def get_advection_res(c: Any = 20.0) -> Residual:
    """Advection: u_t + c u_x."""

    def advection_res(model: Any, collocs: Any) -> Array:
        u, x = _first_output(model, collocs)
        return derivative(u, x, 0) + c * derivative(u, x, 1)

    return advection_res


def get_helmholtz_res(a1: Any = 1.0, a2: Any = 4.0, k: Any = 1.0) -> Residual:
    """Helmholtz: u_xx + u_yy + k^2 u - f, where f makes sin(pi a1 x) sin(pi a2 y) the solution."""

    def helmholtz_res(model: Any, collocs: Any) -> Array:
        u, x = _first_output(model, collocs)
        f = (k**2 - pi**2 * (a1**2 + a2**2)) * _sines(a1, a2, x)
        return derivative(u, x, 0, 0) + derivative(u, x, 1, 1) + k**2 * u(x) - f

    return helmholtz_res


def get_poisson_res(a1: Any = 4.0, a2: Any = 4.0) -> Residual:
    """Poisson: u_xx + u_yy - f, where f makes sin(pi a1 x) sin(pi a2 y) the solution."""

    def poisson_res(model: Any, collocs: Any) -> Array:
        u, x = _first_output(model, collocs)
        f = -(pi**2) * (a1**2 + a2**2) * _sines(a1, a2, x)
        return derivative(u, x, 0, 0) + derivative(u, x, 1, 1) - f

    return poisson_res


def get_wave_res(c: Any = 4.0) -> Residual:
    """Waves: u_tt - c u_xx; c is the square of the speed."""

    def wave_res(model: Any, collocs: Any) -> Array:
        u, x = _first_output(model, collocs)
        return derivative(u, x, 0, 0) - c * derivative(u, x, 1, 1)

    return wave_res


def get_ks_res(alpha: Any = 100 / 16, beta: Any = 100 / 16**2, gamma: Any = 100 / 16**4) -> Residual:
    """Kuramoto-Sivashinsky: u_t + alpha u u_x + beta u_xx + gamma u_xxxx."""

    def ks_res(model: Any, collocs: Any) -> Array:
        u, x = _first_output(model, collocs)
        transported = derivative(u, x, 0) + alpha * u(x) * derivative(u, x, 1)
        return transported + beta * derivative(u, x, 1, 1) + gamma * derivative(u, x, 1, 1, 1, 1)

    return ks_res


def _first_output(model: Any, collocs: Any) -> tuple[Callable[[Array], Array], Array]:
    """The first output of the model as a function ``[N, 2]`` to ``[N, 1]``, and the points as floats."""
    x = jnp.asarray(collocs, jnp.result_type(collocs, float))
    if x.ndim != 2 or x.shape[1] != 2:
        raise ShapeError(
            f"collocs has shape {x.shape}, expected (N, 2).", do="pass one row a point: (t, x), or (x, y)."
        )

    def u(points: Array) -> Array:
        output = model(points)
        if output.ndim != 2 or output.shape[0] != points.shape[0]:
            raise ShapeError(f"the model returns {output.shape} for {points.shape}, expected ({len(points)}, outputs).")
        return output[:, :1]

    return u, x


def _sines(a1: Any, a2: Any, x: Array) -> Array:
    return jnp.sin(pi * a1 * x[:, :1]) * jnp.sin(pi * a2 * x[:, 1:])
