"""Allen-Cahn: u_t = D u_xx + r (u - u^3) on [-1, 1], t in [0, 1], u(0, x) = x^2 cos(pi x)."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from edgewise.errors import check_choice, check_positive
from edgewise.physics.conditions import Dirichlet, Initial, Periodic
from edgewise.physics.geometry import Interval, TimeSpace
from edgewise.physics.operators import taylor, time_derivative
from edgewise.physics.problem import Problem
from edgewise.physics.reference import Reference
from edgewise.physics.spectral import allen_cahn_dirichlet, allen_cahn_periodic

__all__ = ["allen_cahn"]

_SOLVERS = {"periodic": allen_cahn_periodic, "dirichlet": allen_cahn_dirichlet}


@cache
def allen_cahn(boundary: Any = "periodic", diffusion: Any = 1e-4, reaction: Any = 5.0) -> Problem:
    """Allen-Cahn, with periodic u and u_x, or with u(t, -1) = u(t, 1) = -1.

    u_0 has a kink where its period closes (u_x = 2 at -1 and -2 at 1), which diffusion smoothes at once. u_0 built into
    a trial function keeps that kink at all times unless the network takes it out.

    Args:
        boundary: "periodic" or "dirichlet".
        diffusion: D.
        reaction: r.

    Source: Raissi, Perdikaris and Karniadakis, J. Comput. Phys. 378 (2019) 686 (periodic); with -1 at the
    ends in the examples of DeepXDE (Lu et al., SIAM Rev. 63 (2021) 208).
    Reference: 101 x 257 points of (t, x), cosine series and ETDRK4, relative L2 2e-12 (periodic), 2e-11 (Dirichlet).
    """
    check_choice("boundary", boundary, _SOLVERS)
    check_positive("diffusion", diffusion)
    check_positive("reaction", reaction)

    def equation(u, x):
        value, _, curvature = taylor(u, x, 1, 2)
        return time_derivative(u, x) - diffusion * curvature - reaction * (value - value**3)

    return Problem(
        TimeSpace((0.0, 1.0), Interval(-1.0, 1.0)),
        equation,
        [Initial(value=_start), Periodic(axis="x") if boundary == "periodic" else Dirichlet(value=-1.0)],
        reference=partial(_reference, boundary, diffusion, reaction),
        name="allen-cahn" if boundary == "periodic" else "allen-cahn-dirichlet",
        source="Raissi, Perdikaris and Karniadakis 2019",
    )


def _start(x):
    return x[:, 1:2] ** 2 * jnp.cos(jnp.pi * x[:, 1:2])


@cache
def _reference(boundary: Any, diffusion: Any, reaction: Any) -> Reference:
    t, x = np.linspace(0, 1, 101), np.linspace(-1, 1, 257)
    return _SOLVERS[boundary](t, x, diffusion=diffusion, reaction=reaction)
