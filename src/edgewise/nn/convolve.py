"""Convolution of many channels, in the form that the platform calls for.  Figures: ``docs/architectures.md``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from edgewise.errors import EdgewiseError, ShapeError, check_count

__all__ = ["bordered", "convolve", "patches", "per_axis"]

_AXES = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC")}
_COLUMNS = 512  # of a matrix product: more cost memory and gain nothing


def convolve(image: Array, kernel: Array, strides: tuple[int, ...], precision: Any = None) -> Array:
    """``[n, *size, K]`` and ``[*places, K, n_out]`` to ``[n, *patches, n_out]``: of patches that lie in the image."""
    form = _by_products if jax.default_backend() == "cpu" else _by_convolution
    return form(image, kernel, strides, precision)


def bordered(image: Array, kernel: tuple[int, ...], strides: tuple[int, ...], padding: str) -> Array:
    """The image with the zeros around it that ``padding`` asks for; raises ``ShapeError`` where no patch fits."""
    size = image.shape[1:-1]
    patches(size, kernel, strides, padding)
    return jnp.pad(image, [(0, 0), *lax.padtype_to_pads(size, kernel, strides, padding), (0, 0)])


def _by_convolution(image: Array, kernel: Array, strides: tuple[int, ...], precision: Any) -> Array:
    axes = _AXES[len(strides)]
    return lax.conv_general_dilated(image, kernel, strides, "VALID", dimension_numbers=axes, precision=precision)


def _by_products(image: Array, kernel: Array, strides: tuple[int, ...], precision: Any) -> Array:
    """Matrix products of a few places each: XLA's convolution is 8 to 25 times slower in a loop on a CPU."""
    *size, channels, n_out = kernel.shape
    counts = patches(image.shape[1:-1], size, strides, "VALID")
    shifted = []
    for place in product(*map(range, size)):
        starts = zip(place, counts, strides, strict=True)
        shifted.append(image[:, *(slice(start, start + (n - 1) * step + 1, step) for start, n, step in starts)])
    flat, most = kernel.reshape(-1, channels, n_out), max(1, _COLUMNS // channels)
    total = jnp.zeros((), image.dtype)
    for start in range(0, len(shifted), most):
        columns = jnp.concatenate(shifted[start : start + most], axis=-1)
        part = flat[start : start + most].reshape(-1, n_out)
        total = total + jnp.matmul(columns, part, precision=precision)
    return total


def patches(size: Sequence[int], kernel: Sequence[int], strides: Sequence[int], padding: str) -> tuple[int, ...]:
    """Numbers of patches along each axis of an image; raises ``ShapeError`` where there is none."""
    axes = tuple(zip(size, kernel, strides, strict=True))
    if padding == "SAME":
        return tuple(-(-n // step) for n, _, step in axes)
    if any(n < k for n, k, _ in axes):
        what = f"an image of {tuple(size)} is smaller than the kernel {tuple(kernel)}."
        raise ShapeError(what, do='pass padding="SAME".')
    return tuple((n - k) // step + 1 for n, k, step in axes)


def per_axis(name: str, value: Any, axes: int) -> tuple[int, ...]:
    """``value`` as counts, one for each axis; raises ``EdgewiseError``."""
    values = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,) * axes
    if len(values) != axes:
        raise EdgewiseError(f"{name}={value!r} for {axes} axes.", do="pass one number, or one for each axis.")
    return tuple(check_count(name, part) for part in values)
