"""Seeing what reaches the layers inside a model, whatever the model is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["called", "watching"]

Watcher = Callable[[Any, Any], None]

_WATCHER: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Within the block, ``watcher(layer, x)`` is called for every call of a layer in this thread, compiled or not."""
    token = _WATCHER.set(watcher)
    try:
        yield
    finally:
        _WATCHER.reset(token)


def called(layer: Any, x: Any) -> None:
    """What a layer says on being called with ``x``."""
    if (watcher := _WATCHER.get()) is not None:
        watcher(layer, x)
