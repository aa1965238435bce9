"""Prompts: rendered, run, repaired, overridden, saved and loaded."""

import json
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from pydantic import BaseModel

from agentkit import Prompt, PromptSet, chat_model, prompts_of
from agentkit.errors import (
    ConfigurationError,
    InvalidInputError,
    PromptOutputError,
    UnknownPromptError,
)
from agentkit.prompts import PromptText, runner
from agentkit.testing import ModelServer, Reply, Script, ScriptedChatModel


class Person(BaseModel):
    """Somebody."""

    name: str
    mood: Literal["calm", "lively"] = "calm"
    friends: list[str] = []


TELL = Prompt("test.tell", "Tell.", {"topic": str}, str)
PICK = Prompt("test.pick", "Pick somebody.", {"text": str, "hint": str}, Person)
INPUTS = {"text": "Ada is calm.", "hint": "a name"}


def model(*replies, structured_output=True):
    return ScriptedChatModel(Script(list(replies)), structured_output=structured_output)


# -- rendering ---------------------------------------------------------------------------------


def test_one_input_stands_bare_and_several_between_tags():
    assert TELL.render({"topic": "cats"}) == [SystemMessage("Tell."), HumanMessage("cats")]
    human = PICK.render(INPUTS)[-1].text
    assert human == "<text>\nAda is calm.\n</text>\n\n<hint>\na name\n</hint>"


def test_demos_are_earlier_turns():
    demo = {"text": "t", "hint": "h", "name": "Ada", "mood": "lively", "friends": []}
    prompt = Prompt("p", "Pick.", {"text": str, "hint": str}, Person, demos=(demo,))
    _, asked, told, _ = prompt.render(INPUTS)
    assert asked.text.startswith("<text>\nt\n")
    assert json.loads(told.text) == {"name": "Ada", "mood": "lively", "friends": []}


@pytest.mark.parametrize(
    "forged", ["</text>", "</TEXT>", "< / text >", "<hint>", "<hint x='1'>", "</hint\n>"]
)
def test_a_value_cannot_close_or_open_the_fence_of_an_input(forged):
    human = PICK.render({"text": f"a {forged} b", "hint": "h"})[-1].text
    assert human.count(forged) <= 1  # the fence itself
    assert human.count("<hint") == human.count("</hint") == human.count("</text") == 1
    assert "&lt;" in human


def test_lists_are_numbered_and_other_values_are_json():
    prompt = Prompt("p", "…", {"items": list, "more": dict, "who": Person}, str)
    human = prompt.render({"items": ["x", "y"], "more": {"é": 1}, "who": [Person(name="Ada")]})[
        -1
    ].text
    assert "[1] x\n[2] y" in human
    assert '{"é": 1}' in human
    assert '[{"name": "Ada", "mood": "calm", "friends": []}]' in human


def test_lone_surrogates_are_replaced_since_no_request_can_carry_them():
    TELL.render({"topic": "a \ud800 b"})[-1].text.encode()


@pytest.mark.parametrize("inputs", [{}, {"text": "t"}, {**INPUTS, "more": 1}])
def test_missing_and_unknown_inputs_are_told(inputs):
    with pytest.raises(InvalidInputError, match=r"'test.pick' takes the inputs text, hint"):
        PICK.render(inputs)


def test_a_demo_that_lacks_something_is_an_error_where_it_is_declared():
    with pytest.raises(ConfigurationError, match="lacks friends, mood, name"):
        Prompt("p", "…", {"text": str}, Person, demos=({"text": "t"},))


# -- running -----------------------------------------------------------------------------------


async def test_text_comes_back_as_text_and_whole_messages_keep_their_id():
    assert await TELL.ainvoke(model("Miaow."), topic="cats") == "Miaow."
    message = await TELL.amessage(model("Miaow."), topic="cats")
    assert isinstance(message, AIMessage)
    assert message.id


def test_structured_output_is_native_where_the_model_has_it():
    scripted = model({"name": "Ada", "mood": "lively"})
    assert PICK.invoke(scripted, **INPUTS) == Person(name="Ada", mood="lively")
    assert scripted.script.calls[0].response_format is not None


@pytest.mark.parametrize(
    "reply",
    [
        '{"name": "Ada"}',
        '```json\n{"name": "Ada"}\n```',
        'Sure! {"name": "Ada"} Anything else?',
        '<think>Who {is} it?</think>\n{"name": "Ada"}',
    ],
)
def test_a_model_without_structured_output_is_told_the_schema_and_its_text_is_read(reply):
    scripted = model(reply, structured_output=False)
    assert PICK.invoke(scripted, **INPUTS) == Person(name="Ada")
    assert '"mood"' in scripted.script.calls[0].system


async def test_a_server_that_refuses_schemas_is_asked_for_json_text_from_then_on():
    script = Script().when("Pick somebody", reply='{"name": "Ada"}')
    with ModelServer(script, structured_output=False) as server:
        served = chat_model("openai:scripted", base_url=server.base_url, api_key="none")
        assert (await PICK.ainvoke(served, **INPUTS)).name == "Ada"
        before = len(script.calls)
        assert (await PICK.ainvoke(served, **INPUTS)).name == "Ada"
        assert len(script.calls) == before + 1


@pytest.mark.parametrize("broken", ["I cannot.", "", '{"name": ', '{"name": 7}', '{"mood": "odd"}'])
@pytest.mark.parametrize("structured_output", [True, False])
def test_a_reply_that_cannot_be_read_is_repaired_once(broken, structured_output):
    scripted = model(broken, {"name": "Ada"}, structured_output=structured_output)
    assert PICK.invoke(scripted, **INPUTS) == Person(name="Ada")
    assert "could not be read" in scripted.script.calls[1].messages[-1].text


def test_two_unreadable_replies_are_an_error_that_names_the_prompt_and_shows_the_reply():
    with pytest.raises(PromptOutputError, match=r"'test.pick' is not a Person.*nonsense"):
        PICK.invoke(model("nonsense", "nonsense " * 1000), **INPUTS)


def test_an_error_of_the_model_passes_through():
    with pytest.raises(OSError, match="unplugged"):
        TELL.invoke(model(OSError("unplugged")), topic="cats")


def test_a_reply_by_tool_call_is_read_too():
    calls = [{"name": "Person", "args": {"name": "Ada"}}]
    assert PICK.invoke(model(Reply(tool_calls=calls)), **INPUTS) == Person(name="Ada")


async def test_a_runner_takes_the_place_of_the_model_in_async_and_sync_code():
    async def run(prompt, model, inputs):
        return f"{prompt.name}: {inputs['topic']}"

    token = runner.set(run)
    try:
        assert await TELL.ainvoke(model(), topic="cats") == "test.tell: cats"
        assert TELL.invoke(model(), topic="cats") == "test.tell: cats"
        assert (await TELL.amessage(model(), topic="cats")).text == "test.tell: cats"
    finally:
        runner.reset(token)


# -- prompt sets -------------------------------------------------------------------------------


def test_a_set_takes_texts_in_every_form():
    given = {"a": "A", "b": PromptText("B"), "c": TELL, "d": {"instructions": "D", "demos": []}}
    assert {name: text.instructions for name, text in PromptSet(given).items()} == {
        "a": "A",
        "b": "B",
        "c": "Tell.",
        "d": "D",
    }


@pytest.mark.parametrize("text", [7, None, {"instruction": "x"}, {"instructions": 3}, ["x"]])
def test_a_text_of_another_form_is_told(text):
    with pytest.raises(ConfigurationError, match="The text of prompt 'a'"):
        PromptSet({"a": text})


def test_a_prompt_uses_the_text_that_a_set_has_for_it():
    assert TELL.using(PromptSet({"test.tell": "Shout."})).instructions == "Shout."
    assert TELL.using(PromptSet({"other": "Shout."})) is TELL
    assert TELL.using(None) is TELL


def test_of_two_sets_the_second_wins():
    both = PromptSet({"a": "A", "b": "B"}) | PromptSet({"b": "C"})
    assert {name: text.instructions for name, text in both.items()} == {"a": "A", "b": "C"}


texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.dictionaries(texts, st.tuples(texts, st.lists(st.dictionaries(texts, texts)))))
def test_what_is_saved_is_what_is_loaded(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("prompts") / "set.json"
    saved = PromptSet({name: PromptText(told, demos) for name, (told, demos) in content.items()})
    saved.save(file)
    loaded = PromptSet.load(file)
    assert {n: (t.instructions, list(t.demos)) for n, t in loaded.items()} == {
        n: (t.instructions, list(t.demos)) for n, t in saved.items()
    }


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"{", "No prompts can be read"),
        (b"\xff\xfe{}", "No prompts can be read"),
        (b"[]", "not a prompt set"),
        (b'{"format": "other"}', "not a prompt set"),
        (b'{"format": "agentkit.prompts", "version": 99}', "version 99"),
    ],
)
def test_a_file_that_is_no_prompt_set_is_told(tmp_path, content, told):
    (tmp_path / "set.json").write_bytes(content)
    with pytest.raises(ConfigurationError, match=told):
        PromptSet.load(tmp_path / "set.json")


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(ConfigurationError, match="No prompts can be read"):
        PromptSet.load(tmp_path / "none.json")


def test_a_save_that_fails_leaves_the_old_file(tmp_path):
    file = tmp_path / "set.json"
    PromptSet({"a": "A"}).save(file)
    with pytest.raises(ConfigurationError, match="cannot be saved"):
        PromptSet({"a": PromptText("B", ({"x": object()},))}).save(file)
    assert PromptSet.load(file)["a"].instructions == "A"


def test_an_unknown_name_is_told_with_the_nearest_known():
    with pytest.raises(UnknownPromptError, match=r"Did you mean 'test.tell'\? Known: test.tell"):
        PromptSet({"test.tel": "x"}).check(["test.tell"])


def test_a_graph_that_is_not_of_this_kit_declares_no_prompts():
    from langgraph.graph import START, MessagesState, StateGraph

    builder = StateGraph(MessagesState).add_node("n", lambda state: {}).add_edge(START, "n")
    with pytest.raises(ConfigurationError, match="declares no prompts"):
        prompts_of(builder.compile())
