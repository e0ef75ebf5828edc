"""Forms on edges: suggested, fixed, taken off again, and found for a whole network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from edgewise.errors import DataError, EdgewiseError, ShapeError
from edgewise.interpret.compaction import removed
from edgewise.interpret.fitting import Curve, FormFit, fit_forms
from edgewise.interpret.observing import (
    checked_kan,
    data_of,
    edge_at,
    in_its_precision,
    numeric,
    observed,
    sampled,
    spread_rows,
)
from edgewise.interpret.search import Found, pareto, searched
from edgewise.interpret.skeleton import Sampled, Skeleton
from edgewise.interpret.snapping import settle, snap, straighten
from edgewise.models import KAN
from edgewise.nn import KANLayer
from edgewise.nn.forms import FORMS, Form, form_named
from edgewise.nn.symbolic import SymbolicEdges
from edgewise.nn.variables import Mask
from edgewise.refine.layers import state_of
from edgewise.refine.projection import evaluated

__all__ = [
    "NoFormError",
    "Suggestions",
    "Symbolic",
    "auto_symbolic",
    "fix",
    "suggest",
    "targets_of",
    "unfix",
    "written",
]

_GRID = 400  # points at which an edge is compared when a form is taken off


class NoFormError(EdgewiseError):
    """None of the forms to choose from is defined where an edge is used."""


@dataclass(frozen=True)
class Suggestions:
    """Forms of an edge, the simplest first, each more exact than all before it.

    Attributes:
        edge: (layer, input node, output node).
        fits: the Pareto front of complexity and error.
        every: all forms that are defined on the range, the most exact first.
    """

    edge: tuple[int, int, int]
    fits: tuple[FormFit, ...]
    every: tuple[FormFit, ...]

    def __str__(self) -> str:
        rows = [("form", "complexity", "1 - R^2", "a f(b x + c) + d")]
        for form, (a, b, c, d), error in self.fits:
            rows.append(
                (form.name, f"{form.complexity:g}", f"{error:.1e}", f"{a:.4g} f({b:.4g} x + {c:.4g}) + {d:.4g}")
            )
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([f"edge {self.edge}", *lines])


@dataclass(frozen=True)
class Symbolic:
    """What :func:`auto_symbolic` found.

    Attributes:
        model: a new network, of which all edges are formulas.
        error: of it on the data, relative to the standard deviation of the targets, as the two that follow.
        before: error of the network that was given.
        candidates: symbolic networks of other complexity that were met: (error, skeleton), the simplest first.
    """

    model: KAN
    error: float
    before: float
    candidates: tuple[tuple[float, Skeleton], ...]

    def __repr__(self) -> str:
        return f"Symbolic(relative error {self.before:.2e} -> {self.error:.2e}, {self.model})"


def chosen_forms(forms: Sequence[Any] | None) -> list[Form]:
    """The forms of those names, all there are for None."""
    if forms is None:
        return list(FORMS.values())
    several = [forms] if isinstance(forms, (str, Form)) else forms
    found = [form if isinstance(form, Form) else form_named(form) for form in several]
    if not found:
        raise EdgewiseError("forms is empty.", do="pass say forms=['x', 'x^2', 'sin', 'exp'], or None for all.")
    return found


@in_its_precision
def suggest(model: Any, edge: Any, data: Any, *, forms: Sequence[Any] | None = None) -> Suggestions:
    """The forms a f(b x + c) + d that come closest to one edge where the data are.

    Args:
        model: a ``KAN``, or a fitted estimator.
        edge: (layer, input node, output node).
        data: X ``[n, n_features]`` as the network gets it, or (X, y).
        forms: names or forms to choose from; None is every one of ``FORMS``.

    Raises:
        EdgewiseError: for an edge that does not exist, is constant or was pruned, an unknown form, unusable data.
    """
    model = checked_kan(model)
    layer, i, j = edge_at(model, edge)
    curve = _curve(model, (layer, i, j), data_of(model, data))
    if np.ptp(curve.y) == 0:
        raise EdgewiseError(f"edge {(layer, i, j)} is constant.", do="prune it: prune(model, data, threshold=0.01).")
    every = sorted(fit_forms(curve, chosen_forms(forms)), key=lambda fit: fit.error)
    return Suggestions((layer, i, j), tuple(pareto(every)), tuple(every))


@in_its_precision
def fix(model: Any, edge: Any, form: Any, data: Any = None, *, constants: Any = None) -> float:
    """Make one edge a formula, in place.

    Args:
        model, edge: as of :func:`suggest`.
        form: a form or its name.
        data: what the constants are fitted on; not needed where ``constants`` are given.
        constants: a, b, c, d of a f(b x + c) + d.

    Returns:
        1 - R^2 of the edge on the data, NaN without.

    Raises:
        EdgewiseError: for an edge that does not exist or was pruned, an unknown form, one that is not defined on the
            range of the data. The model is then as it was.
    """
    model = checked_kan(model)
    layer, i, j = edge_at(model, edge)
    form = form if isinstance(form, Form) and form.name in FORMS else form_named(getattr(form, "name", form))
    error = float("nan")
    if data is None and constants is None:
        raise EdgewiseError("fix needs data or constants.", do="pass data=X, or constants=(a, b, c, d).")
    if data is not None:
        curve = _curve(model, (layer, i, j), data_of(model, data))
        if constants is None:
            constants, error = _fitted(form, curve, (layer, i, j))
        else:
            error = _checked(form, _four(constants), curve, (layer, i, j))
    entries = _entries(model.layers[layer])
    entries[i, j] = form.name, _four(constants)
    _set_entries(model.layers[layer], entries)
    return error


@in_its_precision
def unfix(model: Any, edge: Any, data: Any) -> float:
    """Make an edge that is a formula a function of the basis again, in place; where the data are, it stays as it is.

    Returns:
        Root mean square of the change, relative to the edge's standard deviation.

    Raises:
        EdgewiseError: for an edge that is no formula.
    """
    model = checked_kan(model)
    place, i, j = edge_at(model, edge)
    layer = model.layers[place]
    entries = _entries(layer)
    if (i, j) not in entries:
        raise EdgewiseError(f"edge {(place, i, j)} is no formula.", do="fix it first: fix(model, edge, 'sin', data).")
    reaching = observed(model, data_of(model, data)).inputs[place]
    x = np.linspace(reaching.min(axis=0), reaching.max(axis=0), _GRID)
    places = [np.zeros((_GRID, other.n_in)) if other is not layer else x for other in model.layers]
    target = sampled(model, places)[place][:, i, j]
    del entries[i, j]
    _set_entries(layer, entries)
    columns = [evaluated(layer.basis, state_of(layer), x)[:, i, layer.first_mode :]]
    if layer.residual is not None:
        columns.append(np.asarray(layer.residual(jnp.asarray(x[:, i])), np.float64)[:, None])
    matrix = np.concatenate([*columns, np.ones((_GRID, int(layer.bias is not None)))], axis=1)
    solution = np.linalg.lstsq(matrix, target, rcond=1e-6)[0]
    _assign(layer, i, j, solution)
    change = np.sqrt(np.mean((matrix @ solution - target) ** 2))
    return float(change / max(float(target.std()), 1e-300))


@in_its_precision
def auto_symbolic(model: Any, data: Any, *, forms: Sequence[Any] | None = None, snapped: bool = True) -> Symbolic:
    """A network of formulas in place of a network of curves.

    The edge with the clearest form comes first. Its best forms are put into the network one after the other, all
    constants are fitted to the targets again for a few steps, and the network's loss and complexity decide; when all
    edges are formulas, each is looked at once more.  At last constants become numbers with a name (integers, simple
    fractions, multiples of pi and e) where the loss allows it.

    Args:
        model: a ``KAN``, or a fitted estimator.  It stays as it is.
        data: (X, y), ``[n, n_features]`` and ``[n]`` or ``[n, n_outputs]`` as the network gets them; X alone: the
            network's own outputs are the targets.
        forms: names or forms to choose from; None is every one of ``FORMS``.
        snapped: whether constants become numbers with a name.

    Raises:
        EdgewiseError: for a model of another kind, an unknown form, unusable data, and where an edge has no form at all
            that is defined on its range.
    """
    model = checked_kan(model)
    x, y = targets_of(model, data)
    skeleton = Skeleton.of(model, observed(model, x))
    result, candidates = symbolized(skeleton, x, y, forms, snapped)
    return Symbolic(written(result, model), result.error(x, y), skeleton.error(x, y), candidates)


def symbolized(
    skeleton: Skeleton, x: np.ndarray, y: np.ndarray, forms: Sequence[Any] | None, snapped: bool = True
) -> tuple[Skeleton, tuple[tuple[float, Skeleton], ...]]:
    """The symbolic skeleton that :func:`auto_symbolic` describes, settled, and all that may be candidates."""
    found = Found()
    best = searched(skeleton, x, y, chosen_forms(forms), found)
    for term in best.terms:
        if isinstance(term.function, Sampled):
            raise NoFormError(
                f"edge {(term.layer, term.i, term.j)} has no form that is defined where the data are.",
                do="pass more forms, or forms=None for all of them.",
            )
    finished = []
    for _, candidate in [*found.front(), (0.0, best)]:
        straighten(candidate, x)
        settle(candidate)
        if snapped:
            snap(candidate, x, y)
        finished.append((candidate.error(x, y), candidate))
    return best, tuple(finished[:-1])


def targets_of(model: KAN, data: Any) -> tuple[np.ndarray, np.ndarray]:
    """X and y, float64 ``[n, n_features]`` and ``[n, n_outputs]``, at most 4096 rows, evenly spread."""
    x = data_of(model, data)
    if not (isinstance(data, tuple | list) and len(data) in (2, 3)):
        return x, observed(model, x).outputs
    y = np.asarray(data[1], np.float64)
    y = y[:, None] if y.ndim == 1 else y
    outputs = model.layers[-1].n_out - sum(arity - 1 for arity in (model.arities or ((),))[-1])
    if y.ndim != 2 or y.shape != (len(np.asarray(data[0])), outputs):
        raise ShapeError(f"targets of shape {y.shape} do not fit {len(np.asarray(data[0]))} rows, {outputs} outputs.")
    if not np.isfinite(y).all():
        raise DataError("y has values that are not finite.", do="fill in or remove such rows.")
    return x, y[spread_rows(len(y), len(x))]


def written(skeleton: Skeleton, model: KAN) -> KAN:
    """A copy of the model that the skeleton was taken from, with the skeleton's forms, constants and biases.

    An edge that the skeleton has not is gone: it was a number, which is in the bias.
    """
    twin = nnx.clone(model)
    for place, layer in enumerate(twin.layers):
        bias = skeleton.biases[place].copy()
        entries = {}
        for term in skeleton.terms:
            if term.layer != place:
                continue
            assert isinstance(term.function, Form)
            offset = 0.0
            if layer.bias is None:  # an edge takes what the bias would
                offset, bias[term.j] = bias[term.j], 0.0
            entries[term.i, term.j] = term.function.name, np.array([*term.constants, offset])
        _set_entries(layer, entries)
        if (gone := numeric(layer)).any():
            removed(layer, gone, np.zeros(gone.shape))
        if layer.bias is not None:
            layer.bias[...] = jnp.asarray(bias, layer.bias[...].dtype)
    return twin


def _curve(model: KAN, edge: tuple[int, int, int], x: np.ndarray) -> Curve:
    layer, i, j = edge
    reaching = observed(model, x).inputs
    places, weight = Curve.places(reaching[layer][:, i])
    grids = [np.zeros((len(places), other.n_in)) for other in model.layers]
    grids[layer][:] = places[:, None]
    return Curve(places, sampled(model, grids)[layer][:, i, j], weight)


def _fitted(form: Form, curve: Curve, edge: tuple[int, int, int]) -> tuple[Any, float]:
    if not (fits := fit_forms(curve, [form])):
        constant = not np.ptp(curve.y)
        raise EdgewiseError(
            f"{form.name} has no best fit to edge {edge}, {curve.x[0]:.4g} to {curve.x[-1]:.4g}.",
            "the edge is constant." if constant else "it comes near only with constants that grow without end.",
            f"prune the edge, or take other forms: suggest(model, {edge}, data) shows them.",
        )
    return fits[0].constants, fits[0].error


def _four(constants: Any) -> np.ndarray:
    found = np.asarray(constants, np.float64)
    if found.shape != (4,) or not np.isfinite(found).all():
        raise ShapeError(f"constants must be four finite numbers a, b, c, d, got {constants!r}.")
    return found


def _checked(form: Form, constants: np.ndarray, curve: Curve, edge: tuple[int, int, int]) -> float:
    a, b, c, d = map(float, constants)
    ends = b * curve.x[0] + c, b * curve.x[-1] + c
    if not form.allows(min(ends), max(ends)):
        raise _undefined(form, curve, edge, f"its argument goes from {min(ends):.4g} to {max(ends):.4g} there")
    values = np.asarray(form(jnp.asarray(b * curve.x + c, jnp.float32)), np.float64)
    variance = curve.weight @ (curve.y - curve.weight @ curve.y) ** 2
    return float(curve.weight @ (a * values + d - curve.y) ** 2 / max(float(variance), 1e-300))


def _undefined(form: Form, curve: Curve, edge: tuple[int, int, int], why: str) -> EdgewiseError:
    return EdgewiseError(
        f"{form.name} is not defined on the range of edge {edge}, {curve.x[0]:.4g} to {curve.x[-1]:.4g}.",
        f"{why}.",
        f"see which forms are: suggest(model, {edge}, data).",
    )


def _entries(layer: KANLayer) -> dict[tuple[int, int], tuple[str, np.ndarray]]:
    if layer.symbolic is None:
        return {}
    constants = np.asarray(layer.symbolic.constants[...], np.float64)
    return {(i, j): (name, constants[n]) for n, (i, j, name) in enumerate(layer.symbolic.entries)}


def _set_entries(layer: KANLayer, entries: dict[tuple[int, int], tuple[str, np.ndarray]]) -> None:
    """Give the layer these formulas; the basis has no part in their edges."""
    kept = numeric(layer)
    for i, j in entries:
        kept[i, j] = False
        _assign(layer, i, j, np.zeros(layer.coef.shape[0] + (layer.residual is not None)))
    layer.mask = Mask(jnp.asarray(kept, layer.param_dtype))
    listed = [(i, j, name) for (i, j), (name, _) in sorted(entries.items())]
    constants = np.array([values for _, (_, values) in sorted(entries.items())]).reshape(len(listed), 4)
    if not listed:
        if "symbolic" in vars(layer):
            del layer.symbolic  # as of a layer that never had any
    else:
        layer.symbolic = SymbolicEdges(listed, jnp.asarray(constants, layer.param_dtype), layer.n_in, layer.n_out)


def _assign(layer: KANLayer, i: int, j: int, solution: np.ndarray) -> None:
    """Coefficients, residual weight and offset of one edge; it is then there."""
    modes, dtype = layer.coef.shape[0], layer.coef[...].dtype
    scale = 1.0 if layer.edge_scale is None else float(layer.edge_scale[...][i, j])
    layer.coef[...] = layer.coef[...].at[:, i, j].set(jnp.asarray(solution[:modes] / scale, dtype))
    if layer.residual_kernel is not None:
        layer.residual_kernel[...] = layer.residual_kernel[...].at[i, j].set(float(solution[modes]))
    if len(solution) > modes + (layer.residual is not None) and layer.bias is not None:
        layer.bias[...] = layer.bias[...].at[j].add(float(solution[-1]))
    if layer.mask is not None:
        layer.mask[...] = layer.mask[...].at[i, j].set(1.0)
