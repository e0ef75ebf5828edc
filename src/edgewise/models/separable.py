"""Separable KANs: sums of products of functions of one coordinate each."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from edgewise.bases import Basis
from edgewise.errors import EdgewiseError, ShapeError, check_count
from edgewise.models.kan import KAN
from edgewise.nn import count_parameters
from edgewise.nn.inputs import checked_input

__all__ = ["SeparableKAN"]


class SeparableKAN(nnx.Module):
    """u_o(x) = sum_r f_1ro(x_1) f_2ro(x_2) ... f_dro(x_d), every f_i a small KAN of one coordinate.

    A function of few separate scales (waves, fronts at rest, boundary layers) needs few terms, and each coordinate
    the basis that suits it: far fewer parameters than a network of all coordinates together.

    Args:
        bases: the basis of each coordinate.
        n_out: number of outputs o.
        rank: number of terms r.
        hidden: widths of hidden layers of every factor; empty for one layer.
        groups: number of columns of x that each coordinate consists of; all 1 unless given. A periodic coordinate that
            comes as cosine and sine is a group of 2.
        rngs: source of keys; not stored.
        layer_options: passed to every ``KANLayer``; ``residual`` is None unless given.

    Attributes:
        factors: the KAN of each coordinate, to ``rank * n_out`` values.

    Raises:
        EdgewiseError: for no basis, sizes below 1; ``ShapeError`` for as many groups as there are not bases.

    Jacob, Howard and Stinis, SPIKANs: Separable Physics-Informed Kolmogorov-Arnold Networks, arXiv 2411.06286; Cho et
    al., Separable Physics-Informed Neural Networks, arXiv 2306.15969.

    >>> model = SeparableKAN([Chebyshev(12), BSpline(5, 40)], rank=8, rngs=nnx.Rngs(0))
    """

    def __init__(
        self,
        bases: Any,
        n_out: Any = 1,
        *,
        rank: Any = 8,
        hidden: Any = (),
        groups: Any = None,
        rngs: nnx.Rngs,
        **layer_options: Any,
    ):
        bases = () if isinstance(bases, Basis | str) else tuple(bases)
        if not bases or not all(isinstance(basis, Basis) for basis in bases):
            raise EdgewiseError(
                "bases are one Basis for each coordinate.", "every coordinate has its own.", "pass [Chebyshev(8)] * 2."
            )
        self.rank, self.n_out = check_count("rank", rank), check_count("n_out", n_out)
        sizes = (1,) * len(bases) if groups is None else groups
        self.groups = tuple(check_count("groups", size) for size in sizes)
        if len(self.groups) != len(bases):
            raise ShapeError(
                f"{len(self.groups)} groups for {len(bases)} bases.", do="pass one basis for each coordinate."
            )
        options = {"residual": None} | layer_options
        self.factors = nnx.List(
            KAN([size, *hidden, self.rank * self.n_out], basis, rngs=rngs, **options)
            for size, basis in zip(self.groups, bases, strict=True)
        )

    def __call__(self, x: Any) -> Array:
        """``[*batch, sum of groups]`` to ``[*batch, n_out]``.  Integers become the parameters' dtype."""
        x = checked_input(x, sum(self.groups), self.factors[0].layers[0].param_dtype)
        ends = [0, *np.cumsum(self.groups).tolist()]
        product = None
        for factor, (start, end) in zip(self.factors, pairwise(ends), strict=True):
            values = factor(x[..., start:end])
            product = values if product is None else product * values
        assert product is not None
        return jnp.sum(product.reshape(*product.shape[:-1], self.rank, self.n_out), axis=-2)

    @property
    def config(self) -> dict[str, Any]:
        """What :meth:`from_config` rebuilds the architecture from, ready for JSON; the parameters are in the state."""
        factors = [factor.config for factor in self.factors]
        return {"factors": factors, "n_out": self.n_out, "rank": self.rank, "groups": list(self.groups)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, rngs: nnx.Rngs) -> SeparableKAN:
        """A model of the architecture that ``SeparableKAN.config`` described, freshly drawn."""
        factors = [KAN.from_config(factor, rngs=rngs) for factor in config["factors"]]
        bases = [factor.layers[0].basis for factor in factors]
        model = cls(bases, config["n_out"], rank=config["rank"], groups=config["groups"], rngs=nnx.Rngs(0))
        model.factors = nnx.List(factors)
        return model

    def __repr__(self) -> str:
        bases = ", ".join(str(factor.layers[0].basis) for factor in self.factors)
        return f"SeparableKAN([{bases}], {self.n_out}, rank={self.rank}, {count_parameters(self):,} parameters)"

    __str__ = __repr__
