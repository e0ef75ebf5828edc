"""What is trained: a network inside its ansatz, unknown parameters, and the points it is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from edgewise.physics.ansatz import Ansatz

__all__ = ["Collocation", "Trial", "arrays_of", "kept", "renew"]


class Collocation(nnx.Variable):
    """Points of a loss, what is asked there, and weights: arrays that change between steps, and are not trained."""


class Trial(nnx.Module):
    """u: points ``[n, d]`` to ``[n, m]``.

    Attributes:
        network: of the ansatz's features.
        ansatz: what is exact by construction.
        unknowns: the parameters of the equation that are trained, by name.
        samples: for each term of the loss, arrays with one row a point.
        adaptive: the states of weightings and resampling, arrays by name.
    """

    def __init__(self, network: nnx.Module, ansatz: Ansatz, unknowns: Mapping[str, float], dtype: Any):
        self.network, self.ansatz = network, ansatz
        self.unknowns = nnx.Dict({name: nnx.Param(jnp.asarray(value, dtype)) for name, value in unknowns.items()})
        self.samples = nnx.Dict({})
        self.adaptive = nnx.Dict({})

    def __call__(self, x: Any) -> Array:
        """u at ``x``."""
        return self.ansatz(self.network, jnp.asarray(x))

    @property
    def parameters(self) -> dict[str, Array]:
        """The unknown parameters as they stand."""
        return arrays_of(self.unknowns)

    def keep(self, term: str, arrays: Mapping[str, np.ndarray], dtype: Any) -> None:
        """Let ``arrays``, one row a point, be what a term of the loss looks at."""
        self.samples[term] = kept({name: jnp.asarray(value, dtype) for name, value in arrays.items()})

    def of(self, term: str) -> dict[str, Array]:
        """What a term of the loss looks at."""
        return arrays_of(self.samples[term])


def kept(arrays: Mapping[str, Any]) -> Any:
    """Arrays by name as variables of a module."""
    return nnx.Dict({name: Collocation(leaf) for name, leaf in arrays.items()})


def arrays_of(variables: Any) -> dict[str, Array]:
    """What :func:`kept` made variables of, as it stands."""
    return {name: value[...] for name, value in variables.items()}


def renew(variables: Any, arrays: Mapping[str, Any]) -> None:
    """Give variables new arrays of the old shapes."""
    for name, leaf in arrays.items():
        variables[name][...] = leaf
