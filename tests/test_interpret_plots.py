"""Pictures of networks: what they are made of, that nothing is cut off, and that no label lies on another."""

from __future__ import annotations

import io
import itertools
from xml.etree import ElementTree

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import edgewise as ew
from edgewise.errors import EdgewiseError, ShapeError, UnknownNameError
from edgewise.interpret.diagram import Diagram, form_label
from edgewise.interpret.observing import observed
from edgewise.interpret.plots import canvas, plot, plot_edge, plot_scores
from edgewise.interpret.plots.edge import _formula
from edgewise.interpret.scoring import scores
from edgewise.nn.symbolic import with_edges
from edgewise.training.history import History

WIDTHS = {"2_1_1": [2, 1, 1], "2_5_1": [2, 5, 1], "products": [3, (2, 2), 1], "4_8_4_2": [4, 8, 4, 2],
          "10_20_10": [10, 20, 10]}  # fmt: skip
FORMULAS = {(0, 0): ("sin", [1.0, 3.0, 0.5, 0.0]), (1, 0): ("x^2", [-1.0, 1.0, 0.0, 0.25])}


def samples(n_features, n=200):
    return np.random.default_rng(0).uniform(-1, 1, (n, n_features)).astype(np.float32)


@pytest.fixture(scope="module")
def models():
    return {name: ew.KAN(widths, ew.Chebyshev(3), rngs=nnx.Rngs(1)) for name, widths in WIDTHS.items()}


@pytest.fixture(scope="module")
def pruned():
    """[2, 5, 1] with splines, two formulas into node 0, node 4 cut off, and the edge (0, 1, 3) gone."""
    model = ew.KAN([2, 5, 1], ew.BSpline(intervals=4), rngs=nnx.Rngs(1))
    first, second = model.layers
    with_edges(first, {"mask": True, "symbolic": [[i, j, name] for (i, j), (name, _) in FORMULAS.items()]})
    first.symbolic.constants[...] = jnp.array([constants for _, constants in FORMULAS.values()])
    mask = np.ones((2, 5))
    mask[[0, 1, 0, 1, 1], [0, 0, 4, 4, 3]] = 0
    first.mask[...] = jnp.asarray(mask)
    with_edges(second, {"mask": True})
    second.mask[...] = second.mask[...].at[4, 0].set(0)
    return model


@pytest.fixture(scope="module")
def diagram(pruned):
    return Diagram.of(pruned, samples(2), features=["mass", "speed"], outputs="energy")


@pytest.fixture(scope="module")
def drawn(models):
    """A picture of every network, drawn once."""
    figures = {name: plot(model, samples(model.n_features)) for name, model in models.items()}
    for figure in figures.values():
        figure.draw_without_rendering()
    return figures


# The diagram


def test_nodes_and_edges_of_a_pruned_network(diagram):
    assert [(node.kind, node.index, node.operator, node.label) for node in diagram.nodes] == [
        ("input", 0, "", "mass"), ("input", 1, "", "speed"),
        *(("sum", j, "+", "") for j in range(4)),
        ("output", 0, "+", "energy"),
    ]  # fmt: skip
    assert [edge.key for edge in diagram.edges] == [
        (0, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1), (0, 0, 2), (0, 1, 2), (0, 0, 3),
        *((1, i, 0) for i in range(4)),
    ]  # fmt: skip
    assert diagram.unused == ()
    assert diagram.depth == 2
    for edge in diagram.edges:
        source, target = diagram.nodes[edge.source], diagram.nodes[edge.target]
        assert (source.level, source.index, target.level, target.index) == (edge.layer, edge.i, edge.layer + 1, edge.j)
        assert (edge.start, edge.end) == ((source.x, source.y), (target.x, target.y))


def test_formulas_have_form_and_constants_and_no_grid(diagram):
    by_key = {edge.key: edge for edge in diagram.edges}
    for (i, j), (form, constants) in FORMULAS.items():
        edge = by_key[0, i, j]
        assert (edge.form, edge.label, edge.grid.size) == (form, form_label(form), 0)
        assert edge.constants == tuple(constants)
    numeric = by_key[0, 0, 1]
    assert (numeric.form, numeric.constants, numeric.label) == (None, None, "")
    np.testing.assert_allclose(numeric.grid, np.linspace(-1, 1, 5), atol=1e-6)


def test_families_without_cells_have_no_grid(models):
    assert all(edge.grid.size == 0 for edge in Diagram.of(models["2_1_1"], samples(2)).edges)


def test_curves_are_the_edges_over_the_range_of_the_data(pruned, diagram):
    activity = observed(pruned, samples(2))
    for edge in diagram.edges:
        reaching = activity.inputs[edge.layer][:, edge.i]
        node = diagram.nodes[edge.source]
        assert (node.low, node.high) == (reaching.min(), reaching.max())
        assert edge.x[0] < reaching.min() < reaching.max() < edge.x[-1]
        assert np.ptp(edge.x) == pytest.approx(1.02 * np.ptp(reaching), rel=1e-5)
        values = activity.edges[edge.layer][:, edge.i, edge.j]
        np.testing.assert_allclose(np.interp(reaching, edge.x, edge.y), values, atol=0.02 * np.ptp(edge.y))


def test_scores_and_strengths(pruned, diagram):
    expected = scores(pruned, samples(2), resamples=2)
    for edge in diagram.edges:
        assert edge.score == pytest.approx(expected.edges[edge.layer][edge.i, edge.j])
        assert edge.strength == pytest.approx(edge.score / expected.edges[edge.layer].max())
    assert [node.score for node in diagram.nodes if node.level == 1] == pytest.approx(expected.nodes[1][:4].tolist())


def test_density_and_quantiles(diagram):
    node = diagram.nodes[0]
    np.testing.assert_allclose(node.quantiles, np.quantile(samples(2)[:, 0], [0.05, 0.25, 0.5, 0.75, 0.95]), atol=1e-6)
    assert node.density.shape == (24,)
    assert node.density.max() == 1
    assert np.isnan(diagram.nodes[-1].density).all()


def test_products_are_fed_by_factors(models):
    diagram = Diagram.of(models["products"], samples(3))
    hidden = [node for node in diagram.nodes if node.level == 1]
    assert [(node.kind, node.operator, node.index) for node in hidden] == [
        ("sum", "+", 0), ("sum", "+", 1),
        ("factor", "+", 2), ("factor", "+", 3), ("product", "×", 2),
        ("factor", "+", 4), ("factor", "+", 5), ("product", "×", 3),
    ]  # fmt: skip
    for node in hidden:
        if node.product is not None:
            product = diagram.nodes[node.product]
            assert (product.kind, product.score) == ("product", node.score)
            assert node.y < product.y
    assert {diagram.nodes[edge.target].kind for edge in diagram.layer(0)} == {"sum", "factor"}
    assert [diagram.nodes[edge.source].kind for edge in diagram.layer(1)] == ["sum", "sum", "product", "product"]


def test_an_output_that_is_a_product():
    diagram = Diagram.of(ew.KAN([2, (0, 1)], ew.Chebyshev(2), rngs=nnx.Rngs(0)), samples(2))
    assert [(node.kind, node.operator, node.label) for node in diagram.nodes[2:]] == [
        ("factor", "+", ""), ("factor", "+", ""), ("output", "×", "y"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", WIDTHS)
def test_places_are_distinct_and_in_the_unit_square(models, name):
    diagram = Diagram.of(models[name], samples(models[name].n_features))
    places = [(node.x, node.y) for node in diagram.nodes] + [edge.place for edge in diagram.edges]
    assert len(set(places)) == len(places)
    assert all(0 <= x <= 1 and 0 <= y <= 1 for x, y in places)
    for layer in range(diagram.depth):
        row = sorted((edge.place[0], edge.slot) for edge in diagram.layer(layer))
        assert row[0][0] - row[0][1] / 2 >= -1e-9
        assert row[-1][0] + row[-1][1] / 2 <= 1 + 1e-9
        assert all(right - left >= slot - 1e-9 for (left, slot), (right, _) in itertools.pairwise(row))


def test_names_do_not_shift_where_inputs_are_not_looked_at():
    model = ew.KAN([2, 1], ew.Chebyshev(2), rngs=nnx.Rngs(0))
    model.inputs = (False, True, False, True)
    diagram = Diagram.of(model, samples(4), features=["a", "b", "c", "d"])
    assert [(node.label, node.column, node.index) for node in diagram.nodes[:2]] == [("b", 1, 0), ("d", 3, 1)]
    assert diagram.unused == ("a", "c")
    texts = [text.get_text() for text in plot(model, samples(4), features=["a", "b", "c", "d"]).axes[0].texts]
    assert {"b", "d", "not used: a, c"} <= set(texts)
    assert not {"a", "c"} & set(texts)


def test_an_input_whose_edges_are_gone_is_left_out():
    model = ew.KAN([2, 1], ew.Chebyshev(2), rngs=nnx.Rngs(0))
    with_edges(model.layers[0], {"mask": True})
    model.layers[0].mask[...] = jnp.array([[0.0], [1.0]])
    diagram = Diagram.of(model, samples(2))
    assert [node.label for node in diagram.nodes] == ["x2", "y"]
    assert diagram.unused == ("x1",)
    model.layers[0].mask[...] = jnp.zeros((2, 1))
    assert [node.label for node in Diagram.of(model, samples(2)).nodes] == ["y"]
    for layout in ("graph", "matrix"):
        assert isinstance(plot(model, samples(2), layout=layout), Figure)


def test_the_strongest_edges_have_curves(models):
    diagram = Diagram.of(models["4_8_4_2"], samples(4))
    some = diagram.strongest(3)
    for layer in range(diagram.depth):
        drawn = [edge.score for edge in some.layer(layer) if edge.place is not None]
        assert sorted(drawn) == sorted(edge.score for edge in diagram.layer(layer))[-3:]
    assert len(some.edges) == len(diagram.edges)


def test_labels_of_forms():
    labels = [form_label(name) for name in ("x", "x^2", "1/x^3", "x^1.5", "1/(1+x^2)", "sqrt(1+x^2)", "sin")]
    assert labels == ["x", "x²", "1/x³", "x^1.5", "1/(1+x²)", "√(1+x²)", "sin"]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"features": ["a"]}, ShapeError),
        ({"outputs": ["a", "b"]}, ShapeError),
        ({"kind": "size"}, UnknownNameError),
        ({"points": 1}, EdgewiseError),
    ],
)
def test_what_fits_no_diagram(models, wrong, error):
    with pytest.raises(error):
        Diagram.of(models["2_1_1"], samples(2), **wrong)


# The network


def boxes(figure):
    """Extents of all texts that are there, in pixels."""
    renderer = figure.canvas.get_renderer()
    texts = [text for axes in figure.axes for text in axes.texts if text.get_text()]
    return [(text.get_text(), text.get_window_extent(renderer)) for text in texts]


def assert_readable(figure):
    found = boxes(figure)
    assert found
    for text, box in found:
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= figure.bbox.x1, text
        assert box.y1 <= figure.bbox.y1, text
    for (one, a), (other, b) in itertools.combinations(found, 2):
        # half a pixel is what hinting adds
        apart = a.x1 < b.x0 + 0.5 or b.x1 < a.x0 + 0.5 or a.y1 < b.y0 + 0.5 or b.y1 < a.y0 + 0.5
        assert apart, (one, other)


@pytest.mark.parametrize("name", WIDTHS)
def test_labels_are_whole_and_apart(drawn, name):
    assert_readable(drawn[name])


@pytest.mark.parametrize("name", ["2_5_1", "10_20_10"])
@pytest.mark.parametrize("layout", ["graph", "matrix"])
def test_long_names_are_whole_and_apart(models, name, layout):
    n_in, n_out = models[name].n_features, models[name].layers[-1].n_out
    long = [f"a feature of the name {i}, which no picture has room for" for i in range(n_in)]
    outputs = [f"some output {j} (kg)" for j in range(n_out)]
    title = "A title that is longer than the picture is wide, and so has to end before its last word " * 3
    assert_readable(plot(models[name], samples(n_in), features=long, outputs=outputs, layout=layout, title=title))


@pytest.mark.parametrize("name", WIDTHS)
def test_matrix_labels_are_whole_and_apart(models, name):
    assert_readable(plot(models[name], samples(models[name].n_features), layout="matrix", labels="none"))


def test_names_scores_and_forms_are_written(pruned):
    figure = plot(pruned, samples(2), features=["mass", "$v$"], outputs=["energy"], title="A pruned network")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert {"mass", "$v$", "energy", "sin", "x²", "A pruned network", "formula", "basis"} <= set(texts)
    written = {canvas.number(edge.score) for edge in Diagram.of(pruned, samples(2)).edges}
    assert written <= set(texts)
    assert_readable(figure)
    silent = [text.get_text() for text in plot(pruned, samples(2), labels="none").axes[0].texts]
    assert "sin" not in silent
    assert not written & set(silent)


def test_formulas_have_another_colour_and_a_frame(pruned, diagram):
    shades = canvas.colours(diagram.edges)
    for edge, shade in zip(diagram.edges, shades, strict=True):
        np.testing.assert_allclose(shade[:3], to_rgb(canvas.SYMBOLIC if edge.form else canvas.NUMERIC))
        assert 0.3 <= shade[3] <= 1
    order = np.argsort([edge.strength for edge in diagram.edges])
    assert (np.diff(shades[order, 3]) >= 0).all()
    frames = [
        collection.get_edgecolor()
        for collection in plot(pruned, samples(2)).axes[0].collections
        if len(collection.get_edgecolor()) == len(diagram.edges) and len(collection.get_facecolor()) == 1
    ]
    assert any(
        [tuple(colour[:3]) == to_rgb(canvas.SYMBOLIC) for colour in colours]
        == [edge.form is not None for edge in diagram.edges]
        for colours in frames
    )


def test_wide_networks_show_their_strongest_edges(drawn):
    texts = [text.get_text() for text in drawn["10_20_10"].axes[0].texts]
    assert any(text.endswith("strongest of 400 curves") for text in texts)
    assert not any("strongest" in text.get_text() for text in drawn["4_8_4_2"].axes[0].texts)


@pytest.mark.parametrize("layout", ["graph", "matrix"])
def test_vectors_only(pruned, layout):
    buffer = io.BytesIO()
    plot(pruned, samples(2), layout=layout).savefig(buffer, format="svg")
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(buffer.getvalue()).iter()}
    assert "path" in tags
    assert "image" not in tags


@pytest.mark.parametrize("layout", ["auto", "matrix"])
def test_axes_of_the_user(pruned, layout):
    figure = Figure(figsize=(7, 3), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    assert plot(pruned, samples(2), layout=layout, ax=left, top=2) is left
    right.plot([0, 1])
    figure.draw_without_rendering()
    assert_readable(figure)
    assert left.get_aspect() == 1


def test_wrong_words(pruned):
    with pytest.raises(UnknownNameError, match="graph"):
        plot(pruned, samples(2), layout="grah")
    with pytest.raises(UnknownNameError, match="scores"):
        plot(pruned, samples(2), labels="score")
    with pytest.raises(EdgewiseError, match="top"):
        plot(pruned, samples(2), top=-1)
    with pytest.raises(EdgewiseError, match=r"no edgewise\.KAN"):
        plot(nnx.Linear(2, 1, rngs=nnx.Rngs(0)), samples(2))


def test_pyplot_is_not_asked(pruned, run_python):
    code = (
        "import sys, numpy as np, edgewise as ew\n"
        "from flax import nnx\n"
        "from edgewise.interpret.plots import plot\n"
        "assert 'matplotlib' not in sys.modules\n"
        "plot(ew.KAN([1, 1], ew.Chebyshev(2), rngs=nnx.Rngs(0)), np.linspace(-1, 1, 9)[:, None])\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    assert run_python(code).strip() == "False"


def test_a_formula_that_is_not_defined_everywhere_is_drawn_where_it_is():
    model = ew.KAN([1, 1], ew.Chebyshev(2), rngs=nnx.Rngs(0))
    with_edges(model.layers[0], {"mask": True, "symbolic": [[0, 0, "log"]]})
    model.layers[0].mask[...] = jnp.zeros((1, 1))
    model.layers[0].symbolic.constants[...] = jnp.array([[1.0, 1.0, 0.0, 0.0]])
    positive = samples(1) + 1.001
    (edge,) = Diagram.of(model, positive).edges
    assert np.isnan(edge.y[0])
    assert np.isfinite(edge.y[1:]).all()
    (curve,) = canvas.curves_in([edge], np.zeros((1, 2)), np.ones(1))
    assert curve.shape == (63, 2)
    plot(model, positive).draw_without_rendering()
    plot_edge(model, positive, (0, 0, 0)).draw_without_rendering()


def test_a_constant_is_a_flat_curve(models):
    x = np.full((200, 2), 0.5)
    with_constant = Diagram.of(models["2_1_1"], x)
    assert all(np.isfinite(edge.y).all() and edge.strength == 0 for edge in with_constant.edges)
    plot(models["2_1_1"], x).draw_without_rendering()
    plot_edge(models["2_1_1"], x, (1, 0, 0)).draw_without_rendering()


# One edge, and bars


def test_one_edge(pruned, diagram):
    figure = plot_edge(pruned, samples(2), (0, 1, -5), features=["mass", "$v$"])
    (axes,) = figure.axes
    assert axes.get_xlabel() == "$v$"
    assert axes.get_title(loc="left").splitlines()[0] == "−x² + 0.25"
    (line,) = axes.lines
    edge = next(edge for edge in diagram.edges if edge.key == (0, 1, 0))
    np.testing.assert_allclose(np.interp(edge.x, *line.get_data()), edge.y, atol=1e-3)
    assert line.get_color() == canvas.SYMBOLIC
    numeric = plot_edge(pruned, samples(2), (1, 2, 0)).axes[0]
    assert numeric.lines[0].get_color() == canvas.NUMERIC
    assert numeric.get_xlabel() == "sum 2 of level 1"
    ax = Figure().add_subplot()
    assert plot_edge(pruned, samples(2), (0, 0, 1), ax=ax) is ax


@pytest.mark.parametrize("edge", [(0, 1, 3), (2, 0, 0), (0, 2, 0), (0, 0), "edge"])
def test_no_such_edge(pruned, edge):
    with pytest.raises(EdgewiseError):
        plot_edge(pruned, samples(2), edge)


@pytest.mark.parametrize(
    ("form", "constants", "expected"),
    [
        ("sin", (1, 1, 0, 0), "sin(x)"),
        ("sin", (2, -1, 0.5, -1), "2 sin(−x + 0.5) − 1"),
        ("x^2", (1, 1, 0, 0), "x²"),
        ("x^2", (-1, 3, 0, 0), "−(3 x)²"),
        ("1/(1+x^2)", (1, 2, -1, 0), "1/(1+(2 x − 1)²)"),
        ("exp", (1, 2, 0, 0), "exp(2 x)"),
        ("1/sqrt", (1, 2, 0, 0), "1/sqrt(2 x)"),
        ("x log x", (1, 1, 0, 0), "x log x"),
    ],
)
def test_formula_of_an_edge(diagram, form, constants, expected):
    edge = diagram.edges[0]
    assert _formula(type(edge)(**{**vars(edge), "form": form, "constants": tuple(map(float, constants))})) == expected


def test_bars(pruned):
    rated = scores(pruned, samples(2), features=["mass", "$v$"], resamples=20)
    axes = plot_scores(rated).axes[0]
    order = np.argsort(-rated.inputs)
    assert [text.get_text() for text in axes.get_yticklabels()] == [rated.features[i] for i in order]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx(rated.inputs[order].tolist())
    edges = plot_scores(rated, level="edges").axes[0]
    assert len(edges.patches) == 11
    assert edges.get_yticklabels()[0].get_text().startswith("(")
    ax = Figure().add_subplot()
    assert plot_scores(rated, level="nodes", ax=ax) is ax
    assert len(ax.patches) == 5
    for drawn in (axes, edges, ax):
        drawn.figure.draw_without_rendering()
    with pytest.raises(UnknownNameError, match="inputs"):
        plot_scores(rated, level="input")


def test_bars_of_a_network_without_hidden_nodes():
    model = ew.KAN([2, 1], ew.Chebyshev(2), rngs=nnx.Rngs(0))
    plot_scores(scores(model, samples(2), resamples=2), level="nodes").draw_without_rendering()


# Learning curves


def test_refinements_and_marks_on_a_learning_curve():
    steps, none = np.arange(20), np.zeros(0)
    events = ((5, "refine:8"), (10, "refine:9,adaptivity=0.5"), (12, "refine:adaptivity=0.5"), (15, "plateau"))
    history = History(steps, np.exp(-steps / 5), none, none, none, events=events)
    axes = history.plot(marks={17: "pruned"})
    assert [text.get_text() for text in axes.texts] == ["G=8", "G=9 adapted", "adapted", "plateau", "pruned"]
    lines = [line for line in axes.lines if len(line.get_xdata()) == 2]
    assert [line.get_xdata()[0] for line in lines] == [5, 10, 12, 15, 17]
    assert history.plot(axes) is axes
