"""From data to formulas: how often the exact one is found, how long it takes, and what pruning costs."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from flax import nnx

import edgewise as ew
from benchmarks.measure import markdown
from edgewise.interpret.expressions import rounded
from edgewise.training.regularizers import EdgeEntropy, EdgeL1

_ROWS = 1000
_CASES: dict[str, tuple[str, int, list[Any] | None]] = {
    "recipe from [2,5,1]": ("exp(sin(pi*x1) + x2**2)", 2, [2, 5, 1]),
    "product": ("x1*x2", 4, None),
    "sum": ("x1**2 + 2*exp(x2)", 4, None),
    "fast sine": ("sin(5*x1) + x2**3", 4, None),
    "distance": ("sqrt(x1**2 + x2**2)", 4, None),
    "quotient": ("x1/(1 + x2**2)", 4, None),
    "packet": ("exp(-x1**2/2)*cos(3*x2)", 4, None),
    "logarithm": ("log(1 + x1**2)*x2", 4, None),
    "oscillation": ("x1*sin(x2) + x3", 5, None),
}
"""Name: formula, features (those that it does not name are unused), widths (None: the default search)."""


def main(quick: bool) -> str:
    """Tables of recovery, of pruning, and of times."""
    warnings.simplefilter("ignore", ew.refine.RefinementWarning)
    seeds = 1 if quick else 10
    cases = dict(list(_CASES.items())[:3]) if quick else _CASES
    parts = [_recovery(cases, seeds, 0.0), _recovery(cases, seeds, 0.01), _pruning(seeds), _times()]
    return "\n\n".join(parts)


def _recovery(cases: dict[str, Any], seeds: int, noise: float) -> str:
    rows = []
    for name, (text, features, widths) in cases.items():
        found = [_discovered(text, features, widths, seed, noise) for seed in range(seeds)]
        seconds = [result["seconds"] for result in found]
        rows.append(
            [
                name,
                f"`{text}`",
                f"{sum(result['exact'] for result in found)}/{seeds}",
                f"{sum(result['pruned'] for result in found)}/{seeds}",
                f"{np.median([result['error'] for result in found]):.1e}",
                f"{seconds[0]:.0f}",
                f"{np.median(seconds[1:] or seconds):.1f}",
            ]
        )
        print(rows[-1], [result["formula"] for result in found if not result["exact"]], flush=True)
    title = f"{noise:.0%} noise on the target" if noise else "without noise"
    head = ["case", "formula", "exact", "unused inputs gone", "error, median", "first, s", "median after, s"]
    return f"{title}\n\n{markdown(head, rows)}"


def _discovered(text: str, features: int, widths: list[Any] | None, seed: int, noise: float) -> dict[str, Any]:
    import sympy

    names = [f"x{i + 1}" for i in range(features)]
    symbols = [sympy.Symbol(name, real=True) for name in names]
    truth: Any = sympy.parse_expr(text, local_dict=dict(zip(names, symbols, strict=True)))
    random = np.random.default_rng(100 + seed)
    X = random.uniform(-1, 1, (_ROWS, features))
    if text.startswith("x1*sin"):
        X[:, 1] *= 3  # a phase
    y = sympy.lambdify(symbols, truth)(*X.T)
    y = y + noise * y.std() * random.normal(size=len(y))
    start = time.perf_counter()
    result = ew.interpret.discover(X.astype(np.float32), y.astype(np.float32), widths=widths, seed=seed)
    seconds = time.perf_counter() - start
    expression = result.formula.sympy()
    same = sympy.simplify(rounded(expression.evalf(), 3) - rounded(truth.evalf(), 3)) == 0
    unused = set(names) - {str(symbol) for symbol in truth.free_symbols}
    return {
        "exact": bool(same or sympy.simplify(expression - truth) == 0),
        "pruned": set(result.unused) >= unused,
        "error": result.formula.error,
        "seconds": seconds,
        "formula": str(rounded(expression, 3))[:120],
    }


def _pruning(seeds: int) -> str:
    """Sparse training of [2,5,1], then the edges that a loss 1 % higher allows."""
    rows = []
    for seed in range(seeds):
        random = np.random.default_rng(seed)
        X = random.uniform(-1, 1, (2 * _ROWS, 2)).astype(np.float32)
        y = np.exp(np.sin(np.pi * X[:, 0]) + X[:, 1] ** 2)
        data, test = (X[:_ROWS], y[:_ROWS]), (X[_ROWS:], y[_ROWS:])
        model = ew.KAN([2, 5, 1], rngs=nnx.Rngs(seed))
        sparse = [EdgeL1(1e-2), EdgeEntropy(1e-2)]
        ew.fit(model, data, optimizer="adam:2e-2,cosine", steps=2000, regularizers=sparse, progress=False)
        pruned = ew.interpret.prune(model, data, allowed=0.01)
        errors = _rmse(model, *test), _rmse(pruned.model, *test)
        rows.append((*errors, *pruned.edge_count, str(pruned.model.widths)))
    table = [
        [str(seed), f"{a:.4f}", f"{b:.4f}", f"{b / a - 1:+.2%}", f"{e} -> {f}", widths]
        for seed, (a, b, e, f, widths) in enumerate(rows)
    ]
    return f"pruning\n\n{markdown(['seed', 'test RMSE', 'pruned', 'change', 'edges', 'widths'], table)}"


def _rmse(model: ew.KAN, X: np.ndarray, y: np.ndarray) -> float:
    return float(np.sqrt(np.mean((np.asarray(model(X))[:, 0] - y) ** 2)))


def _times() -> str:
    """``auto_symbolic`` on six edges and the picture of a network with 72, first and second call."""
    random = np.random.default_rng(0)
    X = random.uniform(-1, 1, (_ROWS, 2)).astype(np.float32)
    y = np.exp(np.sin(np.pi * X[:, 0]) + X[:, 1] ** 2)
    model = ew.KAN([2, 2, 1], rngs=nnx.Rngs(0))
    ew.fit(model, (X, y), optimizer="levenberg_marquardt", steps=50, progress=False)
    wide = ew.KAN([4, 8, 4, 2], rngs=nnx.Rngs(0))
    W = random.uniform(-1, 1, (_ROWS, 4)).astype(np.float32)
    draw = lambda: ew.interpret.plot(wide, W).savefig(BytesIO(), format="pdf")
    rows = [
        ["auto_symbolic, 6 edges, all forms", *_twice(lambda: ew.interpret.auto_symbolic(model, (X, y)))],
        ["suggest, one edge, all forms", *_twice(lambda: ew.interpret.suggest(model, (0, 0, 0), X))],
        ["plot of [4,8,4,2] to PDF", *_twice(draw)],
    ]
    return f"times\n\n{markdown(['what', 'first, s', 'second, s'], rows)}"


def _twice(action: Callable[[], Any]) -> list[str]:
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return [f"{value:.2f}" for value in seconds]
