"""Radial basis functions."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from edgewise._numerics import magnitude
from edgewise.bases.compiled import Compiled, Rate
from edgewise.bases.radial import Radial, even_points
from edgewise.errors import check_choice

__all__ = ["RBF"]

_KERNELS = {
    "gaussian": lambda r: jnp.exp(-0.5 * r * r),
    "inverse_quadratic": lambda r: 1 / (1 + r * r),
    "inverse_multiquadric": lambda r: 1 / jnp.sqrt(1 + r * r),
    "matern32": lambda r: (1 + 3**0.5 * magnitude(r)) * jnp.exp(-(3**0.5) * magnitude(r)),
    "matern52": lambda r: (1 + 5**0.5 * magnitude(r) + 5 / 3 * r * r) * jnp.exp(-(5**0.5) * magnitude(r)),
}


@dataclass(frozen=True)
class RBF(Compiled, Radial):
    """phi((x - centre_m) / width_m) with evenly spaced centres.

    Args:
        size: number of centres.
        domain: first and last centre.
        width: length scale of the kernel; None takes the distance between centres.
        kernel: "gaussian" exp(-r^2/2), "inverse_quadratic", "inverse_multiquadric", "matern32" or "matern52".

    State, per input node: ``centres`` and ``widths``, ``[n_in, size]``.  As a basis of KANs: Li, arXiv 2405.06721.
    """

    kernel: str = "gaussian"

    def __post_init__(self):
        super().__post_init__()
        check_choice("kernel of RBF:", self.kernel, _KERNELS)

    def mode(self, x, centre, inverse_width):
        return _KERNELS[self.kernel]((x - centre) * inverse_width)

    @property
    def compiled_as(self):
        return "gaussians" if self.kernel == "gaussian" and type(self) is RBF else None

    def compiled_constants(self, order):
        return np.array([order])

    def compiled_table(self, state):
        return jnp.concatenate([state["centres"], 1 / state["widths"]], axis=-1)

    def compiled_rates(self, order, x, dx, table, dtable):
        rates = [] if dx is None else [Rate(order + 1, dx)]
        if dtable is not None:  # B' = phi'(r) / width, with r = (x - centre) / width
            centres, inverse = jnp.split(jnp.swapaxes(table, -1, -2), 2, axis=-2)
            moved, widened = jnp.split(jnp.swapaxes(dtable, -1, -2), 2, axis=-2)
            widened = widened / inverse
            rates += [Rate(order + 1, mode=-moved - centres * widened), Rate(order + 1, x, widened)]
            rates += [Rate(order, mode=order * widened)] if order else []
        return rates

    def default_std(self, fan_in, modes):
        return 1.0 / np.sqrt(fan_in * modes), "truncated_normal"

    def breakpoints(self):
        matern = self.kernel.startswith("matern")  # |x - centre| has a kink
        return even_points(self.size, self.domain) if matern else None
