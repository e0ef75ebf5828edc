"""Weightings by name, and by what a command line says of them."""

from __future__ import annotations

import dataclasses
from typing import Any

from edgewise.errors import EdgewiseError, check_choice, check_keywords
from edgewise.physics.weighting.annealing import GradientNorm
from edgewise.physics.weighting.base import Weighting
from edgewise.physics.weighting.causal import Causal
from edgewise.physics.weighting.ntk import NTK
from edgewise.physics.weighting.rba import RBA
from edgewise.physics.weighting.variational import Variational

__all__ = ["WEIGHTINGS", "resolve_weighting"]

WEIGHTINGS: dict[str, type[Weighting]] = {
    "rba": RBA,
    "causal": Causal,
    "gradient_norm": GradientNorm,
    "ntk": NTK,
    "variational": Variational,
}
"""Weightings by name."""


def resolve_weighting(weighting: Any) -> Weighting:
    """The weighting that a name spells, or ``weighting`` itself where it is one.

    After a colon come arguments ``key=value``, several values of one joined by ``|``: "rba", "rba:gamma=0.99,eta=0.1",
    "causal:tolerance=0.01|0.1|1", "rba:terms=equation|initial".

    Raises ``UnknownNameError`` for an unknown name or argument, ``EdgewiseError`` for a bad value, or for a class
    instead of its instance.
    """
    if isinstance(weighting, Weighting):
        return weighting
    if not isinstance(weighting, str):
        name = weighting.__name__ if isinstance(weighting, type) else "RBA"
        raise EdgewiseError(
            f"weighting={weighting!r} is no weighting.",
            do=f"pass a name ({', '.join(WEIGHTINGS)}) or an instance, say {name}().",
        )
    name, _, arguments = weighting.partition(":")
    name = name.strip().lower()
    check_choice("weighting", name, WEIGHTINGS)
    defaults = {field.name: field.default for field in dataclasses.fields(WEIGHTINGS[name])}  # pyright: ignore
    given: dict[str, Any] = {}
    for argument in filter(None, (part.strip() for part in arguments.split(","))):
        key, equals, text = (part.strip() for part in argument.partition("="))
        check_keywords(f"weighting {name}", [key], defaults)
        if not equals or not text:
            raise EdgewiseError(f"weighting {weighting!r}: {key} has no value.", do=f'write "{name}:{key}=...".')
        if key in given:
            raise EdgewiseError(f"weighting {weighting!r} gives {key} twice.", do=f"give {key} once.")
        values = [_value(weighting, key, part.strip(), defaults[key]) for part in text.split("|")]
        given[key] = values[0] if len(values) == 1 else tuple(values)
    return WEIGHTINGS[name](**given)


def _value(weighting: str, key: str, text: str, default: Any) -> Any:
    if default is None or isinstance(default, str):
        return None if text.lower() == "none" else text
    try:
        return type(default)(text)
    except ValueError:
        raise EdgewiseError(
            f"weighting {weighting!r}: {key}={text} is no number.", do=f"write say {default}."
        ) from None
