"""Separable KANs: the sum of products, every basis, groups of columns, sizes, saving, refinement."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from flax import nnx

from edgewise import KAN, BSpline, Chebyshev, Fourier, SeparableKAN, count_parameters
from edgewise.bases import FAMILIES
from edgewise.errors import EdgewiseError, ShapeError, UnknownNameError
from edgewise.refine import adapt, extend
from model_checks import (
    FAMILY_NAMES,
    array,
    chebyshev,
    check_inside,
    check_model,
    check_saved,
    forward,
    inputs,
    layer_of,
    randomized,
)


def build(bases=None, n_out=1, rngs=None, **options):
    bases = [Chebyshev(3), Chebyshev(4)] if bases is None else bases
    return SeparableKAN(bases, n_out, **{"rank": 3} | options, rngs=nnx.Rngs(0) if rngs is None else rngs)


@pytest.mark.parametrize("hidden", [(), (4,)])
def test_the_network_is_the_sum_of_products(hidden):
    model, x = randomized(build(n_out=2, hidden=hidden)), inputs(5)
    product = np.ones((5, 3, 2))
    for factor, degree, column in zip(model.factors, (3, 4), x.T, strict=True):
        values = column[:, None].astype(np.float64)
        for layer in factor.layers:
            values = layer_of(layer, chebyshev(values, degree))
        product *= values.reshape(5, 3, 2)
    np.testing.assert_allclose(forward(model, x), product.sum(axis=1), rtol=2e-5, atol=2e-5)


def test_a_product_of_functions_has_rank_one():
    """Of one term, u(a, b) u(c, d) = u(a, d) u(c, b); of two, not."""
    for rank, equal in ((1, True), (2, False)):
        with jax.enable_x64(True):
            model = build(rank=rank, param_dtype=np.float64)
            u = lambda a, b, model=model: float(model(np.array([[a, b]]))[0, 0])
            gap = abs(u(0.1, 0.2) * u(-0.5, 0.7) - u(0.1, 0.7) * u(-0.5, 0.2))
        assert (gap < 1e-14) == equal


def test_groups_of_columns():
    """A periodic coordinate comes as cosine and sine: two columns, one factor."""
    model, x = randomized(build([Chebyshev(3), Chebyshev(2)], n_out=2, rank=2, groups=(1, 2))), inputs(5, features=3)
    assert [factor.n_features for factor in model.factors] == [1, 2]
    first, second = (np.asarray(factor(part)) for factor, part in zip(model.factors, (x[:, :1], x[:, 1:]), strict=True))
    expected = (first * second).reshape(5, 2, 2).sum(axis=1)
    np.testing.assert_allclose(model(x), expected, rtol=1e-6, atol=1e-6)
    with pytest.raises(ShapeError, match="3"):
        model(x[:, :2])


def test_parameter_counts():
    """Rank r, m outputs, d coordinates and degree k: d r m (k + 1), the size of a layer of a Chebyshev KAN each.

    Table 2 of SPIKANs (arXiv 2411.06286) counts in the same way: a separable network is d networks of one coordinate.
    """
    for d, rank, n_out, degree in ((2, 3, 1, 5), (3, 8, 2, 4)):
        model = build([Chebyshev(degree)] * d, n_out, rank=rank)
        alone = KAN([1, rank * n_out], Chebyshev(degree), residual=None, rngs=nnx.Rngs(0))
        assert count_parameters(model) == d * count_parameters(alone) == d * rank * n_out * (degree + 1)
    deep = build([Chebyshev(3)] * 2, 2, rank=5, hidden=(4, 6))
    assert count_parameters(deep) == 2 * (1 * 4 * 3 + 4 + 4 * 6 * 3 + 6 + 6 * 10 * 3 + 10)  # one bias a node


def test_compiled_saved_and_differentiated(tmp_path):
    check_model(build, tmp_path)


def test_saved_with_all_options(tmp_path):
    bases = [Chebyshev(3, squash=None), BSpline(3, 5, knots="free"), Fourier(2, period=2.0)]
    model = build(bases, n_out=2, hidden=(3,), groups=(1, 1, 2), bias=False, residual="silu")
    check_saved(randomized(model), tmp_path / "model.npz", inputs(4, features=4))
    assert "rank=3" in repr(model)
    assert "Fourier" in repr(model)


@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_every_basis(name):
    check_inside(build([FAMILIES[name](), Chebyshev(2)]))


def test_a_derivative_with_respect_to_the_parameters():
    """The model is linear in each factor: the derivative along its own coefficients is the model less its biases."""
    model, x = randomized(build(bias=False)), inputs(6)
    graphdef, params = nnx.split(model, nnx.Param)
    for index in range(2):
        only = jax.tree.map(np.zeros_like, params)
        only["factors"][index] = params["factors"][index]
        value, slope = jax.jvp(lambda params: nnx.merge(graphdef, params)(x), (params,), (only,))
        np.testing.assert_allclose(slope, value, rtol=2e-5, atol=2e-5)


def test_any_number_of_batch_axes_and_whole_numbers():
    model, x = build(), inputs(2, 3)
    assert model(x).shape == (2, 3, 1)
    assert model(x[0, 0]).shape == (1,)
    assert model(np.array([[1, 0]])).dtype == np.float32


def test_factors_start_differently_and_of_one_seed_alike():
    model = build([Chebyshev(3)] * 2)
    first, second = (array(factor.layers[0].coef) for factor in model.factors)
    assert (first != second).all()
    jax.tree.map(np.testing.assert_array_equal, nnx.state(model), nnx.state(build([Chebyshev(3)] * 2)))


def test_grids_are_refined():
    model = randomized(build([BSpline(3, 4)] * 2))
    before = forward(model, inputs(50))
    extend(model, 8)
    assert {factor.layers[0].basis.grid for factor in model.factors if hasattr(factor.layers[0].basis, "grid")} <= {8}
    np.testing.assert_allclose(forward(model, inputs(50)), before, rtol=1e-3, atol=1e-3)
    adapt(model, inputs(200), adaptivity=0.9)
    assert np.isfinite(forward(model, inputs(50))).all()


@pytest.mark.parametrize(
    ("options", "kind", "match"),
    [
        ({"bases": []}, EdgewiseError, "every coordinate has its own"),
        ({"bases": Chebyshev(3)}, EdgewiseError, "every coordinate has its own"),
        ({"bases": ["chebyshev"]}, EdgewiseError, "every coordinate has its own"),
        ({"rank": 0}, EdgewiseError, "rank"),
        ({"rank": 2.5}, EdgewiseError, "rank"),
        ({"n_out": 0}, EdgewiseError, "n_out"),
        ({"groups": (1,)}, ShapeError, "1 groups for 2 bases"),
        ({"groups": (1, 0)}, EdgewiseError, "groups"),
        ({"hidden": (0,)}, EdgewiseError, "width"),
        ({"biass": True}, UnknownNameError, "keyword"),
    ],
)
def test_what_cannot_be_built(options, kind, match):
    with pytest.raises(kind, match=match) as caught:
        build(**options)
    assert caught.value.do or caught.value.why


def test_inputs_of_another_number_of_columns():
    with pytest.raises(ShapeError, match="2"):
        build()(inputs(4, features=3))
