"""The network: composition, configuration, text and errors."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import edgewise as ew
from edgewise import KAN, BSpline, Chebyshev, KANLayer, Rational, Sine, count_parameters
from edgewise.errors import EdgewiseError, ShapeError, UnknownNameError
from edgewise.init import Balanced, Default, Glorot, GlorotFine, Power


def inputs(*batch, features=2):
    return np.random.default_rng(0).uniform(-0.9, 0.9, (*batch, features)).astype(np.float32)


def small(seed=0, basis=None, widths=(2, 3, 1), **options):
    return KAN(list(widths), Chebyshev(3) if basis is None else basis, rngs=nnx.Rngs(seed), **options)


def square(x):
    return x * x


def test_a_network_is_its_layers_one_after_the_other():
    model, x = small(), inputs(2, 4)
    hidden = model.layers[0](x)
    np.testing.assert_array_equal(model(x), model.layers[1](hidden))
    assert model(x).shape == (2, 4, 1)
    assert [(layer.n_in, layer.n_out) for layer in model.layers] == [(2, 3), (3, 1)]
    assert model.widths == (2, 3, 1)
    assert isinstance(model.layers, nnx.List)


def test_options_reach_every_layer():
    options = {
        "init": "glorot_fine",
        "residual": "tanh",
        "bias": False,
        "edge_scale": True,
        "dtype": jnp.float32,
        "precision": "highest",
    }
    for layer in small(**options, param_dtype=jnp.bfloat16).layers:
        assert layer.init == GlorotFine()
        assert layer.residual is nnx.tanh
        assert layer.bias is None
        assert layer.edge_scale.shape == (layer.n_in, layer.n_out)
        assert (layer.dtype, layer.param_dtype, layer.precision) == (jnp.float32, jnp.bfloat16, "highest")
        assert layer.coef.dtype == jnp.bfloat16


def test_a_basis_per_layer():
    bases = [BSpline(2, 3), Chebyshev(4), Sine(2)]
    model = small(basis=bases, widths=(2, 3, 3, 1))
    assert [layer.basis for layer in model.layers] == bases
    assert small(basis=tuple(bases), widths=(2, 3, 3, 1)).layers[2].basis == Sine(2)
    assert [layer.basis for layer in KAN([2, 2, 1], rngs=nnx.Rngs(0)).layers] == [BSpline(), BSpline()]


def test_equal_layers_start_differently_and_seeds_repeat():
    model = small(widths=(3, 3, 3, 3))
    coefs = [np.asarray(layer.coef[...]) for layer in model.layers]
    assert all((a != b).all() for a, b in ((coefs[0], coefs[1]), (coefs[1], coefs[2]), (coefs[0], coefs[2])))
    again, other = small(widths=(3, 3, 3, 3)), small(seed=1, widths=(3, 3, 3, 3))
    np.testing.assert_array_equal(again.layers[2].coef[...], coefs[2])
    assert (np.asarray(other.layers[2].coef[...]) != coefs[2]).all()


def test_derivatives_go_through_the_network():
    with jax.enable_x64(True):
        model, x, h = small(basis=BSpline(3, 4), param_dtype=jnp.float64), inputs(4).astype(float), 1e-4
        f = jax.jit(lambda x: model(x))
        v = np.ones_like(x)
        first = lambda x: jax.jvp(f, (x,), (v,))[1]
        np.testing.assert_allclose(first(x), (f(x + h) - f(x - h)) / (2 * h), rtol=1e-5, atol=1e-6)
        second = jax.jvp(first, (x,), (v,))[1]
        np.testing.assert_allclose(second, (f(x + h) - 2 * f(x) + f(x - h)) / h**2, rtol=1e-3, atol=1e-3)


# --- configuration ------------------------------------------------------------------------------------------------

CONFIGURED = {
    "plain": {},
    "all": {
        "basis": [BSpline(2, 3, (-2.0, 1.0), "clip", "free"), Chebyshev(2, "affine", (0.0, 3.0)) | Sine(2)],
        "init": "balanced",
        "residual": "gelu",
        "bias": False,
        "edge_scale": True,
        "dtype": jnp.bfloat16,
        "param_dtype": jnp.float16,
        "precision": "highest",
    },
    "precision": {"precision": jax.lax.Precision.HIGH, "basis": Rational(3, 2)},
    "bare": {"residual": None, "init": Glorot()},
    "own residual": {"residual": jax.nn.swish},
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGURED)
def test_a_configuration_rebuilds_the_model(name):
    options = CONFIGURED[name]
    model = small(seed=3, **options)
    config = json.loads(json.dumps(model.config))
    other = KAN.from_config(config, rngs=nnx.Rngs(4))
    assert other.config == model.config
    assert other.summary() == model.summary()
    assert repr(other) == repr(model)
    call, x = jax.jit(lambda model, x: model(x)), inputs(5)
    y = call(model, x)
    assert (np.asarray(call(other, x)) != np.asarray(y)).any()
    nnx.update(other, nnx.state(model))
    np.testing.assert_array_equal(call(other, x), y)
    assert call(other, x).dtype == y.dtype
    assert [layer.basis for layer in other.layers] == [layer.basis for layer in model.layers]


@pytest.mark.parametrize(
    "scheme", [Glorot(gain=2.0), Power(basis_size_power=0.5), Balanced(per_mode=True, distribution="normal")]
)
def test_a_configuration_keeps_the_settings_of_a_scheme(scheme):
    model = small(init=scheme)
    config = json.loads(json.dumps(model.config))
    assert KAN.from_config(config, rngs=nnx.Rngs(0)).layers[0].init == scheme


def test_a_residual_of_ones_own_is_named_by_its_module():
    config = json.loads(json.dumps(small(residual=jax.nn.hard_tanh).config))
    assert KAN.from_config(config, rngs=nnx.Rngs(0)).layers[0].residual is jax.nn.hard_tanh


# --- text ---------------------------------------------------------------------------------------------------------


def test_counting_parameters():
    model = small(widths=(2, 3, 1), basis=BSpline(2, 3))
    # K + residual on every edge, a bias on every node, no grid
    assert count_parameters(model) == (5 + 1) * (6 + 3) + 3 + 1
    assert count_parameters(model.layers[0]) == 6 * 6 + 3
    assert count_parameters(small(widths=(2, 3), basis=Sine(4), bias=False, residual=None)) == 4 * 6 + 8
    assert count_parameters(nnx.eval_shape(lambda: small())) == count_parameters(small())


def test_the_summary_is_a_table():
    model = small(widths=(2, 12, 1), basis=[Chebyshev(3), BSpline(2, 3)])
    lines = model.summary().splitlines()
    assert lines[0].split() == ["layer", "widths", "basis", "parameters"]
    assert lines[2].split("  ")[0] == "0"
    assert "2 -> 12" in lines[2]
    assert "  Chebyshev(3)  " in lines[2]
    assert "  BSpline(2, 3)  " in lines[3]
    assert [line.split()[-1] for line in lines[2:4]] == [str(count_parameters(layer)) for layer in model.layers]
    assert lines[-1].split() == ["total", "2", "->", "12", "->", "1", f"{count_parameters(model):,}"]
    assert len({line.index(cell) for line, cell in zip(lines[2:4], ("2 -> 12", "12 -> 1"), strict=True)}) == 1
    assert max(map(len, lines)) <= 60
    assert len(set(lines) & {"-" * max(map(len, lines))}) == 1


def test_a_network_prints_on_one_line():
    model = small(residual=None)
    assert repr(model) == str(model) == "KAN([2, 3, 1], Chebyshev(3), residual=None, 31 parameters)"
    mixed = small(basis=[Chebyshev(3, squash="affine", domain=(0.0, 2.0)) | Sine(2), BSpline(2, 3)])
    bases = "Chebyshev(3, squash='affine', domain=(0.0, 2.0)) | Sine(2), BSpline(2, 3)"
    assert repr(mixed) == f"KAN([2, 3, 1], {bases}, residual=silu, {count_parameters(mixed)} parameters)"
    assert "\n" not in repr(nnx.eval_shape(lambda: small()))


def test_the_example_in_the_docstring_runs():
    examples = [line.split(">>> ")[1] for line in KAN.__doc__.splitlines() if ">>> " in line]
    assert examples
    names = {**vars(ew.init), "KAN": KAN, "Chebyshev": Chebyshev, "nnx": nnx}
    for example in examples:
        exec(example, names)
    model = names["model"]
    assert model(inputs(4)).shape == (4, 1)
    assert model.widths == (2, 6, 6, 1)
    assert model.layers[0].init == Glorot()


def test_the_fixed_spelling():
    model = ew.KAN([2, 6, 6, 1], ew.Chebyshev(5), init=ew.init.Glorot(), residual=None, rngs=nnx.Rngs(42))
    assert count_parameters(model) == 5 * (12 + 36 + 6) + 13
    assert ew.KANLayer is KANLayer
    assert ew.init.gains(model, scheme="lecun")[0].forward == pytest.approx(1)
    assert small().layers[0].init == Default()


# --- errors -------------------------------------------------------------------------------------------------------


def test_a_wrong_number_of_features_is_named():
    with pytest.raises(ShapeError, match=r"expected \(\.\.\., 2\), got \(100, 3\)"):
        small()(np.zeros((100, 3)))
    with pytest.raises(ShapeError, match=r"empty batch: expected \(\.\.\., 2\), got \(0, 2\)"):
        small()(np.zeros((0, 2)))
    np.testing.assert_allclose(small()(np.array([[0, 1]])), small()(np.array([[0.0, 1.0]], np.float32)))


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ([2], r"widths=\[2\] needs at least inputs and outputs(?s:.*)\[2, 6, 6, 1\]"),
        ([], "needs at least inputs and outputs"),
        ([2, 0, 1], r"widths\[1\] must be at least 1, got 0"),
        ([-2, 1], r"widths\[0\] must be at least 1, got -2"),
    ],
)
def test_widths_that_are_refused(widths, message):
    with pytest.raises(EdgewiseError, match=message):
        KAN(widths, rngs=nnx.Rngs(0))


def test_as_many_bases_as_layers():
    for count in (0, 1, 3):
        with pytest.raises(ShapeError, match=f"{count} bases for 2 layers"):
            small(basis=[Chebyshev(3)] * count)


def test_unknown_options_are_refused_with_the_nearest():
    with pytest.raises(
        UnknownNameError, match=r"keyword of KAN: 'residul'(?s:.*)did you mean 'residual'\?(?s:.*)edge_scale"
    ):
        small(residul=None)
    with pytest.raises(UnknownNameError, match="did you mean 'lecun'"):
        small(init="lecan")
    config = small().config
    with pytest.raises(UnknownNameError, match="'biass'"):
        KAN.from_config({**config, "biass": True}, rngs=nnx.Rngs(0))


WRONG_TYPES = """
import numpy as np
from flax import nnx
from edgewise import KAN, KANLayer, Chebyshev
from edgewise.errors import EdgewiseError
from edgewise.init import Glorot, input_law

def message(function):
    try:
        function()
    except EdgewiseError as error:
        return str(error).splitlines()[0]
    raise SystemExit("nothing raised")

rngs = nnx.Rngs(0)
for call in (
    lambda: KAN(2, rngs=rngs),
    lambda: KAN("26", rngs=rngs),
    lambda: KAN([2, 1.5], rngs=rngs),
    lambda: KAN([2, True], rngs=rngs),
    lambda: KAN([2, 1], Chebyshev, rngs=rngs),
    lambda: KAN([2, 1], "chebyshev", rngs=rngs),
    lambda: KAN([2, 1], ["chebyshev"], rngs=rngs),
    lambda: KAN([2, 1], rngs=42),
    lambda: KAN([2, 1], residual=3, rngs=rngs),
    lambda: KAN([2, 1], init=3, rngs=rngs),
    lambda: KANLayer(2.0, 1, rngs=rngs),
    lambda: KANLayer(2, "1", rngs=rngs),
    lambda: Glorot(gain="big"),
    lambda: Glorot(sample_size=2.5),
    lambda: input_law("uniform", Chebyshev(2), True),
):
    print(message(call))
"""


def test_values_of_a_wrong_type_are_refused(run_python):
    """In an interpreter of its own, without the run-time checks of annotations that these tests have."""
    messages = run_python(WRONG_TYPES).splitlines()
    expected = [
        "widths=2 needs at least inputs and outputs.",
        "widths='26' needs at least inputs and outputs.",
        "widths[1] must be an integer, got 1.5.",
        "widths[1] must be an integer, got True.",
        "basis=<class 'edgewise.bases.chebyshev.Chebyshev'> is not a basis.",
        "basis='chebyshev' is not a basis.",
        "basis='chebyshev' is not a basis.",
        "rngs=42 is not a source of keys.",
        "residual=3 is neither a function nor a name.",
        "init=3 is not a scheme.",
        "n_in must be an integer, got 2.0.",
        "n_out must be an integer, got '1'.",
        "Glorot: gain must be a finite number above 0, got 'big'.",
        "Glorot: sample_size must be an integer, got 2.5.",
        "sample_size must be an integer, got True.",
    ]
    assert messages == expected
