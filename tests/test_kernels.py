"""Kernels compiled for the CPU: the same sums as XLA's and float64's, and the library that holds them."""

from __future__ import annotations

import os
import platform
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import edgewise as ew
from edgewise.cli import main
from edgewise.errors import EdgewiseError
from edgewise.nn import kernels
from edgewise.nn.contract import contract
from edgewise.nn.kernels import library

COMPILER = os.environ.get("CXX", "c++")
pytestmark = pytest.mark.skipif(shutil.which(COMPILER) is None, reason="there is no C++ compiler")

FAMILIES = {
    "chebyshev": ew.Chebyshev(5),
    "second-kind": ew.Chebyshev(12, kind=2, squash="affine", domain=(-2.0, 3.0)),
    "high-degree": ew.Chebyshev(64),
    "legendre": ew.Legendre(3, squash=None),
    "jacobi": ew.Jacobi(4, alpha=0.5, beta=1.5),
    "cubic": ew.BSpline(3, 5),
    "fine": ew.BSpline(3, 200),
    "clipped": ew.BSpline(2, 4, extrapolate="clip", domain=(-0.7, 0.4)),
    "seventh-degree": ew.BSpline(7, 3),
    "fourier": ew.Fourier(5),
    "many-waves": ew.Fourier(20, period=3.0, constant=True),
    "gaussian": ew.RBF(8),
}
FEW = [name for name in FAMILIES if name not in ("high-degree", "fine")]


@pytest.fixture(scope="module", autouse=True)
def built(tmp_path_factory):
    """The kernels, compiled once for all workers, and in use while the tests of this file run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEWISE_CACHE_DIR", str(tmp_path_factory.getbasetemp().parent / "kernels"))
        patch.delenv("EDGEWISE_KERNELS", raising=False)
        yield kernels.build().path
    library.available.cache_clear()


def operands(basis, batch=70, n_in=5, n_out=19, seed=0):
    """Points, some beyond the domain; a state that has been moved; coefficients; float32."""
    rng = np.random.default_rng(seed)
    floats = lambda values: jnp.asarray(values, jnp.float32)
    reach = 1.0 if getattr(basis, "squash", "tanh") is None else 1.4
    state = basis.init(n_in, key=jax.random.key(0))
    moved = {name: value + floats(rng.uniform(0, 0.02, value.shape)) for name, value in state.items()}
    first = int(basis.has_constant)
    coef = floats(rng.normal(size=(basis.size - first, n_in, n_out)))
    return floats(rng.uniform(-reach, reach, (batch, n_in))), moved, coef, first


def compiled(basis, first):
    return lambda x, state, coef: kernels.layer_sum(basis, x, basis.compiled_table(state), coef, first, None)


def by_xla(basis, first):
    def evaluate(x, state, coef):
        modes = basis(x, state)[..., first:]
        return jnp.einsum("bim,mio->bo", modes, coef, precision="highest")

    return evaluate


def in_float64(function, *arguments):
    """The result of jitted ``function`` for arguments in float64."""
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf, np.float64)), arguments)
        return jax.tree.map(np.asarray, jax.jit(function)(*wide))


def assert_near(found, expected, tolerance):
    """Equal up to a share of the largest magnitude of each array."""
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert one.shape == other.shape
        scale = max(np.abs(other).max(), 1e-6)
        np.testing.assert_allclose(np.asarray(one, np.float64) / scale, other / scale, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("sizes", [(1, 1, 1), (130, 40, 33), (9, 3, 50)], ids=str)
def test_values_are_those_of_float64(name, sizes):
    basis = FAMILIES[name]
    x, state, coef, first = operands(basis, *sizes)
    found = jax.jit(compiled(basis, first))(x, state, coef)
    assert_near(found, in_float64(by_xla(basis, first), x, state, coef), 1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_gradients_are_those_of_float64(name):
    """Of points, coefficients, and ends or centres."""
    basis = FAMILIES[name]
    x, state, coef, first = operands(basis)
    gradients = lambda form: jax.grad(lambda *a: (form(basis, first)(*a) ** 2).sum(), (0, 1, 2))
    found = jax.jit(gradients(compiled))(x, state, coef)
    assert_near(found, in_float64(gradients(by_xla), x, state, coef), 1e-4)


@pytest.mark.parametrize("name", FEW)
def test_derivatives_of_higher_order_are_those_of_float64(name):
    """Forward in forward mode, as physics does, and the gradient of that; the rates of everything at once."""
    basis = FAMILIES[name]
    x, state, coef, first = operands(basis)
    change = jax.tree.map(jnp.cos, (x, state, coef))

    def derivatives(form):
        function = form(basis, first)

        def second(x, state, coef):
            along = lambda x: jax.jvp(lambda x: function(x, state, coef), (x,), (jnp.ones_like(x),))[1]
            return jax.jvp(along, (x,), (jnp.ones_like(x),))[1]

        return lambda operands, change: (
            jax.jvp(function, operands, change)[1],
            second(*operands),
            jax.grad(lambda *a: (second(*a) ** 2).sum(), (0, 2))(*operands),
            jax.jvp(jax.grad(lambda *a: (function(*a) ** 2).sum(), (0, 1, 2)), operands, change)[1],
        )

    found = jax.jit(derivatives(compiled))((x, state, coef), change)
    assert_near(found, in_float64(derivatives(by_xla), (x, state, coef), change), 1e-4)


@pytest.mark.parametrize("name", ["chebyshev", "cubic", "gaussian"])
def test_vmap_is_a_loop(name):
    """Over samples, over members with points in common or of their own, and over both."""
    basis = FAMILIES[name]
    x, state, coef, first = operands(basis, batch=6)
    function = compiled(basis, first)
    gradients = jax.grad(lambda x, state, coef: (function(x, state, coef) ** 2).sum(), (0, 1, 2))
    members = lambda tree: jax.tree.map(lambda leaf: jnp.stack([leaf, 0.5 * leaf, 0.9 * leaf]), tree)
    many, axes = members((x, state, coef)), [(None, None, 0), (0, None, 0), (0, 0, 0), (0, None, None)]
    pick = lambda tree, axis, m: tree if axis is None else jax.tree.map(lambda leaf: leaf[m], tree)
    for each in axes:
        given = [
            tree if axis is not None else one for tree, one, axis in zip(many, (x, state, coef), each, strict=True)
        ]
        stacked = jax.jit(jax.vmap(gradients, each))(*given)
        for m in range(3):
            alone = gradients(*(pick(tree, axis, m) for tree, axis in zip(given, each, strict=True)))
            assert_near(pick(stacked, 0, m), jax.tree.map(np.asarray, alone), 1e-5)
    by_sample = jax.vmap(gradients, (0, None, None))(x[:, None], state, coef)
    assert_near(by_sample[2].sum(0), np.asarray(gradients(x, state, coef)[2]), 1e-5)
    grid = jax.vmap(jax.vmap(function, (None, None, 0)), (0, None, None))(many[0], state, many[2])
    assert_near(grid[1, 2], np.asarray(function(0.5 * x, state, 0.9 * coef)), 1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_far_points_are_finite_and_a_nan_stays_in_its_row(name):
    basis = FAMILIES[name]
    x, state, coef, first = operands(basis)
    if getattr(basis, "squash", "tanh") == "tanh":
        x = x.at[0, 0].set(1e6).at[1, 1].set(-1e6)
    function = compiled(basis, first)
    both = jax.jit(jax.value_and_grad(lambda x, coef: (function(x, state, coef) * 1e-6).sum(), (0, 1)))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(both(x, coef)))
    y = np.asarray(function(x.at[3, 2].set(jnp.nan), state, coef))
    assert np.isnan(y[3]).all()
    assert np.isfinite(np.delete(y, 3, axis=0)).all()


@pytest.mark.parametrize("order", [1, 2])
def test_ends_of_the_domain_have_the_slope_from_inside(order):
    basis = ew.BSpline(3, 4)
    state, coef = basis.init(1, key=jax.random.key(0)), jnp.asarray(np.arange(7.0) ** 2, jnp.float32)[:, None, None]
    points = jnp.asarray([-1.0, 1.0, -0.6, 0.2, -3.0, 2.0], jnp.float32)

    def slopes(form):
        slope = lambda x: form(basis, 0)(x[None, None], state, coef)[0, 0]
        for _ in range(order):
            slope = jax.grad(slope)
        return jax.vmap(slope)(points)

    assert_near(slopes(compiled), np.asarray(slopes(by_xla)), 1e-5)


@pytest.mark.parametrize("residual", [None, "silu", "tanh"])
@pytest.mark.parametrize("basis", [ew.Chebyshev(5), ew.BSpline(3, 20)], ids=str)
def test_a_layer_is_the_same_with_and_without(basis, residual, monkeypatch):
    layer = ew.KANLayer(40, 24, basis, residual=residual, rngs=nnx.Rngs(0))
    layer.bias[...] = jnp.arange(24.0)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 50, 40)), jnp.float32)

    def results():
        graphdef, parameters, rest = nnx.split(layer, nnx.Param, ...)
        function = lambda parameters, x: nnx.merge(graphdef, parameters, rest)(x)
        program = jax.make_jaxpr(function)(parameters, x)
        loss = jax.jit(jax.value_and_grad(lambda *a: (function(*a) ** 2).mean(), (0, 1)))
        return "edgewise_outputs" in str(program), function(parameters, x), loss(parameters, x)

    used, *found = results()
    monkeypatch.setenv("EDGEWISE_KERNELS", "0")
    library.available.cache_clear()
    unused, *expected = results()
    library.available.cache_clear()
    assert (used, unused) == (True, False)
    assert_near(found, jax.tree.map(np.asarray, expected), 2e-5)


def test_they_are_for_wide_layers_and_fine_splines_in_float32():
    def uses(basis, n_in, n_out, dtype=jnp.float32):
        state = basis.init(n_in, key=jax.random.key(0))
        sizes = ((8, n_in), (basis.size, n_in, n_out))
        x, coef = (jnp.zeros(size, dtype) for size in sizes)
        return "edgewise_outputs" in str(jax.make_jaxpr(lambda x, c: contract(basis, x, state, c))(x, coef))

    @dataclass(frozen=True)
    class Other(ew.Chebyshev):
        def modes(self, x, state):
            return [2 * mode for mode in super().modes(x, state)]

    assert uses(ew.Chebyshev(3), 64, 64)
    assert uses(ew.RBF(8), 2, 64)
    assert uses(ew.BSpline(3, 20), 4, 4)
    assert not uses(ew.BSpline(3, 5), 4, 4)
    assert not uses(ew.Chebyshev(3), 64, 4)
    assert not uses(ew.Chebyshev(3), 64, 64, jnp.bfloat16)
    for basis in (Other(3), ew.RBF(8, kernel="matern32"), ew.BSpline(1, 5), ew.BSpline(3, 5, extrapolate="zero")):
        assert not uses(basis, 64, 64)


def test_training_takes_the_same_way(monkeypatch):
    rng = np.random.default_rng(0)
    data = rng.uniform(-1, 1, (96, 2)).astype(np.float32)
    data = data, np.sin(3 * data[:, :1]) * data[:, 1:]

    def trained():
        make = lambda seed: ew.KAN([2, 40, 1], ew.BSpline(3, 6), rngs=nnx.Rngs(seed))
        one = ew.fit(make(0), data, steps=20).history.loss
        several = ew.fit_ensemble(make, data, seeds=2, steps=10)
        return np.asarray(one), np.asarray(several.loss)

    found = trained()
    monkeypatch.setenv("EDGEWISE_KERNELS", "0")
    library.available.cache_clear()
    expected = trained()
    library.available.cache_clear()
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3)


def test_calls_from_many_threads_at_once():
    basis = FAMILIES["chebyshev"]
    x, state, coef, first = operands(basis, batch=2000, n_in=40, n_out=40)  # enough for several threads each
    function = jax.jit(compiled(basis, first))
    expected = np.asarray(function(x, state, coef))
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: np.asarray(function(x, state, coef)), range(40)):
            np.testing.assert_array_equal(found, expected)


NARROWER = """
import sys, numpy as np, jax, jax.numpy as jnp
import edgewise as ew
from edgewise.nn import kernels
kernels.build()
rng = np.random.default_rng(0)
for basis in (ew.Chebyshev(9), ew.BSpline(3, 7), ew.Fourier(6), ew.RBF(5)):
    first, state = int(basis.has_constant), basis.init(7, key=jax.random.key(0))
    x = jnp.asarray(rng.uniform(-1.5, 1.5, (83, 7)), jnp.float32)
    coef = jnp.asarray(rng.normal(size=(basis.size - first, 7, 21)), jnp.float32)
    table = basis.compiled_table(state)
    ours = lambda x, c: kernels.layer_sum(basis, x, table, c, first, None)
    plain = lambda x, c: jnp.einsum("bim,mio->bo", basis(x, state)[..., first:], c, precision="highest")
    results = [jax.jit(jax.value_and_grad(lambda *a: (f(*a) ** 2).mean(), (0, 1)))(x, coef) for f in (ours, plain)]
    for one, other in zip(*map(jax.tree.leaves, results)):
        assert np.abs(one - other).max() < 1e-5 * np.abs(other).max(), basis
print("same")
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="flags of x86")
@pytest.mark.parametrize("options", ["-mno-avx512f -mno-avx", "-mno-avx512f"], ids=["four-lanes", "eight-lanes"])
def test_processors_with_narrower_vectors(run_python, tmp_path, options):
    env = {"CXX": f"{COMPILER} {options}", "EDGEWISE_CACHE_DIR": str(tmp_path), "EDGEWISE_KERNELS": ""}
    assert run_python(NARROWER, env=env).strip() == "same"


# --- the library --------------------------------------------------------------------------------------------------


def test_they_are_compiled_once(built):
    before = built.stat().st_mtime_ns
    assert kernels.build() == (built, False)
    assert built.stat().st_mtime_ns == before
    assert kernels.available()


def test_the_command_compiles_and_removes(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("EDGEWISE_CACHE_DIR", str(tmp_path / "new"))
    for argv, said in (
        ([], "compiled in"),
        ([], "there already"),
        (["--remove"], "removed: "),
        (["--remove"], "no kernels"),
    ):
        assert main(["kernels", *argv]) == 0
        assert said in capsys.readouterr().out
    assert not list((tmp_path / "new").glob("*.so"))
    library.available.cache_clear()


@pytest.mark.parametrize(
    ("compiler", "folder", "what"),
    [
        ("no-such-compiler", "here", "no-such-compiler could not compile the kernels"),
        ("false", "here", "it ended with code 1"),
        (COMPILER, "0", "no folder for the compiled kernels"),
    ],
)
def test_what_cannot_be_compiled_is_said(tmp_path, monkeypatch, compiler, folder, what):
    monkeypatch.setenv("EDGEWISE_CACHE_DIR", "0" if folder == "0" else str(tmp_path / folder))
    monkeypatch.setenv("CXX", compiler)
    with pytest.raises(EdgewiseError, match=what):
        kernels.build()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    library.available.cache_clear()


def test_without_a_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("EDGEWISE_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EdgewiseError, match=r"no C\+\+ compiler"):
        kernels.build()
    library.available.cache_clear()


def test_a_broken_library_is_passed_over(tmp_path, monkeypatch, caplog, built):
    monkeypatch.setenv("EDGEWISE_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(library, "_registered", set())
    (tmp_path / built.name).write_bytes(b"not a library")
    library.available.cache_clear()
    assert not kernels.available()
    assert "cannot be used" in caplog.text
    monkeypatch.undo()
    library.available.cache_clear()


def test_several_devices_keep_the_kernels_of_xla(run_python, built):
    code = "from edgewise.nn import kernels; print(kernels.build().compiled, kernels.available())"
    env = {"EDGEWISE_CACHE_DIR": str(built.parent), "EDGEWISE_KERNELS": ""}
    assert run_python(code, devices=8, env=env).split() == ["False", "False"]
    assert run_python(code, env=env).split() == ["False", "True"]
    assert run_python(code, env=env | {"EDGEWISE_KERNELS": "0"}).split() == ["False", "False"]
