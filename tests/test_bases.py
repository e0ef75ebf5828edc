"""Every family against its independent reference, and the promises that all families keep.

Tolerances.  Values: 1e-12 in float64 and 1e-5 in float32, times max(1, the mode's largest magnitude on the interval):
absolute for the families bounded by 1 (T_n, P_n, splines, Fourier, ...), relative where modes grow with their degree
(U_n, Jacobi with large exponents, rational functions).  Derivatives in float32: 1e-4 of the mode's largest derivative
on the interval.  The reference is evaluated in float64 at the very float32 inputs and state that the family gets.
"""

from __future__ import annotations

import json
import pickle
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import chebyt, chebyu, jacobi, legendre, roots_hermite, roots_jacobi

from edgewise.bases import (
    FAMILIES,
    RBF,
    RSWAF,
    Basis,
    Bernstein,
    BSpline,
    Chebyshev,
    Concatenated,
    Fourier,
    Hermite,
    Jacobi,
    Legendre,
    Rational,
    ReLUBump,
    Sine,
    Wavelet,
    from_config,
    parse,
)  # fmt: skip
from edgewise.errors import EdgewiseError
from references import ROWS, Row, free_knots, spline, spline_elements

POINTS = 300
KEY = jax.random.key(0)
SOME = jnp.asarray(np.random.default_rng(0).uniform(-2.5, 2.5, (6, 2)), jnp.float32)
UNROLLED = (Chebyshev, Legendre, Jacobi, Bernstein, Hermite, Fourier)

EXAMPLES = {
    "bspline": BSpline(),
    "bspline-1": BSpline(1, 4, (-0.5, 2.0)),
    "bspline-clip": BSpline(2, 6, extrapolate="clip"),
    "bspline-zero": BSpline(extrapolate="zero"),
    "bspline-free": BSpline(knots="free"),
    "bspline-free-zero": BSpline(2, 4, knots="free", extrapolate="zero"),
    "chebyshev": Chebyshev(),
    "chebyshev2": Chebyshev(kind=2, squash="affine", domain=(-2.0, 3.0)),
    "legendre": Legendre(),
    "jacobi": Jacobi(alpha=0.5, beta=-0.5),
    "hermite": Hermite(),
    "bernstein": Bernstein(),
    "fourier": Fourier(period=3.0),
    "rbf": RBF(),
    "rbf-matern32": RBF(kernel="matern32"),
    "rswaf": RSWAF(),
    "sine": Sine(),
    **{f"wavelet-{kind}": Wavelet(kind=kind) for kind in ("mexican_hat", "morlet", "dog", "shannon", "meyer")},
    "relu_bump": ReLUBump(),
    "relu_bump-3": ReLUBump(order=3),
    "rational": Rational(),
    "rational-odd": Rational(4, 3),
    "joined": Chebyshev(3) | Fourier(2) | Sine(2),
}
every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
every_basis = pytest.mark.parametrize("basis", EXAMPLES.values(), ids=EXAMPLES.keys())


def state_of(row: Row, dtype) -> dict:
    """The row's state for one input node; families that share a state among nodes keep it without a leading axis."""
    initial = row.basis.init(1, key=KEY)
    given = {name: np.asarray(value) for name, value in initial.items()} if row.state is None else row.state
    return {name: jnp.asarray(np.reshape(given[name], initial[name].shape), dtype) for name in initial}


def reference_of(row: Row, x: np.ndarray, state) -> list[np.ndarray]:
    plain = {name: np.asarray(value, np.float64).reshape(-1) for name, value in state.items()}
    return [np.asarray(part, np.float64) for part in row.reference(np.asarray(x, np.float64), plain)]


def compiled(row: Row, function):
    """Recurrences of many steps compile for longer than they run operation by operation."""
    return function if isinstance(row.basis, UNROLLED) and row.basis.size > 10 else jax.jit(function)


evaluate = jax.jit(lambda basis, x, state: basis(x, state), static_argnums=0)


def slope(function):
    """The derivative of an elementwise function, in forward mode."""
    return lambda x: jax.jvp(function, (x,), (jnp.ones_like(x),))[1]


def states_of(basis, n_in: int):
    """An initial state whose nodes differ."""
    state = basis.init(n_in, key=KEY)
    steps = jnp.linspace(1.0, 1.2, n_in)
    return {name: v * steps.reshape(-1, *[1] * (v.ndim - 1)) if v.ndim > 1 else v for name, v in state.items()}


# --- against the references ----------------------------------------------------------------------------------------


@every_row
def test_values_in_float64(row: Row):
    x = row.points(POINTS)
    with jax.enable_x64(True):
        state = state_of(row, jnp.float64)
        got = np.asarray(compiled(row, row.basis.__call__)(jnp.asarray(x)[:, None], state))[:, 0]
    expected = reference_of(row, x, state)[0]
    assert got.dtype == np.float64
    error = np.abs(got - expected) / np.maximum(1, np.abs(expected).max(axis=0))
    assert error.max() < 1e-12, (error.max(), x[np.unravel_index(error.argmax(), error.shape)[0]])


@cache
def expectation(row_name: str) -> tuple:
    row = next(row for row in ROWS if row.name == row_name)
    x = row.points(POINTS).astype(np.float32)
    state = state_of(row, jnp.float32)
    return x, state, reference_of(row, x, state)


def compare(row: Row, order: int, got: np.ndarray, x: np.ndarray, expected: np.ndarray, chosen=None):
    """Errors of one ``order`` of derivative, mode by mode, against the tolerance; ``chosen`` modes, one a point."""
    smooth = row.smooth_at(x.astype(np.float64), order)
    scale = np.abs(expected[smooth]).max(axis=0)
    scale = np.maximum(scale, 1) if order == 0 else np.where(scale == 0, 1, scale)
    if chosen is not None:
        scale, expected = scale[chosen], np.take_along_axis(expected, chosen[:, None], axis=1)[:, 0]
    error = (np.abs(got - expected) / scale)[smooth]
    worst = np.unravel_index(error.argmax(), error.shape)
    assert np.isfinite(got).all()
    assert error.max() < (1e-5 if order == 0 else 1e-4), (order, error.max(), x[smooth][worst[0]], worst)


@every_row
def test_values_and_derivatives_in_float32(row: Row):
    x, state, expected = expectation(row.name)

    def orders(x, state):
        value = lambda x: row.basis(x, state)
        (values, firsts), (_, seconds) = jax.jvp(lambda x: (value(x), slope(value)(x)), (x,), (jnp.ones_like(x),))
        return values, firsts, seconds

    got = [np.asarray(part)[:, 0] for part in compiled(row, orders)(jnp.asarray(x)[:, None], state)]
    for order in range(3):
        compare(row, order, got[order], x, expected[order])


@pytest.mark.parametrize("row", [row for row in ROWS if row.in_reverse], ids=lambda row: row.name)
def test_derivatives_in_reverse_mode(row: Row):
    """Every point looks at one mode: the gradient of their sum is that mode's derivative at that point."""
    x, state, expected = expectation(row.name)
    chosen = np.random.default_rng(0).permutation(POINTS) % row.basis.size

    def orders(x, state):
        def total(x):
            return jnp.take_along_axis(row.basis(x, state)[:, 0], jnp.asarray(chosen)[:, None], axis=1).sum()

        return jax.grad(total)(x), jax.grad(lambda x: jax.grad(total)(x).sum())(x)

    got = compiled(row, orders)(jnp.asarray(x)[:, None], state)
    for order in (1, 2):
        compare(row, order, np.asarray(got[order - 1])[:, 0], x, expected[order], chosen)


@pytest.mark.parametrize("case", [(1e-6, 0.3), (0.0, 0.3), (0.02, 1.5), (-0.3, 2.0)], ids=str)
def test_gradient_of_a_sine_in_its_frequency_and_phase(case):
    """Central differences in float64, also across frequency 0."""
    x = np.linspace(-3, 3, 21)[:, None]

    def mode(frequency, phase, dtype=jnp.float64):
        state = {"frequency": jnp.asarray([frequency], dtype), "phase": jnp.asarray([phase], dtype)}
        return Sine(1)(jnp.asarray(x, dtype), state)[:, 0, 0]

    got = jax.jacfwd(lambda w, p: mode(w, p, jnp.float32), (0, 1))(*(jnp.float32(value) for value in case))
    frequency, phase = (float(np.float32(value)) for value in case)
    with jax.enable_x64(True):
        h = 1e-5
        # the family is odd in its frequency: at 0 it jumps, and the derivative is that of the right branch
        if abs(frequency) < h:
            a, b, c = (mode(frequency + j * h, phase) for j in range(3))
            by_frequency = (-3 * a + 4 * b - c) / (2 * h)
        else:
            by_frequency = (mode(frequency + h, phase) - mode(frequency - h, phase)) / (2 * h)
        by_phase = (mode(frequency, phase + h) - mode(frequency, phase - h)) / (2 * h)
    for ours, expected in zip(got, (by_frequency, by_phase), strict=True):
        expected = np.asarray(expected)
        np.testing.assert_allclose(np.asarray(ours), expected, atol=1e-4 * max(1, np.abs(expected).max()))


# --- promises of every family --------------------------------------------------------------------------------------


@every_basis
def test_shapes_and_dtypes(basis):
    """Any leading batch shape; the dtype of the input, whatever that of the state."""
    n_in = 3
    with jax.enable_x64(True):
        state = {name: value.astype(jnp.float32) for name, value in basis.init(n_in, key=KEY).items()}
        for batch in ((), (4,), (2, 3)):
            for dtype in (jnp.bfloat16, jnp.float32, jnp.float64):
                x = jax.ShapeDtypeStruct((*batch, n_in), dtype)
                modes = jax.eval_shape(lambda x: list(basis.modes(x, state)), x)
                assert [(mode.shape, mode.dtype) for mode in modes] == [(x.shape, x.dtype)] * basis.size
                stacked, called = (jax.eval_shape(f, x, state) for f in (basis.stacked, basis.__call__))
                assert (stacked.shape, stacked.dtype) == ((*batch, basis.size, n_in), dtype)
                assert (called.shape, called.dtype) == ((*batch, n_in, basis.size), dtype)


@every_basis
def test_eager_jit_vmap_modes_and_a_loop_agree(basis):
    state = states_of(basis, 2)
    x = SOME
    eager = np.asarray(basis(x, state))
    function = jax.jit(basis.__call__)
    others = {
        "jit": function(x, state),
        "vmap": jax.jit(jax.vmap(basis, (0, None)))(x, state),
        "loop": np.stack([function(row, state) for row in x]),
        "modes": np.stack(jax.jit(basis.modes)(x, state), axis=-1),
        "stacked": np.moveaxis(basis.stacked(x, state), -2, -1),
    }
    for name, other in others.items():
        np.testing.assert_allclose(other, eager, atol=3e-6 * max(1, np.abs(eager).max()), err_msg=name)


@every_basis
def test_half_precision_stays_near(basis):
    state = basis.init(2, key=KEY)
    x = jnp.linspace(-1, 1, 12).reshape(6, 2).astype(jnp.bfloat16)
    exact = np.asarray(basis(x.astype(jnp.float32), state))
    got = np.asarray(jax.jit(basis.__call__)(x, state), np.float32)
    np.testing.assert_allclose(got, exact, atol=0.1 * max(1, np.abs(exact).max()))


@every_basis
def test_integers_and_booleans_become_floats(basis):
    state = basis.init(2, key=KEY)
    given = np.array([[0, 1]] * 6)
    expected = np.asarray(basis(jnp.asarray(given, jnp.float32), state))
    for x in (given, given.astype(bool)):
        np.testing.assert_array_equal(np.asarray(basis(x, state)), expected)


@pytest.mark.parametrize(
    "basis", [Chebyshev(64), Jacobi(64, alpha=-0.5, beta=2.0), Hermite(64), Bernstein(100), Fourier(64)]
)
def test_long_recurrences_survive_compilation(basis):
    """The sum of all modes and its gradient, as a layer needs them, compiled and not."""
    x = jnp.linspace(-2, 2, 201)[:, None]

    def total(x):
        return sum((mode / basis.size for mode in basis.modes(x, {})), jnp.zeros(()))

    for function in (total, lambda x: jax.grad(lambda x: total(x).sum())(x)):
        eager = np.asarray(function(x))
        np.testing.assert_allclose(np.asarray(jax.jit(function)(x)), eager, atol=1e-5 * max(1, np.abs(eager).max()))


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="kernels of XLA's CPU compiler")
@pytest.mark.parametrize("family", [Chebyshev, Jacobi])
def test_no_kernel_repeats_a_long_recurrence(family):
    """The longest kernel does not grow with the degree: each mode starts from values stored on the way to it."""

    def longest(degree):
        basis, x = family(degree), jnp.zeros((32, 8))
        text = jax.jit(lambda x: basis.stacked(x, {})).lower(x).compile().as_text()
        return max(len(part.splitlines()) for part in text.split("\n\n") if "%fused_computation" in part[:30])

    assert longest(96) <= longest(48)


@pytest.mark.parametrize(
    ("basis", "polynomial"),
    [
        (Chebyshev(1, squash=None), chebyt),
        (Chebyshev(5, squash=None), chebyt),
        (Chebyshev(9, squash=None), chebyt),
        (Chebyshev(6, squash=None, kind=2), chebyu),
        (Legendre(4, squash=None), legendre),
        (Legendre(8, squash=None), legendre),
        (Jacobi(5, squash=None, alpha=0.3, beta=1.2), lambda n: jacobi(n, 0.3, 1.2)),
        (Jacobi(9, squash=None, alpha=0.3, beta=1.2), lambda n: jacobi(n, 0.3, 1.2)),
    ],
    ids=lambda part: str(part) if isinstance(part, Basis) else "",
)
def test_polynomials_have_exact_derivatives_of_every_order(basis, polynomial):
    t = np.linspace(-1, 1, 21)
    derivative = lambda x: basis(x[:, None])[:, 0]
    with jax.enable_x64(True):
        for order in range(5):
            expected = np.stack([np.polyval(polynomial(n).deriv(order).coeffs, t) for n in range(basis.size)], axis=1)
            got = np.asarray(derivative(jnp.asarray(t)))
            np.testing.assert_allclose(got, expected, atol=1e-10 * max(1, np.abs(expected).max()))
            weighted = lambda x, of=derivative: jnp.sum(of(x) * jnp.arange(1.0, basis.size + 1))
            backward = np.asarray(jax.grad(weighted)(jnp.asarray(t)))
            derivative = slope(derivative)
            forward = np.asarray(derivative(jnp.asarray(t))) @ np.arange(1.0, basis.size + 1)
            np.testing.assert_allclose(backward, forward, atol=1e-10 * max(1, np.abs(forward).max()))


def extremes(basis) -> np.ndarray:
    low, high = (np.float32(end) for end in basis.interval)
    ends = [low, high, *(np.nextafter(end, np.float32(to)) for end in (low, high) for to in (-9e9, 9e9))]
    middle = (low + high) / 2
    large = [1e-30, 1e-10, 0.5, 1, 5, 13, 30, 88, 89, 1e3, 1e4, 1e6, 1e8]
    return np.array([0.0, -0.0, middle, *ends, *large, *(-np.array(large))], np.float32)


def assert_finite_with_derivatives(basis, x: np.ndarray, state):
    """Values, first and second derivatives in x and in the state, forward and reverse."""
    x = jnp.asarray(x)[:, None]
    total = lambda x, state: basis(x, state).sum()

    @jax.jit
    def everything(x, state):
        value = lambda x: basis(x, state)
        return {
            "forward": jax.jvp(lambda x: (value(x), slope(value)(x)), (x,), (jnp.ones_like(x),)),
            "reverse": jax.grad(total, argnums=(0, 1))(x, state),
            "reverse over reverse": jax.grad(lambda x: jax.grad(total)(x, state).sum())(x),
        }

    for what, arrays in everything(x, state).items():
        for array in jax.tree.leaves(arrays):
            bad = ~np.isfinite(np.asarray(array))
            assert not bad.any(), (what, np.argwhere(bad)[:5], np.asarray(x).ravel())


@pytest.mark.parametrize("basis", [*EXAMPLES.values(), BSpline(7, 200)], ids=[*EXAMPLES.keys(), "bspline-fine"])
def test_values_and_gradients_are_finite_everywhere(basis):
    if basis.domain is not None and getattr(basis, "squash", None) == "affine":
        pytest.skip("an affine map leaves inputs outside the domain to the polynomials, which grow")
    assert_finite_with_derivatives(basis, extremes(basis), basis.init(1, key=KEY))


@pytest.mark.parametrize("family", [Chebyshev, Legendre, Jacobi, Hermite, Bernstein, Fourier])
def test_degree_64_is_finite_everywhere(family):
    basis = family(64)
    x = jnp.asarray(extremes(basis))[:, None]
    value = lambda x: basis(x, {})
    forward = jax.jvp(lambda x: (value(x), slope(value)(x)), (x,), (jnp.ones_like(x),))
    for array in (*jax.tree.leaves(forward), jax.grad(lambda x: value(x).sum())(x)):
        assert np.isfinite(np.asarray(array)).all()


AWKWARD_STATES = {
    "sine at rest": (Sine(4), {"frequency": [0.0, 0.0, 1e-20, -1e-8], "phase": [0.0, np.pi / 2, 1.0, np.pi / 2]}),
    "wavelet of no width": (Wavelet(3), {"shift": [[0.0, 1.0, 0.5]], "scale": [[0.0, 1e-9, -1e-5]]}),
    "shannon of no width": (Wavelet(3, "shannon"), {"shift": [[0.0, 1.0, 0.5]], "scale": [[0.0, 1e-9, -1e-5]]}),
    "meyer of no width": (Wavelet(3, "meyer"), {"shift": [[0.0, 1.0, 0.5]], "scale": [[0.0, 1e-9, -1e-5]]}),
    "empty bump": (
        ReLUBump(1, 2),
        {"start": [[0.0, 0.5, 1.0]], "end": [[0.0, 0.5, -1.0]], "width": [[2.0, 2.0, 2.0]]},
    ),
    "rational of zeros": (Rational(2, 1), {"numerator": [[0.0, 0.0, 0.0]], "denominator": [[0.0]]}),
    "constant denominator": (Rational(1, 2), {"numerator": [[1.0, 2.0]], "denominator": [[0.0, 0.0]]}),
    "polynomial": (Rational(12, 14), {"numerator": [[1.0] * 13], "denominator": [[0.0] * 14]}),
    "denominator without its last term": (
        Rational(5, 4),
        {"numerator": [[1.0] * 6], "denominator": [[0.1, 0.2, 0.3, 0.0]]},
    ),
    "rational that starts as the identity": (Rational(9, 8, start="identity"), None),
    "rational that starts as silu": (Rational(3, 5), None),
    "knots in one place": (
        BSpline(3, 4, knots="free"),
        {"knots": [[-4.0, -3.0, -2.0, -1.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0]]},
    ),
    "clamped knots": (
        BSpline(3, 4, knots="free"),
        {"knots": [[-1.0, -1.0, -1.0, -1.0, -0.5, 0.0, 0.5, 1.0, 1.0, 1.0, 1.0]]},
    ),
}


@pytest.mark.parametrize("case", AWKWARD_STATES)
def test_awkward_states_are_finite(case):
    basis, state = AWKWARD_STATES[case]
    state = basis.init(1, key=KEY) if state is None else state
    state = {name: jnp.asarray(value, jnp.float32) for name, value in state.items()}
    assert_finite_with_derivatives(basis, extremes(basis), state)


@every_basis
def test_a_moved_grid_is_seen_under_jit(basis):
    state = basis.init(2, key=KEY)
    if not state:
        pytest.skip("no state")
    x = SOME / 3
    function = jax.jit(basis.__call__)
    moved = {name: value * 1.3 + 0.05 for name, value in state.items()}
    before, after = np.asarray(function(x, state)), np.asarray(function(x, moved))
    np.testing.assert_allclose(after, np.asarray(basis(x, moved)), atol=1e-5)
    assert np.abs(after - before).max() > 1e-3
    assert function._cache_size() == 1


def test_a_rational_function_is_its_formula_where_that_stays_small_and_grows_no_faster_than_x_beyond():
    basis, x = Rational(5, 4), np.geomspace(0.1, 1e6, 71)[:, None]
    a, b = [0.5, -1.0, 2.0, 0.3, -0.2, 0.7], [0.2, -0.1, 0.3, 0.0]
    state = {"numerator": jnp.asarray([a]), "denominator": jnp.asarray([b])}
    polynomial = np.polynomial.polynomial.polyval
    expected = polynomial(x, a) / (1 + np.abs(x * polynomial(x, b)))
    got = np.asarray(basis(x, state))[..., 0]
    np.testing.assert_allclose(got, expected, rtol=1e-5)  # 0.3 x^3 is above 1e-12 x^4 all the way
    state["denominator"] = jnp.zeros((1, 4))
    near = x < 1e3
    got = np.asarray(basis(x, state))[..., 0]
    np.testing.assert_allclose(got[near], polynomial(x, a)[near], rtol=1e-5)
    assert (np.abs(got[~near]) < 1e12 * x[~near]).all()


@pytest.mark.parametrize(("p", "q"), [(5, 4), (9, 8)])
def test_a_rational_function_starts_as_the_identity_without_rounding(p, q):
    state = Rational(p, q, start="identity").init(1, key=KEY)
    np.testing.assert_allclose(state["numerator"], np.eye(p + 1)[[1]], atol=1e-6)
    assert np.count_nonzero(state["numerator"]) == 1


# --- splines -------------------------------------------------------------------------------------------------------


@given(
    degree=st.sampled_from([1, 3, 7]),
    intervals=st.sampled_from([1, 64]),
    kind=st.sampled_from(["uniform", "free"]),
    at=st.lists(st.floats(0, 1, width=32), min_size=8, max_size=8),
)
def test_splines_sum_to_one_on_the_closed_domain(degree, intervals, kind, at):
    basis = BSpline(degree, intervals, (-0.5, 2.0), knots=kind)
    x = -0.5 + 2.5 * np.array([0.0, 1.0, *at], np.float32)
    total = np.asarray(evaluate(basis, jnp.asarray(x, jnp.float32)[:, None], basis.init(1, key=KEY))).sum(axis=-1)
    np.testing.assert_allclose(total, 1, atol=1e-5)


@given(degree=st.sampled_from([1, 5, 20]), at=st.lists(st.floats(-1e6, 1e6, width=32), min_size=8, max_size=8))
def test_bernstein_polynomials_sum_to_one(degree, at):
    total = np.asarray(Bernstein(degree)(jnp.asarray([-1.0, 0.0, 1.0, *at])[:, None], {})).sum(axis=-1)
    np.testing.assert_allclose(total, 1, atol=1e-5)


@pytest.mark.parametrize("knots", ["uniform", "free"])
@pytest.mark.parametrize("degree", [1, 2, 3, 7])
def test_extrapolation_is_as_named(degree, knots):
    low, high, intervals = -0.5, 2.0, 4
    made = {name: BSpline(degree, intervals, (low, high), name, knots) for name in ("linear", "clip", "zero")}
    state = made["linear"].init(1, key=KEY)
    all_knots = low + (high - low) * np.arange(-degree, intervals + degree + 1) / intervals
    reference = spline(degree, intervals)
    x = np.concatenate([np.linspace(low - 2, low, 20), np.linspace(high, high + 2, 20)[1:]]).astype(np.float32)
    end = np.where(x <= low, low, high)
    # slopes from inside: a spline of degree 1 has a kink at the end
    inside = np.where(x <= low, low + 1e-9, high - 1e-9)
    value, slopes, _ = reference(end, {"knots": all_knots})
    slopes = reference(inside, {"knots": all_knots})[1] if degree == 1 else slopes
    got = {name: np.asarray(evaluate(basis, jnp.asarray(x)[:, None], state))[:, 0] for name, basis in made.items()}
    np.testing.assert_allclose(got["clip"], value, atol=1e-5)
    np.testing.assert_allclose(got["linear"], value + slopes * (x - end)[:, None], atol=5e-5)
    np.testing.assert_allclose(got["zero"], spline_elements(x.astype(float), all_knots, degree), atol=1e-5)


@pytest.mark.parametrize("basis", [BSpline(2), BSpline(3), BSpline(3, knots="free")], ids=["2", "3", "3-free"])
def test_linear_extrapolation_keeps_value_and_slope_at_the_ends(basis):
    state = basis.init(1, key=KEY)
    around = [np.nextafter(np.float32(end), np.float32(to)) for end in (-1, 1) for to in (-9, end, 9)]
    both = jax.jit(lambda x: (basis(x, state), slope(lambda x: basis(x, state))(x)))
    for array, tolerance in zip(both(jnp.asarray(around)[:, None]), (1e-5, 1e-4), strict=True):
        at_ends = np.asarray(array).reshape(2, 3, basis.size)
        np.testing.assert_allclose(np.ptp(at_ends, axis=1), 0, atol=tolerance)


def test_free_knots_where_the_uniform_ones_are_give_the_same_splines():
    x = jnp.linspace(-3, 3, 101)[:, None]
    for extrapolate in ("linear", "clip", "zero"):
        pair = [BSpline(3, 5, extrapolate=extrapolate, knots=knots) for knots in ("uniform", "free")]
        uniform, free = (np.asarray(evaluate(basis, x, basis.init(1, key=KEY))) for basis in pair)
        np.testing.assert_allclose(uniform, free, atol=2e-5)


def test_free_knots_are_those_of_each_node():
    knots = np.stack([free_knots(3, 5), free_knots(3, 5) * 2 + 1])
    x = np.linspace(-1, 1, 40, dtype=np.float32)[:, None] * [1, 2] + [0, 1]
    values = np.asarray(
        BSpline(3, 5, knots="free")(jnp.asarray(x, jnp.float32), {"knots": jnp.asarray(knots, jnp.float32)})
    )
    np.testing.assert_allclose(values[:, 0], values[:, 1], atol=1e-5)


# --- properties ----------------------------------------------------------------------------------------------------

points = st.lists(st.floats(-3, 3, width=32), min_size=8, max_size=8)


@given(at=points)
@pytest.mark.parametrize(
    "basis",
    [Chebyshev(6), Chebyshev(6, kind=2), Legendre(6), Jacobi(6, alpha=1.5, beta=1.5), Hermite(6)],
    ids=["chebyshev", "chebyshev2", "legendre", "jacobi", "hermite"],
)
def test_symmetric_families_alternate_in_parity(basis, at):
    x = jnp.asarray(at)[:, None]
    signs = (-1.0) ** np.arange(basis.size)
    left, right = np.asarray(basis(-x, {})), np.asarray(basis(x, {}))
    np.testing.assert_allclose(left, right * signs, atol=1e-6 * max(1, np.abs(right).max()))


@given(at=points)
def test_fourier_is_cosines_then_sines(at):
    x = jnp.asarray(at)[:, None]
    signs = np.array([1.0] * 4 + [-1.0] * 4)
    np.testing.assert_allclose(np.asarray(Fourier(4)(-x, {})), np.asarray(Fourier(4)(x, {})) * signs, atol=1e-5)


exponents = st.floats(-0.9, 3.0)


@given(alpha=exponents, beta=exponents)
def test_jacobi_polynomials_are_orthogonal(alpha, beta):
    check_orthogonal(Jacobi(10, None, alpha=alpha, beta=beta), alpha, beta)


@pytest.mark.parametrize(
    ("basis", "alpha", "beta"),
    [(Chebyshev(40, None), -0.5, -0.5), (Chebyshev(40, None, kind=2), 0.5, 0.5), (Legendre(40, None), 0.0, 0.0)],
    ids=["chebyshev", "chebyshev2", "legendre"],
)
def test_classical_polynomials_are_orthogonal(basis, alpha, beta):
    check_orthogonal(basis, alpha, beta)


def check_orthogonal(basis, alpha, beta):
    nodes, weights = roots_jacobi(basis.size + 1, alpha, beta)
    with jax.enable_x64(True):
        values = np.asarray(basis(jnp.asarray(nodes)[:, None], {}))[:, 0]
    gram = values.T @ (weights[:, None] * values)
    norms = np.sqrt(np.diag(gram))
    np.testing.assert_allclose(gram / np.outer(norms, norms), np.eye(basis.size), atol=1e-10)


def test_hermite_functions_are_orthonormal():
    nodes, weights = roots_hermite(70)
    with jax.enable_x64(True):
        values = np.asarray(Hermite(64)(jnp.asarray(nodes)[:, None], {}))[:, 0]
    values = values * np.exp(nodes**2 / 2)[:, None]
    np.testing.assert_allclose(values.T @ (weights[:, None] * values), np.eye(65), atol=1e-10)


@given(frequency=st.floats(-6, 6), phase=st.floats(-3, 3))
def test_sines_have_mean_0_and_variance_1_for_normal_inputs(frequency, phase):
    nodes, weights = np.arange(-10, 10, 0.02), 0.02 * np.exp(-(np.arange(-10, 10, 0.02) ** 2) / 2) / np.sqrt(2 * np.pi)
    with jax.enable_x64(True):
        state = {"frequency": jnp.asarray([frequency]), "phase": jnp.asarray([phase])}
        values = np.asarray(Sine(1)(jnp.asarray(nodes)[:, None], state))[:, 0, 0]
    np.testing.assert_allclose([weights @ values, weights @ values**2], [0, 1], atol=1e-9)


@pytest.mark.parametrize("kind", ["mexican_hat", "meyer", "shannon"])
def test_wavelets_with_a_unit_norm_have_it(kind):
    with jax.enable_x64(True):
        x = jnp.arange(-400, 400, 0.02) + 0.01
        values = Wavelet(1, kind)(x[:, None], {"shift": jnp.zeros((1, 1)), "scale": jnp.ones((1, 1))})
        assert float((values**2).sum()) * 0.02 == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("extrapolate", ["linear", "zero"])
@pytest.mark.parametrize("intervals", [1, 4, 5, 200])
def test_splines_of_degree_1_have_the_slope_from_inside_at_the_ends(intervals, extrapolate):
    knots, basis = np.linspace(-1, 1, intervals + 1, dtype=np.float32), BSpline(1, intervals, extrapolate=extrapolate)
    slopes = np.asarray(jax.vmap(jax.jacfwd(lambda x: basis(x[None])[0]))(knots)) * 2 / intervals
    np.testing.assert_array_equal(slopes[0], np.eye(intervals + 1)[1] - np.eye(intervals + 1)[0])
    np.testing.assert_array_equal(slopes[-1], np.eye(intervals + 1)[-1] - np.eye(intervals + 1)[-2])
    np.testing.assert_array_equal(slopes.sum(axis=1), 0)  # the values add up to 1


def test_breakpoints_are_where_the_functions_are_not_smooth():
    np.testing.assert_allclose(BSpline(3, 4).breakpoints(), [-1, -0.5, 0, 0.5, 1])
    np.testing.assert_allclose(BSpline(1, 2, extrapolate="zero").breakpoints(), [-2, -1, 0, 1, 2])
    np.testing.assert_allclose(ReLUBump(1, 4).breakpoints(), [-1.5, -1, -0.5, 0, 0.5, 1, 1.5])
    np.testing.assert_allclose((BSpline(3, 2) | ReLUBump(1, 4)).breakpoints(), [-1.5, -1, -0.5, 0, 0.5, 1, 1.5])
    np.testing.assert_allclose(RBF(3, kernel="matern32").breakpoints(), [-2, 0, 2])
    assert RBF(3).breakpoints() is None
    assert Chebyshev(3).breakpoints() is None


# --- values of a family as an object ------------------------------------------------------------------------------


@every_basis
def test_config_pickle_and_hash(basis):
    described = json.loads(json.dumps(basis.config))
    for copy in (from_config(basis.config), from_config(described), pickle.loads(pickle.dumps(basis))):
        assert copy == basis
        assert hash(copy) == hash(basis)
        assert copy.config == basis.config
    assert len({basis, from_config(described)}) == 1


def test_families_differ_where_their_parameters_do():
    assert len({*EXAMPLES.values(), Chebyshev(6), Chebyshev(5)}) == len(EXAMPLES) + 1


def test_has_constant_tells_the_first_mode():
    for basis in EXAMPLES.values():
        first = np.asarray(basis(SOME, basis.init(2, key=KEY)))[..., 0]
        assert basis.has_constant == bool((first == 1).all()), basis


def test_concatenation_is_both_families_side_by_side():
    left, right = Chebyshev(3), RBF(4) | Sine(2)
    joined = left | right
    state = joined.init(2, key=KEY)
    x = jax.random.uniform(KEY, (5, 2))
    assert isinstance(joined, Concatenated)
    assert joined.size == 4 + 4 + 2
    assert joined.has_constant
    assert set(joined.trained) == {"right_right_frequency", "right_right_phase"}
    values = np.asarray(joined(x, state))
    np.testing.assert_allclose(values[..., :4], np.asarray(left(x, {})), atol=1e-6)
    own = {name.removeprefix("right_"): value for name, value in state.items()}
    np.testing.assert_allclose(values[..., 4:], np.asarray(right(x, own)), atol=1e-6)
    assert joined.interval == (-2.0, 2.0)


def test_concatenation_refuses_a_second_constant():
    with pytest.raises(EdgewiseError, match="constant mode") as error:
        RBF(3) | Chebyshev(3)
    assert error.value.do
    with pytest.raises(TypeError):
        Chebyshev(3) | 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("chebyshev", Chebyshev()),
        ("chebyshev:5", Chebyshev(5)),
        ("Chebyshev: 5, squash=none", Chebyshev(5, squash=None)),
        ("bspline:3,20", BSpline(3, 20)),
        ("bspline:2,knots=free", BSpline(2, knots="free")),
        ("rbf:8,kernel=matern32", RBF(8, kernel="matern32")),
        ("jacobi:4,alpha=0.5,beta=-0.5", Jacobi(4, alpha=0.5, beta=-0.5)),
        ("fourier:3,smooth=false", Fourier(3, smooth=False)),
        ("chebyshev:3|fourier:2", Chebyshev(3) | Fourier(2)),
    ],
)
def test_spellings(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_spelled_by_its_name(name):
    assert parse(name) == FAMILIES[name]()


# --- bad parameters ------------------------------------------------------------------------------------------------

COUNTS = {
    "degree": ("BSpline", "Chebyshev", "Legendre", "Jacobi", "Hermite", "Bernstein", "ReLUBump"),
    "size": ("RBF", "RSWAF", "Sine", "Wavelet"),
    "intervals": ("BSpline", "ReLUBump"),
    "order": ("Fourier", "ReLUBump"),
    "numerator": ("Rational",),
    "denominator": ("Rational",),
    "groups": ("Rational",),
}
WITH_DOMAIN = ("BSpline", "Chebyshev", "Legendre", "Jacobi", "Bernstein", "RBF", "RSWAF", "Wavelet", "ReLUBump")
DOMAINS = ("(1.0, -1.0)", "(1.0, 1.0)", "(0.0, float('inf'))", "(float('nan'), 1.0)", "(1.0,)", "3.0", "('a', 'b')",
           "[-1.0, 1.0]")  # fmt: skip
BAD = {
    **{
        f"{family}({name}={value})": f"{family}: {name} must be"
        for name, families in COUNTS.items()
        for family in families
        for value in ("0", "-3", "2.5", "'3'", "True", "float('nan')")
    },
    **{f"{family}(domain={domain})": "not an interval" for family in WITH_DOMAIN for domain in DOMAINS},
    "BSpline(intervalls=3)": "did you mean 'intervals'",
    "BSpline(grid=5)": "did you mean 'intervals'",
    "BSpline(k=3)": "did you mean 'degree'",
    "parse('bspline:G=5')": "did you mean 'intervals'",
    "Chebyshev(D=5)": "did you mean 'degree'",
    "Fourier(grid_size=5)": "did you mean 'order'",
    "RBF(num_grids=8)": "did you mean 'size'",
    "Chebyshev(degrees=3)": "did you mean 'degree'",
    "Legendre(squish='tanh')": "did you mean 'squash'",
    "Jacobi(aplha=1.0)": "did you mean 'alpha'",
    "Hermite(order=3)": "Valid: degree",
    "Bernstein(degre=3)": "did you mean 'degree'",
    "Fourier(periods=3)": "did you mean 'period'",
    "RBF(kernels='gaussian')": "did you mean 'kernel'",
    "RSWAF(widht=3)": "did you mean 'width'",
    "Sine(sizes=3)": "did you mean 'size'",
    "Wavelet(type='meyer')": "Valid: domain, kind, size, width",
    "ReLUBump(orders=3)": "did you mean 'order'",
    "Rational(group=3)": "did you mean 'groups'",
    "Chebyshev(squash='tahn')": "did you mean 'tanh'",
    "Bernstein(squash='sigmoid')": "Valid: affine, tanh",
    "Legendre(squash=3)": "unknown squash",
    "Chebyshev(squash=None, domain=(0.0, 1.0))": "affine",
    "Chebyshev(kind=3)": "kind=1 or kind=2",
    "RBF(kernel='gausian')": "did you mean 'gaussian'",
    "Wavelet(kind='mexicanhat')": "did you mean 'mexican_hat'",
    "BSpline(extrapolate='clamp')": "clip",
    "BSpline(knots='uneven')": "Valid: free, uniform",
    "BSpline(degree=8)": "degree=3",
    "Bernstein(101)": "B-spline",
    "Jacobi(alpha=-1.0)": "above -1",
    "Jacobi(beta=float('nan'))": "above -1",
    "Jacobi(alpha='1')": "above -1",
    "Fourier(period=0.0)": "period must be",
    "Fourier(period='2')": "period must be",
    "Fourier(period=None)": "period must be",
    "RBF(width=-1.0)": "width must be",
    "RSWAF(width=float('inf'))": "width must be",
    "Wavelet(width=0)": "width must be",
    "Rational(start='relu')": "unknown start",
    "Rational(5, 3)": "denominator=4",
    "Rational(groups=2).init(3, key=None)": "divide",
    "from_config({'family': 'Chebychev', 'degree': 3})": "did you mean 'Chebyshev'",
    "from_config({'degree': 3})": "family",
    "parse('chebishev:5')": "did you mean 'chebyshev'",
    "parse('')": "unknown basis",
    "parse('chebyshev:5,degre=4')": "did you mean 'degree'",
    "parse('hermite:5,6')": "too many arguments",
    "parse('chebyshev:0')": "at least 1",
    "parse('chebyshev:5.5')": "must be an integer",
    "parse('chebyshev:five')": "must be an integer",
    "parse('chebyshev:3|')": "unknown basis",
    "parse('chebyshev:3,degree=4')": "twice",
}

OUTCOMES = """
import json, sys
from edgewise.bases import *
from edgewise.errors import EdgewiseError
found = {}
for expression in json.load(open(sys.argv[1])):
    try:
        eval(expression)
        found[expression] = ["nothing", "", "", ""]
    except Exception as error:
        ours = isinstance(error, EdgewiseError)
        found[expression] = [type(error).__name__, str(error), error.what if ours else "", error.do if ours else ""]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def outcomes(run_python, tmp_path_factory):
    """What a user sees: in the tests themselves the run-time type checks come before ours."""
    table = tmp_path_factory.mktemp("bad") / "expressions.json"
    table.write_text(json.dumps(list(BAD)))
    return json.loads(run_python(OUTCOMES, str(table)))


@pytest.mark.parametrize("expression", BAD)
def test_bad_parameters_say_what_is_wrong_and_what_to_do(expression, outcomes):
    kind, message, what, do = outcomes[expression]
    assert what, (kind, message)
    assert do
    assert BAD[expression] in message


def test_numbers_of_numpy_are_fine(run_python):
    run_python("""
import json
import numpy as np
from flax import nnx
from edgewise import KAN
from edgewise.bases import FAMILIES, BSpline, Chebyshev, from_config
pairs = [
    (Chebyshev(np.int64(4), domain=(np.float32(-1), np.float64(1))), Chebyshev(4)),
    (BSpline(np.int32(2), np.int64(4)), BSpline(2, 4)),
]
for family in FAMILIES.values():
    counts = {name: value for name, value in vars(family()).items() if type(value) is int}
    pairs.append((family(**{name: np.int64(value) for name, value in counts.items()}), family()))
for basis, same in pairs:
    assert basis == same and hash(basis) == hash(same) and str(basis) == str(same)
    assert [type(value) for value in vars(basis).values()] == [type(value) for value in vars(same).values()]
    assert type(basis.size) is int
    assert from_config(json.loads(json.dumps(basis.config))) == same
KAN([2, 3, 1], Chebyshev(np.int64(3)), rngs=nnx.Rngs(0))
""")
