"""Conditions of differential equations: what they ask, what is exact by construction, what is refused and how."""

from __future__ import annotations

from functools import partial
from math import pi

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from edgewise.errors import DataError, EdgewiseError, ShapeError, UnknownNameError
from edgewise.physics import (
    Box,
    Data,
    Dirichlet,
    Disk,
    Initial,
    Interval,
    Neumann,
    Periodic,
    Polygon,
    Problem,
    Robin,
    TimeSpace,
    laplacian,
    time_derivative,
)
from edgewise.physics.ansatz import ansatz_for
from edgewise.physics.conditions import values_of

LINE = TimeSpace((0.0, 2.0), Interval(-1.0, 1.0))
SQUARE = Box((0.0, -1.0), (1.0, 2.0))
ELL = Polygon([(0, 0), (2, 0), (2, 1), (1, 1), (1, 2), (0, 2)])


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def missed(condition, u, domain, n=16):
    """The largest residual of a condition, at its points."""
    samples = condition.samples(domain, n, "sobol", 3)
    found = condition.at(domain).residual(u, {name: jnp.asarray(leaf) for name, leaf in samples.items()})
    assert found.ndim == 2
    assert len(found) == len(samples["x"])
    return float(np.abs(found).max())


def network(n_in, n_out, seed=0):
    """Any smooth function of the features."""
    rng = np.random.default_rng(seed)
    a, b, c = rng.normal(size=(n_in, 7)), rng.normal(size=7), rng.normal(size=(7, n_out))
    return lambda x: jnp.sin(x @ a + b) @ c


def told(error):
    """An error that says what is wrong, why or what to do."""
    assert isinstance(error, EdgewiseError)
    assert error.what.strip()
    assert (error.do or error.why).strip()
    return str(error)


def refused(match, function, *arguments, kind=EdgewiseError, **keywords):
    with pytest.raises(kind, match=match) as caught:
        function(*arguments, **keywords)
    told(caught.value)


# --- what is asked -----------------------------------------------------------------------------------------------

WAVES = lambda x: jnp.concatenate([jnp.exp(x[:, :1]) * jnp.sin(x[:, 1:2]), x[:, :1] * x[:, 1:2] ** 2], axis=1)


def slope(x, normal):
    """dWAVES/dn."""
    a, b = x[:, :1], x[:, 1:2]
    along = [[np.exp(a) * np.sin(b), np.exp(a) * np.cos(b)], [b**2, 2 * a * b]]
    return np.concatenate([u_x * normal[:, :1] + u_y * normal[:, 1:] for u_x, u_y in along], axis=1)


@pytest.mark.parametrize("domain", [Disk((0.2, -0.1), 1.5), ELL, SQUARE], ids=["disk", "polygon", "box"])
def test_residuals_are_by_how_much_a_function_misses(domain):
    x, normal = domain.boundary(16, "boundary", "sobol", 3)
    exact = slope(x, normal)
    whole = {"domain": domain}
    assert missed(Dirichlet(value=WAVES), WAVES, **whole) == 0
    assert missed(Dirichlet(value=0.25), lambda x: jnp.full((len(x), 2), 1.0), **whole) == 0.75
    samples = Neumann(value=(0.0, 0.0)).samples(domain, 16, "sobol", 3)
    np.testing.assert_array_equal(samples["x"], x)
    at = {name: jnp.asarray(leaf) for name, leaf in samples.items()}
    np.testing.assert_allclose(Neumann(value=(0.0, 0.0)).residual(WAVES, at), exact, atol=1e-13)
    mixed = Robin(value=0.0, a=2, b=-3).residual(WAVES, at)
    np.testing.assert_allclose(mixed, 2 * np.asarray(WAVES(x)) - 3 * exact, atol=1e-12)
    one = Robin(value=0.0, a=2, b=-3, outputs=1).residual(WAVES, at | {"target": at["target"][:, :1]})
    np.testing.assert_allclose(one, mixed[:, 1:], atol=1e-12)


def test_slopes_on_a_disk_and_a_polygon_by_value():
    radial = lambda x: jnp.sum(x**2, axis=1, keepdims=True)
    disk = Disk((0.0, 0.0), 2.0)
    assert missed(Neumann(value=4.0), radial, disk) < 1e-12
    assert missed(Robin(value=12.0, a=2.0), radial, disk) < 1e-12
    assert missed(Robin(value=11.0, a=2.0), radial, disk) > 0.9
    assert missed(Neumann(on="edge1", value=4.0), radial, ELL) < 1e-12  # x = 2, outwards along x
    assert missed(Neumann(on="edge0", value=0.0), radial, ELL) < 1e-12  # y = 0
    assert missed(Neumann(on="edge2", value=2.0), radial, ELL) < 1e-12  # y = 1, outwards along y


def test_starts_and_their_rates():
    u = lambda x: jnp.sin(3 * x[:, :1]) * x[:, 1:2] + x[:, :1] ** 2
    assert missed(Initial(value=0.0), u, LINE) == 0
    assert missed(Initial(value=lambda x: 3 * x[:, 1:2], order=1), u, LINE) < 1e-14
    assert missed(Initial(value=0.0, order=1), u, LINE) > 1
    assert missed(Initial(value=2.0, order=2), u, LINE) < 1e-13
    at = Initial(value=0.0).samples(TimeSpace((0.5, 1.0), Disk()), 9, "sobol", 0)["x"]
    assert (at[:, 0] == 0.5).all()
    assert np.ptp(at[:, 1]) > 0.5


def test_periods_of_values_and_slopes():
    wave, ramp = lambda x: jnp.sin(pi * x[:, 1:2]), lambda x: x[:, 1:2] ** 2
    assert missed(Periodic(axis="x", order=3), wave, LINE) < 1e-12
    assert missed(Periodic(axis=1, order=0), ramp, LINE) == 0
    assert missed(Periodic(axis="x"), ramp, LINE) == 4  # 2 and -2
    both = lambda x: jnp.concatenate([wave(x), ramp(x)], axis=1)
    assert missed(Periodic(axis="x", outputs=(0,)), both, LINE) < 1e-12
    assert missed(Periodic(axis="x", outputs=(1,)), both, LINE) == 4
    assert missed(Periodic(axis="y"), lambda x: jnp.cos(2 * pi * (x[:, 1:2] + 1) / 3), SQUARE) < 1e-12


def test_data_are_asked_where_they_were_measured():
    x = LINE.interior(7)
    data = Data(points=x, values=np.asarray(WAVES(x))[:, 1], outputs=(1,), noise=1)
    assert missed(data, WAVES, LINE) == 0
    assert missed(data, lambda x: 0 * WAVES(x), LINE) > 0.1
    np.testing.assert_array_equal(data.samples(LINE, 3, "grid", 5)["x"], x)


def test_conditions_on_what_a_function_chooses():
    upper = Dirichlet(on=lambda x: x[:, 1] > 1.5, value=1.0)
    x = upper.samples(ELL, 30, "sobol", 0)["x"]
    assert x.shape == (30, 2)
    assert (x[:, 1] > 1.5).all()
    assert ELL.on(x).all()
    assert "part" in upper.name
    late = Neumann(on=lambda x: (x[:, 0] > 1.0) & (x[:, 1] > 0))
    samples = late.samples(LINE, 10, "sobol", 0)
    assert (samples["x"][:, 0] > 1).all()
    np.testing.assert_array_equal(samples["normal"], np.tile([0.0, 1.0], (10, 1)))
    # at the first moment, not on the boundary of the space
    half = Initial(on=lambda x: x[:, 1] < 0, value=2.0)
    x = half.samples(LINE, 12, "sobol", 0)["x"]
    assert (x[:, 0] == 0).all()
    assert (x[:, 1] < 0).all()
    assert np.ptp(x[:, 1]) > 0.5


@pytest.mark.parametrize("outputs", [0, [0], (0,), np.arange(1), np.int64(0)])
def test_outputs_are_numbers(outputs):
    assert Dirichlet(outputs=outputs).outputs == (0,)


# --- what is refused ---------------------------------------------------------------------------------------------


def heat(u, x):
    return time_derivative(u, x) - laplacian(u, x, axes=(1,))


def stated(*conditions, domain=LINE, residual=heat, **options):
    return Problem(domain, residual, conditions, **options)


def test_conditions_that_touch_nothing():
    refused("part of the boundary 'top'", stated, Dirichlet(on="top"), kind=UnknownNameError)
    refused("does not touch the boundary", stated, Dirichlet(on=lambda x: x[:, 1] > 5))
    refused("one truth value a point", stated, Dirichlet(on=lambda x: x > 0), kind=ShapeError)
    refused("no opposite sides", stated, Periodic(axis="x"), domain=Disk(), residual=laplacian)
    refused("coordinate 'z'", stated, Periodic(axis="z"), kind=UnknownNameError)
    refused("no coordinate", stated, Periodic(axis=2))
    refused("has no time", stated, Initial(), domain=SQUARE, residual=laplacian)
    refused("is not the first moment", stated, Initial(on="final"))
    refused("is not the first moment", stated, Initial(on="left"))
    refused("on=3", Dirichlet, on=3)
    refused("keyword of Dirichlet", Dirichlet, vlaue=3, kind=UnknownNameError)
    refused("is no condition", stated, "periodic")


def test_values_that_do_not_fit():
    refused(r"shape \(2,\) at 2 points", stated, Dirichlet(value=lambda x: x[:, 1]), kind=ShapeError)
    refused("values for 2 outputs", stated, Dirichlet(value=(1.0, 2.0)), kind=ShapeError)
    refused("has shape", stated, Dirichlet(value=np.ones((4, 1))), kind=ShapeError)
    refused("not finite", stated, Dirichlet(value=lambda x: jnp.log(-1 - x[:, 1:2] ** 2)), kind=DataError)
    refused("not finite", stated, Dirichlet(value=float("nan")), kind=DataError)
    for value in ("one", 1j, {}, lambda x: x[:, 1:2] * 1j):
        refused("no real number", stated, Dirichlet(value=value), kind=DataError)
    refused("of a problem with 1", stated, Dirichlet(outputs=(1,)))
    refused("no different components", Dirichlet, outputs=())
    refused("no different components", Dirichlet, outputs=(0, 0))
    refused("number in outputs", Dirichlet, outputs=(-1,))
    refused("number in outputs", Dirichlet, outputs=0.5)
    refused("hard='yes'", Dirichlet, hard="yes")
    refused("no finite number", Robin, a=lambda x: x)
    refused("no finite number", Neumann, b=np.inf)
    refused("order", Initial, order=-1)
    refused("order", Periodic, order=0.5)
    two = Problem(LINE, lambda u, x: u(x), [Dirichlet(value=1.0)], n_out=2)  # one number for both
    assert two.conditions[0].samples(LINE, 3, "sobol", 0)["target"].shape == (3, 1)


def test_data_that_do_not_fit():
    x = LINE.interior(5)
    outside = x.copy()
    outside[3] = 9.0
    refused("1 of 5 points lie outside.*in row 3", stated, Data(points=outside, values=x[:, :1]), kind=DataError)
    refused("2 dimensions", stated, Data(points=x[:, :1], values=x[:, :1]), kind=ShapeError)
    refused("points of shape", Data, points=x, values=x[:3, :1], kind=ShapeError)
    refused("points of shape", Data, kind=ShapeError)
    refused("not finite", Data, points=x, values=np.full(5, np.nan), kind=DataError)
    refused("no numbers", Data, points=x, values=["a"] * 5, kind=DataError)
    refused("noise", Data, points=x, values=x[:, :1], noise=0.0)
    # one column for two outputs: which of them was measured?
    two = partial(Problem, LINE, lambda u, x: u(x), n_out=2)
    refused("values for 1 outputs, where u has 2", two, [Data(points=x, values=x[:, :1])], kind=ShapeError)
    two([Data(points=x, values=x[:, :1], outputs=1), Data(points=x, values=x)])


@pytest.mark.parametrize(
    ("residual", "match"),
    [
        (lambda u, x: heat(u, x)[:, 0], r"shape \(8,\)"),
        (lambda u, x: heat(u, x)[:, 0] - u(x), r"shape \(9, 9\)"),
        (lambda u, x: u(x)[:, 1:2], r"shape \(8, 0\)"),
        (lambda u, x: jnp.mean(heat(u, x)), r"shape \(\)"),
        (lambda u, x: heat(u, x).T, r"shape \(1, 8\)"),
    ],
)
def test_residuals_of_the_wrong_shape(residual, match):
    refused(match, stated, residual=residual, kind=ShapeError)


def test_residuals_that_are_no_numbers():
    refused("not finite at", stated, residual=lambda u, x: jnp.log(u(x) - 9), kind=DataError)
    refused("not finite at", stated, residual=lambda u, x: heat(u, x) / (0 * u(x)), kind=DataError)
    refused("complex values", stated, residual=lambda u, x: 1j * heat(u, x), kind=DataError)


def test_residuals_of_other_arguments():
    refused(r"takes 3 arguments, and is called with \(u, x\)", stated, residual=lambda u, x, p: u(x))
    refused(r"takes 1 arguments", stated, residual=lambda u: u)
    refused(r"called with \(u, x, p\)", stated, residual=lambda u, x: u(x), parameters={"a": 1.0})
    stated(residual=lambda u, x, scale=2.0: scale * u(x))
    stated(residual=lambda *given: given[0](given[1]))
    stated(residual=partial(lambda u, x, *, scale: scale * u(x), scale=2.0))


def test_parameters_that_the_residual_never_uses():
    unused = lambda u, x, p: p["a"] * u(x)
    refused("never uses the parameter 'b'", stated, residual=unused, parameters={"a": 1.0, "b": 2.0})
    # there, though without effect where the others are at their first guess
    stated(residual=lambda u, x, p: p["a"] * p["b"] * u(x), parameters={"a": 0.0, "b": 0.0})
    stated(residual=lambda u, x, p: p["a"] ** 2 * u(x), parameters={"a": 0.0})
    refused("parameter 'c'", stated, residual=unused, parameters={"a": 1.0}, truth={"c": 2.0}, kind=UnknownNameError)


def test_other_arguments_of_a_problem():
    refused("is no geometry", Problem, (0.0, 1.0), heat)
    refused("n_out", stated, n_out=0)
    refused("residual=None is no function", Problem, LINE, None)
    refused("is no condition", Problem, LINE, heat, 3.0)
    assert Problem(LINE, heat, None).conditions == ()
    for numbers in (["a"], {"a": "1,5"}, {"a": np.ones(3)}, {"a": np.inf}, {0: 1.0}):
        refused("no finite numbers by name", stated, residual=lambda u, x, p: p["a"] * u(x), parameters=numbers)
    refused("keyword of Problem", Problem, LINE, heat, paramters={}, kind=UnknownNameError)
    assert "2 conditions, unknown D" in str(
        stated(Initial(), Dirichlet(), residual=lambda u, x, p: p["D"] * heat(u, x), parameters={"D": 1})
    )


def test_values_at_points():
    x = np.zeros((3, 2))
    np.testing.assert_array_equal(values_of(2, x), np.full((3, 1), 2.0))
    np.testing.assert_array_equal(values_of((1, 2), x), [[1, 2]] * 3)
    assert values_of(lambda x: x, x).dtype == np.float64


# --- what is exact by construction -------------------------------------------------------------------------------


def built(domain, conditions, n_out=1, left=(), hard=None, transform=None):
    """The trial function, for two networks; every condition but ``left`` holds."""
    ansatz, rest = ansatz_for(domain, conditions, n_out, hard, transform)
    assert list(rest) == list(left)
    first, second = (partial(ansatz, network(ansatz.n_in, n_out, seed)) for seed in range(2))
    x = jnp.asarray(domain.interior(16))
    assert np.abs(first(x) - second(x)).max() > 1e-3
    assert np.abs(ansatz.features(x)).max() <= 1 + 1e-12
    for condition in ansatz.hard:
        assert missed(condition, first, domain) < 1e-10, condition.name
    return ansatz


def test_ends_that_move():
    ends = Dirichlet(value=lambda x: jnp.sin(2 * x[:, :1]) * x[:, 1:2] + x[:, 1:2] ** 2)
    built(LINE, [ends, Initial(value=lambda x: x[:, 1:2] ** 2)])
    left, right = Dirichlet(on="left", value=lambda x: jnp.cos(x[:, :1])), Dirichlet(on="right", value=3.0)
    built(LINE, [Initial(value=lambda x: 2.0 + x[:, 1:2]), left, right])


def test_ends_of_time():
    there = Dirichlet(on="final", value=lambda x: x[:, 1:2])
    ansatz = built(LINE, [Initial(value=lambda x: x[:, 1:2] ** 3), there])
    assert len(ansatz.faces) == 2
    # a slope at the start beside values at both ends: one blend would spoil the other
    rate = Initial(value=1.0, order=1)
    built(LINE, [Initial(value=lambda x: x[:, 1:2] ** 3), rate, there], left=[rate])


def test_a_system_with_conditions_of_its_own_for_each_output():
    conditions = [
        Dirichlet(on="x-", value=(1.0, 2.0), outputs=(0, 2)),
        Dirichlet(on="x+", value=lambda x: x[:, 1:2], outputs=1),
        Dirichlet(on="y+", value=0.5, outputs=(1,), hard=False),
    ]
    built(SQUARE, conditions, 3, left=conditions[2:])


def test_periods_beside_other_conditions():
    wave = Initial(value=lambda x: jnp.sin(pi * x[:, 1:2]))
    built(LINE, [Periodic(axis="x"), wave])
    ramp = Initial(value=lambda x: x[:, 1:2])  # built in, it would open the period
    built(LINE, [ramp, Periodic(axis="x")], left=[ramp])
    one = Periodic(axis="x", outputs=(0,))  # features are periodic for all outputs or for none
    built(LINE, [one], 2, left=[one])
    built(LINE, [Periodic(axis="x", outputs=(0, 1))], 2)
    period = Periodic(axis="x")  # values at the ends agree by themselves, slopes do not
    built(LINE, [Dirichlet(value=0.0), period], left=[period])
    opens = lambda x, y: y * x[:, 1:2]
    built(LINE, [period], left=[period], transform=opens)
    built(LINE, [period], transform=lambda x, y: y * x[:, :1] + jnp.cos(pi * x[:, 1:2]))


def test_a_transform_comes_before_the_faces():
    conditions = [Dirichlet(value=2.0)]
    ansatz = built(LINE, conditions, transform=lambda x, y: jnp.exp(y) + x[:, :1])
    x = jnp.asarray(LINE.interior(5))
    net = network(2, 1)
    expected = 2 + ansatz.distance(x) * (jnp.exp(net(ansatz.features(x))) + x[:, :1])
    np.testing.assert_allclose(ansatz(net, x), expected, rtol=1e-12)


def test_which_conditions_are_built_in():
    start, ends, flux = Initial(value=0.0), Dirichlet(value=0.0), Neumann(on="left")
    of = lambda conditions, hard: ansatz_for(LINE, conditions, 1, hard)[0].hard
    assert of([start, ends], None) == (ends, start)
    assert of([start, ends], True) == (ends, start)
    assert of([start, ends], False) == ()
    assert of([start, ends], {"initial": False}) == (ends,)
    assert of([start, ends], {"initial": True}) == (ends, start)
    assert of([Initial(value=0.0, hard=False), ends], {"initial": True}) == (ends,)
    mine = Dirichlet(value=0.0, hard=True)
    assert of([start, mine], False) == (mine,)
    for no in (0, np.False_):
        assert of([Dirichlet(value=0.0, hard=no)], None) == ()
        assert of([start], {"initial": no}) == ()
    refused("cannot be built", of, [start, flux], {"slope on left": True})
    refused("differ by 1", of, [ends, Initial(value=1.0)], {"initial": True})
    refused("condition 'intial'", of, [start, ends], {"intial": False}, kind=UnknownNameError)
    refused("hard='soft'", of, [start, ends], "soft")


def test_times_far_from_0():
    """15 minutes of seconds since 1970: the end is not the start."""
    start, ends = Initial(value=lambda x: 1 - x[:, 1:2] ** 2), Dirichlet(value=0.0)
    built(TimeSpace((1.7e9, 1.7e9 + 900), Interval(-1.0, 1.0)), [start, ends])
    sides = [Dirichlet(value=1.0, on="left"), Dirichlet(value=2.0, on="right")]
    ansatz = built(Interval(1e6, 1e6 + 0.5), sides)
    assert [(face.axis, face.end) for face in ansatz.faces] == [(0, 0), (0, 1)]


def test_what_cannot_be_built_in_says_why():
    of = lambda condition, domain=LINE: ansatz_for(domain, [condition], 1, None)
    some = lambda x: x[:, 1] > 0
    refused("parts of the boundary that have a name", of, Dirichlet(on=some, hard=True))
    refused("parts of the boundary that have a name", of, Neumann(on="left", hard=True))
    refused("is no box", of, Dirichlet(hard=True), Disk())
    refused("needs the values", of, Initial(order=1, hard=True))
    refused("cannot be traced", of, Dirichlet(value=lambda x: np.sin(np.asarray(x[:, :1])), hard=True))
    soft = Dirichlet(value=lambda x: np.sin(np.asarray(x[:, :1])))  # as a term of the loss it is
    assert of(soft)[1] == (soft,)


def test_corners_that_disagree_are_left_to_the_loss():
    low, side = Dirichlet(on="y-", value=0.0), Dirichlet(on="x-", value=lambda x: 1 + x[:, 1:2] ** 2)
    built(SQUARE, [low, side], left=[side])
    agree = Dirichlet(on="x-", value=lambda x: 1 + x[:, 1:2])
    built(SQUARE, [low, agree])


def test_trial_functions_of_the_same_conditions_are_equal():
    conditions = [Initial(value=lambda x: x[:, 1:2] ** 2), Initial(value=0.0, order=1), Dirichlet(value=1.0)]
    of = lambda: ansatz_for(LINE, conditions, 1, None)[0]
    assert of() == of()
    assert hash(of()) == hash(of())
    assert of() != ansatz_for(LINE, conditions[:1], 1, None)[0]
