"""The running summary: updated by what is new, and never by a failed call."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from agentkit.errors import SummaryError
from agentkit.memory.counting import text_tokens, token_counter
from agentkit.memory.summary import updated_summary
from agentkit.prompts import PromptSet
from agentkit.testing import Reply, Script, ScriptedChatModel
from tests.memory.conversations import conversations, ids_of

ASKED = [HumanMessage("My cat is called Minka.", id="1"), AIMessage("A fine name.", id="2")]
MODEL = ScriptedChatModel("never asked")


async def summary_of(script, messages=ASKED, before=None, **options):
    model = ScriptedChatModel(script if isinstance(script, Script) else Script(script))
    settings = {"max_tokens": 200, "timeout": 5, "prompts": PromptSet(), **options}
    count = token_counter(model)
    return await updated_summary(before, messages, model=model, count=count, **settings)


async def test_the_summary_is_of_what_was_and_of_what_is_new():
    script = Script({"summary": "The user has a cat, Minka."})
    before = {"text": "The user is called Ada.", "messages": 7, "ids": ["0"]}
    made = await summary_of(script, before=before)
    assert made == {
        "text": "The user has a cat, Minka.",
        "messages": 9,
        "ids": ["0", "1", "2"],
    }
    (call,) = script.calls
    assert "The user is called Ada." in call.text
    assert "User: My cat is called Minka.\nAssistant: A fine name." in call.text


@pytest.mark.parametrize(
    "reply",
    [
        {"summary": ""},
        {"summary": "   "},
        {"summary": "Error: the model is overloaded"},
        {"summary": '{"error": {"message": "overloaded"}}'},
        {"summary": "Internal Server Error"},
        {"summary": "An error occurred while generating the summary."},
        {"summary": "Error generating summary: timed out"},
        {"summary": "I'm sorry, but I can't help with that."},
        {"summary": "Rate limit exceeded, try again later."},
        ConnectionError("server down"),
        ValueError("broken"),
        "no JSON at all",
    ],
)
async def test_error_text_is_never_saved_as_summary(reply):
    with pytest.raises(SummaryError):
        await summary_of(Script().when(None, reply=reply))


@pytest.mark.parametrize(
    "text",
    [
        "Error handling in the parser was discussed; the user wants exceptions.",
        "Exceptions were compared with error codes.",
        "The error rate is 5 %.",
        "Rate limits of the API are 60 a minute.",
    ],
)
async def test_a_conversation_about_errors_can_be_summarised(text):
    assert (await summary_of([{"summary": text}]))["text"] == text


async def test_a_summary_that_takes_too_long_fails():
    script = Script([Reply(data={"summary": "late"}, delay=30)])
    with pytest.raises(SummaryError, match=r"longer than 0\.01 seconds"):
        await summary_of(script, timeout=0.01)


async def test_a_cancelled_run_cancels_its_summary():
    waiting = asyncio.create_task(
        summary_of([Reply(data={"summary": "late"}, delay=30)], timeout=60)
    )
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_long_stretch_is_taken_in_piece_by_piece():
    script = Script([{"summary": f"up to {n}"} for n in range(10)])
    messages = [HumanMessage("word " * 2_000, id=str(n)) for n in range(6)]
    made = await summary_of(script, messages)
    assert made["text"] == f"up to {len(script.calls) - 1}"
    assert len(script.calls) == 3
    assert "up to 0" in script.calls[1].text
    assert made["ids"] == ids_of(messages)


async def test_a_failure_of_a_later_piece_fails_the_whole():
    script = Script([{"summary": "first"}, {"summary": ""}, {"summary": "third"}])
    messages = [HumanMessage("word " * 2_000, id=str(n)) for n in range(6)]
    with pytest.raises(SummaryError, match="empty"):
        await summary_of(script, messages)


async def test_a_summary_that_is_too_long_is_cut_behind_a_sentence():
    made = await summary_of([{"summary": "One sentence. " * 200}], max_tokens=50)
    assert made["text"].endswith("One sentence.")
    assert text_tokens(made["text"], token_counter(MODEL)) <= 50


async def test_one_endless_sentence_is_cut():
    made = await summary_of([{"summary": "word" * 2_000}], max_tokens=50)
    assert 0 < text_tokens(made["text"], token_counter(MODEL)) <= 50


async def test_the_last_five_hundred_ids_are_kept():
    messages = [HumanMessage("a", id=str(n)) for n in range(800)]
    made = await summary_of([{"summary": "a lot"}], messages)
    assert made["messages"] == 800
    assert made["ids"] == [str(n) for n in range(300, 800)]


class Chooser(ScriptedChatModel):
    """A weak model, which can choose among a few things and write nothing."""

    max_choices: int = 5


async def test_a_model_that_can_only_choose_is_not_asked():
    count = token_counter(MODEL)
    options = {"prompts": PromptSet(), "timeout": 5, "count": count, "max_tokens": 30}
    messages = [
        HumanMessage("I live in Graz. It is sunny.", id="1"),
        AIMessage("Good for you.", id="2"),
        HumanMessage("I have a dog. He barks.", id="3"),
    ]
    made = await updated_summary(None, messages, model=Chooser(Script()), **options)
    assert made["text"] == "User: I live in Graz.\nUser: I have a dog."
    more = [HumanMessage(f"This is sentence number {n}.", id=str(n)) for n in range(4, 30)]
    made = await updated_summary(made, more, model=Chooser(Script()), **options)
    assert made["text"].endswith("number 29.")
    assert text_tokens(made["text"], count) <= 30


@settings(max_examples=30)
@given(conversations(), st.booleans())
async def test_whatever_was_said_can_be_summarised(messages, told):
    before = {"text": "so far", "messages": 1, "ids": []} if told else None
    script = Script({"summary": "in short"})
    made = await summary_of(script, messages, before)
    assert made["ids"] == ids_of(messages)
    assert len(script.calls) <= 1


async def test_lone_surrogates_and_pictures_are_told_as_text():
    script = Script({"summary": "in short"})
    picture = {"type": "image", "url": "https://example.org/a.png"}
    messages = [
        HumanMessage([{"type": "text", "text": "Look \ud800 here"}, picture], id="1"),
        AIMessage("", tool_calls=[{"name": "see", "args": {"a": "\ud800"}, "id": "c"}], id="2"),
        ToolMessage("x" * 10_000, tool_call_id="c", name="see", id="3"),
    ]
    await summary_of(script, messages)
    (call,) = script.calls
    assert "[image]" in call.text
    assert len(call.text) < 6_000
    call.text.encode()
