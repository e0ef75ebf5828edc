"""Univariate functions with a name: what an edge can turn out to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, pi
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy import special

from edgewise._numerics import magnitude
from edgewise.errors import CheckedKeywords, EdgewiseError, check_positive, unknown_name

__all__ = ["FORMS", "Form", "add_form", "form_named"]


@dataclass(frozen=True)
class Form(CheckedKeywords):
    """A function f of one variable; an edge is a f(b x + c) + d.

    Args:
        name: under which it is found and saved.
        function: f on ``jax.numpy``, elementwise, defined at module level.
        sympy: f(x) as SymPy reads it, say ``"exp(-x**2)"``.
        complexity: what it counts in a formula: about the number of operations, 1 for x.
        domain: the interval on which f is defined; its finite ends count as outside.
        pole: whether f has a pole at 0, and the argument must keep one sign.
        parity: "even", "odd", or "" for neither: then b and -b are two functions.
        degree: p where f(s x) = s^p f(x) for every s > 0: b is then redundant.
        period: the smallest one; c is only known up to it.

    Raises ``EdgewiseError`` for a complexity that is no number above 0.
    """

    name: str
    function: Callable[[Array], Array]
    sympy: str
    complexity: Any = 3
    domain: tuple[Any, Any] = (-inf, inf)
    pole: bool = False
    parity: Literal["even", "odd", ""] = ""
    degree: Any = None
    period: Any = None

    def __post_init__(self):
        check_positive("complexity", self.complexity)

    def __call__(self, x: Array) -> Array:
        """f(x), elementwise; NaN outside the domain."""
        return self.function(x)

    def allows(self, low: Any, high: Any) -> Any:
        """Whether f is defined for all arguments from ``low`` to ``high``, arrays."""
        low, high = np.asarray(low), np.asarray(high)
        inside = (low > self.domain[0]) & (high < self.domain[1])
        return inside & ((low > 0) | (high < 0)) if self.pole else inside


def _power(exponent: int) -> Callable[[Array], Array]:
    def power(x: Array) -> Array:
        return jax.lax.integer_pow(x, exponent)

    return power


def _cube_root(x: Array) -> Array:
    return jnp.sign(x) * jnp.abs(x) ** (1 / 3)


def _three_halves(x: Array) -> Array:
    return x * jnp.sqrt(x)


def _gaussian(x: Array) -> Array:
    return jnp.exp(-(x**2))


def _lorentzian(x: Array) -> Array:
    return 1 / (1 + x**2)


def _log_square(x: Array) -> Array:
    return jnp.log1p(x**2)


def _hyperbola(x: Array) -> Array:
    return jnp.sqrt(1 + x**2)


def _x_log_x(x: Array) -> Array:
    return x * jnp.log(x)


# Gauss-Legendre nodes of Bessel's integral: 48 give float64 up to |x| of about 60
_ANGLES, _WEIGHTS = np.polynomial.legendre.leggauss(48)
_ANGLES, _WEIGHTS = (_ANGLES + 1) * pi / 2, _WEIGHTS / 2


def _bessel(order: int) -> Callable[[Array], Array]:
    """J_n(x), the mean over 0..pi of cos(n t - x sin t) (Abramowitz and Stegun 9.1.21)."""

    def bessel(x: Array) -> Array:
        wide = jnp.promote_types(x.dtype, jnp.float32)
        angles, weights = jnp.asarray(_ANGLES, wide), jnp.asarray(_WEIGHTS, wide)
        with jax.numpy_rank_promotion("allow"):
            values = jnp.cos(order * angles - x[..., None] * jnp.sin(angles))
        return jnp.matmul(values, weights, precision="highest").astype(x.dtype)

    return bessel


def _powers() -> list[Form]:
    """x, ..., x^5 and 1/x, ..., 1/x^5."""
    parity: list[Literal["even", "odd", ""]] = ["even", "odd"]
    positive = [
        Form("x" if n == 1 else f"x^{n}", _power(n), f"x**{n}", (1, 2, 2, 3, 3)[n - 1], parity=parity[n % 2], degree=n)
        for n in range(1, 6)
    ]
    negative = [
        Form(
            "1/x" if n == 1 else f"1/x^{n}", _power(-n), f"x**-{n}", (2, 3, 3, 4, 4)[n - 1],
            pole=True, parity=parity[n % 2], degree=-n,
        )
        for n in range(1, 6)
    ]  # fmt: skip
    return positive + negative


FORMS: dict[str, Form] = {
    form.name: form
    for form in (
        *_powers(),
        Form("sqrt", jnp.sqrt, "sqrt(x)", 2, (0, inf), degree=1 / 2),
        Form("1/sqrt", jax.lax.rsqrt, "1/sqrt(x)", 3, (0, inf), degree=-1 / 2),
        Form("cbrt", _cube_root, "sign(x)*Abs(x)**Rational(1, 3)", 3, parity="odd", degree=1 / 3),
        Form("x^1.5", _three_halves, "x**Rational(3, 2)", 3, (0, inf), degree=3 / 2),
        Form("abs", magnitude, "Abs(x)", 2, parity="even", degree=1),
        Form("exp", jnp.exp, "exp(x)", 2),
        Form("log", jnp.log, "log(x)", 2, (0, inf)),
        Form("sin", jnp.sin, "sin(x)", 2, parity="odd", period=2 * pi),
        Form("cos", jnp.cos, "cos(x)", 2, parity="even", period=2 * pi),
        Form("tan", jnp.tan, "tan(x)", 3, (-pi / 2, pi / 2), parity="odd"),
        Form("arcsin", jnp.arcsin, "asin(x)", 3, (-1, 1), parity="odd"),
        Form("arccos", jnp.arccos, "acos(x)", 3, (-1, 1)),
        Form("arctan", jnp.arctan, "atan(x)", 3, parity="odd"),
        Form("sinh", jnp.sinh, "sinh(x)", 3, parity="odd"),
        Form("cosh", jnp.cosh, "cosh(x)", 3, parity="even"),
        Form("tanh", jnp.tanh, "tanh(x)", 3, parity="odd"),
        Form("arcsinh", jnp.arcsinh, "asinh(x)", 4, parity="odd"),
        Form("arccosh", jnp.arccosh, "acosh(x)", 4, (1, inf)),
        Form("arctanh", jnp.arctanh, "atanh(x)", 4, (-1, 1), parity="odd"),
        Form("gaussian", _gaussian, "exp(-x**2)", 3, parity="even"),
        Form("erf", special.erf, "erf(x)", 3, parity="odd"),
        Form("sigmoid", jax.nn.sigmoid, "1/(1 + exp(-x))", 4),
        Form("softplus", jax.nn.softplus, "log(1 + exp(x))", 4),
        Form("1/(1+x^2)", _lorentzian, "1/(1 + x**2)", 4, parity="even"),
        Form("log(1+x^2)", _log_square, "log(1 + x**2)", 4, parity="even"),
        Form("sqrt(1+x^2)", _hyperbola, "sqrt(1 + x**2)", 4, parity="even"),
        Form("x log x", _x_log_x, "x*log(x)", 4, (0, inf)),
        Form("J0", _bessel(0), "besselj(0, x)", 4, parity="even"),
        Form("J1", _bessel(1), "besselj(1, x)", 4, parity="odd"),
    )
}
"""Forms by name."""


def add_form(form: Form) -> Form:
    """Make ``form`` one that edges are compared with, in this process; a saved model finds it by its name.

    Raises ``EdgewiseError`` for what is no form, or a name that another one has.

    >>> add_form(Form("sinc", jnp.sinc, "sin(pi*x)/(pi*x)", 4, parity="even"))
    """
    if not isinstance(form, Form):
        raise EdgewiseError(f"{form!r} is no form.", do='pass say Form("sinc", jnp.sinc, "sin(pi*x)/(pi*x)").')
    if FORMS.get(form.name, form) != form:
        raise EdgewiseError(f"there is another form called {form.name!r}.", do="choose another name.")
    FORMS[form.name] = form
    return form


def form_named(name: Any) -> Form:
    """The form of that name; raises ``UnknownNameError``, which offers the nearest."""
    if not isinstance(name, str) or name not in FORMS:
        raise unknown_name("form", name, FORMS)
    return FORMS[name]
