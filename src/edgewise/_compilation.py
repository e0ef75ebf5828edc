"""How a program is compiled, where the default of XLA is not the best."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, update_wrapper
from typing import Any

import jax
from jax.extend import core

__all__ = ["CompiledBySize", "compiled_for_few_runs", "operations"]

_SMALL = 2_500_000  # numbers computed, above which two and more cores are faster than one
_ON_ONE_CORE = {"xla_disable_hlo_passes": "cpu-parallel-task-assigner"}


def compiled_for_few_runs(function: Callable, **options: Any) -> Callable:
    """``jax.jit`` for a program that runs once or twice: on a CPU, compilation is the bill, and half of it is saved."""
    quickly = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
    return jax.jit(function, compiler_options=quickly, **options)


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


@lru_cache(maxsize=64)
def _numbers(program: core.Jaxpr) -> int:
    """How many numbers a program computes, in one round of each of its loops, but for products of matrices."""
    counted = [each for each in operations(program) if each.primitive.name != "dot_general"]
    return sum(getattr(result.aval, "size", 0) for each in counted for result in each.outvars)


def operations(program: core.Jaxpr) -> Iterator[core.JaxprEqn]:
    """All operations of a program, those of programs inside of it instead of the calls."""
    for equation in program.eqns:
        inner = list(core.jaxprs_in_params(equation.params))
        yield from [equation] if not inner else (each for part in inner for each in operations(part))
