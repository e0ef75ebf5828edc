"""Errors that say what is wrong, why, and what to do.

Every error of the library is an :class:`EdgewiseError`, which is also a ``ValueError``; a missing optional
dependency is an ``ImportError`` as well.  Messages are built from three sentences: *what* is wrong, *why*, and what
to *do* about it, with the code to do it where there is one.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from numbers import Real
from pathlib import Path
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

__all__ = [
    "CheckedKeywords",
    "DataError",
    "EdgewiseError",
    "MissingExtraError",
    "ShapeError",
    "UnimportableError",
    "UnknownNameError",
    "check_choice",
    "check_count",
    "check_counts",
    "check_keywords",
    "check_positive",
    "check_seed",
    "check_seeds",
    "checked_keywords",
    "require",
    "unwritable",
]

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


class EdgewiseError(ValueError):
    """Base of all errors raised on purpose: ``what`` is wrong, ``why``, and what to ``do``."""

    def __init__(self, what: str, why: str = "", do: str = ""):
        self.what, self.why, self.do = what, why, do
        super().__init__("\n".join(part for part in (what, why and f"Why: {why}", do and f"Do: {do}") if part))

    def __reduce__(self):
        return type(self), (self.what, self.why, self.do)


class ShapeError(EdgewiseError):
    """An array has the wrong shape or size."""


class DataError(EdgewiseError):
    """The data cannot be used as they are."""


class UnknownNameError(EdgewiseError):
    """A name is none of the valid ones; the message offers the nearest and lists them all."""


class MissingExtraError(EdgewiseError, ImportError):
    """An optional dependency is not installed."""


class UnimportableError(EdgewiseError, ImportError):
    """A name such as "module:function" leads to nothing that can be used."""


def unwritable(folder: Path, error: OSError, do: str = "choose another folder with --out.") -> EdgewiseError:
    """The error for a ``folder`` that cannot be made or written to."""
    return EdgewiseError(f"cannot write to the folder {str(folder)!r}.", f"{error.strerror or error}.", do)


def unknown_name(kind: str, name: object, valid: Iterable[str], meant: str | None = None) -> UnknownNameError:
    """The error for a ``kind`` (say "basis") called ``name`` that is none of ``valid``; perhaps ``meant`` is."""
    names = sorted(valid)
    near = get_close_matches(str(name).lower(), [n.lower() for n in names], n=1, cutoff=0.5)
    nearest = meant if meant in names else next((n for n in names if near and n.lower() == near[0]), None)
    do = (f"did you mean {nearest!r}? " if nearest else "") + f"Valid: {', '.join(names) or '(none)'}."
    return UnknownNameError(f"unknown {kind} {name!r}.", do=do)


def check_choice(kind: str, name: Any, valid: Iterable[str]) -> None:
    """Raise :class:`UnknownNameError` unless ``name`` is one of ``valid``."""
    valid = list(valid)
    if not isinstance(name, str) or name not in valid:
        raise unknown_name(kind, name, valid)


def check_keywords(
    where: str, given: Iterable[str], valid: Iterable[str], synonyms: Mapping[str, str] | None = None
) -> None:
    """Raise :class:`UnknownNameError` if a keyword in ``given`` is none of ``valid``.

    ``synonyms`` are what else some of the valid ones are called, and those.
    """
    valid = list(valid)
    for name in given:
        if name not in valid:
            raise unknown_name(f"keyword of {where}:", name, valid, (synonyms or {}).get(name))


def checked_keywords(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Decorator: an unknown keyword raises :class:`UnknownNameError`, which offers the nearest one."""
    valid = [name for name in inspect.signature(function).parameters if name != "self"]
    called = function.__qualname__.removesuffix(".__init__").rpartition(".")[2]

    @functools.wraps(function)
    def checked(*arguments: _Parameters.args, **keywords: _Parameters.kwargs) -> _Result:
        check_keywords(called, keywords, valid)
        return function(*arguments, **keywords)

    return checked


class _InitSignature:
    """The signature of ``__init__``, which a ``__new__`` of its own would hide from ``help`` and editors."""

    def __get__(self, instance: Any, owner: type) -> inspect.Signature:
        signature = inspect.signature(owner.__init__)
        return signature.replace(parameters=list(signature.parameters.values())[1:])


class CheckedKeywords:
    """Mixin of dataclasses: an unknown keyword raises :class:`UnknownNameError`, which offers the nearest field."""

    __signature__ = _InitSignature()

    def __new__(cls, *arguments: Any, **keywords: Any):
        fields = [field.name for field in dataclasses.fields(cls)]  # pyright: ignore
        check_keywords(cls.__name__, keywords, fields, cls.synonyms())
        return super().__new__(cls)

    @classmethod
    def synonyms(cls) -> dict[str, str]:
        """What other libraries call a field, and the field."""
        return {}


def check_count(name: str, value: Any, minimum: int = 1) -> int:
    """``value`` as an ``int`` of at least ``minimum``; :class:`EdgewiseError` otherwise."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise EdgewiseError(f"{name} must be an integer, got {value!r}.", do=f"pass a whole number >= {minimum}.")
    if value.__index__() < minimum:
        raise EdgewiseError(f"{name} must be at least {minimum}, got {value}.", do=f"pass a whole number >= {minimum}.")
    return value.__index__()


def check_seed(name: str, value: Any) -> int:
    """``value`` as an ``int`` of 32 bits, which is what random numbers begin with; :class:`EdgewiseError` otherwise."""
    seed = check_count(name, value, 0)
    if seed >= 2**32:
        raise EdgewiseError(f"{name} must be below 2**32, got {seed}.", do="pass a smaller one, say 0.")
    return seed


def _is_single(value: Any) -> bool:
    return isinstance(value, str) or not isinstance(value, Iterable) or getattr(value, "shape", None) == ()


def check_counts(name: str, value: Any, minimum: int = 1) -> tuple[int, ...]:
    """``value``, one whole number or several, as a tuple of ``int``; :class:`EdgewiseError` otherwise."""
    return tuple(check_count(name, each, minimum) for each in ((value,) if _is_single(value) else value))


def check_seeds(value: Any) -> tuple[int, ...]:
    """The seeds that ``value`` means: so many from 0, or those given, distinct; :class:`EdgewiseError` otherwise."""
    if _is_single(value):
        return tuple(range(check_count("seeds", value)))
    seeds = tuple(check_seed("each of seeds", each) for each in value)
    if not seeds or len(set(seeds)) < len(seeds):
        raise EdgewiseError(
            f"seeds must be distinct and at least one, got {seeds!r}.", do="pass a number, such as seeds=16."
        )
    return seeds


def check_positive(name: str, value: Any) -> None:
    """Raise :class:`EdgewiseError` unless ``value`` is a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < float("inf"):
        raise EdgewiseError(
            f"{name} must be a finite number above 0, got {value!r}.", do="pass a positive number, say 1.0."
        )


def require(module: str, extra: str) -> ModuleType:
    """Import ``module``, or say which ``extra`` of the package brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{module.split('.')[0]} is not installed.",
            "it is an optional dependency that this function needs.",
            f"pip install 'edgewise[{extra}]'",
        ) from error
