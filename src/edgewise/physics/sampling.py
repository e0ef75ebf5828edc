"""Points in the unit cube: at random, stratified, of low discrepancy, or on a grid."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgewise.errors import check_choice, check_count

__all__ = ["METHODS", "evenly", "unit_points"]

METHODS = ("sobol", "halton", "latin", "uniform", "grid")
"""The ways to spread points."""


def unit_points(n: Any, d: Any, method: Any = "sobol", seed: Any = 0) -> np.ndarray:
    """``n`` points inside the unit cube of ``d`` dimensions, float64 ``[n, d]``; none lies on its boundary.

    Args:
        n: how many, at least 1.
        d: dimensions, at least 1.
        method: ``"sobol"`` and ``"halton"``: scrambled sequences of low discrepancy, of which the first points are
            the points for a smaller n; ``"latin"``: a Latin hypercube, one point in each of n slices along every axis;
            ``"uniform"``: independent; ``"grid"``: midpoints of the cells of the smallest grid, as equal as possible
            along the axes, that has n cells or more; of more than n cells, n are taken evenly in lexicographic order.
        seed: a whole number, at least 0; a grid takes no notice of it.

    Raises:
        EdgewiseError: for numbers that are none or too small, an unknown method.

    Owen, "Scrambling Sobol and Niederreiter-Xing points", J. Complexity 14 (1998) 466; McKay, Beckman and Conover,
    Technometrics 21 (1979) 239.
    """
    n, d, seed = check_count("n", n), check_count("d", d), check_count("seed", seed, 0)
    check_choice("method", method, METHODS)
    points = _grid(n, d) if method == "grid" else _drawn(n, d, method, np.random.default_rng(seed))
    return np.clip(points, 2.0**-53, 1 - 2.0**-53)


def evenly(n: int, total: int) -> np.ndarray:
    """``n`` of the rows 0 .. total - 1, evenly spread: int64 ``[n]``, increasing, without repeats for n <= total."""
    return (2 * np.arange(n, dtype=np.int64) + 1) * total // (2 * n)


def _drawn(n: int, d: int, method: str, generator: np.random.Generator) -> np.ndarray:
    if method == "uniform":
        return generator.random((n, d))
    from scipy.stats import qmc  # takes longer to import than all of this library's own modules

    options: dict[str, Any] = {"seed": generator}  # SciPy 1.14 does not yet call it rng
    if method == "sobol":
        # whole powers of two, then cut: the same points, without a warning that n is none
        return qmc.Sobol(d, scramble=True, **options).random_base2((n - 1).bit_length())[:n]
    return (qmc.Halton if method == "halton" else qmc.LatinHypercube)(d, **options).random(n)


def _grid(n: int, d: int) -> np.ndarray:
    side = 1
    while side**d < n:
        side += 1
    sides = [side] * d
    for axis in reversed(range(d)):
        if side > 1 and int(np.prod([*sides[:axis], side - 1, *sides[axis + 1 :]], dtype=object)) >= n:
            sides[axis] = side - 1
    cells = np.unravel_index(evenly(n, int(np.prod(sides, dtype=object))), sides)
    return (np.stack(cells, axis=-1) + 0.5) / np.asarray(sides)
