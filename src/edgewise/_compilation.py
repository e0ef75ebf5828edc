"""How a program is compiled, where the default of XLA is not the best."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import update_wrapper
from typing import Any
from weakref import WeakKeyDictionary

import jax
import numpy as np
from jax.extend import core
from jax.extend.core import primitives

__all__ = ["CompiledBySize", "Filling", "compiled_for_few_runs", "operations"]

_SMALL = 2_500_000  # numbers computed, above which two and more cores are faster than one
_ON_ONE_CORE = {"xla_disable_hlo_passes": "cpu-parallel-task-assigner"}

_counted: WeakKeyDictionary[core.Jaxpr, int] = WeakKeyDictionary()  # a chunk of steps does not count them again


def compiled_for_few_runs(function: Callable, **options: Any) -> Callable:
    """``jax.jit`` for a program that runs once or twice: on a CPU, compilation is the bill, and half of it is saved."""
    quickly = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
    return jax.jit(function, compiler_options=quickly, **options)


class Filling:
    """``jax.jit`` for a function that most often does no more than fill arrays and pass its own on: NumPy's then.

    The state of an optimizer before its first step is made so.  Its program would be used once, and take 7 ms to trace,
    lower and load where it is in a cache, or 30 to compile.

    Args:
        function: of arrays, and as its last argument of something static.
        static: the number of that argument.
    """

    def __init__(self, function: Callable, *, static: int):
        self._compiled, self._static = jax.jit(function, static_argnums=static), static

    def __call__(self, *arguments: Any) -> Any:
        traced = self._compiled.trace(*arguments)
        program = traced.jaxpr
        if any(each.primitive is not primitives.broadcast_in_dim_p for each in program.eqns):
            return self._compiled(*arguments)
        known = dict(zip(program.jaxpr.invars, jax.tree.leaves(arguments[: self._static]), strict=True))
        known |= zip(program.jaxpr.constvars, program.consts, strict=True)

        def value(each: Any) -> Any:
            return np.asarray(each.val, each.aval.dtype) if hasattr(each, "val") else known[each]

        for each in program.eqns:
            known[each.outvars[0]] = _broadcast(value(each.invars[0]), **each.params)
        # each in memory of its own, to be written to: arrays of NumPy become JAX's where they are
        own = lambda leaf: np.array(leaf) if isinstance(leaf, np.ndarray) else leaf
        filled = [own(value(each)) for each in program.jaxpr.outvars]
        return jax.device_put(jax.tree.unflatten(jax.tree.structure(traced.out_info), filled), may_alias=False)


def _broadcast(values: Any, shape: Sequence[int], broadcast_dimensions: Sequence[Any], **_: Any) -> np.ndarray:
    aligned = np.ones(len(shape), int)
    aligned[list(broadcast_dimensions)] = np.shape(values)
    return np.broadcast_to(np.reshape(values, aligned), shape)


class CompiledBySize:
    """``jax.jit`` that leaves each kernel of a small program on one core of the CPU; products stay divided.

    XLA divides kernels among the cores from some ten thousand numbers on, and waits 10 to 20 microseconds for the last
    core: more than most of them take.  The figures are in ``benchmarks/README.md``.
    """

    def __init__(self, function: Callable, **options: Any):
        self.divided = jax.jit(function, **options)
        self.undivided = jax.jit(function, compiler_options=_ON_ONE_CORE, **options)
        update_wrapper(self, function)

    def __call__(self, *arguments: Any) -> Any:
        # the trace is kept: the program that is called does not repeat it
        small = jax.default_backend() == "cpu" and _numbers(self.divided.trace(*arguments).jaxpr.jaxpr) <= _SMALL
        return (self.undivided if small else self.divided)(*arguments)


def _numbers(program: core.Jaxpr) -> int:
    """How many numbers a program computes, in one round of each of its loops, but for products of matrices."""
    if program not in _counted:
        elementwise = [each for each in operations(program) if each.primitive.name != "dot_general"]
        _counted[program] = sum(getattr(result.aval, "size", 0) for each in elementwise for result in each.outvars)
    return _counted[program]


def operations(program: core.Jaxpr) -> Iterator[core.JaxprEqn]:
    """All operations of a program, those of programs inside of it instead of the calls."""
    for equation in program.eqns:
        inner = list(_programs(equation.params.values()))
        yield from [equation] if not inner else (each for part in inner for each in operations(part))


def _programs(values: Iterable[Any]) -> Iterator[core.Jaxpr]:
    """Those among ``values``, and in tuples among them: branches, say."""
    for value in values:
        if isinstance(value, core.ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, core.Jaxpr):
            yield value
        elif isinstance(value, (tuple, list)):
            yield from _programs(value)
