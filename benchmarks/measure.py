"""Timing that survives a shared machine: alternating runs, medians, and ratios within one process."""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # processes that share a GPU take what they need

import jax

__all__ = ["alternate", "fill", "machine", "markdown", "median", "ratio", "run_script", "temporary_bytes"]

median = statistics.median


def alternate(
    functions: Mapping[str, Callable[[], Any]], *, rounds: int, seconds: float, calls: int = 1
) -> dict[str, list[float]]:
    """Wall seconds of each function, called in turn for up to ``rounds`` or ``seconds``, after one warm-up call.

    ``calls`` follow one another before the clock is read: a GPU works through them while Python prepares the next.
    """
    for function in functions.values():
        jax.block_until_ready(function())
    times: dict[str, list[float]] = {name: [] for name in functions}
    begin = time.perf_counter()
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            for _ in range(calls - 1):
                function()
            jax.block_until_ready(function())
            times[name].append((time.perf_counter() - start) / calls)
        if time.perf_counter() - begin > seconds and min(map(len, times.values())) >= 5:
            break
    return times


def ratio(times: Mapping[str, list[float]], name: str, reference: str) -> float:
    """Median over rounds of the ratio of two functions timed in the same round."""
    return median(a / b for a, b in zip(times[name], times[reference], strict=True))


def temporary_bytes(function: Callable, *arguments: Any) -> int:
    """XLA's own figure of the temporary memory of a compiled function."""
    analysis: Any = jax.jit(function).lower(*arguments).compile().memory_analysis()
    return analysis.temp_size_in_bytes


def fill(code: str, **values: Any) -> str:
    """A script with values in the place of their names in capitals."""
    for name, value in values.items():
        code = re.sub(rf"\b{name}\b", lambda _, value=value: str(value), code)
    return code


def run_script(code: str, *, env: Mapping[str, str] | None = None) -> tuple[Any, float]:
    """Run Python code in a fresh process: the JSON on its last line of output, and the wall seconds of the process."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**os.environ, **(env or {})}
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.strip().splitlines()[-1]), time.perf_counter() - start


def machine() -> str:
    """Processor, cores, the device if it is another, and the versions that matter, in one line."""
    model = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as lines:
            model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    if jax.default_backend() != "cpu":
        model = f"{jax.devices()[0].device_kind}; {model}"
    packages = ", ".join(f"{name} {version(name)}" for name in ("jax", "flax", "optax", "jaxkan"))
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, {packages}"


def markdown(header: list[str], rows: list[list[Any]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
