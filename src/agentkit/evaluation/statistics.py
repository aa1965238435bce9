"""Intervals, paired tests and pass^k: what a handful of scores can and cannot show."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentkit.errors import ConfigurationError, MissingExtraError

_RESAMPLES = 9_999
_AT_ONCE = 4_000_000
"""How many values are drawn at once: of 8 bytes each."""

_SIGNIFICANT = 0.05
_SAME = 1e-9
"""Values that are nearer than this are the same: what is between them is rounding."""


@dataclass(frozen=True)
class Interval:
    """The mean of scores, and the 95 % interval of the mean."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """How much scores changed, over pairs."""

    difference: float
    """The mean of after minus before."""
    low: float
    """Of the 95 % interval of the difference."""
    high: float
    p_value: float
    """How probable a difference of this size is, either way, if nothing but chance is behind it."""

    @property
    def is_shown(self) -> bool:
        """Whether chance is ruled out at the 5 % level."""
        return self.p_value < _SIGNIFICANT


def interval(scores: Sequence[float], *, seed: int = 0) -> Interval:
    """The mean of scores with its 95 % bootstrap interval (BCa).

    Of scores that are all the same, nothing can be resampled. Then at most a share of
    1 - 0.025^(1/n) of all cases can score otherwise, anything from 0 to 1, which gives the bounds:
    for scores of 0 or 1, those of Clopper and Pearson (1934). Below some twenty scores, take any
    interval as a rough one.

    Args:
        scores: At least one score, from 0 to 1, an independent one for each example.
        seed: Of the resampling; the same seed gives the same interval.

    Raises:
        ConfigurationError: When there is no score, or one is not from 0 to 1.
        MissingExtraError: When the `eval` extra is not installed.

    Source: Efron 1987, "Better bootstrap confidence intervals".
    """
    _check(scores)
    low, high = _bounds(scores, least=0, seed=seed)
    return Interval(_mean(scores), low, high)


def compared(before: Sequence[float], after: Sequence[float], *, seed: int = 0) -> Comparison:
    """The mean change over pairs of scores, its 95 % bootstrap interval, and a p-value.

    The p-value is of a paired permutation test: exact for up to 13 pairs that differ, else from
    9,999 random exchanges within the pairs.

    Args:
        before: A score for each example, from 0 to 1.
        after: The score of the same examples, in the same order.
        seed: Of the resampling and the exchanges.

    Raises:
        ConfigurationError: When there is no pair, one side is longer, or a score is not from 0
            to 1.
        MissingExtraError: When the `eval` extra is not installed.

    Source: Edgington and Onghena 2007, "Randomization tests".
    """
    if len(before) != len(after):
        raise ConfigurationError(
            f"Scores are compared in pairs; got {len(before)} before and {len(after)} after."
        )
    _check(before)
    _check(after)
    pairs = zip(before, after, strict=True)
    changes = [new - old if abs(new - old) > _SAME else 0.0 for old, new in pairs]
    difference = _mean(changes)
    low, high = _bounds(changes, least=-1, seed=seed)
    p_value = _chance(changes, seed)
    if p_value < _SIGNIFICANT:  # the interval of few or equal changes must not deny what is shown
        low, high = (max(low, 0.0), high) if difference > 0 else (low, min(high, 0.0))
    return Comparison(difference, low, high, p_value)


def pass_hat_k(passed: int, runs: int, k: int) -> float:
    """The estimated probability that k runs of an example all pass: pass^k.

    The estimator is unbiased: of all choices of k among the runs, the share that all passed.

    Args:
        passed: How many runs passed.
        runs: How many there were; at least k.
        k: How many are to pass, at least 1.

    Raises:
        ConfigurationError: When the numbers are not so.

    Source: Yao et al. 2024, "τ-bench", section 4.
    """
    if not (1 <= k <= runs and 0 <= passed <= runs):
        raise ConfigurationError(
            f"pass^k needs 1 <= k <= runs and 0 <= passed <= runs; got k={k}, runs={runs}, "
            f"passed={passed}."
        )
    return math.comb(passed, k) / math.comb(runs, k)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values of several tests, corrected so that all of them together hold at the level.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    by_size = sorted(range(len(p_values)), key=p_values.__getitem__)
    for rank, place in enumerate(by_size):
        largest = max(largest, min(1.0, p_values[place] * (len(p_values) - rank)))
        corrected[place] = largest
    return corrected


def check_installed() -> None:
    """See that intervals and tests can be computed, before there is anything to lose.

    Raises:
        MissingExtraError: When the `eval` extra is not installed.
    """
    _scipy()


def _check(scores: Sequence[float]) -> None:
    if len(scores) == 0:
        raise ConfigurationError("There are no scores to take the mean of.")
    if wrong := [score for score in scores if not 0 <= score <= 1]:
        raise ConfigurationError(f"Scores are numbers from 0 to 1; got {wrong[0]!r}.")


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _bounds(values: Sequence[float], *, least: float, seed: int) -> tuple[float, float]:
    """The 95 % interval of the mean of values from `least` to 1."""
    mean = _mean(values)
    if max(values) - min(values) <= _SAME:
        unseen = 1 - (_SIGNIFICANT / 2) ** (1 / len(values))
        return mean - unseen * (mean - least), mean + unseen * (1 - mean)
    for method in ("BCa", "percentile"):
        low, high = _bootstrap(values, method, seed)
        if math.isfinite(low) and math.isfinite(high):  # BCa is undefined for some few values
            break
    return min(low, mean), max(high, mean)


def _bootstrap(values: Sequence[float], method: str, seed: int) -> tuple[float, float]:
    np, stats = _scipy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is undefined, which is looked at above
        found = stats.bootstrap(
            (np.asarray(values, dtype=float),),
            np.mean,
            n_resamples=_RESAMPLES,
            batch=max(1, _AT_ONCE // len(values)),
            method=method,
            random_state=np.random.default_rng(seed),
        ).confidence_interval
    return float(found.low), float(found.high)


def _chance(changes: Sequence[float], seed: int) -> float:
    """The two-sided p-value of a permutation test: the sign of each change is as good as random."""
    np, stats = _scipy()
    # pairs that do not differ change no sum; scipy wants two values at least
    changed = np.asarray([c for c in changes if c] or [0.0], dtype=float)
    changed = np.append(changed, np.zeros(max(0, 2 - changed.size)))
    found = stats.permutation_test(
        (changed, np.zeros_like(changed)),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        n_resamples=_RESAMPLES,
        batch=max(1, _AT_ONCE // changed.size),
        random_state=np.random.default_rng(seed),
    )
    return min(1.0, float(found.pvalue))


def _scipy() -> tuple[Any, Any]:
    try:
        import numpy as np
        from scipy import stats
    except ImportError as error:
        raise MissingExtraError("An interval or a test of scores", "eval") from error
    return np, stats
