"""Pictures of a run: how the loss fell, and what is predicted where the truth is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewise._figures import FAINT, INK, blank_figure, figure_bytes, inline_svg, plain_frame
from edgewise.cli.scores import confusion_matrix
from edgewise.cli.summary import score_text
from edgewise.errors import require
from edgewise.study.plots import COLOURS, MAX_LABELLED_CLASSES, literal
from edgewise.training.history import plain_log_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from edgewise.cli.runs import Run

__all__ = ["class_figure", "curve_figure", "fit_figure", "pictures"]

MOST_TARGETS, MOST_POINTS = 6, 3000


def pictures(run: Run) -> dict[str, str]:
    """SVG elements by caption.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require("matplotlib", "plot")
    preprocessor, part = run.table.preprocessor, run.table.judged
    rows = "test rows" if part is run.table.test else "training rows"
    if preprocessor.classes:
        predicted = run.outcome.argmax(axis=1)
        drawn = {f"True and predicted classes, {rows}": class_figure(part.y, predicted, preprocessor.classes)}
    else:
        truth = part.y.reshape(len(part.y), -1)
        drawn = {f"Predicted against true, {rows}": fit_figure(truth, run.outcome, preprocessor.targets)}
    drawn = {"Loss while training": curve_figure(run.metrics["curve"])} | drawn
    return {caption: inline_svg(figure_bytes(figure, "svg")) for caption, figure in drawn.items()}


def curve_figure(curve: Mapping[str, Sequence[Any]]) -> Figure:
    """Loss over the steps, on a logarithmic axis where it is above 0; a cross at the least validation loss.

    ``curve`` has pairs of a step and a loss by part of the data; a loss that is not finite is None.
    """
    figure = blank_figure(8.6, 4.0)
    axes = figure.add_subplot()
    lowest, highest = np.inf, -np.inf
    for (part, points), colour, dashes in zip(curve.items(), COLOURS, ((None, None), (5, 1.5)), strict=False):
        if not points:
            continue
        steps, losses = np.array(points, np.float64).T  # None becomes NaN, which leaves a gap
        lowest, highest = np.nanmin(losses, initial=lowest), np.nanmax(losses, initial=highest)
        label = part
        if part == "validation" and np.isfinite(losses).any():
            best = int(np.nanargmin(losses))
            axes.plot(steps[best], losses[best], marker="x", color=colour, markersize=8, markeredgewidth=2)
            label = f"validation, least {score_text(float(losses[best]))} at step {steps[best]:.0f}"
        axes.plot(steps, losses, color=colour, dashes=dashes, linewidth=1.8, label=label,
                  marker="o" if len(steps) == 1 else None)  # fmt: skip
    if 0 < lowest < np.inf:
        axes.set_yscale("log")
        plain_log_ticks(axes.yaxis, float(highest / lowest))
    axes.set_xlim(left=0)
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    if len([points for points in curve.values() if points]) > 1:
        axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    plain_frame(axes)
    return figure


def fit_figure(truth: np.ndarray, predicted: np.ndarray, targets: Sequence[str]) -> Figure:
    """Predicted against true values, ``[n, n_targets]`` each: a panel a target, the diagonal is perfect."""
    shown = targets[:MOST_TARGETS]
    across = min(3, len(shown))
    down = -(-len(shown) // across)
    figure = blank_figure(8.6 if across > 1 else 5.6, {1: 5.0, 2: 4.4, 3: 3.4}[across] * down)
    rows = np.random.default_rng(0).permutation(len(truth))[:MOST_POINTS]
    for i, name in enumerate(shown):
        axes = figure.add_subplot(down, across, i + 1)
        values = np.concatenate([truth[:, i], predicted[:, i]])
        low, high = float(values.min()), float(values.max())
        margin = 0.04 * (high - low or 1.0)
        axes.plot([low, high], [low, high], color=FAINT, linewidth=1, zorder=1)
        axes.scatter(truth[rows, i], predicted[rows, i], s=14, color=COLOURS[0], alpha=0.6, linewidths=0)
        axes.set_xlim(low - margin, high + margin)
        axes.set_ylim(low - margin, high + margin)
        axes.set_aspect("equal")
        axes.set_xlabel(f"true {literal(name)}")
        axes.set_ylabel(f"predicted {literal(name)}")
        plain_frame(axes)
    return figure


def class_figure(truth: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> Figure:
    """The confusion matrix of class numbers ``[n]`` and ``[n]``: rows are true classes, shaded by their share."""
    from matplotlib.colors import LinearSegmentedColormap

    matrix = confusion_matrix(truth, predicted, len(classes))
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    size = min(3.2 + 0.45 * len(classes), 8.6)
    figure = blank_figure(size + 0.6, size)
    axes = figure.add_subplot()
    edges = np.arange(len(classes) + 1) - 0.5
    # no share at all is the ground of the page, light or dark
    shades = LinearSegmentedColormap.from_list("share", [COLOURS[0] + "00", COLOURS[0]])
    axes.pcolormesh(edges, edges, share, cmap=shades, vmin=0, vmax=1, edgecolors=FAINT + "55", linewidth=0.5)
    axes.set_aspect("equal")
    axes.invert_yaxis()
    if len(classes) <= MAX_LABELLED_CLASSES:
        _label_cells(axes, matrix, share, [literal(name) for name in classes])
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    plain_frame(axes, grid=False)
    return figure


def _label_cells(axes: Axes, matrix: np.ndarray, share: np.ndarray, names: Sequence[str]) -> None:
    for (row, column), count in np.ndenumerate(matrix):
        colour = "white" if share[row, column] > 0.55 else INK if count else FAINT
        axes.text(column, row, str(count), ha="center", va="center", fontsize=9, color=colour)
    slanted: dict[str, Any] = {"rotation": 30, "ha": "right"} if max(map(len, names)) > 3 else {}
    axes.set_xticks(range(len(names)), names, **slanted)
    axes.set_yticks(range(len(names)), names)
