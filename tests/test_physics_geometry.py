"""Domains and points in them: exact integrals, outward normals, parts by name, unions and differences."""

from __future__ import annotations

import pickle
from math import acos, pi, sqrt

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import iv

from edgewise.errors import DataError, EdgewiseError, ShapeError, UnknownNameError
from edgewise.physics.geometry import Box, Difference, Disk, Geometry, Interval, Polygon, TimeSpace, Union, graded
from edgewise.physics.sampling import METHODS, evenly, unit_points

L_CORNERS = [(0, 0), (2, 0), (2, 1), (1, 1), (1, 2), (0, 2)]
# a comb, with vertices in the middle of straight edges, clockwise
COMB = [
    (0, 0),
    (0, 3),
    (1, 3),
    (1, 1),
    (2, 1),
    (2, 3),
    (3, 3),
    (3, 1.5),
    (3, 1),
    (4, 1),
    (4, 3),
    (5, 3),
    (5, 0),
    (2, 0),
]
SQUARE, HOLE = Box((-1, -1), (1, 1)), Disk((0.2, 0.1), 0.5)

SHAPES = {
    "interval": Interval(-1, 3),
    "time": Interval(0, 10, name="t"),
    "box 1d": Box([2], [5]),
    "box": Box((0, -1), (1, 2)),
    "box 3d": Box((0, -1, 2), (1, 2, 2.5)),
    "disk": Disk((1, -2), 0.5),
    "triangle": Polygon([(0, 0), (1, 0), (0, 1)]),
    "polygon": Polygon(L_CORNERS),
    "comb": Polygon(COMB),
    "L by difference": Box((0, 0), (2, 2)) - Box((1, 1), (2, 2)),
    "L by union": Box((0, 0), (2, 1)) | Box((0, 1), (1, 2)),
    "hole": SQUARE - HOLE,
    "two holes": SQUARE - Disk((-0.5, 0), 0.25) - Disk((0.5, 0), 0.25),
    "island": SQUARE - HOLE | Disk((0.2, 0.1), 0.2),
    "disks": Disk((0, 0), 1) | Disk((1, 0), 1),
    "apart": Disk((0, 0), 1) | Box((3, 3), (4, 4)),
    "interval with a gap": Interval(0, 1) - Interval(0.25, 0.5),
    "intervals": Interval(0, 1) | Interval(1, 2),
    "shell": Box((0, 0, 0), (3, 3, 3)) - Box((1, 1, 1), (2, 2, 2)),
}
EVOLVING = {
    "interval": TimeSpace(),
    "box": TimeSpace((0, 2), Box((0, -1), (1, 2))),
    "hole": TimeSpace((1, 3), SQUARE - HOLE, name="time"),
    "gap": TimeSpace((0, 1), Interval(0, 1) - Interval(0.25, 0.5)),
}
AREAS = {
    "interval": 4,
    "box 1d": 3,
    "box": 3,
    "box 3d": 1.5,
    "disk": pi / 4,
    "triangle": 0.5,
    "polygon": 3,
    "comb": 11,
    "L by difference": 3,
    "L by union": 3,
    "hole": 4 - pi / 4,
    "two holes": 4 - pi / 8,
    "island": 4 - pi * (0.25 - 0.04),
    "apart": pi + 1,
    "interval with a gap": 0.75,
    "intervals": 2,
    "shell": 26,
}


def every(shapes):
    return pytest.mark.parametrize("shape", shapes.values(), ids=shapes)


# --- the unit cube ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("n", "d"), [(1, 1), (7, 2), (64, 3), (100, 1), (5, 6)])
def test_points_lie_inside_the_unit_cube(method: str, n: int, d: int):
    u = unit_points(n, d, method)
    assert u.shape == (n, d)
    assert u.dtype == np.float64
    assert np.all((u > 0) & (u < 1))
    assert len(np.unique(u, axis=0)) == n
    np.testing.assert_array_equal(u, unit_points(n, d, method, seed=0))
    assert np.array_equal(u, unit_points(n, d, method, seed=1)) == (method == "grid")


def test_sequences_go_on():
    for method in ("sobol", "halton"):
        np.testing.assert_array_equal(unit_points(100, 2, method, 3)[:37], unit_points(37, 2, method, 3))


def test_a_latin_hypercube_has_one_point_in_each_slice():
    u = unit_points(50, 3, "latin", 4)
    np.testing.assert_array_equal(np.sort(np.floor(50 * u), axis=0), np.tile(np.arange(50)[:, None], 3))


def test_sequences_integrate_better_than_chance():
    error = {m: abs(np.mean(np.exp(unit_points(1024, 2, m, 2)).prod(-1)) - (np.e - 1) ** 2) for m in METHODS}
    assert error["sobol"] < 1e-3
    assert error["grid"] < 1e-3
    assert error["halton"] < 1e-2
    assert error["sobol"] < 0.1 * error["uniform"]


def test_grids():
    np.testing.assert_allclose(unit_points(4, 1, "grid")[:, 0], [0.125, 0.375, 0.625, 0.875])
    sixth = [(x, y) for x in (1 / 6, 3 / 6, 5 / 6) for y in (1 / 4, 3 / 4)]
    np.testing.assert_allclose(unit_points(6, 2, "grid"), sixth)
    assert len(np.unique(unit_points(27, 3, "grid").round(9))) == 3  # 27 ** (1 / 3) is a little more than 3
    ninth = unit_points(9, 2, "grid")
    np.testing.assert_array_equal(unit_points(7, 2, "grid"), ninth[evenly(7, 9)])
    np.testing.assert_array_equal(evenly(7, 9), [0, 1, 3, 4, 5, 7, 8])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 2), "n must be at least 1"),
        ((1.5, 2), "n must be an integer"),
        ((4, 0), "d must be at least 1"),
        ((4, 2, "sobol", -1), "seed must be at least 0"),
        ((4, 2, "sobel"), "did you mean 'sobol'"),
        ((4, 2, None), "unknown method None"),
    ],
)
def test_unit_points_that_are_refused(arguments: tuple, message: str):
    with pytest.raises(EdgewiseError, match=message):
        unit_points(*arguments)


# --- every domain -------------------------------------------------------------------------------------------------


@every({**SHAPES, **{f"in time: {name}": shape for name, shape in EVOLVING.items()}})
def test_a_domain_and_its_parts(shape: Geometry):
    x = shape.interior(300)
    assert x.shape == (300, shape.dim)
    assert np.all(shape.contains(x, 0))
    assert not np.any(shape.on(x, tolerance=0))
    low, high = shape.bounds.T
    assert np.all((x >= low) & (x <= high))
    assert not np.any(shape.contains(x + 2 * (high - low)))
    np.testing.assert_array_equal(shape.contains(np.full((2, shape.dim), np.nan)), [False, False])
    for part in shape.parts:
        if shape.size(part) == 0:
            continue
        b, normals = shape.boundary(200, part)
        assert b.shape == normals.shape == (200, shape.dim)
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, rtol=1e-14)
        np.testing.assert_allclose(shape.normals(b, part), normals, atol=1e-12)
        assert np.all(shape.on(b, part))
        assert np.all(shape.on(b.astype(np.float32), part))
        assert np.all(shape.contains(b.astype(np.float32)))
        assert np.mean(shape.on(b - 1e-2 * normals, part, tolerance=1e-3)) < 0.04  # where two pieces meet
        step = 1e-7 * normals
        assert np.all(shape.contains(b - step, 0))
        assert not np.any(shape.contains(b + step, 0))
        assert np.all(shape.contains(b + step, 2e-7))


@every(SHAPES)
def test_the_divergence_theorem(shape: Geometry):
    """The flow of the field x through the boundary is the dimension times the measure."""
    b, normals = shape.boundary(4096 if shape.dim > 1 else 12)  # 12: as often each of 2, 3 or 4 ends
    center = shape.bounds.mean(1)
    flow = shape.size() * np.mean(np.sum((b - center) * normals, axis=1))
    assert flow == pytest.approx(shape.dim * shape.measure, rel=4e-3)


@pytest.mark.parametrize("name", AREAS)
def test_areas(name: str):
    """Exact where one shape lies within or without the other."""
    assert SHAPES[name].measure == pytest.approx(AREAS[name], rel=1e-12)


@every({name: SHAPES[name] for name in ("interval", "box 3d", "disk", "comb", "hole", "apart", "intervals", "disks")})
@pytest.mark.parametrize("method", METHODS)
def test_points_are_spread_evenly(shape: Geometry, method: str):
    """By all methods the means of a quadratic are the ones over a fine grid of the bounding box."""
    low, high = shape.bounds.T
    cells = low + (high - low) * unit_points(2**16, shape.dim, "halton", 9)
    cells = cells[shape.contains(cells, 0)]
    f = lambda x: np.stack([*(x - low).T, *((x - low) ** 2).T, (x - low).prod(1)])
    values = f(cells)
    x = shape.interior(2000, method, 5)
    noise = values.std(1) / np.sqrt(2000)
    error = np.abs(f(x).mean(1) - values.mean(1))
    assert np.all(error < {"sobol": 0.4, "halton": 0.4, "grid": 0.8}.get(method, 4) * noise)
    np.testing.assert_array_equal(x, shape.interior(2000, method, 5))
    b, normals = shape.boundary(50, method=method, seed=5)
    assert np.all(shape.on(b))
    for again, first in zip(shape.boundary(50, method=method, seed=5), (b, normals), strict=True):
        np.testing.assert_array_equal(again, first)
    if method != "grid":
        assert not np.array_equal(x, shape.interior(2000, method, 6))


def test_exact_integrals():
    """Quasi-Monte Carlo survives the maps: far below the 1 / sqrt(n) = 1.6e-2 of independent points."""
    box = Box((0, -1), (2, 1)).interior(4096)
    assert np.mean(np.cos(box[:, 0]) * np.exp(box[:, 1])) == pytest.approx(np.sin(2) * np.sinh(1) / 2, abs=3e-5)
    disk = Disk((1, 0), 0.5).interior(4096)
    assert np.mean(np.exp(disk[:, 0])) == pytest.approx(np.e * 2 * iv(1, 0.5) / 0.5, abs=2e-4)
    assert np.mean(np.hypot(*(disk - [1, 0]).T)) == pytest.approx(1 / 3, abs=2e-5)
    circle, _ = Disk((1, 0), 0.5).boundary(4096)
    assert np.mean(np.exp(circle[:, 0])) == pytest.approx(np.e * iv(0, 0.5), abs=1e-6)
    ell = Polygon(L_CORNERS).interior(4096)
    assert np.mean(ell[:, 0] ** 2) == pytest.approx((8 / 3 + 1 / 3) / 3, abs=5e-4)
    ell = SHAPES["L by difference"].interior(4096)
    assert np.mean(ell[:, 0] ** 2) == pytest.approx((8 / 3 + 1 / 3) / 3, abs=2e-3)
    edges, _ = Polygon(L_CORNERS).boundary(4096)
    assert np.mean(edges[:, 0] ** 2) == pytest.approx((8 / 3 + 4 + 7 / 3 + 1 + 1 / 3 + 0) / 8, abs=1e-4)


@every({name: SHAPES[name] for name in ("time", "box 3d", "disk", "comb", "island")} | EVOLVING)
def test_equality_and_text(shape: Geometry):
    again = eval(repr(shape))
    assert again == shape
    assert hash(again) == hash(shape)
    assert pickle.loads(pickle.dumps(shape)) == shape
    assert shape != Interval(-7, 8)
    assert len({shape, again, Disk((9, 9), 1)}) == 2
    with pytest.raises(AttributeError):
        shape.radius = 2.0  # pyright: ignore


def test_grids_inside():
    """Of the box around the domain: few different coordinates, and the means of the domain."""
    for name in ("polygon", "L by union", "L by difference"):
        x = SHAPES[name].interior(1000, "grid")
        assert all(len(np.unique(column.round(9))) < 40 for column in x.T)
        assert len(np.unique(x, axis=0)) == 1000
        # half a cell of 0.054 more or less along the inner edges is 0.02
        assert np.mean(x[:, 0] ** 2) == pytest.approx(1, abs=0.02)
    x = TimeSpace((0, 2), Polygon(L_CORNERS)).interior(4000, "grid")
    assert np.mean(x[:, 1] ** 2) == pytest.approx(1, abs=0.05)  # with cells of 0.11
    assert np.mean(x[:, 0]) == pytest.approx(1, abs=1e-3)


# --- families -----------------------------------------------------------------------------------------------------


def test_intervals():
    span = Interval(0, 10, name="t")
    assert (span.dim, span.names, span.measure, span.size()) == (1, ("t",), 10.0, 2.0)
    assert dict(span.parts) == {
        "boundary": "both ends",
        "left": "t = 0",
        "right": "t = 10",
        "initial": "t = 0",
        "final": "t = 10",
    }
    x, normals = span.boundary(5)
    np.testing.assert_array_equal(x[:, 0], [0, 10, 0, 10, 0])
    np.testing.assert_array_equal(normals[:, 0], [-1, 1, -1, 1, -1])
    np.testing.assert_array_equal(span.boundary(2, "initial")[0], [[0], [0]])
    np.testing.assert_array_equal(span.on([[0.0], [10.0], [5.0]], "final"), [False, True, False])
    assert "initial" not in Interval(0, 10).parts
    assert repr(span) == "Interval(0, 10, name='t')"
    assert repr(Interval(-0.1, np.float32(0.5))) == "Interval(-0.1, 0.5)"
    assert Interval(0, 1) == Interval(0.0, np.int64(1)) != Interval(0, 1, name="t")


def test_boxes():
    box = Box(jnp.array([0.0, 0.0, 0.0]), np.array([1, 2, 4]))
    assert box.names == ("x", "y", "z")
    assert list(box.parts) == ["boundary", "x-", "x+", "y-", "y+", "z-", "z+"]
    assert box.parts["y+"] == "y = 2"
    assert [box.size(part) for part in box.parts] == [28.0, 8.0, 8.0, 4.0, 4.0, 2.0, 2.0]
    assert Box([0] * 4, [1] * 4).names == ("x1", "x2", "x3", "x4")
    low, high = (box.boundary(40, part, seed=3)[0] for part in ("y-", "y+"))
    np.testing.assert_array_equal(low[:, [0, 2]], high[:, [0, 2]])  # partners, for periodic conditions
    points, _ = box.boundary(2800)
    counts = [box.on(points, part).sum() for part in list(box.parts)[1:]]
    np.testing.assert_allclose(counts, [800, 800, 400, 400, 200, 200], atol=2)
    assert repr(Box((0, 0), (1, 1), names=("t", "x"))) == "Box((0, 0), (1, 1), names=('t', 'x'))"
    assert repr(Box([0], [1])) == "Box((0,), (1,))"


def test_tolerances():
    box = Box((0, 1000), (1e-3, 1001))
    assert box.contains([[-5e-10, 1001.0005]])[0]  # of each coordinate
    assert not box.contains([[-5e-9, 1000.5]])[0]
    assert not box.contains([[-5e-10, 1000.5]], 0)[0]
    assert box.contains([[-0.1, 1000.5]], 0.1)[0]
    assert Disk().contains([[1.05, 0]], 0.1)[0]
    assert not Disk().contains([[1.05, 0]])[0]
    assert Polygon(L_CORNERS).contains([[1.05, 1.5], [1.5, 1.5]], 0.1).tolist() == [True, False]
    for tolerance in (-1, np.nan, np.inf, "1", True):
        with pytest.raises(EdgewiseError, match="tolerance must be a finite number, at least 0"):
            Interval(0, 1).contains([[0.5]], tolerance)


@pytest.mark.parametrize("shape", [Interval(1e6, 1e6 + 0.5), Box((1.7e9, 0), (1.7e9 + 900, 1)), Disk((1e6, 0), 0.25)])
def test_narrow_domains_far_from_0(shape: Geometry):
    """Where a millionth of the coordinates is more than the domain: seconds since 1970, coordinates of a map."""
    (low, high), *_ = shape.bounds
    middle = shape.bounds.mean(1)
    beyond, ends = middle.copy(), np.stack([middle, middle])
    beyond[0], ends[:, 0] = high + 0.1 * (high - low), (low, high)
    assert not shape.contains([beyond])[0]
    assert not shape.on([middle])[0]
    if not isinstance(shape, Disk):
        _, first, second, *_ = shape.parts
        assert [shape.on(ends, part).tolist() for part in (first, second)] == [[True, False], [False, True]]


def test_disks():
    disk = Disk((1, 2), 3)
    np.testing.assert_array_equal(disk.bounds, [[-2, 4], [-1, 5]])
    np.testing.assert_array_equal(disk.normals([[4, 2], [1, -1], [1, 2]]), [[1, 0], [0, -1], [1, 0]])
    assert disk.parts["circle"] == "|(x, y) - (1, 2)| = 3"
    assert disk.size("circle") == 6 * pi


def test_polygons():
    shape = Polygon([*L_CORNERS, L_CORNERS[0]])
    assert shape == Polygon(np.array(L_CORNERS))
    assert list(shape.parts) == ["boundary", *(f"edge{i}" for i in range(6))]
    assert shape.parts["edge5"] == "(0, 2) to (0, 0)"
    assert [shape.size(f"edge{i}") for i in range(6)] == [2, 1, 1, 1, 1, 2]
    turned = Polygon(L_CORNERS[::-1])
    assert turned.measure == shape.measure
    np.testing.assert_array_equal(turned.boundary(1, "edge0")[1], [[0, 1]])
    np.testing.assert_array_equal(shape.boundary(1, "edge0")[1], [[0, -1]])
    x = np.random.default_rng(0).uniform(-1, 3, (500, 2))
    inside = np.all((x > 0) & (x < 2), axis=1) & ~np.all(x > 1, axis=1)
    np.testing.assert_array_equal(shape.contains(x), inside)
    np.testing.assert_array_equal(turned.contains(x), inside)


def test_space_and_time():
    shape = TimeSpace((0, 2), Interval(-1, 1))
    assert (shape.dim, shape.names, shape.measure) == (2, ("t", "x"), 4.0)
    assert list(shape.parts) == ["boundary", "initial", "final", "left", "right"]
    assert shape.parts["left"] == "x = -1, at all times"
    assert shape.parts["final"] == "t = 2"
    assert [shape.size(part) for part in shape.parts] == [4, 2, 2, 2, 2]
    for part, column, value, normal in (
        ("initial", 0, 0, [-1, 0]),
        ("final", 0, 2, [1, 0]),
        ("left", 1, -1, [0, -1]),
        ("right", 1, 1, [0, 1]),
    ):
        points, normals = shape.boundary(64, part)
        assert np.all(points[:, column] == value)
        np.testing.assert_array_equal(normals, np.tile(normal, (64, 1)))
        assert np.all(np.histogram(points[:, 1 - column], 8, shape.bounds[1 - column])[0] == 8)
        np.testing.assert_array_equal(shape.on([[0, 0.5], [2, 0.5], [1, -1], [1, 1], [3, 1]], part).sum(), 1)
    left, right = (shape.boundary(30, part, seed=1)[0] for part in ("left", "right"))
    np.testing.assert_array_equal(left[:, 0], right[:, 0])
    points, normals = shape.boundary(128)  # half at each end, each half spread over all times
    for end in (-1, 1):
        times = points[points[:, 1] == end, 0]
        np.testing.assert_array_equal(np.histogram(times, 8, (0, 2))[0], 8)
    np.testing.assert_array_equal(normals, np.stack([0 * points[:, 1], points[:, 1]], axis=1))
    assert repr(shape) == "TimeSpace((0, 2), Interval(-1, 1))"
    assert repr(EVOLVING["hole"]) == ("TimeSpace((1, 3), Box((-1, -1), (1, 1)) - Disk((0.2, 0.1), 0.5), name='time')")
    assert EVOLVING["hole"].size("initial") == EVOLVING["hole"].space.measure
    assert EVOLVING["hole"].size() == pytest.approx(2 * (8 + pi))
    assert EVOLVING["gap"].size() == 4


# --- unions and differences ---------------------------------------------------------------------------------------


def test_what_is_in_both_counts_once():
    """Two unit disks at distance 1: the lens has 2 acos(1/2) - sqrt(3)/2, and its share of the points."""
    lens = 2 * acos(0.5) - sqrt(3) / 2
    pair = Disk((0, 0), 1) | Disk((1, 0), 1)
    assert pair.measure == pytest.approx(2 * pi - lens, rel=1e-3)
    assert pair.size() == pytest.approx(2 * (2 * pi - 2 * acos(0.5)), rel=1e-3)
    x = pair.interior(4000)
    share = np.mean(pair.first.contains(x) & pair.second.contains(x))
    assert share == pytest.approx(lens / (2 * pi - lens), abs=5e-3)
    assert (Disk((0, 0), 1) - Disk((1, 0), 1)).measure == pytest.approx(pi - lens, rel=1e-3)
    assert (Disk((0, 0), 1) | Disk((0, 0), 0.5)).measure == pytest.approx(pi, rel=1e-12)


def test_seams():
    """Where two shapes meet there is no boundary; where both have the same boundary it counts once."""
    pair = Box((0, 0), (1, 1)) | Box((1, 0), (2, 1))
    assert pair.size() == pytest.approx(6)
    assert pair.size("first.x+") == pair.size("second.x-") == 0
    x = [[1, 0.5], [1, 0], [1, 1], [0, 0.5], [2, 0.5], [0.5, 0.5]]
    np.testing.assert_array_equal(pair.on(x), [False, True, True, True, True, False])
    overlapping = Box((0, 0), (2, 1)) | Box((1, 0), (3, 1))
    points, _ = overlapping.boundary(800)
    assert overlapping.size() == pytest.approx(8, rel=1e-3)
    np.testing.assert_allclose(np.histogram(points[points[:, 1] == 0, 0], 3, (0, 3))[0], 100, atol=6)
    beside = Box((0, 0), (1, 1)) - Box((1, 0), (2, 1))
    assert beside.measure == 1
    assert beside.size() == pytest.approx(4)
    assert beside.size("second.boundary") == 0


def test_parts_of_the_operands():
    shape = SQUARE - HOLE
    assert list(shape.parts)[:3] == ["boundary", "first.boundary", "first.x-"]
    assert list(shape.parts)[-2:] == ["second.boundary", "second.circle"]
    points, normals = shape.boundary(64, "second.circle")
    np.testing.assert_allclose(normals, (np.array(HOLE.center) - points) / 0.5)  # into the hole
    assert np.all(HOLE.on(points))
    assert np.all(SQUARE.on(shape.boundary(64, "first.boundary")[0]))
    nested = shape | Box((1, -1), (2, 1))
    assert nested.size("first.second.circle") == pytest.approx(pi)
    assert nested.size("first.first.x+") == 0
    assert repr(nested) == "(Box((-1, -1), (1, 1)) - Disk((0.2, 0.1), 0.5)) | Box((1, -1), (2, 1))"
    corner = SHAPES["L by difference"]
    np.testing.assert_array_equal(corner.boundary(1, "second.x-")[1], [[1, 0]])
    np.testing.assert_array_equal(corner.on([[1, 1.5], [2, 1.5], [2, 0.5], [1, 0.5]]), [True, False, True, False])
    ends, normals = (Interval(0, 1) - Interval(0.25, 0.5)).boundary(4)
    assert sorted(zip(ends[:, 0], normals[:, 0], strict=True)) == [(0, -1), (0.25, 1), (0.5, -1), (1, 1)]


# --- random shapes ------------------------------------------------------------------------------------------------


@st.composite
def polygons(draw, convex: bool):
    """Vertices around a center: on an ellipse, or at any distance."""
    k = draw(st.integers(3, 9))
    turn = st.floats(0.1, 0.9)
    angles = 2 * pi * (np.arange(k) + [draw(turn) for _ in range(k)]) / k
    radii = np.ones(k) if convex else np.array([draw(st.floats(0.2, 1.0)) for _ in range(k)])
    corners = np.stack([radii * np.cos(angles), draw(st.floats(0.3, 3.0)) * radii * np.sin(angles)], axis=1)
    corners = np.roll(corners[:: draw(st.sampled_from([1, -1]))], draw(st.integers(0, k - 1)), axis=0)
    return corners + [draw(st.floats(-5, 5)), draw(st.floats(-5, 5))]


def moments(corners: np.ndarray) -> tuple[float, np.ndarray, float]:
    """Area, mean of (x, y) and of x y, by integrals along the edges."""
    offset = corners.mean(0)
    (x, y), (p, q) = (corners - offset).T, (np.roll(corners, -1, axis=0) - offset).T
    cross = x * q - p * y
    area = cross.sum() / 2
    mean = np.array([((x + p) * cross).sum(), ((y + q) * cross).sum()]) / (6 * area)
    product = ((x * q + 2 * x * y + 2 * p * q + p * y) * cross).sum() / (24 * area)
    return abs(area), mean + offset, product + offset @ mean[::-1] + offset.prod()


def check_polygon(corners: np.ndarray):
    shape = Polygon(corners)
    area, mean, product = moments(corners)
    assert shape.measure == pytest.approx(area, rel=1e-9)
    x = shape.interior(1024)
    extent = np.ptp(corners, axis=0)
    assert np.all(shape.contains(x, 1e-12))
    np.testing.assert_allclose(x.mean(0), mean, atol=4e-3 * extent.max())
    assert np.mean((x - mean).prod(1)) == pytest.approx(product - mean.prod(), abs=4e-3 * extent.max() ** 2)
    b, normals = shape.boundary(1024)
    assert np.all(shape.on(b))
    assert shape.size() == pytest.approx(np.hypot(*(np.roll(corners, -1, 0) - corners).T).sum())
    assert shape.size() * np.mean(np.sum((b - mean) * normals, 1)) == pytest.approx(2 * area, rel=2e-2, abs=1e-2)
    away = np.min([np.hypot(*(b - corner).T) for corner in corners], axis=0) > 1e-4  # from sharp corners
    assert not np.any(shape.contains(b + 1e-8 * normals, 0)[away])
    assert np.all(shape.contains(b - 1e-8 * normals, 0)[away])
    for i in range(len(corners)):
        b, normals = shape.boundary(8, f"edge{i}")
        edge = np.roll(corners, -1, 0)[i] - corners[i]
        np.testing.assert_allclose(normals @ edge, 0, atol=1e-12)
        assert np.all(shape.on(b, f"edge{i}"))


@given(polygons(convex=True))
def test_convex_polygons(corners: np.ndarray):
    check_polygon(corners)


@given(polygons(convex=False))
def test_polygons_that_need_not_be_convex(corners: np.ndarray):
    check_polygon(corners)


def test_a_spiral():
    """Ears are few and far between."""
    angle = np.linspace(0, 4 * pi, 60)
    outer = np.stack([(1 + angle) * np.cos(angle), (1 + angle) * np.sin(angle)], axis=1)
    check_polygon(np.concatenate([outer, 0.9 * outer[::-1]]))


@settings(max_examples=12)
@given(*(st.floats(-1, 1) for _ in range(4)), st.floats(0.1, 1), st.floats(0.1, 1))
def test_unions_and_differences_of_boxes(a: float, b: float, c: float, d: float, width: float, height: float):
    first, second = Box((a, b), (a + 1, b + 1)), Box((c, d), (c + width, d + height))
    shared = np.prod([max(0.0, min(p + 1, q + w) - max(p, q)) for p, q, w in ((a, c, width), (b, d, height))])
    union = first | second
    assert union.measure == pytest.approx(1 + width * height - shared, abs=2e-3)
    x = union.interior(512)
    assert np.mean(first.contains(x)) == pytest.approx(1 / union.measure, abs=0.02)
    assert np.all(union.contains(x, 0))
    if shared < 0.95:
        rest = first - second
        assert rest.measure == pytest.approx(1 - shared, abs=2e-3)
        x = rest.interior(256)
        assert np.all(first.contains(x, 0) & ~second.contains(x, 0))
    for shape in (union, first - second) if shared < 0.95 else (union,):
        points, normals = shape.boundary(2048)
        flow = shape.size() * np.mean(np.sum((points - shape.bounds.mean(1)) * normals, 1))
        assert flow == pytest.approx(2 * shape.measure, abs=2e-2)


# --- what is refused ----------------------------------------------------------------------------------------------

REFUSED = {
    "interval, order": (lambda: Interval(1, 0), r"Interval from 1 to 0 is empty.\n.*\nDo: pass \(0, 1\)"),
    "interval, equal": (lambda: Interval(1, 1), "two different numbers"),
    "interval, infinite": (lambda: Interval(0, float("inf")), "high: inf is no finite number"),
    "interval, text": (lambda: Interval("0", 1), "low: '0' is no finite number"),  # pyright: ignore
    "interval, name": (lambda: Interval(0, 1, name=""), "do not name 1 coordinate"),
    "interval, keyword": (lambda: Interval(0, 1, names="x"), "keyword of Interval: 'names'"),  # pyright: ignore
    "box, order": (lambda: Box((0, 0), (1, -1)), "Box: y from 0 to -1 is empty"),
    "box, number": (lambda: Box(0, 1), "Box: low must be numbers, got 0"),
    "box, lengths": (lambda: Box((0, 0), (1, 1, 1)), "Box: high must be 2 numbers"),
    "box, NaN": (lambda: Box((0, float("nan")), (1, 1)), "nan is no finite number"),
    "box, names": (lambda: Box((0, 0), (1, 1), names=("x",)), "do not name 2 coordinates"),
    "box, repeated name": (lambda: Box((0, 0), (1, 1), names=("x", "x")), "no two the same"),
    "interval, number for a name": (lambda: Interval(0, 1, name=3), "names=3 do not name 1 coordinate"),
    "disk, radius": (lambda: Disk((0, 0), 0), "radius must be a finite number above 0"),
    "disk, center": (lambda: Disk((0, 0, 0), 1), "Disk: center must be 2 numbers"),
    "disk, boolean": (lambda: Disk((0, True), 1), "True is no finite number"),
    "polygon, few": (lambda: Polygon([(0, 0), (1, 0), (0, 0)]), "2 different vertices enclose nothing"),
    "polygon, none": (lambda: Polygon(None), "0 different vertices enclose nothing"),
    "polygon, space": (lambda: Polygon([(0, 0, 0)] * 3), "a vertex must be 2 numbers"),
    "polygon, infinite": (lambda: Polygon([(0, 0), (1, 0), (0, float("inf"))]), "inf is no finite number"),
    "polygon, crossing": (lambda: Polygon([(0, 0), (1, 1), (1, 0), (0, 1)]), "edge0 crosses edge2"),
    "polygon, touching": (lambda: Polygon([(0, 0), (2, 0), (2, 2), (1, 0), (0, 2)]), "edge0 meets the vertex 3"),
    "polygon, repeated": (lambda: Polygon([(0, 0), (1, 0), (1, 0), (0, 1)]), "vertices 1 and 2 coincide"),
    "polygon, flat": (lambda: Polygon([(0, 0), (1, 0), (2, 0)]), "meets the vertex"),
    "time, order": (lambda: TimeSpace((1, 0)), "time from 1 to 0 is no span of time"),
    "time, number": (lambda: TimeSpace(1.0), "TimeSpace: time must be 2 numbers"),
    "time, no space": (lambda: TimeSpace((0, 1), None), r'use Interval\(0, 10, name="t"\)'),
    "time, twice": (lambda: TimeSpace((0, 1), TimeSpace(), name="s"), "is no domain in space"),
    "time, name": (lambda: TimeSpace((0, 1), Interval(0, 1, name="t")), "are both called 't'"),
    "union, no domain": (lambda: SQUARE | 3, "Union: 3 is no domain"),
    "union, dimension": (lambda: SQUARE | Interval(0, 1), r"coordinates \('x', 'y'\) and \('x',\)"),
    "difference, dimension": (lambda: Interval(0, 1) - SQUARE, "Difference of domains with the coordinates"),
    "union, names": (lambda: SQUARE | Disk(names=("u", "v")), "with the same names"),
    "union, time": (lambda: TimeSpace() | TimeSpace(), r"TimeSpace\(time, a \| b\)"),
    "difference, nothing": (lambda: Box((0, 0), (1, 1)) - Box((-1, -1), (2, 2)), r"nothing is left of Box\(\(0, 0"),
    "difference, itself": (lambda: Disk() - Disk(), "cut away less, or swap the two"),
    "part": (lambda: Box((0, 0), (1, 1)).boundary(4, "left"), "unknown part of the boundary 'left'"),
    "part, near": (lambda: Disk().boundary(4, "circel"), "did you mean 'circle'"),
    "part, on": (lambda: Disk().on([[0, 0]], "left"), "Valid: boundary, circle"),
    "part, size": (lambda: TimeSpace().size("start"), "Valid: boundary, final, initial, left, right"),
    "part, covered": (lambda: (SQUARE - HOLE).boundary(4, "first.circle"), "unknown part"),
    "part, gone": (
        lambda: (Box((0, 0), (1, 1)) | Box((1, 0), (2, 1))).boundary(4, "first.x+"),
        r"nothing is left of the part 'first.x\+' of Box",
    ),
    "end, gone": (lambda: (Interval(0, 1) | Interval(1, 2)).boundary(4, "first.right"), "nothing is left of the part"),
    "method": (lambda: Disk().interior(4, "random"), "unknown method 'random'"),
    "method, ends": (lambda: Interval(0, 1).boundary(4, method="random"), "unknown method 'random'"),
    "count": (lambda: Disk().interior(0), "n must be at least 1"),
    "count, boundary": (lambda: Interval(0, 1).boundary(2.5), "n must be an integer"),
    "seed": (lambda: Disk().boundary(4, seed=-1), "seed must be at least 0"),
    "points, flat": (lambda: Interval(0, 1).contains([0.5]), r"shape \(1,\) in 1 dimension.\n.*\n.*x\[:, None\]"),
    "points, columns": (lambda: SQUARE.on([[0.0, 0.0, 0.0]]), r"shape \(1, 3\) in 2 dimensions"),
    "points, text": (lambda: SQUARE.contains([["a", "b"]]), "the points are no numbers"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str):
    call, message = REFUSED[case]
    with pytest.raises(EdgewiseError, match=message) as caught:
        call()
    assert caught.value.do
    kinds = {"part": UnknownNameError, "points, text": DataError, "points, flat": ShapeError}
    assert isinstance(caught.value, kinds.get(case, EdgewiseError))


def test_names_of_the_classes():
    assert isinstance(SQUARE | HOLE, Union)
    assert isinstance(SQUARE - HOLE, Difference)


def test_graded_points_are_as_dense_as_asked():
    dense = lambda x: np.exp(x)
    domain = TimeSpace((0.0, 2.0), Interval(-1.0, 1.0))
    points = graded(domain, 4096, {"x": dense})
    assert domain.contains(points, 0).all()
    for x in (-0.5, 0.0, 0.7):
        share = (np.exp(x) - np.exp(-1)) / (np.e - np.exp(-1))
        assert np.mean(points[:, 1] < x) == pytest.approx(share, abs=2e-3)
    assert np.mean(points[:, 0]) == pytest.approx(1.0, abs=2e-3)
    for densities, message in (
        ({"y": dense}, "coordinate 'y'"),
        ({"x": lambda x: x}, "not above 0"),
        ({"x": 2.0}, "no functions by coordinate"),
        (dense, "no functions by coordinate"),
    ):
        with pytest.raises(EdgewiseError, match=message):
            graded(domain, 8, densities)
