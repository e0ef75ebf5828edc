"""The tutorial of jaxKAN on adaptive state transition (its seventh), with imports from ``edgewise.compat.jaxkan``.

A spline KAN [4, 10, 1] learns exp(sin(pi x1^2 + pi x2^2) / 2 + sin(pi x3^2 + pi x4^2) / 2) from 3200 samples, while its
grid grows from 3 to 24 intervals.  After every growth Adam either starts anew or keeps its moments, interpolated to the
new grid.  Run it with ``python examples/jaxkan_tutorial_7.py``; ``--quick`` takes fewer samples and epochs, up to the
second grid, and ``--jaxkan`` runs the same program on jaxKAN, where that is installed.  scikit-learn makes the split.
"""

import argparse
import importlib

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from sklearn.model_selection import train_test_split

GROWTH = {0: 3, 200: 6, 400: 10, 600: 24}  # epoch: intervals


def make_data(samples: int = 4000, seed: int = 42):
    """Uniform points of [-1, 1]^4 and their values, split 80 to 20: X_train, X_test, y_train, y_test."""
    x = jax.random.uniform(jax.random.key(seed), (samples, 4), minval=-1, maxval=1)
    first, second = jnp.sin(jnp.pi * jnp.sum(x[:, :2] ** 2, axis=1)), jnp.sin(jnp.pi * jnp.sum(x[:, 2:] ** 2, axis=1))
    return train_test_split(x, jnp.exp(first / 2 + second / 2)[:, None], test_size=0.2, random_state=seed)


@nnx.jit
def train_step(model, optimizer, x, y):
    """One update on the whole batch; the loss before it."""

    def mse(model):
        return jnp.mean((model(x) - y) ** 2)

    loss, gradients = nnx.value_and_grad(mse)(model)
    optimizer.update(model, gradients)
    return loss


@nnx.jit
def test_error(model, x, y):
    """The mean squared error."""
    return jnp.mean((model(x) - y) ** 2)


def run_experiment(transition: bool, *, quick: bool = False, package: str = "edgewise.compat.jaxkan", seed: int = 42):
    """Train, with or without the transition of Adam's state: the losses, and the error on the test samples."""
    model_class = importlib.import_module(f"{package}.models.KAN").KAN
    adam_transition = importlib.import_module(f"{package}.layers.utils").adam_transition
    x_train, x_test, y_train, y_test = make_data(400 if quick else 4000)
    growth, epochs = ({0: 3, 20: 6}, 40) if quick else (GROWTH, 700)
    model = model_class([4, 10, 1], "base", {"k": 3, "G": 3, "grid_e": 0.02}, seed=seed)
    optimizer = nnx.Optimizer(model, optax.adam(0.03), wrt=nnx.Param)
    losses = []
    for epoch in range(epochs):
        if epoch in growth:
            model.update_grids(x_train, growth[epoch])
            old_state = optimizer.opt_state
            optimizer = nnx.Optimizer(model, optax.adam(0.03), wrt=nnx.Param)
            if transition:
                adam_transition(old_state, nnx.split(model)[1])
                optimizer.opt_state = old_state
        losses.append(float(train_step(model, optimizer, x_train, y_train)))
    return losses, float(test_error(model, x_test, y_test))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer samples and epochs")
    parser.add_argument("--jaxkan", action="store_true", help="run on jaxKAN")
    options = parser.parse_args()
    package = "jaxkan" if options.jaxkan else "edgewise.compat.jaxkan"
    for transition in (False, True):
        losses, error = run_experiment(transition, quick=options.quick, package=package)
        name = "state kept" if transition else "state anew"
        print(f"{package:24} {name}: train MSE {losses[-1]:.2e}, test MSE {error:.2e}", flush=True)
