"""What runs between the chunks of a training run, on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from edgewise.training.loggers import Logger

if TYPE_CHECKING:
    from edgewise.training.run import Run

__all__ = ["Callback", "Logging"]


@runtime_checkable
class Callback(Protocol):
    """Four hooks; a subclass overrides those it needs.  Each gets the run: :class:`~edgewise.training.run.Run`.

    A chunk is as many steps as take about half a second.  What must happen at certain steps, whatever the machine, is
    a monitor (``EarlyStopping``, ``ReduceOnPlateau``), which runs inside the compiled loop.
    """

    def on_start(self, run: Run) -> None:
        """Before the first step."""

    def on_chunk(self, run: Run) -> None:
        """After every chunk."""

    def on_refine(self, run: Run) -> None:
        """After the model was refined."""

    def on_end(self, run: Run) -> None:
        """After the last step, however the run ended."""


class Logging(Callback):
    """Hands every recorded loss to a :class:`~edgewise.training.loggers.Logger`, chunk by chunk."""

    def __init__(self, logger: Logger):
        self.logger = logger

    def on_start(self, run: Run) -> None:
        """Open the logger with the run's settings."""
        self.logger.open({**run.settings, "start_step": run.start_step})
        self._written = run.start_step

    def on_chunk(self, run: Run) -> None:
        """Write what is new."""
        rows: dict[int, dict[str, float]] = {}
        for name, steps, values in run.history.columns():
            for step, value in zip(steps.tolist(), values.tolist(), strict=True):
                if self._written < step <= run.step:
                    rows.setdefault(step, {})[name] = value
        for step in sorted(rows):
            self.logger.write(step, rows[step])
        self._written = run.step

    def on_end(self, run: Run) -> None:
        """Write the rest and close."""
        self.on_chunk(run)
        self.logger.close()
