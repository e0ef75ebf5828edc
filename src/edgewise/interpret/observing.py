"""What a network computes on data, edge by edge, and the checks of what is to be interpreted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, wraps
from itertools import repeat
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from edgewise._compilation import compiled_for_few_runs
from edgewise.errors import DataError, EdgewiseError, ShapeError
from edgewise.models import KAN
from edgewise.nn import KANLayer
from edgewise.nn.products import multiply

__all__ = [
    "Activity",
    "Edge",
    "arities_of",
    "checked_kan",
    "column_names",
    "data_of",
    "edge_at",
    "feature_names",
    "in_its_precision",
    "numeric",
    "observed",
    "present",
    "sampled",
    "spread_rows",
]

Edge = tuple[int, int, int]
"""Layer, input node, output node (a subnode, where the layer has product nodes)."""

ROWS = 4096
"""So many samples at most are looked at, evenly spread over those given."""


class Activity(NamedTuple):
    """What samples do in a network, a list entry for each layer.

    Attributes:
        inputs: what reaches the layer, ``[n, n_in]``.
        edges: the value of every edge, ``[n, n_in, n_out]``.
        sums: the layer's outputs, the factors of product nodes among them, ``[n, n_out]``.
        outputs: of the network, ``[n, widths[-1]]``.
    """

    inputs: list[np.ndarray]
    edges: list[np.ndarray]
    sums: list[np.ndarray]
    outputs: np.ndarray


def checked_kan(model: Any) -> KAN:
    """``model``, or the network of a fitted estimator; raises ``EdgewiseError`` for a model of another kind."""
    model = getattr(model, "model_", model)
    if isinstance(model, KAN) and all(isinstance(layer, KANLayer) for layer in model.layers):
        return model
    raise EdgewiseError(
        f"{type(model).__name__} is no edgewise.KAN.",
        "scores, pruning, formulas and pictures are of chains of layers with one function on every edge.",
        "pass an edgewise.KAN, or a fitted KANRegressor.",
    )


def arities_of(model: KAN) -> list[tuple[int, ...]]:
    """Numbers of factors of the product nodes after each layer."""
    return [arities for _, arities in zip(model.layers, model.arities or repeat(()), strict=False)]


def numeric(layer: KANLayer) -> np.ndarray:
    """Which edges of a layer are functions of the basis: bool ``[n_in, n_out]``."""
    return np.ones((layer.n_in, layer.n_out), bool) if layer.mask is None else np.asarray(layer.mask[...]) != 0


def present(layer: KANLayer) -> np.ndarray:
    """Which edges of a layer are there, as functions of the basis or as formulas: bool ``[n_in, n_out]``."""
    there = numeric(layer)
    for i, j, _ in () if layer.symbolic is None else layer.symbolic.entries:
        there[i, j] = True
    return there


def edge_at(model: KAN, edge: Any, *, there: bool = True) -> Edge:
    """``edge`` as (layer, input node, output node), counted from 0; negative numbers count from the end.

    Raises ``EdgewiseError`` for one that does not exist, and where it must be ``there`` for one that was pruned.
    """
    try:
        place, i, j = (int(number.__index__()) for number in edge)
    except (TypeError, ValueError, AttributeError) as error:
        raise EdgewiseError(
            f"{edge!r} is no edge.", do="pass (layer, input node, output node), say (0, 1, 0)."
        ) from error
    depth = len(model.layers)
    if not -depth <= place < depth:
        raise EdgewiseError(
            f"edge {tuple(edge)}: there is no layer {place}.", do=f"pass a layer from 0 to {depth - 1}."
        )
    layer = model.layers[place]
    if not (-layer.n_in <= i < layer.n_in and -layer.n_out <= j < layer.n_out):
        raise EdgewiseError(
            f"edge {tuple(edge)} does not exist.",
            f"layer {place} has the input nodes 0 to {layer.n_in - 1} and the output nodes 0 to {layer.n_out - 1}.",
            "pass (layer, input node, output node).",
        )
    found = (place % depth, i % layer.n_in, j % layer.n_out)
    if there and not present(layer)[found[1:]]:
        raise EdgewiseError(
            f"edge {found} has been pruned.", "its function is 0, and its mean is in the bias.",
            f"pass another one: {_some_edges(model)}.",
        )  # fmt: skip
    return found


def _some_edges(model: KAN) -> str:
    edges = [
        (place, int(i), int(j)) for place, layer in enumerate(model.layers) for i, j in np.argwhere(present(layer))
    ]
    return ", ".join(map(str, edges[:8])) + (", ..." if len(edges) > 8 else "")


def data_of(model: KAN, data: Any) -> np.ndarray:
    """The inputs among ``data``, X or (X, y), float64 ``[n, n_features]``, at most ``ROWS``, evenly spread.

    Raises ``ShapeError`` for the wrong number of columns, ``DataError`` for values that are not finite.
    """
    x = np.asarray(data[0] if isinstance(data, tuple | list) and len(data) in (2, 3) else data)
    if x.dtype.kind not in "biuf":
        raise DataError(f"x of {x.dtype} is no array of numbers.", do="encode text and dates as numbers first.")
    if x.ndim != 2 or x.shape[1] != model.n_features or not len(x):
        raise ShapeError(
            f"expected (n, {model.n_features}), got {x.shape}.",
            f"the model has {model.n_features} features.",
            "pass X or (X, y), X with a column for every feature and at least one row.",
        )
    if not np.isfinite(x).all():
        raise DataError("x has values that are not finite.", do="fill in or remove such rows.")
    return x.astype(np.float64)[spread_rows(len(x), ROWS)]


def spread_rows(count: int, most: int) -> np.ndarray:
    """Numbers of ``most`` of so many rows, or of all where there are fewer, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def feature_names(model: KAN, names: Sequence[str] | None) -> tuple[str, ...]:
    """Names of the columns of x: as given, or x1, x2, ...

    Raises ``ShapeError`` for another number of them, ``EdgewiseError`` where one comes twice.
    """
    return column_names(model.n_features, names)


def column_names(count: int, names: Sequence[str] | None) -> tuple[str, ...]:
    """Names of so many columns, as :func:`feature_names` has them."""
    if names is None:
        return tuple(f"x{i + 1}" for i in range(count))
    names = tuple(map(str, names))
    if len(names) != count:
        raise ShapeError(f"{len(names)} names for {count} features.", do="pass one name a column of x.")
    if len(set(names)) < len(names):
        raise EdgewiseError(f"a name comes twice in {list(names)}.", do="give every feature its own name.")
    return names


def in_its_precision(function: Callable[..., Any]) -> Callable[..., Any]:
    """Run ``function(model, ...)`` with float64 where that is the dtype of the model, whatever JAX is set to."""

    @wraps(function)
    def wide(model: Any, *arguments: Any, **keywords: Any) -> Any:
        layers = getattr(getattr(model, "model_", model), "layers", ())
        double = any(getattr(layer, "param_dtype", None) == np.float64 for layer in layers)
        with jax.enable_x64(jax.config.read("jax_enable_x64") or double):
            return function(model, *arguments, **keywords)

    return wide


@in_its_precision
def observed(model: KAN, x: np.ndarray) -> Activity:
    """What the samples ``x`` ``[n, n_features]`` do in the network."""
    inputs, edges, sums, outputs = _programs()[0](*nnx.split(model), jnp.asarray(x, model.layers[0].param_dtype))
    asarray = lambda arrays: [np.asarray(array, np.float64) for array in arrays]
    return Activity(asarray(inputs), asarray(edges), asarray(sums), np.asarray(outputs, np.float64))


def _observed(graphdef: Any, state: Any, x: Any) -> Any:
    model = nnx.merge(graphdef, state)
    x = x[..., model.columns] if model.inputs else x
    inputs, edges, sums = [], [], []
    for layer, arities in zip(model.layers, arities_of(model), strict=True):
        inputs.append(x)
        edges.append(layer.edges(x))
        # what layer(x) is, to rounding, at less than half the compilation
        total = edges[-1].sum(axis=1)
        sums.append(total if layer.bias is None else total + layer.bias[None])
        x = multiply(sums[-1], arities)
    return inputs, edges, sums, x


@in_its_precision
def sampled(model: KAN, places: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The edge functions of every layer at ``places``, ``[P, n_in]`` a layer: ``[P, n_in, n_out]``."""
    dtype = model.layers[0].param_dtype
    values = _programs()[1](*nnx.split(model), [jnp.asarray(points, dtype) for points in places])
    return [np.asarray(edges, np.float64) for edges in values]


def _sampled(graphdef: Any, state: Any, places: Any) -> Any:
    model = nnx.merge(graphdef, state)
    return [layer.edges(points) for layer, points in zip(model.layers, places, strict=True)]


@cache
def _programs() -> tuple[Any, Any]:
    return compiled_for_few_runs(_observed, static_argnums=0), compiled_for_few_runs(_sampled, static_argnums=0)
