"""ActNet: the formula, the variances of the paper, its parameter count."""

from __future__ import annotations

import numpy as np
import pytest
from flax import nnx

from edgewise import ActNet, Chebyshev, KANLayer, Sine, count_parameters
from edgewise._compilation import compiled_for_few_runs
from edgewise.bases import FAMILIES
from edgewise.errors import EdgewiseError, ShapeError, UnknownNameError
from edgewise.init import Custom, Glorot
from edgewise.models import ActLayer
from model_checks import (
    FAMILY_NAMES,
    SCHEME_NAMES,
    array,
    chebyshev,
    check_inside,
    check_model,
    check_saved,
    forward,
    inputs,
    layer_of,
    randomized,
    sines,
)


def build(basis=None, rngs=None, **options):
    return ActNet(2, 1, basis, **{"width": 4, "depth": 2} | options, rngs=nnx.Rngs(0) if rngs is None else rngs)


def linear(module, x):
    return x @ array(module.kernel) + array(module.bias)


def test_the_network_is_its_formula():
    model, x = randomized(build(omega_0=3.0)), inputs(5)
    h = linear(model.project_in, 3.0 * x.astype(np.float64))
    for layer in model.layers:
        beta, factors = array(layer.coef)[:, 0, :], array(layer.edge_scale)
        assert beta.shape == (4, 4)
        h = np.einsum("bim,mo,io->bo", sines(h, layer.basis_state), beta, factors) + array(layer.bias)
    np.testing.assert_allclose(forward(model, x), linear(model.project_out, h), rtol=1e-4, atol=1e-4)


def test_without_projections_and_with_another_basis():
    model, x = randomized(build(Chebyshev(3), projections=False)), inputs(5)
    h = x.astype(np.float64)
    for layer in model.layers:
        h = layer_of(layer, chebyshev(h, 3))
    np.testing.assert_allclose(forward(model, x), h, rtol=1e-4, atol=1e-4)
    assert [(layer.n_in, layer.n_out) for layer in model.layers] == [(2, 4), (4, 1)]
    assert model.project_in is model.project_out is None


def test_the_edges_of_a_node_share_one_function():
    layer, x = ActLayer(3, 2, rngs=nnx.Rngs(0)), inputs(1, features=1).repeat(3, -1)
    assert isinstance(layer, KANLayer)
    edges = np.asarray(compiled_for_few_runs(lambda layer, x: layer.edges(x))(layer, x))[0]
    shared = edges / array(layer.edge_scale)
    np.testing.assert_allclose(shared, shared[:1].repeat(3, 0), rtol=1e-4)
    np.testing.assert_allclose(edges.sum(0), forward(layer, x)[0], rtol=1e-4, atol=1e-5)


def test_the_parameter_count_of_the_paper():
    """101,121 on Allen-Cahn: 4 layers of 156 with 4 trained sines, printed in the authors' repository."""
    model = nnx.eval_shape(lambda: ActNet(2, 1, width=156, depth=4, omega_0=15.0, rngs=nnx.Rngs(0)))
    assert count_parameters(model) == 101_121
    assert count_parameters(model.layers[0]) == 25_124


def test_the_parameter_count_of_jaxkan():
    peer = pytest.importorskip("jaxkan.models.ActNet")
    from jaxkan.models.utils import count_params

    assert count_parameters(build()) == count_params(peer.ActNet([2, 4, 4, 4, 1], N=4, use_projections=True))
    bare = build(Sine(3), width=5, depth=3, projections=False)
    assert count_parameters(bare) == count_params(peer.ActNet([2, 5, 5, 1], N=3))


def test_a_layer_is_saved(tmp_path):
    layer = ActLayer(2, 3, Chebyshev(3), residual="tanh", init=Glorot(), rngs=nnx.Rngs(0))
    check_saved(randomized(layer), tmp_path / "model.npz", inputs(4))


def test_variances_of_the_paper():
    """beta has variance 1/N, lambda 1/d; inputs of unit variance stay so."""
    layer = ActLayer(300, 400, Sine(6), residual=None, rngs=nnx.Rngs(0))
    assert array(layer.coef).std() * 6**0.5 == pytest.approx(1, rel=0.05)
    assert array(layer.edge_scale).std() * 300**0.5 == pytest.approx(1, rel=0.02)
    y = np.asarray(forward(layer, np.random.default_rng(0).normal(size=(100, 300)).astype(np.float32)))
    # sines of small frequencies are nearly one function, so the variance itself is random
    assert 0.5 < y.var() < 2


def test_a_scheme_has_its_deviations_in_the_products():
    layer = ActLayer(50, 400, Chebyshev(3), init=Glorot(), residual=None, rngs=nnx.Rngs(0))
    asked = Glorot()(layer.stats).basis
    products = array(layer.coef) * array(layer.edge_scale)
    assert products.std() == pytest.approx(asked, rel=0.05)


def test_layers_start_differently():
    first, second = build().layers
    assert (array(first.coef) != array(second.coef)).all()
    assert (array(first.basis_state["frequency"]) != array(second.basis_state["frequency"])).all()


def test_the_contract_of_a_model(tmp_path):
    check_model(lambda **options: build(omega_0=2.0, **options), tmp_path)
    check_saved(
        build(Chebyshev(2), projections=False, bias=False, init="lecun", residual="tanh"), tmp_path / "b", inputs(3)
    )


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_every_family(family):
    check_inside(build(FAMILIES[family]()))


@pytest.mark.parametrize("scheme", SCHEME_NAMES)
def test_every_scheme(scheme):
    check_inside(build(Chebyshev(3), init=scheme, residual="silu"))


def test_text():
    assert repr(build()) == "ActNet(2, 1, Sine(4), width=4, depth=2, omega_0=1, residual=None, 105 parameters)"
    assert repr(build().layers[0]) == "ActLayer(4, 4, Sine(4), residual=None, 44 parameters)"


def test_what_is_refused():
    with pytest.raises(EdgewiseError, match="width must be at least 1, got 0"):
        build(width=0)
    with pytest.raises(EdgewiseError, match="omega_0 must be a finite number above 0, got -1"):
        build(omega_0=-1.0)
    with pytest.raises(UnknownNameError, match=r"keyword of ActNet: 'edge_scale'"):
        build(edge_scale=True)
    with pytest.raises(EdgewiseError, match=r"Custom gives coefficients(?s:.*)layer.coef"):
        build(init=Custom(coef=np.zeros((4, 4, 4))))
    with pytest.raises(ShapeError, match=r"expected \(\.\.\., 2\), got \(4, 3\)"):
        build()(np.zeros((4, 3)))
    with pytest.raises(ShapeError, match="empty batch"):
        build()(np.zeros((0, 2)))
    np.testing.assert_allclose(build()(np.array([[0, 1]])), build()(np.array([[0.0, 1.0]], np.float32)), rtol=1e-6)
