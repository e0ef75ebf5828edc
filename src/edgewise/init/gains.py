"""What a scheme will do to a layer, before anything runs: exact forward and backward variance gains."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from edgewise.errors import EdgewiseError
from edgewise.init.moments import Moments
from edgewise.init.schemes import Default, Initializer, Scales, Scheme, Stats

__all__ = ["Gain", "gains", "gains_of"]


class Gain(NamedTuple):
    """``forward`` = Var(y) / Var(x), ``backward`` = Var(dL/dx) / Var(dL/dy) of one layer, expected over its draws.

    Drawn parameters have mean 0, and so has y: variances are mean squares, also where parameters are given, E[y^2] /
    E[x^2] over independent inputs.  Gradients at the outputs are taken to be independent of each other.
    """

    forward: float
    backward: float


def gains_of(stats: Stats, scales: Scales, assumed: Initializer) -> Gain:
    """The gains of a layer drawn with ``scales``, its inputs following the law that the scheme ``assumed``."""
    law = assumed if isinstance(assumed, Scheme) else Default()
    m = law.moments(stats)
    coef, kernel = scales.coef, scales.residual_kernel
    forward, backward = 0.0, 0.0
    if coef is None:
        basis = np.broadcast_to(np.square(scales.basis), (stats.modes,))
        forward, backward = basis @ m.mu0, basis @ m.mu1
    if stats.residual and kernel is None:
        residual = np.square(scales.residual)
        forward, backward = forward + residual * m.r0, backward + residual * m.r1
    forward, backward = stats.fan_in * forward, stats.fan_out * backward
    if coef is not None or (stats.residual and kernel is not None):
        given = _of_given(stats, m, coef, kernel)
        forward, backward = forward + given[0], backward + given[1]
    return Gain(float(forward / m.q), float(backward))


def _of_given(stats: Stats, m: Moments, coef: Any, kernel: Any) -> tuple[Any, Any]:
    """E[y^2], and E[dx^2] for gradients dy of variance 1, of edges with given parameters, missing ones being 0."""
    c = np.zeros((stats.terms, stats.fan_in, stats.fan_out))  # of the modes and, last, the residual
    if coef is not None:
        c[: stats.modes] = coef
    if stats.residual and kernel is not None:
        c[-1] = kernel
    means, values, slopes = (np.repeat(part, stats.fan_in // len(part), axis=0) for part in m.gram)
    square = lambda gram: np.einsum("aio,iab,bio->io", c, gram, c, optimize=True)
    mean = np.einsum("ia,aio->io", means, c)  # of every edge: variances of the edges add up, and so do their means
    forward = (square(values) - mean**2).sum(axis=0) + mean.sum(axis=0) ** 2
    return forward.mean(), square(slopes).sum(axis=1).mean()


def gains(model: Any, scheme: Initializer | str | None = None) -> list[Gain]:
    """Forward and backward variance gain of each layer, exactly and without running it (arXiv 2509.03417, section 3).

    Args:
        model: a ``KANLayer``, or a model whose ``layers`` are such, one after the other.
        scheme: a scheme or its name; None takes the one that each layer was made with.

    Returns:
        One :class:`Gain` a layer.  Every layer's inputs are taken to follow the law that its scheme assumes.

    Raises:
        EdgewiseError: for any other model, and for an unknown scheme.
    """
    layers = list(getattr(model, "layers", None) or [model])
    if not all(isinstance(getattr(layer, "stats", None), Stats) for layer in layers):
        raise EdgewiseError(
            f"{type(model).__name__} is no KANLayer, and no model made of KANLayers one after the other.",
            "gains multiply along a chain of layers, and say little about other architectures.",
            "pass a KAN or a KANLayer that it contains, say gains(model.trunk) of a DeepONet.",
        )
    return [layer.gain(scheme) for layer in layers]
