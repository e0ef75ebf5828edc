"""What an MLP with expansions is made of: weighted bases, factorized and normalized weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from edgewise.bases import Refinement, State, Wrapped
from edgewise.nn.draws import draw_units, next_key
from edgewise.nn.layer import KANLayer

__all__ = ["Factorized", "Normalized", "Weighted"]


@dataclass(frozen=True)
class Weighted(Wrapped):
    """c_m B_m(x) with trained weights c, 1/m for m = 1..M at the start: the embedding of KKAN (arXiv 2412.16738).

    Args:
        basis: the family B.

    State: that of ``basis``, and ``weights`` ``[M]``, trained, shared by the input nodes.
    """

    @property
    def has_constant(self):
        return self.basis.has_constant

    @property
    def trained(self):
        return (*self.basis.trained, "weights")

    def init(self, n_in, *, key):
        return {**self.basis.init(n_in, key=key), "weights": jnp.asarray(_start(self.size), jnp.float32)}

    def modes(self, x, state):
        weights = state["weights"].astype(x.dtype)
        return [weights[m] * mode for m, mode in enumerate(self.basis.modes(x, _inner(state)))]

    def cells(self, state, n_in):
        return self.basis.cells(_inner(state), n_in)

    def extended(self, state, size, **options):
        finer = self.basis.extended(_inner(state), size, **options)
        weights = _start(finer.basis.size)
        # of two families side by side both are fitted together
        lift = None if finer.exact is None else finer.exact * state["weights"] / weights[:, None]
        return Refinement(Weighted(finer.basis), {**finer.state, "weights": weights}, lift)

    def adapted(self, state, importance):
        moved = self.basis.adapted(_inner(state), importance)
        if moved is None:
            return None
        return Refinement(Weighted(moved.basis), {**moved.state, "weights": state["weights"]}, moved.lift)


def _start(size: int) -> np.ndarray:
    return 1 / np.arange(1, size + 1)


def _inner(state: State) -> dict[str, Any]:
    return {name: value for name, value in state.items() if name != "weights"}


class _Scaled(nnx.Module):
    """y_j = g_j L(x)_j + b_j for a linear map or a KANLayer L without bias."""

    def __init__(self, linear: KANLayer | nnx.Linear, gain: Array):
        self.linear = linear
        self.gain = nnx.Param(gain.astype(linear.param_dtype))
        self.bias = nnx.Param(jnp.zeros(gain.shape, linear.param_dtype))

    @property
    def weights(self) -> list[nnx.Param]:
        """What L is linear in, the output nodes last."""
        named = (getattr(self.linear, name, None) for name in ("coef", "residual_kernel", "kernel"))
        return [weights for weights in named if weights is not None]

    def __call__(self, x: Any) -> Array:
        """``[*batch, n_in]`` to ``[*batch, n_out]``."""
        y = self.linear(x)
        with jax.numpy_rank_promotion("allow"):
            return y * self._factor().astype(y.dtype) + self.bias[...].astype(y.dtype)

    def _factor(self) -> Array:
        return self.gain[...]


class Factorized(_Scaled):
    """y_j = g_j L(x)_j + b_j for a linear map or a KANLayer L without bias: random weight factorization.

    g is exp(N(1, 0.1^2)) at the start and L is divided by it, so that the products are what was drawn (Wang et al.,
    arXiv 2210.01274).
    """

    def __init__(self, linear: KANLayer | nnx.Linear, *, rngs: nnx.Rngs):
        gain = jnp.exp(1 + 0.1 * jnp.asarray(draw_units(next_key(rngs.params), 1, (_n_out(linear),), "normal")))
        super().__init__(linear, gain)
        for weights in self.weights:
            weights[...] = (weights[...] / jnp.expand_dims(gain, range(weights.ndim - 1))).astype(weights.dtype)


class Normalized(_Scaled):
    """y_j = g_j L(x)_j / |L_j| + b_j, |L_j| the norm of the weights into node j: weight normalization.

    g is 1 at the start, so that of what was drawn the directions count alone.  Salimans and Kingma, arXiv 1602.07868.
    """

    def __init__(self, linear: KANLayer | nnx.Linear):
        super().__init__(linear, jnp.ones(_n_out(linear)))

    def norm(self) -> Array:
        """``[n_out]``; at least the least number of the dtype."""
        squares = [jnp.sum(weights[...] ** 2, axis=range(weights.ndim - 1)) for weights in self.weights]
        return jnp.sqrt(jnp.maximum(sum(squares), jnp.finfo(self.gain.dtype).tiny))

    def _factor(self) -> Array:
        return self.gain[...] / self.norm()


def _n_out(linear: KANLayer | nnx.Linear) -> int:
    return linear.n_out if isinstance(linear, KANLayer) else linear.out_features
