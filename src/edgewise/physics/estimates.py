"""Unknown parameters of an equation, with what measured data say about their accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jax.flatten_util import ravel_pytree

from edgewise.physics.conditions import Data
from edgewise.physics.loss import ResidualLoss
from edgewise.physics.trial import Trial

__all__ = ["Estimate", "estimates"]

_NORMAL = 1.959963984540054  # 97.5 % of a standard normal distribution lie below


@dataclass(frozen=True)
class Estimate:
    """A parameter: its value and its standard error; infinite where no data tell it."""

    value: float
    error: float

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval, in which the truth lies in 95 of 100 experiments."""
        return self.value - _NORMAL * self.error, self.value + _NORMAL * self.error

    def __str__(self) -> str:
        return f"{self.value:.7g} ± {self.error:.1g}"


def estimates(trial: Trial, loss: ResidualLoss) -> dict[str, Estimate]:
    """Values and standard errors of the unknown parameters: J = d r / d theta at the solution, r all residuals.

    Only the rows D of measured data are noisy, with a variance s^2 (that of the data, or |r_D|^2 / (n - P_eff) of what
    is left): theta moves by A = -(J'J)^-1 D' times the noise, so that its covariance is s^2 A A'.  P_eff, the trace of
    D (J'J)^-1 D', is how many numbers the data have determined. See Seber and Wild, Nonlinear Regression (1989), 2.1.
    """
    graphdef, params, rest = nnx.split(trial, nnx.Param, ...)
    values = {name: float(value) for name, value in trial.parameters.items()}
    measured = {name: condition for name, condition in loss.conditions if isinstance(condition, Data)}
    if not measured:
        return {name: Estimate(value, inf) for name, value in values.items()}
    jacobians, residuals, noisy, roots = [], [], [], []
    for term, (jacobian, residual, root) in zip(loss.terms, _linearized(loss, graphdef, params, rest), strict=True):
        jacobians.append(np.asarray(jacobian, np.float64).reshape(residual.size, -1))
        residuals.append(np.asarray(residual, np.float64).ravel())
        roots.append(np.repeat(np.asarray(root, np.float64), residual.shape[1]))
        noisy.append(np.full(residual.size, term in measured))
    jacobian, residual, root = np.concatenate(jacobians), np.concatenate(residuals), np.concatenate(roots)
    flat, unravel = ravel_pytree(params)
    eps = np.finfo(flat.dtype).eps
    spread = _with_errors(jacobian, residual, root, np.concatenate(noisy), list(measured.values()), eps)
    errors = unravel(jnp.asarray(spread, flat.dtype))
    return {name: Estimate(value, float(errors["unknowns"][name].get_value())) for name, value in values.items()}


@partial(jax.jit, static_argnums=(0, 1))
def _linearized(loss: ResidualLoss, graphdef: Any, params: Any, rest: Any) -> list[tuple[Array, Array, Array]]:
    """For every term: J ``[n, k, P]``, the residuals ``[n, k]``, and the roots of weights ``[n]`` that are in both."""
    flat, unravel = ravel_pytree(params)
    found = []
    for function, samples in loss.rows(lambda vector: nnx.merge(graphdef, unravel(vector), rest, copy=True), flat):
        jacobian = jax.vmap(jax.jacrev(function), in_axes=(None, 0))(flat, samples)
        found.append((jacobian, jax.vmap(function, in_axes=(None, 0))(flat, samples), samples[0]))
    return found


def _with_errors(jacobian, residual, root, noisy, measured, eps):
    """The standard error of every trained number, ``[P]``."""
    scale = np.linalg.norm(jacobian, axis=0)
    scale = np.where(scale > 0, scale, 1)
    _, singular, right = np.linalg.svd(jacobian / scale, full_matrices=False)
    kept = singular > singular[0] * eps * len(singular)
    inverse = right[kept].T / singular[kept]
    data = jacobian[noisy] / scale
    moves = inverse @ (inverse.T @ data.T) / scale[:, None]  # of theta, for a unit of each weighted data residual
    if all(condition.noise is not None for condition in measured):
        variance = np.concatenate([np.full(condition.values.size, condition.noise**2) for condition in measured])
    else:
        used = np.sum((data @ inverse) ** 2)
        left = max(noisy.sum() - used, 1.0)
        variance = np.full(noisy.sum(), np.sum((residual[noisy] / root[noisy]) ** 2) / left)
    return np.sqrt(np.sum((moves * root[noisy]) ** 2 * variance, axis=1))
