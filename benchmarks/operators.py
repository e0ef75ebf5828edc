"""Operators: residuals of differential equations, against nested `jax.grad` under `vmap`."""

from __future__ import annotations

import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import edgewise as ew
from benchmarks.measure import alternate, markdown, median, ratio
from edgewise.bases import Basis
from edgewise.physics.operators import taylor, time_derivative

POINTS = 4096
MODELS: dict[str, dict[str, Any]] = {
    "Chebyshev D=5": {"basis": ew.Chebyshev(5), "residual": None},
    "Chebyshev D=5, SiLU branch": {"basis": ew.Chebyshev(5)},
    "cubic spline G=5": {"basis": ew.BSpline(3, 5), "residual": None},
    "cubic spline G=5, SiLU branch": {"basis": ew.BSpline(3, 5)},
}


def allen_cahn(u: Any, u_t: Any, u_x: Any, u_xx: Any) -> Any:
    """u_t - 1e-4 u_xx - 5 (u - u^3)."""
    return u_t - 1e-4 * u_xx - 5 * (u - u**3)


def burgers(u: Any, u_t: Any, u_x: Any, u_xx: Any) -> Any:
    """u_t + u u_x - (0.01 / pi) u_xx."""
    return u_t + u * u_x - 0.01 / np.pi * u_xx


EQUATIONS = {"Allen-Cahn": allen_cahn, "Burgers": burgers}


def ours(model: Any, x: Any, equation: Any) -> Any:
    """The residual by the operators, ``[n, 1]``."""
    u, u_x, u_xx = taylor(model, x, 1, 2)
    return equation(u, time_derivative(model, x), u_x, u_xx)


def nested(model: Any, x: Any, equation: Any) -> Any:
    """The residual by reverse mode, one point at a time, ``[n, 1]``."""

    def at(t, s):
        return model(jnp.stack([t, s])[None])[0, 0]

    def one(p):
        slope = jax.grad(at, 1)
        return equation(at(*p), jax.grad(at, 0)(*p), slope(*p), jax.grad(slope, 1)(*p))

    return jax.vmap(one)(x)[:, None]


def case(name: str, equation: str, dtype: Any, rounds: int, seconds: float) -> list[str]:
    """A row of the table: one model on one equation."""
    model = ew.KAN([2, 8, 8, 1], **MODELS[name], param_dtype=dtype, rngs=nnx.Rngs(0))
    x = jnp.asarray(np.random.default_rng(0).uniform([0, -1], [1, 1], (POINTS, 2)), dtype)
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    cells = [f"{name}, {jnp.dtype(dtype).name}", equation]
    for backward in (False, True):
        programs: dict[str, Any] = {}
        for way in (ours, nested):
            residual = lambda p, x, way=way: way(nnx.merge(graphdef, p, rest), x, EQUATIONS[equation])
            loss = lambda p, x, residual=residual: jnp.mean(residual(p, x) ** 2)
            programs[way.__name__] = jax.jit(jax.value_and_grad(loss) if backward else residual)
        first, second = (np.asarray(jax.tree.leaves(program(params, x))[0]) for program in programs.values())
        if not np.allclose(first, second, rtol=1e-3, atol=1e-3 * np.abs(second).max()):
            raise RuntimeError(f"{name}, {equation}: the two ways differ.")
        calls = {n: (lambda program=program: program(params, x)) for n, program in programs.items()}
        times = alternate(calls, rounds=rounds, seconds=seconds)
        cells += [
            " / ".join(f"{1e3 * median(times[n]):.2f}" for n in programs),
            f"{ratio(times, 'nested', 'ours'):.2f}",
        ]
    return cells


class Plain(ew.Fourier):
    """A Fourier series whose recurrence is differentiated like anything else."""

    blocks = Basis.blocks


def fourth(order: int, rounds: int, seconds: float) -> list[str]:
    """A row of the table of u_xxxx: what it takes to compile and to compute, with and without the rule of Fourier."""
    with jax.enable_x64(True):
        x = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (POINTS, 2)))
        calls, compiled = {}, []
        for basis in (ew.Fourier, Plain):
            bases = [ew.Chebyshev(8, squash=None), basis(order, period=2.0)]
            model = ew.models.SeparableKAN(bases, 1, rank=6, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
            graphdef, params, rest = nnx.split(model, nnx.Param, ...)
            start = time.perf_counter()
            residual = jax.jit(lambda p, x, g=graphdef, r=rest: taylor(nnx.merge(g, p, r), x, 1, 4)[4])
            program = residual.lower(params, x).compile()
            compiled.append(time.perf_counter() - start)
            calls[basis.__name__] = lambda program=program, params=params: program(params, x)
        first, second = (np.asarray(call()) for call in calls.values())
        if not np.allclose(first, second, rtol=1e-6, atol=1e-9 * np.abs(second).max()):
            raise RuntimeError(f"Fourier({order}): the two ways differ.")
        times = alternate(calls, rounds=rounds, seconds=seconds)
    cells = [
        f"{compiled[0]:.1f} / {compiled[1]:.1f}",
        " / ".join(f"{1e3 * median(each):.1f}" for each in times.values()),
    ]
    return [f"Fourier({order})", *cells, f"{ratio(times, 'Plain', 'Fourier'):.2f}"]


def main(quick: bool) -> str:
    """Both equations on every model in both precisions, and a fourth derivative; quick: one of each."""
    names, equations = (list(MODELS)[:1], ["Burgers"]) if quick else (list(MODELS), list(EQUATIONS))
    rounds, seconds = (10, 1.0) if quick else (100, 4.0)
    rows = []
    for double in [False] if quick else [False, True]:
        with jax.enable_x64(double):
            dtype = jnp.float64 if double else jnp.float32
            rows += [case(name, equation, dtype, rounds, seconds) for name in names for equation in equations]
    header = ["[2, 8, 8, 1]", "residual", "value, ms", "ratio", "value and gradient, ms", "ratio"]
    first = f"{POINTS} points; milliseconds are ours / nested, ratios nested over ours.\n\n" + markdown(header, rows)
    high = [fourth(order, rounds, seconds) for order in ([4] if quick else [8, 20, 40])]
    head = ["u_xxxx, Chebyshev(8) x", "tracing and compilation, s", "ms", "ratio"]
    return f"{first}\n\nBy turned waves / by the recurrence itself.\n\n{markdown(head, high)}"


if __name__ == "__main__":
    print(main("--quick" in sys.argv))
