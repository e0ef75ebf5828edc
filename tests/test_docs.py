"""The documentation says what the code does: its Python runs, its links lead somewhere, its tables are complete."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
NAME = re.compile(r"\bew\.([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)")
# Runs are shortened in length, never in kind.
SHORTER = (
    (r"range\(\d{3,}\)", "range(5)"),
    (r"seeds=\d+", "seeds=2"),
    (r"epochs=\d+", "epochs=3"),
    (r"steps=\d{3,}", "steps=4"),
)


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def code_blocks(page: Path) -> list[tuple[int, str]]:
    """The Python of a page: line of the first statement, text."""
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, match.start(1)) + 1, match[1]) for match in PYTHON.finditer(text)]


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if code_blocks(page)], ids=name)
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """All blocks of a page in one namespace, in order, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    module = ModuleType("__page__")
    monkeypatch.setitem(sys.modules, "__page__", module)
    for line, text in code_blocks(page):
        for pattern, replacement in SHORTER:
            text = re.sub(pattern, replacement, text)
        # blank lines in front, so that an error names the line of the page
        exec(compile("\n" * (line - 1) + text, name(page), "exec", dont_inherit=True), module.__dict__)
    assert not list(tmp_path.iterdir()), "a page left files behind"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_between_pages_lead_somewhere(page: Path):
    targets = [t for t in LINK.findall(page.read_text(encoding="utf-8")) if not t.startswith(("http:", "https:"))]
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


def test_the_example_of_the_readme_has_twelve_lines():
    first = code_blocks(ROOT / "README.md")[0][1]
    assert sum(1 for line in first.splitlines() if line.strip()) <= 12


def test_every_option_of_the_study_is_documented():
    from edgewise.cli import _parser

    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    options = _parser().options
    assert "--seeds" in options
    assert not [option for option in options if f"`{option}" not in page]


def test_every_scheme_and_family_is_documented():
    import edgewise as ew

    schemes = (ROOT / "docs" / "schemes.md").read_text(encoding="utf-8")
    assert not [scheme for scheme in ew.init.SCHEMES if f"`{scheme}`" not in schemes]
    mathematics = (ROOT / "docs" / "mathematics.md").read_text(encoding="utf-8")
    families = [family.__name__ for family in ew.bases.FAMILIES.values()]
    assert not [family for family in families if f"`{family}(" not in mathematics]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_what_is_named_after_the_package_exists(page: Path):
    import edgewise as ew

    missing = []
    for path in NAME.findall(page.read_text(encoding="utf-8")):
        found: object = ew
        for part in path.split("."):
            found = getattr(found, part, None)
        if found is None:
            missing.append(f"ew.{path}")
    assert not missing


def test_every_page_is_in_the_table_of_contents():
    listed = {ROOT / "docs" / "index.md"}
    for page in PAGES:
        for tree in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            listed |= {page.parent / f"{line}.md" for line in tree.splitlines() if line and not line.startswith(":")}
    assert not [name(page) for page in PAGES[1:] if page not in listed]
