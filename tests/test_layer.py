"""The layer: its formula, its derivatives, what it refuses, and the transformations it lives under."""

from __future__ import annotations

import copy
import inspect
import json
import pickle

import cloudpickle
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import nnx

from edgewise.bases import FAMILIES, RBF, BSpline, Chebyshev, Rational, Sine, Wavelet
from edgewise.errors import DataError, EdgewiseError, ShapeError, UnknownNameError
from edgewise.models import DeepONet
from edgewise.nn import RESIDUALS, Grid, KANConv1D, KANLayer
from edgewise.nn import contract as contract_package
from edgewise.nn.residuals import residual_name, resolve_residual
from edgewise.nn.symbolic import with_edges
from model_checks import check_saved, dots, randomized

contract_module = inspect.getmodule(contract_package.contract)
FORMS = {
    name: function
    for name, function in vars(contract_module).items()
    if inspect.isfunction(function) and {"coef", "precision"} <= set(inspect.signature(function).parameters)
    and name not in ("contract", "_compiled")  # which test_kernels.py has
}  # fmt: skip


def make(basis=None, n_in=3, n_out=2, seed=0, **options):
    """A layer whose every parameter is random: no zero hides a term."""
    layer = KANLayer(n_in, n_out, Chebyshev(3) if basis is None else basis, rngs=nnx.Rngs(seed), **options)
    rng = np.random.default_rng(seed)
    for name in ("coef", "bias", "edge_scale", "residual_kernel"):
        if (variable := getattr(layer, name)) is not None:
            variable[...] = jnp.asarray(rng.normal(size=variable.shape), variable.dtype)
    return layer


def inputs(*batch, n_in=3, seed=1):
    return np.random.default_rng(seed).uniform(-0.9, 0.9, (*batch, n_in)).astype(np.float32)


def parameters(layer):
    return jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(layer)))


def assert_same_state(one, other):
    jax.tree.map(np.testing.assert_array_equal, parameters(one), parameters(other))


def half_cube(x):
    return 0.5 * x**3


@jax.jit
def forward(layer, x):
    return layer(x)


# --- the formula --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [(3, 2), (2, 2), (40, 3)], ids=str)
@pytest.mark.parametrize("basis", [Chebyshev(3), BSpline(2, 3)], ids=["chebyshev", "bspline"])
def test_the_layer_is_its_formula(basis, n):
    layer, x = make(basis, *n, edge_scale=True), inputs(4, n_in=n[0])
    values = np.asarray(basis(jnp.asarray(x), {k: v[...] for k, v in layer.basis_state.items()}))[
        ..., layer.first_mode :
    ]
    c, w, s, b = (np.asarray(getattr(layer, k)[...]) for k in ("coef", "residual_kernel", "edge_scale", "bias"))
    expected = np.zeros((4, n[1]))
    for sample in range(4):
        for j in range(n[1]):
            total = b[j]
            for i in range(n[0]):
                silu = x[sample, i] / (1 + np.exp(-x[sample, i]))
                total += w[i, j] * silu
                for m in range(c.shape[0]):
                    total += s[i, j] * c[m, i, j] * values[sample, i, m]
            expected[sample, j] = total
    np.testing.assert_allclose(forward(layer, x), expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("options", [{}, {"residual": None}, {"bias": False, "edge_scale": True}], ids=str)
def test_the_edges_sum_to_the_layer_less_its_bias(options):
    for basis in (Chebyshev(3), Rational(3, 2)):
        layer, x = make(basis, **options), inputs(2, 4)
        every_edge = jax.jit(layer.edges)
        edges = every_edge(x)
        assert edges.shape == (2, 4, 3, 2)
        bias = 0.0 if layer.bias is None else np.asarray(layer.bias[...])
        np.testing.assert_allclose(edges.sum(axis=-2), forward(layer, x) - bias, rtol=1e-5, atol=1e-5)
        # an edge sees its own input alone
        moved = x.copy()
        moved[..., 0] += 0.05
        changed = np.abs(every_edge(moved) - edges).max(axis=(0, 1)) > 1e-6
        assert changed.tolist() == [[True, True], [False, False], [False, False]]


def test_a_bias_drops_the_constant_mode_and_nothing_else():
    kept = make(Chebyshev(3), bias=False)
    assert kept.bias is None
    assert kept.coef.shape == (4, 3, 2)
    assert make(Chebyshev(3)).coef.shape == (3, 3, 2)
    assert make(BSpline(2, 3)).coef.shape == make(BSpline(2, 3), bias=False).coef.shape == (5, 3, 2)
    # the constant mode of every input is what the bias was
    biased = make(Chebyshev(3))
    coef = np.zeros((4, 3, 2), np.float32)
    coef[1:], coef[0, 1] = biased.coef[...], biased.bias[...]
    kept.coef[...], kept.residual_kernel[...] = jnp.asarray(coef), biased.residual_kernel[...]
    np.testing.assert_allclose(kept(inputs(5)), biased(inputs(5)), rtol=1e-5, atol=1e-6)


def test_optional_parts_start_neutral():
    layer = KANLayer(3, 2, edge_scale=True, rngs=nnx.Rngs(0))
    assert (layer.edge_scale[...] == 1).all()
    assert (layer.bias[...] == 0).all()
    bare = KANLayer(3, 2, residual=None, bias=False, rngs=nnx.Rngs(0))
    assert bare.residual_kernel is bare.bias is bare.edge_scale is None
    assert isinstance(bare.basis, BSpline)


def test_residuals_by_name_by_function_and_none():
    x = inputs(4)
    for name, function in RESIDUALS.items():
        named, passed = make(residual=name), make(residual=function)
        np.testing.assert_array_equal(named(x), passed(x))
        assert residual_name(named.residual) == name
    own = make(residual=half_cube)
    without = make(residual=None)
    without.coef[...], without.bias[...] = own.coef[...], own.bias[...]
    np.testing.assert_allclose(own(x) - without(x), 0.5 * x**3 @ np.asarray(own.residual_kernel[...]), atol=1e-5)
    assert resolve_residual("none") is resolve_residual(None) is None
    assert resolve_residual("jax.nn:softplus") is jax.nn.softplus


REFUSED = [
    ({"residuall": None}, "unknown keyword of KANLayer: 'residuall'(?s:.*)did you mean 'residual'"),
    ({"param_dtype": jnp.int32}, "param_dtype=(?s:.*)is no type of real numbers"),
    ({"param_dtype": "blah"}, "param_dtype='blah' is no type of real numbers"),
    ({"dtype": jnp.int32}, "pass say dtype=jnp.float32"),
    ({"rngs": nnx.Rngs(dropout=0)}, r"keys for dropout only(?s:.*)nnx\.Rngs\(0\)"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_options_that_are_refused(options, message):
    with pytest.raises(EdgewiseError, match=message):
        KANLayer(2, 2, **{"rngs": nnx.Rngs(0)} | options)


@pytest.mark.parametrize(
    ("residual", "message"),
    [
        (lambda x: x, r"residual is a lambda(?s:.*)every lambda(?s:.*)def my_residual"),
        ("sillu", r"residual 'sillu'(?s:.*)did you mean 'silu'"),
        ("no_such_module:f", "residual='no_such_module:f' leads to no function"),
        ("jax.nn:no_such_function", "leads to no function"),
        ("jax:numpy", "leads to no function"),
    ],
)
def test_residuals_that_are_refused(residual, message):
    with pytest.raises(EdgewiseError, match=message):
        KANLayer(2, 2, residual=residual, rngs=nnx.Rngs(0))


# --- all forms of the sum -----------------------------------------------------------------------------------------

FORM_BASES = {
    "chebyshev": Chebyshev(4),
    "bspline": BSpline(2, 3),
    "free": BSpline(1, 2, knots="free"),
    "sine": Sine(3),
    "wavelet": Wavelet(3),
    "groups": Rational(3, 2, groups=2),
    "joined": Chebyshev(2) | RBF(2),
    "fine": BSpline(3, 20),
}


@pytest.mark.parametrize("name", FORM_BASES)
def test_all_forms_of_the_sum_agree_in_values_and_gradients(name):
    basis, rng = FORM_BASES[name], np.random.default_rng(0)
    x = jnp.asarray(inputs(5, n_in=4))
    state = {
        key: value + 0.03 * jnp.asarray(rng.uniform(size=value.shape), value.dtype)  # the nodes differ
        for key, value in basis.init(4, key=jax.random.key(0)).items()
    }
    first = int(basis.has_constant)
    coef = jnp.asarray(rng.normal(size=(basis.size - first, 4, 3)), jnp.float32)
    weights = jnp.asarray(rng.normal(size=(5, 3)), jnp.float32)

    def plain(basis, x, state, coef, first, precision):
        return jnp.einsum("nim,mio->no", basis(x, state)[..., first:], coef, precision=precision)

    def whole(basis, x, state, coef, first, precision):
        return contract_module.contract(basis, x, state, coef, first=first, precision=precision)

    def result(form):
        def loss(x, state, coef):
            y = form(basis, x, state, coef, first, "highest")
            return jnp.sum(weights * y**2), y

        return jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))(x, state, coef)

    expected = result(plain)
    assert len(FORMS) >= 2
    forms = {name: form for name, form in FORMS.items() if basis.support or name != "_gathered"}
    for form in [*forms.values(), whole]:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4), result(form), expected)


@pytest.mark.parametrize("argnums", [0, 1, (0, 1)], ids=["coefficients", "modes", "both"])
def test_products_by_rows_have_the_derivatives_of_any_product(argnums):
    """In forward and reverse mode, and one of the other, of members stacked or not."""
    flat, columns = (jnp.asarray(np.random.default_rng(0).normal(size=size), jnp.float32) for size in ((5, 2), (5, 4)))

    def derivatives(product):
        square = lambda flat, columns: jnp.sum(product(flat, columns, "highest") ** 2)
        forward = jax.jacfwd(lambda *pair: product(*pair, "highest"), argnums)
        stacked = jax.vmap(jax.grad(square, argnums), (None, 0))
        several = jnp.stack([columns, 2 * columns])
        both_ways = jax.jacfwd(jax.grad(square, argnums), argnums), jax.jacrev(jax.jacfwd(square, argnums), argnums)
        alone = [each(flat, columns) for each in (forward, jax.grad(square, argnums), *both_ways)]
        return alone, stacked(flat, several)

    expected = derivatives(lambda flat, columns, precision: jnp.matmul(flat.T, columns, precision=precision))
    found = derivatives(contract_module._product_by_rows)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), found, expected)


@pytest.mark.parametrize("n", [(3, 2), (40, 33)], ids=["narrow", "wide"])
@pytest.mark.parametrize("basis", [Chebyshev(3), RBF(40)], ids=["few", "many"])
def test_any_leading_batch_shape(n, basis):
    layer, x = make(basis, *n), inputs(2, 3, n_in=n[0])
    whole = forward(layer, x)
    assert whole.shape == (2, 3, n[1])
    np.testing.assert_allclose(forward(layer, x[0]), whole[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(layer(x[0, 0]), whole[0, 0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("extrapolate", ["linear", "clip"])
@pytest.mark.parametrize("degree", [1, 2, 3, 7])
def test_splines_of_a_cell_are_all_that_are_not_zero(degree, extrapolate):
    """Ends, knots, points beyond and a NaN: the local values in their places are the whole basis."""
    basis = BSpline(degree, 6, extrapolate=extrapolate)
    x = jnp.asarray([*np.linspace(-1, 1, 25), -3.0, 1.5, 1e6, -1e6], jnp.float32)[:, None]
    state = basis.init(1, key=jax.random.key(0))
    cell, values = basis.local(x, state)
    placed = np.zeros((len(x), basis.size), np.float32)
    for j, value in enumerate(values):
        np.put_along_axis(placed, np.asarray(cell) + j, np.asarray(value), axis=1)
    whole = np.asarray(basis(x, state))[:, 0]
    np.testing.assert_allclose(placed, whole, rtol=1e-5, atol=2e-6)
    assert 0 <= int(basis.local(jnp.full((1, 1), jnp.nan), state)[0][0, 0]) <= basis.size - basis.support


@pytest.mark.parametrize("n", [(3, 2), (40, 2)], ids=["narrow", "wide"])
@pytest.mark.parametrize("family", [*FAMILIES, "sparse", "linear"])
def test_ranks_are_promoted_nowhere_but_on_purpose(family, n):
    basis = {"sparse": BSpline(3, 64), "linear": BSpline(1)}.get(family) or FAMILIES[family]()
    layer, x = make(basis, *n, edge_scale=True), inputs(4, n_in=n[0])
    with jax.numpy_rank_promotion("raise"):  # which users may have set
        for function in (layer, jax.jacfwd(layer), jax.hessian(lambda x: layer(x).sum()), layer.edges, basis):
            jax.eval_shape(function, x)
        jax.eval_shape(nnx.grad(lambda layer: layer(x).sum()), layer)
        make(basis, *n, init="glorot")


# --- dtypes -------------------------------------------------------------------------------------------------------


def test_integers_and_booleans_are_converted():
    layer = make()
    for x in (np.array([[0, 1, -1]]), np.array([[True, False, True]]), [[0, 1, 1]]):
        y = layer(x)
        assert y.dtype == jnp.float32
        np.testing.assert_allclose(y, layer(np.asarray(x, np.float32)), rtol=1e-6)
    assert make(param_dtype=jnp.bfloat16)(np.array([[0, 1, 2]])).dtype == jnp.bfloat16


@pytest.mark.parametrize("family", ["bspline", "chebyshev", "sine"])
def test_dtypes_of_parameters_and_of_the_computation(family):
    basis, x = FAMILIES[family](), inputs(4)
    layer = KANLayer(3, 2, basis, param_dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(layer))} == {jnp.dtype(jnp.bfloat16)}
    assert forward(layer, x).dtype == jnp.float32  # promoted
    assert jax.eval_shape(layer, x.astype(jnp.bfloat16)).dtype == jnp.bfloat16
    low = KANLayer(3, 2, basis, dtype=jnp.bfloat16, edge_scale=True, rngs=nnx.Rngs(0))
    assert low.coef.dtype == jnp.float32
    assert forward(low, x).dtype == jax.eval_shape(low.edges, x).dtype == jnp.bfloat16
    full = KANLayer(3, 2, basis, edge_scale=True, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(forward(low, x).astype(jnp.float32), forward(full, x), atol=0.05)
    with jax.enable_x64(True):
        wide = KANLayer(3, 2, basis, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
        assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(wide))} == {jnp.dtype(jnp.float64)}
        assert jax.eval_shape(wide, x.astype(np.float64)).dtype == jnp.float64


@pytest.mark.parametrize("n", [(3, 2), (40, 33)], ids=["narrow", "wide"])
@pytest.mark.parametrize("basis", [Chebyshev(3), RBF(40)], ids=["few", "many"])
@pytest.mark.parametrize("given", [{}, {"precision": "high"}], ids=["not said", "said"])
def test_precision_reaches_every_product(n, basis, given):
    layer = KANLayer(*n, basis, **given, rngs=nnx.Rngs(0))
    wanted = (jax.lax.Precision.HIGH if given else jax.lax.Precision.HIGHEST,) * 2
    for function, least in ((layer.__call__, 1 if n[0] == 3 else 2), (layer.edges, 0)):
        products = list(dots(jax.make_jaxpr(function)(inputs(4, n_in=n[0])).jaxpr))
        assert len(products) >= least
        assert all(product.params["precision"] == wanted for product in products)


# --- derivatives --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("basis", "n"), [(Chebyshev(3), (3, 2)), (BSpline(3, 3), (3, 2)), (BSpline(3, 2), (33, 2))], ids=str
)
def test_derivatives_agree_with_finite_differences(n, basis):
    with jax.enable_x64(True):
        layer = make(basis, *n, param_dtype=jnp.float64, edge_scale=True)
        rng = np.random.default_rng(3)
        x, v = rng.uniform(-0.8, 0.8, (2, n[0])), rng.normal(size=(2, n[0]))
        f = jax.jit(lambda x: layer(x))
        directional = jax.jit(lambda x: jax.jvp(f, (x,), (jnp.asarray(v),))[1])
        h = 1e-4
        first = (f(x + h * v) - f(x - h * v)) / (2 * h)
        second = (f(x + h * v) - 2 * f(x) + f(x - h * v)) / h**2
        np.testing.assert_allclose(directional(x), first, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(
            jax.jit(lambda x: jax.jvp(directional, (x,), (jnp.asarray(v),))[1])(x), second, rtol=1e-3, atol=1e-3
        )
        # reverse mode against forward mode, and forward over reverse
        loss = jax.jit(lambda x: jnp.sum(jnp.sin(layer(x))))
        gradient = jax.jit(jax.grad(loss))
        numeric = (loss(x + h * v) - loss(x - h * v)) / (2 * h)
        assert float((gradient(x) * v).sum()) == pytest.approx(float(numeric), rel=1e-5)
        hv = jax.jit(lambda x: jax.jvp(gradient, (x,), (jnp.asarray(v),))[1])(x)
        np.testing.assert_allclose(hv, (gradient(x + h * v) - gradient(x - h * v)) / (2 * h), rtol=1e-4, atol=1e-4)
        if n[0] == 3:
            hessian = jax.jit(jax.hessian(lambda row: loss(row[None])))(jnp.asarray(x[0]))
            np.testing.assert_allclose(hessian, hessian.T, atol=1e-12)
            np.testing.assert_allclose(hessian @ v[0], hv[0], rtol=1e-9, atol=1e-9)


def test_gradients_of_every_parameter_agree_with_finite_differences():
    with jax.enable_x64(True):
        layer = make(BSpline(3, 4), edge_scale=True, param_dtype=jnp.float64)
        graphdef, params, rest = nnx.split(layer, nnx.Param, ...)
        x = inputs(4).astype(np.float64)
        loss = jax.jit(lambda params: jnp.sum(nnx.merge(graphdef, params, rest)(x) ** 2))
        rng = np.random.default_rng(0)
        direction = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), params)
        gradient = jax.grad(loss)(params)
        for name in ("coef", "residual_kernel", "edge_scale", "bias"):
            only = jax.tree.map(jnp.zeros_like, direction)
            only[name][...] = direction[name][...]
            plus, minus = (loss(jax.tree.map(lambda p, d, h=h: p + h * d, params, only)) for h in (1e-5, -1e-5))
            exact = sum(jax.tree.leaves(jax.tree.map(lambda g, d: (g * d).sum(), gradient, only)))
            assert float(exact) == pytest.approx(float(plus - minus) / 2e-5, rel=1e-7)
            assert abs(float(exact)) > 1e-3


# --- transformations ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("basis", [BSpline(2, 3), Chebyshev(2)], ids=["bspline", "chebyshev"])
def test_compiled_and_checkpointed_calls_equal_plain_ones(basis):
    layer, x = make(basis), inputs(4)
    plain = layer(x)
    for compiled in (forward, nnx.jit(lambda layer, x: layer(x)), nnx.remat(lambda layer, x: layer(x))):
        np.testing.assert_allclose(compiled(layer, x), plain, rtol=1e-5, atol=1e-6)
    gradient = jax.jit(jax.grad(lambda x: layer(x).sum()))(x)
    saved = jax.jit(jax.grad(lambda x: jax.checkpoint(lambda x: layer(x))(x).sum()))(x)
    np.testing.assert_allclose(saved, gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", ["bspline", "sine", "rational"])
def test_a_batch_of_seeds_equals_the_layers_one_by_one(family):
    basis, x, keys = FAMILIES[family](), inputs(4), jax.vmap(jax.random.key)(jnp.arange(3))

    @nnx.vmap
    def build(key):
        return KANLayer(3, 2, basis, init="glorot", rngs=nnx.Rngs(params=key))

    stacked = nnx.jit(build)(keys)
    outputs = nnx.jit(nnx.vmap(lambda layer, x: layer(x), in_axes=(0, None)))(stacked, x)
    for seed in range(3):
        alone = KANLayer(3, 2, basis, init="glorot", rngs=nnx.Rngs(seed))
        mine = jax.tree.map(lambda leaf, seed=seed: np.asarray(leaf[seed]), nnx.to_pure_dict(nnx.state(stacked)))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), mine, parameters(alone))
        np.testing.assert_allclose(outputs[seed], alone(x), rtol=1e-4, atol=1e-5)


def test_scan_over_layers_equals_the_loop():
    @nnx.vmap
    def build(key):
        return KANLayer(3, 3, BSpline(2, 3), rngs=nnx.Rngs(params=key))

    layers, x = build(jax.vmap(jax.random.key)(jnp.arange(4))), jnp.asarray(inputs(5))

    @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
    def chain(x, layer):
        return layer(x)

    expected = x
    for seed in range(4):
        expected = KANLayer(3, 3, BSpline(2, 3), rngs=nnx.Rngs(seed))(expected)
    np.testing.assert_allclose(chain(x, layers), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_shapes_without_values(family):
    abstract = nnx.eval_shape(lambda: KANLayer(3, 2, FAMILIES[family](), init="glorot", rngs=nnx.Rngs(0)))
    concrete = KANLayer(3, 2, FAMILIES[family](), rngs=nnx.Rngs(0))
    assert isinstance(abstract.coef.get_value(), jax.ShapeDtypeStruct)
    shapes = lambda layer: jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), nnx.to_pure_dict(nnx.state(layer)))
    assert shapes(abstract) == shapes(concrete)


def test_construction_under_jit_equals_construction():
    build = lambda: KANLayer(3, 2, BSpline(2, 3), init="glorot_fine", rngs=nnx.Rngs(5))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7),
        parameters(nnx.jit(build)()),
        parameters(build()),
    )


@pytest.mark.parametrize("family", ["bspline", "wavelet"])
def test_the_optimizer_of_flax_trains_the_parameters_and_leaves_the_grid(family):
    layer, x = KANLayer(3, 1, FAMILIES[family](), rngs=nnx.Rngs(0)), inputs(64)
    y = np.sin(3 * x).sum(axis=1, keepdims=True)
    optimizer = nnx.Optimizer(layer, optax.adam(1e-2), wrt=nnx.Param)
    before = parameters(layer)

    @nnx.jit
    def step(layer, optimizer):
        loss, gradients = nnx.value_and_grad(lambda layer: jnp.mean((layer(x) - y) ** 2))(layer)
        optimizer.update(layer, gradients)
        return loss

    losses = [float(step(layer, optimizer)) for _ in range(60)]
    assert losses[-1] < 0.3 * losses[0]
    after = parameters(layer)
    trained = set(layer.basis.trained)
    for name, value in before["basis_state"].items():
        assert (after["basis_state"][name] != value).any() == (name in trained)
    assert all((before[name] != after[name]).any() for name in ("coef", "residual_kernel", "bias"))


def test_kinds_of_state():
    spline, wavelet = make(BSpline(2, 3)), make(Wavelet(3))
    assert isinstance(spline.basis_state["ends"], Grid)
    assert set(nnx.to_pure_dict(nnx.state(spline, Grid))["basis_state"]) == {"ends"}
    assert "basis_state" not in nnx.to_pure_dict(nnx.state(spline, nnx.Param))
    assert set(nnx.to_pure_dict(nnx.state(wavelet, nnx.Param))["basis_state"]) == {"shift", "scale"}
    assert not jax.tree.leaves(nnx.state(wavelet, Grid))


def test_no_source_of_keys_is_stored():
    rngs = nnx.Rngs(0)
    layer = KANLayer(3, 2, Sine(2), rngs=rngs)
    assert not jax.tree.leaves(nnx.state(layer, nnx.RngState))
    assert not any(isinstance(value, (nnx.Rngs, nnx.RngStream)) for _, value in nnx.iter_graph(layer))


# --- copies and files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("basis", [BSpline(2, 3), Rational(3, 2)], ids=["bspline", "rational"])
@pytest.mark.parametrize(
    "copied",
    [
        lambda layer: nnx.merge(*nnx.split(layer), copy=True),
        lambda layer: pickle.loads(pickle.dumps(layer)),
        lambda layer: cloudpickle.loads(cloudpickle.dumps(layer)),
        copy.deepcopy,
        nnx.clone,
    ],
    ids=["split", "pickle", "cloudpickle", "deepcopy", "clone"],
)
def test_copies_compute_the_same_and_share_nothing(basis, copied):
    layer, x = make(basis, edge_scale=True, residual=half_cube), inputs(4)
    name = next(iter(layer.basis_state))
    layer.basis_state[name][...] = layer.basis_state[name][...] * 1.1
    y = np.asarray(layer(x))
    other = copied(layer)
    assert_same_state(layer, other)
    assert (other.basis, other.init, other.residual) == (layer.basis, layer.init, layer.residual)
    np.testing.assert_array_equal(other(x), y)
    other.basis_state[name][...] = other.basis_state[name][...] * 1.5
    other.coef[...] = other.coef[...] + 1
    np.testing.assert_array_equal(layer(x), y)
    assert np.abs(other(x) - y).max() > 1e-2


def test_a_checkpoint_keeps_the_grid(tmp_path):
    layer, x = make(BSpline(2, 3)), inputs(4)
    layer.basis_state["ends"][...] = jnp.array([[-1.0, 2.0], [-3.0, 1.0], [0.0, 1.0]])
    graphdef, state = nnx.split(layer)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "layer", nnx.to_pure_dict(state))
        checkpointer.wait_until_finished()
        blank = jax.tree.map(jnp.zeros_like, nnx.to_pure_dict(state))
        restored = checkpointer.restore(tmp_path / "layer", blank)
    nnx.replace_by_pure_dict(state, restored)
    other = nnx.merge(graphdef, state)
    assert_same_state(layer, other)
    np.testing.assert_array_equal(other(x), layer(x))


@pytest.mark.parametrize("options", [{}, {"residual": None, "bias": False, "edge_scale": True, "dtype": jnp.bfloat16}])
def test_a_layer_is_saved(options, tmp_path):
    """Pruned edges and edges that are formulas included."""
    layer, x = KANLayer(3, 2, BSpline(2, 4), init="lecun", rngs=nnx.Rngs(0), **options), inputs(5)
    check_saved(randomized(layer), tmp_path / "model.npz", x)
    with_edges(layer, {"mask": True, "symbolic": [(0, 1, "sin")]})
    check_saved(randomized(layer), tmp_path / "model.npz", x)
    assert json.loads(json.dumps(layer.config)) == layer.config


def test_a_compiled_function_sees_a_grid_that_moved():
    layer, x = make(BSpline(2, 3)), inputs(4)
    compiled = nnx.jit(lambda layer, x: layer(x))
    before = compiled(layer, x), forward(layer, x)
    layer.basis_state["ends"][...] = layer.basis_state["ends"][...] * 2
    for function, old in zip((compiled, forward), before, strict=True):
        np.testing.assert_allclose(function(layer, x), layer(x), rtol=1e-5, atol=1e-6)
        assert np.abs(function(layer, x) - old).max() > 1e-2


# --- text and errors ----------------------------------------------------------------------------------------------


def test_a_layer_prints_on_one_line():
    layer = KANLayer(3, 2, BSpline(3, 5), rngs=nnx.Rngs(0))
    assert repr(layer) == str(layer)
    assert repr(layer) == "KANLayer(3, 2, BSpline(3, 5), residual=silu, 56 parameters)"
    assert "residual=None" in repr(make(residual=None))
    assert repr(make()) == repr(make())
    assert "\n" not in repr(nnx.eval_shape(lambda: make()))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((100, 3)), r"expected \(\.\.\., 2\), got \(100, 3\)"),
        (np.zeros(5), r"expected \(\.\.\., 2\), got \(5,\)"),
        (np.float32(1.0), r"expected \(\.\.\., 2\), got \(\)"),
        (np.zeros((0, 2)), r"empty batch: expected \(\.\.\., 2\), got \(0, 2\)"),
    ],
)
def test_inputs_of_a_wrong_shape_are_refused(x, message):
    layer = KANLayer(2, 3, Chebyshev(2), rngs=nnx.Rngs(0))
    for call in (layer, layer.edges, lambda x: forward(layer, x)):
        with pytest.raises(ShapeError, match=message):
            call(x)


@pytest.mark.parametrize(
    ("x", "kind"),
    [
        (None, "NoneType"),
        (np.array([["a", "b"]]), "<U1"),
        ([[1.0, 2.0], [3.0]], "list"),
        (np.zeros((3, 2), object), "object"),
        (np.zeros((3, 2), complex), "complex"),
    ],
)
def test_inputs_that_are_no_real_numbers_are_refused(x, kind):
    rngs = nnx.Rngs(0)
    operator = DeepONet([1, 2], [1, 2], Chebyshev(2), rngs=rngs)
    for call in (KANLayer(2, 3, Chebyshev(2), rngs=rngs), KANConv1D(2, 1, 1, Chebyshev(2), rngs=rngs), operator):
        with pytest.raises(DataError, match=f"x of {kind}.* is no array of real numbers"):
            call(x)


@pytest.mark.parametrize(("sizes", "name"), [((0, 2), "n_in"), ((2, -1), "n_out")])
def test_sizes_below_one_are_refused(sizes, name):
    with pytest.raises(EdgewiseError, match=f"{name} must be at least 1"):
        KANLayer(*sizes, rngs=nnx.Rngs(0))


def test_unknown_names_are_refused():
    with pytest.raises(UnknownNameError, match="did you mean 'glorot_fine'"):
        KANLayer(2, 2, init="glorot_fin", rngs=nnx.Rngs(0))
