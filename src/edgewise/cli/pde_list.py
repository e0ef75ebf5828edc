"""The built-in differential equations, as their files state them: read without importing them, which needs JAX."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

__all__ = ["Entry", "catalogue"]


@dataclass(frozen=True)
class Entry:
    """A problem: its name, its equation and its reference, each in one line."""

    name: str
    equation: str
    reference: str


def catalogue() -> list[Entry]:
    """All built-in problems, in their order."""
    package = find_spec("edgewise")
    assert package is not None
    assert package.origin is not None
    folder = Path(package.origin).parent / "physics" / "problems"
    statements, about = {}, {}
    for path in sorted(folder.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                statements[node.name] = ast.get_docstring(tree) or ""
                about[node.name] = ast.get_docstring(node) or ""
    found = _builders(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
    return [Entry(name, _equation(statements[builder]), _reference(about, builder)) for name, builder in found.items()]


def _builders(tree: ast.Module) -> dict[str, str]:
    """Names of problems and of the functions that build them, from the table ``PROBLEMS``."""
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "PROBLEMS":
            table = next(part for part in ast.walk(node) if isinstance(part, ast.Dict))
            return {
                ast.literal_eval(key): ast.unparse(value.args[0] if isinstance(value, ast.Call) else value)
                for key, value in zip(table.keys, table.values, strict=True)
                if key is not None
            }
    return {}


def _equation(text: str) -> str:
    line = next((line for line in text.splitlines() if "=" in line), "")
    return line.rpartition(": ")[2].rstrip(".")


def _reference(about: dict[str, str], builder: str) -> str:
    """The last paragraph of a docstring from "Reference:" on; that of another function where it points there."""
    text = " ".join(about[builder].split())
    other = re.search(r"[Rr]eference: as for :func:`(\w+)`", text)
    if other:
        return _reference(about, other[1])
    return text.rpartition("Reference: ")[2].rstrip(".") if "Reference: " in text else ""
