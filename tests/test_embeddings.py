"""Embeddings, chains and output transforms."""

from __future__ import annotations

import pickle
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from edgewise import KAN, Chain, Chebyshev, FourierFeatures, PeriodicEmbedding, Transformed, count_parameters
from edgewise.errors import EdgewiseError, ShapeError
from edgewise.nn import Grid
from model_checks import array, check_derivatives, check_saved, forward, inputs


def zero_at_the_ends(x, y):
    return (1 - x[..., :1] ** 2) * y


def small(n_in=2, rngs=None, **options):
    return KAN([n_in, 3, 1], Chebyshev(3), rngs=nnx.Rngs(0) if rngs is None else rngs, **options)


# --- periodic -----------------------------------------------------------------------------------------------------


def test_the_period_is_a_period():
    embedding, x = PeriodicEmbedding(3, {1: 2.0, 0: 5.0}), inputs(2, 4, features=3)
    cos, sin = (lambda i, p: np.cos(2 * np.pi * x[..., i] / p)), (lambda i, p: np.sin(2 * np.pi * x[..., i] / p))
    expected = np.stack([cos(0, 5.0), sin(0, 5.0), cos(1, 2.0), sin(1, 2.0), x[..., 2]], -1)
    np.testing.assert_allclose(embedding(x), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(embedding(x + np.float32([5.0, 2.0, 0.0])), expected, rtol=1e-5, atol=1e-5)
    assert embedding.n_out == 5
    assert count_parameters(embedding) == 0


def test_a_trained_period():
    embedding, x = PeriodicEmbedding(2, {0: 3.0, 1: 2.0}, trained=[1]), inputs(4)
    fixed = PeriodicEmbedding(2, {0: 3.0, 1: 2.0})
    np.testing.assert_allclose(embedding(x), fixed(x), rtol=1e-6, atol=1e-6)
    assert count_parameters(embedding) == 1
    gradient = nnx.grad(lambda module: module(x)[..., 2].sum())(embedding)["trained"]["1"][...]
    angle = 2 * np.pi * x[:, 1] / 2.0
    np.testing.assert_allclose(gradient, (np.sin(angle) * angle / 2.0).sum(), rtol=1e-4)
    assert count_parameters(PeriodicEmbedding(2, {0: 3.0, 1: 2.0}, trained=True)) == 2


def test_derivatives_are_periodic_too():
    model = Chain(PeriodicEmbedding(1, {0: 2.0}), small(2))
    slope = jax.jit(jax.vmap(jax.grad(lambda x: model(x)[0])))
    np.testing.assert_allclose(slope(jnp.array([[-1.0]])), slope(jnp.array([[1.0]])), rtol=1e-4)


def test_periods_that_are_refused():
    for periods, trained in (({}, False), ({2: 1.0}, False), ({-1: 1.0}, False), ({0: 1.0}, [1])):
        with pytest.raises(EdgewiseError, match="do not fit 2 inputs"):
            PeriodicEmbedding(2, periods, trained=trained)
    for period in (0.0, -1.0, float("inf")):
        with pytest.raises(EdgewiseError, match=r"periods\[1\] must be a finite number above 0"):
            PeriodicEmbedding(2, {1: period})
    with pytest.raises(ShapeError, match=r"expected \(\.\.\., 2\), got \(3,\)"):
        PeriodicEmbedding(2, {1: 1.0})(np.zeros(3))


# --- random Fourier features --------------------------------------------------------------------------------------


def test_fourier_features():
    embedding, x = FourierFeatures(2, 6, scale=2.0, rngs=nnx.Rngs(0)), inputs(2, 4)
    phase = 2 * np.pi * x.astype(np.float64) @ array(embedding.frequencies)
    np.testing.assert_allclose(embedding(x), np.concatenate([np.cos(phase), np.sin(phase)], -1), atol=1e-5)
    assert isinstance(embedding.frequencies, Grid)
    assert count_parameters(embedding) == 0
    assert count_parameters(FourierFeatures(2, 6, trained=True, rngs=nnx.Rngs(0))) == 6
    assert len(jax.tree.leaves(nnx.state(embedding))) == 1


def test_their_kernel_is_a_gaussian():
    """The mean product of the features of x and y is exp(-2 (pi scale |x - y|)^2) / 2 (Rahimi and Recht)."""
    embedding = FourierFeatures(2, 20_000, scale=0.5, rngs=nnx.Rngs(1))
    assert array(embedding.frequencies).std() == pytest.approx(0.5, rel=0.02)
    x = np.array([[0.0, 0.0], [0.3, 0.1], [0.5, -0.2]], np.float32)
    features = np.asarray(embedding(x), np.float64)
    distances = ((x[:, None] - x[None]) ** 2).sum(-1)
    np.testing.assert_allclose(features @ features.T / 10_000, np.exp(-2 * (np.pi * 0.5) ** 2 * distances), atol=0.03)


def test_features_that_are_refused():
    with pytest.raises(EdgewiseError, match=r"n_out=5 is odd(?s:.*)pass 6"):
        FourierFeatures(2, 5, rngs=nnx.Rngs(0))
    with pytest.raises(EdgewiseError, match="scale must be a finite number above 0"):
        FourierFeatures(2, 6, scale=0.0, rngs=nnx.Rngs(0))
    with pytest.raises(ShapeError, match="empty batch"):
        FourierFeatures(2, 6, rngs=nnx.Rngs(0))(np.zeros((0, 2)))


@pytest.mark.parametrize("trained", [False, True])
def test_embeddings_far_away_and_saved(trained, tmp_path):
    chain = Chain(
        PeriodicEmbedding(2, {1: 2.0}, trained=trained), FourierFeatures(3, 4, trained=trained, rngs=nnx.Rngs(0))
    )
    assert np.isfinite(forward(chain, np.float32([[1e6, -1e6], [-1e6, 1e6]]))).all()
    for index, module in enumerate([chain, *chain.modules]):
        check_saved(module, tmp_path / str(index), inputs(3, features=3 if index == 2 else 2))
    assert repr(chain).count("trained") == 2 * trained


# --- chains and transforms ----------------------------------------------------------------------------------------


def test_a_chain_is_its_modules_one_after_the_other():
    embedding, model, x = PeriodicEmbedding(2, {1: 2.0}), small(3), inputs(2, 4)
    np.testing.assert_array_equal(Chain(embedding, model)(x), model(embedding(x)))
    assert repr(Chain(embedding, model)) == f"Chain({embedding!r}, {model!r})"


def test_a_chain_counts_the_columns_that_a_pruned_network_takes(tmp_path):
    pruned = KAN.from_config({**small(2).config, "inputs": [True, False, True]}, rngs=nnx.Rngs(0))
    check_saved(Chain(PeriodicEmbedding(2, {1: 2.0}), pruned), tmp_path / "model", inputs(2, 4))
    with pytest.raises(EdgewiseError, match=r"KAN has 1 outputs, KAN 3 inputs"):
        Chain(small(2), pruned)


def test_a_condition_holds_exactly(tmp_path):
    model = Transformed(Chain(FourierFeatures(2, 4, rngs=nnx.Rngs(0)), small(4)), zero_at_the_ends)
    x = inputs(2, 4)
    np.testing.assert_allclose(model(x), (1 - x[..., :1] ** 2) * np.asarray(model.model(x)), rtol=1e-5, atol=1e-6)
    ends = np.float32([[1.0, 0.3], [-1.0, 0.7]])
    np.testing.assert_array_equal(forward(model, ends), np.zeros((2, 1)))
    check_saved(model, tmp_path / "model", x)
    assert "zero_at_the_ends" in repr(model)
    pickled = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(forward(pickled, x), forward(model, x))
    by_name = Transformed(model.model, model.transform.name)
    np.testing.assert_array_equal(by_name(x), model(x))


def test_a_function_redefined_is_compiled_anew(monkeypatch):
    """As in a notebook: another function under the name of the first."""
    x, model = inputs(3), small()
    before = forward(Transformed(model, zero_at_the_ends), x)

    def doubled(x, y):
        return 2 * (1 - x[..., :1] ** 2) * y

    doubled.__qualname__ = "zero_at_the_ends"
    monkeypatch.setattr(sys.modules[__name__], "zero_at_the_ends", doubled)
    np.testing.assert_allclose(forward(Transformed(model, doubled), x), 2 * before, rtol=1e-5)


def test_derivatives_of_a_composition():
    def build(rngs, param_dtype):
        features = FourierFeatures(3, 4, scale=0.3, param_dtype=param_dtype, rngs=rngs)
        periodic = PeriodicEmbedding(2, {1: 2.0}, trained=True, param_dtype=param_dtype)
        return Transformed(Chain(periodic, features, small(4, rngs, param_dtype=param_dtype)), zero_at_the_ends)

    check_derivatives(build, 2)


def test_what_does_not_compose():
    with pytest.raises(EdgewiseError, match=r"PeriodicEmbedding has 3 outputs, KAN 2 inputs"):
        Chain(PeriodicEmbedding(2, {1: 2.0}), small(2))
    with pytest.raises(EdgewiseError, match="needs modules"):
        Chain()
    with pytest.raises(EdgewiseError, match=r"transform=<function(?s:.*)no function that a name leads to"):
        Transformed(small(), lambda x, y: y)
    with pytest.raises(EdgewiseError, match="Linear has no config"):
        _ = Chain(nnx.Linear(2, 2, rngs=nnx.Rngs(0))).config
