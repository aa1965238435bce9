"""A conversation that remembers: short-term memory, other graphs, durability, bad input."""

import asyncio
import contextlib
import sqlite3
from uuid import UUID

import pytest
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import tool
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command
from typing_extensions import TypedDict

from agentkit import create_memory_chat, create_rag, create_tool_agent, prompts_of
from agentkit.errors import (
    ClockError,
    ConfigurationError,
    ConversationBusyError,
    InvalidInputError,
    UnknownPromptError,
)
from agentkit.memory import aconversation_history, conversation_history
from agentkit.testing import Reply, Script, ScriptedChatModel

SMALL = {"max_tokens": 400, "max_summary_tokens": 40}
FACT = "This sentence is a fact about number {n}, which is worth a lot of words to say."


def thread(name="1"):
    return {"configurable": {"thread_id": name}}


def summarizing(script="ok"):
    made = script if isinstance(script, Script) else Script(script)
    return made.when(None, system="Keep the summary", reply={"summary": "Numbers were told."})


def chat(script="ok", checkpointer=True, **options):
    saver = InMemorySaver() if checkpointer is True else checkpointer
    model = ScriptedChatModel(script if isinstance(script, Script) else Script(script))
    return create_memory_chat(model, checkpointer=saver, **options)


def replies_of(script):
    return [call for call in script.calls if "Keep the summary" not in call.system]


def tokens_of(result):
    """The tokens of the prompt, as the model has counted them."""
    return result["messages"][-1].usage_metadata["input_tokens"]


async def ask(graph, question, name="1", **options):
    return await graph.ainvoke({"question": question}, thread(name), **options)


async def run(graph, how, given):
    if how == "async":
        return await graph.ainvoke(given, thread())
    return await asyncio.to_thread(graph.invoke, given, thread())


async def test_the_conversation_reaches_the_model():
    script = Script(["Hello Ada.", "Your name is Ada."])
    graph = chat(script)
    await ask(graph, "I am Ada.")
    result = await ask(graph, "Who am I?")
    assert result["answer"] == "Your name is Ada."
    assert [m.text for m in script.calls[1].messages[1:]] == [
        "I am Ada.",
        "Hello Ada.",
        "Who am I?",
    ]
    assert len(result["messages"]) == 4
    assert result["failures"] == []


def test_a_sync_conversation_is_the_same():
    graph = chat(Script(["Hello Ada.", "Ada."]))
    graph.invoke({"question": "I am Ada."}, thread())
    assert graph.invoke({"messages": [("user", "Who am I?")]}, thread())["answer"] == "Ada."


async def test_a_chat_without_checkpointer_replies_to_what_it_is_given():
    script = Script("ok")
    said = [("user", "a"), ("assistant", "b"), ("user", "c")]
    await chat(script, checkpointer=None).ainvoke({"messages": said})
    assert [m.text for m in script.calls[0].messages[1:]] == ["a", "b", "c"]


async def test_only_the_reply_streams_token_by_token():
    script = Script("one two three").when(
        None, system="Keep the summary", reply={"summary": "in short"}
    )
    graph = chat(script, **SMALL)
    for n in range(15):
        said = {"question": FACT.format(n=n)}
        parts = [part async for part in graph.astream(said, thread(), stream_mode="messages")]
        assert "".join(part.text for part, _ in parts) == "one two three"
        assert len(parts) > 2
    assert len(script.calls) > 15


async def test_every_prompt_of_a_thousand_turns_stays_within_the_budget():
    script = Script("ok").when(
        None, system="Keep the summary", reply={"summary": "Numbers were told. " * 30}
    )
    graph = chat(script, **SMALL)
    most = 0
    for n in range(1_000):
        result = await ask(graph, FACT.format(n=n))
        most = max(most, tokens_of(result))
    assert 200 < most <= SMALL["max_tokens"]
    assert len(result["messages"]) < 50
    assert result["summary"]["messages"] + len(result["messages"]) == 2_000


async def test_messages_that_do_not_fit_are_summarised_before_the_reply():
    script = summarizing()
    graph = chat(script, **SMALL)
    said = [("user" if n % 2 == 0 else "assistant", FACT.format(n=n)) for n in range(41)]
    modes = ["updates"]
    steps = [
        name
        async for _, update in graph.astream({"messages": said}, thread(), stream_mode=modes)
        for name in update
    ]
    assert steps == ["read_message", "make_room", "reply"]
    assert "Numbers were told." in replies_of(script)[0].system


async def test_the_summary_is_written_beside_the_reply():
    script = summarizing()
    graph = chat(script, **SMALL)
    seen = []
    for n in range(15):
        said = {"question": FACT.format(n=n)}
        steps = [step async for step in graph.astream(said, thread(), stream_mode="updates")]
        seen.append({name for step in steps for name in step})
    assert {"read_message", "reply", "summarize"} in seen
    assert not any("make_room" in steps for steps in seen)


async def test_a_failing_summary_is_told_and_the_chat_goes_on():
    script = Script("ok").when(None, system="Keep the summary", reply=OSError("down"))
    graph = chat(script, retry=None, **SMALL)
    failures = []
    for n in range(30):
        result = await ask(graph, FACT.format(n=n))
        failures.append(result["failures"])
        assert tokens_of(result) <= SMALL["max_tokens"]
    assert [failure["step"] for failure in failures[-1]] == ["summarize"]
    assert "down" in failures[-1][0]["error"]
    assert failures[0] == []
    assert len(result["messages"]) == 60


async def test_the_whole_conversation_is_found_in_the_checkpointer():
    graph = chat(summarizing(), **SMALL)
    for n in range(30):
        await ask(graph, FACT.format(n=n))
    history = await aconversation_history(graph, thread())
    assert [m.text for m in history if isinstance(m, HumanMessage)] == [
        FACT.format(n=n) for n in range(30)
    ]
    assert len(history) == 60


async def test_a_system_message_given_again_stays_once():
    script = summarizing()
    graph = chat(script)
    for n in range(3):
        said = [SystemMessage("Speak like a pirate."), HumanMessage(str(n))]
        result = await graph.ainvoke({"messages": said}, thread())
    assert replies_of(script)[-1].system.count("pirate") == 1
    assert [m.type for m in result["messages"]].count("system") == 1
    assert sum(isinstance(m, SystemMessage) for m in replies_of(script)[-1].messages) == 1


async def test_settings_of_a_run_win():
    script = summarizing()
    graph = chat(script)
    for n in range(25):
        await ask(graph, FACT.format(n=n), context=SMALL)
    assert len(script.calls) > 25
    other = Script("by another")
    result = await ask(graph, "Hi.", context={"model": ScriptedChatModel(other)})
    assert result["answer"] == "by another"


async def test_instructions_can_be_overridden():
    script = Script("ok")
    graph = chat(script, prompts={"memory.reply": "Speak like a pirate."})
    await ask(graph, "Hi.")
    assert script.calls[0].system == "Speak like a pirate."
    await ask(graph, "Hi?", context={"prompts": {"memory.reply": "Speak like a judge."}})
    assert script.calls[1].system == "Speak like a judge."
    assert set(prompts_of(graph)) == {"memory.reply", "memory.summarize", "memory.extract"}


# -- other graphs ----------------------------------------------------------------------------------


def rag_chat(script, **options):
    asked = []

    class Retriever(BaseRetriever):
        def _get_relevant_documents(self, query, **_):
            asked.append(query)
            return [Document("The tower is 96 m tall.", id="tower")]

    rag = create_rag(ScriptedChatModel(script), Retriever())
    return create_memory_chat(rag, checkpointer=InMemorySaver(), **options), asked


def rag_script():
    script = Script("It is 96 m tall [1].")
    return script.when(None, system="Rewrite the last question", reply="How tall is the tower?")


async def test_a_follow_up_stands_alone_when_it_reaches_a_graph():
    graph, asked = rag_chat(rag_script())
    first = await ask(graph, "Is there a tower?")
    second = await ask(graph, "How tall is it?")
    assert asked == ["Is there a tower?", "How tall is the tower?"]
    assert second["answer"] == "It is 96 m tall [1]."
    assert second["result"]["documents"][0].id == "tower"
    assert [c["number"] for c in second["result"]["citations"]] == [1]
    assert [m.text for m in second["messages"]] == [
        "Is there a tower?",
        first["answer"],
        "How tall is it?",
        second["answer"],
    ]


def test_a_sync_chat_with_a_graph_is_the_same():
    graph, asked = rag_chat(rag_script())
    graph.invoke({"question": "Is there a tower?"}, thread())
    graph.invoke({"question": "How tall is it?"}, thread())
    assert asked[-1] == "How tall is the tower?"


async def test_a_rewriting_that_fails_is_told_and_the_question_goes_as_it_is():
    script = Script("It is 96 m tall [1].")
    script.when(None, system="Rewrite the last question", reply=ValueError("broken"))
    graph, asked = rag_chat(script)
    await ask(graph, "Is there a tower?")
    result = await ask(graph, "How tall is it?")
    assert asked[-1] == "How tall is it?"
    assert [failure["step"] for failure in result["failures"]] == ["stand_alone"]


async def test_the_tokens_of_a_graph_stream_once():
    graph, _ = rag_chat(rag_script())
    given = {"question": "Is there a tower?"}
    options = {"stream_mode": "messages", "subgraphs": True}
    parts = [part async for _, part in graph.astream(given, thread(), **options)]
    assert "".join(message.text for message, _ in parts) == "It is 96 m tall [1]."
    parts = [part async for part in graph.astream(given, thread("2"), stream_mode="messages")]
    assert "".join(message.text for message, _ in parts) == "It is 96 m tall [1]."


def test_a_graph_that_replies_is_a_subgraph():
    graph, _ = rag_chat(rag_script())
    assert "reply:retrieve_question" in graph.get_graph(xray=True).nodes
    assert [name for name, _ in graph.get_subgraphs()] == ["reply"]


async def test_settings_reach_the_graph_that_replies():
    graph, _ = rag_chat(rag_script())
    result = await ask(graph, "Is there a tower?", context={"graph": {"answer": "none"}})
    assert result["result"]["documents"][0].id == "tower"
    assert result["answer"] == "The model gave no answer."


@tool
def send(text: str) -> str:
    """Send a text."""
    return f"Sent: {text}"


async def test_the_approval_of_an_agent_is_asked_through_the_chat():
    script = Script(
        [Reply(tool_calls=[{"name": "send", "args": {"text": "hi"}}]), "It is sent [1]."]
    )
    agent = create_tool_agent(ScriptedChatModel(script), [send])
    graph = create_memory_chat(agent, checkpointer=InMemorySaver())
    waiting = await ask(graph, "Send hi.")
    (asked,) = waiting["__interrupt__"]
    result = await graph.ainvoke(Command(resume={asked.id: {"type": "approve"}}), thread())
    assert result["answer"] == "It is sent [1]."
    assert len(result["messages"]) == 2


async def test_a_graph_that_takes_messages_is_sent_the_last_ones_and_the_summary():
    script = summarizing()
    agent = create_agent(ScriptedChatModel(script), [])
    graph = create_memory_chat(
        agent, model=ScriptedChatModel(script), checkpointer=InMemorySaver(), **SMALL
    )
    for n in range(15):
        result = await ask(graph, FACT.format(n=n))
    last = replies_of(script)[-1]
    assert "Numbers were told." in last.system
    assert 2 < len(last.messages) < 25
    assert result["answer"] == "ok"
    assert len(result["messages"]) < 25


async def test_a_message_is_not_rewritten_for_a_graph_that_takes_messages():
    script = Script("ok")
    model = ScriptedChatModel(script)
    graph = create_memory_chat(create_agent(model, []), model=model, checkpointer=InMemorySaver())
    await ask(graph, "I am Ada.")
    await ask(graph, "Who am I?")
    assert [call.messages[-1].text for call in script.calls] == ["I am Ada.", "Who am I?"]
    assert set(prompts_of(graph)) == {"memory.summarize", "memory.extract"}


# -- the same message again, and two writers -------------------------------------------------------


async def test_a_question_that_failed_is_not_asked_twice():
    script = Script([ValueError("broken"), "ok", "fine"])
    graph = chat(script)
    with pytest.raises(ValueError, match="broken"):
        await ask(graph, "Hello?")
    result = await ask(graph, "Hello?")
    assert [m.text for m in result["messages"]] == ["Hello?", "ok"]
    with_id = {"messages": [HumanMessage("And?", id="a")]}
    result = await graph.ainvoke(with_id, thread())
    assert [m.text for m in result["messages"]] == ["Hello?", "ok", "And?", "fine"]


async def test_a_message_that_has_its_reply_is_given_it_again():
    script = Script(["first", "second"])
    graph = chat(script)
    said = {"messages": [HumanMessage("Hello?", id="a")]}
    first = await graph.ainvoke(said, thread())
    again = await graph.ainvoke(said, thread())
    assert again["answer"] == first["answer"] == "first"
    assert len(again["messages"]) == 2
    assert len(script.calls) == 1


async def test_a_message_that_was_edited_is_replied_anew():
    script = Script(["first", "second"])
    graph = chat(script)
    await graph.ainvoke({"messages": [HumanMessage("Hello?", id="a")]}, thread())
    edited = {"messages": [HumanMessage("Good bye?", id="a")]}
    result = await graph.ainvoke(edited, thread())
    assert [m.text for m in result["messages"]] == ["Good bye?", "second"]
    assert [m.text for m in script.calls[1].messages[1:]] == ["Good bye?"]


async def test_two_writers_on_one_thread_lose_nothing():
    script = Script(lambda messages: f"re: {messages[-1].text}")
    graph = chat(script)
    await asyncio.gather(*(ask(graph, f"Message {n}") for n in range(20)))
    history = await aconversation_history(graph, thread())
    assert [m.text for m in history] == [
        text for n in range(20) for text in (f"Message {n}", f"re: Message {n}")
    ]


async def test_two_hundred_threads_keep_apart():
    script = Script(lambda messages: "+".join(m.text for m in messages[1:]))
    graph = chat(script)
    for turn in "ab":
        results = await asyncio.gather(*(ask(graph, f"{turn}{n}", str(n)) for n in range(200)))
    assert [r["answer"] for r in results] == [f"a{n}+a{n}+b{n}" for n in range(200)]


async def test_a_run_that_is_not_ended_is_not_waited_for_for_ever():
    graph = chat(turn_timeout=0.01)
    running = graph.astream({"question": "a"}, thread())
    await anext(running)
    with pytest.raises(ConversationBusyError, match="thread '1'"):
        await ask(graph, "b")
    await running.aclose()
    assert (await ask(graph, "b"))["answer"] == "ok"


# -- servers that are down, and the clock ----------------------------------------------------------


class Down(InMemorySaver):
    def get_tuple(self, config):
        raise sqlite3.OperationalError("disk I/O error")

    async def aget_tuple(self, config):
        return self.get_tuple(config)


@pytest.mark.parametrize("how", ["async", "sync"])
async def test_without_its_checkpointer_the_chat_goes_on_and_says_so(how):
    graph = chat(Script("ok"), Down())
    result = await run(graph, how, {"question": "Hello?"})
    assert result["answer"] == "ok"
    assert [(f["step"], f["name"]) for f in result["failures"]] == [("save", "Down")]
    assert "disk I/O error" in result["failures"][0]["error"]


async def test_an_answer_to_a_question_that_cannot_be_read_is_an_error():
    with pytest.raises(sqlite3.OperationalError):
        await chat(Script("ok"), Down()).ainvoke(Command(resume="yes"), thread())


async def test_a_checkpointer_that_knows_no_async_is_an_error_and_not_down():
    with (
        SqliteSaver.from_conn_string(":memory:") as saver,
        pytest.raises(NotImplementedError, match="async"),
    ):
        await ask(chat(Script("ok"), saver), "Hello?")


@pytest.mark.parametrize("how", ["async", "sync"])
async def test_a_turn_that_would_come_before_the_last_one_is_refused(how, monkeypatch):
    graph = chat(Script("ok"))
    await ask(graph, "Hello?")
    last = graph.checkpointer.get_tuple(thread())
    behind = _an_hour_earlier()
    monkeypatch.setattr("agentkit.memory.conversation.uuid6", lambda: behind)
    with pytest.raises(ClockError, match=r"3,[56]\d\d seconds ahead"):
        await run(graph, how, {"question": "And?"})
    assert graph.checkpointer.get_tuple(thread()).checkpoint["id"] == last.checkpoint["id"]
    monkeypatch.undo()
    assert len((await ask(graph, "And?"))["messages"]) == 4


class Other(TypedDict):
    x: int


def _an_hour_earlier():
    now = uuid6()
    earlier = (
        (now.time_low << 28) | (now.time_mid << 12) | (now.time_hi_version & 0xFFF)
    ) - 36 * 10**9
    fields = (earlier >> 28, (earlier >> 12) & 0xFFFF, (earlier & 0xFFF) | 0x6000, 0x80, 0, 1)
    return UUID(fields=fields)


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "no question"),
        ({"messages": []}, "no question"),
        ({"question": ""}, "empty"),
        ({"question": " \n"}, "empty"),
        ({"question": 7}, "is text; got int"),
        ({"question": "a" * 100_001}, "100,001 characters"),
        ({"messages": [("assistant", "Hello.")]}, "no message to reply to"),
        ({"messages": [("system", "Be brief.")]}, "no question"),
        ({"messages": [("user", "")]}, "empty"),
    ],
)
async def test_what_is_no_message_is_refused_and_nothing_is_lost(given, told):
    script = Script("ok")
    graph = chat(script)
    with pytest.raises(InvalidInputError, match=told):
        await graph.ainvoke(given, thread("new"))
    assert script.calls == []
    await ask(graph, "Hello?")
    with contextlib.suppress(InvalidInputError):  # of a question, on which nothing else is to go
        await graph.ainvoke(given, thread())
    assert [m.text for m in conversation_history(graph, thread())][:2] == ["Hello?", "ok"]


async def test_a_message_larger_than_the_budget_is_sent_whole_and_told():
    script = summarizing()
    graph = chat(script, **SMALL)
    for n in range(5):
        await ask(graph, FACT.format(n=n))
    large = "word " * 2_000
    given = {"question": large}
    events = [e async for e in graph.astream(given, thread(), stream_mode="custom")]
    assert replies_of(script)[-1].messages[-1].text == large.strip()
    assert any("sent whole" in e.get("message", "") for e in events)
    result = await ask(graph, "Hello?")
    assert result["answer"] == "ok"


async def test_a_picture_without_text_is_a_message():
    script = Script("A cat.")
    picture = {"type": "image", "url": "https://example.org/a.png"}
    said = {"messages": [HumanMessage([picture])]}
    assert (await chat(script).ainvoke(said, thread()))["answer"] == "A cat."
    assert script.calls[0].messages[-1].content == [picture]


async def test_an_empty_reply_is_told():
    result = await ask(chat(Script("")), "Hello?")
    assert result["answer"] == "The model gave no answer."
    assert [failure["step"] for failure in result["failures"]] == ["reply"]


async def test_a_call_that_nobody_asked_for_is_not_kept():
    call = Reply("Hm.", tool_calls=[{"name": "look", "args": {}}])
    result = await ask(chat(Script([call])), "Hello?")
    assert result["answer"] == "Hm."
    assert result["messages"][-1].tool_calls == []


async def test_instructions_that_leave_no_room_are_an_error():
    graph = chat(prompts={"memory.reply": "word " * 500}, **SMALL)
    with pytest.raises(ConfigurationError, match="Raise `max_tokens`"):
        await ask(graph, "Hello?")


def test_what_cannot_be_built_is_told():
    model = ScriptedChatModel("ok")
    with pytest.raises(ConfigurationError, match="for a graph that replies"):
        create_memory_chat(model, model=model)
    with pytest.raises(ConfigurationError, match="max_tokens"):
        create_memory_chat(model, max_tokens=0)
    with pytest.raises(UnknownPromptError, match=r"memory\.reply"):
        create_memory_chat(model, prompts={"memory.repl": "a"})
    silent = StateGraph(TypedDict("Silent", {"question": str}))
    silent.add_node("a", lambda state: {})
    silent.add_edge(START, "a")
    with pytest.raises(ConfigurationError, match="returns question; to be an answer"):
        create_memory_chat(silent.compile(), model=model)
    graph = StateGraph(Other)
    graph.add_node("a", lambda state: {})
    graph.add_edge(START, "a")
    with pytest.raises(ConfigurationError, match="question"):
        create_memory_chat(graph.compile())


# -- checkpointers on disk -------------------------------------------------------------------------


async def test_a_conversation_goes_on_in_another_process(tmp_path):
    path = str(tmp_path / "chat.sqlite")
    async with AsyncSqliteSaver.from_conn_string(path) as saver:
        await ask(chat(Script("Hello Ada."), saver), "I am Ada.")
    script = Script("Ada.")
    async with AsyncSqliteSaver.from_conn_string(path) as saver:
        await ask(chat(script, saver), "Who am I?")
    assert [m.text for m in script.calls[0].messages[1:]] == [
        "I am Ada.",
        "Hello Ada.",
        "Who am I?",
    ]


async def test_one_checkpoint_a_turn_is_written():
    graph = chat(Script("ok"))
    for n in range(5):
        await ask(graph, str(n))
    assert len([each async for each in graph.aget_state_history(thread())]) == 5
