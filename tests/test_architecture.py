"""The floor plan of ``docs/design.md`` and the rules of the core, read off the source.

``violations(package)`` returns one line per violation; it is tested itself on small trees that break each rule.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PACKAGE = "edgewise"

# Room (module or folder right under src/edgewise) -> floor. The face (__init__.py) is on top.
FLOORS = {
    "errors": 0,
    "_numerics": 0,
    "_compilation": 0,
    "_figures": 0,
    "_files": 0,
    "_pages": 0,
    "_typing": 0,
    "bases": 1,
    "init": 2,
    "nn": 3,
    "models": 4,
    "refine": 5,
    "training": 6,
    "physics": 7,
    "interpret": 7,
    "datasets": 7,
    "study": 8,
    "estimators": 8,
    "compat": 8,
    "testing": 8,
    "cli": 9,
    "__main__": 10,
    "__init__": 10,
}

# (from room, to room) -> why this import on one floor, or upwards, is right. Empty is best.
ALLOWED: dict[tuple[str, str], str] = {}

# Third-party modules that come with an extra: never imported when a module of ours is.
EXTRAS = {"sklearn": "sklearn", "matplotlib": "plot", "pandas": "tables", "sympy": "symbolic"}

# Rooms that are nothing without their extra, and that nothing else imports at module level.
NEEDS_EXTRA = {"estimators": "sklearn"}

MODULE_LINES = 400
FUNCTION_LINES = 60
MODULE_NAME = re.compile(r"_{0,2}[a-z][a-z0-9_]*")
TRANSFORMS = {"jit", "vmap", "grad", "value_and_grad", "checkpoint", "partial"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Module:
    """A parsed file: ``name`` is its dotted path under the package, ``room`` the first part of it."""

    def __init__(self, path: Path, package: Path):
        self.path = path.relative_to(package.parent)
        parts = path.relative_to(package).with_suffix("").parts
        self.parts = parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts
        self.is_package = path.name == "__init__.py"
        self.room = parts[0]
        self.text = path.read_text(encoding="utf-8")
        self.tree = ast.parse(self.text)

    def __call__(self, node: ast.AST, message: str) -> str:
        return f"{self.path}:{getattr(node, 'lineno', 1)}: {message}"

    def absolute(self, level: int, module: str | None) -> str:
        """The dotted name that a relative import with ``level`` dots stands for."""
        base = [PACKAGE, *(() if self.parts == ("__init__",) else self.parts)]
        drop = level - 1 if self.is_package else level
        return ".".join([*base[: len(base) - drop], *([module] if module else [])])


def imported(module: Module) -> Iterator[tuple[ast.AST, str]]:
    """Every absolute dotted name that the module imports, inside functions and through importlib too."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = module.absolute(node.level, node.module) if node.level else node.module or ""
            # `from edgewise import bases` names a room; `from edgewise.bases import BSpline` lies in one already.
            yield from ((node, f"{source}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and called(node) in {"import_module", "__import__"} and node.args:
            target = node.args[0]
            if isinstance(target, ast.Constant) and isinstance(target.value, str):
                dots = len(target.value) - len(target.value.lstrip("."))
                name = target.value[dots:]
                # Relative names are given against __package__, which is the folder of the module.
                package = Module.absolute(module, 1, None)
                up = package.split(".")[: len(package.split(".")) - max(dots - 1, 0)]
                yield node, ".".join([*up, name]) if dots else name


def called(node: ast.Call) -> str:
    """The last name of what is called: ``f`` in ``f()`` and ``a.b.f()``."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def check_floors(module: Module) -> Iterator[str]:
    if module.room not in FLOORS:
        yield module(module.tree, f"room {module.room!r} is on no floor; give it one in FLOORS and in docs/design.md")
        return
    for node, name in imported(module):
        parts = name.split(".")
        if parts[0] != PACKAGE or (len(parts) > 1 and parts[1] == "__version__"):
            continue
        room = parts[1] if len(parts) > 1 and parts[1] in FLOORS else "__init__"
        if room == module.room or (module.room, room) in ALLOWED:
            continue
        here, there = FLOORS[module.room], FLOORS[room]
        if there >= here:
            way = "sideways" if there == here else "upwards"
            target = "the face" if room == "__init__" else repr(room)
            yield module(node, f"{module.room!r} (floor {here}) imports {way} {target} (floor {there}): {name}")


def check_extras(module: Module) -> Iterator[str]:
    waiting: list[ast.AST] = [module.tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (*FUNCTIONS, ast.Lambda)) or (
            isinstance(node, ast.If) and ast.unparse(node.test).split(".")[-1] == "TYPE_CHECKING"
        ):
            continue
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        for name in names:
            top = name.split(".")[0]
            if top in EXTRAS and NEEDS_EXTRA.get(module.room) != EXTRAS[top]:
                yield module(
                    node, f"{name} is of the extra {EXTRAS[top]!r}; import it inside the function, by errors.require"
                )
        waiting.extend(ast.iter_child_nodes(node))


def check_names(module: Module) -> Iterator[str]:
    name = Path(module.path).stem
    if module.room == "compat":  # it spells its modules as the libraries do whose programs it runs
        return
    if name in {"utils", "util"}:
        yield module(module.tree, "a module is named for what it is about, never utils")
    if not MODULE_NAME.fullmatch(name):
        yield module(module.tree, f"module name {name!r} is not snake_case")


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from ``def`` to the end, without the docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def check_sizes(module: Module) -> Iterator[str]:
    lines = len(module.text.splitlines())
    if lines > MODULE_LINES:
        yield module(module.tree, f"{lines} lines; a module of more than {MODULE_LINES} asks to be split")
    for node in ast.walk(module.tree):
        if isinstance(node, FUNCTIONS) and code_lines(node) > FUNCTION_LINES:
            yield module(
                node, f"{node.name} has {code_lines(node)} lines of code; more than {FUNCTION_LINES} asks to be split"
            )


def holds_lambda(value: ast.AST | None) -> bool:
    """Whether a stored value is a lambda, or holds one: in a choice, a container, or under jit and its like."""
    if isinstance(value, ast.Lambda):
        return True
    if isinstance(value, ast.Call):
        return called(value) in TRANSFORMS and any(holds_lambda(argument) for argument in value.args)
    if isinstance(value, (ast.IfExp, ast.BoolOp, ast.Tuple, ast.List, ast.Dict, ast.NamedExpr)):
        return any(holds_lambda(child) for child in ast.iter_child_nodes(value))
    return False


def check_lambdas(module: Module) -> Iterator[str]:
    message = "a lambda stored as an attribute is a retrace each time; name the function"
    in_class = {id(child) for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef) for child in node.body}
    for node in ast.walk(module.tree):
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            stored = id(node) in in_class or any(
                isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store)
                for target in targets
                for part in ast.walk(target)
            )
            value = node.value
            if isinstance(value, ast.Call) and called(value) == "field":  # a dataclass field: its default is stored
                value = next((keyword.value for keyword in value.keywords if keyword.arg == "default"), None)
            if stored and holds_lambda(value):
                yield module(node, message)
        elif isinstance(node, ast.Call) and called(node) in {"setattr", "__setattr__"} and holds_lambda(node.args[-1]):
            yield module(node, message)


def check_prints(module: Module) -> Iterator[str]:
    if module.room == "cli":
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield module(node, "print outside cli.py; return the value, or use logging")


CHECKS: tuple[Callable[[Module], Iterator[str]], ...] = (
    check_floors,
    check_extras,
    check_names,
    check_sizes,
    check_lambdas,
    check_prints,
)


def violations(package: Path, checks: tuple[Callable[[Module], Iterator[str]], ...] = CHECKS) -> list[str]:
    """One line per violation of ``checks`` in the package folder."""
    modules = [Module(path, package) for path in sorted(package.rglob("*.py"))]
    return [line for module in modules for check in checks for line in check(module)]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_the_source_keeps_the_rules(root: Path, check: Callable[[Module], Iterator[str]]):
    package = root / "src" / PACKAGE
    assert list(package.rglob("*.py")), "no source found"
    found = violations(package, (check,))
    assert not found, "\n" + "\n".join(found)


def test_exceptions_are_in_use(root: Path):
    """An exception that nothing needs any more goes."""
    package = root / "src" / PACKAGE
    for here, there in ALLOWED:
        modules = [Module(path, package) for path in package.rglob("*.py")]
        rooms = {module.room for module in modules}
        if not {here, there} <= rooms:
            continue
        names = [name for module in modules if module.room == here for _, name in imported(module)]
        assert any(name.startswith(f"{PACKAGE}.{there}") for name in names), (
            f"remove ({here!r}, {there!r}) from ALLOWED"
        )


LONG_FUNCTION = "def f():\n" + "    x = 1\n" * FUNCTION_LINES
LONG_DOCSTRING = 'def f():\n    """One.\n' + "\n" * 80 + '    """\n    return 1\n'

BREAKS = {
    "upwards, absolute": ("bases/spline.py", "from edgewise.nn import KANLayer", "upwards 'nn'"),
    "upwards, plain import": ("bases/spline.py", "import edgewise.models.kan", "upwards 'models'"),
    "upwards, relative": ("bases/spline.py", "from ..init import LeCun", "upwards 'init'"),
    "upwards, room as a name": ("bases/spline.py", "from .. import nn", "upwards 'nn'"),
    "upwards, from a package": ("init/__init__.py", "from ..models.kan import KAN", "upwards 'models'"),
    "upwards, from a module": ("errors.py", "from .bases import BSpline", "upwards 'bases'"),
    "upwards, deep": ("compat/jaxkan/layers.py", "from ...cli import main", "upwards 'cli'"),
    "upwards, lazy": (
        "nn/layer.py",
        "def f():\n    from ..study import compare\n    return compare",
        "upwards 'study'",
    ),
    "upwards, importlib": (
        "nn/layer.py",
        "import importlib\nimportlib.import_module('edgewise.study')",
        "upwards 'study'",
    ),
    "upwards, importlib relative": (
        "nn/layer.py",
        "from importlib import import_module\nimport_module('..study', __package__)",
        "upwards 'study'",
    ),
    "the face": ("models/kan.py", "import edgewise as ew", "upwards the face"),
    "a name of the face": ("cli.py", "from edgewise import KAN", "upwards the face"),
    "sideways": ("physics/solve.py", "from edgewise.interpret import prune", "sideways 'interpret'"),
    "sideways, ground floor": ("errors.py", "from ._numerics import quadrature", "sideways '_numerics'"),
    "a room on no floor": ("plugins/a.py", "x = 1", "on no floor"),
    "an extra at module level": ("study/plot.py", "import matplotlib.pyplot as plt", "extra 'plot'"),
    "an extra in a try": (
        "study/plot.py",
        "try:\n    from sklearn import base\nexcept ImportError: ...",
        "extra 'sklearn'",
    ),
    "utils": ("nn/utils.py", "x = 1", "never utils"),
    "camel case": ("nn/KanLayer.py", "x = 1", "snake_case"),
    "a long module": ("nn/layer.py", "x = 1\n" * (MODULE_LINES + 1), "asks to be split"),
    "a long function": ("nn/layer.py", LONG_FUNCTION, "asks to be split"),
    "a stored lambda": ("nn/layer.py", "class A:\n    def f(self):\n        self.x = lambda y: y", "lambda"),
    "a chosen lambda": ("nn/layer.py", "class A:\n    def f(self, g):\n        self.x = g or (lambda y: y)", "lambda"),
    "a compiled lambda": ("nn/layer.py", "class A:\n    def f(self):\n        self.x = jax.jit(lambda y: y)", "lambda"),
    "a class lambda": ("nn/layer.py", "class A:\n    x = lambda y: y", "lambda"),
    "a field lambda": ("nn/layer.py", "class A:\n    x: F = field(default=lambda y: y)", "lambda"),
    "a lambda by setattr": ("nn/layer.py", "object.__setattr__(a, 'x', lambda y: y)", "lambda"),
    "print": ("nn/layer.py", "def f():\n    print(1)", "print outside"),
}

KEEPS = {
    "downwards": ("nn/layer.py", "from ..bases import BSpline\nfrom edgewise.init.schemes import LeCun"),
    "within a room": ("bases/spline.py", "from .base import Basis\nfrom edgewise.bases.base import Basis as B"),
    "from a package downwards": ("nn/__init__.py", "from ..bases.spline import BSpline\nfrom .layer import KANLayer"),
    "two levels": ("compat/jaxkan/layers.py", "from ...nn import KANLayer\nfrom ..jaxkan import draws"),
    "the face": ("__init__.py", "from .models import KAN\nfrom edgewise.cli import main"),
    "the version": ("cli.py", "from edgewise import __version__"),
    "an extra for types": ("study/plot.py", "if TYPE_CHECKING:\n    import pandas"),
    "an extra in a function": ("study/plot.py", "def f():\n    import pandas\n    return pandas"),
    "a room of an extra": ("estimators/base.py", "from sklearn.base import BaseEstimator"),
    "a default factory": ("nn/layer.py", "class A:\n    x: F = field(default_factory=lambda: {})"),
    "a lambda as an argument": (
        "nn/layer.py",
        "class A:\n    def f(self, y):\n        self.x = sorted(y, key=lambda z: z)",
    ),
    "a long docstring": ("nn/layer.py", LONG_DOCSTRING),
    "print in the commands": ("cli.py", "print(1)"),
    "print in a docstring": ("nn/layer.py", '"""``print(model)``"""'),
}


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / PACKAGE / name
    path.parent.mkdir(parents=True)
    path.write_text(text + "\n", encoding="utf-8")
    return folder / PACKAGE


@pytest.mark.parametrize("case", BREAKS, ids=str)
def test_a_broken_rule_is_found(tmp_path: Path, case: str):
    name, text, expected = BREAKS[case]
    found = violations(write(tmp_path, name, text))
    assert len(found) == 1, found
    assert expected in found[0]


@pytest.mark.parametrize("case", KEEPS, ids=str)
def test_a_kept_rule_is_not_reported(tmp_path: Path, case: str):
    assert violations(write(tmp_path, *KEEPS[case])) == []


def test_an_exception_is_heeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    package = write(tmp_path, "_numerics.py", "from .errors import EdgewiseError")
    assert len(violations(package)) == 1
    monkeypatch.setitem(ALLOWED, ("_numerics", "errors"), "for this test")
    assert violations(package) == []
