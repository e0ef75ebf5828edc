"""Interactions, separability, symmetry and dependence: closed forms, scikit-learn, and models with errors."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.inspection import partial_dependence as partial_dependence_of_sklearn

import edgewise as ew
from edgewise.errors import DataError, EdgewiseError, ShapeError
from edgewise.interpret.construction import from_sympy
from edgewise.interpret.dependence import partial_dependence
from edgewise.interpret.meetings import interactions
from edgewise.interpret.structure import COMBINATIONS, separability, separable_blocks, symmetry

NAMES = ["x", "y", "z"]
SAMPLES = np.random.default_rng(0).uniform(-1, 1, (1000, 3))
ABOVE = np.random.default_rng(1).uniform(0.5, 2, (1000, 3))


def column(function):
    return lambda x: function(*x.T)


def with_error(function, x, rmse=2e-3):
    """The function and a smooth error of that size relative to its standard deviation, as a trained model has one."""
    size = rmse * np.sqrt(2) * function(x).std()
    return lambda x: function(x) + size * np.sin(x @ [5.0, 7.0, -3.0] + 1)


PAIR = column(lambda x, y, z: x * y + z)
SUM = column(lambda x, y, z: np.sin(2 * x) + y**2 + z)
PRODUCT = column(lambda x, y, z: np.exp(x) * (2 + y * z))


@pytest.fixture(scope="module")
def network():
    return from_sympy("sin(x*y) + z**2/2", NAMES)


# --- interactions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["exchange", "h"])
def test_interactions_in_closed_form(kind):
    x = SAMPLES - SAMPLES.mean(axis=0)
    only = interactions(column(lambda x, y, z: x * y), x, kind=kind)
    np.testing.assert_allclose(only.pairs[0, 1], 1, atol=0.05)
    np.testing.assert_array_equal(only.pairs, only.pairs.T)
    none = interactions(column(lambda x, y, z: np.exp(x) + y**3), x, kind=kind)
    np.testing.assert_allclose(none.pairs, 0, atol=1e-7)
    # of x + y + xy, the variances are 1/3, 1/3 and 1/9; with z/2 there are 1/12 more, which H does not look at
    some = interactions(column(lambda x, y, z: x + y + x * y + z / 2), x, kind=kind, features=NAMES, samples=400)
    share = (1 / 9) / (7 / 9 + (1 / 12 if kind == "exchange" else 0))
    np.testing.assert_allclose(some.pairs[0, 1], np.sqrt(share), rtol=0.1)
    low, high = some.intervals[:, 0, 1]
    assert low < np.sqrt(share) < high
    assert high - low < 0.2
    assert str(some).splitlines()[1].startswith("x, y  0.3")
    assert some.nodes == ()


def test_outputs_count_in_their_own_units():
    both = lambda x: np.stack([1e6 * (x[:, 0] + x[:, 1]), x[:, 1] * x[:, 2]], axis=1)
    pairs = interactions(both, SAMPLES).pairs
    np.testing.assert_allclose(pairs[1, 2], np.sqrt(1 / 2), atol=0.05)
    np.testing.assert_allclose(pairs[0], 0, atol=1e-6)


def test_where_features_meet(network):
    found = interactions(network, SAMPLES, features=NAMES)
    first, last = found.nodes
    assert (first.level, first.kind, first.features) == (1, "product", ("x", "y"))
    np.testing.assert_allclose(first.shares, 0.5, atol=0.02)
    assert (last.level, last.kind, set(last.features)) == (2, "sum", {"x", "y", "z"})
    np.testing.assert_allclose(sum(last.shares), 1)
    assert all(node.strength == node.score * node.shares[-1] for node in found.nodes)
    assert found.pairs[0, 1] > 0.7
    np.testing.assert_allclose(found.pairs[:, 2], 0, atol=1e-6)
    assert "where they meet\nlevel 1, product 1: " in str(found)
    # a share above all of them
    assert interactions(network, SAMPLES, threshold=0.6).nodes == ()


# --- separability ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rmse", [0.0, 2e-3])
def test_blocks(rmse):
    noisy = lambda function: with_error(function, SAMPLES, rmse)
    blocks = lambda function, kind: separable_blocks(
        noisy(function), (SAMPLES, function(SAMPLES)), kind=kind, features=NAMES
    )
    assert blocks(PAIR, "additive").blocks == (("x", "y"), ("z",))
    assert blocks(PAIR, "multiplicative").blocks == (("x", "y", "z"),)
    assert blocks(SUM, "additive").blocks == (("x",), ("y",), ("z",))
    assert blocks(PRODUCT, "additive").blocks == (("x", "y", "z"),)
    found = blocks(PRODUCT, "multiplicative")
    assert found.blocks == (("x",), ("y", "z"))
    assert len(found.tests) == 3
    assert [test.answer for test in found.tests] == ["yes", "no", "no"]
    assert str(found).startswith("f = g1(x) g2(y, z)\n  f = g1(x) g2(y, z): yes (violation ")


def test_the_violation_in_closed_form():
    # of 5 x + y + c x y the interaction has c^2/9 of the variance 1/3 + c^2/9 that y, the weaker one, takes part in
    c = 0.3
    found = separability(column(lambda x, y, z: 5 * x + y + c * x * y + 100 * z), SAMPLES, ["x1", "x2"], pairs=4096)
    np.testing.assert_allclose(found.violation, np.sqrt(c**2 / 9 / (1 / 3 + c**2 / 9)), rtol=0.05)
    assert found.interval[0] < found.violation < found.interval[1]
    assert (found.answer, found.question) == ("no", "f = g1(x1, x3) + g2(x2, x3)")


def test_the_part_of_an_error_in_a_violation():
    # four values of an error of 0.1 sqrt(2/3), and the changes of x at y and at y', each of variance 2/3
    found = separability(column(lambda x, y, z: x + y), SAMPLES, [0, 1], noise=0.1, pairs=4096)
    np.testing.assert_allclose(found.noise, 0.1 * np.sqrt(2), rtol=0.05)
    assert found.threshold == 2 * found.noise
    from_y = separability(column(lambda x, y, z: x + y), (SAMPLES, SAMPLES[:, 0] + SAMPLES[:, 1] + 0.1), [0, 1])
    np.testing.assert_allclose(from_y.noise, 0.1 * np.sqrt(3), rtol=0.1)


def test_groups():
    assert separability(PAIR, SAMPLES, [["x", "y"], "z"], features=NAMES).answer == "yes"
    assert separability(PAIR, SAMPLES, [0, 1, 2]).answer == "no"
    three = separability(SUM, SAMPLES, [0, 1, 2])
    assert (three.answer, three.question) == ("yes", "f = g1(x1) + g2(x2) + g3(x3)")
    assert separability(PRODUCT, SAMPLES, [0, [1, 2]], kind="multiplicative").violation < 1e-12


def test_an_error_of_the_size_of_the_interaction_is_undecided():
    weak = column(lambda x, y, z: x + y + 0.1 * x * y)
    assert separability(weak, SAMPLES, [0, 1]).answer == "no"
    assert separability(weak, SAMPLES, [0, 1], noise=0.2).answer == "undecided"
    # and of a model far off, nothing is known
    wrong = SUM(SAMPLES) + SUM(SAMPLES).std() * np.random.default_rng(2).normal(size=1000)
    assert separability(with_error(SUM, SAMPLES, 0.1), (SAMPLES, wrong), [0, 1]).answer == "undecided"


def test_the_worst_output_counts():
    both = lambda x: np.stack([SUM(x), 1e-6 * PAIR(x)], axis=1)
    assert separability(both, SAMPLES, [0, 1]).answer == "no"
    assert separability(both, SAMPLES, [2, [0, 1]]).answer == "yes"


# --- symmetry --------------------------------------------------------------------------------------------------------

SYMMETRIC = {
    "plus": column(lambda x, y, z: np.sin(2 * (x + y)) + z),
    "minus": column(lambda x, y, z: np.exp(x - y) * z),
    "times": column(lambda x, y, z: np.cos(x * y) + z),
    "divide": column(lambda x, y, z: np.tanh(x / y) + z),
}


@pytest.mark.parametrize("true", SYMMETRIC)
@pytest.mark.parametrize("rmse", [0.0, 2e-3])
def test_a_symmetry_holds_or_not(true, rmse):
    function = SYMMETRIC[true]
    model = with_error(function, ABOVE, rmse)
    for kind in COMBINATIONS:
        found = symmetry(model, (ABOVE, function(ABOVE)), ["x", "y"], kind, features=NAMES)
        assert found.answer == ("yes" if kind == true else "no"), found
        assert found.question == f"f depends on x and y through x {COMBINATIONS[kind]} y"
        assert (found.violation < 1e-12) == (kind == true and rmse == 0)
    # the order of the pair matters to a quotient alone
    swapped = symmetry(model, ABOVE, ["y", "x"], true, features=NAMES)
    assert swapped.answer == "yes"


def test_the_size_of_a_violation():
    # moving x by d and y by -d changes x + 3 y by -2 d, and 4 d if both add up
    np.testing.assert_allclose(symmetry(column(lambda x, y, z: x + 3 * y), SAMPLES, [0, 1]).violation, 0.5)
    np.testing.assert_allclose(symmetry(column(lambda x, y, z: x - y), SAMPLES, [0, 1]).violation, 1)
    np.testing.assert_allclose(symmetry(column(lambda x, y, z: x), SAMPLES, [0, 1]).violation, 1)
    assert symmetry(column(lambda x, y, z: z), SAMPLES, [0, 1]).violation == 0
    # what is there is less than the error
    tiny = symmetry(column(lambda x, y, z: z + 1e-3 * x), SAMPLES, [0, 1], noise=2e-3)
    assert tiny.answer == "undecided"
    assert tiny.threshold > 1


def test_of_a_trained_network():
    x = SAMPLES[:, :2].astype(np.float32)
    y = np.sin(2 * x.sum(axis=1, keepdims=True))
    model = ew.KAN([2, 2, 1], ew.Chebyshev(6), rngs=nnx.Rngs(0))
    model = ew.fit(model, (x, y), optimizer="levenberg_marquardt", steps=25).model
    rmse = np.sqrt(np.mean((np.asarray(model(x)) - y) ** 2)) / y.std()
    assert 1e-7 < rmse < 0.05
    assert symmetry(model, (x, y), [0, 1]).answer == "yes"
    assert symmetry(model, (x, y), [0, 1], "minus").answer == "no"
    assert separability(model, (x, y), [0, 1]).answer == "no"


# --- dependence ------------------------------------------------------------------------------------------------------


class Fitted(RegressorMixin, BaseEstimator):
    """A function as scikit-learn wants it."""

    def __init__(self, function=None):
        self.function = function

    def fit(self, x, y):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def predict(self, x):
        return self.function(x)


@pytest.mark.parametrize("columns", [[0], [2], [0, 1]], ids=str)
@pytest.mark.parametrize("kind", ["average", "individual"])
def test_dependence_is_that_of_scikit_learn(columns, kind):
    if len(columns) == 2 and kind == "individual":
        return
    x = SAMPLES[:200].copy()
    x[:, 2] = np.round(2 * x[:, 2])  # fewer values than the grid has
    function = column(lambda x, y, z: np.exp(x) * y + z**2 * x)
    # from end to end, since quantiles are defined in many ways
    found = partial_dependence(function, x, columns, grid=15, kind=kind, quantiles=(0, 1))
    expected = partial_dependence_of_sklearn(
        Fitted(function), x, columns, grid_resolution=15, kind=kind, method="brute", percentiles=(0, 1)
    )
    for axis, axis_of_sklearn in zip(found.grid, expected["grid_values"], strict=True):
        np.testing.assert_allclose(axis, axis_of_sklearn)
    np.testing.assert_allclose(found.values, expected[kind][0], rtol=1e-12, atol=1e-12)


def test_dependence_in_closed_form(network):
    found = partial_dependence(network, SAMPLES, "z", features=NAMES, quantiles=(0, 1))
    assert found.grid[0][[0, -1]].tolist() == [SAMPLES[:, 2].min(), SAMPLES[:, 2].max()]
    expected = found.grid[0] ** 2 / 2 + np.sin(SAMPLES[:, 0] * SAMPLES[:, 1]).mean()
    np.testing.assert_allclose(found.values, expected, atol=1e-6)
    two = partial_dependence(network, SAMPLES, ["x", "y"], features=NAMES, grid=7)
    first, second = np.meshgrid(*two.grid, indexing="ij")
    np.testing.assert_allclose(two.values, np.sin(first * second) + (SAMPLES[:, 2] ** 2 / 2).mean(), atol=1e-6)


def test_functions_are_called_with_few_shapes():
    shapes = set()

    def function(x):
        shapes.add(x.shape)
        return jnp.stack([x[:, 0], x[:, 1]], axis=1)

    found = partial_dependence(function, SAMPLES, 1, grid=20)
    assert found.values.shape == (20, 2)
    np.testing.assert_allclose(found.values[:, 1], found.grid[0], rtol=1e-6)
    assert shapes == {(4096, 3)}


def test_pictures():
    function = column(lambda x, y, z: x * y)
    average = partial_dependence(function, SAMPLES[:50], 0, grid=9).plot()
    assert (average.get_xlabel(), average.get_ylabel(), len(average.lines)) == ("x1", "output", 1)
    single = partial_dependence(function, SAMPLES[:50], 0, grid=9, kind="individual").plot()
    assert len(single.lines) == 51
    two = partial_dependence(function, SAMPLES[:50], [0, 2], grid=9)
    contours = two.plot()
    assert (contours.get_xlabel(), contours.get_ylabel()) == ("x1", "x3")
    assert two.plot(average) is average
    outputs = partial_dependence(lambda x: np.stack([x[:, 0], x[:, 1]], 1), SAMPLES[:50], 0, grid=9)
    assert [text.get_text() for text in outputs.plot().get_legend().get_texts()] == ["output 0", "output 1"]
    assert outputs.plot(output=1).get_ylabel() == "output 1"
    with pytest.raises(EdgewiseError, match="there is no output 2"):
        outputs.plot(output=2)


# --- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: separability(PAIR, SAMPLES, [[0, 1]]), "is one group"),
        (lambda: separability(PAIR, SAMPLES, "x1"), "is one group"),
        (lambda: separability(PAIR, SAMPLES, [[0, 1], [1, 2]]), "a feature is in two of the groups"),
        (lambda: separability(PAIR, SAMPLES, [0, "w"]), r"there is no feature 'w'(?s:.*)x1, x2, x3"),
        (lambda: separability(PAIR, SAMPLES, [0, 3]), "there is no feature 3"),
        (lambda: separability(PAIR, SAMPLES, [0, []]), "is empty"),
        (lambda: separability(PAIR, SAMPLES, 3), "is one group"),
        (lambda: separability(PAIR, SAMPLES, [0, 1], kind="additiv"), "did you mean 'additive'"),
        (lambda: separability(PAIR, SAMPLES, [0, 1], noise=-1), "noise must be a finite number from 0"),
        (lambda: separability(PAIR, SAMPLES, [0, 1], tolerance=0), "tolerance must be a finite number above 0"),
        (lambda: separable_blocks(np.sum, np.zeros((9, 9))), "9 features have 255 partitions"),
        (lambda: symmetry(PAIR, SAMPLES, [0, 1, 2]), "is no pair"),
        (lambda: symmetry(PAIR, SAMPLES, [0, 0]), "names a feature twice"),
        (lambda: symmetry(PAIR, SAMPLES, [0, 1], "add"), "unknown kind 'add'"),
        (lambda: interactions(PAIR, SAMPLES, kind="H"), "did you mean 'h'"),
        (lambda: interactions(lambda x: x, SAMPLES[:, :1]), "there is one feature"),
        (lambda: partial_dependence(PAIR, SAMPLES, [0, 1, 2]), "average dependence on 3 features"),
        (lambda: partial_dependence(PAIR, SAMPLES, [0, 1], kind="individual"), "individual dependence on 2"),
        (lambda: partial_dependence(PAIR, SAMPLES, 0, quantiles=(1, 0)), "no two rising numbers"),
        (lambda: partial_dependence(PAIR, SAMPLES, 0, quantiles=0.9), "no two rising numbers"),
        (lambda: interactions(PAIR, SAMPLES, samples=0), "samples must be"),
        (lambda: partial_dependence("model", SAMPLES, 0), "str is no function"),
        (lambda: partial_dependence(PAIR, SAMPLES, "x", features=["x", "x", "y"]), "a name comes twice"),
    ],
)
def test_arguments_that_are_refused(call, message):
    with pytest.raises(EdgewiseError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: symmetry(PAIR, np.zeros((5, 3)), [0, 1]), DataError, "can be kept in 0 samples only"),
        (lambda: separability(PAIR, SAMPLES[:1], [0, 1]), DataError, "there is one sample"),
        (lambda: separability(PAIR, SAMPLES + np.nan, [0, 1]), DataError, "not finite"),
        (lambda: separability(PAIR, SAMPLES.astype(str), [0, 1]), DataError, "no array of numbers"),
        (lambda: separability(PAIR, SAMPLES[0], [0, 1]), ShapeError, r"expected \(n, d\), got \(3,\)"),
        (lambda: separability(PAIR, (SAMPLES, np.zeros((1000, 2))), [0, 1]), ShapeError, "the model has outputs"),
        (lambda: separability(PAIR, (SAMPLES, np.zeros(9)), [0, 1]), ShapeError, "x has 1000 rows, and y 9"),
        (lambda: separability(lambda x: x[:5], SAMPLES, [0, 1]), ShapeError, r"return \[n\] or \[n, k\]"),
        (lambda: partial_dependence(PAIR, np.ones((99, 3)), 0), DataError, "x1 is 1 between its quantiles"),
        (lambda: interactions(PAIR, SAMPLES, features=["x"]), ShapeError, "1 names for 3 features"),
    ],
)
def test_data_that_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_network_on_data_of_another_width(network):
    with pytest.raises(ShapeError, match=r"expected \(n, 3\), got \(1000, 2\)"):
        partial_dependence(network, SAMPLES[:, :2], 0)
