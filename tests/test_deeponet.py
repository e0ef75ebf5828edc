"""Operators: branch and trunk, against their formula and an exact antiderivative."""

from __future__ import annotations

import json
import runpy

import jax
import numpy as np
import pytest
from flax import nnx

import edgewise as ew
from edgewise import DeepONet, count_parameters
from edgewise._compilation import compiled_for_few_runs
from edgewise.bases import FAMILIES
from edgewise.errors import EdgewiseError, ShapeError, UnknownNameError
from model_checks import (
    FAMILY_NAMES,
    SCHEME_NAMES,
    array,
    chebyshev,
    check_saved,
    forward,
    inputs,
    layer_of,
    randomized,
)

pairs = compiled_for_few_runs(lambda model, u, y: model(u, y))
on_grid = compiled_for_few_runs(lambda model, u, y: model.on_grid(u, y))


def small(basis=None, **options):
    basis = ew.Chebyshev(2) if basis is None else basis
    return DeepONet([3, 4, 2], [1, 2], basis, **({"rngs": nnx.Rngs(0), "residual": None} | options))


def test_the_operator_is_its_formula():
    model, u, y = randomized(small()), inputs(5, features=3), inputs(5, features=1, seed=1)
    b, t = u, y
    for layer in model.branch.layers:
        b = layer_of(layer, chebyshev(np.asarray(b, np.float64), 2))
    for layer in model.trunk.layers:
        t = layer_of(layer, chebyshev(np.asarray(t, np.float64), 2))
    table = np.array([[sum(b[i] * t[j]) for j in range(5)] for i in range(5)]) + array(model.bias)
    np.testing.assert_allclose(on_grid(model, u, y[:4]), table[:, :4], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(pairs(model, u, y), np.diag(table), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(forward(model, np.concatenate([u, y], axis=1)), np.diag(table), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(pairs(model, u, y), model(u, y), rtol=1e-5, atol=1e-6)
    assert pairs(model, u[:4].reshape(2, 2, 3), y[:4].reshape(2, 2, 1)).shape == (2, 2)


def test_axes_of_the_batch():
    """One pair is a number, so that vmap gives [n]; a table has the axes of the functions, then those of the places."""
    model, u, y = randomized(small()), inputs(6, features=3), inputs(4, features=1, seed=1)
    one = jax.vmap(model)(np.concatenate([u[:4], y], axis=1))
    assert model(u[0], y[0]).shape == model.on_grid(u[0], y[0]).shape == ()
    np.testing.assert_allclose(one, model(u[:4], y), rtol=1e-5, atol=1e-6)
    table = model.on_grid(u, y)
    assert model.on_grid(u[0], y).shape == (4,)
    many = model.on_grid(u.reshape(2, 3, 3), y.reshape(2, 2, 1))  # two terms: as many as places along an axis
    assert many.shape == (2, 3, 2, 2)
    np.testing.assert_allclose(many.reshape(6, 4), table, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_every_basis_inside(family):
    model, u, y = DeepONet([2, 2], [1, 2], FAMILIES[family](), rngs=nnx.Rngs(0)), inputs(4), inputs(3, features=1)
    value = np.asarray(on_grid(model, u, y))
    assert value.shape == (4, 3)
    assert np.isfinite(value).all()
    assert np.ptp(value) > 0


@pytest.mark.parametrize("scheme", [name for name in SCHEME_NAMES if name != "custom"])
def test_every_scheme_inside(scheme):
    value = np.asarray(on_grid(small(init=scheme, residual="silu"), inputs(4, features=3), inputs(3, features=1)))
    assert np.isfinite(value).all()
    assert np.ptp(value) > 0


def test_parameters():
    """Every edge has the modes that are kept, every node a bias, and the sum one: (12 + 8 + 2) 2 + 4 + 2 + 2 + 1."""
    assert count_parameters(small()) == 53


def test_saved_and_rebuilt(tmp_path):
    model = small([ew.BSpline(2, 3), ew.Chebyshev(2)], trunk_basis=ew.RBF(3), residual="tanh", edge_scale=True)
    check_saved(randomized(model), tmp_path / "model.npz", inputs(2, 3, features=4))
    rebuilt = DeepONet.from_config(json.loads(json.dumps(model.config)), rngs=nnx.Rngs(1))
    assert rebuilt.config == model.config
    assert repr(rebuilt) == repr(model)
    for part in (model.branch, model.trunk):
        ew.interpret.fix(part, (0, 0, 1), "sin", constants=(1.0, 2.0, 0.5, 0.0))
    check_saved(model, tmp_path / "model.npz", inputs(2, 3, features=4))
    assert repr(small()) == (
        "DeepONet(branch=KAN([3, 4, 2], Chebyshev(2), residual=None, 46 parameters), "
        "trunk=KAN([1, 2], Chebyshev(2), residual=None, 6 parameters), 53 parameters)"
    )


def test_finite_far_away():
    model, far = randomized(small()), np.float32([[1e6, -1e6, 0.0, 1e6], [-1e6] * 4])
    value, gradient = compiled_for_few_runs(nnx.value_and_grad(lambda model: (model(far) ** 2).mean()))(model)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((value, gradient)))


def test_derivatives_along_the_place():
    """What physics asks of an operator: d/dy and d2/dy2 in forward mode."""
    with jax.enable_x64(True):
        model, u, h = small(param_dtype=np.float64), inputs(4, features=3).astype(float), 1e-4
        y, v = inputs(4, features=1).astype(float), np.ones((4, 1))
        f = compiled_for_few_runs(lambda y: model(u, y))
        along = lambda f: lambda y: jax.jvp(f, (y,), (v,))
        twice = compiled_for_few_runs(along(lambda y: along(lambda y: model(u, y))(y)[1]))
        first, second = twice(y)
        np.testing.assert_allclose(first, (f(y + h) - f(y - h)) / (2 * h), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(second, (f(y + h) - 2 * f(y) + f(y - h)) / h**2, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: DeepONet([3, 4], [1, 5], rngs=nnx.Rngs(0)), ShapeError, "branch has 4 outputs and the trunk 5"),
        (lambda: DeepONet([3], [1, 5], rngs=nnx.Rngs(0)), EdgewiseError, "needs at least inputs and outputs"),
        (lambda: small(residul=None), UnknownNameError, "did you mean 'residual'"),
        (lambda: small()(np.zeros((2, 3))), ShapeError, r"expected \(\.\.\., 3 \+ 1\), got \(2, 3\)"),
        (lambda: small()(np.zeros((2, 3)), np.zeros((2, 2))), ShapeError, r"expected \(\.\.\., 1\), got \(2, 2\)"),
        (
            lambda: small()(np.zeros((2, 3)), np.zeros((3, 1))),
            ShapeError,
            r"shape \(2,\) and places of \(3,\)(?s:.*)on_grid",
        ),
    ],
)
def test_what_is_refused(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


# --- the antiderivative -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def example(root):
    return runpy.run_path(str(root / "examples" / "antiderivative_operator.py"))


def test_the_integrals_of_the_example_are_exact(example):
    """Against the trapezoidal rule on its own functions, whose sensors are 40: second order."""
    u, integral = example["functions"](3, 0)
    x = example["SENSORS"]
    steps = np.concatenate([np.zeros((3, 1)), np.cumsum((u[:, 1:] + u[:, :-1]) / 2 * np.diff(x), axis=1)], axis=1)
    there = np.stack([np.interp(example["PLACES"], x, row) for row in steps])
    np.testing.assert_allclose(integral, there, atol=2e-2)
    assert not integral[:, 0].any()


def test_pairs_in_one_array_are_trained_on():
    rng = np.random.default_rng(0)
    u, y = rng.normal(size=(200, 1)), rng.uniform(-1, 1, (200, 1))
    model = DeepONet([1, 3], [1, 3], ew.Chebyshev(2, squash=None), rngs=nnx.Rngs(0))
    X = np.concatenate([u, y], axis=1)
    ew.fit(model, (X, u[:, 0] * y[:, 0]), optimizer="adam:1e-2", steps=300)
    assert np.mean((forward(model, X.astype(np.float32)) - u[:, 0] * y[:, 0]) ** 2) < 1e-2


@pytest.mark.slow
def test_an_antiderivative_is_learned(example):
    _, error = example["run"](seed=0)
    assert error < 0.01
