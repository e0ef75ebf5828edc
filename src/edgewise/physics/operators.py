"""Differential operators of u at points, by forward mode.

u is a function of points ``[n, d]`` with values ``[n, m]``, a model or any other, whose every row depends on its own
point only; x are the points.  All operators return ``[n, m]`` or more axes, never ``[n]``, inside and outside of
compiled code, and differentiate with respect to the parameters of u.

A derivative pushes a tangent of the whole batch through u, one such pass inside another for each order (Griewank and
Walther, Evaluating Derivatives, 2008, ch. 3 and 13), along one column of the points.  What a pass computes again is
done once (:mod:`edgewise.physics.sharing`), so that order n costs n + 1 streams of values; operators of the same u at
the same x share what they have in common once they are compiled together.  u is traced, as by ``jax.jit``.
"""
# Pushing all axes at once (vmap over tangents) takes 2 to 7 times as long on a CPU, since it turns the products of a
# layer into batched ones.  `jax.experimental.jet` refuses Hermite, Fourier, radial, sine, wavelet, bump and uniform
# spline families, is slower at order 3 and level at order 4 for polynomials, and ignores custom derivatives, so that it
# would be wrong, without a word, at the kinks of other functions.

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from edgewise.errors import EdgewiseError, ShapeError, check_count
from edgewise.physics.sharing import once

__all__ = [
    "curl",
    "derivative",
    "divergence",
    "grad",
    "hessian_diag",
    "laplacian",
    "taylor",
    "time_derivative",
]


def derivative(u: Any, x: Any, *axes: Any) -> Array:
    """d/dx_a1 d/dx_a2 ... u, ``[n, m]``: ``derivative(u, x, 1, 1)`` is u_xx where x is axis 1, no axis gives u itself.

    Raises ``ShapeError`` for points that are not ``[n, d]`` and values that are not ``[n, m]``, ``EdgewiseError`` for
    an axis that is not there; all operators do.
    """
    u, x = _checked(u, x)
    # in one order, so that d/dx d/dt is the same program as d/dt d/dx
    return _derivative(u, x, *sorted(_axis(a, x) for a in axes))


def taylor(u: Any, x: Any, axis: Any, order: Any) -> tuple[Array, ...]:
    """u and its derivatives along one axis up to an ``order``, in one pass: ``order`` + 1 arrays ``[n, m]``.

    >>> u_, u_x, u_xx = taylor(u, x, 1, 2)
    """
    u, x = _checked(u, x)
    axis, order = _axis(axis, x), check_count("order", order, 0)
    orders = _of_columns(lambda x: (u(x),))
    for _ in range(order):
        orders = _along(orders, axis, lambda values, slopes: (*values, slopes[-1]))
    return orders(*_columns(x))


def grad(u: Any, x: Any, axes: Any = None) -> Array:
    """du_i/dx_a, ``[n, m, d']``, along d' ``axes``, all by default."""
    u, x = _checked(u, x)
    return jnp.stack([_derivative(u, x, axis) for axis in _axes(axes, x)], axis=-1)


def divergence(u: Any, x: Any, axes: Any = None) -> Array:
    """sum_i du_i/dx_a(i), ``[n, 1]``: component i of u goes with the i-th of ``axes``, all by default.

    Raises ``ShapeError`` where there are not as many components as axes.
    """
    slopes = _square(grad(u, x, axes), "divergence")
    return jnp.sum(jnp.diagonal(slopes, axis1=1, axis2=2), axis=1, keepdims=True)


def curl(u: Any, x: Any, axes: Any = None) -> Array:
    """The rotation of a field of two or three components along as many ``axes``, all by default.

    ``[n, 1]``, du_2/dx_1 - du_1/dx_2, in the plane, and ``[n, 3]`` in space.
    Raises ``ShapeError`` for other numbers of axes, or of components.
    """
    slopes = _square(grad(u, x, axes), "curl")
    turn = lambda i, j: slopes[:, j, i] - slopes[:, i, j]
    if slopes.shape[1] == 2:
        return turn(0, 1)[:, None]
    if slopes.shape[1] == 3:
        return jnp.stack([turn(1, 2), turn(2, 0), turn(0, 1)], axis=1)
    raise ShapeError(
        f"curl along {slopes.shape[1]} axes.",
        "a rotation has two or three of them.",
        "choose them: curl(u, x, axes=(1, 2)).",
    )


def hessian_diag(u: Any, x: Any, axes: Any = None) -> Array:
    """d2u_i/dx_a2, ``[n, m, d']``, along d' ``axes``, all by default."""
    u, x = _checked(u, x)
    return jnp.stack([_derivative(u, x, axis, axis) for axis in _axes(axes, x)], axis=-1)


def laplacian(u: Any, x: Any, axes: Any = None) -> Array:
    """sum_a d2u/dx_a2, ``[n, m]``, over ``axes``, all by default: leave out time, say ``axes=(1, 2)``."""
    u, x = _checked(u, x)
    first, *others = (_derivative(u, x, axis, axis) for axis in _axes(axes, x))
    return sum(others, start=first)


def time_derivative(u: Any, x: Any, order: Any = 1, axis: Any = 0) -> Array:
    """d^order u/dt^order, ``[n, m]``, t being the first axis by default."""
    return derivative(u, x, *[axis] * check_count("order", order, 0))


def _derivative(u: Callable[[Array], Array], x: Array, *axes: int) -> Array:
    """The derivative along ``axes``, one after the other."""
    found = _of_columns(u)
    for axis in axes:
        found = _along(found, axis, lambda _, slope: slope)
    return found(*_columns(x))


def _along(u: Callable, axis: int, chosen: Callable) -> Callable:
    """Of u, a function of columns, what is ``chosen`` from its values and slopes along one of them."""

    def found(*columns: Array) -> Any:
        of_one = lambda column: u(*columns[:axis], column, *columns[axis + 1 :])
        return chosen(*jax.jvp(of_one, (columns[axis],), (jnp.ones_like(columns[axis]),)))

    return once(found)


def _of_columns(u: Callable[[Array], Any]) -> Callable:
    """u as a function of the columns of its points."""
    return once(lambda *columns: u(columns[0] if len(columns) == 1 else jnp.concatenate(columns, axis=1)))


def _columns(x: Array) -> list[Array]:
    """``[n, d]`` as d columns ``[n, 1]``."""
    return [x[:, axis : axis + 1] for axis in range(x.shape[1])]


def _checked(u: Any, x: Any) -> tuple[Callable[[Array], Array], Array]:
    """u with its values looked at, and the points as floating-point numbers ``[n, d]``."""
    if not callable(u):
        raise EdgewiseError(
            f"u={type(u).__name__} cannot be called.",
            "an operator evaluates u at the points.",
            "pass the model or the function itself, not its values.",
        )
    x = jnp.asarray(x)
    if x.ndim != 2 or not x.shape[1]:
        raise ShapeError(f"points of shape {x.shape}.", "points are [n, d], one a row.", "pass say x[:, None].")
    if not jnp.issubdtype(x.dtype, jnp.floating):
        x = x.astype(jnp.result_type(float))

    def values(x: Array) -> Array:
        y = u(x)
        shape = jnp.shape(y) if isinstance(y, (Array, np.ndarray, float, int)) else None
        if shape is None or len(shape) != 2 or shape[0] != x.shape[0]:
            raise _wrong_values(y, shape, x.shape[0])
        return jnp.asarray(y)

    return values, x


def _wrong_values(y: Any, shape: tuple[int, ...] | None, count: int) -> ShapeError:
    if shape is None:
        return ShapeError(f"u returned a {type(y).__name__}.", do="return one array [n, m].")
    if shape == (count,):
        return ShapeError(
            f"u returned shape {shape} for {count} points.",
            f"values are [n, m]: [n] beside [n, 1] broadcasts to [n, n] without a word, here ({count}, {count}).",
            "return u[:, None], and take columns as x[:, 1:2], not x[:, 1].",
        )
    return ShapeError(
        f"u returned shape {shape} for {count} points.",
        "values are [n, m], a row for each point.",
        "return an array of one row a point, say jnp.concatenate([a, b], axis=1) of columns [n, 1].",
    )


def _square(slopes: Array, name: str) -> Array:
    if slopes.shape[1] != slopes.shape[2]:
        raise ShapeError(
            f"{name} of {slopes.shape[1]} components along {slopes.shape[2]} axes.",
            "every component of u goes with one axis.",
            f"choose as many axes as u has components, say {name}(u, x, axes={tuple(range(1, slopes.shape[1] + 1))}).",
        )
    return slopes


def _axis(axis: Any, x: Array) -> int:
    """``axis`` counted from the first."""
    d = x.shape[1]
    if isinstance(axis, bool) or not hasattr(axis, "__index__") or not -d <= axis.__index__() < d:
        raise EdgewiseError(
            f"axis {axis!r} of points [n, {d}].",
            f"valid axes: {', '.join(map(str, range(d)))}; the last one is also -1.",
            "count axes from 0, in the order of the columns of x.",
        )
    return axis.__index__() % d


def _axes(axes: Any, x: Array) -> list[int]:
    """The chosen axes, different ones, all where ``axes`` is None."""
    if axes is None:
        return list(range(x.shape[1]))
    chosen = [_axis(a, x) for a in (axes if isinstance(axes, Iterable) else [axes])]
    if not chosen or len(set(chosen)) < len(chosen):
        raise EdgewiseError(
            f"axes={axes!r} are not different axes.", do=f"pass some of {', '.join(map(str, range(x.shape[1])))}."
        )
    return chosen
