"""How the output depends on one feature or two, the others as they are in the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgewise.errors import DataError, EdgewiseError, check_choice, check_count, require
from edgewise.interpret.evaluation import columns_of, subject_of
from edgewise.interpret.observing import spread_rows

__all__ = ["Dependence", "partial_dependence"]

_ROWS_AT_ONCE = 200_000
_COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb")


@dataclass(frozen=True)
class Dependence:
    """What :func:`partial_dependence` found.

    Attributes:
        features: names of the one or two features.
        kind: "average" or "individual".
        grid: the values of each feature, ``[G]`` each.
        values: "average": ``[G]``, or ``[G1, G2]`` for two features; "individual": ``[n, G]``, a row a sample. A last
            axis of k where the model has several outputs.
        n_outputs: k.
        data: values of the features in the samples, ``[n]`` each.
    """

    features: tuple[str, ...]
    kind: str
    grid: tuple[np.ndarray, ...]
    values: np.ndarray
    n_outputs: int
    data: tuple[np.ndarray, ...]

    def plot(self, ax: Any = None, *, output: int | None = None) -> Any:
        """Draw curves, or for two features filled contours (``ax``, or a new one); returns the Matplotlib axes.

        ``output`` picks one of several; by default curves are of all of them, contours of the first.  Short strokes at
        the edge are the deciles of the data.

        Raises ``EdgewiseError`` for an output that does not exist, ``MissingExtraError`` without Matplotlib.
        """
        if output is not None and check_count("output", output, 0) >= self.n_outputs:
            raise EdgewiseError(f"there is no output {output}.", do=f"pass a number from 0 to {self.n_outputs - 1}.")
        if ax is None:
            ax = require("matplotlib.figure", "plot").Figure(figsize=(6, 4), layout="constrained").add_subplot()
        values = self.values if self.n_outputs > 1 else self.values[..., None]
        if len(self.features) == 2:
            self._contours(ax, values[..., output or 0])
        else:
            self._curves(ax, values, range(self.n_outputs) if output is None else [output])
        ax.spines[["top", "right"]].set_visible(False)
        return ax

    def _curves(self, ax: Any, values: np.ndarray, outputs: Sequence[int]) -> None:
        grid = self.grid[0]
        for k in outputs:
            color = _COLORS[k % len(_COLORS)]
            mean = values[..., k]
            if self.kind == "individual":
                shown = mean[spread_rows(len(mean), 100)]
                ax.plot(grid, shown.T, color=color, linewidth=0.5, alpha=0.3)
                mean = mean.mean(axis=0)
            ax.plot(grid, mean, color=color, linewidth=1.8, label=f"output {k}")
        if len(outputs) > 1:
            ax.legend(frameon=False)
        self._deciles(ax, 0)
        ax.set_xlabel(self.features[0])
        ax.set_ylabel("output" if self.n_outputs == 1 or len(outputs) > 1 else f"output {outputs[0]}")

    def _contours(self, ax: Any, values: np.ndarray) -> None:
        if np.ptp(values):
            filled = ax.contourf(*self.grid, values.T, levels=12, cmap="viridis")
            ax.figure.colorbar(filled, ax=ax, label="output")
        for place in range(2):
            self._deciles(ax, place, "white")
        ax.set_xlabel(self.features[0])
        ax.set_ylabel(self.features[1])

    def _deciles(self, ax: Any, place: int, color: str = "#333333") -> None:
        deciles = np.quantile(self.data[place], np.linspace(0.1, 0.9, 9))
        low, high = self.grid[place][[0, -1]]
        deciles = deciles[(deciles >= low) & (deciles <= high)]
        if place == 0:
            ax.vlines(deciles, 0, 0.025, transform=ax.get_xaxis_transform(), color=color, linewidth=0.8)
        else:
            ax.hlines(deciles, 0, 0.02, transform=ax.get_yaxis_transform(), color=color, linewidth=0.8)


def partial_dependence(
    model: Any,
    data: Any,
    feature: Any,
    *,
    grid: Any = 50,
    features: Sequence[str] | None = None,
    kind: Any = "average",
    quantiles: Any = (0.05, 0.95),
) -> Dependence:
    """The output as a function of one feature or two, the others as they are in every sample, averaged or one by one.

    "average" is partial dependence, (1/n) sum_i f(x_S, x_iC) for features S and the others C (Friedman, Ann. Stat. 29
    (2001) 1189, section 8.2; Hastie, Tibshirani and Friedman, equation 10.48); "individual" its terms, curves of
    individual conditional expectation (Goldstein et al., J. Comput. Graph. Stat. 24 (2015) 44), of one feature.

    Args:
        model: a ``KAN``, any module, a fitted estimator (its network), or a function of ``[n, d]`` to ``[n]`` or
            ``[n, k]``.
        data: X ``[n, d]`` as the model gets it, or (X, y); at most 4096 samples are looked at.
        feature: a name, a column, or two of them.
        grid: number of values, evenly spread; all values of a feature that has fewer.
        features: names of the columns.
        kind: "average" or "individual".
        quantiles: of the feature, between which the values are.

    Raises:
        EdgewiseError: for more than two features, curves of two, an unknown kind, names or numbers that are not as said
            above, a feature that is constant between the quantiles, or data that cannot be used.
    """
    check_choice("kind", kind, ("average", "individual"))
    subject = subject_of(model, data, features)
    columns = columns_of(subject.names, feature)
    if len(columns) > (2 if kind == "average" else 1):
        raise EdgewiseError(
            f"{kind} dependence on {len(columns)} features.", do="pass one feature, or two with kind='average'."
        )
    low, high = _checked_quantiles(quantiles)
    axes = [_values(subject.x[:, i], check_count("grid", grid, 2), low, high, subject.names[i]) for i in columns]
    places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(columns))
    n, x = len(subject.x), subject.x
    found = []
    step = max(1, _ROWS_AT_ONCE // n)
    for start in range(0, len(places), step):
        some = places[start : start + step]
        rows = np.tile(x, (len(some), 1))
        rows[:, columns] = np.repeat(some, n, axis=0)
        values = subject.outputs(rows).reshape(len(some), n, -1)
        found.append(values.mean(axis=1) if kind == "average" else values)
    values = np.concatenate(found)
    k = values.shape[-1]
    values = np.moveaxis(values, 0, 1) if kind == "individual" else values.reshape(*map(len, axes), k)
    names = tuple(subject.names[i] for i in columns)
    return Dependence(names, kind, tuple(axes), values[..., 0] if k == 1 else values, k, tuple(x[:, columns].T))


def _checked_quantiles(quantiles: Any) -> tuple[float, float]:
    low, high = quantiles if np.shape(quantiles) == (2,) else (1, 0)
    if not 0 <= low < high <= 1:
        raise EdgewiseError(f"quantiles={quantiles!r} are no two rising numbers from 0 to 1.", do="pass (0.05, 0.95).")
    return float(low), float(high)


def _values(column: np.ndarray, grid: int, low: float, high: float, name: str) -> np.ndarray:
    own = np.unique(column)
    if 1 < len(own) < grid:
        return own
    start, stop = np.quantile(column, [low, high])
    if start == stop:
        raise DataError(f"{name} is {start:g} between its quantiles {low} and {high}.", do="pass wider quantiles.")
    return np.linspace(start, stop, grid)
