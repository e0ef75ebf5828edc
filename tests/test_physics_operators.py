"""Operators against exact derivatives in float64: of every family, of polynomials and sines, of closed formulas."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.interpolate import BSpline as ScipySpline

from edgewise import bases
from edgewise.errors import EdgewiseError, ShapeError
from edgewise.models import KAN
from edgewise.nn import KANLayer
from edgewise.physics.operators import (
    curl,
    derivative,
    divergence,
    grad,
    hessian_diag,
    laplacian,
    taylor,
    time_derivative,
)
from references import ROWS, Row

# one row a formula of evaluation; those of many modes compile for minutes
NAMES = [
    "chebyshev-6-tanh",
    "chebyshev2-20-affine",
    "legendre-6-tanh",
    "jacobi-6-tanh",
    "jacobi_uneven-6-tanh",
    "bernstein-6-tanh",
    "hermite-5",
    "bspline-2-5",
    "bspline-3-5",
    "bspline-5-200",
    "bspline-moved",
    "bspline-free-3-5-1",
    "bspline-free-3-8-3",
    "fourier-5",
    "fourier-period",
    "rbf-gaussian",
    "rbf-matern52",
    "rswaf",
    "sine",
    "wavelet-mexican_hat",
    "wavelet-meyer",
    "relu_bump-3-5",
    "rational-5-4",
]
CHOSEN = [row for row in ROWS if row.name in NAMES]


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def layer_of(basis, state=None, n_in=1, n_out=2) -> KANLayer:
    """A layer with known coefficients, without residual or bias: y_j = sum_m c_jm B_m(x)."""
    options = {"residual": None, "bias": False, "param_dtype": jnp.float64, "rngs": nnx.Rngs(0)}
    layer = KANLayer(n_in, n_out, basis, **options)
    shape = layer.coef[...].shape
    layer.coef[...] = jnp.asarray(np.random.default_rng(7).normal(size=shape))
    for name, value in (state or {}).items():
        layer.basis_state[name][...] = jnp.asarray(np.reshape(value, layer.basis_state[name][...].shape))
    return layer


def points(n=50, d=2, low=-1.0, high=1.0, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, (n, d))


def close(got, expected, tolerance=1e-10):
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    assert got.dtype == np.float64
    assert np.abs(got - expected).max() <= tolerance * max(1.0, np.abs(expected).max())


def three_of(layer, x):
    """u, u_x, u_xx by every operator that gives them."""
    return (*taylor(layer, x, 0, 2), derivative(layer, x, 0), derivative(layer, x, 0, 0), laplacian(layer, x))


@pytest.mark.parametrize("row", CHOSEN, ids=lambda row: row.name)
def test_first_and_second_derivatives_of_every_family(row: Row):
    assert len(CHOSEN) == len(NAMES)
    layer = layer_of(row.basis, row.state)
    x = row.points(99)
    state = {name: np.asarray(variable[...]).reshape(-1) for name, variable in layer.basis_state.items()}
    expected = [np.asarray(part) @ np.asarray(layer.coef[...])[:, 0] for part in row.reference(x, state)]
    got = jax.jit(lambda x: three_of(layer, x))(x[:, None])
    for order, values in zip((0, 1, 2, 1, 2, 2), got, strict=True):
        smooth = row.smooth_at(x, order)
        close(values[smooth], expected[order][smooth], 1e-9)


def test_the_rows_cover_every_family():
    families = {type(row.basis).__name__ for row in CHOSEN}
    built_in = {basis.__name__ for basis in bases.FAMILIES.values()}
    assert built_in <= families


def polynomial(kind):
    return lambda m, order: lambda t: kind.basis(m).deriv(order)(t) if order else kind.basis(m)(t)


def trigonometric(m, order):
    """cos kx, k = 1..3, then sin kx."""
    k, phase = m % 3 + 1, (0 if m < 3 else -np.pi / 2)
    return lambda t: k**order * np.cos(k * t + phase + order * np.pi / 2)


HIGH = {
    "chebyshev": (bases.Chebyshev(6, None), polynomial(np.polynomial.Chebyshev)),
    "legendre": (bases.Legendre(6, None), polynomial(np.polynomial.Legendre)),
    "fourier": (bases.Fourier(3), trigonometric),
}


@pytest.mark.parametrize("name", HIGH)
def test_third_and_fourth_derivatives(name):
    basis, exact = HIGH[name]
    layer, x = layer_of(basis), points(40, 1)
    coef = np.asarray(layer.coef[...])[:, 0]
    got = jax.jit(lambda x: (*taylor(layer, x, 0, 4), derivative(layer, x, 0, 0, 0), time_derivative(layer, x, 4)))(x)
    for order, values in zip((0, 1, 2, 3, 4, 3, 4), got, strict=True):
        close(values, np.stack([exact(m, order)(x[:, 0]) for m in range(len(coef))], -1) @ coef)


def test_third_and_fourth_derivatives_of_sines():
    w, p = np.array([0.3, -1.0, 2.5]), np.array([0.2, 1.0, 0.0])
    layer, x = layer_of(bases.Sine(3), {"frequency": w, "phase": p}), points(40, 1)
    mean = np.exp(-(w**2) / 2) * np.sin(p)
    deviation = np.sqrt(0.5 - np.exp(-2 * w**2) * np.cos(2 * p) / 2 - mean**2)
    got = jax.jit(lambda x: taylor(layer, x, 0, 4))(x)
    for order in (3, 4):
        modes = w**order * np.sin(w * x + p + order * np.pi / 2) / deviation
        close(got[order], modes @ np.asarray(layer.coef[...])[:, 0])


def test_fifth_degree_splines_have_four_derivatives():
    layer, x = layer_of(bases.BSpline(5, 6)), points(40, 1)
    knots = -1 + np.arange(-5, 12) / 3
    exact = ScipySpline(knots, np.asarray(layer.coef[...])[:, 0], 5)
    for order, values in enumerate(jax.jit(lambda x: taylor(layer, x, 0, 4))(x)):
        close(values, exact(x[:, 0], order))


# --- closed formulas -----------------------------------------------------------------------------------------------

A, B = 1.3, -0.7


def wave(x):
    return jnp.sin(A * x[:, :1]) * jnp.exp(B * x[:, 1:2])


@pytest.mark.parametrize("axes", [(), (1,), (0, 1), (1, 0), (0, 0, 1), (1, 0, 1), (0, 1, 0, 1), (0, 0, 0, -1)])
def test_mixed_derivatives(axes):
    x = points()
    i = sum(a == 0 for a in axes)
    j = len(axes) - i
    exact = A**i * np.sin(A * x[:, :1] + i * np.pi / 2) * B**j * np.exp(B * x[:, 1:])
    close(derivative(wave, x, *axes), exact)


def test_gradient_and_second_derivatives_of_several_components():
    u = lambda x: jnp.concatenate([wave(x), x[:, :1] ** 2 * x[:, 1:] ** 3], axis=1)
    x = points()
    s, t = x[:, 0], x[:, 1]
    e, sin, cos = np.exp(B * t), np.sin(A * s), np.cos(A * s)
    slopes = np.stack([np.stack([A * cos * e, B * sin * e], -1), np.stack([2 * s * t**3, 3 * s**2 * t**2], -1)], 1)
    second = np.stack([np.stack([-A * A * sin * e, B * B * sin * e], -1), np.stack([2 * t**3, 6 * s**2 * t], -1)], 1)
    close(grad(u, x), slopes)
    close(grad(u, x, axes=[1]), slopes[..., 1:])
    close(grad(u, x, axes=(1, 0)), slopes[..., ::-1])
    close(hessian_diag(u, x), second)
    close(hessian_diag(u, x, axes=1), second[..., 1:])
    close(laplacian(u, x), second.sum(-1))
    close(laplacian(u, x, axes=(0,)), second[..., 0])
    close(time_derivative(u, x), slopes[..., 0])
    close(time_derivative(u, x, order=2, axis=1), second[..., 1])
    close(time_derivative(u, x, order=0), u(x))


def test_fields_in_the_plane_beside_time():
    """t, x, y with the field (x^2 y, t y^3) of the last two."""
    u = lambda x: jnp.concatenate([x[:, 1:2] ** 2 * x[:, 2:], x[:, :1] * x[:, 2:] ** 3], axis=1)
    x = points(d=3)
    t, a, b = x.T
    close(divergence(u, x, axes=(1, 2)), (2 * a * b + 3 * t * b**2)[:, None])
    close(curl(u, x, axes=(1, 2)), -(a[:, None] ** 2))


def test_identities_of_vector_calculus():
    field = lambda x: jnp.stack([x[:, 1] * x[:, 2] ** 2, jnp.sin(x[:, 0] * x[:, 2]), jnp.exp(x[:, 0]) * x[:, 1]], 1)
    potential = lambda x: jnp.sin(x[:, :1]) * x[:, 1:2] ** 2 * jnp.exp(x[:, 2:])
    x = points(d=3)
    slope = lambda x: grad(potential, x)[:, 0]
    close(divergence(slope, x), laplacian(potential, x))
    close(curl(slope, x), np.zeros((50, 3)))
    rotation = lambda x: curl(field, x)
    close(divergence(rotation, x), np.zeros((50, 1)))
    # curl curl = grad div - laplacian
    close(curl(rotation, x), grad(lambda x: divergence(field, x), x)[:, 0] - laplacian(field, x))
    s, t, r = x.T
    expected = [np.exp(s) - s * np.cos(s * r), 2 * t * r - np.exp(s) * t, r * np.cos(s * r) - r**2]
    close(curl(field, x), np.stack(expected, 1))


def test_operators_compose():
    """The biharmonic operator, as the laplacian of a laplacian."""
    x = points()
    close(laplacian(lambda x: laplacian(wave, x), x), (B**2 - A**2) ** 2 * np.asarray(wave(x)))


# --- models --------------------------------------------------------------------------------------------------------


def burgers(u, x):
    value, u_x, u_xx = taylor(u, x, 1, 2)
    return time_derivative(u, x) + value * u_x - 0.01 * u_xx


def korteweg_de_vries(u, x):
    value, u_x, _, u_xxx = taylor(u, x, 1, 3)
    return time_derivative(u, x) + value * u_x + 0.02 * u_xxx


CASES = {
    "third order": (korteweg_de_vries, bases.Chebyshev(3)),
    "splines": (burgers, bases.BSpline(3, 3)),
    "joined": (burgers, bases.Chebyshev(3) | bases.Fourier(2)),
}


@pytest.mark.slow
@pytest.mark.parametrize(("residual", "basis"), CASES.values(), ids=CASES)
def test_gradients_of_parameters_through_residuals(residual, basis):
    """Forward mode against reverse mode, and both against finite differences."""
    model = KAN([2, 2, 1], basis, residual=None, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    x = points(20)
    loss = jax.jit(lambda params: jnp.mean(residual(nnx.merge(graphdef, params, rest), x) ** 2))
    rng = np.random.default_rng(1)
    direction = jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape)), params)
    step = lambda h: loss(jax.tree.map(lambda p, d: p + h * d, params, direction))
    h = 1e-3
    difference = (8 * (step(h) - step(-h)) - (step(2 * h) - step(-2 * h))) / (12 * h)
    forward = jax.jvp(loss, (params,), (direction,))[1]
    reverse = jax.tree.map(lambda g, d: jnp.sum(g * d), jax.grad(loss)(params), direction)
    close(sum(jax.tree.leaves(reverse)), forward)
    close(forward, difference, 1e-7)


class Equation(nnx.Module):
    """A residual inside a module."""

    def __init__(self, u):
        self.u = u

    def __call__(self, x):
        return laplacian(self.u, x) + self.u(x)


def test_a_model_as_jax_derives_it():
    model = KAN([2, 3, 2], bases.Legendre(4), residual=None, param_dtype=jnp.float64, rngs=nnx.Rngs(3))
    x = points(10)

    @jax.jit
    def expected(x):
        one = lambda p: model(p[None])[0]
        return jax.vmap(jax.jacrev(one))(x), jax.vmap(jax.hessian(one))(x)

    jacobian, hessian = expected(x)
    got = jax.jit(lambda x: (grad(model, x), derivative(model, x, 0, 1), Equation(model)(x)))(x)
    for values, exact in zip(got, (jacobian, hessian[:, :, 0, 1]), strict=False):
        close(values, exact)
    close(got[2], np.trace(hessian, axis1=2, axis2=3) + model(x))
    close(nnx.jit(lambda equation, x: equation(x))(Equation(model), x), got[2])


@pytest.mark.parametrize("basis", [bases.Fourier(3), bases.RSWAF(6)], ids=str)
def test_float32_stays_float32(basis):
    model = KAN([2, 2, 1], basis, residual=None, rngs=nnx.Rngs(0), param_dtype=jnp.float32)
    x = points().astype(np.float32)
    double = jax.tree.map(lambda p: p.astype(jnp.float64) if p.dtype == jnp.float32 else p, nnx.state(model))
    wide = nnx.merge(nnx.graphdef(model), double)
    exact = jax.jit(lambda x: taylor(wide, x, 1, 2))(x.astype(np.float64))
    for got, expected in zip(jax.jit(lambda x: taylor(model, x, 1, 2))(x), exact, strict=True):
        assert got.dtype == jnp.float32
        assert np.abs(got - expected).max() < 1e-4 * max(1.0, np.abs(expected).max())


def test_points_may_be_whole_numbers_and_values_constant():
    x = np.arange(6).reshape(3, 2)
    close(derivative(lambda x: x[:, :1] ** 3, x, 0), 3.0 * x[:, :1] ** 2)
    close(grad(lambda x: jnp.ones((3, 1)), x), np.zeros((3, 1, 2)))


# --- errors --------------------------------------------------------------------------------------------------------

OPERATORS = {
    "derivative": lambda u, x: derivative(u, x, 0),
    "taylor": lambda u, x: taylor(u, x, 0, 2),
    "grad": grad,
    "divergence": divergence,
    "curl": curl,
    "hessian_diag": hessian_diag,
    "laplacian": laplacian,
    "time_derivative": time_derivative,
}


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
def test_a_missing_axis_of_values(operator):
    with pytest.raises(ShapeError, match=r"\[n\] beside \[n, 1\] broadcasts to \[n, n\](.|\n)*\[:, None\]"):
        jax.jit(lambda x: operator(lambda x: x[:, 0] ** 2, x))(points())
    with pytest.raises(ShapeError, match=r"points of shape \(50,\)"):
        operator(wave, points()[:, 0])
    with pytest.raises(EdgewiseError, match="cannot be called"):
        operator(points(), points())


@pytest.mark.parametrize("values", [lambda x: x[:1], lambda x: x[..., None], lambda x: 1.0, lambda x: (x, x)])
def test_other_wrong_values(values):
    with pytest.raises(ShapeError, match="u returned"):
        derivative(values, points(), 0)


def test_axes_that_are_not_there():
    x = points()
    for call in (
        lambda: derivative(wave, x, 0, 2),
        lambda: derivative(wave, x, -3),
        lambda: taylor(wave, x, 1.0, 2),
        lambda: grad(wave, x, axes=(0, 2)),
        lambda: time_derivative(wave, x, axis=5),
        lambda: derivative(wave, x, True),
    ):
        with pytest.raises(EdgewiseError, match="valid axes: 0, 1"):
            call()
    with pytest.raises(EdgewiseError, match="not different"):
        laplacian(wave, x, axes=(1, -1))
    with pytest.raises(EdgewiseError, match="not different"):
        grad(wave, x, axes=())
    with pytest.raises(EdgewiseError, match="order must be at least 0"):
        taylor(wave, x, 0, -1)


def test_components_that_do_not_pair_with_the_axes():
    x = points(d=3)
    pair = lambda x: x[:, :2]
    with pytest.raises(ShapeError, match=r"divergence of 2 components along 3 axes(.|\n)*axes=\(1, 2\)"):
        divergence(pair, x)
    with pytest.raises(ShapeError, match="curl of 2 components along 3 axes"):
        curl(pair, x)
    with pytest.raises(ShapeError, match="curl along 1 axes"):
        curl(lambda x: x[:, :1], x, axes=[0])
