"""Adaptive training: the four problems of jaxKAN's paper by its recipe, and the same network by Levenberg-Marquardt.

``python -m benchmarks.adaptive [--only NAME ...] [--epochs 100000] [--lm-steps 60] [--seeds 1] [--quick]``

Settings are those of the authors' notebooks (Rigas et al., IEEE Access 12 (2024), arXiv 2407.17611; srigas/jaxKAN,
"Paper Results/Section III"): [2, 8, 8, 1], cubic splines, 4096 Sobol points, 64 on every side, Nadam at 1e-3 that falls
by steps, residual-based attention on all terms, grids that follow the points and grow from 3 to 14 or 15, RAD for
Burgers and Allen-Cahn, float32.  Grids are adapted where they grow, not every 200 to 300 epochs as there.  The notebook
of Allen-Cahn is not public: it gets the settings of Burgers.  Learning rates and grids scale with ``--epochs``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise
from math import pi
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import edgewise as ew
from benchmarks.measure import machine, markdown, median
from edgewise.physics import RAD, RBA, Dirichlet, Initial, Interval, Problem, Reference, Solution, TimeSpace, solve
from edgewise.physics.operators import derivative, time_derivative
from edgewise.physics.problems import allen_cahn, burgers, helmholtz
from edgewise.refine import Refine, Steps

_EPOCHS = 100_000  # of the paper


@dataclass(frozen=True)
class Case:
    """A problem with the settings of its notebook; epochs are those of a run of 100,000.

    Attributes:
        grids: intervals from an epoch on.
        rates: what the learning rate is multiplied with at an epoch.
        adaptivity: how far grids follow the points, 1 - jaxKAN's ``grid_e``.
        equation: what the equation counts beside the conditions.
        rad: whether points are drawn anew.
        published: relative L2, from seed 0.
        widths: of the network.
    """

    problem: Any
    grids: Mapping[int, int] = field(default_factory=lambda: {0: 3, 8_000: 8, 20_000: 14})
    rates: Mapping[int, float] = field(default_factory=dict)
    adaptivity: float = 0.95
    equation: float = 1.0
    rad: bool = False
    published: float = 0.0
    widths: tuple[int, ...] = (2, 8, 8, 1)


@cache
def forced_diffusion() -> Problem:
    """u_t = u_xx + (pi^2 - 1) exp(-t) sin(pi x) on [0, 1], with the solution exp(-t) sin(pi x)."""

    def equation(u, x):
        source = (pi**2 - 1) * jnp.exp(-x[:, 0:1]) * jnp.sin(pi * x[:, 1:2])
        return time_derivative(u, x) - derivative(u, x, 1, 1) - source

    return Problem(
        TimeSpace((0.0, 1.0), Interval(0.0, 1.0)),
        equation,
        [Initial(value=lambda x: jnp.sin(pi * x[:, 1:2])), Dirichlet(value=0.0)],
        reference=_reference,
        name="diffusion with a source",
    )


def _reference() -> Reference:
    exact = lambda x: np.exp(-x[:, 0:1]) * np.sin(pi * x[:, 1:2])
    return Reference.exact(exact, [np.linspace(0, 1, 101), np.linspace(0, 1, 129)], ("t", "x"))


_RATES = {8_000: 0.7, 20_000: 0.7, 25_000: 0.7, 50_000: 0.8, 75_000: 0.8, 85_000: 0.6}
CASES = {
    "diffusion": Case(
        forced_diffusion, rates={8_000: 0.7, 20_000: 0.5, 50_000: 0.5, 75_000: 0.5}, published=2.1e-4
    ),
    "helmholtz": Case(
        helmholtz, {0: 3, 20_000: 7, 40_000: 15}, {20_000: 0.2, 40_000: 0.5, 60_000: 0.5, 80_000: 0.5},
        adaptivity=0.0, equation=0.01, published=1.0e-3,
    ),
    "burgers": Case(burgers, rates=_RATES, rad=True, published=2.4e-2),
    "allen-cahn": Case(lambda: allen_cahn("dirichlet", 1e-3), rates=_RATES, rad=True, published=1.4e-2),
}  # fmt: skip


def network(case: Case, seed: int) -> ew.KAN:
    """Cubic splines on the coarsest grid."""
    return ew.KAN(list(case.widths), ew.BSpline(3, case.grids[0]), rngs=nnx.Rngs(seed))


def adaptive(case: Case, epochs: int, seed: int, points: int = 4096) -> Solution:
    """The paper's training."""
    scaled = lambda epoch: epoch * epochs // _EPOCHS
    problem = case.problem()
    ends = [*map(scaled, case.grids), epochs]
    schedule: list[Any] = []
    for size, (begin, end) in zip(case.grids.values(), pairwise(ends), strict=True):
        schedule += [Refine(size, adaptivity=case.adaptivity or None)] if schedule else []
        schedule += [Steps(end - begin)]
    rate = optax.piecewise_constant_schedule(1e-3, {scaled(epoch): share for epoch, share in case.rates.items()})
    return solve(
        problem, network(case, seed), optimizer=optax.nadam(rate), schedule=schedule,
        points=_points(problem, points), weighting=RBA(), scales={"equation": case.equation},
        resampling=RAD(every=max(1, epochs // 4), candidates=32) if case.rad else None,
        hard=False, seed=seed, dtype="float32", progress=False,
    )  # fmt: skip


def second_order(case: Case, steps: int, seed: int, points: int = 4096, hard: bool = True) -> Solution:
    """The same network, grids and points by Levenberg-Marquardt, a third of the steps a grid; with ``hard``, conditions
    are built in, as ``solve`` does unless told otherwise."""
    problem, share = case.problem(), max(1, steps // len(case.grids))
    schedule: list[Any] = [Steps(share)]
    for size in list(case.grids.values())[1:]:
        schedule += [Refine(size), Steps(share)]
    return solve(
        problem, network(case, seed), schedule=schedule, points=_points(problem, points) if not hard else points,
        scales={"equation": case.equation}, hard=hard, seed=seed, progress=False,
    )  # fmt: skip


def _points(problem: Problem, number: int) -> dict[str, int]:
    sides = {condition.name: 64 if isinstance(condition, Initial) else 128 for condition in problem.conditions}
    return {"equation": number} | {name: 256 if problem.time is None else each for name, each in sides.items()}


Ways = Mapping[str, Callable[[Case, int], Solution]]


def ways(epochs: int, lm_steps: int, points: int = 4096) -> Ways:
    """The paper's training and two of ours, by name."""
    return {
        f"Nadam, RBA, grids, {epochs:,} epochs": lambda case, seed: adaptive(case, epochs, seed, points),
        f"LM, {lm_steps} steps": lambda case, seed: second_order(case, lm_steps, seed, points, hard=False),
        f"LM, {lm_steps} steps, conditions built in": lambda case, seed: second_order(case, lm_steps, seed, points),
    }


def table(cases: Mapping[str, Case], trainings: Ways, seeds: int) -> str:
    """Markdown: relative L2 over seeds, parameters at the end, seconds, of every problem by every training."""
    rows = []
    for name, case in cases.items():
        for training, run in trainings.items():
            found = [run(case, seed) for seed in range(seeds)]
            errors = [solution.error() for solution in found]
            error = f"{median(errors):.1e}" + (f" ({min(errors):.1e}..{max(errors):.1e})" if seeds > 1 else "")
            seconds = f"{median(solution.seconds for solution in found):.0f}"
            rows.append([name, f"{case.published:.1e}", training, error, f"{found[0].n_parameters:,}", seconds])
            print(rows[-1], flush=True)
    return markdown(["problem", "published, 100,000 epochs", "training", "relative L2", "parameters", "s"], rows)


def main(quick: bool) -> str:
    """All problems at 100,000 epochs; quick: one, on the smallest network, a few steps at a few points."""
    if not quick:
        return table(CASES, ways(_EPOCHS, 60), 1)
    small = replace(CASES["diffusion"], grids={0: 3, _EPOCHS // 2: 5}, adaptivity=0.0, widths=(2, 1))
    trainings = {
        "Nadam, RBA, grids": lambda case, seed: adaptive(case, 20, seed, 128),
        "LM": lambda case, seed: second_order(replace(case, grids={0: 3}), 3, seed, 128),
    }
    return table({"diffusion": small}, trainings, 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.adaptive")
    parser.add_argument("--only", nargs="*", choices=list(CASES), default=list(CASES), help="problems")
    parser.add_argument("--epochs", type=int, default=_EPOCHS, help="of Nadam")
    parser.add_argument("--lm-steps", type=int, default=60, help="of Levenberg-Marquardt, all grids together")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a small version, to see that it runs")
    given = parser.parse_args()
    chosen = {name: CASES[name] for name in given.only}
    wanted = ways(given.epochs, given.lm_steps)
    print(f"{machine()}\n\n{main(True) if given.quick else table(chosen, wanted, given.seeds)}")
