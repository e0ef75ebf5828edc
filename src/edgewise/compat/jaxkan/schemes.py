"""jaxKAN's ``init_scheme`` dictionaries as our schemes, and parameters drawn as jaxKAN draws them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jax.core import Tracer

from edgewise.bases import State
from edgewise.errors import ShapeError, check_choice, check_count, check_keywords
from edgewise.init import Default, Glorot, GlorotFine, Initializer, LeCun, Moments, Power
from edgewise.nn import KANLayer

__all__ = ["draw"]

# jaxKAN's name: (our name, jaxKAN's default)
_POWER = {
    "const_b": ("basis_constant", 1.0),
    "pow_b1": ("basis_size_power", 0.5),  # 1 is the basis size and 2 the fan-in, as its code has it
    "pow_b2": ("basis_fan_in_power", 0.5),
    "const_r": ("residual_constant", 1.0),
    "pow_r1": ("residual_size_power", 0.5),
    "pow_r2": ("residual_fan_in_power", 0.5),
}
_SAMPLED = {"distribution": ("distribution", "uniform"), "gain": ("gain", None), "sample_size": ("sample_size", 10000)}
_SCHEMES: dict[str, tuple[Callable[..., Initializer], Mapping[str, tuple[str, Any]]]] = {
    "default": (Default, {}),
    "power": (Power, _POWER),
    "lecun": (LeCun, _SAMPLED),
    "glorot": (Glorot, _SAMPLED),
    "glorot_fine": (GlorotFine, _SAMPLED),
}
_KEYS = ("type", "std", "c_res", "c_basis", *_POWER, *_SAMPLED)

# unit draws of the laws, before any correction: jaxKAN's truncated normal has 0.88 of the deviation that it is given
_UNITS = {
    "normal": jax.random.normal,
    "truncated_normal": lambda key, shape: jax.random.truncated_normal(key, -2.0, 2.0, shape),
    "uniform": lambda key, shape: jax.random.uniform(key, shape, minval=-(3**0.5), maxval=3**0.5),
}


def draw(
    init_scheme: Mapping[str, Any] | None, layer: KANLayer, state: State, parts: int, seed: Any, rngs: nnx.Rngs
) -> tuple[Any, Any]:
    """``c_res`` ``[n_out, n_in]`` or None, and the coefficients ``[parts, n_out, n_in, modes / parts]``.

    Keys are taken from ``rngs`` and shapes drawn in jaxKAN's order: the residual first.

    Args:
        init_scheme: jaxKAN's dictionary; None is ``{"type": "default"}``.
        layer: the translated layer, of which only the architecture is used.
        state: that of its basis.
        seed: of the sample that jaxKAN takes its moments from.

    Raises:
        EdgewiseError: for an unknown type or key, or arrays of a wrong shape.
    """
    options = {key: value for key, value in (init_scheme or {}).items() if value is not None}
    check_keywords("init_scheme", options, _KEYS)
    kind = options.get("type", "default")
    check_choice("type of init_scheme:", kind, [*_SCHEMES, "custom"])
    stats = layer.stats
    nodes, terms = (stats.fan_out, stats.fan_in), stats.terms
    shape = (parts, *nodes, stats.modes // parts)
    if kind == "custom":
        c_res = _given(options, "c_res", nodes) if stats.residual else None
        return c_res, _given(options, "c_basis", (*nodes, stats.modes)).reshape(shape)

    def moments(distribution, sample_size):
        points, weights = _sample(distribution, sample_size, seed)
        return Moments(layer.basis, state, layer.residual, points, weights, first=layer.first_mode)

    if "std" in options:
        stats = replace(stats, default_basis=(options["std"], stats.default_basis[1]))
    scheme, names = _SCHEMES[kind]
    scales = scheme(**{ours: options.get(theirs, default) for theirs, (ours, default) in names.items()})(
        replace(stats, size=terms, moments=moments)
    )
    c_res = _UNITS[scales.residual_law](rngs.params(), nodes) * scales.residual if stats.residual else None
    std = jnp.broadcast_to(jnp.asarray(scales.basis, float), (stats.modes,)).reshape(parts, 1, 1, -1)
    return c_res, _UNITS[scales.basis_law](rngs.params(), shape) * std


def _sample(distribution: Any, size: int, seed: Any) -> tuple[np.ndarray, np.ndarray]:
    """The points that jaxKAN averages over, with equal weights: of [-1, 1] whatever the basis' domain, or normal.

    A traced seed (construction under ``vmap``) has no points to look at: there, those of seed 0.
    """
    check_choice("distribution of init_scheme:", distribution, ("uniform", "normal"))
    check_count("sample_size", size)
    with jax.ensure_compile_time_eval():
        key = jax.random.key(0 if isinstance(seed, Tracer) else seed)
        if distribution == "uniform":
            points = jax.random.uniform(key, (size,), minval=-1.0, maxval=1.0)
        else:
            points = jax.random.normal(key, (size,))
        return np.asarray(points, np.float64), np.full(size, 1 / size)


def _given(options: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> Array:
    """The user's array of a custom scheme; the base layer's may have its nodes on one axis."""
    value = options.get(name)
    flat = (shape[0] * shape[1], *shape[2:])
    if value is None or np.shape(value) not in (shape, flat):
        found = "is missing" if value is None else f"has shape {np.shape(value)}"
        raise ShapeError(
            f"init_scheme: {name} {found}, expected {shape}.",
            "a custom scheme gives every parameter, [n_out, n_in] and [n_out, n_in, modes].",
            f"pass an array of shape {shape}; a bias makes Chebyshev and Legendre layers drop mode 0.",
        )
    return jnp.asarray(value, float).reshape(shape)
