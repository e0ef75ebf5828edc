"""Grid updates in jaxKAN's spelling: knots and fits against jaxKAN itself, and no NaN where it has some."""

from __future__ import annotations

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

from edgewise.compat.jaxkan.grids.BaseGrid import BaseGrid
from edgewise.compat.jaxkan.grids.RBFGrid import RBFGrid
from edgewise.compat.jaxkan.grids.SplineGrid import SplineGrid
from edgewise.compat.jaxkan.layers import BaseLayer, RBFLayer, SplineLayer, get_layer
from edgewise.compat.jaxkan.layers.utils import adam_transition, interpolate_moments, solve_full_lstsq
from edgewise.compat.jaxkan.models.ActNet import ActNet
from edgewise.compat.jaxkan.models.KAN import KAN
from edgewise.errors import DataError, EdgewiseError, ShapeError
from edgewise.refine import RefinementWarning

LAYERS = ("base", "spline", "chebyshev", "legendre", "fourier", "rbf", "sine")
GRIDS = {"base": (BaseGrid, "BaseGrid"), "spline": (SplineGrid, "SplineGrid"), "rbf": (RBFGrid, "RBFGrid")}


def theirs(module: str):
    """A module of jaxKAN."""
    if importlib.util.find_spec("jaxkan") is None:
        pytest.skip(f"jaxkan is not installed (it needs Python < 3.13; this is {sys.version.split()[0]})")
    return importlib.import_module(f"jaxkan.{module}")


def layer_of_jaxkan(layer_type: str, **parameters):
    return theirs("layers").get_layer(layer_type)(**parameters)


def samples(n: int = 60, n_in: int = 2, seed: int = 0) -> jax.Array:
    draw = np.random.default_rng(seed)
    return jnp.asarray(np.concatenate([draw.uniform(-0.9, 0.4, (n // 2, n_in)), draw.normal(size=(n - n // 2, n_in))]),
                       jnp.float32)  # fmt: skip


def size_name(layer_type: str) -> str:
    return "G" if layer_type in ("base", "spline") else "D"


compute = nnx.jit(lambda module, x: module(x))


@pytest.mark.parametrize("grid_e", [0.0, 0.05, 1.0])
@pytest.mark.parametrize("kind", GRIDS)
def test_grids_move_as_those_of_jaxkan(kind, grid_e):
    ours, name = GRIDS[kind]
    reference = getattr(theirs(f"grids.{name}"), name)(grid_e=grid_e)
    grid = ours(grid_e=grid_e)
    np.testing.assert_allclose(grid.item, reference.item, atol=1e-6)
    # more samples than points, a number that is no multiple, and fewer: then equal ones, where jaxKAN's splines are NaN
    for n, size in ((60, 7), (61, 24)) + (((5, 9),) if grid_e > 0 else ()):
        for one in (grid, reference):
            one.update(samples(n), size)
        np.testing.assert_allclose(grid.item, reference.item, atol=1e-5)
        assert getattr(grid, size_name(kind)) == size


@pytest.mark.parametrize(
    ("layer_type", "parameters", "size"),
    [
        pytest.param("base", {"k": 3, "G": 3}, 6, marks=pytest.mark.slow),
        ("spline", {"k": 2, "G": 5, "residual": None}, 3),
        ("rbf", {"D": 7, "kernel": {"std": 0.3}, "grid_e": 0.5}, 5),
        ("fourier", {"D": 4}, 2),
        pytest.param("legendre", {"D": 3}, 6, marks=pytest.mark.slow),
    ],
    ids=str,
)  # fmt: skip
def test_updated_layers_are_as_close_as_those_of_jaxkan(layer_type, parameters, size):
    reference = layer_of_jaxkan(layer_type, n_in=2, n_out=3, **parameters)
    layer = get_layer(layer_type)(n_in=2, n_out=3, **parameters)
    x = samples()
    before = np.asarray(compute(layer, x))
    for one in (reference, layer):
        one.update_grid(x, size)
    error, expected = (np.sqrt(np.mean((np.asarray(compute(one, x)) - before) ** 2)) for one in (layer, reference))
    assert not error > 1.02 * expected + 1e-6  # jaxKAN's may be NaN
    shapes = [
        {path: leaf.shape for path, leaf in nnx.to_flat_state(nnx.state(one, nnx.Param))} for one in (layer, reference)
    ]
    assert shapes[0] == shapes[1]
    if hasattr(reference, "grid"):
        np.testing.assert_allclose(layer.grid.item, reference.grid.item, atol=1e-5)
    assert getattr(layer, size_name(layer_type)) == size


class TestNeverNaN:
    @pytest.mark.parametrize("layer_type", LAYERS)
    def test_ordinary_settings(self, layer_type):
        """jaxKAN: NaN for 20 of 20 seeds in most of these families."""
        name, x = size_name(layer_type), samples()
        layer = get_layer(layer_type)(n_in=2, n_out=3, **{name: 5})
        before = compute(layer, x)
        layer.update_grid(x, 15)
        exact = layer_type not in GRIDS
        np.testing.assert_allclose(compute(layer, x), before, atol=2e-6 if exact else 2e-2 if name == "G" else 2e-4)
        assert getattr(layer, name) == 15

    @pytest.mark.parametrize("layer_type", ["spline", "rbf"])
    @pytest.mark.parametrize("kind", ["few", "one", "binary"])
    def test_samples_that_do_not_determine_a_fit(self, layer_type, kind):
        """On 40 rows, so that programs are shared."""
        rows = {"few": samples(6), "one": samples(1), "binary": np.random.default_rng(0).integers(0, 2, (40, 2))}[kind]
        x = np.resize(np.asarray(rows, np.float32), (40, 2))
        layer = get_layer(layer_type)(n_in=2, n_out=3, **{size_name(layer_type): 4})
        before = compute(layer, x)
        if kind == "one":
            with pytest.warns(RefinementWarning, match="input 0, 1 are constant"):
                layer.update_grid(rows, 9)
        else:
            layer.update_grid(rows, 9)
        np.testing.assert_allclose(compute(layer, x), before, atol=1e-3)
        assert np.isfinite(compute(layer, np.linspace(-3, 3, 80, dtype=np.float32).reshape(40, 2))).all()

    def test_constant_columns_keep_their_range(self):
        x = jnp.stack([jnp.full(50, 0.3), jnp.linspace(-2, 2, 50)], axis=1)
        layer, between = SplineLayer(2, 3, G=4, grid_e=0.0), jnp.asarray([[-0.5, 0.1], [0.8, -0.7]])
        before = compute(layer, between)
        with pytest.warns(RefinementWarning, match="input 0 are constant"):
            layer.update_grid(x, 8)
        np.testing.assert_allclose(layer.grid.item[0, [3, -4]], [-1, 1], atol=1e-5)
        np.testing.assert_allclose(compute(layer, between), before, atol=5e-2)

    def test_large_constants(self):
        layer = SplineLayer(1, 2)
        with pytest.warns(RefinementWarning):
            layer.update_grid(jnp.full((20, 1), 1e6), 5)
        assert (np.diff(layer.grid.item) > 0).all()
        assert np.isfinite(compute(layer, jnp.full((2, 1), 1e6))).all()


class TestLayers:
    def test_base_layers_are_spline_layers_with_rows_of_edges(self):
        base, spline, x = BaseLayer(2, 3), SplineLayer(2, 3), samples()
        for layer in (base, spline):
            layer.update_grid(x=x, G_new=6)
        np.testing.assert_array_equal(base.c_basis[...], spline.c_basis[...].reshape(6, 9))
        np.testing.assert_array_equal(base.grid.item, np.tile(spline.grid.item, (3, 1)))

    def test_sines_keep_their_frequencies_and_their_functions(self):
        layer = get_layer("sine")(n_in=1, n_out=2, D=3)
        frequencies = np.asarray(layer.omega[...])
        layer.update_grid(samples(n_in=1), 5)
        np.testing.assert_array_equal(layer.omega[:3], frequencies)
        assert layer.phase.shape == (5, 1)
        assert (np.abs(np.diff(layer.omega[...], axis=0)) > 1e-3).all()
        np.testing.assert_array_equal(layer.c_basis[..., 3:], 0)

    def test_constants_go_to_the_bias_when_the_degree_falls(self):
        layer = get_layer("chebyshev")(n_in=1, n_out=1, D=2)
        layer.c_basis[...] = jnp.asarray([[[0.0, 1.0]]])  # T_2 of tanh, of mean -1 near 0
        x = jnp.linspace(-0.1, 0.1, 30)[:, None]
        layer.update_grid(x, 1)
        np.testing.assert_allclose(compute(layer, x), np.full((30, 1), -1), atol=0.02)

    def test_compiled_functions_see_an_update_of_the_same_size(self):
        """In jaxKAN they keep the old grid."""
        layer, x = SplineLayer(2, 3, G=5), samples()
        layer.update_grid(x, 5)
        before = compute(layer, x)
        layer.grid.item = layer.grid.item + 0.5
        assert np.max(np.abs(compute(layer, x) - before)) > 0.01

    def test_copies_and_files_keep_the_grid(self):
        layer, x = SplineLayer(2, 3), samples()
        layer.update_grid(x, 5)
        expected = compute(layer, x)
        for other in (pickle.loads(pickle.dumps(layer)), nnx.clone(layer)):
            np.testing.assert_array_equal(compute(other, x), expected)
            other.update_grid(3 * x, 4)
        np.testing.assert_array_equal(compute(layer, x), expected)
        np.testing.assert_allclose(compute(layer.to_edgewise(), x), expected, atol=1e-6)

    def test_grids_are_read_and_set(self):
        theirs("grids")
        for layer, reference in (
            (BaseLayer(2, 3, k=2), layer_of_jaxkan("base", n_in=2, n_out=3, k=2)),
            (RBFLayer(2, 3, D=4), layer_of_jaxkan("rbf", n_in=2, n_out=3, D=4)),
        ):
            reference.grid.update(samples(), 4 if hasattr(layer, "D") else 3)
            layer.grid.item = reference.grid.item
            nnx.update(layer, nnx.state(reference, nnx.Param))
            np.testing.assert_array_equal(layer.grid.item, reference.grid.item)
            np.testing.assert_allclose(compute(layer, samples()), compute(reference, samples()), atol=1e-5)
        spline = SplineLayer(2, 3)
        spline.grid.update(samples(), 6)
        assert spline.grid.G == spline.G == 6
        with pytest.raises(ShapeError, match="different knots"):
            BaseLayer(2, 3).grid.item = np.sort(np.random.default_rng(0).normal(size=(6, 10)), axis=1)

    def test_basis(self):
        for layer_type, shape in (("base", (6, 8, 30)), ("chebyshev", (30, 2, 5))):
            reference = layer_of_jaxkan(layer_type, n_in=2, n_out=3, **{size_name(layer_type): 5})
            layer = get_layer(layer_type)(n_in=2, n_out=3, **{size_name(layer_type): 5})
            run = nnx.jit(lambda layer, x: layer.basis(x))
            found = run(layer, samples(30))
            assert found.shape == shape
            np.testing.assert_allclose(found, run(reference, samples(30)), atol=1e-5)
        cosines, sines = get_layer("fourier")(2, 3, D=4).basis(samples(30))
        assert cosines.shape == sines.shape == (30, 2, 4)

    @pytest.mark.parametrize(
        ("update", "error", "message"),
        [
            (lambda: SplineLayer(2, 3).update_grid(np.ones((9, 3)), 5), ShapeError, r"expected \(samples, 2\)"),
            (lambda: SplineLayer(2, 3).update_grid(np.full((9, 2), np.nan), 5), DataError, "not finite"),
            (lambda: RBFLayer(2, 3).update_grid(np.ones((9, 2)), 0), EdgewiseError, "D_new must be at least 1"),
            (lambda: SplineGrid().update(np.ones((9, 2)), -1), EdgewiseError, "G_new must be at least 1"),
            (lambda: SplineGrid().update(np.ones((9, 3)), 4), ShapeError, r"expected \(samples, 2\)"),
        ],
    )  # fmt: skip
    def test_bad_input_gets_a_clear_error(self, update, error, message):
        with pytest.raises(error, match=message):
            update()


def test_a_single_centre_is_in_the_middle():
    layer = RBFLayer(1, 1, D=4)
    layer.update_grid(jnp.asarray([[0.0], [1.0], [3.0]]), 1)
    np.testing.assert_allclose(layer.grid.item, [[1.5]])


def test_layers_of_a_model_see_updated_ones():
    model, x = KAN([2, 3, 1], "spline", {"k": 3, "G": 4, "grid_e": 0.1}), samples()
    before = compute(model, x)
    model.update_grids(x, 6)
    hidden = compute(model.layers[0], x)
    expected = SplineGrid(3, G=4, grid_e=0.1)
    expected.update(hidden, 6)
    np.testing.assert_allclose(model.layers[1].grid.item, expected.item, atol=1e-5)
    assert np.sqrt(np.mean((compute(model, x) - before) ** 2)) < 0.05


class TestTransition:
    def updated(self, layer_type, optimizer):
        """A model after a grid update, and the moments from before it, of random numbers."""
        model, draw = KAN([2, 3, 1], layer_type, {size_name(layer_type): 3}), np.random.default_rng(0)
        state = nnx.Optimizer(model, optimizer, wrt=nnx.Param).opt_state
        for leaf in jax.tree.leaves(state, is_leaf=lambda leaf: isinstance(leaf, nnx.Variable)):
            if leaf.ndim:
                leaf.set_value(jnp.asarray(draw.normal(size=leaf.shape), jnp.float32))
        for layer in model.layers:
            layer.update_grid(samples(20, layer.n_in), 5)
        return model, state

    def test_moments_equal_jaxkan(self):
        transition = theirs("layers.utils").adam_transition
        model, state = self.updated("base", optax.adam(1e-2))
        copy = jax.tree.map(jnp.copy, state)
        adam_transition(state, nnx.split(model)[1])
        transition(copy, nnx.split(model)[1])
        for found, expected in zip(jax.tree.leaves(state), jax.tree.leaves(copy), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("layer_type", ["fourier", "sine"])
    def test_chains_and_other_layers(self, layer_type):
        """jaxKAN's fails for both: it takes the first state for Adam's, and knows c_basis alone."""
        optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(optax.cosine_decay_schedule(1e-2, 100)))
        model, state = self.updated(layer_type, optimizer)
        adam_transition(state, nnx.state(model))
        fresh = nnx.Optimizer(model, optimizer, wrt=nnx.Param).opt_state
        assert jax.tree.map(jnp.shape, jax.tree.leaves(state)) == jax.tree.map(jnp.shape, jax.tree.leaves(fresh))

    def test_interpolation(self):
        mu, nu = np.arange(12.0).reshape(3, 4), np.ones((3, 4))
        found, other = interpolate_moments(mu, nu, (3, 7))
        np.testing.assert_allclose(found, np.linspace(mu[:, 0], mu[:, -1], 7, axis=1), rtol=1e-6)
        np.testing.assert_array_equal(other, np.ones((3, 7)))

    def test_what_cannot_be_carried(self):
        model = ActNet([2, 3, 1], N=3)
        optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)
        with pytest.raises(EdgewiseError, match="cannot become"):
            adam_transition(optimizer.opt_state, nnx.eval_shape(lambda: nnx.state(ActNet([3, 4, 1], N=5))))
        with pytest.raises(EdgewiseError, match="plain array"):
            adam_transition({"c_basis": jnp.ones((2, 3))}, {"c_basis": jnp.ones((2, 5))})


def test_least_squares_of_a_batch():
    draw = np.random.default_rng(0)
    a, b = draw.normal(size=(3, 6, 4)), draw.normal(size=(3, 6, 2))
    a[0, :, 1] = a[0, :, 0]  # jaxKAN: NaN
    found = np.asarray(solve_full_lstsq(jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32)))
    np.testing.assert_allclose(a @ found, [x @ np.linalg.lstsq(x, y)[0] for x, y in zip(a, b, strict=True)], atol=1e-5)


@pytest.mark.slow
def test_the_published_program(root):
    """Its beginning, on fewer samples: the moments that are kept fit the grown grid, and the loss keeps falling."""
    pytest.importorskip("sklearn", reason="the program splits its data with scikit-learn")
    spec = importlib.util.spec_from_file_location("jaxkan_tutorial_7", root / "examples" / "jaxkan_tutorial_7.py")
    assert spec is not None
    assert spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    losses, error = program.run_experiment(transition=True, quick=True)
    assert len(losses) == 40
    assert losses[20] < 1.2 * losses[19]  # the functions are kept
    assert losses[-1] < 0.7 * losses[19]
    assert error < 0.3
