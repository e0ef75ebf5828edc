"""Weights of residuals that follow the training.

A weighting renews its state between steps; its weights multiply squared residuals, and no gradient flows through them.
Several may be given at once: their weights are multiplied.
"""

from edgewise.physics.weighting.annealing import GradientNorm
from edgewise.physics.weighting.base import EQUATION, Look, Weighting
from edgewise.physics.weighting.causal import Causal
from edgewise.physics.weighting.ntk import NTK
from edgewise.physics.weighting.rba import RBA
from edgewise.physics.weighting.spelling import WEIGHTINGS, resolve_weighting
from edgewise.physics.weighting.variational import Variational

__all__ = [
    "EQUATION",
    "NTK",
    "RBA",
    "WEIGHTINGS",
    "Causal",
    "GradientNorm",
    "Look",
    "Variational",
    "Weighting",
    "resolve_weighting",
]
