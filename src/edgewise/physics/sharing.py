"""Programs in which nothing is computed twice.

A derivative of a derivative differentiates values and slopes, and so computes the slopes again: order n makes 2^n
streams of values of which n + 1 differ.  A compiler finds that out, from a program that is 2^n as long.  Here equal
operations on equal values are done once before the next derivative is taken, so that no program gets that long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.extend import core
from jax.extend.core.primitives import concatenate_p, custom_jvp_call_p, custom_vjp_call_p, jit_p, slice_p

__all__ = ["once"]

_SMALL = 4096  # numbers of a constant that is compared by what it holds


def once(function: Callable) -> Callable:
    """``function`` of trees of arrays, traced, with every operation done once that it asks for repeatedly.

    Columns that are joined and taken apart again stay apart: what depends on one coordinate is differentiated along
    that one only.
    """

    def shared(*given: Any) -> Any:
        program, shape = jax.make_jaxpr(function, return_shape=True)(*given)
        return jax.tree.unflatten(jax.tree.structure(shape), _Run()(program, jax.tree.leaves(given)))

    return shared


class _Run:
    """What has been computed."""

    def __init__(self):
        self._known: dict[Any, tuple[Sequence[Any], list[Any]]] = {}  # inputs are kept: identities stay theirs
        self._joined: dict[int, tuple[Any, int, Sequence[Any]]] = {}  # what was joined, along which axis, of what

    def __call__(self, program: core.ClosedJaxpr, arrays: Sequence[Any]) -> list[Any]:
        """The outputs of ``program``."""
        jaxpr = program.jaxpr
        values = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*program.consts, *arrays), strict=True))
        read = lambda atoms: [atom.val if isinstance(atom, core.Literal) else values[atom] for atom in atoms]
        for equation in jaxpr.eqns:
            values.update(zip(equation.outvars, self._outputs(jaxpr, equation, read(equation.invars)), strict=True))
        return read(jaxpr.outvars)

    def _outputs(self, jaxpr: core.Jaxpr, equation: core.JaxprEqn, inputs: list[Any]) -> list[Any]:
        if equation.primitive is jit_p and not _has_rules(equation.params["jaxpr"]):
            return self(equation.params["jaxpr"], inputs)  # its operations one by one: some may be known
        if equation.primitive is slice_p and (parts := self._parts(inputs[0], **equation.params)) is not None:
            return parts
        if equation.effects:
            return _done(jaxpr, equation, inputs)
        given = ((atom.aval, _identity(value)) for atom, value in zip(equation.invars, inputs, strict=True))
        key = (equation.primitive, _hashable(equation.params), *given)
        if key not in self._known:
            self._known[key] = inputs, _done(jaxpr, equation, inputs)
        outputs = self._known[key][1]
        if equation.primitive is concatenate_p:
            self._joined[id(outputs[0])] = outputs[0], equation.params["dimension"], inputs
        return outputs

    def _parts(self, array: Any, *, start_indices: Any, limit_indices: Any, strides: Any) -> list[Any] | None:
        """A slice of joined arrays that consists of some of them; None where it does not."""
        if id(array) not in self._joined or strides is not None:
            return None
        _, axis, parts = self._joined[id(array)]
        ends = np.cumsum([0, *(part.shape[axis] for part in parts)]).tolist()
        start, stop = start_indices[axis], limit_indices[axis]
        whole = all(
            (low, high) == (0, size)
            for other, (low, high, size) in enumerate(zip(start_indices, limit_indices, array.shape, strict=True))
            if other != axis
        )
        if not whole or start == stop or start not in ends or stop not in ends:
            return None
        chosen = [part for part in parts[ends.index(start) : ends.index(stop)] if part.shape[axis]]
        if len(chosen) == 1:
            return chosen
        joined = jnp.concatenate(chosen, axis=axis)
        self._joined[id(joined)] = joined, axis, chosen
        return [joined]


def _done(jaxpr: core.Jaxpr, equation: core.JaxprEqn, inputs: list[Any]) -> list[Any]:
    """The outputs of one operation of a program."""
    given = {atom: value for atom, value in zip(equation.invars, inputs, strict=True) if isinstance(atom, core.Var)}
    alone = jaxpr.replace(constvars=[], invars=list(given), outvars=equation.outvars, eqns=[equation])
    return core.jaxpr_as_fun(core.ClosedJaxpr(alone, ()))(*given.values())


def _has_rules(program: core.ClosedJaxpr) -> bool:
    """Whether it calls functions with derivatives of their own: they are known to be the same while they stay in it."""
    return any(equation.primitive in (custom_jvp_call_p, custom_vjp_call_p) for equation in program.jaxpr.eqns)


def _hashable(params: dict[str, Any]) -> Any:
    """Parameters that are equal where they do the same; functions are, where they are the same."""
    found = tuple(sorted(params.items(), key=lambda item: item[0]))
    try:
        hash(found)
    except TypeError:
        return id(params)
    return found


def _identity(value: Any) -> Any:
    """Equal for equal values: traced ones by identity, small constants by what they hold."""
    if isinstance(value, Tracer) or np.size(value) > _SMALL or not _readable(value):
        return id(value)
    array = np.asarray(value)
    return array.shape, array.tobytes()


def _readable(value: Any) -> bool:
    """Whether it is numbers, all of them on this machine."""
    dtype = jnp.result_type(value)
    numbers = jnp.issubdtype(dtype, jnp.number) or dtype == jnp.bool_
    return numbers and getattr(value, "is_fully_addressable", True)
