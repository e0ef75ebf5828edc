"""Compare initialization schemes of a KAN on one task, over many seeds, and say which are the best.

Names load on first use, so that reading data or printing help costs no start-up of JAX.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgewise.study.comparison import Comparison, Curves, SchemeRow
    from edgewise.study.experiment import compare
    from edgewise.study.tasks import DATA_NAMES, Task, resolve_task
    from edgewise.study.verdict import Verdict, judge

__all__ = ["DATA_NAMES", "Comparison", "Curves", "SchemeRow", "Task", "Verdict", "compare", "judge", "resolve_task"]

_HOMES = {
    "comparison": ("Comparison", "Curves", "SchemeRow"),
    "experiment": ("compare",),
    "tasks": ("DATA_NAMES", "Task", "resolve_task"),
    "verdict": ("Verdict", "judge"),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"edgewise.study.{module}"), name)
    raise AttributeError(f"module 'edgewise.study' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
