"""Variational residual-based attention: weights from the potential whose mean is to be small."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
from jax.scipy.special import logsumexp

from edgewise.errors import EdgewiseError, check_choice
from edgewise.physics.weighting.arguments import positive
from edgewise.physics.weighting.rba import Attention

__all__ = ["POTENTIALS", "Variational"]

POTENTIALS = ("exponential", "lp")
"""Names of potentials."""

_NORMALIZATIONS = ("max", "mean")


@dataclass(frozen=True)
class Variational(Attention):
    """Variational residual-based attention: w <- gamma w + eta a, and the loss is mean (w r)^2.

    The mean of a convex potential Phi(|r| / eps) has the gradient of the mean of |r| under the distribution
    q ~ Phi'(|r| / eps), its dual, but for a factor: points are to count as q says.  a = phi q / max q + 1 - phi.

    * "exponential", Phi = e^r: q ~ exp(|r| / eps) with eps = scale max|r| / log(step + 2): the uniform norm, approached
      as eps falls.
    * "lp", Phi = r^power: q ~ |r|^(power - 1); with ``power=2`` this is :class:`~edgewise.physics.weighting.RBA`.

    Args:
        gamma, eta, every, terms: as of RBA.
        potential: "exponential" or "lp".
        power: of "lp", above 1.
        scale: of eps: the smaller, the more the largest residuals count.
        phi: the share of q in a, above 0 and at most 1; the rest counts for all points alike.
        normalize: "max" divides q by its largest value, as the authors do; "mean" by its mean (log-sum-exp), which
            keeps the sum of all weights, but lets one grow up to the number of points.

    Toscano et al., npj Artif. Intell. (2026), arXiv 2509.14198: potentials and the rule for eps as in the authors'
    program.  They draw points from w in second-order training; :class:`~edgewise.physics.resampling.RAD` does that.
    """

    potential: str = "exponential"
    power: float = 4.0
    scale: float = 1.0
    phi: float = 1.0
    normalize: str = "max"

    def __post_init__(self):
        super().__post_init__()
        check_choice("potential", self.potential, POTENTIALS)
        check_choice("normalization", self.normalize, _NORMALIZATIONS)
        for name in ("power", "scale", "phi"):
            object.__setattr__(self, name, positive(f"Variational: {name}", getattr(self, name)))
        if self.power <= 1:
            raise EdgewiseError(
                f"Variational: power={self.power} is not above 1.",
                "up to 1, the potential is not strictly convex.",
                "pass say 4.0; 2.0 is RBA.",
            )
        if self.phi > 1:
            raise EdgewiseError(f"Variational: phi={self.phi} is above 1.", "it is a share.", "pass say 0.9.")

    def attention(self, relative, step):
        if self.potential == "exponential":
            log_q = (relative - 1) * jnp.log(jnp.asarray(step, relative.dtype) + 2) / self.scale
        else:
            log_q = (self.power - 1) * jnp.log(relative)
        if self.normalize == "mean":
            log_q = log_q - logsumexp(log_q) + jnp.log(relative.shape[0])
        return self.phi * jnp.exp(log_q) + 1 - self.phi
