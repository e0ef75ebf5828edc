"""The Kolmogorov-Arnold layer: one class for every basis."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from flax.nnx.nn import dtypes
from jax import Array

from edgewise.bases import Basis, BSpline, from_config
from edgewise.errors import EdgewiseError, check_count, checked_keywords
from edgewise.init import Gain, Initializer, Moments, Scales, Stats, gains_of, input_law, resolve
from edgewise.nn.contract import contract
from edgewise.nn.draws import draw_units, next_key
from edgewise.nn.inputs import checked_input
from edgewise.nn.options import layer_config
from edgewise.nn.residuals import PicklesResidual, Residual, residual_name, resolve_residual
from edgewise.nn.symbolic import SymbolicEdges, edge_config, with_edges
from edgewise.nn.variables import Grid, Mask
from edgewise.nn.watching import called

__all__ = ["PRECISION", "KANLayer", "count_parameters"]

PRECISION = "highest"
"""Of matrix products, unless told otherwise: JAX's own default is TF32 on a GPU."""


class KANLayer(PicklesResidual):
    """y_j = b_j + sum_i [ w_ji R(x_i) + s_ji sum_m c_jim B_m(x_i) ].

    Args:
        n_in, n_out: numbers of input and output nodes.
        basis: the family B.
        init: an initialization scheme, its name, or its configuration; None is ``Default()``.
        residual: R, a named function, its name, or None for no such branch.
        bias: whether there is a b. A basis with a constant mode then drops it: the two would be redundant.
        edge_scale: whether there is an s, ones at the start.
        dtype: of the computation; None promotes those of input and parameters.
        param_dtype: of the parameters.
        precision: of every matrix product (``jax.lax.Precision`` or its name): "highest" is that of the dtype;
            "default" is faster on a GPU, TF32 with three digits for float32, so that no fit gets below 1e-3; None is
            what JAX is set to, the latter unless told otherwise.
        rngs: source of the layer's key; not stored.

    Attributes:
        coef: c, ``[K, n_in, n_out]`` with K the modes kept.
        residual_kernel: w, ``[n_in, n_out]``, or None.
        edge_scale: s, ``[n_in, n_out]``, or None.
        bias: b, ``[n_out]``, or None.
        basis_state: knots, centres (``Grid``) and trained frequencies (``nnx.Param``) of the basis, by name.
        mask: ``[n_in, n_out]``, 0 where an edge has been pruned or is a formula, or None.
        symbolic: the edges that are formulas, or None.

    Raises:
        EdgewiseError: for sizes below 1, an unknown scheme, residual or keyword.

    Liu et al., arXiv 2404.19756, for B-splines.
    """

    # of the class, so that a layer as it was made carries no attribute for them
    mask: Mask | None = None
    symbolic: SymbolicEdges | None = None

    @checked_keywords
    def __init__(
        self,
        n_in: int,
        n_out: int,
        basis: Basis | None = None,
        *,
        init: Initializer | Mapping[str, Any] | str | None = None,
        residual: Residual | str | None = nnx.silu,
        bias: bool = True,
        edge_scale: bool = False,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        precision: Any = PRECISION,
        rngs: nnx.Rngs,
    ):
        self.n_in, self.n_out = check_count("n_in", n_in), check_count("n_out", n_out)
        self.basis = BSpline() if basis is None else _check_basis(basis)
        self.init = resolve(init)
        self.residual = resolve_residual(residual)
        self.dtype, self.param_dtype, self.precision = dtype, _checked_dtype("param_dtype", param_dtype), precision
        if dtype is not None:
            _checked_dtype("dtype", dtype)
        self.first_mode = int(bias and self.basis.has_constant)
        key = _params_key(rngs)
        self.basis_state = nnx.Dict(
            {
                name: (nnx.Param if name in self.basis.trained else Grid)(_array(value, param_dtype))
                for name, value in self.basis.init(self.n_in, key=key).items()
            }
        )
        scales = self.init(self.stats)
        coef, kernel = _draw(key, scales, self.stats)
        self.coef = nnx.Param(_array(coef, param_dtype))
        self.residual_kernel = nnx.Param(_array(kernel, param_dtype)) if self.residual else None
        self.edge_scale = nnx.Param(_array(np.ones((n_in, n_out)), param_dtype)) if edge_scale else None
        self.bias = nnx.Param(_array(np.zeros(n_out), param_dtype)) if bias else None

    def __call__(self, x: Any) -> Array:
        """``[*batch, n_in]`` to ``[*batch, n_out]``.  Integers and booleans become ``param_dtype``.

        Raises ``ShapeError`` for a wrong number of features or an empty batch.
        """
        x, state, (coef, kernel, bias) = self._promoted(x)
        called(self, x)
        with jax.numpy_rank_promotion("allow"):  # as in Basis.stacked
            y = contract(
                self.basis,
                x,
                state,
                coef,
                first=self.first_mode,
                residual=self.residual,
                kernel=kernel,
                bias=bias,
                precision=self.precision,
            )
            return y if self.symbolic is None else y + self.symbolic(x)

    def edges(self, x: Any) -> Array:
        """Every edge function, ``[*batch, n_in]`` to ``[*batch, n_in, n_out]``: the layer is their sum, + b."""
        x, state, (coef, kernel, _) = self._promoted(x)
        with jax.numpy_rank_promotion("allow"):
            modes = self.basis.stacked(x, state)[..., self.first_mode :, :]
            y = jnp.einsum("...mi,mio->...io", modes, coef, precision=self.precision)
            if self.residual is not None:
                y = y + self.residual(x)[..., None] * kernel
            return y if self.symbolic is None else y + self.symbolic.edges(x)

    def gain(self, scheme: Initializer | str | None = None) -> Gain:
        """Forward and backward variance gain under ``scheme``, or the one this layer was made with."""
        scheme = self.init if scheme is None else resolve(scheme)
        return gains_of(self.stats, scheme(self.stats), scheme)

    @property
    def stats(self) -> Stats:
        """What a scheme may know of this layer."""
        modes = self.basis.size - self.first_mode
        residual = self.residual is not None

        def moments(distribution, sample_size):
            nodes, weights = input_law(distribution, self.basis, sample_size)
            state = {name: variable[...] for name, variable in self.basis_state.items()}
            return Moments(self.basis, state, self.residual, nodes, weights, first=self.first_mode)

        return Stats(
            fan_in=self.n_in,
            fan_out=self.n_out,
            modes=modes,
            size=max(self.basis.size, modes + residual),
            residual=residual,
            default_basis=self.basis.default_std(self.n_in, modes),
            moments=moments,
        )

    @property
    def config(self) -> dict[str, Any]:
        """What :meth:`from_config` rebuilds the layer from, ready for JSON; the parameters are in the state."""
        own = {"n_in": self.n_in, "n_out": self.n_out, "basis": self.basis.config}
        return own | layer_config(self) | ({"edges": edges} if (edges := edge_config(self)) else {})

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, rngs: nnx.Rngs) -> KANLayer:
        """A layer as ``config`` described it, freshly drawn."""
        options = {**config, "basis": from_config(config["basis"])}
        edges = options.pop("edges", {})
        layer = cls(**options, rngs=rngs)
        with_edges(layer, edges)
        return layer

    def __repr__(self) -> str:
        count = f"{count_parameters(self):,} parameters"
        return f"KANLayer({self.n_in}, {self.n_out}, {self.basis}, residual={residual_name(self.residual)}, {count})"

    __str__ = __repr__

    def _promoted(self, x: Any) -> tuple[Array, dict[str, Array], tuple[Any, ...]]:
        """Checked input, state of the basis, and coefficients, residual kernel and bias as the edges have them."""
        x = checked_input(x, self.n_in, self.param_dtype, "layer")
        names = ("coef", "residual_kernel", "bias", "edge_scale", "mask")
        values = [None if (variable := getattr(self, name)) is None else variable[...] for name in names]
        x, coef, kernel, bias, scale, mask = dtypes.promote_dtype((x, *values), dtype=self.dtype)
        coef = coef if scale is None else coef * scale[None]
        if mask is not None:
            coef, kernel = coef * mask[None], None if kernel is None else kernel * mask
        return x, {name: variable[...] for name, variable in self.basis_state.items()}, (coef, kernel, bias)


def count_parameters(model: nnx.Module) -> int:
    """Number of trained scalars (``nnx.Param``) in a model or a layer; grids do not count."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


def _check_basis(basis: Any) -> Basis:
    if not isinstance(basis, Basis):
        raise EdgewiseError(
            f"basis={basis!r} is not a basis.",
            do="pass an instance, say edgewise.Chebyshev(5), or edgewise.bases.parse('chebyshev:5').",
        )
    return basis


def _checked_dtype(name: str, dtype: Any) -> Any:
    try:
        real = jnp.issubdtype(jnp.dtype(dtype), jnp.floating)
    except TypeError:
        real = False
    if not real:
        raise EdgewiseError(
            f"{name}={dtype!r} is no type of real numbers.",
            "coefficients between whole numbers would be lost.",
            f"pass say {name}=jnp.float32.",
        )
    return dtype


def _params_key(rngs: Any) -> Array:
    if not isinstance(rngs, nnx.Rngs):
        raise EdgewiseError(f"rngs={rngs!r} is not a source of keys.", do="pass rngs=nnx.Rngs(0).")
    if not {"params", "default"} & set(rngs):
        raise EdgewiseError(
            f"rngs has keys for {', '.join(rngs)} only.",
            "parameters are drawn.",
            "pass nnx.Rngs(0) or nnx.Rngs(params=0).",
        )
    return next_key(rngs.params)


def _array(value: Any, dtype: Any) -> Array:
    """``value`` as an array of the dtype; NumPy converts what is NumPy's, since every eager operation is compiled."""
    return jnp.asarray(value.astype(dtype) if isinstance(value, np.ndarray) else value, dtype)


def _draw(key: Array, scales: Scales, stats: Stats) -> tuple[Any, Any]:
    """Coefficients ``[K, n_in, n_out]`` and residual kernel ``[n_in, n_out]``."""
    nodes = (stats.fan_in, stats.fan_out)
    coef, kernel = scales.coef, scales.residual_kernel
    if coef is None:
        std = scales.basis if np.ndim(scales.basis) == 0 else scales.basis[:, None, None]
        coef = draw_units(key, 1, (stats.modes, *nodes), scales.basis_law) * std
    if kernel is None and stats.residual:
        kernel = draw_units(key, 2, nodes, scales.residual_law) * scales.residual
    return coef, kernel
