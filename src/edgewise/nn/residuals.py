"""Residual activations by name, and how any named function is written into a configuration."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, cast

import jax.numpy as jnp
from flax import nnx
from jax import Array

from edgewise.errors import EdgewiseError, UnimportableError, check_choice

__all__ = ["RESIDUALS", "PicklesResidual", "Residual", "residual_name", "resolve_residual"]

Residual = Callable[[Array], Array]


def identity(x: Array) -> Array:
    """x."""
    return x


RESIDUALS: dict[str, Residual] = {
    "silu": nnx.silu,
    "gelu": nnx.gelu,
    "relu": nnx.relu,
    "elu": nnx.elu,
    "softplus": nnx.softplus,
    "sigmoid": nnx.sigmoid,
    "tanh": nnx.tanh,
    "sin": jnp.sin,
    "identity": identity,
}
"""Residual activations by name."""


def resolve_residual(residual: Residual | str | None) -> Residual | None:
    """The function that ``residual`` names: one of ``RESIDUALS``, "module:function", the function itself, or None."""
    if residual is None or residual == "none":
        return None
    if isinstance(residual, str):
        module, colon, name = residual.partition(":")
        if colon:
            return _imported(residual, module, name)
        check_choice("residual", residual, RESIDUALS)
        return RESIDUALS[residual]
    if not callable(residual):
        raise EdgewiseError(f"residual={residual!r} is neither a function nor a name.", do='pass say residual="silu".')
    if getattr(residual, "__name__", "") == "<lambda>":
        raise EdgewiseError(
            "residual is a lambda.",
            "every lambda is a new function: compiled code is traced again, and the model cannot be saved.",
            "def my_residual(x): ... at module level, and pass residual=my_residual.",
        )
    return residual


def _imported(residual: str, module: str, name: str) -> Residual:
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        found = None
    if not callable(found):
        raise UnimportableError(
            f"residual={residual!r} leads to no function.",
            "it means a function of a module that can be imported.",
            f'pass say residual="jax.numpy:sinh", or one of {", ".join(RESIDUALS)}.',
        )
    return cast(Residual, found)


def residual_name(residual: Residual | None) -> str | None:
    """The name that :func:`resolve_residual` turns back into ``residual``."""
    for name, function in RESIDUALS.items():
        if function is residual:
            return name
    return None if residual is None else f"{residual.__module__}:{getattr(residual, '__qualname__', residual)}"


class PicklesResidual(nnx.Module):
    """A module with a ``residual``, pickled by its name: pickle refuses compiled functions such as ``nnx.silu``."""

    residual: Residual | None

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"residual": _by_name(self.residual)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if isinstance(state["residual"], str):
            state = state | {"residual": resolve_residual(state["residual"])}
        super().__setstate__(state)


def _by_name(residual: Residual | None) -> Residual | str | None:
    """The residual's name where that leads back to it, the function itself elsewhere."""
    name = residual_name(residual)
    try:
        return name if resolve_residual(name) is residual else residual
    except EdgewiseError:
        return residual
