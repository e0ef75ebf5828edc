"""The promises of an initialization scheme."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from edgewise.bases import Basis, BSpline, Chebyshev, Fourier
from edgewise.init import Moments, Scales, Stats, input_law
from edgewise.testing.conformance import LAWS, ConformanceError, is_scale

__all__ = ["check_initializer"]


def check_initializer(
    scheme: Any, *, bases: Sequence[Basis] = (BSpline(), Chebyshev(), Fourier()), residuals: bool | None = None
) -> None:
    """Check that a scheme gives usable scales for several families, with and without a residual; silent if it does.

    Checked: hashable and equal to its pickled copy; the same scales for the same statistics; standard deviations that
    are finite, not negative, and one number or one for each mode; laws that exist; not all zero; and an output variance
    that does not explode as the fan-in grows from 4 to 4096.

    Args:
        scheme: maps :class:`edgewise.init.Stats` to :class:`edgewise.init.Scales`.
        bases: families to check with.
        residuals: True or False to check only with or only without a residual branch; None checks both.

    Raises:
        ConformanceError: naming the first broken promise, the statistics it broke at, and what to do.
    """
    name = type(scheme).__name__
    if isinstance(scheme, type) or not callable(scheme):
        raise ConformanceError(f"{scheme!r} can't be called.", do="pass a function or an instance that takes Stats.")
    try:
        same = hash(scheme) == hash(pickle.loads(pickle.dumps(scheme))) and pickle.loads(pickle.dumps(scheme)) == scheme
    except Exception as error:
        raise ConformanceError(
            f"{name} is not hashable or can't be pickled: {error}.",
            "it is saved with the model.",
            "make it a function of a module, or a class with @dataclass(frozen=True).",
        ) from error
    if not same:
        raise ConformanceError(f"{name} differs from its pickled copy.", do="decorate it with @dataclass(frozen=True).")
    for basis in bases:
        for residual in (False, True) if residuals is None else (residuals,):
            _check_scales(scheme, basis, residual)


def _check_scales(scheme: Callable[[Stats], object], basis: Basis, residual: bool) -> None:
    variances = []
    for fan_in, fan_out in ((4, 4), (64, 1), (64, 64), (4096, 64)):
        stats = _stats(basis, residual, fan_in, fan_out)
        where = f"{type(scheme).__name__} for {type(basis).__name__}, {fan_in} to {fan_out} nodes" + (
            ", with a residual" if residual else ""
        )
        scales, again = scheme(stats), scheme(stats)
        if not isinstance(scales, Scales):
            raise ConformanceError(f"{where}: returns {type(scales).__name__}.", do="return edgewise.init.Scales(...).")
        for part, shapes in (("basis", ((), (stats.modes,))), ("residual", ((),))):
            std = getattr(scales, part)
            if np.shape(std) not in shapes or not is_scale(std):
                raise ConformanceError(
                    f"{where}: the scale of the {part} is {std!r}.",
                    "a standard deviation is finite and not negative.",
                    f"return one number{f', or an array of {stats.modes}' if len(shapes) > 1 else ''}.",
                )
            if not np.array_equal(std, getattr(again, part)):
                raise ConformanceError(f"{where}: two calls give two scales.", do="draw no random numbers in a scheme.")
        for law in (scales.basis_law, scales.residual_law):
            if law not in LAWS:
                raise ConformanceError(f"{where}: unknown law {law!r}.", do=f"name one of {', '.join(LAWS)}.")
        m = stats.moments("uniform", None)
        variances.append(
            fan_in
            * (float(np.sum(np.asarray(scales.basis) ** 2 * m.mu0)) + (scales.residual**2 * m.r0 if residual else 0))
        )
    if max(variances) == 0:
        raise ConformanceError(
            f"{where}: every scale is zero.",
            "all outputs, and all gradients below, would be zero.",
            "start some term above 0.",
        )
    if variances[-1] > 100 * max(variances[0], m.q):
        raise ConformanceError(
            f"{where}: the output variance is {variances[-1]:.3g}, and {variances[0]:.3g} with 4 nodes.",
            "a sum over n_in nodes grows with n_in.",
            "let standard deviations fall off as 1 / sqrt(stats.fan_in), or faster.",
        )


def _stats(basis: Basis, residual: bool, fan_in: int, fan_out: int) -> Stats:
    """Statistics of a layer with a bias, as layers make them."""
    first = int(basis.has_constant)
    state = basis.init(1, key=jax.random.key(0))

    def moments(distribution, sample_size):
        law = input_law(distribution, basis, sample_size)
        return Moments(basis, state, jax.nn.silu if residual else None, *law, first=first)

    modes = basis.size - first
    size = max(basis.size, modes + residual)
    return Stats(fan_in, fan_out, modes, size, residual, basis.default_std(fan_in, modes), moments)
