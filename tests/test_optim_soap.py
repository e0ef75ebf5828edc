"""SOAP against a transcription of the paper's algorithm in NumPy, and against Adam where nothing is rotated."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from edgewise.bases import Chebyshev
from edgewise.errors import EdgewiseError
from edgewise.models import KAN
from edgewise.training.optim import scale_by_soap, soap

# the first statistic of every rotated axis has full rank: eigenvectors of rank-deficient ones are not unique
SHAPES = {"coef": (2, 4, 3), "kernel": (4, 4), "bias": (3,), "row": (1, 11)}


def gradients_of(steps, seed=0):
    rng = np.random.default_rng(seed)
    return [{name: rng.normal(size=shape) for name, shape in SHAPES.items()} for _ in range(steps)]


def run(transform, gradients):
    """The update of every step; the step is compiled once."""
    params = {name: jnp.zeros(shape, jnp.float64) for name, shape in SHAPES.items()}
    state, update, moved = transform.init(params), jax.jit(transform.update), []
    for gradient in gradients:
        updates, state = update(gradient, state, params)
        moved.append({name: np.asarray(value) for name, value in updates.items()})
    return moved


class Reference:
    """Algorithm 3 of arXiv 2409.11321 for one array, by unfolding it along each axis in turn."""

    def __init__(self, shape, b1, b2, beta, eps, frequency, longest):
        self.axes = [k for k, d in enumerate(shape) if len(shape) > 1 and 1 < d <= longest]
        self.q = {k: np.eye(shape[k]) for k in self.axes}
        self.l = {k: np.zeros((shape[k],) * 2) for k in self.axes}
        self.m, self.v, self.t = np.zeros(shape), np.zeros(shape), 0
        self.b1, self.b2, self.beta, self.eps, self.frequency = b1, b2, beta, eps, frequency

    def along(self, array, matrices):
        for k, matrix in matrices.items():
            unfolded = np.moveaxis(array, k, 0)
            array = np.moveaxis((matrix @ unfolded.reshape(len(matrix), -1)).reshape(unfolded.shape), 0, k)
        return array

    def into(self, array):
        return self.along(array, {k: q.T for k, q in self.q.items()})

    def __call__(self, g):
        self.t += 1
        self.m = self.b1 * self.m + (1 - self.b1) * g
        self.v = self.b2 * self.v + (1 - self.b2) * self.into(g) ** 2
        m, v = self.into(self.m) / (1 - self.b1**self.t), self.v / (1 - self.b2**self.t)
        update = self.along(m / (np.sqrt(v) + self.eps), self.q)
        for k in self.axes:
            unfolded = np.moveaxis(g, k, 0).reshape(g.shape[k], -1)
            self.l[k] = self.beta * self.l[k] + (1 - self.beta) * unfolded @ unfolded.T
        if self.t == 1:
            self.q = {k: np.linalg.eigh(matrix)[1][:, ::-1] for k, matrix in self.l.items()}
            self.v = (1 - self.b2) * self.into(g) ** 2
        elif self.t % self.frequency == 0:
            for k, q in self.q.items():
                order = np.argsort(-np.diag(q.T @ self.l[k] @ q))
                self.q[k] = np.linalg.qr(self.l[k] @ q[:, order])[0]
                self.v = np.take(self.v, order, axis=k)
        return update


@pytest.mark.parametrize(("beta", "longest"), [(None, 10), (0.7, 3)])
def test_every_step_is_that_of_the_paper(beta, longest):
    gradients = gradients_of(14)
    settings = {"b1": 0.9, "b2": 0.8, "eps": 1e-6}
    with jax.enable_x64(True):
        transform = scale_by_soap(**settings, shampoo_beta=beta, precondition_frequency=3, max_precond_dim=longest)
        moved = run(transform, gradients)
    for name, shape in SHAPES.items():
        reference = Reference(shape, 0.9, 0.8, beta or 0.8, 1e-6, 3, longest)
        for step, gradient in enumerate(gradients):
            expected = reference(gradient[name])
            np.testing.assert_allclose(moved[step][name], expected, rtol=1e-8, atol=1e-10, err_msg=f"{name} {step}")


def test_bases_follow_the_eigenvectors():
    """Power iteration on a constant statistic arrives at its eigenvectors, largest first."""
    gradient = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    u, v = (np.linalg.qr(np.random.default_rng(k).normal(size=(d, d)))[0] for k, d in enumerate((4, 4)))
    sizes = np.array([3.0, 2.0, 1.0, 0.5])
    with jax.enable_x64(True):
        transform = scale_by_soap(precondition_frequency=1)
        params = {name: jnp.zeros(shape, jnp.float64) for name, shape in SHAPES.items()}
        state, update = transform.init(params), jax.jit(transform.update)
        disturbed = gradient | {"kernel": np.random.default_rng(3).normal(size=(4, 4))}
        _, state = update(disturbed, state, params)
        for _ in range(200):
            _, state = update(gradient | {"kernel": u * sizes @ v.T}, state, params)
    names = sorted(SHAPES)
    basis = np.asarray(state.bases[names.index("kernel")][0])
    np.testing.assert_allclose(np.abs(basis.T @ u), np.eye(4), atol=1e-4)


def test_without_rotations_it_is_adam():
    gradients = gradients_of(5, seed=1)
    with jax.enable_x64(True):
        ours = run(soap(1e-2, 0.9, 0.99, eps=1e-7, max_precond_dim=0), gradients)
        adam = run(optax.adam(1e-2, 0.9, 0.99, 1e-7), gradients)
    for mine, its in zip(ours, adam, strict=True):
        for name in SHAPES:
            np.testing.assert_allclose(mine[name], its[name], rtol=1e-12)


def test_weight_decay_and_schedule():
    params = {"kernel": jnp.full((2, 2), 3.0)}
    zero = {"kernel": jnp.zeros((2, 2))}
    transform = soap(optax.linear_schedule(0.5, 0.25, 1), weight_decay=0.1)
    updates, state = transform.update(zero, transform.init(params), params)
    np.testing.assert_allclose(updates["kernel"], -0.5 * 0.1 * 3.0, rtol=1e-6)
    updates, _ = transform.update(zero, state, params)
    np.testing.assert_allclose(updates["kernel"], -0.25 * 0.1 * 3.0, rtol=1e-6)


def test_a_model_trains():
    """Parameters as the model has them, inside one compiled loop; better than Adam at the same rate."""
    x = np.random.default_rng(0).uniform(-1, 1, (64, 2)).astype(np.float32)
    y = np.exp(x[:, :1]) * x[:, 1:]
    graphdef, params, rest = nnx.split(KAN([2, 3, 1], Chebyshev(3), rngs=nnx.Rngs(0)), nnx.Param, ...)
    loss = lambda params: jnp.mean((nnx.merge(graphdef, params, rest)(x) - y) ** 2)

    def trained(transform):
        def step(_, carry):
            params, state = carry
            updates, state = transform.update(jax.grad(loss)(params), state, params)
            return optax.apply_updates(params, updates), state

        return loss(jax.jit(lambda p: jax.lax.fori_loop(0, 300, step, (p, transform.init(p))))(params)[0])

    assert trained(soap(1e-2)) < 0.5 * trained(optax.adam(1e-2))


@pytest.mark.parametrize("option", [{"precondition_frequency": 0}, {"max_precond_dim": -1}])
def test_bad_options(option):
    with pytest.raises(EdgewiseError, match=next(iter(option))):
        scale_by_soap(**option)
