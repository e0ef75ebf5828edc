"""Optimizers by name: what they do against optax, schedules against closed forms, one error for each mistake."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from edgewise.bases import Chebyshev
from edgewise.errors import EdgewiseError, UnknownNameError
from edgewise.models import KAN
from edgewise.training.optim import OPTIMIZERS, LevenbergMarquardt, Optimizer, Schedule, muon, resolve_optimizer
from edgewise.training.optim.spelling import ALIASES

STEPS = 100


def trajectory(transform, steps=5):
    """Parameters along a fixed sequence of gradients, compiled once."""
    gradients = jnp.asarray(np.random.default_rng(0).normal(size=(steps, 4)), jnp.float32)

    def step(carry, gradient):
        params, state = carry
        updates, state = transform.update(gradient, state, params)
        return (optax.apply_updates(params, updates), state), params

    params = jnp.asarray([1.0, -2.0, 0.5, 3.0])
    return np.asarray(jax.jit(lambda p: jax.lax.scan(step, (p, transform.init(p)), gradients)[0][0])(params))


MEANT = {
    "adam": optax.adam(1e-3),
    "Adam : 3e-2": optax.adam(3e-2),
    "adam:1e-2,b1=0.8,b2=0.99,eps=1e-4": optax.adam(1e-2, 0.8, 0.99, 1e-4),
    "adamw:1e-2,weight_decay=0.1": optax.adamw(1e-2, weight_decay=0.1),
    "nadam:1e-2": optax.nadam(1e-2),
    "lion": optax.lion(1e-4),
    "lion:1e-2, b1=0.5, weight_decay=0.2": optax.lion(1e-2, 0.5, weight_decay=0.2),
    "rmsprop:1e-2,b2=0.5,momentum=0.3": optax.rmsprop(1e-2, 0.5, momentum=0.3),
    "sgd": optax.sgd(1e-2),
    "sgd:0.1,momentum=0.9,nesterov=true": optax.sgd(0.1, 0.9, nesterov=True),
    "sgd:0.1,cosine": optax.sgd(optax.cosine_decay_schedule(0.1, STEPS)),
    "sgd:0.1,linear,end=0.5": optax.sgd(optax.linear_schedule(0.1, 0.05, STEPS)),
    "adam:0.1,exponential,decay=0.2": optax.adam(optax.exponential_decay(0.1, STEPS, 0.2)),
}


@pytest.mark.parametrize("spec", MEANT)
def test_a_name_means_the_transformation_of_optax(spec):
    resolved = resolve_optimizer(spec, STEPS)
    np.testing.assert_allclose(trajectory(resolved.transform), trajectory(MEANT[spec]), rtol=2e-6)
    assert resolved.spec == spec
    assert resolved.packed
    assert not resolved.float64
    assert not resolved.full_batch


@pytest.mark.parametrize(
    ("shape", "end", "middle", "last"),
    [
        ("constant", 0.0, 1.0, 1.0),
        ("linear", 0.2, 0.6, 0.2),
        ("cosine", 0.0, 0.5, 0.0),
        ("cosine", 0.2, 0.6, 0.2),
        ("exponential", 0.04, 0.2, 0.04),
    ],
)
def test_schedules_go_from_the_rate_to_its_share(shape, end, middle, last):
    schedule = Schedule(0.5, shape, end, warmup=10, steps=110)
    assert [float(schedule(step)) for step in (10, 60, 110, 200)] == pytest.approx(
        [0.5, 0.5 * middle, 0.5 * last, 0.5 * last], abs=1e-7
    )
    growth = [float(schedule(step)) for step in range(10)]
    assert growth == pytest.approx([0.05 * (step + 1) for step in range(10)], rel=1e-6)


def test_a_quarter_of_the_cosine():
    assert float(Schedule(1.0, "cosine", 0.0, 0, 100)(25)) == pytest.approx((1 + np.cos(np.pi / 4)) / 2, rel=1e-6)


@pytest.mark.parametrize("name", [*OPTIMIZERS, *ALIASES])
def test_equal_strings_give_the_same_object(name):
    first = resolve_optimizer(name, 10)
    assert resolve_optimizer("".join(list(name)), 20) is first
    assert hash(first) == hash(resolve_optimizer(name, 10))
    assert first.full_batch == (first.rate is None)


def test_a_schedule_is_for_one_length():
    assert resolve_optimizer("adam,cosine", 10) is resolve_optimizer("adam,cosine", 10)
    assert resolve_optimizer("adam,cosine", 10) is not resolve_optimizer("adam,cosine", 20)
    assert resolve_optimizer("adam,warmup=3", 10) is not resolve_optimizer("adam,warmup=3", 20)


def test_what_the_engine_has_to_know():
    told = {name: resolve_optimizer(name, 10) for name in OPTIMIZERS}
    second = {"lbfgs", "bfgs", "ssbfgs", "ssbroyden", "levenberg_marquardt", "gauss_newton"}
    assert {name for name, each in told.items() if each.float64} == second
    assert {name for name, each in told.items() if each.full_batch} == second
    assert {name for name, each in told.items() if not each.packed} == {"soap", "muon"}
    rates = {"adam": 1e-3, "adamw": 1e-3, "nadam": 1e-3, "rmsprop": 1e-3, "muon": 1e-3}
    rates |= {"soap": 3e-3, "lion": 1e-4, "sgd": 1e-2}
    assert {name: each.rate for name, each in told.items() if each.rate} == rates
    assert not resolve_optimizer("lbfgs,float64=false", 10).float64


def test_least_squares_by_name():
    assert resolve_optimizer("lm", 10).transform == LevenbergMarquardt()
    assert resolve_optimizer("gn", 10).transform == LevenbergMarquardt(damping=0.0)
    spec = "levenberg_marquardt,damping=0.1,solver=cg,geodesic=false,cg_steps=7,memory=1e6"
    meant = LevenbergMarquardt(damping=0.1, solver="cg", geodesic=False, cg_steps=7, memory=1e6)
    assert resolve_optimizer(spec, 10).transform == meant


def test_what_is_an_optimizer_already():
    transform = optax.chain(optax.clip(1.0), optax.adam(1e-2))
    resolved = resolve_optimizer(transform, 10)
    assert resolved is resolve_optimizer(transform, 20)
    assert (resolved.rate, resolved.packed, resolved.float64, resolved.full_batch) == (None, False, False, False)
    np.testing.assert_allclose(trajectory(resolved.transform), trajectory(transform))
    assert "0x" not in resolved.spec  # the same in every process: checkpoints compare it
    assert resolve_optimizer(resolved, 10) is resolved
    solver = LevenbergMarquardt(damping=0.5)
    assert resolve_optimizer(solver, 10) == Optimizer(repr(solver), solver, float64=True, packed=True, full_batch=True)


WRONG = {
    "adamm": (UnknownNameError, "did you mean 'adam'"),
    "levenberg_marquart": (UnknownNameError, "did you mean 'levenberg_marquardt'"),
    "": (UnknownNameError, "unknown optimizer ''"),
    "adam:fast": (EdgewiseError, "'fast' is not a learning rate"),
    "adam:": (EdgewiseError, "'' is not a learning rate"),
    "adam:0": (EdgewiseError, "must be a finite number above 0"),
    "adam:inf": (EdgewiseError, "must be a finite number above 0"),
    "adam,cosin": (UnknownNameError, "did you mean 'cosine'"),
    "adam,b1": (UnknownNameError, "unknown schedule 'b1'"),
    "adam,weight_deca=1": (UnknownNameError, "unknown keyword of optimizer adam"),
    "adam,momentum=0.9": (UnknownNameError, "unknown keyword of optimizer adam"),
    "adam,b1=1": (EdgewiseError, "b1 must be at least 0 and below 1, got '1'"),
    "adam,b1=high": (EdgewiseError, "b1 must be at least 0 and below 1, got 'high'"),
    "adam,eps=nan": (EdgewiseError, "eps must be a number above 0"),
    "adamw,weight_decay=-1": (EdgewiseError, "weight_decay must be a number of at least 0"),
    "lbfgs,memory_size=2.5": (EdgewiseError, "memory_size must be a whole number above 0"),
    "sgd,nesterov=yes": (EdgewiseError, "nesterov must be true or false"),
    "lm,solver=fast": (EdgewiseError, "solver must be one of auto, dense, qr, cg"),
    "adam,b1=0.9,b1=0.8": (EdgewiseError, "gives b1 twice"),
    "adam,cosine,linear": (EdgewiseError, "has 2 schedules"),
    "adam,decay=0.1": (EdgewiseError, "'constant' has no decay"),
    "adam,cosine,decay=0.1": (EdgewiseError, "'cosine' has no decay"),
    "adam,exponential,end=0.1": (EdgewiseError, "'exponential' has no end"),
    "adam,exponential,decay=2": (EdgewiseError, "cannot end at 2 of the learning rate"),
    "adam,cosine,end=1.5": (EdgewiseError, r"cannot end at 1\.5 of the learning rate"),
    "adam,cosine,warmup=100": (EdgewiseError, "warmup=100 leaves none of 100 steps"),
    "lbfgs:1e-3": (EdgewiseError, "finds the length of every step itself"),
    "lm,cosine": (EdgewiseError, "takes no learning rate and no schedule"),
}


@pytest.mark.parametrize("spec", WRONG)
def test_a_mistake_is_named(spec):
    kind, message = WRONG[spec]
    with pytest.raises(kind, match=message) as caught:
        resolve_optimizer(spec, STEPS)
    assert caught.value.do


def test_other_mistakes():
    with pytest.raises(EdgewiseError, match="is not an optimizer"):
        resolve_optimizer(3, 10)
    with pytest.raises(EdgewiseError, match="steps must be at least 1"):
        resolve_optimizer("adam,cosine", 0)
    with pytest.raises(EdgewiseError, match="above 0"):
        Schedule(0.1, "exponential", 0.0, 0, 10)
    with pytest.raises(UnknownNameError, match="unknown schedule"):
        Schedule(0.1, "steps", 0.0, 0, 10)


def test_muon_orthogonalizes_the_matrix_of_a_layer():
    """The update of coefficients [M, n_in, n_out] is U S V' -> rate rms sqrt(max) U V'; other parameters get Adam."""
    params = nnx.state(KAN([3, 4], Chebyshev(3), rngs=nnx.Rngs(0)), nnx.Param)
    gradients = jax.tree.map(lambda p: jax.random.normal(jax.random.key(p.ndim), p.shape), params)
    transform = muon(0.1, rms=0.5, weight_decay=0.25)
    updates, _ = jax.jit(transform.update)(gradients, transform.init(params), params)
    coef, gradient, start = (np.asarray(tree["layers"][0]["coef"][...]) for tree in (updates, gradients, params))
    rows, columns = 9, 4
    u, s, vt = np.linalg.svd(gradient.reshape(rows, columns), full_matrices=False)
    direction = -(coef + 0.1 * 0.25 * start).reshape(rows, columns)  # without the decay
    core = u.T @ direction @ vt.T
    np.testing.assert_allclose(np.diag(core), 0.1 * 0.5 * np.sqrt(rows), rtol=0.35)  # Newton-Schulz is that rough
    np.testing.assert_allclose(core - np.diag(np.diag(core)), 0, atol=1e-5)
    assert s.max() / s.min() > 1.5  # otherwise there was nothing to do
    bias, its_gradient = (np.asarray(tree["layers"][0]["bias"][...]) for tree in (updates, gradients))
    nadam = optax.nadam(0.1)
    expected, _ = nadam.update(jnp.asarray(its_gradient), nadam.init(jnp.zeros(4)))
    np.testing.assert_allclose(bias, expected, rtol=1e-5)
