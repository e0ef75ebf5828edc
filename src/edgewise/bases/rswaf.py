"""Reflectional switch functions."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp

from edgewise._numerics import magnitude
from edgewise.bases.base import Pointwise
from edgewise.bases.rbf import even_centres, spacing
from edgewise.bases.squash import check_domain
from edgewise.errors import check_count, check_positive

__all__ = ["RSWAF"]


@dataclass(frozen=True)
class RSWAF(Pointwise):
    """1 - tanh^2((x - centre_m) / width), the reflectional switch activation function.

    Args:
        size: number of centres.
        domain: first and last centre.
        width: length scale; None takes the distance between centres.

    State: ``centres`` ``[n_in, size]``.  Delis, FasterKAN (2024); close to a Gaussian and cheaper.
    """

    size: int = 8
    domain: tuple[float, float] = (-2.0, 2.0)
    width: float | None = None

    def __post_init__(self):
        check_count("RSWAF: size", self.size)
        check_domain("RSWAF", self.domain)
        if self.width is not None:
            check_positive("RSWAF: width", self.width)

    def init(self, n_in, *, key):
        return {"centres": even_centres(n_in, self.size, self.domain)}

    def parameters(self, state):
        return (state["centres"].T,)

    def mode(self, x, centre):
        # 1 - tanh^2 cancels in the tails; 4 q / (1 + q)^2 with q = exp(-2 |r|) does not
        r = magnitude(x - centre) * (1 / (self.width or spacing(self.size, self.domain)))
        decay = jnp.exp(-2 * r)
        return 4 * decay / (1 + decay) ** 2
