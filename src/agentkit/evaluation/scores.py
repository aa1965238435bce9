"""What a metric is, and what it may return."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from agentkit.errors import ScoringError
from agentkit.evaluation.examples import Example


@dataclass(frozen=True)
class Score:
    """How well an output does on an example."""

    value: float
    """From 0, which is worst, to 1."""
    feedback: str = ""
    """Why, in words: for the reader of a report, and for a model that improves a prompt."""


Output: TypeAlias = Mapping[str, Any]
"""What a run of a graph returned: its output state."""

Scored: TypeAlias = Score | float
Metric: TypeAlias = Callable[[Example, Output], Scored | Awaitable[Scored]]
"""Called with an example and what the graph returned for it; sync or async."""


def metric_name(metric: Metric) -> str:
    """What reports call a metric: its `name`, else the name of the function or class."""
    name = getattr(metric, "name", None) or getattr(metric, "__name__", None)
    return str(name or type(metric).__name__)


async def scored(metric: Metric, example: Example, output: Output) -> Score:
    """Score an output.

    Args:
        metric: The metric; a sync one is called where this runs, so it should not wait long.
        example: What was asked.
        output: What the graph returned.

    Raises:
        ScoringError: When the metric raised, or returned what is no score from 0 to 1.
    """
    try:
        given = metric(example, output)
        if inspect.isawaitable(given):
            given = await given
    except ScoringError:
        raise
    except Exception as error:
        told = f"{metric_name(metric)} raised {type(error).__name__}: {error}"
        raise ScoringError(told) from error
    return _checked(given, metric)


def _checked(given: object, metric: Metric) -> Score:
    score = given if isinstance(given, Score) else Score(_number(given))
    value = _number(score.value)
    if not (math.isfinite(value) and 0 <= value <= 1):
        raise ScoringError(
            f"{metric_name(metric)} gave {given!r}; a score is a number from 0 to 1, or a Score."
        )
    return Score(value, str(score.feedback))


def _number(given: object) -> float:
    """A number as a float, NumPy's and booleans too; what is none is not a number (NaN)."""
    if isinstance(given, str | bytes):
        return math.nan
    try:
        return float(given)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan
