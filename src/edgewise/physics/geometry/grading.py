"""Points that are denser where a solution is steep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgewise.errors import DataError, EdgewiseError, check_choice
from edgewise.physics.geometry.base import Geometry
from edgewise.physics.geometry.shapes import Box, Interval
from edgewise.physics.geometry.timespace import TimeSpace

__all__ = ["graded"]

_CELLS = 20_000  # along a coordinate, of the density


def graded(domain: Geometry, n: Any, densities: Any, method: str = "sobol", seed: Any = 0) -> np.ndarray:
    """``n`` points ``[n, d]`` of a box whose density along each coordinate is as asked, up to a factor.

    Where steep places are known beforehand: fronts, layers, a shock. Points of the equation that are drawn so, and
    grids that follow them (``Refine(adaptivity=0.99)`` first in the schedule of ``solve``), spend few parameters on
    the rest.

    Args:
        domain: an Interval, a Box, or one of them in time.
        densities: for coordinates by name, a function of values ``[m]`` that is above 0; even for those left out.
        method, seed: of the points in the unit cube, as for :meth:`Geometry.interior`.

    Raises:
        EdgewiseError: for another domain, an unknown coordinate; ``DataError`` for a density that is not above 0.

    >>> graded(domain, 4000, {"x": lambda x: 1 / np.hypot(x, 0.005)})  # a front at 0, about 0.005 wide
    """
    space = domain.space if isinstance(domain, TimeSpace) else domain
    if not isinstance(space, Interval | Box):
        raise EdgewiseError(
            f"{domain} is no box.", "densities are along coordinates.", "draw from domain.interior(...) by weight."
        )
    if not isinstance(densities, Mapping) or not all(map(callable, densities.values())):
        raise EdgewiseError(
            f"densities={densities!r} are no functions by coordinate.",
            do='pass say {"x": lambda x: 1 / np.hypot(x, 0.01) + 2.0}.',
        )
    points = domain.interior(n, method, seed)
    for name, density in densities.items():
        check_choice("coordinate", name, domain.names)
        axis = domain.names.index(name)
        low, high = domain.bounds[axis]
        places = np.linspace(low, high, _CELLS + 1)
        heights = np.broadcast_to(np.asarray(density(places), np.float64), places.shape)
        if not (np.isfinite(heights).all() and (heights > 0).all()):
            raise DataError(f"the density along {name!r} is not above 0 everywhere.", do="add a constant to it.")
        below = np.concatenate([[0.0], np.cumsum((heights[1:] + heights[:-1]) / 2)])
        points[:, axis] = np.interp((points[:, axis] - low) / (high - low), below / below[-1], places)
    return points
