"""``fit_ensemble``: every member as ``fit`` would train it alone."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import edgewise as ew
from edgewise._compilation import operations
from edgewise.errors import DataError, EdgewiseError, ShapeError, UnknownNameError
from edgewise.training import members
from model_checks import Compilations

rng = np.random.default_rng(0)
X = rng.uniform(-1, 1, (24, 2)).astype(np.float32)
Y = (X[:, :1] ** 2 + np.sin(2 * X[:, 1:])).astype(np.float32)
TEST = (X[::3] + 0.05, Y[::3])


def make(seed):
    return ew.KAN([2, 3, 1], ew.Chebyshev(3), residual=None, rngs=nnx.Rngs(seed))


def test_members_are_trained_as_fit_trains_them_alone():
    names = ["adam:1e-2", "adam:3e-2", "sgd:1e-2,cosine"]
    options = {"steps": 12, "validation": TEST, "validate_every": 5}
    together = ew.fit_ensemble(make, (X, Y), seeds=[3, 5], optimizer=names, **options)
    assert together.members == tuple((name, seed) for name in names for seed in (3, 5))
    assert together.loss.shape == (6, 12)
    assert together.validation_steps.tolist() == [5, 10, 12]
    for index, (name, seed) in enumerate(together.members):
        model = make(seed)
        alone = ew.fit(model, (X, Y), optimizer=name, **options)
        np.testing.assert_allclose(together.loss[index], alone.history.loss, rtol=1e-4)
        np.testing.assert_allclose(together.validation[index], alone.history.validation, rtol=1e-4)
        np.testing.assert_allclose(together.model(index)(X), model(X), rtol=1e-3, atol=1e-4)
    assert together.best == int(np.argmin(together.validation[:, -1]))


def test_ensembles_of_a_kind_are_compiled_once():
    go = lambda seeds, steps: ew.fit_ensemble(make, (X, Y), seeds=seeds, optimizer="adam:1.3e-2", steps=steps)
    first = go([1, 2], 30)
    with Compilations() as new_ones:
        other, again = go([4, 5], 50), go([1, 2], 50)
    assert new_ones.count == 0
    np.testing.assert_array_equal(again.loss[:, :30], first.loss)
    assert other.loss.shape == (2, 50)


def test_mini_batches_are_those_of_fit():
    options = {"steps": 9, "batch_size": 8, "seed": 7, "optimizer": "adam:1e-2"}
    together = ew.fit_ensemble(make, (X, Y), seeds=2, **options)
    for index in range(2):
        alone = ew.fit(make(index), (X, Y), **options)
        np.testing.assert_allclose(together.loss[index], alone.history.loss, rtol=1e-4)


def test_second_order_members_are_trained_in_float64():
    together = ew.fit_ensemble(make, (X, Y), seeds=2, steps=6, optimizer=["lm", "lbfgs"])
    for index, (name, seed) in enumerate(together.members):
        alone = ew.fit(make(seed), (X, Y), steps=6, optimizer=name)
        np.testing.assert_allclose(together.loss[index], alone.history.loss, rtol=1e-6)
    assert together.model(0).layers[0].coef.dtype == np.float32


def test_matrices_of_several_members_are_not_factorized_at_once(monkeypatch):
    seen, train = [], members.Members.train

    def looked_at(self, display):
        program = self._compiled.advance.divided.trace(self.state, self.data, np.int32(0), np.int32(1)).jaxpr.jaxpr
        seen.extend(each.invars[0].aval.shape for each in operations(program) if each.primitive.name == "cholesky")
        return train(self, display)

    monkeypatch.setattr(members.Members, "train", looked_at)
    ew.fit_ensemble(make, (X, Y), seeds=3, steps=2, optimizer="lm")
    assert seen
    assert all(np.prod(shape[:-2]) == 1 for shape in seen)


def test_a_diverging_member_is_marked_and_the_others_go_on():
    together = ew.fit_ensemble(make, (X, Y), seeds=2, steps=60, optimizer=["sgd:1e-2", "sgd:1e3"])
    assert (together.diverged_at[:2] == -1).all()
    assert (together.diverged_at[2:] > 0).all()
    for index in (2, 3):
        assert np.isnan(together.loss[index, together.diverged_at[index] :]).all()
    assert together.best in (0, 1)
    assert np.isfinite(together.loss[:2]).all()
    gone = ew.fit_ensemble(make, (X, Y), seeds=1, steps=60, optimizer="sgd:1e3")
    with pytest.raises(EdgewiseError, match="every member has diverged"):
        _ = gone.best


def test_an_interruption_gives_what_is_finished():
    def press(progress):
        if progress.step > 5:
            raise KeyboardInterrupt

    found = ew.fit_ensemble(make, (X, Y), seeds=2, steps=900, optimizer=["adam", "sgd"], progress=press)
    assert found.interrupted
    assert len(found) == 2
    assert 5 < len(found.steps) < 900
    assert np.isfinite(found.loss).all()


def test_looks_that_did_not_happen_are_left_out():
    def press(progress):
        if progress.step > 5:
            raise KeyboardInterrupt

    options = {"validation": TEST, "steps": 900, "progress": press}
    found = ew.fit_ensemble(make, (X, Y), seeds=3, optimizer="sgd:1e-4", validate_every=3, **options)
    looks = (found.steps[-1] + 1) // 3
    assert found.interrupted
    assert 0 < looks < 300
    assert found.validation_steps.tolist() == [3 * (look + 1) for look in range(looks)]
    assert np.isfinite(found.validation).all()
    assert found.best == int(np.argmin(found.validation[:, -1]))
    early = ew.fit_ensemble(make, (X, Y), seeds=3, optimizer="sgd:1e-4", validate_every=800, **options)
    assert early.validation.shape == (3, 0)
    assert early.best == int(np.argmin(early.loss[:, -1]))


def test_members_that_are_not_finished_are_compared_by_their_last_look():
    seen = []

    def press(progress):
        seen.append(progress.step)
        if seen.count(1) == 2 and progress.step > 1:  # in the second program
            raise KeyboardInterrupt

    found = ew.fit_ensemble(
        make, (X, Y), seeds=1, steps=40, optimizer=["sgd:1e-9", "adam:3e-2"], validation=TEST, validate_every=2,
        progress=press,
    )  # fmt: skip
    assert found.interrupted
    assert found.validation.shape == (2, 20)
    assert np.isfinite(found.validation[0]).all()
    assert np.isnan(found.validation[1, -1])
    assert found.best == int(np.nanmin(found.validation[1]) < found.validation[0, -1])
    assert found.best == 1


def test_each_member_drops_out_by_its_own_key():
    class Dropped(nnx.Module):
        def __init__(self, seed):
            rngs = nnx.Rngs(seed)
            self.drop, self.layer = nnx.Dropout(0.5, rngs=rngs), ew.KANLayer(2, 1, ew.Chebyshev(3), rngs=rngs)

        def __call__(self, x):
            return self.layer(self.drop(x))

    options = {"steps": 6, "optimizer": "adam:1e-2", "validation": TEST}
    together = ew.fit_ensemble(Dropped, (X, Y), seeds=3, **options)
    for index, (_, seed) in enumerate(together.members):
        model, mine = Dropped(seed), together.model(index)
        alone = ew.fit(model, (X, Y), **options)
        np.testing.assert_allclose(together.loss[index], alone.history.loss, rtol=1e-5)
        np.testing.assert_allclose(together.validation[index], alone.history.validation, rtol=1e-5)
        for key, expected in zip(
            *(jax.tree.leaves(nnx.state(each, nnx.RngState)) for each in (mine, model)), strict=True
        ):
            assert key == expected
    diverged = ew.fit_ensemble(Dropped, (X, Y), seeds=2, steps=60, optimizer=["sgd:1e-2", "sgd:1e5"])
    assert (diverged.diverged_at >= 0).tolist() == [False, False, True, True]


@pytest.mark.parametrize("seeds", [np.int64(2), np.arange(2), range(2)])
def test_seeds_may_be_of_any_integer_type(seeds):
    assert ew.fit_ensemble(make, (X, Y), seeds=seeds, steps=1).members == (("adam", 0), ("adam", 1))


@pytest.mark.parametrize(("given", "error", "message"), [
    ({"seeds": 0}, EdgewiseError, "seeds must be at least 1"),
    ({"seeds": []}, EdgewiseError, "seeds must be distinct"),
    ({"epochs": 2}, UnknownNameError, r"keyword of fit_ensemble: 'epochs'(.|\n)*Valid: .*steps"),
    ({"seeds": [1, 1]}, EdgewiseError, "seeds must be distinct"),
    ({"optimizer": []}, EdgewiseError, "optimizers must be distinct"),
    ({"optimizer": "adan"}, EdgewiseError, "did you mean 'adam'"),
    ({"steps": 0}, EdgewiseError, "steps must be at least 1"),
    ({"batch_size": 25}, EdgewiseError, "larger than the data"),
    ({"batch_size": 5, "optimizer": "lm"}, EdgewiseError, "needs the whole data"),
    ({"validation": 2.0}, EdgewiseError, "no fraction"),
    ({"seed": -1, "validation": 0.2}, EdgewiseError, "seed must be at least 0"),
    ({"seed": 2**40, "batch_size": 8}, EdgewiseError, r"seed must be below 2\*\*32"),
    ({"seeds": [0, 2**40]}, EdgewiseError, r"each of seeds must be below 2\*\*32"),
    ({"data": [(X, Y), (X, Y)]}, DataError, "needs its data in memory"),
    ({"loss": lambda model, batch: jnp.sum(model(batch[0]) > 0)}, EdgewiseError, "number of type int32"),
])  # fmt: skip
def test_what_cannot_be_used_is_refused(given, error, message):
    with pytest.raises(error, match=message):
        ew.fit_ensemble(make, **({"data": (X, Y), "steps": 2, "seeds": 2} | given))


def test_seeds_that_are_none_are_refused(run_python):
    code = """
import edgewise as ew
for seeds in (2.0, "3", None):
    try:
        ew.fit_ensemble(None, None, seeds=seeds, steps=1)
    except ew.EdgewiseError as error:
        print(error.what)
assert ew.training.regularizers.EdgeL1(0.1)  # as the documentation writes it, with nothing else imported
"""
    assert run_python(code).splitlines() == [f"seeds must be an integer, got {seeds!r}." for seeds in (2.0, "3", None)]


def test_models_of_unequal_shapes_are_refused():
    unequal = lambda seed: ew.KAN([2, 3 + seed, 1], ew.Chebyshev(3), rngs=nnx.Rngs(seed))
    with pytest.raises(ShapeError, match="seed 1 differs in parameter shapes"):
        ew.fit_ensemble(unequal, (X, Y), seeds=2, steps=2)
