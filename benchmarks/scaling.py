"""How cost grows: log-log slopes of time and memory over width, batch and number of modes, beside the floor's own."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import edgewise as ew
from benchmarks.measure import alternate, markdown, median, temporary_bytes

FAMILIES = {
    "Chebyshev": (lambda size: ew.Chebyshev(size), 5),
    "cubic spline": (lambda size: ew.BSpline(3, size), 5),
    "Fourier": (lambda size: ew.Fourier(size), 5),
    "radial": (lambda size: ew.RBF(size), 8),
}


def measured(basis, width: int, batch: int, seconds: float) -> list[float]:
    """Seconds of forward + backward, ours and the floor's, then temporary bytes of each."""
    rng = np.random.default_rng(0)
    layer = ew.KANLayer(width, width, basis, residual=None, rngs=nnx.Rngs(0))
    x = jnp.asarray(rng.uniform(-1, 1, (batch, width)), jnp.float32)
    up = jnp.asarray(rng.normal(size=(batch, width)), jnp.float32)
    graphdef, parameters, rest = nnx.split(layer, nnx.Param, ...)
    columns = layer.coef.shape[0] * width
    a = jnp.asarray(rng.normal(size=(batch, columns)), jnp.float32)
    w = jnp.asarray(rng.normal(size=(columns, width)), jnp.float32)

    def ours(parameters, x):
        y, pull = jax.vjp(lambda p, x: nnx.merge(graphdef, p, rest)(x), parameters, x)
        return y, pull(up)

    def floor(a, w):
        y, pull = jax.vjp(jnp.matmul, a, w)
        return y, pull(up)

    compiled = {"ours": (jax.jit(ours), (parameters, x)), "floor": (jax.jit(floor), (a, w))}
    times = alternate({n: (lambda f=f, v=v: f(*v)) for n, (f, v) in compiled.items()}, rounds=40, seconds=seconds)
    memory = [temporary_bytes(f, *v) + columns * batch * 4 * (n == "floor") for n, (f, v) in compiled.items()]
    return [median(times["ours"]), median(times["floor"]), *memory]


def main(quick: bool) -> str:
    """Tables and a plot; slopes over each axis, and of its last two doublings, where the constant has worn off."""
    axes = {
        "width": [64, 128] if quick else [16, 32, 64, 128, 256, 512],
        "batch": [256, 512] if quick else [64, 256, 1024, 4096, 16384],
        "modes": [4, 8] if quick else [4, 8, 16, 32, 64, 128],
    }
    seconds = 0.5 if quick else 2.0
    rows, curves = [], {}
    for family, (make, size) in list(FAMILIES.items())[: 1 if quick else None]:
        for axis, values in axes.items():
            found = []
            for value in values:
                width, batch, modes = (
                    value if axis == name else default
                    for name, default in (("width", 64), ("batch", 1024), ("modes", size))
                )
                found.append(measured(make(modes), width, batch, seconds))
            table = np.array(found)
            table[:, 2:] = np.maximum(table[:, 2:], 1)  # no memory at all has no logarithm
            curves[family, axis] = values, table
            ends = (slice(None), slice(-3, None))
            slopes = [_slope(values, table[:, column], part) for column in range(4) for part in ends]
            times = ", ".join(f"{1e3 * t:.2f}" for t in table[:, 0])
            memory = ", ".join(f"{m / 2**20:.1f}" for m in table[:, 2])
            pairs = [f"{slopes[i]:.2f} / {slopes[i + 1]:.2f}" for i in range(0, 8, 2)]
            rows.append([family, axis, ", ".join(map(str, values)), times, memory, *pairs])
    if not quick:
        plot(curves, axes)
    header = ["family", "over", "values", "ms", "temp MiB", "time slope", "floor's", "memory slope", "floor's"]
    what = "Forward + backward, 64-64, batch 1024 where not varied; slopes over all values / the last two doublings."
    return f"{what}\n\n" + markdown(header, rows)


def _slope(values, measured, part: slice) -> float:
    """Of the logarithms."""
    return np.polyfit(np.log(values[part]), np.log(measured[part]), 1)[0]


def plot(curves, axes) -> None:
    """``benchmarks/scaling.svg``: time of every family over every axis, the floor dashed."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    figure = Figure(figsize=(10, 3.4), layout="constrained")
    for axes_, axis in zip(figure.subplots(1, 3), axes, strict=True):
        for index, family in enumerate(FAMILIES):
            values, table = curves[family, axis]
            axes_.loglog(values, 1e3 * table[:, 0], "o-", color=f"C{index}", ms=3, label=family)
            axes_.loglog(values, 1e3 * table[:, 1], "--", color=f"C{index}", lw=0.8)
        axes_.xaxis.set_minor_formatter(NullFormatter())  # axes of little more than a decade would label every tick
        axes_.set(xlabel="degree, intervals, order or centres" if axis == "modes" else axis, ylabel="ms")
    figure.axes[0].legend(frameon=False, title="dashed: the floor")
    figure.savefig(Path(__file__).with_name("scaling.svg"))
