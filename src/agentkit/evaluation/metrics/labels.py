"""How far a judge agrees with labels that people gave."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from agentkit._numbers import whole_number
from agentkit._sync import run_sync
from agentkit.errors import ConfigurationError, MissingExtraError, ScoringError
from agentkit.evaluation.examples import Example
from agentkit.evaluation.scores import Metric, Output, scored


@dataclass(frozen=True)
class Agreement:
    """How far scores agree with labels, over the outputs that could be scored.

    `accuracy` is the share on the same side of the threshold; `kappa` is that beyond chance (Cohen,
    1960): 0 where a judge says the same of all, and None where the labels do too and there is
    nothing beyond chance; `correlation` is Spearman's of scores and labels, and None where either
    does not vary. `failures` are the reasons why outputs were not scored, by example.
    """

    count: int
    accuracy: float | None
    kappa: float | None
    correlation: float | None
    failures: dict[str, str]


async def aagreement(
    metric: Metric,
    labelled: Iterable[tuple[Example, Output, float]],
    *,
    threshold: float = 0.5,
    concurrency: int = 8,
) -> Agreement:
    """Measure how far a metric agrees with labels.

    Args:
        metric: A judge, or any other metric.
        labelled: Examples, what was returned for them, and what people scored that, from 0 to 1.
        threshold: The score from which on an output counts as good.
        concurrency: How many outputs are judged at once.

    Raises:
        ConfigurationError: When there is nothing to judge, a label is none, or an option is.
    """
    given = list(labelled)
    if not given or not all(_is_share(label) for *_, label in given):
        raise ConfigurationError("Agreement needs outputs with labels from 0 to 1.")
    if not _is_share(threshold):
        raise ConfigurationError(f"`threshold` is a score from 0 to 1; got {threshold!r}.")
    whole_number("concurrency", concurrency)
    at_once = asyncio.Semaphore(concurrency)

    async def one(example: Example, output: Output) -> float | ScoringError:
        async with at_once:
            try:
                return (await scored(metric, example, output)).value
            except ScoringError as error:
                return error

    scores = await asyncio.gather(*(one(example, output) for example, output, _ in given))
    failures = {
        example.id: str(score)
        for (example, *_), score in zip(given, scores, strict=True)
        if isinstance(score, ScoringError)
    }
    pairs = [
        (score, float(label))
        for (*_, label), score in zip(given, scores, strict=True)
        if not isinstance(score, ScoringError)
    ]
    sides = [(score >= threshold, label >= threshold) for score, label in pairs]
    return Agreement(len(pairs), _accuracy(sides), _kappa(sides), _correlation(pairs), failures)


def agreement(
    metric: Metric, labelled: Iterable[tuple[Example, Output, float]], **options: Any
) -> Agreement:
    """The same as `aagreement`, for sync code."""
    return run_sync(lambda: aagreement(metric, labelled, **options))


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 1


def _accuracy(sides: Sequence[tuple[bool, bool]]) -> float | None:
    return sum(one == other for one, other in sides) / len(sides) if sides else None


def _kappa(sides: Sequence[tuple[bool, bool]]) -> float | None:
    accuracy = _accuracy(sides)
    if accuracy is None:
        return None
    good, labelled = (sum(side[at] for side in sides) / len(sides) for at in (0, 1))
    by_chance = good * labelled + (1 - good) * (1 - labelled)
    return (accuracy - by_chance) / (1 - by_chance) if by_chance < 1 else None


def _correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    if len({score for score, _ in pairs}) < 2 or len({label for _, label in pairs}) < 2:  # noqa: PLR2004 - without two there is nothing to rank
        return None
    try:
        from scipy import stats
    except ImportError as error:
        raise MissingExtraError("Measuring agreement", "eval") from error
    return float(stats.spearmanr(*zip(*pairs, strict=True)).statistic)
