"""Problems to solve at once, with references that are computed when they are asked for.

Each is a function of its physical constants, which returns a :class:`~edgewise.physics.problem.Problem`: the same one
for the same constants, so that programs compiled for it are found again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from inspect import signature
from types import MappingProxyType
from typing import Any

import numpy as np

from edgewise.errors import DataError, check_choice, check_keywords
from edgewise.physics.problem import Problem
from edgewise.physics.problems.advection import advection
from edgewise.physics.problems.allen_cahn import allen_cahn
from edgewise.physics.problems.burgers import burgers
from edgewise.physics.problems.diffusion import diffusion, inverse_diffusion
from edgewise.physics.problems.helmholtz import helmholtz
from edgewise.physics.problems.kdv import kdv
from edgewise.physics.problems.kuramoto_sivashinsky import kuramoto_sivashinsky
from edgewise.physics.problems.lorenz import inverse_lorenz, lorenz
from edgewise.physics.problems.lotka_volterra import inverse_lotka_volterra, lotka_volterra
from edgewise.physics.problems.navier_stokes import navier_stokes
from edgewise.physics.problems.poisson import poisson

__all__ = [
    "PROBLEMS",
    "resolve_problem",
    "allen_cahn",
    "burgers",
    "kdv",
    "helmholtz",
    "poisson",
    "advection",
    "diffusion",
    "inverse_diffusion",
    "kuramoto_sivashinsky",
    "navier_stokes",
    "lotka_volterra",
    "lorenz",
    "inverse_lotka_volterra",
    "inverse_lorenz",
]

PROBLEMS: Mapping[str, Callable[..., Problem]] = MappingProxyType(
    {
        "allen-cahn": allen_cahn,
        "allen-cahn-dirichlet": partial(allen_cahn, "dirichlet"),
        "burgers": burgers,
        "kdv": kdv,
        "helmholtz": helmholtz,
        "poisson": poisson,
        "advection": advection,
        "diffusion": diffusion,
        "inverse-diffusion": inverse_diffusion,
        "kuramoto-sivashinsky": kuramoto_sivashinsky,
        "navier-stokes": navier_stokes,
        "lotka-volterra": lotka_volterra,
        "lorenz": lorenz,
        "inverse-lotka-volterra": inverse_lotka_volterra,
        "inverse-lorenz": inverse_lorenz,
    }
)
"""Built-in problems by name."""


def resolve_problem(name: Any, **constants: Any) -> Problem:
    """The built-in problem called ``name``, with ``constants`` in place of the usual ones; a problem is itself.

    Lists and arrays are taken as tuples.

    Raises:
        UnknownNameError: for a name, or a constant, that there is not.
        DataError: for constants beside a problem.

    >>> resolve_problem("advection", c=30.0)
    Problem('advection' on TimeSpace((0, 1), Interval(0, 6.283185307179586)), 2 conditions)
    """
    if isinstance(name, Problem):
        if constants:
            raise DataError(f"constants {sorted(constants)} of {name!r}, which has its own.", do="leave them out.")
        return name
    check_choice("problem", name, PROBLEMS)
    builder = PROBLEMS[name]
    check_keywords(f"the problem {name!r}", constants, signature(builder).parameters)
    listed = list, np.ndarray
    return builder(**{key: tuple(value) if isinstance(value, listed) else value for key, value in constants.items()})
