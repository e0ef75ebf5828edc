"""Which schemes are as good as the best, and which are worse: a paired test over the seeds.

Every scheme trains with the same seeds on the same data, so two schemes are compared seed by seed: Wilcoxon's
signed-rank test (two-sided; Wilcoxon 1945) on the differences of their scores.  All pairs of schemes are tested and
corrected together by Holm's procedure (Holm 1979).  Testing only against the best would be cheaper, but the best is
chosen by looking at the same scores, and then 6 to 8 % of studies of equal schemes find a difference at the 5 % level.

The test is computed here rather than by ``scipy.stats``, whose import takes longer than all of the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, sqrt

import numpy as np

__all__ = ["LEVEL", "Verdict", "holm", "judge", "signed_rank"]

LEVEL = 0.05
TEST = "paired two-sided Wilcoxon signed-rank test"
EXACT_UP_TO = 60  # pairs; above, the normal approximation is good to three digits


@dataclass(frozen=True)
class Verdict:
    """What the scores of a study say.

    Attributes:
        best: the scheme with the best median score, ``None`` where every run diverged.
        indistinguishable: schemes whose scores do not differ from the best at the 5 % level.
        worse: schemes that are worse at the 5 % level.
        p_values: Holm-corrected p-value of each scheme against the best.
        seeds: number of paired runs.
        decisive: whether that many seeds could have shown a difference at all.
        test: the name of the test.
        text: all that in a sentence or three.
    """

    best: str | None
    indistinguishable: tuple[str, ...]
    worse: tuple[str, ...]
    p_values: dict[str, float]
    seeds: int
    decisive: bool
    test: str
    text: str


def signed_rank(a: np.ndarray, b: np.ndarray) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test of paired samples ``a`` and ``b``, both ``[n]``.

    An infinite value is the worst possible one; two of them in a pair are a tie.  Ties with zero difference are left
    out, and equal magnitudes share their mean rank.  Up to 60 pairs the null distribution is exact, ties included
    (every sign of every rank, counted by convolution); above that it is the normal approximation with tie correction.
    """
    with np.errstate(invalid="ignore"):
        difference = np.asarray(a, float) - np.asarray(b, float)
    difference = np.where(np.isnan(difference), 0.0, difference)
    difference = difference[difference != 0]
    if len(difference) == 0:
        return 1.0
    _, group, count = np.unique(np.abs(difference), return_inverse=True, return_counts=True)
    doubled = 2 * np.cumsum(count) - count + 1  # twice the mean rank of each group of equal magnitudes: a whole number
    ranks = doubled[group]
    positive = int(ranks[difference > 0].sum())
    if len(difference) > EXACT_UP_TO:
        z = (positive - ranks.sum() / 2) / sqrt(float((ranks.astype(float) ** 2).sum()) / 4)
        return erfc(abs(z) / sqrt(2))
    probability = np.ones(1)
    for rank in ranks:
        shifted = np.zeros(len(probability) + rank)
        shifted[: len(probability)] += probability / 2
        shifted[rank:] += probability / 2
        probability = shifted
    tail = min(probability[: positive + 1].sum(), probability[positive:].sum())
    return float(min(1.0, 2 * tail))


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Holm's step-down correction of ``p_values`` ``[m]`` for having made ``m`` tests."""
    p = np.asarray(p_values, float)
    order = np.argsort(p)
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return corrected


def judge(names: Sequence[str], scores: np.ndarray, *, score_name: str, higher_is_better: bool = False) -> Verdict:
    """The verdict on ``scores`` ``[schemes, seeds]``; a score that is not finite is a diverged run, the worst possible.

    Args:
        names: a name per scheme.
        scores: one score per scheme and seed; columns are paired.
        score_name: what a score is called, with what it was measured on.
        higher_is_better: ``True`` for an accuracy.
    """
    worst_is_inf = np.where(np.isfinite(scores), -scores if higher_is_better else scores, np.inf)
    seeds = scores.shape[1]
    if not np.isfinite(worst_is_inf).any():
        return Verdict(None, (), (), {}, seeds, False, TEST, "Every run diverged: no scheme is best.")
    ordered = np.sort(worst_is_inf, axis=1)
    medians = ordered[:, [(seeds - 1) // 2, seeds // 2]].mean(axis=1)
    # Medians tie when half of the runs diverge; then the smaller share of diverged runs, then the best run decide.
    rank = sorted(range(len(names)), key=lambda i: (medians[i], np.isinf(worst_is_inf[i]).sum(), ordered[i, 0]))
    best = rank[0]
    pairs = [(i, j) for i in range(len(names)) for j in range(i)]
    corrected = holm([signed_rank(worst_is_inf[i], worst_is_inf[j]) for i, j in pairs])
    against_best = {i + j - best: float(p) for (i, j), p in zip(pairs, corrected, strict=True) if best in (i, j)}
    p_values = {names[i]: against_best[i] for i in rank[1:]}
    worse = tuple(names[i] for i in rank[1:] if against_best[i] < LEVEL)
    equal = tuple(names[i] for i in rank[1:] if against_best[i] >= LEVEL)
    needed = seeds_needed(len(names))
    median = "diverged" if np.isinf(medians[best]) else f"{abs(medians[best]):.3g}"
    text = f"Best: {names[best]} (median {score_name} {median} over {seeds} {'seed' if seeds == 1 else 'seeds'})."
    if len(names) > 1:
        text += _comparison_text(names[best], equal, worse, seeds, needed, len(pairs))
    return Verdict(names[best], equal, worse, p_values, seeds, seeds >= needed, TEST, text)


def seeds_needed(schemes: int) -> int:
    """The least number of seeds at which all pairs of ``schemes`` could differ at the 5 % level after correction.

    With n seeds the smallest possible p-value is 2 / 2^n, and Holm's first step multiplies it by the number of pairs.
    """
    pairs = max(1, schemes * (schemes - 1) // 2)
    seeds = 1
    while pairs * 2.0 ** (1 - seeds) >= LEVEL:
        seeds += 1
    return seeds


def _comparison_text(
    best: str, equal: tuple[str, ...], worse: tuple[str, ...], seeds: int, needed: int, pairs: int
) -> str:
    how = f"{TEST} over {seeds} seeds, Holm-corrected for {pairs} {'pair' if pairs == 1 else 'pairs'} at {LEVEL:.0%}"
    if seeds < needed:
        return (
            f" Whether others differ from it cannot be told: with {seeds} {'seed' if seeds == 1 else 'seeds'} no "
            f"difference can reach the 5 % level ({how}); use {needed} seeds or more."
        )
    parts = [
        f" Statistically indistinguishable from it: {', '.join(equal)}."
        if equal
        else f" No other scheme is as good as {best}.",
        f" Worse: {', '.join(worse)}." if worse else " None is shown to be worse.",
    ]
    return "".join(parts) + f" ({how[0].upper()}{how[1:]}.)"
