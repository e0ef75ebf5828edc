"""What importing costs, what it loads, and what is said where an optional dependency is missing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

EXTRAS = {"sklearn": "sklearn", "matplotlib": "plot", "pandas": "tables", "sympy": "symbolic"}
# Extras that are installed for one purpose; orbax comes with flax anyway.
ADAPTERS = {"orbax": "orbax", "tensorboardX": "tensorboard", "mlflow": "mlflow", "wandb": "wandb"}

# Hides installed packages: importing one of them, or anything inside, fails as if it were absent.
BLOCKER = f"""
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {set(EXTRAS)!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
"""

CPU_TIME = """
import time
start = time.process_time()
{statement}
print(time.process_time() - start)
"""


@pytest.mark.slow
@pytest.mark.parametrize("statement", ["import edgewise", "from edgewise import KAN, KANLayer, BSpline, init"])
def test_import_costs_little_more_than_its_dependencies(run_python: Callable[..., str], statement: str):
    """CPU time, not wall time, and the least of several runs in turn: both are insensitive to a busy machine."""
    codes = {"peers": "import jax, flax.nnx, optax", "ours": statement}
    least = dict.fromkeys(codes, float("inf"))
    for code in codes.values():  # writes the byte code
        run_python(code)
    for _ in range(5):
        for name, code in codes.items():
            least[name] = min(least[name], float(run_python(CPU_TIME.format(statement=code))))
    assert least["ours"] <= 1.25 * least["peers"], least


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_does_not_import_jax(run_python: Callable[..., str], argument: str):
    code = f"""
import sys
from edgewise.cli import main
sys.argv = ["edgewise", {argument!r}]
try:
    status = main()
except SystemExit as stop:
    status = stop.code
assert not status, status
heavy = {{"jax", "jaxlib", "flax", "optax", "numpy"}} & set(sys.modules)
assert not heavy, f"loaded: {{heavy}}"
"""
    assert "edgewise" in run_python(code)


def test_help_of_the_command(root: Path):
    """The installed command itself, as a user types it."""
    command = Path(sys.executable).parent / "edgewise"
    if not command.exists():
        pytest.skip("edgewise is not installed as a command here: pip install -e .")
    done = subprocess.run([command, "--help"], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    assert "study" in done.stdout


def test_import_makes_no_optional_dependency_necessary(run_python: Callable[..., str]):
    code = BLOCKER + (
        "import edgewise\n"
        "from edgewise import KAN, KANLayer, BSpline, Chebyshev, init, study\n"
        "import edgewise.cli, edgewise.testing\n"
    )
    run_python(code)


def test_import_loads_no_optional_dependency(run_python: Callable[..., str]):
    code = (
        "import sys, edgewise, edgewise.study, edgewise.cli\n"
        "edgewise.KAN, edgewise.init\n"
        f"print(sorted({set(EXTRAS)!r} & set(sys.modules)))"
    )
    assert run_python(code).strip() == "[]"


def test_import_starts_no_device_and_keeps_settings(run_python: Callable[..., str]):
    """Importing changes neither jax's settings nor the global random state, and starts no backend."""
    code = """
import random, jax, flax.nnx, optax, numpy as np
before = dict(jax.config.values), random.getstate(), np.random.get_state()[1].tolist()
import edgewise
from edgewise import KAN, init
after = dict(jax.config.values), random.getstate(), np.random.get_state()[1].tolist()
assert before == after, [name for name in after[0] if after[0][name] != before[0].get(name)]
from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized()
"""
    run_python(code)


@pytest.mark.parametrize(("module", "extra"), EXTRAS.items())
def test_a_missing_extra_is_named(run_python: Callable[..., str], module: str, extra: str):
    code = (
        BLOCKER
        + f"""
from edgewise.errors import EdgewiseError, MissingExtraError, require
try:
    require({module + ".anything"!r}, {extra!r})
except MissingExtraError as error:
    assert isinstance(error, ImportError) and isinstance(error, EdgewiseError)
    print(error)
"""
    )
    message = run_python(code)
    assert f"{module} is not installed" in message
    assert f"pip install 'edgewise[{extra}]'" in message


def test_named_extras_exist_and_bring_what_they_are_named_for(root: Path):
    """Every ``require("module", "extra")`` in the source agrees with pyproject.toml."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = project["optional-dependencies"]
    for path in sorted((root / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (
                isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "require"
            ):
                continue
            where = f"{path.relative_to(root)}:{node.lineno}"
            arguments = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
            if len(arguments) != 2:
                continue
            module, extra = arguments
            assert extra in declared, f"{where}: no extra {extra!r} in pyproject.toml"
            assert (EXTRAS | ADAPTERS).get(module.split(".")[0]) == extra, (
                f"{where}: {module} does not come with {extra!r}"
            )


def test_the_version_is_told_once(root: Path):
    """``edgewise.__version__`` is that of pyproject.toml and of CITATION.cff."""
    import edgewise

    declared = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    cited = re.search(r"^version: (.+)$", (root / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert cited
    assert edgewise.__version__ == declared == cited.group(1)
