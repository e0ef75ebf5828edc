"""Trial functions that satisfy conditions by construction.

u(x) = G(x) + B(x) N(x): N is the network, G takes the asked values on the constrained faces of a box, and B vanishes
there (Lagaris, Likas and Fotiadis, IEEE Trans. Neural Netw. 9 (1998) 987).  G is the Boolean sum of linear blends along
the axes (Gordon, J. Math. Mech. 18 (1969) 931), so that it is right on all faces at once where the values agree at
corners.  Periodic coordinates reach the network as cosine and sine (Dong and Ni, arXiv 2007.07442).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import pi
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from edgewise.errors import EdgewiseError, check_choice
from edgewise.physics.conditions import Condition, Dirichlet, Initial, Periodic
from edgewise.physics.geometry import Box, Geometry, Interval, TimeSpace
from edgewise.physics.operators import derivative

__all__ = ["Ansatz", "Face", "ansatz_for"]

_AGREE = 1e-8  # how far two conditions may differ where they meet, relative to their size


@dataclass(frozen=True)
class _Values:
    """The values of a condition as ``[n, n_out]``: 0 for outputs that it is not about."""

    condition: Any
    n_out: int

    def __call__(self, x: Array) -> Array:
        value, outputs = self.condition.value, self.condition.outputs
        found = jnp.atleast_1d(jnp.asarray(value(x) if callable(value) else value, x.dtype))
        found = jnp.broadcast_to(found, (x.shape[0], found.shape[-1]))
        if outputs is None:
            return jnp.broadcast_to(found, (x.shape[0], self.n_out))
        return jnp.zeros((x.shape[0], self.n_out), x.dtype).at[:, jnp.asarray(outputs)].set(found)


@dataclass(frozen=True)
class Face:
    """What is asked on one end of one axis of a box.

    Attributes:
        axis: its number.
        end: 0 for the low end, 1 for the high one.
        value: points ``[n, d]`` to values ``[n, m]``.
        outputs: which components of u it is about, a truth value each.
        slope: the same for the derivative along the axis, at the low end of time; None where none is asked.
    """

    axis: int
    end: int
    value: Callable[[Array], Array]
    outputs: tuple[bool, ...]
    slope: Callable[[Array], Array] | None = None


@dataclass(frozen=True)
class Ansatz:
    """``ansatz(network, x)``: u at points ``[n, d]`` from a network of the features of x.

    Those of the same conditions are equal: what is compiled for one of them serves all.

    Attributes:
        bounds: lowest and highest value of each coordinate: the network sees [-1, 1].
        n_out: m, number of components of u.
        periodic: numbers of the coordinates that reach the network as cosine and sine.
        faces: what holds exactly on the ends of coordinates.
        transform: (points, output of the network) to u, before the faces; None for none.
        hard: the conditions that hold exactly.
    """

    bounds: tuple[tuple[float, float], ...]
    n_out: int
    periodic: tuple[int, ...] = ()
    faces: tuple[Face, ...] = ()
    transform: Callable[[Array, Array], Array] | None = None
    hard: tuple[Condition, ...] = ()

    @property
    def n_in(self) -> int:
        """Number of features that the network gets."""
        return len(self.bounds) + len(self.periodic)

    def features(self, x: Array) -> Array:
        """``[n, d]`` to what the network sees, ``[n, n_in]``: every feature within [-1, 1] on the domain."""
        columns = []
        for axis, (low, high) in enumerate(self.bounds):
            column = x[:, axis : axis + 1]
            if axis in self.periodic:
                angle = 2 * pi * ((column - low) / (high - low))
                columns += [jnp.cos(angle), jnp.sin(angle)]
            else:
                columns.append(2 * (column - low) / (high - low) - 1)
        return jnp.concatenate(columns, axis=1)

    def __call__(self, network: Callable[[Array], Array], x: Array) -> Array:
        """u ``[n, m]`` at ``x`` ``[n, d]``."""
        u = network(self.features(x))
        if self.transform is not None:
            u = self.transform(x, u)
        return u if not self.faces else self.lifted(x) + self.distance(x) * u

    def lifted(self, x: Array) -> Array:
        """G ``[n, m]``: the asked values on the faces, blended in between."""
        blend = _zero(self.n_out)
        for axis in dict.fromkeys(face.axis for face in self.faces):
            blend = _corrected(blend, [face for face in self.faces if face.axis == axis], self.bounds[axis])
        return blend(x)

    def distance(self, x: Array) -> Array:
        """B ``[n, m]``: 0 on the faces, of size 1 inside."""
        product = jnp.ones((1, self.n_out), x.dtype)
        for axis in dict.fromkeys(face.axis for face in self.faces):
            low, high = self.bounds[axis]
            s = (x[:, axis : axis + 1] - low) / (high - low)
            ends = [_mask(self.faces, axis, end)[None] for end in (0, 1)]
            tall = np.where(ends[0] & ends[1], 4.0, 1.0)
            sloped = np.any([face.outputs for face in self.faces if face.axis == axis and face.slope], axis=0)
            near = jnp.where(ends[0], jnp.where(sloped[None], s**2, s), 1.0)
            product = product * tall * near * jnp.where(ends[1], 1 - s, 1.0)
        return product


def ansatz_for(
    domain: Geometry, conditions: Sequence[Condition], n_out: int, hard: Any, transform: Any = None
) -> tuple[Ansatz, tuple[Condition, ...]]:
    """The ansatz under which as many conditions hold exactly as can, and those that are left.

    Args:
        hard: False for none; True and None for those that allow it, unless they say otherwise themselves; or a mapping
            from names of conditions to these, where True asks for it as ``hard=True`` of a condition does.

    Raises ``EdgewiseError`` for a condition with ``hard=True`` that cannot be built in, a name that none has.
    """
    if isinstance(hard, Mapping):
        for name in hard:
            check_choice("condition", name, [condition.name for condition in conditions])
    elif hard is not None and not isinstance(hard, bool):
        raise EdgewiseError(f"hard={hard!r}.", do="pass True, False, None, or {name of a condition: True or False}.")
    bounds = tuple((float(low), float(high)) for low, high in domain.bounds)
    found, left = Ansatz(bounds, n_out, transform=transform), []
    for condition in sorted(conditions, key=lambda condition: (isinstance(condition, Initial), _order(condition))):
        named = hard.get(condition.name) if isinstance(hard, Mapping) else False if hard is False else None
        wanted = named if condition.hard is None else condition.hard
        if wanted is not None and not wanted:
            left.append(condition)
            continue
        try:
            found = _with(found, condition, domain)
        except EdgewiseError:
            if wanted:
                raise
            left.append(condition)
    return found, tuple(condition for condition in conditions if condition in left)


def _order(condition: Condition) -> int:
    return condition.order if isinstance(condition, Initial) else 0


def _with(ansatz: Ansatz, condition: Condition, domain: Geometry) -> Ansatz:
    """The ansatz with one condition more; raises ``EdgewiseError`` where that cannot be."""
    built = (*ansatz.hard, condition.at(domain))
    if isinstance(condition, Periodic):
        axis = condition.column(domain)
        condition.samples(domain, 4, "sobol", 0)  # opposite sides, or an error
        if condition.outputs is not None and set(condition.outputs) != set(range(ansatz.n_out)):
            raise _impossible(condition, "features are periodic for all outputs or for none.")
        if any(face.axis == axis for face in ansatz.faces):
            raise _impossible(condition, "another condition is built in at its ends already.")
        periodic = tuple(sorted({*ansatz.periodic, axis}))
        more = replace(ansatz, periodic=periodic, hard=built)
        _check_agreement(more, domain, condition)
        return more
    if not isinstance(condition, Dirichlet | Initial) or not isinstance(condition.on, str):
        raise _impossible(condition, "only values on parts of the boundary that have a name, and periods, can.")
    outputs = np.zeros(ansatz.n_out, bool)
    outputs[list(range(ansatz.n_out) if condition.outputs is None else condition.outputs)] = True
    values = _Values(condition, ansatz.n_out)
    faces = list(ansatz.faces)
    for axis, end in _ends(domain, condition):
        if axis in ansatz.periodic:
            raise _impossible(condition, f"{domain.names[axis]} is periodic.")
        same = [face for face in faces if (face.axis, face.end) == (axis, end) and np.any(outputs & face.outputs)]
        if isinstance(condition, Initial) and condition.order:
            if condition.order > 1 or len(same) != 1 or same[0].slope or same[0].outputs != tuple(outputs.tolist()):
                raise _impossible(condition, "it needs the values at the same place, of the same outputs, too.")
            faces.remove(same[0])
            faces.append(replace(same[0], slope=values))
        elif same:
            raise _impossible(condition, "another condition is built in there already.")
        else:
            faces.append(Face(axis, end, values, tuple(outputs.tolist())))
    # time last: the blends of the space's faces are then corrected to be right at the start
    faces.sort(key=lambda face: face.axis, reverse=True)
    more = replace(ansatz, faces=tuple(faces), hard=built)
    _check_agreement(more, domain, condition)
    return more


def _ends(domain: Geometry, condition: Condition) -> list[tuple[int, int]]:
    """The ends of axes that a part of a box consists of."""
    space = domain.space if isinstance(domain, TimeSpace) else domain
    if not isinstance(space, Interval | Box):
        raise _impossible(condition, f"{domain} is no box.")
    corners = [(axis, end) for axis in range(domain.dim) for end in (0, 1)]
    middle = domain.bounds.mean(axis=1)
    ends = []
    for axis, end in corners:
        point = middle.copy()
        point[axis] = domain.bounds[axis, end]
        if domain.on(point[None], condition.on)[0]:
            ends.append((axis, end))
    return ends


def _check_agreement(ansatz: Ansatz, domain: Geometry, condition: Condition) -> None:
    """Whether G takes all asked values: where faces meet, they must ask for the same."""
    with jax.enable_x64(True):
        _check_traceable(ansatz, domain, condition)
        for face in ansatz.faces:
            x = domain.interior(64, "sobol", 1)
            x[:, face.axis] = ansatz.bounds[face.axis][face.end]
            rest = [axis for axis in range(domain.dim) if axis != face.axis]
            low, high = domain.bounds[rest].T
            x[: len(x) // 2, rest] = np.where(x[: len(x) // 2, rest] > (low + high) / 2, high, low)  # corners
            points = jnp.asarray(x)
            asked, found = np.asarray(face.value(points)), np.asarray(ansatz.lifted(points))
            gap = np.abs(np.where(face.outputs, asked - found, 0)).max()
            if not gap <= _AGREE * max(1.0, np.abs(asked).max()):
                raise _impossible(condition, f"its values and those of another differ by {gap:.2g} where they meet.")
        _check_kept(ansatz, domain, condition)


def _check_traceable(ansatz: Ansatz, domain: Geometry, condition: Condition) -> None:
    """Whether JAX can differentiate what is asked: G is evaluated inside compiled code."""
    shape = jax.ShapeDtypeStruct((2, domain.dim), jnp.float64)
    try:
        jax.eval_shape(lambda x: jax.jvp(ansatz.lifted, (x,), (x,)), shape)
    except (TypeError, jax.errors.JAXTypeError) as error:
        why = f"its values cannot be traced, as functions written with NumPy cannot: {str(error).splitlines()[0]}"
        raise _impossible(condition, why) from error


def _check_kept(ansatz: Ansatz, domain: Geometry, condition: Condition) -> None:
    """Whether periods and slopes survive G and the transform, whatever the network."""
    waves = np.sin(np.arange(1.0, ansatz.n_in * ansatz.n_out + 1)).reshape(ansatz.n_in, ansatz.n_out)
    u = lambda x: ansatz(lambda features: jnp.sin(features @ waves + 0.5), x)
    for built in ansatz.hard:
        if isinstance(built, Periodic):
            built = replace(built, order=0)  # that slopes of G agree is asked of u_0, which may have a kink
        elif not (isinstance(built, Initial) and built.order):
            continue
        samples = {name: jnp.asarray(leaf) for name, leaf in built.samples(domain, 16, "sobol", 1).items()}
        gap = np.abs(np.asarray(built.residual(u, samples))).max()
        if not gap <= _AGREE * max(1.0, np.abs(np.asarray(u(samples["x"]))).max()):
            raise _impossible(condition, f"beside others, {built.name!r} would be missed by {gap:.2g}.")


def _impossible(condition: Condition, why: str) -> EdgewiseError:
    return EdgewiseError(
        f"the condition {condition.name!r} cannot be built into the trial function.",
        why,
        "leave hard=True out: it then counts in the loss.",
    )


def _mask(faces: Sequence[Face], axis: int, end: int) -> np.ndarray:
    found = [face.outputs for face in faces if (face.axis, face.end) == (axis, end)]
    return np.any(found, axis=0) if found else np.zeros(len(faces[0].outputs), bool)


def _zero(n_out: int) -> Callable[[Array], Array]:
    return lambda x: jnp.zeros((x.shape[0], n_out), x.dtype)


def _corrected(before: Callable, faces: Sequence[Face], bounds: tuple[float, float]) -> Callable[[Array], Array]:
    """``before`` plus what it misses on the faces of one axis, blended linearly between the two ends."""
    low, high = bounds
    axis = faces[0].axis
    ends = [_mask(faces, axis, end)[None] for end in (0, 1)]

    def blend(x: Array) -> Array:
        s = (x[:, axis : axis + 1] - low) / (high - low)
        total = before(x)
        for face in faces:
            there = _moved(x, axis, bounds[face.end])
            share = jnp.where(ends[1 - face.end], s if face.end else 1 - s, 1.0)
            gap = face.value(there) - before(there)
            if face.slope is not None:
                rate = face.slope(there) - derivative(before, there, axis)
                gap = gap + (x[:, axis : axis + 1] - low) * rate
            total = total + jnp.where(jnp.asarray(face.outputs), share * gap, 0)
        return total

    return blend


def _moved(x: Array, axis: int, end: float) -> Array:
    """The points where they leave the domain along an axis: of columns, so that no other one is differentiated."""
    return jnp.concatenate([x[:, :axis], jnp.full_like(x[:, :1], end), x[:, axis + 1 :]], axis=1)
