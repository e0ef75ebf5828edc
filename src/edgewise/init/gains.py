"""What a scheme will do to a layer, before anything runs: exact forward and backward variance gains."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from edgewise.init.schemes import Default, Initializer, Scales, Scheme, Stats

__all__ = ["Gain", "gains", "gains_of"]


class Gain(NamedTuple):
    """``forward`` = Var(y) / Var(x), ``backward`` = Var(dL/dx) / Var(dL/dy) of one layer, expected over its draws."""

    forward: float
    backward: float


def gains_of(stats: Stats, scales: Scales, assumed: Initializer) -> Gain:
    """The gains of a layer drawn with ``scales``, its inputs following the law that the scheme ``assumed``."""
    law = assumed if isinstance(assumed, Scheme) else Default()
    m = law.moments(stats)
    if scales.coef is not None:
        basis = np.mean(np.square(np.asarray(scales.coef)), axis=(1, 2))
    else:
        basis = np.broadcast_to(np.square(scales.basis), (stats.modes,))
    forward, backward = basis @ m.mu0, basis @ m.mu1
    if stats.residual:
        kernel = scales.residual_kernel
        residual = np.square(scales.residual) if kernel is None else np.mean(np.square(np.asarray(kernel)))
        forward, backward = forward + residual * m.r0, backward + residual * m.r1
    return Gain(float(stats.fan_in * forward / m.q), float(stats.fan_out * backward))


def gains(model: Any, scheme: Initializer | str | None = None) -> list[Gain]:
    """Forward and backward variance gain of each layer, exactly and without running it (arXiv 2509.03417, section 3).

    Args:
        model: a ``KANLayer``, or a model with ``layers``.
        scheme: a scheme or its name; None takes the one that each layer was made with.

    Returns:
        One :class:`Gain` a layer.  Every layer's inputs are taken to follow the law that its scheme assumes.
    """
    layers = getattr(model, "layers", None) or [model]
    return [layer.gain(scheme) for layer in layers]
