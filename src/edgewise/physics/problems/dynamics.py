"""Ordinary differential equations with numbers in them: solved for known numbers, or to find unknown ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np

from edgewise.errors import check_count, check_positive
from edgewise.physics.conditions import Initial
from edgewise.physics.geometry import Interval
from edgewise.physics.problem import Problem
from edgewise.physics.problems.measuring import measured
from edgewise.physics.reference import Reference

__all__ = ["Dynamics"]

_MOMENTS = 501  # of the reference


@dataclass(frozen=True)
class Dynamics:
    """A system u' = f(u; p) of ``n_out`` components.

    Attributes:
        name, source: of the problems.
        missing: ``(u, t, p)`` to what u misses the equations by, ``[n, n_out]``.
        solver: ``(moments, **numbers, start=...)`` to a :class:`Reference`.
    """

    name: str
    source: str
    n_out: int
    missing: Callable[[Any, Any, Mapping[str, Any]], Any]
    solver: Callable[..., Reference]

    def forward(self, numbers: Mapping[str, Any], start: Any, end: Any) -> Problem:
        """All ``numbers`` known, from ``start`` on over [0, ``end``]; raises ``EdgewiseError`` for one not above 0."""
        for name, value in {**numbers, "end": end}.items():
            check_positive(name, value)

        def equation(u, t):
            return self.missing(u, t, numbers)

        equation.__module__ = self.missing.__module__  # where a report looks for the statement
        return Problem(
            Interval(0.0, end, name="t"),
            equation,
            [Initial(value=start)],
            n_out=self.n_out,
            reference=partial(_reference, self.solver, tuple(numbers.items()), start, end),
            name=self.name,
            source=self.source,
        )

    def inverse(
        self, numbers: Mapping[str, Any], start: Any, end: Any, guess: Any, n: Any, noise: Any, seed: Any
    ) -> Problem:
        """All ``numbers`` unknown, to be found from all components at ``n`` moments, evenly spaced."""
        known = self.forward(numbers, start, end)
        check_positive("guess", guess)
        t = end * np.arange(1, check_count("n", n) + 1) / n
        values = self.solver(t, **numbers, start=start).flat
        data = measured(t[:, None], values, noise, float(np.abs(values).max()), seed)
        return replace(
            known,
            residual=self.missing,
            conditions=[*known.conditions, data],
            parameters=dict.fromkeys(numbers, float(guess)),
            truth=numbers,
            name=f"inverse-{self.name}",
        )


@cache
def _reference(solver: Callable[..., Reference], numbers: tuple, start: Any, end: Any) -> Reference:
    return solver(np.linspace(0, end, _MOMENTS), **dict(numbers), start=start)
