"""Matrices that write the modes of a family in those of another one."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["beside"]


def beside(left: Any, right: Any) -> np.ndarray:
    """Lifts of two families, ``[n_in, M', M]`` or ``[M', M]`` each, as one of both side by side."""
    nodes, (rows, columns) = np.broadcast_shapes(left.shape[:-2], right.shape[:-2]), left.shape[-2:]
    joined = np.zeros((*nodes, rows + right.shape[-2], columns + right.shape[-1]))
    joined[..., :rows, :columns], joined[..., rows:, columns:] = left, right
    return joined
