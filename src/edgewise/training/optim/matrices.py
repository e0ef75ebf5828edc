"""Whether matrices of all parameters fit into memory."""

from __future__ import annotations

import os

import jax
from jax import Array

from edgewise.errors import EdgewiseError

__all__ = ["check_fits"]

_COPIES = 3  # matrices [P, P] that a dense method has at once: 3.2 to 3.6 measured, all told


def check_fits(method: str, params: Array, do: str) -> None:
    """Raise ``EdgewiseError`` where the matrices ``[P, P]`` that ``method`` holds of ``params`` ``[P]`` have no room.

    The operating system would kill the process, and with it all that it knows.
    """
    needed, there = _COPIES * params.size**2 * params.dtype.itemsize, _memory()
    if needed > there:
        raise EdgewiseError(
            f"{method} with {params.size:,} parameters needs {needed / 1e9:.2f} GB of {there / 1e9:.2f}.",
            f"it holds {_COPIES} matrices of {params.size:,} x {params.size:,} numbers.",
            do,
        )


def _memory() -> int:
    """Bytes of the device that computes, or of the machine where that is its processor."""
    limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    return limit or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
