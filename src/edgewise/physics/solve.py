"""``solve``: train a network to satisfy a differential equation."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from edgewise.bases import Chebyshev
from edgewise.errors import EdgewiseError, ShapeError, check_choice, check_count, check_positive
from edgewise.models import KAN
from edgewise.nn import KANLayer
from edgewise.physics.ansatz import Ansatz, ansatz_for
from edgewise.physics.conditions import Condition, Data, Initial
from edgewise.physics.geometry import Geometry, TimeSpace
from edgewise.physics.loss import ResidualLoss
from edgewise.physics.operators import time_derivative
from edgewise.physics.problem import Problem
from edgewise.physics.resampling import Resampling
from edgewise.physics.sampling import METHODS
from edgewise.physics.solution import Solution, Window
from edgewise.physics.trial import Trial
from edgewise.physics.weighting import EQUATION, Weighting, resolve_weighting
from edgewise.training import fit
from edgewise.training.arrays import cast_to, computing, deliver
from edgewise.training.phases import bases_of, reshape_to

__all__ = ["features_of", "solve"]

_STEPS = 200
_INTERIOR, _ON_A_LINE, _CONDITION = 2048, 256, 256


@dataclass(frozen=True)
class _Points:
    """How many points each term gets, or which."""

    wanted: Mapping[str, Any]
    method: str
    seed: int

    def of(self, problem: Problem, term: str, condition: Condition | None) -> dict[str, np.ndarray]:
        wanted = self.wanted.get(term)
        if isinstance(condition, Data) and wanted is not None:
            raise EdgewiseError(f"points[{term!r}], but data have points of their own.", do="leave it out.")
        if condition is not None:
            number = _CONDITION if wanted is None else check_count(f"points[{term!r}]", wanted)
            return condition.samples(problem.domain, number, self.method, self.seed)
        if wanted is None or np.ndim(wanted) == 0:
            usual = _ON_A_LINE if problem.domain.dim == 1 else _INTERIOR
            number = usual if wanted is None else check_count("points", wanted)
            return {"x": problem.domain.interior(number, self.method, self.seed)}
        x = np.asarray(wanted, np.float64)
        inside = problem.domain.contains(x)
        if not inside.any():
            raise EdgewiseError(
                f"none of the points lies in {problem.domain}.", do="pass more, or let solve choose: points=2048."
            )
        return {"x": x[inside]}

    def check(self, problem: Problem) -> None:
        """Raise ``EdgewiseError`` for points outside the domain."""
        wanted = self.wanted.get(EQUATION)
        if wanted is None or np.ndim(wanted) == 0:
            return
        problem.domain.check_inside(
            wanted,
            "the equation holds inside the domain only.",
            "leave them out: points[problem.domain.contains(points)].",
        )


def solve(
    problem: Any,
    model: Any = None,
    *,
    optimizer: Any = "levenberg_marquardt",
    steps: Any = None,
    schedule: Sequence[Any] = (),
    points: Any = None,
    sampling: Any = "sobol",
    weighting: Any = (),
    resampling: Any = None,
    scales: Any = None,
    hard: Any = None,
    windows: Any = 1,
    seed: Any = 0,
    dtype: Any = "float64",
    callbacks: Sequence[Any] = (),
    progress: Any = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    on_nonfinite: str = "stop",
) -> Solution:
    """Train ``model`` so that the equation and its conditions hold.

    The network sees coordinates scaled to [-1, 1], a periodic one that is built in as its cosine and its sine:
    :func:`features_of` says how many that makes.  Conditions that can be built into the trial function are (see
    :mod:`edgewise.physics.ansatz`); the others are terms of the loss.

    Args:
        problem: see :class:`~edgewise.physics.problem.Problem`.
        model: any ``nnx.Module`` from ``[n, features]`` to ``[n, problem.n_out]``; it is trained, in its own precision
            at the end. None is a KAN with 8 product nodes and Chebyshev polynomials up to degree 16.
        optimizer, steps, schedule, callbacks, progress, on_nonfinite: as for :func:`edgewise.fit`; 200 steps where
            neither ``steps`` nor ``schedule`` says how many.
        points: how many the equation is asked at (2048; 256 on a line), or these, ``[n, d]``, of which each window
            takes its own; or a mapping from terms ("equation", and the names of conditions, 256 points each) to how
            many.
        sampling: "sobol", "halton", "latin", "uniform" or "grid".
        weighting: weightings by instance or name, multiplied with each other; see :mod:`edgewise.physics.weighting`.
        resampling: see :mod:`edgewise.physics.resampling`; None keeps the points.
        scales: what terms count, by name; 1 where left out.
        hard: False builds no condition in, True and None all that can be, unless a condition says otherwise; a mapping
            from names of conditions says it for each.
        windows: solve in so many stretches of time, one after the other, each from the end of the one before.
        seed: of the points, and of the model where none is given.
        dtype: of the computation, "float64" or "float32".
        checkpoint: file to keep the run in; of several windows, each has its own.
        resume: go on from there.

    Returns:
        A :class:`~edgewise.physics.solution.Solution`.

    Raises:
        EdgewiseError: for a model of the wrong arity, points outside the domain, unknown terms; what ``fit`` raises.
    """
    _check_arguments(problem, model, scales)
    check_choice("dtype", dtype, ("float64", "float32"))
    check_choice("sampling", sampling, METHODS)
    weightings = _weightings(problem, weighting)
    if resampling is not None and not isinstance(resampling, Resampling):
        raise EdgewiseError(
            f"resampling={resampling!r} is none.", do="pass an instance, say RAD(every=200), RAR() or Fresh()."
        )
    wanted = dict(points) if isinstance(points, Mapping) else {} if points is None else {EQUATION: points}
    spread = _Points(wanted, sampling, check_count("seed", seed, 0))
    spread.check(problem)
    begin = time.perf_counter()
    found: list[Window] = []
    with computing(np.dtype(dtype)):
        network = _default(problem, hard, seed) if model is None else nnx.clone(model)
        for index, stretch in enumerate(_stretches(problem, windows)):
            part = problem if windows == 1 else _within(problem, stretch, found)
            ansatz, left = ansatz_for(part.domain, part.conditions, part.n_out, hard, part.transform)
            _check_arity(network, ansatz, problem)
            trial = _trial(part, network, ansatz, dtype)
            loss = _loss(part, trial, left, spread, scales, weightings, resampling, dtype)
            try:
                result = fit(
                    trial, None, loss=loss, optimizer=optimizer,
                    steps=_STEPS if steps is None and not schedule else steps, schedule=schedule,
                    callbacks=callbacks, seed=seed, progress=progress, on_nonfinite=on_nonfinite,
                    checkpoint=_file(checkpoint, index, windows), resume=resume, dtype=dtype,
                )  # fmt: skip
            finally:  # after an error, too, it has its last finite state
                if model is not None:
                    _deliver(trial.network, model)
            found.append(Window(stretch, trial, loss, result))
            network = nnx.clone(trial.network)
            if result.reason == "interrupted":
                break
    return Solution(problem, tuple(found), time.perf_counter() - begin)


def _check_arguments(problem: Any, model: Any, scales: Any) -> None:
    if not isinstance(problem, Problem):
        named = f"resolve_problem({problem!r})" if isinstance(problem, str) else "Problem(domain, residual, conditions)"
        raise EdgewiseError(f"problem={problem!r} is no Problem.", do=f"pass {named}.")
    if model is not None and not isinstance(model, nnx.Module):
        raise EdgewiseError(
            f"model={model!r} is no nnx.Module.",
            "its parameters are what is trained.",
            f"pass an instance, say KAN([{features_of(problem)}, (0, 8), {problem.n_out}], "
            "Chebyshev(16, squash=None), rngs=nnx.Rngs(0)), or leave it out.",
        )
    if scales is not None and not isinstance(scales, Mapping):
        raise EdgewiseError(f"scales={scales!r} are no numbers by name.", do='pass say {"equation": 0.1}.')


def _weightings(problem: Problem, given: Any) -> tuple[Weighting, ...]:
    several = tuple(given) if isinstance(given, list | tuple) else () if given is None else (given,)
    weightings = tuple(resolve_weighting(each) for each in several)
    for each in weightings:
        each.check()
        if each.needs_time and problem.time is None:
            raise EdgewiseError(f"{each} needs time, and {problem.domain} has none.", do="leave it out.")
    return weightings


def features_of(problem: Problem, hard: Any = None) -> int:
    """How many features of the coordinates the network of :func:`solve` gets: its number of inputs."""
    return ansatz_for(problem.domain, problem.conditions, problem.n_out, hard, problem.transform)[0].n_in


def _default(problem: Problem, hard: Any, seed: int) -> nnx.Module:
    bases = [Chebyshev(16, squash=None), Chebyshev(1, squash=None)]
    widths = [features_of(problem, hard), (0, 8), problem.n_out]
    return KAN(widths, bases, residual=None, rngs=nnx.Rngs(seed))


def _trial(problem: Problem, network: nnx.Module, ansatz: Ansatz, dtype: str) -> Trial:
    own = nnx.clone(network)
    nnx.update(own, jax.tree.map(jnp.asarray, jax.tree.map(cast_to(np.dtype(dtype)), nnx.state(own))))
    return Trial(own, ansatz, problem.parameters, dtype)


def _loss(problem, trial, left, spread, scales, weightings, resampling, dtype) -> ResidualLoss:
    """The loss, and in the trial what it looks at."""
    names, terms = set(), []
    for condition in left:
        name = condition.name
        while name in names:
            name += "'"
        names.add(name)
        terms.append((name, condition))
    valid = [EQUATION, *names]
    for given in (spread.wanted, scales or {}):
        for name in given:
            check_choice("term of the loss", name, valid)
    for name, scale in (scales or {}).items():
        check_positive(f"scales[{name!r}]", scale)
    samples = spread.of(problem, EQUATION, None)
    if resampling is not None and resampling.grows:
        rows = len(samples["x"])
        samples["x"] = np.concatenate([samples["x"], np.repeat(samples["x"][:1], resampling.grows, axis=0)])
        samples["active"] = (np.arange(len(samples["x"])) < rows).astype(np.float64)[:, None]
    trial.keep(EQUATION, samples, dtype)
    for name, condition in terms:
        trial.keep(name, spread.of(problem, name, condition), dtype)
    loss = ResidualLoss(problem, tuple(terms), tuple((scales or {}).items()), weightings, resampling)
    pool = None
    if resampling is not None:
        count = resampling.candidates * len(samples["x"])
        pool = jnp.asarray(problem.domain.interior(count, spread.method, spread.seed + 1), dtype)
    loss.begin(trial, pool)
    return loss


def _check_arity(network: nnx.Module, ansatz: Ansatz, problem: Problem) -> None:
    periodic = f", {len(ansatz.periodic)} of them as cosine and sine" if ansatz.periodic else ""
    why = f"it gets the {problem.domain.dim} coordinates{periodic}, and gives {problem.n_out} outputs."
    do = f"pass say KAN([{ansatz.n_in}, (0, 8), {problem.n_out}], Chebyshev(16, squash=None), rngs=nnx.Rngs(0))."
    x = jnp.zeros((3, ansatz.n_in), jnp.float32)
    try:
        shape = nnx.eval_shape(lambda network, x: network(x), network, x).shape
    except Exception as error:
        said = error.what if isinstance(error, EdgewiseError) else str(error)
        raise ShapeError(f"the model does not take {ansatz.n_in} inputs: {said}", why, do) from error
    if shape != (3, problem.n_out):
        raise ShapeError(f"the model gives {shape} for {ansatz.n_in} inputs at 3 points.", why, do)


def _stretches(problem: Problem, windows: int) -> list[tuple[float, float]]:
    check_count("windows", windows)
    if problem.time is None:
        if windows > 1:
            raise EdgewiseError(f"windows={windows}, but {problem.domain} has no time.", do="leave windows out.")
        return [(-np.inf, np.inf)]
    ends = np.linspace(*problem.time, windows + 1).tolist()
    return list(pairwise(ends))


def _within(problem: Problem, stretch: tuple[float, float], found: list[Window]) -> Problem:
    """The problem in a stretch of time, from where the window before ended."""
    if any(isinstance(condition, Data) for condition in problem.conditions):
        raise EdgewiseError("windows and measured data do not go together.", do="leave windows out.")
    conditions = problem.conditions
    starts = [condition for condition in conditions if isinstance(condition, Initial)]
    others = [c for c in conditions if c not in starts and isinstance(c.on, str) and c.on in ("initial", "final")]
    if not starts or others:
        raise EdgewiseError(
            "windows start from Initial conditions.",
            f"{others[0].name} would hold in every window." if others else "there is none.",
            "state the start by Initial(value=...), or leave windows out.",
        )
    if found:
        conditions = tuple(_continued(condition, found[-1], problem.domain) for condition in conditions)
    if isinstance(problem.domain, TimeSpace):
        domain = replace(problem.domain, time=stretch)
    else:  # an Interval of t: no other domain without space has time
        domain = replace(problem.domain, low=stretch[0], high=stretch[1])
    return replace(problem, domain=domain, conditions=conditions)


def _continued(condition: Condition, before: Window, domain: Geometry) -> Condition:
    if not isinstance(condition, Initial):
        return condition
    end = _End(before.trial, condition.order, condition.outputs)
    if domain.dim > 1:
        return replace(condition, value=end)
    numbers = np.asarray(end(jnp.full((1, 1), before.stretch[1])))[0]
    return replace(condition, value=tuple(numbers.tolist()))


class _End:
    """The state at the end of a window, and its time derivative."""

    def __init__(self, trial: Trial, order: int, outputs: Any):
        self._trial, self._order, self._outputs = trial, order, outputs

    def __call__(self, x: Any) -> Any:
        values = time_derivative(self._trial, x, self._order)
        return values if self._outputs is None else values[:, jnp.asarray(self._outputs)]


def _file(checkpoint: Any, index: int, windows: int) -> Any:
    if checkpoint is None or windows == 1:
        return checkpoint
    path = Path(checkpoint)
    return path.with_name(f"{path.stem}-{index + 1}{path.suffix}")


def _deliver(trained: nnx.Module, model: nnx.Module) -> None:
    """Give the caller's model the trained arrays, in its own types."""
    layers = any(isinstance(node, KANLayer) for _, node in nnx.iter_graph(trained))
    if layers and (bases := bases_of(trained)) != bases_of(model):
        reshape_to(model, bases)
    deliver(model, *nnx.split(trained, nnx.Param, ...)[1:])
