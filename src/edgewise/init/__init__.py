"""Initialization: exact moments of a basis, schemes that turn them into scales, and the gains they predict."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

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
    "config_of",
    "gains",
    "gains_of",
    "input_law",
    "resolve",
]


def config_of(scheme: Initializer) -> dict[str, Any] | None:
    """A scheme as :func:`resolve` takes it back, ready for JSON; None for one that holds functions or arrays."""
    name = next((name for name, kind in SCHEMES.items() if type(scheme) is kind), None)
    if not isinstance(scheme, Scheme) or name is None or callable(scheme.distribution):
        return None
    return {"scheme": name} | {f.name: value for f in fields(scheme) if (value := getattr(scheme, f.name)) != f.default}


def resolve(scheme: Initializer | Mapping[str, Any] | str | None) -> Initializer:
    """The scheme itself, the scheme of that name or configuration, or Default for None; raises ``UnknownNameError``."""
    if scheme is None:
        return Default()
    if isinstance(scheme, Mapping):
        settings = dict(scheme)
        name = settings.pop("scheme", None)
        check_choice("scheme", name, SCHEMES)
        return SCHEMES[name](**settings)
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
