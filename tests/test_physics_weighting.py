"""Weights of residuals: every update against NumPy, fixed points, no gradient through them, combinations."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.flatten_util import ravel_pytree

from edgewise.errors import EdgewiseError, UnknownNameError
from edgewise.physics.ansatz import ansatz_for
from edgewise.physics.conditions import Dirichlet, Initial
from edgewise.physics.geometry import Interval, TimeSpace
from edgewise.physics.loss import ResidualLoss
from edgewise.physics.operators import derivative
from edgewise.physics.problem import Problem
from edgewise.physics.trial import Trial
from edgewise.physics.weighting import (
    EQUATION,
    NTK,
    RBA,
    WEIGHTINGS,
    Causal,
    GradientNorm,
    Look,
    Variational,
    Weighting,
    resolve_weighting,
)
from edgewise.physics.weighting.ntk import spread_rows

MEAN = Variational(potential="lp", normalize="mean")
ALL = [RBA(), Variational(), MEAN, Causal(), Causal((0.1, 1.0)), GradientNorm(), NTK()]
R = np.array([[3.0, 4.0], [0.0, 0.0], [0.0, -10.0], [1.0, 0.0]])  # norms 5, 0, 10, 1


def features(x):
    """Of which the models of the tests are linear: residuals are features @ params["a"] * params["b"] - 1."""
    return jnp.concatenate([x, x**2], axis=1)


def look_at(residuals, *, step=0, time=None, dtype="float32"):
    """A look at given residuals, by term or of the equation alone, of a small model that has others."""
    residuals = residuals if isinstance(residuals, dict) else {EQUATION: residuals}
    points = {
        term: jnp.linspace(0.1, 1.0 + i, len(r), dtype=dtype)[:, None] for i, (term, r) in enumerate(residuals.items())
    }
    time = jnp.zeros(len(next(iter(residuals.values()))), dtype) if time is None else jnp.asarray(time, dtype)
    params = {"a": jnp.asarray([[0.5], [-2.0]], dtype), "b": jnp.asarray(1.5, dtype)}

    def rows_of(params, term, rows):
        return features(points[term][rows]) @ params["a"] * params["b"] - 1

    def loss_of(params, term):
        return jnp.mean(jnp.sum(rows_of(params, term, jnp.arange(len(points[term]))) ** 2, axis=1))

    arrays = {term: jnp.asarray(r, dtype) for term, r in residuals.items()}
    times = {term: time if term == EQUATION else jnp.zeros(len(r), dtype) for term, r in residuals.items()}
    active = {term: jnp.ones(len(x)) for term, x in points.items()}
    return Look(jnp.asarray(step), arrays, points, times, active, loss_of, rows_of, params)


def after(weighting: Weighting, look, times=1):
    state = weighting.init(look.points)

    @jax.jit
    def update(state, residuals, params):  # none of them a constant, with which XLA would compute in another order
        return weighting.update(state, replace(look, residuals=residuals, params=params))

    for _ in range(times):
        state = update(state, look.residuals, look.params)
    return state


def test_rba_by_hand():
    weighting = RBA(gamma=0.9, eta=0.5)
    expected = 0.9 * (0.9 + 0.5 * np.array([0.5, 0, 1, 0.1])) + 0.5 * np.array([0.5, 0, 1, 0.1])
    weights = weighting.weights(after(weighting, look_at(R), 2))
    np.testing.assert_allclose(weights[EQUATION], expected**2, rtol=1e-6)
    fixed = weighting.weights(after(weighting, look_at(R), 300))[EQUATION]
    np.testing.assert_allclose(fixed, (0.5 / 0.1 * np.array([0.5, 0, 1, 0.1])) ** 2, rtol=1e-5, atol=1e-20)


def test_attention_of_residuals_that_are_all_zero():
    for weighting in (RBA(gamma=0.5, eta=0.5), Variational(gamma=0.5, eta=0.5)):
        np.testing.assert_allclose(weighting.weights(after(weighting, look_at(0 * R)))[EQUATION], 1)


def test_attention_of_an_infinite_residual_is_forgotten():
    for weighting in (RBA(), Variational()):
        state = after(weighting, look_at(np.array([[np.inf], [1.0]])))
        assert np.isfinite(weighting.update(state, look_at(R[:2]))[EQUATION]).all()


def test_attention_of_chosen_terms():
    look = look_at({EQUATION: R, "initial": R[:2]})
    assert set(RBA().weights(RBA().init(look.points))) == {EQUATION, "initial"}
    assert set(RBA(terms="initial").weights(RBA(terms="initial").init(look.points))) == {"initial"}
    with pytest.raises(UnknownNameError, match="equation"):
        RBA(terms=("equations",)).init(look.points)


@pytest.mark.parametrize("weighting", [RBA(), Variational(), Causal()])
def test_new_points_start_at_the_mean(weighting):
    look = look_at({EQUATION: R, "initial": R[:2]}, time=[0, 0.1, 0.5, 0.9])
    state = after(weighting, look)
    key, new = EQUATION if EQUATION in state else "weights", np.array([True, False, True, True])
    moved = weighting.moved(state, EQUATION, jnp.asarray(new))
    np.testing.assert_allclose(moved[key], np.where(new, np.mean(state[key]), state[key]), rtol=1e-6)
    assert jax.tree.map(jnp.shape, moved) == jax.tree.map(jnp.shape, state)
    assert all(moved[name] is state[name] for name in state if name != key)
    assert weighting.moved(state, "another", jnp.asarray(new)) is state


def test_variational_exponential_by_hand():
    sizes, step = np.linalg.norm(R, axis=1), 6
    eps = 0.5 * sizes.max() / np.log(step + 2)
    q = np.exp(sizes / eps)
    by_max = Variational(gamma=0.5, eta=0.25, scale=0.5, phi=0.9)
    expected = 0.5 + 0.25 * (0.9 * q / q.max() + 0.1)
    np.testing.assert_allclose(by_max.weights(after(by_max, look_at(R, step=step)))[EQUATION], expected**2, rtol=1e-5)
    by_mean = replace(by_max, normalize="mean")
    expected = 0.5 + 0.25 * (0.9 * q / q.mean() + 0.1)
    np.testing.assert_allclose(by_mean.weights(after(by_mean, look_at(R, step=step)))[EQUATION], expected**2, rtol=1e-5)


def test_variational_lp_by_hand_and_rba_as_its_quadratic_case():
    sizes = np.linalg.norm(R, axis=1)
    weighting = Variational(gamma=0.5, eta=0.5, potential="lp", power=3.0, normalize="mean")
    expected = 0.5 + 0.5 * sizes**2 / np.mean(sizes**2)
    np.testing.assert_allclose(weighting.weights(after(weighting, look_at(R)))[EQUATION], expected**2, rtol=1e-5)
    quadratic = Variational(potential="lp", power=2.0)
    found, expected = (after(each, look_at(R), 3)[EQUATION] for each in (quadratic, RBA()))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_variational_of_tiny_and_huge_residuals_is_finite():
    for scale in (1e-30, 1e15):
        state = after(Variational(normalize="mean"), look_at(R * scale, step=10**6))
        assert np.isfinite(state[EQUATION]).all()
        assert np.argmax(state[EQUATION]) == 2


def test_causal_by_hand_with_a_chunk_without_points():
    time, r = [0.0, 0.1, 0.3, 0.9, 1.0], np.array([[1.0], [2.0], [3.0], [1.0], [5.0]])
    weighting = Causal(tolerance=0.2, chunks=4)
    state = after(weighting, look_at(r, time=time))
    np.testing.assert_allclose(state["losses"], [2.5, 9, 0, 13], rtol=1e-6)
    first, second, last = np.exp(-0.2 * np.array([0, 2.5, 11.5]))
    np.testing.assert_allclose(weighting.weights(state)[EQUATION], [first, first, second, last, last], rtol=1e-6)
    np.testing.assert_array_equal(after(weighting, look_at(0 * r, time=time))["weights"], np.ones(5))


def test_causal_raises_its_tolerance_once_solved():
    r, time = np.array([[0.1], [0.1]]), [0.0, 1.0]  # 0.01 a chunk
    weighting = Causal(tolerance=[0.5, 2.0, 7.0], chunks=2)
    levels, seen = [], []
    state = weighting.init(look_at(r).points)
    for _ in range(4):
        state = weighting.update(state, look_at(r, time=time))
        levels.append(int(state["level"]))
        seen.append(float(state["weights"][1]))
    assert levels == [1, 1, 1, 1]  # exp(-0.02) is below 0.99
    np.testing.assert_allclose(seen, np.exp(-0.01 * np.array([0.5, 2, 2, 2])), rtol=1e-6)
    for _ in range(3):
        state = weighting.update(state, look_at(0 * r, time=time))
    assert int(state["level"]) == 2


def test_gradient_norm_by_hand():
    look = look_at({EQUATION: R, "initial": R[:2], "data": R[:3]})
    norms = {}
    for term, x in look.points.items():
        f, a, b = np.asarray(features(x), float), np.array([[0.5], [-2.0]]), 1.5
        r = f @ a * b - 1
        slopes = [2 * np.mean(r * f, axis=0) * b, [2 * np.mean(r * (f @ a))]]
        norms[term] = np.linalg.norm(np.concatenate(slopes))
    weights = GradientNorm(alpha=0.75).weights(after(GradientNorm(alpha=0.75), look))
    for term, norm in norms.items():
        np.testing.assert_allclose(weights[term], 0.75 + 0.25 * sum(norms.values()) / norm, rtol=1e-5)
    fixed = after(GradientNorm(alpha=0.5), look, 40)
    np.testing.assert_allclose([fixed[t] * norms[t] for t in norms], sum(norms.values()), rtol=1e-5)


def test_gradient_norm_where_gradients_vanish():
    look = look_at({EQUATION: R, "initial": R[:2]})
    some = replace(look, loss_of=lambda params, term: look.loss_of(params, term) * (term == EQUATION))
    state = after(GradientNorm(alpha=0.5), some)
    np.testing.assert_allclose([state[EQUATION], state["initial"]], [1, 0.5 + 0.5e5], rtol=1e-5)
    none = replace(look, loss_of=lambda params, term: 0 * look.loss_of(params, term))
    assert after(GradientNorm(), none) == {EQUATION: 1, "initial": 1}
    tiny = replace(look, loss_of=lambda params, term: 1e-30 * look.loss_of(params, term))  # squares are 0 in float32
    np.testing.assert_allclose(after(GradientNorm(), tiny)[EQUATION], after(GradientNorm(), look)[EQUATION], rtol=1e-5)


def test_one_term_keeps_its_weight():
    for weighting in (GradientNorm(), NTK()):
        np.testing.assert_allclose(after(weighting, look_at(R), 5)[EQUATION], 1, rtol=1e-6)


@pytest.mark.parametrize("points", [256, 5])
def test_ntk_against_an_explicit_jacobian(points):
    look = look_at({EQUATION: np.ones((40, 1)), "initial": np.ones((3, 1))})
    traces = {}
    for term, x in look.points.items():
        rows = spread_rows(len(x), points)
        flat, build = ravel_pytree(look.params)

        def residuals(p, term=term, build=build):
            return look.rows_of(build(p), term, jnp.arange(len(look.points[term])))[:, 0]

        jacobian = np.asarray(jax.jacfwd(residuals)(flat))
        kernel = jacobian @ jacobian.T
        traces[term] = np.mean(np.diag(kernel)[rows])
    state = after(NTK(alpha=0.5, points=points), look)
    for term, trace in traces.items():
        np.testing.assert_allclose(state[term], 0.5 + 0.5 * sum(traces.values()) / trace, rtol=1e-5)


@pytest.mark.parametrize("n", [1, 7, 100, 2041, 2048, 4096])
def test_rows_for_the_kernel_are_spread(n):
    rows = spread_rows(n, 64)
    assert len(rows) == min(n, 64) or n < 200
    assert len(np.unique(rows)) == len(rows)
    assert set(rows.tolist()) <= set(range(n))
    if n > 1000:
        assert np.bincount(rows % 8, minlength=8).max() <= 12  # strides of 2^k do not show
        assert np.diff(rows).max() < 4 * n / 64


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weighting", ALL, ids=repr)
def test_shapes_and_dtypes_stay_inside_a_compiled_choice(weighting, dtype):
    with jax.enable_x64(dtype == "float64"):
        look = look_at({EQUATION: R, "initial": R[:2]}, dtype=dtype)
        state = weighting.init(look.points)
        assert all(leaf.dtype in (dtype, "int32") for leaf in state.values())

        def renewed(state, params, step):
            seen = replace(look, params=params, step=step)
            return jax.lax.cond(step % 2 == 0, lambda: weighting.update(state, seen), lambda: state)

        new = jax.eval_shape(renewed, state, look.params, jnp.asarray(4))
        shaped = jax.eval_shape(lambda: state)
        assert new == shaped == jax.eval_shape(lambda s: weighting.moved(s, EQUATION, jnp.bool_(True)), state)
        weights = jax.eval_shape(weighting.weights, state)
        assert all(each.dtype == dtype for each in weights.values())
        assert weights[EQUATION].shape in [(4,), ()]


class Small(nnx.Module):
    """sin of an affine function."""

    def __init__(self, n_in):
        self.slope = nnx.Param(jnp.linspace(0.3, 0.9, n_in)[:, None])
        self.size = nnx.Param(jnp.asarray(0.7))

    def __call__(self, x):
        return self.size[...] * jnp.sin(x @ self.slope[...] + 0.2)


def decay(u, x):
    return derivative(u, x, 0) + derivative(u, x, 1) + u(x)


def tiny(*weightings):
    """A loss with two terms, a trial, and the terms' residuals."""
    conditions = [Initial(value=0.5), Dirichlet(value=0.0, on="left")]
    problem = Problem(TimeSpace((0.0, 2.0), Interval(-1.0, 1.0)), decay, conditions)
    ansatz, left = ansatz_for(problem.domain, problem.conditions, 1, False, None)
    trial = Trial(Small(ansatz.n_in), ansatz, {}, "float32")
    trial.keep(EQUATION, {"x": problem.domain.interior(12)}, "float32")
    for condition in left:
        trial.keep(condition.name, condition.samples(problem.domain, 5, "sobol", 0), "float32")
    loss = ResidualLoss(problem, tuple((c.name, c) for c in left), (("initial", 3.0),), weightings)
    loss.begin(trial)
    return loss, trial


MIXED = (RBA(gamma=0.5, eta=0.5), Causal(0.3, chunks=4), GradientNorm(every=2))


def test_no_gradient_flows_through_weights_of_several_schemes():
    loss, trial = tiny(*MIXED)

    @nnx.jit
    def run(trial):
        loss.refresh(trial, jnp.asarray(0))
        shares = loss.shares(trial)

        def frozen(trial):
            return sum(jnp.sum(shares[term][:, None] * loss.term(trial, term) ** 2) for term in loss.terms)

        residuals = {term: loss.term(trial, term) for term in loss.terms}
        return shares, residuals, *nnx.value_and_grad(loss)(trial), nnx.grad(frozen)(trial)

    shares, residuals, total_found, found, frozen = run(trial)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(frozen), strict=True):
        assert np.abs(np.asarray(one)).max() > 0
        np.testing.assert_allclose(one, other, rtol=1e-5)
    states = [{name: leaf[...] for name, leaf in kept.items()} for kept in trial.adaptive.values()]
    sizes = np.abs(residuals[EQUATION][:, 0])
    expected = (0.5 + 0.5 * sizes / sizes.max()) ** 2 * states[1]["weights"] * states[2][EQUATION] / 12
    np.testing.assert_allclose(shares[EQUATION], expected, rtol=1e-5)
    assert np.ptp(states[1]["weights"]) > 0.1
    assert all(float(weight) > 1 for weight in states[2].values())
    sizes = np.abs(residuals["initial"][:, 0])
    expected = 3 * (0.5 + 0.5 * sizes / sizes.max()) ** 2 * states[2]["initial"] / 5
    np.testing.assert_allclose(shares["initial"], expected, rtol=1e-5)
    total = sum(float(jnp.sum(shares[term][:, None] * residuals[term] ** 2)) for term in residuals)
    np.testing.assert_allclose(total_found, total, rtol=1e-5)


def test_the_loss_gives_the_kernel_its_rows():
    loss, trial = tiny(NTK(alpha=0.0))

    @nnx.jit
    def run(trial):
        loss.refresh(trial, jnp.asarray(0))
        graphdef, params, rest = nnx.split(trial, nnx.Param, ...)

        def residuals(params):
            return {term: loss.term(nnx.merge(graphdef, params, rest, copy=True), term) for term in loss.terms}

        return jax.jacfwd(residuals)(params)

    squares = {term: sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(j)) for term, j in run(trial).items()}
    traces = {term: square / len(trial.of(term)["x"]) for term, square in squares.items()}
    for term, trace in traces.items():
        np.testing.assert_allclose(trial.adaptive["weighting0"][term][...], sum(traces.values()) / trace, rtol=1e-4)


def test_names_and_spellings():
    assert {resolve_weighting(name) for name in WEIGHTINGS} == {kind() for kind in WEIGHTINGS.values()}
    own = RBA(eta=0.2)
    assert resolve_weighting(own) is own
    assert resolve_weighting("rba:gamma=0.99,eta=1") == RBA(gamma=0.99, eta=1.0)
    chosen = RBA(every=5, terms=(EQUATION, "value on left"))
    assert resolve_weighting(" RBA : every=5, terms=equation|value on left ") == chosen
    assert resolve_weighting("rba:terms=none") == RBA()
    assert resolve_weighting("causal:tolerance=0.01|1,chunks=8") == Causal((0.01, 1.0), 8)
    assert resolve_weighting("variational:potential=lp,power=6") == Variational(potential="lp", power=6.0)


@pytest.mark.parametrize(
    ("spec", "kind", "says"),
    [
        ("rbaa", UnknownNameError, "'rba'"),
        ("rba:gama=0.9", UnknownNameError, "'gamma'"),
        ("rba:gamma", EdgewiseError, "no value"),
        ("rba:gamma=", EdgewiseError, "no value"),
        ("rba:eta=1,eta=2", EdgewiseError, "twice"),
        ("rba:eta=large", EdgewiseError, "no number"),
        ("rba:gamma=1", EdgewiseError, "below 1"),
        ("rba:every=0", EdgewiseError, "RBA: every"),
        ("causal:tolerance=small", EdgewiseError, "no number"),
        ("causal:chunks=1", EdgewiseError, "chunks"),
        ("causal:tolerance=0", EdgewiseError, "tolerance"),
        ("causal:tolerance=1|0.1", EdgewiseError, "increase"),
        ("gradient_norm:alpha=-0.1", EdgewiseError, "alpha"),
        ("ntk:points=0", EdgewiseError, "points"),
        ("variational:potential=cosh", UnknownNameError, "exponential"),
        ("variational:normalize=sum", UnknownNameError, "mean"),
        ("variational:power=1", EdgewiseError, "power"),
        ("variational:phi=1.5", EdgewiseError, "phi"),
        (RBA, EdgewiseError, r"RBA\(\)"),
        (None, EdgewiseError, "no weighting"),
    ],
)
def test_bad_spellings(spec, kind, says):
    with pytest.raises(kind, match=says):
        resolve_weighting(spec)


def test_unknown_keywords():
    with pytest.raises(UnknownNameError, match="gamma"):
        RBA(gama=0.9)  # pyright: ignore
    with pytest.raises(EdgewiseError, match="increase"):
        Causal(())
    with pytest.raises(EdgewiseError, match="names of terms"):
        RBA(terms=3)
