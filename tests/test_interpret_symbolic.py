"""Forms of edges, networks of formulas, and what is printed of them: closed forms, finite differences, a C compiler."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from flax import nnx
from scipy.interpolate import CubicSpline

import edgewise as ew
from edgewise.errors import DataError, EdgewiseError, ShapeError, UnknownNameError
from edgewise.estimators.scaling import Scaling
from edgewise.interpret.expressions import expressions, simplest, symbols
from edgewise.interpret.fitting import POINTS, Curve, FormFit, canonical, fit_forms, value_and_slope
from edgewise.interpret.formulas import Candidate, Formula, formula, tabled
from edgewise.interpret.observing import observed, spread_rows
from edgewise.interpret.search import Found, _best
from edgewise.interpret.skeleton import Sampled, Skeleton, Term
from edgewise.interpret.snapping import settle, snap, straighten
from edgewise.interpret.symbolic import auto_symbolic, chosen_forms, fix, suggest, symbolized, unfix
from edgewise.nn.forms import FORMS

X = np.random.default_rng(0).uniform(-1, 1, (600, 2)).astype(np.float32)
Y = np.exp(np.sin(np.pi * X[:, :1]) + X[:, 1:] ** 2)
X1, X2 = symbols(["x1", "x2"])
TRUE = sympy.exp(sympy.sin(sympy.pi * X1) + X2**2)


@pytest.fixture(scope="module")
def trained():
    model = ew.KAN([2, 1, 1], ew.BSpline(3, 5), rngs=nnx.Rngs(0))
    fit = lambda model: ew.fit(model, (X, Y), optimizer="levenberg_marquardt", steps=40, progress=False).model
    model = fit(model)
    ew.refine.adapt(model, X)
    ew.refine.extend(model, 10)
    return fit(model)


@pytest.fixture(scope="module")
def symbolic(trained):
    return auto_symbolic(trained, (X, Y), forms=["x", "x^2", "sin", FORMS["exp"], "tanh"])


@pytest.fixture(scope="module")
def printed(trained):
    return formula(trained, (X, Y))


# --- forms of curves -------------------------------------------------------------------------------------------------


def curve(function, low=-1.0, high=1.0):
    places, weight = Curve.places(np.linspace(low, high, 500))
    return Curve(places, function(places), weight)


CURVES = {  # a, b, c, d; the range
    "x": ((-0.7, 1.0, 0.0, 2.1), -1, 1),
    "x^2": ((1.3, 1.0, 0.4, -0.6), -1, 1),
    "x^3": ((-0.8, 1.0, -0.3, 0.2), -2, 1),
    "1/x": ((2.2, 1.0, 1.7, 0.1), -1, 3),
    "sqrt": ((1.1, 1.0, 1.5, -2.0), -1, 4),
    "exp": ((0.4, -1.9, 0.0, 0.3), -1, 1),
    "log": ((1.6, 1.0, 2.3, 0.5), -2, 5),
    "sin": ((0.9, 15.0, 0.3, -1.2), -1, 1),
    "tanh": ((1.7, 2.4, -0.5, 0.8), -1, 2),
    "gaussian": ((2.5, 1.6, 0.7, -0.4), -1, 1),
    "arctan": ((1.2, 3.3, 0.6, 0.0), -2, 1),
    "sigmoid": ((3.1, 2.8, 0.4, -0.9), -2, 2),
}


@pytest.mark.parametrize("name", CURVES)
def test_the_form_of_a_curve_is_found(name):
    (a, b, c, d), low, high = CURVES[name]
    form = FORMS[name]
    sample = curve(lambda x: a * value_and_slope(form, b * x + c)[0] + d, low, high)
    found = {fit.form.name: fit for fit in fit_forms(sample, list(FORMS.values()))}[name]
    assert found.error < 1e-12
    a, b, c, d = found.constants
    np.testing.assert_allclose(
        a * value_and_slope(form, b * sample.x + c)[0] + d, sample.y, atol=1e-6 * np.ptp(sample.y)
    )
    np.testing.assert_allclose(sample.weight.sum(), 1)
    assert len(sample.x) == POINTS


def test_a_small_wave_is_a_wave():
    fits = fit_forms(curve(lambda x: 5 + 1e-4 * np.sin(3 * x + 1)), list(FORMS.values()))
    best = min(fits, key=lambda fit: fit.error)
    assert best.form.name in ("sin", "cos")
    assert best.error < 1e-12
    np.testing.assert_allclose([abs(best.constants[0]), best.constants[1], best.constants[3]], [1e-4, 3, 5], rtol=1e-4)
    assert fit_forms(curve(np.ones_like), list(FORMS.values())) == []


@pytest.mark.parametrize("name", FORMS)
def test_canonical_constants_keep_the_function(name):
    form, random = FORMS[name], np.random.default_rng(3)
    for sign in (1, -1):
        low, high = np.clip(form.domain, 0.2, 3) if form.domain[1] != np.inf else (max(form.domain[0], 0) + 0.2, 3.0)
        arguments = np.linspace(low, min(high, form.domain[1] - 0.01), 40)
        a, b, c, d = random.normal(), sign * random.uniform(0.5, 9), 7 * random.normal(), random.normal()
        x = (arguments - c) / b
        new_a, new_b, new_c, new_d = canonical(form, a, b, c, d)
        expected = a * value_and_slope(form, b * x + c)[0] + d
        found = new_a * value_and_slope(form, new_b * x + new_c)[0] + new_d
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)
        assert new_b > 0 or not (form.parity or form.period)
        if form.degree is not None:
            assert abs(new_b) == 1


# --- skeletons -------------------------------------------------------------------------------------------------------


def skeleton_of(forms, arities, seed=0):
    """A random one of two layers: two inputs, a form for each factor of every node, and one for each node behind."""
    random = np.random.default_rng(seed)
    subnodes = 2 + sum(arities)
    nodes = 2 + len(arities)
    terms = [
        Term(0, i, j, FORMS[forms[(i + j) % len(forms)]], random.uniform(0.3, 0.9, 3))
        for i in range(2)
        for j in range(subnodes)
    ]
    terms += [Term(1, i, 0, FORMS[forms[i % len(forms)]], random.uniform(0.3, 0.9, 3)) for i in range(nodes)]
    return Skeleton(np.arange(2), [arities, ()], [random.normal(size=subnodes), random.normal(size=1)], terms)


def test_a_skeleton_is_its_network():
    model = ew.KAN([2, (2, (3,)), 1], ew.BSpline(3, 5), rngs=nnx.Rngs(0))
    model.layers[0].bias[...] = jnp.arange(5.0) / 5
    fix(model, (0, 1, 3), "tanh", constants=(1.5, 2.0, 0.3, -0.2))
    fix(model, (1, 2, 0), "sin", constants=(0.5, 1.0, 0.3, 0.4))
    activity = observed(model, X)
    skeleton = Skeleton.of(model, activity)
    np.testing.assert_allclose(skeleton(X), activity.outputs, atol=1e-5)
    np.testing.assert_allclose(skeleton.reaching(X)[1], activity.inputs[1], atol=1e-5)
    assert (skeleton.symbolic, skeleton.arities) == (False, [(3,), ()])


def test_a_curve_that_one_number_reaches_is_part_of_the_bias():
    model = ew.KAN([2, 2, 1], ew.BSpline(3, 5), rngs=nnx.Rngs(0))
    for layer in model.layers:
        layer.bias[...] = 0.1 + layer.bias[...]
    x = X * [1, 0] + [0, 0.3]
    skeleton = Skeleton.of(model, observed(model, x))
    assert [(term.layer, term.i) for term in skeleton.terms] == [(0, 0), (0, 0), (1, 0), (1, 1)]
    np.testing.assert_allclose(skeleton(x), observed(model, x).outputs, atol=1e-6)
    found = auto_symbolic(model, x, forms=["x", "x^2", "sin"])
    assert {i for i, _, _ in found.model.layers[0].symbolic.entries} == {0}
    assert not any(np.asarray(layer.mask[...]).any() for layer in found.model.layers)
    np.testing.assert_array_equal(observed(found.model, x).outputs, observed(found.model, x + [0, 1]).outputs)
    spread = observed(model, x).outputs.std()
    np.testing.assert_allclose(found.candidates[-1][1](x), observed(found.model, x).outputs, atol=1e-4 * spread)


def test_a_curve_that_few_numbers_reach_goes_smoothly_through_its_values():
    model = ew.KAN([1, 1], ew.BSpline(3, 40), residual=None, rngs=nnx.Rngs(0))
    model.layers[0].coef[...] = 100 * jax.random.normal(jax.random.key(0), model.layers[0].coef.shape)
    x = np.random.default_rng(0).integers(-1, 2, (60, 1)).astype(float)
    outputs = observed(model, x).outputs
    skeleton = Skeleton.of(model, observed(model, x))
    np.testing.assert_allclose(skeleton(x), outputs, rtol=1e-6)
    parabola = np.polynomial.Polynomial.fit(x[:, 0], outputs[:, 0], 2)
    between = np.linspace(-1, 1, 50)
    np.testing.assert_allclose(skeleton(between[:, None])[:, 0], parabola(between), atol=1e-3)
    best, _ = symbolized(skeleton, x, outputs, None)
    assert best.terms[0].function is FORMS["x^2"]


def test_a_constant_target_has_no_weight_beyond_its_size():
    x = X.astype(float)
    y = np.stack([x[:, 0], np.full(len(x), 1 / 3)], axis=1)
    terms = [Term(0, 0, 0, FORMS["x"]), Term(0, 1, 1, FORMS["x"], np.array([1e-3, 1.0, 0.0]))]
    skeleton = Skeleton(np.arange(2), [()], [np.array([0.0, 1 / 3])], terms)
    np.testing.assert_allclose(skeleton.error(x, y), 1e-3 * np.sqrt(np.mean(x[:, 1] ** 2) / 2))


def test_the_jacobian_by_differences():
    skeleton = skeleton_of(["sin", "x^2", "gaussian", "tanh"], (3,))
    start, x, step = skeleton.vector, X[:20].astype(float), 1e-6
    _, found, _ = skeleton._run(x, True)
    for place in range(len(start)):
        values = []
        for sign in (1, -1):
            skeleton.vector = start + sign * step * (np.arange(len(start)) == place)
            values.append(skeleton(x))
        np.testing.assert_allclose(found[..., place], (values[0] - values[1]) / (2 * step), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("forms", [["sin", "x"], ["exp", "x^2"], ["x", "exp"], ["x^3", "tanh"], ["log(1+x^2)", "abs"]])
@pytest.mark.parametrize("arities", [(), (2, 3)])
def test_settling_keeps_the_function(forms, arities):
    skeleton = skeleton_of(forms, arities)
    before = skeleton(X)
    settle(skeleton)
    np.testing.assert_allclose(skeleton(X), before, rtol=1e-9, atol=1e-9)
    fixed = skeleton.vector[sorted(skeleton.fixed)]
    assert len(fixed) >= 3
    assert set(fixed) <= {-1.0, 0.0, 1.0}


def test_a_form_that_is_undefined_at_a_few_samples_is_not_taken():
    """Candidates are fitted at some of the samples, where the square root fits; it has to exist at the others too."""
    x = np.linspace(0, 1, 1000)[:, None]
    few = spread_rows(len(x), 400)
    x[np.setdiff1d(np.arange(len(x)), few)[:3]] = -0.5
    y = np.sqrt(np.abs(x))
    skeleton = Skeleton(np.arange(1), [()], [np.zeros(1)], [Term(0, 0, 0, Sampled(CubicSpline([-1, 0, 1], [1, 0, 1])))])
    offers = [FormFit(FORMS["sqrt"], (1.0, 1.0, 0.6, 0.0), 0.01), FormFit(FORMS["x"], (1.0, 1.0, 0.0, 0.0), 0.1)]
    found = Found()
    best = _best(skeleton, 0, offers, x, (x[few], y[few]), 12, found)
    assert best.terms[0].function is FORMS["x"]
    assert [candidate.defined(x) for _, candidate in found.best.values()] == [True]
    assert _best(skeleton, 0, offers, x[few], (x[few], y[few]), 12, Found()).terms[0].function is FORMS["sqrt"]


def test_a_fit_does_not_end_where_the_network_is_undefined():
    """While constants are fitted, arguments may be a little outside the domain: here the best ones are."""
    x = np.linspace(-0.1, 1, 200)[:, None]
    skeleton = Skeleton(np.arange(1), [()], [np.zeros(1)], [Term(0, 0, 0, FORMS["sqrt"], np.array([1.0, 1.0, 0.11]))])
    error = skeleton.fit(x, np.sqrt(np.maximum(x, 0)))
    assert skeleton.defined(x)
    assert error == skeleton.error(x, np.sqrt(np.maximum(x, 0))) < 0.5


def test_constants_that_are_nothing_beside_the_data_are_none():
    """Masses of 1e30: 1e15 is rounding."""
    x = 1e30 * np.random.default_rng(0).uniform(1, 3, (200, 2))
    terms = [Term(0, i, i, FORMS["x"]) for i in range(2)]
    terms.append(Term(1, 0, 0, FORMS["x"], np.array([6.674e-11, 1.0, 0.0])))
    skeleton = Skeleton(np.arange(2), [(2,), ()], [np.array([3e15, -8e14]), np.array([-2e34])], terms)
    settle(skeleton)
    snap(skeleton, x, 6.674e-11 * x.prod(axis=1, keepdims=True))
    first, second = symbols(["x", "y"])
    assert expressions(skeleton, ["x", "y"])[0].coeff(first * second) == sympy.Float(skeleton.vector[-3])
    assert expressions(skeleton, ["x", "y"])[0].free_symbols == {first, second}
    assert skeleton.exact.keys() == {0, 1, 2}


@pytest.mark.parametrize(("slope", "noise", "found"), [(3700000, 0.0, 3700000), (3712345, 0.0, 3712345),
                                                       (3712345, 0.3, 3700000), (14.2, 0.3, 14)])  # fmt: skip
def test_large_constants_have_no_digits_that_the_data_do_not_tell(slope, noise, found):
    x = X[:, :1].astype(float)
    y = slope * (x + noise * np.random.default_rng(0).normal(size=x.shape))
    terms = [Term(0, 0, 0, FORMS["x"], np.array([slope + 0.01, 1.0, 0.0]))]
    skeleton = Skeleton(np.arange(1), [()], [np.zeros(1)], terms)
    settle(skeleton)
    snap(skeleton, x, y)
    assert skeleton.vector[1] == found


def test_an_absolute_value_of_one_sign_is_none():
    terms = [Term(0, 0, 0, FORMS["abs"], np.array([2.0, 1.0, shift])) for shift in (-1.5, 1.5, 0.5)]
    skeleton = Skeleton(np.arange(1), [()], [np.zeros(1)], terms)
    x = X[:, :1].astype(float)
    before = skeleton(x)
    straighten(skeleton, x)
    assert [term.function.name for term in skeleton.terms] == ["x", "x", "abs"]
    np.testing.assert_array_equal(skeleton(x), before)


def test_whole_numbers_bend_no_line():
    x = np.repeat(np.arange(1.0, 8), 20)[:, None]
    curve = Sampled(CubicSpline(np.linspace(1, 7.5, 50), 25 - 3 * abs(np.linspace(1, 7.5, 50) - 7.3)))
    skeleton = Skeleton(np.arange(1), [()], [np.zeros(1)], [Term(0, 0, 0, curve)])
    best, _ = symbolized(skeleton, x, 3 * x, [FORMS["abs"]])
    assert str(expressions(best, ["x"])[0]) == "3*x"


@pytest.mark.parametrize(
    ("name", "constants", "start"),
    [("sqrt", (2, 1, 0), (1.9, 1, 1e-3)), ("cbrt", (2, 1, -2), (1.9, 1, -2.01)), ("x^1.5", (3, 1, 0), (2.9, 1, 1e-3))],
)
def test_constants_that_put_a_sample_where_the_form_is_vertical_are_found(name, constants, start):
    x = np.linspace(0, 4, 101)[:, None]
    exact = Skeleton(np.arange(1), [()], [np.ones(1)], [Term(0, 0, 0, FORMS[name], np.array(constants, float))])
    skeleton = Skeleton(np.arange(1), [()], [np.ones(1)], [Term(0, 0, 0, FORMS[name], np.array(start))])
    settle(skeleton)
    assert snap(skeleton, x, exact(x)) < 1e-12
    np.testing.assert_allclose(skeleton.vector, exact.vector, atol=1e-12)


def test_a_fit_whose_squares_overflow_says_nothing():
    """Warnings are errors here."""
    x = X[:, :1].astype(float)
    skeleton = Skeleton(np.arange(1), [()], [np.zeros(1)], [Term(0, 0, 0, FORMS["exp"], np.array([1.0, 5.0, 500.0]))])
    assert skeleton.fit(x, x**2) == np.inf


def test_constants_with_a_name_are_found():
    x = X.astype(float)
    y = 0.5 * np.sin(np.pi * x[:, :1]) + 0.4317 * x[:, 1:] - 3
    terms = [
        Term(0, 0, 0, FORMS["sin"], np.array([0.5003, 3.1401, 1e-4])),
        Term(0, 1, 0, FORMS["x"], np.array([0.4316, 1.0, 0.0])),
    ]
    skeleton = Skeleton(np.arange(2), [()], [np.array([-2.9995])], terms)
    settle(skeleton)
    assert snap(skeleton, x, y) < 1e-12
    assert all(place in skeleton.exact for place in range(4))
    assert 4 not in skeleton.exact
    first, second = symbols(["x", "y"])
    rest = expressions(skeleton, ["x", "y"])[0] - (sympy.sin(sympy.pi * first) / 2 - 3)
    assert rest == sympy.Float(skeleton.vector[4]) * second
    np.testing.assert_allclose(skeleton.vector[4], 0.4317)


# --- forms on edges --------------------------------------------------------------------------------------------------


def test_forms_are_suggested(trained):
    for edge, name in {(0, 0, 0): "sin", (0, 1, 0): "x^2", (1, 0, -1): "exp"}.items():
        found = suggest(trained, edge, (X, Y))
        assert name in [fit.form.name for fit in found.fits]
        assert {fit.form.name: fit.error for fit in found.fits}[name] < 1e-6
        assert [fit.error for fit in found.every] == sorted(fit.error for fit in found.every)
        assert str(found).startswith(f"edge {found.edge}\nform")


def test_an_edge_becomes_a_formula_and_a_curve_again(trained):
    model = nnx.clone(trained)
    before = observed(model, X).outputs
    for edge, name in {(0, 0, 0): "sin", (1, 0, 0): "exp"}.items():
        assert fix(model, edge, name, X) < 1e-6
    change = lambda: np.sqrt(np.mean((observed(model, X).outputs - before) ** 2)) / before.std()
    assert change() < 1e-3
    assert model.layers[0].symbolic.entries == ((0, 0, "sin"),)
    assert not model.layers[0].coef[...][:, 0, 0].any()
    assert unfix(model, (0, 0, 0), X) < 2e-3
    assert model.layers[0].symbolic is None
    assert change() < 2e-3


@pytest.mark.parametrize(("cubic", "why"), [(0.25, "constants that grow without end"), (0.0, "the edge is constant")])
def test_a_form_without_a_best_fit_is_not_called_undefined(cubic, why):
    """x^3 is the limit of sines of less and less curvature; on an edge that is constant nothing is to be fitted."""
    line = ew.KAN([1, 1], ew.Chebyshev(3, squash=None), residual=None, bias=False, rngs=nnx.Rngs(0))
    line.layers[0].coef[...] = cubic * np.array([0.0, 3.0, 0.0, 1.0], np.float32)[:, None, None]
    with pytest.raises(EdgewiseError, match=rf"sin has no best fit to edge \(0, 0, 0\)(?s:.*){why}"):
        fix(line, (0, 0, 0), "sin", X[:, :1])


def test_what_cannot_be_fixed(trained):
    wrong = {
        r"log is not defined on the range of edge \(0, 0, 0\), -0.99": ("log", X, (1, 1, 0, 0)),
        "its argument goes from": ("sqrt", X, (1, 1, 0, 0)),
        "did you mean 'sin'": ("sine", X, None),
        "fix needs data or constants": ("sin", None, None),
        "four finite numbers": ("sin", None, (1, 2, 3)),
    }
    before = nnx.state(trained)
    for message, (form, data, constants) in wrong.items():
        with pytest.raises(EdgewiseError, match=message):
            fix(trained, (0, 0, 0), form, data, constants=constants)
    assert trained.layers[0].symbolic is None
    jax.tree.map(np.testing.assert_array_equal, nnx.state(trained), before)
    with pytest.raises(EdgewiseError, match="is no formula"):
        unfix(trained, (0, 0, 0), X)
    with pytest.raises(EdgewiseError, match="does not exist"):
        suggest(trained, (0, 2, 0), X)
    assert chosen_forms("sin") == chosen_forms(["sin"]) == [FORMS["sin"]]
    with pytest.raises(EdgewiseError, match="forms is empty"):
        suggest(trained, (0, 0, 0), X, forms=[])
    with pytest.raises(UnknownNameError, match="unknown form"):
        auto_symbolic(trained, X, forms=["wave"])
    with pytest.raises(ShapeError, match="targets of shape"):
        auto_symbolic(trained, (X, Y[1:]))
    with pytest.raises(DataError, match="y has values"):
        auto_symbolic(trained, (X, np.full_like(Y, np.nan)))


def test_a_network_of_formulas(symbolic, trained):
    assert trained.layers[0].symbolic is None
    assert [layer.symbolic.entries for layer in symbolic.model.layers] == [
        ((0, 0, "sin"), (1, 0, "x^2")),
        ((0, 0, "exp"),),
    ]
    assert symbolic.error < 1e-6 < symbolic.before < 1e-2
    np.testing.assert_allclose(observed(symbolic.model, X).outputs, Y, rtol=1e-5)
    assert repr(symbolic).startswith("Symbolic(relative error ")
    complexities = [skeleton.complexity for _, skeleton in symbolic.candidates]
    assert complexities == sorted(complexities)


# --- formulas --------------------------------------------------------------------------------------------------------


def compiled_c(source, arguments, tmp_path, *options):
    """The function of a C source at one point."""
    if not (gcc := shutil.which("gcc")):
        pytest.skip("needs gcc")
    (tmp_path / "formula.c").write_text(source)
    flags = [*options, "-Wall", "-Werror", "-O0", "-shared", "-fPIC", "-o", "formula.so", "formula.c", "-lm"]
    subprocess.run([gcc, *flags], cwd=tmp_path, check=True)
    function = ctypes.CDLL(str(tmp_path / "formula.so")).formula
    function.argtypes, function.restype = [ctypes.c_double] * arguments, ctypes.c_double
    return function


def test_the_formula_is_found(printed):
    assert printed.sympy() == TRUE
    row = printed.rows[printed.picked]
    assert row.check < 1e-6
    assert printed.error == row.error < 1e-6
    assert printed.latex() == r"y = e^{x_{2}^{2} + \sin{\left(\pi x_{1} \right)}}"
    np.testing.assert_allclose(printed.numpy()(X.astype(float)), Y[:, 0], rtol=1e-6)
    np.testing.assert_allclose(jax.jit(printed.jax())(X), Y[:, 0], rtol=1e-5)
    table = printed.table()
    assert [entry["picked"] for entry in table].count(True) == 1
    assert table[printed.picked]["formula"] == "exp(x2**2 + sin(pi*x1))"
    assert str(printed).splitlines()[1 + printed.picked].startswith(">")
    with pytest.raises(EdgewiseError, match="there is no row 99"):
        printed.sympy(99)


def test_the_formula_in_c(printed, tmp_path):
    function = compiled_c(printed.c(), 2, tmp_path, "-std=c99", "-pedantic")
    np.testing.assert_allclose([function(*row) for row in X[:9].astype(float)], Y[:9, 0], rtol=1e-6)


def test_every_form_is_printed_in_c_and_in_jax(tmp_path):
    names = ["log", "a b"]
    first, second = symbols(names)
    every = sympy.Add(*(sympy.sympify(form.sympy).subs(sympy.Symbol("x"), (
        first + 1 if form.name == "arccosh" else first * second
    )) for form in FORMS.values()))  # fmt: skip
    found = Formula((Candidate((every,), 1, 0.0, 0.0),), 0, tuple(names), ("y",))
    point = np.array([[0.8, 0.6]])
    expected = found.numpy()(point)
    np.testing.assert_allclose(compiled_c(found.c(), 2, tmp_path)(0.8, 0.6), expected[0], rtol=1e-12)
    with jax.enable_x64(True):
        np.testing.assert_allclose(found.jax()(point), expected, rtol=1e-12)


def test_several_outputs_and_any_names(tmp_path):
    model = ew.KAN([2, 2], ew.BSpline(3, 5), rngs=nnx.Rngs(0))
    for (i, j), (name, constants) in {
        (0, 0): ("sin", (2, 3, 0, 0)), (1, 0): ("x^2", (1, 1, 0, 0.5)),
        (0, 1): ("exp", (1, 0.5, 0, 0)), (1, 1): ("x", (-1, 1, 0, 0)),
    }.items():  # fmt: skip
        fix(model, (0, i, j), name, constants=constants)
    found = formula(model, X, features=["a b", "double"], outputs=["u", "v w"])
    a, b = symbols(["a b", "double"])
    assert found.sympy() == [2 * sympy.sin(3 * a) + b**2 + sympy.Rational(1, 2), sympy.exp(a / 2) - b]
    outputs = observed(model, X).outputs
    np.testing.assert_allclose(found.numpy()(X), outputs, atol=1e-5)
    np.testing.assert_allclose(found.jax()(X), outputs, atol=1e-5)
    assert found.latex().splitlines()[1].startswith(r"\text{v w} = ")
    assert [row["output"] for row in found.table()] == ["u", "v w"]
    assert "void formula(double a_b, double double_, double *outputs)" in found.c()
    function = compiled_c(found.c(), 2, tmp_path, "-std=c99")
    function.argtypes, function.restype = [*function.argtypes, ctypes.POINTER(ctypes.c_double)], None
    values = (ctypes.c_double * 2)()
    function(*X[0].astype(float), values)
    np.testing.assert_allclose(list(values), outputs[0], atol=1e-5)
    with pytest.raises(EdgewiseError, match="3 names for 2 outputs"):
        formula(model, X, outputs=["u", "v", "w"])


def test_rows_that_are_held_out_are_of_all_kinds():
    """A grid of five levels, of which every fifth row is one."""
    x = np.stack(np.meshgrid(np.linspace(-1, 1, 40), np.linspace(-1, 1, 5), indexing="ij"), axis=-1).reshape(-1, 2)
    y = x.sum(axis=1) + 0.5 * (x[:, 1] == -1)
    model = ew.KAN([2, 1], ew.BSpline(1, 1), residual=None, rngs=nnx.Rngs(0))
    fix(model, (0, 0, 0), "x", constants=(1, 1, 0, 0))
    fix(model, (0, 1, 0), "x", constants=(1, 1, 0, 0))
    found = formula(model, (x, y))
    overall = np.sqrt(np.mean((found.numpy()(x) - y) ** 2)) / y.std()
    np.testing.assert_allclose(found.error, overall, rtol=0.3)


@pytest.mark.parametrize("constant", [1 / 3, 1e11])
def test_outputs_that_hardly_vary_are_printed(constant):
    terms = [Term(0, 0, 0, FORMS["sin"]), Term(0, 1, 0, FORMS["x^2"]), Term(0, 1, 1, FORMS["x"], np.zeros(3))]
    skeleton = Skeleton(np.arange(2), [()], [np.array([constant, constant])], terms)
    x = X.astype(float)
    found = tabled([skeleton], x, skeleton(x), ["a", "b"], ["y", "z"])
    np.testing.assert_allclose(found.numpy()(x), skeleton(x), rtol=1e-15, atol=1e-14)


def test_constants_are_printed_with_the_digits_that_the_formula_needs():
    years = np.random.default_rng(0).uniform(1990, 2020, (200, 1))
    terms = [Term(0, 0, 0, FORMS["x^2"], np.array([0.512345, 1.0, -2003.712345]))]
    skeleton = Skeleton(np.arange(1), [()], [np.array([0.0])], terms)
    found = tabled([skeleton], years, skeleton(years), ["year"], ["y"])
    year = symbols(["year"])[0]
    (row,) = found.table()
    for text in (row["formula"], str(found).split("y = ")[1]):
        printed = sympy.lambdify(year, sympy.sympify(text, locals={"year": year}))(years)
        assert abs(printed - skeleton(years)).max() < 5e-3 * skeleton(years).std()
    assert row["formula"] == "0.512345*(year - 2003.71)**2"
    assert found.latex() == "y = " + row["latex"] == r"y = 0.512345 \left(year - 2003.71\right)^{2}"
    exact = sympy.lambdify(year, sympy.sympify(row["exact"], locals={"year": year}))(years)
    np.testing.assert_allclose(exact, skeleton(years), rtol=1e-9)
    assert found.latex(digits=4) == r"y = 0.5123 \left(year - 2004\right)^{2}"


def test_names_that_are_no_words_are_told_apart():
    names = ["z-1", r"tax_% \ {a}", "ok_1"]
    z, tax, ok = symbols(names)
    found = Formula((Candidate((z**2 + sympy.sin(tax) - ok,), 1, 0.0, 0.0),), 0, tuple(names), ("y (m)",))
    assert str(found).endswith(r"y (m) = `z-1`**2 - ok_1 + sin(`tax_% \ {a}`)")
    assert found.table()[0]["formula"] == r"`z-1`**2 - ok_1 + sin(`tax_% \ {a}`)"
    written = found.latex()
    assert written.startswith(r"\text{y (m)} = ")
    assert r"\text{z-1}^{2}" in written
    assert r"\text{tax\_\% \textbackslash{} \{a\}}" in written
    assert "ok_{1}" in written
    with pytest.raises(EdgewiseError, match="no name for a function of C"):
        found.c(name="1 x")


def test_a_column_called_pi_is_not_the_number():
    pi, e = symbols(["pi", "E"])
    found = Formula((Candidate((sympy.pi * pi + e,), 1, 0.0, 0.0),), 0, ("pi", "E"), ("y",))
    assert found.table()[0]["formula"] == "E + pi*`pi`"
    assert found.latex() == r"y = E + \pi \text{pi}"


def test_formulas_of_other_columns_are_refused():
    a, b = symbols(["a", "b"])
    found = Formula((Candidate((a / b,), 1, 0.0, 0.0),), 0, ("a", "b"), ("y",))
    for function in (found.numpy(), found.jax()):
        for shape in ((3, 1), (3, 3), ()):
            with pytest.raises(ShapeError, match=r"expected \(\.\.\., 2\)(.|\n)*variables a, b"):
                function(np.ones(shape))
        with pytest.raises(DataError, match="no array of numbers"):
            function(np.array([["a", "b"]]))
        np.testing.assert_array_equal(function([[1, 2], [3, 4]]), [0.5, 0.75])
        assert function(np.ones((2, 3, 2))).shape == (2, 3)


def test_the_formula_of_an_estimator_is_in_its_own_units(symbolic):
    estimator = SimpleNamespace(
        model_=symbolic.model,
        input_scaling_=Scaling(np.array([1.0, -2.0]), np.array([2.0, 4.0])),
        target_scaling_=Scaling(np.array([3.0]), np.array([5.0])),
        feature_names_in_=np.array(["mass", "speed"], object),
    )
    x, y = X * [2.0, 4.0] + [1.0, -2.0], 5 * Y + 3.0
    found = formula(estimator, (x, y[:, 0]))
    assert found.features == ("mass", "speed")
    assert found.rows[0].check < 1e-6
    np.testing.assert_allclose(found.numpy()(x), y[:, 0], rtol=1e-5)
    mass, speed = symbols(["mass", "speed"])
    value = found.sympy().subs({mass: 1, speed: -2})
    np.testing.assert_allclose(float(value), 8, rtol=1e-5)


def test_the_shortest_way_to_write_it():
    assert simplest(X1 * (X1 + X2) - X1 * X2) == X1**2
