"""Networks of one coordinate, the inner functions of a KKAN: plain, or between gates."""

from __future__ import annotations

from typing import Any, NamedTuple

from flax import nnx
from jax import Array

from edgewise.bases import Basis
from edgewise.nn import KANLayer
from edgewise.nn.factorized import Factorized, Normalized, Weighted
from edgewise.nn.functions import NamedFunction
from edgewise.nn.layer import PRECISION

__all__ = ["GatedBlock", "InnerBlock", "Shape"]

_GLOROT = nnx.initializers.glorot_normal()


class Shape(NamedTuple):
    """Nodes and number of the hidden layers, outputs, and what the hidden layers end with."""

    hidden: int
    depth: int
    width: int
    activation: NamedFunction


class InnerBlock(nnx.Module):
    """An MLP on the expansion of one coordinate: h = a(W_0 c T(x)), h <- a(W h) ``depth`` times, psi = W_1 c' T(h).

    The weights c, c' of the modes T and the factors of every W are trained; see ``Weighted`` and ``Factorized``.  An
    ``embedding`` stands in the place of c T(x).
    """

    def __init__(self, basis: Basis, embedding: Basis | None, shape: Shape, *, rngs: nnx.Rngs, **options: Any):
        hidden, depth, width, self.activation = shape
        first = Weighted(basis) if embedding is None else embedding
        expansions = [
            Factorized(KANLayer(n_in, n_out, family, bias=False, rngs=rngs, **options), rngs=rngs)
            for n_in, n_out, family in ((1, hidden, first), (hidden, width, Weighted(basis)))
        ]
        self.expand, self.combine = expansions
        self.hidden = nnx.List(Factorized(_linear(hidden, hidden, rngs, options), rngs=rngs) for _ in range(depth))

    def __call__(self, x: Array) -> Array:
        """``[*batch, 1]`` to ``[*batch, width]``."""
        for layer in (self.expand, *self.hidden):
            x = self.activation(layer(x))
        return self.combine(x)

    @property
    def first(self) -> list[KANLayer]:
        """What the coordinate goes into."""
        return _kan_layers(self.expand)

    @property
    def expansions(self) -> list[KANLayer]:
        """The layers of the family ``basis``, its modes weighted."""
        return _weighted(self.expand, self.combine)


class GatedBlock(nnx.Module):
    """An MLP of one coordinate between gates; every N is linear with normalized weights, see ``Normalized``.

    u, v, h = a(N e(x)), each its own;  h <- a(alpha ((1 - f) u + f v) + (1 - alpha) h) with f = a(N h), ``depth``
    times;  psi = N c T(h).  e is the ``embedding``, None for x itself; alpha is the model's.
    """

    def __init__(self, basis: Basis, embedding: Basis | None, shape: Shape, *, rngs: nnx.Rngs, **options: Any):
        hidden, depth, width, self.activation = shape
        kan_layer = lambda n_in, n_out, family: KANLayer(n_in, n_out, family, bias=False, rngs=rngs, **options)
        linear = lambda n_in: _linear(n_in, hidden, rngs, options)
        self.gates = nnx.List(
            Normalized(linear(1) if embedding is None else kan_layer(1, hidden, embedding)) for _ in range(3)
        )
        self.hidden = nnx.List(Normalized(linear(hidden)) for _ in range(depth))
        self.combine = Normalized(kan_layer(hidden, width, Weighted(basis)))

    def __call__(self, x: Array, alpha: Array) -> Array:
        """``[*batch, 1]`` to ``[*batch, width]``."""
        u, v, h = (self.activation(layer(x)) for layer in self.gates)
        for layer in self.hidden:
            f = self.activation(layer(h))
            h = self.activation(alpha * ((1 - f) * u + f * v) + (1 - alpha) * h)
        return self.combine(h)

    @property
    def first(self) -> list[KANLayer]:
        """What the coordinate goes into, where it is expanded."""
        return _kan_layers(*self.gates)

    @property
    def expansions(self) -> list[KANLayer]:
        """The layer of the family ``basis``, its modes weighted."""
        return _weighted(self.combine)


def _kan_layers(*scaled: Factorized | Normalized) -> list[KANLayer]:
    return [part.linear for part in scaled if isinstance(part.linear, KANLayer)]


def _weighted(*scaled: Factorized | Normalized) -> list[KANLayer]:
    return [layer for layer in _kan_layers(*scaled) if isinstance(layer.basis, Weighted)]


def _linear(n_in: int, n_out: int, rngs: nnx.Rngs, options: dict[str, Any]) -> nnx.Linear:
    dtypes: dict[str, Any] = {"precision": PRECISION}  # the default of KANLayer, not of nnx.Linear
    dtypes |= {name: options[name] for name in ("dtype", "param_dtype", "precision") if name in options}
    return nnx.Linear(n_in, n_out, use_bias=False, kernel_init=_GLOROT, rngs=rngs, **dtypes)
