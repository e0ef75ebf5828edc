"""jaxKAN's ``KKAN``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import Array

from edgewise.bases import Chebyshev
from edgewise.compat.jaxkan.layers import get_layer
from edgewise.compat.jaxkan.layers.Dense import DenseLayer
from edgewise.compat.jaxkan.models.utils import get_activation
from edgewise.errors import check_count, check_keywords
from edgewise.nn.functions import named
from edgewise.nn.inputs import checked_input

__all__ = ["KKAN", "ChebyshevEmbedding", "InnerBlock", "OuterBlock"]

_OUTER: dict[str, Any] = {"D": 7, "init_scheme": {"type": "glorot_fine"}}


class ChebyshevEmbedding(nnx.Module):
    """Every feature x becomes ``C[n]`` T_n(x) for n = 0..D_e; ``C`` is trained, 1 / (n + 1) at the start.

    The polynomials are not squashed: outside [-1, 1] they grow, as jaxKAN's and the paper's do.
    """

    def __init__(self, D_e: int):
        self.D_e = check_count("D_e", D_e)
        self.C = nnx.Param(1 / jnp.arange(1.0, D_e + 2.0))

    def __call__(self, x: Any) -> Array:
        """``[*batch, n]`` to ``[*batch, n * (D_e + 1)]``; one axis alone is a batch of one feature."""
        x = jnp.asarray(x)
        x = x[:, None] if x.ndim == 1 else x
        y = Chebyshev(self.D_e, squash=None)(x) * self.C[...]
        return y.reshape(*x.shape[:-1], -1)


class InnerBlock(nnx.Module):
    """A network of one input: embedded, ``L`` + 1 layers of ``H`` nodes with an activation, embedded, ``m`` outputs."""

    def __init__(self, D_e: int = 7, H: int = 32, L: int = 4, m: int = 32, activation: str = "tanh", seed: Any = 42):
        self.activation = named("activation", get_activation(activation))
        self.input_embedding, self.output_embedding = ChebyshevEmbedding(D_e), ChebyshevEmbedding(D_e)
        self.input_layer = DenseLayer(D_e + 1, H, seed=seed)
        self.hidden_layers = nnx.List(DenseLayer(H, H, seed=seed + i + 1) for i in range(check_count("L", L, 0)))
        self.output_layer = DenseLayer(H * (D_e + 1), m, seed=seed)

    def __call__(self, x_p: Any) -> Array:
        """``[*batch, 1]`` to ``[*batch, m]``."""
        h = self.activation(self.input_layer(self.input_embedding(x_p)))
        for layer in self.hidden_layers:
            h = self.activation(layer(h))
        return self.output_layer(self.output_embedding(h))


class OuterBlock(nnx.Module):
    """A ``layer`` of any type, from ``m`` to ``n_out``."""

    def __init__(
        self,
        m: int,
        n_out: int,
        layer_type: str = "sine",
        layer_params: Mapping[str, Any] | None = _OUTER,
        seed: Any = 42,
    ):
        layer_class, layer_params = get_layer(layer_type), layer_params or {}
        valid = [name for name in layer_class.parameters() if name not in ("n_in", "n_out", "seed")]
        check_keywords(f"layer_params of {layer_type!r}", layer_params, valid)
        self.layer = layer_class(n_in=m, n_out=n_out, seed=seed, **layer_params)

    def __call__(self, xi: Any) -> Array:
        """``[*batch, m]`` to ``[*batch, n_out]``."""
        return self.layer(xi)


class KKAN(nnx.Module):
    """The outer layer of a sum of inner networks, one an input (Toscano, Wang and Karniadakis, arXiv 2412.16738).

    Args:
        n_in, n_out: numbers of inputs and outputs.
        m: nodes between the inner networks and the outer layer.
        D_e: degree of the embeddings.
        H, L: nodes and number of hidden layers of an inner network.
        activation: a name that :func:`~edgewise.compat.jaxkan.models.utils.get_activation` knows.
        outer_layer_type, outer_layer_params: type and parameters of the outer layer.
        seed: seed + p for inner network p, and one more for each of its hidden layers, as jaxKAN has it: hidden layer i
            of network p starts equal to layer i + 1 of network p - 1.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        m: int = 32,
        D_e: int = 7,
        H: int = 32,
        L: int = 4,
        activation: str = "tanh",
        outer_layer_type: str = "sine",
        outer_layer_params: Mapping[str, Any] | None = _OUTER,
        seed: Any = 42,
    ):
        self.n_in = check_count("n_in", n_in)
        self.outer_block = OuterBlock(m, n_out, outer_layer_type, outer_layer_params, seed)
        self.inner_blocks = nnx.List(InnerBlock(D_e, H, L, m, activation, seed + p) for p in range(n_in))

    def __call__(self, x: Any) -> Array:
        """``[*batch, n_in]`` to ``[*batch, n_out]``."""
        x = checked_input(x, self.n_in, jnp.float32)
        psi = [block(x[..., p : p + 1]) for p, block in enumerate(self.inner_blocks)]
        return self.outer_block(sum(psi[1:], psi[0]))
