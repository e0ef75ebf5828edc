"""What every architecture is tested for, and its parts in plain NumPy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np
from flax import nnx
from numpy.polynomial.chebyshev import chebvander

import edgewise as ew
from edgewise._compilation import compiled_for_few_runs, operations
from edgewise.bases import FAMILIES
from edgewise.init import SCHEMES

FAMILY_NAMES, SCHEME_NAMES = list(FAMILIES), list(SCHEMES)
Build = Callable[..., Any]


def inputs(*batch: int, features: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.9, 0.9, (*batch, features)).astype(np.float32)


forward = compiled_for_few_runs(lambda model, x: model(x))


def randomized(model: Any, seed: int = 0) -> Any:
    """The model with every parameter moved, so that no zero and no one hides a term."""
    rng = np.random.default_rng(seed)
    state = nnx.state(model, nnx.Param)
    nnx.update(model, jax.tree.map(lambda p: p + 0.3 * rng.normal(size=p.shape).astype(p.dtype), state))
    return model


class Noisy(nnx.Module):
    """A network with a state that is not trained: running means, counters and keys."""

    def __init__(self, rngs):
        self.norm = nnx.BatchNorm(2, rngs=rngs)
        self.drop = nnx.Dropout(0.3, rngs=rngs)
        self.layer = ew.KANLayer(2, 1, ew.Chebyshev(3), rngs=rngs)

    def __call__(self, x):
        return self.layer(self.drop(self.norm(x)))


# --- in NumPy, float64 -------------------------------------------------------------------------------------------


def array(variable: Any) -> np.ndarray:
    return np.asarray(variable[...], np.float64)


def chebyshev(x: np.ndarray, degree: int) -> np.ndarray:
    """``[batch, n_in, degree + 1]``, of tanh(x)."""
    return chebvander(np.tanh(x), degree)


def sines(x: np.ndarray, state: Any) -> np.ndarray:
    """``[batch, n_in, size]``: sin(w x + p) less its mean, by its deviation, for x ~ N(0, 1)."""
    w, p = array(state["frequency"]), array(state["phase"])
    mean = np.exp(-(w**2) / 2) * np.sin(p)
    variance = 0.5 - 0.5 * np.exp(-2 * w**2) * np.cos(2 * p) - mean**2
    return (np.sin(w * x[..., None] + p) - mean) / np.sqrt(variance)


def layer_of(layer: Any, modes: np.ndarray) -> np.ndarray:
    """A KANLayer without residual, from all modes ``[batch, n_in, M]``."""
    coef = array(layer.coef) if layer.edge_scale is None else array(layer.coef) * array(layer.edge_scale)
    y = np.einsum("bim,mio->bo", modes[..., layer.first_mode :], coef)
    return y if layer.bias is None else y + array(layer.bias)


# --- programs ----------------------------------------------------------------------------------------------------


class Compilations:
    """Within it, how many programs are compiled."""

    _seen: ClassVar[list[int]] = []

    def __enter__(self):
        if not self._seen:  # a listener stays for ever
            jax.monitoring.register_event_duration_secs_listener(self._heard)
            self._seen.append(0)
        self._before = self._seen[0]
        return self

    def __exit__(self, *exception):
        self.count = self._seen[0] - self._before

    @classmethod
    def _heard(cls, event: str, duration_secs: float, **kwargs: Any) -> None:
        cls._seen[0] += event == "/jax/core/compile/backend_compile_duration"


def dots(jaxpr):
    """All matrix products in a program."""
    return (each for each in operations(jaxpr) if each.primitive.name == "dot_general")


# --- checks ------------------------------------------------------------------------------------------------------


def check_model(build: Build, tmp_path: Path, features: int = 2) -> None:
    """Compiled as eager, any batch shape, full precision, finite far away, saved and loaded, second derivatives."""
    with jax.numpy_rank_promotion("raise"):  # which users may have set
        model, x = randomized(build(rngs=nnx.Rngs(0))), inputs(2, 3, features=features)
        jax.eval_shape(model, x)
    y = forward(model, x)
    np.testing.assert_allclose(y, model(x), rtol=2e-5, atol=2e-5)
    products = list(dots(jax.make_jaxpr(model)(x).jaxpr))
    assert products
    assert all(product.params["precision"] == (jax.lax.Precision.HIGHEST,) * 2 for product in products)
    far = np.array([[1e6] * features, [-1e6] * features, [0.0] * features], np.float32)
    value, gradients = compiled_for_few_runs(nnx.value_and_grad(lambda model: (model(far) ** 2).mean()))(model)
    assert np.isfinite(value)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))
    check_saved(model, tmp_path / "model.npz", x)
    check_derivatives(build, features)


def check_saved(model: Any, path: Path, x: np.ndarray) -> None:
    ew.save_model(model, path)
    loaded = ew.load_model(path)
    assert type(loaded) is type(model)
    assert repr(loaded) == repr(model)
    assert loaded.config == model.config
    np.testing.assert_array_equal(forward(loaded, x), forward(model, x))
    jax.tree.map(np.testing.assert_array_equal, nnx.state(loaded), nnx.state(model))


def check_derivatives(build: Build, features: int) -> None:
    with jax.enable_x64(True):
        model = build(rngs=nnx.Rngs(1), param_dtype=np.float64)
        x, step = inputs(3, features=features).astype(np.float64), 1e-4
        v = np.linspace(0.5, 1.0, features) * np.ones((3, *x.shape))

        @compiled_for_few_runs
        def orders(x):
            once = lambda x: jax.jvp(model, (x,), (v,))
            (value, first), (_, second) = jax.jvp(once, (x,), (v,))
            return value, first, second

        (up, here, down), (first_up, first, first_down), (_, second, _) = orders(
            np.stack([x, x, x]) + step * v * np.array([1, 0, -1])[:, None, None]
        )
        assert here.shape == (3, 1)
        np.testing.assert_allclose(first, (up - down) / (2 * step), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(second, (first_up - first_down) / (2 * step), rtol=1e-5, atol=1e-5)


def check_inside(model: Any, features: int = 2) -> None:
    """A freshly drawn model says something, and nothing but numbers."""
    y = np.asarray(forward(model, inputs(16, features=features)))
    assert y.shape == (16, 1)
    assert np.isfinite(y).all()
    assert np.ptp(y) > 0
