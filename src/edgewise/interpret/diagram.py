"""What a picture of a network shows, as numbers and words: for every program that draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal

import numpy as np

from edgewise.errors import ShapeError, check_count
from edgewise.interpret.observing import (
    Edge,
    arities_of,
    checked_kan,
    data_of,
    feature_names,
    observed,
    present,
    sampled,
)
from edgewise.interpret.scoring import scores
from edgewise.models import KAN
from edgewise.nn import KANLayer
from edgewise.nn.variables import Grid

__all__ = ["Diagram", "DiagramEdge", "DiagramNode", "form_label", "output_names", "row_width"]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_BINS = 24
_MARGIN = 0.01  # of the range, added at either end
_GAP = 0.6  # between the curves into one node and those into the next, in widths of a curve
_BELOW = 0.17  # a factor under its product, in heights of a layer
_LIFT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, eq=False)
class DiagramNode:
    """A node, or a factor of a product node.

    Attributes:
        level: 0 for inputs, the number of layers for outputs.
        index: among the nodes of its level; of a factor, among the outputs of the layer below, which edges count.
        kind: what it is; a node of the last level is an "output", whatever it computes.
        operator: "+" for a sum, "×" for a product, "" for an input.
        label: name of an input or output; "" for the others.
        column: of x, for an input; otherwise None.
        product: of a factor, the position of its product in ``Diagram.nodes``; otherwise None.
        score: of the node, of the kind asked for; a factor has that of its product.
        x, y: its place, both from 0 to 1, inputs at y = 0 and outputs at y = 1.
        low, high: the smallest and the largest value on the data; NaN for outputs and factors, as all that follows.
        quantiles: ``[5]``: those of 5, 25, 50, 75 and 95 % of the values.
        density: ``[24]``: how often values are, in as many equal parts of ``low`` to ``high``, the most frequent 1.
    """

    level: int
    index: int
    kind: Literal["input", "sum", "factor", "product", "output"]
    operator: Literal["", "+", "×"]
    label: str
    column: int | None
    product: int | None
    score: float
    x: float
    y: float
    low: float
    high: float
    quantiles: np.ndarray
    density: np.ndarray


@dataclass(frozen=True, eq=False)
class DiagramEdge:
    """An edge that is there.

    Attributes:
        layer, i, j: which one, as :func:`~edgewise.interpret.observing.edge_at` counts.
        source, target: positions in ``Diagram.nodes``; the target is a sum, a factor, or an output that is a sum.
        start, end: the places (x, y) of both.
        place: (x, y) of the middle of its curve; None where only a line is to be drawn.
        slot: the width its curve may take, as a part of the whole width.
        score: of the kind asked for.
        strength: the score by the largest of the layer, 0 to 1.
        x, y: ``[points]``: the function over the range of the data; y is NaN where a formula is not defined.
        grid: ``[C + 1]``: the cells of the basis at this node, empty where it has none and for a formula.
        form: the name of its form, None for a function of the basis.
        constants: a, b, c, d of a f(b x + c) + d, or None.
        label: the form for readers, say "x²"; "" for a function of the basis.
    """

    layer: int
    i: int
    j: int
    source: int
    target: int
    start: tuple[float, float]
    end: tuple[float, float]
    place: tuple[float, float] | None
    slot: float
    score: float
    strength: float
    x: np.ndarray
    y: np.ndarray
    grid: np.ndarray
    form: str | None
    constants: tuple[float, float, float, float] | None
    label: str

    @property
    def key(self) -> Edge:
        """(layer, i, j)."""
        return self.layer, self.i, self.j


@dataclass(frozen=True, eq=False)
class Diagram:
    """A network on data, laid out from its inputs at the bottom to its outputs at the top, as pykan draws it.

    Between two levels stands a row of curves, those into one node side by side.  Nodes without an edge are left out.

    Attributes:
        kind: of the scores.
        features: names of all columns of x.
        unused: those of them that the network does not look at, or only through edges that were pruned.
        outputs: names of the outputs.
        nodes: level by level.
        edges: layer by layer, and there by output node and input node.
        shapes: (n_in, n_out) of every layer, pruned edges and all.
    """

    kind: str
    features: tuple[str, ...]
    unused: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[DiagramNode, ...]
    edges: tuple[DiagramEdge, ...]
    shapes: tuple[tuple[int, int], ...]

    @classmethod
    def of(
        cls,
        model: Any,
        data: Any,
        *,
        kind: str = "attribution",
        features: Sequence[str] | None = None,
        outputs: Sequence[str] | None = None,
        points: int = 64,
    ) -> Diagram:
        """The diagram of ``model`` on ``data``.

        Args:
            model: a ``KAN``, or a fitted estimator.
            data: X ``[n, n_features]`` as the network gets it, or (X, y); at most 4096 samples are looked at.
            kind: of the scores, see :func:`~edgewise.interpret.scores.scores`.
            features: names of the columns, by default x1, x2, ...
            outputs: names of the outputs, by default y, or y1, y2, ...
            points: of every curve.

        Raises:
            EdgewiseError: for a model of another kind, an unknown kind of score, names that do not fit, fewer than two
                points, or data that cannot be used.
        """
        model = checked_kan(model)
        check_count("points", points, 2)
        names, ends = feature_names(model, features), output_names(model, outputs)
        x = data_of(model, data)
        rated = scores(model, x, kind, features=names, resamples=2)
        reaching = observed(model, x).inputs
        nodes = _nodes(model, rated.nodes, reaching, names, ends)
        edges = _edges(model, rated.edges, nodes, points)
        nodes, edges = _without_idle(nodes, edges)
        nodes = _laid_out(nodes, len(model.layers))
        looked_at = {node.column for node in nodes if node.kind == "input"}
        return cls(
            kind=kind,
            features=names,
            unused=tuple(name for column, name in enumerate(names) if column not in looked_at),
            outputs=ends,
            nodes=nodes,
            edges=_placed([_joined(edge, nodes) for edge in edges], len(model.layers)),
            shapes=tuple((layer.n_in, layer.n_out) for layer in model.layers),
        )

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.shapes)

    def layer(self, place: int) -> tuple[DiagramEdge, ...]:
        """The edges of one layer that are there."""
        return tuple(edge for edge in self.edges if edge.layer == place)

    def strongest(self, top: int) -> Diagram:
        """The same, where only the ``top`` edges of the highest scores of every layer have a place for their curve."""
        check_count("top", top, 0)
        chosen: set[Edge] = set()
        for place in range(self.depth):
            ranked = sorted(self.layer(place), key=lambda edge: -edge.score)
            chosen.update(edge.key for edge in ranked[:top])
        return replace(self, edges=_placed(self.edges, self.depth, chosen))


def output_names(model: KAN, names: Sequence[str] | None) -> tuple[str, ...]:
    """Names of the outputs: as given, or y, or y1, y2, ...; raises ``ShapeError`` for another number of them."""
    arities = arities_of(model)[-1]
    count = model.layers[-1].n_out - sum(arities) + len(arities)
    if names is None:
        return ("y",) if count == 1 else tuple(f"y{j + 1}" for j in range(count))
    names = (names,) if isinstance(names, str) else tuple(map(str, names))
    if len(names) != count:
        raise ShapeError(f"{len(names)} names for {count} outputs.", do="pass one name an output.")
    return names


def form_label(name: str) -> str:
    """The name of a form for readers: x², 1/x³, √(1+x²)."""
    base, *exponents = name.replace("sqrt(", "√(").split("^")
    for exponent in exponents:
        digits = len(exponent) - len(exponent.lstrip("0123456789"))
        whole = digits and not exponent[digits:].startswith(".")
        base += exponent[:digits].translate(_LIFT) + exponent[digits:] if whole else "^" + exponent
    return base


def row_width(outputs: Sequence[int]) -> float:
    """The width of a row of curves into these output nodes, in widths of a curve."""
    return len(outputs) + _GAP * max(len(set(outputs)) - 1, 0)


def _nodes(
    model: KAN, rated: Sequence[np.ndarray], reaching: Sequence[np.ndarray], features: Sequence[str], outputs: Any
) -> list[DiagramNode]:
    """All nodes, level by level, factors before the products they make; none has its place yet."""
    columns: list[int] = model.columns.tolist()
    nodes = [
        DiagramNode(
            0, i, "input", "", features[column], column, None, float(rated[0][i]), 0.0, 0.0, **_spread(reaching[0], i)
        )
        for i, column in enumerate(columns)
    ]  # fmt: skip
    for level, (layer, arities) in enumerate(zip(model.layers, arities_of(model), strict=True), 1):
        last, sums, start = level == len(model.layers), layer.n_out - sum(arities), 0
        values = None if last else reaching[level]
        for index, arity in enumerate([1] * sums + list(arities)):
            score, factors = float(rated[level][index]), range(start, start + arity) if index >= sums else ()
            product = len(nodes) + len(factors)
            nodes += [
                DiagramNode(level, j, "factor", "+", "", None, product, score, 0.0, 0.0, **_spread(None, j))
                for j in factors
            ]  # fmt: skip
            nodes.append(
                DiagramNode(
                    level, index, "output" if last else "product" if factors else "sum", "×" if factors else "+",
                    outputs[index] if last else "", None, None, score, 0.0, 0.0, **_spread(values, index),
                )
            )  # fmt: skip
            start += arity
    return nodes


def _spread(values: np.ndarray | None, index: int) -> dict[str, Any]:
    """Range, quantiles and density of a column of ``[n, width]``; NaN where there are no values to look at."""
    column = np.zeros(0) if values is None else values[:, index][np.isfinite(values[:, index])]
    if not len(column):
        return {
            "low": np.nan,
            "high": np.nan,
            "quantiles": np.full(len(QUANTILES), np.nan),
            "density": np.full(_BINS, np.nan),
        }
    counts, _ = np.histogram(column, _BINS, _ends(column.min(), column.max()))
    return {
        "low": float(column.min()),
        "high": float(column.max()),
        "quantiles": np.quantile(column, QUANTILES),
        "density": counts / counts.max(),
    }


def _ends(low: float, high: float) -> tuple[float, float]:
    """A range to draw over: a constant has one too."""
    return (low, high) if high - low > 1e-6 * max(abs(low), abs(high), 1e-30) else (low - 0.5, high + 0.5)


def _edges(model: KAN, rated: Sequence[np.ndarray], nodes: Sequence[DiagramNode], points: int) -> list[DiagramEdge]:
    values_of = {(node.level, node.index): place for place, node in enumerate(nodes) if node.kind != "factor"}
    arrives_at = {(node.level, node.index): place for place, node in enumerate(nodes) if node.operator == "+"}
    curves = _curves(model, nodes, points)
    edges = []
    for place, (layer, (x, y)) in enumerate(zip(model.layers, curves, strict=True)):
        there, strengths = present(layer), np.nan_to_num(rated[place])
        strengths = strengths / max(strengths.max(), 1e-300)
        grids = _grids(layer)
        formulas = _formulas(layer)
        for j, i in np.argwhere(there.T).tolist():
            source, target = values_of[place, i], arrives_at[place + 1, j]
            form, constants = formulas.get((i, j), (None, None))
            edges.append(
                DiagramEdge(
                    place, i, j, source, target, (0.0, 0.0), (0.0, 0.0), None, 0.0, float(rated[place][i, j]),
                    float(strengths[i, j]), x[:, i], y[:, i, j],
                    np.zeros(0) if form else np.unique(grids[i]), form, constants, form_label(form) if form else "",
                )
            )  # fmt: skip
    return edges


def _curves(model: KAN, nodes: Sequence[DiagramNode], points: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of every layer, ``[points, n_in]`` over the ranges of its inputs, and ``[points, n_in, n_out]`` there."""
    grids = []
    for level in range(len(model.layers)):
        sources = [node for node in nodes if node.level == level and node.kind != "factor"]
        ends = np.array([_ends(node.low, node.high) for node in sources]).T
        wider = _MARGIN * (ends[1] - ends[0])
        grids.append(np.linspace(ends[0] - wider, ends[1] + wider, points))
    return list(zip(grids, sampled(model, grids), strict=True))


def _grids(layer: KANLayer) -> np.ndarray:
    """The cells of the basis, ``[n_in, C + 1]``; ``C = -1`` for a family that is the same everywhere."""
    state = {name: np.asarray(variable[...], np.float64) for name, variable in layer.basis_state.items()}
    moved = any(isinstance(variable, Grid) for variable in layer.basis_state.values())
    if not moved and layer.basis.breakpoints() is None:
        return np.zeros((layer.n_in, 0))
    return np.asarray(layer.basis.cells(state, layer.n_in), np.float64)


def _formulas(layer: KANLayer) -> dict[tuple[int, int], tuple[str, tuple[float, float, float, float]]]:
    """Form and constants by (i, j)."""
    if layer.symbolic is None:
        return {}
    constants = np.asarray(layer.symbolic.constants[...], np.float64).tolist()
    return {
        (i, j): (name, (a, b, c, d))
        for (i, j, name), (a, b, c, d) in zip(layer.symbolic.entries, constants, strict=True)
    }


def _without_idle(
    nodes: Sequence[DiagramNode], edges: Sequence[DiagramEdge]
) -> tuple[list[DiagramNode], list[DiagramEdge]]:
    """Without nodes that no edge meets; outputs stay, and every factor of a product that stays."""
    met = {place for edge in edges for place in (edge.source, edge.target)}
    met |= {node.product for place, node in enumerate(nodes) if place in met and node.product is not None}
    met |= {place for place, node in enumerate(nodes) if node.kind == "output"}
    kept = [place for place, node in enumerate(nodes) if place in met or node.product in met]
    now: dict[int | None, int] = {place: new for new, place in enumerate(kept)}
    renumbered = [replace(nodes[place], product=now.get(nodes[place].product)) for place in kept]
    return renumbered, [replace(edge, source=now[edge.source], target=now[edge.target]) for edge in edges]


def _laid_out(nodes: Sequence[DiagramNode], depth: int) -> tuple[DiagramNode, ...]:
    """The nodes of a level side by side, each product over the middle of its factors."""
    made_of: dict[int, list[int]] = {}
    for place, node in enumerate(nodes):
        if node.product is not None:
            made_of.setdefault(node.product, []).append(place)
    across: dict[int, float] = {}
    for level in range(depth + 1):
        row = [place for place, node in enumerate(nodes) if node.level == level and place not in made_of]
        across |= {place: (slot + 0.5) / len(row) for slot, place in enumerate(row)}
    across |= {product: float(np.mean([across[place] for place in factors])) for product, factors in made_of.items()}
    return tuple(
        replace(node, x=across[place], y=(node.level - (_BELOW if node.kind == "factor" else 0)) / depth)
        for place, node in enumerate(nodes)
    )


def _joined(edge: DiagramEdge, nodes: Sequence[DiagramNode]) -> DiagramEdge:
    source, target = nodes[edge.source], nodes[edge.target]
    return replace(edge, start=(source.x, source.y), end=(target.x, target.y))


def _placed(edges: Sequence[DiagramEdge], depth: int, chosen: set[Edge] | None = None) -> tuple[DiagramEdge, ...]:
    """The edges, those ``chosen`` (all of them, without) with places for their curves."""
    placed = []
    for layer, row in groupby(edges, lambda edge: edge.layer):
        row = list(row)
        curves = [edge for edge in row if chosen is None or edge.key in chosen]
        groups = [list(group) for _, group in groupby(curves, lambda edge: edge.j)]
        total = row_width([edge.j for edge in curves])
        middles = {
            edge.key: (place + _GAP * group + 0.5) / total
            for place, (group, edge) in enumerate((g, edge) for g, edges in enumerate(groups) for edge in edges)
        }
        height = (layer + 0.5) / depth
        placed += [
            replace(edge, place=(middles[edge.key], height), slot=1 / total)
            if edge.key in middles
            else replace(edge, place=None, slot=0.0)
            for edge in row
        ]
    return tuple(placed)
