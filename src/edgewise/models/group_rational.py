"""The Kolmogorov-Arnold layers of a transformer: rational functions shared by groups of channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from flax import nnx

from edgewise.bases import Rational
from edgewise.errors import EdgewiseError
from edgewise.init import LeCun
from edgewise.models.kan import KAN
from edgewise.nn import count_parameters

__all__ = ["GroupRational", "GroupRationalKAN"]


@dataclass(frozen=True)
class GroupRational(Rational):
    """:class:`~edgewise.Rational` with one numerator for all groups and a denominator for each.

    State, trained: ``numerator`` ``[1, p + 1]`` and ``denominator`` ``[groups, q]``: p + 1 + q groups parameters.
    """

    groups: int | None = 8

    def init(self, n_in, *, key):
        state = super().init(n_in, key=key)
        return state | {"numerator": state["numerator"][:1]}

    def modes(self, x, state):
        a, b = state["numerator"], state["denominator"]
        rows = max(a.shape[0], b.shape[0])  # a layer that evaluates node by node repeats them itself
        every = {name: jnp.repeat(value, rows // value.shape[0], axis=0) for name, value in state.items()}
        return super().modes(x, every)


class GroupRationalKAN(KAN):
    """GR-KAN, in place of a transformer's perceptron: y = W_2 F_2(W_1 F_1(x) + b_1) + b_2, channels last.

    F_1 and F_2 are rational functions, each shared by a group of neighbouring channels; F_1 starts as the identity and
    F_2 as silu.  The weights start with the variance Var[x] / (n_in E[F(x)^2]) for x ~ N(0, 1): a layer then keeps the
    variance.  It has n_in n_out + n_out + (p + 1) + q groups parameters.

    Args:
        n_in, n_hidden, n_out: numbers of channels; n_out None is n_in.
        groups: number of functions in a layer; must divide n_in and n_hidden.
        numerator, denominator: p and q, the degrees.
        start: shapes of F_1 and F_2 at the start: "identity", "silu" or "tanh".
        rngs: source of keys; not stored.
        layer_options: of :class:`~edgewise.nn.KANLayer`; ``residual`` is None and ``init`` is
            ``LeCun("normal", gain=1.0)`` unless told otherwise.

    Raises:
        EdgewiseError: for groups that do not divide the channels, refused degrees or shapes, an unknown option.

    Yang and Wang, Kolmogorov-Arnold Transformer, arXiv 2409.10594.
    """

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        n_out: int | None = None,
        *,
        groups: int = 8,
        numerator: int = 5,
        denominator: int = 4,
        start: Sequence[str] = ("identity", "silu"),
        rngs: nnx.Rngs,
        **layer_options: Any,
    ):
        if isinstance(start, str) or len(start) != 2:
            raise EdgewiseError(
                f"start={start!r} is not a pair.", do='pass the shapes of both layers: ("identity", "silu").'
            )
        bases = [GroupRational(numerator, denominator, groups, shape) for shape in start]
        options = {"residual": None, "init": LeCun("normal", gain=1.0)} | layer_options
        super().__init__([n_in, n_hidden, n_in if n_out is None else n_out], bases, rngs=rngs, **options)

    @property
    def config(self) -> dict[str, Any]:
        """What :meth:`from_config` rebuilds the architecture from, ready for JSON."""
        if not self._is_rational:
            raise EdgewiseError(
                f"this GroupRationalKAN has other bases: {', '.join(map(str, self._bases))}.",
                "its configuration says the degrees of rational functions and their groups.",
                "save the state: Checkpoint(path).save(nnx.state(model), {}).",
            )
        options = {name: value for name, value in super().config.items() if name not in ("widths", "basis")}
        sizes = dict(zip(("n_in", "n_hidden", "n_out"), self.widths, strict=True))
        first, second = self._bases
        degrees = {name: getattr(first, name) for name in ("groups", "numerator", "denominator")}
        return sizes | degrees | {"start": [first.start, second.start]} | options

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, rngs: nnx.Rngs) -> GroupRationalKAN:
        """A model of the architecture that ``config`` described, freshly drawn."""
        return cls(**config, rngs=rngs)

    @property
    def _bases(self) -> list[Any]:
        return [layer.basis for layer in self.layers]

    @property
    def _is_rational(self) -> bool:
        return all(isinstance(basis, GroupRational) for basis in self._bases)

    def __repr__(self) -> str:
        kind = f"groups={self._bases[0].groups}" if self._is_rational else ", ".join(map(str, self._bases))
        sizes = f"{', '.join(map(str, self.widths))}, {kind}"
        return f"GroupRationalKAN({sizes}, {count_parameters(self):,} parameters)"

    __str__ = __repr__
