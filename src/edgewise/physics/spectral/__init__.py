"""Reference solutions by spectral methods in float64, each a function that returns a :class:`Reference`."""

from __future__ import annotations

from edgewise.physics.spectral.allen_cahn import allen_cahn_dirichlet, allen_cahn_periodic
from edgewise.physics.spectral.burgers import burgers
from edgewise.physics.spectral.kdv import kdv
from edgewise.physics.spectral.kuramoto_sivashinsky import kuramoto_sivashinsky
from edgewise.physics.spectral.navier_stokes import navier_stokes, two_vortices
from edgewise.physics.spectral.odes import lorenz, lotka_volterra

__all__ = [
    "allen_cahn_dirichlet",
    "allen_cahn_periodic",
    "burgers",
    "kdv",
    "kuramoto_sivashinsky",
    "navier_stokes",
    "two_vortices",
    "lorenz",
    "lotka_volterra",
]
