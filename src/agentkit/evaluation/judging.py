"""Scoring what a graph returned, by all metrics at once."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentkit.errors import ConfigurationError, ScoringError
from agentkit.evaluation.examples import Example
from agentkit.evaluation.identity import identity
from agentkit.evaluation.kept import Kept
from agentkit.evaluation.results import GraphRun, Trial
from agentkit.evaluation.scores import Metric, Output, Score, metric_name, scored
from agentkit.evaluation.usage import Meter, Spending, Usage, counted_by


@dataclass(frozen=True)
class _Judged:
    """What came of one metric."""

    score: Score | None
    reason: str
    took: Usage
    refused: bool = False


class Judges:
    """The metrics of an evaluation.

    Args:
        metrics: One or several.
        spending: What their calls of models are counted with.

    Raises:
        ConfigurationError: When there is none, one is none, or two have one name.
    """

    def __init__(self, metrics: Metric | Sequence[Metric], spending: Spending) -> None:
        self._metrics = named_metrics(metrics)
        self._spending = spending
        self.kept: Kept | None = None
        """Where scores are kept that took calls of models."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the metrics, in order."""
        return tuple(self._metrics)

    async def trial(self, key: str, example: Example, run: GraphRun) -> Trial | None:
        """Score a run.

        Args:
            key: What tells the run apart from all others.
            example: What was asked.
            run: What came of it; one that failed is not scored.

        Returns:
            The run with its scores; None where the budget did not suffice for them.
        """
        if run.error:
            return Trial(run)
        told = await asyncio.gather(
            *(self._judged(key, each, example, run.output) for each in self._metrics.values())
        )
        if any(each.refused for each in told):
            return None
        by_name = dict(zip(self._metrics, told, strict=True))
        return Trial(
            run,
            {name: each.score for name, each in by_name.items() if each.score is not None},
            {name: each.reason for name, each in by_name.items() if each.score is None},
            sum((each.took for each in told), Usage()),
        )

    async def _judged(self, run: str, metric: Metric, example: Example, output: Output) -> _Judged:
        kept = self.kept
        key = "" if kept is None else identity(run, metric, example.expected)
        if kept is not None and (known := kept.score(key)) is not None:
            return _Judged(known[0], "", known[1])
        meter = Meter(self._spending)
        try:
            with counted_by(meter):
                score = await scored(in_thread(metric), example, output)
        except ScoringError as error:
            return _Judged(None, str(error), meter.usage, meter.refused)
        # one that asks no model is made anew each time: its code may call code that changed
        if kept is not None and meter.usage.calls and not meter.refused:
            kept.put_score(key, score, meter.usage)
        return _Judged(score, "", meter.usage, meter.refused)


def in_thread(metric: Metric) -> Metric:
    """The metric, called in a thread where it is sync, so that it holds up no run."""
    if inspect.iscoroutinefunction(metric) or inspect.iscoroutinefunction(
        getattr(metric, "__call__", None)  # noqa: B004 - it is asked what kind it is
    ):
        return metric

    async def called(example: Example, output: Output) -> Any:
        given = await asyncio.to_thread(metric, example, output)
        return await given if inspect.isawaitable(given) else given

    called.__name__ = metric_name(metric)
    return called


def no_metric(given: object) -> ConfigurationError:
    """The error for what is given as a metric and is none."""
    by_name = (
        f" That of a name is agentkit.evaluation.metrics.named_metric({given!r})."
        if isinstance(given, str)
        else ""
    )
    return ConfigurationError(
        "A metric is a function of an example and an output, or an object that is called like "
        f"one; got {given!r}.{by_name}"
    )


def named_metrics(metrics: Metric | Sequence[Metric]) -> dict[str, Metric]:
    """The metrics by name, in order.

    Raises:
        ConfigurationError: When there is none, one is none, or two have one name.
    """
    given = [metrics] if callable(metrics) or isinstance(metrics, str) else list(metrics)
    if not given:
        raise ConfigurationError("There is no metric: give one at least, such as metrics=[exact].")
    named: dict[str, Metric] = {}
    for metric in given:
        if not callable(metric) or isinstance(metric, type):
            raise no_metric(metric)
        name = metric_name(metric)
        if name in named:
            raise ConfigurationError(
                f"Two metrics are called {name!r}: give one of them another `name`."
            )
        named[name] = metric
    return named
