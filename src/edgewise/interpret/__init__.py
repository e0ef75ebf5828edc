"""See a network, prune it, read its formula.  Everything loads when it is first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgewise.interpret.construction import from_sympy
    from edgewise.interpret.dependence import Dependence, partial_dependence
    from edgewise.interpret.diagram import Diagram
    from edgewise.interpret.discovery import Discovery, discover
    from edgewise.interpret.formulas import Formula, formula
    from edgewise.interpret.meetings import Interactions, interactions
    from edgewise.interpret.plots import plot, plot_edge, plot_scores
    from edgewise.interpret.pruning import Pruned, prune
    from edgewise.interpret.report import write_report
    from edgewise.interpret.scoring import Scores, scores
    from edgewise.interpret.structure import Blocks, Verdict, separability, separable_blocks, symmetry
    from edgewise.interpret.symbolic import Suggestions, Symbolic, auto_symbolic, fix, suggest, unfix
    from edgewise.nn.forms import FORMS, Form, add_form

__all__ = [
    "FORMS",
    "Blocks",
    "Dependence",
    "Diagram",
    "Discovery",
    "Form",
    "Formula",
    "Interactions",
    "Pruned",
    "Scores",
    "Suggestions",
    "Symbolic",
    "Verdict",
    "add_form",
    "auto_symbolic",
    "discover",
    "fix",
    "formula",
    "from_sympy",
    "interactions",
    "partial_dependence",
    "plot",
    "plot_edge",
    "plot_scores",
    "prune",
    "scores",
    "separability",
    "separable_blocks",
    "suggest",
    "symmetry",
    "unfix",
    "write_report",
]

_HOMES = {
    "interpret.construction": ("from_sympy",),
    "interpret.dependence": (
        "Dependence",
        "partial_dependence",
    ),
    "interpret.diagram": ("Diagram",),
    "interpret.discovery": (
        "Discovery",
        "discover",
    ),
    "interpret.formulas": (
        "Formula",
        "formula",
    ),
    "interpret.meetings": (
        "Interactions",
        "interactions",
    ),
    "interpret.plots": (
        "plot",
        "plot_edge",
        "plot_scores",
    ),
    "interpret.pruning": (
        "Pruned",
        "prune",
    ),
    "interpret.report": ("write_report",),
    "interpret.scoring": (
        "Scores",
        "scores",
    ),
    "interpret.structure": (
        "Blocks",
        "Verdict",
        "separability",
        "separable_blocks",
        "symmetry",
    ),
    "interpret.symbolic": (
        "Suggestions",
        "Symbolic",
        "auto_symbolic",
        "fix",
        "suggest",
        "unfix",
    ),
    "nn.forms": ("FORMS", "Form", "add_form"),
}

_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"edgewise.{_HOME[name]}"), name)
    raise AttributeError(f"module 'edgewise.interpret' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
