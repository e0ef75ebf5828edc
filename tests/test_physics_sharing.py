"""Programs in which nothing is computed twice: what they hold, and that they compute the same."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import model_checks
from edgewise.bases import RBF, Chebyshev, Fourier
from edgewise.models import KAN, SeparableKAN
from edgewise.physics.operators import derivative, taylor, time_derivative
from edgewise.physics.sharing import once


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def operations(function, *arrays) -> list[str]:
    """Names of all operations of a program."""
    return [each.primitive.name for each in model_checks.operations(jax.make_jaxpr(function)(*arrays).jaxpr)]


def points(n=7, d=2) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (n, d)))


MODELS = {
    "chebyshev": lambda: KAN([2, 3, 1], Chebyshev(4), rngs=nnx.Rngs(0)),
    "fourier": lambda: KAN([2, 3, 1], Fourier(3), rngs=nnx.Rngs(0)),
    "radial": lambda: KAN([2, 3, 1], RBF(4), rngs=nnx.Rngs(0)),
    "separable": lambda: SeparableKAN([Chebyshev(4, squash=None), Fourier(12)], rank=2, rngs=nnx.Rngs(0)),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_program_grows_with_the_order_and_not_with_its_power(name):
    model = MODELS[name]()
    lengths = [len(operations(lambda x, order=order: taylor(model, x, 1, order), points())) for order in (2, 4, 8)]
    # the product rule makes k + 1 terms of order k: at most quadratic; two to the order would be 16 times and more.
    # Polynomials have slopes in closed form, and the chain rule a sum for each of them, up to their degree
    growth = 5 if name == "chebyshev" else 4
    assert lengths[1] < growth * lengths[0]
    assert lengths[2] < growth * lengths[1]


def test_one_sine_and_one_cosine_for_derivatives_of_any_order():
    names = operations(lambda x: taylor(lambda x: jnp.sin(x[:, :1] + x[:, 1:]), x, 1, 6), points())
    assert names.count("sin") == names.count("cos") == 1
    names = operations(lambda x: derivative(lambda x: jnp.sin(x[:, :1] + x[:, 1:]), x, 1, 1, 0, 0, 0), points())
    assert names.count("sin") + names.count("cos") <= 2


def test_operators_of_the_same_function_share_it():
    u = lambda x: jnp.tanh(x[:, :1]) * jnp.exp(jnp.sin(x[:, 1:]))
    residual = lambda x: time_derivative(u, x) + u(x) * derivative(u, x, 1) - derivative(u, x, 1, 1)
    names = operations(once(residual), points())
    assert [names.count(name) for name in ("tanh", "exp", "sin", "cos")] == [1, 1, 1, 1]
    assert operations(residual, points()).count("exp") > 1
    np.testing.assert_allclose(once(residual)(points()), residual(points()), rtol=1e-14)


def test_coordinates_that_are_apart_are_differentiated_apart():
    """A factor of x has no part in a derivative along t, though both come from one array of points."""

    @jax.custom_jvp
    def without_derivative(x):
        return jnp.exp(x)

    @without_derivative.defjvp
    def _refuse(primals, tangents):
        raise AssertionError("differentiated")

    def u(x):
        scaled = jnp.concatenate([x[:, :0], 2 * x[:, :1] - 1, x[:, 1:2], 3 * x[:, 2:]], axis=1)
        both = scaled[:, 1:]
        return jnp.sin(scaled[:, :1]) * without_derivative(both[:, :1]) * without_derivative(jnp.sum(both, 1)[:, None])

    x = points(d=3)
    expected = 2 * jnp.cos(2 * x[:, :1] - 1) * jnp.exp(2 * x[:, 1:2] + 3 * x[:, 2:])
    np.testing.assert_allclose(time_derivative(u, x), expected, rtol=1e-13)
    with pytest.raises(AssertionError, match="differentiated"):
        derivative(u, x, 1)


def test_parts_of_joined_arrays_that_are_no_columns():
    def u(x):
        twice = jnp.concatenate([x, x[:, :1]], axis=1)
        return twice[:, 1:] @ jnp.ones((2, 1)) + twice[::2].repeat(2, axis=0)[: len(x), 2:] + twice[1:2, :1] ** 2

    x = points(8)
    np.testing.assert_allclose(once(u)(x), u(x), rtol=1e-14)
    np.testing.assert_allclose(once(lambda *c: u(jnp.concatenate(c, axis=1)))(x[:, :1], x[:, 1:]), u(x), rtol=1e-14)


def test_equal_programs_with_other_rules_stay_apart():
    def with_slope(slope):
        @jax.custom_jvp
        def same(x):
            return 1.0 * x

        same.defjvp(lambda primals, tangents: (same(*primals), slope * tangents[0]))
        return same

    two, three = with_slope(2.0), with_slope(3.0)
    np.testing.assert_allclose(derivative(lambda x: two(x) + 10 * three(x), points(d=1), 0), 32.0)


def test_constants_that_look_alike_stay_apart():
    one, other = jnp.asarray([1.0, 0.0]), jnp.asarray([1.0, -0.0])

    def u(x):
        small, large = jnp.full((2,), 3, jnp.float32), jnp.full((2,), 3, jnp.float64)
        return (
            x / (x * one),
            x / (x * other),
            x * one,
            small,
            large,
            jnp.arctan2(0.0 * x, -x),
            jnp.arctan2(-0.0 * x, -x),
        )

    x = jnp.asarray([[1.0, 2.0]])
    for got, expected in zip(once(u)(x), u(x), strict=True):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)


def test_what_is_printed_is_printed_as_often():
    seen = []

    def u(x):
        for _ in range(2):
            jax.debug.callback(lambda total: seen.append(float(total)), jnp.sum(x))
        return x**2

    jax.jit(once(u))(points(d=1)).block_until_ready()
    jax.effects_barrier()
    assert len(seen) == 2


def test_keys_are_constants_like_others():
    first, second = jax.random.split(jax.random.key(0))
    u = lambda x: x * jax.random.normal(first, (1, 1)) + jax.random.normal(second, (1, 1))
    x = points(d=1)
    np.testing.assert_allclose(once(u)(x), u(x), rtol=1e-14)
    names = operations(once(lambda x: u(x) + u(x)), x)
    assert names.count("random_bits") == 2


def test_loops_branches_and_programs_inside():
    weights = jnp.asarray([0.3, 0.7, -0.4])

    @jax.jit
    def layer(x, w):
        return jnp.where(x > 0, jnp.sin(w * x), nnx.silu(w * x))

    def u(x):
        looped, _ = jax.lax.scan(lambda carry, w: (layer(carry, w) + carry, None), x, weights)
        branched = jax.lax.cond(jnp.sum(weights) > 0, lambda x: x**3, lambda x: x, x)
        return layer(layer(x, 0.5), 0.5) + looped * branched + layer(x, 0.5)

    x = points(d=1)
    value, first, second, third = taylor(u, x, 0, 3)
    scalar = lambda x: u(x[None, None])[0, 0]
    for order, got in enumerate((value, first, second, third)):
        expected = scalar
        for _ in range(order):
            expected = jax.grad(expected) if order < 2 else jax.jacfwd(expected)  # reverse once, forward otherwise
        np.testing.assert_allclose(got[:, 0], jax.vmap(expected)(x[:, 0]), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_derivatives_of_parameters_are_those_of_the_plain_program(name):
    graphdef, params = nnx.split(MODELS[name]())
    params, x = jax.tree.map(lambda leaf: leaf.astype(float), params), points()

    def plain(params, x):
        def u(x):
            return nnx.merge(graphdef, params)(x)

        of_x = lambda f: lambda x: jax.jvp(f, (x,), (jnp.zeros_like(x).at[:, 1].set(1.0),))[1]
        return u(x) * of_x(u)(x) + of_x(of_x(of_x(u)))(x)

    def shared(params, x):
        value, slope, _, third = taylor(nnx.merge(graphdef, params), x, 1, 3)
        return value * slope + third

    for transform in (
        lambda f: jax.grad(lambda params: jnp.sum(f(params, x) ** 2)),
        lambda f: jax.jacfwd(lambda params: f(params, x)),
        lambda f: lambda params: jax.vmap(lambda row: f(params, row[None])[0])(x),
    ):
        got, expected = jax.jit(transform(shared))(params), jax.jit(transform(plain))(params)
        for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9 * float(jnp.abs(other).max()))
