"""Formulas of a network: a table of candidates, each in SymPy, LaTeX, NumPy, JAX and C."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgewise.errors import DataError, EdgewiseError, ShapeError, check_count, require
from edgewise.interpret.expressions import expressions, latex_of, rounded, symbols, text_of
from edgewise.interpret.observing import checked_kan, data_of, feature_names, in_its_precision, observed
from edgewise.interpret.search import criterion
from edgewise.interpret.skeleton import Skeleton
from edgewise.interpret.snapping import settle, snap
from edgewise.interpret.symbolic import symbolized, targets_of

__all__ = ["Candidate", "Formula", "formula", "joined", "output_names", "raw", "scaled_skeleton", "tabled"]

_AGREES = 1e-6  # of the outputs' standard deviation: how far a printed formula may be from its network
_ROUNDED = 1e-9  # of an output itself: what the order of additions changes is less than a millionth of it
_DIGITS, _ALL_DIGITS = 4, 15
_PRINTED = 1e-3  # root mean square that rounding may move a printed formula, of the outputs' standard deviation
_HELD = 5  # one of so many rows is held out
_C_WORDS = """
    auto break case char const continue default do double else enum extern float for goto if inline int long register
    restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
    acos acosh asin asinh atan atanh cbrt cos cosh erf exp fabs j0 j1 log outputs pow sin sinh sqrt tan tanh
    """  # what a variable of a formula cannot be called


@dataclass(frozen=True)
class Candidate:
    """A row of the table.

    Attributes:
        expressions: one of SymPy an output.
        complexity: number of nodes of the expression trees.
        error: root mean square error on held-out data, relative to the targets' standard deviation.
        check: largest difference between the formula and the network it was read from, relative to the same.
        digits: of its constants in print: four, or more where the formula would be another one without them.
    """

    expressions: tuple[Any, ...]
    complexity: int
    error: float
    check: float
    digits: int = _DIGITS


@dataclass(frozen=True)
class Formula:
    """Candidates for the formula of a model, the simplest first; ``str`` is their table.

    Attributes:
        rows: the candidates.
        picked: the row that all methods take unless told otherwise: the one with the smallest Bayesian information
            criterion on held-out data.
        features: names of the variables.
        outputs: names of the outputs.
    """

    rows: tuple[Candidate, ...]
    picked: int
    features: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def error(self) -> float:
        """Of the picked row."""
        return self.rows[self.picked].error

    def sympy(self, row: int | None = None) -> Any:
        """A SymPy expression, or a list of one an output, in real symbols of the features' names."""
        found = list(self._row(row).expressions)
        return found[0] if len(found) == 1 else found

    def latex(self, row: int | None = None, digits: int | None = None) -> str:
        """LaTeX of the equations, one a line, with constants of so many digits; None is as many as the row needs."""
        sympy: Any = require("sympy", "symbolic")
        found = self._row(row)
        short = [rounded(expression, digits or found.digits) for expression in found.expressions]
        return "\n".join(
            f"{latex_of(sympy.Symbol(name))} = {latex_of(expression)}"
            for name, expression in zip(self.outputs, short, strict=True)
        )

    def numpy(self, row: int | None = None) -> Callable[[Any], np.ndarray]:
        """A function of X ``[n, n_features]`` on NumPy and SciPy: ``[n]``; for several outputs ``[n, n_outputs]``."""
        return compiled(self._row(row).expressions, self.features, "numpy")

    def jax(self, row: int | None = None) -> Callable[[Any], Any]:
        """The same function on JAX, which can be differentiated and compiled."""
        return compiled(self._row(row).expressions, self.features, "jax")

    def c(self, row: int | None = None, name: str = "formula") -> str:
        """C99 source of ``double name(double x1, ...)``; several outputs go to a pointer that comes last.

        Bessel functions are those of POSIX, ``j0`` and ``j1``.
        """
        if not re.fullmatch(r"[A-Za-z_]\w*", name, flags=re.ASCII) or name in _C_WORDS.split():
            raise EdgewiseError(f"{name!r} is no name for a function of C.", do='pass say name="formula".')
        found = self._row(row).expressions
        plain = _c_names(self.features)
        renamed = dict(zip(symbols(self.features), symbols(plain), strict=True))
        bodies = [_c_of(expression.subs(renamed, simultaneous=True)) for expression in found]
        arguments = ", ".join(f"double {argument}" for argument in plain)
        if len(bodies) == 1:
            lines = [f"double {name}({arguments})", "{", f"    return {bodies[0]};", "}"]
        else:
            lines = [f"void {name}({arguments}, double *outputs)", "{"]
            lines += [f"    outputs[{place}] = {body};" for place, body in enumerate(bodies)] + ["}"]
        return "\n".join(["#include <math.h>", *_c_constants(lines), "", *lines, ""])

    def table(self) -> list[dict[str, Any]]:
        """The rows as plain values, one dictionary for every candidate and output; "exact" has all digits."""
        return [
            {
                "output": output, "complexity": row.complexity, "error": row.error, "picked": place == self.picked,
                "formula": text_of(rounded(expression, row.digits)), "latex": latex_of(rounded(expression, row.digits)),
                "exact": text_of(expression),
            }
            for place, row in enumerate(self.rows)
            for output, expression in zip(self.outputs, row.expressions, strict=True)
        ]  # fmt: skip

    def __str__(self) -> str:
        rows = [("", "complexity", "error", "formula")]
        for place, row in enumerate(self.rows):
            for number, (output, expression) in enumerate(zip(self.outputs, row.expressions, strict=True)):
                mark, size, error = ">" * (place == self.picked), str(row.complexity), f"{row.error:.1e}"
                mark, size, error = (mark, size, error) if not number else ("", "", "")
                rows.append((mark, size, error, f"{output} = {text_of(rounded(expression, row.digits))}"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        )

    __repr__ = __str__

    def _row(self, row: int | None) -> Candidate:
        if row is None:
            return self.rows[self.picked]
        if not -len(self.rows) <= row < len(self.rows):
            raise EdgewiseError(f"there is no row {row}.", do=f"pass a row from 0 to {len(self.rows) - 1}.")
        return self.rows[row]


@in_its_precision
def formula(
    model: Any,
    data: Any,
    *,
    features: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    forms: Sequence[Any] | None = None,
) -> Formula:
    """Candidate formulas of a network.

    Of a network of curves, those that :func:`~edgewise.interpret.auto_symbolic` meets when it looks at four fifths of
    the data; where all edges are formulas, the one that the network is.  Of a fitted estimator the formula is in the
    units of its own inputs and targets.

    Args:
        model: a ``KAN``, or a fitted ``KANRegressor``.
        data: (X, y) as the model gets them, or X alone: the model's own outputs are the targets.
        features, outputs: names of columns.
        forms: names or forms to choose from; None is all.

    Raises:
        EdgewiseError: for a model of another kind, unusable data, or where a printed formula does not agree with its
            network.
    """
    network = checked_kan(model)
    names = feature_names(network, features if features is not None else _names_of(model))
    x, y, skeleton = raw(model, network, data)
    shuffled = np.random.default_rng(0).permutation(len(x))  # rows of a grid repeat themselves
    held = shuffled % _HELD == 0 if len(x) >= 10 * _HELD else np.ones(len(x), bool)
    seen = ~held if not held.all() else held
    if skeleton.symbolic:
        settle(skeleton)
        snap(skeleton, x[seen], y[seen])
        candidates = [skeleton]
    else:
        candidates = [candidate for _, candidate in symbolized(skeleton, x[seen], y[seen], forms)[1]]
    return tabled(candidates, x[held], y[held], names, output_names(y, outputs))


def tabled(
    skeletons: Sequence[Skeleton], x: np.ndarray, y: np.ndarray, features: Sequence[str], outputs: Sequence[str]
) -> Formula:
    """The formulas of symbolic skeletons, with their errors on held-out data."""
    rows: dict[str, Candidate] = {}
    failure: EdgewiseError | None = None
    for skeleton in skeletons:
        error = skeleton.error(x, y)
        if np.isfinite(error):
            try:
                candidate = _candidate(skeleton, x, features, error)
                rows.setdefault(str(candidate.expressions), candidate)
            except EdgewiseError as problem:  # it is not printed, the others are
                failure = problem
    front: list[Candidate] = []
    for row in sorted(rows.values(), key=lambda row: (row.complexity, row.error)):
        if not front or row.error < 0.999 * front[-1].error:
            front.append(row)
    if not front:
        raise failure or EdgewiseError("no formula is finite on the held-out data.", do="pass other forms.")
    scored = [criterion(row.error, float(row.complexity), y.size) for row in front]
    return Formula(tuple(front), int(np.argmin(scored)), tuple(features), tuple(outputs))


def joined(formulas: Sequence[Formula]) -> Formula:
    """One table of the tables of single outputs.

    It starts with the simplest row of each; the output that is then the worst gets its next row, and so on to the
    last ones.  The picked rows of all make up a row too, which is picked.
    """
    if len(formulas) == 1:
        return formulas[0]
    places = [0] * len(formulas)
    met, picked = [tuple(places)], tuple(each.picked for each in formulas)
    while open_ones := [k for k, each in enumerate(formulas) if places[k] + 1 < len(each.rows)]:
        places[max(open_ones, key=lambda k: formulas[k].rows[places[k]].error)] += 1
        met.append(tuple(places))
    rows = [_together([each.rows[place] for each, place in zip(formulas, chosen, strict=True)]) for chosen in met]
    together = _together([each.rows[each.picked] for each in formulas])
    if picked not in met:
        rows.append(together)
    rows.sort(key=lambda row: row.complexity)
    outputs = tuple(name for each in formulas for name in each.outputs)
    return Formula(tuple(rows), rows.index(together), formulas[0].features, outputs)


def _together(rows: Sequence[Candidate]) -> Candidate:
    expressions = tuple(expression for row in rows for expression in row.expressions)
    error = float(np.sqrt(np.mean([row.error**2 for row in rows])))
    check, digits = max(row.check for row in rows), max(row.digits for row in rows)
    return Candidate(expressions, sum(row.complexity for row in rows), error, check, digits)


def raw(model: Any, network: Any, data: Any) -> tuple[np.ndarray, np.ndarray, Skeleton]:
    """Data, and the network's skeleton in their units: an estimator's standardization is undone exactly."""
    inputs, targets = getattr(model, "input_scaling_", None), getattr(model, "target_scaling_", None)
    if inputs is None:
        x, y = targets_of(network, data)
        return x, y, Skeleton.of(network, observed(network, x))
    x = data_of(network, data)
    skeleton = scaled_skeleton(network, x, inputs, targets)
    y = skeleton(x) if not isinstance(data, tuple | list) else targets_of(network, data)[1]
    return x, y, skeleton


def scaled_skeleton(network: Any, x: np.ndarray, inputs: Any, targets: Any) -> Skeleton:
    """Of a network that was trained on standardized inputs and targets, in the units of ``x`` before that."""
    skeleton = Skeleton.of(network, observed(network, inputs(x)))
    _scale_inputs(skeleton, inputs.mean, inputs.std)
    if targets is not None:
        _scale_outputs(skeleton, targets.mean, targets.std)
    return skeleton


def _scale_inputs(skeleton: Skeleton, mean: np.ndarray, std: np.ndarray) -> None:
    """Let the skeleton take x where it took (x - mean) / std, in place."""
    for term in skeleton.terms:
        if term.layer == 0:
            column = skeleton.inputs[term.i]
            b = term.constants[1] / std[column] if std[column] else 0.0
            term.constants[1:] = b, term.constants[2] - b * mean[column]


def _scale_outputs(skeleton: Skeleton, mean: np.ndarray, std: np.ndarray) -> None:
    """Let the skeleton give y std + mean where it gave y, in place."""
    last = len(skeleton.biases) - 1
    if skeleton.arities[last]:
        raise EdgewiseError("outputs that are products cannot be scaled.", do="put a layer of sums behind them.")
    for term in skeleton.terms:
        if term.layer == last:
            term.constants[0] *= std[term.j]
    skeleton.biases[last][:] = skeleton.biases[last] * std + mean


def _candidate(skeleton: Skeleton, x: np.ndarray, features: Sequence[str], error: float) -> Candidate:
    """The formula of a skeleton; the shorter way to write it only where that is the same to rounding."""
    sympy: Any = require("sympy", "symbolic")
    reference = skeleton(x)
    # a constant output, and a small one on a large constant, are the same to the rounding of float64
    scale = np.maximum(np.maximum(reference.std(axis=0), _ROUNDED * abs(reference).max(axis=0)), 1e-300)
    for short in (True, False):
        found = tuple(expressions(skeleton, features, short=short))
        with np.errstate(all="ignore"):
            values = compiled(found, features, "numpy")(x).reshape(len(x), -1)
        check = float(np.max(np.abs(values - reference) / scale))
        if check <= _AGREES:
            size = sum(sum(1 for _ in sympy.preorder_traversal(expression)) for expression in found)
            return Candidate(found, size, error, check, _digits(found, x, features, values, error))
    raise EdgewiseError(
        f"the formula {found[0]} differs from its network by {check:.1e} of the output.",  # pyright: ignore
        "SymPy's form of an edge does not agree with its function.",
        "check the forms that were added: the text must be the same function.",
    )


def _digits(found: Sequence[Any], x: np.ndarray, features: Sequence[str], values: np.ndarray, error: float) -> int:
    """The fewest digits of the constants with which the outputs at x stay ``values``, to what ``error`` leaves open."""
    size = np.where(np.ptp(values, axis=0) > 0, values.std(axis=0), abs(values).max(axis=0))
    moved = max(_PRINTED, error / 10) * size
    for digits in range(_DIGITS, _ALL_DIGITS):
        with np.errstate(all="ignore"):
            printed = compiled([rounded(each, digits) for each in found], features, "numpy")(x).reshape(values.shape)
            if (np.sqrt(np.mean((printed - values) ** 2, axis=0)) <= moved).all():
                return digits
    return _ALL_DIGITS


def compiled(found: Sequence[Any], features: Sequence[str], kind: str) -> Callable[[Any], Any]:
    """The expressions as a function of X on NumPy or JAX."""
    sympy: Any = require("sympy", "symbolic")
    if kind == "jax":
        import jax.numpy as np_like
        from jax.scipy import special

        from edgewise.nn.forms import FORMS

        bessel = lambda order, x: FORMS[f"J{int(order)}"](x)
        modules: list[Any] = [{"erf": special.erf, "besselj": bessel}, "jax"]
    else:
        np_like, modules = np, ["scipy", "numpy"]
    # a feature may be called log, or what is no name in Python
    plain = symbols([f"feature_{place}" for place in range(len(features))])
    renamed = dict(zip(symbols(features), plain, strict=True))
    functions = [sympy.lambdify(plain, expression.xreplace(renamed), modules) for expression in found]

    def evaluate(x: Any) -> Any:
        try:
            x = np_like.asarray(x)
            x = x if x.dtype.kind in "fc" else x.astype(float)  # whole numbers have no negative powers
        except (TypeError, ValueError) as error:
            raise DataError("x is no array of numbers.", str(error), "pass [n, n_features].") from error
        if x.ndim == 0 or x.shape[-1] != len(features):
            raise ShapeError(
                f"expected (..., {len(features)}), got {x.shape}.",
                f"the formula has the variables {', '.join(features)}, one column each.",
            )
        columns = [x[..., place] for place in range(len(features))]
        values = [np_like.broadcast_to(function(*columns), x.shape[:-1]) for function in functions]
        return values[0] if len(values) == 1 else np_like.stack(values, axis=-1)

    return evaluate


def _names_of(model: Any) -> Sequence[str] | None:
    names = getattr(model, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def output_names(y: np.ndarray, names: Sequence[str] | None) -> tuple[str, ...]:
    if names is None:
        return ("y",) if y.shape[1] == 1 else tuple(f"y{place + 1}" for place in range(y.shape[1]))
    check_count("the number of names of outputs", len(names))
    if len(names) != y.shape[1]:
        raise EdgewiseError(f"{len(names)} names for {y.shape[1]} outputs.", do="pass one name an output.")
    return tuple(map(str, names))


def _c_of(expression: Any) -> str:
    sympy: Any = require("sympy", "symbolic")
    bessel = {f"j{order}": sympy.Function(f"j{order}") for order in (0, 1)}
    expression = expression.replace(sympy.besselj, lambda order, x: bessel[f"j{order}"](x))
    return sympy.ccode(expression, user_functions={name: name for name in bessel})


def _c_constants(lines: Sequence[str]) -> list[str]:
    """Definitions of M_PI and the like, which are not C99, where the lines have them."""
    require("sympy", "symbolic")
    macros = importlib.import_module("sympy.printing.c").get_math_macros()
    body = "\n".join(lines)
    used = [(str(name), value.evalf(20)) for value, name in macros.items() if re.search(rf"\b{name}\b", body)]
    return [part for name, value in used for part in (f"#ifndef {name}", f"#define {name} {value}", "#endif")]


def _c_names(features: Sequence[str]) -> list[str]:
    """Identifiers of C that resemble the names, each once."""
    names: list[str] = []
    for feature in features:
        name = re.sub(r"\W", "_", feature, flags=re.ASCII)
        name = name if re.match(r"[A-Za-z_]", name) else f"x_{name}"
        while name in names or name in _C_WORDS.split():
            name += "_"
        names.append(name)
    return names
