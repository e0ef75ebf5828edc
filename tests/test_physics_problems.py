"""Built-in problems: equations, conditions and references agree; what trial functions satisfy by construction."""

from __future__ import annotations

from functools import cache, partial
from math import pi
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from edgewise.errors import DataError, EdgewiseError, UnknownNameError
from edgewise.physics import spectral
from edgewise.physics.ansatz import ansatz_for
from edgewise.physics.conditions import Data, Dirichlet, Initial, Neumann, Periodic, values_of
from edgewise.physics.geometry import Box, Disk, Interval, TimeSpace
from edgewise.physics.operators import derivative
from edgewise.physics.problems import PROBLEMS, advection, burgers, inverse_diffusion, resolve_problem

SLOW = {"navier-stokes"}
NAMES = [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in PROBLEMS]
EXACT = {
    "helmholtz": lambda x: jnp.sin(pi * x[:, 0:1]) * jnp.sin(4 * pi * x[:, 1:2]),
    "poisson": lambda x: jnp.sin(pi * x[:, 0:1]) * jnp.sin(pi * x[:, 1:2]),
    "advection": lambda x: jnp.sin(x[:, 1:2] - 20 * x[:, 0:1]),
    "diffusion": lambda x: jnp.sin(pi * x[:, 1:2]) * jnp.exp(-0.25 * pi**2 * x[:, 0:1]),
    "inverse-diffusion": lambda x: jnp.sin(pi * x[:, 1:2]) * jnp.exp(-0.1 * pi**2 * x[:, 0:1]),
}


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


@cache
def reference_of(name, **constants):
    found = resolve_problem(name, **constants).reference
    assert found is not None
    return found()


def size(values):
    return np.abs(np.asarray(values)).max()


def missed(condition, u, domain, n=32):
    samples = condition.samples(domain, n, "sobol", 3)
    return size(jax.jit(partial(condition.residual, u))({name: jnp.asarray(value) for name, value in samples.items()}))


def residual_of(problem, u, x):
    return np.asarray(jax.jit(lambda x: problem.residuals(u, x, problem.truth or None))(x))


def measured(problem) -> Any:
    """The measured data among the conditions."""
    return problem.conditions[-1]


# ------------------------------------------------------------------------------------------------- exact solutions


@pytest.mark.parametrize("name", EXACT)
def test_exact_solutions_solve_their_equations(name):
    problem, u = resolve_problem(name), EXACT[name]
    x = jnp.asarray(problem.domain.interior(200))
    residual = residual_of(problem, u, x)
    assert residual.shape == (200, 1)
    assert size(residual) < 1e-10
    for condition in problem.conditions:
        if not isinstance(condition, Data):
            assert missed(condition, u, problem.domain) < 1e-13, condition.name
    reference = reference_of(name)
    assert reference.accuracy == 0
    assert reference.relative_l2(u(jnp.asarray(reference.points))) < 1e-14


@pytest.mark.parametrize(("name", "constants"), [("helmholtz", {"a1": 2, "a2": 3}), ("poisson", {"w": 2})])
def test_other_constants_have_their_own_equation_and_reference(name, constants):
    problem = resolve_problem(name, **constants)
    a, b = constants.values() if name == "helmholtz" else (2, 2)
    u = lambda x: jnp.sin(a * pi * x[:, 0:1]) * jnp.sin(b * pi * x[:, 1:2])
    assert size(problem.residuals(u, jnp.asarray(problem.domain.interior(100)))) < 1e-10
    reference = reference_of(name, **constants)
    assert reference.relative_l2(u(jnp.asarray(reference.points))) < 1e-14


# ------------------------------------------------------------------------------------------------- spectral references


class Chebyshev:
    """Polynomials between two ends: nodes, and the values [n, size] of a basis."""

    def __init__(self, low, high, n):
        self.low, self.high, self.k = low, high, np.arange(n)
        self.nodes = (low + high) / 2 - (high - low) / 2 * np.cos(pi * (np.arange(n) + 0.5) / n)

    def __call__(self, x):
        return jnp.cos(self.k * jnp.arccos(2 * (x[:, None] - self.low) / (self.high - self.low) - 1))


class Fourier:
    """Waves of a period: the same."""

    def __init__(self, low, high, n):
        self.low, self.scale, self.k = low, 2 * pi / (high - low), np.arange(n // 2 + 1)
        n = 2 * (n // 2) + 1
        self.nodes = low + (high - low) * np.arange(n) / n

    def __call__(self, x):
        angle = self.k * self.scale * (x[:, None] - self.low)
        return jnp.concatenate([jnp.cos(angle), jnp.sin(angle[:, 1:])], axis=1)


SOLVED = {  # how, bases of the coordinates around some moment of the reference's grid, residual relative to du/dt
    "allen-cahn": (spectral.allen_cahn_periodic, [Chebyshev(0.18, 0.22, 9), Fourier(-1, 1, 1024)], 1e-7),
    "allen-cahn-dirichlet": (spectral.allen_cahn_dirichlet, [Chebyshev(0.18, 0.22, 9), Chebyshev(-1, 1, 600)], 1e-6),
    "burgers": (spectral.burgers, [Chebyshev(0.18, 0.22, 11), Fourier(-1, 1, 256)], 1e-7),
    "kdv": (spectral.kdv, [Chebyshev(0.19, 0.21, 9), Fourier(-1, 1, 256)], 1e-6),
    "kuramoto-sivashinsky": (
        spectral.kuramoto_sivashinsky,
        [Chebyshev(0.045, 0.055, 9), Fourier(0, 2 * pi, 160)],
        1e-6,
    ),
    "navier-stokes": (
        spectral.navier_stokes,
        [Chebyshev(0.18, 0.22, 6), Fourier(0, 2 * pi, 100), Fourier(0, 2 * pi, 100)],
        1e-5,
    ),
    "lotka-volterra": (spectral.lotka_volterra, [Chebyshev(0, 5, 180)], 1e-8),
    "inverse-lotka-volterra": (spectral.lotka_volterra, [Chebyshev(0, 5, 180)], 1e-8),
    "lorenz": (spectral.lorenz, [Chebyshev(0, 3, 280)], 1e-8),
    "inverse-lorenz": (spectral.lorenz, [Chebyshev(0, 3, 280)], 1e-8),
}


def interpolated(solver, bases):
    """The solution as a function of points, smooth enough for derivatives."""
    c = solver(*(basis.nodes for basis in bases)).values
    for axis, basis in enumerate(bases):
        c = np.moveaxis(np.tensordot(np.linalg.inv(np.asarray(basis(basis.nodes))), c, (1, axis)), 0, axis)
    letters = "tab"[: len(bases)]
    rule = ",".join(["p" + letter for letter in letters] + [letters + "m"]) + "->pm"

    def u(x):
        return jnp.einsum(rule, *(basis(x[:, axis]) for axis, basis in enumerate(bases)), c, optimize="greedy")

    return u


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in {*SLOW, "kdv"} else ()) for n in SOLVED]
)
def test_references_solve_the_equations(name):
    solver, bases, tolerance = SOLVED[name]
    problem, reference, u = resolve_problem(name), reference_of(name), interpolated(solver, bases)
    first, last = bases[0].nodes[[0, -1]]
    inside = problem.domain.interior(100)
    inside[:, 0] = first + (last - first) * (inside[:, 0] - inside[:, 0].min()) / np.ptp(inside[:, 0])
    x = jnp.asarray(inside)
    residual = residual_of(problem, u, x)
    assert residual.shape == (100, 3 if name == "navier-stokes" else problem.n_out)
    assert size(residual) < tolerance * size(jax.jit(lambda x: derivative(u, x, 0))(x))
    points, values = reference.points, reference.flat
    rows = np.flatnonzero((points[:, 0] >= first) & (points[:, 0] <= last))[::7]
    assert size(u(jnp.asarray(points[rows])) - values[rows]) < 1e-8 * size(values)


@pytest.mark.parametrize("name", NAMES)
def test_references_satisfy_the_conditions(name):
    problem, reference = resolve_problem(name), reference_of(name)
    assert reference.names == problem.domain.names
    assert problem.domain.contains(reference.points, 1e-12).all()
    bounds = np.array([[axis[0], axis[-1]] for axis in reference.axes])
    np.testing.assert_allclose(bounds, problem.domain.bounds, atol=1e-14)
    points, values, scale = reference.points, reference.flat, size(reference.values)
    for condition in problem.conditions:
        if isinstance(condition, Periodic):
            axis = condition.column(problem.domain)
            ends = np.take(reference.values, [0, -1], axis)
            jump, tolerance = np.diff(ends, axis=axis), 1e-12
        elif isinstance(condition, Initial | Dirichlet):
            rows = problem.domain.on(points, condition.on)
            assert rows.any()
            jump = values[rows] - values_of(condition.value, points[rows])
            tolerance = 1e-10 if name.startswith("allen-cahn-d") else 1e-12
        else:
            continue
        assert size(jump) < tolerance * scale, condition.name


@pytest.mark.slow
def test_the_center_of_the_vortices_is_at_rest():
    reference = reference_of("navier-stokes")
    assert reference.axes[1][32] == pytest.approx(pi)
    assert size(reference.values[:, 32, 32, :2]) < 1e-12
    problem = resolve_problem("navier-stokes")
    assert missed(problem.conditions[-1], lambda x: jnp.ones((len(x), 3)), problem.domain) == 1


def test_the_velocity_at_the_start_is_that_of_the_vortices():
    start: Any = resolve_problem("navier-stokes").conditions[0]
    start = jax.jit(start.value)
    x = np.concatenate([np.zeros((50, 1)), Box((0, 0), (2 * pi, 2 * pi)).interior(50)], axis=1)
    u, v, w = (partial(lambda i, x: start(x)[:, i : i + 1], i) for i in range(3))
    x = jnp.asarray(x)
    assert size(w(x) - spectral.two_vortices(np.asarray(x)[:, 1:])) < 1e-12
    assert size(derivative(v, x, 1) - derivative(u, x, 2) - w(x)) < 1e-12
    assert size(derivative(u, x, 1) + derivative(v, x, 2)) < 1e-12
    with jax.enable_x64(False):
        assert start(jnp.zeros((2, 3), jnp.float32)).dtype == jnp.float32


# ------------------------------------------------------------------------------------------------- measured data


def test_measurements_without_noise_are_exact_and_with_noise_as_noisy_as_stated():
    data = measured(inverse_diffusion(noise=0.0))
    assert data.noise is None
    assert size(EXACT["inverse-diffusion"](jnp.asarray(data.points)) - data.values) < 1e-15
    noisy = measured(inverse_diffusion())
    assert noisy.points.shape == (200, 2)
    assert noisy.noise == 0.01
    np.testing.assert_array_equal(noisy.points, data.points)
    assert 0.009 < np.std(noisy.values - data.values) < 0.011
    other = measured(inverse_diffusion(seed=1))
    assert not np.array_equal(other.points, data.points)


@pytest.mark.parametrize("name", ["inverse-lotka-volterra", "inverse-lorenz"])
def test_measured_trajectories_lie_on_the_reference(name):
    problem, reference = resolve_problem(name, noise=0.0, n=10), reference_of(name)
    data = measured(problem)
    rows = np.searchsorted(reference.axes[0], data.points[:, 0] - 1e-9)
    assert size(reference.flat[rows] - data.values) < 1e-11 * size(data.values)
    noisy = measured(resolve_problem(name, noise=0.1, n=10))
    assert noisy.noise == pytest.approx(0.1 * size(data.values))
    assert 0.05 < np.std(noisy.values - data.values) / size(data.values) < 0.15


def test_what_the_data_say_about_the_coefficient_is_as_stated():
    """The bound of Cramer and Rao for D = 0.1: 3.5e-4."""
    x = TimeSpace((0, 1), Interval(0, 1)).interior(2**14)
    slope = -(pi**2) * x[:, 0] * np.sin(pi * x[:, 1]) * np.exp(-0.1 * pi**2 * x[:, 0])
    assert 0.01 / np.sqrt(200 * np.mean(slope**2)) == pytest.approx(3.5e-4, rel=0.02)


# ------------------------------------------------------------------------------------------------- names


def test_equal_calls_give_the_same_problem():
    assert resolve_problem("burgers") is burgers()
    assert resolve_problem("advection", c=30.0) is advection(c=30.0)
    assert resolve_problem("lorenz", start=[1.0, 2.0, 3.0]) is resolve_problem("lorenz", start=(1.0, 2.0, 3.0))
    assert resolve_problem("lorenz", start=np.arange(1.0, 4.0)) is resolve_problem("lorenz", start=(1.0, 2.0, 3.0))
    assert resolve_problem(burgers()) is burgers()
    found = resolve_problem("poisson").reference
    assert found is not None
    assert found() is found()
    assert [resolve_problem(name).name for name in PROBLEMS] == list(PROBLEMS)
    assert list(PROBLEMS)[:3] == ["allen-cahn", "allen-cahn-dirichlet", "burgers"]


def test_bad_names_and_constants():
    with pytest.raises(UnknownNameError, match="did you mean 'burgers'"):
        resolve_problem("burger")
    with pytest.raises(UnknownNameError, match="did you mean 'viscosity'"):
        resolve_problem("burgers", viscosit=0.1)
    with pytest.raises(UnknownNameError, match="boundary"):
        resolve_problem("allen-cahn", boundary="neumann")
    with pytest.raises(DataError, match="constants"):
        resolve_problem(burgers(), viscosity=0.1)
    for name, constants in {
        "burgers": {"viscosity": -1.0},
        "helmholtz": {"a1": 1.5},
        "inverse-diffusion": {"noise": -0.1},
        "inverse-lorenz": {"n": 0},
        "kdv": {"end": 0.0},
    }.items():
        with pytest.raises(EdgewiseError):
            resolve_problem(name, **constants)


# ------------------------------------------------------------------------------------------------- trial functions


def network(n_in, n_out, seed=0):
    """A nonlinear function without symmetries, ``[n, n_in] -> [n, n_out]``."""
    rng = np.random.default_rng(seed)
    first, shift, last = rng.normal(size=(n_in, 9)), rng.normal(size=9), rng.normal(size=(9, n_out))

    def function(z):
        assert z.shape[1] == n_in
        hidden = z @ first + shift
        return (jnp.sin(hidden) + jnp.tanh(2 * hidden) ** 3) @ last + 1

    return function


def trial(ansatz, seed=0):
    return partial(ansatz, network(ansatz.n_in, ansatz.n_out, seed))


BUILT = {  # features of the network, conditions that are left
    "allen-cahn": (3, []),
    "allen-cahn-dirichlet": (2, []),
    "burgers": (2, []),
    "kdv": (3, []),
    "helmholtz": (2, []),
    "poisson": (2, []),
    "advection": (3, []),
    "diffusion": (2, []),
    "inverse-diffusion": (2, ["data"]),
    "kuramoto-sivashinsky": (3, []),
    "navier-stokes": (5, ["rest on center"]),
    "lotka-volterra": (1, []),
    "lorenz": (1, []),
    "inverse-lotka-volterra": (1, ["data"]),
    "inverse-lorenz": (1, ["data"]),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_all_conditions_that_can_be_are_built_in(name):
    problem, (n_in, left) = resolve_problem(name), BUILT[name]
    ansatz, rest = ansatz_for(problem.domain, problem.conditions, problem.n_out, None)
    assert (ansatz.n_in, [condition.name for condition in rest]) == (n_in, left)
    u, other = (jax.jit(trial(ansatz, seed)) for seed in range(2))
    x = jnp.asarray(problem.domain.interior(20))
    assert size(u(x) - other(x)) > 0.01
    assert u(x).shape == (20, problem.n_out)
    assert size(ansatz.features(x)) <= 1 + 1e-12
    for condition in ansatz.hard:
        jump = 4.0 if name == "allen-cahn" and isinstance(condition, Periodic) else 0.0  # u_x of u_0 itself
        assert abs(missed(condition, u, problem.domain) - jump) < 1e-10, condition.name
    none, all_left = ansatz_for(problem.domain, problem.conditions, problem.n_out, False)
    assert all_left == problem.conditions
    assert none.n_in == problem.domain.dim


def built(domain, conditions, n_out, left=()):
    """The trial function, after checks that it satisfies all conditions but ``left``."""
    ansatz, rest = ansatz_for(domain, conditions, n_out, None)
    assert list(rest) == list(left)
    u = trial(ansatz)
    for condition in ansatz.hard:
        assert missed(condition, u, domain) < 1e-10, condition.name
    for condition in rest:
        assert missed(condition, u, domain) > 1e-3
    return u


WAVE = lambda x: jnp.sin(pi * x[:, 1:2])
SLOPE = lambda x: x[:, 1:2] * (1 - x[:, 1:2])


@pytest.mark.slow
def test_a_start_with_a_slope():
    line = TimeSpace((0.5, 2.0), Interval(0.0, 1.0))
    starts = [Initial(value=WAVE), Initial(value=SLOPE, order=1)]
    for conditions in (starts, starts[::-1], [*starts, Dirichlet(value=0.0)], [Dirichlet(value=0.0), *starts[::-1]]):
        built(line, conditions, 1)
    built(Interval(0.0, 3.0, name="t"), [Initial(value=(1.0, -2.0)), Initial(value=(0.5, 3.0), order=1)], 2)
    square = TimeSpace((0.0, 1.0), Box((0.0, 0.0), (1.0, 2.0)))
    start = lambda x: jnp.sin(pi * x[:, 1:2]) * jnp.cos(pi * x[:, 2:3])
    built(square, [Initial(value=start), Initial(value=lambda x: 2 * start(x), order=1), Periodic(axis="y")], 1)


def test_a_start_with_a_slope_and_ends_that_move():
    line = TimeSpace((0.0, 1.0), Interval(0.0, 1.0))
    ends = Dirichlet(value=lambda x: jnp.sin(3 * x[:, 0:1]) + x[:, 1:2])
    agree = [Initial(value=lambda x: x[:, 1:2]), Initial(value=lambda x: 3.0 + 0 * x[:, 1:2], order=1), ends]
    built(line, agree, 1)
    differ = [agree[0], Initial(value=0.0, order=1), ends]
    built(line, differ, 1, left=[differ[1]])


def test_faces_of_a_box_that_meet():
    box = Box((0.0, -1.0, 2.0), (1.0, 1.0, 5.0))
    value = lambda x: jnp.exp(x[:, 0:1]) * jnp.cos(x[:, 1:2]) + x[:, 2:3] ** 2
    built(box, [Dirichlet(value=value)], 1)
    built(box, [Dirichlet(on=part, value=value) for part in ("x-", "y+", "z-", "z+")], 1)
    built(box, [Periodic(axis="y"), Dirichlet(on="x-", value=1.0), Dirichlet(on="z+", value=1.0)], 1)


@pytest.mark.slow
def test_outputs_with_conditions_of_their_own():
    line = TimeSpace((0.0, 1.0), Interval(0.0, 1.0))
    conditions = [
        Initial(value=WAVE, outputs=(1,)),
        Initial(value=SLOPE, outputs=(0,)),
        Initial(value=SLOPE, outputs=(1,), order=1),
        Dirichlet(on="left", value=0.0, outputs=(0, 1)),
        Dirichlet(on="right", value=0.0, outputs=(1,)),
    ]
    u = built(line, conditions, 3)
    ends = jnp.array([[0.5, 1.0], [0.0, 0.3], [0.5, 0.0]])
    assert np.abs(np.asarray(u(ends)))[[0, 0, 1, 2], [0, 2, 2, 2]].min() > 1e-3


def test_what_cannot_be_built_in_is_left():
    line = TimeSpace((0.0, 1.0), Interval(0.0, 1.0))
    start, ends = Initial(value=1.0), Dirichlet(value=0.0)
    built(line, [start, ends], 1, left=[start])
    slope = Neumann(on="left", value=1.0)
    built(line, [Dirichlet(on="right"), slope], 1, left=[slope])
    disk = Dirichlet(value=1.0)
    built(Disk(), [disk], 1, left=[disk])
    both = Dirichlet(on="left", value=2.0)
    built(line, [Periodic(axis="x"), both], 1, left=[both])
    with pytest.raises(EdgewiseError, match="differ by 1 where they meet"):
        ansatz_for(line, [ends, Initial(value=1.0, hard=True)], 1, None)
    soft = Dirichlet(value=0.0, hard=False)
    assert ansatz_for(line, [soft], 1, True)[1] == (soft,)
