"""Refining a model: finer bases, moved grids, other families, without losing the function."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from edgewise.bases import Basis, Concatenated, Importance, Refinement
from edgewise.errors import EdgewiseError, ShapeError, check_choice, check_count
from edgewise.nn import KANLayer
from edgewise.refine.layers import (
    LayerChange,
    Path,
    call_order,
    inputs_of,
    kept_norm,
    layers_of,
    replace,
    samples,
    shares_functions,
    state_of,
    take_over,
)

__all__ = ["Refined", "RefinementWarning", "adapt", "change_basis", "coarsen", "extend", "resolution"]

Reaching = Callable[[], np.ndarray]
"""Computes what reaches a layer, ``[n, n_in]``."""

_BY = ("density", "curvature")
_MARGIN = 0.01  # of the range of the data, on either side
_CURVED = 2048  # samples at which curvature is looked at


class RefinementWarning(UserWarning):
    """The data did not determine all of a refinement."""


@dataclass(frozen=True)
class Refined:
    """What a refinement did.

    Attributes:
        model: the model that was passed in, refined.
        changes: one for each layer that changed, in order.
    """

    model: Any
    changes: tuple[LayerChange, ...]

    @property
    def error(self) -> list[np.ndarray]:
        """Root mean square change of every edge function, ``[n_in, n_out]`` a layer; 0 where it is exact."""
        return [change.error for change in self.changes]

    def __repr__(self) -> str:
        lines = [
            f"{'.'.join(map(str, change.path)) or 'layer'}: {change.before} -> {change.after}, "
            f"relative error {change.relative_error:.1e}"
            for change in self.changes
        ]
        return "\n".join(lines) or "nothing was refined"


def extend(
    model: Any,
    size: Any,
    x: Any = None,
    *,
    adaptivity: Any = 0.5,
    by: str = "density",
    seed: int = 0,
) -> Refined:
    """Raise the resolution of every layer to ``size``: the degree, the order, the number of intervals or of centres.

    The model computes the same function afterwards.  Polynomials, Fourier series and sines get new modes with
    coefficients 0; so do radial functions, wavelets and bumps, of which those that are there stay as they are, with
    narrower ones between; Bernstein polynomials are elevated; splines get further knots, every old one staying where
    it is.  A ``size`` that is no multiple of the old one so makes uniform knots free.  A family that says nothing of
    its finer members is projected, as in :func:`change_basis`.

    Args:
        model: any module made of ``KANLayer``; changed in place.
        size: one for all layers, or one a layer.
        x: data ``[n, features]``, or whatever the model is called with.  New knots and centres then follow what reaches
            each node, and the grid is stretched over hidden values beyond its ends as far as new knots allow; without,
            they are spread evenly.
        adaptivity: share of the data in that, from 0 (even) to 1.
        by: "density" of the data, or "curvature" of the edge functions at the data (Rigas et al., arXiv 2601.18672).
        seed: of the frequencies of new sines.

    Raises:
        EdgewiseError: for a size below that of a layer (see :func:`coarsen`), a family without a resolution, x of the
            wrong shape or not finite.  The model is then as it was.
    """
    check_adaptivity(adaptivity)
    check_choice("by", by, _BY)
    layers = layers_of(model)
    sizes = sizes_to_extend(layers, size, {path: resolution(layer.basis) for path, layer in layers.items()})
    key = jax.random.key(seed)

    def finer(index: int, layer: KANLayer, path: Path, reaching: Reaching | None) -> Refinement | None:
        if sizes[path] == resolution(layer.basis):
            return None
        known = None
        if reaching is not None and _has_grid(layer):
            known = _importance(layer, path, reaching(), adaptivity, by, keep_range=True)
        return layer.basis.extended(
            state_of(layer), sizes[path], n_in=layer.n_in, key=jax.random.fold_in(key, index), importance=known
        )

    return _each(model, x, finer)


def adapt(model: Any, x: Any, *, adaptivity: Any = 0.5, by: str = "density") -> Refined:
    """Move knots and centres to where the data are, their number staying.

    Each node gets the range of what reaches it, with a margin of 1 %, and within it knots at equal shares of
    (1 - ``adaptivity``) uniform + ``adaptivity`` data.  Each layer sees the outputs of the adapted ones before it.
    Edge functions are projected: they are kept where the data are.  Families without knots or centres stay as they are.

    Args:
        model, x, adaptivity, by: as of :func:`extend`.

    Raises:
        EdgewiseError: for x of the wrong shape or not finite, or an unknown ``by``.  The model is then as it was.

    Warns:
        RefinementWarning: where the data do not determine a grid: a constant column, fewer samples than knots.

    As pykan's and jaxKAN's ``update_grid`` with grid_eps = grid_e = 1 - ``adaptivity``.
    """

    def moved(index: int, layer: KANLayer, path: Path, reaching: Reaching | None) -> Refinement | None:
        if reaching is None or not _has_grid(layer):
            return None
        importance = _importance(layer, path, reaching(), adaptivity, by, keep_range=False)
        return layer.basis.adapted(state_of(layer), importance)

    check_adaptivity(adaptivity)
    check_choice("by", by, _BY)
    if x is None:
        raise EdgewiseError("adapt needs data.", "knots follow what reaches the nodes.", "pass x, [n, features].")
    return _each(model, x, moved, moved=True)


def change_basis(model: Any, basis: Any, x: Any = None) -> Refined:
    """Write every layer in another family, by weighted least squares in float64 on the range of the old one.

    Args:
        model: any module made of ``KANLayer``; changed in place.
        basis: one for all layers, or one a layer.
        x: data ``[n, features]``: the functions are then kept best where the data are.

    Returns:
        :class:`Refined`, with the error of every edge.

    Raises:
        EdgewiseError: for what is no basis, bases of the wrong number, or one that is not finite where it is compared.
            The model is then as it was.
    """
    layers = layers_of(model)
    bases = list(basis) if isinstance(basis, list | tuple) else [basis] * len(layers)
    if len(bases) != len(layers):
        raise ShapeError(f"{len(bases)} bases for {len(layers)} layers.", do="pass one basis, or one per layer.")
    for one in bases:
        if not isinstance(one, Basis):
            raise EdgewiseError(f"{one!r} is not a basis.", do="pass an instance, say edgewise.Chebyshev(8).")
    wanted = dict(zip(layers, bases, strict=True))

    def other(index: int, layer: KANLayer, path: Path, reaching: Reaching | None) -> Refinement | None:
        new = wanted[path]
        return None if new == layer.basis else Refinement(new, new.init(layer.n_in, key=jax.random.key(index)))

    return _each(model, x, other)


def coarsen(model: Any, size: Any, x: Any = None) -> Refined:
    """Lower the resolution of every layer to ``size``, by the same projection as :func:`change_basis`.

    Splines get even knots over their range; of sines, wavelets and bumps those with the smallest numbers stay.

    Raises:
        EdgewiseError: for a size above that of a layer (see :func:`extend`), or a family without a resolution.
    """
    layers = layers_of(model)
    sizes = dict(zip(layers, _one_each(size, len(layers)), strict=True))
    for path, layer in layers.items():
        if sizes[path] > (now := resolution(layer.basis)):
            raise EdgewiseError(
                f"size={sizes[path]} is above the {now} of layer {_named(path)}, {layer.basis}.",
                do="use edgewise.refine.extend.",
            )

    def coarser(index: int, layer: KANLayer, path: Path, reaching: Reaching | None) -> Refinement | None:
        if sizes[path] == resolution(layer.basis):
            return None
        return shrunk(layer, sizes[path], jax.random.key(index))

    return _each(model, x, coarser)


def sizes_to_extend(layers: Mapping[Path, KANLayer], size: Any, now: Mapping[Path, int]) -> dict[Path, int]:
    """The size of every layer; raises ``EdgewiseError`` for one below what the layer has ``now``."""
    sizes = dict(zip(layers, _one_each(size, len(layers)), strict=True))
    for path, layer in layers.items():
        if sizes[path] < now[path]:
            raise EdgewiseError(
                f"size={sizes[path]} is below the {now[path]} of layer {_named(path)}, {layer.basis}.",
                "a smaller basis cannot hold its functions.",
                "use edgewise.refine.coarsen, which projects them and says what that costs.",
            )
    return sizes


def resolution(basis: Basis) -> int:
    """What ``size`` counts in a family: its degree, order, intervals or centres; of two side by side the larger.

    Raises ``EdgewiseError`` for a family without one.
    """
    if isinstance(basis, Concatenated):
        return max(resolution(basis.left), resolution(basis.right))
    basis.resized(value := getattr(basis, basis.resolution, 1))
    return value


def _each(
    model: Any,
    x: Any,
    refinement: Callable[[int, KANLayer, Path, Reaching | None], Refinement | None],
    *,
    moved: bool = False,
) -> Refined:
    """Refine layer after layer in a copy, then let the model take over."""
    layers = layers_of(model)
    order, changes = list(layers), []
    if x is not None:
        x = jax.tree.map(lambda leaf: samples(leaf, next(iter(layers.values()))), x)
        order = call_order(model, x)
        order += [path for path in layers if path not in order]
    copy = nnx.clone(model)
    for index, path in enumerate(order):
        layer = layers_of(copy)[path]
        reaching = None if x is None else cache(partial(inputs_of, copy, x, path))
        if (new := refinement(index, layer, path, reaching)) is not None:
            seen = reaching() if reaching is not None and new.exact is None else None
            with kept_norm(copy, path):
                changes.append(replace(layer, new, path, seen, moved=moved))
    take_over(model, copy)
    return Refined(model, tuple(changes))


def _has_grid(layer: KANLayer) -> bool:
    """Whether there are knots or centres that can follow what reaches each node."""
    return not shares_functions(layer) and layer.basis.adapted(state_of(layer), _even(layer)) is not None


def _importance(
    layer: KANLayer, path: Path, x: np.ndarray, adaptivity: float, by: str, *, keep_range: bool
) -> Importance:
    """Of the samples ``x`` that reach a layer, over their range, and the old one if that is to be kept."""
    low, high = x.min(axis=0), x.max(axis=0)
    constant = high - low <= 1e-6 * np.maximum(np.abs(high), 1e-30)
    old = layer.basis.cells(state_of(layer), layer.n_in)[:, [0, -1]]
    margin = _MARGIN * (high - low)
    found = np.stack([low - margin, high + margin], axis=1)
    # of one value nothing can be learned but that it is to be covered
    joined = np.stack([np.minimum(old[:, 0], found[:, 0]), np.maximum(old[:, 1], found[:, 1])], axis=1)
    found = np.where(constant[:, None] | keep_range, joined, found)
    distinct = np.array([len(np.unique(column)) for column in x.T])
    few = ~constant & (distinct < layer.basis.size)
    for nodes, what in (
        (constant, "is constant: its grid stays on the old range, evenly"),
        (few, f"has fewer distinct samples than the basis has modes, {layer.basis.size}: its grid is mostly even"),
    ):
        if nodes.any():
            numbers = ", ".join(map(str, np.flatnonzero(nodes)[:8])) + (", ..." if nodes.sum() > 8 else "")
            warnings.warn(f"input {numbers} of layer {_named(path)} {what}.", RefinementWarning, stacklevel=4)
    weights = np.ones_like(x) if by == "density" else _curvature(layer, x)
    weights = np.where(constant, 0.0, weights)  # of one place, no share
    return Importance.of(x, weights, found, adaptivity)


def _curvature(layer: KANLayer, x: np.ndarray) -> np.ndarray:
    """Root mean square over the outputs of f'' at the samples, ``[n, n_in]``."""
    chosen = x if len(x) <= _CURVED else np.quantile(x, np.linspace(0, 1, _CURVED), axis=0)
    values = np.asarray(_second_derivatives(*nnx.split(layer), jnp.asarray(chosen, layer.param_dtype)), np.float64)
    if len(x) <= _CURVED:
        return values
    return np.stack([np.interp(x[:, i], chosen[:, i], values[:, i]) for i in range(x.shape[1])], axis=1)


@partial(jax.jit, static_argnums=0)
def _second_derivatives(graphdef: Any, state: Any, x: Any) -> Any:
    layer = nnx.merge(graphdef, state)
    slope = lambda x: jax.jvp(layer.edges, (x,), (jnp.ones_like(x),))[1]
    second = jax.jvp(slope, (x,), (jnp.ones_like(x),))[1]
    return jnp.sqrt(jnp.mean(second**2, axis=-1))


def _even(layer: KANLayer) -> Importance:
    return Importance.even(layer.basis.cells(state_of(layer), layer.n_in)[:, [0, -1]])


def shrunk(layer: KANLayer, size: int, key: Any) -> Refinement:
    """A smaller member of the family on the range of the layer's."""
    smaller, state = layer.basis.resized(size), state_of(layer)
    fresh: dict[str, Any] = dict(smaller.init(layer.n_in, key=key))
    if (placed := smaller.adapted(fresh, _even(layer))) is not None:
        return placed
    for name in smaller.trained:
        if name in fresh and fresh[name].ndim == state[name].ndim:
            fresh[name] = state[name][tuple(slice(length) for length in fresh[name].shape)]
    return Refinement(smaller, fresh)


def _one_each(size: Any, layers: int) -> list[int]:
    if not isinstance(size, Sequence):
        return [check_count("size", size)] * layers
    if len(size) != layers:
        raise ShapeError(f"{len(size)} sizes for {layers} layers.", do="pass one size, or one per layer.")
    return [check_count(f"size[{index}]", value) for index, value in enumerate(size)]


def check_adaptivity(value: Any) -> None:
    """Raise ``EdgewiseError`` unless ``value`` is a share."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise EdgewiseError(f"adaptivity must lie between 0 and 1, got {value!r}.", do="pass say 0.5.")


def _named(path: Path) -> str:
    return ".".join(map(str, path)) or "itself"
