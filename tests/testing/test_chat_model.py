import asyncio
import re
import time
from typing import Literal, TypedDict

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from pydantic import BaseModel

from agentkit.errors import ScriptError
from agentkit.testing import Fault, Reply, Script, ScriptedChatModel


class TestStandard(ChatModelUnitTests):
    @property
    def chat_model_class(self):
        return ScriptedChatModel

    @property
    def chat_model_params(self):
        return {"script": Script("ok")}


def called(name, **args):
    return Reply(tool_calls=[{"name": name, "args": args}])


class TestConversation(ChatModelIntegrationTests):
    """The suite that LangChain runs against real models, with replies scripted for its prompts."""

    @property
    def chat_model_class(self):
        return ScriptedChatModel

    @property
    def chat_model_params(self):
        script = Script("Hello to you!")
        script.when("It's sunny", reply="Sunny.")
        script.when("weather", reply=called("get_weather", location="San Francisco"))
        script.when("magic_function_no_args", reply=called("magic_function_no_args"))
        script.when("the value of magic_function(3)", reply=called("magic_function", input=3))
        script.when(re.compile("^Hello!$"), reply=called("magic_function", input=3))
        script.when("Pirate greeting", reply=called("greeting_generator", answer_style="Pirate"))
        script.when("joke", reply={"setup": "Why do cats purr?", "punchline": "For fun."})
        for name in ("你好啊集团", "こんにちは株式会社"):
            script.when(name, reply=called("unicode_customer", customer_name=name))
        return {"script": script}

    @property
    def supports_json_mode(self):
        return True

    @property
    def model_override_value(self):
        return "another"

    @property
    def supports_model_override(self):
        return True


class City(BaseModel):
    """A city."""

    name: str
    inhabitants: int = 0


class CityDict(TypedDict):
    """A city."""

    name: str


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


def joined(chunks):
    whole, *rest = chunks
    for chunk in rest:
        whole += chunk
    return whole


def test_it_replies_with_text_usage_and_metadata():
    reply = ScriptedChatModel(["Paris it is"]).invoke("capital of France?")
    assert isinstance(reply, AIMessage)
    assert reply.text == "Paris it is"
    assert reply.usage_metadata == {"input_tokens": 3, "output_tokens": 3, "total_tokens": 6}
    assert reply.response_metadata["model_name"] == "scripted"
    assert reply.response_metadata["finish_reason"] == "stop"


async def test_it_replies_in_async_code():
    assert (await ScriptedChatModel("hi").ainvoke("?")).text == "hi"


@pytest.mark.parametrize("text", ["one two  three\n\nfour ", " ", "word", ""])
def test_the_streamed_words_are_the_text(text):
    model = ScriptedChatModel(text)
    chunks = list(model.stream("a b"))
    whole = joined(chunks)
    assert whole.text == text
    assert whole.usage_metadata == model.invoke("a b").usage_metadata
    assert [chunk.usage_metadata for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)


async def test_it_streams_in_async_code_word_by_word():
    chunks = [chunk.text async for chunk in ScriptedChatModel("one two three").astream("?")]
    assert chunks == ["one", " two", " three", ""]


@pytest.mark.parametrize("stream", [False, True])
def test_it_calls_tools(stream):
    calls = [{"name": "add", "args": {"a": 1, "b": 2}}, {"name": "multiply", "args": {"a": 3}}]
    model = ScriptedChatModel(Reply("Let me see.", tool_calls=calls)).bind_tools([add, multiply])
    reply = joined(model.stream("1 + 2?")) if stream else model.invoke("1 + 2?")
    assert reply.text == "Let me see."
    assert [(c["name"], c["args"], c["id"]) for c in reply.tool_calls] == [
        ("add", {"a": 1, "b": 2}, "call_1"),
        ("multiply", {"a": 3}, "call_2"),
    ]
    assert reply.response_metadata["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("args", ['{"a": ', "[1]"])
def test_broken_tool_arguments_are_an_invalid_tool_call(args):
    reply = ScriptedChatModel(Reply(tool_calls=[{"name": "add", "args": args}])).invoke("?")
    assert reply.tool_calls == []
    assert [(c["name"], c["args"]) for c in reply.invalid_tool_calls] == [("add", args)]


def test_a_tool_loop_is_scripted_by_what_the_prompt_holds():
    script = Script().when("14", reply="The sum is 14.")
    script.when("add", reply=Reply(tool_calls=[{"name": "add", "args": {"a": 8, "b": 6}}]))
    model = ScriptedChatModel(script).bind_tools([add])
    question = HumanMessage("Please add 8 and 6")
    first = model.invoke([question])
    result = ToolMessage(str(add(**first.tool_calls[0]["args"])), tool_call_id="call_1")
    assert model.invoke([question, first, result]).text == "The sum is 14."


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
@pytest.mark.parametrize("given", [City(name="Oslo"), {"name": "Oslo"}])
async def test_structured_output_by_every_method_and_kind_of_schema(method, given):
    model = ScriptedChatModel(given)
    typed = model.with_structured_output(City, method=method)
    assert typed.invoke("?") == City(name="Oslo")
    assert await typed.ainvoke("?") == City(name="Oslo")
    assert list(typed.stream("?"))[-1] == City(name="Oslo")
    schemas = [CityDict, {"title": "City", "description": "A city.", **City.model_json_schema()}]
    for schema in schemas:
        read = await model.with_structured_output(schema, method=method).ainvoke("?")
        assert read["name"] == "Oslo"


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
async def test_include_raw_gives_the_message_beside_the_object(method):
    model = ScriptedChatModel(City(name="Oslo"))
    chain = model.with_structured_output(City, method=method, include_raw=True)
    for read in (chain.invoke("?"), await chain.ainvoke("?")):
        assert isinstance(read["raw"], AIMessage)
        assert read["parsed"] == City(name="Oslo")
        assert read["parsing_error"] is None


def test_a_broken_structured_reply_is_a_parsing_error():
    model = ScriptedChatModel("not JSON at all")
    with pytest.raises(OutputParserException):
        model.with_structured_output(City).invoke("?")
    read = model.with_structured_output(City, include_raw=True).invoke("?")
    assert read["raw"].text == "not JSON at all"
    assert read["parsed"] is None
    assert isinstance(read["parsing_error"], OutputParserException)


def test_without_structured_output_it_says_so_as_other_models_do():
    model = ScriptedChatModel("x", structured_output=False)
    with pytest.raises(NotImplementedError):
        model.with_structured_output(City)
    assert model.bind_tools([add]).invoke("?").text == "x"


def test_the_options_of_a_call_are_recorded():
    script = Script("x")
    model = ScriptedChatModel(script)
    model.bind_tools([add], tool_choice="add").invoke("?", stop=["!"], temperature=0.5)
    model.with_structured_output(City, include_raw=True).invoke("?")
    list(model.stream("?"))
    bound, structured, _ = script.calls
    assert [tool["function"]["name"] for tool in bound.tools] == ["add"]
    assert bound.tool_choice == {"type": "function", "function": {"name": "add"}}
    assert bound.stop == ["!"]
    assert bound.params == {"temperature": 0.5}
    assert structured.response_format["json_schema"]["name"] == "City"
    assert [call.streamed for call in script.calls] == [False, False, True]


@pytest.mark.parametrize(
    ("choice", "recorded"), [("any", "required"), (True, "required"), ("auto", "auto")]
)
def test_tool_choices_are_recorded_as_openai_has_them(choice, recorded):
    script = Script("x")
    ScriptedChatModel(script).bind_tools([add, multiply], tool_choice=choice).invoke("?")
    assert script.calls[0].tool_choice == recorded


async def test_an_exception_is_raised_and_the_next_reply_follows():
    model = ScriptedChatModel([TimeoutError("slow"), "ok", ValueError("bad"), "ok"])
    with pytest.raises(TimeoutError, match="slow"):
        model.invoke("?")
    assert model.invoke("?").text == "ok"
    with pytest.raises(ValueError, match="bad"):
        await model.ainvoke("?")
    assert (await model.ainvoke("?")).text == "ok"


def test_an_unanswered_prompt_fails_loudly_and_is_remembered():
    script = Script().when("cats", reply="meow")
    with pytest.raises(ScriptError, match="dogs"):
        ScriptedChatModel(script).invoke("dogs")
    with pytest.raises(ScriptError, match="dogs"):
        script.check()


def test_a_fault_belongs_to_the_server():
    script = Script(Fault.server_error())
    with pytest.raises(ScriptError, match="ModelServer"):
        ScriptedChatModel(script).invoke("?")
    assert len(script.errors) == 1


async def test_delays_are_waited_for_side_by_side():
    model = ScriptedChatModel(Reply("x", delay=0.05), latency=0.05)
    started = time.perf_counter()
    await asyncio.gather(*(model.ainvoke("?") for _ in range(20)))
    assert 0.1 <= time.perf_counter() - started < 1


def test_delays_are_waited_for_in_sync_code():
    started = time.perf_counter()
    ScriptedChatModel("x", latency=0.02).invoke("?")
    list(ScriptedChatModel("x", latency=0.02).stream("?"))
    assert time.perf_counter() - started >= 0.04


def test_a_model_keeps_to_its_declared_kind_of_answer():
    class Choice(BaseModel):
        pick: Literal["a", "b"]

    chain = ScriptedChatModel({"pick": "c"}).with_structured_output(Choice, include_raw=True)
    assert chain.invoke("?")["parsed"] is None


async def test_it_makes_an_agent_with_langchain():
    from langchain.agents import create_agent

    script = Script().when("14", reply="It is 14.")
    script.when("8 and 6", reply=Reply(tool_calls=[{"name": "add", "args": {"a": 8, "b": 6}}]))
    agent = create_agent(ScriptedChatModel(script), [add])
    ended = await agent.ainvoke({"messages": [("human", "add 8 and 6")]})
    assert ended["messages"][-1].text == "It is 14."
    script.check()
