"""Which initialization schemes a study compares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from edgewise.errors import EdgewiseError, unknown_name

__all__ = ["PUBLISHED", "choose_schemes"]

PUBLISHED = ("default", "lecun", "glorot", "glorot_fine", "power")
NEEDS_RESIDUAL = "residual_first"


def choose_schemes(schemes: Any, residual: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Initializers by name, and notes on what was left out.

    Args:
        schemes: ``"all"``, ``"published"``, names (one, with commas, or a sequence), or initializers (one, a sequence,
            which may hold names as well, or a mapping from names).
        residual: the residual branch of the layers; ``None``: there is none, and ``residual_first`` cannot be used.

    Raises:
        UnknownNameError: an unknown name.
        EdgewiseError: a name twice, none at all, or ``residual_first`` asked for by name without a residual branch.
    """
    from edgewise.init import SCHEMES

    if isinstance(schemes, Mapping):
        items: list[tuple[str, Any]] = [(str(name), _instance(scheme, SCHEMES)) for name, scheme in schemes.items()]
    else:
        notes: tuple[str, ...] = ()
        if schemes == "all":
            schemes = [name for name in SCHEMES if residual is not None or name != NEEDS_RESIDUAL]
            if residual is None and NEEDS_RESIDUAL in SCHEMES:
                notes = (
                    f"{NEEDS_RESIDUAL} is left out: the layers have no residual branch (--residual silu adds one).",
                )
            return {name: SCHEMES[name]() for name in schemes}, notes
        if schemes == "published":
            schemes = PUBLISHED
        elif isinstance(schemes, str):
            schemes = [name.strip() for name in schemes.split(",") if name.strip()]
        elif callable(schemes):
            schemes = [schemes]
        elif not isinstance(schemes, Iterable):
            raise _no_scheme(schemes)
        items = [(_name(scheme, SCHEMES), _instance(scheme, SCHEMES)) for scheme in schemes]
    names = [name for name, _ in items]
    if not names or len(set(names)) < len(names):
        raise EdgewiseError(
            f"schemes are {', '.join(names)}: one is named twice." if names else "no scheme is given.",
            do='name each once; variants of one scheme go in a mapping, such as {"gain 1": Glorot(gain=1.0), ...}.',
        )
    needs = SCHEMES.get(NEEDS_RESIDUAL)
    if residual is None and needs is not None and any(isinstance(scheme, needs) for _, scheme in items):
        raise EdgewiseError(
            f"the scheme {NEEDS_RESIDUAL!r} needs a residual branch.",
            "it starts the network from that branch alone, and the layers have none.",
            "add one with residual='silu' (on the command line: --residual silu).",
        )
    return dict(items), ()


def _instance(scheme: Any, known: Mapping[str, Any]) -> Any:
    if not isinstance(scheme, str):
        if not callable(scheme):
            raise _no_scheme(scheme)
        return scheme() if isinstance(scheme, type) else scheme
    if scheme not in known:
        raise unknown_name("scheme", scheme, [*known, "all", "published"])
    return known[scheme]()


def _no_scheme(given: Any) -> EdgewiseError:
    return EdgewiseError(
        f"{given!r} is neither a name nor an initializer.",
        "a study compares initialization schemes.",
        "pass schemes='all', names such as 'default,glorot', or initializers such as edgewise.init.Glorot(gain=1.0).",
    )


def _name(scheme: Any, known: Mapping[str, Any]) -> str:
    if isinstance(scheme, str):
        return scheme
    kind = scheme if isinstance(scheme, type) else type(scheme)
    named = next((name for name, cls in known.items() if cls is kind), None)
    return named or getattr(scheme, "__name__", kind.__name__)
