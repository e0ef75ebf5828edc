"""Exact second moments of a basis and of a residual under an assumed law of the inputs, by quadrature."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property, lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from edgewise._compilation import compiled_for_few_runs
from edgewise._numerics import gauss_legendre
from edgewise.bases import Basis, State
from edgewise.errors import EdgewiseError, check_choice, check_count

__all__ = ["Distribution", "Moments", "input_law"]

Distribution = str | Callable[[np.ndarray], np.ndarray]
"""Law of the inputs: "uniform" on the basis' interval, "normal", or a quantile function of an array in (0, 1)."""

LAWS = ("uniform", "normal")
_NODES_PER_CELL = 16  # exact for splines and bumps: polynomials of degree 31
_MOST_NODES = 32  # in one cell; the weights at the ends of longer rules lose digits
_NORMAL_REACH = 8.5  # the normal law beyond holds 2e-17 of the mass


class Moments:
    """E[B_m^2], E[B_m'^2], E[R^2], E[R'^2] and E[x^2] under a law given by nodes and weights; each computed when asked.

    Args:
        basis: the family, and ``state`` its state; the mean over input nodes is taken where their states differ.
        residual: a function, or None.
        nodes, weights: float64 ``[n]``, weights summing to 1.
        first: index of the first mode that counts (1 where a layer drops the constant).

    A concrete state is evaluated in float64 and cached.  A traced one (construction under ``jit`` or ``vmap``) is
    evaluated in the program being traced.
    """

    def __init__(self, basis: Basis, state: State, residual: Callable | None, nodes, weights, first: int = 0):
        self.basis, self.state, self.residual, self.first = basis, state, residual, first
        self.nodes, self.weights = nodes, weights

    @property
    def mu0(self) -> Any:
        """E[B_m^2], ``[K]``."""
        return self._basis[0]

    @property
    def mu1(self) -> Any:
        """E[B_m'^2], ``[K]``."""
        return self._basis[1]

    @property
    def r0(self) -> float:
        """E[R^2]."""
        return self._residual[0]

    @property
    def r1(self) -> float:
        """E[R'^2]."""
        return self._residual[1]

    @property
    def gram(self) -> tuple[Any, Any, Any]:
        """E[f_a] ``[n, N]``, E[f_a f_b] and E[f_a' f_b'] ``[n, N, N]`` of the K modes and, last, the residual.

        n is 1 where the states of all input nodes are equal, otherwise their number or that of their groups.
        """
        if self._traced:
            found = _gram(self.basis, self.residual, self.state, *map(jnp.asarray, (self.nodes, self.weights)))
        else:
            rows = {name: _equal_rows_once(np.asarray(value)) for name, value in self.state.items()}
            with _float64_on_cpu():
                state = {name: jnp.asarray(value, jnp.float64) for name, value in rows.items()}
                found = _compiled_gram()(self.basis, self.residual, state, self.nodes, self.weights)
                found = tuple(np.asarray(part) for part in found)
        means, values, slopes = found
        return means[:, self.first :], values[:, self.first :, self.first :], slopes[:, self.first :, self.first :]

    @property
    def _traced(self) -> bool:
        return any(isinstance(value, Tracer) for value in self.state.values())

    @property
    def q(self) -> float:
        """E[x^2]."""
        return float(self.weights @ self.nodes**2)

    @property
    def std(self) -> float:
        """Standard deviation of the input law."""
        return float(np.sqrt(self.q - (self.weights @ self.nodes) ** 2))

    @cached_property
    def _basis(self) -> tuple[Any, Any]:
        nodes, weights = self.nodes, self.weights
        if self._traced:
            means = _means(self.basis, self.state, jnp.asarray(nodes, float), jnp.asarray(weights, float))
        else:
            rows = {name: _equal_rows_once(np.asarray(value)) for name, value in self.state.items()}
            frozen = tuple((name, row.shape, str(row.dtype), row.tobytes()) for name, row in sorted(rows.items()))
            means = _cached_basis_means(self.basis, frozen, nodes.tobytes(), weights.tobytes())
        return means[0][self.first :], means[1][self.first :]

    @cached_property
    def _residual(self) -> tuple[float, float]:
        if self.residual is None:
            raise EdgewiseError("this layer has no residual branch, so it has no residual moments.")
        return _cached_residual_means(self.residual, self.nodes.tobytes(), self.weights.tobytes())


def input_law(
    distribution: Distribution, basis: Basis, sample_size: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights, float64 ``[n]`` each, that average over the assumed law of a layer's inputs.

    Uniform: composite Gauss-Legendre, its cells ending at the breakpoints of the basis.  Normal: the trapezoidal rule,
    which converges exponentially there, or Gauss-Legendre by cells.  A quantile function Q: Gauss-Legendre on u, with
    cells graded towards 0 and 1 and ending where Q passes the breakpoints.  ``sample_size`` asks for that many random
    points instead, from a fixed seed.

    Raises ``UnknownNameError`` for an unknown law.
    """
    if not callable(distribution):
        check_choice("distribution", distribution, LAWS)
    low, high = basis.interval
    breaks = basis.breakpoints()
    if sample_size is not None:
        check_count("sample_size", sample_size)
        draw = np.random.default_rng(0)
        if callable(distribution):
            nodes = np.asarray(distribution(draw.uniform(size=sample_size)), np.float64)
        else:
            nodes = draw.uniform(low, high, sample_size) if distribution == "uniform" else draw.normal(size=sample_size)
        return nodes, np.full(sample_size, 1 / sample_size)
    cells = -(-(64 + 4 * basis.size) // _MOST_NODES)  # that smooth functions call for
    if callable(distribution):
        tail = 0.5 ** np.arange(2, 50.0)
        middle = np.linspace(0.25, 0.75, 1 + cells)
        kinks = [] if breaks is None else _inverse(distribution, breaks)
        u, weights = _by_cells(np.unique([0, *tail, *middle, *kinks, *(1 - tail), 1]), _NODES_PER_CELL)
        return np.asarray(distribution(np.minimum(u, np.nextafter(1, 0))), np.float64), weights
    if distribution == "uniform":
        edges = np.linspace(low, high, 1 + cells)
        if breaks is None:
            nodes, weights = _by_cells(edges, _MOST_NODES)
        else:
            nodes, weights = _by_cells(np.unique([*edges, *np.clip(breaks, low, high)]), _NODES_PER_CELL)
        return nodes, weights / (high - low)
    if breaks is None:
        count = int(np.ceil(2 * _NORMAL_REACH / min(0.05, 1 / basis.size)))
        nodes = np.linspace(-_NORMAL_REACH, _NORMAL_REACH, count + 1)
        weights = np.ones_like(nodes)
    else:
        edges = np.unique([*np.linspace(-_NORMAL_REACH, _NORMAL_REACH, 35), *breaks])
        nodes, weights = _by_cells(edges, _NODES_PER_CELL)
    weights = weights * np.exp(-(nodes**2) / 2)
    return nodes, weights / weights.sum()


def _by_cells(edges: np.ndarray, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Composite Gauss-Legendre quadrature with ``nodes`` points in each cell between ``edges``."""
    points, weights = gauss_legendre(nodes)
    half, middle = np.diff(edges)[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2
    return (middle + half * points).ravel(), (half * weights).ravel()


def _inverse(quantile: Callable[[np.ndarray], np.ndarray], values: np.ndarray) -> np.ndarray:
    """Where an increasing ``quantile`` function passes ``values``, by bisection."""
    low, high = np.zeros(len(values)), np.ones(len(values))
    for _ in range(55):
        middle = (low + high) / 2
        below = np.asarray(quantile(middle)) < values
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return low


def _equal_rows_once(value: np.ndarray) -> np.ndarray:
    """One row of an array ``[n_in, ...]`` whose rows are all equal; any other array as it is."""
    return value[:1] if value.ndim >= 2 and (value == value[:1]).all() else value


def _means(basis: Basis, state: State, nodes, weights):
    """Means of squares of values and slopes over nodes and input nodes, ``[M]`` each."""
    values, slopes = _orders(basis, state, _columns(state, nodes))
    return tuple(jnp.einsum("n,nmi->m", weights, part**2) / part.shape[-1] for part in (values, slopes))


def _gram(basis: Basis, residual: Callable | None, state: State, nodes, weights):
    """Means of values, and of products of values and of slopes, of the modes and the residual, node by node."""
    x = _columns(state, nodes)
    values, slopes = _orders(basis, state, x)
    if residual is not None:
        more = jax.jvp(residual, (x,), (jnp.ones_like(x),))
        values, slopes = (
            jnp.concatenate(pair, axis=1) for pair in ((values, more[0][:, None]), (slopes, more[1][:, None]))
        )
    products = (jnp.einsum("n,nai,nbi->iab", weights, part, part) for part in (values, slopes))
    return jnp.einsum("n,nai->ia", weights, values), *products


def _columns(state: State, nodes):
    """``nodes`` once for every row of the state, ``[n, rows]``."""
    rows = max((value.shape[0] for value in state.values() if value.ndim >= 2), default=1)
    return jnp.broadcast_to(nodes[:, None], (nodes.shape[0], rows))


def _orders(basis: Basis, state: State, x):
    """Values and slopes of all modes, ``[n, M, rows]`` each."""
    return jax.jvp(lambda x: basis.stacked(x, state), (x,), (jnp.ones_like(x),))


@cache
def _compiled_means():
    return compiled_for_few_runs(_means, static_argnums=0)


@cache
def _compiled_gram():
    return compiled_for_few_runs(_gram, static_argnums=(0, 1))


@lru_cache(maxsize=512)
def _cached_basis_means(basis: Basis, frozen_state, nodes: bytes, weights: bytes):
    with _float64_on_cpu():
        state = {name: np.frombuffer(raw, dtype).reshape(shape) for name, shape, dtype, raw in frozen_state}
        state = {name: jnp.asarray(value, jnp.float64) for name, value in state.items()}
        means = _compiled_means()(basis, state, np.frombuffer(nodes), np.frombuffer(weights))
        return tuple(np.asarray(mean) for mean in means)


@lru_cache(maxsize=512)
def _cached_residual_means(residual: Callable, nodes: bytes, weights: bytes) -> tuple[float, float]:
    def means(x, w):
        values, slopes = jax.jvp(residual, (x,), (jnp.ones_like(x),))
        return w @ values**2, w @ slopes**2

    with _float64_on_cpu():
        r0, r1 = compiled_for_few_runs(means)(np.frombuffer(nodes), np.frombuffer(weights))
        return float(r0), float(r1)


class _float64_on_cpu:
    """Double precision on the CPU and outside any trace, whatever the user's settings are."""

    def __enter__(self):
        self._contexts = [jax.ensure_compile_time_eval(), jax.enable_x64(True), jax.default_device(_cpu())]
        for context in self._contexts:
            context.__enter__()

    def __exit__(self, *error):
        for context in reversed(self._contexts):
            context.__exit__(*error)


def _cpu() -> Any:
    """The CPU; where JAX was told to do without it (``JAX_PLATFORMS=cuda``), None: what it has computes, too."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return None
