"""Product nodes: nodes that multiply what arrives at their subnodes, beside those that add."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import groupby
from operator import mul
from typing import Any

import jax.numpy as jnp
from jax import Array

from edgewise.errors import EdgewiseError, check_count

__all__ = ["Nodes", "multiply", "nodes_of", "spelled"]

Nodes = tuple[int, tuple[int, ...]]
"""Number of sum nodes, and the arity (number of factors) of every product node."""


def multiply(x: Array, arities: Sequence[int]) -> Array:
    """Subnodes ``[*batch, sums + sum(arities)]`` to nodes ``[*batch, sums + len(arities)]``.

    The sums come first, unchanged; then each product of its own consecutive subnodes (Liu et al., KAN 2.0,
    arXiv 2408.10205, section 2).
    """
    if not arities:
        return x
    start = x.shape[-1] - sum(arities)
    parts = [x[..., :start]]
    for arity, run in groupby(arities):
        products = len(list(run))
        stop = start + products * arity
        factors = x[..., start:stop].reshape(*x.shape[:-1], products, arity)
        parts.append(reduce(mul, (factors[..., factor] for factor in range(arity))))
        start = stop
    return jnp.concatenate(parts, axis=-1)


def nodes_of(name: str, width: Any) -> Nodes:
    """What a width says: ``n`` sums; ``(n, p)`` with p products of two; ``(n, (2, 3))`` with a product of each arity.

    Raises ``EdgewiseError`` for anything else, and for a layer without nodes.
    """
    if isinstance(width, str) or not isinstance(width, Sequence):
        return check_count(name, width), ()
    if len(width) != 2:
        raise EdgewiseError(
            f"{name}={width!r} is neither a number nor a pair.", do="pass say 5, (3, 2) or (3, (2, 3)): sums, products."
        )
    sums, products = check_count(f"{name}[0]", width[0], 0), width[1]
    if isinstance(products, str) or not isinstance(products, Sequence):
        arities = (2,) * check_count(f"{name}[1]", products, 0)
    else:
        arities = tuple(check_count(f"{name}[1][{index}]", arity, 2) for index, arity in enumerate(products))
    check_count(f"the number of nodes in {name}", sums + len(arities))
    return sums, arities


def spelled(nodes: Nodes) -> int | tuple[int, int] | tuple[int, tuple[int, ...]]:
    """The shortest width that :func:`nodes_of` reads as ``nodes``."""
    sums, arities = nodes
    if not arities:
        return sums
    return (sums, len(arities)) if set(arities) == {2} else (sums, arities)
