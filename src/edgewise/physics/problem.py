"""A differential equation on a domain, with its conditions, its unknown numbers and what is known of its solution."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from inspect import Parameter, signature
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from edgewise.errors import CheckedKeywords, DataError, EdgewiseError, ShapeError, check_choice, check_count
from edgewise.physics.conditions import Condition, Data, Initial
from edgewise.physics.geometry import Geometry, TimeSpace
from edgewise.physics.reference import Reference

__all__ = ["Problem"]

_LOOKED_AT = 8  # points of a problem that is checked


@dataclass(frozen=True, eq=False)
class Problem(CheckedKeywords):
    """residual(u, x) = 0 on a domain, with conditions.

    Args:
        domain: where; of a :class:`~edgewise.physics.geometry.TimeSpace`, coordinate 0 is time.
        residual: ``(u, x)``, or ``(u, x, p)`` where there are unknown ``parameters``: u is a function from points
            ``[n, d]`` to ``[n, m]``, x are points, p maps the names of parameters to numbers. Returns ``[n, k]``, one
            column for each of k equations: 0 where they hold. Derivatives by :mod:`edgewise.physics.operators`.
        conditions: at the start, on the boundary, at measured points.
        n_out: m, number of components of u.
        parameters: numbers in the equation that are to be found, by name, with a first guess each.
        reference: a function of no arguments that returns a :class:`~edgewise.physics.reference.Reference` to score by.
        truth: the parameters' true values, where they are known.
        transform: ``(x, y) -> u``, from the network's output y ``[n, m]``, for what is to hold exactly besides.
        name: for tables and reports.
        source: where the statement is from.

    Raises:
        EdgewiseError: for a residual of the wrong shape, one that is not finite for a smooth u, one that does not use a
            parameter; for a condition that does not touch the boundary; for data outside the domain.

    >>> def equation(u, x):
    ...     return time_derivative(u, x) - 0.1 * laplacian(u, x, axes=(1,))
    >>> heat = Problem(TimeSpace((0.0, 1.0), Interval(0.0, 1.0)), equation,
    ...                [Initial(value=lambda x: jnp.sin(jnp.pi * x[:, 1:])), Dirichlet(value=0.0)])
    """

    domain: Any
    residual: Any
    conditions: Any = ()
    n_out: Any = 1
    parameters: Any = field(default_factory=dict)
    reference: Callable[[], Reference] | None = None
    truth: Any = field(default_factory=dict)
    transform: Callable[[Any, Any], Any] | None = None
    name: str = "problem"
    source: str = ""

    def __post_init__(self):
        if not isinstance(self.domain, Geometry):
            raise EdgewiseError(f"domain={self.domain!r} is no geometry.", do="pass say Interval(-1.0, 1.0).")
        check_count("Problem: n_out", self.n_out)
        if not callable(self.residual):
            raise EdgewiseError(
                f"residual={self.residual!r} is no function.",
                do="pass a function of (u, x), say lambda u, x: laplacian(u, x).",
            )
        given: Any = self.conditions
        several = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)
        object.__setattr__(self, "conditions", () if given is None else several)
        for name in ("parameters", "truth"):
            object.__setattr__(self, name, MappingProxyType(_numbers(name, getattr(self, name))))
        for name in self.truth:
            check_choice("parameter", name, self.parameters)
        for condition in self.conditions:
            if not isinstance(condition, Condition):
                raise EdgewiseError(f"{condition!r} is no condition.", do="pass say Dirichlet(value=0.0).")
            self._check_condition(condition)
        object.__setattr__(self, "conditions", tuple(condition.at(self.domain) for condition in self.conditions))
        self._check_residual()

    @property
    def time(self) -> tuple[float, float] | None:
        """First and last moment, where coordinate 0 is time."""
        timed = isinstance(self.domain, TimeSpace) or self.domain.names[0] == "t"
        return tuple(self.domain.bounds[0].tolist()) if timed else None

    def residuals(self, u: Callable[[Any], Any], x: Any, parameters: Mapping[str, Any] | None = None) -> Any:
        """The residual ``[n, k]`` of u ``[n, d] -> [n, m]`` at points ``[n, d]``."""
        if not self.parameters:
            return self.residual(u, x)
        return self.residual(u, x, self.parameters if parameters is None else parameters)

    def _check_condition(self, condition: Condition) -> None:
        if isinstance(condition, Initial) and self.time is None:
            raise EdgewiseError(
                f"an initial condition, but {self.domain} has no time.",
                do="take TimeSpace((0.0, 1.0), space), or Interval(0.0, 1.0, name='t').",
            )
        if condition.outputs is not None and not set(condition.outputs) <= set(range(self.n_out)):
            raise EdgewiseError(
                f"{condition.name}: outputs={condition.outputs} of a problem with {self.n_out}.",
                do=f"pass numbers from 0 to {self.n_out - 1}, or another n_out.",
            )
        condition.check(self.domain)
        samples = condition.samples(self.domain, 2, "sobol", 0)
        if "target" not in samples:
            return
        wanted = self.n_out if condition.outputs is None else len(condition.outputs)
        found = samples["target"].shape[1]
        if found != wanted and (found != 1 or isinstance(condition, Data)):
            raise ShapeError(
                f"{condition.name}: values for {found} outputs, where u has {wanted}.",
                do=f"pass {wanted} columns, or outputs=(0,) to say which they are.",
            )

    def _check_residual(self) -> None:
        """Try it on a smooth u, with derivatives of all orders that are not zero."""
        taken = signature(self.residual).parameters.values()
        positional = [p for p in taken if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)]
        needed = sum(p.default is Parameter.empty for p in positional)
        count = 3 if self.parameters else 2
        most = np.inf if any(p.kind is Parameter.VAR_POSITIONAL for p in taken) else len(positional)
        if not needed <= count <= most:
            names = "(u, x, p)" if self.parameters else "(u, x)"
            raise EdgewiseError(
                f"the residual takes {needed} arguments, and is called with {names}.",
                "p are the unknown parameters, which there are." if self.parameters else "there are no parameters.",
                f"write it as a function of {names}.",
            )
        x, names = self.domain.interior(_LOOKED_AT), list(self.parameters)
        slopes = np.linspace(0.3, 0.7, self.domain.dim * self.n_out).reshape(self.domain.dim, self.n_out)
        with jax.enable_x64(True):
            points, smooth = jnp.asarray(x), jnp.asarray(slopes)
            u = lambda x: jnp.sin(x @ smooth + 0.4) + 1.5
            of = lambda values: self.residuals(u, points, dict(zip(names, values, strict=True)))
            guess = jnp.asarray([self.parameters[name] for name in names])
            found = of(guess)
            self._check_values(found)
            if found.shape[1] == _LOOKED_AT:  # so many equations, or a row for every point?
                more = jax.ShapeDtypeStruct((_LOOKED_AT + 1, self.domain.dim), jnp.float64)
                self._check_values(jax.eval_shape(lambda x: self.residuals(u, x), more), _LOOKED_AT + 1)
            if names:
                # elsewhere too: a product of parameters has no slope where the guess of the others is 0
                places = (guess, 1.1 * guess + 0.1)
                used = np.sum([np.abs(np.asarray(jax.jacfwd(of)(place))).max((0, 1)) for place in places], axis=0)
                unused = [name for name, size in zip(names, used, strict=True) if size == 0]
                if unused:
                    raise EdgewiseError(
                        f"the residual never uses the parameter {unused[0]!r}.",
                        "nothing would tell its value.",
                        f"use p[{unused[0]!r}] in the residual, or leave it out of parameters.",
                    )

    def _check_values(self, found: Any, n: int = _LOOKED_AT) -> None:
        shape = np.shape(found)
        if len(shape) != 2 or shape[0] != n or not shape[1] or shape[1] == n > _LOOKED_AT:
            raise ShapeError(
                f"the residual has shape {shape} at {n} points.",
                "it is [n, k], one row for each point and one column for each equation; [n] beside [n, 1] would "
                f"broadcast to [n, n]. Here x is {[n, self.domain.dim]}, u(x) {[n, self.n_out]}.",
                "keep columns: u(x)[:, 0:1], x[:, 1:2], and join equations by jnp.concatenate([...], axis=1).",
            )
        if jnp.issubdtype(found.dtype, jnp.complexfloating):
            raise DataError(
                "the residual has complex values.",
                "the loss is a sum of squares of real numbers.",
                "return both parts: jnp.concatenate([r.real, r.imag], axis=1), of a network with two outputs.",
            )
        if isinstance(found, jax.Array) and not np.isfinite(np.asarray(found)).all():
            row = int(np.flatnonzero(~np.isfinite(np.asarray(found)).all(1))[0])
            raise DataError(
                f"the residual is not finite at {self.domain.interior(_LOOKED_AT)[row].tolist()}.",
                "it was tried on a smooth u with values between 0.5 and 2.5.",
                "look for a division by zero, or a root or logarithm of a negative number.",
            )

    def __repr__(self) -> str:
        unknown = f", unknown {', '.join(self.parameters)}" if self.parameters else ""
        return f"Problem({self.name!r} on {self.domain}, {len(self.conditions)} conditions{unknown})"

    __str__ = __repr__


def _numbers(what: str, given: Any) -> dict[str, float]:
    """``given`` as floats by name; ``EdgewiseError`` for anything else."""
    try:
        numbers = {name: float(value) for name, value in dict({} if given is None else given).items()}
    except (TypeError, ValueError) as error:
        raise _no_numbers(what, given) from error
    if not all(isinstance(name, str) for name in numbers) or not np.isfinite([*numbers.values()]).all():
        raise _no_numbers(what, given)
    return numbers


def _no_numbers(what: str, given: Any) -> EdgewiseError:
    return EdgewiseError(
        f"{what}={given!r} are no finite numbers by name.",
        "every parameter of the equation is one number, which its residual gets as p[name].",
        f'pass say {what}={{"rate": 1.0}}.',
    )
