"""The one-file form of a checkpoint: an uncompressed npz archive, replaced as a whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import threading
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import jax
import numpy as np

from edgewise.errors import EdgewiseError

__all__ = ["CheckpointError", "Reader", "prepare", "write"]

_HEADER = "header.json"  # no leaf is called so: a point is not part of an identifier, and all else is quoted

_writing: set[Path] = set()  # the temporary files that threads of this process write now


class CheckpointError(EdgewiseError):
    """A checkpoint cannot be written, cannot be read, or is not the one that was asked for.

    ``result`` is the ``FitResult`` of a run whose last state could not be written.
    """

    result: Any = None


def prepare(path: Path) -> None:
    """Make the folder; raise :class:`CheckpointError` unless a checkpoint can be written at ``path``."""
    if path.is_dir():
        raise _a_folder(path)
    target = path.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        probe = _temporary(target)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise _not_written(path, error) from error
    if target.exists() and target.stat().st_size:
        try:
            Reader(path).close()
        except CheckpointError as error:
            raise CheckpointError(
                f"{path} exists and is no checkpoint that can be read; it would be overwritten.",
                str(error.what),
                "move it away, or pass another path.",
            ) from error


def write(path: Path, header: dict[str, Any], arrays: Mapping[str, Any]) -> None:
    """Replace the file at ``path`` by ``header`` and ``arrays``; killed at any moment, the old or the new file stands.

    Of several processes that share the arrays (``jax.distributed``) the first one writes.  Raises
    :class:`CheckpointError` where the disk is full or the folder is not writable, with the old file as it was.
    """
    split = [name for name, array in arrays.items() if isinstance(array, jax.Array) and not _whole(array)]
    if split:
        raise CheckpointError(
            f"{split[0]} is sharded over several processes, and one file is written by one of them.",
            do='write a folder instead: Checkpoint(path, backend="orbax").',
        )
    shared = any(isinstance(array, jax.Array) and not array.is_fully_addressable for array in arrays.values())
    if shared and jax.process_index():
        return
    target, host = path.resolve(), jax.device_get(dict(arrays))
    temporary = _temporary(target)
    _writing.add(temporary)
    try:
        _remove_leftovers(target)
        with open(temporary, "wb") as file:
            _write_archive(file, {_HEADER: np.frombuffer(json.dumps(header).encode(), np.uint8), **host})
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        raise _not_written(path, error) from error
    finally:
        with contextlib.suppress(OSError):  # the error above says more; what is left is removed by the next write
            temporary.unlink(missing_ok=True)
        _writing.discard(temporary)


class Reader:
    """A checkpoint file open for reading: its ``header``, and the arrays on demand.

    Raises :class:`CheckpointError` for a file that is missing, cut short, damaged, or not a checkpoint.
    """

    def __init__(self, path: Path):
        self._path = path
        try:
            self._archive = zipfile.ZipFile(path)
        except FileNotFoundError as error:
            raise CheckpointError(
                f"there is no checkpoint {path}.", do="check the path; without resume=True a run starts anew."
            ) from error
        except IsADirectoryError as error:
            raise _a_folder(path) from error
        except OSError as error:
            raise CheckpointError(f"{path} cannot be opened: {error.strerror or error}.") from error
        except Exception as error:
            raise self._unreadable(error) from error
        try:
            if f"{_HEADER}.npy" not in self._archive.namelist():
                raise CheckpointError(
                    f"{path} is an archive, but no checkpoint of edgewise.",
                    f"it holds no member {_HEADER!r}.",
                    "pass a file written by edgewise.",
                )
            self.header = self._parsed_header()
        except BaseException:
            self.close()
            raise

    def arrays(self, expected: Mapping[str, jax.ShapeDtypeStruct]) -> dict[str, np.ndarray]:
        """The arrays of those names, shapes and dtypes."""
        return {name: self._array(name, like) for name, like in expected.items()}

    def close(self) -> None:
        self._archive.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _array(self, name: str, like: jax.ShapeDtypeStruct) -> np.ndarray:
        array, dtype = self._member(name), np.dtype(like.dtype)
        if array.shape != like.shape or array.dtype != _stored_dtype(dtype):
            stored = f"{array.dtype} {array.shape}"
            raise CheckpointError(f"{self._path}: {name} is {stored}, and the header says {dtype} {like.shape}.")
        return array.view(dtype)

    def _parsed_header(self) -> Any:
        text = self._member(_HEADER).tobytes()
        try:
            return json.loads(text)
        except ValueError as error:
            raise self._unreadable(error) from error

    def _member(self, name: str) -> np.ndarray:
        try:
            with self._archive.open(f"{name}.npy") as member:
                array = np.lib.format.read_array(member, allow_pickle=False)
                member.read()  # the checksum is compared at the end of the member
            return array
        # a damaged archive makes zipfile, zlib, struct, ast and NumPy raise nearly anything
        except Exception as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> CheckpointError:
        return CheckpointError(
            f"{self._path} is damaged, cut short, or no checkpoint at all: {error}.",
            "edgewise replaces a checkpoint as a whole, so this happened after it was written.",
            "take a backup of it, or start anew with resume=False.",
        )


def _write_archive(file: Any, arrays: Mapping[str, np.ndarray]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            # a ZipInfo has a fixed date: equal states are equal files
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                plain = np.asarray(array).view(_stored_dtype(array.dtype))
                np.lib.format.write_array(member, plain, allow_pickle=False)


def _stored_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype itself, or for one that NumPy does not know (bfloat16) the unsigned integers of that size."""
    return np.dtype(f"u{dtype.itemsize}") if dtype.isbuiltin == 2 else dtype


def _whole(array: jax.Array) -> bool:
    return array.is_fully_addressable or array.is_fully_replicated


def _temporary(target: Path) -> Path:
    return target.with_name(f".{target.name}.{socket.gethostname()}.{os.getpid()}.{threading.get_ident()}.tmp")


def _remove_leftovers(target: Path) -> None:
    """Remove the temporary files that killed writers of this machine left beside ``target``."""
    pattern = re.compile(rf"\.{re.escape(target.name)}\.{re.escape(socket.gethostname())}\.(\d+)\.\d+\.tmp")
    for path in target.parent.iterdir():
        found = pattern.fullmatch(path.name)
        if found and not (path in _writing if int(found[1]) == os.getpid() else _lives(int(found[1]))):
            with contextlib.suppress(OSError):  # another process was faster, or it is not ours to remove
                path.unlink()


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True


def _sync_folder(folder: Path) -> None:
    """Make the new name durable; a file system that cannot sync a folder keeps a whole file either way."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _not_written(path: Path, error: OSError) -> CheckpointError:
    return CheckpointError(
        f"the checkpoint {path} cannot be written: {error.strerror or error}.",
        "the file that was there before, if any, is as it was.",
        "free space, or pass a path in a folder that is writable.",
    )


def _a_folder(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} is a folder, and a checkpoint is one file.",
        do=f'pass say {str(path / "run.npz")!r}; a folder written by orbax is Checkpoint(path, backend="orbax").',
    )
