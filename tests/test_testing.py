"""The conformance checks pass for what the library ships, and each fails for a family or scheme that deserves it."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from edgewise.bases import (
    RBF,
    RSWAF,
    Basis,
    Bernstein,
    BSpline,
    Chebyshev,
    Fourier,
    Hermite,
    Jacobi,
    Legendre,
    Rational,
    Refinement,
    ReLUBump,
    Sine,
    Wavelet,
)
from edgewise.errors import EdgewiseError
from edgewise.init import SCHEMES, Power, ResidualFirst, Scales
from edgewise.testing import ConformanceError, check_basis, check_initializer

SHIPPED = [
    BSpline(),
    BSpline(1, 3, extrapolate="clip"),
    BSpline(2, 3, knots="free"),
    Chebyshev(3),
    Chebyshev(8, squash="affine", domain=(0.0, 3.0)),
    Legendre(3),
    Jacobi(3),
    Hermite(3),
    Bernstein(3),
    Fourier(2),
    RBF(3),
    RSWAF(3),
    Sine(3),
    Wavelet(3),
    ReLUBump(2, 3),
    Rational(),
    Chebyshev(2) | Sine(2),
    BSpline(1, 4),
]


@pytest.mark.parametrize("basis", SHIPPED[:4] + SHIPPED[5:], ids=str)
def test_families_of_the_library_pass(basis):
    check_basis(basis)


@dataclass(frozen=True)
class Powers(Basis):
    """What a user writes: sin(x)^m."""

    count: int = 3

    @property
    def size(self):
        return self.count

    def modes(self, x, state):
        return [jnp.sin(x) ** m for m in range(1, self.count + 1)]


def test_a_family_of_the_user_passes():
    check_basis(Powers())
    check_basis(Powers(2), points=[0.1, 0.5, 3.0])


# --- wrong families: one broken promise each -----------------------------------------------------------------------


@dataclass(frozen=True)
class WrongSize(Powers):
    @property
    def size(self):
        return self.count + 1


@dataclass(frozen=True)
class NoSize(Powers):
    @property
    def size(self):
        return 0


@dataclass(frozen=True)
class Unhashable(Powers):
    centres: list = field(default_factory=list)


@dataclass(frozen=True)
class HoldsALambda(Powers):
    shape: Any = field(default_factory=lambda: lambda x: x)


@dataclass(frozen=True, eq=False)
class ComparesByIdentity(Powers):
    __eq__ = object.__eq__
    __hash__ = object.__hash__


@dataclass(frozen=True)
class ForgetsItsConfig(Powers):
    @property
    def config(self):
        return {"family": "ForgetsItsConfig"}


@dataclass(frozen=True)
class InvertedInterval(Powers):
    @property
    def interval(self):
        return (1.0, -1.0)


@dataclass(frozen=True)
class WildBreakpoints(Powers):
    def breakpoints(self):
        return np.array([0.5, 0.0])


@dataclass(frozen=True)
class NestedInName(Powers):
    """Its finer members begin with other modes."""

    resolution = "count"
    nested = True

    def modes(self, x, state):
        return [x ** (self.count + 1 - m) for m in range(self.size)]


@dataclass(frozen=True)
class LiftOfTheWrongShape(Powers):
    resolution = "count"

    def extended(self, state, size, **options):
        return Refinement(self.resized(size), {}, np.eye(self.size))


@dataclass(frozen=True)
class NegativeScale(Powers):
    def default_std(self, fan_in, modes):
        return -1.0, "normal"


@dataclass(frozen=True)
class UnknownLaw(Powers):
    def default_std(self, fan_in, modes):
        return 1.0, "cauchy"


@dataclass(frozen=True)
class ForgetsTheLaw(Powers):
    def default_std(self, fan_in, modes):
        return 0.1


@dataclass(frozen=True)
class SizeOfItself(Powers):
    @property
    def size(self):
        return self.number


@dataclass(frozen=True)
class DomainOfOneNumber(Powers):
    domain: Any = 5


@dataclass(frozen=True)
class BreakpointsOfText(Powers):
    def breakpoints(self):
        return ["a", "b"]


@dataclass(frozen=True)
class StateOfNothing(Powers):
    def init(self, n_in, *, key):
        return None


@dataclass(frozen=True)
class StateWithoutKey(Powers):
    def init(self, n_in):
        return {}


@dataclass(frozen=True)
class StateOfFixedSize(Powers):
    def init(self, n_in, *, key):
        return {"shift": jnp.zeros((n_in + 1, 2))}


@dataclass(frozen=True)
class StateOfIntegers(Powers):
    def init(self, n_in, *, key):
        return {"shift": jnp.zeros(n_in, int)}


@dataclass(frozen=True)
class StateOfNaN(Powers):
    def init(self, n_in, *, key):
        return {"shift": jnp.full((n_in, 1), jnp.nan)}


@dataclass(frozen=True)
class TrainsNothing(Powers):
    trained: ClassVar[tuple[str, ...]] = ("slope",)


@dataclass(frozen=True)
class LosesBatch(Powers):
    def modes(self, x, state):
        return [mode.reshape(-1, x.shape[-1]) for mode in super().modes(x, state)]


@dataclass(frozen=True)
class LosesDtype(Powers):
    def modes(self, x, state):
        return [mode.astype(jnp.float32) for mode in super().modes(x, state)]


@dataclass(frozen=True)
class StackedInWrongOrder(Powers):
    def blocks(self, x, state, edges):
        return [block[..., ::-1, :] for block in super().blocks(x, state, edges)]


@dataclass(frozen=True)
class IgnoresTheEdges(Powers):
    def blocks(self, x, state, edges):
        sizes = [stop - start for start, stop in pairwise(edges)]
        return [jnp.stack(self.modes(x, state)[:size], axis=-2) for size in sizes]


@dataclass(frozen=True)
class BranchesOnValues(Powers):
    def modes(self, x, state):
        return super().modes(x, state) if (x > -9).all() else []


@dataclass(frozen=True)
class KnowsWhetherItIsCompiled(Powers):
    def modes(self, x, state):
        factor = 1.5 if isinstance(x, jax.core.Tracer) else 1.0
        return [factor * mode for mode in super().modes(x, state)]


@dataclass(frozen=True)
class MixesTheBatch(Powers):
    def modes(self, x, state):
        return [mode + 0.1 * jnp.cumsum(x, axis=0) / 30 if x.ndim > 1 else mode for mode in super().modes(x, state)]


@dataclass(frozen=True)
class MixesTheNodes(Powers):
    def modes(self, x, state):
        return [mode - x.mean(axis=-1, keepdims=True) for mode in super().modes(x, state)]


@dataclass(frozen=True)
class ClaimsAConstant(Powers):
    has_constant: ClassVar[bool] = True


@dataclass(frozen=True)
class HidesAConstant(Powers):
    def modes(self, x, state):
        return [jnp.ones_like(x), *super().modes(x, state)[1:]]


@jax.custom_jvp
def wrong_slope(x):
    return jnp.sin(x)


wrong_slope.defjvp(lambda x, dx: (wrong_slope(x[0]), -jnp.cos(x[0]) * dx[0]))


@jax.custom_jvp
def wrong_curvature(x):
    return jnp.sin(x)


wrong_curvature.defjvp(lambda x, dx: (wrong_curvature(x[0]), jax.lax.stop_gradient(jnp.cos(x[0])) * dx[0]))


@jax.custom_vjp
def reverse_only(x):
    return jnp.sin(x)


reverse_only.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (jnp.cos(x) * g,))


@dataclass(frozen=True)
class WrongSlope(Powers):
    def modes(self, x, state):
        return [wrong_slope(x), *super().modes(x, state)[1:]]


@dataclass(frozen=True)
class WrongCurvature(Powers):
    def modes(self, x, state):
        return [wrong_curvature(x), *super().modes(x, state)[1:]]


@dataclass(frozen=True)
class ReverseOnly(Powers):
    def modes(self, x, state):
        return [reverse_only(x), *super().modes(x, state)[1:]]


@dataclass(frozen=True)
class InfiniteFarOut(Powers):
    def modes(self, x, state):
        return [jnp.exp(x) / (1 + jnp.exp(x)), *super().modes(x, state)[1:]]


@dataclass(frozen=True)
class InfiniteSlopeAtTheEnd(Powers):
    def modes(self, x, state):
        return [jnp.arccos(jnp.clip(x, -1, 1)), *super().modes(x, state)[1:]]


@dataclass(frozen=True)
class InfiniteStateGradient(Powers):
    def init(self, n_in, *, key):
        return {"power": jnp.zeros((n_in, 1))}

    def modes(self, x, state):
        return [mode + jnp.sqrt(state["power"][:, 0]).astype(x.dtype) for mode in super().modes(x, state)]


BROKEN = {
    WrongSize: "returns 5 modes, and size is 6",
    NoSize: "size is 0",
    Unhashable: "not hashable",
    HoldsALambda: "pickled",
    ComparesByIdentity: "differs from its pickled copy",
    ForgetsItsConfig: "from_config",
    InvertedInterval: "interval is",
    WildBreakpoints: "breakpoints",
    NegativeScale: "default_std",
    UnknownLaw: "default_std",
    ForgetsTheLaw: r"default_std\(4, 5\) is 0.1(?s:.*)a pair",
    SizeOfItself: "size raises AttributeError",
    DomainOfOneNumber: "interval(?s:.*)two finite numbers",
    BreakpointsOfText: "breakpoints",
    StateOfNothing: "init returns None(?s:.*)return a dictionary",
    StateWithoutKey: r"init raises TypeError(?s:.*)def init\(self, n_in, \*, key\)",
    NestedInName: "modes written in those of",
    LiftOfTheWrongShape: "the lift of LiftOfTheWrongShape.extended",
    StateOfFixedSize: "leading axis",
    StateOfIntegers: "no floating-point",
    StateOfNaN: "not finite",
    TrainsNothing: "trained names",
    LosesBatch: "has shape",
    LosesDtype: "is float32 for an input of bfloat16",
    StackedInWrongOrder: "of modes, stacked",
    IgnoresTheEdges: "in blocks",
    BranchesOnValues: "can't be traced",
    KnowsWhetherItIsCompiled: "under jit",
    MixesTheBatch: "under vmap|another batch",
    MixesTheNodes: "another neighbour",
    ClaimsAConstant: "has_constant is True",
    HidesAConstant: "has_constant is False",
    WrongSlope: "the first derivative",
    WrongCurvature: "the second derivative",
    ReverseOnly: "differentiated",
    InfiniteFarOut: "not finite at x = 89",
    InfiniteSlopeAtTheEnd: "not finite",
    InfiniteStateGradient: "gradient with respect to 'power'",
}


@pytest.mark.parametrize("family", BROKEN, ids=lambda family: family.__name__)
def test_a_broken_promise_is_found_and_named(family):
    basis = family(5)
    with pytest.raises(ConformanceError, match=BROKEN[family]) as error:
        check_basis(basis)
    assert family.__name__ in str(error.value)
    assert error.value.do


@pytest.mark.parametrize("points", [[], np.array(["a"]), [0.0, np.nan]], ids=str)
def test_points_are_finite_numbers(points):
    with pytest.raises(EdgewiseError, match="are no finite numbers"):
        check_basis(Powers(), points=points)


def test_something_else_is_no_basis():
    with pytest.raises(ConformanceError, match="not a Basis"):
        check_basis("chebyshev")


# --- schemes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCHEMES)
def test_schemes_of_the_library_pass(name):
    check_initializer(SCHEMES[name](), residuals=True if name == "residual_first" else None)


@pytest.mark.parametrize("scheme", [SCHEMES["default"](), SCHEMES["glorot_fine"](), Power(gain=2.0)], ids=str)
def test_schemes_pass_for_every_kind_of_family(scheme):
    check_initializer(scheme, bases=[Chebyshev(3) | Fourier(2), Sine(3), Rational(), Bernstein(3)])


def mine(stats):
    """What a user writes."""
    m = stats.moments("uniform", None)
    return Scales((stats.fan_in * stats.terms * m.mu0) ** -0.5, (stats.fan_in * stats.terms) ** -0.5)


def test_a_scheme_of_the_user_passes():
    check_initializer(mine)


def plain_number(stats):
    return 0.1


def negative(stats):
    return Scales(-1.0, 1.0)


def infinite(stats):
    return Scales(np.inf, 1.0)


def wrong_shape(stats):
    return Scales(np.ones(stats.modes + 1), 1.0)


def wrong_residual(stats):
    return Scales(1 / stats.fan_in, np.ones(stats.modes))


def random(stats):
    return Scales(np.random.default_rng().uniform() / stats.fan_in, 0.0)


def unknown_law(stats):
    return Scales(1 / stats.fan_in, 0.0, basis_law="cauchy")


def nothing(stats):
    return Scales(0.0, 0.0)


def explodes(stats):
    return Scales(1.0, 1.0)


BROKEN_SCHEMES = {
    plain_number: "returns float",
    negative: "scale of the basis is -1.0",
    infinite: "scale of the basis is inf",
    wrong_shape: "array of",
    wrong_residual: "scale of the residual",
    random: "two calls",
    unknown_law: "unknown law 'cauchy'",
    nothing: "every scale is zero",
    explodes: "output variance",
}


@pytest.mark.parametrize("scheme", BROKEN_SCHEMES, ids=lambda scheme: scheme.__name__)
def test_a_broken_scheme_is_found_and_named(scheme):
    with pytest.raises(ConformanceError, match=BROKEN_SCHEMES[scheme]) as error:
        check_initializer(scheme)
    assert error.value.do


def test_schemes_must_be_hashable_picklable_and_callable():
    with pytest.raises(ConformanceError, match="pickled"):
        check_initializer(lambda stats: mine(stats))
    for wrong in (Power, 3):
        with pytest.raises(ConformanceError, match="can't be called"):
            check_initializer(wrong)


def test_a_scheme_that_needs_a_residual_says_so():
    with pytest.raises(ValueError, match="needs a residual"):
        check_initializer(ResidualFirst())
