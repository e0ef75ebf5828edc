"""Kolmogorov-Arnold networks on JAX, Flax NNX and optax."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from edgewise.errors import EdgewiseError

if TYPE_CHECKING:
    from edgewise import bases, compat, datasets, init, models, nn, study, testing, training
    from edgewise.bases import (
        RBF, RSWAF, Basis, Bernstein, BSpline, Chebyshev, Fourier, Hermite, Jacobi, Legendre, Rational, ReLUBump, Sine, Wavelet
    )  # fmt: skip
    from edgewise.models import KAN, count_parameters
    from edgewise.nn import KANLayer

_MODULES = ("bases", "compat", "datasets", "init", "models", "nn", "study", "testing", "training")
_NAMES = {
    "bases": (
        "RBF", "RSWAF", "Basis", "Bernstein", "BSpline", "Chebyshev", "Fourier", "Hermite", "Jacobi", "Legendre",
        "Rational", "ReLUBump", "Sine", "Wavelet",
    ),
    "models": ("KAN", "count_parameters"),
    "nn": ("KANLayer",),
}  # fmt: skip
_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = ["EdgewiseError", *_MODULES, *_HOME]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("edgewise")
    if name in _MODULES:
        return importlib.import_module(f"edgewise.{name}")
    if name in _HOME:
        value = getattr(importlib.import_module(f"edgewise.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'edgewise' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
