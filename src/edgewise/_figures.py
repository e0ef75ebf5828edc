"""What all figures of matplotlib share: no global state, one ink, and how they become files and parts of pages."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FAINT", "INK", "blank_figure", "figure_bytes", "inline_svg", "plain_frame"]

INK = "#24292e"  # text and axes; a page replaces it by its own colour
FAINT = "#8a9199"


def blank_figure(width: float, height: float) -> Figure:
    """A figure of this size in inches, which pyplot does not know."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def plain_frame(axes: Axes, grid: bool = True) -> None:
    """Two spines, in ink, and a faint grid behind what is drawn."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set_color(INK)
    axes.tick_params(which="both", colors=INK, labelcolor=INK, labelsize=9)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(which="major", color=FAINT, alpha=0.25, linewidth=0.6)


def figure_bytes(figure: Figure, kind: str, dots: Any = None) -> bytes:
    """``figure`` as ``"png"`` (white ground, 160 dots per inch) or ``"svg"`` (no date, stable names) bytes.

    ``dots`` per inch are those of images inside an SVG; None is what the figure has.
    """
    from matplotlib import rc_context

    buffer = BytesIO()
    with rc_context({"svg.hashsalt": "edgewise", "svg.fonttype": "path"}):
        if kind == "svg":
            resolution = "figure" if dots is None else dots
            figure.savefig(buffer, format="svg", transparent=True, dpi=resolution, metadata={"Date": None})
        else:
            figure.savefig(buffer, format=kind, dpi=160, facecolor="white")
    return buffer.getvalue()


def inline_svg(svg: bytes) -> str:
    """An SVG file as an element of a page: without its XML prologue, its ink in the page's colour."""
    text = svg.decode()
    return text[text.index("<svg") :].replace(INK, "currentColor")
