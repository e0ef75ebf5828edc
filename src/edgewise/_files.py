"""Files that are there whole or not at all, and the folder of those that only save time."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

__all__ = ["cache_folder", "write_whole"]


def write_whole(path: Path, content: bytes) -> None:
    """Write a file in an existing folder so that it is there whole or not at all; raises ``OSError``."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def cache_folder() -> Path | None:
    """Where compiled programs are kept: ``EDGEWISE_CACHE_DIR``, or the user's cache folder; None where it is ``0``."""
    place = os.environ.get("EDGEWISE_CACHE_DIR", "")
    if place == "0":
        return None
    caches = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(place).expanduser() if place else Path(caches) / "edgewise"
