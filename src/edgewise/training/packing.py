"""Parameters as one vector, on which an elementwise update is one kernel and a Hessian one matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

from edgewise.training.optim import Optimizer

__all__ = ["AsTree", "AsVector", "packing_of"]

_SMALL = 16_384  # parameters up to which launching kernels costs more than copying parameters


@dataclass(frozen=True)
class AsTree:
    """Parameters as the model has them."""

    def packed(self, tree: Any) -> Any:
        """``tree``."""
        return tree

    def unpacked(self, tree: Any) -> Any:
        """``tree``."""
        return tree


@dataclass(frozen=True)
class AsVector:
    """Parameters in one vector ``[P]``."""

    treedef: Any
    shapes: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, tree: Any) -> AsVector:
        """The packing of trees like this one."""
        leaves, treedef = jax.tree.flatten(tree)
        return cls(treedef, tuple(np.shape(leaf) for leaf in leaves))

    def packed(self, tree: Any) -> Any:
        """The vector of ``tree``; by NumPy, which compiles nothing, unless it is traced."""
        leaves = jax.tree.leaves(tree)
        backend = jnp if isinstance(leaves[0], Tracer) else np
        return backend.concatenate([backend.ravel(leaf) for leaf in leaves])

    def unpacked(self, vector: Any) -> Any:
        """The tree of ``vector`` ``[*leading, P]``; leading axes are kept."""
        sizes = [math.prod(shape) for shape in self.shapes]
        if isinstance(vector, jax.Array):
            parts = lax.split(vector, sizes, axis=vector.ndim - 1)
        else:
            parts = np.split(vector, np.cumsum(sizes)[:-1], axis=-1)
        leaves = [part.reshape((*vector.shape[:-1], *shape)) for part, shape in zip(parts, self.shapes, strict=True)]
        return jax.tree.unflatten(self.treedef, leaves)


def packing_of(params: Any, optimizer: Optimizer) -> AsTree | AsVector:
    """A vector where the optimizer needs one, or allows one that is small; otherwise as the model has them."""
    leaves = jax.tree.leaves(params)
    small = sum(np.size(leaf) for leaf in leaves) <= _SMALL
    uniform = len({leaf.dtype for leaf in leaves}) == 1
    wanted = optimizer.packed and uniform and (small or optimizer.full_batch)
    return AsVector.of(params) if wanted else AsTree()
