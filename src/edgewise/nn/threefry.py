"""The bits of ``jax.random`` by NumPy, which compiles nothing.

JAX compiles its generator anew in every process, for a sixth of the time of a short fit.  This is the same generator,
Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3, SC 2011), with
the same counters, as JAX numbers them under ``jax_threefry_partitionable``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

__all__ = ["bits", "fold_in"]

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)
_BLOCK = 1 << 14  # numbers that stay in cache


def fold_in(key: np.ndarray, number: int) -> np.ndarray:
    """The key ``[2]`` that ``jax.random.fold_in`` makes of ``key`` ``[2]`` and a ``number`` below 2^32."""
    return np.concatenate(_threefry(key, np.zeros(1, np.uint32), np.full(1, number, np.uint32)))


def bits(key: np.ndarray, count: int) -> Iterator[np.ndarray]:
    """``jax.random.bits(key, (count,))``, uint32, in one or more blocks."""
    for start in range(0, max(count, 1), _BLOCK):
        low = np.arange(min(_BLOCK, count - start), dtype=np.uint32)
        low += np.uint32(start & 0xFFFFFFFF)  # a block does not cross 2^32
        high, low = _threefry(key, np.full_like(low, start >> 32), low)
        yield high ^ low


def _threefry(key: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The counters ``x`` and ``y``, in whose place the result comes, under ``key`` ``[2]``; modulo 2^32 throughout."""
    first, second = key[:1], key[1:]
    keys = (first, second, first ^ second ^ _PARITY)
    turned = np.empty_like(y)
    x += first
    y += second
    for group in range(5):
        for rotation in _ROTATIONS[group % 2]:
            x += y
            np.left_shift(y, rotation, out=turned)
            np.right_shift(y, 32 - rotation, out=y)
            y |= turned
            y ^= x
        x += keys[(group + 1) % 3]
        y += keys[(group + 2) % 3] + np.uint32(group + 1)
    return x, y
