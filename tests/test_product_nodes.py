"""Product nodes: the formula, the spelling, and networks without any left as they were."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from edgewise import KAN, Chebyshev, count_parameters
from edgewise.bases import FAMILIES
from edgewise.errors import EdgewiseError
from edgewise.nn.products import multiply
from model_checks import (
    FAMILY_NAMES,
    SCHEME_NAMES,
    chebyshev,
    check_inside,
    check_model,
    forward,
    inputs,
    layer_of,
    randomized,
)


def build(widths=(2, (2, 1), 1), basis=None, rngs=None, **options):
    rngs = nnx.Rngs(0) if rngs is None else rngs
    return KAN(list(widths), Chebyshev(3) if basis is None else basis, rngs=rngs, **options)


def test_products_are_of_consecutive_subnodes():
    x = np.arange(1.0, 11.0)
    np.testing.assert_array_equal(multiply(jnp.asarray(x), ()), x)
    np.testing.assert_array_equal(multiply(jnp.asarray(x), (2, 2)), [1, 2, 3, 4, 5, 6, 7 * 8, 9 * 10])
    np.testing.assert_array_equal(multiply(jnp.asarray(x), (2, 3, 3)), [1, 2, 3 * 4, 5 * 6 * 7, 8 * 9 * 10])
    np.testing.assert_array_equal(multiply(jnp.asarray(x), (3, 2, 3, 2)), [6, 4 * 5, 6 * 7 * 8, 9 * 10])
    batch = np.random.default_rng(0).normal(size=(2, 3, 7))
    expected = np.stack([batch[..., 0], batch[..., 1] * batch[..., 2], batch[..., 3:].prod(-1)], -1)
    np.testing.assert_allclose(multiply(jnp.asarray(batch), (2, 4)), expected, rtol=1e-6)


def test_the_derivative_of_a_product_with_two_zeros():
    x = jnp.array([0.0, 0.0, 3.0])
    product = lambda x: multiply(x, (3,))[0]
    np.testing.assert_array_equal(jax.grad(product)(x), [0, 0, 0])
    np.testing.assert_array_equal(jax.hessian(product)(x), [[0, 3, 0], [3, 0, 0], [0, 0, 0]])


def test_the_network_is_its_formula():
    model, x = randomized(build((2, (1, (2, 3)), (0, 1)), residual=None)), inputs(5)
    h = layer_of(model.layers[0], chebyshev(x.astype(np.float64), 3))
    h = np.stack([h[:, 0], h[:, 1] * h[:, 2], h[:, 3] * h[:, 4] * h[:, 5]], -1)
    y = layer_of(model.layers[1], chebyshev(h, 3))
    np.testing.assert_allclose(forward(model, x), (y[:, 0] * y[:, 1])[:, None], rtol=2e-5, atol=2e-5)


def test_a_product_of_two_inputs_is_exact():
    model = build((2, (0, 1)), Chebyshev(1, squash=None), residual=None)
    layer = model.layers[0]
    layer.coef[...] = jnp.eye(2)[None]
    x = inputs(20)
    np.testing.assert_allclose(model(x), x[:, :1] * x[:, 1:], rtol=1e-6)


def test_the_contract_of_a_model(tmp_path):
    check_model(lambda **options: build((2, (2, (2, 3)), 1), **options), tmp_path)


def test_sizes():
    model = build((2, (3, 2), (0, (2, 3)), 1))
    assert [(layer.n_in, layer.n_out) for layer in model.layers] == [(2, 7), (5, 5), (2, 1)]
    # K = 3 modes and a residual on every edge, a bias on every subnode
    assert count_parameters(model) == 4 * (14 + 25 + 2) + 7 + 5 + 1
    assert model.widths == (2, (3, 2), (0, (2, 3)), 1)
    assert repr(model) == "KAN([2, (3, 2), (0, (2, 3)), 1], Chebyshev(3), residual=silu, 177 parameters)"
    lines = model.summary().splitlines()
    assert "2 -> (3, 2)  " in lines[2]
    assert "5 -> (0, (2, 3))  " in lines[3]
    assert "2 -> (3, 2) -> (0, (2, 3)) -> 1" in lines[-1]
    assert len({line.index("Chebyshev") for line in lines[2:5]}) == 1


def test_spellings_of_one_network():
    config = build((2, (3, 2), 1)).config
    assert config["widths"] == [2, [3, 2], 1]
    for width in ([3, 2], (3, [2, 2]), (3, (2, 2))):
        assert build((2, width, 1)).config == config
    assert build((2, (3, 0), 1)).config == build((2, 3, 1)).config
    mixed = json.loads(json.dumps(build((2, (3, (2, 3)), 1)).config))
    assert mixed["widths"] == [2, [3, [2, 3]], 1]
    assert KAN.from_config(mixed, rngs=nnx.Rngs(0)).widths == (2, (3, (2, 3)), 1)


def test_a_network_without_products_is_as_before():
    model = build((2, 3, 1))
    assert "arities" not in vars(model)
    assert model.arities == ()
    assert model.config["widths"] == [2, 3, 1]
    x = inputs(4)
    np.testing.assert_array_equal(model(x), model.layers[1](model.layers[0](x)))
    assert nnx.clone(build()).arities == ((2,), ())


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_every_family(family):
    check_inside(build(basis=FAMILIES[family]()))


@pytest.mark.parametrize("scheme", SCHEME_NAMES)
def test_every_scheme(scheme):
    model = build(init=scheme)
    check_inside(model)
    # the scheme sees subnodes, which are what the layer computes
    assert model.layers[0].stats.fan_out == 4
    assert model.layers[1].stats.fan_in == 3


@pytest.mark.parametrize(
    ("width", "message"),
    [
        ((3, 2, 1), r"widths\[1\]=\(3, 2, 1\) is neither a number nor a pair(?s:.*)sums, products"),
        ((-1, 2), r"widths\[1\]\[0\] must be at least 0, got -1"),
        ((3, -2), r"widths\[1\]\[1\] must be at least 0, got -2"),
        ((3, (2, 1)), r"widths\[1\]\[1\]\[1\] must be at least 2, got 1"),
        ((3, (2.5,)), r"widths\[1\]\[1\]\[0\] must be an integer, got 2.5"),
        ((0, 0), r"the number of nodes in widths\[1\] must be at least 1, got 0"),
        ((0, ()), r"the number of nodes in widths\[1\] must be at least 1, got 0"),
        ("32", r"widths\[1\] must be an integer, got '32'"),
    ],
    ids=str,
)
def test_widths_that_are_refused(width, message):
    with pytest.raises(EdgewiseError, match=message):
        build((2, width, 1))


def test_inputs_are_no_products():
    with pytest.raises(EdgewiseError, match=r"widths\[0\]=\(1, 1\) has product nodes"):
        build(((1, 1), 3, 1))
    assert build(((2, 0), 3, 1)).widths == (2, 3, 1)
