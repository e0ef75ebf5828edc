"""The layers of a model, what reaches them, and another basis put in place of theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from edgewise.bases import Basis, Refinement, State
from edgewise.bases.lifts import beside
from edgewise.errors import DataError, EdgewiseError
from edgewise.nn import KANLayer
from edgewise.nn.factorized import Normalized
from edgewise.nn.variables import Grid
from edgewise.nn.watching import watching
from edgewise.refine.projection import evaluated, fitted, quadrature

__all__ = [
    "LayerChange",
    "Path",
    "call_order",
    "inputs_of",
    "kept_norm",
    "layers_of",
    "replace",
    "reshape",
    "samples",
    "shares_functions",
    "state_of",
    "take_over",
]

Path = tuple[Any, ...]


@dataclass(frozen=True)
class LayerChange:
    """What became of a layer.

    Attributes:
        path: of the layer in the model: ("layers", 0).
        before, after: its basis.
        error: ``[n_in, n_out]``, root mean square of the change of every edge function, where it was compared.
        size: ``[n_in, n_out]``, root mean square of the edge functions themselves, without the residual branch.
        lift: ``[n_in, K', K]``, from old coefficients to new ones.
        added: by the name of every trained array of the basis, how many entries each of its axes has gained.
    """

    path: Path
    before: Basis
    after: Basis
    error: np.ndarray
    size: np.ndarray
    lift: np.ndarray
    added: Mapping[str, tuple[int, ...]]

    @property
    def relative_error(self) -> float:
        """Of the layer's outputs: the largest over the output nodes."""
        size = np.sqrt(np.sum(self.size**2, axis=0))
        error = np.sqrt(np.sum(self.error**2, axis=0))
        return float(np.max(np.where(size > 0, error / np.where(size > 0, size, 1.0), error)))


def layers_of(model: Any) -> dict[Path, KANLayer]:
    """The Kolmogorov-Arnold layers of any model by their paths; raises ``EdgewiseError`` where there are none."""
    if not isinstance(model, nnx.Module):
        raise EdgewiseError(f"model={model!r} is no nnx.Module.", do="pass say edgewise.KAN([2, 6, 1], rngs=...).")
    found = {path: node for path, node in nnx.iter_graph(model) if isinstance(node, KANLayer)}
    if not found:
        raise EdgewiseError(
            f"{type(model).__name__} has no KANLayer.",
            "a refinement changes the basis of such layers.",
            "build the model of edgewise.KANLayer, or of edgewise.KAN.",
        )
    return dict(sorted(found.items(), key=lambda item: [(isinstance(key, str), key) for key in item[0]]))


def state_of(layer: KANLayer) -> dict[str, np.ndarray]:
    """State of the layer's basis, float64."""
    return {name: np.asarray(variable[...], np.float64) for name, variable in layer.basis_state.items()}


def shares_functions(layer: KANLayer) -> bool:
    """Whether all edges into a node have one function, up to a factor: ``coef`` is then ``[K, 1, n_out]``."""
    return layer.coef.shape[1] < layer.n_in


def call_order(model: nnx.Module, x: Any) -> list[Path]:
    """Paths of the layers that are called for ``x``, those called first coming first; nothing is computed."""
    paths: list[Path] = []
    graphdef, state = nnx.split(model)

    def run(state, x):
        copy = nnx.merge(graphdef, state)
        names = {id(layer): path for path, layer in layers_of(copy).items()}
        with watching(lambda layer, _: paths.append(names[id(layer)])):
            return copy(x)

    jax.eval_shape(run, state, x)
    return list(dict.fromkeys(paths))


def inputs_of(model: nnx.Module, x: Any, path: Path) -> np.ndarray:
    """What reaches the layer at ``path`` when the model gets ``x``: ``[n, n_in]``, float64; of all its calls."""
    return np.asarray(_reached(*nnx.split(model), x, path), np.float64)


@partial(jax.jit, static_argnums=(0, 3))
def _reached(graphdef: Any, state: Any, x: Any, path: Path) -> Any:
    model, seen = nnx.merge(graphdef, state), []
    target = layers_of(model)[path]
    with watching(lambda layer, x: seen.append(x.reshape(-1, x.shape[-1])) if layer is target else None):
        model(x)
    return jnp.concatenate(seen)


def samples(x: Any, layer: KANLayer) -> np.ndarray:
    """``x`` as an array of finite numbers; raises ``DataError``."""
    x = np.asarray(x)
    if x.dtype.kind not in "biuf" and "float" not in x.dtype.name:
        raise DataError(f"x of {x.dtype} is no array of numbers.", do="encode text and dates as numbers first.")
    x = x if x.dtype.kind in "f" else x.astype(layer.param_dtype)
    if not np.isfinite(x).all():
        raise DataError(
            "x has values that are not finite.", "a grid cannot follow them.", "fill in or remove such rows."
        )
    return x


def replace(layer: KANLayer, new: Refinement, path: Path, x: np.ndarray | None, *, moved: bool = False) -> LayerChange:
    """Give ``layer`` the basis and state of ``new``, and the coefficients with which its edge functions stay.

    Args:
        x: ``[n, n_in]``, what reaches the layer: there the functions are kept best.
        moved: whether the range of the knots has moved, and the functions are to be kept on the new one.
    """
    dtype, before, old_state = layer.coef[...].dtype, layer.basis, state_of(layer)
    rounded = {name: jnp.asarray(np.asarray(value), dtype) for name, value in new.state.items()}
    state = {name: np.asarray(value, np.float64) for name, value in rounded.items()}
    first = int(layer.bias is not None and new.basis.has_constant)
    old = np.asarray(layer.coef[...], np.float64)
    padded = np.concatenate([np.zeros((layer.first_mode, *old.shape[1:])), old])
    if shares_functions(layer) and x is not None:  # and so the points at which they are compared
        x = np.tile(x.reshape(-1, 1), (1, layer.n_in))
    families = (before, old_state), (new.basis, state)
    compared: tuple[np.ndarray, ...] = ()
    if new.lift is None:
        points = quadrature(*families, layer.n_in, x, moved=moved)
        lift, *modes = fitted(*families, points, dtype)
        compared = (points.weights, *modes)
    else:
        lift = _lift(*families, new.lift, layer.n_in, x, dtype)
        if isinstance(new.lift, tuple):
            points = quadrature(*families, layer.n_in, x)
            compared = (points.weights, *(evaluated(*family, points.x) for family in families))
    if shares_functions(layer):
        lift = lift[:1]
    coef = np.einsum("nab,bno->ano", lift, padded)
    scale = np.ones(()) if layer.edge_scale is None else np.asarray(layer.edge_scale[...], np.float64)
    error = size = np.zeros((layer.n_in, layer.n_out))
    if compared:
        weights, a, b = compared
        kept = np.asarray(jnp.asarray(coef, dtype), np.float64)
        mean = lambda values: np.sqrt(np.einsum("qn,qno->no", weights, (values * scale) ** 2))
        functions = np.einsum("qnm,mno->qno", a, padded)
        error, size = mean(np.einsum("qnm,mno->qno", b, kept) - functions), mean(functions)
    if first:
        constant = np.sum(coef[0] * scale, axis=0)
        layer.bias[...] = jnp.asarray(np.asarray(layer.bias[...], np.float64) + constant, dtype)  # pyright: ignore
    added = {
        name: tuple(np.subtract(rounded[name].shape, old_state[name].shape).tolist())
        for name in set(new.basis.trained) & set(before.trained)
        if rounded[name].ndim == old_state[name].ndim
    }
    _assign(layer, new.basis, rounded, jnp.asarray(coef[first:], dtype))
    return LayerChange(path, before, new.basis, error, size, lift[:, first:, before.size - old.shape[0] :], added)


def _lift(old: tuple[Any, State], new: tuple[Any, State], known: Any, n_in: int, x: Any, dtype: Any) -> np.ndarray:
    """``[n_in, M', M]``: the ``known`` lift, or a fitted one; of two families side by side a pair of these."""
    if known is None:
        return fitted(old, new, quadrature(old, new, n_in, x), dtype).lift
    if not isinstance(known, tuple):
        return np.broadcast_to(known, (n_in, *np.shape(known)[-2:]))
    (before, state), (after, new_state) = old, new
    left, right = zip(before.sides(state), after.sides(new_state), known, strict=True)
    return beside(
        _lift((before.left, left[0]), (after.left, left[1]), left[2], n_in, x, dtype),
        _lift((before.right, right[0]), (after.right, right[1]), right[2], n_in, x, dtype),
    )


@contextmanager
def kept_norm(model: nnx.Module, path: Path) -> Iterator[None]:
    """What multiplies the layer at ``path`` stays while its coefficients change, where their norm divides it."""
    if (parent := _normalized(model).get(path[:-1])) is None:
        yield
        return
    before = parent.norm()
    yield
    parent.gain[...] = (parent.gain[...] * parent.norm() / before).astype(parent.gain.dtype)


def _normalized(model: nnx.Module) -> dict[Path, Normalized]:
    return {path: node for path, node in nnx.iter_graph(model) if isinstance(node, Normalized)}


def _assign(layer: KANLayer, basis: Basis, state: Mapping[str, Any], coef: Any) -> None:
    layer.basis, layer.first_mode = basis, basis.size - coef.shape[0]
    if set(state) == set(layer.basis_state):
        for name, value in state.items():
            layer.basis_state[name].set_value(value)
    else:
        kind = lambda name: nnx.Param if name in basis.trained else Grid
        layer.basis_state = nnx.Dict({name: kind(name)(value) for name, value in state.items()})
    layer.coef.set_value(coef)


def take_over(model: nnx.Module, refined: nnx.Module) -> None:
    """Give the layers of ``model`` what those of ``refined``, a copy of it, have become."""
    ours = layers_of(model)
    for path, layer in layers_of(refined).items():
        state = {name: variable[...] for name, variable in layer.basis_state.items()}
        _assign(ours[path], layer.basis, state, layer.coef[...])
        if layer.bias is not None:
            ours[path].bias[...] = layer.bias[...]  # pyright: ignore
    scaled = _normalized(model)
    for path, parent in _normalized(refined).items():
        scaled[path].gain[...] = parent.gain[...]


def reshape(model: nnx.Module, bases: Callable[[Path], Basis | None]) -> None:
    """Give the layers other bases, and zeros (of NumPy, in any dtype) of the shapes these need: to be filled in."""
    for path, layer in layers_of(model).items():
        if (basis := bases(path)) is None or basis == layer.basis:
            continue
        state = jax.eval_shape(lambda key, basis=basis, n=layer.n_in: basis.init(n, key=key), jax.random.key(0))
        dtype = layer.coef[...].dtype
        zeros = {name: np.zeros(value.shape, dtype) for name, value in state.items()}
        modes = basis.size - int(layer.bias is not None and basis.has_constant)
        _assign(layer, basis, zeros, np.zeros((modes, *layer.coef.shape[1:]), dtype))
