"""The progress of training: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewise.errors import EdgewiseError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Progress", "progress_display", "shown"]

SECONDS_BETWEEN_LINES = 5.0


@dataclass(frozen=True)
class Progress:
    """Where training stands.

    Attributes:
        step, steps: updates done, and asked for.
        losses: the latest loss of every member of an ensemble, ``[members]``, or of the one model, ``[1]``.
        steps_per_second: of all members together; NaN after the first step, whose time is that of compilation.
        eta_seconds: the time left; NaN likewise.
        metric: the latest validation loss or score and its name, as text.
    """

    step: int
    steps: int
    losses: np.ndarray
    steps_per_second: float
    eta_seconds: float
    metric: str = ""


def shown(
    progress: bool | Callable[[Progress], None] | None,
) -> AbstractContextManager[Callable[[Progress], None] | None]:
    """What ``progress=`` asks for: True shows it, False does not, None shows it on a terminal only; or a callable.

    Raises ``EdgewiseError`` for anything else.
    """
    if progress is None:
        progress = sys.stderr.isatty()
    if isinstance(progress, bool):
        return progress_display() if progress else nullcontext(None)
    if not callable(progress):
        raise EdgewiseError(
            f"progress={progress!r} is no way to show progress.", do="pass True, False, None or a function of Progress."
        )
    return nullcontext(progress)


@contextmanager
def progress_display(console: Console | None = None) -> Iterator[Callable[[Progress], None]]:
    """A callback that shows step, (median) loss, metric, steps per second and the time left.

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
def _bar(console: Console) -> Iterator[Callable[[Progress], None]]:
    from rich import progress as rich

    columns = (rich.TextColumn("{task.description}"), rich.BarColumn(), rich.MofNCompleteColumn())
    status = rich.TextColumn("{task.fields[status]}")
    with rich.Progress(*columns, status, console=console, transient=True) as bars:
        bar = bars.add_task("compiling", total=None, status="")

        def callback(state: Progress) -> None:
            bars.update(bar, description="training", total=state.steps, completed=state.step, status=_status(state))

        yield callback


def _lines(console: Console) -> Callable[[Progress], None]:
    shown = {"tenth": -1, "time": 0.0}

    def callback(state: Progress) -> None:
        tenth, now = 10 * state.step // max(state.steps, 1), time.monotonic()
        last = state.step >= state.steps
        if last or (tenth > shown["tenth"] and now - shown["time"] >= SECONDS_BETWEEN_LINES):
            shown.update(tenth=tenth, time=now)
            line = f"step {state.step}/{state.steps}  {_status(state)}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    return callback


def _status(state: Any) -> str:
    losses = np.asarray(state.losses)
    finite = losses[np.isfinite(losses)]
    loss = f"{np.median(finite):.3g}" if finite.size else "diverged"
    name = "loss" if losses.size == 1 else "median loss"
    metric = f"  {state.metric}" if state.metric else ""
    if not np.isfinite([state.steps_per_second, state.eta_seconds]).all():
        return f"{name} {loss}{metric}"
    seconds = round(max(state.eta_seconds, 0.0))
    return f"{name} {loss}{metric}  {state.steps_per_second:,.0f} steps/s  {seconds // 60}:{seconds % 60:02d} left"
