"""ETDRK4 for v' = L v + N(v) with a diagonal L (Cox and Matthews 2002; Kassam and Trefethen 2005, SISC 26, 1214).

The coefficients are means over full circles around the points h L, which is exact for entire functions; a half circle
with the real part, as in the paper's code, would do for real L only.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, pi

import numpy as np

from edgewise.errors import EdgewiseError, check_positive

__all__ = ["Stepper", "integrate", "solve"]

NODES = 32  # of a circle: the error is 2^32 / 32!, below rounding
FLOOR = 1e-14  # no stated accuracy below this: rounding of some thousand steps
Function = Callable[[np.ndarray], np.ndarray]


class Stepper:
    """One step of ETDRK4, of size ``step``; ``linear`` is the diagonal of L, real or complex, in the state's shape."""

    def __init__(self, linear: np.ndarray, nonlinear: Function, step: float):
        self.nonlinear, z = nonlinear, step * linear
        self.whole, self.half = np.exp(z), np.exp(z / 2)
        # circles that keep away from 0, where the quotients cancel
        radius, sums = np.where(np.abs(z) < 1, 2.0, 0.5), [np.zeros(z.shape, complex) for _ in range(4)]
        for node in np.exp(2j * pi * (np.arange(NODES) + 0.5) / NODES):
            p = z + radius * node
            e, cube = np.exp(p), p**3
            sums[0] += (np.exp(p / 2) - 1) / p
            sums[1] += (-4 - p + e * (4 - 3 * p + p**2)) / cube
            sums[2] += 2 * (2 + p + e * (p - 2)) / cube
            sums[3] += (-4 - 3 * p - p**2 + e * (4 - p)) / cube
        means = [step / NODES * (total if np.iscomplexobj(linear) else np.real(total)) for total in sums]
        self.middle, self.first, self.second, self.third = means

    def __call__(self, v: np.ndarray) -> np.ndarray:
        """The state one step later."""
        half, at_v = self.half * v, self.nonlinear(v)
        a = half + self.middle * at_v
        at_a = self.nonlinear(a)
        at_b = self.nonlinear(half + self.middle * at_a)
        at_c = self.nonlinear(self.half * a + self.middle * (2 * at_b - at_v))
        return self.whole * v + self.first * at_v + self.second * (at_a + at_b) + self.third * at_c


def integrate(
    linear: np.ndarray, nonlinear: Function, start: np.ndarray, times: np.ndarray, step: float, coarse: bool = False
) -> np.ndarray:
    """States at ``times``, ``[len(times), *start.shape]``, from ``start`` at t = 0; every output time ends a step.

    Args:
        linear: diagonal of L, in the shape of ``start``.
        nonlinear: N, state to state.
        start: state at t = 0.
        times: increasing, from 0 or later.
        step: longest step; each gap between outputs takes an even number of equal steps.
        coarse: take half as many steps, each twice as long (``nonlinear`` is evaluated 4 times a step).

    Raises:
        EdgewiseError: where the state overflows.
    """
    check_positive("step", step)
    states, steppers, now, state = [], {}, 0.0, start
    for time in times:
        if time > now:
            # gaps that differ by the rounding of the times share one stepper
            gap = float(f"{time - now:.11e}")
            count = ceil(gap / (2 * step) - 1e-9) * (1 if coarse else 2)
            if gap not in steppers:
                steppers[gap] = Stepper(linear, nonlinear, gap / count)
            with np.errstate(over="ignore", invalid="ignore"):
                for _ in range(count):
                    state = steppers[gap](state)
            if not np.isfinite(state).all():
                raise EdgewiseError(
                    f"the solution overflowed before t = {time:g}.",
                    "the steps are too long.",
                    f"call the solver in edgewise.physics.spectral with step={step / 4}.",
                )
            now = time
        states.append(state)
    return np.stack(states)


def solve(
    linear: np.ndarray, nonlinear: Function, start: np.ndarray, times: np.ndarray, step: float, tail: np.ndarray
) -> tuple[np.ndarray, float]:
    """States as :func:`integrate` gives them, and an estimate of their relative L2 error.

    The estimate is a quarter of the difference to a run with twice the step (a fifteenth would be the fourth order's,
    which stiff problems fall short of) plus the share of the modes in ``tail``, a mask of the highest ones: what they
    hold, the cut-off ones may hold.  It needs a second run at half the cost.
    """
    fine = integrate(linear, nonlinear, start, times, step)
    coarse = integrate(linear, nonlinear, start, times, step, coarse=True)
    moved = fine[times > 0]
    if not moved.size:
        return fine, FLOOR
    scale = np.linalg.norm(moved)
    if not scale:
        return fine, FLOOR
    in_time, in_space = np.linalg.norm(fine - coarse) / 4, np.linalg.norm(moved[:, tail])
    return fine, float(max((in_time + in_space) / scale, FLOOR))
