"""What every test shares: run-time shape checks, deterministic Hypothesis, the CPU, and fresh interpreters."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ["EDGEWISE_KERNELS"] = "0"  # whatever this machine has: test_kernels.py compiles its own
# Most of the time goes into compiling programs that run once, so little of it is spent on making them fast. The older
# emitter of fusions compiles in two thirds of the time of XLA's own choice; its programs take twice as long.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    # jaxlib 0.11 does not know it any more, and a flag that is not known ends the process
    + " --xla_cpu_use_fusion_emitters=false" * version("jaxlib").startswith("0.10."),
)
if "PYTEST_XDIST_WORKER" in os.environ:
    # Each worker is a process of its own: several threads of linear algebra in each would fight for the same cores.
    for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(_name, "1")

import hypothesis
import jax
import pytest
from jaxtyping import install_import_hook

# Before the first import of edgewise: its jaxtyping annotations become checks of shapes and dtypes, in the tests only.
install_import_hook("edgewise", "beartype.beartype")

# Derandomized, so that a run finds the same every time; no deadline, since the first example of a shape compiles.
hypothesis.settings.register_profile(
    "edgewise",
    derandomize=True,
    deadline=None,
    max_examples=25,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.register_profile("thorough", hypothesis.settings.get_profile("edgewise"), max_examples=500)
hypothesis.settings.load_profile(os.environ.get("EDGEWISE_HYPOTHESIS", "edgewise"))

MAPS = 20_000
"""Memory maps of a process above which compiled programs are dropped: Linux ends a process at 65,530 of them."""


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Between files, forget compiled programs where there are very many: each keeps several memory maps."""
    maps = Path("/proc/self/maps")
    if nextitem is None or nextitem.path == item.path or not maps.exists():
        return
    if maps.read_bytes().count(b"\n") > MAPS:
        jax.clear_caches()
        gc.collect()


ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def run_python() -> Callable[..., str]:
    """``run_python(code, *argv, devices=1, env={}, cwd=None, timeout=600)``: stdout of a fresh interpreter.

    ``devices`` is the number of simulated CPU devices. A nonzero exit fails the test with what was printed.
    """

    def run(
        code: str,
        *argv: str,
        devices: int = 1,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = 600,
    ) -> str:
        settings = {name: value for name, value in os.environ.items() if not name.startswith(("COV_", "PYTEST_"))}
        settings["PYTHONPATH"] = str(ROOT / "src")
        if devices > 1:
            settings["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
        done = subprocess.run(
            [sys.executable, "-c", code, *argv],
            env={**settings, **(env or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode:
            pytest.fail(f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}", pytrace=False)
        return done.stdout

    return run
