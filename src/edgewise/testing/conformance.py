"""What the checks share: their error, and what a scale may be."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgewise.errors import EdgewiseError

__all__ = ["LAWS", "ConformanceError", "is_scale"]

LAWS = ("normal", "truncated_normal", "uniform")
"""Laws that coefficients can be drawn from."""


class ConformanceError(EdgewiseError):
    """A family, or a scheme, breaks a promise that the rest of the library relies on."""


def is_scale(std: Any) -> bool:
    """Whether ``std`` holds finite numbers that are not negative."""
    try:
        values = np.asarray(std, np.float64)
    except (TypeError, ValueError):
        return False
    return bool(np.isfinite(values).all() and (values >= 0).all())
