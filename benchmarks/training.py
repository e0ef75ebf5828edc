"""The training loop: Adam through ``fit`` against the tutorial's loop and against the bare scan."""

from __future__ import annotations

import sys
import tempfile

from benchmarks.measure import fill, markdown, median, run_script

_SETUP = """
import json, time
from functools import partial
import jax, jax.numpy as jnp, numpy as np, optax
from flax import nnx
import edgewise as ew
x = np.random.default_rng(0).uniform(-1, 1, (1000, 2)).astype(np.float32)
y = (x[:, :1] ** 2 + 2 * np.exp(x[:, 1:])).astype(np.float32)
train = (x[:800], y[:800])
make = lambda: ew.KAN([2, 6, 6, 1], ew.Chebyshev(5), residual=None, rngs=nnx.Rngs(42))

@nnx.jit
def step(model, optimizer, x, y):
    loss, gradients = nnx.value_and_grad(lambda model: jnp.mean((model(x) - y) ** 2))(model)
    optimizer.update(model, gradients)
    return loss

def loop(model, optimizer, epochs):
    losses = jnp.zeros((epochs,))
    for epoch in range(epochs):
        losses = losses.at[epoch].set(step(model, optimizer, *train))
    losses.block_until_ready()

def tutorial(model, epochs):
    loop(model, nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param), epochs)

fit = ew.fit  # loads what it needs, as the other imports do, before a clock starts

def ours(model, epochs):
    return fit(model, train, optimizer="adam:1e-3", steps=epochs, progress=False)
"""
_BY_HAND = (
    _SETUP
    + """
# the whole fit as one jitted function of arrays, features first: the least that JAX traces, lowers and loads
random = np.random.default_rng(1)
draw = lambda n_in, n_out: random.normal(scale=0.2, size=(n_out, 5 * n_in)).astype(np.float32)
layers = [(draw(*sizes), np.zeros((sizes[1], 1), np.float32)) for sizes in ((2, 6), (6, 6), (6, 1))]
tx = optax.adam(1e-3)

def predicted(layers, x):
    for coef, bias in layers:
        t = jnp.tanh(x)
        modes = [jnp.ones_like(t), t]
        for _ in range(4):
            modes.append(2 * t * modes[-1] - modes[-2])
        x = coef @ jnp.concatenate(modes[1:]) + bias
    return x

@jax.jit
def whole(layers, x, y):
    def one(carry, _):
        layers, opt = carry
        loss, gradients = jax.value_and_grad(lambda layers: jnp.mean((predicted(layers, x) - y) ** 2))(layers)
        updates, opt = tx.update(gradients, opt, layers)
        return (optax.apply_updates(layers, updates), opt), loss
    return jax.lax.scan(one, (layers, tx.init(layers)), length=EPOCHS)

x, y = (np.ascontiguousarray(each.T) for each in train)
make()  # as before the other clocks: the first arrays and keys of the process
start = time.perf_counter()
jax.block_until_ready(whole(layers, x, y))
print(json.dumps(time.perf_counter() - start))
"""
)
_WHOLE = (
    _SETUP
    + """
model = make()
start = time.perf_counter()
WHICH(model, EPOCHS)
print(json.dumps(time.perf_counter() - start))
"""
)
_COMPILED = (
    _SETUP
    + """
ratios, bare, long = [], [], []
tutorial(make(), EPOCHS)
graphdef, params, rest = nnx.split(make(), nnx.Param, ...)
tx = optax.adam(1e-3)

@partial(jax.jit, static_argnums=3)
def scan(params, x, y, length):
    def one(carry, _):
        params, opt = carry
        loss, gradients = jax.value_and_grad(lambda p: jnp.mean((nnx.merge(graphdef, p, rest)(x) - y) ** 2))(params)
        updates, opt = tx.update(gradients, opt, params)
        return (optax.apply_updates(params, updates), opt), loss
    return jax.lax.scan(one, (params, tx.init(params)), length=length)

LONG = 20 * EPOCHS  # a fit takes 15 ms to begin and to end; what it adds to a step shows in a long one
for length in (EPOCHS, LONG):
    ours(make(), length), jax.block_until_ready(scan(params, *train, length))
for _ in range(ROUNDS):
    times, model, other = [], make(), make()
    optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
    for run in (lambda: loop(model, optimizer, EPOCHS), lambda: ours(other, EPOCHS),
                lambda: jax.block_until_ready(scan(params, *train, EPOCHS)),
                lambda: ours(other, LONG), lambda: jax.block_until_ready(scan(params, *train, LONG))):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    ratios.append(times[0] / times[1])
    bare.append(times[1] / times[2])
    long.append(times[3] / times[4])
print(json.dumps([sorted(figures)[ROUNDS // 2] for figures in (ratios, bare, long)]))
"""
)
_BATCHES = """
import json, time
import jax, jax.numpy as jnp, numpy as np, optax
from flax import nnx
import edgewise as ew
random = np.random.default_rng(0)
x, y = random.uniform(-1, 1, (2560, 784)).astype(np.float32), random.integers(0, 10, 2560).astype(np.int32)
make = lambda: ew.KAN([784, 64, 10], ew.Chebyshev(5), rngs=nnx.Rngs(0))
graphdef, params, rest = nnx.split(make(), nnx.Param, ...)
tx = optax.adam(1e-3)

@jax.jit
def scan(params, x, y, key):
    def one(carry, rows):
        params, opt = carry
        def loss(p):
            logits = nnx.merge(graphdef, p, rest)(x[rows])
            return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, y[rows]))
        value, gradients = jax.value_and_grad(loss)(params)
        updates, opt = tx.update(gradients, opt, params)
        return (optax.apply_updates(params, updates), opt), value
    orders = jax.vmap(lambda k: jax.random.permutation(k, len(x)))(jax.random.split(key, EPOCHS))
    return jax.lax.scan(one, (params, tx.init(params)), orders.reshape(-1, 256))

model = make()
def ours():
    options = {"batch_size": 256, "steps": 10 * EPOCHS, "progress": False}
    ew.fit(model, (x, y), loss="cross_entropy", optimizer="adam:1e-3", **options)
data = jax.device_put((x, y))
bare = lambda: jax.block_until_ready(scan(params, *data, jax.random.key(0)))
ours(), bare()
ratios = []
for _ in range(ROUNDS):
    times = []
    for run in (ours, bare):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    ratios.append(times[1] / times[0])
print(json.dumps(sorted(ratios)[ROUNDS // 2]))
"""
_CORES = """
import json, time
import numpy as np
from flax import nnx
import edgewise as ew
from edgewise import _compilation as compilation
random, rows, sizes, numbers = np.random.default_rng(0), [], [], compilation._numbers
compilation._numbers = lambda program: sizes.append(numbers(program)) or sizes[-1]
bases = {"Chebyshev": ew.Chebyshev(5), "spline": ew.BSpline(3, 5), "Fourier": ew.Fourier(5), "radial": ew.RBF(8)}
for widths, samples in SHAPES:
    for name, basis in bases.items():
        x = random.uniform(-1, 1, (samples, widths[0])).astype(np.float32)
        y = random.normal(size=(samples, widths[-1])).astype(np.float32)
        model = ew.KAN(widths, basis, rngs=nnx.Rngs(0))

        def microseconds(limit, steps):
            compilation._SMALL = limit
            start = time.perf_counter()
            ew.fit(model, (x, y), optimizer="adam:1e-6", steps=steps, progress=False)
            return 1e6 * (time.perf_counter() - start) / steps

        times = {0: [], float("inf"): []}
        warm = lambda steps: max([microseconds(limit, steps) for limit in (*times, *times)][2:])  # the first compile
        steps = int(min(max(100, 2e5 / warm(100)), 4000))
        warm(steps)
        for _ in range(ROUNDS):
            for limit, taken in times.items():
                taken.append(microseconds(limit, steps))
        all_cores, one_core = times.values()
        ratio = sorted(b / a for a, b in zip(all_cores, one_core))[ROUNDS // 2]
        rows.append([name, widths, samples, sizes[-1], *(sorted(t)[ROUNDS // 2] for t in times.values()), ratio])
print(json.dumps(sorted(rows, key=lambda row: row[3])))
"""


def main(quick: bool) -> str:
    """Ratios within one process, and whole fits in fresh ones; medians over alternating rounds."""
    epochs, rounds = (200, 1) if quick else (2000, 5)
    ratio, bare, long = run_script(fill(_COMPILED, EPOCHS=epochs, ROUNDS=rounds))[0]
    whole: dict[str, list[float]] = {"tutorial": [], "cold": [], "warm": [], "by hand": []}
    with tempfile.TemporaryDirectory() as folder:
        cache = {"JAX_COMPILATION_CACHE_DIR": folder, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
        cache |= {"JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}
        run_script(fill(_WHOLE, EPOCHS=epochs, WHICH="ours"), env=cache)
        run_script(fill(_BY_HAND, EPOCHS=epochs), env=cache)
        for _ in range(rounds):
            whole["tutorial"].append(run_script(fill(_WHOLE, EPOCHS=epochs, WHICH="tutorial"))[0])
            whole["cold"].append(run_script(fill(_WHOLE, EPOCHS=epochs, WHICH="ours"))[0])
            whole["warm"].append(run_script(fill(_WHOLE, EPOCHS=epochs, WHICH="ours"), env=cache)[0])
            whole["by hand"].append(run_script(fill(_BY_HAND, EPOCHS=epochs), env=cache)[0])
    loop, cold, warm, by_hand = (median(times) for times in whole.values())
    lengths = (2,) if quick else (20, 100)  # epochs of ten steps
    batches = [run_script(fill(_BATCHES, EPOCHS=length, ROUNDS=rounds))[0] for length in lengths]
    rows = [
        ["steps/s against the tutorial's loop, both compiled", f"{ratio:.1f}", "10"],
        [f"{epochs} steps, compilation counted: {cold:.2f} s against {loop:.2f} s", f"{loop / cold:.1f}", "5"],
        [f"the same, warm compilation cache: {warm:.2f} s", f"{loop / warm:.1f}", "20"],
        [f"time against plain JAX, warm cache: {by_hand:.2f} s", f"{warm / by_hand:.2f}", ""],
        [f"time against a bare scan, a whole compiled fit of {epochs} steps", f"{bare:.2f}", ""],
        [f"the same, {20 * epochs} steps", f"{long:.2f}", "1.05"],
    ]
    for length, reached in zip(lengths, batches, strict=True):
        what = f"784-64-10, batch 256: steps/s against a hand-written scan, a whole compiled fit of {10 * length} steps"
        rows.append([what, f"{reached:.2f}", "0.9"])
    return markdown(["what", "ratio", "bar"], rows) + "\n\n" + _cores(quick, rounds)


def _cores(quick: bool, rounds: int) -> str:
    """Steps whose kernels are divided among all cores and steps whose kernels are not: where fit changes over."""
    shapes = [([2, 6, 6, 1], samples) for samples in (200, 800, 1600, 3200)]
    shapes += [([16, 16, 1], 1024), ([2, 32, 32, 1], 256)]
    found = run_script(fill(_CORES, SHAPES=shapes[:1] if quick else shapes, ROUNDS=rounds))[0]
    rows = [
        [name, "-".join(map(str, widths)), samples, f"{size / 1e6:.1f}", f"{all_:.0f}", f"{one:.0f}", f"{ratio:.2f}"]
        for name, widths, samples, size, all_, one, ratio in found
    ]
    header = ["basis", "widths", "samples", "10^6 numbers a step", "all cores, us", "one core, us", "one / all"]
    return markdown(header, rows)


if __name__ == "__main__":
    print(main("--quick" in sys.argv))
