"""Checks of what weightings are made of."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Real
from typing import Any

from edgewise.errors import EdgewiseError, check_choice, check_positive

__all__ = ["chosen", "positive", "share", "term_names"]


def share(name: str, value: Any) -> float:
    """``value`` as a float; ``EdgewiseError`` unless 0 <= value < 1."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) < 1:
        raise EdgewiseError(
            f"{name} must be a number from 0 to below 1, got {value!r}.",
            "it is the share of the past in a moving average.",
            "pass say 0.9.",
        )
    return float(value)


def positive(name: str, value: Any) -> float:
    """``value`` as a float; ``EdgewiseError`` unless it is finite and above 0."""
    check_positive(name, value)
    return float(value)


def term_names(name: str, terms: Any) -> tuple[str, ...] | None:
    """One name or several as a tuple; None stays None."""
    if terms is None:
        return None
    names = (terms,) if isinstance(terms, str) else tuple(terms) if isinstance(terms, Iterable) else ()
    if not names or not all(isinstance(each, str) for each in names):
        raise EdgewiseError(
            f"{name}={terms!r} are no names of terms.", do='pass say ("equation",), or None for all terms.'
        )
    return names


def chosen(terms: tuple[str, ...] | None, points: Iterable[str]) -> list[str]:
    """Names of the terms that are weighted; ``UnknownNameError`` for one that is none of ``points``."""
    valid = list(points)
    for term in terms or ():
        check_choice("term of the loss", term, valid)
    return [term for term in valid if terms is None or term in terms]
