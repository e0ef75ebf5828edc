"""What ``solve`` gives back: a function, what it misses, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from math import inf
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from edgewise.errors import DataError, EdgewiseError
from edgewise.nn import count_parameters
from edgewise.physics.estimates import Estimate, estimates
from edgewise.physics.loss import ResidualLoss
from edgewise.physics.problem import Problem
from edgewise.physics.reference import Reference
from edgewise.physics.trial import Trial
from edgewise.training import FitResult, History

__all__ = ["Solution", "Window"]

_FEW, _ROWS = 256, 16_384  # points evaluated at once: two programs, since compiling one takes seconds
_OVERFITTED = 10  # times as large a residual between the points of training as at them


@dataclass(frozen=True)
class Window:
    """A stretch of time, what was trained on it, and how."""

    stretch: tuple[float, float]
    trial: Trial
    loss: ResidualLoss
    result: FitResult


@dataclass(frozen=True)
class Solution:
    """``solution(x)``: u ``[n, m]``, float64, at points ``[n, d]``.

    Attributes:
        problem: what was solved.
        windows: stretches of time, one for all where there is one.
        seconds: wall time, compilation included.
    """

    problem: Problem
    windows: tuple[Window, ...]
    seconds: float

    def __call__(self, x: Any) -> np.ndarray:
        """u at ``x`` ``[n, d]``; raises ``DataError`` for points outside the domain."""
        return self._map(_values, self._checked(x), self.problem.n_out)

    def residual(self, x: Any) -> np.ndarray:
        """By how much the equation is missed at ``x`` ``[n, d]``: ``[n, k]``."""
        return self._map(_residuals, self._checked(x), None)

    def error(self, reference: Any = None) -> float:
        """Relative L2 distance to a reference, the problem's own by default; float64.

        Raises ``EdgewiseError`` where there is none.
        """
        reference = self.reference if reference is None else reference
        if not isinstance(reference, Reference):
            raise EdgewiseError(
                f"reference={reference!r} is no Reference.", do="pass Reference(axes, values, names), or leave it out."
            )
        return reference.relative_l2(self(reference.points))

    def known(self, x: Any) -> np.ndarray:
        """Whether u is known at points ``[n, d]``: in the domain, up to where training was interrupted."""
        return self.problem.domain.contains(x) & (np.asarray(x)[:, 0] <= self.until)

    @property
    def complete(self) -> bool:
        """Whether u is known in the whole domain: training was not interrupted in a window before the last."""
        return self.until == inf

    @property
    def reference(self) -> Reference:
        """The problem's reference; raises ``EdgewiseError`` where it has none."""
        if self.problem.reference is None:
            raise EdgewiseError(
                f"{self.problem.name} has no reference solution.", do="pass one: solution.error(Reference(...))."
            )
        return self.problem.reference()

    @cached_property
    def parameters(self) -> dict[str, Estimate]:
        """The equation's unknown parameters, each with its standard error and 95 % interval."""
        window = self.windows[-1]
        with jax.enable_x64(True):
            return estimates(window.trial, window.loss) if self.problem.parameters else {}

    @property
    def model(self) -> nnx.Module:
        """The trained network, of the last window where there are several, in the precision of the computation."""
        return self.windows[-1].trial.network

    @property
    def history(self) -> History:
        """What was recorded; of the last window where there are several."""
        return self.windows[-1].result.history

    @property
    def steps(self) -> int:
        """Steps of all windows together."""
        return sum(window.result.step for window in self.windows)

    @property
    def n_parameters(self) -> int:
        """Trained numbers of all windows together."""
        return sum(count_parameters(window.trial) for window in self.windows)

    @cached_property
    def residual_sizes(self) -> tuple[float, float]:
        """Root mean squares of the residual: at the points of training, and at as many others.

        The second tells how well the equation holds.  With too few points least squares makes the first small alone.
        """
        with jax.enable_x64(True):
            trained = [np.asarray(window.loss.inputs(window.trial)) for window in self.windows]
        domains = [window.loss.problem.domain for window in self.windows]
        others = [domain.interior(len(x), "uniform", seed=1) for domain, x in zip(domains, trained, strict=True)]
        squares = np.mean(self.residual(np.concatenate(trained + others)) ** 2, axis=1)
        at, between = (float(np.sqrt(half.mean())) for half in np.split(squares, 2))
        return at, between

    @property
    def doubts(self) -> list[str]:
        """What speaks against the solution, in words; empty where nothing does."""
        at, between = self.residual_sizes
        if not between > _OVERFITTED * at:
            return []
        return [
            f"the residual is {at:.1e} at the points of training but {between:.1e} between them, where it tells how "
            "well the equation holds. More points would help, or a smaller network."
        ]

    def plot(self, *, reference: Reference | None = None) -> Any:
        """A figure of u, of its error where there is a reference, and of the residual; matplotlib."""
        from edgewise.physics.plots import plot_solution

        return plot_solution(self, reference)

    def report(self, folder: str | Path) -> Path:
        """Write a page with figures, errors and settings into ``folder``; returns its path."""
        from edgewise.physics.report import write_report

        return write_report([self], folder, notes=self.doubts)

    def _checked(self, x: Any) -> np.ndarray:
        self.problem.domain.check_inside(x, "the solution is not known there.", "leave them out.")
        x = np.asarray(x, np.float64)
        if (x[:, 0] > self.until).any():
            first = self.problem.domain.names[0]
            raise DataError(
                f"the solution is known up to {first} = {self.until:g}: training was interrupted.",
                do="leave later points out, or go on: solve(..., checkpoint=..., resume=True).",
            )
        return x

    @property
    def until(self) -> float:
        """The last moment that was trained for; infinite where all of them were."""
        if self.problem.time is None or not self.windows:
            return inf
        end = self.windows[-1].stretch[1]
        return end if end < self.problem.time[1] else inf

    def _map(self, function: Any, x: np.ndarray, width: int | None) -> np.ndarray:
        """``function`` of the window that each point lies in, in blocks of rows."""
        ends = [window.stretch[1] for window in self.windows]
        which = np.searchsorted(ends[:-1], x[:, 0]) if len(ends) > 1 else np.zeros(len(x), int)
        found: np.ndarray | None = None if width is None else np.empty((len(x), width))
        for index, window in enumerate(self.windows):
            rows = np.flatnonzero(which == index)
            if not len(rows):
                continue
            values = _in_blocks(partial(function, window.loss), window.trial, x[rows])
            found = np.empty((len(x), values.shape[1])) if found is None else found
            found[rows] = values
        return np.empty((0, 1)) if found is None else found

    def __repr__(self) -> str:
        unknown = "".join(f", {name}={estimate}" for name, estimate in self.parameters.items())
        return (
            f"Solution({self.problem.name}, {self.n_parameters:,} parameters, {self.steps} steps, "
            f"{self.seconds:.1f} s{unknown})"
        )


def _in_blocks(function: Any, trial: Trial, x: np.ndarray) -> np.ndarray:
    """The rows of ``function(trial, x)``, in blocks of equal size."""
    size = _FEW if len(x) <= _FEW else _ROWS
    graphdef, state = nnx.split(trial)
    found = []
    with jax.enable_x64(True):
        for start in range(0, len(x), size):
            block = x[start : start + size]
            filled = np.concatenate([block, np.repeat(block[-1:], size - len(block), axis=0)])
            values = _compiled(function.func, *function.args, graphdef, state, jnp.asarray(filled))
            found.append(np.asarray(values, np.float64)[: len(block)])
    return np.concatenate(found)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _compiled(function: Any, loss: ResidualLoss, graphdef: Any, state: Any, x: Any) -> Any:
    return function(loss, nnx.merge(graphdef, state), x)


def _values(loss: ResidualLoss, trial: Trial, x: Any) -> Any:
    return trial(x)


def _residuals(loss: ResidualLoss, trial: Trial, x: Any) -> Any:
    return loss.problem.residuals(trial, x, trial.parameters)
