"""Sphinx settings. Build with ``make docs``; warnings are errors there."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import inspect
import re
import sys
from pathlib import Path

from sphinx.util.inspect import stringify_signature

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

project = "edgewise"
author = "edgewise developers"
copyright = "edgewise developers"
try:
    release = importlib.metadata.version("edgewise")
except importlib.metadata.PackageNotFoundError:
    release = "unreleased"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"edgewise {release}"

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False
napoleon_numpy_docstring = False
napoleon_use_rtype = False
python_maximum_signature_line_length = 100


COLON = "\ufdd0"  # stands for a colon while napoleon looks for types
CODE = re.compile(r"(``.*?``|:[\w:]+:`[^`]*`|`[^`]*`_*)")


def keep_colons(app, what, name, obj, options, lines):
    """``Where inputs are expected: ...`` in the docstring of a property is a sentence, not a type."""
    if what in ("attribute", "data", "property"):
        lines[:] = [line.replace(":", COLON) for line in lines]


def escape_formulas(app, what, name, obj, options, lines):
    """Docstrings are plain text with formulas: outside of code, ``|x|`` and ``x_`` are what they look like."""
    for i, line in enumerate(lines):
        parts = CODE.split(line.replace(COLON, ":"))
        parts[::2] = [re.sub(r"(?<!\\)\||(?<=\w)_(?=[\s|,.;:)]|$)", r"\\\g<0>", part) for part in parts[::2]]
        # code that touches a letter or a bracket, as in ``f``(x), needs an empty escape between the two
        parts[2::2] = ["\\ " + part if re.match(r"[\w(\[]", part) else part for part in parts[2::2]]
        # a description such as "p." would be read as the start of a list
        lines[i] = re.sub(r"^(\s+)(\w\.)$", r"\1\\\2", "".join(parts))


def dataclass_signature(app, what, name, obj, options, signature, return_annotation):
    """Families and schemes check their keywords in ``__new__``; their arguments are those of ``__init__``."""
    if what != "class" or not dataclasses.is_dataclass(obj) or obj.__new__ is object.__new__:
        return None
    arguments = list(inspect.signature(obj.__init__).parameters.values())[1:]
    return stringify_signature(inspect.Signature(arguments), unqualified_typehints=True), return_annotation


def setup(app):
    app.connect("autodoc-process-signature", dataclass_signature)
    app.connect("autodoc-process-docstring", keep_colons, priority=400)  # before napoleon
    app.connect("autodoc-process-docstring", escape_formulas)
