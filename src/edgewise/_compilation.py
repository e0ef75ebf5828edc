"""How a program is compiled, where the default of XLA is not the best."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

__all__ = ["compiled_for_few_runs"]


def compiled_for_few_runs(function: Callable, **options: Any) -> Callable:
    """``jax.jit`` for a program that runs once or twice: on a CPU, compilation is the bill, and half of it is saved."""
    quickly = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
    return jax.jit(function, compiler_options=quickly, **options)
