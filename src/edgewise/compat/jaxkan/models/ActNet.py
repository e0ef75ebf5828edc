"""jaxKAN's ``ActNet``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from edgewise.bases import Sine
from edgewise.compat.jaxkan.translation import architecture
from edgewise.errors import EdgewiseError, check_count
from edgewise.nn import KANLayer
from edgewise.nn.inputs import checked_input
from edgewise.nn.layer import PRECISION
from edgewise.nn.variables import Grid

__all__ = ["ActLayer", "ActNet"]


class ActLayer(nnx.Module):
    """y_k = sum_i Lambda_ki sum_j beta_kj b_j(x_i): one sum of N normalized sines for all edges into a node.

    Attributes:
        beta: ``[n_out, N]``, trained.
        Lambda: ``[n_out, n_in]``, trained.
        omega, phase: ``[N]``, trained if ``train_basis``, else part of the state and fixed.
    """

    def __init__(self, n_in: int = 3, n_out: int = 4, N: int = 5, train_basis: bool = True, seed: Any = 42):
        self.n_in, self.n_out = check_count("n_in", n_in), check_count("n_out", n_out)
        rngs, kind = nnx.Rngs(jax.random.key(seed)), nnx.Param if train_basis else Grid
        self._family = Sine(check_count("N", N))
        self.beta = nnx.Param(jax.random.normal(rngs.params(), (n_out, N)) * (1.0 / N) ** 0.5)
        self.Lambda = nnx.Param(jax.random.normal(rngs.params(), (n_out, n_in)) * (1.0 / n_in) ** 0.5)
        self.omega = kind(jax.random.normal(rngs.params(), (N,)))
        self.phase = kind(jnp.zeros(N))

    def basis(self, x: Any) -> Array:
        """The sines, ``[*batch, n_in]`` to ``[*batch, N, n_in]``."""
        return self._family.stacked(checked_input(x, self.n_in, jnp.float32), self._state())

    def _state(self) -> dict[str, Array]:
        return {"frequency": self.omega[...], "phase": self.phase[...]}

    def to_edgewise(self) -> KANLayer:
        """The layer of ours with these parameters: an :class:`edgewise.models.actnet.ActLayer` in all but class."""
        _, graphdef = architecture(self.n_in, self.n_out, self._family, None, False, True)
        coef = self.beta[...].T[:, None, :]
        return nnx.merge(graphdef, {"coef": coef, "edge_scale": self.Lambda[...].T, "basis_state": self._state()})

    def __call__(self, x: Any) -> Array:
        """``[*batch, n_in]`` to ``[*batch, n_out]``."""
        return self.to_edgewise()(x)


class ActNet(nnx.Module):
    """ActLayers one after the other (Guilhoto and Perdikaris, arXiv 2410.01990).

    Args:
        layer_dims: numbers of nodes, input and output included, at least two.
        N: number of sines in a layer.
        add_bias: whether a trained bias follows every layer.
        omega0: factor on the inputs.
        use_projections: whether the first and the last of the maps between ``layer_dims`` are linear, ``input_proj``
            and ``output_proj``, and only those between are ActLayers; with three dims there is then none of them.
        train_basis: whether frequencies and phases are trained.
        seed: given to every layer, as jaxKAN does: layers of equal shape start equal.

    Attributes:
        layers: the ActLayers, an ``nnx.List``.
        biases: of the layers, an ``nnx.List`` of ``nnx.Param``, if ``add_bias``.
    """

    def __init__(
        self,
        layer_dims: Sequence[int],
        N: int = 4,
        add_bias: bool = True,
        omega0: float = 1.0,
        use_projections: bool = False,
        train_basis: bool = True,
        seed: Any = 42,
    ):
        dims = [check_count(f"layer_dims[{index}]", size) for index, size in enumerate(layer_dims)]
        if len(dims) < 2:
            raise EdgewiseError(
                f"layer_dims={layer_dims!r} needs at least inputs and outputs.", do="pass say [2, 6, 1]."
            )
        self.n_in, self.add_bias, self.omega0 = dims[0], add_bias, omega0
        self.use_projections = use_projections
        if use_projections and len(dims) > 2:
            rngs = nnx.Rngs(jax.random.key(seed))
            self.input_proj = nnx.Linear(dims[0], dims[1], precision=PRECISION, rngs=rngs)
            self.output_proj = nnx.Linear(dims[-2], dims[-1], precision=PRECISION, rngs=rngs)
            dims = dims[1:-1]
        self.layers = nnx.List(ActLayer(before, after, N, train_basis, seed) for before, after in pairwise(dims))
        if add_bias:
            self.biases = nnx.List(nnx.Param(jnp.zeros(size)) for size in dims[1:])

    def __call__(self, x: Any) -> Array:
        """``[*batch, layer_dims[0]]`` to ``[*batch, layer_dims[-1]]``."""
        x = self.omega0 * checked_input(x, self.n_in, jnp.float32)
        projected = hasattr(self, "input_proj")
        if projected:
            x = self.input_proj(x)
        for index, layer in enumerate(self.layers):
            x = layer(x) + (self.biases[index][...] if self.add_bias else 0.0)
        return self.output_proj(x) if projected else x
