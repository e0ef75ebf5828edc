"""The antiderivative as an operator: a DeepONet of KANs that reads a function at 40 sensors and gives its integral.

``python examples/antiderivative_operator.py`` prints the relative L2 error on functions it has not seen, and seconds.
"""

import argparse
import time
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from flax import nnx

import edgewise as ew

SENSORS, TERMS = np.linspace(0, 1, 40), 8
PLACES = np.linspace(0, 1, 50)


def functions(count: int, seed: int):
    """Random Fourier series u at the sensors, ``[count, 40]``, and their exact integrals from 0 at PLACES."""
    rng, k = np.random.default_rng(seed), np.arange(1, TERMS + 1)
    mean, (a, b) = rng.normal(size=(count, 1)), rng.normal(size=(2, count, TERMS)) / k**1.5
    cos, sin = (lambda x: np.cos(np.pi * k[:, None] * x)), (lambda x: np.sin(np.pi * k[:, None] * x))
    u = mean + a @ cos(SENSORS) + b @ sin(SENSORS)
    integral = mean * PLACES + (a / (np.pi * k)) @ sin(PLACES) + (b / (np.pi * k)) @ (1 - cos(PLACES))
    return u.astype(np.float32), integral.astype(np.float32)


def loss(model, batch):
    """Each network runs once a batch, on its functions and on all places."""
    u, integral = batch
    return jnp.mean((model.on_grid(u, places()) - integral) ** 2)


def places():
    """PLACES in [-1, 1], where the bases of the trunk are defined: ``[50, 1]``."""
    return jnp.asarray(2 * PLACES[:, None] - 1, jnp.float32)


def run(seed: int = 0, steps: int = 2000, count: int = 1000):
    """A trained model and its relative L2 error on 500 unseen functions."""
    bases = {"basis": ew.BSpline(3, 3, domain=(-3.0, 3.0)), "trunk_basis": ew.Chebyshev(5)}
    model = ew.DeepONet([40, 20], [1, 20, 20], **bases, rngs=nnx.Rngs(seed))
    ew.fit(model, functions(count, 0), loss=loss, optimizer="soap:3e-3,cosine", steps=steps, batch_size=100, seed=seed)
    u, integral = functions(500, 1)
    error = np.asarray(nnx.jit(lambda model, u: model.on_grid(u, places()))(model, u)) - integral
    return model, float(np.linalg.norm(error) / np.linalg.norm(integral))


def main(arguments: Sequence[str] | None = None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2000)
    given = parser.parse_args(arguments)
    for seed in range(given.seeds):
        start = time.perf_counter()
        model, error = run(seed, given.steps)
        if seed == 0:
            print(model)
        print(f"seed {seed}: relative L2 error {error:.2e} in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
