"""Counting tokens: by the model's own tokenizer, or scaled by what it reported."""

import pytest
from hypothesis import given
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool

from agentkit.memory import token_counter
from agentkit.memory.counting import reported_scale, text_tokens, tool_tokens
from agentkit.testing import ScriptedChatModel
from tests.memory.conversations import conversations

PLAIN = ScriptedChatModel("never asked")
BY_WORDS = ScriptedChatModel("never asked", custom_get_token_ids=lambda text: text.split())
USAGE = {"input_tokens": 300, "output_tokens": 1, "total_tokens": 301}


@tool
def look(question: str) -> str:
    """Look something up in a large book of many things."""
    return question


@pytest.mark.parametrize("model", [PLAIN, BY_WORDS])
@given(messages=conversations())
def test_a_list_counts_as_the_sum_of_its_messages(model, messages):
    count = token_counter(model)
    assert count(messages) == sum(count([message]) for message in messages)
    assert all(count([message]) > 0 for message in messages)


def test_a_model_that_can_count_is_asked():
    text = HumanMessage("one two three")
    assert token_counter(BY_WORDS)([text]) == 3 + 4
    assert token_counter(PLAIN)([text]) != 3 + 4


def test_calls_of_tools_are_counted():
    count = token_counter(BY_WORDS)
    call = {"name": "look", "args": {"question": "one two three"}, "id": "1"}
    assert count([AIMessage("", tool_calls=[call])]) > count([AIMessage("")])


def test_pictures_are_counted():
    picture = {"type": "image", "base64": "A" * 100_000, "mime_type": "image/png"}
    for model in (PLAIN, BY_WORDS):
        counted = token_counter(model)([HumanMessage([picture])])
        assert 50 < counted < 1_000


def test_tool_schemas_are_counted():
    assert tool_tokens([]) == 0
    assert tool_tokens([look]) > 20
    assert tool_tokens([look, look]) > tool_tokens([look])


def test_an_empty_text_takes_nothing():
    assert text_tokens("", token_counter(PLAIN)) == 0


def test_what_the_model_reports_scales_what_is_counted():
    sent = [SystemMessage("a" * 400)]
    scale = reported_scale(AIMessage("b", usage_metadata=USAGE), sent, ())
    assert 2 < scale < 3
    assert token_counter(PLAIN, scale=scale)(sent) == pytest.approx(300, abs=2)


def test_a_report_of_nothing_or_of_nonsense_scales_little():
    assert reported_scale(AIMessage("b"), [SystemMessage("a")], ()) == 0
    huge = {**USAGE, "input_tokens": 10**9}
    assert reported_scale(AIMessage("b", usage_metadata=huge), [SystemMessage("a")], ()) == 6
