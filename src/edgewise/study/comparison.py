"""The result of a study: scores of every scheme and seed, what they amount to, and how to read them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewise.errors import require
from edgewise.study.tasks import Task
from edgewise.study.verdict import Verdict

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Comparison", "Curves", "SchemeRow", "quantiles"]

FORMAT = 1  # of results.json
TABLE_WIDTH = 118


@dataclass(frozen=True)
class SchemeRow:
    """One scheme of a study.

    ``median``, ``q25`` and ``q75`` count a diverged run as the worst possible (infinite); ``best`` and ``worst`` are of
    the runs that stayed finite.  ``gains`` are the predicted (forward, backward) variance gains of each layer at the
    start of training; ``forward`` and ``backward`` are their products over the layers.
    """

    scheme: str
    median: float
    q25: float
    q75: float
    best: float
    worst: float
    diverged: int
    gains: tuple[tuple[float, float], ...]
    reference: float | None = None

    @property
    def forward(self) -> float:
        """Predicted Var(output)/Var(input) of the network."""
        return math.prod(gain[0] for gain in self.gains)

    @property
    def backward(self) -> float:
        """Predicted Var(gradient at the input)/Var(gradient at the output) of the network."""
        return math.prod(gain[1] for gain in self.gains)


@dataclass(frozen=True)
class Curves:
    """Loss over the epochs: ``epochs`` ``[T]`` and quartiles ``train`` ``[schemes, 3, T]``.

    The three rows are the lower quartile, the median and the upper quartile over the seeds; a diverged run is infinite.
    """

    epochs: np.ndarray
    train: np.ndarray


@dataclass(frozen=True, eq=False)
class Comparison:
    """What :func:`edgewise.study.compare` returns.  Printing it shows the table and the verdict.

    Attributes:
        task: the data.
        names: the schemes; the first axis of every array.
        seeds: the seeds; the second axis.
        scores: test score of each run ``[schemes, seeds]``; NaN where it diverged.
        diverged_at: epoch at which a run's loss stopped being finite, -1 where it never did ``[schemes, seeds]``.
        predictions: network outputs on the test rows ``[schemes, seeds, n_test, n_outputs]``.
        gains: predicted (forward, backward) gain of each layer, per scheme.
        curves: losses over the epochs.
        verdict: which schemes are as good as the best.
        settings: everything the study was run with.
        versions: of the software, and the machine.
        command: the command that repeats the study.
        completed: epochs done; fewer than ``settings["epochs"]`` where the study was interrupted.
        interrupted: whether it was.
        seconds, compile_seconds: wall time of all runs together, and of compiling within it.
        notes: what a reader should know.
        out: the folder the report was written to.
    """

    task: Task
    names: tuple[str, ...]
    seeds: tuple[int, ...]
    scores: np.ndarray
    diverged_at: np.ndarray
    predictions: np.ndarray
    gains: tuple[tuple[tuple[float, float], ...], ...]
    curves: Curves
    verdict: Verdict
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    command: str
    completed: int
    interrupted: bool
    seconds: float
    compile_seconds: float
    notes: tuple[str, ...] = ()
    out: Path | None = field(default=None)

    @property
    def rows(self) -> tuple[SchemeRow, ...]:
        """A row per scheme, the best first."""
        rows = [self._row(i) for i in range(len(self.names))]
        order = [self.verdict.best, *self.verdict.p_values] if self.verdict.best else list(self.names)
        return tuple(sorted(rows, key=lambda row: order.index(row.scheme)))

    def _row(self, i: int) -> SchemeRow:
        sign = -1.0 if self.task.higher_is_better else 1.0
        scores = self.scores[i]
        finite = scores[np.isfinite(scores)] if np.isfinite(scores).any() else np.array([np.nan])
        q25, median, q75 = sign * quantiles(sign * scores)
        return SchemeRow(
            scheme=self.names[i],
            median=float(median),
            q25=float(min(q25, q75)),
            q75=float(max(q25, q75)),
            best=float(sign * (sign * finite).min()),
            worst=float(sign * (sign * finite).max()),
            diverged=int((~np.isfinite(scores)).sum()),
            gains=self.gains[i],
            reference=self.task.reference.get(self.names[i]),
        )

    @property
    def headline(self) -> str:
        """What was compared and what the scores are, in one line."""
        s = self.settings
        widths = ", ".join(str(width) for width in s["widths"])
        done = (
            f"{self.completed} of {s['epochs']} epochs (interrupted)" if self.interrupted else f"{s['epochs']} epochs"
        )
        seeds = f"{len(self.seeds)} {'seed' if len(self.seeds) == 1 else 'seeds'}"
        what = f"{self.task.name} · [{widths}] {s['basis']} · {s['optimizer']} · {done} · {seeds}"
        return f"{what} · {self.task.score_name}"

    def table(self) -> Table:
        """The table as a ``rich.table.Table``, best scheme first."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        # Text, not str: square brackets in a name would be read as markup.
        table = Table(
            title=Text(self.headline), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True
        )
        for column in self.columns():
            whole = column in ("scheme", "quartiles")
            table.add_column(
                column, justify="left" if column == "scheme" else "right", no_wrap=whole, vertical="bottom"
            )
        for row, cells in zip(self.rows, self.cells(), strict=True):
            table.add_row(*map(Text, cells), style="bold" if row.scheme == self.verdict.best else "")
        return table

    def columns(self) -> list[str]:
        """Headings of the table."""
        headings = ["scheme", "median", "quartiles", "best", "worst", "diverged", "gain fwd", "gain bwd", "p"]
        return headings + (["published"] if self.task.reference else [])

    def cells(self) -> list[list[str]]:
        """Cells of the table, a list per scheme, the best first."""
        cells = []
        for row in self.rows:
            line = [
                row.scheme,
                show(row.median),
                f"{show(row.q25)}–{show(row.q75)}",
                show(row.best),
                show(row.worst),
            ]
            line += [
                f"{row.diverged}/{len(self.seeds)}",
                show(row.forward),
                show(row.backward),
                self._p_cell(row.scheme),
            ]
            if self.task.reference:
                line.append("-" if row.reference is None else f"{row.reference:.5f}")
            cells.append(line)
        return cells

    def _p_cell(self, scheme: str) -> str:
        if scheme == self.verdict.best:
            return "best"
        p = self.verdict.p_values.get(scheme)
        return "-" if p is None or not self.verdict.decisive else "< 0.001" if p < 0.001 else f"{p:.3f}"

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=TABLE_WIDTH, color_system=None, force_terminal=False)
        with console.capture() as capture:
            console.print(self.table())
        return "\n".join([capture.get().rstrip(), self.verdict.text, *(f"Note: {note}" for note in self.notes)])

    def with_note(self, note: str) -> Comparison:
        """The same result with one more note."""
        return replace(self, notes=(*self.notes, note))

    def to_dict(self) -> dict[str, Any]:
        """Everything but the data and the predictions as plain Python; numbers that are not finite are ``None``."""
        verdict = {name: getattr(self.verdict, name) for name in self.verdict.__dataclass_fields__}
        curves = {
            "epochs": self.curves.epochs,
            "quartiles": (0.25, 0.5, 0.75),
            "train_loss": self._by_scheme(self.curves.train),
        }
        rows = [
            {name: getattr(row, name) for name in row.__dataclass_fields__}
            | {"forward": row.forward, "backward": row.backward}
            for row in self.rows
        ]
        everything = {
            "format": FORMAT,
            "command": self.command,
            "task": {"name": self.task.name, "kind": self.task.kind, "score": self.task.score_name,
                     "n_train": len(self.task.X_train), "n_test": len(self.task.X_test),
                     "features": self.task.feature_names, "targets": self.task.target_names,
                     "classes": self.task.class_names},
            "settings": self.settings,
            "verdict": verdict,
            "rows": rows,
            "scores": self._by_scheme(self.scores),
            "diverged_at": self._by_scheme(self.diverged_at),
            "completed": self.completed,
            "interrupted": self.interrupted,
            "seconds": self.seconds,
            "compile_seconds": self.compile_seconds,
            "versions": self.versions,
            "notes": self.notes,
            "curves": curves,
        }  # fmt: skip
        return _plain(everything)

    def to_json(self) -> str:
        """:meth:`to_dict` as strict JSON text."""
        return json.dumps(self.to_dict(), allow_nan=False, indent=1)

    def to_pandas(self, runs: bool = False) -> Any:
        """A ``pandas.DataFrame`` with a row per scheme, or, with ``runs=True``, a row per scheme and seed.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        pandas = require("pandas", "tables")
        if not runs:
            fields = ("scheme", "median", "q25", "q75", "best", "worst", "diverged", "forward", "backward", "reference")
            return pandas.DataFrame([{name: getattr(row, name) for name in fields} for row in self.rows])
        return pandas.DataFrame(
            [
                {"scheme": name, "seed": seed, "score": self.scores[i, j], "diverged_at": self.diverged_at[i, j]}
                for i, name in enumerate(self.names)
                for j, seed in enumerate(self.seeds)
            ]
        )

    def save(self, out: str | Path, *, force: bool = False) -> Comparison:
        """Write results.json, report.html and the plots to the folder ``out``; returns the result with ``out`` set.

        Raises:
            EdgewiseError: the folder holds something already and ``force`` is not set, or it cannot be written to.
        """
        from edgewise.study.report import write_report

        return write_report(self, Path(out), force=force)

    def _by_scheme(self, values: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(self.names, values, strict=True))


def quantiles(values: np.ndarray, q: Sequence[float] = (0.25, 0.5, 0.75)) -> np.ndarray:
    """Quantiles ``[len(q), ...]`` over the first axis, linear between order statistics; infinity last."""
    ordered = np.sort(np.where(np.isfinite(values), values, np.inf), axis=0)
    position = np.asarray(q) * (len(ordered) - 1)
    low, high = ordered[np.floor(position).astype(int)], ordered[np.ceil(position).astype(int)]
    fraction = (position % 1).reshape(-1, *[1] * (ordered.ndim - 1))
    step = np.where(np.isfinite(high), high, 0.0) - np.where(np.isfinite(low), low, 0.0)
    return np.where(np.isfinite(low) & (np.isfinite(high) | (fraction == 0)), low + fraction * step, np.inf)


def show(value: float) -> str:
    """A number with three significant digits; what is not finite is called diverged."""
    return f"{value:.3g}" if math.isfinite(value) else "diverged"


def _plain(value: Any) -> Any:
    """``value`` with arrays as lists, and None for what JSON cannot hold."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, bool | int | str | None) else str(value)
