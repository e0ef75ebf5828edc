"""Reflectional switch activation functions."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp

from edgewise._numerics import magnitude
from edgewise.bases.radial import Radial

__all__ = ["RSWAF"]


@dataclass(frozen=True)
class RSWAF(Radial):
    """1 - tanh^2((x - centre_m) / width_m), the reflectional switch activation function.

    Args:
        size: number of centres.
        domain: first and last centre.
        width: length scale; None takes the distance between centres.

    State, per input node: ``centres`` and ``widths``, ``[n_in, size]``.  Delis, FasterKAN (2024); close to a Gaussian
    and cheaper.
    """

    def mode(self, x, centre, inverse_width):
        # 1 - tanh^2 cancels in the tails; 4 q / (1 + q)^2 with q = exp(-2 |r|) does not
        decay = jnp.exp(-2 * magnitude(x - centre) * inverse_width)
        return 4 * decay / (1 + decay) ** 2
