"""RGA KAN: residual-gated adaptive blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import Array

from edgewise._compilation import compiled_for_few_runs
from edgewise.bases import Basis, Chebyshev, Sine, from_config
from edgewise.errors import EdgewiseError, check_count, check_keywords
from edgewise.models.options import LAYER_OPTIONS, shared_basis
from edgewise.nn import KANLayer, count_parameters
from edgewise.nn.inputs import checked_input
from edgewise.nn.least_squares import fit_layer
from edgewise.nn.options import layer_config

__all__ = ["RGAKAN", "RGABlock"]

_SINES = Sine(5)


class RGABlock(nnx.Module):
    """Two layers L, each mixed with the gates u, v and with the block's input x; alpha and beta are trained.

    h = L_1(x);  z = beta (h u + (1 - h) v) + (1 - beta) x;  h = L_2(z);  y = alpha (h u + (1 - h) v) + (1 - alpha) x.
    """

    def __init__(self, width: int, basis: Basis, *, alpha: float, beta: float, rngs: nnx.Rngs, **layer_options: Any):
        self.first, self.second = (KANLayer(width, width, basis, rngs=rngs, **layer_options) for _ in range(2))
        self.alpha, self.beta = (nnx.Param(jnp.asarray(weight, self.first.param_dtype)) for weight in (alpha, beta))

    def __call__(self, x: Array, u: Array, v: Array) -> Array:
        """``[*batch, width]`` and gates of that shape to ``[*batch, width]``."""
        y = x
        for layer, weight in ((self.first, self.beta[...]), (self.second, self.alpha[...])):
            h, weight = layer(y), jnp.asarray(weight, x.dtype)
            y = weight * (h * u + (1 - h) * v) + (1 - weight) * x
        return y


class RGAKAN(nnx.Module):
    """Residual-gated adaptive KAN: h_0 = S(x), u = U(h_0), v = V(h_0); h_l = block_l(h_(l-1), u, v); y = L(h).

    With alpha = 0 at the start the blocks pass their input on, so a deep network starts as a shallow one.

    Args:
        n_in, n_out: numbers of inputs and outputs.
        basis: of gates, blocks and the last layer L; None is ``Chebyshev(5)``.
        width: nodes between the layers.
        blocks: number of blocks.
        first_basis: of the first layer S; None for no such layer, where ``n_in`` is ``width`` already.
        alpha, beta: of every block at the start.
        rngs: source of keys, so that the gates differ; not stored.
        layer_options: passed to every ``KANLayer``; ``init`` is "glorot_fine" and ``residual`` None unless given.

    Raises:
        EdgewiseError: for sizes below 1, an unknown option, or no first layer where ``n_in`` is not ``width``.

    Rigas et al., Training Deep Physics-Informed Kolmogorov-Arnold Networks, arXiv 2510.23501; gates and
    adaptive residuals follow PirateNets (Wang et al., arXiv 2402.00326, section 4).

    >>> model = RGAKAN(2, 1, Chebyshev(5), width=16, blocks=6, rngs=nnx.Rngs(0))
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        basis: Basis | None = None,
        *,
        width: int = 16,
        blocks: int = 4,
        first_basis: Basis | None = _SINES,
        alpha: float = 0.0,
        beta: float = 1.0,
        rngs: nnx.Rngs,
        **layer_options: Any,
    ):
        check_keywords("RGAKAN", layer_options, LAYER_OPTIONS)
        options = {"init": "glorot_fine", "residual": None} | layer_options
        self.n_in, width, blocks = check_count("n_in", n_in), check_count("width", width), check_count("blocks", blocks)
        if first_basis is None and n_in != width:
            raise EdgewiseError(
                f"n_in={n_in} is not width={width}, and there is no first layer.",
                "the blocks add what they compute to their input, so both have one width.",
                "pass first_basis=edgewise.Sine(5), or width=n_in.",
            )
        basis = Chebyshev(5) if basis is None else basis
        self.first = None if first_basis is None else KANLayer(n_in, width, first_basis, rngs=rngs, **options)
        self.gate_u, self.gate_v = (KANLayer(width, width, basis, rngs=rngs, **options) for _ in range(2))
        self.start = (float(alpha), float(beta))
        self.blocks = nnx.List(
            RGABlock(width, basis, alpha=alpha, beta=beta, rngs=rngs, **options) for _ in range(blocks)
        )
        self.last = KANLayer(width, n_out, basis, rngs=rngs, **options)

    def hidden(self, x: Any) -> Array:
        """What the last layer sees: ``[*batch, n_in]`` to ``[*batch, width]``."""
        h = checked_input(x, self.n_in, self.last.param_dtype)
        h = h if self.first is None else self.first(h)
        u, v = self.gate_u(h), self.gate_v(h)
        for block in self.blocks:
            h = block(h, u, v)
        return h

    def __call__(self, x: Any) -> Array:
        """``[*batch, n_in]`` to ``[*batch, n_out]``.  Integers and booleans become the parameters' dtype."""
        return self.last(self.hidden(x))

    def fit_last_layer(self, x: Any, y: Any) -> None:
        """Physics-informed initialization: the last layer that brings the model closest to y at x, by least squares.

        For an initial condition u_0, x are points of space and time and y is u_0 of their space coordinates.

        Args:
            x: ``[n, n_in]``.
            y: ``[n, n_out]``, or ``[n]`` for one output.

        Raises:
            ShapeError: for x and y that do not fit.
        """
        fit_layer(self.last, compiled_for_few_runs(RGAKAN.hidden)(self, x), y)

    @property
    def config(self) -> dict[str, Any]:
        """What :meth:`from_config` rebuilds the architecture from, ready for JSON; the parameters are in the state."""
        blocks = (layer for block in self.blocks for layer in (block.first, block.second))
        basis = shared_basis([self.gate_u, self.gate_v, *blocks, self.last]).config
        first = None if self.first is None else self.first.basis.config
        own = {"n_in": self.n_in, "n_out": self.last.n_out, "basis": basis, "width": self.last.n_in}
        own |= {"blocks": len(self.blocks), "first_basis": first, "alpha": self.start[0], "beta": self.start[1]}
        return own | layer_config(self.last)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, rngs: nnx.Rngs) -> RGAKAN:
        """A model of the architecture that ``RGAKAN.config`` described, freshly drawn."""
        bases = {name: from_config(config[name]) for name in ("basis", "first_basis") if config[name] is not None}
        return cls(**{**config, **bases}, rngs=rngs)

    def __repr__(self) -> str:
        shape = f"width={self.last.n_in}, blocks={len(self.blocks)}"
        return (
            f"RGAKAN({self.n_in}, {self.last.n_out}, {self.last.basis}, {shape}, {count_parameters(self):,} parameters)"
        )

    __str__ = __repr__
