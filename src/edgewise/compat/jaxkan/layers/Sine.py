"""jaxKAN's ``SineLayer``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flax import nnx
from jax import Array

from edgewise.bases import Sine
from edgewise.compat.jaxkan.translation import Layer
from edgewise.errors import check_count

__all__ = ["SineLayer"]


class SineLayer(Layer):
    """D sines of trained frequency ``omega`` and ``phase``, ``[D, 1]`` each, normalized for inputs from N(0, 1)."""

    def __init__(
        self,
        n_in: int = 2,
        n_out: int = 5,
        D: int = 5,
        residual: Any = None,
        external_weights: bool = False,
        init_scheme: Any = None,
        add_bias: bool = True,
        seed: Any = 42,
    ):
        self.D = check_count("D", D)
        self._translate(n_in, n_out, Sine(D), residual, external_weights, init_scheme, add_bias, seed)

    def _place_state(self, rngs: nnx.Rngs) -> None:
        self._keep_state(self._family.init(self.n_in, key=rngs.params()))

    def _keep_state(self, state: Mapping[str, Array]) -> None:
        self.omega, self.phase = (nnx.Param(state[name][:, None]) for name in ("frequency", "phase"))

    def _state(self) -> dict[str, Array]:
        return {"frequency": self.omega[:, 0], "phase": self.phase[:, 0]}
