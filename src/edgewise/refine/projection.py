"""One family written in another: weighted least squares by quadrature, in float64.

Where the new family contains the old functions, knots inserted into splines say, the residual is 0 and the result exact
to the rounding of float64: knot insertion, degree raising and every true projection are one mechanism.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from edgewise._compilation import compiled_for_few_runs
from edgewise._numerics import gauss_legendre
from edgewise.bases import Basis, State
from edgewise.errors import EdgewiseError

__all__ = ["Fitted", "Points", "evaluated", "fitted", "quadrature"]

_NODES = 8  # Gauss-Legendre nodes a cell
_SAMPLES = 512  # quantiles that stand for the samples of a node
_DATA = 10.0  # weight of the samples, the range counting 1
_ROUND = 512  # points in a compiled evaluation, or a multiple
_MARGIN = 0.02  # of the range of the samples, on either side
_ELSEWHERE = 1e-4  # weight beyond the range
_ROUNDING = 10.0  # times the rounding of coefficients: beyond this, a smaller residual is not worth larger ones


class Points(NamedTuple):
    """Where two families are compared: ``x`` and ``weights``, ``[Q, n_in]``, the weights of a node summing to 1."""

    x: np.ndarray
    weights: np.ndarray


class Fitted(NamedTuple):
    """``lift`` ``[n_in, M', M]``, and the modes at the points: ``old`` ``[Q, n_in, M]``, ``new`` ``[Q, n_in, M']``."""

    lift: np.ndarray
    old: np.ndarray
    new: np.ndarray


def quadrature(
    old: tuple[Basis, State], new: tuple[Basis, State], n_in: int, x: np.ndarray | None, *, moved: bool = False
) -> Points:
    """Gauss-Legendre points in all cells of both families and, if there are samples ``x`` ``[n, n_in]``, those.

    Samples count ten times as much as the range, so that the function is kept where the data are.  The range is that of
    the old family, or where knots have ``moved`` that of the new one, as far as the samples reach; what lies beyond
    hardly counts, and further off than a moved grid is long not at all.
    """
    before, after = old[0].cells(old[1], n_in), new[0].cells(new[1], n_in)
    main = (after if moved else before)[:, [0, -1]]
    if x is not None:  # a spline that fades out beyond the data must not bend within them
        margin = _MARGIN * np.ptp(x, axis=0)
        main = np.clip(main, (x.min(axis=0) - margin)[:, None], (x.max(axis=0) + margin)[:, None])
    cells = np.sort(np.concatenate([before, after], axis=1), axis=1)
    if moved:  # far beyond a narrow grid its continued modes are so large that they would hide what they are within it
        ends = after[:, [0, -1]]
        cells = np.clip(cells, ends[:, :1] - np.diff(ends), ends[:, 1:] + np.diff(ends))
    unit, weight = gauss_legendre(_NODES)
    width = np.diff(cells, axis=1)
    points = (cells[:, :-1, None] + width[..., None] * (unit + 1) / 2).reshape(n_in, -1)
    weights = (width[..., None] * weight / 2).reshape(n_in, -1)
    weights = np.where((points >= main[:, :1]) & (points <= main[:, 1:]), weights, _ELSEWHERE * weights)
    weights = weights / np.maximum(weights.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    points, weights = points.T, weights.T
    if x is not None:
        share = np.linspace(0, 1, min(_SAMPLES, len(x))) if len(x) > 1 else np.array([0.5])
        samples = np.quantile(x, share, axis=0)
        points = np.concatenate([points, samples])
        weights = np.concatenate([weights, np.full(samples.shape, _DATA / len(samples))]) / (1 + _DATA)
    return Points(points, weights)


def fitted(old: tuple[Basis, State], new: tuple[Basis, State], points: Points, dtype: Any) -> Fitted:
    """The lift that writes every old mode in the new ones, as well as coefficients of ``dtype`` can.

    Raises ``EdgewiseError`` where one of the families is not finite at the points.
    """
    alike = _equal_nodes(old[1]) and _equal_nodes(new[1]) and (np.ptp(points.x, axis=1) == 0).all()
    nodes = 1 if alike else points.x.shape[1]
    a, b = (evaluated(basis, state, points.x[:, :nodes]) for basis, state in (old, new))
    for basis, values in ((old[0], a), (new[0], b)):
        if not np.isfinite(values).all():
            raise EdgewiseError(
                f"{old[0]} cannot be written in {new[0]}: {basis} is not finite everywhere.",
                f"the two are compared between {points.x.min():.4g} and {points.x.max():.4g}.",
                "choose a basis that is defined there, or one with a squash.",
            )
    root = np.sqrt(points.weights)[..., None]
    lift = np.stack([_solved(a[:, i] * root[:, i], b[:, i] * root[:, i], dtype) for i in range(nodes)])
    every = lambda modes: np.broadcast_to(modes, (*points.x.shape, modes.shape[-1]))
    return Fitted(np.broadcast_to(lift, (points.x.shape[1], *lift.shape[1:])), every(a), every(b))


def _solved(a: np.ndarray, b: np.ndarray, dtype: Any) -> np.ndarray:
    """T minimizing |b T - a|^2 + ridge |T|^2, with the ridge that keeps residual and rounding together smallest."""
    u, s, vt = np.linalg.svd(b, full_matrices=False)
    inside = u.T @ a
    eps = float(jnp.finfo(dtype).eps) * _ROUNDING
    size = np.sum(b**2, axis=0)  # of every new mode, whose coefficient is rounded relative to itself
    best, least = np.zeros((b.shape[1], a.shape[1])), np.inf
    for ridge in s[0] * 10.0 ** -np.arange(2.0, 14.0) if s[0] > 0 else []:
        lift = vt.T @ ((s / (s**2 + ridge**2))[:, None] * inside)
        residual = (ridge**2 / (s**2 + ridge**2))[:, None] * inside
        total = np.sum(residual**2) + eps**2 * np.sum(size[:, None] * lift**2)
        if total < least:
            best, least = lift, total
    return best


def _equal_nodes(state: State) -> bool:
    return all(np.ndim(value) < 2 or np.ptp(np.asarray(value), axis=0).max() == 0 for value in state.values())


def evaluated(basis: Basis, state: State, x: np.ndarray) -> np.ndarray:
    """All modes in float64: ``[Q, n_in]`` to ``[Q, n_in, M]``.

    Node by node, and for a round number of points, so that layers of all widths share a compiled program.
    """
    count, n_in = x.shape
    rows = np.pad(np.asarray(x, np.float64), ((0, -count % _ROUND), (0, 0)), mode="edge")
    wide = {name: np.asarray(value, np.float64) for name, value in state.items()}
    found = []
    with jax.enable_x64(True):
        for node in range(n_in):
            # arrays of two or more axes lead with the node, or with a group of neighbouring nodes
            own = {
                name: value[(row := node * len(value) // n_in) : row + 1] if value.ndim > 1 else value
                for name, value in wide.items()
            }
            found.append(np.asarray(_modes()(basis, rows[:, node : node + 1], own))[:count])
    return np.concatenate(found, axis=1)


@cache
def _modes():
    return compiled_for_few_runs(lambda basis, x, state: basis(x, state), static_argnums=0)
