"""Limits, replies that nothing can be made of, and options that cannot work."""

import asyncio
import contextlib
import json

import pytest
from langchain.agents.middleware import SummarizationMiddleware
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import StructuredTool, tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver

from agentkit import create_tool_agent, prompts_of
from agentkit.errors import ConfigurationError
from agentkit.testing import ModelServer, Reply, Script, ScriptedChatModel

THREAD = {"configurable": {"thread_id": "1"}}


@tool
def look(place: str = "") -> str:
    """Look at a place."""
    return f"There is nothing at {place}. " + "Nothing at all. " * 60


def looking(messages):
    """Never stops looking, while it is offered anything to look with."""
    return Reply(tool_calls=[{"name": "look", "args": {"place": str(len(messages))}}])


def summarizing(messages):
    told = messages[-1].text.casefold()
    return "It looked and looked." if "summar" in told or "conversation" in told else None


def endless(messages):
    return summarizing(messages) or looking(messages)


def agent(script, **options):
    script = script if isinstance(script, Script) else Script(script)
    graph = create_tool_agent(
        ScriptedChatModel(script), [look], permissions={"look": "read"}, **options
    )
    return graph, script


def looked(script):
    """How often the model was asked for something else than a summary."""
    return sum(1 for call in script.calls if "Do what is asked" in call.messages[0].text)


# -- limits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["async", "sync"])
async def test_a_summary_in_the_middle_of_a_run_does_not_begin_its_limits_anew(how):
    graph, script = agent(endless, max_prompt_tokens=2_200, max_model_calls=12)
    given = {"question": "Look everywhere."}
    result = await graph.ainvoke(given) if how == "async" else graph.invoke(given)
    assert any(summarizing(call.messages) for call in script.calls), "nothing was summarised"
    assert looked(script) == 12
    assert len(result["trace"]) == 11
    assert "The limit of this run was reached" in result["answer"]


async def test_nor_does_a_summary_of_other_middleware():
    summaries = SummarizationMiddleware(
        ScriptedChatModel(Script(lambda messages: "It looked.")),
        trigger=("messages", 6),
        keep=("messages", 2),
    )
    graph, script = agent(looking, middleware=[summaries], max_model_calls=9)
    result = await graph.ainvoke({"question": "Look everywhere."})
    assert len(script.calls) == 9
    assert len(result["trace"]) == 8


async def test_limits_begin_anew_with_each_question():
    graph, script = agent(
        endless, max_prompt_tokens=2_200, max_model_calls=3, checkpointer=InMemorySaver()
    )
    for _ in range(3):
        result = await graph.ainvoke({"question": "Look everywhere."}, THREAD)
        assert len(result["trace"]) == 2
    assert looked(script) == 9


async def test_a_summary_is_written_by_the_model_of_the_run_and_not_streamed():
    graph, built_with = agent(["Never asked."], max_prompt_tokens=2_200, max_model_calls=6)
    of_run = Script(endless)
    streamed = [
        part.text
        async for part, _ in graph.astream(
            {"question": "Look everywhere."},
            context={"model": ScriptedChatModel(of_run)},
            stream_mode="messages",
        )
    ]
    assert any(summarizing(call.messages) for call in of_run.calls)
    assert built_with.calls == []
    assert "looked" not in "".join(streamed).replace(" ", "")


async def test_the_summarys_prompt_is_one_of_the_agents_and_a_run_may_change_it():
    graph, script = agent(endless, max_prompt_tokens=2_200, max_model_calls=6)
    assert "memory.summarize" in prompts_of(graph)
    context = {"prompts": {"memory.summarize": "Make a SUMMARY of the conversation in Latin."}}
    await graph.ainvoke({"question": "Look everywhere."}, context=context)
    assert any("in Latin" in call.text for call in script.calls)


@pytest.mark.parametrize("options", [{}, {"max_prompt_tokens": 50_000}])
async def test_tokens_that_no_model_reports_are_estimated(options):
    class Silent(ScriptedChatModel):
        def _generate(self, *given, **options):
            return _without_usage(super()._generate(*given, **options))

        async def _agenerate(self, *given, **options):
            return _without_usage(await super()._agenerate(*given, **options))

    def _without_usage(result):
        for generation in result.generations:
            generation.message.usage_metadata = None
        return result

    script = Script(looking)
    graph = create_tool_agent(
        Silent(script), [look], permissions={"look": "read"}, max_tokens=3_000, **options
    )
    result = await graph.ainvoke({"question": "Look everywhere."})
    assert 2 <= len(result["trace"]) <= 8
    assert all(m.usage_metadata is None for m in result["messages"] if isinstance(m, AIMessage))


async def test_at_the_limit_an_empty_reply_is_answered_with_what_the_tools_said():
    graph, _ = agent(looking, max_model_calls=2)
    result = await graph.ainvoke({"question": "Look."})
    assert result["answer"].startswith("The limit of this run was reached before there was an")
    assert "There is nothing at 2." in result["answer"]
    assert [citation["number"] for citation in result["citations"]] == [1]


@pytest.mark.parametrize("how", ["async", "sync"])
async def test_the_result_of_a_tool_that_returns_directly_is_the_answer(how):
    @tool(return_direct=True)
    def price() -> str:
        """Tell the price."""
        return "[Tea] costs 3 francs."

    script = Script([Reply(tool_calls=[{"name": "price", "args": {}}])])
    graph = create_tool_agent(ScriptedChatModel(script), [price], permissions={"price": "read"})
    given = {"question": "What does tea cost?"}
    result = await graph.ainvoke(given) if how == "async" else graph.invoke(given)
    assert result["answer"] == "[Tea] costs 3 francs."
    assert [citation["tool"] for citation in result["citations"]] == ["price"]
    assert len(script.calls) == 1


# -- replies ---------------------------------------------------------------------------------------


@pytest.fixture
def over_http():
    """Makes an agent over a real client and a server that replies with a script."""
    with contextlib.ExitStack() as stack:

        def made(*replies, streaming=False, **options):
            script = Script(list(replies))
            server = stack.enter_context(ModelServer(script))
            chat = ChatOpenAI(
                model="scripted", base_url=server.base_url, api_key="none", streaming=streaming
            )
            tools = options.pop("tools", [look])
            reads = {each.name: "read" for each in tools}
            return create_tool_agent(chat, tools, permissions=reads, **options), script

        yield made


def call(args, **more):
    return {"name": "look", "args": args, **more}


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    "arguments",
    ['["here"]', '"here"', "7", "true", "{", "[" * 400, '{"a"}'],
    ids=lambda given: str(given)[:9],
)
async def test_arguments_that_are_no_object_are_asked_for_again(arguments, streaming, over_http):
    bad = Reply(tool_calls=[call(arguments)])
    graph, script = over_http(bad, Reply(tool_calls=[call({"place": "home"})]), "Nothing there.")
    result = await graph.ainvoke({"question": "Look."})
    assert result["answer"] == "Nothing there."
    assert [record["arguments"] for record in result["trace"]] == [{"place": "home"}]
    assert len(script.calls) == 3


async def test_a_model_that_never_writes_arguments_ends_the_run_in_an_answer(over_http):
    bad = Reply(tool_calls=[call("[1]")])
    graph, _ = over_http(bad, bad, bad, streaming=True)
    result = await graph.ainvoke({"question": "Look."})
    assert result["trace"] == []
    assert result["answer"]


@pytest.mark.parametrize("streaming", [False, True])
async def test_halves_of_characters_are_replaced_and_can_be_saved(streaming, over_http):
    half = Reply(
        tool_calls=[call('{"place": "a\\ud83d", "b\\udc00": ["\\udfff", "\\ud83d\\ude00"]}')]
    )
    graph, _ = over_http(half, "Done.", streaming=streaming, checkpointer=InMemorySaver())
    result = await graph.ainvoke({"question": "Look."}, THREAD)
    assert result["answer"] == "Done."
    told = json.dumps(result["trace"][0]["arguments"], ensure_ascii=False)
    assert told.encode()
    assert "😀" in told


@pytest.mark.parametrize("ids", [["x", "x"], ["", ""], [" ", "x"]])
async def test_calls_whose_ids_are_no_help_are_told_apart(ids, over_http):
    both = Reply(tool_calls=[call({"place": str(at)}, id=name) for at, name in enumerate(ids)])
    again = Reply(tool_calls=[call({"place": "2"}, id=ids[0])])
    graph, _ = over_http(both, again, "Nothing anywhere [3].", checkpointer=InMemorySaver())
    result = await graph.ainvoke({"question": "Look."}, THREAD)
    assert result["answer"] == "Nothing anywhere [3]."
    results = [m for m in result["messages"] if m.type == "tool"]
    assert [m.text[:25] for m in results] == [
        f"[{at + 1}] There is nothing at {at}" for at in range(3)
    ]
    assert len({m.tool_call_id for m in results}) == 3
    assert [record["number"] for record in result["trace"]] == [1, 2, 3]


# -- tools -----------------------------------------------------------------------------------------


async def double(number: int) -> int:
    """Double a number."""
    await asyncio.sleep(0)
    return 2 * number


@pytest.mark.parametrize(
    "made", [double, tool(double), StructuredTool.from_function(coroutine=double)]
)
@pytest.mark.parametrize("how", ["async", "sync"])
async def test_a_tool_that_is_async_alone_works_in_sync_code_too(made, how):
    script = Script([Reply(tool_calls=[{"name": "double", "args": {"number": 4}}]), "8."])
    graph = create_tool_agent(ScriptedChatModel(script), [made], permissions={"double": "read"})
    given = {"question": "Twice 4?"}
    result = await graph.ainvoke(given) if how == "async" else graph.invoke(given)
    assert [record["outcome"] for record in result["trace"]] == ["ok"]
    assert result["messages"][-2].text == "[1] 8"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"tool_timeout": 0}, "`tool_timeout` is a number of seconds above 0"),
        ({"tool_timeout": float("nan")}, "`tool_timeout` is a number of seconds above 0"),
        ({"max_result_chars": 0}, "`max_result_chars` is a whole number, 1 or more"),
        ({"offered_tools": -1}, "`offered_tools` is a whole number, 1 or more"),
        ({"clear_results_above": 0}, "`clear_results_above` is a whole number, 1 or more"),
        ({"max_prompt_tokens": 0}, "`max_prompt_tokens` is a whole number, 1 or more"),
        ({"tool_retries": -1}, "`tool_retries` is a whole number, 0 or more"),
    ],
)
def test_an_option_that_cannot_work_is_refused(options, told):
    with pytest.raises(ConfigurationError, match=told):
        agent(["Never asked."], **options)


def test_among_many_tools_none_may_have_the_name_of_the_agents_own():
    def made(name):
        return StructuredTool.from_function(lambda: "x", name=name, description="Do x.")

    tools = [made(f"tool_{at}") for at in range(40)]
    with pytest.raises(ConfigurationError, match="'find_tools': rename yours"):
        create_tool_agent(ScriptedChatModel(Script([])), [*tools, made("find_tools")])
    create_tool_agent(ScriptedChatModel(Script([])), [*tools[:5], made("find_tools")])


async def test_personal_data_is_taken_out_of_what_is_sent_and_returned():
    @tool
    def directory() -> str:
        """List addresses."""
        return "bo@example.org"

    script = Script([Reply(tool_calls=[{"name": "directory", "args": {}}]), "Ask bo@example.org."])
    graph = create_tool_agent(
        ScriptedChatModel(script), [directory], permissions={"directory": "read"}, redact=["email"]
    )
    asked = "Who is ada@example.org?"
    streamed = [
        part.text
        async for part, _ in graph.astream({"question": asked}, stream_mode="messages")
        if isinstance(part, HumanMessage)
    ]
    assert streamed == []
    assert all("@example.org" not in call.text for call in script.calls)
    result = await create_tool_agent(
        ScriptedChatModel(Script(["Ask bo@example.org."])), [directory], redact=["email"]
    ).ainvoke({"question": asked})
    assert "@" not in result["answer"]
    assert "@" not in result["messages"][0].text
