"""The page of a network: whole without a browser, and in one what a reader can do with it."""

from __future__ import annotations

import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import edgewise as ew
from edgewise.errors import EdgewiseError
from edgewise.interpret.diagram import Diagram
from edgewise.interpret.pruning import prune
from edgewise.interpret.report import write_report
from edgewise.interpret.report.drawing import network_svg
from edgewise.interpret.report.names import edge_function
from edgewise.interpret.report.payload import payload, script_json
from edgewise.nn.symbolic import with_edges

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
X = np.random.default_rng(0).normal(size=(200, 3))
HOSTILE = [
    "</script><script>document.title = 'ran'</script>",
    "<img src=x onerror=\"document.title = 'ran'\">",
    "a\"b'&<i>\u2028",
]
FORMULAS = [
    {"output": "y", "complexity": 3, "error": 0.25, "formula": "sin(x1)", "latex": r"\sin x_1", "picked": False},
    {"output": "y", "complexity": 7.0, "error": 0.0125, "formula": "sin(x1) + x2<3", "latex": None, "picked": True},
]


@pytest.fixture(scope="module")
def model():
    """Products, two formulas and an edge that was pruned: [3, (2, 2), 1] with 21 of its 22 edges."""
    model = ew.KAN([3, (2, 2), 1], ew.Chebyshev(3), rngs=nnx.Rngs(0))
    first, last = model.layers
    with_edges(first, {"mask": True, "symbolic": [[0, 1, "sin"]]})
    first.mask[...] = first.mask[...].at[0, 1].set(0).at[2, 3].set(0)
    first.symbolic.constants[...] = jnp.array([[2.0, 3.0, 0.5, -1.0]])
    with_edges(last, {"mask": True, "symbolic": [[2, 0, "x^2"]]})
    last.mask[...] = last.mask[...].at[2, 0].set(0)
    last.symbolic.constants[...] = jnp.array([[1.0, 1.0, 0.0, 0.0]])
    return model


@pytest.fixture(scope="module")
def diagram(model):
    return Diagram.of(model, X)


@pytest.fixture(scope="module")
def report(model, tmp_path_factory):
    """The page, written once."""
    return write_report(model, X, tmp_path_factory.mktemp("report") / "deep" / "report.html", formulas=FORMULAS)


@pytest.fixture(scope="module")
def hostile(model, tmp_path_factory):
    """A page in which every name wants to be markup."""
    listed = [dict.fromkeys(("output", "complexity", "error", "formula", "latex"), HOSTILE[1])]
    folder = tmp_path_factory.mktemp("hostile")
    return write_report(model, X, folder, features=HOSTILE, outputs=[HOSTILE[0]], formulas=listed, title=HOSTILE[0])


class Page(HTMLParser):
    """Collects tags, what a browser would fetch, and the text of scripts."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.fetched, self.scripts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.fetched += [(name, value) for name, value in attributes if name in ("src", "href", "xlink:href", "srcset")]

    def handle_data(self, data):
        if self.tags and self.tags[-1] == "script":
            self.scripts.append(data)


def data_of(diagram: Diagram) -> dict:
    return json.loads(script_json(payload(diagram, len(X))))


def data_in(page: Page) -> dict:
    return json.loads(page.scripts[0])


def test_the_page_needs_nothing_else(report):
    text = report.read_text()
    page = Page(text)
    assert not page.fetched
    assert set(re.findall(r"https?://[^\"' ]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "@import" not in text
    assert "url(" not in text
    assert page.tags.count("script") == 2
    assert page.tags.count("h1") == 1
    assert sorted(path.name for path in report.parent.iterdir()) == ["report.html"]


def test_the_data_of_the_page_are_the_diagram(report, diagram):
    data = data_in(Page(report.read_text()))
    assert len(data["edges"]) == len(diagram.edges) == 21
    assert [edge["score"] for edge in data["edges"]] == [edge.score for edge in diagram.edges]
    assert [node["score"] for node in data["nodes"]] == [node.score for node in diagram.nodes]
    edge = next(edge for edge in data["edges"] if edge["key"] == [0, 0, 1])
    assert (edge["name"], edge["form"], edge["function"]) == ("x1 → node (1, 1)", "sin", "2 sin(3 x + 0.5) − 1")
    assert {node["name"] for node in data["nodes"]} >= {"x3", "y", "product (1, 2)", "factor 5 of product (1, 3)"}


def test_the_picture_is_whole_without_a_program(diagram):
    svg = network_svg(diagram)
    assert len(re.findall(r'class="edge numeric"', svg)) == 19
    assert len(re.findall(r'class="edge symbolic"', svg)) == 2
    assert svg.count('<circle class="frame"') == 2  # told apart by shape
    assert svg.count(">×</text>") == 2
    assert "nan" not in svg


def test_names_stay_text(hostile):
    page = Page(hostile.read_text())
    assert hostile.name == "report.html"  # a folder was given
    assert page.tags.count("script") == 2
    assert "img" not in page.tags
    assert "i" not in page.tags
    assert {node["name"] for node in data_in(page)["nodes"]} >= set(HOSTILE)


def test_json_in_a_script():
    value = {"</script>": ["<!--", "]]>", "\u2028&", float("nan"), float("inf"), np.float64(0.5), None, (1, True)]}
    text = script_json(value)
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"</script>": ["<!--", "]]>", "\u2028&", None, None, 0.5, None, [1, True]]}


def test_a_formula_that_is_not_defined_everywhere_has_gaps(model, tmp_path):
    """Its scores and those before it are no numbers; the page is there all the same."""
    broken = nnx.clone(model)
    with_edges(broken.layers[0], {"mask": True, "symbolic": [[0, 1, "sqrt"]]})
    broken.layers[0].mask[...] = broken.layers[0].mask[...].at[0, 1].set(0)
    broken.layers[0].symbolic.constants[...] = jnp.array([[1.0, 1.0, 0.0, 0.0]])
    diagram = Diagram.of(broken, X)
    values = next(edge for edge in data_of(diagram)["edges"] if edge["form"] == "sqrt")["y"]
    assert values[0] is None
    assert values[-1] > 1
    assert not re.search(r"\bM?nan", write_report(broken, X, tmp_path).read_text().replace("NaN", ""))


@pytest.mark.parametrize(
    ("form", "label", "constants", "expected"),
    [
        ("sin", "sin", (1, 1, 0, 0), "sin(x)"),
        ("sin", "sin", (-1, 2, -0.5, 3), "−sin(2 x − 0.5) + 3"),
        ("x^2", "x²", (1, 1, 0.3, 0), "(x + 0.3)²"),
        ("x^2", "x²", (2, 1, 0, -1), "2 x² − 1"),
        ("1/x", "1/x", (1, 3, 0, 0), "1/(3 x)"),
        ("exp", "exp", (1, -1, 0, 0), "exp(−x)"),
        ("x", "x", (2, 1, 1, 0), "2 (x + 1)"),
        ("x log x", "x log x", (1, 2, 0, 0), "(2 x) log (2 x)"),
    ],
)
def test_formulas_of_edges_are_readable(diagram, form, label, constants, expected):
    from dataclasses import replace

    edge = replace(diagram.edges[0], form=form, label=label, constants=tuple(map(float, constants)))
    assert edge_function(edge) == expected


def test_a_crowded_layer_draws_its_strongest_curves(diagram, monkeypatch):
    from edgewise.interpret.report import drawing

    monkeypatch.setattr(drawing, "MOST_CURVES", 5)
    fewer, crowded = drawing.strongest_only(diagram)
    svg = network_svg(fewer)
    assert crowded == [0]
    assert svg.count('class="curve"') == 5 + len(diagram.layer(1))
    assert svg.count("data-edge=") == len(diagram.edges)


def test_long_names_are_turned_and_cut(model, monkeypatch):
    from edgewise.interpret.report import drawing

    monkeypatch.setattr(drawing, "_WIDE", 500.0)
    names = ["a name that is far too long to stand beside others"] + ["b" * 20, "c" * 20]
    svg = network_svg(Diagram.of(model, X, features=names))
    assert svg.count("rotate(-40") == 3
    assert "a name that is far too lo…" in svg


def test_what_cannot_be_written_is_said(model, tmp_path, monkeypatch):
    with pytest.raises(EdgewiseError, match="has no 'error'"):
        write_report(model, X, tmp_path / "a.html", formulas=[{"output": "y", "complexity": 1, "formula": "x"}])
    with pytest.raises(EdgewiseError, match="has no 'output'"):
        write_report(model, X, tmp_path / "a.html", formulas="sin(x)")
    with pytest.raises(EdgewiseError, match="kind"):
        write_report(model, X, tmp_path / "a.html", kind="best")
    (tmp_path / "file").write_text("x")
    with pytest.raises(EdgewiseError, match="cannot write"):
        write_report(model, X, tmp_path / "file" / "a.html")

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(EdgewiseError, match="No space left"):
        write_report(model, X, tmp_path / "a.html")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# ---- in a browser ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium from PATH; the tests that need it are skipped where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: install requirements/lock-test.txt")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"needs a browser on PATH, one of {', '.join(BROWSERS)}; on Debian: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """``visit(path, **options)`` opens a page; in the end no error was logged and nothing asked for."""
    contexts, errors, asked = [], [], []

    def open_page(path: Path, **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(5000)
        page.on(
            "console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: errors.append(str(error)))

        def route(one):
            if one.request.url == path.as_uri():
                return one.continue_()
            asked.append(one.request.url)
            return one.abort()

        page.route("**/*", route)
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not errors
    assert not asked


def details(page) -> str:
    return page.locator("#panel").inner_text()


def number_of(page, key: str) -> int:
    data = json.loads(page.locator("#data").text_content())
    return [edge["key"] for edge in data["edges"]].index(json.loads(key))


def edge_at(page, key: str):
    return page.locator(f'.edge[data-edge="{number_of(page, key)}"]')


def test_the_mouse_shows_an_edge(visit, report):
    page = visit(report)
    edge_at(page, "[0, 0, 1]").locator(".frame").hover()
    text = details(page)
    for part in (
        "x1 → node (1, 1)",
        "a formula",
        "(0, 0, 1)",
        "2 sin(3 x + 0.5) − 1",
        "of 17 in its layer",
        "middle half",
    ):
        assert part in text
    assert page.locator("#panel svg .big").get_attribute("d").count("L") == 63
    assert page.locator("#panel svg .bar").count() > 5
    edge_at(page, "[0, 1, 0]").locator(".frame").click()  # keeps it
    edge_at(page, "[1, 2, 0]").locator(".frame").hover()
    assert "x2 → node (1, 0)" in details(page)
    assert "function of the basis" in details(page)
    page.keyboard.press("Escape")
    page.mouse.move(0, 0)
    edge_at(page, "[1, 2, 0]").locator(".frame").hover()
    assert "product (1, 2) → y" in details(page)


def test_the_keyboard_shows_an_edge(visit, report):
    page = visit(report)
    for _ in range(5):  # colours, three buttons of the zoom, the network
        page.keyboard.press("Tab")
    focused = lambda: page.evaluate("document.activeElement.dataset.edge")
    assert focused() == "0"
    assert "x1 → node (1, 0)" in details(page)
    label = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert label.startswith("x1 → node (1, 0), numeric, score ")
    page.keyboard.press("ArrowRight")
    assert focused() == "1"
    assert "x2 → node (1, 0)" in details(page)
    page.keyboard.press("ArrowUp")
    assert "node (1, 0) → y" in details(page)
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    edge_at(page, "[0, 0, 1]").locator(".frame").hover()
    assert "node (1, 0) → y" in details(page)
    page.keyboard.press("End")
    assert focused() == "20"
    assert page.locator('.edge[tabindex="0"]').count() == 1  # one stop for Tab
    stroke = lambda: page.evaluate("getComputedStyle(document.activeElement.querySelector('.frame')).stroke")
    assert stroke() == "rgb(130, 80, 223)"


@pytest.mark.parametrize("threshold", [0.0, 0.05, 0.15, 0.3])
def test_the_count_is_what_prune_keeps(visit, report, model, threshold):
    page = visit(report)
    page.locator("#exact").fill(str(threshold))
    kept = prune(model, X, threshold=threshold).edge_count[1]
    assert page.locator("#count").inner_text() == f"{kept} of 21 edges would stay"
    assert page.locator(".edge:not(.gone)").count() == kept
    assert page.locator("#code").inner_text() == f"edgewise.interpret.prune(model, data, threshold={threshold:g})"


def test_the_slider(visit, report):
    page = visit(report)
    slider, count = page.locator("#threshold"), lambda: int(page.locator("#count").inner_text().split()[0])
    assert count() == 21
    counts = []
    for step in (300, 600, 800):
        slider.fill(str(step))
        counts.append(count())
        threshold = page.locator("#exact").input_value()
        assert page.locator("#code").inner_text().endswith(f"threshold={threshold})")
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < 21
    assert page.locator("#edges tr.gone").count() == 21 - counts[-1]
    slider.fill("1000")
    assert count() == 0
    assert "prune would refuse" in page.locator("#alert").inner_text()
    assert page.locator(".node.gone").count() > 0
    slider.press("Home")
    assert count() == 21


def test_the_code_is_copied(visit, report):
    page = visit(report, permissions=["clipboard-read", "clipboard-write"])
    page.locator("#exact").fill("0.03")
    page.locator("#copy").click()
    page.get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == "edgewise.interpret.prune(model, data, threshold=0.03)"


def test_zoom(visit, report):
    page = visit(report)
    scale = lambda: float(re.search(r"scale\((.*)\)", page.locator("#view").get_attribute("transform"))[1])
    page.locator("#zoom-in").click()
    page.locator("#zoom-in").click()
    assert scale() == pytest.approx(2.25)
    assert page.locator("#zoom-reset").inner_text() == "225 %"
    place = lambda: page.locator("#view").get_attribute("transform")
    before = place()
    box = page.locator("#network").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 340, box["y"] + 230, steps=4)
    page.mouse.up()
    assert place() != before
    assert scale() == pytest.approx(2.25)
    page.locator("#zoom-out").click()
    assert scale() == pytest.approx(1.5)
    page.locator("#zoom-reset").click()
    assert place() == "translate(0.0 0.0) scale(1.000)"
    page.locator('.edge[tabindex="0"]').focus()
    page.keyboard.press("+")
    assert scale() == pytest.approx(1.5)
    page.keyboard.press("0")
    page.mouse.move(box["x"] + 300, box["y"] + 200)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -60)
    page.keyboard.up("Control")
    page.locator('#view[transform*="scale(1.6"]').wait_for(state="attached")
    page.keyboard.press("-")
    assert scale() == pytest.approx(1.099, abs=0.01)
    page.mouse.wheel(0, -60)  # the plain wheel scrolls
    assert scale() == pytest.approx(1.099, abs=0.01)


def test_an_edge_out_of_sight_comes_into_it(visit, report):
    page = visit(report)
    for _ in range(4):
        page.locator("#zoom-in").click()
    page.locator('.edge[tabindex="0"]').focus()
    page.keyboard.press("End")
    stage, edge = page.locator("#network").bounding_box(), page.locator(".edge:focus .frame").bounding_box()
    assert stage["x"] <= edge["x"] <= edge["x"] + edge["width"] <= stage["x"] + stage["width"]
    assert stage["y"] <= edge["y"] <= edge["y"] + edge["height"] <= stage["y"] + stage["height"]


def test_light_and_dark(visit, report):
    ground = "getComputedStyle(document.body).backgroundColor"
    page = visit(report, color_scheme="dark")
    assert page.evaluate(ground) == "rgb(21, 24, 28)"
    page.locator("#theme").click()
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    assert page.locator("#theme").inner_text() == "Dark"
    page.locator("#theme").click()
    assert page.evaluate(ground) == "rgb(21, 24, 28)"
    page.emulate_media(media="print")
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    assert not page.locator("#zoom-in").is_visible()


def test_narrow_screens_and_little_motion(visit, report):
    page = visit(report, viewport={"width": 360, "height": 700}, reduced_motion="reduce", has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate("getComputedStyle(document.querySelector('.edge .ink')).transitionDuration") == "0s"
    edge_at(page, "[1, 2, 0]").locator(".frame").tap()
    assert "product (1, 2) → y" in details(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_tables(visit, report):
    page = visit(report)
    scores = lambda: [float(cell) for cell in page.locator("#edges td.number").all_inner_texts()]
    heading = page.locator("#edges th").nth(4)
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert scores() == sorted(scores(), reverse=True)
    heading.get_by_role("button").click()
    assert scores() == sorted(scores())
    page.locator("#edges th").nth(0).get_by_role("button").click()
    assert page.locator("#edges tbody tr").first.inner_text().startswith("(0, 0, 0)")
    page.locator(f'#edges tr[data-edge="{number_of(page, "[1, 2, 0]")}"]').click()
    assert "product (1, 2) → y" in details(page)
    assert page.locator("#inputs tbody tr").count() == 3
    assert "0.0125" in page.locator("#formulas tr.picked").inner_text()
    assert "x2<3" in page.locator("#formulas tr.picked").inner_text()


def test_names_stay_text_in_the_browser(visit, hostile):
    page = visit(hostile)
    assert page.title() == page.locator("h1").inner_text() == HOSTILE[0]
    edge_at(page, "[0, 1, 0]").locator(".frame").hover()
    assert HOSTILE[1] in details(page)
    assert page.locator("img, i").count() == 0
    assert page.locator("script").count() == 2
