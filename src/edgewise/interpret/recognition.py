"""Which form of the library a SymPy expression is, up to an affine argument."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from typing import Any, NamedTuple

from edgewise.errors import require
from edgewise.nn.forms import FORMS

__all__ = ["Library", "Match"]

_BY_RULE = ("gaussian", "1/(1+x^2)", "log(1+x^2)", "sqrt(1+x^2)", "sigmoid", "softplus")
_PLACES = ("0.3711", "1.2173", "0.8391", "2.9137", "-0.4519", "-1.7331", "0.1271", "5.3917")
_DIGITS, _EXACT = 40, 1e-25


class Match(NamedTuple):
    """An expression as a f(b argument + c) + d, f the ``form``; all but its name are SymPy's."""

    form: str
    argument: Any
    a: Any = 1
    b: Any = 1
    c: Any = 0
    d: Any = 0


class Library:
    """The forms of ``FORMS``, those of the user included, to be found in expressions.

    Attributes:
        heads: form by what it is of a variable, for those of one operation: x^2, sin(x), besselj(0, x).
        composites: (name, expression, expressions affine in the variable inside it) of the others.
    """

    def __init__(self):
        self.sympy: Any = require("sympy", "symbolic")
        self.slot = self.sympy.Symbol("x", real=True)
        self.heads: dict[Any, str] = {}
        self.composites: list[tuple[str, Any, list[Any]]] = []
        for form in FORMS.values():
            pattern = _parsed(form.sympy)
            open_arguments = [part for part in pattern.args if not part.is_number]
            if open_arguments == [self.slot]:
                self.heads.setdefault(pattern, form.name)
            elif pattern != self.slot and form.name not in _BY_RULE:
                inside = [part for part in self._inside(pattern) if self._slope(part, self.slot) is not None]
                self.composites.append((form.name, pattern, inside))

    def recognized(self, expression: Any) -> Match | None:
        """``expression`` as one form of another expression, None where it is none."""
        return self._by_rule(expression) or self._by_head(expression) or self.composite(expression)

    def power(self, exponent: Any) -> str | None:
        """The form that is a power of its argument."""
        return "x" if exponent == 1 else self.heads.get(self.slot**exponent)

    def composite(self, expression: Any) -> Match | None:
        """``expression`` as a form of several operations, say x log x: compared at a few places with 40 digits."""
        variable = self.sympy.Dummy(real=True)
        kinds = _functions(expression)
        for name, pattern, parts in self.composites:
            if _functions(pattern) != kinds:
                continue
            for argument in self._inside(expression):
                of_variable = expression.xreplace({argument: variable})
                if of_variable.free_symbols != {variable}:
                    continue
                places = [part for part in self._inside(of_variable) if self._slope(part, variable) is not None]
                for place, part in product(places, parts):
                    # what the pattern has of part, the expression has of place
                    b = self._slope(place, variable) / self._slope(part, self.slot)
                    c = (_at_zero(place, variable) - _at_zero(part, self.slot)) / self._slope(part, self.slot)
                    shifted = pattern.xreplace({self.slot: b * variable + c})
                    affine = self._affine(of_variable, shifted, variable)
                    if affine is not None:
                        return Match(name, argument, affine[0], b, c, affine[1])
        return None

    def _by_head(self, expression: Any) -> Match | None:
        if not all(isinstance(part, self.sympy.Expr) for part in expression.args):
            return None  # conditions
        for argument in expression.args:
            if not argument.is_number:
                slots = [self.slot if part is argument else part for part in expression.args]
                name = self.heads.get(expression.func(*slots))
                if name is not None:
                    return Match(name, argument)
        return None

    def _by_rule(self, expression: Any) -> Match | None:
        """Forms of k + m w^2 and of k + m exp(w): the scale inside and the one outside are one."""
        sympy = self.sympy
        if isinstance(expression, sympy.exp):
            rules, inner = _OF_EXP, expression.args[0]
        elif isinstance(expression, sympy.log):
            rules, inner = _OF_LOG, expression.args[0]
        elif expression.is_Pow and expression.exp in (-1, sympy.Rational(1, 2)):
            rules, inner = (_OF_RECIPROCAL if expression.exp == -1 else _OF_ROOT), expression.base
        else:
            return None
        for split, rule in ((self._square, rules[0]), (self._exponential, rules[1])):
            parts = split(inner) if rule else None
            match = rule(sympy, *parts) if rule and parts else None
            if match is not None and match.form in FORMS:
                return match
        return None

    def _square(self, inner: Any) -> tuple[Any, Any, Any] | None:
        """(k, m, w) where ``inner`` is k + m w^2; the square of a polynomial in one variable is completed."""
        constant, rest = inner.as_independent(*inner.free_symbols, as_Add=True)
        scale, core = rest.as_independent(*inner.free_symbols, as_Add=False)
        if core.is_Pow and core.exp == 2:
            return constant, scale, core.base
        if len(inner.free_symbols) == 1:
            (variable,) = inner.free_symbols
            if inner.is_polynomial(variable) and self.sympy.degree(inner, variable) == 2:
                two, one, none = self.sympy.Poly(inner, variable).all_coeffs()
                return none - one**2 / (4 * two), two, variable + one / (2 * two)
        return None

    def _exponential(self, inner: Any) -> tuple[Any, Any, Any] | None:
        """(k, m, w) where ``inner`` is k + m exp(w)."""
        constant, rest = inner.as_independent(*inner.free_symbols, as_Add=True)
        scale, core = rest.as_independent(*inner.free_symbols, as_Add=False)
        return (constant, scale, core.args[0]) if isinstance(core, self.sympy.exp) else None

    def _inside(self, expression: Any) -> list[Any]:
        """What functions and powers in ``expression`` are of, and its variable, where it has one."""
        found = [
            part
            for node in self.sympy.preorder_traversal(expression)
            if node.is_Pow or node.is_Function
            for part in node.args
            if isinstance(part, self.sympy.Expr) and not part.is_number
        ]
        return list(dict.fromkeys([*sorted(expression.free_symbols, key=str), *found]))

    def _slope(self, part: Any, variable: Any) -> Any:
        """Of a part that is affine in the variable; None otherwise."""
        slope = part.diff(variable)
        return slope if slope.is_number and slope != 0 else None

    def _affine(self, left: Any, right: Any, variable: Any) -> tuple[Any, Any] | None:
        """(a, d) with ``left`` = a ``right`` + d wherever both are real; None where there are none."""
        pairs = list(self._values(left, right, variable))
        if len(pairs) < 4 or abs(pairs[1][1] - pairs[0][1]) < _EXACT:
            return None
        (y0, x0), (y1, x1), *others = pairs
        a = (y1 - y0) / (x1 - x0)
        d = y0 - a * x0
        if a == 0 or any(abs(y - a * x - d) > _EXACT * (abs(y) + abs(a * x) + abs(d)) for y, x in others):
            return None
        return self._rounded(a), self._rounded(d)

    def _values(self, left: Any, right: Any, variable: Any) -> Iterator[tuple[Any, Any]]:
        for place in _PLACES:
            at = {variable: self.sympy.Rational(place)}
            pair = [side.xreplace(at).evalf(_DIGITS) for side in (left, right)]
            if all(value.is_Float or value.is_Integer for value in pair):
                yield pair[0], pair[1]

    def _rounded(self, number: Any) -> Any:
        whole = self.sympy.Integer(round(number))
        return whole if abs(number - whole) < _EXACT * (1 + abs(whole)) else number


@cache
def _parsed(text: str) -> Any:
    sympy: Any = require("sympy", "symbolic")
    return sympy.sympify(text, locals={"x": sympy.Symbol("x", real=True)})


def _functions(expression: Any) -> set[Any]:
    sympy: Any = require("sympy", "symbolic")
    return {part.func for part in expression.atoms(sympy.Function)}


def _at_zero(part: Any, variable: Any) -> Any:
    return part.xreplace({variable: 0 * variable})


def _gaussian(sympy: Any, k: Any, m: Any, w: Any) -> Match | None:
    return Match("gaussian", w, a=sympy.exp(k), b=sympy.sqrt(-m)) if m.is_negative else None


def _lorentzian(sympy: Any, k: Any, m: Any, w: Any) -> Match | None:
    return Match("1/(1+x^2)", w, a=1 / k, b=sympy.sqrt(m / k)) if _alike(k, m) else None


def _log_square(sympy: Any, k: Any, m: Any, w: Any) -> Match | None:
    if not (k.is_positive and m.is_positive):
        return None
    return Match("log(1+x^2)", w, b=sympy.sqrt(m / k), d=sympy.log(k))


def _hyperbola(sympy: Any, k: Any, m: Any, w: Any) -> Match | None:
    if not (k.is_positive and m.is_positive):
        return None
    return Match("sqrt(1+x^2)", w, a=sympy.sqrt(k), b=sympy.sqrt(m / k))


def _sigmoid(sympy: Any, k: Any, m: Any, w: Any) -> Match | None:
    return Match("sigmoid", w, a=1 / k, b=-1, c=-sympy.log(m / k)) if _alike(k, m) else None


def _softplus(sympy: Any, k: Any, m: Any, w: Any) -> Match | None:
    if not (k.is_positive and m.is_positive):
        return None
    return Match("softplus", w, c=sympy.log(m / k), d=sympy.log(k))


def _alike(k: Any, m: Any) -> bool:
    return k != 0 and bool((m / k).is_positive)


_Rule = Callable[..., Match | None] | None
_OF_EXP: tuple[_Rule, _Rule] = (_gaussian, None)
_OF_RECIPROCAL: tuple[_Rule, _Rule] = (_lorentzian, _sigmoid)
_OF_LOG: tuple[_Rule, _Rule] = (_log_square, _softplus)
_OF_ROOT: tuple[_Rule, _Rule] = (_hyperbola, None)
