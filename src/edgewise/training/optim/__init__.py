"""Optimizers: by name, and those that optax does not have."""

from edgewise.training.optim.least_squares import LeastSquaresProblem, LevenbergMarquardt, LevenbergMarquardtState
from edgewise.training.optim.muon import muon
from edgewise.training.optim.schedules import Schedule
from edgewise.training.optim.spelling import OPTIMIZERS, Optimizer, resolve_optimizer

__all__ = [
    "OPTIMIZERS",
    "LeastSquaresProblem",
    "LevenbergMarquardt",
    "LevenbergMarquardtState",
    "Optimizer",
    "Schedule",
    "muon",
    "resolve_optimizer",
]
