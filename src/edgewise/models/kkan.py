"""KKAN: one inner network a coordinate, their sum into an outer layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import Array

from edgewise.bases import Basis, Chebyshev, Sine, from_config
from edgewise.errors import EdgewiseError, check_count, check_keywords
from edgewise.models.inner_networks import GatedBlock, InnerBlock, Shape
from edgewise.models.options import LAYER_OPTIONS, shared_basis
from edgewise.nn import KANLayer, count_parameters
from edgewise.nn.factorized import Weighted
from edgewise.nn.functions import named
from edgewise.nn.inputs import checked_input
from edgewise.nn.options import layer_config
from edgewise.nn.residuals import Residual

__all__ = ["KKAN"]


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
        gated: whether the inner networks are those that the paper solves Allen-Cahn's equation with: hidden layers
            between two gates of the coordinate, mixed in by one trained number for all, and normalized weights.
        embeddings: the basis that every coordinate is first expanded in, say ``Fourier(10, period=2.0)`` for a periodic
            one; None, for one or for all, is ``inner_basis``, and the coordinate itself where the blocks are gated.
        rngs: source of keys; every block draws its own. Not stored.
        layer_options: of every ``KANLayer``; ``bias`` and ``edge_scale`` of Phi alone. ``init`` is "glorot_fine" and
            ``residual`` None unless given.

    Raises:
        EdgewiseError: for sizes below 1, an unknown activation or option, embeddings that are not one a coordinate.

    Toscano, Wang and Karniadakis, KKANs: Kurkova-Kolmogorov-Arnold Networks and Their Learning Dynamics,
    arXiv 2412.16738; the plain blocks as jaxKAN has them, without the paper's optional residuals.

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
        gated: bool = False,
        embeddings: Sequence[Basis | None] | None = None,
        rngs: nnx.Rngs,
        **layer_options: Any,
    ):
        check_keywords("KKAN", layer_options, LAYER_OPTIONS)
        options = {"init": "glorot_fine", "residual": None} | layer_options
        self.n_in, self.hidden, self.depth = (
            check_count(name, size, least)
            for name, size, least in (("n_in", n_in, 1), ("hidden", hidden, 1), ("depth", depth, 0))
        )
        self.activation = named("activation", activation)
        shape = Shape(hidden, depth, check_count("width", width), self.activation)
        inner_basis = Chebyshev(7) if inner_basis is None else inner_basis
        embeddings = [None] * n_in if embeddings is None else list(embeddings)
        if len(embeddings) != n_in or not all(isinstance(basis, Basis | None) for basis in embeddings):
            raise EdgewiseError(
                f"KKAN: embeddings={embeddings!r}.",
                f"each of the {n_in} coordinates has one: a basis, or None.",
                f"pass a list of {n_in}, say [{', '.join(['None', 'edgewise.Fourier(10)', *['None'] * n_in][:n_in])}].",
            )
        inner = {name: value for name, value in options.items() if name not in ("bias", "edge_scale")}
        block = GatedBlock if gated else InnerBlock
        self.inner = nnx.List(block(inner_basis, embedding, shape, rngs=rngs, **inner) for embedding in embeddings)
        self.outer = KANLayer(width, n_out, Sine(7) if basis is None else basis, rngs=rngs, **options)
        self.alpha = nnx.Param(jnp.ones((), self.outer.param_dtype)) if gated else None

    def __call__(self, x: Any) -> Array:
        """``[*batch, n_in]`` to ``[*batch, n_out]``.  Integers and booleans become the parameters' dtype."""
        x = checked_input(x, self.n_in, self.outer.param_dtype)
        mixing = () if self.alpha is None else (self.alpha[...].astype(x.dtype),)
        columns = zip(self.inner, jnp.split(x, self.n_in, axis=-1), strict=True)
        psi = [block(column, *mixing) for block, column in columns]
        return self.outer(sum(psi[1:], psi[0]))

    @property
    def inner_basis(self) -> Basis:
        """Of the expansions in the inner networks, without its weights."""
        basis = shared_basis(layer for block in self.inner for layer in block.expansions)
        return basis.basis if isinstance(basis, Weighted) else basis

    @property
    def embeddings(self) -> list[Basis | None]:
        """What every coordinate is first expanded in; None as in the arguments."""
        bases = [shared_basis(block.first) if block.first else None for block in self.inner]
        return [None if isinstance(basis, Weighted) else basis for basis in bases]

    @property
    def config(self) -> dict[str, Any]:
        """What :meth:`from_config` rebuilds the architecture from, ready for JSON; the parameters are in the state."""
        outer = self.outer
        own = {"n_in": self.n_in, "n_out": outer.n_out, "basis": outer.basis.config, "width": outer.n_in}
        own |= {"inner_basis": self.inner_basis.config, "hidden": self.hidden, "depth": self.depth}
        own |= {"activation": self.activation.name, "gated": self.alpha is not None}
        own |= {"embeddings": [basis and basis.config for basis in self.embeddings]}
        return own | layer_config(outer)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, rngs: nnx.Rngs) -> KKAN:
        """A model of the architecture that ``KKAN.config`` described, freshly drawn."""
        bases: dict[str, Any] = {name: from_config(config[name]) for name in ("basis", "inner_basis")}
        embeddings = config.get("embeddings") or [None] * config["n_in"]
        bases["embeddings"] = [basis and from_config(basis) for basis in embeddings]
        return cls(**{**config, **bases}, rngs=rngs)

    def __repr__(self) -> str:
        shape = f"width={self.outer.n_in}, hidden={self.hidden}, depth={self.depth}"
        shape += ", gated" if self.alpha is not None else ""
        bases, count = f"{self.outer.basis}, inner_basis={self.inner_basis}", f"{count_parameters(self):,} parameters"
        return f"KKAN({self.n_in}, {self.outer.n_out}, {bases}, {shape}, {count})"

    __str__ = __repr__
