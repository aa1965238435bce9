import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import BaseModel

from agentkit.errors import ConfigurationError, ScriptError
from agentkit.testing import Call, Fault, Reply, Script


def asked(script, text="hello", system=None):
    messages = [SystemMessage(system)] if system else []
    return script.answer(Call([*messages, HumanMessage(text)])).text


def test_replies_come_in_order_and_then_run_out():
    script = Script(["one", "two"])
    assert [asked(script), asked(script)] == ["one", "two"]
    with pytest.raises(ScriptError, match=r"any prompt \(used up\)"):
        asked(script)


def test_a_single_reply_serves_every_call():
    script = Script("same")
    assert {asked(script, str(number)) for number in range(5)} == {"same"}


def test_the_first_matching_rule_answers_and_the_default_comes_last():
    script = Script("default").when("France", reply="Paris").when(re.compile("Fr|It"), reply="EU")
    assert asked(script, "capital of France") == "Paris"
    assert asked(script, "capital of Italy") == "EU"
    assert asked(script, "capital of Peru") == "default"


def test_a_function_of_the_messages_matches_and_replies():
    script = Script().when(
        lambda messages: len(messages) == 1, reply=lambda messages: messages[0].text.upper()
    )
    assert asked(script, "shout") == "SHOUT"


def test_a_rule_can_be_for_one_system_text_only():
    script = Script("other").when("cats", system="rewrite", reply="rewritten")
    assert asked(script, "cats", system="You rewrite questions.") == "rewritten"
    assert asked(script, "cats", system="You answer questions.") == "other"
    assert asked(script, "rewrite cats") == "other"


def test_a_rule_matches_the_whole_prompt_tool_calls_included():
    call = {"name": "search", "args": {"query": "tides"}, "id": "1"}
    messages = [
        HumanMessage("Look it up"),
        AIMessage("", tool_calls=[call]),
        ToolMessage("twice a day", tool_call_id="1"),
    ]
    for part in ("Look it up", 'search({"query": "tides"})', "twice a day"):
        assert Script().when(part, reply="ok").answer(Call(messages)).text == "ok"


def test_a_rule_used_up_leaves_the_call_to_the_next():
    script = Script().when("x", reply="once", times=1).when("x", reply=["a", "b"])
    assert [asked(script, "x") for _ in range(3)] == ["once", "a", "b"]


def test_an_unanswered_prompt_is_shown_with_the_rules():
    script = Script().when("cats", system="rewrite", reply="x").when(re.compile("^d"), reply="y")
    with pytest.raises(ScriptError) as raised:
        asked(script, "birds", system="answer")
    told = str(raised.value)
    assert "[system] answer\n[human] birds" in told
    assert "1. system text contains 'rewrite' and prompt contains 'cats'" in told
    assert "2. prompt matches r'^d'" in told


def test_a_huge_unanswered_prompt_is_shortened():
    with pytest.raises(ScriptError, match="characters …") as raised:
        asked(Script(), "x" * 1_000_000)
    assert len(str(raised.value)) < 5000


def test_unanswered_calls_are_remembered_for_check():
    script = Script()
    script.check()
    with pytest.raises(ScriptError):
        asked(script, "lost")
    with pytest.raises(ScriptError, match="lost"):
        script.check()


def test_calls_are_recorded_even_when_unanswered():
    script = Script(["one"])
    asked(script, "first", system="be brief")
    with pytest.raises(ScriptError):
        asked(script, "second")
    assert [call.messages[-1].text for call in script.calls] == ["first", "second"]
    assert script.calls[0].text == "be brief\n\nfirst"
    assert script.calls[0].system == "be brief"


def test_recording_can_be_left_out():
    script = Script("x", record=False)
    asked(script)
    assert script.calls == []


def test_threads_share_a_script_and_each_reply_is_given_once():
    script = Script([str(number) for number in range(200)])
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: asked(script), range(200)))
    assert sorted(replies, key=int) == [str(number) for number in range(200)]


def test_a_function_that_raises_is_a_script_error_with_its_cause():
    def reply(messages):
        raise KeyError("oops")

    script = Script(reply)
    with pytest.raises(ScriptError, match="oops") as raised:
        asked(script)
    assert isinstance(raised.value.__cause__, KeyError)
    assert script.errors == [raised.value]


def test_a_function_that_returns_no_reply_is_a_script_error():
    with pytest.raises(ScriptError, match="returned 7"):
        asked(Script(lambda _: 7))


def test_data_that_json_cannot_hold_is_a_script_error():
    with pytest.raises(ScriptError, match="cannot be sent as JSON"):
        asked(Script(Reply(data={"x": object()})))


class City(BaseModel):
    name: str


TOOLS = [{"type": "function", "function": {"name": name}} for name in ("Town", "City")]


@pytest.mark.parametrize("data", [{"name": "Oslo"}, City(name="Oslo")])
def test_structured_output_is_json_text_unless_a_tool_is_forced(data):
    script = Script(data)
    for choice in (None, "auto", "none"):
        call = Call([HumanMessage("?")], tools=TOOLS, tool_choice=choice)
        assert script.answer(call).text == '{"name": "Oslo"}'
    named = {"type": "function", "function": {"name": "City"}}
    made = script.answer(Call([HumanMessage("?")], tools=TOOLS, tool_choice=named))
    assert made.text == ""
    assert [(c.name, c.arguments) for c in made.tool_calls] == [("City", '{"name": "Oslo"}')]
    assert made.finish_reason == "tool_calls"


def test_an_object_finds_the_tool_of_its_class_among_several():
    call = Call([HumanMessage("?")], tools=TOOLS, tool_choice="required")
    assert Script(City(name="Oslo")).answer(call).tool_calls[0].name == "City"
    with pytest.raises(ScriptError, match="which of the tools Town, City"):
        Script({"name": "Oslo"}).answer(call)


def test_a_reply_ends_at_the_first_stop_text():
    call = Call([HumanMessage("?")], stop=["never", "!", ","])
    assert Script("one, two! three").answer(call).text == "one"


def test_usage_counts_words_unless_it_is_scripted():
    counted = Script("one two").answer(Call([HumanMessage("a b c")]))
    assert (counted.input_tokens, counted.output_tokens) == (3, 2)
    given = Script(Reply("one two", usage=(7, 9))).answer(Call([HumanMessage("a b c")]))
    assert (given.input_tokens, given.output_tokens) == (7, 9)


def test_tool_calls_are_numbered_over_the_whole_script():
    reply = Reply(tool_calls=[{"name": "a", "args": {}}, {"name": "b", "args": {}, "id": "mine"}])
    script = Script(reply)
    ids = [call.id for _ in range(2) for call in script.answer(Call([])).tool_calls]
    assert ids == ["call_1", "mine", "call_2", "mine"]


async def an_async_function(messages):
    return ""


@pytest.mark.parametrize(
    "make",
    [
        lambda: Script(7),
        lambda: Script(b"bytes"),
        lambda: Script([None]),
        lambda: Script(TimeoutError),
        lambda: Script(an_async_function),
        lambda: Script().when("", reply="x"),
        lambda: Script().when(7, reply="x"),
        lambda: Script().when("x", system=len, reply="x"),
        lambda: Script().when("x", reply=[]),
        lambda: Script().when("x", reply="x", times=0),
        lambda: Script().when("x", reply=["x"], times=2),
        lambda: Reply("x", data={}),
        lambda: Reply(tool_calls=[{"args": {}}]),
        lambda: Reply("x", delay=-1),
        lambda: Reply("x", delay=float("nan")),
        lambda: Fault.http_error(200),
        lambda: Fault.timeout(-1),
        lambda: Fault.cut_stream(after=-1),
    ],
)
def test_a_script_that_cannot_work_is_refused_when_it_is_made(make):
    with pytest.raises(ConfigurationError):
        make()
