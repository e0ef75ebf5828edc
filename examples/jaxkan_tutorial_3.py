"""The initialization tutorial of jaxKAN (its third), as a jaxKAN program whose imports say ``edgewise.compat.jaxkan``.

A Chebyshev KAN [2, 6, 6, 1] of degree 5 learns x^2 + 2 exp(y) from 800 samples under five initialization schemes.
Run it with ``python examples/jaxkan_tutorial_3.py``; scikit-learn makes the split.
"""

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from sklearn.metrics import mean_squared_error
from sklearn.model_selection import train_test_split

from edgewise.compat.jaxkan.models.KAN import KAN

SCHEMES = {
    "default": {"type": "default"},
    "lecun": {"type": "lecun", "distribution": "uniform"},
    "glorot": {"type": "glorot", "distribution": "uniform"},
    "glorot_fine": {"type": "glorot_fine", "distribution": "uniform"},
    "power": {"type": "power", "const_b": 1.0, "pow_b1": 1.75, "pow_b2": 1.75},
}
PUBLISHED = {"default": 0.00563, "lecun": 0.00630, "glorot": 0.00090, "glorot_fine": 0.00090, "power": 0.00127}


def make_data(samples: int = 1000, seed: int = 42):
    """Uniform points of [-1, 1]^2 and their values, split 80 to 20: X_train, X_test, y_train, y_test."""
    x_key, y_key = jax.random.split(jax.random.PRNGKey(seed))
    x = jax.random.uniform(x_key, (samples,), minval=-1, maxval=1)
    y = jax.random.uniform(y_key, (samples,), minval=-1, maxval=1)
    target = x**2 + 2 * jnp.exp(y)
    return train_test_split(jnp.stack([x, y], axis=1), target[:, None], test_size=0.2, random_state=seed)


@nnx.jit
def train_step(model, optimizer, x, y):
    """One update on the whole batch; the loss before it."""

    def mse(model):
        return jnp.mean((model(x) - y) ** 2)

    loss, gradients = nnx.value_and_grad(mse)(model)
    optimizer.update(model, gradients)
    return loss


def run_experiment(init_scheme: dict, epochs: int = 2000) -> float:
    """Train under ``init_scheme`` and return the mean squared error on the test samples."""
    x_train, x_test, y_train, y_test = make_data()
    parameters = {"D": 5, "flavor": "exact", "residual": None, "external_weights": False, "add_bias": True}
    model = KAN(
        layer_dims=[2, 6, 6, 1],
        layer_type="chebyshev",
        required_parameters={**parameters, "init_scheme": init_scheme},
        seed=42,
    )
    optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
    for _ in range(epochs):
        train_step(model, optimizer, x_train, y_train)
    return float(mean_squared_error(y_test, model(x_test)))


if __name__ == "__main__":
    for name, scheme in SCHEMES.items():
        print(f"{name:12} test MSE {run_experiment(scheme):.5f}   published {PUBLISHED[name]:.5f}", flush=True)
