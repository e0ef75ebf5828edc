"""An empty surface in inches, and what every picture has in common: colours, opacity, texts that fit.

Colours are those of Okabe and Ito (2008), told apart with every kind of colour vision; what a colour says is said by a
frame as well, for print in grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgewise.errors import require
from edgewise.interpret.diagram import DiagramEdge

__all__ = [
    "FAINT",
    "FRAME",
    "INK",
    "NUMERIC",
    "SYMBOLIC",
    "Canvas",
    "colours",
    "curves_in",
    "figure_with_axes",
    "number",
    "plain_axes",
    "short_number",
    "width_of",
]

INK = "#24292e"
FAINT = "#6b727a"
FRAME = "#c3c9cf"
NUMERIC = "#0072B2"
SYMBOLIC = "#C04A00"
_FAINTEST = 0.3  # opacity of the edge of the lowest score, which print still shows
_INCH = 72.0


def figure_with_axes(width: float, height: float, ax: Any, *, whole: bool = False) -> tuple[Any, Any]:
    """What a picture returns, and the axes it draws on: ``ax`` for both, or a new figure of that size in inches.

    A figure is made without pyplot, so that nothing is shown or kept open; with ``whole`` the axes fill it.
    """
    if ax is not None:
        return ax, ax
    figure = require("matplotlib.figure", "plot").Figure(
        figsize=(width, height), layout=None if whole else "constrained"
    )
    require("matplotlib.backends.backend_agg", "plot").FigureCanvasAgg(figure)
    return figure, figure.add_axes((0, 0, 1, 1)) if whole else figure.add_subplot()


def plain_axes(axes: Any) -> None:
    """Axes in the style of the house, without a box."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(INK)
    axes.tick_params(which="both", colors=INK, labelcolor=INK, labelsize=9)
    axes.set_axisbelow(True)


def number(value: float) -> str:
    """A score, in as few characters as its two leading digits need."""
    return f"{value:.2f}" if 0.095 <= value < 9.995 else f"{value:.2g}".replace("e-0", "e-").replace("e+0", "e")


def short_number(value: float) -> str:
    """A score of about 1, in three characters: ``.93``, ``1.2``, ``12``, and ``0`` for one below 0.005."""
    text = f"{value:.2f}" if value < 0.995 else f"{value:.1f}" if value < 9.95 else f"{value:.0f}"
    return "0" if text == "0.00" else text.removeprefix("0")


def colours(edges: Sequence[DiagramEdge]) -> np.ndarray:
    """``[E, 4]``: one colour for formulas and one for functions of the basis, as opaque as the edge is strong."""
    if not edges:
        return np.zeros((0, 4))
    to_rgba = require("matplotlib.colors", "plot").to_rgba
    both = np.array([to_rgba(NUMERIC), to_rgba(SYMBOLIC)])
    found = both[[int(edge.form is not None) for edge in edges]]
    found[:, 3] = [_FAINTEST + (1 - _FAINTEST) * edge.strength for edge in edges]
    return found


def curves_in(edges: Sequence[DiagramEdge], centres: np.ndarray, sides: np.ndarray) -> list[np.ndarray]:
    """The curves ``[k, 2]``, each scaled to its square with ``centres`` ``[E, 2]`` and ``sides`` ``[E]`` in inches.

    Points where a curve is not finite are left out.
    """
    found = []
    for edge, (x, y), side in zip(edges, centres, sides, strict=True):
        finite = np.isfinite(edge.y)
        across, up = np.linspace(-0.5, 0.5, len(edge.y))[finite], edge.y[finite]
        span = np.ptp(up) if len(up) else 0.0
        # rounding of a constant is no curve
        flat = span <= 1e-5 * max(np.abs(up).max(initial=0.0), 1e-30)
        up = np.zeros_like(up) if flat else (up - up.min()) / span - 0.5
        found.append(np.stack([x + side * across, y + side * up], axis=1))
    return found


def width_of(text: str, size: float) -> float:
    """Of a text in inches, its size in points."""
    if not text:
        return 0.0
    font = require("matplotlib.font_manager", "plot").FontProperties(size=size)
    measured = require("matplotlib.textpath", "plot").text_to_path.get_text_width_height_descent(
        text, font, ismath=False
    )
    return measured[0] / _INCH


class Canvas:
    """Axes whose data coordinates are inches, from (0, 0) to (``width``, ``height``), and drawing in bulk on them.

    Args:
        axes: cleared of everything but what is drawn here.
    """

    def __init__(self, axes: Any):
        figure = axes.get_figure(root=True)
        axes.set_axis_off()
        if (layout := figure.get_layout_engine()) is not None:
            layout.execute(figure)  # without a frame there is more room
        box = axes.get_position()
        self.axes = axes
        self.width, self.height = (float(part) for part in figure.get_size_inches() * (box.width, box.height))
        # limits that are not fixed may grow where the figure changes its shape: circles stay circles
        axes.set_xlim(0, self.width, auto=True)
        axes.set_ylim(0, self.height, auto=True)
        axes.set_aspect("equal", adjustable="datalim")
        self._collections: Any = require("matplotlib.collections", "plot")

    def shortened(self, text: str, size: float, room: float) -> str:
        """``text``, or as much of it as ``room`` inches have place for, and an ellipsis."""
        if width_of(text, size) <= room:
            return text
        while text and width_of(text + "…", size) > room:
            text = text[:-1]
        return text + "…" if text else ""

    def write(self, x: float, y: float, text: str, size: float, **options: Any) -> None:
        """A text as it is: no character starts a formula."""
        style = {"color": INK, "ha": "center", "va": "baseline", "parse_math": False} | options
        self.axes.text(x, y, text, fontsize=size, **style)

    def lines(self, segments: Sequence[np.ndarray] | np.ndarray, **options: Any) -> None:
        """Polylines, each ``[k, 2]``."""
        if len(segments):
            self.axes.add_collection(self._collections.LineCollection(list(segments), **options), autolim=False)

    def squares(self, centres: np.ndarray, sides: np.ndarray, **options: Any) -> None:
        """Squares around ``centres`` ``[E, 2]``."""
        if len(centres):
            corners = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
            places = centres[:, None] + corners * np.asarray(sides)[:, None, None]
            self.axes.add_collection(self._collections.PolyCollection(places, **options), autolim=False)

    def circles(self, centres: np.ndarray, radius: float, **options: Any) -> None:
        """Circles around ``centres`` ``[E, 2]``."""
        if len(centres):
            angles = np.linspace(0, 2 * np.pi, 33)
            outline = radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
            self.axes.add_collection(
                self._collections.PolyCollection(centres[:, None] + outline, **options), autolim=False
            )
