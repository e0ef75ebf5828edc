"""Ensembles: the members as if trained alone, divergence, interruption, several devices."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from edgewise import KAN, BSpline, Chebyshev
from edgewise.errors import EdgewiseError, ShapeError, UnknownNameError
from edgewise.init import Power
from edgewise.training import members, train_ensemble

rng = np.random.default_rng(0)
X = rng.uniform(-1, 1, (24, 2)).astype(np.float32)
Y = (X[:, :1] ** 2 + np.sin(2 * X[:, 1:])).astype(np.float32)
TRAIN, TEST = (X[:16], Y[:16]), (X[16:], Y[16:])
MEMBERS = [("glorot", 0), ("lecun", 1), ("default", 2), ("power", 3), ("balanced", 4)]


def make_model(scheme, seed):
    return KAN([2, 3, 1], Chebyshev(2), init=scheme, rngs=nnx.Rngs(seed))


def train(members=MEMBERS, train_set=TRAIN, test_set=TEST, model=make_model, **options):
    return train_ensemble(model, members, train_set, test_set, **({"epochs": 40, "record": 1000} | options))


def alone(scheme, seed, tx, epochs=40, loss=lambda p, y: jnp.mean((p - y) ** 2), model=make_model, data=(TRAIN, TEST)):
    """One member by a plain loop: losses before each update, parameters, predictions."""
    (x, y), (x_test, _) = data
    graphdef, params, rest = nnx.split(model(scheme, seed), nnx.Param, ...)
    objective = lambda params, rest: loss(nnx.merge(graphdef, params, rest)(x), y)
    key = (graphdef if model is not make_model else None, id(tx), loss)
    if key not in STEPS:

        def step(params, opt, rest):
            value, gradient = jax.value_and_grad(objective)(params, rest)
            updates, opt = tx.update(gradient, opt, params)
            return optax.apply_updates(params, updates), opt, value

        STEPS[key] = jax.jit(step), tx
    step, opt, losses = STEPS[key][0], tx.init(params), []
    for _ in range(epochs):
        params, opt, value = step(params, opt, rest)
        losses.append(float(value))
    return losses, params, np.asarray(nnx.merge(graphdef, params, rest)(x_test))


STEPS: dict = {}
ADAM = optax.adam(1e-2)


@pytest.fixture(scope="module")
def result():
    return train(optimizer="adam:1e-2")


def test_members_together_are_the_members_alone(result):
    for index, (scheme, seed) in enumerate(MEMBERS):
        losses, params, predictions = alone(scheme, seed, ADAM)
        np.testing.assert_allclose(result.train_loss[index], losses, rtol=1e-4)
        np.testing.assert_allclose(result.predictions[index], predictions, rtol=1e-3, atol=1e-4)
        assert result.score[index] == pytest.approx(np.mean((predictions - TEST[1]) ** 2), rel=1e-3)
        mine = jax.tree.map(lambda leaf, index=index: leaf[index], result.params)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), mine, params)
    assert losses[-1] < 0.5 * losses[0]


def test_what_a_result_holds(result):
    assert result.epochs.tolist() == list(range(40))
    assert result.train_loss.shape == (5, 40)
    assert result.predictions.shape == (5, 8, 1)
    assert (result.diverged_at == -1).all()
    assert (result.completed, result.interrupted) == (40, False)
    assert 0 < result.compile_seconds < result.seconds


def test_any_transformation_of_optax_is_taken():
    given = train(MEMBERS[:2], optimizer=optax.chain(optax.clip_by_global_norm(0.1), optax.adam(1e-2)), epochs=10)
    tx = optax.chain(optax.clip_by_global_norm(0.1), optax.adam(1e-2))
    for index, (scheme, seed) in enumerate(MEMBERS[:2]):
        # a norm over one member's own gradient, not over the ensemble's
        np.testing.assert_allclose(given.train_loss[index], alone(scheme, seed, tx, 10)[0], rtol=1e-4)


def test_members_share_a_step_as_far_as_cache_or_memory_goes():
    params = nnx.state(make_model("glorot", 0), nnx.Param)
    assert members._group_size(params, 800, 80, "cpu") == 4
    assert members._group_size(params, 800, 80, "gpu") == 80
    assert members._group_size(params, 10**6, 80, "cpu") == 1
    assert 1 < members._group_size(params, 10**6, 80, "gpu") < 80


@pytest.mark.parametrize("group", [2, 5])
def test_neither_the_grouping_nor_the_padding_matters(result, monkeypatch, group):
    monkeypatch.setattr(members, "_group_size", lambda *sizes: group)  # 5 members: groups of 2 are padded
    grouped = train(optimizer="adam:1e-2", epochs=10)
    np.testing.assert_allclose(grouped.train_loss, result.train_loss[:, :10], rtol=1e-4)
    assert grouped.score.shape == (5,)
    assert jax.tree.leaves(grouped.params)[0].shape[0] == 5


def test_every_member_keeps_a_grid_of_its_own():
    def moved(stretch, seed):
        model = KAN([2, 2, 1], BSpline(2, 2), rngs=nnx.Rngs(seed))
        for layer in model.layers:
            layer.basis_state["ends"][...] = layer.basis_state["ends"][...] * stretch
        return model

    together = train([(1.0, 0), (1.5, 0)], model=moved, epochs=5, optimizer="adam:1e-2")
    for index, stretch in enumerate((1.0, 1.5)):
        losses = alone(stretch, 0, ADAM, 5, model=moved)[0]
        np.testing.assert_allclose(together.train_loss[index], losses, rtol=1e-4)
    assert abs(together.train_loss[0] - together.train_loss[1]).max() > 1e-3


# --- divergence ---------------------------------------------------------------------------------------------------


def test_a_diverging_member_is_marked_and_frozen_and_the_others_go_on():
    # plain gradient descent leaves a start of this size by overflow after some steps
    members = [("glorot", 0), (Power(gain=3e4), 1), ("balanced", 2), (Power(gain=1e30), 3)]
    options = {"optimizer": "sgd:0.05", "epochs": 60}
    mixed = train(members, **options)
    late, first = mixed.diverged_at[1], mixed.diverged_at[3]
    assert first == 0
    assert 0 < late < 60
    assert mixed.diverged_at[[0, 2]].tolist() == [-1, -1]
    assert np.isfinite(mixed.train_loss[1, :late]).all()
    assert np.isnan(mixed.train_loss[1, late:]).all()
    assert np.isnan(mixed.train_loss[3]).all()
    assert np.isnan(mixed.score).tolist() == [False, True, False, True]
    # frozen where it was: finite, and for the one that never moved, its initial parameters
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(mixed.params))
    start = nnx.split(make_model(Power(gain=1e30), 3), nnx.Param, ...)[1]
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[3], b), mixed.params, start)
    healthy = train([members[0], members[2]], **options)
    np.testing.assert_allclose(mixed.train_loss[[0, 2]], healthy.train_loss, rtol=1e-4)
    np.testing.assert_allclose(mixed.score[[0, 2]], healthy.score, rtol=1e-3)
    # the mark does not depend on what is recorded
    coarse = train(members, record=3, **options)
    assert coarse.diverged_at.tolist() == mixed.diverged_at.tolist()
    assert coarse.epochs.tolist() == [0, 20, 40]
    assert np.isnan(coarse.train_loss[1]).tolist() == (coarse.epochs >= late).tolist()


# --- records, progress, interruption ------------------------------------------------------------------------------


@pytest.mark.parametrize(("record", "stride"), [(7, 6), (1, 40)])
def test_losses_are_recorded_every_few_epochs(result, record, stride):
    few = train(MEMBERS, optimizer="adam:1e-2", record=record)
    assert few.epochs.tolist() == list(range(0, 40, stride))
    assert len(few.epochs) <= record
    np.testing.assert_allclose(few.train_loss, result.train_loss[:, ::stride], rtol=1e-4)


def test_progress_is_told():
    seen = []
    done = train(epochs=40, optimizer="adam:1e-2", on_progress=seen.append)
    assert [p.step for p in seen] == sorted({p.step for p in seen})
    assert seen[0].step == 1
    assert seen[-1].step == 40
    assert len(seen) > 2
    for progress in seen:
        assert progress.steps == 40
        if progress is seen[0]:  # its time is that of compilation
            assert np.isnan([progress.steps_per_second, progress.eta_seconds]).all()
        else:
            assert progress.steps_per_second > 0
            assert progress.eta_seconds >= 0
        np.testing.assert_array_equal(progress.losses, done.train_loss[:, progress.step - 1])
    assert seen[-1].eta_seconds == 0


def test_an_interruption_gives_what_is_finished(result):
    seen = []

    def interrupt(progress):
        seen.append(progress.step)
        if len(seen) == 2:
            raise KeyboardInterrupt

    partial = train(optimizer="adam:1e-2", on_progress=interrupt)
    done = seen[-1]
    assert 1 < done < 40
    assert partial.interrupted
    assert partial.completed == done
    assert partial.epochs.tolist() == list(range(done))
    np.testing.assert_allclose(partial.train_loss, result.train_loss[:, :done], rtol=1e-4)
    predictions = alone(*MEMBERS[0], ADAM, done)[2]
    np.testing.assert_allclose(partial.predictions[0], predictions, rtol=1e-3, atol=1e-4)


# --- classification -----------------------------------------------------------------------------------------------


def test_classification_by_cross_entropy_and_accuracy():
    labels = (X.sum(axis=1) > 0).astype(np.int32) + (X[:, 0] > 0.5)
    data = (X[:16], labels[:16]), (X[16:], labels[16:])
    model = lambda scheme, seed: KAN([2, 3], Chebyshev(3), init=scheme, rngs=nnx.Rngs(seed))
    members = MEMBERS[:2]
    got = train(members, *data, model, loss="cross_entropy", optimizer="adam:1e-2", epochs=20)

    def cross_entropy(logits, labels):
        logits = logits - jax.nn.logsumexp(logits, axis=1, keepdims=True)
        return -jnp.mean(logits[jnp.arange(len(labels)), labels])

    for index, (scheme, seed) in enumerate(members):
        losses, _, logits = alone(scheme, seed, ADAM, 20, cross_entropy, model, data)
        np.testing.assert_allclose(got.train_loss[index], losses, rtol=1e-4)
        assert got.score[index] == pytest.approx(np.mean(logits.argmax(axis=1) == labels[16:]))
    assert got.predictions.shape == (2, 8, 3)


# --- several devices ----------------------------------------------------------------------------------------------

ON_DEVICES = """
import jax, numpy as np
from flax import nnx
from edgewise import KAN, BSpline
from edgewise.training import ensemble, train_ensemble

assert jax.device_count() == 8
shards = []

class Watched(ensemble.Members):
    def advance(self, stop):
        losses = super().advance(stop)
        for leaf in jax.tree.leaves(self.state):
            shards.append((len(leaf.sharding.device_set), leaf.shape[0], leaf.addressable_shards[0].data.shape[0]))
        return losses

ensemble.Members = Watched
rng = np.random.default_rng(0)
x = rng.uniform(-1, 1, (16, 2)).astype(np.float32)
data = (x, x[:, :1] * x[:, 1:])
model = lambda scheme, seed: KAN([2, 3, 1], BSpline(2, 2), init=scheme, rngs=nnx.Rngs(seed))
members = [(scheme, seed) for scheme in ("glorot", "lecun") for seed in range(5)]
train = lambda **options: train_ensemble(model, members, data, data, epochs=12, optimizer="adam:1e-2", **options)
plain = train()
assert {count for count, *_ in shards} == {1}, shards
shards.clear()
split = train(mesh=jax.make_mesh((8,), ("members",)))
assert shards and all(count == 8 and part * 8 == whole and whole >= 10 for count, whole, part in shards), shards
np.testing.assert_allclose(split.train_loss, plain.train_loss, rtol=1e-4)
np.testing.assert_allclose(split.score, plain.score, rtol=1e-4)
np.testing.assert_allclose(split.predictions, plain.predictions, rtol=1e-3, atol=1e-4)
assert split.score.shape == (10,)
print("equal")
"""


@pytest.mark.slow
def test_a_mesh_of_devices_splits_the_ensemble_and_changes_nothing(run_python):
    assert run_python(ON_DEVICES, devices=8) == "equal\n"


# --- errors -------------------------------------------------------------------------------------------------------


def test_members_of_unequal_shapes_are_refused():
    widths = lambda width, seed: KAN([2, width, 1], BSpline(2, 2), rngs=nnx.Rngs(seed))
    with pytest.raises(ShapeError, match=r"the model of 4, seed 7(?s:.*)one after the other"):
        train([(3, 0), (4, 7)], model=widths)


def test_members_that_compute_different_things_are_refused():
    """Equal shapes are not enough: the first model's program would run on the second one's parameters."""
    squashes = lambda squash, seed: KAN([2, 3, 1], Chebyshev(3, squash=squash), rngs=nnx.Rngs(seed))
    with pytest.raises(EdgewiseError, match=r"the model of 'affine', seed 7"):
        train([("tanh", 0), ("affine", 7)], model=squashes)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"members": []}, EdgewiseError, "no members to train"),
        ({"train_set": (X[:0], Y[:0])}, ShapeError, "empty training or test set"),
        ({"test_set": (X[:0], Y[:0])}, ShapeError, "empty training or test set"),
        ({"train_set": (np.zeros((4, 3)), np.zeros((4, 1)))}, ShapeError, r"expected \(\.\.\., 2\), got \(4, 3\)"),
        ({"optimizer": "adm:1e-3"}, UnknownNameError, r"optimizer 'adm'(?s:.*)did you mean 'adam'"),
        ({"optimizer": "adam:-1"}, EdgewiseError, "learning rate must be a finite number above 0"),
        ({"optimizer": "adam:nan"}, EdgewiseError, "learning rate must be a finite number above 0"),
        ({"optimizer": "adam:0"}, EdgewiseError, "learning rate must be a finite number above 0"),
        ({"optimizer": "adam:fast"}, EdgewiseError, r"'fast' is not a learning rate(?s:.*)adam:1e-3"),
        ({"loss": "mee"}, UnknownNameError, r"loss 'mee'(?s:.*)did you mean 'mse'"),
        ({"epochs": 0}, EdgewiseError, "epochs must be at least 1"),
        ({"record": 0}, EdgewiseError, "record must be at least 1"),
    ],
    ids=str,
)
def test_other_things_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        train(**options)


def test_an_ensemble_is_trained_whatever_jax_looks_for():
    with jax.debug_nans(True), jax.debug_infs(True):
        found = train(epochs=3)
    np.testing.assert_array_equal(found.score, train(epochs=3).score)
