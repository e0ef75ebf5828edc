"""Group-rational layers in place of a perceptron, against NumPy."""

from __future__ import annotations

import json

import numpy as np
import pytest
from flax import nnx

import edgewise as ew
from edgewise import GroupRationalKAN, count_parameters
from edgewise.errors import EdgewiseError, UnknownNameError
from edgewise.models import GroupRational
from model_checks import SCHEME_NAMES, array, check_model, forward, inputs, randomized


def small(**options):
    return GroupRationalKAN(4, 6, **({"groups": 2, "rngs": nnx.Rngs(0)} | options))


def rational(x: np.ndarray, state) -> np.ndarray:
    """P(x) / (1 + |Q(x)|), one P for all channels, one Q for each group of neighbours."""
    (a,), b = array(state["numerator"]), array(state["denominator"])
    y, width = np.empty_like(x), x.shape[-1] // len(b)
    for channel in range(x.shape[-1]):
        z, q = x[..., channel], b[channel // width]
        top = sum(c * z**power for power, c in enumerate(a))
        y[..., channel] = top / (1 + np.abs(sum(c * z ** (power + 1) for power, c in enumerate(q))))
    return y


def test_the_network_is_its_formula():
    model, x = randomized(small(numerator=3, denominator=3)), inputs(2, 5, features=4)
    h = x.astype(np.float64)
    for layer in model.layers:
        h = rational(h, layer.basis_state) @ array(layer.coef)[0] + array(layer.bias)
    np.testing.assert_allclose(forward(model, x), h, rtol=1e-4, atol=1e-4)
    assert h.shape == x.shape


def test_groups_are_neighbours_and_share_the_numerator():
    model = small(groups=2)
    shapes = [{name: variable.shape for name, variable in layer.basis_state.items()} for layer in model.layers]
    assert shapes == [{"numerator": (1, 6), "denominator": (2, 4)}] * 2
    layer = model.layers[0]
    layer.basis_state["denominator"][...] = layer.basis_state["denominator"][...].at[1].add(1.0)
    x = np.full((1, 4), 0.7, np.float32)
    F = layer.basis.modes(x, {name: variable[...] for name, variable in layer.basis_state.items()})[0][0]
    assert F[0] == F[1] != F[2] == F[3]


def test_it_starts_as_the_identity_and_then_silu():
    z = np.linspace(-2, 2, 41)[:, None]
    states = [layer.basis_state for layer in GroupRationalKAN(1, 1, groups=1, rngs=nnx.Rngs(0)).layers]
    np.testing.assert_allclose(rational(z, states[0]), z, atol=1e-5)
    np.testing.assert_allclose(rational(z, states[1]), z / (1 + np.exp(-z)), atol=5e-3)


def test_it_starts_with_the_variance_of_its_input():
    model = GroupRationalKAN(64, 256, rngs=nnx.Rngs(0))
    x = np.random.default_rng(0).normal(size=(500, 64)).astype(np.float32)
    hidden = model.layers[0](x)
    assert np.var(hidden) == pytest.approx(1, rel=0.1)
    assert np.var(model.layers[1](hidden)) == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize(("d", "hidden", "groups", "m", "n"), [(8, 16, 4, 5, 4), (16, 8, 8, 3, 2)])
def test_the_count_of_the_paper(d, hidden, groups, m, n):
    """Yang and Wang, arXiv 2409.10594: d_in d_out + d_out + (m + n g), with m + 1 coefficients of the numerator."""
    model = GroupRationalKAN(d, hidden, groups=groups, numerator=m, denominator=n, rngs=nnx.Rngs(0))
    one_layer = lambda d_in, d_out: d_in * d_out + d_out + ((m + 1) + n * groups)
    assert [count_parameters(layer) for layer in model.layers] == [one_layer(d, hidden), one_layer(hidden, d)]


def test_the_published_count_of_a_transformer():
    """5,718,328 parameters of kat_tiny_patch16_224, in the log of the README of the authors' repository."""
    width, tokens, classes = 192, 14 * 14 + 1, 1000
    norm, attention = 2 * width, (width * 3 * width + 3 * width) + (width * width + width)
    embedding = 16 * 16 * 3 * width + width + width + tokens * width
    feedforward = nnx.eval_shape(lambda: GroupRationalKAN(width, 4 * width, rngs=nnx.Rngs(0)))
    block = 2 * norm + attention + count_parameters(feedforward)
    assert embedding + 12 * block + norm + width * classes + classes == 5_718_328


def test_what_every_architecture_does(tmp_path):
    check_model(lambda **options: GroupRationalKAN(4, 6, 1, groups=2, **options), tmp_path, features=4)


@pytest.mark.parametrize("scheme", [name for name in SCHEME_NAMES if name != "custom"])
def test_every_scheme_inside(scheme):
    y = np.asarray(forward(small(init=scheme, residual="silu"), inputs(8, features=4)))
    assert np.isfinite(y).all()
    assert np.ptp(y) > 0


def test_configuration_and_text():
    model = GroupRationalKAN(4, 6, 2, groups=2, start=("tanh", "identity"), bias=False, init="glorot", rngs=nnx.Rngs(0))
    rebuilt = GroupRationalKAN.from_config(json.loads(json.dumps(model.config)), rngs=nnx.Rngs(1))
    assert rebuilt.config == model.config
    assert [layer.basis for layer in rebuilt.layers] == [
        GroupRational(5, 4, 2, start) for start in ("tanh", "identity")
    ]
    assert repr(rebuilt) == repr(model) == f"GroupRationalKAN(4, 6, 2, groups=2, {count_parameters(model)} parameters)"
    assert ew.bases.from_config(model.layers[0].basis.config) == model.layers[0].basis


def test_with_other_bases_it_is_described_and_not_saved(tmp_path):
    model = small()
    ew.refine.change_basis(model, ew.Chebyshev(2))
    count = count_parameters(model)
    assert repr(model) == f"GroupRationalKAN(4, 6, 4, Chebyshev(2), Chebyshev(2), {count} parameters)"
    with pytest.raises(EdgewiseError, match=r"other bases: Chebyshev\(2\)"):
        ew.save_model(model, tmp_path / "model.npz")
    x = inputs(8, features=4)
    assert np.isfinite(ew.fit(model, (x, x), steps=1, progress=False).history.loss).all()  # needs no configuration


def test_a_few_steps_of_training():
    x = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    result = ew.fit(small(), (x, np.sin(x)), optimizer="adam:1e-2", steps=100)
    assert np.mean((forward(result.model, x) - np.sin(x)) ** 2) < 0.1


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"groups": 4}, EdgewiseError, r"groups=4\) does not divide the 6 inputs"),
        ({"groups": 0}, EdgewiseError, "groups must be at least 1"),
        ({"denominator": 2}, EdgewiseError, "grows faster than its input"),
        ({"start": "silu"}, EdgewiseError, "start='silu' is not a pair"),
        ({"start": ("silu", "relu")}, UnknownNameError, "'relu'"),
        ({"residul": None}, UnknownNameError, "did you mean 'residual'"),
    ],
)
def test_what_is_refused(options, kind, message):
    with pytest.raises(kind, match=message):
        small(**options)
