"""Initialization schemes: pure functions from statistics of a layer to standard deviations of its parameters.

A scheme sees fan-in, fan-out and moments, never a basis, a shape or a key, so each works with every basis and residual.
K is the number of modes that a layer keeps, N = K + 1 with a residual branch and K without.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from edgewise.errors import CheckedKeywords, EdgewiseError, ShapeError, check_choice, check_count, check_positive
from edgewise.init.moments import LAWS, Distribution, Moments

__all__ = [
    "SCHEMES",
    "Balanced",
    "Custom",
    "Default",
    "Glorot",
    "GlorotFine",
    "Initializer",
    "LeCun",
    "LowestModeFirst",
    "Power",
    "ResidualFirst",
    "Scales",
    "Scheme",
    "Stats",
]


@dataclass(frozen=True)
class Stats:
    """What a scheme may know of a layer.

    Args:
        fan_in, fan_out: numbers of input and output nodes.
        modes: K, the modes that the layer keeps.
        size: K', all modes of the basis, the residual counted: D + 1 for a polynomial of degree D, G + k + 1 for a
            spline with a residual.
        residual: whether there is a residual branch.
        default_basis: (standard deviation, law) of the coefficients in the paper that introduced the basis.
        moments: the layer's second moments under an input law and a sample size.
    """

    fan_in: int
    fan_out: int
    modes: int
    size: int
    residual: bool
    default_basis: tuple[Any, str]
    moments: Callable[[Distribution, int | None], Moments]

    @property
    def terms(self) -> int:
        """N, the number of terms on an edge."""
        return self.modes + self.residual


@dataclass(frozen=True, eq=False)
class Scales:
    """Standard deviations: ``basis``, a number or one per mode ``[K]``; ``residual``; and the laws drawn from.

    ``coef`` and ``residual_kernel`` are the parameters themselves, where a scheme gives them.
    """

    basis: Any = 0.0
    residual: Any = 0.0
    basis_law: str = "normal"
    residual_law: str = "normal"
    coef: Any = None
    residual_kernel: Any = None


@runtime_checkable
class Initializer(Protocol):
    """Anything that maps the statistics of a layer to scales."""

    def __call__(self, stats: Stats) -> Scales: ...


@dataclass(frozen=True)
class Scheme(CheckedKeywords, ABC):
    """What the schemes share.

    Args:
        distribution: assumed law of a layer's inputs: "uniform" (on the basis' interval), "normal", or a quantile
            function.
        gain: factor on all standard deviations; None is the standard deviation of the input law, as jaxKAN has it.
        sample_size: None for exact moments; n for a Monte Carlo estimate from n points.
    """

    distribution: Distribution = "uniform"
    gain: float | None = None
    sample_size: int | None = None

    def __post_init__(self):
        if not callable(self.distribution):
            check_choice("distribution", self.distribution, LAWS)
        if self.gain is not None:
            check_positive(f"{type(self).__name__}: gain", self.gain)
        if self.sample_size is not None:
            check_count(f"{type(self).__name__}: sample_size", self.sample_size)

    @abstractmethod
    def __call__(self, stats: Stats) -> Scales:
        """The scales of a layer with these statistics."""

    def moments(self, stats: Stats) -> Moments:
        """The layer's moments under the law that this scheme assumes."""
        return stats.moments(self.distribution, self.sample_size)

    def gain_under(self, moments: Moments) -> float:
        """The gain, or the standard deviation of the input law."""
        return moments.std if self.gain is None else self.gain


@dataclass(frozen=True)
class Default(Scheme):
    """Each family as the paper that introduced it has it; the residual Glorot-uniform.  ``gain`` None is 1."""

    def __call__(self, stats: Stats) -> Scales:
        gain = self.gain or 1.0
        std, law = stats.default_basis
        return Scales(gain * std, gain * (2 / (stats.fan_in + stats.fan_out)) ** 0.5, law, "uniform")


@dataclass(frozen=True)
class LeCun(Scheme):
    """Keeps the forward variance: gain / sqrt(n_in N mean mu0) (Rigas et al., arXiv 2509.03417, section 3.1)."""

    def __call__(self, stats: Stats) -> Scales:
        m, n = self.moments(stats), stats.fan_in * stats.terms
        g = self.gain_under(m)
        return Scales(g / (n * m.mu0.mean()) ** 0.5, g / (n * m.r0) ** 0.5 if stats.residual else 0.0)


@dataclass(frozen=True)
class Glorot(Scheme):
    """Both variances together: gain sqrt(2 / (N (n_in mean mu0 + n_out mean mu1))) (arXiv 2509.03417)."""

    def __call__(self, stats: Stats) -> Scales:
        m = self.moments(stats)
        g2 = self.gain_under(m) ** 2
        basis = _two_sided(2 * g2, stats, m.mu0.mean(), m.mu1.mean())
        return Scales(basis, _two_sided(2 * g2, stats, m.r0, m.r1) if stats.residual else 0.0)


@dataclass(frozen=True)
class GlorotFine(Scheme):
    """One scale per mode: gain sqrt(1 / (N (n_in mu0_m + n_out mu1_m))); residual as in Glorot (arXiv 2510.23501)."""

    def __call__(self, stats: Stats) -> Scales:
        m = self.moments(stats)
        g2 = self.gain_under(m) ** 2
        basis = _two_sided(g2, stats, m.mu0, m.mu1)
        return Scales(basis, _two_sided(2 * g2, stats, m.r0, m.r1) if stats.residual else 0.0)


@dataclass(frozen=True)
class Balanced(Scheme):
    """Glorot with the gain on the forward term, where it belongs: sqrt(2 / (N (n_in mu0 / q + n_out mu1))), q = E[x^2].

    Args:
        gain: asks the forward pass for a variance of gain^2; None for that of the input.
        per_mode: one scale per mode, from its own moments, instead of one from the means.
    """

    per_mode: bool = False

    def __call__(self, stats: Stats) -> Scales:
        m = self.moments(stats)
        q = m.q if self.gain is None else self.gain**2
        mu0, mu1 = (m.mu0, m.mu1) if self.per_mode else (m.mu0.mean(), m.mu1.mean())
        basis = _two_sided(2.0, stats, mu0 / q, mu1)
        return Scales(basis, _two_sided(2.0, stats, m.r0 / q, m.r1) if stats.residual else 0.0)


@dataclass(frozen=True)
class Power(Scheme):
    """gain const n_in^-a K'^-b, for the basis and the residual each (arXiv 2509.03417, its best of 81 by default).

    Args:
        gain: factor on both; None is 1.
        basis_constant, residual_constant: const.
        basis_fan_in_power, residual_fan_in_power: a.
        basis_size_power, residual_size_power: b.
    """

    basis_constant: float = 1.0
    basis_fan_in_power: float = 1.75
    basis_size_power: float = 1.75
    residual_constant: float = 1.0
    residual_fan_in_power: float = 0.25
    residual_size_power: float = 0.25

    def __call__(self, stats: Stats) -> Scales:
        gain, n, size = self.gain or 1.0, float(stats.fan_in), float(stats.size)
        basis = self.basis_constant * n**-self.basis_fan_in_power * size**-self.basis_size_power
        residual = self.residual_constant * n**-self.residual_fan_in_power * size**-self.residual_size_power
        return Scales(gain * basis, gain * residual)


@dataclass(frozen=True)
class ResidualFirst(Scheme):
    """All of the start in the residual branch, balanced: w ~ sqrt(2 / (n_in r0 / q + n_out r1)), c = 0.

    Args:
        gain: as in Balanced.
        basis_scale: standard deviation of the coefficients, 0 or tiny.
    """

    basis_scale: float = 0.0

    def __call__(self, stats: Stats) -> Scales:
        if not stats.residual:
            raise EdgewiseError(
                "ResidualFirst needs a residual branch, and this layer has none.",
                "it starts every coefficient of the basis at zero, so the layer would be constant.",
                'pass residual="silu" to the layer, or use init=LowestModeFirst().',
            )
        m = self.moments(stats)
        q = m.q if self.gain is None else self.gain**2
        return Scales(self.basis_scale, (2 / (stats.fan_in * m.r0 / q + stats.fan_out * m.r1)) ** 0.5)


@dataclass(frozen=True)
class LowestModeFirst(Scheme):
    """Only the first mode that is not constant starts above zero, balanced for its own moments; the rest at 0.

    With a residual branch the two share the variance equally.  ``gain`` as in Balanced.
    """

    def __call__(self, stats: Stats) -> Scales:
        m = self.moments(stats)
        q = m.q if self.gain is None else self.gain**2
        first = (1 + stats.residual) * (stats.fan_in * m.mu0 / q + stats.fan_out * m.mu1)
        lowest = [1.0] + [0.0] * (stats.modes - 1)
        residual = (2 / (2 * (stats.fan_in * m.r0 / q + stats.fan_out * m.r1))) ** 0.5 if stats.residual else 0.0
        return Scales((2 / first[0]) ** 0.5 * np.array(lowest), residual)


@dataclass(frozen=True, eq=False)
class Custom(Scheme):
    """Arrays of the user's, shapes checked: ``coef`` ``[K, n_in, n_out]``, ``residual_kernel`` ``[n_in, n_out]``."""

    coef: Any = None
    residual_kernel: Any = None

    def __call__(self, stats: Stats) -> Scales:
        _check_array("coef", self.coef, (stats.modes, stats.fan_in, stats.fan_out))
        if stats.residual:
            _check_array("residual_kernel", self.residual_kernel, (stats.fan_in, stats.fan_out))
        return Scales(coef=self.coef, residual_kernel=self.residual_kernel)


def _two_sided(numerator: Any, stats: Stats, forward: Any, backward: Any) -> Any:
    """sqrt(numerator / (N (n_in forward + n_out backward)))."""
    return (numerator / (stats.terms * (stats.fan_in * forward + stats.fan_out * backward))) ** 0.5


def _check_array(name: str, value: Any, expected: tuple[int, ...]) -> None:
    shape = None if value is None else np.shape(value)
    if shape != expected:
        raise ShapeError(
            f"Custom({name}=...) has shape {shape}, expected {expected}."
            if shape is not None
            else f"Custom({name}=...) is missing.",
            "a layer's coefficients are [modes kept, n_in, n_out]; a bias makes it drop a constant mode.",
            f"pass an array of shape {expected}.",
        )


SCHEMES: dict[str, type[Scheme]] = {
    "default": Default,
    "lecun": LeCun,
    "glorot": Glorot,
    "glorot_fine": GlorotFine,
    "power": Power,
    "balanced": Balanced,
    "residual_first": ResidualFirst,
    "lowest_mode_first": LowestModeFirst,
}
"""Schemes by name, those that need no argument."""
