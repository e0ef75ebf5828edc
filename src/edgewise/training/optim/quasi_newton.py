"""Dense quasi-Newton methods: BFGS, and self-scaled BFGS and Broyden."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from edgewise.errors import EdgewiseError, check_choice
from edgewise.training.optim.line_search import strong_wolfe
from edgewise.training.optim.matrices import check_fits

__all__ = ["QuasiNewtonState", "lbfgs", "quasi_newton", "scale_by_quasi_newton", "without_last_step"]


class QuasiNewtonState(NamedTuple):
    """Where the last step began, and what it was made of.

    ``count``: steps since the last restart, -1 where the last step is not to be learnt from; ``inverse``: H ``[P, P]``,
    of the inverse Hessian; the others ``[P]``.
    """

    count: Array
    params: Array
    gradient: Array
    direction: Array
    inverse: Array


def lbfgs(memory_size: int = 10, linesearch_steps: int = 20) -> optax.GradientTransformationExtraArgs:
    """L-BFGS of optax with the line search of :func:`strong_wolfe`: memory of O(``memory_size`` P).

    Liu and Nocedal, Math. Programming 45 (1989) 503.
    """
    return optax.chain(optax.scale_by_lbfgs(memory_size), optax.scale(-1.0), strong_wolfe(linesearch_steps))


def quasi_newton(
    update: str = "bfgs", scaled: bool = True, linesearch_steps: int = 20
) -> optax.GradientTransformationExtraArgs:
    """x - a H g: the direction of :func:`scale_by_quasi_newton`, the length a by :func:`strong_wolfe`.

    The update takes ``value``, ``grad`` and ``value_fn``; ``optax.value_and_grad_from_state`` finds the first two in
    the state.
    """
    return optax.chain(scale_by_quasi_newton(update, scaled), optax.scale(-1.0), strong_wolfe(linesearch_steps))


def scale_by_quasi_newton(update: str = "bfgs", scaled: bool = True) -> optax.GradientTransformation:
    """H g, with the matrix H ``[P, P]`` of the self-scaled Broyden family learnt from steps s and differences y of g.

        H' = (H - H y y'H / y'H y + phi (y'H y) v v') / tau + s s' / y's,   v = s / y's - H y / y'H y .

    With b = s'H^-1 s / y's, h = y'H y / y's, a = b h - 1 the member of the family is given by theta, the scale by tau:

        phi = (1 - theta) / (1 + a theta),   sigma = 1 + a theta,
        tau = min(1, 1/b) min(sigma^(1/(1-P)), 1/theta)      for theta > 0,
        tau = min(min(1, 1/b) sigma^(1/(1-P)), sigma)        otherwise.

    theta = 0 is self-scaled BFGS, tau = min(1, 1/b).  Self-scaled Broyden has, with r = min(1, h (1 - c)) and
    c = sqrt(a / (1 + a)), theta = max((r - 1)/a, min(1/r, (1 - b)/b)).

    The first H is the identity over max(1, norm of g); the first update has tau = h / sigma, which brings H to the size
    of the curvature (Nocedal and Wright, 6.20).  A step without positive curvature, y's <= 0, leaves H as it is; after
    no step at all H starts again.

    Args:
        update: "bfgs" or "broyden".
        scaled: False is tau = 1 from the second update on.

    Raises:
        EdgewiseError: for parameters that are not one vector, or more than a matrix of them has memory for;
            ``UnknownNameError`` for an unknown update.

    Memory: P^2 numbers, three times that in a step, which is three passes over them.  Al-Baali, Comput. Optim. Appl. 9
    (1998) 191; Al-Baali and Khalfan, J. Comput. Appl. Math. 185 (2006); for networks: Urban, Stefanou and Pons, arXiv
    2405.04230; Kiyani et al., arXiv 2501.16371.
    """
    check_choice("update", update, ["bfgs", "broyden"])

    def init(params):
        _check_vector(params)
        check_fits("a dense quasi-Newton method", params, "use optimizer='lbfgs' or 'soap:1e-2', which hold vectors.")
        zeros = jnp.zeros_like(params)
        return QuasiNewtonState(jnp.int32(0), zeros, zeros, zeros, jnp.zeros((params.size,) * 2, params.dtype))

    def learn(updates, state, params=None):
        gradient = updates
        if params is None:
            raise EdgewiseError(
                "a quasi-Newton method needs the parameters.", do="call update(gradient, state, params)."
            )
        s, y = params - state.params, gradient - state.gradient
        unknown = state.count < 0
        restart = (state.count == 0) | (~unknown & (jnp.vdot(s, s) == 0))
        learnt = jnp.where(unknown, state.inverse, _updated(state, s, y, update, scaled))
        first = jnp.eye(params.size, dtype=params.dtype) / jnp.maximum(1, jnp.linalg.norm(gradient))
        inverse = jnp.where(restart, first, learnt)
        direction = inverse @ gradient
        count = jnp.where(restart, 1, jnp.where(unknown, 2, state.count + 1))
        return direction, QuasiNewtonState(count, params, gradient, direction, inverse)

    return optax.GradientTransformation(init, learn)


def without_last_step(opt: Any, params: Any, gradient: Any) -> Any:
    """The state of an optimizer whose loss has changed since its last step: the change of the gradient tells nothing.

    What was learnt before is kept.  ``gradient`` is that of the new loss at ``params``.
    """

    def forgotten(state):
        if isinstance(state, QuasiNewtonState):
            return state._replace(count=jnp.where(state.count > 0, -1, state.count))
        if isinstance(state, optax.ScaleByLBFGSState):
            return state._replace(params=params, updates=gradient)
        return state

    known = lambda state: isinstance(state, QuasiNewtonState | optax.ScaleByLBFGSState)
    return jax.tree.map(forgotten, opt, is_leaf=known)


def _updated(state: QuasiNewtonState, s: Array, y: Array, update: str, scaled: bool) -> Array:
    """H'."""
    eps = jnp.finfo(s.dtype).eps
    hy = state.inverse @ y
    ys, yhy = jnp.vdot(y, s), jnp.vdot(y, hy)
    # s = -length * H g for the gradient before the step, so that H^-1 s needs no solution
    length = -jnp.vdot(s, state.direction) / jnp.vdot(state.direction, state.direction)
    b, h = -length * jnp.vdot(s, state.gradient) / ys, yhy / ys
    a = jnp.maximum(b * h - 1, eps)
    theta = _theta(a, b, h) if update == "broyden" else jnp.zeros_like(a)
    sigma = 1 + a * theta
    tau = _tau(theta, sigma, b, s.size) if scaled else jnp.ones_like(a)
    tau = jnp.where(state.count == 1, h / sigma, tau)
    phi = (1 - theta) / sigma
    v = s / ys - hy / yhy
    inverse = (state.inverse - jnp.outer(hy, hy) / yhy + phi * yhy * jnp.outer(v, v)) / tau + jnp.outer(s, s) / ys
    curved = (ys > eps * jnp.linalg.norm(s) * jnp.linalg.norm(y)) & (yhy > 0) & (tau > 0)
    return jnp.where(curved, inverse, state.inverse)


def _theta(a: Array, b: Array, h: Array) -> Array:
    """The member of the family, of Al-Baali and Khalfan."""
    least = jnp.minimum(1, h * (1 - jnp.sqrt(a / (1 + a))))
    return jnp.maximum((least - 1) / a, jnp.minimum(1 / least, (1 - b) / b))


def _tau(theta: Array, sigma: Array, b: Array, size: int) -> Array:
    """The scale, never above 1."""
    scale, spread = jnp.minimum(1, 1 / b), sigma ** (1 / (1 - size)) if size > 1 else jnp.ones_like(sigma)
    positive = jnp.where(theta > 0, theta, 1)
    return jnp.where(theta > 0, scale * jnp.minimum(spread, 1 / positive), jnp.minimum(scale * spread, sigma))


def _check_vector(params: Any) -> None:
    if getattr(params, "ndim", None) != 1:
        raise EdgewiseError(
            "a dense quasi-Newton method needs the parameters as one vector.",
            "its matrix has one row for each of them.",
            "flatten them, by jax.flatten_util.ravel_pytree, or use edgewise.fit, which does.",
        )
