"""Construction of a network under every scheme, and compilation of a training step, against jaxKAN."""

from __future__ import annotations

import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxkan.models.KAN import KAN as JaxKAN

import edgewise as ew
from benchmarks.measure import markdown, median


def construction(width: int, repeats: int) -> str:
    """Milliseconds to construct KAN [width] * 3 of cubic splines, G = 5, warm; and the ratio to ``Default``."""
    times: dict[str, list[float]] = {name: [] for name in ew.init.SCHEMES}
    for round_ in range(repeats + 1):
        for name, seconds in times.items():
            start = time.perf_counter()
            model = ew.KAN([width] * 3, ew.BSpline(3, 5), init=name, rngs=nnx.Rngs(round_))
            jax.block_until_ready(nnx.state(model))
            if round_:
                seconds.append(time.perf_counter() - start)
    reference = times["default"]
    rows = [
        [name, f"{1e3 * median(t):.0f}", f"{median(a / b for a, b in zip(t, reference, strict=True)):.2f}"]
        for name, t in times.items()
    ]
    return markdown(["scheme", "ms", "against default"], rows)


def _compile_seconds(model) -> float:
    """Tracing and compiling one Adam step on 1024 samples, the library's own start-up left out."""
    graphdef, parameters, rest = nnx.split(model, nnx.Param, ...)
    tx = optax.adam(1e-3)
    opt = tx.init(parameters)
    x = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (1024, 64)), jnp.float32)

    def step(parameters, opt, x):
        loss = lambda p: jnp.mean(nnx.merge(graphdef, p, rest)(x) ** 2)
        value, gradients = jax.value_and_grad(loss)(parameters)
        updates, opt = tx.update(gradients, opt, parameters)
        return optax.apply_updates(parameters, updates), opt, value

    start = time.perf_counter()
    jax.jit(step).lower(parameters, opt, x).compile()
    return time.perf_counter() - start


def compilation(repeats: int) -> str:
    """Seconds to compile the training step of [64, 64, 64], alternating with jaxKAN's."""
    cases = {
        "Chebyshev D=5": (ew.Chebyshev(5), None, "chebyshev", {"D": 5}),
        "cubic spline G=5": (ew.BSpline(3, 5), "silu", "spline", {"k": 3, "G": 5}),
        "cubic spline G=20": (ew.BSpline(3, 20), "silu", "spline", {"k": 3, "G": 20}),
        "Fourier 5": (ew.Fourier(5), None, "fourier", {"D": 5}),
        "radial 8": (ew.RBF(8), None, "rbf", {"D": 8}),
    }
    rows = []
    for name, (basis, residual, kind, options) in cases.items():
        ours, theirs = [], []
        for _ in range(repeats):
            jax.clear_caches()
            ours.append(_compile_seconds(ew.KAN([64] * 3, basis, residual=residual, rngs=nnx.Rngs(0))))
            jax.clear_caches()
            theirs.append(_compile_seconds(JaxKAN([64] * 3, kind, options)))
        ratio = median(a / b for a, b in zip(ours, theirs, strict=True))
        rows.append([name, f"{median(ours):.2f}", f"{median(theirs):.2f}", f"{ratio:.2f}"])
    return markdown(["step of [64, 64, 64]", "edgewise, s", "jaxKAN, s", "ratio"], rows)


def main(quick: bool) -> str:
    """Both tables."""
    width, repeats = (64, 2) if quick else (256, 7)
    head = f"Construction of [{width}, {width}, {width}], cubic splines G = 5, warm.\n\n"
    return head + construction(width, repeats) + "\n\nCompilation.\n\n" + compilation(1 if quick else 5)
