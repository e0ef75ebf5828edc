"""Families written in one word, as commands and configuration files have them: "chebyshev:5", "bspline:3,20"."""

from __future__ import annotations

import dataclasses

from edgewise.bases.base import Basis
from edgewise.bases.bernstein import Bernstein
from edgewise.bases.bspline import BSpline
from edgewise.bases.chebyshev import Chebyshev
from edgewise.bases.fourier import Fourier
from edgewise.bases.hermite import Hermite
from edgewise.bases.jacobi import Jacobi
from edgewise.bases.legendre import Legendre
from edgewise.bases.rational import Rational
from edgewise.bases.rbf import RBF
from edgewise.bases.relu_bump import ReLUBump
from edgewise.bases.rswaf import RSWAF
from edgewise.bases.sine import Sine
from edgewise.bases.wavelet import Wavelet
from edgewise.errors import EdgewiseError, check_choice, check_keywords

__all__ = ["FAMILIES", "parse"]

_ALL = (
    BSpline, Chebyshev, Legendre, Jacobi, Hermite, Bernstein, Fourier, RBF, RSWAF, Sine, Wavelet, ReLUBump, Rational
)  # fmt: skip
FAMILIES: dict[str, type[Basis]] = {family.__name__.lower(): family for family in _ALL}
"""The library's families by their lower-case names."""


def parse(text: str) -> Basis:
    """The family that ``text`` spells: ``name``, then after a colon its arguments, positional or ``key=value``.

    ``"chebyshev:5"``, ``"bspline:3,20"``, ``"rbf:8,kernel=matern32"``, ``"chebyshev:5,squash=none"``; families joined
    by ``|`` are concatenated.

    Raises ``UnknownNameError`` for an unknown family or argument, ``EdgewiseError`` for a bad value.
    """
    first, *others = (_parse_one(part.strip()) for part in text.split("|"))
    for other in others:
        first = first | other
    return first


def _parse_one(text: str) -> Basis:
    name, _, arguments = text.partition(":")
    check_choice("basis", name.strip().lower(), FAMILIES)
    family = FAMILIES[name.strip().lower()]
    fields = [field.name for field in dataclasses.fields(family)]
    values = {}
    for position, argument in enumerate(filter(None, (a.strip() for a in arguments.split(",")))):
        key, equals, value = argument.partition("=")
        if not equals and position >= len(fields):
            raise EdgewiseError(f"{text!r} has too many arguments.", do=f"{family.__name__} takes {', '.join(fields)}.")
        field, value = (key, value) if equals else (fields[position], key)
        check_keywords(family.__name__, [field], fields, family.synonyms())
        if field in values:
            raise EdgewiseError(f"{text!r} gives {field} twice.", do=f"give {field} once.")
        values[field] = _literal(value)
    return family(**values)


def _literal(text: str):
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return {"none": None, "true": True, "false": False}.get(text.lower(), text)
