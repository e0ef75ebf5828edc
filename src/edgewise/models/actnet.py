"""ActNet: layers whose edges into one node share their function."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from edgewise.bases import Basis, Sine, from_config
from edgewise.errors import EdgewiseError, check_count, check_keywords, check_positive
from edgewise.models.options import LAYER_OPTIONS, shared_basis
from edgewise.nn import KANLayer, count_parameters
from edgewise.nn.draws import draw_units, next_key
from edgewise.nn.inputs import checked_input
from edgewise.nn.options import layer_config
from edgewise.nn.residuals import residual_name

__all__ = ["ActLayer", "ActNet"]


class ActLayer(KANLayer):
    """y_k = b_k + sum_i lambda_ki sum_m beta_km B_m(x_i): one function for all edges into a node, up to a factor.

    A ``KANLayer`` with beta as ``coef`` ``[K, 1, n_out]`` and lambda as ``edge_scale`` ``[n_in, n_out]``.  Variances
    are 1/K and 1/n_in with the default scheme (Guilhoto and Perdikaris, arXiv 2410.01990, section 3); under any scheme
    the products lambda beta have the standard deviations that it asks of coefficients.

    Args, raises: as ``KANLayer``, with no residual by default; a scheme that gives the coefficients is refused.
    """

    def __init__(self, n_in: int, n_out: int, basis: Basis | None = None, *, rngs: nnx.Rngs, **options: Any):
        basis, options = Sine(4) if basis is None else basis, {"residual": None} | options
        super().__init__(n_in, n_out, basis, edge_scale=True, rngs=rngs, **options)
        scales, key = self.init(self.stats), next_key(rngs.params)
        if scales.coef is not None:
            raise EdgewiseError(
                f"{type(self.init).__name__} gives coefficients, which an ActLayer has not.",
                "its coefficients are products lambda beta, so only their standard deviations can be chosen.",
                "take another scheme, and assign layer.coef[...] (beta) and layer.edge_scale[...] (lambda) afterwards.",
            )
        std = scales.basis if np.ndim(scales.basis) == 0 else scales.basis[:, None, None]
        beta = draw_units(key, 1, (self.stats.modes, 1, n_out), scales.basis_law) * (std * n_in**0.5)
        self.coef = nnx.Param(jnp.asarray(beta, self.param_dtype))
        factors = draw_units(key, 2, (n_in, n_out), "normal") / n_in**0.5
        self.edge_scale = nnx.Param(jnp.asarray(factors, self.param_dtype))

    @property
    def config(self) -> dict[str, Any]:
        """As of a ``KANLayer``; there is always an ``edge_scale``."""
        return {name: value for name, value in super().config.items() if name != "edge_scale"}

    def __repr__(self) -> str:
        return super().__repr__().replace("KANLayer", "ActLayer", 1)

    __str__ = __repr__


class ActNet(nnx.Module):
    """x -> project, ``depth`` ActLayers, project: y = L_out(A_depth(... A_1(L_in(omega_0 x)))).

    Args:
        n_in, n_out: numbers of inputs and outputs.
        basis: of every ActLayer; None is ``Sine(4)``, with mean 0 and variance 1 when x ~ N(0, 1).
        width: nodes between the layers.
        depth: number of ActLayers.
        omega_0: factor on the inputs, the frequency that the first layer sees; fixed. The paper takes 2 to 30.
        projections: whether there are the linear maps L; without them the ActLayers go from ``n_in`` to ``n_out``.
        rngs: source of keys; not stored.
        layer_options: passed to every :class:`ActLayer`: ``init``, ``residual`` (None unless given), ``bias``,
            ``dtype``, ``param_dtype``, ``precision``.

    Raises:
        EdgewiseError: for sizes below 1, an ``omega_0`` that is not above 0, an unknown option.

    Guilhoto and Perdikaris, Deep Learning Alternatives of the Kolmogorov Superposition Theorem, arXiv 2410.01990,
    section 3 and appendix D.1; the sines are its equations 6 to 8.

    >>> model = ActNet(2, 1, width=156, depth=4, omega_0=15.0, rngs=nnx.Rngs(0))
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        basis: Basis | None = None,
        *,
        width: int = 64,
        depth: int = 4,
        omega_0: float = 1.0,
        projections: bool = True,
        rngs: nnx.Rngs,
        **layer_options: Any,
    ):
        check_keywords("ActNet", layer_options, [name for name in LAYER_OPTIONS if name != "edge_scale"])
        self.n_in, self.n_out = check_count("n_in", n_in), check_count("n_out", n_out)
        width, depth = check_count("width", width), check_count("depth", depth)
        check_positive("omega_0", omega_0)
        self.omega_0 = float(omega_0)
        widths = [width] * (depth + 1) if projections else [n_in, *[width] * (depth - 1), n_out]
        self.layers = nnx.List(
            ActLayer(before, after, basis, rngs=rngs, **layer_options) for before, after in pairwise(widths)
        )
        first = self.layers[0]
        dtypes = {"dtype": first.dtype, "param_dtype": first.param_dtype, "precision": first.precision}
        self.project_in = nnx.Linear(n_in, width, rngs=rngs, **dtypes) if projections else None
        self.project_out = nnx.Linear(width, n_out, rngs=rngs, **dtypes) if projections else None

    def __call__(self, x: Any) -> Array:
        """``[*batch, n_in]`` to ``[*batch, n_out]``.  Integers and booleans become the parameters' dtype."""
        x = self.omega_0 * checked_input(x, self.n_in, self.layers[0].param_dtype)
        if self.project_in is not None:
            x = self.project_in(x)
        for layer in self.layers:
            x = layer(x)
        return x if self.project_out is None else self.project_out(x)

    @property
    def config(self) -> dict[str, Any]:
        """What :meth:`from_config` rebuilds the architecture from, ready for JSON; the parameters are in the state."""
        first = self.layers[0]
        options = layer_config(first)
        del options["edge_scale"]
        own = {
            "n_in": self.n_in,
            "n_out": self.n_out,
            "basis": shared_basis(self.layers).config,
            "width": self.layers[-1].n_in,
        }
        own |= {"depth": len(self.layers), "omega_0": self.omega_0, "projections": self.project_in is not None}
        return own | options

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, rngs: nnx.Rngs) -> ActNet:
        """A model of the architecture that ``ActNet.config`` described, freshly drawn."""
        return cls(**{**config, "basis": from_config(config["basis"])}, rngs=rngs)

    def __repr__(self) -> str:
        basis, residual = self.layers[0].basis, residual_name(self.layers[0].residual)
        shape = f"width={self.layers[-1].n_in}, depth={len(self.layers)}, omega_0={self.omega_0:g}"
        count = f"{count_parameters(self):,} parameters"
        return f"ActNet({self.n_in}, {self.n_out}, {basis}, {shape}, residual={residual}, {count})"

    __str__ = __repr__
