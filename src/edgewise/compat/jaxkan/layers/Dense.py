"""jaxKAN's ``DenseLayer``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from edgewise.errors import EdgewiseError, check_count, check_keywords
from edgewise.nn.functions import named

__all__ = ["DenseLayer"]

_RWF = {"mean": 1.0, "std": 0.1}


class DenseLayer(nnx.Module):
    """activation(x (g v) + b), with the factors ``g`` ``[n_out]`` and ``v`` ``[n_in, n_out]`` trained apart.

    ``RWF`` has "mean" and "std" of log g at the start (random weight factorization, Wang et al., arXiv 2210.01274).
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        activation: Callable[[Array], Array] | None = None,
        RWF: Mapping[str, float] = _RWF,
        add_bias: bool = True,
        seed: Any = 42,
    ):
        for name, size in (("n_in", n_in), ("n_out", n_out)):
            check_count(name, size)
        check_keywords("RWF", RWF, _RWF)
        rngs, options = nnx.Rngs(jax.random.key(seed)), {**_RWF, **RWF}
        w = jax.random.normal(rngs.params(), (n_in, n_out)) * (2.0 / (n_in + n_out)) ** 0.5
        g = jnp.exp(jax.random.normal(rngs.params(), (n_out,)) * options["std"] + options["mean"])
        self.g, self.v = nnx.Param(g), nnx.Param(w / g)
        self.b = nnx.Param(jnp.zeros(n_out)) if add_bias else None
        self.activation = None if activation is None else _stored(activation)

    def __call__(self, x: Any) -> Array:
        """``[*batch, n_in]`` to ``[*batch, n_out]``."""
        y = jnp.matmul(jnp.asarray(x), self.g[...] * self.v[...], precision="highest")
        y = y if self.b is None else y + self.b[...]
        return y if self.activation is None else self.activation(y)


def _stored(activation: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """``activation`` by name, so that the layer can be pickled; itself where no name leads to it."""
    try:
        return named("activation", activation)
    except EdgewiseError:
        return functools.partial(activation)
