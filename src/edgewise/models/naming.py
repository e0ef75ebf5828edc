"""The names of classes in files: their own for ours, "module:Class" for those of users."""

from __future__ import annotations

import importlib
import operator
from typing import Any

from flax import nnx

from edgewise import nn

__all__ = ["class_name", "class_named"]


def class_name(kind: type) -> str:
    """The name that :func:`class_named` turns back into ``kind``."""
    ours = any(getattr(room, kind.__name__, None) is kind for room in _rooms())
    return kind.__name__ if ours else f"{kind.__module__}:{kind.__qualname__}"


def class_named(name: str) -> Any:
    """The class called so: one of ``edgewise.models`` or ``edgewise.nn``, or "module:Class", which is imported.

    Raises ``ImportError`` or ``AttributeError`` where there is none, ``TypeError`` for what is no ``nnx.Module``.
    """
    module, colon, path = name.partition(":")
    if colon:
        kind = operator.attrgetter(path)(importlib.import_module(module))
    else:
        models, layers = _rooms()
        kind = getattr(models, name, None) or getattr(layers, name)
    if not (isinstance(kind, type) and issubclass(kind, nnx.Module)):
        raise TypeError(f"{name} is no flax.nnx.Module")
    return kind


def _rooms() -> tuple[Any, Any]:
    # the package, which is being imported where this module is
    return importlib.import_module("edgewise.models"), nn
