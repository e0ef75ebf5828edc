"""Schemes: the formulas by hand, their scaling laws, and every scheme on every family."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri

from edgewise.bases import FAMILIES, RBF, BSpline, Chebyshev, Fourier
from edgewise.errors import EdgewiseError, ShapeError, UnknownNameError
from edgewise.init import (
    SCHEMES,
    Balanced,
    Custom,
    Default,
    Glorot,
    GlorotFine,
    LeCun,
    LowestModeFirst,
    Moments,
    Power,
    ResidualFirst,
    Scales,
    Stats,
    input_law,
    resolve,
)
from edgewise.nn import KANLayer


class Given(Moments):
    """Moments written down by hand."""

    mu0 = mu1 = np.zeros(3)
    q, std = 0.3, 0.5

    def __init__(self, residual=True):
        self.mu0, self.mu1 = np.array([1.0, 0.4, 0.1]), np.array([0.5, 2.0, 6.0])
        self.residual = residual

    @property
    def r0(self):
        assert self.residual
        return 0.2

    @property
    def r1(self):
        assert self.residual
        return 0.7


def stats(fan_in=4, fan_out=7, residual=True, moments=None, asked=None, size=5):
    def answer(distribution, sample_size):
        if asked is not None:
            asked.append((distribution, sample_size))
        return moments or Given(residual)

    return Stats(fan_in, fan_out, 3, size, residual, (0.1, "truncated_normal"), answer)


# --- formulas by hand ---------------------------------------------------------------------------------------------

MEAN0, MEAN1 = 0.5, 8.5 / 3  # of the moments above

HAND = {
    # scheme: (basis, residual) with a residual branch, N = 4; fan-in 4, fan-out 7, std 0.5, q 0.3
    "default": (Default(), 0.1, math.sqrt(2 / 11)),
    "default-gain": (Default(gain=3.0), 0.3, 3 * math.sqrt(2 / 11)),
    "lecun": (LeCun(), 0.5 / math.sqrt(4 * 4 * MEAN0), 0.5 / math.sqrt(4 * 4 * 0.2)),
    "lecun-gain": (LeCun(gain=2.0), 2 / math.sqrt(16 * MEAN0), 2 / math.sqrt(16 * 0.2)),
    "glorot": (
        Glorot(),
        0.5 * math.sqrt(2 / (4 * (4 * MEAN0 + 7 * MEAN1))),
        0.5 * math.sqrt(2 / (4 * (4 * 0.2 + 7 * 0.7))),
    ),
    "glorot_fine": (
        GlorotFine(),
        [0.5 * math.sqrt(1 / (4 * (4 * a + 7 * b))) for a, b in ((1.0, 0.5), (0.4, 2.0), (0.1, 6.0))],
        0.5 * math.sqrt(2 / (4 * (4 * 0.2 + 7 * 0.7))),
    ),
    "balanced": (
        Balanced(),
        math.sqrt(2 / (4 * (4 * MEAN0 / 0.3 + 7 * MEAN1))),
        math.sqrt(2 / (4 * (4 * 0.2 / 0.3 + 7 * 0.7))),
    ),
    "balanced-gain": (
        Balanced(gain=2.0),
        math.sqrt(2 / (4 * (4 * MEAN0 / 4 + 7 * MEAN1))),
        math.sqrt(2 / (4 * (4 * 0.2 / 4 + 7 * 0.7))),
    ),
    "balanced-per-mode": (
        Balanced(per_mode=True),
        [math.sqrt(2 / (4 * (4 * a / 0.3 + 7 * b))) for a, b in ((1.0, 0.5), (0.4, 2.0), (0.1, 6.0))],
        math.sqrt(2 / (4 * (4 * 0.2 / 0.3 + 7 * 0.7))),
    ),
    "power": (Power(), 4**-1.75 * 5**-1.75, 4**-0.25 * 5**-0.25),
    "power-all": (
        Power("uniform", 3.0, None, 2.0, 0.5, 1.5, 4.0, 0.75, 0.1),
        6 * 4**-0.5 * 5**-1.5,
        12 * 4**-0.75 * 5**-0.1,
    ),
    "residual_first": (ResidualFirst(), 0.0, math.sqrt(2 / (4 * 0.2 / 0.3 + 7 * 0.7))),
    "residual_first-tiny": (ResidualFirst(basis_scale=1e-3, gain=2.0), 1e-3, math.sqrt(2 / (4 * 0.2 / 4 + 7 * 0.7))),
    "lowest_mode_first": (
        LowestModeFirst(),
        [math.sqrt(1 / (4 * 1.0 / 0.3 + 7 * 0.5)), 0.0, 0.0],
        math.sqrt(1 / (4 * 0.2 / 0.3 + 7 * 0.7)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HAND)
def test_formula_by_hand_with_a_residual(name):
    scheme, basis, residual = HAND[name]
    scales = scheme(stats())
    np.testing.assert_allclose(scales.basis, basis, rtol=1e-14)
    assert scales.residual == pytest.approx(residual, rel=1e-14)


@pytest.mark.parametrize("name", [n for n in HAND if "default" not in n and "power" not in n and "residual" not in n])
def test_formula_by_hand_without_a_residual(name):
    scheme, basis, _ = HAND[name]
    scales = scheme(stats(residual=False))
    terms = 2 if name == "lowest_mode_first" else 4 / 3  # N = 3 instead of 4; two branches that become one
    np.testing.assert_allclose(scales.basis, np.sqrt(terms) * np.asarray(basis), rtol=1e-14)
    assert scales.residual == 0


def test_formulas_on_real_layers():
    # the closed forms of T_m on [-1, 1], with the constant dropped where there is a bias
    m = np.arange(6)
    mu0, mu1 = (
        (2 * m**2 - 1) / (4 * m**2 - 1),
        m**2 * np.array([sum(1 / (2 * j - 1) for j in range(1, n + 1)) for n in m]),
    )
    basis = Chebyshev(5, squash=None)
    for bias in (True, False):
        a, b = mu0[bias:], mu1[bias:]
        layer = KANLayer(3, 4, basis, residual=None, bias=bias, rngs=nnx.Rngs(0))
        assert (layer.stats.modes, layer.stats.size, layer.stats.terms) == (6 - bias, 6, 6 - bias)
        np.testing.assert_allclose(LeCun()(layer.stats).basis, (1 / 3 / (3 * len(a) * a.mean())) ** 0.5, rtol=1e-12)
        np.testing.assert_allclose(
            Glorot()(layer.stats).basis, (2 / 3 / (len(a) * (3 * a.mean() + 4 * b.mean()))) ** 0.5, rtol=1e-12
        )
        np.testing.assert_allclose(
            GlorotFine()(layer.stats).basis, (1 / 3 / (len(a) * (3 * a + 4 * b))) ** 0.5, rtol=1e-12
        )
        assert Power()(layer.stats).basis == pytest.approx(3**-1.75 * 6**-1.75)
    spline = KANLayer(3, 4, BSpline(3, 5), rngs=nnx.Rngs(0))
    assert (spline.stats.modes, spline.stats.size, spline.stats.terms) == (8, 9, 9)
    assert Power()(spline.stats).basis == pytest.approx(3**-1.75 * 9**-1.75)
    r0, r1 = 0.09449338903, 0.31907768918
    assert Glorot()(spline.stats).residual == pytest.approx((2 / 3 / (9 * (3 * r0 + 4 * r1))) ** 0.5, rel=1e-9)
    assert LeCun()(spline.stats).residual == pytest.approx((1 / 3 / (3 * 9 * r0)) ** 0.5, rel=1e-9)


def test_each_family_starts_as_its_paper_has_it_by_default():
    def default(basis, **options):
        layer = KANLayer(16, 4, basis, rngs=nnx.Rngs(0), **options)
        return Default()(layer.stats)

    spline = default(BSpline())
    assert (spline.basis, spline.basis_law, spline.residual_law) == (0.1, "normal", "uniform")
    assert spline.residual == pytest.approx((2 / 20) ** 0.5)
    assert default(Chebyshev(5)).basis == pytest.approx((16 * 5) ** -0.5)
    assert default(Chebyshev(5), bias=False).basis == pytest.approx((16 * 6) ** -0.5)
    assert default(Chebyshev(5)).basis_law == "truncated_normal"
    np.testing.assert_allclose(default(Fourier(2)).basis, np.array([1, 1 / 4, 1, 1 / 4]) / 4)


# --- scaling laws -------------------------------------------------------------------------------------------------

fans, factors = st.integers(1, 500), st.integers(2, 9)


@given(fans, fans, factors)
def test_scales_fall_with_the_root_of_the_fans(fan_in, fan_out, factor):
    for scheme in (Glorot(), GlorotFine(), Balanced(), Balanced(per_mode=True), LeCun(), Default()):
        near, far = scheme(stats(fan_in, fan_out)), scheme(stats(factor * fan_in, factor * fan_out))
        if not isinstance(scheme, Default):
            np.testing.assert_allclose(far.basis, near.basis / factor**0.5, rtol=1e-12)
        np.testing.assert_allclose(far.residual, near.residual / factor**0.5, rtol=1e-12)


@given(fans, fans, factors)
def test_lecun_sees_fan_in_alone_and_glorot_tells_the_fans_apart(fan_in, fan_out, factor):
    one, other = stats(fan_in, fan_out), stats(fan_in, factor * fan_out)
    assert LeCun()(one).basis == LeCun()(other).basis
    assert Glorot()(one).basis > Glorot()(other).basis
    # slopes outweigh values here, so a wide output costs more than a wide input
    assert Glorot()(stats(factor * fan_in, fan_in)).basis > Glorot()(stats(fan_in, factor * fan_in)).basis


@given(fans, st.floats(0.01, 100), factors)
def test_the_power_law_has_its_two_exponents_in_their_places(fan_in, power, factor):
    power = min(power, 3.0)
    fan = Power(
        basis_fan_in_power=power, basis_size_power=0.0, residual_fan_in_power=2 * power, residual_size_power=0.0
    )
    size = Power(
        basis_fan_in_power=0.0, basis_size_power=power, residual_fan_in_power=0.0, residual_size_power=2 * power
    )
    for scheme, changed in ((fan, stats(factor * fan_in)), (size, stats(fan_in, size=5 * factor))):
        near, far = scheme(stats(fan_in)), scheme(changed)
        np.testing.assert_allclose(
            [far.basis / near.basis, far.residual / near.residual], [factor**-power, factor ** (-2 * power)]
        )


@given(st.floats(0.01, 100), st.floats(0.01, 100))
def test_the_gain_multiplies_both_scales_of_the_published_schemes(first, second):
    for scheme in (Default, LeCun, Glorot, GlorotFine, Power):
        one, other = scheme(gain=first)(stats()), scheme(gain=second)(stats())
        np.testing.assert_allclose(np.asarray(other.basis) / one.basis, second / first, rtol=1e-12)
        np.testing.assert_allclose(other.residual / one.residual, second / first, rtol=1e-12)


def test_balanced_puts_the_gain_on_the_forward_term_alone():
    """With no forward term to speak of the gain changes nothing; with no backward term it multiplies."""

    class Backward(Given):
        r0 = 0.0

        def __init__(self):
            super().__init__()
            self.mu0 = 0 * self.mu0

    class Forward(Given):
        r1 = 0.0

        def __init__(self):
            super().__init__()
            self.mu1 = 0 * self.mu1

    for per_mode in (False, True):
        weak, strong = (Balanced(gain=g, per_mode=per_mode) for g in (1.0, 5.0))
        backward, forward = stats(moments=Backward()), stats(moments=Forward())
        np.testing.assert_allclose(strong(backward).basis, weak(backward).basis, rtol=1e-14)
        assert strong(backward).residual == weak(backward).residual
        np.testing.assert_allclose(strong(forward).basis, 5 * np.asarray(weak(forward).basis), rtol=1e-14)
        assert strong(forward).residual == pytest.approx(5 * weak(forward).residual)


@given(fans)
def test_balanced_and_residual_first_keep_forward_and_backward_variance_together(fan):
    """Forward and backward gain average to 1 at equal fans, with all terms of an edge counted."""
    s, m = stats(fan, fan), Given()
    for scheme in (Balanced(), Balanced(per_mode=True), ResidualFirst(), LowestModeFirst()):
        scales = scheme(s)
        basis = np.broadcast_to(np.square(scales.basis), 3)
        forward = fan * (basis @ m.mu0 + scales.residual**2 * m.r0) / m.q
        backward = fan * (basis @ m.mu1 + scales.residual**2 * m.r1)
        assert (forward + backward) / 2 == pytest.approx(1, rel=1e-12)


# --- assumed law --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in SCHEMES if name not in ("default", "power")])
def test_a_scheme_asks_for_its_law_and_sample_size(name):
    for distribution in ("uniform", "normal", ndtri):
        asked = []
        SCHEMES[name](distribution=distribution, sample_size=100)(stats(asked=asked))
        assert set(asked) == {(distribution, 100)}


def test_the_law_reaches_the_layer():
    def std(**options):
        return float(KANLayer(50, 50, RBF(4), residual=None, init=LeCun(**options), rngs=nnx.Rngs(0)).coef[...].std())

    basis = RBF(4)
    for law in ("uniform", "normal", ndtri):
        m = Moments(basis, basis.init(1, key=jax.random.key(0)), None, *input_law(law, basis))
        assert std(distribution=law) == pytest.approx(m.std / (50 * 4 * m.mu0.mean()) ** 0.5, rel=0.03)
    assert std(distribution="normal") == pytest.approx(std(distribution=ndtri), rel=1e-6)
    assert std() != pytest.approx(std(distribution="normal"), rel=0.01)
    exact, sampled = std(), std(sample_size=50)
    assert exact != sampled
    assert exact == pytest.approx(sampled, rel=0.3)


def test_coefficients_have_the_law_that_the_scheme_names():
    coef = lambda basis, **options: np.asarray(KANLayer(40, 40, basis, rngs=nnx.Rngs(1), **options).coef[...])
    kernel = np.asarray(KANLayer(60, 60, rngs=nnx.Rngs(1)).residual_kernel[...])
    limit = (6 / 120) ** 0.5
    assert 0.99 * limit < np.abs(kernel).max() <= limit  # Glorot-uniform
    cut = coef(Chebyshev(5))  # truncated at two of its untruncated deviations, with the variance of the scale
    assert cut.std() == pytest.approx((40 * 5) ** -0.5, rel=0.02)
    assert np.abs(cut).max() * (40 * 5) ** 0.5 < 2 / 0.8796
    assert np.abs(coef(BSpline())).max() > 0.35  # normal: beyond 3.5 deviations among 12,800
    assert np.std(coef(BSpline())) == pytest.approx(0.1, rel=0.02)


# --- every scheme on every family ---------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_every_scheme_starts_every_family(family):
    for residual in (None, "silu"):
        for name in SCHEMES:
            if name == "residual_first" and residual is None:
                continue
            layer = KANLayer(3, 2, FAMILIES[family](), init=name, residual=residual, rngs=nnx.Rngs(0))
            leaves = jax.tree.leaves(nnx.state(layer))
            assert all(np.isfinite(leaf).all() for leaf in leaves)
            assert isinstance(layer.init, SCHEMES[name])
            assert layer.coef.shape == (layer.stats.modes, 3, 2)
            kept = np.abs(layer.coef[...]).max(axis=(1, 2)) > 0
            if name == "residual_first":
                assert not kept.any()
            elif name == "lowest_mode_first":
                assert kept.tolist() == [True] + [False] * (len(kept) - 1)
            else:
                assert kept.all()


@pytest.mark.parametrize("bias", [True, False])
def test_every_scheme_starts_joined_families(bias):
    for name in SCHEMES:
        layer = KANLayer(3, 2, Chebyshev(3) | RBF(2), init=name, bias=bias, rngs=nnx.Rngs(0))
        assert layer.coef.shape == (6 - bias, 3, 2)
        assert np.isfinite(layer.coef[...]).all()
    default = Default()(layer.stats).basis
    assert default == pytest.approx([(3 * (4 - bias)) ** -0.5] * (4 - bias) + [6**-0.5] * 2)


def test_equal_layers_start_differently_and_equal_seeds_alike():
    rngs = nnx.Rngs(0)
    first, second = (KANLayer(3, 3, Chebyshev(3), rngs=rngs) for _ in range(2))
    again = KANLayer(3, 3, Chebyshev(3), rngs=nnx.Rngs(0))
    for name in ("coef", "residual_kernel"):
        a, b, c = (np.asarray(getattr(layer, name)[...]) for layer in (first, second, again))
        assert (a != b).all()
        np.testing.assert_array_equal(a, c)
    units = np.asarray(first.coef[...])[0] / np.asarray(first.residual_kernel[...])
    assert np.std(units) > 1e-3  # the residual's draw is not the basis' draw


# --- custom, and errors -------------------------------------------------------------------------------------------


def test_custom_arrays_are_taken_as_they_are():
    rng = np.random.default_rng(0)
    coef, kernel = rng.normal(size=(5, 3, 2)), rng.normal(size=(3, 2))
    layer = KANLayer(3, 2, Chebyshev(5), init=Custom(coef=coef, residual_kernel=kernel), rngs=nnx.Rngs(0))
    np.testing.assert_allclose(layer.coef[...], coef, rtol=1e-6)
    np.testing.assert_allclose(layer.residual_kernel[...], kernel, rtol=1e-6)
    bare = KANLayer(3, 2, Chebyshev(5), init=Custom(coef=coef), residual=None, rngs=nnx.Rngs(0))
    assert bare.residual_kernel is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"coef": np.zeros((6, 3, 2)), "residual_kernel": np.zeros((3, 2))}, r"coef.*\(6, 3, 2\).*\(5, 3, 2\)"),
        ({"coef": np.zeros((5, 2, 3)), "residual_kernel": np.zeros((3, 2))}, r"coef.*\(5, 2, 3\).*\(5, 3, 2\)"),
        ({"coef": np.zeros((5, 3, 2)), "residual_kernel": np.zeros((2, 3))}, r"residual_kernel.*\(2, 3\).*\(3, 2\)"),
        ({"coef": np.float32(0), "residual_kernel": np.zeros((3, 2))}, r"coef.*shape \(\).*\(5, 3, 2\)"),
        ({"coef": np.zeros((5, 3, 2))}, "residual_kernel.* is missing"),
        ({"residual_kernel": np.zeros((3, 2))}, "coef.* is missing"),
    ],
)
def test_custom_arrays_of_a_wrong_shape_are_refused(given, message):
    with pytest.raises(ShapeError, match=message):
        KANLayer(3, 2, Chebyshev(5), init=Custom(**given), rngs=nnx.Rngs(0))


def test_residual_first_needs_a_residual():
    with pytest.raises(EdgewiseError, match=r"ResidualFirst needs a residual branch(?s:.*)LowestModeFirst"):
        KANLayer(3, 2, init="residual_first", residual=None, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("name", SCHEMES)
def test_names_are_schemes(name):
    assert resolve(name) == SCHEMES[name]()
    assert KANLayer(2, 2, init=name, rngs=nnx.Rngs(0)).init == SCHEMES[name]()


def test_resolving():
    assert resolve(None) == Default()
    scheme = Glorot(gain=2.0)
    assert resolve(scheme) is scheme
    with pytest.raises(
        UnknownNameError, match=r"scheme 'glorrot'(?s:.*)did you mean 'glorot'\?(?s:.*)lowest_mode_first"
    ):
        KANLayer(2, 2, init="glorrot", rngs=nnx.Rngs(0))
    with pytest.raises(EdgewiseError, match=r"(?s)Glorot.*not a scheme.*Glorot\(\)"):
        KANLayer(2, 2, init=Glorot, rngs=nnx.Rngs(0))


def test_unknown_and_invalid_settings_are_refused():
    with pytest.raises(UnknownNameError, match=r"keyword of Glorot: 'gian'(?s:.*)did you mean 'gain'"):
        Glorot(gian=1.0)
    with pytest.raises(UnknownNameError, match="basis_fan_in_power"):
        Power(basis_fanin_power=1.0)
    with pytest.raises(UnknownNameError, match=r"'gaussian'(?s:.*)normal, uniform"):
        Glorot(distribution="gaussian")
    for scheme in (Glorot, Default, Power, Balanced):
        for gain in (0.0, -1.0, float("nan"), float("inf")):
            with pytest.raises(EdgewiseError, match="gain must be a finite number above 0"):
                scheme(gain=gain)
        with pytest.raises(EdgewiseError, match="sample_size must be at least 1"):
            scheme(sample_size=0)


def test_schemes_are_values():
    for scheme in SCHEMES.values():
        assert scheme() == scheme()
        assert hash(scheme()) == hash(scheme())
        assert scheme(gain=2.0) != scheme()
        assert dataclasses.replace(scheme(), gain=2.0) == scheme(gain=2.0)
        with pytest.raises(dataclasses.FrozenInstanceError):
            scheme().gain = 1.0


def test_a_function_is_a_scheme():
    def tiny(stats: Stats) -> Scales:
        return Scales(basis=1e-3 / stats.terms, residual=1.0)

    layer = KANLayer(50, 50, Chebyshev(4), init=tiny, rngs=nnx.Rngs(0))
    assert float(jnp.std(layer.coef[...])) == pytest.approx(1e-3 / 5, rel=0.05)
    assert float(jnp.std(layer.residual_kernel[...])) == pytest.approx(1, rel=0.05)
    assert layer.gain().forward > 0
