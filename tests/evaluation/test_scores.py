"""What a metric may return, and what is told when it returns something else."""

import math

import numpy as np
import pytest
from langchain_core.messages import HumanMessage

from agentkit.errors import ScoringError
from agentkit.evaluation.examples import Example
from agentkit.evaluation.scores import Score, metric_name, scored

EXAMPLE = Example("1", {"question": "How long?"}, {"answer": "three weeks"})


def giving(value):
    def metric(example, output):
        return value

    return metric


@pytest.mark.parametrize(
    ("given", "value"),
    [(1, 1.0), (0.25, 0.25), (True, 1.0), (False, 0.0), (np.float32(0.5), 0.5), (Score(0.5), 0.5)],
)
async def test_a_number_from_0_to_1_is_a_score(given, value):
    assert await scored(giving(given), EXAMPLE, {}) == Score(value)


async def test_the_feedback_is_kept():
    score = await scored(giving(Score(0.5, "half of it")), EXAMPLE, {})
    assert score.feedback == "half of it"


async def test_a_metric_may_be_async_and_sees_example_and_output():
    async def metric(example, output):
        return float(output["answer"] == example.expected["answer"])

    assert await scored(metric, EXAMPLE, {"answer": "three weeks"}) == Score(1.0)


@pytest.mark.parametrize(
    "given", [math.nan, math.inf, -math.inf, 7, -0.1, "0.5", b"1", None, [], Score(math.nan)]
)
async def test_what_is_no_score_is_told_with_what_it_was(given):
    with pytest.raises(ScoringError, match="a score is a number from 0 to 1") as told:
        await scored(giving(given), EXAMPLE, {})
    assert repr(given) in str(told.value)
    assert str(told.value).startswith("metric gave")


async def test_a_metric_that_raises_is_told_with_its_error():
    def broken(example, output):
        return output["documents"]

    with pytest.raises(ScoringError, match="broken raised KeyError: 'documents'"):
        await scored(broken, EXAMPLE, {})


def test_a_metric_is_named_by_its_name_its_function_or_its_class():
    class Judge:
        def __call__(self, example, output):
            return 1

    class Named(Judge):
        name = "recall@5"

    assert metric_name(Judge()) == "Judge"
    assert metric_name(Named()) == "recall@5"
    assert metric_name(giving(1)) == "metric"


@pytest.mark.parametrize(
    "inputs",
    [
        {"question": "How long?"},
        {"messages": [HumanMessage("How long?")]},
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "user", "content": "How long?"}]},
        {"messages": [("human", "How long?")]},
        {"messages": ["How long?"]},
    ],
)
def test_the_question_of_an_example_is_its_question_or_last_message(inputs):
    assert Example("1", inputs).question == "How long?"


def test_an_example_without_a_question_has_an_empty_one():
    assert Example("1", {"messages": []}).question == ""
