"""Metrics of Ragas and DeepEval as agentkit's: thin, and neither package is needed for the rest."""

from __future__ import annotations

import asyncio
import copy
import importlib.util
import inspect
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agentkit.errors import ConfigurationError, ScoringError
from agentkit.evaluation.examples import Example
from agentkit.evaluation.metrics._reading import acceptable, answer_of, documents_of
from agentkit.evaluation.scores import Output, Score, metric_name


@dataclass(frozen=True)
class RagasMetric:
    """A metric of Ragas, over what agentkit's example and output hold.

    Those of `ragas.metrics` are asked by `single_turn_ascore`, those of `ragas.metrics.collections`
    by `ascore`, with what it takes of `user_input`, `response`, `retrieved_contexts` and
    `reference`.
    """

    metric: Any

    @property
    def name(self) -> str:
        """What Ragas calls it, such as `ragas_faithfulness`."""
        return _name("ragas", metric_name(self.metric))

    async def __call__(self, example: Example, output: Output) -> Score:
        """Score an output.

        Raises:
            ScoringError: When the metric needs what is not there, or gives no number.
        """
        given = {
            "user_input": example.question,
            "response": _response(output),
            "retrieved_contexts": _contexts(output),
            "reference": _reference(example),
        }
        if hasattr(self.metric, "single_turn_ascore"):
            from ragas import SingleTurnSample

            found = await self.metric.single_turn_ascore(SingleTurnSample(**given))
        else:
            found = await self.metric.ascore(**_taken(self.metric.ascore, given, self.name))
        value, reason = getattr(found, "value", found), getattr(found, "reason", None)
        return Score(_number(value, self.name), str(reason or ""))


@dataclass(frozen=True)
class DeepEvalMetric:
    """A metric of DeepEval: `a_measure` or `measure` of a test case, its score and its reason."""

    metric: Any

    @property
    def name(self) -> str:
        """What DeepEval calls it, such as `deepeval_answer_relevancy`."""
        return _name("deepeval", getattr(self.metric, "__name__", "") or metric_name(self.metric))

    async def __call__(self, example: Example, output: Output) -> Score:
        """Score an output.

        Raises:
            ScoringError: When the metric gives no number.
        """
        from deepeval.test_case import LLMTestCase

        metric = copy.copy(self.metric)  # it keeps the score of its last case
        case = LLMTestCase(
            input=example.question,
            actual_output=_response(output),
            expected_output=_reference(example),
            retrieval_context=_contexts(output),
        )
        if _waits(metric):
            await metric.a_measure(case, **_quietly(metric.a_measure))
        else:
            await asyncio.to_thread(metric.measure, case, **_quietly(metric.measure))
        return Score(_number(metric.score, self.name), str(getattr(metric, "reason", None) or ""))


def from_ragas(metric: Any) -> RagasMetric:
    """A metric of Ragas as one of agentkit.

    Args:
        metric: A metric object for single turns, made with the model that Ragas is to ask.

    Raises:
        ConfigurationError: When it is none, or the package is not installed.
    """
    _check_installed("Ragas")
    if isinstance(metric, type) or not (
        hasattr(metric, "single_turn_ascore") or hasattr(metric, "ascore")
    ):
        raise ConfigurationError(f"A single-turn metric of Ragas is needed; got {metric!r:.100}.")
    return RagasMetric(metric)


def from_deepeval(metric: Any) -> DeepEvalMetric:
    """A metric of DeepEval as one of agentkit.

    Args:
        metric: A metric object with `a_measure` or `measure`.

    Raises:
        ConfigurationError: When it is none, or the package is not installed.
    """
    _check_installed("DeepEval")
    if isinstance(metric, type) or not hasattr(metric, "measure"):
        raise ConfigurationError(f"A metric of DeepEval is needed; got {metric!r:.100}.")
    return DeepEvalMetric(metric)


def _name(package: str, metric: str) -> str:
    return f"{package}_{re.sub(r'[^a-z0-9]+', '_', metric.lower()).strip('_')}"


def _response(output: Output) -> str | None:
    there = "answer" in output or "messages" in output
    return answer_of(output) if there else None


def _contexts(output: Output) -> list[str] | None:
    if "documents" not in output:
        return None
    return [document.page_content for document in documents_of(output)]


def _reference(example: Example) -> str | None:
    return acceptable(example)[0] if example.expected.get("answer") else None


def _taken(function: Callable[..., Any], given: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """What a function takes of what there is.

    Raises:
        ScoringError: When it needs more.
    """
    there = {name: value for name, value in given.items() if value is not None}
    parameters = inspect.signature(function).parameters.values()
    if any(each.kind is each.VAR_KEYWORD for each in parameters):
        return there  # a metric made of a function checks by itself
    needed = [each.name for each in parameters if each.default is each.empty]
    if missing := [name for name in needed if name not in there]:
        raise ScoringError(
            f"{metric} needs {', '.join(missing)}; of the example and the output there are "
            f"{', '.join(there)}."
        )
    return {each.name: there[each.name] for each in parameters if each.name in there}


def _waits(metric: Any) -> bool:
    """Whether a metric of DeepEval has an async way of its own: its base class's only raises."""
    from deepeval.metrics import BaseMetric

    own = getattr(type(metric), "a_measure", None)
    return own is not None and own is not getattr(BaseMetric, "a_measure", None)


def _quietly(measure: Callable[..., Any]) -> dict[str, Any]:
    """What keeps DeepEval's own metrics from drawing a bar of their progress each."""
    silent = "_show_indicator"
    return {silent: False} if silent in inspect.signature(measure).parameters else {}


def _number(value: Any, name: str) -> float:
    number = float(value) if isinstance(value, int | float) else math.nan
    if not math.isfinite(number):
        raise ScoringError(f"{name} gave {value!r}, which is no score.")
    return number


def _check_installed(package: str) -> None:
    if importlib.util.find_spec(package.lower()) is None:
        raise ConfigurationError(
            f"A metric of {package} needs a package that is not installed. Install it with: "
            f"pip install {package.lower()}"
        )
