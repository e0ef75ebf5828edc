"""The picture of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgewise.errors import check_choice, check_count
from edgewise.interpret.diagram import Diagram
from edgewise.interpret.plots import graph, matrix

__all__ = ["LABELS", "LAYOUTS", "plot"]

LAYOUTS = ("auto", "graph", "matrix")
LABELS = ("auto", "forms", "scores", "none")


def plot(
    model: Any,
    data: Any,
    *,
    features: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    kind: str = "attribution",
    layout: str = "auto",
    top: int | None = None,
    labels: str = "auto",
    title: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw a network: inputs at the bottom, outputs on top, and the function of every edge in between.

    An edge is the more opaque, the higher its score is in its layer; formulas have a colour of their own, and a frame.
    A function is drawn over the range that the data have there, scaled to its square.  The picture is of vectors only:
    ``plot(...).savefig("network.pdf")``.

    Args:
        model: a ``KAN``, or a fitted estimator.
        data: X ``[n, n_features]`` as the network gets it, or (X, y); at most 4096 samples are looked at.
        features: names of the columns, by default x1, x2, ...
        outputs: names of the outputs, by default y, or y1, y2, ...
        kind: of the scores, see :func:`~edgewise.interpret.scores`.
        layout: "graph" is nodes and lines; "matrix" is a grid a layer, a row for every output node and a column for
            every input node; "auto" is a graph.
        top: so many edges of every layer, those of the highest scores, have their curves drawn, the others are lines;
            by default all, or as many as are readable.  A matrix leaves the others empty.
        labels: "forms" and "scores" write the names of formulas, and scores, where there is room; "auto" both;
            "none" nothing.
        title: over the picture.
        ax: Matplotlib axes to draw on, which lose their frame; by default a new figure of a size that fits.

    Returns:
        What was drawn on: ``ax``, or the new ``Figure``, which pyplot does not know: nothing is shown.

    Raises:
        EdgewiseError: for a model of another kind, an unknown kind of score, layout or kind of label, names that do
            not fit, or data that cannot be used.
        MissingExtraError: without Matplotlib.

    After the pictures of pykan, Liu et al., arXiv 2404.19756, figure 2.4.

    >>> plot(model, X, features=["mass", "speed"], outputs=["energy"]).savefig("network.svg")
    """
    check_choice("layout", layout, LAYOUTS)
    check_choice("labels", labels, LABELS)
    if top is not None:
        check_count("top", top, 0)
    diagram = Diagram.of(model, data, kind=kind, features=features, outputs=outputs)
    draw = matrix.draw if layout == "matrix" else graph.draw
    return draw(diagram, top=top, labels=labels, title=title, ax=ax)
