"""The report: one page that needs nothing else, files that are whole, and results that outlive what goes wrong."""

from __future__ import annotations

import json
import os
import re
import sys
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

import fake_engine
from edgewise.errors import EdgewiseError
from edgewise.study import compare, plots
from edgewise.study.plots import _spread, figures
from edgewise.study.report import prepare_folder
from edgewise.training import ensemble


@pytest.fixture(autouse=True)
def _engine(monkeypatch):
    monkeypatch.setattr(ensemble, "train_ensemble", fake_engine.train_ensemble)


@pytest.fixture(scope="module")
def result():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ensemble, "train_ensemble", fake_engine.train_ensemble)
        return compare(schemes="published", seeds=8, epochs=2000)


@pytest.fixture(scope="module")
def page(result, tmp_path_factory):
    """The report with its plots, written once."""
    return result.save(tmp_path_factory.mktemp("report") / "deep" / "out").out


@pytest.fixture
def _no_plots(monkeypatch):
    monkeypatch.setattr(plots, "figures", lambda result: {})


class Page(HTMLParser):
    """Collects tags that stay open and everything that a browser would fetch."""

    void = ("meta", "link", "img", "br", "hr", "input")

    def __init__(self, text):
        super().__init__()
        self.open, self.fetched = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag not in self.void:
            self.open.append(tag)
        self.fetched += [
            v for k, v in attributes if k in ("src", "href", "xlink:href", "data") and not v.startswith("#")
        ]

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.void:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_every_file_is_written(page):
    pictures = {f"{name}.{kind}" for name in ("loss", "scores", "fit") for kind in ("png", "svg")}
    assert {path.name for path in page.iterdir()} == {"results.json", "report.html"} | pictures
    for path in page.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")
    for path in page.glob("*.svg"):
        ElementTree.fromstring(path.read_text())
    assert json.loads((page / "results.json").read_text())["format"] == 1


def test_the_page_needs_nothing_else(page):
    text = (page / "report.html").read_text()
    parsed = Page(text)
    assert parsed.open == []
    assert parsed.fetched == []
    assert not re.search(r"url\((?!#)|@import|<script", text)
    assert text.count("<svg") == 3


def test_the_page_says_everything(page):
    text = (page / "report.html").read_text()
    for part in ("Best: default", "Wilcoxon", "0.00563", "edgewise study --data published", "adam:1e-3", "glorot_fine",
                 "prefers-color-scheme", "viewport", "1/8", "Glorot(", "jaxlib", "gain fwd"):  # fmt: skip
        assert part in text, part


@pytest.mark.usefixtures("_no_plots")
def test_names_are_escaped(tmp_path):
    random = np.random.default_rng(0)
    path = tmp_path / "d.csv"
    rows = "".join(f"{a},{b}\n" for a, b in random.normal(size=(40, 2)))
    path.write_text("<b>,<script>alert(1)</script>\n" + rows)
    compare(str(path), target="<script>alert(1)</script>", schemes="published", seeds=8, epochs=5, out=tmp_path / "o")
    assert "<script>" not in (tmp_path / "o" / "report.html").read_text()


def test_dollars_in_names_are_no_formulas(tmp_path):
    random = np.random.default_rng(0)
    path = tmp_path / "d.csv"
    path.write_text("a,price_$\\frac$\n" + "".join(f"{a},{b}\n" for a, b in random.normal(size=(40, 2))))
    result = compare(str(path), target="price_$\\frac$", schemes="published", seeds=8, epochs=5, out=tmp_path / "o")
    assert result.out is not None
    assert (tmp_path / "o" / "fit.png").exists()


def test_classification_has_confusion_matrices():
    pytest.importorskip("sklearn")
    result = compare("wine", schemes="default,glorot", seeds=8, epochs=20)
    axes = figures(result)["fit"].axes[0]
    assert sum(int(text.get_text()) for text in axes.texts) == len(result.task.X_test)


@pytest.mark.usefixtures("_no_plots")
def test_interrupted_is_marked(monkeypatch, tmp_path):
    def train_ensemble(*arguments, **keywords):
        result = fake_engine.train_ensemble(*arguments, **keywords)
        result.interrupted, result.completed = True, 20
        return result

    monkeypatch.setattr(ensemble, "train_ensemble", train_ensemble)
    compare(schemes="published", seeds=8, epochs=50, out=tmp_path)
    assert "Interrupted at epoch 20 of 50" in (tmp_path / "report.html").read_text()
    assert json.loads((tmp_path / "results.json").read_text())["interrupted"] is True


def test_everything_diverged(monkeypatch, tmp_path):
    def train_ensemble(*arguments, **keywords):
        result = fake_engine.train_ensemble(*arguments, **keywords)
        result.score[:], result.diverged_at[:], result.train_loss[:] = np.nan, 3, np.nan
        result.predictions[:] = np.nan
        return result

    monkeypatch.setattr(ensemble, "train_ensemble", train_ensemble)
    result = compare(schemes="published", seeds=8, epochs=50, out=tmp_path)
    assert "Every run diverged" in (tmp_path / "report.html").read_text()
    assert "diverged" in str(result)


def test_one_scheme_one_seed_one_epoch(tmp_path):
    result = compare("f1", schemes="glorot", seeds=1, epochs=1, out=tmp_path)
    assert result.verdict.best == "glorot"
    assert (tmp_path / "report.html").exists()


def test_without_matplotlib(result, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    saved = result.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"results.json", "report.html"}
    assert "edgewise[plot]" in saved.notes[-1]
    assert "edgewise[plot]" in (tmp_path / "report.html").read_text()


@pytest.mark.usefixtures("_no_plots")
def test_results_come_first_and_files_are_whole(result, monkeypatch, tmp_path):
    """The disk fills up after the first file: results.json is there, and no half of anything else."""
    replace, done = os.replace, []

    def full(source, target):
        if done:
            raise OSError(28, "No space left on device")
        done.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(EdgewiseError, match="No space left"):
        result.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
    json.loads((tmp_path / "results.json").read_text())


def test_a_full_disk_does_not_lose_the_runs(monkeypatch, tmp_path):
    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    result = compare(schemes="published", seeds=8, epochs=5, out=tmp_path)
    assert result.out is None
    assert "No space left on device" in result.notes[-1]
    assert np.isfinite(result.scores).any()


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "out").write_text("x")
    with pytest.raises(EdgewiseError, match="cannot write"):
        prepare_folder(tmp_path / "out")


@pytest.mark.usefixtures("_no_plots")
def test_saving_twice_needs_force(result, tmp_path):
    result.save(tmp_path)
    with pytest.raises(EdgewiseError, match="--force"):
        result.save(tmp_path)
    result.save(tmp_path, force=True)


def test_pictures_leave_no_global_state(result):
    matplotlib = pytest.importorskip("matplotlib")
    before = dict(matplotlib.rcParams)
    figures(result)
    assert dict(matplotlib.rcParams) == before
    assert not sys.modules.get("matplotlib.pyplot") or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_labels_are_spread_apart():
    placed = _spread(np.array([0.1, 0.1, 0.11, 0.5, 0.99, 1.0]), 0.05)
    assert (np.diff(placed) >= 0.05 - 1e-6).all()
    assert placed[0] >= -1e-9
    assert placed[-1] <= 1 + 1e-9
    np.testing.assert_allclose(_spread(np.array([0.2, 0.8]), 0.05), [0.2, 0.8])
