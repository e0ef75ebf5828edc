"""Whether a function falls apart into functions of fewer variables, and of which combinations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from edgewise.errors import DataError, EdgewiseError, check_choice, check_count, check_positive
from edgewise.interpret.evaluation import Subject, columns_of, interval_of, mixed, partners, subject_of

__all__ = ["COMBINATIONS", "Blocks", "Verdict", "separability", "separable_blocks", "symmetry"]

Answer = Literal["yes", "no", "undecided"]

COMBINATIONS = {"plus": "+", "minus": "-", "times": "*", "divide": "/"}
"""Combinations of two features that :func:`symmetry` knows."""

_MARGIN = 2.0  # the error of a model off its data is larger than on them
_BLIND = 0.2  # beyond, the error of a model hides what is asked for
_MOVES = 32  # tries for each sample to move it within the data
_FEWEST = 20


@dataclass(frozen=True)
class Verdict:
    """An answer and what it rests on.

    Attributes:
        question: what was tested.
        answer: "yes", "no" or "undecided".
        violation: 0 for what holds exactly, about 1 for what does not hold at all.
        interval: what 95 % of the bootstrap samples of the violation fall into.
        threshold: what the violation was compared with: the tolerance, or twice ``noise`` if that is more.
        noise: a violation of this size is expected from the model's own error.
    """

    question: str
    answer: Answer
    violation: float
    interval: tuple[float, float]
    threshold: float
    noise: float

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"{self.question}: {self.answer} (violation {self.violation:.2g}, {low:.2g} to {high:.2g}; "
            f"threshold {self.threshold:.2g})"
        )


@dataclass(frozen=True)
class Blocks:
    """The finest blocks of features that a function falls apart into.

    Attributes:
        kind: "additive" or "multiplicative".
        blocks: names of features, by block; one block of all of them where the function does not fall apart.
        tests: of every partition into two, the least violated first.
    """

    kind: str
    blocks: tuple[tuple[str, ...], ...]
    tests: tuple[Verdict, ...]

    def __str__(self) -> str:
        return "\n".join([_question(self.kind, self.blocks), *(f"  {test}" for test in self.tests[:5])])


def separability(
    model: Any,
    data: Any,
    groups: Any,
    *,
    kind: Any = "additive",
    features: Sequence[str] | None = None,
    tolerance: Any = 0.02,
    noise: Any = None,
    pairs: Any = 1024,
    resamples: Any = 200,
    seed: int = 0,
) -> Verdict:
    """Whether f is g(x_A) + h(x_B), or g(x_A) h(x_B), for groups of features A, B, ...

    By exchange: for samples x and x', additive is f(A, B) - f(A', B) - f(A, B') + f(A', B') = 0, multiplicative
    f(A, B) f(A', B') = f(A', B) f(A, B'); features in no group stay as they are.  The violation is the root mean square
    of the difference, relative to what the exchange of A alone (or of B, if that is less) would give if A acted
    differently at every B: for an additive f and independent groups its square is the share of the interaction in the
    variance that the weaker group takes part in.  Values are exact where derivatives of a model are not; exchanged
    samples may lie where there are no data, though, and the model knows little.

    Args:
        model: a ``KAN``, any module, a fitted estimator (its network; its ``predict`` is a function of data as they
            came), or a function of ``[n, d]`` to ``[n]`` or ``[n, k]``; the least separable of the outputs counts.
        data: X ``[n, d]`` as the model gets it, or (X, y), at most 4096 samples; y tells the model's own error.
        groups: two or more, each a name, a column, or several of them.
        kind: "additive" or "multiplicative".
        features: names of the columns.
        tolerance: a violation up to which the answer is yes.
        noise: the model's own error relative to the standard deviation of the outputs, where there is no y.
        pairs: pairs of samples.
        resamples: bootstrap samples for the interval.
        seed: of both.

    Raises:
        EdgewiseError: for groups, names or numbers that are not as said above, or data that cannot be used.

    As hypotheses about networks: AI Feynman 2.0, Udrescu et al., arXiv 2006.10782; KAN 2.0, Liu et al., arXiv
    2408.10205, section 4.2.
    """
    check_choice("kind", kind, ("additive", "multiplicative"))
    subject = subject_of(model, data, features)
    settings = _settings(subject, tolerance, noise, resamples, seed)
    groups = _checked_groups(subject.names, groups)
    random = np.random.default_rng(seed)
    x, other = partners(subject.x, check_count("pairs", pairs, _FEWEST), random)
    every = [column for group in groups for column in group]
    questions = []
    for group in groups[:1] if len(groups) == 2 else groups:
        rest = [column for column in every if column not in group]
        values = [subject.outputs(mixed(x, other, columns)) for columns in ([], group, rest, every)]
        questions.append(_exchange(kind, *values))
    name = _question(kind, [[subject.names[i] for i in group] for group in groups], _rest(subject.names, every))
    verdicts = [_verdict(name, question, settings) for question in questions]
    return max(verdicts, key=lambda verdict: (_DOUBT[verdict.answer], verdict.violation))


def separable_blocks(
    model: Any,
    data: Any,
    *,
    kind: Any = "additive",
    features: Sequence[str] | None = None,
    tolerance: Any = 0.02,
    noise: Any = None,
    pairs: Any = 512,
    resamples: Any = 200,
    seed: int = 0,
) -> Blocks:
    """The finest blocks such that f is a sum, or a product, of functions of one block each, for up to 8 features.

    All partitions into two are tested as :func:`separability` does; the blocks are what those with the answer yes leave
    together.  The arguments are those of :func:`separability`.

    Raises:
        EdgewiseError: for more than 8 features, and as :func:`separability`.
    """
    check_choice("kind", kind, ("additive", "multiplicative"))
    subject = subject_of(model, data, features)
    d = len(subject.names)
    if not 2 <= d <= 8:
        raise EdgewiseError(
            f"{d} features have {2 ** (d - 1) - 1:,} partitions into two.", do="pass groups to separability."
        )
    settings = _settings(subject, tolerance, noise, resamples, seed)
    x, other = partners(subject.x, check_count("pairs", pairs, _FEWEST), np.random.default_rng(seed))
    subsets = [[i for i in range(d) if code >> i & 1] for code in range(2**d)]
    values = subject.outputs(np.concatenate([mixed(x, other, subset) for subset in subsets]))
    values = values.reshape(2**d, pairs, -1)
    together = np.ones((d, d), bool)
    tests, last = [], 2**d - 1
    for code in range(1, 2 ** (d - 1)):
        sides = subsets[code], subsets[last ^ code]
        name = _question(kind, [[subject.names[i] for i in side] for side in sides])
        question = _exchange(kind, values[0], values[code], values[last ^ code], values[last])
        tests.append(_verdict(name, question, settings))
        if tests[-1].answer == "yes":
            together[np.ix_(*sides)] = together[np.ix_(*sides[::-1])] = False
    blocks = dict.fromkeys(tuple(subject.names[i] for i in np.flatnonzero(row)) for row in together)
    return Blocks(kind, tuple(blocks), tuple(sorted(tests, key=lambda test: test.violation)))


def symmetry(
    model: Any,
    data: Any,
    pair: Any,
    kind: Any = "plus",
    *,
    features: Sequence[str] | None = None,
    tolerance: Any = 0.02,
    noise: Any = None,
    resamples: Any = 200,
    seed: int = 0,
) -> Verdict:
    """Whether f depends on two features only through x_i + x_j, x_i - x_j, x_i x_j or x_i / x_j.

    By exchange: x_i gets the value of another sample, and x_j the one that keeps the combination, within the range of
    its column; f must stay.  The violation is the root mean square of the change of f, relative to that of the sum of
    the changes by each move alone: 0 where the second move undoes the first, 1 where both add up.

    Args:
        pair: names or columns of the two features, in order.
        kind: "plus", "minus", "times" or "divide".
        model, data, features, tolerance, noise, resamples, seed: as in :func:`separability`.

    Raises:
        EdgewiseError: as :func:`separability`, and where the data leave no room to move along the combination.

    AI Feynman 2.0, Udrescu et al., arXiv 2006.10782; KAN 2.0, Liu et al., arXiv 2408.10205, section 4.2.
    """
    check_choice("kind", kind, COMBINATIONS)
    subject = subject_of(model, data, features)
    settings = _settings(subject, tolerance, noise, resamples, seed)
    columns = columns_of(subject.names, pair)
    if len(columns) != 2:
        raise EdgewiseError(f"{pair!r} is no pair of features.", do="pass two names, or two columns.")
    i, j = columns
    x, moved = _moved(subject.x, i, j, kind, np.random.default_rng(seed))
    if len(x) < _FEWEST:
        raise DataError(
            f"{subject.names[i]} {COMBINATIONS[kind]} {subject.names[j]} can be kept in {len(x)} samples only.",
            "where one feature moves, the other one leaves its range.",
            "pass more samples, or data in which both have wider ranges.",
        )
    here, both, first, second = (subject.outputs(mixed(x, moved, move)) for move in ([], [i, j], [i], [j]))
    left, right = subject.names[i], subject.names[j]
    name = f"f depends on {left} and {right} through {left} {COMBINATIONS[kind]} {right}"
    size = (abs(first - here) + abs(second - here)) ** 2
    question = _Question((both - here) ** 2, [size], np.full_like(here, 2.0))
    return _verdict(name, question, settings)


# --- from values to an answer ----------------------------------------------------------------------------------------

_DOUBT = {"yes": 0, "undecided": 1, "no": 2}


class _Settings(NamedTuple):
    tolerance: float
    errors: np.ndarray
    resamples: int
    seed: int


def _settings(subject: Subject, tolerance: Any, noise: Any, resamples: Any, seed: int) -> _Settings:
    check_positive("tolerance", tolerance)
    return _Settings(float(tolerance), subject.errors(noise), check_count("resamples", resamples, 2), seed)


class _Question(NamedTuple):
    """Squares by pair of samples and output, ``[P, k]``: what should be 0, what it is relative to (the smallest mean
    counts), and the square of the difference that an error of 1 in every value would make."""

    difference: np.ndarray
    sizes: list[np.ndarray]
    error: np.ndarray


def _exchange(kind: str, neither: np.ndarray, a: np.ndarray, b: np.ndarray, both: np.ndarray) -> _Question:
    """From f(A, B), f(A', B), f(A, B') and f(A', B')."""
    if kind == "additive":
        changes_by_a, changes_by_b = (neither - a, b - both), (neither - b, a - both)
        error = np.full_like(neither, 4.0)
    else:
        changes_by_a = (b * (neither - a), neither * (b - both))
        changes_by_b = (a * (neither - b), neither * (a - both))
        error = neither**2 + a**2 + b**2 + both**2
    sizes = [first**2 + second**2 for first, second in (changes_by_a, changes_by_b)]
    return _Question((changes_by_a[0] - changes_by_a[1]) ** 2, sizes, error)


def _verdict(name: str, question: _Question, settings: _Settings) -> Verdict:
    usable = np.all(
        [np.isfinite(values).all(axis=1) for values in (question.difference, *question.sizes, question.error)], axis=0
    )
    n = int(usable.sum())
    if n < _FEWEST:
        raise DataError(f"f is finite in {n} of {len(usable)} exchanged samples.", do="pass data where it is defined.")
    draws = np.random.default_rng(settings.seed).multinomial(n, np.full(n, 1 / n), size=settings.resamples)
    weights = np.concatenate([np.full((1, n), 1 / n), draws / n])
    difference = weights @ question.difference[usable]
    size = np.min([weights @ values[usable] for values in question.sizes], axis=0)
    error = settings.errors**2 * (weights @ question.error[usable])[0]
    ratio = np.sqrt(_over(difference, size))
    noise = np.sqrt(_over(error, size[0]))
    worst = int(np.argmax(ratio[0] - _MARGIN * noise))
    low, high = map(float, interval_of(ratio[1:, worst]))
    threshold = max(settings.tolerance, _MARGIN * float(noise[worst]))
    answer: Answer = "undecided"
    if low > threshold:
        answer = "no"
    elif high <= settings.tolerance or high <= threshold <= _BLIND:
        answer = "yes"
    return Verdict(name, answer, float(ratio[0, worst]), (low, high), threshold, float(noise[worst]))


def _over(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole; 0 / 0 is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(part == 0, 0.0, part / whole)


def _moved(x: np.ndarray, i: int, j: int, kind: str, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Samples, and the same with other values in columns i and j that have the same combination."""
    new = x[random.integers(len(x), size=(_MOVES, len(x))), i]
    old, partner = x[:, i], x[:, j]
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = {
            "plus": old + partner - new,
            "minus": partner + new - old,
            "times": old * partner / new,
            "divide": partner * new / old,
        }[kind]
    inside = np.isfinite(kept) & (kept >= partner.min()) & (kept <= partner.max()) & (new != old)
    if kind in ("times", "divide"):
        inside &= kept != 0
    rows = np.flatnonzero(inside.any(axis=0))
    tried = inside[:, rows].argmax(axis=0)
    moved = x[rows]
    moved[:, i], moved[:, j] = new[tried, rows], kept[tried, rows]
    return x[rows], moved


def _checked_groups(names: Sequence[str], groups: Any) -> list[list[int]]:
    if isinstance(groups, str) or not hasattr(groups, "__len__") or len(groups) < 2:
        raise EdgewiseError(f"groups={groups!r} is one group.", do='pass two or more, say [["x1", "x2"], ["x3"]].')
    found = [columns_of(names, group) for group in groups]
    every = [column for group in found for column in group]
    if len(set(every)) < len(every):
        raise EdgewiseError(f"a feature is in two of the groups {groups!r}.", do="put each into one group.")
    return found


def _rest(names: Sequence[str], columns: Sequence[int]) -> tuple[str, ...]:
    return tuple(name for i, name in enumerate(names) if i not in columns)


def _question(kind: str, groups: Sequence[Sequence[str]], rest: Sequence[str] = ()) -> str:
    parts = [f"g{number}({', '.join([*group, *rest])})" for number, group in enumerate(groups, 1)]
    return "f = " + (" + " if kind == "additive" else " ").join(parts)
