"""From data to a formula: fit, prune, refine, find the forms, report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from edgewise.bases import Basis, BSpline
from edgewise.errors import DataError, ShapeError
from edgewise.interpret.compaction import compacted
from edgewise.interpret.elimination import Trained, eliminated, refined, trained
from edgewise.interpret.formulas import Formula, scaled_skeleton, tabled
from edgewise.interpret.observing import column_names, observed, present
from edgewise.interpret.skeleton import Skeleton
from edgewise.interpret.symbolic import NoFormError, chosen_forms, symbolized, written
from edgewise.models import KAN
from edgewise.nn.symbolic import with_edges

__all__ = ["Discovery", "Standard", "discover"]

_STEPS = 60  # of Levenberg-Marquardt, on the coarse grid and on the fine one
_COARSE, _FINE = 6, 12  # intervals of the grids
_SMALL = 1e-3  # relative error that a removal may reach
_EXACT = 1e-5  # relative error of a formula at which no other structure is tried
_WORTH, _ROUGH = 1.5, 2e-2  # a fit on the coarse grid that is so much worse than the best, and this, is left
_FAR = 10.0  # a fit on the fine grid that is so much worse than the best is not read
_AS_CURVES, _NOISE = 1.1, 2e-3  # a formula that is as good as the curves ends the search if noise is what is left
_FEWEST = 20
_ROWS = 2000  # samples that networks are trained on
_HELD = 5


@dataclass(frozen=True)
class Standard:
    """z = (x - mean) / std, column by column."""

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> Standard:
        """The mean becomes 0, the standard deviation 1."""
        std = values.std(axis=0)
        return cls(values.mean(axis=0), np.where(std > 0, std, 1.0))

    @classmethod
    def within(cls, values: np.ndarray) -> Standard:
        """The range of the values becomes -1 to 1."""
        low, high = values.min(axis=0), values.max(axis=0)
        return cls((low + high) / 2, np.where(high > low, (high - low) / 2, 1.0))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """z of x."""
        return (values - self.mean) / self.std


@dataclass(frozen=True)
class Discovery:
    """What :func:`discover` found.

    Attributes:
        formula: the candidates; ``str`` of it is the table.
        model: the network that the picked formula was read from, pruned, of curves; it takes ``inputs(X)`` and gives
            the target in units of ``target``.
        symbolic: the same network with a formula on every edge, of X itself and in float32: where X or y are far from
            1, say in SI units, what ``formula.numpy()`` gives in float64 may overflow in it.
        inputs, target: how X and y were standardized.
        unused: names of the features that the picked formula does not need.
        fits: relative error of the networks that were fitted, by their widths.
    """

    formula: Formula
    model: KAN
    symbolic: KAN
    inputs: Standard
    target: Standard
    unused: tuple[str, ...]
    fits: dict[str, float]

    def __str__(self) -> str:
        unused = f"\nunused: {', '.join(self.unused)}" if self.unused else ""
        return f"{self.formula}{unused}"


@dataclass
class _Data:
    """Training and held-out rows, raw and standardized."""

    x: np.ndarray
    y: np.ndarray
    held_x: np.ndarray
    held_y: np.ndarray
    features: list[str]
    inputs: Standard
    target: Standard

    @property
    def standard(self) -> tuple[np.ndarray, np.ndarray]:
        return self.inputs(self.x).astype(np.float32), self.target(self.y)[:, 0].astype(np.float32)

    def held_error(self, run: Trained) -> float:
        """Relative error of a network on held-out rows, in the shape of its own, for which it is compiled."""
        x = np.resize(self.held_x, run.x.shape)
        y = self.target(self.held_y[: len(x)])
        difference = observed(run.model, self.inputs(x)).outputs[: len(y)] - y
        return float(np.sqrt(np.mean(difference**2)) / max(float(y.std()), 1e-300))


def discover(
    X: Any,
    y: Any,
    *,
    widths: Sequence[Any] | None = None,
    basis: Basis | None = None,
    forms: Sequence[Any] | None = None,
    features: Sequence[str] | None = None,
    target: str = "y",
    seed: int = 0,
    report: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Discovery:
    """A formula for y, from a network that is fitted, pruned, refined and read.

    A network with five hidden nodes is fitted first, and inputs without which it fits as well are left out.  Then
    structures of rising complexity are fitted, without what they can do without, on finer grids: a sum of functions of
    one variable, a product of two such sums, one function of such a sum, a sum beside a product, a function of a
    product, two functions of sums, and at last the first network. The curves of those that fit are turned into
    formulas (:func:`~edgewise.interpret.auto_symbolic`); the search ends at one that is exact.  All candidates are
    compared on a fifth of the data that nothing was fitted to.

    Args:
        X: ``[n, n_features]``, finite numbers in any units.
        y: ``[n]``, or ``[n, 1]``.
        widths: fit this network only, say ``[2, 5, 1]``, with product nodes as of ``KAN``.
        basis: of the networks; None is ``BSpline()``.
        forms: names or forms to choose from; None is all.
        features, target: names.
        seed: of the networks' starts.
        report: file for an interactive page with the network and the table.
        progress: is called with a line on every stage.

    Raises:
        EdgewiseError: for data that cannot be used, widths that do not fit them, or an unknown form.

    >>> discovery = discover(X, y)
    >>> print(discovery.formula)
    >>> discovery.formula.sympy()
    """
    chosen_forms(forms)
    data = _checked(X, y, features)
    say = progress or (lambda line: None)
    basis = BSpline(3, _COARSE) if basis is None else basis
    first = [data.x.shape[1], 5, 1] if widths is None else list(widths)
    if first[0] != data.x.shape[1]:
        raise ShapeError(
            f"widths={first} do not fit {data.x.shape[1]} features.", do="let widths start with their number."
        )
    every = np.ones(data.x.shape[1], bool)
    full = trained(partial(_network, first, basis, every, False), *data.standard, _STEPS, seed)
    search = _Search(first, data, forms, say)
    search.note(first, full)
    if widths is None:
        full = eliminated(full, max(2 * _SMALL, 1.3 * full.error), ["inputs"])
        used = np.array([bool(row.any()) for row in present(full.model.layers[0])])
        say(f"inputs: {', '.join(name for name, there in zip(data.features, used, strict=True) if there)}")
        for shape, linear in _ladder(int(used.sum())):
            run = trained(partial(_network, shape, basis, used, linear), *data.standard, _STEPS, seed)
            if search.note(shape, run) and search.formulas(shape, run, ["nodes", "edges"]):
                break
    if not search.ended:
        search.formulas(first, full, ["inputs", "nodes", "edges"])
    if not search.found and search.obstacle is not None:
        raise search.obstacle
    return _result(search, target, report)


@dataclass
class _Search:
    """What has been fitted and found so far; ``first`` is the structure that is read in any case."""

    first: Sequence[Any]
    data: _Data
    forms: Sequence[Any] | None
    say: Callable[[str], None]
    fits: dict[str, float] = field(default_factory=dict)
    found: list[tuple[Skeleton, KAN]] = field(default_factory=list)
    best: float = np.inf
    held: float = np.inf  # the smallest error of a network on held-out rows, where too large a one has no advantage
    ended: bool = False
    obstacle: NoFormError | None = None

    def note(self, shape: Sequence[Any], run: Trained) -> bool:
        """Keep the error of a fit; whether it is worth looking for formulas."""
        self.fits[_spelled(shape)] = run.error
        self.best = min(self.best, run.error)
        self.held = min(self.held, self.data.held_error(run))
        self.say(f"{_spelled(shape)}: relative error {run.error:.1e}")
        return run.error <= _WORTH * max(self.best, _ROUGH)

    def formulas(self, shape: Sequence[Any], run: Trained, kinds: Sequence[str]) -> bool:
        """Prune, refine and read a network; whether a formula is as good as can be."""
        data = self.data
        run = refined(run, _FINE, _STEPS)
        if shape != self.first and run.error > _FAR * max(self.best, _SMALL):
            self.say(f"{_spelled(shape)}: {run.error:.1e} on the fine grid, not the structure")
            return False
        run = eliminated(run, max(_SMALL, 1.5 * run.error), kinds)
        model = compacted(run.model).model
        skeleton = scaled_skeleton(model, data.x, data.inputs, data.target)
        before = skeleton.error(data.held_x, data.held_y)
        try:
            _, candidates = symbolized(skeleton, data.x, data.y, self.forms)
        except NoFormError as error:
            self.obstacle = error
            self.say(f"{_spelled(shape)}: pruned to {_spelled(model.widths)}, {before:.1e}; {error.what}")
            return False
        self.found += [(candidate, model) for _, candidate in candidates]
        error = min(candidate.error(data.held_x, data.held_y) for candidate, _ in self.found)
        self.say(f"{_spelled(shape)}: pruned to {_spelled(model.widths)}, {before:.1e}; as a formula {error:.1e}")
        # as good as the curves, and noise rather than the grid is what is left
        as_curves = error <= _AS_CURVES * before and error >= _NOISE and error <= _AS_CURVES * self.held
        self.ended = error <= _EXACT or as_curves
        return self.ended


def _ladder(inputs: int) -> list[tuple[list[Any], bool]]:
    """Structures of rising complexity, and whether the outputs are only summed."""
    return [
        ([inputs, 1], False),
        ([inputs, (0, 1), 1], True),
        ([inputs, 1, 1], False),
        ([inputs, (1, 1), 1], True),
        ([inputs, (0, 1), 1], False),
        ([inputs, 2, 1], False),
    ]


def _network(widths: Sequence[Any], basis: Basis, used: np.ndarray, linear: bool, seed: int) -> KAN:
    model = KAN(widths, basis, rngs=nnx.Rngs(seed))
    if not used.all():
        model.inputs = tuple(map(bool, used))
    if linear:  # the last layer adds what reaches it
        last: Any = model.layers[-1]
        with_edges(last, {"mask": True, "symbolic": [[i, 0, "x"] for i in range(last.n_in)]})
        last.mask[...] = jnp.zeros_like(last.mask[...])
        last.symbolic.constants[...] = jnp.tile(jnp.array([1.0, 1, 0, 0], jnp.float32), (last.n_in, 1))
    return model


def _spelled(widths: Sequence[Any]) -> str:
    return str(list(widths)).replace(" ", "")


def _checked(X: Any, y: Any, features: Sequence[str] | None) -> _Data:
    x, y = np.asarray(X), np.asarray(y)
    for name, values in (("X", x), ("y", y)):
        if values.dtype.kind not in "biuf":
            raise DataError(f"{name} of {values.dtype} is no array of numbers.", do="encode text and dates first.")
        if not np.isfinite(values).all():
            raise DataError(f"{name} has values that are not finite.", do="fill in or remove such rows.")
    y = y[:, None] if y.ndim == 1 else y
    if x.ndim != 2 or y.shape != (len(x), 1):
        raise ShapeError(
            f"X {x.shape} and y {y.shape} do not fit.", "one target is explained at a time.",
            "pass X [n, n_features] and y [n].",
        )  # fmt: skip
    if len(x) < _FEWEST:
        raise DataError(f"{len(x)} rows are too few to find a formula.", do=f"pass at least {_FEWEST}.")
    x, y = x.astype(np.float64), y.astype(np.float64)
    if not np.ptp(y) > 0:
        raise DataError("y is constant.", "its formula is that number.")
    names = list(column_names(x.shape[1], features))
    order = np.random.default_rng(0).permutation(len(x))
    held, seen = np.split(order, [len(x) // _HELD])
    seen = seen[:_ROWS]
    return _Data(x[seen], y[seen], x[held], y[held], names, Standard.within(x), Standard.of(y[seen]))


def _result(search: _Search, target: str, report: str | Path | None) -> Discovery:
    data = search.data
    formula = tabled([skeleton for skeleton, _ in search.found], data.held_x, data.held_y, data.features, [target])
    errors = [abs(skeleton.error(data.held_x, data.held_y) - formula.error) for skeleton, _ in search.found]
    skeleton, model = search.found[int(np.argmin(errors))]
    present_names = {str(symbol) for symbol in formula.sympy().free_symbols}
    unused = tuple(name for name in data.features if name not in present_names)
    symbolic = written(skeleton, model)
    if report is not None:
        from edgewise.interpret.report import write_report

        write_report(symbolic, data.x, report, features=data.features, outputs=[target], formulas=formula.table())
    return Discovery(formula, model, symbolic, data.inputs, data.target, unused, search.fits)
