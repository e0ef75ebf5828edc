"""Differential equations solved: the loss and its rows, points and weights that move, resumed runs, unknown numbers."""

from __future__ import annotations

import warnings
from dataclasses import replace
from math import inf, pi

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.flatten_util import ravel_pytree

from edgewise import KAN, BSpline, Chebyshev, Fourier, SeparableKAN
from edgewise.errors import DataError, EdgewiseError, ShapeError, UnknownNameError
from edgewise.physics import (
    RAD,
    RAR,
    RBA,
    Data,
    Dirichlet,
    Disk,
    Fresh,
    Initial,
    Interval,
    Periodic,
    Polygon,
    Problem,
    Reference,
    TimeSpace,
    derivative,
    features_of,
    laplacian,
    recipe_of,
    resolve_problem,
    solve,
    time_derivative,
)
from edgewise.physics.ansatz import Ansatz
from edgewise.physics.loss import ResidualLoss
from edgewise.physics.recipes import Recipe
from edgewise.physics.trial import Trial
from edgewise.refine import Refine, Steps
from edgewise.training import Callback, NonFiniteError, fit


class Power(nnx.Module):
    """A sum of products of Chebyshev polynomials: compiles fast, and linear equations are linear least squares."""

    def __init__(self, *degrees, n_out=1, seed=0, dtype=np.float32):
        shape = (*(degree + 1 for degree in degrees), n_out)
        self.coef = nnx.Param(0.1 * np.random.default_rng(seed).normal(size=shape).astype(dtype))

    def __call__(self, x):
        total = self.coef[...][None]
        for column, n in zip(x.T, self.coef.shape[:-1], strict=True):
            terms = [jnp.ones_like(column), column]
            for _ in range(n - 2):
                terms.append(2 * column * terms[-1] - terms[-2])
            powers = jnp.stack(terms[:n], axis=1)
            total = jnp.einsum("ni,ni...->n...", powers, jnp.broadcast_to(total, (len(x), *total.shape[1:])))
        return total


LINE = TimeSpace((0.0, 1.0), Interval(0.0, 1.0))
RATE = 0.1


def exact(x):
    return np.exp(-(pi**2) * RATE * x[:, :1]) * np.sin(pi * x[:, 1:])


def wave(x):
    return jnp.sin(pi * x[:, 1:])


def heat(u, x):
    return time_derivative(u, x) - RATE * laplacian(u, x, axes=(1,))


def unknown_heat(u, x, p):
    return time_derivative(u, x) - p["D"] * laplacian(u, x, axes=(1,))


def grid():
    axes = np.linspace(0, 1, 21), np.linspace(0, 1, 21)
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    return Reference(axes, exact(points.reshape(-1, 2)).reshape(21, 21, 1), ("t", "x"))


HEAT = Problem(LINE, heat, [Initial(value=wave), Dirichlet(value=0.0)], reference=grid, name="heat")


def inverse(noise=0.0, seed=0, n=40):
    x = LINE.interior(n, "latin", seed)
    y = exact(x) + noise * np.random.default_rng(seed).normal(size=(n, 1))
    ends = [Dirichlet(value=0.0), Data(points=x, values=y)]
    return Problem(LINE, unknown_heat, ends, parameters={"D": 0.2}, truth={"D": RATE})


def arrays(window):
    """All arrays of what was trained."""
    return jax.tree.map(np.asarray, nnx.state(window.trial))


def first(solution):
    return solution.windows[0].trial, solution.windows[0].loss


@pytest.fixture(scope="module")
def solved():
    return solve(HEAT, Power(7, 7), steps=25, points=80)


# --- a solution --------------------------------------------------------------------------------------------------


def test_a_solution_is_a_function(solved):
    assert solved.error() < 1e-4
    assert solved.error(grid()) == solved.error()
    x = LINE.interior(50)
    u = solved(x)
    assert u.dtype == np.float64
    np.testing.assert_allclose(u, exact(x), atol=1e-3)
    assert np.abs(solved.residual(x)).max() < 0.02
    np.testing.assert_allclose(solved(x[:3]), u[:3], rtol=1e-12)
    assert solved(np.zeros((0, 2))).shape == (0, 1)
    faces = np.array([[0.0, 0.3], [0.4, 0.0], [0.7, 1.0]])
    np.testing.assert_allclose(solved(faces), exact(faces), atol=1e-12)  # built in
    assert (solved.steps, solved.n_parameters, len(solved.history.loss)) == (25, 64, 25)
    assert solved.parameters == {}
    assert "heat, 64 parameters, 25 steps" in repr(solved)


def test_a_solution_that_holds_at_its_points_alone(solved, tmp_path):
    at, between = solved.residual_sizes
    trial, _ = first(solved)
    assert at == pytest.approx(np.sqrt(np.mean(solved.residual(trial.of("equation")["x"]) ** 2)), rel=1e-12)
    assert between > 10 * at  # 80 points for 64 parameters
    (doubt,) = solved.doubts
    assert f"{at:.1e} at the points of training but {between:.1e} between" in doubt
    assert "More points would help" in solved.report(tmp_path).read_text(encoding="utf-8")
    assert solve(HEAT, Power(7, 7), steps=25, points=300).doubts == []


def test_what_a_solution_does_not_know(solved):
    with pytest.raises(DataError, match=r"1 of 2 points lie outside.*row 1"):
        solved([[0.5, 0.5], [2.0, 0.5]])
    with pytest.raises(ShapeError):
        solved([0.5, 0.5])
    with pytest.raises(DataError, match="no numbers"):
        solved([["a", "b"]])
    with pytest.raises(EdgewiseError, match=r"reference=0\.5 is no Reference"):
        solved.error(0.5)
    with pytest.raises(EdgewiseError, match="has no reference"):
        replace(solved, problem=replace(HEAT, reference=None)).error()
    half = replace(solved, windows=(replace(solved.windows[0], stretch=(0.0, 0.5)),))
    with pytest.raises(DataError, match=r"up to t = 0\.5: training was interrupted"):
        half([[0.6, 0.5]])
    assert half.known([[0.5, 0.5], [0.6, 0.5], [0.5, 1.5]]).tolist() == [True, False, False]
    assert (solved.complete, half.complete) == (True, False)


def test_the_callers_model_is_trained_in_its_own_precision(solved):
    own = Power(7, 7)
    again = solve(HEAT, own, steps=25, points=80)
    assert own.coef[...].dtype == np.float32
    np.testing.assert_array_equal(own.coef[...], np.asarray(again.model.coef[...], np.float32))
    np.testing.assert_array_equal(again.model.coef[...], solved.model.coef[...])
    assert np.asarray(again.model.coef[...]).dtype == np.float64
    with jax.enable_x64(True):
        own = Power(7, 7, dtype=np.float64)
    other = solve(HEAT, own, steps=25, points=80)
    assert own.coef[...].dtype == np.float64
    np.testing.assert_array_equal(own.coef[...], other.model.coef[...])


def test_another_seed_compiles_nothing():
    """Of the same problem: five seeds take the time of one compilation."""
    traced = []

    def counted(u, x):
        traced.append(len(x))
        return heat(u, x)

    problem = replace(HEAT, residual=counted)
    traced.clear()
    results, counts = [], []
    for seed in range(2):
        results.append(solve(problem, Power(3, 3, seed=seed), optimizer="adam:1e-2", steps=3, points=16, seed=seed))
        counts.append(len(traced))
    assert counts[0] > 0
    assert counts[1] - counts[0] < counts[0]  # the loss is looked at once more (`eval_shape`), the loop is not
    assert (results[0].model.coef[...] != results[1].model.coef[...]).any()


def test_an_equation_in_time_alone():
    decay = Problem(
        Interval(0.0, 2.0, name="t"),
        lambda u, x: time_derivative(u, x) + jnp.concatenate([u(x)[:, :1], -u(x)[:, 1:]], axis=1) * x,
        [Initial(value=(1.0, 2.0))],
        n_out=2,
    )
    solution = solve(decay, Power(14, n_out=2), steps=12, points=40)
    t = np.linspace(0, 2, 9)[:, None]
    np.testing.assert_allclose(solution(t), np.hstack([np.exp(-(t**2) / 2), 2 * np.exp(t**2 / 2)]), rtol=1e-5)
    assert features_of(decay) == 1


def test_features():
    assert features_of(HEAT) == 2
    around = replace(HEAT, conditions=[Initial(value=0.0), Periodic(axis="x")])
    assert features_of(around) == 3
    assert features_of(around, hard=False) == 2
    assert features_of(around, hard={"periodic in x": False}) == 2


# --- the loss ----------------------------------------------------------------------------------------------------

MIXED = {
    "optimizer": "adam:1e-2", "steps": 9, "points": {"equation": 30, "value on boundary": 7}, "hard": False,
    "weighting": [RBA(terms=("equation", "data")), "gradient_norm:every=4"], "resampling": RAR(every=2, add=4, draws=3),
    "scales": {"data": 5.0, "value on boundary": 0.5},
}  # fmt: skip


@pytest.fixture(scope="module")
def mixed():
    problem = inverse()
    problem = replace(problem, conditions=[*problem.conditions, Initial(value=wave)])
    return solve(problem, Power(3, 3), **MIXED)


def test_the_loss_is_the_sum_of_weighted_squares(mixed):
    trial, loss = first(mixed)
    assert loss.terms == ("equation", "value on boundary", "data", "initial")
    with jax.enable_x64(True):
        params, model_of = vector(trial)

        @jax.jit
        def found(params):
            model = model_of(params)
            by_row = [jax.vmap(each.function, (None, 0))(params, each.samples) for each in loss.rows(model_of, params)]
            terms = {term: loss.term(model, term) for term in loss.terms}
            return loss(model), loss.residuals(model), by_row, terms, loss.shares(model)

        total, residuals, by_row, terms, shares = jax.tree.map(np.asarray, found(params))
        expected = sum(np.sum(shares[term][:, None] * terms[term] ** 2) for term in loss.terms)
        np.testing.assert_allclose(total, expected, rtol=1e-12)
        np.testing.assert_allclose(np.sum(residuals**2), expected, rtol=1e-12)
        np.testing.assert_allclose(np.concatenate([each.ravel() for each in by_row]), residuals, rtol=1e-9, atol=1e-13)
        assert len(terms["data"]) == 40
        assert len(terms["value on boundary"]) == 7
        np.testing.assert_allclose(
            terms["data"], np.asarray(trial(problem_data(mixed).points)) - problem_data(mixed).values
        )


def problem_data(solution):
    return next(each for each in solution.problem.conditions if isinstance(each, Data))


def vector(trial):
    graphdef, params, rest = nnx.split(trial, nnx.Param, ...)
    flat, unravel = ravel_pytree(params)
    return flat, lambda params: nnx.merge(graphdef, unravel(params), rest, copy=True)


def test_weights_multiply_and_let_no_gradient_through(mixed):
    trial, loss = first(mixed)
    with jax.enable_x64(True):
        rba, balance = (dict(trial.adaptive[name]) for name in ("weighting0", "weighting1"))
        shares = loss.shares(trial)
        attention, total = np.asarray(rba["data"][...]), float(balance["data"][...])
        assert total != 1
        assert np.ptp(attention) > 0
        np.testing.assert_allclose(shares["data"], 5 / 40 * attention**2 * total, rtol=1e-12)
        start = float(balance["initial"][...])
        np.testing.assert_allclose(shares["initial"], np.full(256, start / 256), rtol=1e-12)
        graphdef, adaptive, rest = nnx.split(trial, lambda path, _: path[0] == "adaptive", ...)
        state = jax.tree.map(lambda leaf: leaf.astype(float), adaptive)
        slope = jax.jit(jax.grad(lambda state: loss(nnx.merge(graphdef, state, rest, copy=True))))(state)
        assert all(not np.asarray(leaf).any() for leaf in jax.tree.leaves(slope))


def test_points_that_are_added_count_from_then_on(mixed):
    trial, loss = first(mixed)
    active = np.asarray(trial.of("equation")["active"])[:, 0]
    assert len(active) == 30 + 12
    assert active.all()
    points = np.asarray(trial.of("equation")["x"])
    assert LINE.contains(points).all()
    assert len(np.unique(points, axis=0)) == 42  # no candidate twice
    # before they are all there, the others are copies that count nothing
    few = nnx.clone(trial)
    with jax.enable_x64(True):
        few.samples["equation"]["active"][...] = jnp.asarray(np.arange(42.0) < 34)[:, None].astype(float)
        shares = np.asarray(loss.shares(few)["equation"])
        assert not shares[34:].any()
        without = replace(loss, weightings=())
        np.testing.assert_allclose(without.shares(few)["equation"][:34], 1 / 34)
        assert without.inputs(few).shape == (34, 2)


# --- points and weights that move --------------------------------------------------------------------------------

MOVING = {"optimizer": "adam:1e-2", "points": 24, "weighting": "rba", "resampling": RAD(every=4), "seed": 3}


@pytest.fixture(scope="module")
def moving():
    return solve(HEAT, Power(3, 3), steps=10, **MOVING)


def test_points_are_drawn_anew_inside_the_domain(moving):
    trial = first(moving)[0]
    points, start = np.asarray(trial.of("equation")["x"]), LINE.interior(24, "sobol", 3)
    assert points.shape == start.shape
    assert not (points[:, None] == start).all(-1).any()
    assert LINE.contains(points).all()
    pool = np.asarray(trial.adaptive["resampling"]["pool"][...])
    assert pool.shape == (8 * 24, 2)
    assert (points[:, None] == pool).all(-1).any(1).all()
    weights = np.asarray(trial.adaptive["weighting0"]["equation"][...])
    assert np.ptp(weights) > 0
    assert np.isfinite(moving.history.loss).all()


def test_a_resumed_run_is_the_same_bit_by_bit(moving, tmp_path):
    """With weights and points that move: they are in the checkpoint."""
    keep = {"checkpoint": tmp_path / "run.npz", **MOVING}
    solve(HEAT, Power(3, 3), steps=6, **keep)
    again = solve(HEAT, Power(3, 3), steps=10, resume=True, **keep)
    assert again.steps == 10
    jax.tree.map(np.testing.assert_array_equal, arrays(again.windows[0]), arrays(moving.windows[0]))
    np.testing.assert_array_equal(again.history.loss, moving.history.loss)
    with pytest.raises(EdgewiseError, match="is of a run with"):
        solve(HEAT, Power(3, 3), steps=10, resume=True, **keep | {"resampling": RAD(every=5)})


class Pause(Callback):
    """Ends a run after its first chunk, of one step."""

    def on_chunk(self, run):
        run.stop("paused")


@pytest.mark.slow
def test_a_resumed_run_of_second_order(tmp_path):
    settings = {"points": 24, "hard": False, "weighting": "rba", "steps": 6}
    whole = solve(HEAT, Power(3, 3), **settings)
    keep = {"checkpoint": tmp_path / "run.npz", **settings}
    cut = solve(HEAT, Power(3, 3), callbacks=[Pause()], **keep)
    assert (cut.steps, cut.windows[0].result.reason) == (1, "paused")
    again = solve(HEAT, Power(3, 3), resume=True, **keep)
    assert again.steps == 6
    jax.tree.map(np.testing.assert_array_equal, arrays(again.windows[0]), arrays(whole.windows[0]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "resampling"), [("ssbroyden", RAR(every=15, add=5, draws=3)), ("lbfgs", Fresh(every=15))]
)
def test_quasi_newton_goes_on_after_points_have_moved(optimizer, resampling):
    solution = solve(HEAT, Power(5, 5), optimizer=optimizer, steps=60, points=40, resampling=resampling)
    losses = solution.history.loss
    assert np.isfinite(losses).all()
    assert losses[-1] < 1e-2 * losses[0]


@pytest.mark.parametrize("changing", [{"weighting": "rba"}, {"resampling": Fresh()}], ids=["weights", "points"])
def test_quasi_newton_refuses_a_loss_that_changes_at_every_step(changing):
    with pytest.raises(EdgewiseError, match=r"(?s)ssbroyden learns from.*RBA\(every=50\).*levenberg_marquardt"):
        solve(HEAT, Power(3, 3), optimizer="ssbroyden", steps=2, points=20, **changing)


@pytest.mark.slow
def test_stochastic_points():
    solution = solve(HEAT, Power(5, 5), optimizer="adam:3e-2,cosine", steps=300, points=32, resampling=Fresh())
    assert solution.error() < 0.1


@pytest.mark.slow
def test_grids_follow_the_points():
    """Those that count: places kept free for points to come are all in one place."""
    rng = np.random.default_rng(0)
    points = np.stack([rng.uniform(0, 1, 200), np.concatenate([rng.uniform(0, 0.2, 180), rng.uniform(0.2, 1, 20)])], 1)
    model = SeparableKAN([Chebyshev(3, squash=None), BSpline(3, 10)], rank=2, rngs=nnx.Rngs(0))
    schedule = [Steps(2), Refine(adaptivity=1.0), Steps(2)]
    resampling = RAR(every=100, add=400, draws=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of knots that move while the loss is still large
        solution = solve(HEAT, model, schedule=schedule, points=points, optimizer="adam", resampling=resampling)
    assert solution.steps == 4
    with jax.enable_x64(True):
        assert first(solution)[1].inputs(first(solution)[0]).shape == (200, 2)
    knots = np.asarray(jax.tree.leaves(nnx.state(model.factors[1].layers[0].basis_state))[0], np.float64).ravel()
    inside = knots[(knots > -1) & (knots < 1)]
    assert np.mean(inside < -0.6) > 0.6  # nine tenths of the points


# --- unknown numbers ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_unknown_number_without_noise_and_its_interval_with_noise():
    problem = inverse()
    solution = solve(problem, Power(8, 9), steps=25, points=100)
    estimate = solution.parameters["D"]
    assert abs(estimate.value - RATE) < 1e-6
    assert estimate.error < 1e-5
    assert solution.parameters is solution.parameters  # found once
    assert "D=0.1" in repr(solution)
    # with noise, from there: the same program, other values
    trial, loss = first(solution)
    data = problem_data(solution)
    inside, errors = 0, []
    with jax.enable_x64(True):
        for seed in range(10):
            noisy = nnx.clone(trial)
            noise = 0.01 * np.random.default_rng(seed).normal(size=data.values.shape)
            noisy.samples["data"]["target"][...] = jnp.asarray(data.values + noise)
            result = fit(noisy, None, loss=loss, optimizer="levenberg_marquardt", steps=25, dtype="float64")
            window = replace(solution.windows[0], trial=noisy, result=result)
            found = replace(solution, windows=(window,)).parameters["D"]
            low, high = found.interval
            inside += low <= RATE <= high
            errors.append(found.error)
    assert inside >= 8
    assert 1e-4 < np.mean(errors) < 5e-3
    assert np.ptp(errors) < np.mean(errors)


def test_a_number_in_single_precision_and_without_data(mixed):
    trial, loss = first(mixed)
    single = replace(mixed.windows[0], trial=in_single(trial))
    found = replace(mixed, windows=(single,)).parameters["D"]
    assert found.error > 0
    np.testing.assert_allclose(found.error, mixed.parameters["D"].error, rtol=0.2)
    blind = replace(loss, conditions=tuple((name, each) for name, each in loss.conditions if name != "data"))
    unknown = replace(mixed, windows=(replace(single, loss=replace(blind, weightings=())),)).parameters["D"]
    assert unknown.error == inf
    assert unknown.interval == (-inf, inf)


def in_single(trial):
    single = nnx.clone(trial)
    like = lambda leaf: leaf.astype(np.float32) if leaf.dtype == np.float64 else leaf
    nnx.update(single, jax.tree.map(like, nnx.state(single)))
    return single


@pytest.mark.slow
def test_the_noise_that_is_known_and_the_noise_that_is_found(mixed):
    """A straight line through data: the textbook's standard error."""
    t = np.linspace(0, 1, 30)[:, None]
    noise = 0.1 * np.random.default_rng(4).normal(size=t.shape)
    line = Interval(0.0, 1.0, name="t")
    slope = lambda u, x, p: time_derivative(u, x) - p["a"]
    for known in (None, 0.1):
        data = Data(points=t, values=2 * t + 1 + noise, noise=known)
        problem = Problem(line, slope, [data], parameters={"a": 1.0})
        solution = solve(problem, Power(1), steps=60, points=4, scales={"equation": 1e4})
        found = solution.parameters["a"]
        best = np.polyfit(t[:, 0], data.values[:, 0], 1)
        left = data.values[:, 0] - np.polyval(best, t[:, 0])
        sigma = known or np.sqrt(np.sum(left**2) / 28)
        np.testing.assert_allclose(found.value, best[0], rtol=1e-4)
        np.testing.assert_allclose(found.error, sigma / np.sqrt(np.sum((t - t.mean()) ** 2)), rtol=1e-3)


# --- other domains and equations ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_poisson_on_a_disk():
    problem = Problem(Disk(), lambda u, x: laplacian(u, x) + 4.0, [Dirichlet(value=0.0)])
    solution = solve(problem, Power(4, 4), steps=8, points={"equation": 60, "value on boundary": 40})
    x = Disk().interior(200, "uniform", 5)
    truth = 1 - np.sum(x**2, axis=1, keepdims=True)
    assert np.linalg.norm(solution(x) - truth) < 1e-6 * np.linalg.norm(truth)


@pytest.mark.slow
def test_poisson_on_a_polygon():
    ell = Polygon([(0, 0), (2, 0), (2, 1), (1, 1), (1, 2), (0, 2)])
    problem = Problem(ell, lambda u, x: laplacian(u, x) + 1.0, [Dirichlet(value=0.0)])
    scales = {"value on boundary": 100.0}
    solution = solve(problem, Power(10, 10), steps=300, points=200, optimizer="lbfgs", scales=scales)
    # polynomials do not see the corner that points inwards: within a few per cent
    assert solution.history.loss[-1] < 0.02 * solution.history.loss[0]
    edge = ell.boundary(50)[0]
    assert np.sqrt(np.mean(solution(edge) ** 2)) < 0.04
    assert 0.05 < solution([[0.5, 0.5]])[0, 0] < 0.25  # positive inside: the maximum principle


@pytest.mark.slow
def test_a_wave_with_two_initial_conditions():
    equation = lambda u, x: derivative(u, x, 0, 0) - derivative(u, x, 1, 1)
    starts = [Initial(value=wave), Initial(value=lambda x: pi * wave(x), order=1), Dirichlet(value=0.0)]
    problem = Problem(LINE, equation, starts)
    solution = solve(problem, Power(8, 8), steps=400, points=150, optimizer="ssbroyden")
    x = LINE.interior(100)
    truth = (np.cos(pi * x[:, :1]) + np.sin(pi * x[:, :1])) * np.sin(pi * x[:, 1:])
    assert np.linalg.norm(solution(x) - truth) < 1e-4 * np.linalg.norm(truth)


@pytest.mark.slow
def test_windows_of_time(tmp_path):
    model, path = Power(6, 7), tmp_path / "run.npz"
    solution = solve(HEAT, model, steps=25, points=80, windows=2, checkpoint=path)
    assert [window.stretch for window in solution.windows] == [(0.0, 0.5), (0.5, 1.0)]
    assert (solution.steps, solution.n_parameters) == (50, 2 * 56)
    assert solution.error() < 1e-4
    edge = np.array([[0.5, 0.3]])
    before, after = (window.trial for window in solution.windows)
    with jax.enable_x64(True):
        np.testing.assert_allclose(after(edge), before(edge), atol=1e-12)
    np.testing.assert_allclose(solution.residual(np.array([[0.2, 0.5], [0.8, 0.5]])), 0, atol=0.02)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["run-1.npz", "run-2.npz"]
    np.testing.assert_array_equal(model.coef[...], np.asarray(solution.model.coef[...], np.float32))


def test_windows_without_space():
    """u'' = -u through several windows, value and slope handed on."""
    start = [Initial(value=1.0), Initial(value=0.0, order=1)]
    problem = Problem(Interval(0.0, 6.0, name="t"), lambda u, t: time_derivative(u, t, 2) + u(t), start)
    solution = solve(problem, Power(9), steps=15, points=40, windows=3)
    assert [window.stretch for window in solution.windows] == [(0.0, 2.0), (2.0, 4.0), (4.0, 6.0)]
    t = np.linspace(0, 6, 50)[:, None]
    np.testing.assert_allclose(solution(t), np.cos(t), atol=1e-5)


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "kind", "match"),
    [
        ({"points": [[0.5, 0.5], [0.5, 1.5]]}, EdgewiseError, "1 of 2 points lie outside.*row 1"),
        ({"points": np.zeros((3, 1))}, ShapeError, "2 dimensions"),
        ({"points": 0}, EdgewiseError, "points"),
        ({"points": {"equatoin": 5}}, UnknownNameError, "did you mean 'equation'"),
        ({"points": {"initial": 5}}, UnknownNameError, "term of the loss"),  # built in: no term
        ({"scales": {"initial": 2.0}}, UnknownNameError, "term of the loss"),
        ({"scales": {"equation": -1.0}}, EdgewiseError, "above 0"),
        ({"scales": 2.0}, EdgewiseError, "no numbers by name"),
        ({"sampling": "sobel"}, UnknownNameError, "did you mean 'sobol'"),
        ({"dtype": "float16"}, UnknownNameError, "dtype"),
        ({"weighting": "rbaa"}, UnknownNameError, "did you mean 'rba'"),
        ({"weighting": RBA}, EdgewiseError, "instance"),
        ({"weighting": RBA(terms="initial")}, UnknownNameError, "term of the loss"),
        ({"resampling": RAD}, EdgewiseError, "pass an instance"),
        ({"resampling": "rad"}, EdgewiseError, "pass an instance"),
        ({"hard": {"boundary": True}}, UnknownNameError, "condition"),
        ({"windows": 0}, EdgewiseError, "windows"),
        ({"seed": -1}, EdgewiseError, "seed"),
        ({"resume": True}, EdgewiseError, "checkpoint"),
        ({"optimizer": "adamm"}, UnknownNameError, "adam"),
    ],
)
def test_settings_that_cannot_be_used(settings, kind, match):
    with pytest.raises(kind, match=match) as caught:
        solve(HEAT, Power(2, 2), **{"steps": 1} | settings)
    assert caught.value.do or caught.value.why


def test_models_of_the_wrong_arity():
    kan = lambda *widths: KAN(widths, Chebyshev(2), rngs=nnx.Rngs(0))
    with pytest.raises(ShapeError, match=r"does not take 2 inputs.*(\n.*)*KAN\(\[2, \(0, 8\), 1\]") as caught:
        solve(HEAT, kan(3, 1))
    assert str(caught.value).count("Why:") == 1
    with pytest.raises(ShapeError, match=r"gives \(3, 2\) for 2 inputs"):
        solve(HEAT, kan(2, 2))
    around = replace(HEAT, conditions=[Periodic(axis="x")])
    with pytest.raises(ShapeError, match=r"does not take 3 inputs(.|\n)*1 of them as cosine and sine"):
        solve(around, kan(2, 1))


def test_what_is_no_problem_and_no_model():
    for model in (KAN, "kan", lambda x: x):
        with pytest.raises(EdgewiseError, match=r"no nnx\.Module(.|\n)*KAN\(\[2, \(0, 8\), 1\]"):
            solve(HEAT, model)
    with pytest.raises(EdgewiseError, match=r"'burgers' is no Problem(.|\n)*resolve_problem\('burgers'\)"):
        solve("burgers")
    with pytest.raises(EdgewiseError, match="None is no Problem"):
        solve(None)


def test_windows_that_cannot_be():
    refused = lambda match, problem: pytest.raises(EdgewiseError, match=match)
    plane = Problem(Disk(), lambda u, x: laplacian(u, x), [Dirichlet(value=0.0)])
    for match, problem in (
        ("has no time", plane),
        ("start from Initial(.|\n)*there is none", replace(HEAT, conditions=[Dirichlet(value=0.0)])),
        ("final would hold in every", replace(HEAT, conditions=[Initial(), Dirichlet(on="final")])),
        ("measured data", inverse()),
    ):
        with refused(match, problem):
            solve(problem, Power(2, 2), steps=1, windows=2)


def test_a_weighting_by_time_where_there_is_none():
    plane = Problem(Disk(), lambda u, x: laplacian(u, x), [Dirichlet(value=0.0)])
    with pytest.raises(EdgewiseError, match=r"Causal\(.*needs time, and Disk.* has none"):
        solve(plane, Power(2, 2), steps=1, weighting="causal")


def test_points_of_data_are_their_own():
    with pytest.raises(EdgewiseError, match="points of their own"):
        solve(inverse(), Power(2, 2), steps=1, points={"data": 5})


@pytest.mark.parametrize("options", [{"every": 0}, {"exponent": 0}, {"offset": -1}, {"offset": inf}, {"candidates": 1}])
def test_draws_that_cannot_be(options):
    with pytest.raises(EdgewiseError, match=f"RAD: {next(iter(options))}"):
        RAD(**options)


def test_a_residual_that_becomes_nan():
    """The message says when; the model has its last finite state."""
    root = Problem(LINE, lambda u, x: jnp.sqrt(u(x)), [Dirichlet(on="left", value=0.0, hard=False)])
    model = Power(2, 2)
    with pytest.raises(NonFiniteError) as caught:
        solve(root, model, optimizer="sgd:5.0", steps=50, points=16)
    assert caught.value.do
    assert np.isfinite(model.coef[...]).all()


# --- parts -------------------------------------------------------------------------------------------------------


def test_recipes_keep_graded_points_beside_numbers_for_conditions():
    recipe = Recipe(
        (Chebyshev(3),) * 2, rank=1, points=50, densities={"x": lambda x: 1 + 9 * (x < 0.1)},
        options={"points": {"value on boundary": 8}},
    )  # fmt: skip
    points = recipe.settings(HEAT)["points"]
    assert points["value on boundary"] == 8
    assert points["equation"].shape == (50, 2)
    assert np.mean(points["equation"][:, 1] < 0.1) > 0.2
    assert Recipe((Chebyshev(3),) * 2, rank=1, points=50).settings(HEAT)["points"] == 50
    assert recipe_of("none of the built-in").rank == 8


def test_a_trial_knows_its_parameters():
    problem = inverse()
    loss = ResidualLoss(problem)
    trial = Trial(Power(2, 2), Ansatz(((0.0, 1.0),) * 2, 1), problem.parameters, "float32")
    assert trial.parameters.keys() == {"D"}
    trial.keep("equation", {"x": np.zeros((3, 2))}, "float32")
    assert trial.of("equation")["x"].shape == (3, 2)
    assert loss.terms == ("equation",)


# --- a built-in problem, by a smaller form of its recipe -----------------------------------------------------------


@pytest.mark.slow
def test_fourth_derivatives():
    recipe, problem = recipe_of("kuramoto-sivashinsky"), resolve_problem("kuramoto-sivashinsky", end=0.02)
    bases = Chebyshev(6, squash=None), Fourier(16, period=2.0)
    smaller = replace(recipe, bases=bases, rank=5, points=800, steps=30)
    assert smaller.solve(problem, progress=False, windows=1).error() < 1e-5
