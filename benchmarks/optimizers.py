"""Optimizers: the published experiment, the cost of a Levenberg-Marquardt step, and which method when."""

from __future__ import annotations

import sys
from typing import Any

from benchmarks.measure import fill, markdown, median, run_script

_DATA = """
import json, time
import jax, jax.numpy as jnp, numpy as np, optax
from flax import nnx
import edgewise as ew
x, y, x_test, y_test = ew.datasets.published()
error = lambda model: float(np.mean((np.asarray(model(x_test), np.float64) - y_test) ** 2))
fit, results = ew.fit, []  # imports before the clock
"""
_OURS = (
    _DATA
    + """
start = time.perf_counter()
for seed in range(SEEDS):
    model = ew.KAN([2, 6, 6, 1], ew.Chebyshev(5), residual=None, rngs=nnx.Rngs(seed), init=INIT)
    fit(model, (x, y), optimizer=SPEC, steps=STEPS, progress=False)
    results.append([error(model), time.perf_counter() - start])
print(json.dumps(results))
"""
)
_JAXKAN = (
    _DATA
    + """
from jaxkan.models.KAN import KAN
from jaxkan.models.utils import get_lbfgs
loss_of = lambda model: jnp.mean((model(x) - y) ** 2)
start = time.perf_counter()
for seed in range(SEEDS):
    model = KAN([2, 6, 6, 1], "chebyshev", {"D": 5, "flavor": "exact", "init_scheme": {"type": INIT}}, seed=seed)
    optimizer = nnx.Optimizer(model, get_lbfgs() if LBFGS else optax.adam(1e-3), wrt=nnx.Param)

    @nnx.jit
    def adam_step(model, optimizer):
        loss, gradients = nnx.value_and_grad(loss_of)(model)
        optimizer.update(model, gradients)
        return loss

    graphdef, _, rest = nnx.split(model, nnx.Param, ...)

    @nnx.jit
    def lbfgs_step(model, optimizer):
        loss, gradients = nnx.value_and_grad(loss_of)(model)
        value_fn = lambda params: loss_of(nnx.merge(graphdef, params, rest))
        optimizer.update(model, gradients, grad=gradients, value=loss, value_fn=value_fn)
        return loss

    step, losses = lbfgs_step if LBFGS else adam_step, jnp.zeros((STEPS,))
    for index in range(STEPS):
        losses = losses.at[index].set(step(model, optimizer))
    results.append([error(model), time.perf_counter() - start])
print(json.dumps(results))
"""
)
_STEP = """
import json
import jax, jax.numpy as jnp, numpy as np
from flax import nnx
from jax.flatten_util import ravel_pytree
import edgewise as ew
from benchmarks.measure import alternate, ratio
from edgewise.training.optim import LeastSquaresProblem, LevenbergMarquardt, Rows
jax.config.update("jax_enable_x64", True)
random = np.random.default_rng(0)
x = random.uniform(-1, 1, (SAMPLES, 2))
y = x[:, :1] ** 2 + 2 * np.exp(x[:, 1:])
model = ew.KAN(WIDTHS, ew.Chebyshev(5), residual=None, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
graphdef, params, rest = nnx.split(model, nnx.Param, ...)
flat, unravel = ravel_pytree(params)
call = lambda p, x: nnx.merge(graphdef, unravel(p), rest)(x)
samples = (jnp.asarray(x), jnp.asarray(y))
all_rows, one_row = lambda p: (call(p, x) - y).ravel(), lambda p, s: (call(p, s[0][None]) - s[1]).ravel()
problem = LeastSquaresProblem(all_rows, (Rows(one_row, samples),))
method = LevenbergMarquardt()
step = jax.jit(lambda p, state: method.step(problem, p, state))
state = method.init(flat)
jacobian = jnp.asarray(random.normal(size=(SAMPLES, flat.size)))

@jax.jit
def products(jacobian):
    normal = jacobian.T @ jacobian
    return jnp.linalg.solve(normal + jnp.eye(normal.shape[0]), jacobian[0])

@jax.jit
def cholesky(jacobian):
    normal = jacobian.T @ jacobian
    return jax.scipy.linalg.solve(normal + jnp.eye(normal.shape[0]), jacobian[0], assume_a="pos")

runs = {"step": lambda: step(flat, state), "lu": lambda: products(jacobian), "cholesky": lambda: cholesky(jacobian)}
times = alternate(runs, rounds=ROUNDS, seconds=20)
ratios = [ratio(times, "step", name) for name in ("lu", "cholesky")]
print(json.dumps([int(flat.size), 1e3 * float(np.median(times["step"])), *ratios]))
"""
_WHEN = """
import json, time
import jax, numpy as np
from flax import nnx
import edgewise as ew
from edgewise.datasets import function_data
TASK
fits, seconds = [], []
for seed in range(SEEDS):
    model = make(seed)
    options = {"steps": STEPS, "optimizer": SPEC, "progress": False, "seed": seed} | extra
    if not seed:
        start = time.perf_counter()
        ew.fit(make(seed), (x, y), **options)
        cold = time.perf_counter() - start
    start = time.perf_counter()
    ew.fit(model, (x, y), **options)
    seconds.append(time.perf_counter() - start)
    fits.append(score(model))
print(json.dumps([float(np.median(fits)), float(np.median(seconds)), cold]))
"""
_TASKS = {
    "published": """
x, y, x_test, y_test = ew.datasets.published()
make = lambda seed: ew.KAN([2, 6, 6, 1], ew.Chebyshev(5), init="glorot", residual=None, rngs=nnx.Rngs(seed))
score = lambda model: float(np.mean((np.asarray(model(x_test), np.float64) - y_test) ** 2))
extra = {}
""",
    "splines": """
x, y, x_test, y_test = function_data("f2", train=4000, test=1000)
make = lambda seed: ew.KAN([2, 8, 8, 1], ew.BSpline(3, 5), init="power", rngs=nnx.Rngs(seed))
score = lambda model: float(np.mean((np.asarray(model(x_test), np.float64) - y_test) ** 2))
extra = {}
""",
    "digits": """
from sklearn.datasets import load_digits
x, y = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(x))
x, y = (x[order] / 8 - 1).astype(np.float32), y[order].astype(np.int32)
(x, x_test), (y, y_test) = np.split(x, [1400]), np.split(y, [1400])
make = lambda seed: ew.KAN([64, 32, 10], ew.RBF(5), rngs=nnx.Rngs(seed))
score = lambda model: 1 - float(np.mean(np.asarray(model(x_test)).argmax(1) == y_test))
extra = {"loss": "cross_entropy"}
""",
}
_FIRST = ["adam:1e-2,cosine", "adamw:1e-2,cosine", "lion:1e-3,cosine", "muon:1e-2,cosine", "soap:1e-2,cosine"]
_SECOND = ["lbfgs", "bfgs", "ssbfgs", "ssbroyden", "levenberg_marquardt"]
_LENGTHS = {"published": (2000, 1000, 60), "splines": (2000, 500, 60), "digits": (400, 200, 0)}


def _published(quick: bool) -> str:
    """Test MSE, median over the seeds, and the seconds of the first fit, compilation included, in its own process."""
    seeds, rounds, share = (2, 1, 10) if quick else (10, 3, 1)
    runs = {
        "jaxKAN, Adam 1e-3, glorot, 2000 epochs": (_JAXKAN, {"LBFGS": False, "INIT": "'glorot'"}, 2000, ""),
        "jaxKAN, its L-BFGS, default, 100 iterations": (_JAXKAN, {"LBFGS": True, "INIT": "'default'"}, 100, ""),
        "adam:1e-3, glorot, 2000 steps": (_OURS, {"SPEC": "'adam:1e-3'", "INIT": "'glorot'"}, 2000, ""),
        "lbfgs, default, 1000 steps": (_OURS, {"SPEC": "'lbfgs'", "INIT": "'default'"}, 1000, "3e-5"),
        "levenberg_marquardt, default, 60 steps": (_OURS, {"SPEC": "'lm'", "INIT": "'default'"}, 60, "1e-6"),
    }
    errors: dict[str, list[float]] = {}
    first: dict[str, list[float]] = {name: [] for name in runs}
    for index in range(rounds):
        for name, (script, values, steps, _) in runs.items():
            count = seeds if not index else 1  # the errors do not change; the seconds do
            results = run_script(fill(script, SEEDS=count, STEPS=steps // share, **values))[0]
            errors.setdefault(name, [error for error, _ in results])
            first[name].append(results[0][1])
    rows = [
        [name, f"{median(errors[name]):.1e}", f"{max(errors[name]):.1e}", f"{median(first[name]):.1f}", bar]
        for name, (*_, bar) in runs.items()
    ]
    return markdown(["run", f"test MSE, median of {seeds} seeds", "largest", "s, first fit", "bar"], rows)


def _step(quick: bool) -> str:
    """One step against J'J and one solve with it, as bare JAX: by LU, and by Cholesky."""
    rows = []
    for widths, samples in (([2, 6, 6, 1], 800), ([2, 12, 12, 1], 2000)):
        values = {"WIDTHS": widths, "SAMPLES": samples, "ROUNDS": 5 if quick else 60}
        size, milliseconds, lu, cholesky = run_script(fill(_STEP, **values))[0]
        rows.append([widths, samples, size, f"{milliseconds:.1f}", f"{lu:.2f}", f"{cholesky:.2f}"])
    return markdown(["network", "samples", "P", "ms a step", "/ (J'J, LU)", "/ (J'J, Cholesky)"], rows)


def _when(quick: bool) -> str:
    """Every method on three tasks: score, seconds once compiled, seconds of compilation."""
    rows: list[list[Any]] = []
    for task, lengths in _LENGTHS.items():
        for spec in _FIRST[:1] + _SECOND[:1] if quick else _FIRST + _SECOND:
            order = 0 if spec in _FIRST else 2 if spec == "levenberg_marquardt" else 1
            dense = spec in ("bfgs", "ssbfgs", "ssbroyden") and task == "digits"  # H has 14,000 rows
            if not lengths[order] or dense:
                continue
            steps = lengths[order] // (20 if quick else 1)
            values = {"TASK": _TASKS[task], "SPEC": repr(spec), "STEPS": steps, "SEEDS": 1 if quick else 3}
            score, seconds, cold = run_script(fill(_WHEN, **values))[0]
            compiling = max(cold - seconds, 0.0)
            rows.append([task, spec, steps, f"{score:.1e}", f"{seconds:.2f}", f"{compiling:.1f}"])
    return markdown(["task", "optimizer", "steps", "test error", "s, compiled", "s of compilation"], rows)


def main(quick: bool) -> str:
    """Three tables."""
    return "\n\n".join(part(quick) for part in (_published, _step, _when))


if __name__ == "__main__":
    print(main("--quick" in sys.argv))
