"""A line search that compiles fast: one loop, one evaluation of the loss in the program."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

__all__ = ["LineSearchState", "strong_wolfe"]


class LineSearchState(NamedTuple):
    """The accepted step, and the loss and gradient there: those of the parameters of the next update."""

    learning_rate: Array
    value: Array
    grad: Any


class _Point(NamedTuple):
    """A step along the direction, the loss and its slope there."""

    step: Array
    value: Array
    slope: Array


class _Search(NamedTuple):
    trial: Array
    low: _Point  # the best so far: enough decrease, the lowest loss
    high: _Point  # the other end of an interval with acceptable steps; infinite before there is one
    gradient: Any  # at `low`
    evaluations: Array
    found: Array


def strong_wolfe(
    evaluations: int = 20, decrease: float = 1e-4, curvature: float = 0.9
) -> optax.GradientTransformationExtraArgs:
    """Scales a descent direction so that loss and slope fulfil the strong Wolfe conditions.

    f(a) <= f(0) + decrease a f'(0) and |f'(a)| <= curvature |f'(0)|.  Bracketing and zoom (Nocedal and Wright,
    Numerical Optimization, algorithms 3.5 and 3.6) are one loop here: while there is no interval yet the step doubles,
    then it is the minimum of the cubic through both ends.  Where rounding hides the decrease, the approximate condition
    of Hager and Zhang (SIAM J. Optim. 16, 2005) decides by the slope.

    After ``evaluations`` the lowest point with enough decrease is taken, or no step at all.  The state has the loss and
    the gradient of the new parameters (``optax.value_and_grad_from_state``).
    """

    def init(params):
        zeros = jax.tree.map(jnp.zeros_like, params)
        dtype = jax.tree.leaves(params)[0].dtype
        return LineSearchState(jnp.ones((), dtype), jnp.full((), jnp.inf, dtype), zeros)

    def update(updates, state, params=None, **given):
        value, grad, value_fn = given["value"], given["grad"], given["value_fn"]
        start = _Point(jnp.zeros_like(value), value, jnp.asarray(optax.tree.vdot(updates, grad)))
        beyond = _Point(jnp.full_like(value, jnp.inf), jnp.full_like(value, jnp.inf), jnp.zeros_like(value))
        evaluate = jax.value_and_grad(value_fn)

        def going(search):
            return ~search.found & (search.evaluations < evaluations)

        def body(search):
            at = optax.tree.add_scale(params, search.trial, updates)
            loss, gradient = evaluate(at)
            point = _Point(search.trial, loss, jnp.asarray(optax.tree.vdot(updates, gradient)))
            return _narrowed(search, point, gradient, start, decrease, curvature)

        search = _Search(jnp.ones_like(value), start, beyond, grad, jnp.int32(0), start.slope >= 0)
        search = jax.lax.while_loop(going, body, search)
        step = search.low.step
        return optax.tree.scale(step, updates), LineSearchState(step, search.low.value, search.gradient)

    return optax.GradientTransformationExtraArgs(init, update)


def _narrowed(search: _Search, point: _Point, gradient: Any, start: _Point, decrease: float, curvature: float):
    """The interval after an evaluation, and the next trial."""
    enough = point.value <= start.value + decrease * point.step * start.slope
    hidden = jnp.abs(point.value - start.value) <= 4 * jnp.finfo(point.value.dtype).eps * jnp.abs(start.value)
    enough |= hidden & ((2 * decrease - 1) * start.slope >= point.slope)
    better = enough & (hidden | (point.value < search.low.value) | (search.low.step == 0))
    flat = jnp.abs(point.slope) <= -curvature * start.slope
    # past the minimum, seen from `low`: the interval lies between `low` and here
    turned = point.slope * (search.high.step - search.low.step) >= 0
    choose = lambda condition, a, b: jax.tree.map(lambda a, b: jnp.where(condition, a, b), a, b)
    high = choose(better, choose(turned, search.low, search.high), point)
    low = choose(better, point, search.low)
    trial = jnp.where(jnp.isfinite(high.step), _cubic_minimum(low, high), 2 * point.step)
    kept = choose(better, gradient, search.gradient)
    return _Search(trial, low, high, kept, search.evaluations + 1, better & flat)


def _cubic_minimum(low: _Point, high: _Point) -> Array:
    """Of the cubic through values and slopes at both ends, at least a tenth of the interval away from them."""
    width = high.step - low.step
    chord = low.slope + high.slope - 3 * (high.value - low.value) / width
    root = jnp.sqrt(jnp.maximum(chord**2 - low.slope * high.slope, 0)) * jnp.sign(width)
    share = 1 - (high.slope + root - chord) / (high.slope - low.slope + 2 * root)
    share = jnp.where(jnp.isfinite(share), share, 0.5)
    return low.step + jnp.clip(share, 0.1, 0.9) * width
