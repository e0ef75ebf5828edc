"""The folder of a run: its files, what stands in their way, and how they are read again."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgewise.errors import DataError, EdgewiseError, unwritable

__all__ = [
    "CHECKPOINT", "COLUMNS", "HISTORY", "METRICS", "MODEL", "PREDICTIONS", "REPORT", "SETTINGS",
    "check_folder", "check_run", "new_run", "read_json",
]  # fmt: skip

SETTINGS, COLUMNS, CHECKPOINT = "settings.toml", "columns.json", "checkpoint.npz"
MODEL, METRICS, HISTORY, PREDICTIONS, REPORT = (
    "model.npz", "metrics.json", "history.csv", "predictions.csv", "report.html",
)  # fmt: skip
FILES = (SETTINGS, COLUMNS, CHECKPOINT, MODEL, METRICS, HISTORY, PREDICTIONS, REPORT)


def check_folder(
    folder: Path, *, force: bool, resume: bool = False, needed: str | None = CHECKPOINT, what: str = "run"
) -> None:
    """Raise :class:`EdgewiseError` if ``folder`` holds something already, unless it may be overwritten or resumed.

    ``needed`` is the file without which nothing there can be gone on with, if anything can; ``what`` is there, in a
    word.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (force or resume):
        going_on = ", go on with it (--resume)" if needed and (folder / needed).exists() else ""
        raise EdgewiseError(
            f"the folder {str(folder)!r} exists and is not empty.",
            f"an earlier {what} would be overwritten.",
            f"choose another --out{going_on}, or overwrite it with --force.",
        )


@contextmanager
def new_run(folder: Path, *, force: bool) -> Iterator[None]:
    """Make ``folder`` for a run that is trained meanwhile.

    With ``force`` what an earlier run left there is set aside, and put back if nothing comes of the new one; otherwise
    what is there stays.  A run that fails before there is anything to keep leaves no trace.

    Raises:
        EdgewiseError: ``folder`` cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".earlier-", dir=folder))
        _move(folder, aside, FILES if force else ())
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        yield
    except BaseException:
        if not (folder / CHECKPOINT).exists():
            for name in (SETTINGS, COLUMNS):
                (folder / name).unlink(missing_ok=True)
            _move(aside, folder, FILES)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        if not any(folder.iterdir()):
            folder.rmdir()


def _move(source: Path, target: Path, names: Sequence[str]) -> None:
    for name in names:
        if (source / name).exists():
            os.replace(source / name, target / name)


def check_run(folder: Path, name: str) -> None:
    """Raise :class:`DataError` unless ``folder`` is a run that has the file ``name``."""
    if (folder / name).exists():
        return
    if not folder.is_dir():
        raise DataError(
            f"there is no folder {str(folder)!r}.",
            f"the current folder is {Path.cwd()}.",
            "name the folder that 'edgewise fit' wrote.",
        )
    if (folder / CHECKPOINT).exists():
        raise DataError(
            f"the run in {str(folder)!r} is not finished.",
            f"it has a checkpoint, but no {name}.",
            f"go on with it: edgewise fit --resume --out {folder}",
        )
    raise DataError(
        f"{str(folder)!r} is not the folder of a run.",
        f"it has no {name}.",
        "name the folder that 'edgewise fit' wrote.",
    )


def read_json(path: Path) -> Any:
    """The content of a JSON file of a run.

    Raises:
        DataError: it cannot be read, or is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {str(path)!r}.", f"{error}.", "run 'edgewise fit' again.") from error
