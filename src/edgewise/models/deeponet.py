"""Operators between functions: a branch network that reads the function, a trunk network that reads the place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import Array

from edgewise.bases import Basis
from edgewise.errors import ShapeError
from edgewise.models.kan import KAN
from edgewise.nn import count_parameters
from edgewise.nn.inputs import real_array

__all__ = ["DeepONet"]


class DeepONet(nnx.Module):
    """G(u)(y) = sum_k b_k(u(s_1), ..., u(s_S)) t_k(y) + b_0: the value at y of the image of the function u.

    Args:
        branch: widths of the network b, from the number of sensors S to the number of terms.
        trunk: widths of the network t, from the number of coordinates of y to the same number of terms.
        basis: family of the branch, or a sequence of one per layer.
        trunk_basis: that of the trunk; None is ``basis``, which must then be one family.
        rngs: source of keys; not stored.
        layer_options: of every :class:`~edgewise.nn.KANLayer`.

    Attributes:
        branch, trunk: the two :class:`~edgewise.KAN`.
        bias: b_0, ``[1]``.

    Raises:
        EdgewiseError: for widths that do not end alike, and for what :class:`~edgewise.KAN` refuses.

    Lu et al., arXiv 1910.03193 (unstacked, with bias); with KANs: Abueidda et al., DeepOKAN,
    arXiv 2405.19143.

    >>> model = DeepONet([50, 20, 20], [1, 20, 20], Chebyshev(3), rngs=nnx.Rngs(0))
    """

    def __init__(
        self,
        branch: Sequence[Any],
        trunk: Sequence[Any],
        basis: Basis | Sequence[Basis] | None = None,
        *,
        trunk_basis: Basis | Sequence[Basis] | None = None,
        rngs: nnx.Rngs,
        **layer_options: Any,
    ):
        self.branch = KAN(branch, basis, rngs=rngs, **layer_options)
        self.trunk = KAN(trunk, basis if trunk_basis is None else trunk_basis, rngs=rngs, **layer_options)
        if self.branch.widths[-1] != self.trunk.widths[-1]:
            raise ShapeError(
                f"the branch has {self.branch.widths[-1]} outputs and the trunk {self.trunk.widths[-1]}.",
                "the operator is the sum of their products, one by one.",
                "let both widths end with the same number of terms.",
            )
        self.bias = nnx.Param(jnp.zeros(1, self.branch.layers[-1].param_dtype))

    def __call__(self, u: Any, y: Any = None) -> Array:
        """One value for each pair: functions ``[*batch, S]`` and places ``[*batch, d]`` to ``[*batch]``.

        ``u`` alone is both in one array, ``[*batch, S + d]``, as ``fit`` and estimators have it.
        """
        if y is None:
            u = real_array(u)
            sensors, coordinates = self.branch.widths[0], self.trunk.widths[0]
            if u.ndim == 0 or u.shape[-1] != sensors + coordinates:
                expected = f"expected (..., {sensors} + {coordinates}), got {u.shape}"
                raise ShapeError(f"{expected}.", "the values at the sensors come first, then the place.")
            u, y = u[..., :sensors], u[..., sensors:]
        branch, trunk = self.branch(u), self.trunk(y)
        if branch.shape != trunk.shape:
            raise ShapeError(
                f"functions of the batch shape {branch.shape[:-1]} and places of {trunk.shape[:-1]}.",
                "a call takes one place for each function.",
                "repeat what is shared, or model.on_grid(u, y) for every function at every place.",
            )
        return jnp.sum(branch * trunk, axis=-1) + self._bias(branch.dtype)

    def on_grid(self, u: Any, y: Any) -> Array:
        """Every function at every place: ``[n, S]`` and ``[m, d]`` to ``[n, m]``; each network runs once.

        With more axes, or without any, ``[*batch, S]`` and ``[*places, d]`` to ``[*batch, *places]``.
        """
        branch, trunk = self.branch(u), self.trunk(y)
        precision = self.branch.layers[-1].precision
        return jnp.tensordot(branch, trunk, axes=(-1, -1), precision=precision) + self._bias(branch.dtype)

    def _bias(self, dtype: Any) -> Array:
        """b_0 without axes: of one pair the value has none either."""
        return self.bias[...][0].astype(dtype)

    @property
    def config(self) -> dict[str, Any]:
        """What :meth:`from_config` rebuilds the architecture from, ready for JSON."""
        return {"branch": self.branch.config, "trunk": self.trunk.config}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, rngs: nnx.Rngs) -> DeepONet:
        """A model of the architecture that ``config`` described, freshly drawn."""
        branch, trunk = (KAN.from_config(config[name], rngs=rngs) for name in ("branch", "trunk"))
        dtype = branch.layers[-1].param_dtype
        model = cls(branch.widths, trunk.widths, param_dtype=dtype, rngs=nnx.Rngs(0))
        model.branch, model.trunk = branch, trunk
        return model

    def __repr__(self) -> str:
        return f"DeepONet(branch={self.branch}, trunk={self.trunk}, {count_parameters(self):,} parameters)"

    __str__ = __repr__
