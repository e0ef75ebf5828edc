"""Edges of a layer that are gone, and edges that are formulas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from edgewise.nn.forms import form_named
from edgewise.nn.variables import Mask

if TYPE_CHECKING:
    from edgewise.nn.layer import KANLayer

__all__ = ["SymbolicEdges", "edge_config", "with_edges"]

Entry = tuple[int, int, str]
"""Input node, output node, name of the form."""


class SymbolicEdges(nnx.Module):
    """a f(b x_i + c) + d on some edges i -> j of a layer, each with its own form f.

    Args:
        entries: (i, j, name of f), each edge once.
        constants: ``[E, 4]``, the a, b, c, d of every entry, trained.
        n_in, n_out: of the layer.

    Raises ``UnknownNameError`` for a form that does not exist.
    """

    def __init__(self, entries: Iterable[Entry], constants: Any, n_in: int, n_out: int):
        self.entries = tuple((int(i), int(j), form_named(name).name) for i, j, name in entries)
        self.constants = nnx.Param(jnp.asarray(constants))
        self.n_in, self.n_out = n_in, n_out

    def __call__(self, x: Array) -> Array:
        """What the edges bring to every output node, ``[*batch, n_in]`` to ``[*batch, n_out]``."""
        sums = jnp.zeros((*x.shape[:-1], self.n_out), x.dtype)
        if not self.entries:
            return sums
        return sums.at[..., np.array([j for _, j, _ in self.entries])].add(self._values(x))

    def edges(self, x: Array) -> Array:
        """Every edge on its own, ``[*batch, n_in, n_out]``; 0 where there is none of these."""
        found = jnp.zeros((*x.shape[:-1], self.n_in, self.n_out), x.dtype)
        if not self.entries:
            return found
        inputs, outputs = (np.array(ends) for ends in zip(*((i, j) for i, j, _ in self.entries), strict=True))
        return found.at[..., inputs, outputs].set(self._values(x))

    def form(self, i: int, j: int) -> str | None:
        """The name of the form on an edge, None where there is none."""
        return next((name for *edge, name in self.entries if edge == [i, j]), None)

    def _values(self, x: Array) -> Array:
        """``[*batch, E]``."""
        a, b, c, d = jnp.moveaxis(self.constants[...].astype(x.dtype), -1, 0)
        arguments = x[..., np.array([i for i, _, _ in self.entries])] * b + c
        values = [form_named(name)(arguments[..., place]) for place, (*_, name) in enumerate(self.entries)]
        return a * jnp.stack(values, axis=-1) + d


def edge_config(layer: KANLayer) -> dict[str, Any]:
    """What :func:`with_edges` gives a fresh layer: which edges are formulas, and whether any are gone."""
    config: dict[str, Any] = {}
    if layer.mask is not None:
        config["mask"] = True
    if layer.symbolic is not None:
        config["symbolic"] = [list(entry) for entry in layer.symbolic.entries]
    return config


def with_edges(layer: KANLayer, config: Mapping[str, Any]) -> None:
    """Give ``layer`` a mask of ones, and formulas whose constants are 0, as ``config`` says: both are in the state."""
    if config.get("mask"):
        layer.mask = Mask(jnp.ones((layer.n_in, layer.n_out), layer.param_dtype))
    if "symbolic" in config:
        entries = [(i, j, name) for i, j, name in config["symbolic"]]
        constants = jnp.zeros((len(entries), 4), layer.param_dtype)
        layer.symbolic = SymbolicEdges(entries, constants, layer.n_in, layer.n_out)
