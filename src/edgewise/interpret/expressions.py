"""What a symbolic skeleton says, as SymPy writes it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from edgewise.errors import require
from edgewise.interpret.skeleton import Named, Skeleton
from edgewise.nn.forms import Form

__all__ = ["expressions", "latex_of", "rounded", "simplest", "symbols", "text_of"]

_PLAIN = r"[^\W\d]\w*"  # a name that is one word in a formula
_TRIED = 60  # operations up to which longer rewritings are tried


def symbols(names: Sequence[str]) -> list[Any]:
    """A real SymPy symbol a name."""
    sympy: Any = require("sympy", "symbolic")
    return [sympy.Symbol(name, real=True) for name in names]


def expressions(skeleton: Skeleton, features: Sequence[str], *, short: bool = True) -> list[Any]:
    """One SymPy expression an output, in the features' names; exact where constants are; ``short``: the shortest."""
    sympy: Any = require("sympy", "symbolic")
    every = symbols(features)
    h = [every[column] for column in skeleton.inputs]
    vector = skeleton.vector
    exact = {place: _exact(sympy, number) for place, number in skeleton.exact.items()}
    value = lambda place: exact.get(place, _number(sympy, float(vector[place]), place in skeleton.fixed))
    for layer, (bias, arities) in enumerate(zip(skeleton.biases, skeleton.arities, strict=True)):
        sums = [value(skeleton.bias_place(layer, j)) for j in range(len(bias))]
        for term in (term for term in skeleton.terms if term.layer == layer):
            assert isinstance(term.function, Form)
            a, b, c = (value(skeleton.place(term) + k) for k in range(3))
            sums[term.j] = sums[term.j] + a * _applied(term.function, b * h[term.i] + c)
        start = len(bias) - sum(arities)
        ends = [start, *(start := start + arity for arity in arities)]
        h = sums[: ends[0]] + [sympy.Mul(*sums[low:high]) for low, high in pairwise(ends)]
    return [simplest(expression) for expression in h] if short else h


def text_of(expression: Any) -> str:
    """The expression in a line; names that are no single word are `quoted`: "z-1" is not z less 1, nor "pi" 3.14."""
    sympy: Any = require("sympy", "symbolic")
    return str(expression.xreplace({symbol: sympy.Symbol(f"`{symbol.name}`") for symbol in _odd(sympy, expression)}))


def latex_of(expression: Any) -> str:
    """LaTeX of the expression; names that are no single word stand as text."""
    sympy: Any = require("sympy", "symbolic")
    names = {symbol: _latex_text(symbol.name) for symbol in _odd(sympy, expression)}
    return sympy.latex(expression, symbol_names=names)


def _odd(sympy: Any, expression: Any) -> list[Any]:
    """Symbols whose names are no single word, or the names of numbers that the expression has."""
    numbers = {str(number) for number in expression.atoms(sympy.NumberSymbol)}
    return [
        symbol for symbol in expression.free_symbols if symbol.name in numbers or not re.fullmatch(_PLAIN, symbol.name)
    ]


def _latex_text(name: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return r"\text{" + re.sub(r"[\\~^{}$&#%_]", lambda found: special.get(found[0], "\\" + found[0]), name) + "}"


def rounded(expression: Any, digits: int) -> Any:
    """The expression with its floats to so many significant digits; whole floats become integers."""
    sympy: Any = require("sympy", "symbolic")
    changes = {}
    for number in expression.atoms(sympy.Float):
        short = float(f"{float(number):.{digits}g}")
        changes[number] = (
            sympy.Integer(int(short)) if short == int(short) and abs(short) < 1e6 else sympy.Float(short, digits)
        )
    return expression.xreplace(changes)


def simplest(expression: Any) -> Any:
    """The shortest of a few equal ways to write it: as it is, expanded, collected."""
    sympy: Any = require("sympy", "symbolic")
    quiet = {"power_exp": False, "power_base": False, "log": False, "trig": False}
    written = [expression, sympy.expand(expression, **quiet)]
    if sympy.count_ops(written[-1]) <= _TRIED:
        written += [sympy.powsimp(written[-1]), sympy.factor_terms(written[-1])]
    return min(written, key=sympy.count_ops)


def _exact(sympy: Any, number: Named) -> Any:
    fraction = sympy.Rational(number.fraction.numerator, number.fraction.denominator)
    if number.kind == "root":
        return number.sign * sympy.sqrt(fraction)
    return number.sign * fraction * {"rational": 1, "pi": sympy.pi, "e": sympy.E}[number.kind]


def _number(sympy: Any, value: float, chosen: bool) -> Any:
    """A float, but for what is exactly 0 or 1 by choice."""
    return sympy.Integer(int(value)) if chosen and value in (-1.0, 0.0, 1.0) else sympy.Float(value)


def _applied(form: Form, argument: Any) -> Any:
    sympy: Any = require("sympy", "symbolic")
    return _parsed(form.sympy).subs(sympy.Symbol("x"), argument)


@cache
def _parsed(text: str) -> Any:
    sympy: Any = require("sympy", "symbolic")
    return sympy.sympify(text)
