"""A graph as an agent's tool."""

import asyncio
import threading
from dataclasses import dataclass

import pytest
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.vectorstores import InMemoryVectorStore
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, interrupt
from typing_extensions import TypedDict

from agentkit import create_rag, create_text_to_sql
from agentkit.errors import ConfigurationError
from agentkit.testing import HashEmbeddings, Reply, Script, ScriptedChatModel
from agentkit.tools._making import is_untrusted, permission_of
from agentkit.tools.graph import as_tool

PARIS = Document(
    id="paris",
    page_content="Paris is the capital of France.",
    metadata={"source": "https://example.org/fr", "title": "France"},
)
QUESTION = "What is the capital of France?"
CITIES = ["CREATE TABLE city (name VARCHAR(40))", "INSERT INTO city VALUES ('Bern'), ('Basel')"]
COUNT = "SELECT COUNT(*) AS cities FROM city"


def make_rag(**options):
    store = InMemoryVectorStore(HashEmbeddings())
    store.add_documents([PARIS])
    script = Script().when("Answer the question", reply="It is Paris [1].")
    return create_rag(ScriptedChatModel(script), store, **options)


def make_sql(database, **options):
    script = (
        Script()
        .when("Write one read-only SQL", reply={"query": COUNT})
        .when("Answer the question from the rows", reply="There are 2 cities.")
    )
    return create_text_to_sql(ScriptedChatModel(script), database, **options)


def make_agent(tool, question, answer, **options):
    """An agent that asks the tool once and then answers, told apart by the tool's answer."""
    call = Reply(tool_calls=[{"name": tool.name, "args": {"question": question}}])
    script = Script().when(answer, reply="So it is.").when("please", reply=call)
    return create_agent(ScriptedChatModel(script), [tool], **options)


def call(tool, question=QUESTION):
    return tool.invoke(
        {"type": "tool_call", "id": "1", "name": tool.name, "args": {"question": question}}
    )


def test_the_answer_is_told_and_what_it_stands_on_is_kept():
    message = call(as_tool(make_rag()))
    assert message.content == "It is Paris [1]."
    (document,) = message.artifact["documents"]
    assert (document["id"], document["content"]) == ("paris", PARIS.page_content)
    assert message.artifact["citations"][0]["document_id"] == "paris"
    assert message.artifact["sources"] == [
        {"title": "France", "document_id": "paris", "url": "https://example.org/fr"}
    ]


def test_the_query_and_its_rows_are_kept(make_database):
    message = call(as_tool(make_sql(make_database("sqlite", CITIES))), "How many cities?")
    assert message.content == "There are 2 cities."
    kept = {key: message.artifact[key] for key in ("query", "columns", "rows")}
    assert kept == {"query": COUNT, "columns": ["cities"], "rows": [[2]]}
    assert message.artifact["sources"] == [{"title": "The database's rows", "query": COUNT}]


async def test_it_is_async_too():
    assert await as_tool(make_rag()).ainvoke({"question": QUESTION}) == "It is Paris [1]."


def test_a_graph_that_stops_at_what_it_found_tells_that(make_database):
    assert PARIS.page_content in call(as_tool(make_rag(answer="none"))).content
    graph = make_sql(make_database("sqlite", CITIES), answer="none")
    assert call(as_tool(graph)).content == "cities\n2\n(1 row)"


def test_graphs_of_agentkit_read_and_others_write_unless_told_otherwise(make_database):
    def echo(state):
        return {"messages": [AIMessage(state["messages"][-1].text)]}

    own = (
        StateGraph(MessagesState).add_node("echo", echo).add_edge(START, "echo").compile(name="own")
    )
    assert permission_of(as_tool(make_rag())) == "read"
    assert permission_of(as_tool(make_sql(make_database("sqlite", CITIES)))) == "read"
    assert permission_of(as_tool(own)) == "write"
    assert permission_of(as_tool(own, permission="danger")) == "danger"
    assert (is_untrusted(as_tool(own)), is_untrusted(as_tool(own, untrusted=True))) == (False, True)
    assert call(as_tool(own), "Hello").content == "Hello"


def test_names_and_descriptions_are_the_graphs_or_given():
    tool = as_tool(make_rag())
    assert (tool.name, list(tool.args)) == ("rag", ["question"])
    assert "documents" in tool.description
    tool = as_tool(make_rag(), name="library", description="Knows the library's rules.")
    assert (tool.name, tool.description) == ("library", "Knows the library's rules.")


def test_a_graph_with_a_dataclass_for_a_state_can_be_asked():
    @dataclass
    class Asked:
        question: str
        answer: str = ""

    graph = StateGraph(Asked).add_node(
        "answer_it", lambda state: {"answer": state.question.upper()}
    )
    tool = as_tool(graph.add_edge(START, "answer_it").compile(name="shout"))
    assert call(tool, "hello").content == "HELLO"


def test_what_cannot_be_asked_is_refused():
    class Sum(TypedDict):
        number: int

    graph = StateGraph(Sum).add_node("add", lambda state: state).add_edge(START, "add").compile()
    with pytest.raises(ConfigurationError, match="takes number; to be asked, it has to take"):
        as_tool(graph)
    with pytest.raises(ConfigurationError, match="compiled LangGraph graph is needed; got StateGr"):
        as_tool(StateGraph(Sum))


def test_an_error_of_the_graph_is_told_to_the_model():
    message = call(as_tool(make_rag(max_question_chars=5)))
    assert (message.status, "the limit is 5" in message.content) == ("error", True)


class Answered(TypedDict, total=False):
    question: str
    answer: str


async def test_an_answer_that_takes_too_long_is_stopped_and_told():
    stopped = []

    async def wait(state):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.append(True)
            raise

    graph = StateGraph(Answered).add_node("wait", wait).add_edge(START, "wait").compile(name="slow")
    tool = as_tool(graph, timeout=0.05)
    message = await tool.ainvoke(
        {"type": "tool_call", "id": "1", "name": "slow", "args": {"question": QUESTION}}
    )
    assert message.content == "It took longer than 0.05 seconds."
    assert stopped == [True]


def test_a_sync_answer_that_takes_too_long_is_waited_for_no_longer():
    released = threading.Event()

    def wait(state):
        released.wait()

    graph = StateGraph(Answered).add_node("wait", wait).add_edge(START, "wait").compile(name="slow")
    try:
        assert call(as_tool(graph, timeout=0.05)).content == "It took longer than 0.05 seconds."
    finally:
        released.set()


async def test_the_answers_tokens_stay_out_of_the_agents_stream_and_its_events_do_not():
    agent = make_agent(as_tool(make_rag()), QUESTION, "It is Paris")
    tokens, events = [], []
    asked = {"messages": [("user", "Look it up, please.")]}
    async for mode, part in agent.astream(asked, stream_mode=["messages", "custom"]):
        if mode == "custom":
            events.append(part["type"])
        elif isinstance(part[0], AIMessage):
            tokens.append(part[0].text)
    assert "".join(tokens) == "So it is."
    assert events == ["documents_found", "documents_ranked"]


async def test_no_token_of_a_model_in_the_graph_is_streamed_even_with_subgraphs():
    model = GenericFakeChatModel(messages=iter([AIMessage("It is Paris indeed")]))

    async def answer(state):
        return {"answer": (await model.ainvoke(state["question"])).text}

    graph = StateGraph(Answered).add_node(answer).add_edge(START, "answer").add_edge("answer", END)
    agent = make_agent(as_tool(graph.compile(name="own")), QUESTION, "It is Paris")
    asked = {"messages": [("user", "Look it up, please.")]}
    streamed = [
        message.text
        async for _, (message, _) in agent.astream(asked, stream_mode="messages", subgraphs=True)
        if isinstance(message, AIMessage)
    ]
    assert "".join(streamed) == "So it is."


def approved(agent, question):
    """Ask, see the interrupt, and accept: the agent's last words."""
    config = {"configurable": {"thread_id": "1"}}
    state = agent.invoke({"messages": [("user", question)]}, config)
    (waits,) = state["__interrupt__"]
    assert waits.value["queries"] == [COUNT]
    return agent.invoke(Command(resume={"decision": "accept"}), config)


def test_an_interrupt_of_the_graph_is_the_agents_and_is_resumed_there(make_database):
    graph = make_sql(make_database("sqlite", CITIES), approve="always")
    agent = make_agent(as_tool(graph), "How many?", "2 cities", checkpointer=InMemorySaver())
    state = approved(agent, "Count, please.")
    assert state["messages"][-2].artifact["rows"] == [[2]]
    assert state["messages"][-1].text == "So it is."


def test_an_interrupt_is_kept_by_a_checkpointer_that_is_only_sync(make_database, tmp_path):
    graph = make_sql(make_database("sqlite", CITIES), approve="always")
    with SqliteSaver.from_conn_string(str(tmp_path / "kept.sqlite")) as saver:
        agent = make_agent(as_tool(graph), "How many?", "2 cities", checkpointer=saver)
        assert approved(agent, "Count, please.")["messages"][-1].text == "So it is."


async def test_an_interrupt_is_resumed_in_an_async_run(make_database):
    graph = make_sql(make_database("sqlite", CITIES), approve="always")
    agent = make_agent(as_tool(graph), "How many?", "2 cities", checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    state = await agent.ainvoke({"messages": [("user", "Count, please.")]}, config)
    assert state["__interrupt__"][0].value["action"] == "approve_query"
    state = await agent.ainvoke(Command(resume={"decision": "decline"}), config)
    assert state["messages"][-2].content.startswith("The query was declined")


@pytest.mark.parametrize("checkpointer", [InMemorySaver(), None])
def test_a_graph_that_waits_where_nobody_can_answer_says_so(checkpointer):
    def ask_person(state):
        return {"answer": interrupt("Shall I?")}

    graph = StateGraph(Answered).add_node(ask_person).add_edge(START, "ask_person")
    message = call(as_tool(graph.compile(name="careful", checkpointer=checkpointer)))
    assert message.status == "error"
    assert message.content.startswith("careful waits for a person's decision")
    assert "Shall I?" in message.content


def test_a_graph_with_its_own_checkpointer_answers_each_question_by_itself():
    tool = as_tool(make_rag(checkpointer=InMemorySaver()))
    assert [call(tool).content for _ in range(2)] == ["It is Paris [1]."] * 2
