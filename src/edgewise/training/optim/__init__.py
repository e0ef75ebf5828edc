"""Optimizers: by name, and those that optax does not have."""

from edgewise.training.optim.least_squares import (
    LeastSquaresProblem,
    LevenbergMarquardt,
    LevenbergMarquardtState,
    Rows,
)
from edgewise.training.optim.muon import muon
from edgewise.training.optim.quasi_newton import lbfgs, quasi_newton, scale_by_quasi_newton, without_last_step
from edgewise.training.optim.schedules import Schedule
from edgewise.training.optim.soap import scale_by_soap, soap
from edgewise.training.optim.spelling import OPTIMIZERS, Optimizer, resolve_optimizer

__all__ = [
    "OPTIMIZERS",
    "LeastSquaresProblem",
    "LevenbergMarquardt",
    "LevenbergMarquardtState",
    "Optimizer",
    "Rows",
    "Schedule",
    "lbfgs",
    "muon",
    "quasi_newton",
    "resolve_optimizer",
    "scale_by_quasi_newton",
    "scale_by_soap",
    "soap",
    "without_last_step",
]
