"""What few scores can show: intervals, paired tests, pass^k, and many tests at once."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.errors import ConfigurationError
from agentkit.evaluation.statistics import Interval, compared, holm, interval, pass_hat_k

MIXED = [0, 0, 1, 1, 1, 0.5, 0.25, 1, 0, 1]


def test_the_interval_holds_the_mean_and_narrows_with_more_scores():
    few, many = interval(MIXED), interval(MIXED * 10)
    assert few.mean == pytest.approx(0.575)
    assert 0 <= few.low < many.low < few.mean < many.high < few.high <= 1


def test_the_seed_determines_the_interval():
    assert interval(MIXED, seed=3) == interval(MIXED, seed=3)
    assert interval(MIXED, seed=3) != interval(MIXED, seed=4)


def test_equal_scores_have_the_interval_of_clopper_and_pearson():
    # scipy.stats.binomtest(10, 10).proportion_ci() is 0.6915, 1
    assert interval([1.0] * 10) == Interval(1.0, pytest.approx(0.6915, abs=1e-4), 1.0)
    assert interval([0.0] * 10) == Interval(0.0, 0.0, pytest.approx(0.3085, abs=1e-4))


@given(st.lists(st.sampled_from([0, 1 / 3, 0.5, 1]) | st.floats(0, 1), min_size=1, max_size=6))
def test_however_few_the_scores_there_is_a_finite_interval_around_the_mean(scores):
    found = interval(scores)
    assert 0 <= found.low <= found.mean <= found.high <= 1 + 1e-12


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says():
    draw = random.Random(0)
    covered = 0
    for _ in range(100):
        found = interval([float(draw.random() < 0.8) for _ in range(30)])
        covered += found.low <= 0.8 <= found.high
    assert 88 <= covered <= 100


@pytest.mark.parametrize("scores", [[], [float("nan")], [0.5, 7], [-0.1]])
def test_what_has_no_mean_of_scores_is_refused(scores):
    with pytest.raises(ConfigurationError, match=r"no scores|from 0 to 1"):
        interval(scores)


def exact_p_value(before, after):
    """By hand: all ways to exchange before and after within the pairs."""
    changes = [y - x for x, y in zip(before, after, strict=True)]
    seen = abs(sum(changes)) - 1e-12
    ways = list(itertools.product((1, -1), repeat=len(changes)))
    as_large = [w for w in ways if abs(sum(s * c for s, c in zip(w, changes, strict=True))) >= seen]
    return len(as_large) / len(ways)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([0, 0, 1, 0, 0, 1], [1, 1, 1, 1, 1, 1]),
        ([0.1, 0.5, 0.3, 0.9], [0.2, 0.4, 0.8, 0.95]),
        ([1, 1, 1], [0, 1, 0.5]),
        ([0.4, 0.6], [0.6, 0.4]),
        ([0], [1]),
        ([1], [1]),
    ],
)
def test_the_p_value_of_few_pairs_is_exact(before, after):
    found = compared(before, after)
    assert found.p_value == pytest.approx(exact_p_value(before, after))
    assert found.low <= found.difference <= found.high


def test_a_gain_on_most_of_many_pairs_is_shown():
    before = [0.0] * 12 + [1.0] * 18
    found = compared(before, [1.0] * 30)
    assert found.difference == pytest.approx(0.4)
    assert found.is_shown
    assert 0 < found.low < 0.4 < found.high < 1
    loss = compared([1.0] * 30, before)
    assert loss.is_shown
    assert loss.high < 0


@pytest.mark.parametrize("pairs", [1, 2, 3, 5])
def test_a_handful_of_pairs_shows_nothing(pairs):
    found = compared([0.0] * pairs, [1.0] * pairs)
    assert not found.is_shown
    assert found.low < 0 < found.high


def test_a_small_gain_that_every_pair_has_is_shown_and_its_interval_does_not_deny_it():
    found = compared([0.5] * 20, [0.6] * 20)
    assert found.is_shown
    assert 0 <= found.low < 0.1 < found.high


def test_equal_scores_show_no_difference_and_the_interval_says_how_little_that_is():
    found = compared([0.3] * 10, [0.1 + 0.2] * 10)
    assert (found.difference, found.p_value, found.is_shown) == (0, 1, False)
    assert found.low == -found.high < 0


def test_chance_alone_is_seldom_taken_for_a_difference():
    draw = random.Random(0)
    shown = 0
    for _ in range(100):
        before, after = ([float(draw.random() < 0.6) for _ in range(25)] for _ in range(2))
        shown += compared(before, after).is_shown
    assert shown <= 10


@pytest.mark.parametrize(
    ("before", "after"), [([], []), ([0.5], [0.5, 1]), ([0.5], [7]), ([float("nan")], [0.5])]
)
def test_what_is_no_pairs_of_scores_is_refused(before, after):
    with pytest.raises(ConfigurationError):
        compared(before, after)


@pytest.mark.parametrize(
    ("passed", "runs", "k", "value"),
    [(4, 4, 4, 1), (3, 4, 1, 0.75), (3, 4, 2, 0.5), (3, 4, 4, 0), (0, 4, 1, 0), (1, 1, 1, 1)],
)
def test_pass_hat_k_is_the_share_of_choices_of_k_runs_that_all_pass(passed, runs, k, value):
    assert pass_hat_k(passed, runs, k) == pytest.approx(value)


@given(st.floats(0, 1), st.integers(1, 4))
def test_pass_hat_k_is_unbiased(chance, k):
    """Its expectation over the binomial number of passes is chance^k."""
    runs = 4
    expected = sum(
        chance ** sum(way) * (1 - chance) ** (runs - sum(way)) * pass_hat_k(sum(way), runs, k)
        for way in itertools.product((0, 1), repeat=runs)
    )
    assert expected == pytest.approx(chance**k)


@pytest.mark.parametrize(("passed", "runs", "k"), [(1, 4, 0), (1, 4, 5), (5, 4, 1), (-1, 4, 1)])
def test_pass_hat_k_of_impossible_numbers_is_refused(passed, runs, k):
    with pytest.raises(ConfigurationError, match="pass\\^k needs"):
        pass_hat_k(passed, runs, k)


def test_holm_corrects_for_the_number_of_tests():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []
