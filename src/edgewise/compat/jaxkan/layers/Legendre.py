"""jaxKAN's ``LegendreLayer``."""

from __future__ import annotations

from typing import Any

from edgewise.bases import Legendre
from edgewise.compat.jaxkan.translation import Layer
from edgewise.errors import check_choice, check_count

__all__ = ["LegendreLayer"]

_FLAVORS = ("default", "exact")


class LegendreLayer(Layer):
    """Legendre polynomials of tanh(x) for n = 1..D, and n = 0 where there is no bias.

    Every ``flavor`` of jaxKAN's means the same polynomials, and all take the same stable recurrence: any degree, and
    gradients that stay finite where tanh saturates.
    """

    def __init__(
        self,
        n_in: int = 2,
        n_out: int = 5,
        D: int = 5,
        flavor: str | None = None,
        residual: Any = None,
        external_weights: bool = False,
        init_scheme: Any = None,
        add_bias: bool = True,
        seed: Any = 42,
    ):
        self.D, self.flavor = check_count("D", D), flavor or "default"
        check_choice("flavor of LegendreLayer:", self.flavor, _FLAVORS)
        self._translate(n_in, n_out, Legendre(D), residual, external_weights, init_scheme, add_bias, seed)
