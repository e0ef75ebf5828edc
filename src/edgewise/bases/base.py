"""What a family of univariate functions is: :class:`Basis`, its concatenation, and families given by one formula."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from edgewise.bases.broadcasting import broadcast_modes
from edgewise.bases.lifts import beside
from edgewise.bases.placement import Importance
from edgewise.errors import CheckedKeywords, EdgewiseError, unknown_name

__all__ = ["Basis", "Concatenated", "Pointwise", "Refinement", "State", "Wrapped", "from_config"]

State = Mapping[str, Any]
"""Arrays a family carries per input node (knots, centres, frequencies), by name."""


class Refinement(NamedTuple):
    """Another member of a family, to take over from one.

    ``state`` is that of the new ``basis``; ``lift`` ``[M', M]``, or ``[n_in, M', M]``, writes every old mode in the new
    ones exactly, None where the new coefficients are to be fitted; of two families side by side a pair of these, too.
    """

    basis: Basis
    state: State
    lift: np.ndarray | tuple[Any, Any] | None = None

    @property
    def exact(self) -> np.ndarray | None:
        """``lift`` as one matrix; None where anything is to be fitted."""
        return None if isinstance(self.lift, tuple) else self.lift


_FAR = 1e9
_RESOLUTIONS = ("D", "G", "K", "degree", "grid", "grid_size", "num_grids", "order", "size")

_FAMILIES: dict[str, type[Basis]] = {}


@dataclass(frozen=True)
class Basis(CheckedKeywords, ABC):
    """A family of univariate functions B_1, ..., B_M: plain mathematics, frozen and hashable.

    A new family is a frozen dataclass with two members, ``size`` and ``modes``; everything else has a default.  Check
    it with :func:`edgewise.testing.check_basis`.
    """

    broadcasts: ClassVar[bool] = False
    """Whether :meth:`blocks` is one formula for all modes, instead of one after the other."""
    has_constant: ClassVar[bool] = False
    """Whether B_1 = 1.  A layer with a bias drops that mode, which the bias makes redundant."""
    trained: ClassVar[tuple[str, ...]] = ()
    """Names in the state that are trained parameters; the others are grids, moved but not trained."""
    resolution: ClassVar[str] = "size"
    """The field that a refinement raises: the degree, the order, the number of intervals or of centres."""
    nested: ClassVar[bool] = False
    """Whether the modes of a member are the first ones of every finer member."""
    # no annotation: a family that makes it a field decides its place among the others
    domain = None
    """Where the family is defined, (low, high); None = the real line."""

    def __init_subclass__(cls, **keywords: Any):
        super().__init_subclass__(**keywords)
        _FAMILIES[cls.__name__] = cls
        if "__post_init__" in vars(cls):
            cls.__post_init__ = _after_plain_fields(cls.__post_init__)

    def __post_init__(self):
        """Numbers of NumPy in the fields become Python's; before a family's own ``__post_init__``, too."""
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, _plain(getattr(self, field.name)))

    @classmethod
    def synonyms(cls) -> dict[str, str]:
        """What other libraries call a field, and the field."""
        return dict.fromkeys(_RESOLUTIONS, cls.resolution)

    @property
    @abstractmethod
    def size(self) -> int:
        """M, the number of modes."""

    @abstractmethod
    def modes(self, x: Array, state: State) -> Sequence[Array]:
        """B_1(x), ..., B_M(x): M arrays ``[*batch, n_in]``, elementwise in ``x`` ``[*batch, n_in]``."""

    @property
    def support(self) -> int | None:
        """How many modes are not 0 at a point, where that is few and :meth:`local` gives them; None for all."""
        return None

    def local(self, x: Array, state: State) -> tuple[Array, list[Array]]:
        """The first of the modes that are not 0, ``[*batch, n_in]``, at most M - ``support``; their values."""
        raise NotImplementedError

    @property
    def interval(self) -> tuple[float, float]:
        """Where inputs are expected: the family's domain, or [-1, 1] for one defined on the real line."""
        return self.domain or (-1.0, 1.0)

    def init(self, n_in: int, *, key: Array) -> dict[str, Array]:
        """The state of a fresh layer with ``n_in`` input nodes; ``{}`` for a family without one."""
        return {}

    def stacked(self, x: Array, state: State) -> Array:
        """All modes in one array ``[*batch, M, n_in]``."""
        with jax.numpy_rank_promotion("allow"):  # families broadcast on purpose, whatever the user forbids
            return self.blocks(x, state, (0, self.size))[0]

    def blocks(self, x: Array, state: State, edges: Sequence[int]) -> list[Array]:
        """Modes ``edges[0]`` to ``edges[1] - 1`` in one array ``[*batch, edges[1] - edges[0], n_in]``, and so on.

        Families that evaluate by broadcasting override it.
        """
        modes = self.modes(x, state)
        return [jnp.stack(modes[start:stop], axis=-2) for start, stop in pairwise(edges)]

    def __call__(self, x: ArrayLike, state: State | None = None) -> Array:
        """All modes, stacked last: ``[*batch, n_in, M]``.  Integers and booleans become the default float."""
        x = jnp.asarray(x)
        if not jnp.issubdtype(x.dtype, jnp.floating):
            x = x.astype(jnp.result_type(float))
        if state is None:
            state = self.init(x.shape[-1] if x.ndim else 1, key=jax.random.key(0))
        if x.ndim == 0:
            return self(x[None], state)[0]
        return jnp.moveaxis(self.stacked(x, state), -2, -1)

    def default_std(self, fan_in: int, modes: int) -> tuple[Any, str]:
        """Standard deviation of the coefficients in the paper that introduced the family, and the law drawn from.

        A float, or an array ``[modes]``; ``modes`` is the number of modes that the layer keeps.
        """
        return 1.0 / np.sqrt(fan_in * modes), "normal"

    def breakpoints(self) -> np.ndarray | None:
        """Points where the initial functions are not smooth (quadrature splits there), or None."""
        return None

    def resized(self, size: int) -> Basis:
        """The member of the family with this ``resolution``; raises ``EdgewiseError`` for a family without one."""
        if self.resolution not in {field.name for field in dataclasses.fields(self)}:
            raise EdgewiseError(
                f"{type(self).__name__} has no field {self.resolution!r} that could be refined.",
                "a refinement is the same family with more modes.",
                'name the field that says how many: resolution: ClassVar[str] = "degree".',
            )
        return dataclasses.replace(self, **{self.resolution: size})

    def extended(
        self, state: State, size: int, *, n_in: int, key: Array, importance: Importance | None = None
    ) -> Refinement:
        """The family at the finer resolution ``size``, everything trained carried over.

        Args:
            state: of a layer with ``n_in`` input nodes, in float64.
            key: for what is drawn anew.
            importance: where new knots or centres are wanted; None is evenly.
        """
        finer = self.resized(size)
        lift = np.eye(finer.size, self.size) if self.nested else None
        return Refinement(finer, finer.init(n_in, key=key), lift)

    def adapted(self, state: State, importance: Importance) -> Refinement | None:
        """The family with knots or centres at equal shares of the ``importance``; None for one that has none."""
        return None

    def cells(self, state: State, n_in: int) -> np.ndarray:
        """``[n_in, C + 1]``, increasing: the range the functions are made for, cut where they change."""
        return np.tile(np.linspace(*self.interval, self.size + 1), (n_in, 1))

    def __str__(self) -> str:
        """Short and evaluable: the leading counts by position, and whatever else is not as by default."""
        leading, others = True, []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            leading = leading and isinstance(value, int) and not isinstance(value, bool)
            if leading and isinstance(field.default, int):
                others.append(str(value))
            elif value != field.default:
                others.append(f"{field.name}={value if isinstance(value, Basis) else repr(value)}")
        return f"{type(self).__name__}({', '.join(others)})"

    def __or__(self, other: Basis) -> Basis:
        """Both families side by side: the modes of ``self``, then those of ``other``."""
        if not isinstance(other, Basis):
            return NotImplemented
        return Concatenated(self, other)

    @property
    def config(self) -> dict[str, Any]:
        """A JSON-ready description; :func:`from_config` rebuilds the family from it."""
        return {"family": type(self).__name__} | {
            f.name: _described(getattr(self, f.name)) for f in dataclasses.fields(self)
        }


def _after_plain_fields(check: Callable[..., None]) -> Callable[..., None]:
    @wraps(check)
    def __post_init__(self, *arguments):
        Basis.__post_init__(self)
        check(self, *arguments)

    return __post_init__


def _plain(value: Any) -> Any:
    if type(value) is tuple:
        return tuple(map(_plain, value))
    return value.item() if isinstance(value, np.generic) else value


@dataclass(frozen=True)
class Wrapped(Basis):
    """What a family made of another one, ``basis``, has in common with it."""

    resolution: ClassVar[str] = "fineness"

    basis: Basis

    @property
    def size(self):
        return self.basis.size

    @property
    def fineness(self):
        """The resolution of ``basis``: its degree, order, number of intervals or of centres."""
        return getattr(self.basis, self.basis.resolution)

    @property
    def domain(self):
        return self.basis.domain

    def breakpoints(self):
        return self.basis.breakpoints()

    def resized(self, size):
        return dataclasses.replace(self, basis=self.basis.resized(size))


def _described(value: Any) -> Any:
    """A field's value in the words of JSON."""
    if isinstance(value, Basis):
        return value.config
    return [_described(part) for part in value] if isinstance(value, tuple) else value


def from_config(config: Mapping[str, Any]) -> Basis:
    """The family that ``Basis.config`` described; raises ``UnknownNameError`` for a family never defined."""
    family = _FAMILIES.get(config.get("family", ""))
    if family is None:
        raise unknown_name("basis", config.get("family", "without a family"), _FAMILIES)
    return family(
        **{
            name: from_config(value)
            if isinstance(value, Mapping)
            else tuple(value)
            if isinstance(value, list)
            else value
            for name, value in config.items()
            if name != "family"
        }
    )


@dataclass(frozen=True)
class Concatenated(Basis):
    """The modes of two families side by side, written ``left | right``."""

    left: Basis
    right: Basis

    def __post_init__(self):
        if self.right.has_constant:
            raise EdgewiseError(
                f"{type(self.right).__name__} has a constant mode, which only the left side of `|` may have.",
                "a layer with a bias drops the first mode of a basis, and no other.",
                "write it first: right | left; two families with a constant mode cannot be joined.",
            )

    @property
    def has_constant(self) -> bool:
        return self.left.has_constant

    @property
    def trained(self) -> tuple[str, ...]:
        sides = (("left", self.left), ("right", self.right))
        return tuple(f"{side}_{name}" for side, basis in sides for name in basis.trained)

    @property
    def size(self) -> int:
        return self.left.size + self.right.size

    def __str__(self) -> str:
        return f"{self.left} | {self.right}"

    @property
    def interval(self) -> tuple[float, float]:
        (a, b), (c, d) = self.left.interval, self.right.interval
        return min(a, c), max(b, d)

    def init(self, n_in, *, key):
        left, right = jax.random.split(key)
        states = {"left": self.left.init(n_in, key=left), "right": self.right.init(n_in, key=right)}
        return {f"{side}_{name}": value for side, state in states.items() for name, value in state.items()}

    def sides(self, state: State) -> tuple[State, State]:
        """The states of left and right."""
        of = lambda side: {name.removeprefix(side): value for name, value in state.items() if name.startswith(side)}
        return of("left_"), of("right_")

    def modes(self, x, state):
        left, right = self.sides(state)
        return [*self.left.modes(x, left), *self.right.modes(x, right)]

    def resized(self, size):
        return self.left.resized(size) | self.right.resized(size)

    def extended(self, state, size, *, n_in, key, importance=None):
        keys = jax.random.split(key)
        sides = zip((self.left, self.right), self.sides(state), keys, strict=True)
        left, right = (side.extended(own, size, n_in=n_in, key=key, importance=importance) for side, own, key in sides)
        known = left.exact is not None and right.exact is not None
        # else each is fitted apart: together, the modes of both are hard to tell from one another
        lift = beside(left.lift, right.lift) if known else (left.lift, right.lift)
        return self._joined(left, right)._replace(lift=lift)

    def adapted(self, state, importance):
        states = self.sides(state)
        found = [side.adapted(own, importance) for side, own in zip((self.left, self.right), states, strict=True)]
        if found == [None, None]:
            return None
        as_it_is = (Refinement(self.left, states[0]), Refinement(self.right, states[1]))
        return self._joined(*(new or old for new, old in zip(found, as_it_is, strict=True)))

    def _joined(self, left: Refinement, right: Refinement) -> Refinement:
        state = {f"left_{name}": value for name, value in left.state.items()}
        state |= {f"right_{name}": value for name, value in right.state.items()}
        return Refinement(left.basis | right.basis, state)

    def cells(self, state, n_in):
        left, right = self.sides(state)
        return np.sort(np.concatenate([self.left.cells(left, n_in), self.right.cells(right, n_in)], axis=1), axis=1)

    def default_std(self, fan_in, modes):
        kept_left = self.left.size - (self.size - modes)  # a dropped constant is the left side's
        left, law = self.left.default_std(fan_in, kept_left)
        right, _ = self.right.default_std(fan_in, self.right.size)
        stds = [np.broadcast_to(left, (kept_left,)), np.broadcast_to(right, (self.right.size,))]
        return np.concatenate(stds), law

    def breakpoints(self):
        found = [points for side in (self.left, self.right) if (points := side.breakpoints()) is not None]
        return np.unique(np.concatenate(found)) if found else None


class Pointwise(Basis):
    """A family whose modes are one formula with parameters of their own: B_m(x) = ``mode``(x, p_m, q_m, ...).

    The formula broadcasts, so the same lines serve mode by mode and all modes at once.  It is evaluated in float32 or
    wider and returned in the dtype of ``x``.
    """

    broadcasts: ClassVar[bool] = True

    @abstractmethod
    def parameters(self, state: State) -> tuple[Array, ...]:
        """The parameters of the formula, each ``[M, n_in]`` or ``[M, 1]``."""

    @abstractmethod
    def mode(self, x: Array, *parameters: Array) -> Array:
        """The formula, elementwise and broadcasting."""

    def _evaluated(self, x: Array, state: State) -> tuple[Array, list[Array]]:
        wide = jnp.promote_types(x.dtype, jnp.float32)
        # beyond, squares of the distance to a centre would leave float32
        return jnp.clip(x.astype(wide), -_FAR, _FAR), [jnp.asarray(p, wide) for p in self.parameters(state)]

    def modes(self, x, state):
        wide, parameters = self._evaluated(x, state)
        return [self.mode(wide, *(p[m] for p in parameters)).astype(x.dtype) for m in range(self.size)]

    def blocks(self, x, state, edges):
        wide, parameters = self._evaluated(x, state)
        formula = lambda x, modes: self.mode(x, *(p[modes] for p in parameters))
        return [broadcast_modes(formula, wide, *block).astype(x.dtype) for block in pairwise(edges)]
