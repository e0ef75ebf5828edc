"""The Kolmogorov-Arnold network: a chain of layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np
from flax import nnx
from jax import Array

from edgewise.bases import Basis, BSpline, from_config
from edgewise.errors import EdgewiseError, ShapeError, check_keywords
from edgewise.models.options import LAYER_OPTIONS
from edgewise.nn import KANLayer, count_parameters
from edgewise.nn.inputs import checked_input
from edgewise.nn.options import layer_config
from edgewise.nn.products import Nodes, multiply, nodes_of, spelled
from edgewise.nn.residuals import residual_name
from edgewise.nn.symbolic import edge_config, with_edges

__all__ = ["KAN", "count_parameters"]


class KAN(nnx.Module):
    """Layers one after the other, ``widths[0]`` inputs to ``widths[-1]`` outputs.

    With product nodes it is the MultKAN of KAN 2.0 (Liu et al., arXiv 2408.10205, section 2): a layer computes the
    sum nodes and the factors of the product nodes, which then multiply their factors.

    Args:
        widths: numbers of nodes, input and output included, at least two. After the first, ``(3, 2)`` is 3 sum nodes
            and 2 products of two factors, ``(3, (2, 3))`` 3 sum nodes, a product of two factors and one of three.
        basis: one family for all layers, or a sequence of one per layer.
        rngs: source of keys; every layer draws its own. Not stored.
        layer_options: passed to every :class:`~edgewise.nn.KANLayer`: ``init``, ``residual``, ``bias``, ``edge_scale``,
            ``dtype``, ``param_dtype``, ``precision``.

    Raises:
        EdgewiseError: for fewer than two widths, a width below 1, as many bases as there are not layers, or an unknown
            option.

    Attributes:
        layers: a ``KANLayer`` each.
        arities: numbers of factors of the product nodes after each layer; empty for a network without any.
        inputs: which columns of x the network looks at, a truth value each; empty for all of them.

    >>> model = KAN([2, 6, 6, 1], Chebyshev(5), init=Glorot(), residual=None, rngs=nnx.Rngs(42))
    """

    # of the class, so that a network without product nodes and pruned inputs carries no attribute for them
    arities: tuple[tuple[int, ...], ...] = ()
    inputs: tuple[bool, ...] = ()

    def __init__(
        self,
        widths: Sequence[Any],
        basis: Basis | Sequence[Basis] | None = None,
        *,
        rngs: nnx.Rngs,
        **layer_options: Any,
    ):
        check_keywords("KAN", layer_options, LAYER_OPTIONS)
        nodes = _check_widths(widths)
        bases = _one_per_layer(BSpline() if basis is None else basis, len(nodes) - 1)
        self.layers = nnx.List(
            KANLayer(sums + len(arities), next_sums + sum(next_arities), layer_basis, rngs=rngs, **layer_options)
            for (sums, arities), (next_sums, next_arities), layer_basis in zip(nodes, nodes[1:], bases, strict=False)
        )
        if any(arities for _, arities in nodes):
            self.arities = tuple(arities for _, arities in nodes[1:])

    def __call__(self, x: Any) -> Array:
        """``[*batch, n_features]`` to ``[*batch, widths[-1]]``.  Integers and booleans become the parameters' dtype."""
        if self.inputs:
            x = checked_input(x, len(self.inputs), self.layers[0].param_dtype)[..., self.columns]
        for layer, arities in zip(self.layers, self.arities or repeat(()), strict=False):
            x = multiply(layer(x), arities)
        return x

    @property
    def n_features(self) -> int:
        """Number of columns of x, those that the network does not look at included."""
        return len(self.inputs) or self.layers[0].n_in

    @property
    def columns(self) -> np.ndarray:
        """The columns of x that the input nodes are, in order."""
        return np.flatnonzero(self.inputs) if self.inputs else np.arange(self.n_features)

    @property
    def widths(self) -> tuple[Any, ...]:
        """Numbers of nodes, input and output included, as the argument has them."""
        outputs = zip(self.layers, self.arities or repeat(()), strict=False)
        nodes = ((layer.n_out - sum(arities), arities) for layer, arities in outputs)
        return (self.layers[0].n_in, *map(spelled, nodes))

    @property
    def config(self) -> dict[str, Any]:
        """What :meth:`from_config` rebuilds the architecture from, ready for JSON; the parameters are in the state."""
        return {
            "widths": [_as_lists(width) for width in self.widths],
            "basis": [layer.basis.config for layer in self.layers],
            **layer_config(self.layers[0]),
            **({"inputs": list(self.inputs)} if self.inputs else {}),
            **({"edges": edges} if any(edges := [edge_config(layer) for layer in self.layers]) else {}),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, rngs: nnx.Rngs) -> KAN:
        """A model of the architecture that ``KAN.config`` described, freshly drawn."""
        options = dict(config)
        widths, bases = options.pop("widths"), [from_config(basis) for basis in options.pop("basis")]
        inputs, edges = options.pop("inputs", ()), options.pop("edges", ())
        model = cls(widths, bases, rngs=rngs, **options)
        if inputs:
            model.inputs = tuple(map(bool, inputs))
        for layer, layer_edges in zip(model.layers, edges, strict=False):
            with_edges(layer, layer_edges)
        return model

    def summary(self) -> str:
        """A table: layer, widths, basis, parameters."""
        rows = [("layer", "widths", "basis", "parameters")]
        for index, (layer, width) in enumerate(zip(self.layers, self.widths[1:], strict=True)):
            count = f"{count_parameters(layer):,}"
            rows.append((str(index), f"{layer.n_in} -> {width}", str(layer.basis), count))
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


def _check_widths(widths: Any) -> list[Nodes]:
    if isinstance(widths, (str, int)) or len(widths) < 2:
        raise EdgewiseError(f"widths={widths!r} needs at least inputs and outputs.", do="pass say [2, 6, 6, 1].")
    nodes = [nodes_of(f"widths[{index}]", width) for index, width in enumerate(widths)]
    if nodes[0][1]:
        raise EdgewiseError(
            f"widths[0]={widths[0]!r} has product nodes.", "inputs are given, and products are of a layer's outputs.",
            "pass the number of inputs first: [2, (3, 2), 1].",
        )  # fmt: skip
    return nodes


def _as_lists(width: Any) -> Any:
    return [_as_lists(part) for part in width] if isinstance(width, tuple) else width


def _one_per_layer(basis: Any, layers: int) -> list[Any]:
    if isinstance(basis, str) or not isinstance(basis, Sequence):
        return [basis] * layers
    if len(basis) != layers:
        raise ShapeError(f"{len(basis)} bases for {layers} layers.", do="pass one basis, or one per layer.")
    return list(basis)
