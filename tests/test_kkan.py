"""KKAN: the formula, independent inner networks, the parameter count."""

from __future__ import annotations

import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import edgewise as ew
from edgewise import KKAN, RBF, Chebyshev, Fourier, Sine, count_parameters
from edgewise.bases import FAMILIES, SharedCentres
from edgewise.errors import EdgewiseError, ShapeError, UnknownNameError
from edgewise.nn.factorized import Factorized, Normalized, Weighted
from edgewise.testing import check_basis
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

SMALL = {"width": 3, "hidden": 4, "depth": 1, "inner_basis": Chebyshev(2)}


def build(basis=None, rngs=None, **options):
    return KKAN(
        2, 1, Sine(3) if basis is None else basis, **SMALL | options, rngs=nnx.Rngs(0) if rngs is None else rngs
    )


def expansion(factorized, x):
    layer = factorized.linear
    modes = chebyshev(x, 2) * array(layer.basis_state["weights"])
    return layer_of(layer, modes) * array(factorized.gain) + array(factorized.bias)


def test_the_network_is_its_formula():
    model, x = randomized(build()), inputs(5)
    total = np.zeros((5, 3))
    for p, block in enumerate(model.inner):
        h = np.tanh(expansion(block.expand, x[:, p : p + 1].astype(np.float64)))
        for layer in block.hidden:
            h = np.tanh(h @ array(layer.linear.kernel) * array(layer.gain) + array(layer.bias))
        total += expansion(block.combine, h)
    expected = layer_of(model.outer, sines(total, model.outer.basis_state))
    np.testing.assert_allclose(forward(model, x), expected, rtol=1e-4, atol=1e-4)


def test_gated_networks_are_their_formula():
    basis = SharedCentres(RBF(3))
    model = build(basis, gated=True, depth=2, embeddings=[None, Fourier(2, period=2.0, constant=True)], bias=False)
    model, x, total = randomized(model), inputs(5), np.zeros((5, 3))

    def normalized(layer, weights, features):
        weights = weights.reshape(-1, weights.shape[-1])
        return features @ weights / np.linalg.norm(weights, axis=0) * array(layer.gain) + array(layer.bias)

    alpha, k = array(model.alpha), np.pi * np.arange(1, 3)
    for p, block in enumerate(model.inner):
        z = x[:, p : p + 1].astype(np.float64)
        e = z if p == 0 else np.hstack([np.ones_like(z), np.cos(k * z), np.sin(k * z)])
        first = "kernel" if p == 0 else "coef"
        u, v, h = (np.tanh(normalized(layer, array(getattr(layer.linear, first)), e)) for layer in block.gates)
        for layer in block.hidden:
            f = np.tanh(normalized(layer, array(layer.linear.kernel), h))
            h = np.tanh(alpha * ((1 - f) * u + f * v) + (1 - alpha) * h)
        combine = block.combine.linear
        modes = chebyshev(h, 2) * array(combine.basis_state["weights"])
        total += normalized(block.combine, np.moveaxis(array(combine.coef), 0, 1), modes.reshape(5, -1))
    centres, widths = (array(model.outer.basis_state[name]) for name in ("centres", "widths"))
    expected = layer_of(model.outer, np.exp(-0.5 * ((total[..., None] - centres) / widths) ** 2))
    assert centres.shape == (1, 3)
    np.testing.assert_allclose(forward(model, x), expected, rtol=1e-4, atol=1e-4)


def test_coordinates_meet_in_the_sum_alone():
    """The outer layer being linear, the function is a sum of functions of one coordinate."""
    model = build(Chebyshev(1, squash=None))
    x = inputs(4)
    corner = lambda i, j: np.asarray(model(np.stack([x[i, 0], x[j, 1]])))
    np.testing.assert_allclose(corner(0, 0) + corner(1, 1), corner(0, 1) + corner(1, 0), rtol=1e-5, atol=1e-6)


def test_the_parameter_count_of_jaxkan():
    """jaxKAN counts 26,127 with its defaults, and 8,819 in the example of its documentation."""

    def count(**options):
        return count_parameters(nnx.eval_shape(lambda: KKAN(2, 1, **options, rngs=nnx.Rngs(0))))

    assert count() == 26_127
    assert count(basis=Chebyshev(5), inner_basis=Chebyshev(5), width=10, depth=2) == 8_819
    peer = pytest.importorskip("jaxkan.models.KKAN")
    from jaxkan.models.utils import count_params

    same = peer.KKAN(n_in=2, n_out=1, m=3, D_e=2, H=4, L=1, outer_layer_params={"D": 3})
    assert count_parameters(build()) == count_params(same)


def test_the_parameter_count_of_the_paper():
    """22,160 for Allen-Cahn's equation (arXiv 2412.16738, the setting with batches of 10,000 points)."""
    shape: dict[str, Any] = {"width": 64, "hidden": 32, "depth": 3, "inner_basis": Chebyshev(2, squash=None)}
    embeddings = [None, Fourier(10, period=2.0, constant=True)]
    outer = {"basis": SharedCentres(RBF(9)), "bias": False}
    build = lambda: KKAN(2, 1, gated=True, embeddings=embeddings, **shape, **outer, rngs=nnx.Rngs(0))
    assert count_parameters(nnx.eval_shape(build)) == 22_160


def test_blocks_and_layers_start_differently():
    model = build(depth=2)
    one, other = model.inner
    for name in ("expand", "combine"):
        assert (array(getattr(one, name).linear.coef) != array(getattr(other, name).linear.coef)).all()
    first, second = one.hidden
    assert (array(first.linear.kernel) != array(second.linear.kernel)).all()
    assert (array(first.gain) != array(second.gain)).all()


def test_factors_do_not_change_what_was_drawn():
    linear = nnx.Linear(3, 400, use_bias=False, rngs=nnx.Rngs(0))
    before, x = np.asarray(linear.kernel[...]), inputs(4, features=3)
    factorized = Factorized(linear, rngs=nnx.Rngs(1))
    np.testing.assert_allclose(factorized(x), x @ before, rtol=1e-5, atol=1e-6)
    log = np.log(array(factorized.gain))
    assert log.mean() == pytest.approx(1, abs=0.02)
    assert log.std() == pytest.approx(0.1, rel=0.15)


def test_of_normalized_weights_the_direction_counts():
    linear, x = nnx.Linear(3, 2, use_bias=False, rngs=nnx.Rngs(0)), inputs(4, features=3)
    layer = Normalized(linear)
    before = np.asarray(layer(x))
    np.testing.assert_allclose(
        before, x @ array(linear.kernel) / np.linalg.norm(array(linear.kernel), axis=0), rtol=1e-5
    )
    linear.kernel[...] = 7 * linear.kernel[...]
    np.testing.assert_allclose(layer(x), before, rtol=1e-5)
    linear.kernel[...] = jnp.zeros_like(linear.kernel[...])
    gradient = nnx.grad(lambda layer: jnp.sum(layer(x)))(layer)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((layer(x), gradient)))


def test_extended_layers_with_normalized_weights_stay_the_function():
    model = randomized(build(RBF(5), gated=True, embeddings=[ew.BSpline(3, 4), None], inner_basis=ew.BSpline(3, 3)))
    x = inputs(20)
    before, gain = np.asarray(forward(model, x)), np.asarray(model.inner[0].combine.gain[...])
    ew.refine.extend(model, 7)
    np.testing.assert_allclose(forward(model, x), before, atol=1e-4 * before.std())
    assert not np.array_equal(gain, model.inner[0].combine.gain[...])


def test_shared_centres_are_a_basis():
    basis = SharedCentres(RBF(4))
    check_basis(basis)
    assert ew.bases.from_config(basis.config) == basis
    assert str(basis) == "SharedCentres(basis=RBF(4))"
    x, state = jnp.asarray(inputs(6)), basis.init(2, key=jax.random.key(0))
    np.testing.assert_allclose(basis(x, state), RBF(4)(x), rtol=1e-6)
    finer = basis.extended({k: np.asarray(v, np.float64) for k, v in state.items()}, 6, n_in=2, key=jax.random.key(0))
    assert finer.basis.fineness == 6
    assert finer.state["centres"].shape == (1, 6)
    values = finer.basis(x, {k: jnp.asarray(v, jnp.float32) for k, v in finer.state.items()})
    np.testing.assert_allclose(values @ finer.lift, basis(x, state), atol=1e-6)


def test_a_weighted_basis_is_a_basis():
    basis = Weighted(Chebyshev(3))
    check_basis(basis)
    assert ew.bases.from_config(basis.config) == basis
    x, weights = inputs(4), np.array([1.0, -2.0, 0.5, 3.0])
    values = basis(jnp.asarray(x), {"weights": jnp.asarray(weights, jnp.float32)})
    np.testing.assert_allclose(values, weights * chebyshev(x, 3), rtol=1e-5, atol=1e-6)
    start = basis.init(2, key=nnx.Rngs(0).params())["weights"]
    np.testing.assert_allclose(start, [1, 1 / 2, 1 / 3, 1 / 4], rtol=1e-6)


def test_a_finer_weighted_basis_holds_the_same_functions():
    basis, rng = Weighted(Chebyshev(3)), np.random.default_rng(0)
    state, coef, x = {"weights": rng.normal(size=4)}, rng.normal(size=4), jnp.asarray(inputs(9))
    finer = basis.extended(state, 5, n_in=2, key=jax.random.key(0))
    assert finer.basis == Weighted(Chebyshev(5))
    assert (basis.fineness, finer.basis.fineness) == (3, 5)
    np.testing.assert_allclose(finer.state["weights"], 1 / np.arange(1, 7))
    values = lambda basis, state: np.asarray(basis(x, {k: jnp.asarray(v, jnp.float32) for k, v in state.items()}))
    np.testing.assert_allclose(
        values(finer.basis, finer.state) @ (finer.lift @ coef), values(basis, state) @ coef, atol=1e-5
    )


def test_the_contract_of_a_model(tmp_path):
    check_model(build, tmp_path)
    model = build(Chebyshev(2), residual="gelu", bias=False, activation="sin", depth=0, edge_scale=True, init="lecun")
    check_saved(model, tmp_path / "b", inputs(3))
    np.testing.assert_array_equal(forward(pickle.loads(pickle.dumps(model)), inputs(3)), forward(model, inputs(3)))


def test_the_contract_of_a_gated_model(tmp_path):
    gated = {"gated": True, "embeddings": [None, Fourier(2, period=2.0)]}
    check_model(lambda **options: build(**gated, **options), tmp_path)
    model = build(SharedCentres(RBF(3)), residual="gelu", bias=False, init="lecun", **gated)
    check_saved(model, tmp_path / "b", inputs(3))


@pytest.mark.parametrize("family", ["bspline", "rbf", "rational", "sine"])
def test_families_between_gates(family):
    basis = FAMILIES[family]()
    check_inside(
        KKAN(1, 1, basis, gated=True, embeddings=[basis], **SMALL | {"inner_basis": basis}, rngs=nnx.Rngs(0)), 1
    )


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_every_family(family):
    check_inside(KKAN(1, 1, FAMILIES[family](), **SMALL | {"inner_basis": FAMILIES[family]()}, rngs=nnx.Rngs(0)), 1)


@pytest.mark.parametrize("scheme", SCHEME_NAMES)
def test_every_scheme(scheme):
    check_inside(KKAN(1, 1, Sine(3), **SMALL, init=scheme, residual="silu", rngs=nnx.Rngs(0)), 1)


def test_text():
    bases = "Sine(3), inner_basis=Chebyshev(2)"
    count = count_parameters(build())
    assert repr(build()) == f"KKAN(2, 1, {bases}, width=3, hidden=4, depth=1, {count} parameters)"


def test_one_basis_for_the_inner_networks():
    model = build()
    assert model.inner_basis == Chebyshev(2)
    model.inner[0].expand.linear.basis = Weighted(ew.Legendre(2))
    with pytest.raises(EdgewiseError, match=r"different bases: (?s:.*)Legendre"):
        _ = model.config


def a_function_in_a_function():
    def activation(x):
        return x

    return activation


def test_what_is_refused():
    for name in ("width", "hidden"):
        with pytest.raises(EdgewiseError, match=f"{name} must be at least 1, got 0"):
            build(**{name: 0})
    with pytest.raises(UnknownNameError, match=r"'tanhh'(?s:.*)did you mean 'tanh'"):
        build(activation="tanhh")
    with pytest.raises(EdgewiseError, match=r"activation(?s:.*)is no function that a name leads to"):
        build(activation=a_function_in_a_function())
    with pytest.raises(UnknownNameError, match=r"keyword of KKAN: 'residul'"):
        build(residul=None)
    with pytest.raises(
        EdgewiseError, match=r"each of the 2 coordinates has one(?s:.*)\[None, edgewise.Fourier\(10\)\]"
    ):
        build(embeddings=[None])
    with pytest.raises(ShapeError, match=r"expected \(\.\.\., 2\), got \(4, 3\)"):
        build()(np.zeros((4, 3)))
