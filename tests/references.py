"""Families x parameters x an independent float64 reference: values, first and second derivatives.

A new family joins the tests with a row here.  References come from NumPy and SciPy (polynomials, splines), from closed
forms that SymPy differentiates, or from quadrature; none of them from the code under test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import mpmath
import numpy as np
import sympy as sp
from numpy.polynomial import Chebyshev as ChebyshevSeries
from numpy.polynomial import Legendre as LegendreSeries
from scipy.interpolate import BSpline as ScipySpline
from scipy.special import binom, eval_hermite, eval_jacobi, gammaln

from edgewise import bases

State = Mapping[str, np.ndarray]
Orders = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Values, first and second derivatives, ``[n, M]`` each."""
Reference = Callable[[np.ndarray, State], Orders]
"""Points ``[n]`` and the state of one input node, both float64, to the three orders."""


@dataclass(frozen=True)
class Row:
    """One member of a family beside its reference.

    Compared on ``interval``.  ``kinks`` are points where derivatives above ``smoothness`` jump: those derivatives are
    compared away from them.  ``state`` replaces the initial state (one input node, no leading axis).  ``in_reverse``:
    also differentiated in reverse mode, for one row of each formula.
    """

    name: str
    basis: bases.Basis
    reference: Reference
    interval: tuple[float, float]
    kinks: np.ndarray = field(default_factory=lambda: np.zeros(0))
    smoothness: int = 99
    state: State | None = None
    in_reverse: bool = True

    def points(self, count: int) -> np.ndarray:
        """``count`` points of the interval in float64: even, crowded at the ends, and random; ends included."""
        low, high = self.interval
        third = count // 3
        even = np.linspace(-1, 1, third)
        crowded = -np.cos(np.linspace(0, np.pi, third))
        random = np.random.default_rng(0).uniform(-1, 1, count - 2 * third)
        unit = np.concatenate([even, crowded, random])
        return np.clip((low + high) / 2 + unit * (high - low) / 2, low, high)

    def smooth_at(self, x: np.ndarray, order: int) -> np.ndarray:
        """Where the derivative of an ``order`` exists and float32 is far enough from its jumps, ``[n]``."""
        if order <= self.smoothness or not len(self.kinks):
            return np.ones(len(x), bool)
        gap = np.min(np.diff(np.unique(self.kinks))) if len(np.unique(self.kinks)) > 1 else 1.0
        return np.min(np.abs(x[:, None] - self.kinks), axis=1) > 1e-3 * gap


# --- polynomials ---------------------------------------------------------------------------------------------------


def jacobi(degree: int, alpha: float, beta: float) -> Callable[[np.ndarray], Orders]:
    """scipy's P_n, and d/dt P_n^(a, b) = (n + a + b + 1) / 2 P_(n-1)^(a+1, b+1) (DLMF 18.9.15)."""

    def derivative(n, order, t):
        if n < order:
            return np.zeros_like(t)
        factor = np.prod([(n + alpha + beta + 1 + j) / 2 for j in range(order)])
        return factor * eval_jacobi(n - order, alpha + order, beta + order, t)

    return lambda t: tuple(np.stack([derivative(n, o, t) for n in range(degree + 1)], -1) for o in range(3))


def series(kind: type, degree: int) -> Callable[[np.ndarray], Orders]:
    """NumPy's Clenshaw summation of one polynomial at a time."""
    modes = [kind.basis(n) for n in range(degree + 1)]
    return lambda t: tuple(np.stack([p.deriv(o)(t) if o else p(t) for p in modes], -1) for o in range(3))


def second_kind(degree: int) -> Callable[[np.ndarray], Orders]:
    """U_n = T'_(n+1) / (n + 1), by NumPy."""
    modes = [ChebyshevSeries.basis(n + 1).deriv() / (n + 1) for n in range(degree + 1)]
    return lambda t: tuple(np.stack([p.deriv(o)(t) if o else p(t) for p in modes], -1) for o in range(3))


def bernstein(degree: int) -> Callable[[np.ndarray], Orders]:
    """Binomials times powers; derivatives are differences of Bernstein polynomials of lower degree."""

    def polynomials(n, t):
        m = np.arange(n + 1)
        u = (1 + t[:, None]) / 2
        return binom(n, m) * u**m * ((1 - t[:, None]) / 2) ** (n - m)

    def raised(lower, n):
        padded = np.pad(lower, ((0, 0), (1, 1)))
        return n / 2 * (padded[:, :-1] - padded[:, 1:])

    def orders(t):
        first = raised(polynomials(degree - 1, t), degree)
        second = raised(raised(polynomials(degree - 2, t), degree - 1), degree) if degree > 1 else np.zeros_like(first)
        return polynomials(degree, t), first, second

    return orders


def squashed(polynomials: Callable[[np.ndarray], Orders], squash: str | None, domain=(-1.0, 1.0)) -> Reference:
    """The chain rule for t = tanh(a x + b), t = a x + b or t = x, written by hand."""
    low, high = domain
    slope = 2 / (high - low)

    def reference(x, state):
        t = (x - (low + high) / 2) * slope
        first, second = np.full_like(t, slope), np.zeros_like(t)
        if squash == "tanh":
            t = np.tanh(t)
            # sech^2 without cancellation
            first = slope / np.cosh((x - (low + high) / 2) * slope) ** 2
            second = -2 * slope * t * first
        value, d1, d2 = polynomials(t)
        return value, d1 * first[:, None], d2 * first[:, None] ** 2 + d1 * second[:, None]

    return reference


def hermite(degree: int) -> Reference:
    """scipy's Hermite polynomials, normalized through logarithms; psi' by DLMF 18.9.25, psi'' by the ODE of psi."""

    def function(n, x):
        scale = 0.5 * (n * np.log(2) + gammaln(n + 1) + 0.5 * np.log(np.pi))
        return eval_hermite(n, x) * np.exp(-(x**2) / 2 - scale)

    def reference(x, state):
        psi = np.stack([function(n, x) for n in range(degree + 2)], -1)
        n = np.arange(degree + 1)
        below = np.concatenate([np.zeros((len(x), 1)), psi[:, :degree]], axis=1)
        first = np.sqrt(n / 2) * below - np.sqrt((n + 1) / 2) * psi[:, 1:]
        return psi[:, :-1], first, (x[:, None] ** 2 - 2 * n - 1) * psi[:, :-1]

    return reference


# --- splines -------------------------------------------------------------------------------------------------------


def spline(degree: int, intervals: int) -> Reference:
    """scipy's B-splines on all knots, derived from the state."""

    def reference(x, state):
        if "knots" in state:
            knots = state["knots"]
        else:
            low, high = state["ends"]
            knots = low + (high - low) * np.arange(-degree, intervals + degree + 1) / intervals
        all_modes = ScipySpline(knots, np.eye(intervals + degree), degree)
        return tuple(
            np.asarray(all_modes(x, nu=o)) if o <= degree else np.zeros((len(x), intervals + degree)) for o in range(3)
        )

    return reference


def spline_elements(x: np.ndarray, knots: np.ndarray, degree: int) -> np.ndarray:
    """scipy's B-splines one at a time, each 0 outside its own knots: ``[n, M]``, beyond the domain too."""
    elements = [
        ScipySpline.basis_element(knots[m : m + degree + 2], extrapolate=False) for m in range(len(knots) - degree - 1)
    ]
    return np.nan_to_num(np.stack([element(x) for element in elements], axis=-1))


def free_knots(degree: int, intervals: int, repeated: int = 1, domain=(-1.0, 1.0)) -> np.ndarray:
    """Uneven knots, exact in float32; one interior knot ``repeated`` times; the ends' knots continued beyond."""
    rng = np.random.default_rng(intervals + 10 * degree)
    gaps = rng.uniform(0.4, 1.6, intervals + 2 * degree)
    if repeated > 1:
        gaps[degree + 2 : degree + 1 + repeated] = 0.0
    knots = np.concatenate([[0.0], np.cumsum(gaps)])
    low, high = knots[degree], knots[-degree - 1]
    return (domain[0] + (knots - low) / (high - low) * (domain[1] - domain[0])).astype(np.float32).astype(np.float64)


# --- closed forms, differentiated by SymPy ------------------------------------------------------------------------

X = sp.Symbol("x", real=True)


def closed_form(formula: sp.Expr, parameters: Mapping[str, sp.Symbol], precise: bool = False) -> Reference:
    """Modes of one formula; ``parameters`` names the state whose entries, one a mode, replace each symbol.

    ``precise`` evaluates with 40 digits, where the textbook form cancels in float64.
    """
    symbols = [X, *parameters.values()]
    derived = [sp.diff(formula, X, order) for order in range(3)]
    if precise:
        compiled = np.vectorize(_with_digits(sp.lambdify(symbols, derived, "mpmath", cse=True)), otypes=[float] * 3)
    else:
        compiled = sp.lambdify(symbols, derived, "numpy", cse=True)

    def reference(x, state):
        values = [np.asarray(state[name])[None, :] for name in parameters]
        shape = np.broadcast_shapes((len(x), 1), *(v.shape for v in values))
        return tuple(np.broadcast_to(part, shape) for part in compiled(x[:, None], *values))

    return reference


def _with_digits(function):
    def evaluated(*arguments):
        with mpmath.workdps(40):
            return tuple(float(part) for part in function(*(mpmath.mpf(float(a)) for a in arguments)))

    return evaluated


def fourier(order: int, period: float = 2 * np.pi) -> Reference:
    k, p = sp.symbols("k p", positive=True)
    parts = [closed_form(f(2 * sp.pi * k * X / p), {"k": k, "p": p}) for f in (sp.cos, sp.sin)]

    def reference(x, state):
        mode = {"k": np.arange(1.0, order + 1), "p": np.full(order, period)}
        cosines, sines = (part(x, mode) for part in parts)
        return tuple(np.concatenate(pair, axis=1) for pair in zip(cosines, sines, strict=True))

    return reference


def even_in_distance(formula: Callable[[sp.Symbol], sp.Expr], width: float) -> Reference:
    """formula(|x - centre| / width): derived for positive distances, with the sign of the odd derivative put back."""
    r = sp.Symbol("r", nonnegative=True)
    compiled = [sp.lambdify(r, sp.simplify(sp.diff(formula(r / sp.Float(width, 30)), r, o)), "numpy") for o in range(3)]

    def reference(x, state):
        distance = x[:, None] - state["centres"][None, :]
        value, first, second = (np.broadcast_to(f(np.abs(distance)), distance.shape) for f in compiled)
        return value, first * np.sign(distance), second

    return reference


KERNELS: dict[str, Callable] = {
    "gaussian": lambda r: sp.exp(-(r**2) / 2),
    "inverse_quadratic": lambda r: 1 / (1 + r**2),
    "inverse_multiquadric": lambda r: 1 / sp.sqrt(1 + r**2),
    "matern32": lambda r: (1 + sp.sqrt(3) * r) * sp.exp(-sp.sqrt(3) * r),
    "matern52": lambda r: (1 + sp.sqrt(5) * r + sp.Rational(5, 3) * r**2) * sp.exp(-sp.sqrt(5) * r),
}


def sine() -> Reference:
    """(sin(w x + p) - E) / sqrt(V) with the mean and variance of sin(w x + p) for x ~ N(0, 1), arXiv 2410.01990."""
    w, p = sp.symbols("w p", real=True)
    mean = sp.exp(-(w**2) / 2) * sp.sin(p)
    variance = sp.Rational(1, 2) - sp.exp(-2 * w**2) * sp.cos(2 * p) / 2 - mean**2
    formula = (sp.sin(w * X + p) - mean) / sp.sqrt(variance)
    return closed_form(formula, {"frequency": w, "phase": p}, precise=True)


U = sp.Symbol("u", real=True)
MOTHERS: dict[str, sp.Expr] = {
    "mexican_hat": 2 / (sp.sqrt(3) * sp.pi ** sp.Rational(1, 4)) * (1 - U**2) * sp.exp(-(U**2) / 2),
    "morlet": sp.cos(5 * U) * sp.exp(-(U**2) / 2),
    "dog": -U * sp.exp(-(U**2) / 2),
    # 2 sinc(2 u) - sinc(u) in the normalized sinc: the band from pi to 2 pi
    "shannon": (sp.sin(2 * sp.pi * U) - sp.sin(sp.pi * U)) / (sp.pi * U),
}


def wavelet(kind: str) -> Reference:
    shift, scale = sp.symbols("shift scale", real=True)
    formula = MOTHERS[kind].subs(U, (X - shift) / scale)
    return closed_form(formula, {"shift": shift, "scale": scale}, precise=kind == "shannon")


def meyer() -> Reference:
    """The inverse Fourier integral with auxiliary function nu(x) = x, by Gauss-Legendre quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(200)

    def band(low, high, profile):
        w = (low + high) / 2 + nodes * (high - low) / 2
        return w, weights * (high - low) / 2 * profile(w) / np.pi

    low = band(2 * np.pi / 3, 4 * np.pi / 3, lambda w: np.sin(np.pi / 2 * (3 * w / (2 * np.pi) - 1)))
    high = band(4 * np.pi / 3, 8 * np.pi / 3, lambda w: np.cos(np.pi / 2 * (3 * w / (4 * np.pi) - 1)))
    w, profile = (np.concatenate(pair) for pair in zip(low, high, strict=True))

    def reference(x, state):
        u = (x[:, None] - state["shift"]) / state["scale"]
        angle = (u[..., None] - 0.5) * w
        value, first, second = (
            np.cos(angle) @ profile,
            -np.sin(angle) @ (w * profile),
            -np.cos(angle) @ (w**2 * profile),
        )
        return value, first / state["scale"], second / state["scale"] ** 2

    return reference


def relu_bump(order: int, width: float) -> Reference:
    """The polynomial between start and end, 0 outside."""
    start, end = sp.symbols("start end", real=True)
    inner = closed_form(((end - X) * (X - start) * 4 / width**2) ** order, {"start": start, "end": end})

    def reference(x, state):
        inside = (x[:, None] > state["start"]) & (x[:, None] < state["end"])
        return tuple(np.where(inside, part, 0.0) for part in inner(x, state))

    return reference


def rational(p: int, q: int) -> Reference:
    """P / (1 + s Q) with s the sign of Q, constant between its zeros."""
    a, b, s = sp.symbols(f"a:{p + 1}"), sp.symbols(f"b1:{q + 1}"), sp.Symbol("s")
    denominator = sum(c * X ** (j + 1) for j, c in enumerate(b))
    formula = sum(c * X**j for j, c in enumerate(a)) / (1 + s * denominator)
    compiled = [sp.lambdify([X, s, *a, *b], sp.diff(formula, X, o), "numpy") for o in range(3)]

    def reference(x, state):
        sign = np.where(x * np.polynomial.polynomial.polyval(x, state["denominator"]) < 0, -1.0, 1.0)
        return tuple(np.asarray(f(x, sign, *state["numerator"], *state["denominator"]))[:, None] for f in compiled)

    return reference


# --- the table -----------------------------------------------------------------------------------------------------


def _polynomial_rows() -> list[Row]:
    families = {
        "chebyshev": (bases.Chebyshev, {}, lambda n: series(ChebyshevSeries, n)),
        "chebyshev2": (bases.Chebyshev, {"kind": 2}, second_kind),
        "legendre": (bases.Legendre, {}, lambda n: series(LegendreSeries, n)),
        "jacobi": (bases.Jacobi, {}, lambda n: jacobi(n, 1.0, 1.0)),
        "jacobi_uneven": (bases.Jacobi, {"alpha": -0.5, "beta": 2.0}, lambda n: jacobi(n, -0.5, 2.0)),
        "bernstein": (bases.Bernstein, {}, bernstein),
    }
    cases = {
        "6-tanh": (6, "tanh", (-1.0, 1.0), (-4.0, 4.0)),
        "64": (64, None, (-1.0, 1.0), (-1.0, 1.0)),
        "64-tanh": (64, "tanh", (-1.0, 1.0), (-4.0, 4.0)),
        "20-affine": (20, "affine", (-0.5, 3.0), (-0.5, 3.0)),
    }
    rows = []
    for family, (basis, options, polynomials) in families.items():
        for case, (degree, squash, domain, interval) in cases.items():
            made = basis(degree, squash=squash, domain=domain, **options)
            rows.append(
                Row(
                    f"{family}-{case}",
                    made,
                    squashed(polynomials(degree), squash, domain),
                    interval,
                    in_reverse="tanh" in case,
                )
            )
    rows.append(Row("bernstein-100", bases.Bernstein(100, None), squashed(bernstein(100), None), (-1.0, 1.0)))
    rows += [Row(f"hermite-{n}", bases.Hermite(n), hermite(n), (-20.0, 20.0)) for n in (5, 64)]
    return rows


def _spline_rows() -> list[Row]:
    rows = []
    for degree in range(1, 8):
        for intervals in (5, 200):
            basis = bases.BSpline(degree, intervals)
            rows.append(
                Row(
                    f"bspline-{degree}-{intervals}",
                    basis,
                    spline(degree, intervals),
                    (-1.0, 1.0),
                    kinks=np.linspace(-1, 1, intervals + 1),
                    smoothness=degree - 1,
                    in_reverse=degree in (1, 2, 3, 7),
                )
            )
    moved = {"ends": np.array([-0.75, 2.5])}
    knots = np.linspace(-0.75, 2.5, 9)
    rows.append(Row("bspline-moved", bases.BSpline(3, 8), spline(3, 8), (-0.75, 2.5), knots, 2, moved))
    for degree, intervals, repeated in [
        (1, 5, 1),
        (2, 7, 2),
        (3, 5, 1),
        (3, 8, 3),
        (3, 200, 1),
        (5, 9, 3),
        (7, 200, 1),
    ]:
        knots = free_knots(degree, intervals, repeated)
        rows.append(
            Row(
                f"bspline-free-{degree}-{intervals}-{repeated}",
                bases.BSpline(degree, intervals, knots="free"),
                spline(degree, intervals),
                (-1.0, 1.0),
                kinks=knots,
                smoothness=degree - repeated,
                state={"knots": knots},
            )
        )
    return rows


def _closed_form_rows() -> list[Row]:
    rows = [
        Row("fourier-5", bases.Fourier(5), fourier(5), (-np.pi, np.pi)),
        Row("fourier-64", bases.Fourier(64), fourier(64), (-np.pi, np.pi)),
        Row("fourier-period", bases.Fourier(20, period=2.0), fourier(20, 2.0), (-2.0, 2.0)),
    ]
    for kernel, formula in KERNELS.items():
        reference = even_in_distance(formula, 4 / 7)
        rows.append(Row(f"rbf-{kernel}", bases.RBF(8, kernel=kernel), reference, (-3.0, 3.0)))
    narrow = bases.RBF(200, domain=(-1.0, 1.0), width=0.03)
    rows.append(Row("rbf-200", narrow, even_in_distance(KERNELS["gaussian"], 0.03), (-1.0, 1.0)))
    switch = even_in_distance(lambda r: 1 - sp.tanh(r) ** 2, 4 / 7)
    rows.append(Row("rswaf", bases.RSWAF(8), switch, (-3.0, 3.0)))
    frequencies = np.array([1e-3, -0.02, 0.3, -1.0, 2.5, 6.0], np.float32).astype(float)
    phases = np.array([0.3, 1.0, -0.4, 2.0, 0.0, 4.0], np.float32).astype(float)
    state = {"frequency": frequencies, "phase": phases}
    rows.append(Row("sine", bases.Sine(6), sine(), (-4.0, 4.0), state=state))
    rng = np.random.default_rng(1)
    for kind in [*MOTHERS, "meyer"]:
        state = {"shift": rng.uniform(-1, 1, 6), "scale": rng.uniform(0.2, 1, 6) * [1, 1, 1, 1, 1, -1]}
        state = {name: value.astype(np.float32).astype(float) for name, value in state.items()}
        reference = meyer() if kind == "meyer" else wavelet(kind)
        rows.append(Row(f"wavelet-{kind}", bases.Wavelet(6, kind), reference, (-2.0, 2.0), state=state))
    return rows


def _other_rows() -> list[Row]:
    rows = []
    for order, intervals in [(2, 5), (3, 5), (2, 200)]:
        basis = bases.ReLUBump(3, intervals, order=order)
        cell = 2 / intervals
        start = -1 + cell * np.arange(-3, intervals)
        kinks = np.concatenate([start, start + 4 * cell])
        reference = relu_bump(order, 4 * cell)
        rows.append(Row(f"relu_bump-{order}-{intervals}", basis, reference, (-1.0, 1.0), kinks, order - 1))
    for p, q in [(5, 4), (4, 3), (3, 2), (3, 3), (2, 5), (1, 1), (1, 4)]:
        rng = np.random.default_rng(10 * p + q)
        state = {"numerator": rng.normal(size=p + 1), "denominator": rng.normal(size=q)}
        state = {name: value.astype(np.float32).astype(float) for name, value in state.items()}
        roots = np.roots([*state["denominator"][::-1], 0.0])
        kinks = np.unique(roots[np.abs(roots.imag) < 1e-9].real)
        rows.append(Row(f"rational-{p}-{q}", bases.Rational(p, q), rational(p, q), (-6.0, 6.0), kinks, 0, state))
    return rows


ROWS = [*_polynomial_rows(), *_spline_rows(), *_closed_form_rows(), *_other_rows()]
