"""The Kolmogorov-Arnold network: a chain of layers."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import Array, lax

from edgewise.bases import Basis, BSpline, from_config
from edgewise.errors import EdgewiseError, ShapeError, check_count, check_keywords
from edgewise.init import config_of
from edgewise.nn import KANLayer, count_parameters
from edgewise.nn.residuals import residual_name

__all__ = ["KAN", "count_parameters"]

_LAYER_OPTIONS = tuple(
    name
    for name in inspect.signature(KANLayer.__init__).parameters
    if name not in ("self", "n_in", "n_out", "basis", "rngs")
)


class KAN(nnx.Module):
    """Layers one after the other, ``widths[0]`` inputs to ``widths[-1]`` outputs.

    Args:
        widths: numbers of nodes, input and output included, at least two.
        basis: one family for all layers, or a sequence of one per layer.
        rngs: source of keys; every layer draws its own. Not stored.
        layer_options: passed to every :class:`~edgewise.nn.KANLayer`: ``init``, ``residual``, ``bias``, ``edge_scale``,
            ``dtype``, ``param_dtype``, ``precision``.

    Raises:
        EdgewiseError: for fewer than two widths, a width below 1, as many bases as there are not layers, or an unknown
            option.

    >>> model = KAN([2, 6, 6, 1], Chebyshev(5), init=Glorot(), residual=None, rngs=nnx.Rngs(42))
    """

    def __init__(
        self,
        widths: Sequence[int],
        basis: Basis | Sequence[Basis] | None = None,
        *,
        rngs: nnx.Rngs,
        **layer_options: Any,
    ):
        check_keywords("KAN", layer_options, _LAYER_OPTIONS)
        widths = _check_widths(widths)
        bases = _one_per_layer(BSpline() if basis is None else basis, len(widths) - 1)
        self.layers = nnx.List(
            KANLayer(n_in, n_out, layer_basis, rngs=rngs, **layer_options)
            for n_in, n_out, layer_basis in zip(widths[:-1], widths[1:], bases, strict=True)
        )

    def __call__(self, x: Any) -> Array:
        """``[*batch, widths[0]]`` to ``[*batch, widths[-1]]``.  Integers and booleans become the parameters' dtype."""
        for layer in self.layers:
            x = layer(x)
        return x

    @property
    def widths(self) -> tuple[int, ...]:
        """Numbers of nodes, input and output included."""
        return (self.layers[0].n_in, *(layer.n_out for layer in self.layers))

    @property
    def config(self) -> dict[str, Any]:
        """What :meth:`from_config` rebuilds the architecture from, ready for JSON; the parameters are in the state."""
        first = self.layers[0]
        return {
            "widths": list(self.widths),
            "basis": [layer.basis.config for layer in self.layers],
            "init": config_of(first.init),
            "residual": residual_name(first.residual),
            "bias": first.bias is not None,
            "edge_scale": first.edge_scale is not None,
            "dtype": None if first.dtype is None else jnp.dtype(first.dtype).name,
            "param_dtype": jnp.dtype(first.param_dtype).name,
            "precision": _precision_name(first.precision),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, rngs: nnx.Rngs) -> KAN:
        """A model of the architecture that ``KAN.config`` described, freshly drawn."""
        options = dict(config)
        widths, bases = options.pop("widths"), [from_config(basis) for basis in options.pop("basis")]
        return cls(widths, bases, rngs=rngs, **options)

    def summary(self) -> str:
        """A table: layer, widths, basis, parameters."""
        rows = [("layer", "widths", "basis", "parameters")]
        for index, layer in enumerate(self.layers):
            count = f"{count_parameters(layer):,}"
            rows.append((str(index), f"{layer.n_in} -> {layer.n_out}", str(layer.basis), count))
        rows.append(("total", " -> ".join(map(str, self.widths)), "", f"{count_parameters(self):,}"))
        sizes = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(size) for cell, size in zip(row, sizes, strict=True)).rstrip() for row in rows]
        rule = "-" * max(map(len, lines))
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])

    def __repr__(self) -> str:
        bases = list(dict.fromkeys(str(layer.basis) for layer in self.layers))
        residual = residual_name(self.layers[0].residual)
        return (
            f"KAN({list(self.widths)}, {', '.join(bases)}, residual={residual}, {count_parameters(self):,} parameters)"
        )

    __str__ = __repr__


def _precision_name(precision: Any) -> str | None:
    if precision is None or isinstance(precision, str):
        return precision
    return precision.name.lower() if isinstance(precision, lax.Precision) else str(precision)


def _check_widths(widths: Any) -> list[int]:
    if isinstance(widths, (str, int)) or len(widths) < 2:
        raise EdgewiseError(f"widths={widths!r} needs at least inputs and outputs.", do="pass say [2, 6, 6, 1].")
    return [check_count(f"widths[{index}]", width) for index, width in enumerate(widths)]


def _one_per_layer(basis: Any, layers: int) -> list[Any]:
    if isinstance(basis, str) or not isinstance(basis, Sequence):
        return [basis] * layers
    if len(basis) != layers:
        raise ShapeError(f"{len(basis)} bases for {layers} layers.", do="pass one basis, or one per layer.")
    return list(basis)
