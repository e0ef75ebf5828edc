"""Refinement: jaxKAN's tutorial 7 in every family, and a spline whose grid is doubled from 4 to 64."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.measure import fill, markdown, median, run_script

_DATA = """
import json, time
import jax, jax.numpy as jnp, numpy as np, optax
from flax import nnx
from sklearn.model_selection import train_test_split
import edgewise as ew
from edgewise.refine import Refine, Steps
keys = jax.random.split(jax.random.PRNGKey(42), 4)
X = np.stack([np.asarray(jax.random.uniform(key, (4000,), minval=-1, maxval=1)) for key in keys], axis=1)
y = np.exp((np.sin(np.pi * (X[:, 0] ** 2 + X[:, 1] ** 2)) + np.sin(np.pi * (X[:, 2] ** 2 + X[:, 3] ** 2))) / 2)[:, None]
X, X_test, y, y_test = train_test_split(X, y, test_size=0.2, random_state=42)
forward = nnx.jit(lambda model, x: model(x))
mse = lambda model, x, y: float(np.mean((np.asarray(forward(model, x), np.float64) - y) ** 2))
"""
_OURS = (
    _DATA
    + """
class Jumps(ew.training.Callback):
    def __init__(self):
        self.ratios = []
    def on_chunk(self, run):
        if run.step % EVERY == 0:
            self.before = mse(run.model, X, y)
    def on_refine(self, run):
        self.ratios.append(mse(run.model, X, y) / self.before)

def fitted(basis, seed, adaptivity, init=None):
    model, jumps = ew.KAN([4, 10, 1], basis, init=init, rngs=nnx.Rngs(seed)), Jumps()
    schedule = [Steps(EVERY)]
    for size in (6, 10, 24):
        schedule += [Refine(size, adaptivity), Steps(EVERY if size < 24 else EVERY // 2)]
    ew.fit(model, (X, y), optimizer="adam:0.03", schedule=schedule, callbacks=[jumps], progress=False)
    return mse(model, X_test, y_test), max(jumps.ratios)
"""
)
_SPLINES = (
    _OURS
    + """
results, start = [], time.perf_counter()
for seed in range(SEEDS):
    results.append(fitted(ew.BSpline(3, 3), seed, ADAPTIVITY, INIT))
print(json.dumps([results, time.perf_counter() - start]))
"""
)
_FAMILY = (
    _OURS
    + """
family = ew.bases.FAMILIES[NAME]
basis = family(3, 2) if NAME == "rational" else family().resized(3)
print(json.dumps([fitted(basis, 0, adaptivity) for adaptivity in (None, 0.95)]))
"""
)
_JAXKAN = (
    _DATA
    + """
from jaxkan.layers.utils import adam_transition
from jaxkan.models.KAN import KAN
def fitted(seed):
    model = KAN([4, 10, 1], "base", {"k": 3, "G": 3, "grid_e": 0.02}, seed=seed)
    adam = optax.adam(0.03)
    optimizer = nnx.Optimizer(model, adam, wrt=nnx.Param)
    @nnx.jit
    def step(model, optimizer, X, y):
        loss, gradients = nnx.value_and_grad(lambda model: jnp.mean((model(X) - y) ** 2))(model)
        optimizer.update(model, gradients)
        return loss
    for epoch in range(3 * EVERY + EVERY // 2):
        if (size := {0: 3, EVERY: 6, 2 * EVERY: 10, 3 * EVERY: 24}.get(epoch)) is not None:
            model.update_grids(X, size)
            old = optimizer.opt_state
            optimizer = nnx.Optimizer(model, adam, wrt=nnx.Param)
            if TRANSITION and epoch:
                _, state = nnx.split(model)
                adam_transition(old, state)
                optimizer.opt_state = old
        step(model, optimizer, X, y)
    return mse(model, X_test, y_test)
start = time.perf_counter()
print(json.dumps([[[fitted(seed), None] for seed in (42, *range(SEEDS - 1))], time.perf_counter() - start]))
"""
)
_DOUBLING = """
import json, time
import jax, jax.numpy as jnp, numpy as np
from flax import nnx
import edgewise as ew
random = np.random.default_rng(0)
f = lambda x: np.exp(np.sin(np.pi * x[:, :1]) + x[:, 1:] ** 2)
x, x_test = random.uniform(-1, 1, (3000, 2)), random.uniform(-1, 1, (2000, 2))
sizes, results = [4, 8, 16, 32, 64][:COUNT], []

class Errors(ew.training.Callback):
    def __init__(self):
        self.rms = []
    def on_refine(self, run):
        self.rms.append(float(np.sqrt(np.mean((np.asarray(run.model(x_test), np.float64) - f(x_test)) ** 2))))
    on_end = on_refine

for seed in range(SEEDS):
    start, errors = time.perf_counter(), Errors()
    model = ew.KAN([2, 1, 1], ew.BSpline(3, sizes[0]), residual=None, rngs=nnx.Rngs(seed))
    schedule = [40]
    for size in sizes[1:]:
        schedule += [f"refine:{size}", 40]
    ew.fit(model, (x, f(x)), optimizer="levenberg_marquardt", schedule=schedule, callbacks=[errors], progress=False)
    results.append([errors.rms, time.perf_counter() - start])
print(json.dumps([sizes, results]))
"""


def _tutorial(quick: bool) -> str:
    every, seeds = (20, 1) if quick else (200, 5)
    rows = []
    for name, transition in (("jaxKAN", False), ("jaxKAN, state transition", True)):
        (results, seconds), _ = run_script(fill(_JAXKAN, EVERY=every, SEEDS=seeds, TRANSITION=transition))
        rows.append(_row(name, results, seconds))
    for init in (None, "glorot"):
        for adaptivity in (None, 0.95):
            code = fill(_SPLINES, EVERY=every, SEEDS=seeds, ADAPTIVITY=adaptivity, INIT=repr(init))
            (results, seconds), _ = run_script(code)
            name = f"edgewise, init={init or 'default'}, {'even' if adaptivity is None else f'adaptivity={adaptivity}'}"
            rows.append(_row(name, results, seconds))
    header = ["cubic splines, G 3, 6, 10, 24", "test MSE, median", "all seeds", "largest jump", "s a fit"]
    return markdown(header, rows)


def _row(name: str, results: list[Any], seconds: float) -> list[Any]:
    errors = [error for error, _ in results]
    jumps = [jump for _, jump in results if jump is not None]
    jump = f"{max(jumps):.5f}" if jumps else ""
    return [name, f"{median(errors):.1e}", ", ".join(f"{e:.1e}" for e in errors), jump, f"{seconds / len(results):.0f}"]


def _families(quick: bool) -> str:
    names = ["bspline", "rbf"] if quick else list(_names())
    rows = []
    for name in names:
        (even, adapted), _ = run_script(fill(_FAMILY, EVERY=20 if quick else 200, NAME=repr(name)))
        rows.append([name, f"{even[1]:.5f}", f"{adapted[1]:.5f}", f"{even[0]:.1e}", f"{adapted[0]:.1e}"])
    header = [
        "family, 3 to 6 to 10 to 24",
        "largest jump, even",
        "adaptivity=0.95",
        "test MSE, even",
        "adaptivity=0.95",
    ]
    return markdown(header, rows)


def _names() -> list[str]:
    from edgewise.bases import FAMILIES

    return list(FAMILIES)


def _doubling(quick: bool) -> str:
    (sizes, results), _ = run_script(fill(_DOUBLING, SEEDS=1 if quick else 4, COUNT=3 if quick else 5))
    rows = []
    for seed, (errors, seconds) in enumerate(results):
        slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
        rows.append([seed, *(f"{error:.1e}" for error in errors), f"{slope:.2f}", f"{seconds:.0f}"])
    if not quick:
        _draw(sizes, [errors for errors, _ in results])
    return markdown(["seed", *(f"G={size}" for size in sizes), "slope", "s"], rows)


def _draw(sizes: list[int], errors: list[list[float]]) -> None:
    """The curves of the page on refinement."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for index, curve in enumerate(errors):
        axes.loglog(sizes, curve, "o-", color="#4477aa", alpha=0.7, markersize=4, label=None if index else "four seeds")
    middle = np.median(errors, axis=0)
    axes.loglog(sizes, middle[0] * (np.array(sizes) / sizes[0]) ** -4.0, ":", color="#555555", label="$G^{-4}$")
    axes.set_xticks(sizes, [str(size) for size in sizes], minor=False)
    axes.minorticks_off()
    axes.set_xlabel("intervals G")
    axes.set_ylabel("root mean square error on test points")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig("docs/images/refinement.svg")


def main(quick: bool) -> str:
    """Losses right after a refinement against right before it, and final errors, in fresh processes."""
    parts = (
        ("jaxKAN's tutorial 7: [4, 10, 1], 3200 samples, Adam 0.03, 700 epochs.", _tutorial(quick)),
        ("The same in every family; a jump is the loss after a refinement over that before it.", _families(quick)),
        ("exp(sin(pi x) + y^2), [2, 1, 1], 3000 samples, 40 steps of Levenberg-Marquardt a grid.", _doubling(quick)),
    )
    return "\n\n".join(f"{title}\n\n{table}" for title, table in parts)
