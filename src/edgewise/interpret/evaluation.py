"""A model, or any function, as a function of samples; and what is asked of the samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx

from edgewise.errors import DataError, EdgewiseError, ShapeError
from edgewise.interpret.observing import ROWS, column_names, spread_rows

__all__ = ["Subject", "columns_of", "interval_of", "mixed", "partners", "subject_of"]

LEVEL = 0.95
"""Of the bootstrap intervals."""

_ROUNDING = 1e-6  # of a value in float32, after a few layers


class Subject(NamedTuple):
    """What is looked at.

    Attributes:
        outputs: the function, ``[n, d]`` to ``[n, k]``, NumPy arrays in float64.
        x: the samples, ``[n, d]``, at most 4096.
        y: the targets, ``[n, k]``, or None.
        names: of the columns of x.
    """

    outputs: Callable[[np.ndarray], np.ndarray]
    x: np.ndarray
    y: np.ndarray | None
    names: tuple[str, ...]

    def errors(self, noise: Any) -> np.ndarray:
        """The model's own error by output, ``[k]``, in units of y; that of rounding at least.

        ``noise`` is the root mean square error relative to the standard deviation of the outputs; None computes it
        from y, and is 0 without y.
        """
        values = self.outputs(self.x)
        if not np.isfinite(values).all():
            raise DataError("the function is not finite on the data.", do="leave out the rows where it is not.")
        rounding = _ROUNDING * np.sqrt(np.mean(values**2, axis=0))
        if noise is not None:
            if isinstance(noise, bool) or not isinstance(noise, int | float) or not 0 <= noise < np.inf:
                raise EdgewiseError(f"noise must be a finite number from 0, got {noise!r}.", do="pass say 0.01.")
            return np.maximum(rounding, noise * values.std(axis=0))
        if self.y is None:
            return rounding
        if self.y.shape != values.shape:
            raise ShapeError(f"the model has outputs {values.shape}, and y is {self.y.shape}.")
        return np.maximum(rounding, np.sqrt(np.mean((values - self.y) ** 2, axis=0)))


def subject_of(model: Any, data: Any, features: Sequence[str] | None = None) -> Subject:
    """``model`` on ``data``: a module, a fitted estimator's network, or a function of ``[n, d]``; X or (X, y).

    Raises ``EdgewiseError`` for what cannot be called, ``ShapeError`` for data or names of the wrong shape, and
    ``DataError`` for values that are not finite.
    """
    x, y = (data[0], data[1]) if isinstance(data, tuple | list) and len(data) in (2, 3) else (data, None)
    x = np.asarray(x)
    if x.dtype.kind not in "biuf":
        raise DataError(f"x of {x.dtype} is no array of numbers.", do="encode text and dates as numbers first.")
    model = getattr(model, "model_", model)
    wanted = getattr(model, "n_features", None) if isinstance(model, nnx.Module) else None
    if x.ndim != 2 or not x.size or (wanted is not None and x.shape[1] != wanted):
        raise ShapeError(
            f"expected (n, {'d' if wanted is None else wanted}), got {x.shape}.", do="pass rows of features."
        )
    rows = spread_rows(len(x), ROWS)
    if y is not None:
        y = np.asarray(y, np.float64)
        if len(y) != len(x):
            raise ShapeError(f"x has {len(x)} rows, and y {len(y)}.")
        y = y.reshape(len(y), -1)[rows]
    x = x[rows].astype(np.float64)
    if not np.isfinite(x).all() or (y is not None and not np.isfinite(y).all()):
        raise DataError("x or y has values that are not finite.", do="fill in or remove such rows.")
    return Subject(_function(model), x, y, column_names(x.shape[1], features))


def columns_of(names: Sequence[str], group: Any) -> list[int]:
    """The columns that a name, a number or several of them stand for, each once.

    Raises ``EdgewiseError`` for one that does not exist, or comes twice.
    """
    parts = [group] if isinstance(group, str) or hasattr(group, "__index__") else list(group)
    columns = []
    for part in parts:
        known = part in names if isinstance(part, str) else hasattr(part, "__index__") and 0 <= part < len(names)
        if not known:
            raise EdgewiseError(
                f"there is no feature {part!r}.", do=f"pass one of {', '.join(names)}, or a column from 0."
            )
        columns.append(list(names).index(part) if isinstance(part, str) else part.__index__())
    if not columns or len(set(columns)) < len(columns):
        raise EdgewiseError(f"{group!r} is empty, or names a feature twice.", do="name each feature once.")
    return columns


def partners(x: np.ndarray, pairs: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of different samples, ``[pairs, d]`` each.

    Raises ``DataError`` for fewer than two samples.
    """
    if len(x) < 2:
        raise DataError("there is one sample.", "samples are compared with each other.", "pass at least two.")
    first = random.integers(len(x), size=pairs)
    return x[first], x[(first + random.integers(1, len(x), size=pairs)) % len(x)]


def mixed(x: np.ndarray, other: np.ndarray, columns: Sequence[int]) -> np.ndarray:
    """``x`` with ``columns`` from ``other``."""
    found = x.copy()
    found[:, columns] = other[:, columns]
    return found


def interval_of(values: np.ndarray) -> np.ndarray:
    """Low and high, ``[2, ...]``, of bootstrap samples ``[B, ...]``."""
    return np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)


def _function(model: Any) -> Callable[[np.ndarray], np.ndarray]:
    if not callable(model):
        raise EdgewiseError(
            f"{type(model).__name__} is no function.", do="pass a KAN, or f with f(x) of [n] or [n, k] for x of [n, d]."
        )
    function = partial(_module_outputs, *nnx.split(model)) if isinstance(model, nnx.Module) else model

    def outputs(x: np.ndarray) -> np.ndarray:
        # batches of few sizes, since each is compiled
        size = min(ROWS, 1 << (len(x) - 1).bit_length())
        padded = np.concatenate([x, np.repeat(x[-1:], -len(x) % size, axis=0)])
        values = [np.asarray(function(batch), np.float64) for batch in np.split(padded, len(padded) // size)]
        if values[0].ndim not in (1, 2) or len(values[0]) != size:
            raise ShapeError(f"f(x) is {values[0].shape} for x of {(size, x.shape[1])}.", do="return [n] or [n, k].")
        return np.concatenate(values)[: len(x)].reshape(len(x), -1)

    return outputs


@partial(jax.jit, static_argnums=0)
def _module_outputs(graphdef: Any, state: Any, x: Any) -> Any:
    return nnx.merge(graphdef, state)(x)
