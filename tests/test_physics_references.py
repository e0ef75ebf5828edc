"""Reference solutions: against exact solutions, second resolutions, their own equations, and conserved quantities."""

from __future__ import annotations

from itertools import pairwise

import mpmath as mp
import numpy as np
import pytest

from edgewise.errors import DataError, EdgewiseError, ShapeError
from edgewise.physics.reference import Reference
from edgewise.physics.spectral import (
    allen_cahn_dirichlet,
    allen_cahn_periodic,
    burgers,
    kdv,
    kuramoto_sivashinsky,
    lorenz,
    lotka_volterra,
    navier_stokes,
    two_vortices,
)
from edgewise.physics.spectral.burgers import cole_hopf
from edgewise.physics.spectral.etdrk4 import Stepper, integrate
from edgewise.physics.spectral.fourier import dealiased_square, evaluate, series

PI = np.pi
T, X, TWO = np.linspace(0, 1, 6), np.linspace(-1, 1, 41), np.array([0.0, 1.0])
STENCILS = {  # of the sixth order
    1: np.array([-1, 9, -45, 0, 45, -9, 1]) / 60,
    2: np.array([2, -27, 270, -490, 270, -27, 2]) / 180,
    3: np.array([-7, 72, -338, 488, 0, -488, 338, -72, 7]) / 240,
    4: np.array([7, -96, 676, -1952, 2730, -1952, 676, -96, 7]) / 240,
}


def derivative(values: np.ndarray, step: float, order: int, axis: int) -> np.ndarray:
    """By central differences, NaN near the ends."""
    weights = STENCILS[order] / step**order
    reach = len(weights) // 2
    total = np.sum([weight * np.roll(values, reach - i, axis) for i, weight in enumerate(weights)], 0)
    total[(slice(None),) * axis + (np.r_[:reach, values.shape[axis] - reach : values.shape[axis]],)] = np.nan
    return total


def violation(terms: list[np.ndarray]) -> float:
    """|sum of the terms| relative to the largest term, where the differences are defined."""
    residual = np.sum(terms, 0)
    inside = np.isfinite(residual)
    assert inside.any()
    return np.abs(residual[inside]).max() / max(np.abs(term[inside]).max() for term in terms)


def around(time: float, step: float) -> np.ndarray:
    return time + step * np.arange(-3, 4)


# ---------------------------------------------------------------------------------------------------- Reference


def test_a_reference_lists_its_points_with_the_last_coordinate_fastest():
    reference = Reference.exact(lambda p: np.stack([p[:, 0], p[:, 1]], 1), ([0, 1], [5, 6, 7]), ("t", "x"))
    assert reference.values.shape == (2, 3, 2)
    np.testing.assert_array_equal(reference.points, reference.flat)
    np.testing.assert_array_equal(reference.points[:3], [[0, 5], [0, 6], [0, 7]])
    assert reference.accuracy == 0.0
    assert repr(reference) == "Reference(t 2 in [0, 1], x 3 in [5, 7]; 2 outputs, accuracy 0)"


def test_relative_l2_is_over_all_outputs_in_float64():
    reference = Reference((TWO,), np.array([[3.0, 0.0], [0.0, 4.0]]), ("t",))
    assert reference.relative_l2(reference.flat) == 0.0
    assert reference.relative_l2(np.array([[3.0, 0.0], [0.0, 4.5]], np.float32)) == pytest.approx(0.1, rel=1e-15)
    assert np.isnan(reference.relative_l2(np.full((2, 2), np.nan)))


def test_a_reference_is_a_read_only_copy():
    values = np.ones((2, 1))
    reference = Reference((TWO,), values, ("t",))
    values[:] = 0
    assert reference.values.min() == 1
    with pytest.raises(ValueError, match="read-only"):
        reference.values[0] = 0


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        (((TWO,), np.ones(2), ("t",)), ShapeError, r"values\[..., None\]"),
        (((TWO,), np.ones((3, 1)), ("t",)), ShapeError, r"\[2, 'm'\]"),
        (((TWO,), np.ones((2, 0)), ("t",)), ShapeError, "values have shape"),
        (((TWO,), np.ones((2, 1)), ("t", "x")), ShapeError, "1 axes and 2 names"),
        (((), np.ones(1), ()), ShapeError, "0 axes"),
        (((TWO, TWO[:1]), np.ones((2, 1, 1)), ("t", "t")), EdgewiseError, "distinct"),
        (((TWO[::-1],), np.ones((2, 1)), ("t",)), DataError, "strictly increasing"),
        (((TWO[None],), np.ones((2, 1)), ("t",)), ShapeError, "axis t"),
        (((np.array(["a"]),), np.ones((1, 1)), ("t",)), DataError, "not numeric"),
        (((TWO,), np.array([[1.0], [np.nan]]), ("t",)), DataError, "1 of 2 values"),
        (((TWO[:1],), np.ones((1, 1)), ("t",), -1.0), EdgewiseError, "accuracy"),
        (((TWO[:1],), np.ones((1, 1)), ("t",), float("nan")), EdgewiseError, "accuracy"),
    ],
)
def test_bad_references_are_refused(arguments: tuple, error: type, match: str):
    with pytest.raises(error, match=match):
        Reference(*arguments)


def test_predictions_and_functions_of_the_wrong_shape_are_refused():
    reference = Reference((TWO,), np.ones((2, 1)), ("t",))
    with pytest.raises(ShapeError, match=r"\[2\]; the reference has \[2, 1\]"):
        reference.relative_l2(np.ones(2))
    with pytest.raises(DataError, match="zero everywhere"):
        Reference((TWO[:1],), np.zeros((1, 1)), ("t",)).relative_l2(np.ones((1, 1)))
    with pytest.raises(ShapeError, match=r"maps \[2, 1\] to \[2\]"):
        Reference.exact(lambda p: p[:, 0], ([0.0, 1.0],), ("t",))
    with pytest.raises(ShapeError, match="1 axes for 2 names"):
        Reference.exact(lambda p: p, ([0.0, 1.0],), ("t", "x"))


# ------------------------------------------------------------------------------------------------------- ETDRK4


def test_the_coefficients_hold_for_small_large_and_imaginary_arguments():
    points = np.array([0.0, 1e-9, -1e-3, -0.999, -1.0, -1.5, 2.0, -40.0, -1e5, 30j, 0.5j, 1e3j])
    stepper = Stepper(points, np.negative, 1.0)
    with mp.workdps(120):
        for i, point in enumerate(points):
            z = mp.mpmathify(complex(point)) + mp.mpf(10) ** -25  # the limit at 0
            e = mp.exp(z)
            wanted = [
                (mp.exp(z / 2) - 1) / z,
                (-4 - z + e * (4 - 3 * z + z**2)) / z**3,
                2 * (2 + z + e * (z - 2)) / z**3,
                (-4 - 3 * z - z**2 + e * (4 - z)) / z**3,
            ]
            found = [stepper.middle[i], stepper.first[i], stepper.second[i], stepper.third[i]]
            # absolute for the small ones: they multiply terms of the size of the state
            np.testing.assert_allclose(found, [complex(w) for w in wanted], rtol=3e-14, atol=1e-15)


def test_the_heat_equation_is_exact_at_any_step():
    k = np.arange(9.0)
    start = np.exp(-k)
    times = np.array([0.0, 0.3, 1.0])
    states = integrate(-(k**2), np.zeros_like, start, times, 1.0)
    np.testing.assert_allclose(states, start * np.exp(-np.outer(times, k**2)), rtol=1e-14, atol=1e-300)


def test_the_order_is_four_and_irregular_output_times_are_hit():
    def square(v: np.ndarray) -> np.ndarray:
        return -v * v

    def error(times: np.ndarray, step: float) -> float:
        found = integrate(np.array([1.0]), square, np.array([0.1]), times, step)[:, 0]
        return np.abs(found - 1 / (1 + 9 * np.exp(-times))).max()  # logistic

    errors = [error(np.array([0.8, 1.6]), step) for step in (0.2, 0.1, 0.05)]
    assert all(3.6 < np.log2(a / b) < 4.4 for a, b in pairwise(errors))
    assert error(np.array([0.0, 0.1, 0.37, 1.0, np.sqrt(2)]), 0.05) < 1e-9


def test_an_overflow_and_a_bad_step_are_errors():
    with pytest.raises(EdgewiseError, match="overflowed before t = 1"):
        integrate(np.array([0.0]), np.exp, np.array([5.0]), np.array([1.0]), 0.1)
    with pytest.raises(EdgewiseError, match="step must be"):
        integrate(np.array([0.0]), np.exp, np.array([5.0]), np.array([1.0]), 0.0)


def test_the_dealiased_square_is_the_square():
    def wave(x: np.ndarray) -> np.ndarray:
        return np.cos(3 * x) + np.sin(2 * x)

    x = np.linspace(0, 5, 11)
    c = series(wave, 8, 0.0, 2 * PI)
    np.testing.assert_allclose(evaluate(c, x, 0.0, 2 * PI), wave(x), atol=1e-14)
    np.testing.assert_allclose(evaluate(dealiased_square(c), x, 0.0, 2 * PI), wave(x) ** 2, atol=1e-14)
    with pytest.raises(ShapeError, match="initial condition maps"):
        series(np.ravel, 8, 0.0, 1.0)


# -------------------------------------------------------------------------------------------- second resolutions


def at_two_resolutions(solver, axes: tuple, coarse: dict, fine: dict, slack: float = 1.0) -> Reference:
    """The coarse solution, whose stated accuracy covers its difference to the fine one and is not far above it."""
    first, second = solver(*axes, **coarse), solver(*axes, **fine)
    difference = first.relative_l2(second.flat)
    assert difference <= slack * first.accuracy
    assert first.accuracy <= max(1e3 * difference, 1e-13)
    return first


KS = np.linspace(0, 2 * PI, 41)
FAST = {
    "allen_cahn_periodic": (
        allen_cahn_periodic, (T, X), {"modes": 512, "step": 4e-3}, {"modes": 1024, "step": 2e-3}, 1e-7
    ),
    "allen_cahn_dirichlet": (
        allen_cahn_dirichlet, (T, X), {"modes": 512, "step": 4e-3}, {"modes": 1024, "step": 2e-3}, 1e-6
    ),
    "kdv": (kdv, (T / 2, X), {"modes": 96, "step": 1e-3}, {"modes": 128, "step": 5e-4}, 4e-6),
    "kuramoto_sivashinsky": (
        kuramoto_sivashinsky, (T / 10, KS), {"modes": 80, "step": 1e-3}, {"modes": 96, "step": 5e-4}, 1e-5
    ),
    "navier_stokes": (
        navier_stokes, (T / 4, KS, KS[:20]), {"modes": 32, "step": 0.02}, {"modes": 42, "step": 0.01}, 1e-3
    ),
}  # fmt: skip
FULL = {
    "allen_cahn_periodic": (allen_cahn_periodic, (T, X), {}, {"modes": 4096, "step": 2.5e-4}, 4e-12),
    "allen_cahn_dirichlet": (allen_cahn_dirichlet, (T, X), {}, {"modes": 4096, "step": 2.5e-4}, 4e-11),
    "kdv": (kdv, (T, X), {}, {"modes": 384, "step": 1 / 16000}, 3e-9),
    "kuramoto_sivashinsky": (kuramoto_sivashinsky, (T / 10, KS), {}, {"modes": 192, "step": 5e-5}, 3e-9),
    "kuramoto_sivashinsky, to 1": (kuramoto_sivashinsky, (T, KS), {}, {"modes": 192, "step": 5e-5}, 6e-7),
    "navier_stokes": (navier_stokes, (T, KS, KS), {}, {"modes": 84, "step": 0.005}, 2e-6),
}


@pytest.mark.parametrize("case", FAST)
def test_a_coarse_solution_states_its_accuracy(case: str):
    solver, axes, coarse, fine, bound = FAST[case]
    assert at_two_resolutions(solver, axes, coarse, fine).accuracy <= bound


@pytest.mark.slow
@pytest.mark.parametrize("case", FULL)
def test_the_default_solution_states_its_accuracy(case: str):
    solver, axes, coarse, fine, bound = FULL[case]
    assert at_two_resolutions(solver, axes, coarse, fine).accuracy <= bound


# ------------------------------------------------------------------------------------------ the equations themselves


def test_allen_cahn_keeps_its_equation_and_its_boundary():
    h, step = 2e-3, 1e-3
    x = np.linspace(-0.2, 0.2, 201)
    for solver in (allen_cahn_periodic, allen_cahn_dirichlet):
        u = solver(around(0.5, step), x, diffusion=1e-3, reaction=4.0, modes=256, step=1e-3).values[..., 0]
        terms = [derivative(u, step, 1, 0), -1e-3 * derivative(u, h, 2, 1), -4 * (u - u**3)]
        assert violation(terms) < 1e-7
    ends = np.array([-1.0, 1.0])
    periodic = allen_cahn_periodic(T, ends, modes=256, step=4e-3).values
    dirichlet = allen_cahn_dirichlet(T, ends, modes=256, step=4e-3).values
    np.testing.assert_array_equal(periodic[:, 0], periodic[:, 1])
    assert np.abs(periodic[1:] + 1).max() > 1e-4
    np.testing.assert_allclose(dirichlet, -1.0, atol=1e-11)


def test_allen_cahn_starts_from_the_exact_coefficients():
    for solver in (allen_cahn_periodic, allen_cahn_dirichlet):
        u = solver(np.array([0.0, 1e-7]), X, modes=2048, step=1e-3).values[..., 0]
        np.testing.assert_array_equal(u[0], X**2 * np.cos(PI * X))
        np.testing.assert_allclose(u[1, 1:-1], u[0, 1:-1], atol=2e-6)


def test_burgers_keeps_its_equation():
    nu, h, step = 0.1, 1e-2, 5e-3
    x = np.arange(-0.8, 0.8, h)
    u = burgers(around(0.6, step), x, viscosity=nu).values[..., 0]
    terms = [derivative(u, step, 1, 0), u * derivative(u, h, 1, 1), -nu * derivative(u, h, 2, 1)]
    assert violation(terms) < 2e-6


def test_kdv_keeps_its_equation():
    h, step = 5e-3, 1e-3
    u = kdv(around(0.3, step), np.arange(-1, 1, h), modes=128, step=2.5e-4).values[..., 0]
    terms = [derivative(u, step, 1, 0), u * derivative(u, h, 1, 1), 0.022**2 * derivative(u, h, 3, 1)]
    assert violation(terms) < 1e-4


def test_kuramoto_sivashinsky_keeps_its_equation():
    h, step = 2e-2, 2e-4
    u = kuramoto_sivashinsky(around(0.05, step), np.arange(0, 6, h), modes=96).values[..., 0]
    a, b, c = 100 / 16, 100 / 16**2, 100 / 16**4
    space = [derivative(u, h, order, 1) for order in (1, 2, 4)]
    terms = [derivative(u, step, 1, 0), a * u * space[0], b * space[1], c * space[2]]
    assert violation(terms) < 1e-3


def test_navier_stokes_keeps_its_equations():
    h, step, reynolds = 2 * PI / 64, 5e-3, 50.0
    line = h * np.arange(18, 46)
    values = navier_stokes(around(0.2, step), line, line, reynolds=reynolds, modes=42).values
    u, v, w = np.moveaxis(values, -1, 0)

    def d(field: np.ndarray, axis: int, order: int = 1) -> np.ndarray:
        return derivative(field, step if axis == 0 else h, order, axis)

    viscous = [-d(w, 1, 2) / reynolds, -d(w, 2, 2) / reynolds]
    assert violation([d(w, 0), u * d(w, 1), v * d(w, 2), *viscous]) < 3e-3
    assert violation([d(v, 1), -d(u, 2), -w]) < 1e-3
    assert violation([d(u, 1), d(v, 2)]) < 1e-3
    alone = navier_stokes(around(0.2, step), line, line, reynolds=reynolds, modes=42, velocity=False)
    np.testing.assert_array_equal(alone.values[..., 0], w)


# ----------------------------------------------------------------------------------------------- exact solutions


def test_burgers_against_more_nodes_and_a_spectral_solution():
    t = np.linspace(0, 1, 11)
    reference = burgers(t, X)
    assert reference.accuracy <= 3e-15
    for nodes in (100, 400):
        assert reference.relative_l2(cole_hopf(t, X, 0.01 / PI, nodes).reshape(-1, 1)) < 3e-15
    nu, k = 0.05, PI * np.arange(97)

    def nonlinear(c: np.ndarray) -> np.ndarray:
        return -0.5j * k * dealiased_square(c)

    start = series(lambda x: -np.sin(PI * x), 96, -1.0, 2.0)
    spectral = evaluate(integrate(-nu * k**2, nonlinear, start, t, 2e-3), X, -1.0, 2.0)
    assert burgers(t, X, viscosity=nu).relative_l2(spectral.reshape(-1, 1)) < 1e-9


@pytest.mark.parametrize("viscosity", [1.0, 1e-3, 3e-4])
def test_burgers_adds_nodes_for_other_viscosities(viscosity: float):
    assert burgers(np.array([0.2, 1.0]), X, viscosity=viscosity).accuracy < 1e-12


def test_burgers_refuses_what_it_cannot_resolve():
    with pytest.raises(EdgewiseError, match="400 and 800 nodes differ"):
        burgers(np.array([1.0]), X, viscosity=1e-4)
    with pytest.raises(EdgewiseError, match="viscosity must be"):
        burgers(T, X, viscosity=0.0)


def soliton(x: np.ndarray, t: float = 0.0) -> np.ndarray:
    return 3 * np.cosh(0.5 * (x - t)) ** -2


def test_kdv_carries_a_soliton():
    t, x = np.array([0.0, 1.0, 3.0]), np.linspace(-20, 20, 61)
    reference = kdv(t, x, dispersion=1.0, initial=soliton, domain=(-40.0, 40.0), modes=160, step=5e-3)
    exact = np.stack([soliton(x[:, None], time) for time in t])
    assert reference.relative_l2(exact.reshape(-1, 1)) < min(reference.accuracy, 1e-8)


def test_kdv_conserves_mass_and_l2():
    x = np.arange(-1, 1, 2 / 400)
    u = kdv(T, x, modes=128, step=5e-4).values[..., 0]
    np.testing.assert_allclose(u.mean(1), 0.0, atol=1e-14)
    np.testing.assert_allclose((u**2).mean(1), 0.5, rtol=1e-7)


def test_kuramoto_sivashinsky_conserves_the_mean():
    x = np.arange(256) * 2 * PI / 256
    u = kuramoto_sivashinsky(T / 10, x, modes=80, step=1e-3).values[..., 0]
    np.testing.assert_allclose(u.mean(1), 0.0, atol=1e-13)


def test_navier_stokes_lets_taylor_and_green_decay():
    def vortices(p: np.ndarray) -> np.ndarray:
        return 2 * np.cos(p[:, 0:1]) * np.cos(p[:, 1:2])

    def exact(p: np.ndarray) -> np.ndarray:
        t, x, y = p[:, 0:1], p[:, 1:2], p[:, 2:3]
        fields = [-np.cos(x) * np.sin(y), np.sin(x) * np.cos(y), 2 * np.cos(x) * np.cos(y)]
        return np.exp(-2 * t / 10) * np.concatenate(fields, 1)

    axes = (np.array([0.0, 0.5, 2.0]), np.linspace(0, 2 * PI, 9), np.linspace(0.1, 2, 5))
    reference = navier_stokes(*axes, reynolds=10.0, initial=vortices, modes=8, step=0.1)
    assert reference.relative_l2(Reference.exact(exact, axes, ("t", "x", "y")).flat) < 1e-14


def test_two_vortices_have_no_circulation():
    line = np.arange(64) * 2 * PI / 64
    points = np.stack([part.ravel() for part in np.meshgrid(line, line)], 1)
    w = two_vortices(points)
    assert w.shape == (4096, 1)
    assert abs(w.mean()) < 1e-14
    start = navier_stokes(np.array([0.0]), line, line[:3], modes=30, velocity=False)
    np.testing.assert_allclose(start.flat, two_vortices(start.points[:, 1:]), atol=1e-10)


def taylor(rates, start: tuple, times: np.ndarray, order: int = 26, step: float = 0.02) -> np.ndarray:
    """Taylor series of a quadratic system in 35 digits: ``rates(product, k, *series)``."""
    with mp.workdps(35):
        state, now, states = [mp.mpf(value) for value in start], mp.mpf(0), []
        for time in map(mp.mpf, times.tolist()):
            count = int(mp.ceil((time - now) / step))
            for _ in range(count):
                c = [[value] for value in state]
                for k in range(order):
                    rate = rates(lambda a, b, k=k: mp.fdot(a[: k + 1], b[k::-1]), k, *c)
                    for terms, value in zip(c, rate, strict=True):
                        terms.append(value / (k + 1))
                state = [mp.polyval(terms[::-1], (time - now) / count) for terms in c]
            now = time
            states.append([float(value) for value in state])
    return np.array(states)


def lorenz_rates(product, k: int, x: list, y: list, z: list) -> tuple:
    return 10 * (y[k] - x[k]), 28 * x[k] - product(x, z) - y[k], product(x, y) - mp.mpf(8 / 3) * z[k]


def lotka_volterra_rates(product, k: int, x: list, y: list) -> tuple:
    return mp.mpf(1.5) * x[k] - product(x, y), product(x, y) - 3 * y[k]


@pytest.mark.parametrize(("end", "bound"), [(3.0, 1e-12), pytest.param(20.0, 1e-8, marks=pytest.mark.slow)])
def test_lorenz_against_taylor_series(end: float, bound: float):
    t = np.linspace(0, end, 31)[1:]
    reference = lorenz(t)
    assert reference.relative_l2(taylor(lorenz_rates, (1, 1, 1), t)) <= reference.accuracy < bound


@pytest.mark.parametrize("end", [3.0, pytest.param(20.0, marks=pytest.mark.slow)])
def test_lotka_volterra_against_taylor_series(end: float):
    t = np.linspace(0, end, 31)[1:]
    reference = lotka_volterra(t)
    assert reference.relative_l2(taylor(lotka_volterra_rates, (1, 1), t)) <= reference.accuracy < 1e-11


def test_lotka_volterra_conserves_its_invariant():
    x, y = lotka_volterra(np.linspace(0, 8, 41), alpha=1.1, beta=0.4, gamma=0.4, delta=0.1, start=(10, 5)).values.T
    invariant = 0.1 * x - 0.4 * np.log(x) + 0.4 * y - 1.1 * np.log(y)
    np.testing.assert_allclose(invariant, invariant[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: kdv([-0.1, 1.0], X), "t starts at -0.1"),
        (lambda: kdv([0.0, 0.0], X), "strictly increasing"),
        (lambda: kdv(T, X, domain=(1.0, -1.0)), "length of domain"),
        (lambda: kdv(T, X, initial=np.ravel), "initial condition maps"),
        (lambda: kdv(T, X, modes=4), "modes must be at least 8"),
        (lambda: allen_cahn_periodic(T, [-2.0, 1.0]), "lives on"),
        (lambda: allen_cahn_dirichlet(T, [0.0, 1.5]), "lives on"),
        (lambda: allen_cahn_dirichlet(T, X, diffusion=-1.0), "diffusion must be"),
        (lambda: navier_stokes(T, X, X, reynolds=0), "reynolds must be"),
        (lambda: lorenz(T, start=(1.0, 1.0)), r"start has shape \[2\]"),
    ],
)
def test_bad_input_is_refused(call, match: str):
    with pytest.raises(EdgewiseError, match=match):
        call()
