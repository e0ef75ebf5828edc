"""How programs are compiled: which of them stay on one core."""

from __future__ import annotations

import gc
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import edgewise as ew
from edgewise import _compilation
from edgewise._compilation import CompiledBySize, Filling, operations
from edgewise.training.optim import OPTIMIZERS, resolve_optimizer


def recorded(monkeypatch):
    """The options of every program called through ``jax.jit`` from now on, in order."""
    called, jit = [], jax.jit

    class Recorder:
        def __init__(self, function, compiler_options=None, **options):
            self.program, self.options = jit(function, compiler_options=compiler_options, **options), compiler_options

        def trace(self, *arguments):
            return self.program.trace(*arguments)

        def __call__(self, *arguments):
            called.append(self.options)
            return self.program(*arguments)

    monkeypatch.setattr(_compilation.jax, "jit", Recorder)
    return called


def test_operations_inside_of_others_are_counted_once():
    def program(x, w):
        y = jax.lax.fori_loop(0, 7, lambda _, y: jnp.sin(y) + 1, x @ w)  # sin and +
        y = jax.lax.cond(y[0, 0] > 0, jnp.tan, jnp.exp, y)  # both branches
        return jax.jit(jnp.cos)(y)

    jaxpr = jax.make_jaxpr(program)(jnp.ones((4, 5)), jnp.ones((5, 3))).jaxpr
    names = [each.primitive.name for each in operations(jaxpr)]
    assert [names.count(name) for name in ("sin", "tan", "exp", "cos", "dot_general")] == [1] * 5
    sizes = [each.outvars[0].aval.size for each in operations(jaxpr) if each.primitive.name != "dot_general"]
    assert sizes.count(12) == 5
    assert _compilation._numbers(jaxpr) == sum(sizes)


def test_what_is_counted_is_not_kept():
    jaxpr = jax.make_jaxpr(lambda x: jax.lax.sin(x))(jnp.ones(3)).jaxpr
    assert [_compilation._numbers(jaxpr) for _ in range(2)] == [3, 3]
    alive = weakref.ref(jaxpr)
    del jaxpr
    gc.collect()
    assert alive() is None


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="other devices divide nothing among cores")
@pytest.mark.parametrize(("rows", "small"), [(1000, True), (1_000_000, False)])
def test_small_programs_stay_on_one_core(monkeypatch, rows, small):
    called = recorded(monkeypatch)
    program = CompiledBySize(lambda power, x: jnp.sin(x) ** power + jnp.cos(x), static_argnums=0)
    x = np.linspace(0, 1, rows, dtype=np.float32)
    np.testing.assert_allclose(program(3, x), np.sin(x) ** 3 + np.cos(x), rtol=1e-5)
    assert called == [_compilation._ON_ONE_CORE if small else None]


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="other devices divide nothing among cores")
def test_the_option_keeps_kernels_whole():
    x = np.zeros((64, 4096), np.float32)
    text = lambda options: jax.jit(jnp.tanh, compiler_options=options).lower(x).compile().as_text()
    if "outer_dimension_partitions" not in text(None):
        pytest.skip("XLA divides nothing here: one core")
    assert "outer_dimension_partitions" not in text(_compilation._ON_ONE_CORE)


@pytest.mark.parametrize("train", ["fit", "fit_ensemble"])
def test_training_takes_either_program_to_the_same_end(monkeypatch, train):
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-1, 1, (60, 2)).astype(np.float32), rng.normal(size=(60, 1)).astype(np.float32)
    make = lambda seed: ew.KAN([2, 3, 1], ew.Chebyshev(3), rngs=nnx.Rngs(seed))

    def loss():
        settings = {"optimizer": "adam:1e-2", "steps": 20, "progress": False}
        if train == "fit":
            return ew.fit(make(0), (x, y), **settings).history.loss
        return ew.fit_ensemble(make, (x, y), seeds=range(3), **settings).loss

    undivided = loss()
    monkeypatch.setattr(_compilation, "_SMALL", 0)
    np.testing.assert_array_equal(loss(), undivided)


def test_keywords_of_jit_are_passed_on():
    program = CompiledBySize(lambda x, spare: x + 1, donate_argnums=1, keep_unused=True)
    spare = jnp.zeros(3)
    np.testing.assert_array_equal(program(jnp.ones(3), spare), [2, 2, 2])
    assert spare.is_deleted()


def jitted(filling):
    """The number of times that the compiled program is called from now on, as the length of a list."""
    calls, program = [], filling._compiled

    class Counter:
        trace = program.trace

        def __call__(self, *arguments):
            calls.append(arguments)
            return program(*arguments)

    filling._compiled = Counter()
    return calls


@pytest.mark.parametrize("ensemble", [False, True], ids=["one", "stacked"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_arrays_are_filled_as_the_program_would(ensemble, dtype):
    def fill(params, rest, room):
        moments = jax.tree.map(jnp.zeros_like, params)
        state = {"params": params, "before": params, "moments": moments, "rest": rest, "step": jnp.int32(-1)}
        return state | {"loss": jnp.full(room, jnp.nan, dtype), "scale": jnp.ones((), dtype)}

    function = (lambda p, r, room: jax.vmap(lambda p, r: fill(p, r, room))(p, r)) if ensemble else fill
    params = {"w": np.arange(6.0).reshape(2, 3).astype(jnp.dtype(dtype)), "b": jnp.ones((2, 1), dtype)}
    rest = jax.random.split(jax.random.key(0), 2)  # arrays that NumPy does not know
    filling = Filling(function, static=2)
    calls = jitted(filling)
    filled, expected = filling(params, rest, 4), jax.jit(function, static_argnums=2)(params, rest, 4)
    assert calls == []
    assert jax.tree.structure(filled) == jax.tree.structure(expected)
    is_key = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.extended)
    plain = lambda leaf: jax.random.key_data(leaf) if is_key(leaf) else np.asarray(leaf, float)
    for ours, theirs in zip(jax.tree.leaves(filled), jax.tree.leaves(expected), strict=True):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        np.testing.assert_array_equal(plain(ours), plain(theirs))
    params["w"][:] = 7  # what is filled is nobody else's
    np.testing.assert_array_equal(filled["params"]["w"], expected["params"]["w"])
    jax.jit(lambda state: state, donate_argnums=0)(filled)


def test_what_is_computed_is_compiled():
    filling = Filling(lambda x, power: {"x": x, "y": x**power, "z": jnp.zeros(3)}, static=1)
    calls = jitted(filling)
    np.testing.assert_array_equal(filling(np.arange(3.0), 2)["y"], [0, 1, 4])
    assert len(calls) == 1


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "soap"])
def test_the_state_before_the_first_step_is_filled(name):
    transform = resolve_optimizer(name, 10).transform
    filling = Filling(lambda params, _: transform.init(params), static=1)
    calls = jitted(filling)
    filling(np.ones(5, np.float32), 0)
    assert calls == []
