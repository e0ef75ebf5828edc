"""``edgewise kernels``: compile the kernels of layers for this machine."""

from __future__ import annotations

import argparse
import time
from typing import Any

from edgewise.cli.parsing import Parser

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> Parser:
    """The parser of the command, among the ``commands`` of argparse."""
    kernels = commands.add_parser(
        "kernels",
        help="compile the kernels of wide layers and fine splines for this CPU",
        description="Compile the kernels of wide layers and fine splines for this CPU, with its C++ compiler. From "
        "then on they are used instead of XLA's. They are kept in the cache folder; EDGEWISE_KERNELS=0 turns them off.",
    )
    kernels.add_argument("--again", action="store_true", help="compile them even if they are there")
    kernels.add_argument("--remove", action="store_true", help="remove them")
    return kernels


def run(arguments: argparse.Namespace) -> int:
    """Compile or remove them; returns the exit code."""
    from edgewise.nn import kernels

    if arguments.remove:
        removed = kernels.remove()
        print(f"removed: {removed}" if removed else "there are no kernels for this machine.")
        return 0
    begin = time.perf_counter()
    path, compiled = kernels.build(again=arguments.again)
    took = f"compiled in {time.perf_counter() - begin:.1f} s" if compiled else "there already"
    print(f"{path}: {took}, and used from now on.")
    return 0
