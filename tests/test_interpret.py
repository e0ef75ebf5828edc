"""Forms, layers with formulas, scores and pruning: SciPy, NumPy by hand, and networks whose function is known."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from flax import nnx

import edgewise as ew
from edgewise.bases import Basis
from edgewise.errors import DataError, EdgewiseError, ShapeError, UnknownNameError
from edgewise.interpret.compaction import compacted
from edgewise.interpret.observing import ROWS, data_of, feature_names, observed, present
from edgewise.interpret.pruning import prune
from edgewise.interpret.scoring import KINDS, scores
from edgewise.interpret.symbolic import fix
from edgewise.nn.forms import FORMS, Form, add_form, form_named
from edgewise.nn.products import multiply
from edgewise.nn.symbolic import SymbolicEdges

X = np.random.default_rng(0).uniform(-1, 1, (300, 4)).astype(np.float32)
ENTRIES = [(0, 0, "sin"), (1, 0, "exp"), (1, 2, "x^2")]
CONSTANTS = np.array([[1.5, 2.0, 0.3, 0.1], [0.5, -1.0, 0.2, -0.4], [-2.0, 0.7, 0.1, 1.0]])


def untrained(widths, basis=None, seed=0, **options):
    """A network with biases that are not 0."""
    model = ew.KAN(widths, basis or ew.Chebyshev(3), rngs=nnx.Rngs(seed), **options)
    random = np.random.default_rng(seed)
    for layer in model.layers:
        if layer.bias is not None:
            layer.bias[...] = jnp.asarray(random.normal(size=layer.n_out), jnp.float32)
    return model


@pytest.fixture(scope="module")
def mixed():
    """Of everything a network can have: product nodes, an input and an edge pruned, formulas."""
    model = prune(untrained([4, (2, (3,)), 2], ew.BSpline(3, 5)), X, inputs=[1], edges=[(0, 2, 1)]).model
    fix(model, (0, 0, 2), "sin", constants=(0.8, 1.3, 0.2, -0.1))
    fix(model, (0, 2, 0), "x^2", constants=(0.4, 1.0, 0.5, 0.3))
    fix(model, (1, 0, 1), "exp", constants=(0.3, 0.5, 0.1, 0.2))
    return model


def close(found, expected, tolerance=1e-6):
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def outputs(model, x=X):
    return observed(model, x).outputs


# --- forms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMS)
def test_a_form_is_its_text(name):
    form = FORMS[name]
    low, high = np.clip(form.domain, -3, 4)
    points = low + (high - low) * np.linspace(0.06, 0.94, 40)
    ends = [end + out for end, out in zip(form.domain, (-0.5, 0.5), strict=True) if np.isfinite(end)]
    rows = [points, -points, 1.7 * points, points + (form.period or 0), np.resize(ends or [1.0], 40)]
    with jax.enable_x64(True):
        value, mirrored, scaled, later, outside = np.asarray(form(jnp.asarray(rows, jnp.float64)))
    expected = sympy.lambdify(sympy.Symbol("x"), sympy.sympify(form.sympy), ["scipy", "numpy"])
    np.testing.assert_allclose(value, expected(points), rtol=1e-12, atol=1e-14)
    if form.parity:
        np.testing.assert_allclose(mirrored, {"even": 1, "odd": -1}[form.parity] * value, rtol=1e-14)
    if form.degree is not None:
        np.testing.assert_allclose(scaled, 1.7**form.degree * value, rtol=1e-13)
    if form.period:
        np.testing.assert_allclose(later, value, atol=1e-14)
    assert np.isnan(outside).all() == (bool(ends) and name != "tan")
    assert jax.eval_shape(form, jnp.ones(2, jnp.float32)).dtype == jnp.float32


def test_where_forms_are_defined():
    low, high = np.array([-1.0, 0.0, 0.5, -2.0]), np.array([1.0, 2.0, 2.0, -0.1])
    assert FORMS["x"].allows(low, high).tolist() == [True] * 4
    assert FORMS["1/x"].allows(low, high).tolist() == [False, False, True, True]
    assert FORMS["log"].allows(low, high).tolist() == [False, False, True, False]
    assert FORMS["arcsin"].allows(low, high).tolist() == [False] * 4
    assert FORMS["arcsin"].allows(-0.9, 0.9)


def test_forms_of_the_user():
    form = Form("sinc", jnp.sinc, "sin(pi*x)/(pi*x)", 4, parity="even")
    try:
        assert add_form(form) is form
        add_form(form)
        assert form_named("sinc") is form
        with pytest.raises(EdgewiseError, match="another form called 'sinc'"):
            add_form(Form("sinc", jnp.sin, "sin(x)"))
    finally:
        del FORMS["sinc"]
    with pytest.raises(UnknownNameError, match="did you mean 'sinh'"):
        form_named("sinhh")
    with pytest.raises(UnknownNameError, match="did you mean 'parity'"):
        Form("f", jnp.sin, "sin(x)", paritty="odd")
    with pytest.raises(EdgewiseError, match="complexity"):
        Form("f", jnp.sin, "sin(x)", 0)


# --- layers with formulas --------------------------------------------------------------------------------------------


def test_symbolic_edges_in_closed_form():
    edges = SymbolicEdges(ENTRIES, CONSTANTS.astype(np.float32), 2, 3)
    x, y = X[:, :2].T
    points = jnp.asarray(X[:, :2])
    expected = np.zeros((len(X), 2, 3))
    expected[:, 0, 0] = 1.5 * np.sin(2 * x + 0.3) + 0.1
    expected[:, 1, 0] = 0.5 * np.exp(-y + 0.2) - 0.4
    expected[:, 1, 2] = -2 * (0.7 * y + 0.1) ** 2 + 1
    close(edges.edges(points), expected)
    close(edges(points), expected.sum(axis=1))
    _, slope = jax.jvp(edges, (points,), (jnp.ones_like(points),))
    close(slope[:, 0], 3 * np.cos(2 * x + 0.3) - 0.5 * np.exp(-y + 0.2))
    assert edges.form(1, 2) == "x^2"
    assert edges.form(0, 2) is None
    assert not SymbolicEdges([], np.zeros((0, 4), np.float32), 2, 3)(points).any()
    with pytest.raises(UnknownNameError, match="unknown form"):
        SymbolicEdges([(0, 0, "sine wave")], CONSTANTS[:1], 2, 3)


def test_a_layer_is_the_sum_of_its_edges(mixed):
    activity = observed(mixed, X)
    for layer, edges, sums in zip(mixed.layers, activity.edges, activity.sums, strict=True):
        close(sums, edges.sum(axis=1) + np.asarray(layer.bias[...]))
    close(activity.outputs, jax.jit(lambda x: mixed(x))(X))
    assert (activity.edges[0] == 0).all(axis=0).sum() == 1
    np.testing.assert_array_equal(present(mixed.layers[0]), (activity.edges[0] != 0).any(axis=0))


def test_what_a_network_has_is_saved_and_cloned(mixed, tmp_path):
    ew.save_model(mixed, tmp_path / "model")
    loaded = ew.load_model(tmp_path / "model")
    assert (loaded.inputs, loaded.arities) == (mixed.inputs, mixed.arities) == ((True, False, True, True), ((3,), ()))
    np.testing.assert_array_equal(outputs(loaded), outputs(mixed))
    np.testing.assert_array_equal(outputs(nnx.clone(mixed)), outputs(mixed))


def test_a_pruned_network_is_refined_trained_and_saved(mixed, tmp_path):
    finer = nnx.clone(mixed)
    ew.refine.extend(finer, 9)
    assert finer.layers[0].coef.shape[0] > mixed.layers[0].coef.shape[0]
    close(outputs(finer), outputs(mixed), 1e-5)
    before = outputs(finer)
    fitted = ew.fit(finer, (X, X[:, :2] ** 2), steps=2, progress=False).model
    after = observed(fitted, X)
    assert np.abs(after.outputs - before).max() > 1e-3
    np.testing.assert_array_equal((after.edges[0] == 0).all(axis=0), ~present(mixed.layers[0]))
    ew.save_model(fitted, tmp_path / "model")
    np.testing.assert_array_equal(outputs(ew.load_model(tmp_path / "model")), after.outputs)


def test_a_layer_as_made_has_neither():
    model = untrained([2, 3, 1])
    assert not {"mask", "symbolic"} & set(vars(model.layers[0]))
    assert not {"inputs", "arities"} & set(vars(model))


# --- scores ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def multiplied():
    return untrained([4, (2, (2, 3)), 2])


def products(factors, reduce=np.max):
    return np.array([*factors[:2], reduce(factors[2:4]), reduce(factors[4:])])


def test_spreads_by_hand(multiplied):
    edges = observed(multiplied, X).edges
    measures = {"std": lambda e: e.std(axis=0), "l1": lambda e: np.abs(e - e.mean(axis=0)).mean(axis=0)}
    for kind, measure in measures.items():
        found = scores(multiplied, X, kind)
        first, second = map(measure, edges)
        close(found.edges[0], first, 1e-5)
        close(found.edges[1], second, 1e-5)
        close(found.inputs, first.max(axis=1), 1e-5)
        close(found.nodes[1], np.minimum(products(first.max(axis=0)), second.max(axis=1)), 1e-5)
        close(found.nodes[2], second.max(axis=0), 1e-5)


def test_attribution_by_hand(multiplied):
    activity = observed(multiplied, X)
    edges, sums = activity.edges, activity.sums[0]
    found = scores(multiplied, X, features=list("abcd"))
    second = edges[1].std(axis=0) / activity.outputs.std(axis=0)
    nodes = second.sum(axis=1)
    first = edges[0].std(axis=0) / sums.std(axis=0) * np.repeat(nodes, [1, 1, 2, 3])
    close(found.edges[1], second, 1e-4)
    close(found.nodes[1], nodes, 1e-4)
    close(found.edges[0], first, 1e-4)
    close(found.inputs, first.sum(axis=1), 1e-4)
    assert str(found).splitlines()[1][0] == "abcd"[int(np.argmax(first.sum(axis=1)))]
    path = scores(untrained([1, 1, 1]), X[:, :1])
    close([*path.inputs, *path.nodes[1], *path.edges[0][0], *path.edges[1][0]], np.ones(4), 1e-5)


def test_sensitivity_by_derivatives(multiplied):
    (_, nodes), edges, (sums, _), _ = observed(multiplied, X)
    second = multiplied.layers[1]

    def size(function, points):
        jacobians = jax.jit(jax.vmap(jax.jacobian(function)))(jnp.asarray(points, jnp.float32))
        return np.sqrt((np.asarray(jacobians) ** 2).sum(axis=1).mean(axis=0))

    tail = lambda s: second(multiply(s, multiplied.arities[0]))
    found = scores(multiplied, X, "sensitivity")
    close(found.edges[0], edges[0].std(axis=0) * size(tail, sums), 1e-4)
    close(found.edges[1], edges[1].std(axis=0), 1e-4)
    close(found.nodes[1], nodes.std(axis=0) * size(second, nodes), 1e-4)
    close(found.inputs, X.std(axis=0) * size(multiplied, X), 1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_intervals_hold_the_scores(mixed, kind):
    found = scores(mixed, (X, X[:, :2]), kind)
    pairs = [(found.inputs, found.input_intervals)]
    pairs += [
        *zip(found.edges, found.edge_intervals, strict=True),
        *zip(found.nodes, found.node_intervals, strict=True),
    ]
    for values, (low, high) in pairs:
        assert (low <= values + 1e-6).all()
        assert (values <= high + 1e-6).all()
    low, high = found.input_intervals
    assert (high - low)[[0, 2, 3]].min() > 0
    assert found.inputs[1] == low[1] == high[1] == 0
    assert found.edges[0][1, 1] == 0  # pruned
    assert found.edges[0][0, 2] > 0  # a formula


def test_what_cannot_be_scored(mixed):
    with pytest.raises(UnknownNameError, match="did you mean 'std'"):
        scores(mixed, X, "sdt")
    with pytest.raises(ShapeError, match="4 features"):
        scores(mixed, X[:, :3])
    with pytest.raises(DataError, match="not finite"):
        scores(mixed, np.where(X > 0.9, np.nan, X))
    with pytest.raises(DataError, match="no array of numbers"):
        scores(mixed, X.astype(str))
    with pytest.raises(ShapeError, match="3 names for 4 features"):
        scores(mixed, X, features=["a", "b", "c"])
    with pytest.raises(EdgewiseError, match="comes twice"):
        feature_names(mixed, ["a", "b", "c", "a"])
    for other in (nnx.Linear(4, 1, rngs=nnx.Rngs(0)), ew.KKAN(4, 1, rngs=nnx.Rngs(0)), "model"):
        with pytest.raises(EdgewiseError, match=r"is no edgewise\.KAN"):
            scores(other, X)


def test_many_samples_are_thinned_evenly(mixed):
    many = np.repeat(np.arange(3.0 * ROWS)[:, None], 4, axis=1)
    found = data_of(mixed, many)[:, 0]
    assert (len(found), found[0], found[-1]) == (ROWS, 0, 3 * ROWS - 1)
    assert set(np.diff(found)) <= {2, 3, 4}


# --- pruning ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Waves(Basis):
    """1, sin x, sin 2x."""

    @property
    def size(self):
        return 3

    def modes(self, x, state):
        return [jnp.ones_like(x), jnp.sin(x), jnp.sin(2 * x)]


def flatten(layer, i, j, modes):
    """Make an edge the constant 0.7 by its first modes, or 0."""
    values = jnp.zeros(layer.coef.shape[0]).at[:modes].set(0.7)
    layer.coef[...] = layer.coef[...].at[:, i, j].set(values)
    if layer.residual_kernel is not None:
        layer.residual_kernel[...] = layer.residual_kernel[...].at[i, j].set(0.0)


FAMILIES = {  # basis, options, how many of its modes sum to 1
    "spline": (ew.BSpline(3, 5), {}, 99),
    "scaled": (ew.BSpline(3, 5), {"edge_scale": True, "residual": None}, 99),
    "chebyshev": (ew.Chebyshev(4), {}, 0),
    "no bias": (ew.Chebyshev(4), {"bias": False}, 1),
    "rbf": (ew.RBF(6), {}, 0),
    "sine": (ew.Sine(5), {}, 0),
    "user": (Waves(), {}, 1),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_pruning_constants_loses_nothing(name):
    basis, options, modes = FAMILIES[name]
    model = untrained([2, 3, 1], basis, **options)
    x = X[:, :2]
    flatten(model.layers[0], 0, 1, modes)
    flatten(model.layers[0], 0, 2, modes)
    flatten(model.layers[1], 1, 0, modes)
    pruned = prune(model, x, threshold=1e-4)
    close(outputs(pruned.model, x), outputs(model, x), 2e-6)
    assert pruned.edges == ((0, 0, 1), (0, 0, 2), (0, 1, 1), (1, 1, 0))
    assert (pruned.nodes, pruned.edge_count, pruned.loss[0]) == (((1, 1),), (9, 5), 0)
    assert pruned.model.layers[0].coef.shape[1:] == (2, 2)
    assert pruned.model.layers[1].coef.shape[1:] == (2, 1)
    assert [kept.tolist() for kept in pruned.kept] == [[0, 1], [0, 2], [0]]


def test_a_loss_that_is_allowed():
    model = untrained([4, 4, 1])
    y = outputs(model) * (1 + np.random.default_rng(1).normal(size=(len(X), 1)))
    found = prune(model, (X, y), allowed=0.05)
    loss = lambda network: np.mean((outputs(network) - y) ** 2)
    np.testing.assert_allclose(found.loss, [loss(model), loss(found.model)], rtol=1e-5)
    rise = np.mean((outputs(found.model) - y) ** 2 - (outputs(model) - y) ** 2, axis=1)
    assert rise.mean() + 1.645 * rise.std() / np.sqrt(len(rise)) <= 0.05 * found.loss[0] * (1 + 1e-5)
    assert len(found.edges) >= 2
    everything = prune(model, (X, y), allowed=0)
    assert everything.loss[1] <= everything.loss[0]


@pytest.mark.parametrize("options", [{}, {"bias": False, "basis": ew.Chebyshev(4)}], ids=str)
def test_the_mean_of_what_goes_stays(options):
    model = untrained([4, 2, 1], **options)
    edges = observed(model, X).edges[0]
    gone = np.zeros((4, 2), bool)
    gone[0, 0] = gone[2, 0] = gone[3, 1] = True
    edges = np.where(gone, edges.mean(axis=0), edges)
    bias = 0 if model.layers[0].bias is None else model.layers[0].bias[...]
    found = prune(model, X, edges=[(0, 0, 0), (0, 2, 0), (0, 3, 1)]).model
    close(outputs(found), jax.jit(lambda h: model.layers[1](h))(edges.sum(axis=1) + bias), 1e-5)


def test_a_node_that_nothing_enters_becomes_a_bias():
    model = untrained([4, (1, 2), 2, 1])
    constant = [(0, i, j) for i in range(4) for j in (1, 2)]  # both factors of a product
    first, second, third = model.layers
    edges = observed(model, X).edges[0].copy()
    edges[:, :, 1:3] = edges[:, :, 1:3].mean(axis=0)
    nodes = multiply(jnp.asarray(edges.sum(axis=1), jnp.float32) + first.bias[...], model.arities[0])
    found = prune(model, X, edges=constant)
    assert found.model.widths == (4, (1, 1), 2, 1)
    assert found.nodes == ((1, 1),)
    close(outputs(found.model), jax.jit(lambda h: third(second(h)))(nodes), 1e-5)
    # and the node behind it, where nothing else enters that
    behind = prune(model, X, edges=[*constant, (1, 0, 1), (1, 2, 1)])
    assert behind.model.widths == (4, (1, 1), 1, 1)
    assert behind.nodes == ((1, 1), (2, 1))


def test_factors_that_are_constant_move_into_others():
    model = untrained([4, (1, (2, 3, 4)), 2], ew.BSpline(3, 5))
    for factor in (2, 3, 5, 9):
        for i in range(4):
            flatten(model.layers[0], i, factor, 99)
    found = prune(model, X, threshold=1e-5)
    assert found.model.widths == (4, (3, (3,)), 2)
    assert [kept.tolist() for kept in found.kept] == [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1]]
    close(outputs(found.model), outputs(model), 1e-5)


def test_outputs_keep_their_order():
    model = untrained([4, (1, (3, 2))], ew.BSpline(3, 5))
    for i in range(4):
        flatten(model.layers[0], i, 5, 99)
    close(outputs(prune(model, X, threshold=1e-5).model), outputs(model), 1e-5)


def test_formulas_move_with_their_edges(mixed):
    factors = [(0, i, j) for i in range(3) for j in (2, 3)]
    found = prune(mixed, X, edges=[*factors, (0, 0, 0)]).model
    assert found.widths == (3, 3, 2)
    assert found.layers[0].symbolic.entries == ((2, 0, "x^2"),)
    assert found.layers[1].symbolic.entries == ((0, 1, "exp"),)
    activity = observed(mixed, X)
    edges = activity.edges[0].copy()
    edges[:, :, 2:4] = edges[:, :, 2:4].mean(axis=0)
    edges[:, 0, 0] = edges[:, 0, 0].mean()
    nodes = multiply(jnp.asarray(edges.sum(axis=1) + np.asarray(mixed.layers[0].bias[...]), jnp.float32), (3,))
    close(outputs(found), jax.jit(lambda h: mixed.layers[1](h))(nodes), 1e-5)


def test_what_is_asked_for_goes():
    model = untrained([4, 3, 1])
    found = prune(model, X, inputs=["b"], nodes=[(1, 2), (0, 3)], edges=[(0, 0, -2)], features=list("abcd"))
    assert found.model.inputs == (True, False, True, False)
    assert (found.inputs, found.nodes) == (("b", "d"), ((0, 1), (0, 3), (1, 2)))
    assert found.model.widths == (2, 2, 1)
    assert (0, 0, 1) in found.edges
    again = prune(found.model, X, inputs=[2])
    assert again.model.inputs == (True, False, False, False)
    assert again.inputs == ("x3",)
    assert compacted(model).model.widths == model.widths


def test_what_cannot_be_pruned(mixed):
    wrong = {
        "no edge of layer 1 would be left": {"edges": [(1, i, j) for i in range(3) for j in range(2)]},
        "no edge of layer 0 would be left": {"threshold": 1e6},
        r"\(0, 1, 1\) has been pruned": {"edges": [(0, 1, 1)]},
        r"\(0, 1, 9\) does not exist": {"edges": [(0, 1, 9)]},
        "there is no layer 5": {"edges": [(5, 0, 0)]},
        "'edge' is no edge": {"edges": ["edge"]},
        "threshold and allowed are both given": {"threshold": 0.1, "allowed": 0.1},
        "threshold must be a number": {"threshold": -1},
        "allowed must be a number": {"allowed": "1 %"},
        "unknown feature 'y9'": {"inputs": ["y9"]},
        "there is no input 4": {"inputs": [4]},
        r"node \(2, 0\) does not exist or is an output": {"nodes": [(2, 0)]},
        "is no node": {"nodes": [3]},
        "unknown kind": {"kind": "rank"},
    }
    for message, keywords in wrong.items():
        with pytest.raises(EdgewiseError, match=message):
            prune(mixed, X, **keywords)
    with pytest.raises(EdgewiseError, match="no biases"):
        prune(untrained([4, 2, 1], ew.BSpline(3, 5), bias=False), X, edges=[(0, 0, 0)])
    with pytest.raises(ShapeError, match="targets of shape"):
        prune(mixed, (X, X[:, 0]), threshold=0.1)
