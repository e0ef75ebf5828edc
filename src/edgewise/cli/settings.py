"""The options of ``edgewise fit``, the same on the command line and in a TOML file."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgewise.cli.toml_text import read_toml
from edgewise.errors import EdgewiseError, check_count, unknown_name

__all__ = ["KEYWORDS", "OPTIONS", "Option", "Settings", "config_values", "run_values", "settings_of"]


@dataclass(frozen=True)
class Option:
    """One option: its name without dashes, what kind of value it takes, and what it is for."""

    name: str
    kind: str
    group: str
    help: str
    metavar: str | None = None

    @property
    def field(self) -> str:
        """Its field in :class:`Settings`."""
        return self.name.replace("-", "_")


@dataclass(frozen=True)
class Kind:
    """How a value is written: ``from_text`` on the command line, ``accepts`` what TOML gives."""

    spoken: str
    accepts: Callable[[Any], bool]
    from_text: Callable[[str], Any]


def names(text: str) -> tuple[str, ...]:
    """Names with commas between them."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def counts(text: str) -> tuple[int, ...]:
    """Whole numbers with commas between them."""
    try:
        return tuple(int(word) for word in text.split(",") if word.strip())
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of whole numbers, such as 8,8") from error


def phases(text: str) -> tuple[int | str, ...]:
    """Phases and refinements with a plus sign between them."""
    words = [word.strip() for word in text.split("+")]
    return tuple(int(word) if word.isdigit() else word for word in words if word)


def rows(text: str) -> int | str:
    """A whole number, or one of the words for how many rows a step takes."""
    if text in ROWS:
        return text
    try:
        return int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a whole number nor {' nor '.join(ROWS)}") from error


def _is_rows(value: Any) -> bool:
    return _is_int(value) or value in ROWS


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or _is_int(value)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_names(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))


def _is_phases(value: Any) -> bool:
    return isinstance(value, list) and all(_is_int(item) or isinstance(item, str) for item in value)


def _is_counts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_int, value))


ROWS = ("auto", "all")
KINDS = {
    "text": Kind("a text in quotes", _is_text, str),
    "names": Kind('a text or a list of texts, such as ["a", "b"]', _is_names, names),
    "counts": Kind("a list of whole numbers, such as [8, 8]", _is_counts, counts),
    "phases": Kind('a list of steps and refinements, such as [100, "refine:8", 200]', _is_phases, phases),
    "count": Kind("a whole number", _is_int, int),
    "rows": Kind('a whole number, or "auto", or "all"', _is_rows, rows),
    "number": Kind("a number", _is_number, float),
    "flag": Kind("true or false", _is_flag, bool),
}

OUT = "edgewise-run"

OPTIONS = (
    Option("data", "text", "data", "CSV file with a header, Parquet file (.parquet), or NPZ file with X and y"),
    Option("target", "names", "data", "column to predict; several with commas (regression)", "COLUMN"),
    Option("task", "text", "data",
           "regression or classification (default: classification if the target is text)", "KIND"),
    Option("categorical", "names", "data", "columns of numbers that are categories, with commas", "COLUMNS"),
    Option("ignore", "names", "data", "columns to leave out, with commas", "COLUMNS"),
    Option("test", "number", "data", "fraction of the rows held back to test on (default: 0.2)", "FRACTION"),
    Option("basis", "text", "network",
           "family and size, such as chebyshev:3 (default: rbf:5, chebyshev:2 for classes)", "NAME"),
    Option("widths", "counts", "network",
           "widths of the hidden layers, such as 8,8 (default: 32, 100 for classes)", "N,N"),
    Option("residual", "text", "network",
           "residual function, or none (default: silu, identity for classes)", "NAME"),
    Option("init", "text", "network", "initialization scheme, such as glorot (default: that of the family)", "NAME"),
    Option("loss", "text", "training",
           "such as huber or quantile:0.9 (default: mse, cross_entropy:0.05 for classes)", "NAME"),
    Option("optimizer", "text", "training", "such as lbfgs (default: adam:1e-2,cosine)", "NAME:RATE"),
    Option("steps", "count", "training", "steps of the optimizer (default: 300, 400 for classes)", "N"),
    Option("schedule", "phases", "training",
           "instead of --steps, phases and refinements, such as 100+refine:8+200 (default: none)", "PHASES"),
    Option("batch-size", "rows", "training",
           "rows a step, all, or auto: all up to 4096, otherwise 1024 (default: auto)", "N"),
    Option("alpha", "number", "training",
           "weight of the squares of the coefficients (default: 8.0, 6.0 for classes)", "WEIGHT"),
    Option("validation", "number", "training",
           "fraction of the training rows to end training early by; 0 for none (default: 0.0)", "FRACTION"),
    Option("patience", "count", "training",
           "looks without improvement that end training; 100 in all steps (default: 10)", "N"),
    Option("seed", "count", "training", "of the split, the initial network and the batches (default: 0)", "N"),
    Option("out", "text", "output", f"folder for the run (default: {OUT}, or {OUT}-2, ... where that exists)", "DIR"),
    Option("force", "flag", "output", "overwrite a run in --out"),
    Option("resume", "flag", "output", "go on with the run in --out, as its settings say; --steps may be more"),
    Option("json", "flag", "output", "print the metrics as JSON, and only that"),
    Option("quiet", "flag", "output", "no progress and no table"),
)  # fmt: skip

# What a run is made of; the rest says where it goes and what is shown.
HANDLING = ("out", "force", "resume", "json", "quiet")

# Option -> keyword of the estimators.
KEYWORDS = {
    "basis": "basis", "widths": "hidden_widths", "residual": "residual", "init": "init", "loss": "loss",
    "optimizer": "optimizer", "steps": "max_steps", "schedule": "schedule", "batch-size": "batch_size",
    "alpha": "alpha", "validation": "validation_fraction", "patience": "patience", "seed": "random_state",
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Everything ``edgewise fit`` was told; None where the estimator's own default is meant."""

    data: str | None = None
    target: tuple[str, ...] = ()
    task: str | None = None
    categorical: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    test: float = 0.2
    basis: str | None = None
    widths: tuple[int, ...] | None = None
    residual: str | None = None
    init: str | None = None
    loss: str | None = None
    optimizer: str | None = None
    steps: int | None = None
    schedule: tuple[int | str, ...] = ()
    batch_size: int | str | None = None
    alpha: float | None = None
    validation: float | None = None
    patience: int | None = None
    seed: int = 0
    out: str | None = None
    force: bool = False
    resume: bool = False
    json: bool = False
    quiet: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "patience"):
            if getattr(self, name) not in (None, *ROWS):
                check_count(name.replace("_", "-"), getattr(self, name))
        for width in self.widths or ():
            check_count("a width", width)
        if not 0 <= self.seed < 2**32:
            raise EdgewiseError(f"seed must be in [0, 2^32), got {self.seed}.", do="pass say --seed 0.")
        for name in ("test", "validation"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise EdgewiseError(
                    f"{name} must be in [0, 1), got {value}.", "it is a fraction of the rows.", f"pass --{name} 0.2."
                )
        if self.schedule and self.steps is not None:
            raise EdgewiseError(
                "steps and schedule were given.", "a schedule says how many steps there are.", "give one of them."
            )
        if self.force and self.resume:
            raise EdgewiseError(
                "--force and --resume were given.",
                "one starts the run anew, the other goes on with it.",
                "give one of them.",
            )


def settings_of(values: Mapping[str, Any]) -> Settings:
    """The settings that values by option name make, on top of the defaults."""
    return Settings(**{option.field: values[option.name] for option in OPTIONS if option.name in values})


def config_values(path: Path) -> dict[str, Any]:
    """The options that a TOML file sets, by name.

    Raises:
        EdgewiseError: no such file, no TOML, an unknown key (it offers the nearest), or a value of the wrong type.
    """
    options = {option.name: option for option in OPTIONS}
    values = {}
    for key, value in read_toml(path).items():
        name = key.replace("_", "-")
        if name not in options:
            raise unknown_name(f"key in {path.name}:", key, options)
        if name in values:
            raise EdgewiseError(f"{path.name}: {name} is given twice, as {key} too.", do="give it once.")
        kind = KINDS[options[name].kind]
        if not kind.accepts(value):
            raise EdgewiseError(
                f"{path.name}: {key} = {value!r} is not {kind.spoken.split(',')[0]}.",
                f"it is {TOML_TYPES.get(type(value), type(value).__name__)}.",
                f"write {kind.spoken}.",
            )
        values[name] = _settled(options[name].kind, value)
    return values


TOML_TYPES = {
    str: "a text", int: "a whole number", float: "a number", bool: "true or false", list: "a list",
    dict: "a table; the keys stand at the top, without [sections]",
}  # fmt: skip


def _settled(kind: str, value: Any) -> Any:
    if kind == "names":
        return names(value) if isinstance(value, str) else tuple(value)
    if kind in ("counts", "phases"):
        return tuple(value)
    return float(value) if kind == "number" else value


def run_values(settings: Settings) -> dict[str, Any]:
    """What the run is made of, by option name: what was set, and the defaults that are known here."""
    values = dataclasses.asdict(settings)
    kept = [option for option in OPTIONS if option.name not in HANDLING and values[option.field] is not None]
    # no names and no phases are as if nothing was said; no widths are no hidden layer
    return {o.name: values[o.field] for o in kept if values[o.field] != () or o.kind == "counts"}
