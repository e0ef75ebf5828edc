"""Formulas made into networks: against SymPy itself, edge by edge, trained, saved, and refused."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

import edgewise as ew
from edgewise.bases import BSpline
from edgewise.errors import DataError, EdgewiseError
from edgewise.interpret.construction import from_sympy
from edgewise.interpret.scoring import scores
from edgewise.nn.forms import FORMS, Form, add_form
from model_checks import check_saved, forward

X, Y, Z = (sympy.Symbol(name, real=True) for name in "xyz")


def points(features=3, seed=0, low=0.2, high=0.9):
    return np.random.default_rng(seed).uniform(low, high, (64, features))


def reference(expressions, features, x):
    """``[n, k]``, float64, by SymPy and NumPy."""
    columns = [
        np.broadcast_to(sympy.lambdify(sympy.symbols(features), expression)(*x.T), len(x)) for expression in expressions
    ]
    return np.stack(columns, axis=1)


def check_symbolic(model):
    """Every edge is a formula, each pair of nodes has one at most, and every node below the outputs is used."""
    for place, layer in enumerate(model.layers):
        np.testing.assert_array_equal(layer.mask[...], 0)
        pairs = [(i, j) for i, j, _ in layer.symbolic.entries]
        assert len(set(pairs)) == len(pairs)
        assert place == 0 or {i for i, _ in pairs} == set(range(layer.n_in))


CASES = {
    # expression: widths
    "x*y": (2, (0, 1)),
    "exp(sin(pi*x) + y**2)": (2, 1, 1),
    "exp(-x**2)*sin(pi*y)": (2, (0, 1)),
    "m*v**2/(2*sqrt(1 - v**2/c**2))": (3, (2, 1), (0, (3,))),
    "x*y*z + x*y": (3, (0, (2, 3)), 1),
    "(x + y)**7/z": (3, 2, (1, 1), (0, 1)),
    "x**-8": (1, (0, 1)),
    "x + sin(x)": (1, 2, 1),
    "x**2 + 2*x + y": (2, 1),
    "x**2 + x": (1, 1),
    "(x + 1)**2 - x**2 - 2*x - 1": None,
    "exp(x + y) + sin(x + y)": (2, 1, 2, 1),
    "x**Rational(5, 2) + y**(1/3) + z**-1.5": (3, 3, 1),
    "x**0.5 + y**2.0": (2, 1),
    "x**0.25 + y**-0.75": (2, 2, 2, 1),
    "2**x + pi**y": (2, 1),
    "(1 + x**2)**y": (2, (0, 1), 1),
    "1/(3 + 2*exp(-x - y))": (2, 1, 1),
    "sqrt(2 + (x - y)**2)": (2, 1, 1),
    "x*log(x)*y*log(y)": (2, (0, 1)),
    "besselj(0, 2*x + 1)*besselj(1, y)": (2, (0, 1)),
    "Max(x, y) - Min(x, y)": None,
    "sec(x) + coth(y) + erfc(z)": None,
    "tanh(x*y + z)*x + sqrt(x*y)": None,
    "x**3 - 2*x**2 + x - 5 + cbrt(x)": None,
}


@pytest.mark.parametrize("text", CASES)
def test_the_network_is_the_expression(text):
    model = from_sympy(text)
    names = sorted(map(str, sympy.sympify(text).free_symbols))
    assert CASES[text] in (None, model.widths)
    check_symbolic(model)
    x = points(len(names))
    with np.errstate(invalid="ignore"):
        expected = reference([sympy.sympify(text)], names, x)
    x, expected = x[np.isfinite(expected[:, 0])], expected[np.isfinite(expected[:, 0])]
    assert len(x) > 16
    np.testing.assert_allclose(forward(model, x.astype(np.float32)), expected, rtol=3e-5, atol=3e-5)


def test_every_form_is_one_edge():
    # above 1, where others are not defined
    assert from_sympy("acosh(2*x)").layers[0].symbolic.entries == ((0, 0, "arccosh"),)
    names = [name for name in FORMS if name not in ("x", "arccosh")]
    argument = 2 * X / 3 - sympy.Rational(1, 5)
    patterns = [sympy.sympify(FORMS[name].sympy, locals={"x": X}).xreplace({X: argument}) for name in names]
    model = from_sympy([3 * pattern - 1 for pattern in patterns], ["x"])
    assert model.widths == (1, len(names))
    entries = sorted(model.layers[0].symbolic.entries, key=lambda entry: entry[1])
    assert [name for *_, name in entries] == names
    # the constants are those of the expression, up to what a form cannot tell
    by_name = dict(zip(names, np.asarray(model.layers[0].symbolic.constants[...]), strict=True))
    np.testing.assert_allclose(by_name["sin"], [3, 2 / 3, -0.2, 0], rtol=1e-6)
    np.testing.assert_allclose(by_name["x log x"], [3, 2 / 3, -0.2, 0], rtol=1e-6)
    np.testing.assert_allclose(by_name["sigmoid"], [3, 2 / 3, -0.2, 0], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(abs(by_name["gaussian"]), [3, 2 / 3, 0.2, 0], rtol=1e-6)


LEAVES = st.sampled_from([X, Y, Z, X + 1, 2 * Y, sympy.Rational(1, 3), sympy.pi])
FUNCTIONS = (sympy.sin, sympy.tanh, sympy.atan, lambda e: sympy.exp(-(e**2)), lambda e: 1 / (1 + e**2))
POWERS = (lambda e: sympy.tanh(e) ** 3, lambda e: sympy.sqrt(1 + e**2), lambda e: sympy.sin(e) ** 7, sympy.Abs)
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda f, e: f(e), st.sampled_from(FUNCTIONS + POWERS), inner),
        st.builds(lambda e, f: e + f, inner, inner),
        st.builds(lambda e, f: e * f, inner, inner),
        st.builds(lambda e, f: e - f / 2, inner, inner),
    ),
    max_leaves=7,
)


@settings(max_examples=12)
@given(st.lists(EXPRESSIONS, min_size=1, max_size=2))
def test_any_expression_is_exact(expressions):
    x = points(low=-0.9, seed=1)
    with jax.enable_x64(True):
        model = from_sympy(expressions, ["x", "y", "z"], param_dtype=np.float64)
        found = np.asarray(forward(model, x))
    check_symbolic(model)
    np.testing.assert_allclose(found, reference(expressions, ["x", "y", "z"], x), rtol=1e-9, atol=1e-9)


def test_outputs_keep_their_order():
    texts = ["2*x*y", "x + y", "3", "-4*x*y", "x*exp(y)"]
    model = from_sympy(texts, ["y", "x"])
    assert model.widths[-1] == (3, 2)
    x = points(2)
    expected = reference(map(sympy.sympify, texts), ["y", "x"], x)
    np.testing.assert_allclose(forward(model, x.astype(np.float32)), expected, rtol=1e-5)


def test_features():
    x = points(4).astype(np.float32)
    # unused ones are columns, names of SymPy's are features, and x10 comes after x2
    model = from_sympy("E*S", ["u", "E", "beta", "S"])
    assert model.n_features == 4
    np.testing.assert_allclose(forward(model, x)[:, 0], x[:, 1] * x[:, 3], rtol=1e-6)
    late = from_sympy("x10 - x2")
    np.testing.assert_allclose(forward(late, x[:, :2])[:, 0], x[:, 1] - x[:, 0], rtol=1e-6, atol=1e-7)


def test_powers_of_what_is_positive():
    p = sympy.Symbol("p", positive=True)
    x = points(2).astype(np.float32)
    for features, power in ((["p", "x"], p**X), ([p, "x"], "p**x"), ([p, "x"], sympy.Symbol("p") ** X)):
        np.testing.assert_allclose(forward(from_sympy(power, features), x)[:, 0], x[:, 0] ** x[:, 1], rtol=1e-5)
    model = from_sympy(p**0.3 + 0 * X, [p, "x"])
    assert [name for *_, name in model.layers[0].symbolic.entries] == ["log"]
    np.testing.assert_allclose(forward(model, x)[:, 0], x[:, 0] ** 0.3, rtol=1e-5)


def test_the_real_cube_root():
    x = np.array([[-8.0], [-1.0], [27.0]], np.float32)
    np.testing.assert_allclose(forward(from_sympy("x**(1/3)"), x)[:, 0], [-2, -1, 3], rtol=1e-6)


@pytest.fixture
def own_forms():
    before = dict(FORMS)
    yield
    FORMS.clear()
    FORMS.update(before)


@pytest.mark.usefixtures("own_forms")
def test_forms_of_the_user():
    add_form(Form("sinc", jnp.sinc, "sin(pi*x)/(pi*x)", 4, parity="even"))
    add_form(Form("relu", jax.nn.relu, "Max(0, x)", 2))
    add_form(Form("ripple", lambda x: x + jnp.sin(x), "x + sin(x)", 4, parity="odd"))
    add_form(Form("gammaln", jax.scipy.special.gammaln, "loggamma(x)", 4, (0, np.inf)))
    texts = ["5*sin(2*x + 1)/(2*x + 1) - 2", "Max(0, x + y)", "y + 2*x + sin(2*x + 1)", "loggamma(x + 1)"]
    model = from_sympy(texts, ["x", "y"])
    used = [{name for *_, name in layer.symbolic.entries} for layer in model.layers]
    assert used[0] | used[1] == {"sinc", "relu", "ripple", "gammaln", "x"}
    x = points(2)
    expected = reference(map(sympy.sympify, texts), ["x", "y"], x)
    np.testing.assert_allclose(forward(model, x.astype(np.float32)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("own_forms")
def test_a_form_that_is_not_its_expression_is_found_out():
    add_form(Form("false", jnp.sin, "loggamma(x)"))
    with pytest.raises(EdgewiseError, match=r"the network is not the expression (?s:.*)at y=.* it has "):
        from_sympy("loggamma(y)")


def test_it_trains_is_saved_and_scored(tmp_path):
    model = from_sympy("sin(3*x)*exp(-y)")
    x = points(2, low=-0.9).astype(np.float32)
    y = np.sin(3.3 * x[:, :1] + 0.1) * np.exp(-1.2 * x[:, 1:])
    result = ew.fit(model, (x, y), optimizer="levenberg_marquardt", steps=20)
    np.testing.assert_allclose(forward(result.model, x), y, atol=1e-4)
    check_symbolic(result.model)
    check_saved(result.model, tmp_path / "model.npz", x)
    assert scores(model, x).inputs.min() > 0.1


def test_options():
    model = from_sympy("sin(x)", basis=BSpline(3, 4), rngs=nnx.Rngs(1))
    assert model.layers[0].basis == BSpline(3, 4)
    assert model.layers[0].residual is None
    assert from_sympy("sin(x)", param_dtype=jnp.bfloat16).layers[0].symbolic.constants[...].dtype == jnp.bfloat16


P = sympy.Symbol("x", positive=True)


@pytest.mark.parametrize(
    ("expression", "features", "message"),
    [
        ("gamma(x)", None, r"gamma in gamma\(x\) has no form(?s:.*)add_form"),
        ("Piecewise((x, x > 0), (0, True))", None, "Piecewise in .* has no form"),
        ("y + Heaviside(x)", None, "Heaviside in .* has no form"),
        ("floor(x)", None, "floor in .* has no form"),
        ("atan2(x, y)", None, "atan2 in .* has no form"),
        ("nonsense(x)", None, "nonsense in .* is no function that SymPy knows"),
        ("I*x", None, "the constant I is no real, finite number"),
        ("x + sqrt(-2)", None, "the constant .*I is no real"),
        ("x/0", None, "zoo is no real"),
        ("x**y", None, r"x\*\*y is a power of x, which may not be above 0(?s:.*)positive=True"),
        ("x**0.3", None, "is a power of x, which may not be above 0"),
        ("(-2)**x", None, "is a power of -2"),
        ("log(-1 - x**2)", None, "nowhere real and finite"),
        ("x + y", ["x"], r"y is no feature(?s:.*)the features are x"),
        ("x", ["x", "x"], "a name comes twice"),
        ("x", "x y", r"is one name(?s:.*)\['x', 'y'\]"),
        ("3", None, "no symbols"),
        ("x > 0", None, "is no expression"),
        ("sin(", None, "no expression that SymPy reads"),
        ([], None, "there is no expression"),
        (["sqrt(x)", "sqrt(-x)"], None, "nowhere all real"),
        (P + X, None, "different symbols called x"),
        (sympy.Symbol("x", imaginary=True), None, "the symbol x is not real"),
    ],
    ids=str,
)
def test_refused(expression, features, message):
    with pytest.raises(EdgewiseError, match=message):
        from_sympy(expression, features)


def test_a_constant_beyond_the_numbers():
    with pytest.raises(DataError, match="beyond the numbers of float32"):
        from_sympy("1e40*x")
