"""Exact moments against closed forms, independent integrals and Monte Carlo."""

from __future__ import annotations

from fractions import Fraction
from math import comb, factorial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.integrate import quad
from scipy.special import ndtri

from edgewise.bases import RBF, Bernstein, BSpline, Chebyshev, Fourier, Hermite, Legendre, ReLUBump
from edgewise.errors import EdgewiseError, UnknownNameError
from edgewise.init import Moments, input_law
from edgewise.init import moments as module

UNIT = (-1.0, 1.0)


def arcsine(u):
    return -np.cos(np.pi * u)


def moments(basis, distribution="uniform", residual=None, *, n_in=1, sample_size=None, first=0, state=None):
    """Moments in double precision, the state of the basis included."""
    with jax.enable_x64(True):
        state = basis.init(n_in, key=jax.random.key(0)) if state is None else jax.tree.map(jnp.asarray, state)
        result = Moments(basis, state, residual, *input_law(distribution, basis, sample_size), first=first)
        _ = result.mu0
    return result


def assert_exact(computed, expected, rtol=1e-12):
    np.testing.assert_allclose(computed, expected, rtol=rtol, atol=1e-30)


@pytest.mark.parametrize("degree", [1, 5, 20])
def test_chebyshev_on_the_uniform_law(degree):
    m = np.arange(degree + 1)
    slopes = [float(n * n * sum(Fraction(1, 2 * j - 1) for j in range(1, n + 1))) for n in m]
    computed = moments(Chebyshev(degree, squash=None))
    assert_exact(computed.mu0, (2 * m**2 - 1) / (4 * m**2 - 1))
    assert_exact(computed.mu1, slopes)
    assert computed.q == pytest.approx(1 / 3, rel=1e-12)
    assert computed.std == pytest.approx(3**-0.5, rel=1e-12)


@pytest.mark.parametrize("degree", [5, 20])
def test_chebyshev_on_the_arcsine_law_given_by_its_quantile_function(degree):
    m = np.arange(degree + 1)
    computed = moments(Chebyshev(degree, squash=None), arcsine)
    assert_exact(computed.mu0, np.where(m == 0, 1.0, 0.5))
    assert_exact(computed.mu1, m**3.0)
    assert computed.std == pytest.approx(0.5**0.5, rel=1e-12)


@pytest.mark.parametrize("degree", [8, 20])
def test_legendre_on_the_uniform_law(degree):
    n = np.arange(degree + 1)
    computed = moments(Legendre(degree, squash=None))
    assert_exact(computed.mu0, 1 / (2 * n + 1))
    assert_exact(computed.mu1, n * (n + 1) / 2)


@pytest.mark.parametrize("law", ["normal", ndtri], ids=["normal", "quantile"])
def test_fourier_on_the_normal_law(law):
    k = np.arange(1, 6)
    plus, minus = (1 + np.exp(-2.0 * k**2)) / 2, (1 - np.exp(-2.0 * k**2)) / 2
    computed = moments(Fourier(5), law)
    assert_exact(computed.mu0, [*plus, *minus])
    assert_exact(computed.mu1, [*(k**2 * minus), *(k**2 * plus)])
    assert_exact([computed.q, computed.std], 1)


def cardinal(degree: int, x: Fraction) -> Fraction:
    """The centred cardinal B-spline, exactly."""
    terms = (
        (-1) ** j * comb(degree + 1, j) * max(x + Fraction(degree + 1, 2) - j, 0) ** degree for j in range(degree + 2)
    )
    return Fraction(sum(terms), factorial(degree))


def spline_constants(degree: int) -> tuple[Fraction, Fraction]:
    """The integrals of B^2 and B'^2: B_k * B_k = B_(2k+1) at 0, and minus its second difference."""
    wide = cardinal(2 * degree + 1, Fraction(0))
    lower = 2 * degree - 1
    return wide, 2 * cardinal(lower, Fraction(0)) - 2 * cardinal(lower, Fraction(1))


def test_the_constants_of_splines_are_the_published_ones():
    c, d = zip(*map(spline_constants, range(1, 6)), strict=True)
    assert c[:3] == (Fraction(2, 3), Fraction(11, 20), Fraction(151, 315))
    assert d[:4] == (Fraction(2), Fraction(1), Fraction(2, 3), Fraction(35, 72))
    np.testing.assert_allclose([float(v) for v in c[3:]], [0.4304178, 0.3939256], atol=5e-8)
    assert float(d[4]) == pytest.approx(0.3745370, abs=5e-8)


@pytest.mark.parametrize("knots", ["uniform", "free"])
@pytest.mark.parametrize(
    ("degree", "intervals", "domain"),
    [(1, 5, UNIT), (2, 1, UNIT), (3, 5, (-3.0, 10.0)), (3, 20, (0.0, 0.1)), (4, 3, UNIT), (5, 2, (2.0, 3.0))],
)
def test_uniform_splines_on_the_uniform_law(degree, intervals, domain, knots):
    c, d = map(float, spline_constants(degree))
    size, cell = intervals + degree, (domain[1] - domain[0]) / intervals
    computed = moments(BSpline(degree, intervals, domain, knots=knots), n_in=2)
    assert computed.mu0.shape == (size,)
    assert_exact(computed.mu0.mean(), c / size)
    assert_exact(computed.mu1.mean(), d / cell**2 / size)
    assert computed.q == pytest.approx((domain[1] ** 3 - domain[0] ** 3) / (3 * (domain[1] - domain[0])), rel=1e-12)


@pytest.mark.parametrize(
    ("law", "expected"), [("uniform", (0.0944933890, 0.3190776892)), ("normal", (0.3557755198, 0.3794823516))]
)
def test_silu(law, expected):
    computed = moments(Chebyshev(5), law, nnx.silu)
    np.testing.assert_allclose([computed.r0, computed.r1], expected, rtol=0, atol=5.1e-11)


def normal_mean(function, points=()):
    """E f(x) for x ~ N(0, 1), by an independent adaptive rule."""
    density = lambda x: np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
    edges = [-9.0, -4.0, 0.0, 4.0, 9.0, *points]
    pieces = zip(sorted(edges)[:-1], sorted(edges)[1:], strict=True)
    return sum(
        quad(lambda x: function(x) * density(x), a, b, epsabs=1e-15, epsrel=1e-13, limit=400)[0]
        for a, b in pieces
        if a < b
    )


def test_chebyshev_behind_tanh_on_the_normal_law():
    computed = moments(Chebyshev(8), "normal")
    for m in (1, 2, 5, 8):
        polynomial = np.polynomial.chebyshev.Chebyshev.basis(m)
        slope = polynomial.deriv()
        assert_exact(computed.mu0[m], normal_mean(lambda x, p=polynomial: p(np.tanh(x)) ** 2))
        assert_exact(computed.mu1[m], normal_mean(lambda x, p=slope: (p(np.tanh(x)) / np.cosh(x) ** 2) ** 2))


def test_hermite_functions_on_the_normal_law():
    # E psi_n^2 of a Gaussian times a polynomial, by Gauss-Hermite with the weight exp(-3 x^2 / 2)
    x, w = np.polynomial.hermite.hermgauss(40)
    x, w = x / 1.5**0.5, w / 1.5**0.5 / np.sqrt(2 * np.pi)
    computed = moments(Hermite(4), "normal")
    for n in range(5):
        series = np.polynomial.hermite.Hermite.basis(n)
        norm = np.pi**-0.25 / np.sqrt(2.0**n * factorial(n))
        assert_exact(computed.mu0[n], norm**2 * (w @ series(x) ** 2))
        assert_exact(computed.mu1[n], norm**2 * (w @ (series.deriv()(x) - x * series(x)) ** 2))


def test_kinks_of_matern_kernels_cost_no_accuracy():
    basis = RBF(4, kernel="matern32", domain=(-1.0, 1.0), width=0.7)
    centre, s = -1 / 3, 3**0.5 / 0.7
    value = lambda x: ((1 + s * abs(x - centre)) * np.exp(-s * abs(x - centre))) ** 2
    slope = lambda x: (s * s * (x - centre) * np.exp(-s * abs(x - centre))) ** 2
    uniform, normal, quantile = (moments(basis, law) for law in ("uniform", "normal", ndtri))
    for function, name in ((value, "mu0"), (slope, "mu1")):
        pieces = [quad(function, a, b, epsabs=1e-15, epsrel=1e-13)[0] for a, b in ((-1, centre), (centre, 1))]
        assert_exact(getattr(uniform, name)[1], sum(pieces) / 2)
        assert_exact(getattr(normal, name)[1], normal_mean(function, [centre]))
        assert_exact(getattr(quantile, name)[1], normal_mean(function, [centre]))


@pytest.mark.parametrize("basis", [BSpline(1, 2, extrapolate="zero"), ReLUBump(1, 2)], ids=["bspline", "relu_bump"])
def test_kinks_outside_the_domain_cost_no_accuracy(basis):
    # mode 0 reaches one cell below the domain: a hat, and a squared parabola, on [-2, 0]
    hat = (lambda x: (1 - abs(x + 1)) ** 2, lambda x: 1.0)
    bump = (lambda x: (-x * (x + 2)) ** 4, lambda x: (-4 * x * (x + 2) * (x + 1)) ** 2)
    for law in ("normal", ndtri):
        computed = moments(basis, law)
        for function, mean in zip(
            bump if isinstance(basis, ReLUBump) else hat, (computed.mu0, computed.mu1), strict=True
        ):
            assert_exact(mean[0], normal_mean(lambda x, f=function: f(x) if -2 < x < 0 else 0.0, [-2, -1]))


def test_a_custom_domain_is_the_uniform_law_and_scales_the_slopes():
    near, far = (moments(Bernstein(4, squash="affine", domain=domain)) for domain in ((-1.0, 1.0), (-10.0, 10.0)))
    assert_exact(far.mu0, near.mu0)
    assert_exact(far.mu1, near.mu1 / 100)
    assert far.q == pytest.approx(100 / 3, rel=1e-12)
    assert moments(BSpline(domain=(-10.0, 10.0))).std == pytest.approx(10 / 3**0.5, rel=1e-12)


def test_free_knots_that_moved_are_the_ones_integrated():
    knots = np.array([-3.0, -2.0, -1.0, -0.9, 0.5, 1.0, 2.0, 3.0])  # degree 2, three cells
    basis = BSpline(2, 3, knots="free")
    computed = moments(basis, state={"knots": np.stack([knots, knots])})
    x, w = np.polynomial.legendre.leggauss(3)
    squares = np.zeros(5)
    for a, b in ((-1, -0.9), (-0.9, 0.5), (0.5, 1)):
        nodes = (a + b) / 2 + x * (b - a) / 2
        with jax.enable_x64(True):
            values = np.asarray(basis(jnp.asarray(nodes)[:, None], {"knots": jnp.asarray(knots)[None]}))[:, 0]
        squares += (b - a) / 4 * (w @ values**2)
    # the cells of the quadrature are those of the initial knots, so a moved kink costs digits and no more
    np.testing.assert_allclose(computed.mu0, squares, rtol=1e-4)
    assert abs(computed.mu0 - moments(basis).mu0).max() > 1e-2


def test_nodes_with_different_states_are_averaged():
    basis = BSpline(2, 3)
    ends = np.array([[-1.0, 1.0], [-1.0, 3.0], [0.0, 2.0]])
    rows = [moments(basis, state={"ends": row[None]}) for row in ends]
    computed = moments(basis, state={"ends": ends})
    assert_exact(computed.mu0, np.mean([row.mu0 for row in rows], axis=0))
    assert_exact(computed.mu1, np.mean([row.mu1 for row in rows], axis=0))


def test_the_first_mode_may_be_left_out():
    whole, kept = moments(Chebyshev(5)), moments(Chebyshev(5), first=1)
    assert whole.mu0[0] == pytest.approx(1, rel=1e-14)
    np.testing.assert_array_equal(kept.mu0, whole.mu0[1:])
    np.testing.assert_array_equal(kept.mu1, whole.mu1[1:])


@pytest.mark.parametrize("law", ["uniform", "normal", arcsine], ids=["uniform", "normal", "quantile"])
def test_monte_carlo_agrees_within_three_sigma_and_is_not_exact(law):
    n = 20_000
    basis = Chebyshev(5)
    exact, sampled = moments(basis, law, nnx.silu), moments(basis, law, nnx.silu, sample_size=n)
    nodes, weights = input_law(law, basis)
    with jax.enable_x64(True):
        fourth = weights @ np.asarray(basis(jnp.asarray(nodes)[:, None], {}))[:, 0] ** 4
        fourth_silu = weights @ np.asarray(nnx.silu(jnp.asarray(nodes))) ** 4
    sigma = np.sqrt(np.maximum(fourth - exact.mu0**2, 0) / n)
    assert (np.abs(sampled.mu0 - exact.mu0)[1:] < 3 * sigma[1:]).all()
    assert (sampled.mu0[1:] != exact.mu0[1:]).all()
    assert abs(sampled.r0 - exact.r0) < 3 * np.sqrt((fourth_silu - exact.r0**2) / n)
    assert len(input_law(law, basis, 7)[0]) == 7
    np.testing.assert_array_equal(input_law(law, basis, 7)[0], input_law(law, basis, 7)[0])


def test_the_same_question_is_answered_from_the_cache():
    ask = lambda n_in: moments(BSpline(3, 4), n_in=n_in).mu0
    first = ask(2)
    before = module._cached_basis_means.cache_info()
    second = ask(50)  # equal nodes count once
    after = module._cached_basis_means.cache_info()
    assert (after.hits, after.misses) == (before.hits + 1, before.misses)
    assert second.base is first.base or second is first


@pytest.mark.parametrize("basis", [BSpline(2, 4), BSpline(2, 4, knots="free")], ids=["uniform", "free"])
def test_a_traced_state_gives_what_a_concrete_one_gives(basis):
    law = input_law("uniform", basis)
    state = basis.init(3, key=jax.random.key(0))
    concrete = Moments(basis, state, None, *law)

    @jax.jit
    def traced(state):
        m = Moments(basis, state, None, *law)
        return m.mu0, m.mu1

    mu0, mu1 = traced(state)
    np.testing.assert_allclose(mu0, concrete.mu0, rtol=1e-5)
    np.testing.assert_allclose(mu1, concrete.mu1, rtol=1e-5)


def test_single_precision_changes_nothing_of_a_stateless_basis():
    law = input_law("normal", Chebyshev(8))
    assert_exact(Moments(Chebyshev(8), {}, None, *law).mu1, moments(Chebyshev(8), "normal").mu1)
    assert Moments(Chebyshev(8), {}, None, *law).mu1.dtype == np.float64


def test_jax_may_have_been_told_to_do_without_a_cpu(monkeypatch):
    def no_cpu(*, backend):
        raise RuntimeError(f"Unknown backend {backend}")

    monkeypatch.setattr(jax, "local_devices", no_cpu)
    law, basis = input_law("normal", Chebyshev(9)), Chebyshev(9)
    assert_exact(Moments(basis, {}, None, *law).mu0, moments(basis, "normal").mu0)


def test_weights_sum_to_one():
    for basis in (Chebyshev(5), BSpline(), ReLUBump(), Chebyshev(40) | BSpline()):
        for law in ("uniform", "normal", arcsine, ndtri):
            nodes, weights = input_law(law, basis)
            assert np.isfinite(nodes).all()
            assert weights.sum() == pytest.approx(1, rel=1e-12)


def test_errors_say_what_is_wrong():
    with pytest.raises(UnknownNameError, match=r"'unifrom'(?s:.*)did you mean 'uniform'(?s:.*)normal, uniform"):
        input_law("unifrom", Chebyshev(5))
    for size in (0, -1):
        with pytest.raises(EdgewiseError, match="sample_size"):
            input_law("uniform", Chebyshev(5), size)
    with pytest.raises(EdgewiseError, match="no residual"):
        _ = moments(Chebyshev(5)).r0
