"""Training in phases, with refinements between: ``[Steps(200), Refine(6), Steps(200), Refine(12), Steps(400)]``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgewise.errors import CheckedKeywords, EdgewiseError, check_choice, check_count, check_keywords
from edgewise.refine.grids import Refined, adapt, check_adaptivity, extend

__all__ = ["Refine", "Steps", "parse_schedule"]


@dataclass(frozen=True)
class Steps(CheckedKeywords):
    """A phase of training.

    Args:
        count: updates, or with ``patience`` at most so many.
        patience: looks in a row without improvement (see :class:`edgewise.training.EarlyStopping`) that end the phase.
    """

    count: Any
    patience: Any = None

    def __post_init__(self):
        check_count("count of Steps", self.count)
        if self.patience is not None:
            check_count("patience of Steps", self.patience)

    def __str__(self) -> str:
        return str(self.count) if self.patience is None else f"{self.count},patience={self.patience}"


@dataclass(frozen=True)
class Refine(CheckedKeywords):
    """A refinement between two phases.

    Args:
        size: of every layer, or one a layer, see :func:`edgewise.refine.extend`; None leaves it, and only adapts.
        adaptivity: how far grids follow the training data, see :func:`edgewise.refine.adapt`; None places evenly.
        by: "density" or "curvature".
        optimizer: what becomes of its state, see :func:`edgewise.refine.carry_state`: "lift" or "reset".
    """

    size: Any = None
    adaptivity: Any = None
    by: str = "density"
    optimizer: str = "lift"

    def __post_init__(self):
        if isinstance(self.size, list):
            object.__setattr__(self, "size", tuple(self.size))
        for one in self.size if isinstance(self.size, tuple) else () if self.size is None else (self.size,):
            check_count("size of Refine", one)
        if self.size is None and self.adaptivity is None:
            raise EdgewiseError(
                "Refine() refines nothing.", do="pass a size, say Refine(6), or adaptivity, say Refine(adaptivity=0.5)."
            )
        check_adaptivity(0.0 if self.adaptivity is None else self.adaptivity)
        check_choice("by", self.by, ("density", "curvature"))
        check_choice("optimizer of Refine:", self.optimizer, ("lift", "reset"))

    def __str__(self) -> str:
        sizes = self.size if isinstance(self.size, tuple) else () if self.size is None else (self.size,)
        options = [" ".join(map(str, sizes))] if sizes else []
        options += [] if self.adaptivity is None else [f"adaptivity={self.adaptivity}"]
        options += [] if self.by == "density" else [f"by={self.by}"]
        options += [] if self.optimizer == "lift" else [f"optimizer={self.optimizer}"]
        return f"refine:{','.join(options)}"

    def __call__(self, model: Any, x: Any) -> Refined:
        """Refine ``model``; ``x`` are data, looked at where there is an ``adaptivity``."""
        if self.size is None:
            return adapt(model, x, adaptivity=self.adaptivity, by=self.by)
        if self.adaptivity is None:
            return extend(model, self.size)
        return extend(model, self.size, x, adaptivity=self.adaptivity, by=self.by)


def parse_schedule(schedule: Any) -> tuple[Steps | Refine, ...]:
    """Phases and refinements as they are spelled in Python or in a file.

    ``[Steps(200), Refine(6)]`` and ``[200, "refine:6"]`` are the same; further spellings are ``"2000,patience=5"``,
    ``"refine:6 6 4"`` (a size a layer), ``"refine:12,adaptivity=0.5,by=curvature,optimizer=reset"`` and
    ``"refine:adaptivity=0.5"``.

    Raises:
        EdgewiseError: for what is neither.
    """
    if isinstance(schedule, str) or not isinstance(schedule, Sequence):
        raise EdgewiseError(f"schedule={schedule!r} is no list.", do="pass say [Steps(200), Refine(6), Steps(200)].")
    return tuple(_parsed(item) for item in schedule)


def _parsed(item: Any) -> Steps | Refine:
    if isinstance(item, Steps | Refine):
        return item
    if hasattr(item, "__index__") and not isinstance(item, bool):
        return Steps(item)
    if not isinstance(item, str):
        raise EdgewiseError(f"{item!r} in schedule is neither Steps nor Refine.", do="pass Steps(200) or Refine(6).")
    kind, colon, rest = item.strip().partition(":")
    words = [word.strip() for word in (rest if colon else item).split(",") if word.strip()]
    options: dict[str, Any] = {word.partition("=")[0]: word.partition("=")[2] for word in words if "=" in word}
    leading = [word for word in words if "=" not in word]
    if colon:
        check_choice("item of schedule", kind, ("refine",))
        check_keywords("refine", options, ("adaptivity", "by", "optimizer"))
        sizes = [_number(size, item) for word in leading for size in word.split()]
        if "adaptivity" in options:
            options["adaptivity"] = _number(options["adaptivity"], item)
        return Refine(None if not sizes else sizes[0] if len(sizes) == 1 else tuple(sizes), **options)
    check_keywords("a phase of schedule", options, ("patience",))
    if len(leading) != 1:
        raise EdgewiseError(f"{item!r} in schedule is no phase.", do="write say 200, '2000,patience=5' or 'refine:6'.")
    return Steps(_number(leading[0], item), **{name: _number(value, item) for name, value in options.items()})


def _number(text: str, item: str) -> Any:
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    raise EdgewiseError(
        f"{text!r} in {item!r} of schedule is no number.", do="write say 200, '2000,patience=5' or 'refine:6'."
    )
