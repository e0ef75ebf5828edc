"""Fits a f(b x + c) + d of every form to a sampled curve, all of them at once.

For given b and c the best a and d are a linear regression, so that two unknowns are left (variable projection, Golub
and Pereyra, SIAM J. Numer. Anal. 10 (1973) 413).  They start from a table of arguments, which is the same for every
curve, and are polished by damped Gauss-Newton steps with Kaufman's approximation (BIT 15 (1975) 49), in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from edgewise.nn.forms import Form

__all__ = ["POINTS", "Curve", "FormFit", "canonical", "fit_forms", "value_and_slope"]

POINTS = 200
"""Points that a curve is sampled at, evenly over its range."""

_BLOCK = 1600  # arguments that a form is evaluated at together
_STARTS = 8  # starts that are polished
_STEPS = 30
_CANCELS = 300.0  # terms of a fit may be larger than the curve by this; more is a limit of another form
_EVEN = 0.1  # weight of the range itself beside that of the data


class Curve(NamedTuple):
    """An edge function sampled on its range.

    Attributes:
        x, y: ``[POINTS]``, x evenly spaced.
        weight: ``[POINTS]``, sums to 1: how many of the data are near.
    """

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray

    @classmethod
    def places(cls, data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where to sample a function of ``data`` ``[n]``, and with what weight."""
        low, high = float(data.min()), float(data.max())
        if not high > low:
            low, high = low - 1e-3, high + 1e-3
        x = np.linspace(low, high, POINTS)
        counts = np.bincount(np.rint((data - low) / (high - low) * (POINTS - 1)).astype(int), minlength=POINTS)
        kernel = np.hanning(17)
        smooth = np.convolve(counts, kernel / kernel.sum(), "same")
        return x, (1 - _EVEN) * smooth / smooth.sum() + _EVEN / POINTS


class FormFit(NamedTuple):
    """A form fitted to a curve: ``constants`` a, b, c, d, and ``error``, 1 - R^2 under the curve's weights."""

    form: Form
    constants: tuple[float, float, float, float]
    error: float


def fit_forms(curve: Curve, forms: Sequence[Form]) -> list[FormFit]:
    """The best fit of each form that is defined on the curve's range.

    R^2 is relative to the curve's own variance: an exact sine of amplitude 1e-4 has 1.
    """
    middle, half = (curve.x[0] + curve.x[-1]) / 2, (curve.x[-1] - curve.x[0]) / 2
    u, weight = (curve.x - middle) / half, curve.weight
    y = curve.y - weight @ curve.y
    variance = float(weight @ y**2)
    if not variance > 0:
        return []
    _prepare(tuple(forms))
    starts = np.stack([_best_starts(form, y, weight) for form in forms])  # [F, S, 2]
    found, error = _polished(tuple(forms), starts, u, y / np.sqrt(variance), weight)
    with np.errstate(all="ignore"):
        fits = []
        for place, form in enumerate(forms):
            if not np.isfinite(error[place]):
                continue
            b, c = found[place]
            values = value_and_slope(form, b * u + c)[0]
            centred = values - weight @ values
            a = float(weight @ (centred * y) / (weight @ centred**2))
            d = float(weight @ (curve.y - a * values))
            constants = canonical(form, a, b / half, c - b * middle / half, d)
            cancels = abs(a) * np.ptp(values) + abs(d - curve.y[0]) > _CANCELS * np.ptp(curve.y)
            if np.isfinite(constants).all() and not cancels:
                fits.append(FormFit(form, constants, max(float(error[place]), 0.0)))
    return fits


def canonical(form: Form, a: float, b: float, c: float, d: float) -> tuple[float, float, float, float]:
    """The same a f(b x + c) + d with what is redundant at its simplest: b > 0 and a multiple of a smaller one."""
    a, b, c, d = map(float, (a, b, c, d))
    if form.name == "x":
        return a * b, 1.0, 0.0, a * c + d
    if form.name == "exp":
        return float(a * np.exp(c)), b, 0.0, d
    if form.name == "log" and b:
        return a, float(np.sign(b)), c / abs(b), float(a * np.log(abs(b)) + d)
    if form.degree is not None and b:
        a, b, c = float(a * abs(b) ** form.degree), float(np.sign(b)), c / abs(b)
    if form.name == "sigmoid" and b < 0:  # 1 - sigmoid(-x)
        a, b, c, d = -a, -b, -c, a + d
    if form.parity and b < 0:
        a, b, c = (a if form.parity == "even" else -a), -b, -c
    if form.period:
        half = form.period / 2
        turns = np.rint(c / half)  # sin and cos change sign after half a period
        a, c = float(a * (-1) ** turns), float(c - turns * half)
    return a, b, c, d


@partial(jax.jit, static_argnums=0)
def _of_block(form: Form, x: Any) -> Any:
    return jax.jvp(form.function, (x,), (jnp.ones_like(x),))


def value_and_slope(form: Form, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """f and f' in float64, NaN outside the domain; f' is 0 where f is vertical, as sqrt(x) at 0, and tells no way.

    They are computed for blocks of one length, so that a form is compiled once in a process, whatever the number of
    samples: for curves, starts and whole networks.
    """
    flat = np.asarray(x, np.float64).ravel()
    values, slopes = np.empty((2, *flat.shape))
    with jax.enable_x64(True):
        for start in range(0, flat.size, _BLOCK):
            block = part = flat[start : start + _BLOCK]
            if part.size < _BLOCK:  # filled up with an argument that the function is asked for anyhow
                block = np.full(_BLOCK, part[-1])
                block[: part.size] = part
            # an array of NumPy goes straight into the program; jnp.asarray takes five times as long
            value, slope = _of_block(form, block)
            values[start : start + _BLOCK] = np.asarray(value)[: part.size]
            slopes[start : start + _BLOCK] = np.asarray(slope)[: part.size]
    slopes[np.isfinite(values) & ~np.isfinite(slopes)] = 0
    return values.reshape(x.shape), slopes.reshape(x.shape)


@cache
def _prepare(forms: tuple[Form, ...]) -> None:
    """Compile two forms at a time: XLA leaves the interpreter to others meanwhile."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(_table, forms))


@cache
def _table(form: Form) -> tuple[np.ndarray, np.ndarray]:
    """Starts (b, c) ``[S, 2]`` for u in [-1, 1], and f(b u + c), ``[S, POINTS]``; what is not defined is left out."""
    ends = _argument_ranges(form)
    starts = np.stack([(ends[:, 1] - ends[:, 0]) / 2, (ends[:, 1] + ends[:, 0]) / 2], axis=1)
    u = np.linspace(-1, 1, POINTS)
    values = value_and_slope(form, starts[:, :1] * u + starts[:, 1:])[0]
    usable = np.isfinite(values).all(axis=1) & (np.ptp(values, axis=1) > 0)
    return starts[usable], values[usable]


def _argument_ranges(form: Form) -> np.ndarray:
    """Candidates for the arguments at the two ends of the range, ``[S, 2]``."""
    if form.name == "x":
        return np.array([[-1.0, 1.0]])
    if form.name == "exp":
        widths = np.geomspace(0.05, 30, 24)
        return np.concatenate([np.stack([-widths, widths], 1), np.stack([widths, -widths], 1)])
    if form.period:
        widths, phases = np.geomspace(0.2, 40, 40), np.arange(12) / 12 * form.period
        return np.array([[phase - width, phase + width] for width in widths for phase in phases])
    low, high = form.domain
    if np.isfinite(low) and np.isfinite(high):
        values = (low + high) / 2 + (high - low) / 2 * np.sin(np.linspace(-1, 1, 15) * np.pi / 2.02)
    elif np.isfinite(low):
        values = low + np.geomspace(1e-3, 1e3, 25)
    elif form.pole:
        values = np.geomspace(1e-2, 1e2, 25)
    else:
        values = np.sinh(np.linspace(-1, 1, 29) * 3.2)
    pairs = np.stack(np.meshgrid(values, values, indexing="ij"), axis=-1).reshape(-1, 2)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    if form.pole and not form.parity:
        pairs = np.concatenate([pairs, -pairs])
    if form.parity and not form.pole:
        pairs = pairs[pairs[:, 1] > pairs[:, 0]]
    if form.degree is not None:  # only the ratio counts
        pairs = np.unique(np.round(pairs / np.abs(pairs).max(axis=1, keepdims=True), 9), axis=0)
    return pairs


def _best_starts(form: Form, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The starts with which the form correlates most with ``y``, ``[_STARTS, 2]``."""
    starts, values = _table(form)
    centred = values - (values @ weight)[:, None]
    correlation = (centred @ (weight * y)) ** 2 / np.maximum(centred**2 @ weight, 1e-300)
    order = np.argsort(-correlation)[:_STARTS]
    return np.resize(starts[order], (_STARTS, 2))


def _polished(
    forms: tuple[Form, ...], starts: np.ndarray, u: np.ndarray, y: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(b, c) ``[F, 2]`` of the best of all starts ``[F, S, 2]``, and 1 - R^2 ``[F]``, inf where there is none."""
    now, damping = starts, np.full(starts.shape[:2], 1e-2)
    with np.errstate(all="ignore"):
        cost, matrix, vector = _linearized(forms, now, u, y, weight)
        for _ in range(_STEPS):
            diagonal = np.einsum("fsii->fsi", matrix)
            damped = matrix + damping[..., None, None] * np.eye(2) * (diagonal[..., None] + 1e-12)
            determinant = damped[..., 0, 0] * damped[..., 1, 1] - damped[..., 0, 1] ** 2
            step = np.stack(
                [
                    damped[..., 1, 1] * vector[..., 0] - damped[..., 0, 1] * vector[..., 1],
                    damped[..., 0, 0] * vector[..., 1] - damped[..., 0, 1] * vector[..., 0],
                ],
                axis=-1,
            )
            tried = now + np.where(np.isfinite(step), step / determinant[..., None], 0.0)
            new_cost, new_matrix, new_vector = _linearized(forms, tried, u, y, weight)
            better = new_cost < cost
            chosen = lambda new, old, better=better: np.where(
                better.reshape(*better.shape, *[1] * (new.ndim - 2)), new, old
            )
            now, cost = chosen(tried, now), chosen(new_cost, cost)
            matrix, vector = chosen(new_matrix, matrix), chosen(new_vector, vector)
            damping = np.clip(np.where(better, damping / 4, damping * 5), 1e-12, 1e8)
    cost = np.where(np.isfinite(cost), cost, np.inf)
    best = np.argmin(cost, axis=1)
    places = np.arange(len(forms))
    return now[places, best], cost[places, best]


def _linearized(
    forms: tuple[Form, ...], now: np.ndarray, u: np.ndarray, y: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """1 - R^2 ``[F, S]``, Gauss-Newton matrix ``[F, S, 2, 2]`` and right side ``[F, S, 2]`` at (b, c) ``[F, S, 2]``."""
    arguments = now[..., :1] * u + now[..., 1:]
    pairs = [value_and_slope(form, arguments[place]) for place, form in enumerate(forms)]
    values, slopes = map(np.stack, zip(*pairs, strict=True))
    centred = values - (values @ weight)[..., None]
    square = (centred**2) @ weight
    a = (centred @ (weight * y)) / square
    residual = y - a[..., None] * centred
    columns = np.stack([slopes * u, slopes], axis=-2) * a[..., None, None]
    columns = columns - (columns @ weight)[..., None]
    overlap = np.einsum("fskp,fsp,p->fsk", columns, centred, weight) / square[..., None]
    columns = columns - overlap[..., None] * centred[..., None, :]
    weighted = columns * weight
    cost = np.where(np.isfinite(values).all(axis=-1), residual**2 @ weight, np.inf)
    cost = np.where(np.isfinite(cost), cost, np.inf)
    return cost, weighted @ np.swapaxes(columns, -1, -2), np.einsum("fskp,fsp->fsk", weighted, residual)
