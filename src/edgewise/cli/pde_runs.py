"""A differential equation solved for one seed after the other: settings, training, and what is kept of it."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from edgewise._files import write_whole
from edgewise.bases import Chebyshev
from edgewise.cli.folder import check_folder, read_json
from edgewise.errors import DataError, EdgewiseError, check_count, unwritable
from edgewise.models import KAN, RGAKAN
from edgewise.physics import RECIPES, Problem, Recipe, Solution, features_of, recipe_of, resolve_problem, solve
from edgewise.physics.report import REPORT, summary_rows, write_report
from edgewise.physics.weighting import resolve_weighting
from edgewise.study.experiment import _versions
from edgewise.training import NonFiniteError
from edgewise.training.optim import resolve_optimizer

__all__ = ["Finished", "resolved_settings", "solve_all"]

SETTINGS, RESULTS, TABLE = "settings.json", "results.json", "table.csv"
SEEDS, STEPS, STEPS_FIRST_ORDER, STEPS_QUASI_NEWTON = 5, 200, 5000, 2000
POINTS, POINTS_ON_A_LINE = 2048, 256


@dataclass
class Finished:
    """What came of the runs.

    Attributes:
        folder: where it is.
        results: what results.json holds.
        rows: of the table of runs.
        interrupted: whether Ctrl-C ended it early.
        trouble: why something could not be written; "" where all was.
    """

    folder: Path
    results: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    interrupted: bool = False
    trouble: str = ""


def resolved_settings(wanted: Mapping[str, Any], folder: Path, *, force: bool, resume: bool) -> dict[str, Any]:
    """All settings: those that are ``wanted``, over the defaults, or over those of the result in ``folder``.

    Raises:
        EdgewiseError: a bad value; a folder that is not empty, with neither ``force`` nor ``resume``; nothing to
            resume, or other settings than those of what is resumed.
    """
    if resume:
        return _saved_settings(wanted, folder)
    check_folder(folder, force=force, resume=False, needed=SETTINGS, what="result")
    name, constants = wanted["problem"], wanted.get("constants", {})
    problem = resolve_problem(name, **constants)
    model = wanted.get("model", "separable" if name in RECIPES or problem.domain.dim == 1 else "kan")
    optimizer = wanted.get("optimizer", "adam:1e-3" if model == "rga" else "levenberg_marquardt")
    recipe = recipe_of(problem) if model == "separable" else None
    usual = POINTS_ON_A_LINE if problem.domain.dim == 1 else POINTS
    settings = {
        "problem": name,
        "constants": constants,
        "model": model,
        "optimizer": optimizer,
        "steps": wanted.get("steps", _usual_steps(optimizer, recipe)),
        "points": wanted.get("points", usual if recipe is None else recipe.points),
        "weighting": wanted.get("weighting", []),
        "seeds": wanted.get("seeds", SEEDS),
        "seed": wanted.get("seed", 0),
    }
    for count in ("steps", "points", "seeds"):
        check_count(f"--{count}", settings[count])
    check_count("--seed", settings["seed"], 0)
    for each in settings["weighting"]:
        resolve_weighting(each).check()
    return settings


def _saved_settings(wanted: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    if not (folder / SETTINGS).exists():
        raise DataError(
            f"there is no result in {str(folder)!r} to go on with.",
            f"it has no {SETTINGS}.",
            "name the folder of one with --out, or leave --resume out.",
        )
    saved = read_json(folder / SETTINGS)
    for name, value in wanted.items():
        if name != "seeds" and value != saved.get(name):
            raise EdgewiseError(
                f"{name} is {value!r}, but the result in {str(folder)!r} has {saved.get(name)!r}.",
                "what is resumed goes on as it was; only --seeds may be more.",
                "leave the option out, or start anew with --out or --force.",
            )
    check_count("--seeds", wanted.get("seeds", 1))
    return saved | dict(wanted)


def _usual_steps(optimizer: str, recipe: Recipe | None) -> int:
    resolved = resolve_optimizer(optimizer, 1)
    if not resolved.full_batch:
        return STEPS_FIRST_ORDER
    if not resolved.least_squares:
        return STEPS_QUASI_NEWTON
    return STEPS if recipe is None else recipe.steps


def solve_all(settings: dict[str, Any], folder: Path, *, resume: bool, show: bool) -> Finished:
    """Solve for every seed, one after the other, and write what comes of it; interrupted by Ctrl-C, what is done.

    With ``resume``, what an earlier call with the same settings has done in ``folder`` is read from its checkpoints.

    Raises:
        EdgewiseError: a folder that cannot be written to; training that was finite for no seed.
        KeyboardInterrupt: before there was anything to keep.
    """
    problem = resolve_problem(settings["problem"], **settings["constants"])
    _begin(settings, folder, resume)
    seeds = range(settings["seed"], settings["seed"] + settings["seeds"])
    finished = Finished(folder, {})
    solutions: dict[int, Solution] = {}
    failure: NonFiniteError | None = None
    for seed in seeds:
        try:
            solution = _solution(problem, settings, seed, folder, show)
            finished.interrupted = solution.windows[-1].result.reason == "interrupted"
            if solution.steps:
                finished.rows += summary_rows([solution], [seed])
                solutions[seed] = solution
                _keep(finished, solution, seed)
                finished.notes += [f"seed {seed}: {doubt}" for doubt in solution.doubts]
                if show:
                    print(f"seed {seed}: {_told(finished.rows[-1])}", file=sys.stderr)
        except NonFiniteError as error:
            failure = error
            finished.notes.append(f"seed {seed} was given up: {error.what}")
        except KeyboardInterrupt:
            finished.interrupted = True
        if finished.interrupted:
            break
    if not solutions:
        raise failure or KeyboardInterrupt
    finished.rows = [row for row in finished.rows if row["seed"] in solutions]
    _write(finished, settings, solutions)
    return finished


def _told(row: Mapping[str, Any]) -> str:
    error = "" if row["relative_l2"] is None else f"relative L2 {row['relative_l2']:.2e}, "
    return f"{error}{row['steps']} steps, {row['seconds']:.1f} s"


def _begin(settings: Mapping[str, Any], folder: Path, resume: bool) -> None:
    """Make the folder with its settings; files of an earlier result that is not resumed go."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in () if resume else (REPORT, RESULTS, TABLE, "checkpoint-*.npz", "solution_*.npz"):
            for path in folder.glob(name):
                path.unlink()
        write_whole(folder / SETTINGS, (json.dumps(settings, indent=1) + "\n").encode())
    except OSError as error:
        raise unwritable(folder, error) from error


def _solution(problem: Problem, settings: Mapping[str, Any], seed: int, folder: Path, show: bool) -> Solution:
    common = {
        "optimizer": settings["optimizer"],
        "weighting": tuple(settings["weighting"]),
        "checkpoint": folder / f"checkpoint-{seed}.npz",
        "resume": True,  # windows of time have files of their own; of what is not resumed none are left
        "progress": show,
    }
    if settings["model"] == "separable":
        recipe = replace(recipe_of(problem), points=settings["points"], steps=settings["steps"])
        solution = recipe.solve(problem, seed, **common)
    else:
        sizes = {"points": settings["points"], "steps": settings["steps"], "seed": seed}
        solution = solve(problem, _network(settings["model"], problem, seed), **sizes, **common)
    # of a run in several sittings
    spent = sum(window.result.history.seconds for window in solution.windows)
    return replace(solution, seconds=max(solution.seconds, spent))


def _network(name: str, problem: Problem, seed: int) -> nnx.Module | None:
    features, rngs = features_of(problem), nnx.Rngs(seed)
    if name == "rga":
        return RGAKAN(features, problem.n_out, width=16, blocks=4, rngs=rngs)
    if name == "chebyshev":
        return KAN([features, 8, 8, problem.n_out], Chebyshev(8), rngs=rngs)
    return None


def _keep(finished: Finished, solution: Solution, seed: int) -> None:
    """Write u on the grid of the reference, beside it."""
    if solution.problem.reference is None or not solution.complete:
        return
    reference, buffer = solution.reference, BytesIO()
    points = reference.points
    np.savez_compressed(buffer, points=points, u=solution(points), reference=reference.flat)
    try:
        write_whole(finished.folder / f"solution_{seed}.npz", buffer.getvalue())
    except OSError as error:
        finished.trouble = str(error)


def _write(finished: Finished, settings: Mapping[str, Any], solutions: Mapping[int, Solution]) -> None:
    rows, folder = finished.rows, finished.folder
    if finished.interrupted:
        done = sum(row["stop"] != "interrupted" for row in rows)
        finished.notes.append(f"interrupted after {done} of {settings['seeds']} seeds.")
    errors = [row["relative_l2"] for row in rows if row["relative_l2"] is not None]
    spread = {"median": float(np.median(errors)), "min": min(errors), "max": max(errors)} if errors else {}
    finished.results = {
        "format": 1,
        "settings": dict(settings),
        "runs": rows,
        "relative_l2": spread,
        "notes": finished.notes,
        "versions": _versions(),
    }
    shown = {name: _spoken(value) for name, value in settings.items() if name != "problem" and value not in ({}, [])}
    try:
        write_whole(folder / RESULTS, (json.dumps(finished.results, indent=1) + "\n").encode())
        write_whole(folder / TABLE, _csv(rows).encode())
        write_report(
            list(solutions.values()), folder, seeds=list(solutions), rows=rows, settings=shown, notes=finished.notes
        )
    except (OSError, EdgewiseError) as error:
        finished.trouble = str(error)


def _spoken(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {number}" for name, number in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _csv(rows: list[dict[str, Any]]) -> str:
    """A line a seed; an unknown parameter in columns of its own, with the ends of its interval."""
    flat = []
    for row in rows:
        cells = {name: value for name, value in row.items() if name != "unknown"}
        for name, found in row["unknown"].items():
            cells |= {name: found["value"], f"{name}_low": found["low"], f"{name}_high": found["high"]}
        flat.append(cells)
    text = StringIO()
    writer = csv.DictWriter(text, list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()
