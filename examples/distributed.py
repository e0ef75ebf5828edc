"""One script for one device, for several, and for several machines.

``python examples/distributed.py`` trains on all devices it finds; with ``srun`` in front, in a SLURM job, on those of
all tasks together.  Killed and started again, it goes on from its checkpoint.
"""

import argparse
import os
from collections.abc import Sequence

import jax
import numpy as np
from flax import nnx

import edgewise as ew


def samples(count: int, seed: int):
    """Points of the square and the values of a function there; the same in every process."""
    X = np.random.default_rng(seed).uniform(-1, 1, (count, 2))
    return X, X[:, 0] ** 2 + 2 * np.exp(X[:, 1])


def run(arguments: Sequence[str] | None = None):
    """Meet the other processes, if there are any, and train."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--checkpoint", default="distributed.npz", help="in a folder that all processes see")
    parser.add_argument("--processes", type=int, help="without SLURM: how many, and the next two")
    parser.add_argument("--process", type=int, help="which one this is: 0, 1, ...")
    parser.add_argument("--coordinator", help="host:port of process 0")
    given = parser.parse_args(arguments)
    if given.coordinator or "SLURM_STEP_NODELIST" in os.environ:  # JAX reads the rest from SLURM itself
        jax.distributed.initialize(given.coordinator, given.processes, given.process)
    mesh = jax.make_mesh((jax.device_count(),), ("batch",))  # the devices of all processes
    model = ew.KAN([2, 6, 6, 1], ew.Chebyshev(5), residual=None, rngs=nnx.Rngs(0))
    options = {"steps": given.steps, "batch_size": 512, "validation": samples(1024, 1), "mesh": mesh}
    return ew.fit(model, samples(4096, 0), optimizer="adam:1e-2", checkpoint=given.checkpoint, resume=True, **options)


if __name__ == "__main__":
    result = run()
    if jax.process_index() == 0:  # all processes have the trained model
        print(result)
