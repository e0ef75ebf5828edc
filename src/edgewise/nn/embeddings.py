"""Embeddings of the inputs: periodic coordinates and random Fourier features."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import pi
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn import dtypes
from jax import Array

from edgewise._numerics import sincos
from edgewise.errors import EdgewiseError, check_count, check_positive
from edgewise.nn.inputs import checked_input
from edgewise.nn.variables import Grid

__all__ = ["FourierFeatures", "PeriodicEmbedding"]


class PeriodicEmbedding(nnx.Module):
    """x_i -> cos(2 pi x_i / P_i), sin(2 pi x_i / P_i) for every axis i with a period P_i; other axes stay.

    Whatever follows is then exactly periodic, with all its derivatives (Dong and Ni, arXiv 2007.07442).

    Args:
        n_in: number of features.
        periods: the period P of each periodic axis, in the units of the input (not an angular frequency).
        trained: whether the periods are trained; or the axes whose periods are.
        param_dtype: of trained periods.
        rngs: not needed.

    Attributes:
        n_out: features after the embedding: cosine and sine take the place of a periodic axis.
        periods: (axis, period at the start) in the order of the axes.
        trained: the trained periods (``nnx.Param``) by axis.

    Raises:
        EdgewiseError: for an axis that is not there and a period that is not above 0.
    """

    def __init__(
        self,
        n_in: int,
        periods: Mapping[int, float],
        *,
        trained: bool | Collection[int] = False,
        param_dtype: Any = jnp.float32,
        rngs: nnx.Rngs | None = None,
    ):
        self.n_in, self.param_dtype = check_count("n_in", n_in), param_dtype
        axes = set(periods) if trained is True else set(trained or ())
        if not periods or not axes <= set(periods) or not set(periods) <= set(range(n_in)):
            raise EdgewiseError(
                f"periods={dict(periods)!r}, trained={trained!r} do not fit {n_in} inputs.",
                f"axes are counted from 0 to {n_in - 1}, and a trained period needs a value at the start.",
                "pass say periods={1: 2.0}, trained=[1].",
            )
        for axis, period in periods.items():
            check_positive(f"periods[{axis}]", period)
        self.periods = tuple(sorted((axis, float(period)) for axis, period in periods.items()))
        self.trained = nnx.Dict({str(i): nnx.Param(jnp.asarray(p, param_dtype)) for i, p in self.periods if i in axes})
        self.n_out = n_in + len(self.periods)

    def __call__(self, x: Any) -> Array:
        """``[*batch, n_in]`` to ``[*batch, n_out]``."""
        x = checked_input(x, self.n_in, self.param_dtype)
        fixed, features = dict(self.periods), []
        for axis in range(self.n_in):
            column = x[..., axis : axis + 1]
            if axis not in fixed:
                features.append(column)
                continue
            period = self.trained[str(axis)][...] if str(axis) in self.trained else fixed[axis]
            sine, cosine = sincos(2 * pi / period * column)
            features += [cosine, sine]
        return jnp.concatenate(features, axis=-1)

    @property
    def config(self) -> dict[str, Any]:
        """What :meth:`from_config` rebuilds the embedding from, ready for JSON."""
        return {
            "n_in": self.n_in,
            "periods": [list(pair) for pair in self.periods],
            "trained": [axis for axis, _ in self.periods if str(axis) in self.trained],
            "param_dtype": jnp.dtype(self.param_dtype).name,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, rngs: nnx.Rngs) -> PeriodicEmbedding:
        """An embedding as ``config`` described it."""
        return cls(**{**config, "periods": dict(config["periods"])}, rngs=rngs)

    def __repr__(self) -> str:
        periods = ", ".join(f"{axis}: {period:g}" for axis, period in self.periods)
        trained = f", trained={list(map(int, self.trained))}" if self.trained else ""
        return f"PeriodicEmbedding({self.n_in}, {{{periods}}}{trained})"

    __str__ = __repr__


class FourierFeatures(nnx.Module):
    """x -> cos(2 pi x B), sin(2 pi x B), with B ~ N(0, scale^2) drawn once (Tancik et al., arXiv 2006.10739).

    Args:
        n_in: number of features.
        n_out: number of features after the embedding, even: half of them cosines, half sines.
        scale: standard deviation of the frequencies, in cycles per unit of the input: the bandwidth.
        trained: whether B is trained.
        param_dtype: of B.
        rngs: source of the key of B; not stored.

    Attributes:
        frequencies: B, ``[n_in, n_out / 2]``, a ``Grid``, or an ``nnx.Param`` where it is trained.

    Raises:
        EdgewiseError: for sizes below 1, an odd ``n_out``, a scale that is not above 0.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        scale: float = 1.0,
        trained: bool = False,
        param_dtype: Any = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.n_in, self.n_out = check_count("n_in", n_in), check_count("n_out", n_out, 2)
        if n_out % 2:
            raise EdgewiseError(
                f"n_out={n_out} is odd.", "every frequency gives a cosine and a sine.", f"pass {n_out + 1}."
            )
        check_positive("scale", scale)
        self.scale, self.param_dtype = float(scale), param_dtype
        kind = nnx.Param if trained else Grid
        self.frequencies = kind(scale * jax.random.normal(rngs.params(), (n_in, n_out // 2), param_dtype))

    def __call__(self, x: Any) -> Array:
        """``[*batch, n_in]`` to ``[*batch, n_out]``."""
        x, frequencies = dtypes.promote_dtype(
            (checked_input(x, self.n_in, self.param_dtype), self.frequencies[...]), dtype=None
        )
        # a phase in low precision is noise: TF32 has three digits, and phases count in whole turns
        sine, cosine = sincos(2 * pi * jnp.matmul(x, frequencies, precision="highest"))
        return jnp.concatenate([cosine, sine], axis=-1)

    @property
    def config(self) -> dict[str, Any]:
        """What :meth:`from_config` rebuilds the embedding from, ready for JSON; B is in the state."""
        return {
            "n_in": self.n_in,
            "n_out": self.n_out,
            "scale": self.scale,
            "trained": isinstance(self.frequencies, nnx.Param),
            "param_dtype": jnp.dtype(self.param_dtype).name,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, rngs: nnx.Rngs) -> FourierFeatures:
        """An embedding as ``config`` described it, with frequencies drawn anew."""
        return cls(**config, rngs=rngs)

    def __repr__(self) -> str:
        trained = ", trained=True" if isinstance(self.frequencies, nnx.Param) else ""
        return f"FourierFeatures({self.n_in}, {self.n_out}, scale={self.scale:g}{trained})"

    __str__ = __repr__
