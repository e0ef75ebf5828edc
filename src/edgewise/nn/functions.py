"""Functions with their names: a model calls the one, its configuration holds the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgewise.errors import EdgewiseError
from edgewise.nn.residuals import residual_name, resolve_residual

__all__ = ["NamedFunction", "named"]


@dataclass(frozen=True)
class NamedFunction:
    """A function and the name that leads to it: static in a module, equal where the functions are, pickled by name."""

    name: str
    function: Callable[..., Any]

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)

    def __reduce__(self):
        return named, ("function", self.name)


def named(kind: str, function: Callable[..., Any] | str) -> NamedFunction:
    """``function`` with its name: one of ``RESIDUALS``, or "module:function", which is imported.

    Raises ``EdgewiseError`` for what has no such name: a lambda, a function defined in another, an object.
    """
    if isinstance(function, NamedFunction):
        return function
    name = function if isinstance(function, str) else str(residual_name(function))
    found = None
    if isinstance(function, str) or callable(function):
        try:
            found = resolve_residual(name)
        except EdgewiseError:
            if isinstance(function, str):
                raise
    if found is None or not (isinstance(function, str) or found is function):
        raise EdgewiseError(
            f"{kind}={function!r} is no function that a name leads to.",
            "a model is saved with the names of its functions, and a new function each time would be compiled again.",
            f"def my_{kind}(...): ... at the top level of a module, and pass {kind}=my_{kind}.",
        )
    return NamedFunction(name, found)
