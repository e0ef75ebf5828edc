"""Run the benchmarks: ``python -m benchmarks [--quick] [name ...]``."""

from __future__ import annotations

import argparse
import contextlib
from importlib import import_module

from benchmarks.measure import machine
from edgewise.errors import EdgewiseError
from edgewise.nn import kernels

NAMES = (
    "layers",
    "construction",
    "experiment",
    "scaling",
    "training",
    "optimizers",
    "estimators",
    "refinement",
    "interpretation",
    "operators",
    "pde",
    "adaptive",
    "rga",
)


def main() -> None:
    """Print the chosen benchmarks' tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", default=NAMES, help=f"which: {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="small versions, to see that they run")
    arguments = parser.parse_args()
    print(f"{machine()}, layers by {_kernels()} kernels")
    for name in arguments.names:
        print(f"\n## {name}\n\n{import_module(f'benchmarks.{name}').main(arguments.quick)}", flush=True)


def _kernels() -> str:
    """Whose kernels wide layers use; compiled for this machine, unless it has no compiler or EDGEWISE_KERNELS=0."""
    with contextlib.suppress(EdgewiseError):
        kernels.build()
    return "compiled" if kernels.available() else "XLA's"


if __name__ == "__main__":
    main()
