"""Classifiers and regressors of images and sequences: convolutions of edge functions, then one dense layer of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from flax import nnx
from jax import Array

from edgewise.bases import Basis, from_config
from edgewise.errors import EdgewiseError, ShapeError, check_count, check_keywords
from edgewise.models.kan import KAN
from edgewise.models.options import LAYER_OPTIONS, shared_basis
from edgewise.nn import KANConv1D, KANConv2D, count_parameters
from edgewise.nn.inputs import real_array
from edgewise.nn.options import layer_config

__all__ = ["ConvKAN"]


class ConvKAN(nnx.Module):
    """Convolutions one after the other, and a KAN layer on all pixels and features of the last.

    Args:
        shape: of one sample, channels last: ``(H, W, C)`` for images, ``(L, C)`` for sequences.
        features: numbers of channels after each convolution, at least one.
        n_out: number of outputs.
        basis: the family of all layers.
        kernel_size, padding: of every convolution (see :class:`~edgewise.nn.KANConv2D`).
        strides: one number, or one for each convolution.
        rngs: source of keys; every layer draws its own. Not stored.
        layer_options: of every layer: ``init``, ``residual``, ``bias``, ``edge_scale``, ``dtype``, ``param_dtype``,
            ``precision``.

    Attributes:
        convolutions: :class:`~edgewise.nn.KANConv1D` or :class:`~edgewise.nn.KANConv2D`.
        head: a :class:`~edgewise.KAN` of one layer.

    Raises:
        EdgewiseError: for a shape of another length, sizes below 1, strides that are not as many as the convolutions,
            images that become smaller than the kernel, or an unknown option.

    Bodner et al., Convolutional Kolmogorov-Arnold Networks, arXiv 2406.13155 (with strides in place of pooling).

    >>> model = ConvKAN((8, 8, 1), [16, 32], 10, BSpline(3, 3), strides=[1, 2], rngs=nnx.Rngs(0))
    """

    def __init__(
        self,
        shape: Sequence[int],
        features: Sequence[int],
        n_out: int,
        basis: Basis | None = None,
        *,
        kernel_size: int | Sequence[int] = 3,
        strides: int | Sequence[int] = 1,
        padding: str = "SAME",
        rngs: nnx.Rngs,
        **layer_options: Any,
    ):
        check_keywords("ConvKAN", layer_options, LAYER_OPTIONS)
        self.shape = _check_shape(shape)
        features, strides = _check_features(features), _one_per_layer(strides, len(features))
        convolution = KANConv2D if len(self.shape) == 3 else KANConv1D
        widths, options = (self.shape[-1], *features), {"kernel_size": kernel_size, "padding": padding}
        self.convolutions = nnx.List(
            convolution(n, m, basis=basis, strides=step, rngs=rngs, **options, **layer_options)
            for n, m, step in zip(widths[:-1], widths[1:], strides, strict=True)
        )
        size = self.shape[:-1]
        for layer in self.convolutions:
            size = layer.size_after(size)
        self.head = KAN([math.prod(size) * features[-1], n_out], basis, rngs=rngs, **layer_options)

    def __call__(self, x: Any) -> Array:
        """``[*batch, *shape]`` to ``[*batch, n_out]``.  Integers and booleans become the parameters' dtype."""
        x, axes = real_array(x), len(self.shape)
        if x.shape[-axes:] != self.shape:
            expected = f"expected (..., {', '.join(map(str, self.shape))}), got {x.shape}"
            raise ShapeError(f"{expected}.", "channels come last.", "a grey image needs an axis: x[..., None].")
        for layer in self.convolutions:
            x = layer(x)
        return self.head(x.reshape(*x.shape[:-axes], -1))

    @property
    def config(self) -> dict[str, Any]:
        """What :meth:`from_config` rebuilds the architecture from, ready for JSON."""
        first, basis = self.convolutions[0], shared_basis(convolution.layer for convolution in self.convolutions)
        sizes = {"shape": list(self.shape), "features": [layer.out_features for layer in self.convolutions]}
        sizes |= {"n_out": self.head.widths[-1], "basis": basis.config}
        places = {"kernel_size": list(first.kernel_size), "padding": first.padding}
        places |= {"strides": [layer.strides[0] for layer in self.convolutions]}
        return sizes | places | layer_config(first.layer) | {"head": self.head.config}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, rngs: nnx.Rngs) -> ConvKAN:
        """A model of the architecture that ``config`` described, freshly drawn."""
        options = {**config, "basis": from_config(config["basis"])}
        head = options.pop("head")
        model = cls(**options, rngs=rngs)
        model.head = KAN.from_config(head, rngs=rngs)  # what has become of it: other bases, edges that are formulas
        return model

    def __repr__(self) -> str:
        features = [layer.out_features for layer in self.convolutions]
        layer = self.convolutions[0].layer
        sizes = f"{self.shape}, {features}, {self.head.widths[-1]}, {layer.basis}"
        return f"ConvKAN({sizes}, {count_parameters(self):,} parameters)"

    __str__ = __repr__


def _check_shape(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, Sequence) or isinstance(shape, str) or len(shape) not in (2, 3):
        raise EdgewiseError(f"shape={shape!r} is none of one sample.", do="pass (H, W, C), or (L, C) for a sequence.")
    return tuple(check_count(f"shape[{index}]", size) for index, size in enumerate(shape))


def _check_features(features: Any) -> tuple[int, ...]:
    if not isinstance(features, Sequence) or isinstance(features, str) or not features:
        raise EdgewiseError(f"features={features!r} are no convolutions.", do="pass one number for each, say [16, 32].")
    return tuple(check_count(f"features[{index}]", size) for index, size in enumerate(features))


def _one_per_layer(strides: Any, layers: int) -> tuple[int, ...]:
    strides = tuple(strides) if isinstance(strides, Sequence) else (strides,) * layers
    if len(strides) != layers:
        raise ShapeError(f"{len(strides)} strides for {layers} convolutions.", do="pass one number, or one for each.")
    return strides
