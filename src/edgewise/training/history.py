"""What was recorded while training."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.errors import EdgewiseError, require

__all__ = ["History", "plain_log_ticks"]


@dataclass(frozen=True)
class History:
    """Losses by step, as NumPy arrays.

    Attributes:
        steps, loss: ``[T]``: the loss of the batch before update number ``steps[i] + 1``, regularizers included.
        validation_steps, validation: ``[V]``: the loss on the validation data after that many updates; empty without.
        score, score_name: ``[V]``: what is reported beside the loss, such as the accuracy.
        seconds: wall time of the run, compilation included.
        events: what happened on the way, (step, what).
    """

    steps: np.ndarray
    loss: np.ndarray
    validation_steps: np.ndarray
    validation: np.ndarray
    score: np.ndarray
    score_name: str = ""
    seconds: float = 0.0
    events: tuple[tuple[int, str], ...] = ()

    def __repr__(self) -> str:
        final = f", last loss {self.loss[-1]:.3g}" if len(self.loss) else ""
        validated = f", last validation loss {self.validation[-1]:.3g}" if len(self.validation) else ""
        return f"History({len(self.loss)} losses{final}{validated})"

    def to_csv(self, path: str | Path) -> None:
        """Write columns step, loss, validation_loss and score; a step has an empty cell where nothing was recorded.

        Raises ``EdgewiseError`` where ``path`` cannot be written.
        """
        rows: dict[int, dict[str, float]] = {}
        for name, steps, values in self.columns():
            for step, value in zip(steps.tolist(), values.tolist(), strict=True):
                rows.setdefault(step, {})[name] = value
        names = [name for name, _, _ in self.columns()]
        with _writable(path) as file:
            writer = csv.writer(file)
            writer.writerow(["step", *names])
            writer.writerows([step, *(rows[step].get(name, "") for name in names)] for step in sorted(rows))

    def to_json(self, path: str | Path) -> None:
        """Write the attributes as JSON; what is not finite becomes null.

        Raises ``EdgewiseError`` where ``path`` cannot be written.
        """
        with _writable(path) as file:
            json.dump(self.to_dict(), file)

    def to_dict(self) -> dict[str, Any]:
        """The attributes, ready for JSON."""
        arrays = ("steps", "loss", "validation_steps", "validation", "score")
        listed = {name: [_number(value) for value in getattr(self, name).tolist()] for name in arrays}
        events = [list(event) for event in self.events]
        return {**listed, "score_name": self.score_name, "seconds": self.seconds, "events": events}

    def plot(self, ax: Any = None, *, marks: Mapping[int, str] | None = None) -> Any:
        """Draw the learning curve on a logarithmic axis (``ax``, or a new one); returns the Matplotlib axes.

        What happened on the way is marked, a refinement by its size, "G=8"; ``marks`` adds what happened at further
        steps, say ``{400: "pruned"}``.
        """
        if ax is None:
            ax = require("matplotlib.figure", "plot").Figure(figsize=(6, 4), layout="constrained").add_subplot()
        ax.plot(self.steps + 1, self.loss, color="#4477aa", linewidth=1.2, label="training")
        if len(self.validation):
            ax.plot(self.validation_steps, self.validation, color="#ee6677", linewidth=1.6, label="validation")
            ax.legend(frameon=False)
        values = np.concatenate([self.loss, self.validation])
        values = values[np.isfinite(values)]
        if values.size and (values > 0).all():
            ax.set_yscale("log")
            plain_log_ticks(ax.yaxis, float(values.max() / values.min()))
        events = [(step, _mark(what), ":") for step, what in self.events]
        for step, what, dash in [*events, *((step, str(what), "--") for step, what in (marks or {}).items())]:
            ax.axvline(step, color="#999999", linewidth=0.8, linestyle=dash)
            ax.annotate(
                what, (step, 1), xytext=(-2, -2), xycoords=("data", "axes fraction"), textcoords="offset points",
                rotation=90, fontsize=7, ha="right", va="top", parse_math=False,
            )  # fmt: skip
        ax.set_xlabel("step")
        ax.set_ylabel("loss")
        ax.spines[["top", "right"]].set_visible(False)
        return ax

    def columns(self) -> list[tuple[str, np.ndarray, np.ndarray]]:
        """Name, steps ``[k]`` and values ``[k]``; a loss belongs to the update it was computed for, counted from 1."""
        columns = [("loss", self.steps + 1, self.loss)]
        if len(self.validation):
            columns.append(("validation_loss", self.validation_steps, self.validation))
        if self.score_name:
            columns.append((f"validation_{self.score_name}", self.validation_steps, self.score))
        return columns


def plain_log_ticks(axis: Any, ratio: float) -> None:
    """Plain numbers on a logarithmic axis of Matplotlib whose ends have a ``ratio`` below 30: few powers of ten fit."""
    if ratio >= 30:
        return
    ticker = require("matplotlib.ticker", "plot")
    axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if ratio > 6 else (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)))
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(ticker.NullFormatter())


def _mark(event: str) -> str:
    """An event in few characters: "refine:8,adaptivity=0.5" as "G=8 adapted"."""
    kind, _, words = event.partition(":")
    if kind != "refine":
        return event
    size, *options = words.split(",")
    adapted = any(option.startswith("adaptivity=") for option in [size, *options])
    return " ".join(["" if "=" in size else f"G={size}", "adapted" if adapted else ""]).strip() or event


def _number(value: float | int) -> float | int | None:
    return value if np.isfinite(value) else None


def _writable(path: str | Path) -> Any:
    try:
        return Path(path).open("w", newline="", encoding="utf-8")
    except OSError as error:
        raise EdgewiseError(
            f"the history cannot be written to {str(path)!r}.",
            f"{error.strerror}.",
            "name a file in a folder of yours.",
        ) from error
