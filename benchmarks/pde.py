"""Differential equations: the recipes of the built-in problems, five seeds each, against bars and published figures.

``python -m benchmarks.pde [--only NAME ...] [--seeds 5] [--noise-seeds 20] [--json FILE] [--quick]``
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import machine, markdown, median, run_script
from edgewise.bases import Chebyshev
from edgewise.physics import Data, Problem, recipe_of, resolve_problem


@dataclass(frozen=True)
class Row:
    """A problem by name and constants, its bars where it has some, and the published figure beside them."""

    problem: str
    bar: float | None = None
    minutes: int | None = None
    published: str = ""
    constants: Mapping[str, Any] = field(default_factory=dict)


ROWS = {
    "diffusion": Row("diffusion", 1e-7, 1, "2.1e-4"),
    "helmholtz": Row("helmholtz", 1e-6, 5, "1.0e-3, 1828 s GPU"),
    "poisson-1": Row("poisson", 1e-7, 3, constants={"w": 1}),
    "poisson-2": Row("poisson", 1e-6, 3, constants={"w": 2}),
    "advection": Row("advection", 1e-5, 5, constants={"c": 20.0}),
    "burgers": Row("burgers", 1e-5, 10, "2.4e-2 jaxKAN; 2.8e-8 best"),
    "allen-cahn": Row("allen-cahn", 1e-4, 15, "5.5e-5 KKAN, 24 min GPU"),
    "kdv": Row("kdv", published="4.3e-4 PirateNet; 2.2e-6 best"),
    "kuramoto-sivashinsky": Row("kuramoto-sivashinsky"),
}
"""Forward problems: the relative L2 distance to the reference counts."""

_DEVIATION = 0.233  # standard deviation of u over the domain of inverse-diffusion; its largest value is 1
INVERSE = {
    # as in Raissi et al. 2019, and what followed: relative to the standard deviation of the values
    "inverse-diffusion": Row("inverse-diffusion", 1e-4, 2, constants={"noise": 0.01 * _DEVIATION}),
    "inverse-diffusion-largest": Row("inverse-diffusion", 1e-4, 2, constants={"noise": 0.01}),
    "inverse-diffusion-exact": Row("inverse-diffusion", 1e-6, 2, constants={"noise": 0.0}),
}
"""Inverse problems: the error of D counts; with noise, data are drawn anew for each seed."""

_QUICK = ("diffusion", "helmholtz")
_FEW = {"steps": 3, "points": 200}
_COARSE = Chebyshev(5, squash=None)  # few operations, so that quick compiles fast


def solved(name: str, seed: int, quick: bool = False) -> dict[str, Any]:
    """One row of one seed, ready for JSON; quick: a few steps of low degree at a few points."""
    row = (ROWS | INVERSE)[name]
    problem = resolve_problem(row.problem, **row.constants, **({"seed": seed} if name in INVERSE else {}))
    recipe = recipe_of(row.problem)
    if quick:
        recipe = replace(recipe, bases=(_COARSE,) * problem.domain.dim)
    solution = recipe.solve(problem, seed, progress=False, **(_FEW if quick else {}))
    found = {
        "name": name, "seed": seed, "error": solution.error(), "parameters": solution.n_parameters,
        "steps": solution.steps, "seconds": solution.seconds,
    }  # fmt: skip
    if name in INVERSE:
        estimate, truth = solution.parameters["D"], problem.truth["D"]
        low, high = estimate.interval
        found |= {"missed": abs(estimate.value - truth), "standard_error": estimate.error}
        found |= {"inside": bool(low <= truth <= high), "bound": bound(problem)}
    return found


def bound(problem: Problem) -> float:
    """Cramér and Rao's bound on the standard error of D from the measured values, the solution known but for D."""
    (data,) = (condition for condition in problem.conditions if isinstance(condition, Data))
    t, x = np.asarray(data.points).T
    slope = -(np.pi**2) * t * np.sin(np.pi * x) * np.exp(-problem.truth["D"] * np.pi**2 * t)
    return float((data.noise or 0.0) / np.linalg.norm(slope))


def measured(names: Sequence[str], seeds: int, noise_seeds: int, quick: bool = False) -> list[dict[str, Any]]:
    """All rows and seeds, each in a process of its own unless quick: compilation is in the seconds of all."""
    found = []
    for name in names:
        for seed in range(noise_seeds if (ROWS | INVERSE)[name].constants.get("noise") else seeds):
            call = f"solved({name!r}, {seed})"
            code = f"import json\nfrom benchmarks.pde import solved\nprint(json.dumps({call}))"
            found.append(solved(name, seed, True) if quick else run_script(code)[0])
            if not quick:
                print(json.dumps(found[-1]), flush=True)
    return found


def tables(found: Sequence[Mapping[str, Any]]) -> str:
    """Markdown of what was measured: forward problems, inverse ones."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for one in found:
        by_name.setdefault(one["name"], []).append(one)
    head = ["problem", "relative L2, median", "min..max", "bar", "published", "parameters", "steps", "s", "bar, s"]
    forward = [_forward(name, runs) for name, runs in by_name.items() if name in ROWS]
    parts = [markdown([*head, "seeds"], forward)] if forward else []
    head = ["problem", "error of D, median", "largest", "bar", "standard error", "Cramér-Rao", "in the interval", "s"]
    inverse = [_inverse(name, runs) for name, runs in by_name.items() if name in INVERSE]
    return "\n\n".join([*parts, *([markdown(head, inverse)] if inverse else [])])


def _forward(name: str, runs: Sequence[Mapping[str, Any]]) -> list[str]:
    row, errors = ROWS[name], [run["error"] for run in runs]
    return [
        name, f"{median(errors):.1e}", f"{min(errors):.1e}..{max(errors):.1e}", _bar(row), row.published,
        f"{runs[0]['parameters']:,}", str(runs[0]["steps"]), f"{median(run['seconds'] for run in runs):.0f}",
        "" if row.minutes is None else str(60 * row.minutes), str(len(runs)),
    ]  # fmt: skip


def _inverse(name: str, runs: Sequence[Mapping[str, Any]]) -> list[str]:
    missed = [run["missed"] for run in runs]
    return [
        name, f"{median(missed):.1e}", f"{max(missed):.1e}", _bar(INVERSE[name]),
        f"{median(run['standard_error'] for run in runs):.1e}", f"{median(run['bound'] for run in runs):.1e}",
        f"{sum(run['inside'] for run in runs)}/{len(runs)}", f"{median(run['seconds'] for run in runs):.0f}",
    ]  # fmt: skip


def _bar(row: Row) -> str:
    return "" if row.bar is None else f"{row.bar:.0e}"


def main(quick: bool) -> str:
    """Every row with five seeds; quick: two of them, one seed, three steps."""
    return tables(measured(_QUICK, 1, 1, True) if quick else measured([*ROWS, *INVERSE], 5, 5))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pde", description=__doc__)
    parser.add_argument("--only", nargs="*", choices=[*ROWS, *INVERSE], default=None, help="rows; all unless given")
    parser.add_argument("--seeds", type=int, default=5, help="seeds a row")
    parser.add_argument(
        "--noise-seeds", type=int, default=None, help="of inverse problems with noise; as --seeds unless given"
    )
    parser.add_argument("--json", default=None, help="file to keep every run in")
    parser.add_argument("--quick", action="store_true", help="a small version, to see that it runs")
    given = parser.parse_args()
    rows = given.only or (_QUICK if given.quick else [*ROWS, *INVERSE])
    seeds = 1 if given.quick else given.seeds
    results = measured(rows, seeds, given.noise_seeds or seeds, given.quick)
    if given.json:
        Path(given.json).write_text(json.dumps({"machine": machine(), "runs": results}, indent=1))
    print(f"{machine()}\n\n{tables(results)}")
