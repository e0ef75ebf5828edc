"""The benchmarks of differential equations run in their quick form, and say what they measured."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_the_quick_forms_run():
    """In one process, as ``make bench`` runs them; less optimized, since compilation is most of it."""
    pytest.importorskip("jaxkan", reason="the benchmarks compare with it")
    command = [sys.executable, "-m", "benchmarks", "--quick", "pde", "adaptive", "rga"]
    environment = {**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, rows in (("pde", 2), ("adaptive", 2), ("rga", 1)):
        part = re.search(rf"^## {name}$(.*?)(?=^## |\Z)", done.stdout, re.DOTALL | re.MULTILINE)
        assert part is not None
        lines = [line for line in part[1].splitlines() if line.startswith("| ")][2:]  # without the head
        assert len(lines) == rows
        assert all(re.search(r"\| \d\.\de[+-]\d\d \|", line) for line in lines)
