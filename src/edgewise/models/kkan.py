"""KKAN: one inner network a coordinate, their sum into an outer layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import Array

from edgewise.bases import Basis, Chebyshev, Sine, from_config
from edgewise.errors import check_count, check_keywords
from edgewise.models.options import LAYER_OPTIONS, layer_config, shared_basis
from edgewise.nn import KANLayer, count_parameters
from edgewise.nn.factorized import Factorized, Weighted
from edgewise.nn.functions import NamedFunction, named
from edgewise.nn.inputs import checked_input
from edgewise.nn.residuals import Residual

__all__ = ["KKAN", "InnerBlock"]

_GLOROT = nnx.initializers.glorot_normal()


class InnerBlock(nnx.Module):
    """An MLP on the expansion of one coordinate: h = a(W_0 c T(x)), h <- a(W h) ``depth`` times, psi = W_1 c' T(h).

    The weights c, c' of the modes T and the factors of every W are trained; see ``Weighted`` and ``Factorized``.
    """

    def __init__(
        self,
        basis: Basis,
        *,
        hidden: int,
        depth: int,
        width: int,
        activation: NamedFunction,
        rngs: nnx.Rngs,
        **options: Any,
    ):
        expansions = [
            Factorized(KANLayer(n_in, n_out, Weighted(basis), bias=False, rngs=rngs, **options), rngs=rngs)
            for n_in, n_out in ((1, hidden), (hidden, width))
        ]
        self.expand, self.combine = expansions
        dtypes = {name: options[name] for name in ("dtype", "param_dtype", "precision") if name in options}
        linear = {"use_bias": False, "kernel_init": _GLOROT, **dtypes}
        self.hidden = nnx.List(
            Factorized(nnx.Linear(hidden, hidden, rngs=rngs, **linear), rngs=rngs) for _ in range(depth)
        )
        self.activation = activation

    def __call__(self, x: Array) -> Array:
        """``[*batch, 1]`` to ``[*batch, width]``."""
        for layer in (self.expand, *self.hidden):
            x = self.activation(layer(x))
        return self.combine(x)


class KKAN(nnx.Module):
    """Kurkova-Kolmogorov-Arnold network: y = Phi(sum_p Psi_p(x_p)), Psi_p networks of one input, Phi a KANLayer.

    Args:
        n_in, n_out: numbers of inputs and outputs.
        basis: of the outer layer Phi; None is ``Sine(7)``.
        inner_basis: of the expansions in the inner networks; None is ``Chebyshev(7)``, squashed to stay finite
            everywhere. The paper does not squash: ``Chebyshev(7, squash=None)``.
        width: outputs of every Psi_p, inputs of Phi.
        hidden, depth: nodes and number of the hidden layers of every Psi_p.
        activation: of the hidden layers: a name in ``RESIDUALS``, or a function that a name leads to.
        rngs: source of keys; every block draws its own. Not stored.
        layer_options: of every ``KANLayer``; ``bias`` and ``edge_scale`` of Phi alone. ``init`` is "glorot_fine" and
            ``residual`` None unless given.

    Raises:
        EdgewiseError: for sizes below 1, an unknown activation or option.

    Toscano, Wang and Karniadakis, KKANs: Kurkova-Kolmogorov-Arnold Networks and Their Learning Dynamics,
    arXiv 2412.16738; blocks as jaxKAN has them: plain hidden layers, without the paper's optional residuals.

    >>> model = KKAN(2, 1, Sine(7), width=32, hidden=32, depth=4, rngs=nnx.Rngs(0))
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        basis: Basis | None = None,
        *,
        inner_basis: Basis | None = None,
        width: int = 32,
        hidden: int = 32,
        depth: int = 4,
        activation: Residual | str = "tanh",
        rngs: nnx.Rngs,
        **layer_options: Any,
    ):
        check_keywords("KKAN", layer_options, LAYER_OPTIONS)
        options = {"init": "glorot_fine", "residual": None} | layer_options
        self.n_in, self.hidden, self.depth = (
            check_count(name, size, least)
            for name, size, least in (("n_in", n_in, 1), ("hidden", hidden, 1), ("depth", depth, 0))
        )
        sizes = {"hidden": hidden, "depth": depth, "width": check_count("width", width)}
        self.activation = named("activation", activation)
        inner_basis = Chebyshev(7) if inner_basis is None else inner_basis
        inner = {name: value for name, value in options.items() if name not in ("bias", "edge_scale")}
        self.inner = nnx.List(
            InnerBlock(inner_basis, activation=self.activation, rngs=rngs, **sizes, **inner) for _ in range(n_in)
        )
        self.outer = KANLayer(width, n_out, Sine(7) if basis is None else basis, rngs=rngs, **options)

    def __call__(self, x: Any) -> Array:
        """``[*batch, n_in]`` to ``[*batch, n_out]``.  Integers and booleans become the parameters' dtype."""
        x = checked_input(x, self.n_in, self.outer.param_dtype)
        psi = [block(column) for block, column in zip(self.inner, jnp.split(x, self.n_in, axis=-1), strict=True)]
        return self.outer(sum(psi[1:], psi[0]))

    @property
    def inner_basis(self) -> Basis:
        """Of the expansions in the inner networks, without its weights."""
        parts = (part.linear for block in self.inner for part in (block.expand, block.combine))
        basis = shared_basis(part for part in parts if isinstance(part, KANLayer))
        return basis.basis if isinstance(basis, Weighted) else basis

    @property
    def config(self) -> dict[str, Any]:
        """What :meth:`from_config` rebuilds the architecture from, ready for JSON; the parameters are in the state."""
        outer = self.outer
        own = {"n_in": self.n_in, "n_out": outer.n_out, "basis": outer.basis.config, "width": outer.n_in}
        own |= {"inner_basis": self.inner_basis.config, "hidden": self.hidden, "depth": self.depth}
        return own | {"activation": self.activation.name} | layer_config(outer)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, rngs: nnx.Rngs) -> KKAN:
        """A model of the architecture that ``KKAN.config`` described, freshly drawn."""
        bases = {name: from_config(config[name]) for name in ("basis", "inner_basis")}
        return cls(**{**config, **bases}, rngs=rngs)

    def __repr__(self) -> str:
        shape = f"width={self.outer.n_in}, hidden={self.hidden}, depth={self.depth}"
        bases, count = f"{self.outer.basis}, inner_basis={self.inner_basis}", f"{count_parameters(self):,} parameters"
        return f"KKAN({self.n_in}, {self.outer.n_out}, {bases}, {shape}, {count})"

    __str__ = __repr__
