"""``fit``: the same as the plain loop, whatever the chunks, the form of the data and the precision."""

from __future__ import annotations

import inspect
import os
import pickle
import signal
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import edgewise as ew
from edgewise.errors import DataError, EdgewiseError, ShapeError, UnknownNameError
from edgewise.refine import Steps
from edgewise.training import Callback, EarlyStopping, NonFiniteError, ReduceOnPlateau, loop, objective, sources
from edgewise.training.regularizers import EdgeL1
from model_checks import Compilations, Noisy, dots

rng = np.random.default_rng(0)
X = rng.uniform(-1, 1, (32, 2)).astype(np.float32)
Y = (X[:, :1] ** 2 + np.sin(2 * X[:, 1:])).astype(np.float32)
FRESH = (rng.uniform(-1, 1, (12, 2)).astype(np.float32),)
FRESH = (FRESH[0], (FRESH[0][:, :1] ** 2 + np.sin(2 * FRESH[0][:, 1:])).astype(np.float32))


def new(seed=0, **options):
    return ew.KAN([2, 3, 1], ew.Chebyshev(3), residual=None, rngs=nnx.Rngs(seed), **options)


def parameters(model):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param))])


def mse(model, x, y):
    return float(np.mean((np.asarray(model(x)) - y) ** 2))


def plain(model, batches, tx, dtype=np.float32):
    """The losses of a plain loop over batches, which trains the model."""
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    opt = tx.init(params)

    @jax.jit
    def step(params, opt, x, y):
        value, gradient = jax.value_and_grad(lambda p: jnp.mean((nnx.merge(graphdef, p, rest)(x) - y) ** 2))(params)
        updates, opt = tx.update(gradient, opt, params)
        return optax.apply_updates(params, updates), opt, value

    losses = []
    for x, y in batches:
        params, opt, value = step(params, opt, x, y)
        losses.append(float(value))
    nnx.update(model, params)
    return losses


@pytest.fixture
def chunks(monkeypatch):
    """``chunks(n)``: every chunk has ``n`` steps from now on."""

    def fixed(length):
        monkeypatch.setattr(loop.Pace, "length", length)
        monkeypatch.setattr(loop.Pace, "took", lambda self, steps, seconds: None)

    return fixed


def test_a_fit_is_the_plain_loop():
    ours, reference = new(), new()
    result = ew.fit(ours, (X, Y), optimizer="adam:1e-2", steps=30)
    losses = plain(reference, [(X, Y)] * 30, optax.adam(1e-2))
    np.testing.assert_allclose(result.history.loss, losses, rtol=1e-5)
    np.testing.assert_allclose(parameters(ours), parameters(reference), rtol=1e-4, atol=1e-6)
    assert result.model is ours
    assert (result.step, result.reason) == (30, "completed")
    assert result.history.steps.tolist() == list(range(30))
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("optimizer", ["adam:1e-2", "muon:1e-2", "lbfgs", "levenberg_marquardt"])
def test_the_cut_into_chunks_changes_no_bit(chunks, optimizer):
    found = []
    for length in (1, 7, 100):
        chunks(length)
        model = new()
        result = ew.fit(model, (X, Y), optimizer=optimizer, steps=10, validation=FRESH, validate_every=3)
        found.append((parameters(model), result.history.loss, result.history.validation))
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("optimizer", ["soap:1e-2", "ssbroyden", "levenberg_marquardt"])
def test_optimizers_multiply_in_the_precision_of_their_dtype(monkeypatch, optimizer):
    """On a GPU, JAX multiplies float32 with three digits unless told otherwise."""
    moved, products = loop.Program._moved, []

    def looked_at(program, state, batch):
        products.extend(dots(jax.make_jaxpr(lambda state, batch: moved(program, state, batch)[0])(state, batch).jaxpr))
        return moved(program, state, batch)

    monkeypatch.setattr(loop.Program, "_moved", looked_at)
    ew.fit(new(seed=7), (X[:31], Y[:31]), optimizer=optimizer, steps=1, dtype="float32")
    assert len(products) > 4
    assert all(product.params["precision"] == (jax.lax.Precision.HIGHEST,) * 2 for product in products)


def test_mini_batches_take_every_sample_once_an_epoch_in_a_new_order():
    seen = []

    def loss(model, batch):
        jax.debug.callback(lambda rows: seen.append(np.asarray(rows).tolist()), batch[2])
        return jnp.mean((model(batch[0]) - batch[1]) ** 2)

    data = (X, Y, np.arange(32))
    ew.fit(new(), data, loss=loss, batch_size=10, steps=9, seed=3)
    jax.effects_barrier()
    epochs = [[row for batch in seen[first : first + 3] for row in batch] for first in (0, 3, 6)]
    assert all(len(set(epoch)) == 30 for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    first = list(seen)
    seen.clear()
    ew.fit(new(), data, loss=loss, batch_size=10, steps=9, seed=4)
    jax.effects_barrier()
    assert seen != first


def test_mini_batches_train_as_the_plain_loop_does():
    batches, ours, reference = [], new(), new()

    def loss(model, batch):
        jax.debug.callback(lambda x, y: batches.append((np.asarray(x), np.asarray(y))), *batch)
        return jnp.mean((model(batch[0]) - batch[1]) ** 2)

    result = ew.fit(ours, (X, Y), loss=loss, batch_size=8, steps=12, optimizer="adam:1e-2")
    jax.effects_barrier()
    losses = plain(reference, batches, optax.adam(1e-2))
    np.testing.assert_allclose(result.history.loss, losses, rtol=1e-5)


def test_streams_of_any_batch_length_and_mapped_files_are_read_to_the_last_row(tmp_path, monkeypatch):
    pieces = [(X[a:b], Y[a:b]) for a, b in ((0, 5), (5, 24), (24, 32))]
    batches = [(X[a : a + 8], Y[a : a + 8]) for a in (0, 8, 16, 24)] * 3
    reference = new()
    losses = plain(reference, batches, optax.adam(1e-2))
    monkeypatch.setattr("edgewise.training.sources._WINDOW_BATCHES", 5)  # the windows end within an epoch
    for data in (lambda: iter(pieces), Again(pieces), pieces, list(map(list, pieces))):
        ours = new()
        result = ew.fit(ours, data, batch_size=8, steps=12, optimizer="adam:1e-2")
        np.testing.assert_allclose(result.history.loss, losses, rtol=1e-5)
    mapped = []
    for name, array in (("x", X), ("y", Y)):
        np.save(tmp_path / name, array)
        mapped.append(np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    result = ew.fit(new(), tuple(mapped), batch_size=32, steps=4, optimizer="adam:1e-2")
    np.testing.assert_allclose(result.history.loss, plain(new(), [(X, Y)] * 4, optax.adam(1e-2)), rtol=1e-5)


def test_a_stream_may_fill_the_same_arrays_again():
    rows = np.linspace(-1, 1, 24, dtype=np.float32).reshape(12, 2)
    labels = np.arange(12, dtype=np.int32) % 3

    def refilled():
        x, y = np.empty((5, 2), np.float32), np.empty(5, np.int32)
        for start in (0, 5, 7):
            x[:], y[:] = rows[start : start + 5], labels[start : start + 5]
            yield x, y

    def fresh():
        for start in (0, 5, 7):
            yield rows[start : start + 5].copy(), labels[start : start + 5].copy()

    def trained(stream):
        model = ew.KAN([2, 3], ew.Chebyshev(3), rngs=nnx.Rngs(0))
        settings = {"loss": "cross_entropy", "batch_size": 4, "steps": 9, "progress": False}
        return ew.fit(model, stream, **settings).history.loss

    np.testing.assert_array_equal(trained(refilled), trained(fresh))


def test_a_list_of_two_arrays_is_no_list_of_batches():
    ours = ew.fit(new(), [X, Y], optimizer="adam:1e-2", steps=3)
    np.testing.assert_array_equal(ours.history.loss, ew.fit(new(), (X, Y), optimizer="adam:1e-2", steps=3).history.loss)


def test_integers_beyond_those_of_the_device_become_floats():
    large, labels = np.full((32, 1), 5_000_000_000), np.arange(32)
    found = sources.as_numbers((large, -large, labels, large.astype(np.uint64)), np.float32)
    assert [leaf.dtype for leaf in found] == [np.float32, np.float32, labels.dtype, np.float32]
    np.testing.assert_array_equal(found[0], large.astype(np.float32))
    one, two = (ew.fit(new(), (X, y), steps=1).history.loss for y in (large, large.astype(np.float32)))
    np.testing.assert_array_equal(one, two)
    with jax.enable_x64(True):
        assert sources.as_numbers(large, np.float64).dtype == np.int64


class Again:
    """An iterable that can be gone through again and again."""

    def __init__(self, items):
        self.items = items

    def __iter__(self):
        return iter(self.items)


def test_a_generator_ends_the_run_when_it_is_used_up():
    model = new()
    result = ew.fit(model, ((X[a : a + 8], Y[a : a + 8]) for a in (0, 8, 16)), steps=100, optimizer="adam:1e-2")
    assert (result.step, result.reason) == (3, "the data ran out")
    assert len(result.history.loss) == 3


def test_weights_count_samples():
    weight = np.array([1, 2, 0, 3] * 8, np.float32)
    again = np.repeat(np.arange(32), weight.astype(int))
    ours, reference = new(), new()
    one = ew.fit(ours, (X, Y, weight), steps=20, optimizer="adam:1e-2")
    two = ew.fit(reference, (X[again], Y[again]), steps=20, optimizer="adam:1e-2")
    np.testing.assert_allclose(one.history.loss, two.history.loss, rtol=1e-5)
    lm, repeated = new(), new()
    one = ew.fit(lm, (X, Y, weight), steps=4, optimizer="lm")
    two = ew.fit(repeated, (X[again], Y[again]), steps=4, optimizer="lm")
    np.testing.assert_allclose(one.history.loss, two.history.loss, rtol=1e-4)


def test_regularizers_are_part_of_the_loss():
    model, reference = new(), new()
    result = ew.fit(model, (X, Y), steps=1, regularizers=[EdgeL1(0.1)], optimizer="sgd:1e-9")
    assert result.history.loss[0] == pytest.approx(
        mse(reference, X, Y) + float(EdgeL1(0.1)(reference, (X, Y))), rel=1e-5
    )


def test_validation_is_the_loss_of_the_model_as_it_was():
    result = ew.fit(new(), (X, Y), steps=7, validation=FRESH, validate_every=3, optimizer="adam:1e-2")
    assert result.history.validation_steps.tolist() == [3, 6, 7]
    for steps, value in zip(result.history.validation_steps, result.history.validation, strict=True):
        model = new()
        ew.fit(model, (X, Y), steps=int(steps), optimizer="adam:1e-2")
        assert value == pytest.approx(mse(model, *FRESH), rel=1e-4)


def test_a_fraction_is_held_out():
    data = (X, Y, np.ones(32, np.float32))
    result = ew.fit(new(), data, steps=2, validation=0.25)
    assert np.isfinite(result.history.validation).all()
    with pytest.raises(DataError, match="leaves 32 to train on and 0"):
        ew.fit(new(), data, steps=2, validation=0.01)


def test_classification_reports_the_accuracy():
    labels = (X[:, 0] > 0).astype(int)
    model = ew.KAN([2, 2], ew.Chebyshev(3), rngs=nnx.Rngs(0))
    result = ew.fit(model, (X, labels), loss="cross_entropy", steps=60, optimizer="adam:5e-2", validation=(X, labels))
    right = float(np.mean(np.argmax(np.asarray(model(X)), axis=1) == labels))
    assert result.history.score_name == "accuracy"
    assert result.history.score[-1] == pytest.approx(right)
    assert right > 0.9


def test_early_stopping_gives_back_the_best(chunks):
    noisy = (X[:8], Y[:8] + rng.normal(size=(8, 1)).astype(np.float32))
    found = []
    for length in (1, 13, 1000):
        chunks(length)
        model = new()
        stopping = EarlyStopping(patience=3)
        result = ew.fit(
            model, noisy, steps=2000, optimizer="adam:3e-2", validation=FRESH, validate_every=5, callbacks=[stopping]
        )
        best = np.argmin(result.history.validation)
        assert result.reason == "early stopping"
        assert result.step == 5 * (best + 1 + 3) < 2000
        assert mse(model, *FRESH) == pytest.approx(result.history.validation[best], rel=1e-4)
        found.append(parameters(model))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_the_best_model_comes_with_its_statistics():
    model, stopping = Noisy(nnx.Rngs(0)), EarlyStopping(patience=500)
    options = {"validation": (X * 2, Y), "validate_every": 1, "optimizer": "adam:1e-1", "callbacks": [stopping]}
    validation = ew.fit(model, (X, Y), steps=120, **options).history.validation
    model.eval()
    assert validation.argmin() < 119
    assert mse(model, X * 2, Y) == pytest.approx(validation.min(), rel=1e-5)


def test_early_stopping_knows_the_best_of_earlier_phases():
    options = {"validation": FRESH, "validate_every": 1, "callbacks": [EarlyStopping(patience=500)]}
    model, phases = new(), [Steps(60, patience=3), Steps(10)]
    history = ew.fit(model, (X, Y), optimizer="sgd:7e-1", schedule=phases, **options).history
    assert history.validation.argmin() < len(history.validation) - 10
    assert mse(model, *FRESH) == pytest.approx(history.validation.min(), rel=1e-5)


def test_statistics_of_batches_do_not_go_with_methods_of_few_steps():
    for optimizer in ("lm", "lbfgs"):
        with pytest.raises(EdgewiseError, match=r"BatchNorm[^\0]*model\.eval\(\)"):
            ew.fit(Noisy(nnx.Rngs(0)), (X, Y), steps=2, optimizer=optimizer)
    model = Noisy(nnx.Rngs(0))
    model.eval()
    assert np.ptp(ew.fit(model, (X, Y), steps=5, optimizer="lm").history.loss) > 0


class Centred(nnx.Module):
    """Its samples know of each other."""

    def __init__(self, rngs):
        self.first, self.last = nnx.Linear(2, 4, rngs=rngs), nnx.Linear(4, 1, rngs=rngs)

    def __call__(self, x):
        hidden = self.first(x)
        return self.last(jnp.tanh(hidden - hidden.mean(axis=0)))


def test_samples_that_depend_on_each_other_are_not_taken_one_by_one():
    found = [
        ew.fit(Centred(nnx.Rngs(0)), (X, Y), steps=12, optimizer=optimizer).history.loss
        for optimizer in ("lm", "lm,jacobian=forward")
    ]
    np.testing.assert_allclose(*found, rtol=1e-6)
    assert found[0][0] == pytest.approx(mse(Centred(nnx.Rngs(0)), X, Y), rel=1e-5)
    together = ew.fit_ensemble(lambda seed: Centred(nnx.Rngs(seed)), (X, Y), seeds=1, steps=12, optimizer="lm")
    np.testing.assert_allclose(together.loss[0], found[0], rtol=1e-4)
    with pytest.raises(EdgewiseError, match="needs the residuals of single samples"):
        ew.fit(Centred(nnx.Rngs(0)), (X, Y), steps=2, optimizer="lm,jacobian=rows")


def test_networks_of_this_library_are_known_to_take_samples_one_by_one(monkeypatch):
    monkeypatch.setattr(objective, "_predictions", None)  # nothing is evaluated to find out
    chained = nnx.Sequential(ew.KANLayer(2, 3, rngs=nnx.Rngs(0)), nnx.Linear(3, 1, rngs=nnx.Rngs(0)))
    for model in (ew.KAN([2, 3, 1], rngs=nnx.Rngs(0)), chained):
        assert not objective.Objective("mse").of(model, (X, Y)).coupled


def test_early_stopping_without_validation_watches_the_training_loss():
    result = ew.fit(
        new(), (X, Y), steps=400, optimizer="sgd:1e-12", validate_every=2, callbacks=[EarlyStopping(2, 1e-6)]
    )
    assert (result.reason, result.step) == ("early stopping", 6)


def test_the_rate_falls_on_a_plateau():
    plateau = ReduceOnPlateau(patience=2, factor=0.1, min_delta=1.0)
    result = ew.fit(new(), (X, Y), steps=12, optimizer="sgd:1e-3", validate_every=2, callbacks=[plateau])
    # looks after 2, 4, ... steps: the first is the best, then every second one reduces
    assert float(result.state["scale"]) == pytest.approx(0.1**2)
    halves = plain(new(), [(X, Y)] * 6, optax.sgd(1e-3))
    np.testing.assert_allclose(result.history.loss[:6], halves, rtol=1e-5)
    assert result.history.loss[7] - result.history.loss[6] == pytest.approx(
        0.1 * (result.history.loss[6] - result.history.loss[5]), rel=0.2
    )


def test_second_order_runs_in_float64_and_leaves_the_setting_alone():
    model = new()
    result = ew.fit(model, (X.astype(np.float64), Y), steps=15, optimizer="lm")
    assert result.history.loss.dtype == np.float64
    assert model.layers[0].coef.dtype == np.float32
    assert jnp.ones(1).dtype == np.float32
    single = ew.fit(new(), (X, Y), steps=15, optimizer="lm", dtype="float32")
    assert single.history.loss.dtype == np.float32
    assert single.history.loss[-1] < 0.5 * single.history.loss[0]
    double = ew.fit(new(), (X, Y), steps=5, optimizer="adam:1e-2", dtype="float64")
    assert double.history.loss.dtype == np.float64


@pytest.mark.parametrize("optimizer", ["adamw:1e-2", "lion:1e-3", "nadam:1e-2", "rmsprop:1e-3", "sgd:1e-2", "muon:1e-2",
                                       "soap:1e-2", "lbfgs", "ssbfgs", "ssbroyden", "lm", optax.adam(1e-2),
                                       optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2))])  # fmt: skip
def test_every_optimizer_lowers_the_loss(optimizer):
    result = ew.fit(new(), (X, Y), steps=30, optimizer=optimizer)
    assert result.history.loss[-1] < 0.8 * result.history.loss[0]
    assert np.isfinite(result.history.loss).all()


class Watch(Callback):
    def __init__(self, stop_at=None, fail_at=None):
        self.calls, self.stop_at, self.fail_at = [], stop_at, fail_at

    def on_start(self, run):
        self.calls.append(("start", run.step))

    def on_chunk(self, run):
        self.calls.append(("chunk", run.step))
        assert run.model is not None
        assert jnp.ones(1).dtype == np.float32  # outside the scope of float64
        assert run.loss == run.history.loss[-1]
        if run.step == self.stop_at:
            run.stop("enough")
        if run.step == self.fail_at:
            raise RuntimeError("a callback of the user's")

    def on_end(self, run):
        self.calls.append(("end", run.step, run.reason))


def test_callbacks_run_between_chunks(chunks):
    chunks(4)
    watch = Watch()
    ew.fit(new(), (X, Y), steps=10, optimizer="lm", callbacks=[watch])
    assert watch.calls == [("start", 0), ("chunk", 4), ("chunk", 8), ("chunk", 10), ("end", 10, "completed")]
    watch = Watch(stop_at=4)
    result = ew.fit(new(), (X, Y), steps=10, callbacks=[watch])
    assert (result.step, result.reason) == (4, "enough")


def test_an_error_in_a_callback_leaves_what_was_trained(chunks):
    chunks(5)
    model, reference = new(), new()
    with pytest.raises(RuntimeError, match="of the user's"):
        ew.fit(model, (X, Y), steps=20, optimizer="adam:1e-2", callbacks=[Watch(fail_at=10)])
    ew.fit(reference, (X, Y), steps=10, optimizer="adam:1e-2")
    np.testing.assert_array_equal(parameters(model), parameters(reference))


def test_ctrl_c_gives_what_is_finished():
    class Press(Callback):
        pressed = False

        def on_chunk(self, run):
            if run.step > 20 and not self.pressed:
                self.pressed = True
                threading.Thread(target=lambda: (time.sleep(0.05), os.kill(os.getpid(), signal.SIGINT))).start()

    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        model = new()
        result = ew.fit(model, (X, Y), steps=50_000_000, optimizer="adam:1e-3", callbacks=[Press()])
    finally:
        signal.signal(signal.SIGINT, before)
    assert result.reason == "interrupted"
    assert 20 < result.step < 50_000_000
    assert mse(model, X, Y) < mse(new(), X, Y)


def test_ctrl_c_does_not_wait_for_a_slow_stream():
    def batches():
        for pause in (0, 0, 60):
            time.sleep(pause)
            yield X[:16], Y[:16]

    press = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        ew.fit(new(), (X[:16], Y[:16]), steps=2)  # compiled before
        press.start()
        begin = time.perf_counter()
        result = ew.fit(new(), batches(), steps=50)
    finally:
        press.join()
        signal.signal(signal.SIGINT, before)
    assert result.reason == "interrupted"
    assert time.perf_counter() - begin < 20


def test_a_slow_stream_trains_with_what_has_come():
    def batches():
        while True:
            time.sleep(0.02)
            taken.append(0)
            yield X[:16], Y[:16]

    taken: list[int] = []
    ew.fit(new(), batches(), steps=3)
    assert len(taken) < 150  # a whole window has 256


def test_what_is_not_trained_is_carried_too():
    model = Noisy(nnx.Rngs(0))
    result = ew.fit(model, (X + 3, Y), steps=50, validation=(X + 3, Y), optimizer="adam:1e-2")
    np.testing.assert_allclose(model.norm.mean[...], (X + 3).mean(axis=0) * (1 - 0.99**50), rtol=1e-4)
    model.eval()
    assert mse(model, X + 3, Y) == pytest.approx(result.history.validation[-1], rel=1e-4)


@pytest.mark.parametrize("optimizer", ["sgd:1e3", optax.sgd(1e3)], ids=["in one vector", "as the model has them"])
def test_a_loss_that_is_not_finite_stops_with_the_last_finite_state(optimizer):
    model, reference = new(), new()
    with pytest.raises(NonFiniteError, match=r"not finite at step \d+") as caught:
        ew.fit(model, (X, Y), steps=200, optimizer=optimizer)
    error = caught.value
    assert "learning rate is too high" in str(error)
    assert "optimizer='adam:1e-4'" in str(error)
    assert np.isfinite(parameters(model)).all()
    assert np.isfinite(mse(model, X, Y))
    assert error.result.model is model
    good = error.result.step - 1
    ew.fit(reference, (X, Y), steps=good, optimizer=optimizer)
    np.testing.assert_array_equal(parameters(model), parameters(reference))


def test_the_last_update_is_looked_at_too(tmp_path):
    model, path = new(), tmp_path / "run.npz"
    with pytest.raises(NonFiniteError, match=r"not finite at step 1\.[^\0]*the largest parameter is inf"):
        ew.fit(model, (X, 10 * Y), steps=1, optimizer="sgd:1e38", checkpoint=path)
    np.testing.assert_array_equal(parameters(model), parameters(new()))
    assert np.isfinite(ew.fit(model, (X, 10 * Y), steps=1, optimizer="sgd:1e38", on_nonfinite="restore").model(X)).all()
    gone = ew.fit_ensemble(new, (X, 10 * Y), seeds=2, steps=1, optimizer="sgd:1e38")
    assert gone.diverged_at.tolist() == [1, 1]


def test_what_is_not_finite_is_reported_whatever_jax_looks_for():
    with jax.debug_nans(True), jax.debug_infs(True):
        ew.fit(new(), (X, Y), steps=5, validation=FRESH, callbacks=[EarlyStopping()])
        ew.fit_ensemble(new, (X, Y), seeds=2, steps=5)
        with pytest.raises(NonFiniteError, match="not finite at step"):
            ew.fit(new(), (X, Y), steps=5, optimizer="sgd:1e30")


def test_a_gradient_that_is_not_finite_stops_there_whatever_the_chunk():
    bound = float(np.sum(parameters(new()) ** 2)) * 1.3

    @jax.custom_jvp
    def nothing(size):
        return 0 * size

    @nothing.defjvp
    def steep(primals, tangents):
        return nothing(*primals), jnp.where(primals[0] > bound, jnp.nan, 0.0) * tangents[0]

    def loss(model, batch):
        size = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))
        return jnp.mean((model(batch[0]) - batch[1]) ** 2) + nothing(size)

    options = {"loss": loss, "optimizer": "adam:1e-2"}
    model, reference = new(), new()
    with pytest.raises(NonFiniteError, match="not finite") as caught:
        ew.fit(model, (X, Y), steps=5000, **options)
    result = caught.value.result
    assert result.step > 20  # in a chunk of many steps
    ew.fit(reference, (X, Y), steps=result.step - 1, **options)
    np.testing.assert_array_equal(parameters(model), parameters(reference))
    assert int(optax.tree.get(result.state["opt"], "count")) == result.step
    assert np.isfinite(result.history.loss).all()


@pytest.mark.parametrize("dtype", [None, "float32"])
def test_parameters_may_be_narrower_than_the_loss(dtype):
    def wide(model, batch):
        return jnp.mean((model(batch[0]) - batch[1]).astype(jnp.float32) ** 2)

    for loss in ("mse", wide):
        model = new(param_dtype=jnp.bfloat16, dtype=dtype)
        result = ew.fit(model, (X, Y), loss=loss, optimizer="adam:1e-2", steps=30, validation=(X, Y))
        assert result.history.loss.shape == (30,)
        assert result.history.loss[-1] < 0.9 * result.history.loss[0]
        assert np.isfinite(result.history.validation).all()


WEIGHTED = {
    "monitor": {"optimizer": "adam", "callbacks": [EarlyStopping()]},
    "validation": {"optimizer": "adam", "validation": FRESH},
    "lbfgs": {"optimizer": "lbfgs", "dtype": "float32"},
    "ssbroyden": {"optimizer": "ssbroyden", "dtype": "float32"},
    "lm": {"optimizer": "lm", "dtype": "float32"},
}


@pytest.mark.parametrize("options", WEIGHTED.values(), ids=WEIGHTED)
def test_weights_may_be_of_another_type_than_the_parameters(options):
    weighted = (X, Y, np.ones(len(X), int))
    with jax.enable_x64(True):  # where whole numbers become float64
        found = ew.fit(new(param_dtype=jnp.float32), weighted, steps=4, **options).history.loss
    np.testing.assert_allclose(found, ew.fit(new(), (X, Y), steps=4, **options).history.loss, rtol=1e-2)


def test_gradients_whose_sum_is_beyond_the_largest_number_are_finite():
    def loss(model, batch):
        return 3e37 * sum(jnp.sum(leaf) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))

    model = new()
    assert 3e37 * parameters(model).size > float(np.finfo(np.float32).max)
    assert ew.fit(model, (X, Y), loss=loss, optimizer=optax.sgd(0.0), steps=3).step == 3


def test_a_loss_that_is_not_finite_can_be_restored_at_a_lower_rate():
    model = new()
    result = ew.fit(model, (X, Y), steps=300, optimizer="sgd:20.0", on_nonfinite="restore")
    halvings = [step for step, what in result.history.events if what == "rate halved"]
    assert halvings
    assert float(result.state["scale"]) == 0.5 ** len(halvings)
    assert np.isfinite(mse(model, X, Y))
    assert np.isfinite(result.history.loss).all()


def test_the_layer_that_overflows_is_named():
    model = new()
    model.layers[1].coef[...] = model.layers[1].coef[...] * 0 + 3e38
    with pytest.raises(NonFiniteError, match=r"output of layer 1, KANLayer\(3, 1") as caught:
        ew.fit(model, (X, Y * 1e3), steps=5)
    assert "before the first update" in str(caught.value)


def test_a_model_of_two_inputs_diverges_as_another_does():
    class Two(nnx.Module):
        def __init__(self):
            self.layer = ew.KANLayer(2, 1, ew.Chebyshev(3), rngs=nnx.Rngs(0))

        def __call__(self, a, b):
            return self.layer(jnp.concatenate([a, b], axis=1))

    def loss(model, batch):
        a, b, y = batch
        return jnp.mean((model(a.at[0].add(0), b) - y) ** 2)  # .at: what NumPy has not

    model = Two()
    model.layer.coef[...] = model.layer.coef[...] * 0 + 3e38
    with pytest.raises(NonFiniteError, match=r"output of layer 0, KANLayer\(2, 1"):
        ew.fit(model, (X[:, :1], X[:, 1:], Y), loss=loss, steps=2)


def test_equal_programs_are_compiled_once():
    ew.fit(new(), (X, Y), steps=40, optimizer="adam:1e-2")
    models = [new(seed) for seed in (1, 2)]
    with Compilations() as new_ones:
        for model in models:
            ew.fit(model, (X + 0.1, Y), steps=40, optimizer="adam:1e-2")
    assert new_ones.count == 0


@pytest.mark.parametrize("more", [{}, {"validation": (X[:8], Y[:8])}])
def test_runs_of_other_lengths_take_the_same_program(more):
    run = lambda steps: ew.fit(new(), (X, Y), steps=steps, optimizer="adam:1.1e-2", **more).history
    first, lengths = run(40), (300, 25)
    with Compilations() as new_ones:
        found = [first, *map(run, lengths)]
    assert new_ones.count == 0
    for history, steps in zip(found, (40, *lengths), strict=True):
        assert history.loss.shape == history.steps.shape == (steps,)
        assert np.isfinite(history.loss).all()
        np.testing.assert_array_equal(history.loss[:25], found[-1].loss)
        if more:
            assert history.validation_steps[-1] == steps
            assert np.isfinite(history.validation).all()


@pytest.mark.parametrize(("steps", "slots"), [(1, 1024), (1024, 1024), (1025, 2048), (100_000, 131_072)])
def test_there_is_room_for_every_loss(steps, slots):
    assert loop.Room.of(steps, 1, 1) == (slots, slots)
    assert loop.Room.of(10 * steps, 10, 7).losses == slots


BAD = [
    ({"step": 2}, UnknownNameError, r"keyword of fit: 'step'(.|\n)*did you mean 'steps'"),
    ({"steps": 0}, EdgewiseError, "steps must be at least 1"),
    ({"steps": -3}, EdgewiseError, "steps must be at least 1"),
    ({"loss": "msee"}, UnknownNameError, "did you mean 'mse'"),
    ({"optimizer": "adan"}, UnknownNameError, "did you mean 'adam'"),
    ({"on_nonfinite": "ignore"}, UnknownNameError, "Valid: restore, stop"),
    ({"on_nonfinite": "restore", "optimizer": "lm"}, EdgewiseError, "no learning rate to halve"),
    ({"dtype": "float16"}, UnknownNameError, "float32"),
    ({"batch_size": 33}, EdgewiseError, "batch_size=33 is larger than the data, 32 samples"),
    ({"batch_size": 0}, EdgewiseError, "batch_size must be at least 1"),
    ({"batch_size": 8, "optimizer": "lbfgs"}, EdgewiseError, "needs the whole data"),
    ({"data": lambda: iter([(X, Y)]), "optimizer": "lm"}, EdgewiseError, "they come batch by batch"),
    ({"optimizer": "lm", "loss": "mae"}, EdgewiseError, "needs a sum of squares"),
    ({"optimizer": "lm", "regularizers": [EdgeL1(0.1)]}, EdgewiseError, "needs a sum of squares"),
    ({"validation": 0.0}, DataError, "no fraction"),
    ({"validation": 1.5}, DataError, "no fraction"),
    ({"validation": float("nan")}, DataError, "no fraction"),
    ({"validation": 0.001}, DataError, "leaves 32 to train on and 0"),
    ({"validation": [(X, Y)]}, DataError, "come batch by batch"),
    ({"seed": -1, "validation": 0.2}, EdgewiseError, "seed must be at least 0"),
    ({"seed": -1, "batch_size": 8}, EdgewiseError, "seed must be at least 0"),
    ({"seed": 2**32, "batch_size": 8}, EdgewiseError, r"seed must be below 2\*\*32"),
    ({"loss": lambda model, batch: jnp.sum(model(batch[0]) > 0)}, EdgewiseError, "number of type int32"),
    ({"loss": lambda model, batch: jnp.mean(model(batch[0]) + 1j)}, EdgewiseError, "number of type complex64"),
    ({"validate_every": 0}, EdgewiseError, "validate_every"),
    ({"validation": (X, Y[:5])}, ShapeError, "32 and 5 rows"),
    ({"callbacks": [Callback]}, EdgewiseError, "is no callback"),
    ({"callbacks": [ReduceOnPlateau()], "optimizer": "lm"}, EdgewiseError, "no learning rate to reduce"),
    ({"resume": True}, EdgewiseError, "needs a checkpoint"),
    ({"schedule": [1]}, EdgewiseError, "steps=3, but the phases of schedule have 1"),
    ({"schedule": [3, "refine:2"]}, EdgewiseError, "size=2 is below the"),
    ({"schedule": [3, "refin:2"]}, EdgewiseError, "did you mean 'refine'"),
    ({"schedule": "refine:2"}, EdgewiseError, "is no list"),
    ({"steps": None}, EdgewiseError, "no steps to train"),
    ({"data": (X, Y[:5])}, ShapeError, "32 and 5 rows"),
    ({"data": (X[:0], Y[:0])}, DataError, "empty"),
    ({"data": ()}, DataError, "no arrays"),
    ({"data": (X, np.where(X[:, :1] > 0.9, np.nan, Y))}, DataError, r"data\[1\]\[\d+, 0\] is nan"),
    ({"data": (X, np.array(["a"] * 32))}, DataError, "no array of numbers"),
    ({"data": (X[:, :1], Y)}, ShapeError, "expected"),
    ({"data": (X, np.hstack([Y, Y]))}, ShapeError, "targets of shape"),
    ({"data": iter([])}, DataError, "iterable of batches is empty"),
    ({"model": nnx.Module()}, EdgewiseError, "no parameters"),
]


def test_the_signatures_are_those_of_the_functions():
    for function in (ew.fit, ew.fit_ensemble, ew.study.compare):
        assert inspect.signature(function).parameters["optimizer"].default.startswith("adam")
        assert pickle.loads(pickle.dumps(function)) is function


@pytest.mark.parametrize(("given", "error", "message"), BAD, ids=[str(index) for index in range(len(BAD))])
def test_what_cannot_be_used_is_refused_and_the_model_is_as_it_was(given, error, message):
    model = new()
    before = parameters(model)
    options = {"model": model, "data": (X, Y), "steps": 3} | given
    with pytest.raises(error, match=message):
        ew.fit(options.pop("model"), options.pop("data"), **options)
    np.testing.assert_array_equal(parameters(model), before)


def test_what_can_be_meant_by_one_thing_is_taken():
    run = lambda **given: ew.fit(new(), (X, Y), steps=3, **given).history
    plain = run()
    for given in ({"callbacks": None, "regularizers": None, "schedule": None}, {"callbacks": EarlyStopping(3)}):
        np.testing.assert_array_equal(run(**given).loss, plain.loss)
    np.testing.assert_array_equal(run(regularizers=EdgeL1(0.1)).loss, run(regularizers=[EdgeL1(0.1)]).loss)
    for fraction in (np.float32(0.25), jnp.float32(0.25)):
        np.testing.assert_array_equal(run(validation=fraction).validation, run(validation=0.25).validation)
    assert run(dtype=jnp.float64).loss.dtype == np.float64
    assert run(seed=2**32 - 1, batch_size=8, validation=0.25).loss.shape == (3,)


def test_variables_may_hold_numbers_of_python():
    class Scaled(nnx.Module):
        def __init__(self):
            self.layer = ew.KANLayer(2, 1, ew.Chebyshev(3), rngs=nnx.Rngs(0))
            self.scale, self.shift = nnx.Param(1.0), nnx.Variable(0.5)

        def __call__(self, x):
            return self.layer(x) * self.scale[...] + self.shift[...]

    ours, other = Scaled(), Scaled()
    other.scale, other.shift = nnx.Param(jnp.asarray(1.0)), nnx.Variable(jnp.asarray(0.5))
    one, two = (ew.fit(model, (X, Y), steps=4, optimizer="adam:1e-2").history.loss for model in (ours, other))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(ours.scale[...], other.scale[...])
    assert ours.scale[...].dtype == np.float32
    assert float(ours.scale[...]) != 1.0
    assert float(ours.shift[...]) == 0.5
    together = ew.fit_ensemble(lambda seed: Scaled(), (X, Y), seeds=1, steps=4, optimizer="adam:1e-2")
    np.testing.assert_allclose(together.loss[0], one, rtol=1e-5)


class Sowing(nnx.Module):
    def __init__(self, seed=0):
        self.layer = ew.KANLayer(2, 1, ew.Chebyshev(3), rngs=nnx.Rngs(seed))

    def __call__(self, x):
        y = self.layer(x)
        self.sow(nnx.Intermediate, "seen", y)
        return y


@pytest.mark.filterwarnings("ignore:Using 'Module.sow:DeprecationWarning")
@pytest.mark.parametrize("more", [{}, {"validation": 0.25}])
def test_a_model_that_makes_variables_is_refused(more):
    with pytest.raises(EdgewiseError, match="makes new variables: seen"):
        ew.fit(Sowing(), (X, Y), steps=2, **more)
    with pytest.raises(EdgewiseError, match="makes new variables: seen"):
        ew.fit_ensemble(Sowing, (X, Y), seeds=2, steps=2, **more)


def test_bad_rows_later_in_a_stream_are_named():
    batches = [(X[:8], Y[:8]), (X[8:16], Y[8:16] * np.nan)]
    with pytest.raises(DataError, match="is nan"):
        ew.fit(new(), lambda: iter(batches), steps=10)
    with pytest.raises(ShapeError, match="a batch of"):
        ew.fit(new(), lambda: iter([(X[:8], Y[:8]), (X[8:16, :1], Y[8:16])]), steps=10)


def test_monitors_check_their_options():
    with pytest.raises(EdgewiseError, match="patience"):
        EarlyStopping(patience=0)
    with pytest.raises(EdgewiseError, match="min_delta"):
        EarlyStopping(min_delta=-1.0)
    with pytest.raises(EdgewiseError, match="factor"):
        ReduceOnPlateau(factor=1.5)


def test_wrong_types_are_refused(run_python):
    code = """
import numpy as np, edgewise as ew
from flax import nnx
X = np.ones((8, 2), np.float32)
model = ew.KAN([2, 1], ew.Chebyshev(2), rngs=nnx.Rngs(0))
good = {"model": model, "data": (X, X[:, :1]), "steps": 1}
for bad in ({"steps": 2.5}, {"steps": "3"}, {"model": print}, {"progress": "loud"}, {"callbacks": [print]},
            {"optimizer": 3}, {"loss": 3}, {"validation": "0.2"}, {"data": None}, {"data": (X, None)}, {"mesh": 2},
            {"schedule": 100}, {"checkpoint": True}, {"checkpoint": b"a.npz"}, {"seed": 0.5}, {"callbacks": "early"}):
    try:
        ew.fit(**(good | bad))
    except ew.EdgewiseError as error:
        print(*bad, "|", str(error).splitlines()[0])
    else:
        raise SystemExit(f"{bad} was taken")
"""
    lines = run_python(code).splitlines()
    assert len(lines) == 16
    assert lines[0] == "steps | steps must be an integer, got 2.5."
