"""The sum that a layer is, and all its derivatives, as three operations of JAX with compiled kernels.

With points x, and a derivative of some order of the modes B_m, let

    T(x; w, c, g) = sum over b, m, i, o of  w[b, i] B_m(x[b, i]) c[m, i, o] g[b, o].

It is linear in each of w, c and g, so that its gradients with respect to these are three operations of the other two:

    ``outputs``       dT/dg [batch, n_out]       of x, w and c: a layer, where w = 1; added to ``start``
    ``coefficients``  dT/dc [M, n_in, n_out]     of x, w and g: the gradient of its coefficients
    ``weights``       dT/dw [batch, n_in]        of x, c and g: that of its inputs, for modes differentiated once more

The transpose of one with respect to w, c or g is another; a change of x is a change of w, of modes of a higher order.
So derivatives of every order, forward and backward, are sums of these three.

All arrays have a leading axis of models, of length 1 where one serves all of them; ``jax.vmap`` makes it longer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial, reduce
from operator import add
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from edgewise.bases.compiled import Compiled, Rate

__all__ = ["FAMILIES", "layer_sum"]

FAMILIES = ("polynomials", "splines", "waves", "gaussians", "swish")
"""In the order of ``families.h``."""

_OPERANDS = {
    "outputs": ("x", "w", "c", "start", "table"),
    "coefficients": ("x", "w", "g", "table"),
    "weights": ("x", "c", "g", "table"),
}
_PRIMITIVES = {name: Primitive(f"edgewise_{name}") for name in _OPERANDS}
_GRADIENT = {"g": "outputs", "c": "coefficients", "w": "weights"}
_RESULT = {name: of for of, name in _GRADIENT.items()}

_EVERYWHERE = np.ones((1, 1, 1), np.float32)  # a weight of 1, which the kernels leave out
_NOTHING = np.zeros((1, 1, 0), np.float32)  # to start from


def layer_sum(basis: Compiled, x: Array, table: Array, coef: Array, first: int, start: Array | None) -> Array:
    """start + sum_m B_m(x) coef_m, ``[batch, n_in]`` to ``[batch, n_out]``, all float32.

    Args:
        table: ``basis.compiled_table(state)``.
        coef: of the modes from number ``first`` on, ``[K, n_in, n_out]``.
        start: ``[batch, n_out]``, ``[n_out]`` or None for 0.
    """
    begin = _NOTHING if start is None else start.reshape(1, -1, coef.shape[-1])
    operands = {"x": x[None], "w": _EVERYWHERE, "c": coef[None], "start": begin, "table": table[None]}
    return _call("outputs", operands, basis=basis, first=first, order=0)[0]


def _call(name: str, operands: dict[str, Any], **static: Any) -> Array:
    return _PRIMITIVES[name].bind(*(operands[each] for each in _OPERANDS[name]), **static)


def _abstract(name, *values, basis, first, order):
    shapes = {each: value.shape for each, value in zip(_OPERANDS[name], values, strict=True)}
    models = max(shape[0] for shape in shapes.values())
    batch, n_in = shapes["x"][1:]
    if name == "outputs":
        shape = (models, batch, shapes["c"][-1])
    elif name == "coefficients":
        shape = (models, basis.size - first, n_in, shapes["g"][-1])
    else:
        shape = (models, batch, n_in)
    return ShapedArray(shape, values[0].dtype)


def _native(name, *values, basis, first, order):
    result = _abstract(name, *values, basis=basis, first=first, order=order)
    return jax.ffi.ffi_call(f"edgewise_{name}", jax.ShapeDtypeStruct(result.shape, result.dtype))(
        *values,
        kind=np.int64(FAMILIES.index(basis.compiled_as)),
        first=np.int64(first),
        size=np.int64(basis.size),
        constants=np.asarray(basis.compiled_constants(order), np.float32),
    )


@cache  # so that calls outside of compiled code are compiled once
def _compiled(name: str, **static: Any) -> Callable:
    return jax.jit(partial(_PRIMITIVES[name].bind, **static))


def _rates(name, primals, tangents, *, basis, first, order):
    operands = dict(zip(_OPERANDS[name], primals, strict=True))
    changes = {
        each: change for each, change in zip(_OPERANDS[name], tangents, strict=True) if not isinstance(change, ad.Zero)
    }
    call = partial(_call, name, basis=basis, first=first)
    value, terms = call(operands, order=order), []
    if "start" in operands:
        operands["start"] = _NOTHING
        if "start" in changes and "c" not in changes:
            terms.append(jnp.broadcast_to(changes["start"], value.shape))
    for each in ("w", "c", "g"):
        if each in changes:
            with_it = {"start": changes["start"]} if each == "c" and "start" in changes else {}
            terms.append(call(operands | {each: changes[each]} | with_it, order=order))
    if "x" in changes or "table" in changes:
        of_modes = basis.compiled_rates(order, operands["x"], changes.get("x"), operands["table"], changes.get("table"))
        terms += [_at_rate(name, call, operands, rate, first) for rate in of_modes]
    return value, reduce(add, terms) if terms else jnp.zeros_like(value)


def _at_rate(name: str, call: Callable, operands: dict[str, Any], rate: Rate, first: int) -> Array:
    """The operation with a factor for every point, and one for every mode of a node: on what has these axes."""
    of_mode = None if rate.mode is None else rate.mode[:, first:, :, None]
    factors = {each: factor for each, factor in (("w", rate.point), ("c", of_mode)) if factor is not None}
    scaled = {each: factor * operands[each] for each, factor in factors.items() if each in operands}
    result = call(operands | scaled, order=rate.order)
    return factors[_RESULT[name]] * result if _RESULT[name] in factors else result


def _transposed(name, cotangent, *values, basis, first, order):
    operands = dict(zip(_OPERANDS[name], values, strict=True))
    wanted = [each for each, value in operands.items() if ad.is_undefined_primal(value)]
    known = {each: value for each, value in operands.items() if each not in wanted}
    gradients = {}
    if not isinstance(cotangent, ad.Zero):
        known = {"start": _NOTHING} | known | {_RESULT[name]: cotangent}
        for each in wanted:
            if each == "start":
                gradient = cotangent
            else:
                gradient = _call(_GRADIENT[each], known, basis=basis, first=first, order=order)
            # an array that serves all models, or all samples, has the gradients of all of them
            sizes = zip(operands[each].aval.shape, gradient.shape, strict=True)
            shared = [axis for axis, (size, among) in enumerate(sizes) if size < among]
            gradients[each] = gradient.sum(shared, keepdims=True) if shared else gradient
    return [gradients.get(each) for each in operands]


def _batched(name, values: Sequence[Any], dims: Sequence[int | None], *, basis, first, order):
    """One more axis of models, put before theirs; where all have the same coefficients, more samples instead."""
    names, bind = _OPERANDS[name], partial(_PRIMITIVES[name].bind, basis=basis, first=first, order=order)
    (size,) = {value.shape[dim] for value, dim in zip(values, dims, strict=True) if dim is not None}
    moved = [
        value[None] if dim is None else jnp.moveaxis(value, dim, 0) for value, dim in zip(values, dims, strict=True)
    ]
    models = max(value.shape[1] for value in moved)
    own = {each for each, dim in zip(names, dims, strict=True) if dim is not None}
    if models == 1 and "c" in names and not own & {"c", "table"}:
        return _as_samples(names, size, moved, bind), 0
    if models > 1:  # each of the two axes of models, where there is one
        moved = [
            jnp.broadcast_to(value, (size, models, *value.shape[2:])) if max(value.shape[:2]) > 1 else value
            for value in moved
        ]
    result = bind(*(value.reshape(value.shape[0] * value.shape[1], *value.shape[2:]) for value in moved))
    return result.reshape(size, models, *result.shape[1:]), 0


def _as_samples(names: tuple[str, ...], size: int, moved: list[Any], bind: Callable) -> Array:
    """Models that differ in nothing but their samples, as one with all of these."""
    batch = moved[names.index("x")].shape[2]

    def joined(each: str, value: Any) -> Any:
        one_for_all = value.shape[:3] == (1, 1, 1) and each in ("w", "start")
        if each in ("c", "table") or one_for_all:
            return value[0]
        return jnp.broadcast_to(value, (size, 1, batch, value.shape[-1])).reshape(1, size * batch, value.shape[-1])

    result = bind(*map(joined, names, moved))
    return result.reshape(size, 1, batch, result.shape[-1])


for _name, _primitive in _PRIMITIVES.items():
    _primitive.def_impl(lambda *values, _name=_name, **static: _compiled(_name, **static)(*values))
    _primitive.def_abstract_eval(partial(_abstract, _name))
    mlir.register_lowering(_primitive, mlir.lower_fun(partial(_native, _name), multiple_results=False), platform="cpu")
    ad.primitive_jvps[_primitive] = partial(_rates, _name)
    ad.primitive_transposes[_primitive] = partial(_transposed, _name)
    batching.primitive_batchers[_primitive] = partial(_batched, _name)
