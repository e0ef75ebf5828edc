"""Levenberg-Marquardt, quasi-Newton methods and their line search against SciPy and closed forms, in float64."""

from __future__ import annotations

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.optimize

from edgewise.errors import EdgewiseError, UnknownNameError
from edgewise.training.optim import (
    LeastSquaresProblem,
    LevenbergMarquardt,
    Rows,
    lbfgs,
    matrices,
    quasi_newton,
    scale_by_quasi_newton,
)
from edgewise.training.optim.jacobian import jacobian_blocks
from edgewise.training.optim.line_search import strong_wolfe

rng = np.random.default_rng(0)
A, B = rng.normal(size=(30, 6)), rng.normal(size=30)
T = np.linspace(0, 3, 25)
START = np.array([1.0, 1.0, 0.5])
TRUE = np.array([2.0, 1.5, -0.3])


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def linear():
    samples = (jnp.asarray(A), jnp.asarray(B))
    one = lambda p, s: (s[0] @ p - s[1])[None]
    return LeastSquaresProblem(lambda p: samples[0] @ p - samples[1], (Rows(one, samples),))


def curve(p, t):
    return p[0] * jnp.exp(-p[1] * t) + p[2]


def decay(noise=0.01):
    y = np.asarray(curve(TRUE, T)) + noise * np.random.default_rng(1).normal(size=len(T))
    samples = (jnp.asarray(T), jnp.asarray(y))
    one = lambda p, s: (curve(p, s[0]) - s[1])[None]
    kinds = [tuple(part[rows] for part in samples) for rows in (slice(7), slice(7, None))]
    return LeastSquaresProblem(lambda p: curve(p, samples[0]) - samples[1], tuple(Rows(one, kind) for kind in kinds))


def solved(method, problem, params, steps):
    params = jnp.asarray(params)
    state, step = method.init(params), jax.jit(lambda p, s: method.step(problem, p, s))
    losses = []
    for _ in range(steps):
        params, state, loss = step(params, state)
        losses.append(float(loss))
    return np.asarray(params), losses


@pytest.mark.parametrize("solver", ["dense", "qr", "cg"])
def test_gauss_newton_solves_a_linear_problem_in_one_step(solver):
    method = LevenbergMarquardt(damping=0.0, solver=solver, geodesic=False, cg_tolerance=1e-14)
    with jax.numpy_rank_promotion("raise"):  # which users may have set
        found, losses = solved(method, linear(), np.zeros(6), 1)
    np.testing.assert_allclose(found, np.linalg.lstsq(A, B, rcond=None)[0], rtol=1e-8)
    assert losses[0] == pytest.approx(B @ B)


@pytest.mark.parametrize("options", [{}, {"geodesic": False}, {"solver": "qr"}, {"solver": "cg"}, {"damping": 0.0},
                                     {"jacobian": "forward"}, {"jacobian": "reverse"}, {"memory": 100.0}])  # fmt: skip
def test_a_nonlinear_fit_ends_where_scipys_does(options):
    problem = decay()
    found, losses = solved(LevenbergMarquardt(**options), problem, START, 40)
    reference = scipy.optimize.least_squares(lambda p: np.asarray(problem.residuals(p)), START, xtol=1e-15, ftol=1e-15)
    np.testing.assert_allclose(found, reference.x, rtol=1e-5)
    assert losses[-1] == pytest.approx(2 * reference.cost, rel=1e-9)
    assert all(later <= earlier * (1 + 1e-12) for earlier, later in pairwise(losses))


@pytest.mark.parametrize("mode", ["rows", "forward", "reverse"])
@pytest.mark.parametrize("memory", [1e9, 400.0])
def test_the_jacobian_is_the_one_of_jax_in_blocks_or_not(mode, memory):
    problem, params = decay(), jnp.asarray(START)
    blocks = jacobian_blocks(problem, params, mode, memory)
    normal, gradient = blocks.fold(
        lambda sums, jacobian, r: (sums[0] + jacobian @ jacobian.T, sums[1] + jacobian @ r),
        (jnp.zeros((3, 3)), jnp.zeros(3)),
    )
    exact = np.asarray(jax.jacfwd(problem.residuals)(params))
    np.testing.assert_allclose(normal, exact.T @ exact, rtol=1e-10)
    np.testing.assert_allclose(gradient, exact.T @ np.asarray(problem.residuals(params)), rtol=1e-9)


@pytest.mark.parametrize("solver", ["dense", "qr", "cg"])
def test_a_jacobian_of_deficient_rank_stays_finite(solver):
    twice = jnp.asarray(np.hstack([A, A]))
    problem = LeastSquaresProblem(lambda p: twice @ p - B)
    found, _ = solved(LevenbergMarquardt(solver=solver), problem, np.zeros(12), 8)
    best = np.linalg.lstsq(A, B, rcond=None)[0]
    assert np.isfinite(found).all()
    np.testing.assert_allclose(twice @ found, A @ best, rtol=1e-3, atol=1e-3)


def test_float32_stays_finite_and_gets_there():
    problem = decay()
    single = LeastSquaresProblem(lambda p: problem.residuals(p).astype(jnp.float32))
    found, losses = solved(LevenbergMarquardt(), single, START.astype(np.float32), 20)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, TRUE, rtol=0.1)
    assert np.isfinite(losses).all()


@pytest.mark.parametrize(("options", "error"), [
    ({"damping": -1.0}, EdgewiseError), ({"solver": "lu"}, UnknownNameError), ({"jacobian": "both"}, UnknownNameError),
    ({"ridge": 0.0}, EdgewiseError), ({"memory": -1.0}, EdgewiseError), ({"cg_steps": 0}, EdgewiseError),
    ({"dampling": 1.0}, UnknownNameError),
])  # fmt: skip
def test_options_of_levenberg_marquardt_are_checked(options, error):
    with pytest.raises(error):
        LevenbergMarquardt(**options)


@pytest.mark.parametrize("make", [LevenbergMarquardt, lambda: LevenbergMarquardt(solver="qr"), quasi_newton])
def test_matrices_without_room_are_refused(make, monkeypatch):
    monkeypatch.setattr(matrices, "_memory", lambda: 1_000_000)
    many = jnp.zeros(300)
    with pytest.raises(EdgewiseError, match=r"300 parameters needs(?s:.*)300 x 300(?s:.*)which holds? vectors"):
        make().init(many)
    make().init(many[:100])
    LevenbergMarquardt(solver="cg").init(many)
    lbfgs().init(many)


def test_the_memory_there_is():
    assert 1e8 < matrices._memory() < 1e15


# --- quasi-Newton -------------------------------------------------------------------------------------------------

HESSIAN = A.T @ A / 10 + np.eye(6)


def rosenbrock(p):
    return jnp.sum(100 * (p[1:] - p[:-1] ** 2) ** 2 + (1 - p[:-1]) ** 2)


def descent(transform, function, params, steps, below=-np.inf):
    """Iterates and the number of steps until the value is below a bound."""
    params = jnp.asarray(params)
    state, value_and_grad = transform.init(params), optax.value_and_grad_from_state(function)

    @jax.jit
    def step(params, state):
        value, grad = value_and_grad(params, state=state)
        updates, state = transform.update(grad, state, params, value=value, grad=grad, value_fn=function)
        return optax.apply_updates(params, updates), state, value

    count = 0
    while count < steps:
        params, state, value = step(params, state)
        count += 1
        if value < below:
            break
    return params, state, count


METHODS = {
    "lbfgs": lbfgs(),
    "bfgs": quasi_newton("bfgs", scaled=False),
    "ssbfgs": quasi_newton("bfgs"),
    "ssbroyden": quasi_newton("broyden"),
}


@pytest.mark.parametrize("name", METHODS)
def test_rosenbrock_is_minimized(name):
    found, _, count = descent(METHODS[name], rosenbrock, np.full(6, -1.2), 150, below=1e-13)
    np.testing.assert_allclose(found, 1, atol=1e-5)
    assert count < 120


@pytest.mark.parametrize(("update", "scaled"), [("bfgs", False), ("bfgs", True), ("broyden", True)])
def test_exact_line_searches_end_on_a_quadratic_in_as_many_steps_as_dimensions(update, scaled):
    """Dixon's theorem; unscaled, H is then the inverse Hessian (Nocedal and Wright, theorem 6.4)."""
    transform, params = scale_by_quasi_newton(update, scaled), jnp.zeros(6)
    state, gradient_of = transform.init(params), lambda p: HESSIAN @ p - 1
    for _ in range(6):
        direction, state = transform.update(gradient_of(params), state, params)
        params = params - (gradient_of(params) @ direction) / (direction @ HESSIAN @ direction) * direction
    np.testing.assert_allclose(params, np.linalg.solve(HESSIAN, np.ones(6)), rtol=1e-8)
    _, state = transform.update(gradient_of(params), state, params)
    np.testing.assert_allclose(state.inverse, np.asarray(state.inverse).T, atol=1e-12)
    if not scaled:
        np.testing.assert_allclose(state.inverse, np.linalg.inv(HESSIAN), rtol=1e-6)


@pytest.mark.parametrize("name", ["bfgs", "ssbfgs", "ssbroyden"])
def test_updates_follow_the_papers(name):
    """One update against the equations on H^-1 itself, with NumPy; the secant equation H y = s."""
    transform = METHODS[name]
    states, params = [], jnp.asarray(np.linspace(-1, 1, 6))
    state, value_and_grad = transform.init(params), optax.value_and_grad_from_state(rosenbrock)
    points = []
    for _ in range(6):
        value, grad = value_and_grad(params, state=state)
        updates, state = transform.update(grad, state, params, value=value, grad=grad, value_fn=rosenbrock)
        points.append((np.asarray(params), np.asarray(grad)))
        states.append(np.asarray(next(part for part in state if hasattr(part, "inverse")).inverse))
        params = optax.apply_updates(params, updates)
    for index in range(2, 6):
        s, y = (points[index][k] - points[index - 1][k] for k in range(2))
        before, after = states[index - 1], states[index]
        np.testing.assert_allclose(after @ y, s, rtol=1e-6, atol=1e-9)
        hessian = np.linalg.inv(before)
        ys, hy = y @ s, before @ y
        b, h = s @ hessian @ s / ys, y @ hy / ys
        a = b * h - 1
        theta = 0.0
        if name == "ssbroyden":
            least = min(1, h * (1 - np.sqrt(a / (1 + a))))
            theta = max((least - 1) / a, min(1 / least, (1 - b) / b))
        sigma, tau = 1 + a * theta, 1.0
        if name != "bfgs":
            spread = sigma ** (1 / (1 - 6))
            tau = min(1, 1 / b) * min(spread, 1 / theta) if theta > 0 else min(min(1, 1 / b) * spread, sigma)
        v = s / ys - hy / (y @ hy)
        phi = (1 - theta) / (1 + a * theta)
        expected = (before - np.outer(hy, hy) / (y @ hy) + phi * (y @ hy) * np.outer(v, v)) / tau + np.outer(s, s) / ys
        np.testing.assert_allclose(after, expected, rtol=1e-5, atol=1e-9)


def test_quasi_newton_methods_want_one_vector():
    with pytest.raises(EdgewiseError, match="one vector"):
        quasi_newton().init({"a": jnp.ones(2)})
    with pytest.raises(UnknownNameError):
        quasi_newton("dfp")


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("function", [rosenbrock, lambda p: jnp.sum(jnp.cosh(p)) + jnp.sum(p**4)])
def test_accepted_steps_fulfil_the_strong_wolfe_conditions(function, scale):
    search, gradient_of = strong_wolfe(), jax.grad(function)
    for seed in range(10):
        params = jnp.asarray(np.random.default_rng(seed).normal(size=4))
        value, grad = function(params), gradient_of(params)
        direction = -scale * grad
        updates, state = search.update(
            direction, search.init(params), params, value=value, grad=grad, value_fn=function
        )
        slope, new = float(direction @ grad), params + updates
        assert float(function(new)) <= float(value + 1e-4 * state.learning_rate * slope)
        assert abs(float(gradient_of(new) @ direction)) <= 0.9 * abs(slope)
        assert float(state.value) == pytest.approx(float(function(new)))
        np.testing.assert_allclose(state.grad, gradient_of(new))


def test_where_there_is_no_descent_there_is_no_step():
    search, params = strong_wolfe(), jnp.ones(3)
    value, grad = rosenbrock(params + 1), jax.grad(rosenbrock)(params + 1)
    updates, _ = search.update(grad, search.init(params), params + 1, value=value, grad=grad, value_fn=rosenbrock)
    np.testing.assert_array_equal(updates, 0)
