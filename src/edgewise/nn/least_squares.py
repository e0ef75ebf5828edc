"""A layer's parameters by linear least squares: for fixed inputs its output is linear in them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from edgewise.errors import DataError, ShapeError
from edgewise.nn.layer import KANLayer

__all__ = ["fit_layer"]


def fit_layer(layer: KANLayer, x: Any, y: Any) -> None:
    """Give ``layer`` the coefficients, residual kernel and bias with which it comes closest to ``y`` at ``x``.

    By singular values in float64; directions that the dtype of the parameters could not hold are left out.  Trained
    parameters of the basis stay; edge scales become 1.

    Args:
        x: ``[n, n_in]``.
        y: ``[n, n_out]``, or ``[n]`` for one output.

    Raises:
        ShapeError: for x and y that do not fit.
        DataError: for values that are not finite.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    y = y[:, None] if y.ndim == 1 else y
    if x.ndim != 2 or x.shape[1] != layer.n_in or y.shape != (len(x), layer.n_out) or not len(x):
        expected = f"expected (n, {layer.n_in}) and (n, {layer.n_out})"
        raise ShapeError(f"inputs {x.shape} and targets {y.shape} do not fit: {expected}.")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise DataError("inputs or targets are not finite.", "least squares would make every parameter NaN.")
    parts = _columns(layer, x)
    matrix = np.concatenate(parts, axis=1)
    tolerance = float(jnp.finfo(layer.param_dtype).eps) * max(matrix.shape)
    solution = np.linalg.lstsq(matrix, y, rcond=tolerance)[0]
    found = np.split(solution, np.cumsum([part.shape[1] for part in parts])[:-1])
    for variable, values in zip((layer.coef, layer.residual_kernel, layer.bias), found, strict=True):
        if variable is not None:
            variable[...] = jnp.asarray(values.reshape(variable.shape), layer.param_dtype)
    if layer.edge_scale is not None:
        layer.edge_scale[...] = jnp.ones_like(layer.edge_scale[...])


def _columns(layer: KANLayer, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Modes, residual and constant at ``x`` in float64, ``[n, columns]`` each."""
    with jax.enable_x64(True):
        state = {name: jnp.asarray(np.asarray(value[...], np.float64)) for name, value in layer.basis_state.items()}
        modes = layer.basis.stacked(jnp.asarray(x), state)[:, layer.first_mode :]
        residual = x[:, :0] if layer.residual is None else np.asarray(layer.residual(jnp.asarray(x)))
        return np.asarray(modes.reshape(len(x), -1)), residual, np.ones((len(x), int(layer.bias is not None)))
