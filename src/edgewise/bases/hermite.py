"""Hermite functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
import numpy as np

from edgewise.bases.base import Basis
from edgewise.errors import check_count

__all__ = ["Hermite"]


@dataclass(frozen=True)
class Hermite(Basis):
    """psi_n(x) = H_n(x) exp(-x^2 / 2) / sqrt(2^n n! sqrt(pi)), n = 0..degree: orthonormal on the real line.

    Args:
        degree: highest degree; the family has degree + 1 modes.

    Recurrence of the functions themselves (DLMF 18.9.1), never of the polynomials, which overflow.
    """

    resolution: ClassVar[str] = "degree"
    nested: ClassVar[bool] = True

    degree: int = 5

    def __post_init__(self):
        check_count("Hermite: degree", self.degree)

    @property
    def size(self) -> int:
        return self.degree + 1

    def modes(self, x, state):
        x = jnp.clip(x, -1e3, 1e3)  # everything is 0 there, and x^2 must not overflow
        # half of the Gaussian goes in before the recurrence and half after it: exp(-x^2/2) alone underflows float32
        # at |x| = 13.2, where psi_64 is still 1e-4
        half = jnp.exp(-(x * x) / 4)
        before, value = jnp.zeros_like(x), float(np.pi**-0.25) * half
        values = [value * half]
        for n in range(self.degree):
            after = float(np.sqrt(2 / (n + 1))) * x * value - float(np.sqrt(n / (n + 1))) * before
            before, value = value, after
            values.append(value * half)
        return values
