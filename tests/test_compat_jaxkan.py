"""jaxKAN's spelling against jaxKAN itself: outputs, gradients, draws, the published program; faults not reproduced."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import pickle
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from edgewise.compat.jaxkan.layers import BaseLayer, ChebyshevLayer, LegendreLayer, SplineLayer, get_layer
from edgewise.compat.jaxkan.models.KAN import KAN
from edgewise.errors import EdgewiseError, ShapeError, UnknownNameError
from edgewise.models import KAN as EdgewiseKAN
from edgewise.nn.variables import Grid

# layer type -> where jaxKAN has its class
CLASSES = {
    "base": "Spline.BaseLayer",
    "spline": "Spline.SplineLayer",
    "chebyshev": "Chebyshev.ChebyshevLayer",
    "legendre": "Legendre.LegendreLayer",
    "fourier": "Fourier.FourierLayer",
    "rbf": "RBF.RBFLayer",
    "sine": "Sine.SineLayer",
}
LAYERS = [
    ("base", {"k": 3, "G": 5}),
    ("base", {"k": 2, "G": 3, "grid_range": (-2.0, 1.5)}),
    ("spline", {"k": 4, "G": 2, "grid_range": [-1.5, 2.0]}),
    ("chebyshev", {"D": 5}),
    ("chebyshev", {"D": 6, "flavor": "modified"}),
    ("chebyshev", {"D": 6, "flavor": "exact"}),
    ("legendre", {"D": 5}),
    ("legendre", {"D": 6, "flavor": "exact"}),
    ("fourier", {"D": 4}),
    ("fourier", {"D": 3, "smooth_init": False}),
    ("rbf", {"D": 6}),
    ("rbf", {"D": 4, "kernel": {"type": "gaussian", "std": 0.7}, "grid_range": (-1.0, 2.0)}),
    ("sine", {"D": 3}),
]
BRANCHES = {
    "plain": {"residual": None, "external_weights": False, "add_bias": False},
    "all": {"residual": nnx.silu, "external_weights": True, "add_bias": True},
}


def layer_of(package: str, layer_type: str, **parameters):
    """A layer of ``package`` ("jaxkan" or "edgewise.compat.jaxkan"), imported from the module where jaxKAN has it."""
    if package == "jaxkan" and importlib.util.find_spec("jaxkan") is None:
        pytest.skip(f"jaxkan is not installed (it needs Python < 3.13; this is {sys.version.split()[0]})")
    module, name = CLASSES[layer_type].split(".")
    return getattr(importlib.import_module(f"{package}.layers.{module}"), name)(**parameters)


def both(layer_type: str, **parameters):
    """The layer of jaxKAN and ours, made with the same parameters."""
    return [layer_of(package, layer_type, **parameters) for package in ("jaxkan", "edgewise.compat.jaxkan")]


def parameters_of(module: nnx.Module) -> dict[tuple, np.ndarray]:
    return {path: np.asarray(value[...]) for path, value in nnx.to_flat_state(nnx.state(module, nnx.Param))}


def assert_close(ours, theirs, tolerance: float):
    """Equal trees: the difference is below ``tolerance`` times the largest magnitude, or 1, of each array."""
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        assert ours[name].shape == value.shape, name
        worst = np.max(np.abs(ours[name] - value))
        assert worst <= tolerance * max(1.0, np.max(np.abs(value))), f"{name}: {worst}"


@pytest.mark.parametrize("branches", BRANCHES)
@pytest.mark.parametrize(("layer_type", "parameters"), LAYERS, ids=lambda value: str(value).replace(" ", ""))
def test_outputs_and_gradients_equal_jaxkan(layer_type, parameters, branches):
    options = BRANCHES[branches] if layer_type != "fourier" else {"add_bias": BRANCHES[branches]["add_bias"]}
    theirs, ours = both(layer_type, n_in=3, n_out=4, seed=1, **parameters, **options)
    draw = np.random.default_rng(0)
    state = nnx.state(theirs, nnx.Param)
    # every parameter in play, the ones and zeros of the start too; frequencies where jaxKAN's formula does not cancel
    state = jax.tree.map(lambda leaf: jnp.asarray(draw.normal(size=leaf.shape), jnp.float32), state)
    if layer_type == "sine":
        state["omega"][...] = jnp.asarray(draw.uniform(0.7, 2.0, (3, 1)), jnp.float32)
    x = jnp.asarray(draw.uniform(-2.5, 2.5, (40, 3)), jnp.float32)

    @nnx.jit
    def everything(module, x):
        def loss(module, x):
            y = module(x)
            return jnp.sum(jnp.sin(y)), y

        (_, y), gradients = nnx.value_and_grad(loss, argnums=(0, 1), has_aux=True)(module, x)
        return y, gradients

    results = []
    for layer in (ours, theirs):
        nnx.update(layer, state)
        y, (of_parameters, of_x) = everything(layer, x)
        gradients = {path: np.asarray(value[...]) for path, value in nnx.to_flat_state(of_parameters)}
        results.append({"y": np.asarray(y), "x": np.asarray(of_x), **gradients})
    assert_close(*results, tolerance=1e-5)


@pytest.mark.parametrize("scheme", ["default", "power"])
@pytest.mark.parametrize("branches", BRANCHES)
@pytest.mark.parametrize("layer_type", CLASSES)
def test_draws_equal_jaxkan(layer_type, branches, scheme):
    options = {**BRANCHES[branches], "init_scheme": {"type": scheme}}
    if scheme == "power":
        options["init_scheme"] |= {
            "const_b": 0.8,
            "pow_b1": 1.75,
            "pow_b2": 0.3,
            "const_r": 1.2,
            "pow_r1": 0.25,
            "pow_r2": 0.6,
        }
    if layer_type == "fourier":
        options = {"smooth_init": scheme == "default", "add_bias": options["add_bias"]}
    theirs, ours = both(layer_type, n_in=3, n_out=4, seed=7, **options)
    assert_close(parameters_of(ours), parameters_of(theirs), tolerance=1e-6)


@pytest.mark.parametrize(
    ("layer_type", "scheme", "branches"),
    [
        *[(row, {"type": "glorot_fine", "sample_size": 1000}, "all") for row in ("spline", "legendre", "rbf", "sine")],
        ("base", {"type": "lecun"}, "all"),
        ("base", {"type": "lecun", "distribution": "normal", "gain": 0.9, "sample_size": 500}, "plain"),
        ("chebyshev", {"type": "lecun", "distribution": None, "gain": None, "sample_size": None}, "plain"),
        ("chebyshev", {"type": "glorot", "sample_size": 1000}, "plain"),
        ("chebyshev", {"type": "glorot_fine", "distribution": "normal"}, "plain"),
        ("rbf", {"type": "glorot", "distribution": "normal", "sample_size": 1000}, "all"),
        ("spline", {"type": "default", "std": 0.3}, "plain"),
    ],
    ids=str,
)  # fmt: skip
def test_scales_from_the_same_sample_equal_jaxkan(layer_type, scheme, branches):
    theirs, ours = both(layer_type, n_in=3, n_out=4, seed=7, init_scheme=scheme, **BRANCHES[branches])
    assert_close(parameters_of(ours), parameters_of(theirs), tolerance=2e-6)


@pytest.mark.parametrize("layer_type", ["spline", "chebyshev"])
def test_custom_arrays(layer_type):
    arrays = {"c_res": np.full((4, 3), 2.0), "c_basis": np.arange(60.0).reshape(4, 3, 5)}
    options = {"k": 2, "G": 3} if layer_type == "spline" else {"D": 5}
    layer = layer_of("edgewise.compat.jaxkan", layer_type, n_in=3, n_out=4, residual=nnx.silu, **options,
                     init_scheme={"type": "custom", **arrays})  # fmt: skip
    assert_close({name: np.asarray(getattr(layer, name)[...]) for name in arrays}, arrays, 0)
    arrays["c_basis"] = np.ones((3, 4, 5))
    with pytest.raises(ShapeError, match=r"c_basis has shape \(3, 4, 5\), expected \(4, 3, 5\)"):
        layer_of(
            "edgewise.compat.jaxkan", layer_type, n_in=3, n_out=4, **options, init_scheme={"type": "custom", **arrays}
        )


def test_base_layers_take_every_scheme():
    """jaxKAN's base layer crashes under glorot; its draws are those of the spline layer, nodes on one axis."""
    for kind in ("glorot", "glorot_fine"):
        options = {"n_in": 3, "n_out": 4, "init_scheme": {"type": kind}}
        base, spline = BaseLayer(**options), SplineLayer(**options)
        np.testing.assert_array_equal(base.c_basis[...], spline.c_basis[...].reshape(12, 6))
        np.testing.assert_array_equal(base.c_res[...], spline.c_res[...])


def test_a_model_equals_jaxkan_step_by_step():
    """The user's own loop, with nnx.Optimizer: parameters, outputs and states by name stay those of jaxKAN."""
    required = {"D": 4, "flavor": "modified", "init_scheme": {"type": "power"}}
    layer_of("jaxkan", "chebyshev")  # or skip
    theirs = importlib.import_module("jaxkan.models.KAN").KAN([2, 3, 1], "Chebyshev", required, seed=3)
    ours = KAN([2, 3, 1], "Chebyshev", required, seed=3)
    x = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (50, 2)), jnp.float32)
    y = (x[:, :1] ** 2 + jnp.exp(x[:, 1:])) / 2

    @nnx.jit
    def step(model, optimizer):
        gradients = nnx.grad(lambda model: jnp.mean((model(x) - y) ** 2))(model)
        optimizer.update(model, gradients)

    for model in (ours, theirs):
        optimizer = nnx.Optimizer(model, optax.sgd(0.05), wrt=nnx.Param)
        for _ in range(20):
            step(model, optimizer)
    assert_close(parameters_of(ours), parameters_of(theirs), tolerance=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["default", "lecun", "glorot", "glorot_fine", "power"])
def test_the_published_program(root, scheme):
    pytest.importorskip("sklearn", reason="the program splits its data with scikit-learn")
    spec = importlib.util.spec_from_file_location("jaxkan_tutorial_3", root / "examples" / "jaxkan_tutorial_3.py")
    assert spec is not None
    assert spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    error = program.run_experiment(program.SCHEMES[scheme])
    assert error == pytest.approx(program.PUBLISHED[scheme], rel=0.15)


class TestParameters:
    def test_names_and_shapes_are_those_of_jaxkan(self):
        model = KAN(layer_dims=[2, 5, 1], layer_type="base", required_parameters={"k": 3, "G": 5}, seed=0)
        assert {path[-1] for path in parameters_of(model)} == {"c_basis", "c_res", "c_spl", "bias"}
        first = model.layers[0]
        assert first.c_basis.shape == (10, 8)
        assert first.c_res.shape == first.c_spl.shape == (5, 2)
        assert first.grid.item.shape == (10, 12)
        np.testing.assert_allclose(first.grid.item[:, [3, 8]], [[-1, 1]] * 10, atol=1e-6)
        rbf = layer_of("edgewise.compat.jaxkan", "rbf", n_in=2, n_out=3, D=4)
        assert rbf.c_basis.shape == (3, 2, 4)
        np.testing.assert_allclose(rbf.grid.item[0], [-2, -2 / 3, 2 / 3, 2], rtol=1e-6)
        sine = layer_of("edgewise.compat.jaxkan", "sine", n_in=2, n_out=3, D=4)
        assert sine.omega.shape == sine.phase.shape == (4, 1)
        fourier = layer_of("edgewise.compat.jaxkan", "fourier", n_in=2, n_out=3, D=4, add_bias=False)
        assert fourier.c_cos.shape == fourier.c_sin.shape == (3, 2, 4)
        assert fourier.bias is None

    def test_grids_are_state_and_not_trained(self):
        layer = SplineLayer(2, 3)
        grids = nnx.to_flat_state(nnx.state(layer, Grid))
        assert [path for path, _ in grids] == [("basis_state", "ends")]
        assert not nnx.to_flat_state(nnx.state(layer, nnx.Not(nnx.Any(nnx.Param, Grid))))

    def test_setting_them_changes_what_is_computed(self):
        layer, x = ChebyshevLayer(2, 3), jnp.full((1, 2), 0.3)
        compiled = nnx.jit(lambda layer, x: layer(x))
        before = compiled(layer, x)
        layer.c_basis[...] = 2 * layer.c_basis[...]
        np.testing.assert_allclose(compiled(layer, x), 2 * before, rtol=1e-6)
        layer.c_basis = nnx.Param(jnp.zeros((3, 2, 5)))
        layer.bias[...] = jnp.ones(3)
        np.testing.assert_array_equal(compiled(layer, x), np.ones((1, 3)))

    def test_to_edgewise_is_the_same_network(self):
        model = KAN([2, 4, 1], "chebyshev", {"D": 3, "residual": nnx.silu, "external_weights": True})
        native, x = model.to_edgewise(), jnp.linspace(-1, 1, 10).reshape(5, 2)
        assert isinstance(native, EdgewiseKAN)
        assert native.widths == (2, 4, 1)
        np.testing.assert_array_equal(native(x), model(x))

    def test_copies_and_files_keep_them(self):
        model, x = KAN([2, 3, 1], "spline", {"G": 4}), jnp.full((4, 2), 0.2)
        for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model), nnx.clone(model)):
            np.testing.assert_array_equal(other(x), model(x))
        model.layers[0].bias[...] = jnp.ones(3)
        assert not np.allclose(model(x), other(x))


class TestTransforms:
    @pytest.mark.parametrize("layer_type", ["spline", "rbf", "chebyshev"])
    def test_construction_under_vmap_over_seeds(self, layer_type):
        """jaxKAN's constructors need concrete seeds; the sample for the moments is then that of seed 0."""

        @nnx.vmap
        def make(seed):
            return get_layer(layer_type)(n_in=2, n_out=3, seed=seed, init_scheme={"type": "glorot"})

        many, one = make(jnp.arange(3)), get_layer(layer_type)(n_in=2, n_out=3, seed=2, init_scheme={"type": "glorot"})
        assert many.c_basis.shape == (3, *one.c_basis.shape)
        np.testing.assert_allclose(many.c_basis[2], one.c_basis[...], rtol=0.05)  # 10,000 samples: about 1 %
        y = nnx.vmap(lambda layer, x: layer(x), in_axes=(0, None))(many, jnp.zeros((4, 2)))
        assert y.shape == (3, 4, 3)

    def test_construction_under_jit_and_eval_shape(self):
        made = nnx.jit(lambda: KAN([2, 3, 1], "spline", {"init_scheme": {"type": "lecun"}}, seed=5))()
        eager = KAN([2, 3, 1], "spline", {"init_scheme": {"type": "lecun"}}, seed=5)
        assert_close(parameters_of(made), parameters_of(eager), tolerance=1e-5)
        shapes = nnx.eval_shape(lambda: KAN([2, 3, 1], "spline", {}))
        assert shapes.layers[0].c_basis.shape == (3, 2, 6)

    def test_forward_over_forward_mode(self):
        layer = ChebyshevLayer(1, 1)

        def f(x):
            return layer(x[None, None])[0, 0]

        second = jax.jvp(lambda x: jax.jvp(f, (x,), (1.0,))[1], (0.3,), (1.0,))[1]
        np.testing.assert_allclose(second, jax.grad(jax.grad(f))(0.3), rtol=1e-4)


class TestFaultsNotReproduced:
    @pytest.mark.parametrize("flavor", ["default", "modified", "exact"])
    def test_gradients_are_finite_where_tanh_saturates(self, flavor):
        layer = ChebyshevLayer(2, 3, D=5, flavor=flavor)
        x = jnp.array([[8.0, -8.0], [30.0, -1e6]])
        for gradient in jax.tree.leaves(nnx.grad(lambda layer, x: layer(x).sum(), argnums=(0, 1))(layer, x)):
            assert np.isfinite(gradient).all()

    @pytest.mark.parametrize("layer_class", [ChebyshevLayer, LegendreLayer])
    def test_exact_flavors_of_any_degree(self, layer_class):
        layer = layer_class(1, 1, D=40, flavor="exact", add_bias=False)
        layer.c_basis = nnx.Param(jnp.zeros((1, 1, 41)).at[..., 40].set(1.0))
        x = np.linspace(-2, 2, 101)
        series = np.polynomial.Chebyshev if layer_class is ChebyshevLayer else np.polynomial.Legendre
        np.testing.assert_allclose(layer(x[:, None])[:, 0], series.basis(40)(np.tanh(x)), atol=1e-5)

    def test_integers_and_other_batch_shapes_are_taken(self):
        layer = SplineLayer(2, 3)
        assert layer(np.ones((4, 5, 2), int)).shape == (4, 5, 3)

    def test_residuals_may_be_lambdas(self):
        layer = ChebyshevLayer(2, 3, residual=lambda x: x**2, init_scheme={"type": "glorot"})
        assert np.isfinite(layer(jnp.ones((1, 2)))).all()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: KAN([2, 1], "chebychev", {}), UnknownNameError, "did you mean 'chebyshev'"),
        (lambda: KAN([2, 1], "spline", {"g": 5}), UnknownNameError, "did you mean 'G'"),
        (lambda: KAN([2, 1], "spline", {"seed": 5}), UnknownNameError, "'seed'"),
        (lambda: KAN([2, 1], "spline"), EdgewiseError, "required_parameters is missing"),
        (lambda: KAN([2], "spline", {}), EdgewiseError, "inputs and outputs"),
        (lambda: KAN([2, 0], "spline", {}), EdgewiseError, "n_out must be at least 1"),
        (lambda: ChebyshevLayer(flavour="exact"), UnknownNameError, "did you mean 'flavor'"),
        (lambda: ChebyshevLayer(flavor="exakt"), UnknownNameError, "did you mean 'exact'"),
        (lambda: LegendreLayer(flavor="modified"), UnknownNameError, "default, exact"),
        (lambda: ChebyshevLayer(D=0), EdgewiseError, "D must be at least 1"),
        (lambda: SplineLayer(G=-1), EdgewiseError, "G must be at least 1"),
        (lambda: SplineLayer(grid_range=(1, -1)), EdgewiseError, "not an interval"),
        (lambda: get_layer("rbf")(kernel={"type": "gauss"}), UnknownNameError, "did you mean 'gaussian'"),
        (lambda: get_layer("rbf")(kernel={"sigma": 1.0}), UnknownNameError, "std"),
        (lambda: SplineLayer(init_scheme={"type": "gloro"}), UnknownNameError, "did you mean 'glorot'"),
        (lambda: SplineLayer(init_scheme={"type": "power", "const_B": 1}), UnknownNameError, "did you mean 'const_b'"),
        (lambda: SplineLayer(init_scheme={"type": "lecun", "distribution": "gauss"}), UnknownNameError, "normal"),
        (lambda: SplineLayer(init_scheme={"type": "custom"}), ShapeError, "c_res is missing"),
        (lambda: SplineLayer(2, 3)(np.ones((4, 3))), ShapeError, r"expected \(..., 2\), got \(4, 3\)"),
    ],
)  # fmt: skip
def test_bad_input_gets_a_clear_error(make, error, message):
    with pytest.raises(error, match=message):
        make()
