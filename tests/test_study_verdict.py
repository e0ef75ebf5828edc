"""The paired test over seeds: against SciPy, by brute force, and its rate of false alarms."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from edgewise.study.verdict import holm, judge, seeds_needed, signed_rank


@pytest.mark.parametrize("n", [1, 5, 6, 10, 16, 40, 60])
def test_exact_p_values_equal_those_of_scipy(n):
    a, b = np.random.default_rng(n).normal(size=(2, n))
    assert signed_rank(a, b) == pytest.approx(stats.wilcoxon(a, b, method="exact").pvalue, abs=1e-12)


@pytest.mark.parametrize("n", [61, 300])
def test_approximate_p_values_equal_those_of_scipy(n):
    a, b = np.random.default_rng(n).normal(size=(2, n)) + [[0.2], [0.0]]
    assert signed_rank(a, b) == pytest.approx(stats.wilcoxon(a, b, method="asymptotic").pvalue, rel=1e-9)


def test_ties_by_brute_force():
    """Every sign of every difference counted: the exact null distribution under ties."""
    difference = np.array([1.0, 1.0, -1.0, 2.0, 2.0, 3.0, 0.0, 4.0])
    ranks = stats.rankdata(np.abs(difference[difference != 0]))
    observed = ranks[difference[difference != 0] > 0].sum()
    null = np.array([np.dot(ranks, signs) for signs in itertools.product([0, 1], repeat=len(ranks))])
    expected = min(1.0, 2 * min((null <= observed).mean(), (null >= observed).mean()))
    assert signed_rank(difference, np.zeros(8)) == pytest.approx(expected, abs=1e-12)


def test_identical_scores_do_not_differ():
    scores = np.arange(8.0)
    assert signed_rank(scores, scores) == 1.0


def test_diverged_runs_are_the_worst():
    good = np.linspace(1, 2, 10)
    bad = np.where(np.arange(10) < 5, np.inf, good + 0.1)
    assert signed_rank(good, bad) == pytest.approx(2 / 2**10)
    assert signed_rank(np.full(4, np.inf), np.full(4, np.inf)) == 1.0
    both = np.where(np.arange(10) < 3, np.inf, good)
    assert signed_rank(both, np.where(np.isinf(both), np.inf, both + 1)) == pytest.approx(2 / 2**7)


def test_holm_on_a_textbook_case():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.9, 0.8]), [1.0, 1.0])


def test_the_verdict_names_the_best_the_equal_and_the_worse():
    random = np.random.default_rng(0)
    scores = np.exp(random.normal(size=(3, 16)) * 0.1) * np.array([[1.0], [1.01], [5.0]])
    verdict = judge(["a", "b", "c"], scores, score_name="test MSE")
    assert verdict.best in ("a", "b")
    assert verdict.worse == ("c",)
    assert len(verdict.indistinguishable) == 1
    assert verdict.decisive
    assert list(verdict.p_values) == [*verdict.indistinguishable, "c"]
    assert verdict.p_values["c"] == pytest.approx(3 * 2 / 2**16)
    for part in ("Wilcoxon signed-rank", "16 seeds", "Holm-corrected for 3 pairs", "Worse: c", "indistinguishable"):
        assert part in verdict.text


def test_a_high_accuracy_is_the_better_one():
    scores = np.array([np.linspace(0.7, 0.8, 12), np.linspace(0.9, 0.95, 12)])
    verdict = judge(["low", "high"], scores, score_name="test accuracy", higher_is_better=True)
    assert (verdict.best, verdict.worse) == ("high", ("low",))
    assert "median test accuracy 0.925" in verdict.text


def test_a_scheme_that_diverges_loses():
    scores = np.array([np.full(12, 0.1), np.full(12, np.nan)])
    verdict = judge(["stable", "wild"], scores, score_name="test MSE")
    assert (verdict.best, verdict.worse) == ("stable", ("wild",))


def test_nothing_but_divergence():
    verdict = judge(["a", "b"], np.full((2, 8), np.nan), score_name="test MSE")
    assert verdict.best is None
    assert "Every run diverged" in verdict.text


def test_few_seeds_cannot_tell():
    assert seeds_needed(2) == 6
    assert seeds_needed(8) == 11
    scores = np.array([[1.0, 1.1, 1.2, 1.3, 1.4], [9.0, 9.1, 9.2, 9.3, 9.4]])
    verdict = judge(["a", "b"], scores, score_name="test MSE")
    assert not verdict.decisive
    assert verdict.worse == ()
    assert "cannot be told" in verdict.text
    assert "use 6 seeds or more" in verdict.text
    at_six = judge(["a", "b"], np.array([np.arange(6.0), np.arange(6.0) + 10]), score_name="test MSE")
    assert at_six.worse == ("b",)


def test_one_scheme_and_one_seed():
    verdict = judge(["only"], np.array([[0.5]]), score_name="test MSE")
    assert verdict.best == "only"
    assert "over 1 seed)" in verdict.text


@pytest.mark.parametrize("schemes", [2, 8])
def test_equal_schemes_are_rarely_called_different(schemes):
    """Scores drawn alike: at most 5 % of studies may find a difference, the choice of the best included."""
    random = np.random.default_rng(schemes)
    studies = 300
    names = [f"s{i}" for i in range(schemes)]
    wrong = sum(
        bool(judge(names, np.exp(random.normal(size=(schemes, 16))), score_name="").worse) for _ in range(studies)
    )
    assert wrong / studies < 0.05 + 2 * np.sqrt(0.05 * 0.95 / studies)


def test_a_real_difference_is_found():
    """Half a standard deviation of log scores over 32 seeds: most studies should see it."""
    random = np.random.default_rng(1)
    shift = np.array([[0.0], [1.0]])
    found = sum(bool(judge(["a", "b"], random.normal(size=(2, 32)) + shift, score_name="").worse) for _ in range(100))
    assert found > 80
