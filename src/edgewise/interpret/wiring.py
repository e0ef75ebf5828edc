"""Nodes that add and multiply functions of other nodes, laid out as the layers of a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from edgewise.bases import Basis
from edgewise.errors import DataError, require
from edgewise.models import KAN
from edgewise.nn.symbolic import SymbolicEdges
from edgewise.nn.variables import Mask

__all__ = ["Graph", "Node", "Sum", "Term", "kan_of", "stages"]


@dataclass(frozen=True, eq=False)
class Node:
    """A node: an input, a sum (one factor), or the product of several sums.

    Attributes:
        factors: empty for an input.
        level: 0 for an input, otherwise one more than the highest node it is made of.
        place: the column of an input.
    """

    factors: tuple[Sum, ...] = ()
    level: int = 0
    place: int = 0


Term = tuple[Node, str, Any, Any]
"""f(b v + c) of a node v: the node, the name of f, b and c."""


@dataclass(frozen=True)
class Sum:
    """constant + sum of a f(b v + c): the coefficient a of every term; all numbers are SymPy's."""

    constant: Any = 0
    terms: Mapping[Term, Any] = field(default_factory=dict)

    def scaled(self, factor: Any) -> Sum:
        return Sum(factor * self.constant, {term: factor * a for term, a in self.terms.items()})

    @property
    def level(self) -> int:
        """That of a node which holds it."""
        return 1 + max((node.level for node, *_ in self.terms), default=0)

    @property
    def key(self) -> Any:
        return self.constant, frozenset(self.terms.items())


class Graph:
    """Nodes, each made once: equal sums and products are one node."""

    def __init__(self, n_features: int):
        self.inputs = [Node(place=place) for place in range(n_features)]
        self._nodes: dict[Any, Node] = {}

    def added(self, sums: Iterable[Sum]) -> Sum:
        """The sum of sums, like terms merged."""
        constant, terms = 0, {}
        for part in sums:
            constant += part.constant
            for term, a in part.terms.items():
                terms[term] = terms.get(term, 0) + a
        return Sum(constant, {term: a for term, a in terms.items() if a != 0})

    def multiplied(self, factors: Sequence[Sum]) -> Sum:
        """A product node, as a sum of one term."""
        return identity(self._node(tuple(self.resolved(factor) for factor in factors)))

    def applied(self, form: str, inner: Sum, a: Any = 1, b: Any = 1, c: Any = 0, d: Any = 0) -> Sum:
        """a f(b ``inner`` + c) + d."""
        node, scale, shift = self._source(inner)
        if form == "x":
            return Sum(a * (b * shift + c) + d, {(node, "x", 1, 0): a * b * scale})
        return Sum(d, {(node, form, b * scale, b * shift + c): a})

    def resolved(self, total: Sum) -> Sum:
        """``total`` with one term a node, since two nodes have one edge: other terms get nodes of their own.

        x^2 beside x becomes the square of x + c, unless its constants would cost digits.
        """
        while True:
            by_node: dict[Node, list[Term]] = {}
            for term in total.terms:
                by_node.setdefault(term[0], []).append(term)
            crowded = next((terms for terms in by_node.values() if len(terms) > 1), None)
            if crowded is None:
                return total
            kept = {term: a for term, a in total.terms.items() if term not in crowded}
            parts = {term: total.terms[term] for term in crowded}
            square = _completed(parts)
            if square is None:
                # what is left in place is carried, and carrying is the identity
                stays = next((term for term in crowded if term[1] == "x"), crowded[0])
                moved = [identity(self._node((Sum(0, {term: 1}),))).scaled(parts.pop(term))
                         for term in crowded if term is not stays]  # fmt: skip
                square = self.added([Sum(0, parts), *moved])
            total = self.added([Sum(total.constant, kept), square])

    def node(self, total: Sum) -> Node:
        """The node that holds a sum."""
        return self._node((self.resolved(total),))

    def _source(self, inner: Sum) -> tuple[Node, Any, Any]:
        """A node v and b, c with ``inner`` = b v + c."""
        if len(inner.terms) == 1:
            ((term, a),) = inner.terms.items()
            return (term[0] if term[1] == "x" else self._node((Sum(0, {term: 1}),))), a, inner.constant
        if not inner.terms:
            return self._node((inner,)), 1, 0
        return self.node(Sum(0, inner.terms)), 1, inner.constant

    def _node(self, factors: tuple[Sum, ...]) -> Node:
        key = tuple(factor.key for factor in factors)
        if key not in self._nodes:
            self._nodes[key] = Node(factors, max(factor.level for factor in factors))
        return self._nodes[key]


def identity(node: Node) -> Sum:
    """The node itself, as a sum."""
    return Sum(0, {(node, "x", 1, 0): 1})


def _completed(parts: Mapping[Term, Any]) -> Sum | None:
    """p v^2 + q v as p (v + q / 2p)^2 - q^2 / 4p; None for other terms, and where it would cancel."""
    by_form = {term[1]: (term, a) for term, a in parts.items()}
    if len(parts) != 2 or set(by_form) != {"x", "x^2"}:
        return None
    (line, q), (square, p) = by_form["x"], by_form["x^2"]
    _, _, b, c = square
    sympy: Any = require("sympy", "symbolic")
    shift = sympy.sympify(q) / (2 * p * b)  # of 1 and 1 that Python has, one half as SymPy has it
    if c != 0 or abs(_real(shift)) > 4:
        return None
    return Sum(-p * shift**2, {(line[0], "x^2", b, shift): p})


def stages(graph: Graph, outputs: Sequence[Sum]) -> list[list[Node]]:
    """The nodes of every level, outputs last: sums first, then products.

    A node needed beyond the level after its own is carried there: it appears in every level between.
    """
    outputs = [graph.resolved(output) for output in outputs]
    products: list[Node | None] = [_pure_product(output) for output in outputs]
    trailing = len(outputs)
    # products come last in a level, and outputs keep their order
    while trailing and products[trailing - 1] is not None:
        trailing -= 1
    ends = [
        node if node is not None and place >= trailing else Node((output,), output.level)
        for place, (output, node) in enumerate(zip(outputs, products, strict=True))
    ]
    depth = max(node.level for node in ends)
    ends = [
        node if node.level == depth or len(node.factors) > 1 or len(output.terms) < 2 else
        Node((identity(graph.node(output)),), depth)
        for node, output in zip(ends, outputs, strict=True)
    ]  # fmt: skip
    levels = [ends]
    for level in range(depth - 1, -1, -1):
        needed: dict[Node, None] = {}
        for node in levels[0]:
            # an end is made in the last level, any other node in its own
            made = node.level == level + 1 or level + 1 == depth
            for source in _sources(node) if made else [node]:
                needed[source] = None
        later = [node for node in needed if not (node.level == level and len(node.factors) > 1)]
        levels.insert(0, graph.inputs if level == 0 else later + [node for node in needed if node not in later])
    return levels


def _pure_product(output: Sum) -> Node | None:
    """The product node that an output is a multiple of, the number in its first factor."""
    if output.constant != 0 or len(output.terms) != 1:
        return None
    (((node, form, _, _), a),) = output.terms.items()
    if form != "x" or len(node.factors) < 2:
        return None
    first, *others = node.factors
    return Node((first.scaled(a), *others), node.level)


def _sources(node: Node) -> list[Node]:
    return list(dict.fromkeys(term[0] for factor in node.factors for term in factor.terms))


def kan_of(levels: Sequence[Sequence[Node]], basis: Basis, param_dtype: Any, rngs: nnx.Rngs) -> tuple[KAN, list[Any]]:
    """The network of the nodes of every level, and the constants and biases of its layers in float64.

    Every edge is a formula, and every mask 0: the basis is there, and used by none.
    """
    widths: list[Any] = [len(levels[0])]
    layers = []
    last = len(levels) - 1
    for place in range(1, last + 1):
        factors, arities = [], []
        for node in levels[place]:
            if node.level == place or place == last:
                factors += node.factors
                arities += [len(node.factors)] if len(node.factors) > 1 else []
            else:
                factors.append(identity(node))
        widths.append((len(factors) - sum(arities), tuple(arities)))
        layers.append(_numbers(factors, levels[place - 1]))
    model = KAN(widths, basis, residual=None, param_dtype=param_dtype, rngs=rngs)
    for layer, (entries, constants, bias) in zip(model.layers, layers, strict=True):
        with np.errstate(over="ignore"):
            rounded = [values.astype(param_dtype) for values in (constants, bias)]
        if not all(np.isfinite(values).all() for values in rounded):
            raise DataError(
                f"a constant of the expression is beyond the numbers of {jnp.dtype(param_dtype).name}.",
                do="choose other units, or param_dtype=jnp.float64 with jax.config.update('jax_enable_x64', True).",
            )
        layer.mask = Mask(jnp.asarray(np.zeros((layer.n_in, layer.n_out)), param_dtype))
        layer.symbolic = SymbolicEdges(entries, rounded[0], layer.n_in, layer.n_out)
        layer.bias = nnx.Param(jnp.asarray(rounded[1]))
    return model, [(constants, bias) for _, constants, bias in layers]


def _numbers(factors: Sequence[Sum], sources: Sequence[Node]) -> tuple[list[Any], np.ndarray, np.ndarray]:
    places = {node: place for place, node in enumerate(sources)}
    entries, constants = [], []
    for j, factor in enumerate(factors):
        for (node, form, b, c), a in factor.terms.items():
            entries.append((places[node], j, form))
            constants.append([_real(a), _real(b), _real(c), 0.0])
    bias = np.array([_real(factor.constant) for factor in factors])
    return entries, np.array(constants, np.float64).reshape(-1, 4), bias


def _real(number: Any) -> float:
    if isinstance(number, int):
        return float(number)
    value = number.evalf(20)
    if not value.is_Number or not value.is_finite:
        raise DataError(f"the constant {number} is no real, finite number.", do="use real expressions.")
    return float(value)
