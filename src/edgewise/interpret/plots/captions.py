"""What colours, frames, opacity and numbers of a picture mean, in small print under it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgewise.interpret.diagram import Diagram
from edgewise.interpret.plots.canvas import FAINT, FRAME, NUMERIC, SYMBOLIC, Canvas, width_of

__all__ = ["Caption", "caption_of"]

_SIZE, _LINE, _SWATCH = 7.0, 0.145, 0.16


@dataclass(frozen=True)
class Caption:
    """Lines of items, each a text, the colours of frame and curve in the swatch before it (or None), and its place.

    Attributes:
        lines: from the top.
        height: with the margin under it, in inches.
    """

    lines: tuple[tuple[tuple[str, tuple[str, str] | None, float], ...], ...]
    height: float

    def write(self, canvas: Canvas) -> None:
        """Draw it at the lower left."""
        for row, line in enumerate(self.lines):
            y = self.height - (row + 1) * _LINE + 0.03
            for text, swatch, x in line:
                if swatch:
                    frame, curve = swatch
                    middle = np.array([[x + 0.055, y + 0.035]])
                    canvas.squares(
                        middle, np.array([0.11]), facecolors="white", edgecolors=frame,
                        linewidths=1.3 if frame == curve else 0.6, zorder=3,
                    )  # fmt: skip
                    canvas.lines([middle + [[-0.035, -0.03], [0.035, 0.03]]], colors=curve, linewidths=1.3, zorder=4)
                canvas.write(x + _SWATCH * bool(swatch), y, text, _SIZE, ha="left", color=FAINT)


def caption_of(canvas: Canvas, diagram: Diagram, labels: str, curves: int) -> Caption:
    """The caption of a diagram of which so many ``curves`` are drawn."""
    items: list[tuple[str, tuple[str, str] | None]] = []
    if any(edge.form for edge in diagram.edges):
        items.append(("formula", (SYMBOLIC, SYMBOLIC)))
        if not all(edge.form for edge in diagram.edges):
            items.append(("basis", (FRAME, NUMERIC)))
    numbers = labels in ("auto", "scores")
    items.append((f"opacity{' and numbers' if numbers else ''}: {diagram.kind}", None))
    if curves < len(diagram.edges):
        items.append((f"the {curves} strongest of {len(diagram.edges)} curves", None))
    if diagram.unused:
        items.append((f"not used: {', '.join(diagram.unused)}", None))
    lines: list[list[tuple[str, tuple[str, str] | None, float]]] = [[]]
    x, margin = 0.1, 0.1
    for text, swatch in items:
        before = _SWATCH * bool(swatch)
        text = canvas.shortened(text, _SIZE, canvas.width - 2 * margin - before)
        wide = before + width_of(text, _SIZE)
        if lines[-1] and x + wide > canvas.width - margin:
            lines.append([])
            x = margin
        lines[-1].append((text, swatch, x))
        x += wide + 0.16
    return Caption(tuple(map(tuple, lines)), len(lines) * _LINE + 0.07)
