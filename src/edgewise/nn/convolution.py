"""Convolutions whose kernels hold edge functions instead of numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn import dtypes
from jax import Array

from edgewise.bases import Basis, BSpline, from_config
from edgewise.errors import ShapeError, check_choice, check_count, check_keywords
from edgewise.init import Custom, Initializer, Scales, Stats, resolve
from edgewise.nn.convolve import bordered, convolve, patches, per_axis
from edgewise.nn.inputs import checked_input, real_array
from edgewise.nn.layer import KANLayer, count_parameters
from edgewise.nn.options import layer_config
from edgewise.nn.residuals import residual_name
from edgewise.nn.variables import Grid
from edgewise.nn.watching import called

__all__ = ["KANConv1D", "KANConv2D"]

_OPTIONS = ("init", "residual", "bias", "edge_scale", "dtype", "param_dtype", "precision")


class _KANConv(nnx.Module):
    """y_f(p) = b_f + sum_t sum_c phi_tcf(x_c(strides p + t)), with t over the places of the kernel.

    Args:
        in_features, out_features: numbers of channels, which come last.
        kernel_size: places of the kernel along each axis; one number stands for all axes.
        basis: the family of every phi.
        strides: steps between patches along each axis; one number stands for all axes.
        padding: "VALID" (patches that lie in the image), or "SAME" (as many patches as pixels at stride 1): beyond the
            image its value is 0, so that an edge function contributes phi(0) there.
        rngs: source of the layer's key; not stored.
        layer_options: of :class:`KANLayer`, ``init`` to ``precision``.

    Attributes:
        layer: the :class:`KANLayer` from the channels of a pixel to ``prod(kernel_size) * out_features`` nodes, place
            by place: the basis is evaluated once a pixel, and knots belong to a channel.  A scheme sees the fan-in of
            a patch, and as fan-out all values that a channel of a pixel takes part in.
        bias: b, ``[out_features]``, or None.

    Raises ``EdgewiseError`` for sizes below 1, another padding, an unknown option.
    Bodner et al., arXiv 2406.13155; Drokin, arXiv 2407.01092.
    """

    spatial: ClassVar[int]

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int | Sequence[int] = 3,
        basis: Basis | None = None,
        *,
        strides: int | Sequence[int] = 1,
        padding: str = "SAME",
        rngs: nnx.Rngs,
        **layer_options: Any,
    ):
        check_keywords(type(self).__name__, layer_options, _OPTIONS)
        check_choice("padding", padding, ("SAME", "VALID"))
        self.in_features = check_count("in_features", in_features)
        self.out_features = check_count("out_features", out_features)
        self.kernel_size = per_axis("kernel_size", kernel_size, self.spatial)
        self.strides, self.padding = per_axis("strides", strides, self.spatial), padding
        basis, places = BSpline() if basis is None else basis, math.prod(self.kernel_size)
        scheme = resolve(layer_options.get("init"))  # Custom has arrays of the layer's own shapes
        layer_options["init"] = scheme if isinstance(scheme, Custom) else _OnPatches(scheme, basis, places)
        self.layer = KANLayer(in_features, places * out_features, basis, rngs=rngs, **layer_options)
        self.layer.init = scheme
        bias: Any = self.layer.bias
        self.bias = None if bias is None else nnx.Param(bias[:out_features])
        # one for each place would be redundant: these are not trained, and take up the constants of refinements
        self.layer.bias = None if bias is None else Grid(bias[...])  # pyright: ignore

    def __call__(self, x: Any) -> Array:
        """``[*batch, *size, C]`` to ``[*batch, *new size, features]``.  Integers and booleans become ``param_dtype``.

        Raises ``ShapeError`` for a wrong number of channels, an empty batch or an image smaller than the kernel.
        """
        x, coef, residual_kernel, bias = self._promoted(x)
        called(self.layer, x)
        image = bordered(x.reshape(-1, *x.shape[-self.spatial - 1 :]), self.kernel_size, self.strides, self.padding)
        rows, layer = image.reshape(-1, self.in_features), self.layer
        state = {name: variable[...] for name, variable in layer.basis_state.items()}
        modes = layer.basis.stacked(rows, state)[:, layer.first_mode :]
        if layer.residual is not None:
            modes = jnp.concatenate([modes, layer.residual(rows)[:, None]], axis=1)
            coef = jnp.concatenate([coef, residual_kernel[None]])
        # modes and channels together are the channels of one ordinary convolution
        kernel = coef.reshape(-1, self.in_features, *self.kernel_size, self.out_features)
        kernel = jnp.moveaxis(kernel, (0, 1), (-3, -2)).reshape(*self.kernel_size, -1, self.out_features)
        y = convolve(modes.reshape(*image.shape[:-1], -1), kernel, self.strides, layer.precision)
        if bias is not None:
            y = y + jnp.expand_dims(bias, range(y.ndim - 1))
        return y.reshape(*x.shape[: -self.spatial - 1], *y.shape[1:])

    def size_after(self, size: Sequence[int]) -> tuple[int, ...]:
        """Numbers of patches along each axis of an image of that size; raises ``ShapeError`` where there is none."""
        return patches(size, self.kernel_size, self.strides, self.padding)

    @property
    def config(self) -> dict[str, Any]:
        """What :meth:`from_config` rebuilds the convolution from, ready for JSON; the parameters are in the state."""
        own = {"in_features": self.in_features, "out_features": self.out_features}
        own |= {"kernel_size": list(self.kernel_size), "basis": self.layer.basis.config}
        own |= {"strides": list(self.strides), "padding": self.padding}
        return own | layer_config(self.layer)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, rngs: nnx.Rngs) -> _KANConv:
        """A convolution as ``config`` described it, freshly drawn."""
        return cls(**{**config, "basis": from_config(config["basis"])}, rngs=rngs)

    def _promoted(self, x: Any) -> tuple[Any, ...]:
        x, layer = real_array(x), self.layer
        if x.ndim <= self.spatial or x.shape[-1] != self.in_features:
            expected = f"expected (..., {'L' if self.spatial == 1 else 'H, W'}, {self.in_features}), got {x.shape}"
            raise ShapeError(f"{expected}.", "channels come last.", "a grey image needs an axis: x[..., None].")
        x = checked_input(x, self.in_features, layer.param_dtype)
        parts = (layer.coef, layer.residual_kernel, layer.edge_scale, layer.bias, self.bias)
        values: Any = [None if part is None else part[...] for part in parts]
        x, coef, kernel, scale, biases, bias = dtypes.promote_dtype((x, *values), dtype=layer.dtype)
        bias = None if bias is None else bias + biases.reshape(-1, self.out_features).sum(axis=0)
        return x, coef if scale is None else coef * scale, kernel, bias

    def __repr__(self) -> str:
        layer = self.layer
        sizes = f"{self.in_features}, {self.out_features}, {self.kernel_size}, {layer.basis}, strides={self.strides}"
        rest = f"{self.padding!r}, residual={residual_name(layer.residual)}, {count_parameters(self):,} parameters"
        return f"{type(self).__name__}({sizes}, padding={rest})"

    __str__ = __repr__


class KANConv1D(_KANConv):
    __doc__ = f"""``[*batch, L, C]`` to ``[*batch, L', features]``: {_KANConv.__doc__}"""
    spatial = 1


class KANConv2D(_KANConv):
    __doc__ = f"""``[*batch, H, W, C]`` to ``[*batch, H', W', features]``: {_KANConv.__doc__}"""
    spatial = 2


@dataclass(frozen=True)
class _OnPatches:
    """A scheme told of patches, where the layer sees pixels."""

    scheme: Initializer
    basis: Basis
    places: int

    def __call__(self, stats: Stats) -> Scales:
        fan_in = self.places * stats.fan_in
        std = self.basis.default_std(fan_in, stats.modes)
        return self.scheme(replace(stats, fan_in=fan_in, default_basis=std))
