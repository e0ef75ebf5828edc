"""What tells a run from another one: the settings that a checkpoint keeps and a resumed run is compared with."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from edgewise.errors import EdgewiseError
from edgewise.training.sources import is_stream

__all__ = ["check_same_run", "checksum", "described", "without_addresses"]

_ENDS = 1000  # rows of a memory-mapped array that tell it from others


def described(model: nnx.Module) -> str:
    """What tells architectures apart of which the parameters have equal shapes."""
    return str(model) if hasattr(type(model), "config") else type(model).__name__


def without_addresses(thing: Any) -> str:
    """``thing`` in words that are the same in another process: a function has an address in them."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(thing))


def checksum(data: Any) -> str | None:
    """Tells arrays apart, memory-mapped ones by both their ends; None for data that come batch by batch."""
    if data is None or callable(data) or is_stream(data):
        return None
    total = 0
    for leaf in jax.tree.leaves(data):
        parts = (leaf[:_ENDS], leaf[-_ENDS:]) if isinstance(leaf, np.memmap) else (leaf,)
        for part in parts:
            total = zlib.crc32(np.ascontiguousarray(part).view(np.uint8).data, total)
    return f"of checksum {total:08x}"


def check_same_run(path: str | Path, kept: dict[str, Any], settings: dict[str, Any], step: int) -> None:
    """Raise ``EdgewiseError`` where ``settings`` are not those ``kept`` at ``path``, but for more steps."""
    for name, value in settings.items():
        if name != "steps" and kept.get(name) != value:
            raise EdgewiseError(
                f"{str(path)!r} is of a run with {name}={kept.get(name)!r}, this one has {value!r}.",
                "a resumed run goes on as if there had been no interruption.",
                "repeat the call as it was, or name another checkpoint.",
            )
    if step > settings["steps"]:
        raise EdgewiseError(
            f"the checkpoint has {step} steps already, steps={settings['steps']}.",
            "steps counts those of the resumed run too.",
            f"pass more than {step}.",
        )
