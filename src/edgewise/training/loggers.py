"""Where the losses of a run are written while it runs: files, TensorBoard, MLflow, Weights & Biases."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import warnings
from abc import abstractmethod
from pathlib import Path
from typing import Any, Protocol, TextIO, runtime_checkable

from edgewise.errors import DataError, EdgewiseError, require

__all__ = ["CSVLogger", "JSONLLogger", "Logger", "MLflowLogger", "SafeLogger", "TensorBoardLogger", "WandbLogger"]


@runtime_checkable
class Logger(Protocol):
    """What a run writes to: anything with these three methods."""

    def open(self, settings: dict[str, Any]) -> None:
        """Before the first step.  ``settings`` say how the run was called, ready for JSON.

        ``settings["start_step"]`` is the number of steps that an earlier run had done, 0 unless resumed: what it wrote
        after that step will be written again.
        """

    def write(self, step: int, values: dict[str, float]) -> None:
        """One row; steps increase, and not every row has every value."""

    def close(self) -> None:
        """After the last step, however the run ended."""


class SafeLogger(Logger):
    """A logger that never ends a run: what fails after :meth:`open` is warned of once, and nothing more is written.

    A logger of your own implements :meth:`begin`, :meth:`row` and :meth:`end`.
    """

    _failed = False

    @abstractmethod
    def begin(self, settings: dict[str, Any]) -> None:
        """See :meth:`Logger.open`.  What it raises ends the run before it starts."""

    @abstractmethod
    def row(self, step: int, values: dict[str, float]) -> None:
        """See :meth:`Logger.write`."""

    @abstractmethod
    def end(self) -> None:
        """See :meth:`Logger.close`; called too after a failure, to give back what is held."""

    def open(self, settings: dict[str, Any]) -> None:
        """Start, or start over; raises what stands in the way."""
        self._failed = False
        self.begin(settings)

    def write(self, step: int, values: dict[str, float]) -> None:
        """Write a row, or warn and write no more."""
        if self._failed:
            return
        try:
            self.row(step, values)
        except Exception as error:  # whatever a tracker raises, a run is worth more than its log
            self._fail(f"at step {step}", error)
            with contextlib.suppress(Exception):
                self.end()

    def close(self) -> None:
        """Finish, or warn."""
        if self._failed:
            return
        try:
            self.end()
        except Exception as error:
            self._fail("when it was closed", error)

    def _fail(self, when: str, error: Exception) -> None:
        self._failed = True
        message = f"{self!r} failed {when} and stops logging, training goes on: {type(error).__name__}: {error}"
        warnings.warn(message, RuntimeWarning, stacklevel=3)


class _FileLogger(SafeLogger):
    """Rows in a text file, flushed one by one.

    A new run replaces the file; a resumed one keeps the rows up to the step that it resumes from, and drops a last row
    that was cut short.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path).expanduser()
        self._file: TextIO | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    @abstractmethod
    def read(self) -> list[dict[str, Any]]:
        """The rows in the file, each with its "step".  Raises ``ValueError`` for a file that is no such log."""

    @abstractmethod
    def text(self, row: dict[str, Any]) -> str:
        """One row as it stands in the file, end of line included."""

    def header(self) -> str:
        """What stands before the rows."""
        return ""

    def begin(self, settings: dict[str, Any]) -> None:
        """Open the file and create its folder.

        Raises ``EdgewiseError`` where it cannot be written, ``DataError`` for an existing file that is no log.
        """
        self.end()
        start = settings.get("start_step", 0)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            left = self._rows()
            self._start_over([row for row in left if row["step"] <= start] if start else [])
        except OSError as error:
            raise EdgewiseError(
                f"cannot write the log {str(self.path)!r}: {error.strerror or error}.",
                "the folder is missing, or not yours to write to, or the disk is full.",
                f"pass another path, say {type(self).__name__}('run/{self.path.name}').",
            ) from error

    def row(self, step: int, values: dict[str, float]) -> None:
        """Append a row and flush it."""
        if self._file is None:
            raise EdgewiseError(f"{self!r} is not open.", do="call open({}) first.")
        self._file.write(self.text(_joined(step, values)))
        self._file.flush()

    def end(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _rows(self) -> list[dict[str, Any]]:
        """What an earlier run left."""
        if not self.path.exists() or (self.path.is_file() and not self.path.stat().st_size):
            return []
        try:
            return self.read()
        except (ValueError, csv.Error) as error:
            raise DataError(
                f"{str(self.path)!r} is not a log of {type(self).__name__}: {error}.",
                "it would be overwritten.",
                "pass another path, or delete that file.",
            ) from error

    def _start_over(self, rows: list[dict[str, Any]]) -> None:
        """Replace the file by one of these rows, never leaving half of it, and open it to append."""
        self.end()
        draft = self.path.with_name(self.path.name + ".part")
        try:
            with draft.open("w", encoding="utf-8", newline="") as file:
                file.write(self.header())
                file.writelines(self.text(row) for row in rows)
            os.replace(draft, self.path)
        finally:
            draft.unlink(missing_ok=True)
        self._file = self.path.open("a", encoding="utf-8", newline="")


class CSVLogger(_FileLogger):
    """A CSV file: a column "step" and one for each value, empty where a row has none; flushed row by row.

    A value that appears later adds a column.  A new run replaces the file; a resumed one keeps the rows up to the step
    that it resumes from.

    Args:
        path: the file; folders that are missing are made.

    :meth:`open` raises ``EdgewiseError`` where the file cannot be written, ``DataError`` where it exists and is no log.
    """

    def __init__(self, path: str | os.PathLike[str]):
        super().__init__(path)
        self._columns = ["step"]

    def row(self, step: int, values: dict[str, float]) -> None:
        """Append a row, under a new header where it has new values."""
        if self._file is None or values.keys() <= set(self._columns):
            super().row(step, values)
        else:
            self._start_over([*self.read(), _joined(step, values)])

    def read(self) -> list[dict[str, Any]]:
        """The rows in the file, without empty cells."""
        whole = self.path.read_text(encoding="utf-8").rpartition("\n")[0]  # the rest was cut short
        header, *lines = csv.reader(io.StringIO(whole)) if whole else ([],)
        if header[:1] != ["step"]:
            raise ValueError('its first column is not "step"')
        named = [zip(header[1:], cells[1:], strict=True) for cells in lines]
        return [
            {"step": int(cells[0])} | {name: cell for name, cell in pairs if cell}
            for cells, pairs in zip(lines, named, strict=True)
        ]

    def text(self, row: dict[str, Any]) -> str:
        """The cells of a row."""
        return _csv_line([row.get(name, "") for name in self._columns])

    def header(self) -> str:
        """The names of the columns."""
        return _csv_line(self._columns)

    def _start_over(self, rows: list[dict[str, Any]]) -> None:
        self._columns = list(dict.fromkeys(["step", *(name for row in rows for name in row)]))
        super()._start_over(rows)


class JSONLLogger(_FileLogger):
    """A file of one JSON object a line, ``{"step": 10, "loss": 0.5}``, flushed line by line; NaN and infinity are null.

    A new run replaces the file; a resumed one keeps the lines up to the step that it resumes from.

    Args:
        path: the file; folders that are missing are made.

    :meth:`open` raises ``EdgewiseError`` where the file cannot be written, ``DataError`` where it exists and is no log.
    """

    def read(self) -> list[dict[str, Any]]:
        """The rows in the file."""
        text = self.path.read_text(encoding="utf-8")
        rows = [json.loads(line) for line in text.rpartition("\n")[0].splitlines()]  # the rest was cut short
        ours = all(isinstance(row, dict) and isinstance(row.get("step"), int) for row in rows)
        if not ours or not text.startswith("{"):
            raise ValueError('a line is not an object with a "step"')
        return rows

    def text(self, row: dict[str, Any]) -> str:
        """The object and a line's end."""
        strange = lambda value: isinstance(value, float) and not math.isfinite(value)
        return json.dumps({name: None if strange(value) else value for name, value in row.items()}) + "\n"


class TensorBoardLogger(SafeLogger):
    """Scalars for TensorBoard, by tensorboardX, which needs neither TensorFlow nor PyTorch.

    A resumed run hides what the earlier one wrote after the step that it resumes from.

    Args:
        folder: of the event files; one a run.

    :meth:`open` raises ``MissingExtraError`` without tensorboardX.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = Path(folder).expanduser()
        self._writer: Any = None

    def __repr__(self) -> str:
        return f"TensorBoardLogger({str(self.folder)!r})"

    def begin(self, settings: dict[str, Any]) -> None:
        """Start an event file, with the settings as a text."""
        start = settings.get("start_step", 0)
        purge = {"purge_step": start + 1} if start else {}
        self._writer = require("tensorboardX", "tensorboard").SummaryWriter(str(self.folder), **purge)
        self._writer.add_text("settings", f"```json\n{json.dumps(settings, indent=2, default=str)}\n```", start)

    def row(self, step: int, values: dict[str, float]) -> None:
        """One scalar for each value."""
        for name, value in values.items():
            self._writer.add_scalar(name, float(value), step)

    def end(self) -> None:
        """Write what is waiting and close."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()


class MLflowLogger(SafeLogger):
    """Metrics and parameters of an MLflow run.

    Args:
        options: of ``mlflow.start_run``, say ``run_name="first"``; to resume, ``run_id`` of the earlier run, whose
            metrics after the step that it resumes from stay beside the new ones.

    :meth:`open` raises ``MissingExtraError`` without MLflow, and what ``mlflow.start_run`` raises.
    """

    def __init__(self, **options: Any):
        self.options = options
        self._mlflow: Any = None

    def __repr__(self) -> str:
        return f"MLflowLogger({_keywords(self.options)})"

    def begin(self, settings: dict[str, Any]) -> None:
        """Start the run; the settings become its parameters, which a resumed run has already."""
        mlflow = require("mlflow", "mlflow")
        mlflow.start_run(**self.options)
        self._mlflow = mlflow
        if not settings.get("start_step", 0):
            # the length that servers of every version take
            mlflow.log_params({name: str(value)[:500] for name, value in _flat(settings)})

    def row(self, step: int, values: dict[str, float]) -> None:
        """One metric for each value."""
        self._mlflow.log_metrics({name: float(value) for name, value in values.items()}, step=step)

    def end(self) -> None:
        """End the run."""
        mlflow, self._mlflow = self._mlflow, None
        if mlflow is not None:
            mlflow.end_run()


class WandbLogger(SafeLogger):
    """History and configuration of a Weights & Biases run.

    Args:
        options: of ``wandb.init``, say ``project="kan"``; to resume, ``id`` and ``resume="must"``: W&B then keeps what
            it has, and takes up the new rows after its last step.

    :meth:`open` raises ``MissingExtraError`` without wandb, and what ``wandb.init`` raises.
    """

    def __init__(self, **options: Any):
        self.options = options
        self._run: Any = None

    def __repr__(self) -> str:
        return f"WandbLogger({_keywords(self.options)})"

    def begin(self, settings: dict[str, Any]) -> None:
        """Start the run; the settings join its configuration."""
        options = self.options | {"config": {**settings, **self.options.get("config", {})}}
        self._run = require("wandb", "wandb").init(**options)

    def row(self, step: int, values: dict[str, float]) -> None:
        """All values at once."""
        self._run.log({name: float(value) for name, value in values.items()}, step=step)

    def end(self) -> None:
        """Finish the run."""
        run, self._run = self._run, None
        if run is not None:
            run.finish()


def _joined(step: int, values: dict[str, float]) -> dict[str, Any]:
    return {"step": step} | {name: float(value) for name, value in values.items()}


def _csv_line(cells: list[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _flat(settings: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Settings within settings under joined names, ``optimizer.name``."""
    flat: list[tuple[str, Any]] = []
    for name, value in settings.items():
        flat += _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else [(f"{prefix}{name}", value)]
    return flat


def _keywords(options: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in options.items())
