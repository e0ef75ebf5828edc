"""Settings that solve the built-in problems: the network, the points, the steps.

All are separable networks trained by Levenberg-Marquardt: each coordinate has the basis that suits it, and grids are
dense where the solution is steep.  ``benchmarks/pde.py`` records how accurate they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from flax import nnx

from edgewise.bases import Basis, BSpline, Chebyshev, Fourier
from edgewise.models import SeparableKAN
from edgewise.physics.conditions import Periodic
from edgewise.physics.geometry import graded
from edgewise.physics.problem import Problem
from edgewise.physics.solution import Solution
from edgewise.physics.solve import solve
from edgewise.refine import adapt

__all__ = ["RECIPES", "Recipe", "recipe_of"]

_PLACED = 4096  # points that knots follow


@dataclass(frozen=True)
class Recipe:
    """How to solve a problem.

    Attributes:
        bases: one for each coordinate.
        rank: terms of the separable network.
        points: of the equation.
        steps: of Levenberg-Marquardt.
        densities: of knots, for coordinates by name (see :func:`edgewise.physics.geometry.graded`); half of the points
            are as dense, half are even.
        options: further arguments of :func:`edgewise.physics.solve`.
    """

    bases: tuple[Basis, ...]
    rank: int
    points: int = 2000
    steps: int = 100
    densities: Mapping[str, Callable[[np.ndarray], Any]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def model(self, problem: Problem, seed: int = 0) -> nnx.Module:
        """The network, freshly drawn."""
        model = SeparableKAN(self.bases, problem.n_out, rank=self.rank, rngs=nnx.Rngs(seed))
        if self.densities:
            x = graded(problem.domain, _PLACED, self.densities)
            low, high = problem.domain.bounds.T
            adapt(model, (2 * (x - low) / (high - low) - 1).astype(np.float32), adaptivity=0.99)
        return model

    def settings(self, problem: Problem, seed: int = 0) -> dict[str, Any]:
        """The arguments of ``solve`` beside problem and model."""
        settings: dict[str, Any] = {"seed": seed, "points": self.points, "steps": self.steps}
        if self.densities:
            halves = {name: _half_even(problem, name, density) for name, density in self.densities.items()}
            settings["points"] = graded(problem.domain, self.points, halves, seed=seed)
        placed = settings["points"]
        settings |= self.options
        if "points" in self.options:
            settings["points"] = {"equation": placed, **self.options["points"]}
        return settings

    def solve(self, problem: Problem, seed: int = 0, **changes: Any) -> Solution:
        """The problem, solved; ``changes`` replace single arguments of ``solve``."""
        return solve(problem, self.model(problem, seed), **self.settings(problem, seed) | changes)


def recipe_of(problem: Any) -> Recipe:
    """The recipe of a problem, given itself or by its name; one that suits smooth solutions where it has none.

    That is splines over time alone, or polynomials, with waves along periodic coordinates; of what is known by name
    only, polynomials of two coordinates.
    """
    name = problem.name if isinstance(problem, Problem) else problem
    if name in RECIPES:
        return RECIPES[name]
    dim = problem.domain.dim if isinstance(problem, Problem) else 2
    if dim == 1:
        return Recipe((BSpline(5, 60),), rank=1, points=256, steps=150)
    bases: list[Basis] = [_polynomials(20)] * dim
    conditions = problem.conditions if isinstance(problem, Problem) else ()
    periodic = [condition for condition in conditions if isinstance(condition, Periodic)]
    for condition in periodic:
        bases[condition.column(problem.domain)] = Fourier(12, period=2.0)
    options = _periodic_by_itself(*(condition.name for condition in periodic)) if periodic else {}
    return Recipe(tuple(bases), rank=8, points=3000, steps=150, options=options)


def _periodic_by_itself(*names: str) -> dict[str, Any]:
    """For bases that are periodic themselves: nothing is built in, and the terms are 0 at their few points."""
    return {"hard": dict.fromkeys(names, False), "points": dict.fromkeys(names, 8)}


def _half_even(problem: Problem, name: str, density: Callable[[np.ndarray], Any]) -> Callable[[np.ndarray], Any]:
    low, high = problem.domain.bounds[problem.domain.names.index(name)]
    mean = np.mean(density(np.linspace(low, high, _PLACED)))
    return lambda x: density(x) + mean


def _polynomials(degree: int) -> Chebyshev:
    return Chebyshev(degree, squash=None)


def _splines(intervals: int) -> BSpline:
    return BSpline(5, intervals, knots="free")


def _shock(x: np.ndarray) -> np.ndarray:
    return 1 / np.hypot(x, 0.005)


def _while_it_forms(t: np.ndarray) -> np.ndarray:
    return 1 + 8 * np.exp(-(((t - 0.33) / 0.1) ** 2))


def _interfaces(x: np.ndarray) -> np.ndarray:
    """Interfaces at 1/2, the dip at 0 where u stays near 0 while it leaves it all around, the layer at the ends."""
    interface, dip = np.exp(-(((np.abs(x) - 0.5) / 0.035) ** 2)), np.exp(-((x / 0.12) ** 2))
    return 1 + 14 * interface + 2 * dip + 8 * np.exp((np.abs(x) - 1) / 0.02)


def _beginning(t: np.ndarray) -> np.ndarray:
    return 1 + 4 * np.exp(-t / 0.05)


_ALLEN_CAHN = Recipe(
    (_polynomials(14), _splines(110)), rank=12, points=14000, steps=40,
    densities={"x": _interfaces, "t": _beginning}, options={"windows": 2},
)  # fmt: skip
_SMOOTH = Recipe((_polynomials(10),) * 2, rank=3, points=800, steps=60)

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "diffusion": _SMOOTH,
        "inverse-diffusion": _SMOOTH,
        "poisson": Recipe((_polynomials(22),) * 2, rank=3, points=2500, steps=80),
        "helmholtz": Recipe((_polynomials(26),) * 2, rank=3, points=3000, steps=100),
        "advection": Recipe(
            (_polynomials(36), Fourier(2, period=2.0)), rank=4, points=1500, steps=80,
            options=_periodic_by_itself("periodic in x"),
        ),
        "burgers": Recipe(
            (_splines(48), _splines(72)), rank=18, points=10000, steps=80,
            densities={"x": _shock, "t": _while_it_forms},
        ),
        # periodic is not built in: the kink of the start would stay
        "allen-cahn": replace(_ALLEN_CAHN, options={**_ALLEN_CAHN.options, "hard": {"periodic in x": False}}),
        "allen-cahn-dirichlet": _ALLEN_CAHN,
        # waves until their share of the residual is small, too: k^3 and k^4 times that of the solution
        "kdv": Recipe(
            (_polynomials(14), Fourier(96, period=2.0)), rank=12, points=8000, steps=25,
            options={"windows": 5} | _periodic_by_itself("periodic in x"),
        ),
        "kuramoto-sivashinsky": Recipe(
            (_polynomials(12), Fourier(96, period=2.0)), rank=9, points=8000, steps=25,
            options={"windows": 2} | _periodic_by_itself("periodic in x"),
        ),
        # in one stretch of time it would settle at the fixed point 0
        "lorenz": Recipe((BSpline(5, 48),), rank=1, points=256, steps=120, options={"windows": 4}),
        # measurements count little beside the equation, which holds exactly: their errors then are all that is left
        "inverse-lorenz": Recipe((BSpline(5, 100),), rank=1, points=512, steps=150, options={"scales": {"data": 0.01}}),
        "inverse-lotka-volterra": Recipe(
            (BSpline(5, 60),), rank=1, points=256, steps=150, options={"scales": {"data": 0.01}}
        ),
    }
)  # fmt: skip
