"""Squashing: how inputs reach a family that lives on [-1, 1]."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from edgewise.errors import EdgewiseError, check_choice

__all__ = ["Ends", "check_domain", "check_squash", "squash_to_ends", "squash_to_point"]

SQUASHES = ("tanh", "affine")


class Ends(NamedTuple):
    """A point t of [-1, 1] by its distance to the nearer end: t = ``side`` * (1 - ``gap``).

    float32 resolves ``gap`` to 1e-7 *of itself*, but t only to 6e-8, and polynomials of degree n have slopes of n^2 at
    the ends: at degree 64 that is the difference between errors of 4e-6 and 2e-4.
    """

    side: Array
    gap: Array

    @property
    def point(self) -> Array:
        return self.side * (1 - self.gap)


def check_squash(family: str, squash: str | None, domain: tuple[float, float]) -> None:
    """Raise where ``squash`` is no squashing, or ``domain`` no interval that it can use."""
    if squash is not None:
        check_choice(f"squash of {family}:", squash, SQUASHES)
    low, high = check_domain(family, domain)
    if squash is None and (low, high) != (-1.0, 1.0):
        raise EdgewiseError(
            f"{family}(domain={domain}) needs a squash.",
            "without one the inputs are used as they are, and the family lives on [-1, 1].",
            'pass squash="affine" to map the domain to [-1, 1], or leave domain out.',
        )


def check_domain(family: str, domain: tuple[float, float]) -> tuple[float, float]:
    """``domain`` as two floats, low < high; raises ``EdgewiseError`` otherwise."""
    low, high = 0.0, 0.0
    try:
        low, high = map(float, domain)
        # a list would leave the family unhashable
        valid = isinstance(domain, tuple) and -float("inf") < low < high < float("inf")
    except (TypeError, ValueError):
        valid = False
    if not valid:
        raise EdgewiseError(
            f"{family}(domain={domain!r}) is not an interval.",
            do="pass a tuple of two finite numbers, the lower one first: (-1, 1).",
        )
    return low, high


def squash_to_point(x: Array, squash: str | None, domain: tuple[float, float]) -> Array:
    """``x`` mapped affinely from ``domain`` to [-1, 1], then through tanh if that is the ``squash``."""
    low, high = domain
    if (low, high) != (-1, 1):
        x = _less(x, (low + high) / 2) * (2 / (high - low))
    return jnp.tanh(x) if squash == "tanh" else x


def squash_to_ends(x: Array, squash: str | None, domain: tuple[float, float]) -> Ends:
    """The same point, by its distance to the nearer end."""
    low, high = domain
    slope = 2 / (high - low)
    centred = _less(x, (low + high) / 2)
    side = jnp.where(centred < 0, -1.0, 1.0).astype(x.dtype)
    if squash == "tanh":
        decay = jnp.exp(-2 * slope * side * centred)
        return Ends(side, 2 * decay / (1 + decay))
    # from the nearer end itself: 1 minus a rescaled x has the rounding of 1
    return Ends(side, jnp.where(side > 0, -_less(x, high), _less(x, low)) * slope)


def _less(x: Array, constant: float) -> Array:
    """x - constant, also where the constant is none of ``x``'s dtype."""
    if not constant:
        return x
    rounded = float(np.asarray(constant).astype(x.dtype))
    rest = constant - rounded
    return x - rounded - rest if rest else x - rounded
