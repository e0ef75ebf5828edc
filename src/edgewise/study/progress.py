"""The progress of a study: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["progress_display"]

SECONDS_BETWEEN_LINES = 5.0


@contextmanager
def progress_display(console: Console | None = None) -> Iterator[Callable[[Any], None]]:
    """A callback for the training engine that shows epoch, median loss, steps per second and the time left.

    Args:
        console: where to show it; ``None`` is the error stream, so that standard output stays free for results.
    """
    if console is None:
        from rich.console import Console

        console = Console(stderr=True)
    if console.is_terminal:
        with _bar(console) as callback:
            yield callback
    else:
        yield _lines(console)


@contextmanager
def _bar(console: Console) -> Iterator[Callable[[Any], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[status]}"))
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("compiling", total=None, status="")

        def callback(state: Any) -> None:
            progress.update(
                bar, description="training", total=state.epochs, completed=state.epoch, status=_status(state)
            )

        yield callback


def _lines(console: Console) -> Callable[[Any], None]:
    shown = {"tenth": -1, "time": 0.0}

    def callback(state: Any) -> None:
        tenth, now = 10 * state.epoch // max(state.epochs, 1), time.monotonic()
        last = state.epoch >= state.epochs
        if last or (tenth > shown["tenth"] and now - shown["time"] >= SECONDS_BETWEEN_LINES):
            shown.update(tenth=tenth, time=now)
            line = f"epoch {state.epoch}/{state.epochs}  {_status(state)}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    return callback


def _status(state: Any) -> str:
    losses = np.asarray(state.losses)
    finite = losses[np.isfinite(losses)]
    loss = f"{np.median(finite):.3g}" if finite.size else "diverged"
    seconds = round(max(state.eta_seconds, 0.0)) if np.isfinite(state.eta_seconds) else 0
    return f"median loss {loss}  {state.steps_per_second:,.0f} steps/s  {seconds // 60}:{seconds % 60:02d} left"
