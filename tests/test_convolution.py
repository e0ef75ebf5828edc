"""Convolutions of edge functions, against loops over patches; the small network made of them."""

from __future__ import annotations

import importlib
import json
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import edgewise as ew
from edgewise import ConvKAN, KANConv1D, KANConv2D, count_parameters
from edgewise._compilation import compiled_for_few_runs
from edgewise.bases import FAMILIES
from edgewise.errors import EdgewiseError, ShapeError, UnknownNameError
from model_checks import FAMILY_NAMES, SCHEME_NAMES, check_saved, forward, randomized


def image(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.9, 0.9, shape).astype(np.float32)


edges_of = compiled_for_few_runs(lambda layer, x: layer.edges(x))


def by_loops(conv, x: np.ndarray) -> np.ndarray:
    """Every edge function on its pixel, one patch at a time: ``[n, *size, C]`` to ``[n, *patches, features]``."""
    kernel, strides, size = conv.kernel_size, conv.strides, x.shape[1:-1]
    before = [0] * len(kernel)
    if conv.padding == "SAME":
        counts = [-(-n // step) for n, step in zip(size, strides, strict=True)]
        total = [max((m - 1) * s + k - n, 0) for m, s, k, n in zip(counts, strides, kernel, size, strict=True)]
        before = [t // 2 for t in total]
    else:
        counts = [(n - k) // step + 1 for n, k, step in zip(size, kernel, strides, strict=True)]
    flat = np.concatenate([x.reshape(-1, conv.in_features), np.zeros((1, conv.in_features), x.dtype)])
    edges = np.asarray(edges_of(conv.layer, flat), np.float64)  # of the padded value in the last row
    inside = edges[:-1].reshape(*x.shape, *kernel, conv.out_features)
    outside = edges[-1].reshape(conv.in_features, *kernel, conv.out_features)
    y = np.zeros((x.shape[0], *counts, conv.out_features))
    for sample, patch in product(range(x.shape[0]), product(*map(range, counts))):
        for place in product(*map(range, kernel)):
            pixel = [p * s + t - b for p, s, t, b in zip(patch, strides, place, before, strict=True)]
            within = all(0 <= i < n for i, n in zip(pixel, size, strict=True))
            phi = inside[(sample, *pixel)] if within else outside
            y[(sample, *patch)] += phi[(slice(None), *place)].sum(axis=0)
    return y if conv.bias is None else y + np.asarray(conv.bias[...])


CASES = {
    "same": (KANConv2D, (2, 3), {}, (2, 4, 5, 2)),
    "valid": (KANConv2D, (2, 3, (2, 3)), {"padding": "VALID"}, (2, 4, 5, 2)),
    "strides": (KANConv2D, (2, 3, (3, 2)), {"strides": (2, 3), "edge_scale": True}, (2, 5, 7, 2)),
    "valid strides": (KANConv2D, (1, 2, 2), {"strides": 2, "padding": "VALID", "bias": False}, (2, 5, 5, 1)),
    "sequence": (KANConv1D, (2, 3), {"residual": None}, (3, 6, 2)),
    "sequence strides": (KANConv1D, (2, 3, 4), {"strides": 2}, (3, 7, 2)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_convolution_is_its_edges_on_every_patch(name):
    kind, sizes, options, shape = CASES[name]
    basis = ew.BSpline(2, 3) if "strides" in name else ew.Chebyshev(3)
    conv, x = randomized(kind(*sizes, basis=basis, rngs=nnx.Rngs(0), **options)), image(*shape)
    expected = by_loops(conv, x)
    y = forward(conv, x)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)
    assert conv.size_after(shape[1:-1]) == y.shape[1:-1]


def test_both_forms_are_the_same_sum(monkeypatch):
    module = importlib.import_module("edgewise.nn.convolve")
    for axes, columns in ((1, 512), (2, 512), (2, 10), (2, 1)):
        monkeypatch.setattr(module, "_COLUMNS", columns)
        x, kernel = (jnp.asarray(image(*shape)) for shape in ((2, *(5, 6)[:axes], 4), (*(3, 2)[:axes], 4, 3)))
        strides = (2, 1)[:axes]
        forms = (getattr(module, name) for name in ("_by_products", "_by_convolution"))
        ours, theirs = (form(x, kernel, strides, "highest") for form in forms)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    # elsewhere than on a CPU, XLA's convolution
    monkeypatch.setattr(module, "_by_convolution", lambda image, *others: -image)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    np.testing.assert_array_equal(module.convolve(x, kernel, strides), -x)


def test_a_kernel_of_one_place_is_a_layer():
    conv, x = randomized(KANConv2D(3, 2, 1, ew.Chebyshev(3), rngs=nnx.Rngs(0))), image(2, 4, 4, 3)
    np.testing.assert_allclose(forward(conv, x), conv.layer(x) + conv.bias[...], rtol=1e-5, atol=1e-6)


def test_batch_axes_and_whole_numbers():
    conv, x = KANConv1D(2, 3, 3, ew.Chebyshev(2), rngs=nnx.Rngs(0)), image(2, 3, 5, 2)
    np.testing.assert_allclose(forward(conv, x)[1, 2], forward(conv, x[1, 2]), rtol=1e-5, atol=1e-6)
    ones = np.ones((5, 2))
    np.testing.assert_array_equal(forward(conv, ones.astype(int)), forward(conv, ones.astype(np.float32)))
    with jax.numpy_rank_promotion("raise"):  # which users may have set
        nnx.eval_shape(lambda: conv(x))
    half = KANConv1D(2, 3, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    assert nnx.eval_shape(lambda: half(x)).dtype == jnp.bfloat16
    np.testing.assert_allclose(forward(conv, x), conv(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_every_basis_inside(family):
    conv, x = KANConv1D(2, 2, 2, FAMILIES[family](), rngs=nnx.Rngs(0)), image(2, 3, 2)
    np.testing.assert_allclose(forward(conv, x), by_loops(conv, x), rtol=1e-4, atol=1e-4)
    far = 1e6 * np.sign(x)
    gradient = compiled_for_few_runs(nnx.grad(lambda conv: (conv(far) ** 2).mean()))(conv)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((forward(conv, far), gradient)))


@pytest.mark.parametrize("scheme", [name for name in SCHEME_NAMES if name != "custom"])
def test_every_scheme_inside(scheme):
    conv = KANConv1D(1, 2, 2, ew.Chebyshev(2), init=scheme, rngs=nnx.Rngs(0))
    y = np.asarray(forward(conv, image(4, 3, 1)))
    assert np.isfinite(y).all()
    assert np.ptp(y) > 0


def test_a_scheme_sees_patches():
    """LeCun's keeps the variance of a patch; coefficients given by the user have the layer's shape."""
    x = np.random.default_rng(0).uniform(-1, 1, (20, 12, 12, 3)).astype(np.float32)
    init = ew.init.LeCun(gain=1.0)
    conv = KANConv2D(3, 64, 3, ew.Chebyshev(3, squash=None), init=init, padding="VALID", rngs=nnx.Rngs(0))
    assert np.std(conv(x)) == pytest.approx(1.0, rel=0.1)
    assert conv.layer.init == init
    coef = np.ones((2, 1, 6), np.float32)
    own = ew.init.Custom(coef=coef)
    np.testing.assert_array_equal(
        KANConv1D(1, 2, 3, ew.Chebyshev(2), residual=None, init=own, rngs=nnx.Rngs(0)).layer.coef[...], coef
    )


@pytest.mark.parametrize(("intervals", "convolutions", "network"), [(10, 4_050, 22_800), (20, 6_750, 38_000)])
def test_published_parameter_counts(intervals, convolutions, network):
    """Bodner et al., arXiv 2406.13155, table of Fashion-MNIST in the README of their repository: KKAN (Small), 22.80K
    and 38.00K; KANC MLP (Small), 5.31K and 8.01K, of which 1,260 are those of the linear layer.  Two convolutions of
    3 x 3 with 5 channels each leave 5 x 5 pixels; an edge has G + 3 splines, a weight for them and one for silu.
    """
    options = {"edge_scale": True, "bias": False, "rngs": nnx.Rngs(0)}
    model = ConvKAN((5, 5, 1), [5, 5], 10, ew.BSpline(3, intervals), **options)
    assert sum(map(count_parameters, model.convolutions)) == convolutions
    assert count_parameters(model) == network


def test_derivatives_in_both_modes():
    with jax.enable_x64(True):
        conv = KANConv1D(1, 2, 2, ew.Chebyshev(3), param_dtype=jnp.float64, rngs=nnx.Rngs(0))
        x, v, h = image(2, 4, 1).astype(float), np.ones((2, 4, 1)), 1e-4
        f = jax.jit(lambda x: conv(x))
        first, second = jax.jvp(lambda x: jax.jvp(f, (x,), (v,))[1], (x,), (v,))
        np.testing.assert_allclose(first, (f(x + h) - f(x - h)) / (2 * h), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(second, (f(x + h) - 2 * f(x) + f(x - h)) / h**2, rtol=1e-3, atol=1e-4)
        gradient = jax.grad(lambda x: f(x).sum())(x)
        np.testing.assert_allclose(jnp.vdot(gradient, v), first.sum(), rtol=1e-6)


def test_refinement_keeps_the_function(tmp_path):
    """A change to a basis with a constant mode gives constants to the bias, at padded places as well."""
    model, x = randomized(ConvKAN((4, 4, 1), [2], 2, ew.BSpline(2, 1), rngs=nnx.Rngs(0))), image(3, 4, 4, 1)
    model.head.layers[0].coef[...] = 0.1 * model.head.layers[0].coef[...]
    convolution = model.convolutions[0]
    for refine in (
        lambda: ew.refine.extend(model, 2),
        lambda: ew.refine.change_basis(convolution, ew.Legendre(12, squash=None)),
        lambda: ew.refine.extend(convolution, 14),
    ):
        y = np.asarray(forward(convolution, x))
        refine()
        np.testing.assert_allclose(forward(convolution, x), y, rtol=2e-2, atol=2e-2)
    assert convolution.layer.basis == ew.Legendre(14, squash=None)
    assert convolution.layer.coef.shape[0] == 14
    assert np.abs(convolution.layer.bias[...]).max() > 0.01
    polynomial = ConvKAN((4, 4, 1), [2], 2, ew.Chebyshev(2), rngs=nnx.Rngs(0))
    ew.refine.extend(polynomial, 3)
    check_saved(polynomial, tmp_path / "model.npz", x)


@pytest.mark.parametrize("name", CASES)
def test_a_convolution_is_saved(name, tmp_path):
    kind, sizes, options, shape = CASES[name]
    conv = kind(*sizes, basis=ew.BSpline(2, 3, domain=(-2.0, 2.0)), init="glorot", rngs=nnx.Rngs(0), **options)
    check_saved(randomized(conv), tmp_path / "model.npz", image(*shape))
    rebuilt = kind.from_config(json.loads(json.dumps(conv.config)), rngs=nnx.Rngs(1))
    assert rebuilt.config == conv.config
    assert rebuilt.layer.init == conv.layer.init


def test_a_chain_of_convolutions_is_trained_resumed_and_saved(tmp_path):
    """Also with a basis of another kind in place of the first one's."""
    layers = KANConv1D(1, 2, 3, ew.Chebyshev(2), rngs=nnx.Rngs(0)), KANConv1D(2, 1, 2, strides=2, rngs=nnx.Rngs(1))
    model, x = ew.Chain(*layers), image(8, 6, 1)
    ew.refine.change_basis(model.modules[0], ew.Legendre(3))
    check_saved(model, tmp_path / "model.npz", x)
    run = {"optimizer": "adam:1e-2", "checkpoint": tmp_path / "run.npz", "resume": True}
    loss = lambda model, batch: ((model(batch[0]) - batch[1]) ** 2).mean()
    again = ew.load_model(tmp_path / "model.npz")
    ew.fit(model, (x, x[:, ::2]), loss=loss, steps=5, **run)
    ew.fit(again, (x, x[:, ::2]), loss=loss, steps=10, **run)
    check_saved(again, tmp_path / "model.npz", x)


# --- the network --------------------------------------------------------------------------------------------------


def small(shape=(5, 4, 2), **options):
    return ConvKAN(shape, [2, 3], 2, ew.Chebyshev(2), strides=[1, 2], rngs=nnx.Rngs(0), **options)


@pytest.mark.parametrize("shape", [(5, 4, 2), (6, 2)], ids=["image", "sequence"])
def test_a_network_is_its_layers_one_after_the_other(shape, tmp_path):
    model, x = randomized(small(shape, padding="SAME", edge_scale=True)), image(2, 3, *shape)
    first, second = model.convolutions
    hidden = second(first(x))
    np.testing.assert_allclose(forward(model, x), model.head(hidden.reshape(2, 3, -1)), rtol=1e-5, atol=1e-5)
    assert forward(model, x).shape == (2, 3, 2)
    assert np.isfinite(forward(model, np.full((1, *shape), 1e6))).all()
    check_saved(model, tmp_path / "model.npz", x)


def test_configuration_and_text():
    model = small(padding="VALID", kernel_size=(2, 1), bias=False, init="glorot", residual="tanh")
    assert model.convolutions[0].kernel_size == (2, 1)
    assert model.convolutions[1].strides == (2, 2)
    rebuilt = ConvKAN.from_config(model.config, rngs=nnx.Rngs(1))
    assert rebuilt.config == model.config
    assert (
        repr(rebuilt)
        == repr(model)
        == f"ConvKAN((5, 4, 2), [2, 3], 2, Chebyshev(2), {count_parameters(model)} parameters)"
    )
    conv = KANConv2D(1, 2, (3, 2), ew.Chebyshev(2), strides=2, rngs=nnx.Rngs(0))
    assert repr(conv) == (
        "KANConv2D(1, 2, (3, 2), Chebyshev(2), strides=(2, 2), padding='SAME', residual=silu, 38 parameters)"
    )


def test_a_network_whose_layers_have_come_to_differ_is_saved_as_it_is(tmp_path):
    """What bases of equal size change has the same shapes, and computes something else."""
    model, x = randomized(small((4, 4, 1))), image(3, 4, 4, 1)
    ew.refine.change_basis(model.head, ew.Legendre(2))
    ew.interpret.fix(model.head, (0, 0, 0), "sin", constants=(1.0, 2.0, 0.5, 0.0))
    check_saved(model, tmp_path / "model.npz", x)
    ew.refine.change_basis(model.convolutions[0], ew.Legendre(2))
    with pytest.raises(EdgewiseError, match=r"different bases: Legendre\(2\), Chebyshev\(2\)"):
        ew.save_model(model, tmp_path / "model.npz")


WRONG = {
    "padding": (lambda: KANConv2D(1, 2, padding="same", rngs=nnx.Rngs(0)), UnknownNameError, "did you mean 'SAME'"),
    "kernel": (lambda: KANConv2D(1, 2, (3,), rngs=nnx.Rngs(0)), EdgewiseError, r"kernel_size=\(3,\) for 2 axes"),
    "strides": (lambda: KANConv1D(1, 2, strides=0, rngs=nnx.Rngs(0)), EdgewiseError, "strides must be at least 1"),
    "option": (lambda: KANConv1D(1, 2, residul="tanh", rngs=nnx.Rngs(0)), UnknownNameError, "mean 'residual'"),
    "channels": (lambda: KANConv2D(0, 2, rngs=nnx.Rngs(0)), EdgewiseError, "in_features must be at least 1"),
    "features": (lambda: small()(image(2, 5, 4)), ShapeError, r"expected \(\.\.\., 5, 4, 2\), got \(2, 5, 4\)"),
    "shape": (lambda: small((3,)), EdgewiseError, r"shape=\(3,\) is none of one sample"),
    "too small": (lambda: small(padding="VALID"), ShapeError, r"image of \(3, 2\) is smaller than the kernel \(3, 3\)"),
    "as many strides": (
        lambda: ConvKAN((4, 4, 1), [2], 2, strides=[1, 2], rngs=nnx.Rngs(0)),
        ShapeError,
        "2 strides for 1 convolutions",
    ),
    "no features": (lambda: ConvKAN((4, 4, 1), [], 2, rngs=nnx.Rngs(0)), EdgewiseError, "are no convolutions"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_refused(name):
    call, kind, message = WRONG[name]
    with pytest.raises(kind, match=message):
        call()


def test_images_of_the_wrong_shape_are_named():
    conv = KANConv2D(1, 2, 3, ew.Chebyshev(2), rngs=nnx.Rngs(0))
    with pytest.raises(ShapeError, match=r"expected \(\.\.\., H, W, 1\), got \(5, 8, 8\)(?s:.*)x\[\.\.\., None\]"):
        conv(image(5, 8, 8))
    with pytest.raises(ShapeError, match="empty batch"):
        conv(np.zeros((0, 8, 8, 1)))


def test_a_few_steps_of_training():
    X = image(40, 4, 4, 1)
    y = (X.mean(axis=(1, 2, 3)) > 0).astype(int)
    model = ConvKAN((4, 4, 1), [3], 2, ew.Chebyshev(2), rngs=nnx.Rngs(0))
    result = ew.fit(model, (X, y), loss="cross_entropy", optimizer="adam:1e-2", steps=60)
    assert np.mean(np.argmax(result.model(X), axis=1) == y) > 0.8


@pytest.mark.slow
def test_digits(root, run_python):
    """scikit-learn's digits, a fixed fifth of them for the test."""
    code = "import runpy, sys; print(runpy.run_path(sys.argv[1])['run'](seed=0)[1])"
    # it trains for a while: here, programs that are compiled to be fast pay
    accuracy = run_python(code, str(root / "examples" / "digits_convolution.py"), env={"XLA_FLAGS": ""})
    assert float(accuracy.splitlines()[-1]) >= 0.98
