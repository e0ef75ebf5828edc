"""A smaller dense network in place of one with pruned edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from edgewise.errors import EdgewiseError
from edgewise.interpret.observing import arities_of, numeric, present
from edgewise.models import KAN
from edgewise.nn import KANLayer
from edgewise.nn.products import multiply
from edgewise.nn.symbolic import SymbolicEdges
from edgewise.nn.variables import Mask

__all__ = ["Compacted", "add_constant", "check_left", "compacted", "removed", "subnodes"]


class Compacted(NamedTuple):
    """A smaller network, and where its parts come from.

    Attributes:
        model: the network.
        nodes: old numbers of its nodes, a level each, inputs first.
        columns: old numbers of each layer's outputs, the factors of products among them.
    """

    model: KAN
    nodes: list[np.ndarray]
    columns: list[np.ndarray]


def removed(layer: KANLayer, gone: np.ndarray, mean: np.ndarray) -> None:
    """Take the edges ``gone`` (bool ``[n_in, n_out]``) off a layer and leave their ``mean`` in the bias, in place."""
    add_constant(layer, np.sum(np.where(gone, mean, 0.0), axis=0), numeric(layer) & ~gone)
    kept = np.ones(gone.shape) if layer.mask is None else np.asarray(layer.mask[...])
    layer.mask = Mask(jnp.asarray(np.where(gone, 0.0, kept), layer.param_dtype))
    keep = jnp.asarray(~gone)
    layer.coef[...] = jnp.where(keep, layer.coef[...], 0)
    if layer.residual_kernel is not None:
        layer.residual_kernel[...] = jnp.where(keep, layer.residual_kernel[...], 0)
    if layer.symbolic is not None:
        _select_symbolic(layer, [(i, j, i, j) for i, j, _ in layer.symbolic.entries if not gone[i, j]])


def add_constant(layer: KANLayer, constant: np.ndarray, edges: np.ndarray) -> None:
    """Add ``constant`` ``[n_out]`` to the layer's outputs, in place: to the bias, or to one of ``edges`` of the basis.

    Raises ``EdgewiseError`` for a layer that has neither a bias nor a constant mode on such an edge.
    """
    if not constant.any():
        return
    outputs = np.flatnonzero(constant)
    if layer.bias is not None:
        layer.bias[...] = (layer.bias[...] + constant).astype(layer.bias[...].dtype)
    elif layer.basis.has_constant and edges[:, outputs].any(axis=0).all():
        places = np.argmax(edges[:, outputs], axis=0), outputs
        values = constant[outputs] / (1.0 if layer.edge_scale is None else np.asarray(layer.edge_scale[...])[places])
        layer.coef[...] = layer.coef[...].at[0, *places].add(values.astype(layer.coef[...].dtype))
    else:
        raise EdgewiseError(
            "this network has no biases.",
            "what is pruned leaves its mean there, and the function would be lost.",
            "build it with bias=True.",
        )


def compacted(model: KAN) -> Compacted:
    """A copy without nodes that nothing enters or leaves.

    The function is that of ``model``.  A node that nothing enters is a number, and so are the edges that leave it: they
    go into the biases.  A factor without edges is one as well: it goes into another factor of its product, and a
    product of one factor becomes a sum node, after those there are.

    Raises ``EdgewiseError`` where a whole layer has no edges left.
    """
    copy = nnx.clone(model)
    edges = [present(layer) for layer in copy.layers]
    ways = arities_of(copy)
    _constants_moved(copy, edges, ways)
    alive = _alive(copy, edges, ways)
    check_left(edges)
    orders, every = [], []
    for place, layer in enumerate(copy.layers):
        columns, ways[place], order = _outputs_kept(
            layer, edges[place], ways[place], alive[place + 1], place == len(copy.layers) - 1
        )
        orders.append(order)
        every.append(columns)
        _select(layer, np.flatnonzero(alive[0]) if place == 0 else orders[place - 1], columns)
    used = np.isin(np.arange(model.n_features), model.columns[alive[0]])
    copy.inputs = () if used.all() else tuple(map(bool, used))
    copy.arities = tuple(ways) if any(ways) else ()
    for name in ("inputs", "arities"):  # as of a network that never had them
        if not getattr(copy, name):
            delattr(copy, name)
    return Compacted(copy, [np.flatnonzero(alive[0]), *orders], every)


def check_left(edges: Sequence[np.ndarray]) -> None:
    """Raise ``EdgewiseError`` where a whole layer has none of its ``edges``, bool ``[n_in, n_out]``, left."""
    for place, layer_edges in enumerate(edges):
        if not layer_edges.any():
            raise EdgewiseError(
                f"no edge of layer {place} would be left.",
                "the outputs would be constant.",
                "prune less: a lower threshold, or a smaller allowed loss increase.",
            )


def _constants_moved(model: KAN, edges: list[np.ndarray], ways: Sequence[tuple[int, ...]]) -> None:
    """Take the edges off that leave nodes that nothing enters, their values staying in the biases, in place."""
    entered, nodes = np.ones(model.layers[0].n_in, bool), np.zeros(model.layers[0].n_in)
    for layer, layer_edges, way in zip(model.layers, edges, ways, strict=True):
        gone = layer_edges & ~entered[:, None]
        layer_edges &= ~gone
        check_left(edges)
        if gone.any():
            reached = jnp.asarray(np.where(entered, 0.0, nodes), layer.param_dtype)
            removed(layer, gone, np.asarray(layer.edges(reached), np.float64))
        bias = np.zeros(layer.n_out) if layer.bias is None else np.asarray(layer.bias[...], np.float64)
        entered, nodes = _entered(layer_edges, way), np.asarray(multiply(jnp.asarray(bias, layer.param_dtype), way))


def _alive(model: KAN, edges: list[np.ndarray], ways: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    """Which nodes of each level are kept; edges of others are switched off in ``edges``."""
    outputs = edges[-1].shape[1] - sum(way - 1 for way in ways[-1])
    while True:
        before = sum(int(layer.sum()) for layer in edges)
        leaving = [layer.any(axis=1) for layer in edges] + [np.ones(outputs, bool)]
        entered = [_entered(layer, way) for layer, way in zip(edges, ways, strict=True)]
        alive = [leaving[0], *(a & b for a, b in zip(leaving[1:-1], entered[:-1], strict=True)), leaving[-1]]
        for place, layer in enumerate(edges):
            layer &= alive[place][:, None] & subnodes(alive[place + 1], ways[place])[None, :]
        if sum(int(layer.sum()) for layer in edges) == before:
            return alive


def _entered(edges: np.ndarray, ways: tuple[int, ...]) -> np.ndarray:
    """Which nodes have an edge in, a product having those of all its factors."""
    start = edges.shape[1] - sum(ways)
    products = [bool(edges[:, low:high].any()) for low, high in pairwise(start + np.cumsum([0, *ways]))]
    return np.concatenate([np.any(edges[:, :start], axis=0), np.array(products, bool)])


def subnodes(nodes: np.ndarray, ways: tuple[int, ...]) -> np.ndarray:
    """What holds for each node, bool, for the sums and factors that they are made of."""
    sums = len(nodes) - len(ways)
    return np.concatenate([nodes[:sums], np.repeat(nodes[sums:], ways)]).astype(bool)


def _outputs_kept(
    layer: KANLayer, edges: np.ndarray, ways: tuple[int, ...], alive: np.ndarray, ordered: bool
) -> tuple[np.ndarray, tuple[int, ...], np.ndarray]:
    """Columns of the layer to keep, in order; the arities then; the old numbers of the nodes, in the new order.

    Where they are to stay ``ordered``, as outputs are, a product behind others keeps a factor that is a number.
    """
    sums = layer.n_out - sum(ways)
    bias = np.zeros(layer.n_out) if layer.bias is None else np.asarray(layer.bias[...], np.float64)
    columns, order = [j for j in range(sums) if alive[j]], [j for j in range(sums) if alive[j]]
    products, arities, late = [], [], []
    for number, (low, high) in enumerate(pairwise(sums + np.cumsum([0, *ways]))):
        if not alive[sums + number]:
            continue
        factors = [j for j in range(low, high) if edges[:, j].any()] or [low]
        if ordered and late and len(factors) == 1:
            factors = sorted([*factors, low + (factors[0] == low)])
        constant = float(np.prod([bias[j] for j in range(low, high) if j not in factors]))
        _scale_column(layer, factors[0], constant)
        if len(factors) == 1:
            columns.append(factors[0])
            order.append(sums + number)
        else:
            products += factors
            arities.append(len(factors))
            late.append(sums + number)
    return np.array(columns + products, int), tuple(arities), np.array(order + late, int)


def _scale_column(layer: KANLayer, j: int, factor: float) -> None:
    if factor == 1:
        return
    for variable in (layer.coef, layer.residual_kernel, layer.bias):
        if variable is not None:
            variable[...] = variable[...].at[..., j].multiply(factor)
    if layer.symbolic is not None:
        rows = np.array([int(output == j) for _, output, _ in layer.symbolic.entries])
        scale = np.where(rows[:, None] * np.array([1, 0, 0, 1]), factor, 1.0)
        layer.symbolic.constants[...] = layer.symbolic.constants[...] * scale.astype(layer.param_dtype)


def _select(layer: KANLayer, rows: np.ndarray, columns: np.ndarray) -> None:
    """Keep these inputs and outputs of a layer, in this order, in place."""
    n_in, edges = layer.n_in, np.ix_(rows, columns)

    def kept(variable: Any, pick: Callable[[np.ndarray], np.ndarray]) -> Any:
        values = pick(np.asarray(variable[...]))  # by NumPy: JAX compiles every selection
        return type(variable)(jnp.asarray(values, values.dtype))

    layer.coef = kept(layer.coef, lambda coef: coef[:, rows][:, :, columns])
    if layer.residual_kernel is not None:
        layer.residual_kernel = kept(layer.residual_kernel, lambda kernel: kernel[edges])
    if layer.edge_scale is not None:
        layer.edge_scale = kept(layer.edge_scale, lambda scale: scale[edges])
    if layer.bias is not None:
        layer.bias = kept(layer.bias, lambda bias: bias[columns])
    axes = _input_axes(layer, n_in)
    for name, variable in layer.basis_state.items():
        if (axis := axes[name]) is not None:
            layer.basis_state[name] = kept(variable, lambda state, axis=axis: np.take(state, rows, axis=axis))
    new_rows, new_columns = ({int(old): new for new, old in enumerate(kept)} for kept in (rows, columns))
    entries = () if layer.symbolic is None else layer.symbolic.entries
    moves = [(i, j, new_rows[i], new_columns[j]) for i, j, _ in entries if i in new_rows and j in new_columns]
    mask = None if layer.mask is None else np.asarray(layer.mask[...])[edges]
    layer.n_in, layer.n_out = len(rows), len(columns)
    if layer.symbolic is not None:
        _select_symbolic(layer, moves)
    if mask is not None:
        if mask.all():
            del layer.mask  # as of a layer that never had one
        else:
            layer.mask = Mask(jnp.asarray(mask))


def _input_axes(layer: KANLayer, n_in: int) -> dict[str, int | None]:
    """The axis of every array of the basis' state that counts input nodes, found by asking for one node more."""
    shapes = [
        jax.eval_shape(lambda key, n=n: dict(layer.basis.init(n, key=key)), jax.random.key(0)) for n in (n_in, n_in + 1)
    ]
    found: dict[str, int | None] = {}
    for name, value in shapes[0].items():
        differs = [axis for axis, (a, b) in enumerate(zip(value.shape, shapes[1][name].shape, strict=True)) if a != b]
        found[name] = differs[0] if differs else None
    return found


def _select_symbolic(layer: KANLayer, moves: Sequence[tuple[int, int, int, int]]) -> None:
    """Keep the formulas (i, j) of a layer as those of (i', j')."""
    symbolic = layer.symbolic
    assert symbolic is not None
    numbers = {(i, j): number for number, (i, j, _) in enumerate(symbolic.entries)}
    kept = sorted((new_i, new_j, numbers[i, j]) for i, j, new_i, new_j in moves)
    if not kept:
        del layer.symbolic
        return
    entries = [(i, j, symbolic.entries[number][2]) for i, j, number in kept]
    constants = symbolic.constants[...][np.array([number for *_, number in kept])]
    layer.symbolic = SymbolicEdges(entries, constants, layer.n_in, layer.n_out)
