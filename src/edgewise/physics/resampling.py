"""Points of the equation drawn anew while training, from a pool of candidates that stays on the device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from numbers import Real
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import Array

from edgewise.errors import CheckedKeywords, EdgewiseError, check_count, check_positive

__all__ = ["RAD", "RAR", "Fresh", "Resampling"]

Sizes = Callable[[Array], Array]
"""Points ``[N, d]`` to the size of the residual at each, ``[N]``."""


class Resampling(CheckedKeywords, ABC):
    """How points are drawn, every ``every`` steps; a frozen dataclass."""

    every: int
    candidates: int

    grows: ClassVar[int] = 0

    def init(self, points: Array, pool: Array) -> dict[str, Any]:
        """What is kept: the pool ``[N, d]``."""
        return {"pool": pool}

    @abstractmethod
    def drawn(
        self, state: Mapping[str, Array], samples: Mapping[str, Array], sizes: Sizes, step: Array
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """The state and the samples after a draw, of the same shapes."""

    def _check(self):
        name = type(self).__name__
        check_count(f"{name}: every", self.every)
        check_count(f"{name}: candidates", self.candidates, 2)


@dataclass(frozen=True)
class Fresh(Resampling):
    """Other points out of the pool, whatever the residual: stochastic training.

    Args:
        every: steps between draws.
        candidates: size of the pool, in multiples of the number of points.
        seed: of the draws.
    """

    every: int = 1
    candidates: int = 16
    seed: int = 0

    def __post_init__(self):
        self._check()

    def drawn(self, state, samples, sizes, step):
        pool, n = state["pool"], samples["x"].shape[0]
        key = jax.random.fold_in(jax.random.key(self.seed), step)
        return dict(state), dict(samples) | {"x": pool[_chosen(key, jnp.zeros(pool.shape[0], pool.dtype), n)]}


@dataclass(frozen=True)
class RAD(Resampling):
    """All points drawn anew with the probability p ~ |r|^k / mean |r|^k + c: residual-based adaptive distribution.

    Args:
        every: steps between draws.
        exponent, offset: k and c. With c large the draw is uniform.
        candidates: size of the pool, in multiples of the number of points.
        seed: of the draws.

    Wu et al., Comput. Methods Appl. Mech. Eng. 403 (2023) 115671, arXiv 2207.10289, section 2.3.
    """

    every: int = 200
    exponent: Any = 1.0
    offset: Any = 1.0
    candidates: int = 8
    seed: int = 0

    def __post_init__(self):
        self._check()
        check_positive("RAD: exponent", self.exponent)
        if isinstance(self.offset, bool) or not isinstance(self.offset, Real) or not 0 <= float(self.offset) < inf:
            raise EdgewiseError(
                f"RAD: offset={self.offset!r} is no finite number of at least 0.", do="pass 0 or more, say 1.0."
            )

    def drawn(self, state, samples, sizes, step):
        pool, n = state["pool"], samples["x"].shape[0]
        size = sizes(pool) ** self.exponent
        mean = jnp.mean(size)
        density = size / jnp.where(mean > 0, mean, 1) + self.offset
        key = jax.random.fold_in(jax.random.key(self.seed), step)
        return dict(state), dict(samples) | {"x": pool[_chosen(key, jnp.log(density), n)]}


@dataclass(frozen=True)
class RAR(Resampling):
    """The ``add`` candidates of the largest residual are added at every draw: residual-based adaptive refinement.

    A candidate is added once.

    Args:
        every: steps between draws.
        add: points a draw.
        draws: after so many the points stay as they are.
        candidates: size of the pool, in multiples of the number of points.

    Lu et al., SIAM Review 63 (2021) 208, algorithm 2.
    """

    every: int = 200
    add: int = 50
    draws: int = 10
    candidates: int = 8

    def __post_init__(self):
        self._check()
        check_count("RAR: add", self.add)
        check_count("RAR: draws", self.draws)

    @property
    def grows(self) -> int:  # type: ignore[override]
        """How many points are added in all."""
        return self.add * self.draws

    def init(self, points, pool):
        return {"pool": pool, "taken": jnp.zeros(pool.shape[0], bool)}

    def drawn(self, state, samples, sizes, step):
        active = samples["active"][:, 0]
        begin = jnp.sum(active).astype(int)
        left = active.shape[0] - begin
        best = jax.lax.top_k(jnp.where(state["taken"], -1, sizes(state["pool"])), self.add)[1]
        chosen, taken = state["pool"][best], state["taken"].at[best].set(True)
        rows = begin + jnp.arange(self.add)
        rows = jnp.where(jnp.arange(self.add) < left, rows, active.shape[0])  # past the end: nothing is written
        x = samples["x"].at[rows].set(chosen, mode="drop")
        active = samples["active"].at[rows].set(1, mode="drop")
        return dict(state) | {"taken": taken}, dict(samples) | {"x": x, "active": active}


def _chosen(key: Array, log_density: Array, n: int) -> Array:
    """``n`` different rows, drawn by the Gumbel trick (Yellott 1977)."""
    return jax.lax.top_k(log_density + jax.random.gumbel(key, log_density.shape, log_density.dtype), n)[1]
