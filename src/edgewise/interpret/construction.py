"""A network from a formula: where physics is known, start from it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from edgewise._compilation import compiled_for_few_runs
from edgewise.bases import Basis, Chebyshev
from edgewise.errors import EdgewiseError, require
from edgewise.interpret.recognition import Library
from edgewise.interpret.wiring import Graph, Sum, identity, kan_of, stages
from edgewise.models import KAN

__all__ = ["from_sympy"]

_ROWS = 64  # at which the network and the expression are compared
_AGREE = 1e-7
_ROOTS = 72  # a decimal exponent that is a multiple of 1/72 is a fraction


def from_sympy(
    expression: Any,
    features: Sequence[Any] | None = None,
    *,
    param_dtype: Any = jnp.float32,
    basis: Basis | None = None,
    rngs: nnx.Rngs | None = None,
) -> KAN:
    """The network that is a formula: every edge is a form of the library, nodes add and multiply.

    It is exact, as deep as the expression is nested, and trains, is saved and scored like any other; its edges
    a f(b x + c) + d, their constants and the biases, are what is trained.  Sums are merged, equal parts are computed
    once, what a later layer needs is carried by edges that are x, and a form of several operations, say x log x or one
    given to :func:`~edgewise.nn.forms.add_form`, is one edge.

    Symbols are real numbers; where one is positive, say so: ``Symbol("x", positive=True)``.  Then x^y and x^0.3 are
    exp(y log x) and exp(0.3 log x).  x^(1/3) is the real root, also below 0.  Equality is checked: network and
    expression are compared in float64 at random points where the expression is real and finite.

    Args:
        expression: a SymPy expression, a string that SymPy reads (it evaluates it: none from strangers), or a list of
            them, one per output.
        features: names or symbols of the columns of x, in order; those that no expression has are looked at by none.
            By default the symbols of the expressions, sorted by name, x2 before x10.
        param_dtype: of the constants.
        basis: of the layers, used where an edge is given back to it; by default the smallest.
        rngs: of the coefficients of the basis.

    Raises:
        EdgewiseError: for what is no real expression, for a function without a form, a power of a base that may be
            negative, a symbol that is no feature, a constant that is complex or beyond ``param_dtype``, an expression
            that is nowhere real, and where network and expression differ.
        MissingExtraError: without SymPy.

    The compiler of KAN 2.0, Liu et al., arXiv 2408.10205, section 3.3.

    >>> model = from_sympy("exp(-x**2) * sin(pi*y)", ["x", "y"])
    """
    sympy: Any = require("sympy", "symbolic")
    given = expression if isinstance(expression, list | tuple) else [expression]
    if not given:
        raise EdgewiseError("there is no expression.", do='pass say "sin(x) + y**2".')
    known = _known(sympy, features)
    expressions = [_parsed(sympy, one, known or {}) for one in given]
    expressions, symbols = _in_features(sympy, expressions, known)
    translation = _Translation(symbols)
    outputs = [translation.sum_of(one) for one in expressions]
    model, numbers = kan_of(
        stages(translation.graph, outputs),
        Chebyshev(1, squash=None) if basis is None else basis,
        param_dtype,
        nnx.Rngs(0) if rngs is None else rngs,
    )
    _compare(sympy, model, numbers, expressions, symbols)
    return model


class _Translation:
    """Expressions of ``symbols`` as sums of terms of a graph."""

    def __init__(self, symbols: Sequence[Any]):
        self.sympy: Any = require("sympy", "symbolic")
        self.library = Library()
        self.graph = Graph(len(symbols))
        self.inputs = dict(zip(symbols, self.graph.inputs, strict=True))
        self._done: dict[Any, Sum] = {}

    def sum_of(self, expression: Any) -> Sum:
        if expression not in self._done:
            self._done[expression] = self._translated(expression)
        return self._done[expression]

    def _translated(self, expression: Any) -> Sum:
        if expression.is_number:
            return Sum(_checked_number(expression))
        if expression in self.inputs:
            return identity(self.inputs[expression])
        if expression.is_Add:
            return self.graph.added(map(self._whole, self._grouped(expression)))
        if expression.is_Mul:
            return self._product(expression)
        found = self._recognized(expression)
        if found is not None:
            return found
        return self._power(expression) if expression.is_Pow else self._rewritten(expression)

    def _whole(self, expression: Any) -> Sum:
        """A sum or a product as one form, if it is one."""
        match = self.library.composite(expression) if expression.is_Add or expression.is_Mul else None
        return self.sum_of(expression) if match is None else self._matched(match)

    def _recognized(self, expression: Any) -> Sum | None:
        match = self.library.recognized(expression)
        return None if match is None else self._matched(match)

    def _matched(self, match: Any) -> Sum:
        return self.graph.applied(match.form, self.sum_of(match.argument), match.a, match.b, match.c, match.d)

    def _grouped(self, expression: Any) -> list[Any]:
        """Terms or factors; those of one variable together where together they are a form."""
        parts = list(expression.args)
        if self.library.composite(expression) is not None:
            return [expression]
        for variable in sorted(expression.free_symbols, key=str):
            own = [part for part in parts if part.free_symbols == {variable}]
            if 1 < len(own) < len(expression.args):
                together = expression.func(*own)
                if self.library.composite(together) is not None:
                    parts = [part for part in parts if part not in own] + [together]
        return parts

    def _product(self, expression: Any) -> Sum:
        scale, rest = expression.as_independent(*expression.free_symbols, as_Add=False)
        scale = _checked_number(scale)
        factors = self._grouped(rest) if rest.is_Mul else [rest]
        sums = [self._whole(factor) for factor in factors]
        return (sums[0] if len(sums) == 1 else self.graph.multiplied(sums)).scaled(scale)

    def _power(self, expression: Any) -> Sum:
        sympy, base, exponent = self.sympy, expression.base, expression.exp
        if base.is_number and _checked_number(base).is_positive:
            return self._exp(self.sum_of(exponent).scaled(sympy.log(base)))
        if exponent.is_Rational and self._roots(exponent.q) is not None:
            inner = self.sum_of(base)
            for root in self._roots(exponent.q) or []:
                inner = self.graph.applied(root, inner)
            return self._integer_power(inner, int(exponent.p))
        if base.is_positive:
            return self._exp(self.sum_of(exponent * sympy.log(base)))
        raise EdgewiseError(
            f"{expression} is a power of {base}, which may not be above 0.",
            "such a power is exp(exponent * log(base)).",
            'say that it is positive: sympy.Symbol("x", positive=True) for x.',
        )

    def _exp(self, inner: Sum) -> Sum:
        return self.graph.applied("exp", inner)

    def _roots(self, q: int) -> list[str] | None:
        """Square and cube roots that make up the q-th one."""
        roots = []
        for prime, name in ((2, "sqrt"), (3, "cbrt")):
            while q % prime == 0:
                q //= prime
                roots.append(name)
        return roots if q == 1 else None

    def _integer_power(self, inner: Sum, power: int) -> Sum:
        """Powers beyond the forms are products of them."""
        sign, size = (1, power) if power > 0 else (-1, -power)
        parts = [5] * (size // 5) + ([size % 5] if size % 5 else [])
        sums = [self.graph.applied(self.library.power(self.sympy.Integer(sign * part)) or "", inner) for part in parts]
        return sums[0] if len(sums) == 1 else self.graph.multiplied(sums)

    def _rewritten(self, expression: Any) -> Sum:
        """A function without a form by others that have one."""
        sympy = self.sympy
        by = {
            sympy.sec: sympy.cos, sympy.csc: sympy.sin, sympy.cot: sympy.tan, sympy.sech: sympy.cosh,
            sympy.csch: sympy.sinh, sympy.coth: sympy.tanh, sympy.Max: sympy.Abs, sympy.Min: sympy.Abs,
            sympy.erfc: sympy.erf, sympy.acot: sympy.atan, sympy.asec: sympy.acos, sympy.acsc: sympy.asin,
        }.get(expression.func)  # fmt: skip
        other = expression if by is None else expression.rewrite(by)
        if other != expression:
            return self.sum_of(other)
        called = expression.func.__name__
        if isinstance(expression, sympy.core.function.AppliedUndef):
            raise EdgewiseError(f"{called} in {expression} is no function that SymPy knows.", do="check its name.")
        add = (
            f', or add it: add_form(Form("{called}", its function, "{called}(x)"))' if len(expression.args) == 1 else ""
        )
        raise EdgewiseError(
            f"{called} in {expression} has no form.",
            "an edge is a f(b x + c) + d with f a form of edgewise.nn.forms.FORMS.",
            f"write it by functions that have one{add}.",
        )


# --- what is given ---------------------------------------------------------------------------------------------------


def _known(sympy: Any, features: Any) -> dict[str, Any] | None:
    """A symbol by the name of each feature."""
    if features is None:
        return None
    if isinstance(features, str):
        raise EdgewiseError(f"features={features!r} is one name.", do=f"pass a list, say {features.split()!r}.")
    names = [str(feature) for feature in features]
    if len(set(names)) < len(names):
        raise EdgewiseError(f"a name comes twice in {names}.", do="give every feature its own name.")
    return {
        name: feature if isinstance(feature, sympy.Symbol) else sympy.Symbol(name)
        for name, feature in zip(names, features, strict=True)
    }


def _parsed(sympy: Any, one: Any, known: dict[str, Any]) -> Any:
    try:
        # a feature called E, S or beta is that feature
        parsed = sympy.sympify(one, locals=known)
    except (sympy.SympifyError, TypeError, SyntaxError, AttributeError, ValueError) as error:
        raise EdgewiseError(f"{one!r} is no expression that SymPy reads.", f"{error}") from error
    if not isinstance(parsed, sympy.Expr):
        raise EdgewiseError(f"{one!r} is no expression.", do='pass say "sin(x) + y**2", one per output.')
    return parsed


def _in_features(sympy: Any, expressions: list[Any], known: dict[str, Any] | None) -> tuple[list[Any], list[Any]]:
    """The expressions in real symbols, with what features are known to be, and a symbol per feature."""
    free = set().union(*(one.free_symbols for one in expressions))
    by_name = {symbol.name: symbol for symbol in free}
    if len(by_name) < len(free):
        twice = sorted(name for name in by_name if sum(symbol.name == name for symbol in free) > 1)
        raise EdgewiseError(
            f"there are different symbols called {', '.join(twice)}.", do="use one, with one set of assumptions."
        )
    names = sorted(by_name, key=_natural) if known is None else list(known)
    if not names:
        raise EdgewiseError("the expression has no symbols.", do="name the columns of x: features=['x'].")
    unknown = sorted(set(by_name) - set(names), key=_natural)
    if unknown:
        raise EdgewiseError(
            f"{', '.join(unknown)} {'is' if len(unknown) == 1 else 'are'} no feature.",
            f"the features are {', '.join(names)}.",
            "name every symbol in features, and put numbers in place of constants: expression.subs(...).",
        )
    symbols, real = [], {}
    for name in names:
        given = [symbol for symbol in ((known or {}).get(name), by_name.get(name)) if symbol is not None]
        if any(symbol.is_extended_real is False for symbol in given):
            raise EdgewiseError(f"the symbol {name} is not real.", do="use a real symbol.")
        symbols.append(next((symbol for symbol in given if symbol.is_extended_real), sympy.Symbol(name, real=True)))
        real |= dict.fromkeys(given, symbols[-1])
    return [_with_exact_powers(sympy, one.xreplace(real)) for one in expressions], symbols


def _with_exact_powers(sympy: Any, expression: Any) -> Any:
    """x**0.5 as x**(1/2), and so for all fractions that square and cube roots make up."""
    powers = {}
    for power in expression.atoms(sympy.Pow):
        if power.exp.is_Float and abs(_ROOTS * power.exp - round(_ROOTS * power.exp)) < 1e-12:
            powers[power.exp] = sympy.Rational(round(_ROOTS * power.exp), _ROOTS)
    swap = lambda base, exponent: sympy.Pow(base, powers.get(exponent, exponent))
    return expression.replace(sympy.Pow, swap) if powers else expression


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Numbers in names by size."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name)]


def _checked_number(number: Any) -> Any:
    # nan is neither finite nor not
    if number.is_extended_real is False or not number.is_finite:
        raise EdgewiseError(f"the constant {number} is no real, finite number.", do="use real expressions.")
    return number


# --- the check -------------------------------------------------------------------------------------------------------


def _compare(sympy: Any, model: KAN, numbers: list[Any], expressions: list[Any], symbols: list[Any]) -> None:
    """Raise ``EdgewiseError`` where the network, its constants in float64, is not the expressions."""
    random = np.random.default_rng(0)
    for scale in (1.0, 30.0, 1e3):
        x = scale * random.uniform(-1, 1, (_ROWS, len(symbols)))
        x[::2] = abs(x[::2])
        positive = [bool(symbol.is_positive) for symbol in symbols]
        x[:, positive] = abs(x[:, positive])
        expected = np.stack([_real_values(sympy, one, symbols, x) for one in expressions], axis=1)
        # an output that is not finite can reach the others through the matrix products of a layer
        finite = np.isfinite(expected).all(axis=1)
        if finite.sum() >= 4:
            x, expected = x[finite], expected[finite]
            break
    else:
        raise EdgewiseError(
            "the expressions are nowhere all real and finite."
            if len(expressions) > 1
            else "the expression is nowhere real and finite.",
            f"it was tried at {3 * _ROWS} points with features from -1000 to 1000.",
            "check its logarithms, roots and poles; choose units in which features are smaller.",
        )
    with jax.enable_x64(True):
        wide = nnx.clone(model)
        for layer, (constants, bias) in zip(wide.layers, numbers, strict=True):
            assert layer.symbolic is not None
            layer.symbolic.constants = nnx.Param(jnp.asarray(constants))
            layer.bias = nnx.Param(jnp.asarray(bias))
        found = np.asarray(compiled_for_few_runs(_output)(wide, jnp.asarray(x)))
    size = np.median(abs(expected), axis=0)
    # what is 0 everywhere may be a difference; not finite is wrong as well
    wrong = ~(abs(found - expected) <= _AGREE * (abs(expected) + np.where(size > 0, size, 1)))
    if wrong.any():
        row, output = np.argwhere(wrong)[0]
        at = ", ".join(f"{symbol}={value:.6g}" for symbol, value in zip(symbols, x[row], strict=True))
        raise EdgewiseError(
            f"the network is not the expression {expressions[output]}.",
            f"at {at} it has {found[row, output]:.9g}, and the expression {expected[row, output]:.9g}.",
            "check the forms added with add_form: function and sympy must be one; else this is a fault of edgewise.",
        )


def _output(model: KAN, x: Any) -> Any:
    return model(x)


def _real_values(sympy: Any, one: Any, symbols: list[Any], x: np.ndarray) -> np.ndarray:
    """The expression at ``x`` ``[n, d]``, NaN where it is not real."""
    try:
        with np.errstate(all="ignore"):
            values = np.broadcast_to(np.asarray(sympy.lambdify(symbols, one)(*x.T)), len(x))
    except (NameError, TypeError, NotImplementedError):  # a function that NumPy and SciPy do not have
        values = np.array([complex(one.xreplace(dict(zip(symbols, map(sympy.Float, row), strict=True)))) for row in x])
    return np.where(np.isreal(values), np.real(values), np.nan).astype(np.float64)
