"""The published experiment: one fit, cold and with a warm cache, and the whole study, against jaxKAN's loop."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import fill, markdown, median, run_script

_DATA = """
import json, time
import jax, jax.numpy as jnp, numpy as np, optax
from flax import nnx
x = np.random.default_rng(0).uniform(-1, 1, (1000, 2)).astype(np.float32)
y = (x[:, :1] ** 2 + 2 * np.exp(x[:, 1:])).astype(np.float32)
train, test = (x[:800], y[:800]), (x[800:], y[800:])
"""
_OURS = (
    _DATA
    + """
import edgewise as ew
from edgewise.training import train_ensemble
start = time.perf_counter()
make = lambda scheme, seed: ew.KAN([2, 6, 6, 1], ew.Chebyshev(5), init=scheme, residual=None, rngs=nnx.Rngs(seed))
result = train_ensemble(make, [("default", 42)], train, test, epochs=EPOCHS)
print(json.dumps([time.perf_counter() - start, float(result.score[0])]))
"""
)
_JAXKAN = (
    _DATA
    + """
from jaxkan.models.KAN import KAN
start = time.perf_counter()
for _ in range(RUNS):
    model = KAN([2, 6, 6, 1], "chebyshev", {"D": 5, "flavor": "exact"}, seed=42)
    optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer, x, y):
        loss, gradients = nnx.value_and_grad(lambda model: jnp.mean((model(x) - y) ** 2))(model)
        optimizer.update(model, gradients)
        return loss

    losses = jnp.zeros((EPOCHS,))
    for epoch in range(EPOCHS):
        losses = losses.at[epoch].set(step(model, optimizer, *train))
    score = float(jnp.mean((model(test[0]) - test[1]) ** 2))
print(json.dumps([time.perf_counter() - start, score]))
"""
)


def main(quick: bool) -> str:
    """Seconds after the imports of one fit, and of whole processes for the study; medians over alternating rounds."""
    epochs, rounds, seeds = (200, 1, 2) if quick else (2000, 3, 16)
    fits: dict[str, list[float]] = {"jaxKAN": [], "edgewise, cold": [], "edgewise, warm cache": []}
    study: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        cache = {"JAX_COMPILATION_CACHE_DIR": folder, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
        cache |= {"JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}
        run_script(fill(_OURS, EPOCHS=epochs), env=cache)
        for index in range(rounds):
            fits["jaxKAN"].append(run_script(fill(_JAXKAN, EPOCHS=epochs, RUNS=1))[0][0])
            fits["edgewise, cold"].append(run_script(fill(_OURS, EPOCHS=epochs))[0][0])
            fits["edgewise, warm cache"].append(run_script(fill(_OURS, EPOCHS=epochs), env=cache)[0][0])
            study.append(_study(Path(folder) / f"study-{index}", epochs, seeds))
        whole = run_script(fill(_JAXKAN, EPOCHS=epochs, RUNS=5))[1] if not quick else 5 * fits["jaxKAN"][0]
    reference = median(fits["jaxKAN"])
    rows = [[name, f"{median(t):.2f}", f"1 / {reference / median(t):.1f}"] for name, t in fits.items()]
    per_run = median(study) / (5 * seeds)
    rows.append([f"study, 5 schemes x {seeds} seeds, whole process", f"{median(study):.2f}", ""])
    rows.append(
        ["jaxKAN's loop, 5 runs, whole process", f"{whole:.2f}", f"study takes {median(study) / whole:.2f} of it"]
    )
    rows.append(["study, per run", f"{per_run:.3f}", f"{whole / 5 / per_run:.0f} times faster per run"])
    return f"{epochs} epochs.\n\n" + markdown(["what", "seconds", "against jaxKAN's loop"], rows)


def _study(out: Path, epochs: int, seeds: int) -> float:
    """Wall seconds of the command, its own start and report included, with no compilation cache."""
    arguments = [
        "study",
        "--schemes",
        "published",
        "--seeds",
        str(seeds),
        "--epochs",
        str(epochs),
        "--out",
        str(out),
        "--quiet",
    ]
    code = f"import json, sys; from edgewise.cli import main; main({arguments!r}); print(json.dumps(0))"
    start = time.perf_counter()
    run_script(code, env={"EDGEWISE_CACHE_DIR": "0"})
    return time.perf_counter() - start


if __name__ == "__main__":
    print(main("--quick" in sys.argv))
