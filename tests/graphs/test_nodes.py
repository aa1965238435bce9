"""What nodes share: both ways of running, interrupts, and which errors are tried again."""

import asyncio
import threading

import httpx
import openai
import pytest
from langchain_core.vectorstores import InMemoryVectorStore
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt
from typing_extensions import TypedDict

from agentkit import (
    Route,
    create_memory_chat,
    create_rag,
    create_router,
    create_tool_agent,
)
from agentkit.events import emit, step_failed
from agentkit.graphs.nodes import RETRY, Edge, Node, drawable, is_transient
from agentkit.retrieval import ListwiseReranker
from agentkit.testing import HashEmbeddings, Script, ScriptedChatModel

REQUEST = httpx.Request("POST", "http://127.0.0.1/v1")


class State(TypedDict, total=False):
    told: str


def graph_of(run, **options):
    graph = StateGraph(State)
    graph.add_node("node", Node(run), **options)
    graph.add_edge(START, "node")
    return graph.compile(checkpointer=InMemorySaver())


def config():
    return {"configurable": {"thread_id": "one"}}


def status_error(status):
    response = httpx.Response(status, request=REQUEST)
    return openai.APIStatusError("told", response=response, body=None)


def http_error(status):
    response = httpx.Response(status, request=REQUEST)
    return httpx.HTTPStatusError("told", request=REQUEST, response=response)


def caused(error, cause):
    error.__cause__ = cause
    return error


def in_a_circle():
    first, second = ValueError("one"), ValueError("two")
    first.__cause__, second.__cause__ = second, first
    return first


class TestEdge:
    async def test_it_chooses_by_state_and_context_in_sync_and_async_graphs(self):
        async def node(state, runtime):
            return {"told": state["told"] + "!"}

        def enough(state, runtime):
            return END if len(state["told"]) >= runtime.context["wanted"] else "node"

        graph = StateGraph(State, context_schema=dict)
        graph.add_node("node", Node(node))
        graph.add_edge(START, "node")
        graph.add_conditional_edges("node", Edge(enough), ["node", END])
        compiled = graph.compile()
        assert compiled.invoke({"told": ""}, context={"wanted": 3})["told"] == "!!!"
        assert (await compiled.ainvoke({"told": ""}, context={"wanted": 2}))["told"] == "!!"
        drawn = [(edge.source, edge.target) for edge in compiled.get_graph().edges]
        assert sorted(drawn) == [(START, "node"), ("node", END), ("node", "node")]

    async def test_it_leads_on_a_state_that_is_edited_outside_of_a_run(self):
        async def node(state, runtime):
            return {"told": state["told"] + "!"}

        def choose(state, runtime):
            return "node" if len(state["told"]) < (runtime.context or {}).get("wanted", 2) else END

        graph = StateGraph(State, context_schema=dict)
        graph.add_node("node", Node(node))
        graph.add_edge(START, "node")
        graph.add_conditional_edges("node", Edge(choose), ["node", END])
        compiled = graph.compile(checkpointer=InMemorySaver())
        await compiled.ainvoke({"told": "ab"}, config())
        edited = await compiled.aupdate_state(config(), {"told": ""})
        assert (await compiled.aget_state(edited)).next == ("node",)
        assert (await compiled.ainvoke(None, edited))["told"] == "!!"

    async def test_it_starts_no_thread_in_an_async_graph(self):
        chosen_in = []

        async def node(state, runtime):
            return {"told": "a"}

        def choose(state, runtime):
            chosen_in.append(threading.current_thread())
            return END

        graph = StateGraph(State)
        graph.add_node("node", Node(node))
        graph.add_edge(START, "node")
        graph.add_conditional_edges("node", Edge(choose), [END])
        await graph.compile().ainvoke({"told": ""})
        assert chosen_in == [threading.current_thread()]


class TestDrawing:
    async def test_other_programs_are_told_what_each_step_does(self):
        async def node(state, runtime):
            """Say it.

            Not told."""
            return {}

        drawn = drawable(graph_of(node)).get_graph()
        steps = {step["id"]: step for step in drawn.to_json()["nodes"]}
        assert steps["node"]["metadata"] == {"description": "Say it."}
        assert "metadata" not in steps[START]
        assert "Say it" not in drawn.draw_mermaid()  # whose syntax a sentence could break

    def test_every_step_of_every_graph_says_what_it_does(self):
        model = ScriptedChatModel(Script("x"))
        documents = InMemoryVectorStore(HashEmbeddings())
        rag = create_rag(model, documents, reranker=ListwiseReranker(), grade=True)
        agent = create_tool_agent(model, [print_it], name="agent")
        routes = [Route("docs", rag, "the rules"), Route("desk", agent, "rooms")]
        router = create_router(model, [*routes, Route("chat", None, "all else")])
        for graph in (rag, agent, router, create_memory_chat(model), create_memory_chat(rag)):
            for xray in (False, True):
                told = graph.get_graph(xray=xray).to_json()["nodes"]
                described = {s["id"] for s in told if s.get("metadata", {}).get("description")}
                assert described == {s["id"] for s in told if not s["id"].endswith("__")}
        routed = {step["id"]: step for step in router.get_graph().to_json()["nodes"]}
        assert routed["docs"]["metadata"]["description"] == "the rules"


def print_it(text: str) -> str:
    """Print it."""
    return text


class TestNode:
    async def test_it_runs_in_sync_and_async_graphs(self):
        async def node(state, runtime):
            await asyncio.sleep(0)
            return {"told": state["told"] + "!"}

        graph = graph_of(node)
        assert (await graph.ainvoke({"told": "a"}, config()))["told"] == "a!"
        assert graph.invoke({"told": "b"}, config())["told"] == "b!"  # inside of a running loop

    async def test_an_interrupt_waits_for_its_answer_both_ways(self):
        async def node(state, runtime):
            return {"told": interrupt("sure?")}

        waiting = graph_of(node)
        paused = waiting.invoke({"told": ""}, config())
        assert paused["__interrupt__"][0].value == "sure?"
        assert waiting.invoke(Command(resume="yes"), config())["told"] == "yes"

        waiting = graph_of(node)
        paused = await waiting.ainvoke({"told": ""}, config())
        assert paused["__interrupt__"][0].value == "sure?"
        assert (await waiting.ainvoke(Command(resume="yes"), config()))["told"] == "yes"

    async def test_its_events_reach_the_stream_both_ways(self):
        notice = {"type": "notice", "message": "told"}

        async def node(state, runtime):
            emit(notice)
            return {}

        graph = graph_of(node)
        assert list(graph.stream({"told": ""}, config(), stream_mode="custom")) == [notice]
        events = graph.astream({"told": ""}, config(), stream_mode="custom")
        assert [event async for event in events] == [notice]

    async def test_its_error_is_the_callers_both_ways(self):
        async def node(state, runtime):
            raise LookupError("gone")

        with pytest.raises(LookupError, match="gone"):
            graph_of(node).invoke({"told": ""}, config())
        with pytest.raises(LookupError, match="gone"):
            await graph_of(node).ainvoke({"told": ""}, config())

    def test_a_transient_error_is_tried_again_and_another_is_not(self):
        policy = RETRY._replace(initial_interval=0, jitter=False)
        for error, expected in ((status_error(429), 3), (ValueError("wrong"), 1)):
            tries = []

            async def node(state, runtime, error=error, tries=tries):
                tries.append(1)
                raise error

            with pytest.raises(type(error)):
                graph_of(node, retry_policy=policy).invoke({"told": ""}, config())
            assert len(tries) == expected


class TestTransient:
    @pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
    @pytest.mark.parametrize("make", [status_error, http_error])
    def test_a_busy_or_broken_server_may_do_better(self, make, status):
        assert is_transient(make(status))

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
    @pytest.mark.parametrize("make", [status_error, http_error])
    def test_a_wrong_request_stays_wrong(self, make, status):
        assert not is_transient(make(status))

    @pytest.mark.parametrize(
        "error",
        [
            ConnectionResetError(),
            BrokenPipeError(),
            httpx.ConnectError("refused"),
            httpx.RemoteProtocolError("cut"),
            caused(openai.APIConnectionError(request=REQUEST), httpx.ConnectError("refused")),
            caused(RuntimeError("wrapped"), status_error(503)),
        ],
    )
    def test_a_lost_connection_may_come_back(self, error):
        assert is_transient(error)

    @pytest.mark.parametrize(
        "error",
        [
            ValueError("wrong"),
            KeyError("k"),
            FileNotFoundError("f"),
            caused(status_error(400), ConnectionResetError()),
            in_a_circle(),
        ],
    )
    def test_what_is_wrong_in_itself_is_not_tried_again(self, error):
        assert not is_transient(error)


class TestEvents:
    def test_outside_of_a_graph_nothing_happens(self):
        emit({"type": "notice", "message": "unheard"})

    @pytest.mark.parametrize(
        ("error", "told"),
        [(ValueError("why"), "ValueError: why"), (TimeoutError(), "TimeoutError")],
    )
    def test_a_failure_tells_its_kind_and_its_message_if_it_has_one(self, error, told):
        event = step_failed("retrieve", "wiki", error)
        expected = {"type": "step_failed", "step": "retrieve", "name": "wiki", "error": told}
        assert event == expected
