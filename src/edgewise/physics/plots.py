"""Pictures of a solution: what it is, what it should be, by how much it is off, and where the equation is missed.

Figures of matplotlib that touch no global state. Maps are in viridis and magma, curves in the colours of Okabe and Ito
(2008): told apart with every kind of colour vision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewise._figures import INK, blank_figure, figure_bytes, inline_svg, plain_frame
from edgewise.errors import ShapeError, require
from edgewise.physics.conditions import Data
from edgewise.physics.reference import Reference
from edgewise.physics.solution import Solution

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["figure_svg", "plot_solution", "plot_training"]

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_FINE = {1: 501, 2: 161}  # points along a coordinate where no reference says
_DECADES = 6  # of errors that a map tells apart
_LONG = 5  # times as long as wide, a domain is not drawn to scale, for it would be a line
_MOST_POINTS = 400  # measured points that are drawn


def plot_solution(solution: Solution, reference: Reference | None = None) -> Figure:
    """u, the reference, their distance and the residual, over the domain; errors on logarithmic scales.

    Over one coordinate as curves, over two as maps, a row for each output; of more coordinates the last two are drawn,
    at the last moment, and in the middle of what else there is.  A coordinate of which a reference has one value is
    not drawn.

    Args:
        solution: what ``solve`` gave back.
        reference: what to compare with; the problem's own where None, and nothing where it has none.

    Raises:
        ShapeError: for a reference of other coordinates or outputs, or of a single point.
        MissingExtraError: matplotlib is not installed.
    """
    require("matplotlib", "plot")
    if reference is None and solution.problem.reference is not None:
        reference = solution.reference
    view = _view(solution, reference)
    return _curves(solution, view) if len(view.axes) == 1 else _maps(solution, view)


def plot_training(solution: Solution) -> Figure:
    """The loss over the steps, of each window of time.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require("matplotlib", "plot")
    windows = solution.windows
    across = min(3, len(windows))
    down = -(-len(windows) // across)
    figure = blank_figure(5.6 if across == 1 else 3.9 * across, 3.4 * down)
    for index, window in enumerate(windows):
        axes = figure.add_subplot(down, across, index + 1)
        window.result.history.plot(axes)
        axes.locator_params("x", integer=True)
        for text in axes.texts:
            text.set_color(INK)
        if len(windows) > 1:
            axes.set_title(f"{window.stretch[0]:g} to {window.stretch[1]:g}", fontsize=9.5, color=INK, loc="left")
        plain_frame(axes)
    return figure


def figure_svg(figure: Figure) -> str:
    """``figure`` as an SVG element for a page, its maps at 160 dots per inch."""
    return inline_svg(figure_bytes(figure, "svg", dots=160))


@dataclass(frozen=True)
class _View:
    """Values over the coordinates that are drawn: ``[n_0, m]`` or ``[n_0, n_1, m]``, NaN where u is not known."""

    names: tuple[str, ...]
    axes: tuple[np.ndarray, ...]
    fixed: str
    u: np.ndarray
    residual: np.ndarray
    reference: np.ndarray | None

    @property
    def error(self) -> np.ndarray | None:
        return None if self.reference is None else np.abs(self.u - self.reference)


def _view(solution: Solution, reference: Reference | None) -> _View:
    problem = solution.problem
    domain = problem.domain
    names, bounds = domain.names, domain.bounds
    if reference is not None and (len(reference.names), reference.values.shape[-1]) != (len(names), problem.n_out):
        raise ShapeError(
            f"the reference is of {len(reference.names)} coordinates and {reference.values.shape[-1]} outputs, the "
            f"solution of {len(names)} and {problem.n_out}.",
            do="pass one of the same problem.",
        )
    fine = _FINE[min(2, len(names))]
    axes = [np.linspace(low, high, fine) for low, high in bounds] if reference is None else reference.axes
    drawn = [i for i, axis in enumerate(axes) if len(axis) > 1][-2:]
    if not drawn:
        raise ShapeError("the reference has one point.", "a picture is of more.", "pass one with longer axes.")
    at = {i: len(axis) // 2 for i, axis in enumerate(axes) if i not in drawn}
    if problem.time and 0 in at:
        at[0] = max(np.searchsorted(axes[0], solution.until, side="right").item() - 1, 0)
    grid = [axis[[at[i]]] if i in at else axis for i, axis in enumerate(axes)]
    points = np.stack([part.ravel() for part in np.meshgrid(*grid, indexing="ij")], axis=1)
    shape = [len(axes[i]) for i in drawn]
    inside = solution.known(points)

    def on_grid(values: np.ndarray) -> np.ndarray:
        whole = np.full((len(points), values.shape[1]), np.nan)
        whole[inside] = values
        return whole.reshape(*shape, -1)

    fixed = ", ".join(f"{names[i]} = {axes[i][index]:.4g}" for i, index in at.items())
    everywhere = slice(None)
    truth = None if reference is None else reference.values[tuple(at.get(i, everywhere) for i in range(len(axes)))]
    u, residual = on_grid(solution(points[inside])), on_grid(solution.residual(points[inside]))
    return _View(tuple(names[i] for i in drawn), tuple(axes[i] for i in drawn), fixed, u, residual, truth)


def _maps(solution: Solution, view: _View) -> Figure:
    problem = solution.problem
    error = view.error
    columns = 2 if error is None else 4
    rows = max(view.u.shape[-1], view.residual.shape[-1])
    figure = blank_figure(3.15 * columns, 2.75 * rows + 0.15)
    across, up = (float(np.ptp(axis)) for axis in view.axes)
    flat = problem.time is None or len(problem.domain.names) > 2  # two coordinates of space
    flat = flat and across < _LONG * up and up < _LONG * across
    truth = np.empty(0) if view.reference is None else view.reference
    for row in range(rows):
        panels: list[tuple[int, str, np.ndarray, bool]] = []
        if row < problem.n_out:
            name = _output(row, problem.n_out)
            panels.append((0, name, view.u[..., row], False))
            if error is not None:
                panels += [(1, f"{name}, reference", truth[..., row], False), (2, "|error|", error[..., row], True)]
        if row < view.residual.shape[-1]:
            equation = f" of equation {row + 1}" if view.residual.shape[-1] > 1 else ""
            panels.append((columns - 1, f"|residual|{equation}", np.abs(view.residual[..., row]), True))
        both = np.concatenate([np.ravel(values) for _, _, values, logarithmic in panels if not logarithmic] or [[0.0]])
        limits = (float(np.nanmin(both)), float(np.nanmax(both)))
        for column, title, values, logarithmic in panels:
            axes = figure.add_subplot(rows, columns, row * columns + column + 1)
            _map(figure, axes, view, values, None if logarithmic else limits)
            axes.set_title(title, fontsize=10, color=INK)
            axes.set_aspect("equal" if flat else "auto")
            if column:
                axes.set_ylabel("")
                axes.set_yticklabels([])
            if column == 0 and len(problem.domain.names) == 2:
                _measured_places(axes, problem.conditions)
    _say_where(figure, view)
    return figure


def _say_where(figure: Figure, view: _View) -> None:
    if view.fixed:
        figure.suptitle(f"at {view.fixed}", fontsize=10, color=INK, x=0.01, ha="left")


def _map(figure: Figure, axes: Axes, view: _View, values: np.ndarray, limits: tuple[float, float] | None) -> None:
    """Values over two coordinates, the first to the right; on a logarithmic scale where there are no ``limits``."""
    from matplotlib.colors import LogNorm, Normalize

    if limits is None:
        low, high, cut = _log_limits(values)
        norm, extend, shades = LogNorm(low, high), "min" if cut else "neither", "magma"
        values = np.where(np.isnan(values), np.nan, np.maximum(values, low / 2 if cut else low))
    else:
        norm, extend, shades = Normalize(*limits), "neither", "viridis"
    across, up = view.axes
    mesh = axes.pcolormesh(across, up, values.T, norm=norm, cmap=shades, shading="nearest", rasterized=True)
    axes.set_xlim(across[0], across[-1])
    axes.set_ylim(up[0], up[-1])
    axes.set_xlabel(view.names[0])
    axes.set_ylabel(view.names[1])
    plain_frame(axes, grid=False)
    # within the map's own frame, since equal scales make a map lower than the place there is
    bar = figure.colorbar(mesh, cax=axes.inset_axes((1.04, 0.0, 0.05, 1.0)), extend=extend)
    bar.solids.set_rasterized(True)  # pyright: ignore[reportOptionalMemberAccess]
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    bar.ax.tick_params(which="both", colors=INK, labelcolor=INK, labelsize=8)


def _log_limits(values: np.ndarray) -> tuple[float, float, bool]:
    """Powers of ten around what is to be told apart, and whether something lies below."""
    above = values[np.isfinite(values) & (values > 0)]
    if not above.size:
        return 1e-17, 1e-16, False
    high = 10 ** np.ceil(np.log10(above.max()))
    low = max(10 ** np.floor(np.log10(np.quantile(above, 0.02))), high * 10.0**-_DECADES)
    low = min(low, high / 10)
    return float(low), float(high), bool(np.nanmin(values) < low)


def _measured_places(axes: Axes, conditions: Sequence[Any]) -> None:
    for condition in conditions:
        if isinstance(condition, Data):
            places = condition.points[:_MOST_POINTS]
            axes.scatter(places[:, 0], places[:, 1], s=7, color="white", edgecolors="black", linewidths=0.4)


def _curves(solution: Solution, view: _View) -> Figure:
    problem = solution.problem
    error, (x,) = view.error, view.axes
    heights = [2.2, 1.0] if error is None else [2.2, 1.0, 1.0]
    figure = blank_figure(7.6, 1.45 * sum(heights) + 0.3)
    panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    names = [_output(index, problem.n_out) for index in range(problem.n_out)]
    top = panels[0]
    for index, name in enumerate(names):
        top.plot(x, view.u[:, index], color=_colour(index), linewidth=1.8, label=name)
    if view.reference is not None:
        lines = top.plot(x, view.reference, color=INK, linewidth=1, dashes=(3, 3))
        lines[0].set_label("reference")
    if not view.fixed:
        _measured_values(top, problem.conditions, problem.n_out)
    legend = top.legend(loc="upper left", bbox_to_anchor=(1.0, 1.03), frameon=False, fontsize=9, labelcolor=INK)
    legend.set_in_layout(True)
    top.set_ylabel("solution")
    if error is not None:
        _log_curves(panels[1], x, error, "|error|", names if problem.n_out > 1 else [])
    equations = [f"equation {index + 1}" for index in range(view.residual.shape[1])]
    _log_curves(panels[-1], x, np.abs(view.residual), "|residual|", equations if len(equations) > 1 else [])
    panels[-1].set_xlabel(view.names[0])
    panels[-1].set_xlim(x[0], x[-1])
    for axes in panels:
        plain_frame(axes)
    figure.align_ylabels(panels)
    _say_where(figure, view)
    return figure


def _log_curves(axes: Axes, x: np.ndarray, values: np.ndarray, label: str, names: Sequence[str]) -> None:
    low, high, _ = _log_limits(values)
    for index in range(values.shape[1]):
        column = np.maximum(values[:, index], low)
        name = names[index] if names else None
        axes.plot(x, column, color=_colour(index), linewidth=1.1, label=name)
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    axes.set_ylabel(label)
    if names:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.06), frameon=False, fontsize=9, labelcolor=INK)


def _measured_values(axes: Axes, conditions: Sequence[Any], n_out: int) -> None:
    for condition in conditions:
        if not isinstance(condition, Data):
            continue
        outputs = range(n_out) if condition.outputs is None else condition.outputs
        for number, (output, values) in enumerate(zip(outputs, condition.values.T, strict=False)):
            name = None if number else "measured"
            axes.scatter(
                condition.points[:, 0], values, s=12, facecolors="none", edgecolors=_colour(output), label=name
            )


def _output(index: int, count: int) -> str:
    return f"u{index + 1}" if count > 1 else "u"


def _colour(index: int) -> str:
    return _COLOURS[index % len(_COLOURS)]
