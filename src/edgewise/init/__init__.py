"""Initialization: exact moments of a basis, schemes that turn them into scales, and the gains they predict."""

from edgewise.errors import EdgewiseError, check_choice
from edgewise.init.gains import Gain, gains, gains_of
from edgewise.init.moments import Distribution, Moments, input_law
from edgewise.init.schemes import (
    SCHEMES,
    Balanced,
    Custom,
    Default,
    Glorot,
    GlorotFine,
    Initializer,
    LeCun,
    LowestModeFirst,
    Power,
    ResidualFirst,
    Scales,
    Scheme,
    Stats,
)

__all__ = [
    "SCHEMES",
    "Balanced",
    "Custom",
    "Default",
    "Distribution",
    "Gain",
    "Glorot",
    "GlorotFine",
    "Initializer",
    "LeCun",
    "LowestModeFirst",
    "Moments",
    "Power",
    "ResidualFirst",
    "Scales",
    "Scheme",
    "Stats",
    "gains",
    "gains_of",
    "input_law",
    "resolve",
]


def resolve(scheme: Initializer | str | None) -> Initializer:
    """The scheme itself, the scheme of that name, or Default for None; raises ``UnknownNameError``."""
    if scheme is None:
        return Default()
    if isinstance(scheme, str):
        check_choice("scheme", scheme, SCHEMES)
        return SCHEMES[scheme]()
    if isinstance(scheme, type) or not callable(scheme):
        raise EdgewiseError(
            f"init={scheme!r} is not a scheme.",
            "a scheme is called with the statistics of a layer.",
            "pass an instance, say init=edgewise.init.Glorot(), or a name, say init='glorot'.",
        )
    return scheme
