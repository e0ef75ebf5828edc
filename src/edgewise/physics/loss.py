"""The loss of a differential equation: weighted squares of residuals, at points and with weights that may move."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from edgewise.physics.problem import Problem
from edgewise.physics.resampling import Resampling
from edgewise.physics.sharing import once
from edgewise.physics.trial import Trial, arrays_of, kept, renew
from edgewise.physics.weighting.base import EQUATION, Look, Weighting
from edgewise.training.optim import Rows

__all__ = ["ResidualLoss"]

_RESAMPLING = "resampling"


@dataclass(frozen=True)
class ResidualLoss:
    """sum over terms of lambda_term mean_i w_i |r_i|^2: the equation, and every condition that is not built in.

    A loss for :func:`edgewise.fit`, on a :class:`Trial`, which holds points and weights; a sum of squares, each of
    one point, so that Levenberg-Marquardt gets its Jacobian row by row.

    Attributes:
        conditions: by the names of their terms, in order.
        scales: lambda of terms, 1 where left out.
    """

    problem: Problem
    conditions: tuple[tuple[str, Any], ...] = ()
    scales: tuple[tuple[str, float], ...] = ()
    weightings: tuple[Weighting, ...] = ()
    resampling: Resampling | None = None

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of all terms."""
        return (EQUATION, *(name for name, _ in self.conditions))

    def __call__(self, model: Trial, batch: Any = None) -> Array:
        """The loss, a scalar."""
        shares = self.shares(model)
        squares = [jnp.sum(shares[term][:, None] * self.term(model, term) ** 2) for term in self.terms]
        return sum(squares[1:], squares[0])

    def term(self, model: Trial, term: str, samples: Mapping[str, Array] | None = None) -> Array:
        """The residuals ``[n, k]`` of a term, at the model's points or others."""
        samples = model.of(term) if samples is None else samples
        if term == EQUATION:
            of = lambda samples: self.problem.residuals(model, samples["x"], model.parameters)
        else:
            of = partial(dict(self.conditions)[term].residual, model)
        return once(of)(dict(samples))

    def residuals(self, model: Trial, batch: Any = None) -> Array:
        """``[m]`` whose squares sum to the loss, term after term, point after point."""
        shares = self.shares(model)
        rows = [jnp.sqrt(shares[term])[:, None] * self.term(model, term) for term in self.terms]
        return jnp.concatenate([jnp.ravel(each) for each in rows])

    def rows(self, model_of: Callable[[Any], Trial], params: Any, batch: Any = None) -> tuple[Rows, ...]:
        """The same point by point, as functions of the parameters."""

        def row(term):
            def of_point(params, sample):
                root, arrays = sample
                return root * self.term(model_of(params), term, {name: leaf[None] for name, leaf in arrays.items()})[0]

            return of_point

        model = model_of(params)
        shares = self.shares(model)
        return tuple(Rows(row(term), (jnp.sqrt(shares[term]), model.of(term))) for term in self.terms)

    def shares(self, model: Trial) -> dict[str, Array]:
        """What the square at every point counts in the loss, for each term ``[n]``."""
        scales, shares = dict(self.scales), {}
        for term in self.terms:
            active = _active(model.of(term))
            shares[term] = scales.get(term, 1.0) * active / jnp.sum(active)
        for weighting, state in zip(self.weightings, self._states(model), strict=True):
            for term, weights in weighting.weights(state).items():
                shares[term] = shares[term] * weights
        return jax.lax.stop_gradient(shares)

    def begin(self, model: Trial, pool: Any = None) -> None:
        """Give the model what weightings and resampling keep in it."""
        points = {term: model.of(term)["x"] for term in self.terms}
        for weighting, name in zip(self.weightings, self._names, strict=True):
            model.adaptive[name] = kept(weighting.init(points))
        if self.resampling is not None:
            model.adaptive[_RESAMPLING] = kept(self.resampling.init(points[EQUATION], pool))

    @property
    def refreshed_every(self) -> int | None:
        """The fewest steps between two renewals of one kind; None where points and weights stay."""
        renewing = [*self.weightings, *([] if self.resampling is None else [self.resampling])]
        return min((each.every for each in renewing), default=None)

    def refresh(self, model: Trial, step: Array) -> Array:
        """Renew points, then weights, where it is time to; whether anything was renewed."""
        changed = jnp.bool_(False)
        if self.resampling is not None:
            due = (step > 0) & (step % self.resampling.every == 0)
            changed = changed | due
            self._resampled(model, due, step)
        for weighting, name in zip(self.weightings, self._names, strict=True):
            due = step % weighting.every == 0
            changed = changed | due
            state = arrays_of(model.adaptive[name])
            renewed = lambda weighting=weighting, state=state: weighting.update(state, self._look(model, step))
            new = jax.lax.cond(due, renewed, lambda state=state: state)
            renew(model.adaptive[name], new)
        return changed

    def inputs(self, model: Trial) -> Array:
        """The points of the equation that count, ``[n, d]``."""
        samples = model.of(EQUATION)
        return samples["x"][_active(samples) > 0]

    @property
    def _names(self):
        return [f"weighting{index}" for index in range(len(self.weightings))]

    def _states(self, model):
        return [arrays_of(model.adaptive[name]) for name in self._names]

    def _resampled(self, model, due, step):
        assert self.resampling is not None
        resampling, samples = self.resampling, model.of(EQUATION)
        state, names = arrays_of(model.adaptive[_RESAMPLING]), self._names
        sizes = lambda x: jnp.linalg.norm(self.term(model, EQUATION, {"x": x}), axis=1)
        stay = [arrays_of(model.adaptive[name]) for name in names]

        def draw():
            after, drawn = resampling.drawn(state, samples, sizes, step)
            rows = jnp.any(drawn["x"] != samples["x"], axis=1)
            moved = [each.moved(old, EQUATION, rows) for each, old in zip(self.weightings, stay, strict=True)]
            return after, drawn, moved

        new = jax.lax.cond(due, draw, lambda: (state, samples, stay))
        renew(model.adaptive[_RESAMPLING], new[0])
        renew(model.samples[EQUATION], new[1])
        for name, weights in zip(names, new[2], strict=True):
            renew(model.adaptive[name], weights)

    def _look(self, model, step):
        graphdef, params, rest = nnx.split(model, nnx.Param, ...)

        def rows_of(params, term, rows):
            samples = {name: leaf[rows] for name, leaf in model.of(term).items()}
            return self.term(nnx.merge(graphdef, params, rest, copy=True), term, samples)

        def loss_of(params, term):
            residuals = self.term(nnx.merge(graphdef, params, rest, copy=True), term)
            return jnp.sum(active[term] * jnp.sum(residuals**2, axis=1)) / jnp.sum(active[term])

        points = {term: model.of(term)["x"] for term in self.terms}
        active = {term: _active(model.of(term)) for term in self.terms}
        return Look(
            step, {term: self.term(model, term) for term in self.terms}, points,
            {term: self._fraction(x) for term, x in points.items()}, active, loss_of, rows_of, params,
        )  # fmt: skip

    def _fraction(self, x):
        if self.problem.time is None:
            return jnp.zeros_like(x[:, 0])
        begin, end = self.problem.time
        return (x[:, 0] - begin) / (end - begin)


def _active(samples: Mapping[str, Array]) -> Array:
    return samples.get("active", jnp.ones_like(samples["x"][:, :1]))[:, 0]
