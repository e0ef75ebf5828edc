"""Kolmogorov-Arnold networks on JAX, Flax NNX and optax.  Everything loads when it is first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from edgewise.errors import EdgewiseError

if TYPE_CHECKING:
    from edgewise import bases, compat, datasets, init, interpret, models, nn, physics, refine, study, testing, training
    from edgewise.bases import (
        RBF,
        RSWAF,
        Basis,
        Bernstein,
        BSpline,
        Chebyshev,
        Fourier,
        Hermite,
        Jacobi,
        Legendre,
        Rational,
        ReLUBump,
        Sine,
        Wavelet,
    )
    from edgewise.models import (
        KAN,
        KKAN,
        RGAKAN,
        ActNet,
        Chain,
        ConvKAN,
        DeepONet,
        GroupRationalKAN,
        SeparableKAN,
        Transformed,
        count_parameters,
    )
    from edgewise.nn import FourierFeatures, KANConv1D, KANConv2D, KANLayer, PeriodicEmbedding
    from edgewise.training import fit, fit_ensemble, load_model, save_model

__all__ = [
    "KAN",
    "KKAN",
    "RBF",
    "RGAKAN",
    "RSWAF",
    "ActNet",
    "BSpline",
    "Basis",
    "Bernstein",
    "Chain",
    "Chebyshev",
    "ConvKAN",
    "DeepONet",
    "EdgewiseError",
    "Fourier",
    "FourierFeatures",
    "GroupRationalKAN",
    "Hermite",
    "Jacobi",
    "KANConv1D",
    "KANConv2D",
    "KANLayer",
    "Legendre",
    "PeriodicEmbedding",
    "Rational",
    "ReLUBump",
    "SeparableKAN",
    "Sine",
    "Transformed",
    "Wavelet",
    "bases",
    "compat",
    "count_parameters",
    "datasets",
    "fit",
    "fit_ensemble",
    "init",
    "interpret",
    "load_model",
    "models",
    "nn",
    "physics",
    "refine",
    "save_model",
    "study",
    "testing",
    "training",
]

_HOMES = {
    "ActNet": "models",
    "Chain": "models",
    "ConvKAN": "models",
    "DeepONet": "models",
    "GroupRationalKAN": "models",
    "KAN": "models",
    "KKAN": "models",
    "RGAKAN": "models",
    "SeparableKAN": "models",
    "Transformed": "models",
    "count_parameters": "models",
    "FourierFeatures": "nn",
    "KANConv1D": "nn",
    "KANConv2D": "nn",
    "KANLayer": "nn",
    "PeriodicEmbedding": "nn",
    "fit": "training",
    "fit_ensemble": "training",
    "load_model": "training",
    "save_model": "training",
}
# without "estimators" in __all__: import * then needs no extra
_ROOMS = (
    "bases", "compat", "datasets", "estimators", "init", "interpret", "models", "nn", "physics", "refine", "study",
    "testing", "training",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("edgewise")
    if name in _ROOMS:
        return importlib.import_module(f"edgewise.{name}")
    if name in __all__:
        return getattr(importlib.import_module(f"edgewise.{_HOMES.get(name, 'bases')}"), name)
    raise AttributeError(f"module 'edgewise' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
