"""What repeats a study: a command of the shell where words say it all, a call in Python otherwise."""

from __future__ import annotations

import dataclasses
import importlib
import keyword
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgewise.errors import EdgewiseError
from edgewise.study.tasks import Task

__all__ = ["Spelled", "repeating"]

HOMES = ("edgewise", "edgewise.init", "edgewise.bases", "edgewise.training.optim")


@dataclasses.dataclass(frozen=True)
class Spelled:
    """The arguments of ``compare`` that have several spellings, as they were given."""

    data: Any
    schemes: Any
    basis: Any
    residual: Any
    optimizer: Any


def repeating(
    given: Spelled, task: Task, schemes: Mapping[str, Any], seeds: Sequence[int], settings: Mapping[str, Any]
) -> str:
    """The command that repeats a study of these ``schemes``, initializers by name.

    In Python it runs after ``import edgewise``.  What no code can be written for, such as arrays, is a name in it, and
    a comment says what the name stands for.
    """
    names = given.schemes if isinstance(given.schemes, str) else ",".join(schemes) if _all_text(given.schemes) else None
    counted = tuple(seeds) == tuple(range(len(seeds)))
    words = isinstance(given.basis, str) and isinstance(given.optimizer, str) and isinstance(given.residual, str | None)
    if "data" in task.source and names and counted and words:
        return _shell(given, task.source, names, len(seeds), settings)
    writer, source = _Writer(), dict(task.source)
    if "data" in source:
        data = repr(source.pop("data"))
    elif isinstance(given.data, Task):
        data = writer.named(given.data, "task", "Task")
    else:
        data = f"({writer.named(given.data[0], 'X')}, {writer.named(given.data[1], 'y')})"
    keywords = source | {
        "basis": given.basis,
        "widths": tuple(settings["widths"][1:-1]),
        "schemes": given.schemes if isinstance(given.schemes, str) else dict(schemes),
        "seeds": len(seeds) if counted else tuple(seeds),
        "epochs": settings["epochs"],
        "optimizer": given.optimizer,
        "residual": _residual(given.residual),
        "bias": settings["bias"],
    }
    call = f"edgewise.study.compare({data}, {', '.join(f'{k}={writer.code(v, k)}' for k, v in keywords.items())})"
    return "  # ".join([call, *(["; ".join(writer.comments)] if writer.comments else [])])


def _shell(given: Spelled, source: Mapping[str, Any], schemes: str, seeds: int, settings: Mapping[str, Any]) -> str:
    is_file = "target" in source
    options = {} if is_file else {"data": source["data"]}
    options |= {name: source[name] for name in ("target", "task") if source.get(name)} | {
        "basis": given.basis,
        "widths": ",".join(map(str, settings["widths"][1:-1])),
        "schemes": schemes,
        "seeds": seeds,
        "epochs": settings["epochs"],
        "optimizer": given.optimizer,
        "residual": given.residual or "none",
    }
    words = [source["data"]] if is_file else []
    for name, value in options.items():
        # A value that begins with a dash would be read as an option.
        words += [f"--{name}={value}"] if str(value).startswith("-") else [f"--{name}", str(value)]
    return shlex.join(["edgewise", "study", *words, *([] if settings["bias"] else ["--no-bias"])])


def _all_text(schemes: Any) -> bool:
    return isinstance(schemes, list | tuple) and all(isinstance(scheme, str) for scheme in schemes)


def _residual(residual: Any) -> Any:
    """The name of the function ``residual``, where that leads back to it in every program."""
    from edgewise.nn.residuals import residual_name, resolve_residual

    if isinstance(residual, str):
        return residual
    name = residual_name(residual)
    try:
        found = not str(name).startswith("__main__") and resolve_residual(name) is resolve_residual(residual)
    except EdgewiseError:
        found = False
    return name if found else residual


class _Writer:
    """Writes values as code.  What cannot be written gets a name, and ``comments`` say what it is."""

    def __init__(self) -> None:
        self.named_values: dict[str, Any] = {}
        self.comments: list[str] = []

    def code(self, value: Any, name: str) -> str:
        """``value`` as code; ``name`` is what to call it otherwise."""
        value = value.item() if isinstance(value, np.generic) else value
        if value is None or type(value) in (bool, int, str) or (type(value) is float and math.isfinite(value)):
            return repr(value)
        if type(value) is dict:
            return "{" + ", ".join(f"{key!r}: {self.code(each, str(key))}" for key, each in value.items()) + "}"
        if type(value) is tuple:
            parts = [self.code(each, name) for each in value]
            return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
        kind = type(value)
        home = next((home for home in HOMES if getattr(importlib.import_module(home), kind.__name__, 0) is kind), None)
        if home is None or not dataclasses.is_dataclass(value):
            return self.named(value, name)
        changed = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)
                   if field.init and getattr(value, field.name) is not field.default}  # fmt: skip
        inner = ", ".join(f"{key}={self.code(each, key)}" for key, each in changed.items())
        return f"{home}.{kind.__name__}({inner})"

    def named(self, value: Any, name: str, what: str = "") -> str:
        """A name that stands for ``value``, which is ``what``."""
        own = getattr(value, "__name__", name)
        name = re.sub(r"\W", "_", name if own == "<lambda>" else own)
        name = f"{name}_" if keyword.iskeyword(name) else name if name.isidentifier() else f"_{name}"
        while self.named_values.setdefault(name, value) is not value:
            name += "_"
        array = hasattr(value, "shape") or isinstance(value, list)
        what = what or ("array" if array else "function" if hasattr(value, "__name__") else "object")
        comment = f"{name}: the {what} given"
        self.comments += [] if comment in self.comments else [comment]
        return name
