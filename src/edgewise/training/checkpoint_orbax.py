"""The folder form of a checkpoint, by orbax: large and sharded arrays, written by all processes."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import jax
import numpy as np

from edgewise.errors import require
from edgewise.training.checkpoint_npz import CheckpointError

__all__ = ["Reader", "prepare", "write"]


def prepare(path: Path) -> None:
    """Make the folder; raise :class:`CheckpointError` unless it is writable, ``MissingExtraError`` without orbax."""
    require("orbax.checkpoint", "orbax")
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise _not_written(path, error) from error


def write(path: Path, header: dict[str, Any], arrays: Mapping[str, Any]) -> None:
    """Write a numbered folder in ``path`` and remove the one before once it is complete.

    Called by every process.  Raises :class:`CheckpointError` where it fails, with the old checkpoint as it was.
    """
    ocp = require("orbax.checkpoint", "orbax")
    # orbax refuses arrays of size 0; the header has their shapes
    state = {name: array for name, array in arrays.items() if array.size}
    arguments = {"header": ocp.args.JsonSave(header)} | ({"state": ocp.args.StandardSave(state)} if state else {})
    try:
        with _manager(ocp, path, create=True, cleanup_tmp_directories=True) as manager:
            step = (manager.latest_step() or 0) + 1
            manager.save(step, args=ocp.args.Composite(**arguments), force=True)
    # tensorstore reports a full disk in its own exceptions
    except Exception as error:
        raise _not_written(path, error) from error


class Reader:
    """The newest complete checkpoint in a folder: its ``header``, and the arrays on demand.

    Raises :class:`CheckpointError` for a folder that is missing, holds no complete checkpoint, or is damaged.
    """

    def __init__(self, path: Path):
        self._path, self._orbax = path, require("orbax.checkpoint", "orbax")
        if not path.is_dir():
            raise CheckpointError(
                f"there is no checkpoint folder {path}.",
                "it is a file." if path.exists() else "",
                'a checkpoint in one file is Checkpoint(path, backend="npz"); without resume=True a run starts anew.',
            )
        self._manager = _manager(self._orbax, path, create=False)
        try:
            self._step = self._manager.latest_step()
            if self._step is None:
                raise CheckpointError(
                    f"{path} holds no complete checkpoint.", do="check the path, or start anew with resume=False."
                )
            self.header = self._restored(header=self._orbax.args.JsonRestore())["header"]
        except BaseException:
            self.close()
            raise

    def arrays(self, expected: Mapping[str, jax.ShapeDtypeStruct]) -> dict[str, Any]:
        """The arrays of those names, shapes and dtypes, in their shardings; NumPy arrays where they have none."""
        empty = {name: np.empty(like.shape, like.dtype) for name, like in expected.items() if like.sharding is None}
        state = {name: empty.get(name, like) for name, like in expected.items() if like.size}
        restored = self._restored(state=self._orbax.args.StandardRestore(state))["state"] if state else {}
        return {name: restored.get(name, np.empty(like.shape, like.dtype)) for name, like in expected.items()}

    def close(self) -> None:
        self._manager.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _restored(self, **arguments: Any) -> Any:
        try:
            return self._manager.restore(self._step, args=self._orbax.args.Composite(**arguments))
        # a damaged folder makes orbax and tensorstore raise nearly anything
        except Exception as error:
            raise CheckpointError(
                f"checkpoint {self._step} in {self._path} is damaged, or not one of edgewise: {error}",
                do="take a backup of it, or start anew with resume=False.",
            ) from error


def _manager(ocp: Any, path: Path, **options: Any) -> Any:
    options |= {
        "preservation_policy": ocp.checkpoint_managers.LatestN(1),
        "enable_async_checkpointing": False,  # what is saved is about to be donated to the next chunk
    }
    return ocp.CheckpointManager(path.resolve(), options=ocp.CheckpointManagerOptions(**options))


def _not_written(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"the checkpoint {path} cannot be written: {error}",
        "the checkpoint that was there before, if any, is as it was.",
        "free space, or pass a path in a folder that is writable.",
    )
