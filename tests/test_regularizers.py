"""Regularizers against loops over edges in NumPy, and closed forms of curvature."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.polynomial import chebyshev
from scipy import special, stats

from edgewise import KAN, BSpline, Chebyshev, KANLayer
from edgewise.bases import RBF, Bernstein, Fourier, Hermite, Legendre, Rational, Sine
from edgewise.errors import EdgewiseError, UnknownNameError
from edgewise.training.objective import Objective
from edgewise.training.regularizers import EdgeEntropy, EdgeL1, Smoothness, edge_norms

rng = np.random.default_rng(0)
X = rng.normal(size=(7, 2)).astype(np.float32)
BATCH = (X, X[:, :1])


@pytest.fixture(scope="module")
def model():
    return KAN([2, 3, 1], Chebyshev(3), edge_scale=True, rngs=nnx.Rngs(0))


@partial(nnx.jit, static_argnums=0)
def penalty(regularizer, model, batch):
    """Compiled: one program instead of one for every operation."""
    return regularizer(model, batch)


def silu(x):
    return x * special.expit(x)


def norms_by_loop(model, x):
    """Mean |phi| edge by edge, in float64."""
    found = []
    for layer in model.layers:
        coef, kernel, scale, bias = (
            np.float64(getattr(layer, name)[...]) for name in ("coef", "residual_kernel", "edge_scale", "bias")
        )
        norms, y = np.zeros((layer.n_in, layer.n_out)), np.tile(bias, (len(x), 1))
        for i in range(layer.n_in):
            for j in range(layer.n_out):
                series = np.concatenate([[0.0], coef[:, i, j]])  # the bias stands for the constant
                values = kernel[i, j] * silu(x[:, i]) + scale[i, j] * chebyshev.chebval(np.tanh(x[:, i]), series)
                norms[i, j] = np.mean(abs(values))
                y[:, j] += values
        found.append(norms)
        x = y
    return found


def test_norms_of_edges(model):
    for got, expected in zip(nnx.jit(edge_norms)(model, BATCH), norms_by_loop(model, np.float64(X)), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_l1_and_entropy_are_those_of_a_loop(model):
    norms = norms_by_loop(model, np.float64(X))
    assert float(penalty(EdgeL1(0.1), model, BATCH)) == pytest.approx(0.1 * sum(n.sum() for n in norms), rel=1e-5)
    entropy = sum(stats.entropy(n.ravel()) for n in norms)
    assert float(penalty(EdgeEntropy(0.3), model, X)) == pytest.approx(0.3 * entropy, rel=1e-5)


def test_a_single_layer_and_batches_of_any_shape(model):
    layer = model.layers[0]
    grid = X[:6].reshape(2, 3, 2)
    assert float(penalty(EdgeL1(1.0), layer, grid)) == pytest.approx(
        float(penalty(EdgeL1(1.0), layer, X[:6])), rel=1e-5
    )


@pytest.fixture
def layer():
    """One layer of 2 x 3 edges phi_ij(x) = kernel_ij x."""
    made = KANLayer(2, 3, Chebyshev(1), residual="identity", rngs=nnx.Rngs(0))
    made.coef[...] = jnp.zeros_like(made.coef[...])
    return made


ONES = np.ones((4, 2), np.float32)
entropy_and_gradient = nnx.jit(nnx.value_and_grad(lambda layer: EdgeEntropy(1.0)(layer, ONES)))
l1_gradient = nnx.jit(nnx.grad(lambda layer: EdgeL1(2.0)(layer, ONES)))


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        (np.zeros((2, 3)), 0.0),
        (np.eye(2, 3)[:1] * [[1.0], [0.0]], 0.0),
        (np.eye(2, 3), np.log(2)),
        (np.ones((2, 3)), np.log(6)),
        (np.full((2, 3), 1e-25), None),
        (np.full((2, 3), 1e25), np.log(6)),
        (np.array([[1.0, 1e-30, 0.0], [0.0, 0.0, 1e-38]]), 0.0),
    ],
    ids=["none", "one", "two", "all", "tiny", "large", "mixed"],
)
def test_entropy_has_a_finite_gradient_where_edges_vanish(layer, kernel, expected):
    layer.residual_kernel[...] = jnp.asarray(kernel, jnp.float32)
    value, gradient = entropy_and_gradient(layer)
    if expected is not None:
        assert float(value) == pytest.approx(expected, abs=1e-5)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    nothing = np.asarray(gradient["residual_kernel"][...])[kernel == 0]
    np.testing.assert_array_equal(nothing, 0)


def test_an_edge_of_0_stays_where_it_is(layer):
    layer.residual_kernel[...] = jnp.zeros((2, 3))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(l1_gradient(layer)))


def test_l1_makes_edges_vanish_and_entropy_makes_them_few(layer):
    layer.residual_kernel[...] = jnp.asarray([[3.0, 1.0, 0.5], [0.2, 0.1, 0.1]])
    np.testing.assert_allclose(l1_gradient(layer)["residual_kernel"][...], 2.0, rtol=1e-6)
    entropy = np.asarray(entropy_and_gradient(layer)[1]["residual_kernel"][...])
    assert entropy[0, 0] < 0
    assert (entropy.ravel()[1:] > 0).all()


def coefficients(basis, bias=True, **options):
    """A layer of the basis, 2 to 1, and its coefficients in float64."""
    made = KANLayer(2, 1, basis, bias=bias, rngs=nnx.Rngs(1), **options)
    return made, np.float64(made.coef[...])


@pytest.mark.parametrize("basis", [BSpline(3, 6), Bernstein(5), RBF(5)], ids=str)
def test_smoothness_of_neighbours_is_that_of_p_splines(basis):
    layer, coef = coefficients(basis)
    expected = sum(
        (coef[m, i, j] - 2 * coef[m - 1, i, j] + coef[m - 2, i, j]) ** 2
        for i in range(2) for j in range(1) for m in range(2, len(coef))
    )  # fmt: skip
    assert float(Smoothness(0.5)(layer)) == pytest.approx(0.5 * expected, rel=1e-5)
    line = np.arange(len(coef))[:, None, None] * np.ones((1, 2, 1))
    layer.coef[...] = jnp.asarray(line, jnp.float32)
    assert float(Smoothness(1.0)(layer)) == pytest.approx(0, abs=1e-8)


def test_smoothness_is_the_mean_square_of_the_curvature_in_the_angle():
    angle = (np.arange(256) + 0.5) * np.pi / 256
    layer, coef = coefficients(Chebyshev(4))
    n = np.arange(1, 5)  # the constant is dropped for the bias
    curvature = -np.einsum("n,nij,np->pij", n**2, coef, np.cos(n[:, None] * angle))
    expected = 2 * np.mean(curvature**2, axis=0).sum()
    assert float(Smoothness(1.0)(layer)) == pytest.approx(expected, rel=1e-5)
    layer, coef = coefficients(Fourier(3))
    k = np.arange(1, 4)[:, None]
    modes = np.concatenate([np.cos(k * 2 * angle), np.sin(k * 2 * angle)])
    curvature = -np.einsum("n,nij,np->pij", np.tile(k.ravel(), 2) ** 2, coef, modes)
    assert float(Smoothness(1.0)(layer)) == pytest.approx(2 * np.mean(curvature**2, axis=0).sum(), rel=1e-5)


def test_smoothness_of_the_other_families():
    layer, coef = coefficients(Hermite(3))
    expected = sum(n**2 * (coef[n] ** 2).sum() for n in range(4))
    assert float(Smoothness(1.0)(layer)) == pytest.approx(expected, rel=1e-5)
    layer, coef = coefficients(Legendre(3), bias=False)
    assert len(coef) == 4
    expected = sum(n**4 * (coef[n] ** 2).sum() for n in range(4))
    assert float(Smoothness(1.0)(layer)) == pytest.approx(expected, rel=1e-5)
    layer, coef = coefficients(Legendre(3) | BSpline(2, 4))
    expected = sum(n**4 * (coef[n - 1] ** 2).sum() for n in (1, 2, 3)) + (np.diff(coef[3:], 2, axis=0) ** 2).sum()
    assert float(Smoothness(1.0)(layer)) == pytest.approx(expected, rel=1e-5)
    assert float(Smoothness(1.0)(coefficients(RBF(2))[0])) == 0


def test_smoothness_counts_every_layer_and_its_scale():
    model = KAN([2, 3, 1], Chebyshev(3), edge_scale=True, rngs=nnx.Rngs(0))
    model.layers[0].edge_scale[...] = jnp.full((2, 3), 3.0)
    curvature = [
        (np.arange(1, 4)[:, None, None] ** 4 * np.float64(layer.coef[...]) ** 2).sum() for layer in model.layers
    ]
    assert float(Smoothness(1.0)(model)) == pytest.approx(9 * curvature[0] + curvature[1], rel=1e-5)


def test_smoothness_is_a_sum_of_squares(model):
    objective = Objective("mse", (Smoothness(0.1), Smoothness(0.2)))
    assert objective.least_squares
    residuals = nnx.jit(objective.residuals)(model, BATCH)
    assert float(jnp.sum(residuals**2)) == pytest.approx(float(penalty(objective, model, BATCH)), rel=1e-5)
    assert not Objective("mse", (EdgeL1(0.1),)).least_squares
    with pytest.raises(EdgewiseError, match=r"EdgeL1\(weight=0.1\) is not a sum of squares"):
        Objective("mse", EdgeL1(0.1)).residuals(model, BATCH)


def test_smoothness_finds_layers_wherever_they_are():
    class Two(nnx.Module):
        def __init__(self):
            self.first = KANLayer(1, 2, BSpline(2, 3), rngs=nnx.Rngs(0))
            self.rest = nnx.Dict(second=KANLayer(2, 1, BSpline(2, 3), rngs=nnx.Rngs(1)))

    two = Two()
    expected = float(Smoothness(1.0)(two.first) + Smoothness(1.0)(two.rest.second))
    assert float(Smoothness(1.0)(two)) == pytest.approx(expected, rel=1e-5)


def test_objectives_add_regularizers_and_compile(model):
    terms = EdgeL1(1e-2), EdgeEntropy(1e-3), Smoothness(1e-4)
    whole = penalty(Objective("mse", terms), model, BATCH)
    parts = sum(penalty(part, model, BATCH) for part in (Objective("mse"), *terms))
    assert float(whole) == pytest.approx(float(parts), rel=1e-5)
    assert hash(Objective("mse", terms)) == hash(Objective("mse", (EdgeL1(1e-2), EdgeEntropy(1e-3), Smoothness(1e-4))))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: EdgeL1(-1.0), "weight must be a finite number of at least 0, got -1.0"),
        (lambda: EdgeEntropy(float("nan")), r"pass say EdgeEntropy\(1e-3\)"),
        (lambda: Smoothness(float("inf")), "weight must be a finite number"),
        (lambda: EdgeL1(1.0)(nnx.Linear(2, 1, rngs=nnx.Rngs(0)), X), "no edges to look at in Linear"),
        (lambda: EdgeEntropy(1.0)(nnx.List([]), X), "no edges to look at"),
        (lambda: Smoothness(1.0)(nnx.Linear(2, 1, rngs=nnx.Rngs(0)), X), "no edges to look at in Linear"),
        (lambda: Smoothness(1.0)(coefficients(Sine(3))[0]), r"has no meaning for Sine\(3\)"),
        (lambda: Smoothness(1.0)(coefficients(Rational())[0]), "have no order"),
    ],
)
def test_what_regularizers_refuse(call, message):
    with pytest.raises(EdgewiseError, match=message):
        call()


def test_an_unknown_keyword():
    with pytest.raises(UnknownNameError, match="did you mean 'weight'"):
        EdgeL1(wieght=1.0)  # pyright: ignore
