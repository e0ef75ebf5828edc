"""Pictures of a study, as matplotlib figures that touch no global state.

Colours are those of Okabe and Ito (2008), told apart with every kind of colour vision, with a dash pattern per scheme
on top, and labels stand at the lines themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewise._figures import FAINT, INK, blank_figure, plain_frame
from edgewise.errors import require
from edgewise.study.comparison import Comparison, show
from edgewise.training.history import plain_log_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["figures"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1", "#8a7a5c")
DASHES = ((), (5, 1.5), (1.5, 1.5), (7, 1.5, 1.5, 1.5), (3, 1), (9, 2), (1, 1, 4, 1), (2, 3))
ORDER = ("default", "lecun", "glorot", "glorot_fine", "power", "balanced", "lowest_mode_first", "residual_first")
MAX_LABELLED_CLASSES = 12


def figures(result: Comparison) -> dict[str, Figure]:
    """The figures of a study by name: ``loss``, ``scores`` and ``fit``.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require("matplotlib", "plot")
    fit = confusion_figure if result.task.kind == "classification" else fit_figure
    made = {"loss": loss_figure(result), "scores": score_figure(result), "fit": fit(result)}
    for figure in made.values():
        # Laid out once here, not again for every file.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return made


def loss_figure(result: Comparison) -> Figure:
    """Median training loss of each scheme, with the band between the quartiles, on a logarithmic axis."""
    figure = blank_figure(8.6, 4.6)
    axes = figure.add_subplot()
    ends = []
    for name in [row.scheme for row in result.rows]:
        low, median, high = result.curves.train[result.names.index(name)]
        colour, dashes = _style(name, result.names)
        x = result.curves.epochs
        finite = np.isfinite(median) & (median > 0)
        if not finite.any():
            continue
        axes.plot(x[finite], median[finite], color=colour, dashes=dashes or (None, None), linewidth=1.8)
        band = finite & np.isfinite(high) & (low > 0)
        axes.fill_between(x, low, high, where=band.tolist(), color=colour, alpha=0.15, linewidth=0)
        ends.append((float(x[finite][-1]), float(median[finite][-1]), name, colour))
    axes.set_yscale("log")
    axes.set_xlim(0, max(result.completed, 1))
    axes.set_xlabel("epoch")
    axes.set_ylabel(f"training loss ({result.settings['loss'].replace('_', ' ')})")
    axes.set_title(f"median over {len(result.seeds)} seeds, band: quartiles", fontsize=9, color=FAINT, loc="left")
    plain_frame(axes)
    _label_ends(figure, axes, ends)
    return figure


def score_figure(result: Comparison) -> Figure:
    """Every run's test score, a row per scheme, the best on top: box from quartile to quartile, median, single runs."""
    rows = result.rows
    figure = blank_figure(8.6, 1.1 + 0.46 * len(rows))
    axes = figure.add_subplot()
    jitter = np.random.default_rng(0).uniform(-0.16, 0.16, len(result.seeds))
    published = False
    for position, row in enumerate(rows):
        colour, _ = _style(row.scheme, result.names)
        scores = result.scores[result.names.index(row.scheme)]
        finite = np.isfinite(scores)
        if finite.sum() > 1:
            box = axes.boxplot([scores[finite]], positions=[position], widths=0.56, orientation="horizontal",
                               showfliers=False, patch_artist=True, manage_ticks=False)  # fmt: skip
            for part in (*box["boxes"], *box["whiskers"], *box["caps"]):
                part.set(color=colour, linewidth=1.1)
            for part in box["boxes"]:
                part.set(facecolor=colour + "2e")
            for part in box["medians"]:
                part.set(color=INK, linewidth=1.8)
        axes.scatter(scores[finite], position + jitter[finite], s=11, color=colour, alpha=0.75, linewidths=0, zorder=3)
        if row.reference is not None:
            published = True
            axes.scatter([row.reference], [position], marker="D", s=42, facecolors="none", edgecolors=INK, zorder=4)
        if row.diverged:
            note = f"{row.diverged} of {len(scores)} diverged"
            axes.annotate(note, (1.0, position), xycoords=("axes fraction", "data"), xytext=(4, 0),
                          textcoords="offset points", va="center", fontsize=8, color=INK)  # fmt: skip
    axes.set_yticks(range(len(rows)), [literal(row.scheme) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    finite_scores = result.scores[np.isfinite(result.scores)]
    if not result.task.higher_is_better and finite_scores.size and finite_scores.min() > 0:
        axes.set_xscale("log")
        plain_log_ticks(axes.xaxis, float(finite_scores.max() / finite_scores.min()))
    axes.set_xlabel(result.task.score_name)
    legend = "dot: one seed · box: quartiles · line: median" + (" · diamond: published (one seed)" if published else "")
    axes.set_title(legend, fontsize=9, color=FAINT, loc="left")
    plain_frame(axes)
    return figure


def fit_figure(result: Comparison) -> Figure:
    """Prediction against truth on the test rows, for the run of median score of the best and of the worst scheme."""
    chosen = _best_and_worst(result)
    figure = blank_figure(8.6, 4.4)
    truth = result.task.unscale(result.task.y_test)
    for position, name in enumerate(chosen):
        axes = figure.add_subplot(1, len(chosen), position + 1)
        i, j = result.names.index(name), _median_run(result, name)
        prediction = result.task.unscale(result.predictions[i, j])
        ends = [float(truth.min()), float(truth.max())]
        axes.plot(ends, ends, color=FAINT, linewidth=1, zorder=1)
        axes.scatter(
            truth.ravel(), prediction.ravel(), s=12, color=_style(name, result.names)[0], alpha=0.6, linewidths=0
        )
        target = literal(result.task.target_names[0]) if len(result.task.target_names) == 1 else "target"
        axes.set_xlabel(f"true {target}")
        axes.set_ylabel(f"predicted {target}" if position == 0 else "")
        axes.set_title(_run_title(result, name, j, position), fontsize=9.5, color=INK, loc="left")
        plain_frame(axes)
    _share_limits(figure)
    return figure


def confusion_figure(result: Comparison) -> Figure:
    """Confusion matrices on the test rows, for the run of median score of the best and of the worst scheme."""
    chosen = _best_and_worst(result)
    classes = [literal(name) for name in result.task.class_names]
    many = len(classes) > MAX_LABELLED_CLASSES
    long_labels = max(len(name) for name in classes) > 3
    figure = blank_figure(8.6, 4.6)
    for position, name in enumerate(chosen):
        axes = figure.add_subplot(1, len(chosen), position + 1)
        i, j = result.names.index(name), _median_run(result, name)
        predicted = result.predictions[i, j].argmax(axis=-1)
        matrix = np.zeros((len(classes), len(classes)), int)
        np.add.at(matrix, (result.task.y_test, predicted), 1)
        share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1.15, aspect="auto")
        if not many:
            for (row, column), count in np.ndenumerate(matrix):
                colour = "white" if share[row, column] > 0.6 else "#24292f" if count else "#9aa0a6"
                axes.text(column, row, str(count), ha="center", va="center", fontsize=8, color=colour)
            axes.set_xticks(
                range(len(classes)), classes, rotation=30 if long_labels else 0, ha="right" if long_labels else "center"
            )
            axes.set_yticks(range(len(classes)), classes if position == 0 else [""] * len(classes))
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class" if position == 0 else "")
        axes.set_title(_run_title(result, name, j, position), fontsize=9.5, color=INK, loc="left")
        plain_frame(axes, grid=False)
    return figure


def _style(name: str, names: tuple[str, ...]) -> tuple[str, tuple[int | float, ...]]:
    """Colour and dashes: a shipped scheme always has its own; others take what is left."""
    others = [other for other in names if other not in ORDER]
    taken = [ORDER.index(other) for other in names if other in ORDER]
    free = [i for i in range(len(COLOURS)) if i not in taken] or list(range(len(COLOURS)))
    index = ORDER.index(name) if name in ORDER else free[others.index(name) % len(free)]
    return COLOURS[index], DASHES[index]


def _label_ends(figure: Figure, axes: Axes, ends: list[tuple[float, float, str, str]]) -> None:
    """Names at the right ends (x, y, name, colour) of the lines, pushed apart where they would overlap."""
    if not ends:
        return
    low, high = np.log10(axes.get_ylim())
    gap = 12.5 / (0.85 * figure.get_figheight() * 72)  # a line of text, as a fraction of the axes
    ordered = sorted(ends, key=lambda end: end[1])
    placed = _spread(np.array([(np.log10(end[1]) - low) / (high - low) for end in ordered]), gap)
    for (x, y, name, colour), place in zip(ordered, placed, strict=True):
        line = {"arrowstyle": "-", "color": colour, "linewidth": 0.8, "shrinkA": 1, "shrinkB": 0, "relpos": (0, 0.5)}
        axes.annotate(literal(name), (x, y), xytext=(1.035, place), textcoords="axes fraction", va="center",
                      fontsize=9.5, color=colour, weight="bold", annotation_clip=False, arrowprops=line)  # fmt: skip


def _spread(wanted: np.ndarray, gap: float) -> np.ndarray:
    """Ascending positions at least ``gap`` apart and as near to ``wanted`` (ascending) as pushing pairs apart gets."""
    placed = wanted.copy()
    for _ in range(200):
        for i in range(len(placed) - 1):
            overlap = gap - (placed[i + 1] - placed[i])
            if overlap > 1e-9:
                placed[i] -= overlap / 2
                placed[i + 1] += overlap / 2
    return placed + max(0.0, -placed.min()) - max(0.0, placed.max() - 1.0)


def _best_and_worst(result: Comparison) -> list[str]:
    """The best scheme, and the last in rank that has a finite run."""
    finite = [row.scheme for row in result.rows if row.diverged < len(result.seeds)]
    return finite[:1] + finite[-1:] if len(finite) > 1 else finite


def _median_run(result: Comparison, name: str) -> int:
    """The run whose score is the middle one of the scheme's finite runs."""
    scores = result.scores[result.names.index(name)]
    return int(np.argsort(scores)[(np.isfinite(scores).sum() - 1) // 2])


def _run_title(result: Comparison, name: str, run: int, position: int) -> str:
    score = show(float(result.scores[result.names.index(name), run]))
    rank = "best" if position == 0 else "last"
    return f"{literal(name)} ({rank})\nmedian run: seed {result.seeds[run]}, {result.task.score_name} {score}"


def literal(name: str) -> str:
    """``name`` as it is: a dollar sign would start a formula."""
    return name.replace("$", r"\$")


def _share_limits(figure: Any) -> None:
    limits: Callable[[str], list[float]] = lambda axis: [
        v for axes in figure.axes for v in getattr(axes, f"get_{axis}lim")()
    ]
    for axis in ("x", "y"):
        values = limits(axis)
        for axes in figure.axes:
            getattr(axes, f"set_{axis}lim")(min(values), max(values))
