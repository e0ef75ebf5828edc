"""RGA KAN: the formula, gates that differ, blocks that start as identities, the last layer by least squares."""

from __future__ import annotations

import numpy as np
import pytest
from flax import nnx

from edgewise import RGAKAN, Chain, Chebyshev, FourierFeatures, KANLayer, PeriodicEmbedding, Sine, count_parameters
from edgewise._compilation import compiled_for_few_runs
from edgewise.bases import FAMILIES
from edgewise.errors import DataError, EdgewiseError, ShapeError, UnknownNameError
from edgewise.init import GlorotFine
from edgewise.nn.least_squares import fit_layer
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
    options = {"width": 4, "blocks": 2, "first_basis": Sine(2)} | options
    rngs = nnx.Rngs(0) if rngs is None else rngs
    return RGAKAN(2, 1, Chebyshev(3) if basis is None else basis, **options, rngs=rngs)


def test_the_network_is_its_formula():
    model, x = randomized(build()), inputs(5)
    apply = lambda layer, x: layer_of(layer, chebyshev(x, 3))
    h = layer_of(model.first, sines(x.astype(np.float64), model.first.basis_state))
    u, v = apply(model.gate_u, h), apply(model.gate_v, h)
    for block in model.blocks:
        alpha, beta, start = array(block.alpha), array(block.beta), h
        f = apply(block.first, start)
        z = beta * (f * u + (1 - f) * v) + (1 - beta) * start
        f = apply(block.second, z)
        h = alpha * (f * u + (1 - f) * v) + (1 - alpha) * start
    np.testing.assert_allclose(forward(model, x), apply(model.last, h), rtol=1e-4, atol=1e-4)


def test_the_parameter_count_of_the_paper():
    """The authors' repository counts 18,502 for Allen-Cahn (16 wide, 6 blocks, degree 5, 5 sines, x periodic).

    Their last layer has no bias, ours one.  jaxKAN counts 18,503, and 2,151 in its tutorial 10.
    """

    def count(width, blocks):
        build = lambda: RGAKAN(3, 1, Chebyshev(5), width=width, blocks=blocks, first_basis=Sine(5), rngs=nnx.Rngs(0))
        return count_parameters(nnx.eval_shape(build))

    assert count(16, 6) == 18_502 + 1
    assert count(8, 2) == 2_151


def test_the_parameter_count_of_jaxkan():
    peer = pytest.importorskip("jaxkan.models.RGAKAN")
    from jaxkan.models.utils import count_params

    same = peer.RGAKAN(n_in=2, n_out=1, n_hidden=4, num_blocks=2, D=5, sine_D=2)
    assert count_parameters(build(Chebyshev(5))) == count_params(same)
    assert count_parameters(build(Chebyshev(3)).last) == 3 * 4 + 1  # jaxKAN's last layer keeps degree 5


def test_gates_and_blocks_start_differently():
    model = build()
    layers = [model.gate_u, model.gate_v, *(part for block in model.blocks for part in (block.first, block.second))]
    coefs = [array(layer.coef) for layer in layers]
    assert all((a != b).all() for i, a in enumerate(coefs) for b in coefs[:i])


def test_blocks_start_as_identities_and_learn():
    model, x = build(), inputs(5)
    hidden = compiled_for_few_runs(lambda model, x: (model.hidden(x), model.first(x)))
    np.testing.assert_allclose(*hidden(model, x), rtol=1e-6, atol=1e-6)
    gradients = compiled_for_few_runs(nnx.grad(lambda model: (model(x) ** 2).mean()))(model)
    assert all(abs(float(block["alpha"][...])) > 0 for block in gradients["blocks"].values())
    active = build(alpha=0.5, beta=0.25)
    assert [float(block.alpha[...]) for block in active.blocks] == [0.5, 0.5]
    assert [float(block.beta[...]) for block in active.blocks] == [0.25, 0.25]


# --- the last layer by least squares ------------------------------------------------------------------------------


def test_the_last_layer_comes_closest():
    model, x = build(Chebyshev(2), alpha=0.5, width=3), inputs(300)
    y = np.sin(np.pi * x[:, 1]) + x[:, 0]
    modes = chebyshev(np.asarray(model.hidden(x), np.float64), 2)[..., 1:]
    matrix = np.concatenate([modes.transpose(0, 2, 1).reshape(300, -1), np.ones((300, 1))], 1)
    best = np.linalg.lstsq(matrix, y, rcond=None)[0]
    model.fit_last_layer(x, y)
    np.testing.assert_allclose(forward(model, x)[:, 0], matrix @ best, atol=2e-4)
    np.testing.assert_allclose(np.append(array(model.last.coef), array(model.last.bias)), best, rtol=1e-3, atol=1e-3)


def test_an_initial_condition_on_space_and_time():
    """As in the paper: u_0 at all times, through a periodic embedding."""
    t, x = np.meshgrid(np.linspace(0, 1, 5), np.linspace(-1, 1, 64), indexing="ij")
    points, u_0 = np.stack([t.ravel(), x.ravel()], -1).astype(np.float32), (x**2 * np.cos(np.pi * x)).ravel()
    model = Chain(PeriodicEmbedding(2, {1: 2.0}), RGAKAN(3, 1, width=12, blocks=1, rngs=nnx.Rngs(0)))
    embedding, network = model.modules
    network.fit_last_layer(embedding(points), u_0)
    assert np.sqrt(np.mean((np.asarray(forward(model, points))[:, 0] - u_0) ** 2)) < 0.06 * u_0.std()


def test_every_part_of_a_layer_is_fitted():
    rng, x = np.random.default_rng(0), inputs(200, features=3)
    target = randomized(KANLayer(3, 2, Chebyshev(3), residual="gelu", rngs=nnx.Rngs(0)))
    layer = KANLayer(3, 2, Chebyshev(3), residual="gelu", edge_scale=True, rngs=nnx.Rngs(1))
    layer.edge_scale[...] = rng.normal(size=(3, 2)).astype(np.float32)
    fit_layer(layer, x, target(x))
    np.testing.assert_allclose(layer(x), target(x), rtol=1e-4, atol=1e-4)
    unbiased = KANLayer(3, 2, Chebyshev(3), residual=None, bias=False, rngs=nnx.Rngs(1))
    fit_layer(unbiased, x, np.ones((200, 2)))
    np.testing.assert_allclose(unbiased(x), 1, rtol=1e-5)


def test_columns_that_depend_on_each_other():
    """Two equal inputs: the normal equations are singular."""
    x = inputs(50, features=1).repeat(2, -1)
    layer = KANLayer(2, 1, Chebyshev(4), residual=None, rngs=nnx.Rngs(0))
    y = chebyshev(x[:, :1].astype(np.float64), 4)[:, 0] @ [1.0, 2.0, -1.0, 0.5, 0.25]
    fit_layer(layer, x, y)
    np.testing.assert_allclose(layer(x)[:, 0], y, atol=1e-4)
    # of all solutions the smallest, which shares equally
    np.testing.assert_allclose(array(layer.coef)[:, :, 0], np.outer([1.0, -0.5, 0.25, 0.125], [1, 1]), atol=1e-3)


def test_data_that_are_refused():
    layer = build().last
    with pytest.raises(ShapeError, match=r"inputs \(3, 4\) and targets \(2, 1\) do not fit: expected \(n, 4\)"):
        fit_layer(layer, inputs(3, features=4), np.zeros(2))
    with pytest.raises(ShapeError, match=r"inputs \(3, 2\)"):
        fit_layer(layer, inputs(3), np.zeros(3))
    with pytest.raises(DataError, match="not finite"):
        fit_layer(layer, inputs(3, features=4), np.array([0.0, np.nan, 1.0]))


# --- every model --------------------------------------------------------------------------------------------------


def test_the_contract_of_a_model(tmp_path):
    check_model(lambda **options: build(alpha=0.5, **options), tmp_path)
    model = build(Chebyshev(2), residual="tanh", bias=False, edge_scale=True, init="lecun", width=2, first_basis=None)
    check_saved(model, tmp_path / "b", inputs(3))


def test_without_a_first_layer():
    model = Chain(FourierFeatures(2, 4, rngs=nnx.Rngs(0)), RGAKAN(4, 1, width=4, first_basis=None, rngs=nnx.Rngs(1)))
    assert model.modules[1].first is None
    assert model(inputs(3)).shape == (3, 1)
    with pytest.raises(EdgewiseError, match=r"n_in=2 is not width=4(?s:.*)first_basis="):
        build(first_basis=None)


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_every_family(family):
    check_inside(build(FAMILIES[family](), first_basis=FAMILIES[family](), alpha=0.5, blocks=1))


@pytest.mark.parametrize("scheme", SCHEME_NAMES)
def test_every_scheme(scheme):
    check_inside(build(init=scheme, residual="silu", alpha=0.5, blocks=1))


def test_text_and_defaults():
    model = build()
    assert repr(model) == f"RGAKAN(2, 1, Chebyshev(3), width=4, blocks=2, {count_parameters(model)} parameters)"
    assert model.last.init == GlorotFine()
    assert model.last.residual is None
    with pytest.raises(UnknownNameError, match=r"keyword of RGAKAN: 'residul'"):
        build(residul=None)
    with pytest.raises(EdgewiseError, match="blocks must be at least 1, got 0"):
        build(blocks=0)
    with pytest.raises(ShapeError, match=r"expected \(\.\.\., 2\), got \(4, 3\)"):
        model(np.zeros((4, 3)))
