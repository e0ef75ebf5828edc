"""Functions of two variables that the initialization literature fits, and their data.

``published`` is the experiment of jaxKAN's tutorial on initialization; ``f1`` to ``f5`` are the function-fitting
targets of arXiv 2509.03417.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from edgewise.errors import check_choice, check_count

__all__ = ["FUNCTIONS", "FunctionData", "function_data", "published"]


class FunctionData(NamedTuple):
    """Samples of a function: inputs ``[n, 2]`` and values ``[n, 1]``, float32, for training and for the test."""

    X_train: np.ndarray
    y_train: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


def f1(x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    """x1 x2."""
    return x1 * x2


def f2(x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    """exp(sin(pi x1) + x2^2)."""
    return np.exp(np.sin(np.pi * x1) + x2**2)


def f3(x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    """I1(x1) + exp(I1e(x2)) + sin(x1 x2), with I1 the modified Bessel function and I1e(x) = exp(-|x|) I1(x)."""
    from scipy.special import i1, i1e

    return i1(x1) + np.exp(i1e(x2)) + np.sin(x1 * x2)


def f4(x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    """S(a) C(a), a = f3(x1, x2) + erfinv(x2), with S and C the Fresnel integrals."""
    from scipy.special import erfinv, fresnel

    sine, cosine = fresnel(f3(x1, x2) + erfinv(x2))
    return sine * cosine


def f5(x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    """x2 sgn(0.5 - x1) + erf(x1) m, with m = x1 x2 where that is below 1 and 1/(x1 x2) elsewhere.

    The paper writes m as min(x1 x2, 1/(x1 x2)), which has poles where x1 x2 < 0; its program computes the form above,
    and so do its numbers.
    """
    from scipy.special import erf

    product = x1 * x2
    inside = product < 1
    return x2 * np.where(x1 < 0.5, 1.0, -1.0) + erf(x1) * np.where(inside, product, 1 / np.where(inside, 1.0, product))


FUNCTIONS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "f1": f1,
    "f2": f2,
    "f3": f3,
    "f4": f4,
    "f5": f5,
}


def function_data(name: str, *, train: int = 4000, test: int = 1000, seed: int = 42) -> FunctionData:
    """Samples of ``f1`` to ``f5``, uniform on [-1, 1]^2 (arXiv 2509.03417, which trains on 4000 points).

    Raises:
        UnknownNameError: ``name`` is none of ``FUNCTIONS``.
    """
    check_choice("function", name, FUNCTIONS)
    rows = check_count("train", train) + check_count("test", test)
    X = np.random.default_rng(seed).uniform(-1.0, 1.0, (rows, 2))
    y = FUNCTIONS[name](X[:, 0], X[:, 1])[:, None]
    X, y = X.astype(np.float32), y.astype(np.float32)
    return FunctionData(X[:train], y[:train], X[train:], y[train:])


def published() -> FunctionData:
    """The data of the published experiment: x^2 + 2 exp(y) at 1000 points of [-1, 1]^2, 800 to train on, 200 to test.

    The draws (two halves of ``PRNGKey(42)``) and the split (scikit-learn's ``train_test_split``, ``random_state=42``,
    which takes the test rows from the head of one permutation) are those of jaxKAN's tutorial 3.
    """
    import jax
    import jax.numpy as jnp

    @jax.jit  # one program to compile instead of one an operation
    def draw() -> jax.Array:
        keys = jax.random.split(jax.random.PRNGKey(42))
        return jnp.stack([jax.random.uniform(key, (1000,), jnp.float32, -1, 1) for key in keys], axis=1)

    X = np.asarray(draw())
    x, y = X.astype(np.float64).T
    y = (x**2 + 2 * np.exp(y)).astype(np.float32)[:, None]
    order = np.random.RandomState(42).permutation(1000)
    test, train = order[:200], order[200:]
    return FunctionData(X[train], y[train], X[test], y[test])
