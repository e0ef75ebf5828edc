"""What a solution has to satisfy besides its equation: on the boundary, at the start, at measured points."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from numbers import Real
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from edgewise.errors import (
    CheckedKeywords,
    DataError,
    EdgewiseError,
    ShapeError,
    check_choice,
    check_count,
    check_counts,
    check_positive,
)
from edgewise.physics.geometry import Geometry
from edgewise.physics.operators import derivative, grad, taylor

__all__ = ["Condition", "Data", "Dirichlet", "Initial", "Neumann", "Periodic", "Robin", "values_of"]

_MOST_TRIED = 2**20  # points of the boundary among which a function 'on' chooses

Samples = dict[str, np.ndarray]
"""Arrays with one row a point: ``x`` ``[n, d]``, and what else the residual of a condition needs there."""


@dataclass(frozen=True, eq=False)
class Condition(CheckedKeywords, ABC):
    """A condition: where it is asked, and by how much a function misses it.

    ``on`` is a part of the boundary by name, or a function of boundary points ``[n, d]`` that returns which it holds
    on, bool ``[n]``.  ``outputs`` are the components of u that it is about; None is all.  ``hard`` says whether the
    trial function is built so that it holds exactly: True, False, or None for where that is possible.
    """

    on: Any = "boundary"
    outputs: Any = None
    hard: Any = None

    kind: ClassVar[str] = "condition"
    can_be_hard: ClassVar[bool] = False
    place: ClassVar[str] = "boundary"
    """The part of the boundary that a function ``on`` chooses from."""

    def __post_init__(self):
        if not isinstance(self.on, str) and not callable(self.on):
            raise EdgewiseError(
                f"{self.kind}: on={self.on!r}.", do="pass the name of a part, or a function of points: bool [n]."
            )
        if self.outputs is not None:
            numbers = check_counts(f"{self.kind}: a number in outputs", self.outputs, 0)
            if not numbers or len(set(numbers)) < len(numbers):
                raise EdgewiseError(
                    f"{self.kind}: outputs={self.outputs!r} are no different components of u.",
                    do="pass say (0, 1), or leave outputs out for all.",
                )
            object.__setattr__(self, "outputs", numbers)
        if self.hard not in (None, True, False):
            raise EdgewiseError(f"{self.kind}: hard={self.hard!r}.", do="pass True, False or None.")
        if self.hard is not None:
            object.__setattr__(self, "hard", bool(self.hard))  # of NumPy, too

    @property
    def name(self) -> str:
        """What its term in the loss is called."""
        return f"{self.kind} on {self.on}" if isinstance(self.on, str) else f"{self.kind} on {_called(self.on)}"

    @abstractmethod
    def samples(self, domain: Geometry, n: int, method: str, seed: int) -> Samples:
        """``n`` points where it is asked, and what is asked there, float64."""

    @abstractmethod
    def residual(self, u: Callable[[Array], Array], samples: Mapping[str, Array]) -> Array:
        """``[n, k]``: 0 where u ``[n, d] -> [n, m]`` satisfies the condition."""

    def check(self, domain: Geometry) -> None:
        """Raise ``EdgewiseError`` where the condition does not fit the domain."""
        self._points(domain, 4, "sobol", 0)

    def at(self, domain: Geometry) -> Condition:
        """The condition of this domain: what its residual must know of it."""
        return self

    def _points(self, domain: Geometry, n: int, method: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Points and outward normals on the part of the boundary."""
        if isinstance(self.on, str):
            return domain.boundary(n, self.on, method, seed)
        wanted, most, kept = n, max(_MOST_TRIED, 4 * n), np.zeros(0, bool)
        while wanted <= most:
            points, normals = domain.boundary(wanted, self.place, method, seed)
            kept = np.asarray(self.on(points), bool)
            if kept.shape != (len(points),):
                raise ShapeError(
                    f"{self.kind}: on(points) has shape {kept.shape} for {len(points)} points.",
                    do="return one truth value a point: lambda x: x[:, 0] < 0.5.",
                )
            if kept.sum() >= n:
                return points[kept][:n], normals[kept][:n]
            wanted *= 4
        touches = "hardly touches" if kept.any() else "does not touch"
        raise EdgewiseError(
            f"{self.kind}: the condition {touches} the boundary of {domain}.",
            f"of {len(kept)} points on {self.place!r}, 'on' takes {int(kept.sum())}, {n} are wanted.",
            f"pass the name of a part ({', '.join(domain.parts)}), or a function true on some of the boundary.",
        )

    def _of(self, values: Array) -> Array:
        return values if self.outputs is None else values[:, jnp.asarray(self.outputs)]


@dataclass(frozen=True, eq=False)
class Dirichlet(Condition):
    """u = ``value`` on the boundary: a number, one for each output, or a function of points ``[n, d] -> [n, m]``."""

    value: Any = 0.0

    kind: ClassVar[str] = "value"
    can_be_hard: ClassVar[bool] = True

    def samples(self, domain, n, method, seed):
        x, _ = self._points(domain, n, method, seed)
        return {"x": x, "target": values_of(self.value, x)}

    def residual(self, u, samples):
        return self._of(u(samples["x"])) - samples["target"]


@dataclass(frozen=True, eq=False)
class Initial(Condition):
    """The state at the first moment, or its first time derivative where ``order`` is 1; ``value`` as in Dirichlet.

    A function ``on`` chooses among points at the first moment.
    """

    value: Any = 0.0
    order: Any = 0
    on: Any = "initial"

    kind: ClassVar[str] = "start"
    can_be_hard: ClassVar[bool] = True
    place: ClassVar[str] = "initial"

    def __post_init__(self):
        super().__post_init__()
        check_count("Initial: order", self.order, 0)

    @property
    def name(self):
        where = "" if self.on == "initial" else f" on {self.on if isinstance(self.on, str) else _called(self.on)}"
        return "initial" + where + (f", derivative {self.order}" if self.order else "")

    def check(self, domain):
        super().check(domain)
        if isinstance(self.on, str) and self.on != "initial":
            raise EdgewiseError(
                f"Initial: {self.on!r} is not the first moment.",
                do="take Dirichlet(on=...) for values elsewhere, Neumann for slopes; Initial takes no 'on', or a "
                "function that chooses points.",
            )

    def samples(self, domain, n, method, seed):
        x, _ = self._points(domain, n, method, seed)
        return {"x": x, "target": values_of(self.value, x)}

    def residual(self, u, samples):
        x = samples["x"]
        values = u(x) if not self.order else derivative(u, x, *(0,) * self.order)
        return self._of(values) - samples["target"]


@dataclass(frozen=True, eq=False)
class Robin(Condition):
    """``a`` u + ``b`` du/dn = ``value`` with the outward normal n; a and b are numbers."""

    value: Any = 0.0
    a: Any = 1.0
    b: Any = 1.0

    kind: ClassVar[str] = "Robin"

    def __post_init__(self):
        super().__post_init__()
        for name in ("a", "b"):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, Real) or not isfinite(number):
                raise EdgewiseError(
                    f"{self.kind}: {name}={number!r} is no finite number.",
                    do="pass a number; what varies along the boundary goes into a condition of its own.",
                )

    def samples(self, domain, n, method, seed):
        x, normal = self._points(domain, n, method, seed)
        return {"x": x, "normal": normal, "target": values_of(self.value, x)}

    def residual(self, u, samples):
        x, normal = samples["x"], samples["normal"]
        slope = jnp.sum(grad(u, x) * normal[:, None, :], axis=-1)
        total = self.b * slope if self.a == 0 else self.a * u(x) + self.b * slope
        return self._of(total) - samples["target"]


@dataclass(frozen=True, eq=False)
class Neumann(Robin):
    """du/dn = ``value`` with the outward normal n."""

    a: Any = 0.0

    kind: ClassVar[str] = "slope"


@dataclass(frozen=True, eq=False)
class Periodic(Condition):
    """u and its derivatives up to ``order`` agree at both ends of a coordinate, given by name or number.

    As a hard condition, the network gets the cosine and the sine of the coordinate: all derivatives agree.
    """

    axis: Any = "x"
    order: Any = 1
    label: str | None = None
    """What ``axis`` is called, where a domain has given it a number."""

    kind: ClassVar[str] = "periodic"
    can_be_hard: ClassVar[bool] = True

    def __post_init__(self):
        super().__post_init__()
        check_count("Periodic: order", self.order, 0)

    @property
    def name(self):
        return f"periodic in {self.label or self.axis}"

    def column(self, domain: Geometry) -> int:
        """The number of the coordinate."""
        names = list(domain.names)
        if isinstance(self.axis, str):
            check_choice("coordinate", self.axis, names)
            return names.index(self.axis)
        if not isinstance(self.axis, int) or not 0 <= self.axis < domain.dim:
            raise EdgewiseError(
                f"Periodic: axis={self.axis!r} is no coordinate of {domain}.", do=f"pass one of {names}."
            )
        return self.axis

    def check(self, domain):
        self.column(domain)

    def at(self, domain):
        if isinstance(self.axis, int):
            return self
        return replace(self, axis=self.column(domain), label=self.axis)

    def samples(self, domain, n, method, seed):
        axis = self.column(domain)
        x = domain.interior(n, method, seed)
        low, high = domain.bounds[axis]
        x[:, axis], across = low, x.copy()
        across[:, axis] = high
        if not (domain.on(x).all() and domain.on(across).all()):
            raise EdgewiseError(
                f"Periodic: {domain} has no opposite sides along {domain.names[axis]!r}.",
                "its two ends must be alike, as those of an interval or a box are.",
                "leave the condition out, or take a Box.",
            )
        return {"x": x, "across": across}

    def residual(self, u, samples):
        ends = [taylor(u, samples[end], self.axis, self.order) for end in ("x", "across")]
        return jnp.concatenate([self._of(after - before) for before, after in zip(*ends, strict=True)], axis=1)


@dataclass(frozen=True, eq=False)
class Data(Condition):
    """Measured values: u = ``values`` ``[n, k]`` at ``points`` ``[n, d]``, with Gaussian errors of one size.

    ``noise`` is their standard deviation, where it is known.
    """

    points: Any = None
    values: Any = None
    noise: Any = None
    on: Any = ""

    kind: ClassVar[str] = "data"

    def __post_init__(self):
        super().__post_init__()
        if self.noise is not None:
            check_positive("Data: noise", self.noise)
        try:
            x, y = (np.array(part, np.float64) for part in (self.points, self.values))
        except (TypeError, ValueError) as error:
            raise DataError("Data: points or values that are no numbers.", str(error), "pass arrays.") from None
        y = y[:, None] if y.ndim == 1 else y
        if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or not len(x):
            raise ShapeError(
                f"Data: points of shape {x.shape} and values of shape {y.shape}.",
                do="pass points [n, d] and values [n, k], one row a measurement.",
            )
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise DataError("Data: points or values that are not finite.", do="leave such rows out.")
        object.__setattr__(self, "points", x)
        object.__setattr__(self, "values", y)

    @property
    def name(self):
        return "data"

    def check(self, domain):
        domain.check_inside(
            self.points,
            "the equation holds inside the domain only.",
            "enlarge the domain, or leave those rows out: keep = domain.contains(points).",
            whose="Data: ",
        )

    def samples(self, domain, n, method, seed):
        return {"x": self.points, "target": self.values}

    def residual(self, u, samples):
        return self._of(u(samples["x"])) - samples["target"]


def values_of(value: Any, x: np.ndarray) -> np.ndarray:
    """A number, one for each output, or a function of points, at points ``[n, d]``: float64 ``[n, k]``."""
    if callable(value):
        with jax.enable_x64(True):
            found = _real(value(jnp.asarray(x, jnp.float64)))
        if found.ndim != 2 or len(found) != len(x):
            raise ShapeError(
                f"the values of a condition have shape {found.shape} at {len(x)} points.",
                "they are [n, k]: one column for each output.",
                "return say jnp.sin(x[:, 1:2]), which keeps the column.",
            )
    else:
        row = np.atleast_1d(_real(value))
        if row.ndim > 1:
            raise ShapeError(
                f"the value of a condition has shape {row.shape}.",
                "it is a number, or one for each output; points are chosen by the condition.",
                "pass a function of points, or Data(points=..., values=...).",
            )
        found = np.tile(row, (len(x), 1))
    if not np.isfinite(found).all():
        raise DataError("a condition asks for values that are not finite.", do="look at its value on the boundary.")
    return found


def _real(values: Any) -> np.ndarray:
    try:
        if not np.iscomplexobj(values):  # their imaginary part would be lost
            return np.asarray(values, np.float64)
    except (TypeError, ValueError):
        pass
    raise DataError(
        f"a condition asks for {values!r}, which is no real number.",
        "a value is a number, one for each output, or a function of points; a complex field has two real outputs.",
        "pass say value=0.0, or value=lambda x: jnp.sin(x[:, 1:2]).",
    )


def _called(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__).replace("<lambda>", "part")
