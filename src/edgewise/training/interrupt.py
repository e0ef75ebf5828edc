"""Ctrl-C that ends a run at the next safe point."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

__all__ = ["Interrupt"]


class Interrupt:
    """While entered, the first Ctrl-C sets ``requested`` instead of raising; the second one raises as ever.

    A ``KeyboardInterrupt`` may surface anywhere, inside a callback of a compiled program too, where it is swallowed.
    Signals reach the main thread only; elsewhere, and where Ctrl-C does not raise anyway, this does nothing.
    """

    requested = False

    def __enter__(self) -> Interrupt:
        ours = threading.current_thread() is threading.main_thread()
        self._active = ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._active:
            signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._active:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
