"""Differential equations: stated in a few lines, solved and inverted by networks trained to satisfy them."""

from edgewise.physics.conditions import Condition, Data, Dirichlet, Initial, Neumann, Periodic, Robin
from edgewise.physics.estimates import Estimate
from edgewise.physics.geometry import Box, Difference, Disk, Geometry, Interval, Polygon, TimeSpace, Union, graded
from edgewise.physics.operators import (
    curl,
    derivative,
    divergence,
    grad,
    hessian_diag,
    laplacian,
    taylor,
    time_derivative,
)
from edgewise.physics.problem import Problem
from edgewise.physics.problems import PROBLEMS, resolve_problem
from edgewise.physics.recipes import RECIPES, Recipe, recipe_of
from edgewise.physics.reference import Reference
from edgewise.physics.resampling import RAD, RAR, Fresh, Resampling
from edgewise.physics.solution import Solution
from edgewise.physics.solve import features_of, solve
from edgewise.physics.weighting import NTK, RBA, WEIGHTINGS, Causal, GradientNorm, Variational, Weighting

__all__ = [
    "NTK",
    "PROBLEMS",
    "RAD",
    "RAR",
    "RBA",
    "RECIPES",
    "WEIGHTINGS",
    "Box",
    "Causal",
    "Condition",
    "Data",
    "Difference",
    "Dirichlet",
    "Disk",
    "Estimate",
    "Fresh",
    "Geometry",
    "GradientNorm",
    "Initial",
    "Interval",
    "Neumann",
    "Periodic",
    "Polygon",
    "Problem",
    "Recipe",
    "Reference",
    "Resampling",
    "Robin",
    "Solution",
    "TimeSpace",
    "Union",
    "Variational",
    "Weighting",
    "curl",
    "derivative",
    "divergence",
    "features_of",
    "grad",
    "graded",
    "hessian_diag",
    "laplacian",
    "recipe_of",
    "resolve_problem",
    "solve",
    "taylor",
    "time_derivative",
]
