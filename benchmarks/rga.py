"""RGA KAN against a PirateNet-like perceptron and a Chebyshev KAN of as many parameters, trained alike.

``python -m benchmarks.rga [--only NAME ...] [--problem allen-cahn] [--epochs 100000] [--seeds 1] [--quick]``

Settings are those of the authors' programs (Rigas et al., arXiv 2510.23501; srigas/RGA-KANs, "6.1. AC Benchmarks"): x
as cosine and sine (Burgers: (1 - x^2) times the network), the start as a term of the loss, 4096 points out of a pool of
160,000, 64 at the start, Adam at 1e-3 with 1000 steps of warmup and a decay, residual-based attention, causal weights,
annealing of terms, RAD, the last layer of RGA KAN and PirateNet by least squares from the start.  The decay of the
learning rate (to 0.5 % there) scales with ``--epochs``.  The authors' PirateNet, 36 wide with 4 blocks, has 19,246
parameters; this one, 32 wide with 5, has 18,581.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import edgewise as ew
from benchmarks.measure import machine, markdown, median
from edgewise.models import RGAKAN
from edgewise.physics import RAD, RBA, Causal, GradientNorm, Initial, Problem, Solution, resolve_problem, solve
from edgewise.physics.ansatz import ansatz_for

_EPOCHS = 100_000  # of the paper
_PROBLEMS = ("allen-cahn", "burgers")


class Factorized(nnx.Module):
    """A dense layer with weights g v, g = exp(N(1, 0.1)) for each output: random weight factorization."""

    def __init__(self, n_in: int, n_out: int, *, rngs: nnx.Rngs):
        weights = jax.random.normal(rngs.params(), (n_in, n_out)) * np.sqrt(2 / (n_in + n_out))
        scale = jnp.exp(1 + 0.1 * jax.random.normal(rngs.params(), (n_out,)))
        self.scale, self.directions = nnx.Param(scale), nnx.Param(weights / scale)
        self.bias = nnx.Param(jnp.zeros(n_out))

    def __call__(self, x: Any) -> Any:
        """tanh of the layer, ``[n, n_in]`` to ``[n, n_out]``."""
        return jnp.tanh(x @ (self.scale[...] * self.directions[...]) + self.bias[...])


class PirateBlock(nnx.Module):
    """Three layers, two of them mixed with the gates, and a residual that starts as the identity."""

    def __init__(self, width: int, *, rngs: nnx.Rngs):
        self.layers = nnx.List(Factorized(width, width, rngs=rngs) for _ in range(3))
        self.alpha = nnx.Param(jnp.zeros(()))

    def __call__(self, x: Any, u: Any, v: Any) -> Any:
        """``[n, width]`` to ``[n, width]``."""
        h = x
        for layer in list(self.layers)[:2]:
            h = layer(h)
            h = h * u + (1 - h) * v
        return self.alpha[...] * self.layers[2](h) + (1 - self.alpha[...]) * x


class PirateNet(nnx.Module):
    """Random Fourier features, gated residual blocks, a linear layer (Wang et al., arXiv 2402.00326)."""

    def __init__(self, n_in: int, *, width: int = 32, blocks: int = 5, rngs: nnx.Rngs):
        self.frequencies = nnx.Param(jax.random.normal(rngs.params(), (n_in, width // 2)))
        self.gates = nnx.List(Factorized(width, width, rngs=rngs) for _ in range(2))
        self.blocks = nnx.List(PirateBlock(width, rngs=rngs) for _ in range(blocks))
        self.last = nnx.Param(jnp.zeros((width, 1)))

    def hidden(self, x: Any) -> Any:
        """What the last layer sees, ``[n, width]``."""
        angles = x @ self.frequencies[...]
        h = jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=1)
        u, v = (gate(h) for gate in self.gates)
        for block in self.blocks:
            h = block(h, u, v)
        return h

    def __call__(self, x: Any) -> Any:
        """``[n, n_in]`` to ``[n, 1]``."""
        return self.hidden(x) @ self.last[...]

    def fit_last_layer(self, x: Any, y: Any) -> None:
        """The last layer that brings the model closest to y at x."""
        found = np.linalg.lstsq(np.asarray(self.hidden(x), np.float64), np.asarray(y, np.float64))[0]
        self.last[...] = jnp.asarray(found, self.last[...].dtype)


def chebyshev_kan(n_in: int, rngs: nnx.Rngs, width: int = 18, layers: int = 12) -> ew.KAN:
    """Degree 5 throughout, started like RGA KAN."""
    return ew.KAN([n_in, *[width] * layers, 1], ew.Chebyshev(5), residual=None, init="glorot_fine", rngs=rngs)


def rga_kan(n_in: int, rngs: nnx.Rngs, width: int = 16, blocks: int = 6) -> RGAKAN:
    """Degree 5, sines first."""
    return RGAKAN(n_in, 1, ew.Chebyshev(5), width=width, blocks=blocks, rngs=rngs)


MODELS: dict[str, Callable[[int, nnx.Rngs], Any]] = {
    "RGA KAN": rga_kan,
    "PirateNet": lambda n_in, rngs: PirateNet(n_in, rngs=rngs),
    "Chebyshev KAN": chebyshev_kan,
}
SIZE = 18_500
"""Parameters of each, within 3 %."""


def trained(build: Callable[[int, nnx.Rngs], Any], problem: Problem, epochs: int, seed: int, points: int) -> Solution:
    """The published training; float32."""
    (start,) = (condition for condition in problem.conditions if isinstance(condition, Initial))
    ansatz, _ = ansatz_for(problem.domain, problem.conditions, 1, {start.name: False})
    model = build(ansatz.n_in, nnx.Rngs(seed))
    if hasattr(model, "fit_last_layer"):  # the network itself, as the authors do, also where it is multiplied
        x = jnp.asarray(problem.domain.interior(points, "sobol", seed), jnp.float32)
        model.fit_last_layer(ansatz.features(x), start.value(x))
    warmup = min(1000, epochs // 10)
    decay = optax.exponential_decay(1e-3, max(1, epochs // 50), 0.9)
    rate = optax.join_schedules([optax.linear_schedule(0.0, 1e-3, warmup), decay], [warmup])
    return solve(
        problem, model, optimizer=optax.adam(rate), steps=epochs, points={"equation": points, start.name: 64},
        weighting=[RBA(), Causal(tolerance=1.0, chunks=32), GradientNorm(every=min(1000, max(1, epochs // 8)))],
        resampling=RAD(every=min(2000, max(1, epochs // 4)), candidates=39),
        hard={start.name: False}, seed=seed, dtype="float32", progress=False,
    )  # fmt: skip


def table(
    models: dict[str, Callable[[int, nnx.Rngs], Any]], name: str, epochs: int, seeds: Sequence[int], points: int
) -> str:
    """Markdown: relative L2 over seeds, parameters, milliseconds an epoch, compilation counted."""
    problem, rows = resolve_problem(name), []
    for model, build in models.items():
        found = [trained(build, problem, epochs, seed, points) for seed in seeds]
        errors = [solution.error() for solution in found]
        spread = f"{min(errors):.1e}..{max(errors):.1e}"
        pace = 1000 * median(solution.seconds for solution in found) / epochs
        rows.append(
            [model, f"{found[0].n_parameters:,}", f"{median(errors):.1e}", spread, f"{epochs:,}", f"{pace:.0f}"]
        )
        print(rows[-1], flush=True)
    return markdown([name, "parameters", "relative L2, median", "min..max", "epochs", "ms an epoch"], rows)


def main(quick: bool) -> str:
    """Allen-Cahn at 100,000 epochs; quick: sizes of all, and a few steps of a small PirateNet on Burgers."""
    if not quick:
        return table(MODELS, "allen-cahn", _EPOCHS, [0], 4096)
    sizes = {name: ew.models.count_parameters(build(3, nnx.Rngs(0))) for name, build in MODELS.items()}
    if any(abs(size / SIZE - 1) > 0.03 for size in sizes.values()):
        raise RuntimeError(f"the models differ in size: {sizes}.")
    small = {"PirateNet": lambda n_in, rngs: PirateNet(n_in, width=4, blocks=1, rngs=rngs)}
    return f"Parameters: {sizes}\n\n" + table(small, "burgers", 8, [0], 64)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rga")
    parser.add_argument("--only", nargs="*", choices=list(MODELS), default=list(MODELS), help="models")
    parser.add_argument("--problem", choices=_PROBLEMS, default="allen-cahn")
    parser.add_argument("--epochs", type=int, default=_EPOCHS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--points", type=int, default=4096)
    parser.add_argument("--quick", action="store_true", help="a small version, to see that it runs")
    given = parser.parse_args()
    chosen = {name: MODELS[name] for name in given.only}
    wide = (chosen, given.problem, given.epochs, range(given.seeds), given.points)
    print(f"{machine()}\n\n{main(True) if given.quick else table(*wide)}")
