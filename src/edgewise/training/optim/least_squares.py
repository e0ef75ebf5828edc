"""Levenberg-Marquardt and Gauss-Newton: minimizers of sums of squares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.linalg import cho_factor, cho_solve
from jax.scipy.sparse.linalg import cg

from edgewise.errors import CheckedKeywords, EdgewiseError, check_choice, check_count, check_positive
from edgewise.training.optim.jacobian import MODES, LeastSquaresProblem, Rows, cheapest, jacobian_blocks
from edgewise.training.optim.matrices import check_fits

__all__ = ["LeastSquaresProblem", "LevenbergMarquardt", "LevenbergMarquardtState", "Rows"]

_DENSE = 4000  # parameters up to which "auto" holds J'J
_TRIALS = 10  # of one step: the damping has then grown by 2^55
_LARGEST = 1e16  # damping
_AHEAD = 0.1  # of the step: where the difference for the geodesic looks (Transtrum and Sethna, section 4)
_BENT = 0.75  # the longest acceleration, relative to the velocity (ibid.)
_PROBES = 8  # of the diagonal of J'J where its rows are not at hand


class LevenbergMarquardtState(NamedTuple):
    """``damping``: mu, for the next step; ``growth``: nu, its factor at the next refusal."""

    damping: Array
    growth: Array


class _Quadratic(NamedTuple):
    """|r + J v|^2 around the parameters, in the variables z = D v with D^2 = diag(J'J)."""

    loss: Array  # |r|^2
    scale: Array  # 1 / D
    gradient: Array  # J'r / D
    product: Callable[[Array], Array]  # z -> (J'J) z, scaled
    factor: Callable[[Array], Callable[[Array], Array]]  # mu -> (b -> (J'J + mu)^-1 b), scaled
    push: Callable[[Array], tuple[Array, Array]]  # v ``[P]`` -> (r, J v)
    pull: Callable[[Array], Array]  # values ``[m]`` -> J' values


@dataclass(frozen=True)
class LevenbergMarquardt(CheckedKeywords):
    """(J'J + mu D^2) v = -J'r, the step of Levenberg and Marquardt, D^2 = diag(J'J).

    A step that makes the loss |r|^2 grow is refused, and tried again with a larger mu and the same J. mu follows the
    gain ratio rho, actual by predicted decrease, as Nielsen has it: times max(1/3, 1 - (2 rho - 1)^3) when a step is
    taken, times 2, 4, 8, ... when it is refused.

    Args:
        damping: mu at the start, relative to the diagonal. 0 is Gauss-Newton: every step is tried without damping
            first.
        solver: "dense" (J'J ``[P, P]``, Cholesky), "qr" (J = QR in blocks: the condition of J, not its square, for
            several times the cost), "cg" (conjugate gradients on products with J and J': memory of O(m + P)), or
            "auto": dense up to 4000 parameters.
        jacobian: "rows" (reverse mode, sample by sample), "forward", "reverse" or "auto", the cheapest.
        geodesic: add the second-order correction along the geodesic, where twice its length is below 3/4 of the step:
            one more evaluation of r, and far fewer steps.
        ridge: least mu, relative to the diagonal; None is 10 P eps. It keeps J'J of deficient rank solvable.
        memory: bytes for a block of J. A dense solver holds three matrices ``[P, P]`` besides.
        cg_steps, cg_tolerance: of conjugate gradients, the latter relative to the gradient.

    Raises:
        EdgewiseError: for a value out of range; ``UnknownNameError`` for an unknown solver, mode or keyword.

    Levenberg (1944); Marquardt, J. SIAM 11 (1963) 431; Nielsen, IMM-REP-1999-05; Transtrum and Sethna,
    arXiv 1201.5885, for the geodesic.
    """

    damping: float = 1e-3
    solver: str = "auto"
    jacobian: str = "auto"
    geodesic: bool = True
    ridge: float | None = None
    memory: float = 2.0**28
    cg_steps: int = 100
    cg_tolerance: float = 1e-3

    def __post_init__(self):
        if self.damping != 0:
            check_positive("LevenbergMarquardt: damping", self.damping)
        check_choice("solver", self.solver, ["auto", "dense", "qr", "cg"])
        check_choice("Jacobian", self.jacobian, ["auto", *MODES])
        if self.ridge is not None:
            check_positive("LevenbergMarquardt: ridge", self.ridge)
        check_positive("LevenbergMarquardt: memory", self.memory)
        check_count("LevenbergMarquardt: cg_steps", self.cg_steps)
        check_positive("LevenbergMarquardt: cg_tolerance", self.cg_tolerance)

    def init(self, params: Array) -> LevenbergMarquardtState:
        """The state before the first step on ``params`` ``[P]``.

        Raises ``EdgewiseError`` where there is no memory for the matrices of ``solver``.
        """
        if self._solver(params) != "cg":
            check_fits(f"solver={self.solver!r}", params, 'use solver="cg", which holds vectors.')
        return LevenbergMarquardtState(jnp.asarray(self.damping, params.dtype), jnp.asarray(2.0, params.dtype))

    def step(
        self, problem: LeastSquaresProblem, params: Array, state: LevenbergMarquardtState
    ) -> tuple[Array, LevenbergMarquardtState, Array]:
        """New parameters ``[P]``, new state, and the loss |r|^2 at the old parameters, which stay where no step helps.

        Raises ``EdgewiseError`` for ``jacobian="rows"`` and a problem without rows.
        """
        quadratic = self._quadratic(problem, params)
        smallest = self.damping * 1e-12
        start = _Search(params, quadratic.loss, *state, jnp.int32(0), jnp.bool_(False))

        def attempt(search):
            damping, growth = search.damping, search.growth
            solve = quadratic.factor(damping + self._ridge(params))
            z = solve(-quadratic.gradient)
            predicted = -jnp.vdot(z, 2 * quadratic.gradient + quadratic.product(z))
            move = z * quadratic.scale
            if self.geodesic:
                move = move + _correction(problem, params, move, quadratic, solve)
            trial = params + move
            loss = jnp.sum(problem.residuals(trial) ** 2)
            gain = (quadratic.loss - loss) / predicted
            taken = (gain > 0) & (predicted > 0)
            shrunk = jnp.maximum(damping * jnp.maximum(1 / 3, 1 - (2 * gain - 1) ** 3), smallest)
            if self.damping == 0:
                shrunk, damping = jnp.zeros_like(damping), jnp.maximum(damping, 1e-4)
            grown = jnp.minimum(damping * growth, _LARGEST)
            return _Search(
                jnp.where(taken, trial, params),
                jnp.where(taken, loss, search.loss),
                jnp.where(taken, shrunk, grown),
                jnp.where(taken, 2.0, 2 * growth),
                search.trials + 1,
                taken,
            )

        searching = lambda search: ~search.taken & (search.trials < _TRIALS)
        end = jax.lax.while_loop(searching, attempt, start)
        growth = jnp.where(end.taken, end.growth, 2.0)
        return end.params, LevenbergMarquardtState(end.damping, growth), quadratic.loss

    def _solver(self, params):
        return self.solver if self.solver != "auto" else "dense" if params.size <= _DENSE else "cg"

    def _ridge(self, params):
        return 10 * params.size * jnp.finfo(params.dtype).eps if self.ridge is None else self.ridge

    def _quadratic(self, problem, params):
        mode = cheapest(problem, params, self.memory) if self.jacobian == "auto" else self.jacobian
        if mode == "rows" and not problem.rows:
            raise EdgewiseError(
                'jacobian="rows" needs the residuals of single samples.',
                "this problem has only all residuals at once.",
                'use jacobian="auto".',
            )
        solver = self._solver(params)
        if solver == "cg":
            return self._implicit(problem, params, mode)
        if solver == "qr":
            return _triangular(problem, params, mode, self.memory)
        return _dense(problem, params, mode, self.memory)

    def _implicit(self, problem, params, mode):
        """Products with J and J' alone; D from the rows of J where they are cheap, otherwise from random signs."""
        residuals, push = jax.linearize(problem.residuals, params)
        transposed = jax.linear_transpose(push, params)
        pull = lambda values: transposed(values)[0]
        if mode == "rows":
            blocks = jacobian_blocks(problem, params, mode, self.memory)
            add = lambda diagonal, jacobian, _: diagonal + jnp.sum(jacobian**2, axis=1)
            diagonal = blocks.fold(add, jnp.zeros_like(params))
        else:
            signs = jax.random.rademacher(jax.random.key(0), (_PROBES, residuals.shape[0]), residuals.dtype)
            diagonal = jnp.mean(jax.lax.map(pull, signs) ** 2, axis=0)
        scale = _inverse_root(diagonal)
        product = lambda z: scale * pull(push(scale * z))

        def factor(damping):
            damped = lambda z: product(z) + damping * z
            return lambda b: cg(damped, b, tol=self.cg_tolerance, maxiter=self.cg_steps)[0]

        return _Quadratic(
            jnp.sum(residuals**2), scale, scale * pull(residuals), product, factor, lambda v: (residuals, push(v)), pull
        )


class _Search(NamedTuple):
    """The trials of one step."""

    params: Array
    loss: Array
    damping: Array
    growth: Array
    trials: Array
    taken: Array


def _inverse_root(diagonal: Array) -> Array:
    """1 / sqrt of a diagonal; parameters without influence count as if they had a little."""
    floor = jnp.finfo(diagonal.dtype).eps * jnp.max(diagonal)
    return jax.lax.rsqrt(jnp.maximum(diagonal, jnp.where(floor > 0, floor, 1)))


def _dense(problem, params, mode, memory):
    """J'J itself."""
    blocks = jacobian_blocks(problem, params, mode, memory)

    def add(sums, jacobian, residuals):
        loss, gradient, normal = sums
        return loss + jnp.sum(residuals**2), gradient + jacobian @ residuals, normal + jacobian @ jacobian.T

    loss, gradient, normal = blocks.fold(add, _zeros(params))
    scale = _inverse_root(jnp.diagonal(normal))
    normal = scale[:, None] * normal * scale[None]

    def factor(damping):
        factors = cho_factor(normal + damping * jnp.eye(params.size, dtype=params.dtype), check_finite=False)
        return lambda b: cho_solve(factors, b, check_finite=False)

    return _Quadratic(loss, scale, scale * gradient, lambda z: normal @ z, factor, *_products(blocks, problem, params))


def _triangular(problem, params, mode, memory):
    """R of J = QR: R'R = J'J without squaring the condition."""
    blocks = jacobian_blocks(problem, params, mode, memory)

    def add(sums, jacobian, residuals):
        loss, gradient, upper = sums
        upper = jnp.linalg.qr(jnp.concatenate([upper, jacobian.T]), mode="r")
        return loss + jnp.sum(residuals**2), gradient + jacobian @ residuals, upper

    loss, gradient, upper = blocks.fold(add, _zeros(params))
    scale = _inverse_root(jnp.sum(upper**2, axis=0))
    upper = upper * scale[None]

    def factor(damping):
        rows = jnp.sqrt(damping) * jnp.eye(params.size, dtype=params.dtype)
        damped = jnp.linalg.qr(jnp.concatenate([upper, rows]), mode="r")
        return lambda b: cho_solve((damped, False), b, check_finite=False)

    product = lambda z: upper.T @ (upper @ z)
    return _Quadratic(loss, scale, scale * gradient, product, factor, *_products(blocks, problem, params))


def _zeros(params):
    """For a number, a vector and a matrix of the parameters."""
    return tuple(jnp.zeros((params.size,) * axes, params.dtype) for axes in range(3))


def _products(blocks, problem, params):
    """v -> (r, J v) and values -> J' values, by J where it is in memory."""
    if (whole := blocks.whole) is not None:
        jacobian, residuals = whole
        return lambda v: (residuals, v @ jacobian), lambda values: jacobian @ values
    push = lambda v: jax.jvp(problem.residuals, (params,), (v,))
    return push, lambda values: jax.vjp(problem.residuals, params)[1](values)[0]


def _correction(problem, params, velocity, quadratic, solve):
    """a / 2 with (J'J + mu D^2) a = -J' r_vv, r_vv the second derivative along the step; 0 where it is too long.

    r_vv by a difference, as its authors have it: its derivative would be half of all that is compiled.
    """
    residuals, slope = quadratic.push(velocity)
    ahead = problem.residuals(params + _AHEAD * velocity)
    bend = 2 / _AHEAD * ((ahead - residuals) / _AHEAD - slope)
    acceleration = -quadratic.scale * solve(quadratic.scale * quadratic.pull(bend))
    length = lambda v: jnp.linalg.norm(v / quadratic.scale)
    return jnp.where(2 * length(acceleration) <= _BENT * length(velocity), acceleration / 2, 0)
