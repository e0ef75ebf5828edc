"""Refinement while training: optimizer state carried across, schedules in ``fit``, runs that are resumed."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import edgewise as ew
from edgewise.errors import EdgewiseError
from edgewise.refine import Refine, Steps, carry_state, extend, parse_schedule
from edgewise.training.optim import resolve_optimizer

X = np.random.default_rng(0).uniform(-1, 1, (64, 2)).astype(np.float32)
Y = np.exp(np.sin(np.pi * X[:, :1]) + X[:, 1:] ** 2).astype(np.float32)


def new(basis=None, seed: int = 0) -> ew.KAN:
    return ew.KAN([2, 3, 1], ew.BSpline(3, 3) if basis is None else basis, rngs=nnx.Rngs(seed))


def mse(model) -> float:
    return float(np.mean((np.asarray(model(X), np.float64) - Y) ** 2))


@pytest.fixture(scope="module")
def refined():
    """A model before and after, and what lifted it."""
    model = new()
    params = jax.tree.map(jnp.copy, nnx.state(model, nnx.Param))
    gradients = jax.tree.map(lambda leaf: jax.random.normal(jax.random.key(leaf.size), leaf.shape), params)
    change = extend(model, 6)
    return params, gradients, nnx.state(model, nnx.Param), change


OPTIMIZERS = {
    "adam": lambda: optax.adam(1e-2),
    "clip and adamw": lambda: optax.chain(
        optax.clip_by_global_norm(1.0), optax.adamw(optax.cosine_decay_schedule(1, 9))
    ),
    "lion": lambda: optax.lion(1e-3),
    "muon of optax": lambda: optax.contrib.muon(1e-2),
    "muon": lambda: resolve_optimizer("muon:1e-2", 9).transform,
    "schedule-free": lambda: optax.contrib.schedule_free_adamw(1e-2),
    "inject_hyperparams": lambda: optax.inject_hyperparams(optax.adam)(learning_rate=optax.cosine_decay_schedule(1, 9)),
    "lbfgs": lambda: optax.lbfgs(linesearch=None, learning_rate=0.1),
    "MultiSteps": lambda: optax.MultiSteps(optax.adam(1e-2), 2).gradient_transformation(),
    "SOAP": lambda: resolve_optimizer("soap:1e-2", 9).transform,
    "masked": lambda: optax.masked(optax.adam(1e-2), lambda tree: jax.tree.map(lambda leaf: leaf.ndim > 1, tree)),
}
RESTARTED = {"lbfgs", "SOAP"}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_is_carried_across(name: str, refined):
    before, gradients, after, change = refined
    optimizer = OPTIMIZERS[name]()
    state = optimizer.init(before)
    for _ in range(2):
        _, state = optimizer.update(gradients, state, before)
    fresh = optimizer.init(after)
    carried = carry_state(state, fresh, change)
    shapes = lambda tree: [(jnp.shape(leaf), jnp.asarray(leaf).dtype) for leaf in jax.tree.leaves(tree)]
    assert jax.tree.structure(carried) == jax.tree.structure(fresh)
    assert shapes(carried) == shapes(fresh)
    new_gradients = jax.tree.map(jnp.ones_like, after)
    updates, _ = optimizer.update(new_gradients, carried, after)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(updates))
    counts = [int(leaf) for leaf in jax.tree.leaves(carried) if jnp.shape(leaf) == () and leaf.dtype == jnp.int32]
    if name in RESTARTED:
        jax.tree.map(np.testing.assert_array_equal, carried, fresh)
    elif counts:  # lion without a schedule, and muon's masked parts, have none
        assert max(counts) >= 1


def test_momentum_is_lifted_as_the_coefficients_are(refined):
    before, gradients, after, change = refined
    optimizer = optax.adam(1e-2)
    _, state = optimizer.update(gradients, optimizer.init(before), before)
    carried = carry_state(state, optimizer.init(after), change)[0]
    momentum = np.asarray(state[0].mu["layers"][0]["coef"].get_value(), np.float64)
    lift = change.changes[0].lift
    expected = np.einsum("nab,bno->ano", lift, momentum)
    np.testing.assert_allclose(carried.mu["layers"][0]["coef"].get_value(), expected, rtol=1e-5, atol=1e-8)
    np.testing.assert_array_equal(  # what kept its shape is kept
        carried.nu["layers"][0]["residual_kernel"].get_value(), state[0].nu["layers"][0]["residual_kernel"].get_value()
    )
    assert int(carried.count) == 1


def test_reset_keeps_what_kept_its_shape(refined):
    before, gradients, after, change = refined
    optimizer = optax.adam(1e-2)
    _, state = optimizer.update(gradients, optimizer.init(before), before)
    carried = carry_state(state, optimizer.init(after), change, how="reset")[0]
    assert not np.asarray(carried.mu["layers"][0]["coef"].get_value()).any()
    assert np.asarray(carried.mu["layers"][0]["bias"].get_value()).any()


def test_new_modes_start_with_a_mean_of_squares():
    model = new(ew.Chebyshev(3))
    optimizer = optax.adam(1e-2)
    params = jax.tree.map(jnp.copy, nnx.state(model, nnx.Param))
    _, state = optimizer.update(jax.tree.map(jnp.ones_like, params), optimizer.init(params), params)
    change = extend(model, 5)
    carried = carry_state(state, optimizer.init(nnx.state(model, nnx.Param)), change)[0]
    nu = np.asarray(carried.nu["layers"][0]["coef"].get_value())
    np.testing.assert_allclose(nu[3:], nu[:3].mean(axis=0, keepdims=True).repeat(2, axis=0))


SPELLED = [
    ([200, "refine:6", 200], [Steps(200), Refine(6), Steps(200)]),
    (["2000,patience=5"], [Steps(2000, patience=5)]),
    (["refine:6 4", 10], [Refine((6, 4)), Steps(10)]),
    (["refine:adaptivity=0.5,by=curvature", 1], [Refine(adaptivity=0.5, by="curvature"), Steps(1)]),
    (["refine:12,adaptivity=0.5,optimizer=reset", 1], [Refine(12, 0.5, optimizer="reset"), Steps(1)]),
]


@pytest.mark.parametrize(("text", "objects"), SPELLED)
def test_a_schedule_is_spelled_and_printed(text, objects):
    assert parse_schedule(text) == tuple(objects) == parse_schedule(objects)
    assert parse_schedule([str(item) for item in objects]) == tuple(objects)


WRONG = {
    "refine:": "refines nothing",
    "refine:six": "is no number",
    "refine:6,patience=3": "unknown keyword",
    "200,patienc=3": "unknown keyword",
    "extend:6": "unknown item of schedule",
    "fast": "is no number",
    "": "is no phase",
    "refine:6,by=data": "unknown by",
}


@pytest.mark.parametrize("item", WRONG)
def test_a_schedule_that_is_none_says_why(item: str):
    with pytest.raises(EdgewiseError, match=WRONG[item]):
        parse_schedule([10, item])
    with pytest.raises(EdgewiseError, match="neither Steps nor Refine"):
        parse_schedule([2.5])


class Jumps(ew.training.Callback):
    """The loss right before and right after every refinement."""

    def __init__(self):
        self.before, self.ratios, self.order = np.nan, [], []

    def on_chunk(self, run):
        self.before = mse(run.model)
        self.order.append("chunk")

    def on_refine(self, run):
        self.ratios.append(mse(run.model) / self.before)
        self.order.append("refine")


def test_fit_refines_between_phases():
    model, jumps = new(), Jumps()
    result = ew.fit(
        model,
        (X, Y),
        optimizer="adam:1e-2",
        schedule=[Steps(4), Refine(6), Steps(4), Refine(9, adaptivity=0.5), Steps(4)],
        callbacks=[jumps],
        validation=(X, Y),
    )
    assert result.step == 12
    assert len(result.history.loss) == 12
    assert np.isfinite(result.history.loss).all()
    assert result.history.events == ((4, "refine:6"), (8, "refine:9,adaptivity=0.5"))
    assert [layer.basis.intervals for layer in model.layers] == [9, 9]
    assert jumps.order.count("refine") == 2
    assert max(jumps.ratios) < 1.0001
    assert result.history.loss[4] < result.history.loss[3]  # the loss goes on falling where it stood
    np.testing.assert_allclose(result.history.validation[-1], mse(model), rtol=1e-5)


def test_a_run_is_the_same_as_its_parts():
    """Adam's count, means and squares go on: lifting exactly what padding leaves alone changes nothing."""
    whole = new(ew.Chebyshev(4))
    ew.fit(whole, (X, Y), optimizer="adam:1e-2", schedule=[5, "refine:6", 5])
    parts = new(ew.Chebyshev(4))
    optimizer = optax.adam(1e-2)
    params = nnx.state(parts, nnx.Param)
    state = optimizer.init(params)
    for step in range(10):
        if step == 5:
            change = extend(parts, 6)
            params = nnx.state(parts, nnx.Param)
            state = carry_state(state, optimizer.init(params), change)
        gradients = nnx.grad(lambda model: jnp.mean((model(X) - Y) ** 2))(parts)
        updates, state = optimizer.update(gradients, state, params)
        params = optax.apply_updates(params, updates)
        nnx.update(parts, params)
    np.testing.assert_allclose(whole(X), parts(X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("optimizer", ["lbfgs", "levenberg_marquardt", "ssbroyden"])
def test_second_order_methods_go_on(optimizer: str):
    model = new()
    result = ew.fit(model, (X, Y), optimizer=optimizer, schedule=[6, "refine:6,adaptivity=0.9", 6])
    loss = result.history.loss
    assert loss[6] <= 1.0001 * loss[5]
    assert loss[-1] < loss[6]
    assert model.layers[0].coef.dtype == jnp.float32


def test_a_plateau_ends_a_phase():
    model = new()
    result = ew.fit(
        model, (X, Y), optimizer="adam:1e-30", schedule=[Steps(1000, patience=2), Refine(5), 20], validate_every=10
    )
    assert result.history.events == ((30, "plateau"), (30, "refine:5"))  # a rate that changes nothing
    assert result.step == 50
    assert len(result.history.loss) == 50
    assert result.reason == "completed"


def test_only_adapting_and_refining_at_the_ends():
    model = new()
    result = ew.fit(model, (X, Y), schedule=["refine:adaptivity=0.5", 3, "refine:5"])
    assert result.step == 3
    assert model.layers[0].basis == ew.BSpline(3, 5, knots="free")
    assert [what for _, what in result.history.events] == ["refine:adaptivity=0.5", "refine:5"]


class StopAt(ew.training.Callback):
    def __init__(self, step):
        self.step = step

    def on_chunk(self, run):
        if run.step >= self.step:
            run.stop("stopped")


@pytest.mark.parametrize("optimizer", ["adam:1e-2", "levenberg_marquardt"])
@pytest.mark.parametrize("stop", [2, 4, 6])
def test_a_scheduled_run_is_resumed_bit_by_bit(tmp_path, optimizer: str, stop: int):
    options = {"optimizer": optimizer, "schedule": [4, "refine:5,adaptivity=0.5", 4, "refine:7", 3]}
    whole, path = new(), tmp_path / "run.npz"
    expected = ew.fit(whole, (X, Y), **options)
    ew.fit(new(), (X, Y), **options, checkpoint=path, callbacks=[StopAt(stop)])
    resumed = new()  # as it was built: what it has become is in the file
    result = ew.fit(resumed, (X, Y), **options, checkpoint=path, resume=True)
    assert str(resumed) == str(whole)
    jax.tree.map(np.testing.assert_array_equal, nnx.state(resumed), nnx.state(whole))
    np.testing.assert_array_equal(result.history.loss, expected.history.loss)
    assert result.history.events == expected.history.events


def test_resuming_another_schedule_is_refused(tmp_path):
    path = tmp_path / "run.npz"
    ew.fit(new(), (X, Y), schedule=[2, "refine:5", 2], checkpoint=path)
    with pytest.raises(EdgewiseError, match="schedule"):
        ew.fit(new(), (X, Y), schedule=[2, "refine:6", 2], checkpoint=path, resume=True)


def test_grids_follow_data_in_memory_only():
    with pytest.raises(EdgewiseError, match="data in memory"):
        ew.fit(new(), lambda: iter([(X, Y)]), schedule=[2, "refine:5,adaptivity=0.5", 2])


class _Counting:
    """A loss that counts its steps in a variable of the model that is not trained."""

    def __call__(self, model, batch):
        return jnp.mean((model(batch[0]) - batch[1]) ** 2)

    def refresh(self, model, step):
        model.count[...] = model.count[...] + 1
        return jnp.bool_(True)


def test_what_is_not_trained_goes_on_from_phase_to_phase():
    model = ew.KAN([2, 1], ew.Chebyshev(2), residual=None, rngs=nnx.Rngs(0))
    model.count = nnx.Variable(jnp.zeros(()))
    x = np.random.default_rng(0).uniform(-1, 1, (16, 2)).astype(np.float32)
    ew.fit(model, (x, x[:, :1]), loss=_Counting(), schedule=[Steps(5, patience=100), Steps(5)], progress=False)
    assert float(model.count[...]) == 10
