"""Optimizers written in one word, with options and a schedule: "adam:1e-3,cosine,warmup=100"."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import optax

from edgewise.errors import EdgewiseError, check_choice, check_count, check_keywords, check_positive
from edgewise.training.optim.jacobian import MODES
from edgewise.training.optim.least_squares import LevenbergMarquardt
from edgewise.training.optim.muon import muon
from edgewise.training.optim.quasi_newton import lbfgs, quasi_newton
from edgewise.training.optim.schedules import SHAPES, Schedule
from edgewise.training.optim.soap import soap

__all__ = ["ALIASES", "OPTIMIZERS", "Optimizer", "resolve_optimizer"]


@dataclass(frozen=True)
class Optimizer:
    """An optimizer, and how the engine has to treat it.

    Attributes:
        spec: as it was spelled; where it comes from, for a transformation of optax.
        transform: what moves the parameters.
        rate: the learning rate, of which a schedule takes a share; None where there is none or none is known.
        float64: whether it runs in float64 unless told otherwise: the methods of second order do.
        packed: whether parameters may come as one vector ``[P]``; otherwise they come as the model has them.
        full_batch: whether it compares losses between steps and so wants the whole data in each of them.
    """

    spec: str
    transform: optax.GradientTransformationExtraArgs | LevenbergMarquardt
    rate: float | None = None
    float64: bool = False
    packed: bool = False
    full_batch: bool = False

    @property
    def least_squares(self) -> bool:
        """Whether it takes the residuals of a sum of squares: Levenberg-Marquardt and Gauss-Newton."""
        return isinstance(self.transform, LevenbergMarquardt)

    @property
    def remembers(self) -> bool:
        """Whether a step goes by the gradients of the steps before it, as quasi-Newton methods do."""
        return self.full_batch and not self.least_squares


class _Kind(NamedTuple):
    """What an option may be."""

    what: str
    example: str
    convert: Callable[[str], Any]
    holds: Callable[[Any], bool]


def _flag(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _choice(*names: str) -> _Kind:
    return _Kind(f"one of {', '.join(names)}", names[0], str, lambda value: value in names)


_POSITIVE = _Kind("a number above 0", "1e-3", float, lambda value: 0 < value < math.inf)
_AMOUNT = _Kind("a number of at least 0", "1e-4", float, lambda value: 0 <= value < math.inf)
_SHARE = _Kind("at least 0 and below 1", "0.9", float, lambda value: 0 <= value < 1)
_COUNT = _Kind("a whole number above 0", "10", int, lambda value: value > 0)
_STEPS = _Kind("a whole number of at least 0", "100", int, lambda value: value >= 0)
_FLAG = _Kind("true or false", "true", _flag, lambda value: True)


class _Method(NamedTuple):
    """An optimizer by name; ``rate`` is the default learning rate, None where the method finds its own step."""

    make: Callable[..., Any]
    options: Mapping[str, _Kind]
    rate: float | None = None
    packed: bool = True


_MOMENTS = {"b1": _SHARE, "b2": _SHARE, "eps": _POSITIVE}
_DECAY = {"weight_decay": _AMOUNT}
_SCHEDULE = {"warmup": _STEPS, "end": _AMOUNT, "decay": _POSITIVE}
_SOAP = {"shampoo_beta": _SHARE, "precondition_frequency": _COUNT, "max_precond_dim": _STEPS}
_SEARCH = {"linesearch_steps": _COUNT}
_LEAST_SQUARES = {
    "solver": _choice("auto", "dense", "qr", "cg"),
    "jacobian": _choice("auto", *MODES),
    "geodesic": _FLAG,
    "ridge": _POSITIVE,
    "memory": _POSITIVE,
    "cg_steps": _COUNT,
    "cg_tolerance": _POSITIVE,
}


def _rmsprop(learning_rate, b2=0.9, **options):
    return optax.rmsprop(learning_rate, decay=b2, **options)


_METHODS: dict[str, _Method] = {
    "adam": _Method(optax.adam, _MOMENTS, 1e-3),
    "adamw": _Method(optax.adamw, _MOMENTS | _DECAY, 1e-3),
    "nadam": _Method(optax.nadam, _MOMENTS, 1e-3),
    "lion": _Method(optax.lion, {"b1": _SHARE, "b2": _SHARE} | _DECAY, 1e-4),
    "rmsprop": _Method(_rmsprop, {"b2": _SHARE, "eps": _POSITIVE, "momentum": _SHARE, "nesterov": _FLAG}, 1e-3),
    "sgd": _Method(optax.sgd, {"momentum": _SHARE, "nesterov": _FLAG}, 1e-2),
    "muon": _Method(muon, {"beta": _SHARE, "ns_steps": _COUNT, "rms": _POSITIVE} | _DECAY, 1e-3, packed=False),
    "soap": _Method(soap, _MOMENTS | _DECAY | _SOAP, 3e-3, packed=False),
    "lbfgs": _Method(lbfgs, {"memory_size": _COUNT} | _SEARCH),
    "bfgs": _Method(partial(quasi_newton, "bfgs", scaled=False), _SEARCH),
    "ssbfgs": _Method(partial(quasi_newton, "bfgs"), _SEARCH),
    "ssbroyden": _Method(partial(quasi_newton, "broyden"), _SEARCH),
    "levenberg_marquardt": _Method(LevenbergMarquardt, {"damping": _POSITIVE} | _LEAST_SQUARES),
    "gauss_newton": _Method(partial(LevenbergMarquardt, damping=0.0), _LEAST_SQUARES),
}
OPTIMIZERS = tuple(_METHODS)
"""Names of optimizers."""

ALIASES = {"lm": "levenberg_marquardt", "gn": "gauss_newton"}
"""Short names of some."""


def resolve_optimizer(optimizer: Any, steps: int) -> Optimizer:
    """The optimizer for a run of so many ``steps``.

    Args:
        optimizer: ``name[:rate]``, then after commas options ``key=value`` and a schedule: "adam", "adam:1e-3,cosine",
            "adamw:1e-3,linear,end=0.1,warmup=100,weight_decay=1e-4", "lbfgs,memory_size=20", "levenberg_marquardt".
            Schedules: constant, linear, cosine (both down to the share ``end`` of the rate, 0), exponential (down to
            the share ``decay``, 0.01).  Or a transformation of optax, a :class:`LevenbergMarquardt`, an
            :class:`Optimizer`.
        steps: length of the run, which schedules are fitted to.

    Returns:
        Identical objects for identical strings: what is compiled for one of them is found again.

    Raises:
        UnknownNameError: for an unknown optimizer, option or schedule.
        EdgewiseError: for a value that is not what its option takes, or a rate where the method finds its own step.
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    if isinstance(optimizer, str):
        _, _, shape, options = _parse(optimizer)
        scheduled = shape != "constant" or options.keys() & _SCHEDULE.keys()
        return _named(optimizer, check_count("steps", steps) if scheduled else None)
    if isinstance(optimizer, LevenbergMarquardt):
        return Optimizer(repr(optimizer), optimizer, float64=True, packed=True, full_batch=True)
    if isinstance(optimizer, optax.GradientTransformation):
        return _of_optax(optimizer)
    raise EdgewiseError(
        f"optimizer={optimizer!r} is not an optimizer.",
        do='pass a name, say "adam:1e-3", or a transformation of optax.',
    )


@lru_cache(maxsize=64)
def _of_optax(transform: optax.GradientTransformation) -> Optimizer:
    update: Any = transform.update
    spec = f"{getattr(update, '__module__', '?')}.{getattr(update, '__qualname__', type(update).__name__)}"
    return Optimizer(spec, optax.with_extra_args_support(transform))


@lru_cache(maxsize=256)
def _named(spec: str, steps: int | None) -> Optimizer:
    name, rate, shape, given = _parse(spec)
    method, options = _METHODS[name], dict(given)
    if method.rate is None:
        float64 = options.pop("float64", True)
        return Optimizer(spec, method.make(**options), None, float64, packed=True, full_batch=True)
    rate = method.rate if rate is None else rate
    warmup, end = options.pop("warmup", 0), options.pop("end", 0.0)
    end = options.pop("decay", 0.01) if shape == "exponential" else end
    learning_rate = rate if steps is None else Schedule(rate, shape, end, warmup, steps)
    transform = optax.with_extra_args_support(method.make(learning_rate, **options))
    return Optimizer(spec, transform, rate, packed=method.packed)


@lru_cache(maxsize=256)
def _parse(spec: str) -> tuple[str, float | None, str, dict[str, Any]]:
    """Name, learning rate where one is given, schedule, options."""
    head, *arguments = (part.strip() for part in spec.split(","))
    name, colon, rate = (part.strip() for part in head.partition(":"))
    name = ALIASES.get(name.lower(), name.lower())
    check_choice("optimizer", name, [*_METHODS, *ALIASES])
    method = _METHODS[name]
    if method.rate is None and (colon or not set(SHAPES).isdisjoint(arguments)):
        raise EdgewiseError(
            f"optimizer {spec!r}: {name} takes no learning rate" + ("." if colon else " and no schedule."),
            "it finds the length of every step itself, by comparing losses.",
            f'write "{",".join([name, *(each for each in arguments if each not in SHAPES)])}".',
        )
    learning_rate = _learning_rate(spec, name, rate) if colon else None
    shapes, options = [], {}
    for argument in arguments:
        key, equals, value = (part.strip() for part in argument.partition("="))
        if not equals and method.rate is not None:
            check_choice("schedule", key, SHAPES)
            shapes.append(key)
            continue
        own = {**method.options, **({"float64": _FLAG} if method.rate is None else _SCHEDULE)}
        check_keywords(f"optimizer {name}", [key], own)
        if key in options:
            raise EdgewiseError(f"optimizer {spec!r} gives {key} twice.", do=f"give {key} once.")
        options[key] = _value(spec, key, value, own[key])
    return name, learning_rate, _shape(spec, shapes, options), options


def _learning_rate(spec: str, name: str, text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        raise EdgewiseError(
            f"optimizer {spec!r}: {text!r} is not a learning rate.", do=f'write say "{name}:1e-3".'
        ) from None
    check_positive(f"optimizer {spec!r}: learning rate", rate)
    return rate


def _value(spec: str, key: str, text: str, kind: _Kind) -> Any:
    try:
        value = kind.convert(text)
    except (ValueError, KeyError):
        value = None
    if value is None or not kind.holds(value):
        raise EdgewiseError(
            f"optimizer {spec!r}: {key} must be {kind.what}, got {text!r}.", do=f"write say {key}={kind.example}."
        )
    return value


def _shape(spec: str, shapes: list[str], options: Mapping[str, Any]) -> str:
    """The one schedule; options that are not for it are refused."""
    if len(shapes) > 1:
        raise EdgewiseError(
            f"optimizer {spec!r} has {len(shapes)} schedules.", do=f"choose one of {', '.join(shapes)}."
        )
    shape = shapes[0] if shapes else "constant"
    taken = {"constant": {"warmup"}, "exponential": {"warmup", "decay"}}.get(shape, {"warmup", "end"})
    if stray := (options.keys() & _SCHEDULE.keys()) - taken:
        key = min(stray)
        others = "exponential" if key == "decay" else "linear and cosine"
        raise EdgewiseError(
            f"optimizer {spec!r}: the schedule {shape!r} has no {key}.",
            f"{key} belongs to {others}.",
            f"leave {key} out, or name another schedule.",
        )
    return shape
