"""Refinement: the function stays, whatever the family; grids go where the data are; nothing is lost on bad input."""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import interpolate

import edgewise as ew
from edgewise import refine
from edgewise.bases import FAMILIES, Concatenated, Importance
from edgewise.errors import DataError, EdgewiseError, ShapeError
from edgewise.refine.grids import resolution
from edgewise.refine.layers import layers_of
from edgewise.refine.projection import evaluated

SMALL = {name: family().resized(3) if name != "rational" else family(3, 2) for name, family in FAMILIES.items()}
SMALL |= {
    "bspline zero": ew.BSpline(3, 3, extrapolate="zero"),
    "bspline clip": ew.BSpline(2, 3, extrapolate="clip"),
    "bspline 1": ew.BSpline(1, 3),
    "bspline free": ew.BSpline(3, 3, knots="free"),
    "matern": ew.RBF(3, kernel="matern32", width=0.7),
    "chebyshev plain": ew.Chebyshev(3, squash=None),
    "both": ew.Chebyshev(3) | ew.BSpline(2, 3),
    "both alike": ew.BSpline(3, 3) | ew.RBF(3),
    "three": ew.Chebyshev(3) | (ew.BSpline(2, 3) | ew.RBF(3)),
}
X = np.random.default_rng(0).uniform(-1, 1, (200, 2)).astype(np.float32)
FORWARD = nnx.jit(lambda model, x: model(x))


def trained(basis: ew.Basis, widths=(2, 3, 1), seed: int = 0, spread: float = 0.5, **options) -> ew.KAN:
    """A model whose coefficients are not small, so that nothing is kept by being 0."""
    model = ew.KAN(list(widths), basis, rngs=nnx.Rngs(seed), **options)
    for index, layer in enumerate(model.layers):
        layer.coef[...] = spread * jax.random.normal(jax.random.key(index), layer.coef.shape)
    return model


def relative(new, old) -> float:
    return float(jnp.max(jnp.abs(new - old)) / jnp.std(old))


@pytest.mark.parametrize("data", [None, X], ids=["evenly", "by data"])
@pytest.mark.parametrize("name", SMALL)
def test_extending_keeps_the_function(name: str, data):
    model = trained(SMALL[name], edge_scale=name == "bspline")
    before = FORWARD(model, X)
    refined = refine.extend(model, 7, data)
    assert [resolution(layer.basis) for layer in model.layers] == [7, 7]
    assert relative(FORWARD(model, X), before) < 2e-5
    assert max(error.max() for error in refined.error) < 1e-5


@pytest.mark.parametrize("name", ["bspline", "rbf", "wavelet", "chebyshev", "bernstein", "sine", "relubump"])
def test_ten_extensions_of_an_untouched_model(name: str):
    model = ew.KAN([2, 3, 1], SMALL[name], rngs=nnx.Rngs(0))
    before = np.asarray(model(X))
    for size in range(4, 14):
        refine.extend(model, size)
    assert np.abs(np.asarray(FORWARD(model, X)) - before).max() < 1e-5


@pytest.mark.parametrize(("size", "reach"), [(6, 1e6), (7, 2e4), (8, 800.0), (10, 50.0), (24, 3.0)])
def test_how_far_out_a_rational_function_stays(size: int, reach: float):
    """As the documentation says: until its denominator is held up."""
    basis, x = ew.Rational(5, 4), np.geomspace(0.01, reach, 200)[:, None]
    with jax.enable_x64(True):
        state = {name: np.asarray(value) for name, value in basis.init(1, key=jax.random.key(0)).items()}
        finer = basis.extended(state, size, n_in=1, key=jax.random.key(0))
        np.testing.assert_allclose(finer.basis(x, finer.state), basis(x, state), rtol=1e-6)


def test_families_side_by_side_are_refined_apart():
    """Splines and Gaussians on fine grids are nearly the same functions: fitted together, neither was kept."""
    model = trained(ew.BSpline(3, 5) | ew.RBF(4))
    x = 3 * X  # beyond the grids, too
    before = FORWARD(model, x)
    for size in (20, 33):
        refine.extend(model, size)
        assert relative(FORWARD(model, x), before) < 1e-5


@pytest.mark.parametrize("data", [None, X])
def test_splines_agree_with_knot_insertion_by_scipy(data):
    layer = ew.KANLayer(1, 1, ew.BSpline(3, 4), residual=None, bias=False, rngs=nnx.Rngs(0))
    known = layer.basis._known({"ends": layer.basis_state["ends"][...]})[0]
    spline = interpolate.BSpline(known, np.asarray(layer.coef[:, 0, 0], np.float64), 3)
    refine.extend(layer, 9, None if data is None else 0.9 * data[:, :1])
    knots = np.asarray(layer.basis_state["knots"][0], np.float64)[3:-3]
    for knot in np.setdiff1d(knots.round(6), known.round(6)):
        spline = spline.insert_knot(knot)
    # in the middle, where the knots that scipy keeps beyond the ends play no part
    inner = spline.c[: len(spline.t) - 4][3:-3]
    ours = np.asarray(layer.coef[:, 0, 0])
    np.testing.assert_allclose(ours[3:-3], inner[: len(ours) - 6], atol=2e-6)


def test_old_knots_stay_and_even_ones_stay_even():
    model = trained(ew.BSpline(3, 4), (2, 1))
    refine.extend(model, 8)
    assert model.layers[0].basis == ew.BSpline(3, 8)  # uniform, and as fast as before
    refine.extend(model, 11)
    knots = np.asarray(model.layers[0].basis_state["knots"][0])[3:-3]
    assert knots.shape == (12,)
    assert np.isin(np.linspace(-1, 1, 9, dtype=np.float32), knots).all()


def test_bernstein_elevation_against_the_binomial_formula():
    lift = ew.Bernstein(2).extended({}, 3, n_in=1, key=jax.random.key(0)).lift
    np.testing.assert_allclose(lift, [[1, 0, 0], [1 / 3, 2 / 3, 0], [0, 2 / 3, 1 / 3], [0, 0, 1]])


def test_drifted_hidden_values_are_covered_and_the_function_stays():
    model = trained(ew.BSpline(3, 3), spread=3.0)
    hidden = np.asarray(model.layers[0](X))
    assert np.abs(hidden).max() > 2
    before = FORWARD(model, X)
    refine.extend(model, 14, X)
    knots = np.asarray(model.layers[1].basis_state["knots"])[:, 3:-3]
    assert (knots[:, 0] <= hidden.min(axis=0)).all()
    assert (knots[:, -1] >= hidden.max(axis=0)).all()
    assert relative(FORWARD(model, X), before) < 2e-5


@pytest.mark.parametrize("by", ["density", "curvature"])
@pytest.mark.parametrize("basis", [ew.BSpline(3, 12), ew.RBF(12), ew.RSWAF(12)], ids=str)
def test_adapting_moves_the_grid_to_the_data_and_keeps_the_function_there(basis, by: str):
    model = trained(basis, spread=0.1)
    x = np.concatenate([0.05 * X[:150] + 0.5, X[150:] * 0.5 + 0.5]).astype(np.float32)
    before = np.asarray(FORWARD(model, x))
    refined = refine.adapt(model, x, adaptivity=0.7, by=by)
    cells = model.layers[0].basis.cells(refine.layers.state_of(model.layers[0]), 2)
    np.testing.assert_allclose(cells[:, 0], x.min(axis=0) - 0.01 * np.ptp(x, axis=0), atol=1e-6)
    np.testing.assert_allclose(cells[:, -1], x.max(axis=0) + 0.01 * np.ptp(x, axis=0), atol=1e-6)
    if by == "density":
        inside = (np.abs(cells - 0.5) < 0.05).mean()
        assert inside >= 0.5  # three quarters of the data lie in a tenth of the range
    change = np.sqrt(np.mean((np.asarray(FORWARD(model, x)) - before) ** 2))
    assert change < 0.05 * before.std()
    assert change < 10 * max(error.max() for error in refined.error) + 1e-6


@pytest.mark.parametrize(("scale", "offset"), [(1e-3, 0.0), (1e-6, 0.0), (1e-3, 100.0)])
def test_adapting_to_data_in_a_sliver_of_the_grid_keeps_the_function_there(scale: float, offset: float):
    model, x = trained(ew.BSpline(3, 6)), (scale * X + offset).astype(np.float32)
    before = np.asarray(FORWARD(model, x))
    refined = refine.adapt(model, x)
    assert max(change.relative_error for change in refined.changes) < 1e-5
    np.testing.assert_allclose(FORWARD(model, x), before, rtol=1e-5, atol=1e-5 * np.abs(before).max())


def test_curvature_places_knots_where_the_function_bends():
    layer = ew.KANLayer(1, 1, ew.BSpline(3, 40), residual=None, rngs=nnx.Rngs(0))
    x = np.linspace(-1, 1, 400)[:, None].astype(np.float32)
    values = evaluated(layer.basis, {"ends": np.array([[-1.0, 1.0]])}, x)[:, 0]
    target = np.tanh(20 * (x[:, 0] - 0.3))
    layer.coef[...] = jnp.asarray(np.linalg.lstsq(values, target, rcond=None)[0][:, None, None], jnp.float32)
    refine.adapt(layer, x, adaptivity=0.9, by="curvature")
    knots = np.asarray(layer.basis_state["knots"][0])[3:-3]
    assert (np.abs(knots - 0.3) < 0.2).mean() > 0.6


def test_adaptivity_zero_is_even():
    model = trained(ew.BSpline(3, 6), (2, 1))
    refine.adapt(model, X**3, adaptivity=0.0)
    assert model.layers[0].basis.knots == "uniform"


CONVERSIONS = {
    "spline to chebyshev": (ew.BSpline(3, 5), ew.Chebyshev(30, squash=None), 2e-3),
    "spline to fine spline": (ew.BSpline(3, 5), ew.BSpline(3, 10), 1e-5),
    "chebyshev to spline": (ew.Chebyshev(4), ew.BSpline(3, 30), 1e-4),
    "chebyshev to legendre": (ew.Chebyshev(6), ew.Legendre(6), 1e-5),
    "radial to spline": (ew.RBF(6), ew.BSpline(3, 40, (-2.0, 2.0)), 1e-4),
    "wavelet to hermite": (ew.Wavelet(4), ew.Hermite(24), 1e-2),
}


@pytest.mark.parametrize("case", CONVERSIONS)
def test_change_of_basis(case: str):
    old, new, bound = CONVERSIONS[case]
    model = trained(old, (2, 3))
    x = np.linspace(*old.interval, 101, dtype=np.float32)[:, None].repeat(2, axis=1)
    edges = np.asarray(model.layers[0].edges(x), np.float64)
    refined = refine.change_basis(model, new)
    after = np.asarray(model.layers[0].edges(x), np.float64)
    # edge functions stay up to constants, which are the bias'
    moved = after - edges
    moved -= moved.mean(axis=0)
    scale = edges.std(axis=0)
    assert (moved.std(axis=0) < bound * scale + 1e-6).all()
    assert refined.error[0].shape == (2, 3)
    assert (refined.error[0] < 3 * bound * refined.changes[0].size + 1e-6).all()


def test_a_constant_mode_goes_into_the_bias():
    model = trained(ew.BSpline(3, 5), (2, 3, 1), edge_scale=True)
    before = FORWARD(model, X)
    refine.change_basis(model, ew.Chebyshev(24, squash="affine"), X)
    assert model.layers[0].first_mode == 1
    assert model.layers[0].coef.shape[0] == 24
    assert relative(FORWARD(model, X), before) < 0.1


def test_coarsening_projects():
    model = trained(ew.BSpline(3, 5), (2, 1))
    before = FORWARD(model, X)
    refine.extend(model, 10)
    refined = refine.coarsen(model, 5)
    assert relative(FORWARD(model, X), before) < 1e-5  # the old space, which holds the function
    assert refined.changes[0].relative_error < 1e-5
    refine.coarsen(model, 2, X)
    assert relative(FORWARD(model, X), before) < 3


@pytest.mark.parametrize("name", SMALL)
def test_every_family_coarsens(name: str):
    model = trained(SMALL[name], (2, 1))
    refine.coarsen(model, 2)
    assert resolution(model.layers[0].basis) == 2
    assert np.isfinite(np.asarray(FORWARD(model, X))).all()


def test_a_compiled_function_sees_a_moved_grid():
    model = trained(ew.BSpline(3, 6, knots="free"), (2, 1))
    traces = []

    @nnx.jit
    def forward(model, x):
        traces.append(1)
        return model(x)

    forward(model, X)
    refine.adapt(model, X**3)
    np.testing.assert_allclose(forward(model, X), model(X), atol=1e-6)
    assert len(traces) == 1  # same shapes: not traced again, and no stale grid
    refine.extend(model, 9)
    np.testing.assert_allclose(forward(model, X), model(X), atol=1e-6)
    forward(model, X)
    assert len(traces) == 2


HARD = {
    "fewer samples than cells": np.array([[0.1, 0.2], [0.3, -0.4], [0.5, 0.9]], np.float32),
    "repeated points": np.repeat(np.array([[0.1, 0.2], [0.3, -0.4]], np.float32), 50, axis=0),
    "a constant column": np.stack([np.full(100, 0.3), X[:100, 1]], axis=1).astype(np.float32),
    "one sample": np.array([[0.2, -0.7]], np.float32),
    "binary": (X > 0).astype(np.float32),
    "all outside": X + 5.0,
    "integers": (3 * X).astype(int),
}


@pytest.mark.parametrize("basis", [ew.BSpline(3, 8), ew.RBF(8)], ids=str)
@pytest.mark.parametrize("case", HARD)
def test_hard_data_leave_finite_coefficients_and_the_function(case: str, basis):
    x, outcome = HARD[case], []
    for refinement in (lambda m: refine.adapt(m, x), lambda m: refine.extend(m, 16, x)):
        model = trained(basis, (2, 1), spread=0.1)
        before = np.asarray(FORWARD(model, np.asarray(x, np.float32)))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            refinement(model)
        outcome.append([warning for warning in caught if warning.category is refine.RefinementWarning])
        for leaf in jax.tree.leaves(nnx.state(model)):
            assert np.isfinite(np.asarray(leaf)).all()
        change = np.abs(np.asarray(FORWARD(model, np.asarray(x, np.float32))) - before).max()
        assert change < 0.02 * max(np.abs(before).max(), 0.1), (case, change)
    assert all(outcome) == (case != "all outside")


BAD = {
    "smaller": (lambda m: refine.extend(m, 2), EdgewiseError, "coarsen"),
    "larger": (lambda m: refine.coarsen(m, 9), EdgewiseError, "extend"),
    "one size too few": (lambda m: refine.extend(m, [6]), ShapeError, "1 sizes for 2 layers"),
    "no whole number": (lambda m: refine.extend(m, 6.5), EdgewiseError, "must be an integer"),
    "width of x": (lambda m: refine.adapt(m, X[:, :1]), ShapeError, "expected"),
    "not finite": (lambda m: refine.extend(m, 6, X * np.nan), DataError, "not finite"),
    "no data": (lambda m: refine.adapt(m, None), EdgewiseError, "needs data"),
    "no basis": (lambda m: refine.change_basis(m, "chebyshev"), EdgewiseError, "is not a basis"),
    "bases of the wrong number": (lambda m: refine.change_basis(m, [ew.RBF()] * 3), ShapeError, "3 bases for 2"),
    "adaptivity": (lambda m: refine.adapt(m, X, adaptivity=2), EdgewiseError, "between 0 and 1"),
    "by": (lambda m: refine.adapt(m, X, by="curvatur"), EdgewiseError, "did you mean 'curvature'"),
    "no model": (lambda m: refine.extend(3, 6), EdgewiseError, "no nnx.Module"),
    "no layers": (lambda m: refine.extend(nnx.Linear(2, 1, rngs=nnx.Rngs(0)), 6), EdgewiseError, "has no KANLayer"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_leaves_the_model_as_it_was(case: str):
    act, error, words = BAD[case]
    model = trained(ew.BSpline(3, 4))
    before = jax.tree.map(np.asarray, nnx.state(model))
    with pytest.raises(error, match=words):
        act(model)
    assert [layer.basis for layer in model.layers] == [ew.BSpline(3, 4)] * 2
    jax.tree.map(np.testing.assert_array_equal, before, jax.tree.map(np.asarray, nnx.state(model)))


def test_a_basis_that_cannot_be_projected_says_so():
    class Logarithms(ew.Basis):
        size = 3

        def modes(self, x, state):
            return [jnp.log(x), x, x * x]

    model = trained(ew.BSpline(3, 4))
    before = np.asarray(FORWARD(model, X))
    with pytest.raises(EdgewiseError, match="is not finite everywhere"):
        refine.change_basis(model, Logarithms())
    np.testing.assert_array_equal(FORWARD(model, X), before)


def test_layers_that_share_functions_keep_sharing_them(tmp_path):
    model = ew.ActNet(2, 1, ew.BSpline(3, 3), width=3, depth=2, rngs=nnx.Rngs(0))
    before = FORWARD(model, X)
    refine.extend(model, 6, X)
    assert model.layers[0].coef.shape == (9, 1, 3)
    assert relative(FORWARD(model, X), before) < 1e-5
    assert not refine.adapt(model, X).changes  # one function cannot follow what reaches each of its edges
    ew.save_model(model, tmp_path / "model.npz")
    np.testing.assert_array_equal(ew.load_model(tmp_path / "model.npz")(X), model(X))
    refine.change_basis(model, ew.Chebyshev(20), X)
    assert model.layers[0].coef.shape[1] == 1


def test_a_family_without_a_resolution_says_so():
    class Fixed(ew.Basis):
        size = 3

        def modes(self, x, state):
            return [x, x * x, x**3]

    model = ew.KAN([2, 1], Fixed(), rngs=nnx.Rngs(0))
    with pytest.raises(EdgewiseError, match="no field 'size'"):
        refine.extend(model, 5)
    refine.change_basis(model, ew.Chebyshev(4, squash=None))  # but it can be left


def test_a_refined_model_is_saved_and_loaded(tmp_path):
    model = trained(ew.BSpline(3, 4))
    refine.extend(model, 7, X)
    ew.save_model(model, tmp_path / "model.npz")
    np.testing.assert_array_equal(ew.load_model(tmp_path / "model.npz")(X), model(X))


def test_importance_is_a_share_of_the_data():
    x = np.random.default_rng(0).beta(2, 5, (4000, 1))
    importance = Importance.of(x, np.ones_like(x), np.array([[0.0, 1.0]]), 0.99)
    np.testing.assert_allclose(importance.spread(5)[0], np.quantile(x, [0, 0.25, 0.5, 0.75, 1]), atol=0.2)
    np.testing.assert_allclose(importance.spread(5)[0, 1:-1], np.quantile(x, [0.25, 0.5, 0.75]), atol=0.02)


@pytest.mark.parametrize("basis", [ew.RBF(4), ew.BSpline(3, 4) | ew.Hermite(2)], ids=str)
def test_shared_and_nested_layers_are_found(basis):
    class Twice(nnx.Module):
        def __init__(self):
            self.inner = nnx.Dict({"a": ew.KANLayer(2, 2, basis, rngs=nnx.Rngs(0))})

        def __call__(self, x):
            return self.inner["a"](self.inner["a"](x))

    model = Twice()
    assert list(layers_of(model)) == [("inner", "a")]
    before = model(X)
    refine.extend(model, 6, X)
    assert relative(model(X), before) < 1e-5
    assert isinstance(model.inner["a"].basis, Concatenated | ew.RBF)
