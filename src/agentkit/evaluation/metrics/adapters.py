"""Metrics of Ragas and DeepEval as agentkit's: thin, and neither package is needed for the rest."""

from __future__ import annotations

import asyncio
import copy
import importlib.util
import math
from dataclasses import dataclass
from typing import Any

from agentkit.errors import ConfigurationError, ScoringError
from agentkit.evaluation.examples import Example
from agentkit.evaluation.metrics._reading import acceptable, answer_of
from agentkit.evaluation.scores import Output, Score, metric_name


@dataclass(frozen=True)
class RagasMetric:
    """A metric of Ragas: `single_turn_ascore`, over what agentkit's example and output hold."""

    metric: Any

    @property
    def name(self) -> str:
        """What Ragas calls it."""
        return f"ragas_{metric_name(self.metric)}"

    async def __call__(self, example: Example, output: Output) -> Score:
        """Score an output."""
        from ragas import SingleTurnSample

        sample = SingleTurnSample(
            user_input=example.question,
            response=answer_of(output),
            retrieved_contexts=_contexts(output),
            reference=_reference(example),
        )
        return Score(_number(await self.metric.single_turn_ascore(sample), self.name))


@dataclass(frozen=True)
class DeepEvalMetric:
    """A metric of DeepEval: `a_measure` or `measure` of a test case, its score and its reason."""

    metric: Any

    @property
    def name(self) -> str:
        """What DeepEval calls it."""
        return f"deepeval_{getattr(self.metric, '__name__', None) or metric_name(self.metric)}"

    async def __call__(self, example: Example, output: Output) -> Score:
        """Score an output."""
        from deepeval.test_case import LLMTestCase

        metric = copy.copy(self.metric)  # it keeps the score of its last case
        case = LLMTestCase(
            input=example.question,
            actual_output=answer_of(output),
            expected_output=_reference(example),
            retrieval_context=_contexts(output),
        )
        if hasattr(metric, "a_measure"):
            await metric.a_measure(case)
        else:
            await asyncio.to_thread(metric.measure, case)
        return Score(_number(metric.score, self.name), str(getattr(metric, "reason", None) or ""))


def from_ragas(metric: Any) -> RagasMetric:
    """A metric of Ragas as one of agentkit.

    Args:
        metric: A metric object with `single_turn_ascore`, made with Ragas's own model wrapper.

    Raises:
        ConfigurationError: When it is none, or the package is not installed.
    """
    _check_installed("ragas")
    if not hasattr(metric, "single_turn_ascore"):
        raise ConfigurationError(f"A single-turn metric of Ragas is needed; got {metric!r:.100}.")
    return RagasMetric(metric)


def from_deepeval(metric: Any) -> DeepEvalMetric:
    """A metric of DeepEval as one of agentkit.

    Args:
        metric: A metric object with `a_measure` or `measure`.

    Raises:
        ConfigurationError: When it is none, or the package is not installed.
    """
    _check_installed("deepeval")
    if not (hasattr(metric, "a_measure") or hasattr(metric, "measure")):
        raise ConfigurationError(f"A metric of DeepEval is needed; got {metric!r:.100}.")
    return DeepEvalMetric(metric)


def _contexts(output: Output) -> list[str] | None:
    found = output.get("documents")
    return [document.page_content for document in found] if found is not None else None


def _reference(example: Example) -> str | None:
    return acceptable(example)[0] if example.expected.get("answer") else None


def _number(value: Any, name: str) -> float:
    number = float(value) if isinstance(value, int | float) else math.nan
    if not math.isfinite(number):
        raise ScoringError(f"{name} gave {value!r}, which is no score.")
    return number


def _check_installed(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise ConfigurationError(f"Metrics of {package} need it: pip install {package}")
