"""The promises of a family of univariate functions."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from edgewise.bases import Basis, State, from_config
from edgewise.errors import EdgewiseError
from edgewise.testing.conformance import LAWS, ConformanceError, is_scale

__all__ = ["check_basis"]

_N_IN = 2
_FAR = (1e-30, 1.0, 13.0, 30.0, 88.0, 89.0, 1e3, 1e6)
_BOTH_MODES = "drop custom_vjp: forward and reverse mode must both work; custom_jvp serves both."
_NO_SIDE_EFFECTS = "let modes be a pure function of x and the state."
_RULES = "check custom_jvp rules, stop_gradient, and jnp.where around expressions without a derivative."


def check_basis(basis: object, *, points: ArrayLike | Sequence[float] | None = None) -> None:
    """Check that a family keeps every promise of :class:`edgewise.bases.Basis`; silent if it does.

    Checked: an object that is hashable, equal to its pickled copy and to what its config rebuilds; a positive size;
    a state with a row for each input node, or one for all of them; as many modes as the size says, of the shape of the
    input for any batch shape; the dtype of the input (bfloat16, float32, float64); ``blocks`` the modes stacked;
    each output a function of its own input alone; equal results under ``jit`` and ``vmap``; an honest ``has_constant``;
    first and second derivatives, forward and reverse, that agree with central differences in float64; finite values
    and gradients for \\|x\\| up to 1e6; breakpoints and default scales that initializers can use; a finer member that
    holds the functions of this one, where it says so.

    Args:
        basis: the family.
        points: inputs ``[n]`` to check at, where the family is smooth or has isolated kinks; None takes 33 on
            ``basis.interval``.

    Raises:
        ConformanceError: naming the first broken promise, the input it broke at, and what to do.
        EdgewiseError: for ``points`` that are no finite numbers.
    """
    if not isinstance(basis, Basis):
        raise ConformanceError(f"{basis!r} is not a Basis.", do="subclass edgewise.bases.Basis and pass an instance.")
    _check_object(basis)
    _check_declarations(basis)
    state = _check_state(basis)
    low, high = basis.interval
    given = np.linspace(low, high, 33) if points is None else _checked_points(points)
    # two columns in different order: what one node gets must not depend on the other
    x = np.stack([given, given[::-1]], axis=1)
    with np.errstate(all="ignore"):
        _check_shapes(basis, state)
        _check_values(basis, state, x)
        _check_elementwise(basis, state, x)
        _check_constant(basis, state, x)
        _check_finite(basis, state, (low, high))
        _check_derivatives(basis, state, x)
        _check_extended(basis, state, x)


def _checked_points(points: Any) -> np.ndarray:
    given = _numbers(points)
    if given is None or not given.size or not np.isfinite(given).all():
        raise EdgewiseError(f"points={points!r} are no finite numbers.", do="pass at least one, or None for 33.")
    return given.ravel()


def _numbers(value: Any) -> np.ndarray | None:
    """``value`` as float64, None where it holds something else."""
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return None


def _answer(basis: Basis, member: str, ask: Callable[[], Any], do: str) -> Any:
    """What ``basis`` says; raises ``ConformanceError`` where it says nothing but an error."""
    try:
        return ask()
    except EdgewiseError:
        raise
    except Exception as error:
        what = f"{type(basis).__name__}.{member} raises {type(error).__name__}: {error}."
        raise ConformanceError(what, do=do) from error


def _check_object(basis: Basis) -> None:
    name = type(basis).__name__
    try:
        hash(basis)
    except TypeError as error:
        raise ConformanceError(
            f"{name} is not hashable: {error}.",
            "compiled programs and moments are cached by the basis.",
            "decorate it with @dataclass(frozen=True), with fields that are numbers, strings, tuples or functions.",
        ) from error
    try:
        copy = pickle.loads(pickle.dumps(basis))
    except Exception as error:
        raise ConformanceError(
            f"{name} can't be pickled: {error}.",
            "models that hold it are saved that way.",
            "define the class at the top of a module, and store no lambdas.",
        ) from error
    if copy != basis or hash(copy) != hash(basis):
        raise ConformanceError(
            f"{name} differs from its pickled copy.",
            "an equal basis must find what was compiled for it.",
            "decorate it with @dataclass(frozen=True), which compares by value.",
        )
    try:
        described = json.loads(json.dumps(basis.config))
    except TypeError:
        return  # a field that JSON has no word for: such a family is saved by pickle alone
    if from_config(described) != basis:
        raise ConformanceError(
            f"from_config({described}) is not the {name} that described itself so.",
            "a saved model is rebuilt from its config.",
            "let all that defines the family be fields of the dataclass, and give each family a name of its own.",
        )


def _check_declarations(basis: Basis) -> None:
    name = type(basis).__name__
    do = "return the number of modes, an int of at least 1."
    size = _answer(basis, "size", lambda: basis.size, do)
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ConformanceError(f"{name}.size is {size!r}.", do=do)
    do = "return two finite numbers, the lower one first; of a domain that is one, or None for the real line."
    interval = _answer(basis, "interval", lambda: basis.interval, do)
    ends = _numbers(interval)
    if ends is None or ends.shape != (2,) or not -np.inf < ends[0] < ends[1] < np.inf:
        raise ConformanceError(f"{name}.interval is {interval!r}.", do=do)
    do = "return an increasing one-dimensional array, or None."
    breaks = _answer(basis, "breakpoints", basis.breakpoints, do)
    points = _numbers([] if breaks is None else breaks)
    if points is None or points.ndim != 1 or not np.isfinite(points).all() or not (np.diff(points) > 0).all():
        raise ConformanceError(
            f"{name}.breakpoints() is {breaks!r}.", "the cells of the quadrature for initial scales end there.", do
        )
    do = 'return say (0.1, "normal"), or leave the method out to get 1 / sqrt(fan_in modes).'
    answer = _answer(basis, "default_std", lambda: basis.default_std(4, size), do)
    std, law = answer if isinstance(answer, tuple) and len(answer) == 2 else (np.nan, None)
    if not is_scale(std) or np.shape(std) not in ((), (size,)) or not isinstance(law, str) or law not in LAWS:
        raise ConformanceError(
            f"{name}.default_std(4, {size}) is {answer!r}.",
            f"it must be a pair: a finite number >= 0, or one for each of {size} modes, and one of {', '.join(LAWS)}.",
            do,
        )


def _check_state(basis: Basis) -> State:
    """The state of two input nodes, checked against those of three."""
    name = type(basis).__name__
    key = jax.random.key(0)
    do = "def init(self, n_in, *, key): return a dictionary of arrays by name, {} for a family without a state."
    states = [_answer(basis, "init", lambda n=n: basis.init(n, key=key), do) for n in (_N_IN, _N_IN, 3)]
    if not all(isinstance(state, Mapping) for state in states):
        raise ConformanceError(f"{name}.init returns {states[0]!r}.", "layers hold its entries by name.", do)
    state, again, wider = states
    for entry, value in state.items():
        shape, wide = np.shape(value), np.shape(wider[entry]) if entry in wider else None
        per_node = shape[:1] == (_N_IN,) and wide == (3, *shape[1:])
        if not (per_node or shape == wide):
            raise ConformanceError(
                f"{name}.init: {entry!r} is {shape} for {_N_IN} nodes and {wide} for 3.",
                do="give it a leading axis of n_in, or one shape shared by all nodes.",
            )
        if not isinstance(value, jax.Array) or not jnp.issubdtype(value.dtype, jnp.floating):
            raise ConformanceError(
                f"{name}.init: {entry!r} is no floating-point jax array.", do="wrap it in jnp.asarray."
            )
        if not np.isfinite(value).all() or not np.array_equal(value, again[entry]):
            raise ConformanceError(
                f"{name}.init: {entry!r} is not finite, or differs between two calls with one key.",
                do="draw random numbers from `key` alone.",
            )
    if missing := set(basis.trained) - set(state):
        raise ConformanceError(
            f"{name}.trained names {sorted(missing)}, which init does not return.",
            do=f"name entries of the state: {', '.join(state) or '(none)'}.",
        )
    return state


def _check_shapes(basis: Basis, state: State) -> None:
    name, size = type(basis).__name__, basis.size
    batches = [((), jnp.float32), ((2, 3), jnp.float32), *(((4,), t) for t in (jnp.bfloat16, jnp.float32, jnp.float64))]
    with jax.enable_x64(True):
        for batch, dtype in batches:
            x = jax.ShapeDtypeStruct((*batch, _N_IN), dtype)
            functions = (
                lambda x: list(basis.modes(x, state)),
                lambda x: basis.stacked(x, state),
                lambda x: basis(x, state),
            )
            modes, stacked, called = (_traced(name, jax.eval_shape, function, x) for function in functions)
            if len(modes) != size:
                what = f"{name}.modes returns {len(modes)} modes, and size is {size}."
                raise ConformanceError(what, do="make the two agree.")
            expected = [(f"modes: number {m + 1}", mode, x.shape) for m, mode in enumerate(modes)]
            expected += [("stacked", stacked, (*batch, size, _N_IN)), ("__call__", called, (*batch, _N_IN, size))]
            for what, out, shape in expected:
                _check_output(f"{name}.{what}", out, shape, x)


def _check_output(what: str, out: Any, shape: tuple[int, ...], x: Any) -> None:
    if out.shape != shape:
        raise ConformanceError(
            f"{what} has shape {out.shape} for an input {x.shape}, expected {shape}.",
            "modes are elementwise in x, with any leading batch shape.",
            "index from the last axis: x[..., None], axis=-1.",
        )
    if out.dtype != x.dtype:
        raise ConformanceError(
            f"{what} is {out.dtype} for an input of {x.dtype}.",
            "the dtype of a layer is that of its input.",
            "use Python numbers for constants, or end with .astype(x.dtype).",
        )


def _traced(name: str, call: Callable, *arguments: Any) -> Any:
    """``call(*arguments)``, where any error means that jax can't do this with the family."""
    try:
        return call(*arguments)
    except EdgewiseError:
        raise
    except Exception as error:
        raise ConformanceError(
            f"{name} can't be traced or differentiated: {error}",
            "layers run compiled, and are differentiated in forward and in reverse mode.",
            "use jax.numpy, jnp.where for `if`, no conversion to NumPy or float, and custom_jvp, not custom_vjp.",
        ) from error


def _check_values(basis: Basis, state: State, x: np.ndarray) -> None:
    """Eager, jit, vmap, mode by mode and in blocks: one function."""
    x32 = jnp.asarray(x, jnp.float32)
    edges = sorted({0, 1, (basis.size + 1) // 2, basis.size})
    eager = np.asarray(basis(x32, state))
    others = {
        "under jit": jax.jit(basis.__call__)(x32, state),
        "under vmap": jax.jit(jax.vmap(basis.__call__, (0, None)))(x32, state),
        "of modes, stacked,": np.stack(jax.jit(lambda x, s: list(basis.modes(x, s)))(x32, state), axis=-1),
        "in blocks": np.moveaxis(np.concatenate(basis.blocks(x32, state, edges), axis=-2), -2, -1),
    }
    for how, other in others.items():
        _compare(basis, f"the value {how}", np.asarray(other), eager, x, 1e-5, "the plain call", _NO_SIDE_EFFECTS)


def _check_elementwise(basis: Basis, state: State, x: np.ndarray) -> None:
    """Reordering the points reorders the values, and a node does not see its neighbour."""
    function = jax.jit(basis.__call__)
    x32 = jnp.asarray(x, jnp.float32)
    values = np.asarray(function(x32, state))
    order = np.random.default_rng(0).permutation(len(x))
    do = "let each output depend on its own x and the state of its own node: no mean, sum or norm over an axis."
    _compare(basis, "the value in another batch", np.asarray(function(x32[order], state)), values[order], x[order],
             1e-5, "the value", do)  # fmt: skip
    apart = np.asarray(function(x32.at[:, 1].set(x32[order, 1]), state))
    _compare(basis, "the value beside another neighbour", apart[:, 0], values[:, 0], x[:, 0], 1e-5, "the value", do)


def _check_constant(basis: Basis, state: State, x: np.ndarray) -> None:
    first = np.asarray(basis(jnp.asarray(x, jnp.float32), state))[..., 0]
    if basis.has_constant == bool((np.abs(first - 1) < 1e-5).all()):
        return
    worst = np.unravel_index(np.abs(first - 1).argmax(), first.shape)
    if basis.has_constant:
        what, do = (
            f"its first mode is {first[worst]:.6g} at x = {x[worst]:.6g}",
            "put the constant first, or say False.",
        )
    else:
        what, do = "its first mode is 1 everywhere", "set has_constant = True."
    raise ConformanceError(
        f"{type(basis).__name__}.has_constant is {basis.has_constant}, but {what}.",
        "a layer with a bias drops the first mode of a family that has a constant.",
        do,
    )


def _check_extended(basis: Basis, state: State, x: np.ndarray) -> None:
    """The lift to a finer member writes every mode in its modes."""
    name = type(basis).__name__
    try:
        size = getattr(basis, basis.resolution, 1) + 2
        basis.resized(size)
    except EdgewiseError:
        return  # it cannot be refined, or not so far
    own = {key: np.asarray(value, np.float64) for key, value in state.items()}
    finer, finer_state, lift = basis.extended(own, size, n_in=_N_IN, key=jax.random.key(0))
    if lift is None or isinstance(lift, tuple):  # fitted, in part
        return
    if np.shape(lift) not in ((finer.size, basis.size), (_N_IN, finer.size, basis.size)):
        raise ConformanceError(
            f"the lift of {name}.extended has shape {np.shape(lift)}.",
            f"it writes {basis.size} modes in {finer.size}.",
            f"return [{finer.size}, {basis.size}], or one for each input node.",
        )
    with jax.enable_x64(True):
        wide = lambda state: {key: jnp.asarray(np.asarray(value), jnp.float64) for key, value in state.items()}
        old, new = np.asarray(basis(jnp.asarray(x), wide(own))), np.asarray(finer(jnp.asarray(x), wide(finer_state)))
    lifted = np.einsum("qna,nab->qnb", new, np.broadcast_to(lift, (_N_IN, *np.shape(lift)[-2:])))
    do = "drop nested = True, or return the lift that is exact, or None to have it fitted."
    _compare(basis, f"modes written in those of {finer}", lifted, old, x, 1e-5, "the modes", do)


def _check_derivatives(basis: Basis, state: State, x: np.ndarray) -> None:
    """First and second derivatives in float64, forward and reverse, against differences of the order below."""
    with jax.enable_x64(True):
        wide = {name: jnp.asarray(np.asarray(value), jnp.float64) for name, value in state.items()}
        orders = partial(_traced, type(basis).__name__, jax.jit(lambda x: _orders(basis, x, wide)))
        x64 = jnp.asarray(x)
        step = 1e-6 * max(1.0, float(np.ptp(x)))
        here, *around = ([np.asarray(part) for part in orders(x64 + j * step)] for j in (0, -2, -1, 1, 2))
    names = ("the first derivative", "the second derivative")
    for order in (1, 2):
        forward, reverse = here[order], here[order + 2]
        what = names[order - 1]
        _compare(basis, f"{what} in reverse mode", reverse, forward.sum(-1), x, 1e-6, "forward mode", _BOTH_MODES)
        values = [part[order - 1] for part in around]
        left = (3 * here[order - 1] - 4 * values[1] + values[0]) / (2 * step)
        right = (-3 * here[order - 1] + 4 * values[2] - values[3]) / (2 * step)
        scale = np.maximum(np.abs(left), np.abs(right)).max(axis=(0, 1)) + 1e-3
        # where both sides disagree there is a kink, and either slope will do
        nearest = np.where(np.abs(left - forward) < np.abs(right - forward), left, right)
        smooth = np.abs(left - right) < 1e-2 * scale
        expected = np.where(smooth, nearest, forward)
        _compare(basis, what, forward / scale, expected / scale, x, 2e-3, "differences (both scaled)", _RULES)


def _forward(basis: Basis, x: Array, state: State) -> tuple[Array, Array, Array]:
    """Value, first and second derivative of each mode, forward."""

    def derivative(function):
        return lambda x: jax.jvp(function, (x,), (jnp.ones_like(x),))[1]

    value = lambda x: basis(x, state)
    return value(x), derivative(value)(x), derivative(derivative(value))(x)


def _orders(basis: Basis, x: Array, state: State) -> tuple[Array, ...]:
    """The same, and the first and second derivative of the modes' sum in reverse."""

    def gradient(x):
        return jax.grad(lambda x: basis(x, state).sum())(x)

    return *_forward(basis, x, state), gradient(x), jax.grad(lambda x: gradient(x).sum())(x)


def _check_finite(basis: Basis, state: State, interval: tuple[float, float]) -> None:
    """Values and first and second derivatives, in x and in the state, far out and at the ends of the interval."""
    ends = [np.nextafter(np.float32(end), np.float32(to)) for end in interval for to in (-1e30, end, 1e30)]
    x = np.array([0.0, *ends, *_FAR, *(-far for far in _FAR)], np.float32)

    def all_of(x, state):
        return _forward(basis, x, state), jax.grad(lambda x, s: basis(x, s).sum(), (0, 1))(x, state)

    called = jax.jit(jax.vmap(all_of, (0, None)))
    forward, (by_x, by_state) = _traced(type(basis).__name__, called, jnp.tile(x[:, None], (1, _N_IN)), state)
    found = [*zip(("value", "first derivative", "second derivative"), forward, strict=True), ("gradient", by_x)]
    found += [(f"gradient with respect to {name!r}", value) for name, value in by_state.items()]
    for name, array in found:
        bad = ~np.isfinite(np.asarray(array).reshape(len(x), -1)).all(axis=1)
        if bad.any():
            raise ConformanceError(
                f"{type(basis).__name__}: the {name} is not finite at x = {x[bad][0]:.9g}.",
                "one such number in a batch makes the whole gradient NaN.",
                "clip or squash large inputs, and give jnp.where a harmless input in the branch that it does not take.",
            )


def _compare(basis, what: str, got, expected, x, tolerance: float, other: str, do: str) -> None:
    """Raise where ``got`` is not ``expected`` to ``tolerance`` of its largest magnitude, or of 1."""
    error = np.abs(got - expected)
    bad = ~(error <= tolerance * max(1.0, float(np.abs(expected[np.isfinite(expected)]).max(initial=0))))
    if not bad.any():
        return
    at = np.unravel_index(np.where(np.isnan(error), np.inf, error).argmax(), error.shape)
    mode = f", mode {at[-1] + 1}" if error.ndim > x.ndim else ""
    raise ConformanceError(
        f"{type(basis).__name__}: {what} is {got[at]:.6g} at x = {x[at[: x.ndim]]:.6g}{mode}, and {other} gives "
        f"{expected[at]:.6g}.",
        do=do,
    )
