"""What graphs did on their way: tools, routes, memories; and metrics by name."""

import pickle
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.store.memory import InMemoryStore
from typing_extensions import TypedDict

from agentkit import Route, SQLDatabase, create_memory_chat, create_router, create_tool_agent
from agentkit.errors import ConfigurationError, ScoringError
from agentkit.evaluation.examples import Example
from agentkit.evaluation.metrics import (
    citation_correctness,
    memory_recall,
    named_metric,
    route_accuracy,
    tool_trajectory,
)
from agentkit.evaluation.metrics.named import JUDGES, names
from agentkit.evaluation.metrics.steps import MATCHES
from agentkit.evaluation.scores import metric_name, scored
from agentkit.memory import Memories, Memory, MemorySource
from agentkit.testing import HashEmbeddings, Reply, Script, ScriptedChatModel


def wanting(**expected):
    return Example("1", {"question": "How long?"}, expected)


# -- steps -----------------------------------------------------------------------------------------

TRACE = {
    "trace": [
        {"tool": "search", "arguments": {"query": "tea"}},
        {"tool": "order", "arguments": {"item": "tea", "count": 2}},
    ]
}
SEARCH, ORDER = {"name": "search", "args": {"query": "tea"}}, "order"


@pytest.mark.parametrize(
    ("match", "tools", "value"),
    [
        ("strict", ["search", "order"], 1),
        ("strict", [SEARCH, ORDER], 1),
        ("strict", [ORDER, SEARCH], 0),
        ("strict", [{"name": "search", "args": {"query": "milk"}}, ORDER], 0),
        ("unordered", [ORDER, SEARCH], 1),
        ("unordered", [ORDER], 0),
        ("superset", [ORDER], 1),
        ("superset", [ORDER, ORDER], 0),
        ("subset", [SEARCH, ORDER, "pay"], 1),
        ("subset", [SEARCH], 0),
        ("subset", [], 0),
        # any arguments will do for a name, also beside the same name with arguments
        ("strict", [{"name": "search"}, ORDER], 1),
        ("unordered", [ORDER, "search"], 1),
        ("superset", [SEARCH, "search"], 0),
        ("strict", [{"name": "search", "args": {}}, ORDER], 0),
        ("strict", [SEARCH, {"name": "order", "args": {"count": 2.0, "item": "tea"}}], 1),
    ],
)
def test_tools_are_called_as_expected(match, tools, value):
    assert tool_trajectory(match)(wanting(tools=tools), TRACE).value == value


@pytest.mark.parametrize("match", ["strict", "unordered", "superset", "subset"])
@pytest.mark.parametrize("tools", [[SEARCH, "search"], ["search", SEARCH], [SEARCH, SEARCH]])
def test_a_name_and_a_call_of_the_same_tool_are_two(match, tools):
    twice = {"trace": [TRACE["trace"][0]] * 2}
    assert tool_trajectory(match)(wanting(tools=tools), twice).value == 1
    once = {"trace": [TRACE["trace"][0]]}
    assert tool_trajectory(match)(wanting(tools=tools), once).value == (match == "subset")


CALLS = st.lists(st.sampled_from(["search", "order", "pay"]), max_size=5)


@given(wanted=CALLS, made=CALLS)
def test_how_calls_match_is_how_their_counts_do(wanted, made):
    example = wanting(tools=wanted)
    output = {"trace": [{"tool": name, "arguments": {"n": n}} for n, name in enumerate(made)]}
    value = {m: tool_trajectory(m)(example, output).value for m in MATCHES}
    assert value == {
        "strict": wanted == made,
        "unordered": Counter(wanted) == Counter(made),
        "superset": Counter(wanted) <= Counter(made),
        "subset": Counter(wanted) >= Counter(made),
    }


def test_the_calls_of_earlier_turns_do_not_count():
    earlier = {"name": "pay", "args": {}, "id": "0"}
    call = {"name": "search", "args": {"query": "tea"}, "id": "1"}
    messages = [
        HumanMessage("Pay."),
        AIMessage("", tool_calls=[earlier]),
        AIMessage("Paid."),
        HumanMessage("Find tea."),
        AIMessage("", tool_calls=[call]),
        AIMessage("Found."),
    ]
    assert tool_trajectory()(wanting(tools=[SEARCH]), {"messages": messages}).value == 1


@tool
def search(query: str) -> str:
    """Search the shop."""
    return f"There is {query}."


async def test_what_a_tool_agent_did_can_be_measured():
    model = ScriptedChatModel(Script([Reply(tool_calls=[SEARCH]), "There is tea [1]."]))
    agent = create_tool_agent(model, [search], permissions={"search": "read"})
    output = await agent.ainvoke({"question": "Is there tea?"})
    assert tool_trajectory()(wanting(tools=[SEARCH]), output).value == 1
    without_trace = {"messages": output["messages"]}
    assert tool_trajectory()(wanting(tools=[SEARCH]), without_trace).value == 1
    score = tool_trajectory()(wanting(tools=["order"]), output)
    assert score.feedback == 'Not called: order(…). Called besides: search({"query": "tea"}).'


def test_calls_are_read_from_messages_too():
    call = {"name": "search", "args": {"query": "tea"}, "id": "1"}
    output = {"messages": [HumanMessage("?"), AIMessage("", tool_calls=[call]), AIMessage("Tea.")]}
    assert tool_trajectory()(wanting(tools=[SEARCH]), output).value == 1
    assert tool_trajectory()(wanting(tools=[]), {"messages": [AIMessage("Tea.")]}).value == 1


def test_feedback_names_what_is_missing_and_what_is_besides():
    feedback = tool_trajectory()(wanting(tools=[SEARCH, "pay"]), TRACE).feedback
    assert "Not called: pay(…)." in feedback
    assert 'Called besides: order({"count": 2, "item": "tea"}).' in feedback
    feedback = tool_trajectory()(wanting(tools=[ORDER, SEARCH]), TRACE).feedback
    assert feedback.startswith('Called in another order: search({"query": "tea"}), order(')


def test_routes_are_taken_as_expected():
    output = {"parts": [{"route": "books"}, {"route": "shop"}]}
    assert route_accuracy(wanting(route=["shop", "books"]), output).value == 1
    assert route_accuracy(wanting(route="books"), output).value == 0
    assert route_accuracy(wanting(route=[]), {"parts": [{"route": ""}]}).value == 1


async def test_where_a_router_sent_a_question_can_be_measured():
    routes = [Route(name, answering(name), f"All about {name}.") for name in ("books", "shop")]
    part = {"question": "Which books?", "routes": ["books"], "confidence": 0.9, "clarification": ""}
    model = ScriptedChatModel(Script([{"parts": [part]}]))
    graph = create_router(model, routes, embeddings=HashEmbeddings())
    output = await graph.ainvoke({"question": "Which books?"})
    assert route_accuracy(wanting(route="books"), output).value == 1
    score = route_accuracy(wanting(route="shop"), output)
    assert (score.value, score.feedback) == (0, "Expected shop; went to books.")


def answering(text):
    class Asked(TypedDict):
        question: str
        answer: str

    graph = StateGraph(Asked)
    graph.add_node("reply", lambda state: {"answer": text})
    graph.add_edge(START, "reply")
    graph.add_edge("reply", END)
    return graph.compile()


def test_memories_are_recalled_by_id_message_or_text():
    output = {
        "memories": [
            {"id": "a", "message": "m1", "text": "Likes tea"},
            {"id": "b", "message": "", "text": ""},
        ]
    }
    wanted = wanting(memories=["m1", "b", "c", "likes  tea."])
    assert memory_recall()(wanted, output).value == 0.75
    assert memory_recall(k=1)(wanted, output).value == 0.5
    assert memory_recall()(wanting(evidence=["m1", "m2"]), output).value == 0.5
    assert memory_recall()(wanting(memories=["…"]), output).value == 0
    assert memory_recall()(wanting(memories="a"), {"memories": []}).feedback == "Not recalled: a."


async def test_what_a_chat_recalled_can_be_measured():
    store = InMemoryStore()
    said = MemorySource(thread="t", message="turn-7", time=datetime(2026, 1, 1, tzinfo=UTC))
    told = Memory(id="tea", kind="fact", text="Likes green tea.", source=said, valid_from=said.time)
    await Memories(store, HashEmbeddings()).aadd("ada", [told])
    graph = create_memory_chat(
        ScriptedChatModel(Script(["Green tea [m1]."])),
        embeddings=HashEmbeddings(),
        checkpointer=InMemorySaver(),
        store=store,
        extract="off",
    )
    output = await graph.ainvoke(
        {"question": "Which tea do I like?"},
        {"configurable": {"thread_id": "1"}},
        context={"user": "ada"},
    )
    assert memory_recall()(wanting(memories=["tea"]), output).value == 1
    assert memory_recall()(wanting(evidence=["turn-7", "turn-8"]), output).value == 0.5


NAMES = st.lists(st.sampled_from("abcdef"), unique=True, min_size=1)


@given(wanted=NAMES, recalled=NAMES, k=st.integers(1, 7))
def test_the_share_of_what_is_recalled_grows_with_k(wanted, recalled, k):
    output = {"memories": [{"id": name} for name in recalled]}
    value = memory_recall(k=k)(wanting(memories=wanted), output).value
    assert value == pytest.approx(len({*wanted} & {*recalled[:k]}) / len(wanted))
    assert value <= memory_recall()(wanting(memories=wanted[::-1]), output).value + 1e-9


@pytest.mark.parametrize(
    ("metric", "expected", "output", "told"),
    [
        (tool_trajectory(), {}, TRACE, "no expected 'tools'"),
        (tool_trajectory(), {"tools": "search"}, TRACE, "are a list"),
        (tool_trajectory(), {"tools": [7]}, TRACE, "a name, or a mapping"),
        (tool_trajectory(), {"tools": []}, {}, "no 'messages'"),
        (route_accuracy, {"route": 7}, {"parts": []}, "A name, or a list of names"),
        (memory_recall(), {"memories": []}, {"memories": []}, "is empty"),
        (citation_correctness, {}, {"answer": "x"}, "no 'documents'"),
        (tool_trajectory(), {"tools": []}, {"trace": [{"tool": "x"}]}, "with 'tool' and 'argum"),
        (route_accuracy, {"route": "a"}, {"parts": ["a"]}, "list of mappings with 'route'"),
        (memory_recall(), {"memories": "a"}, {"memories": ["a"]}, "list of mappings; got"),
        (memory_recall(), {}, {"memories": []}, "no expected 'memories'"),
    ],
)
async def test_steps_that_cannot_be_scored_are_told(metric, expected, output, told):
    with pytest.raises(ScoringError, match=told):
        await scored(metric, wanting(**expected), output)


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        "exact_match",
        "recall",
        "recall@5",
        "ndcg@10",
        "average_precision",
        "recall_by_source",
        "hit_rate_by_source@3",
        "tools_subset",
        "memory_recall@3",
        "row_accuracy",
    ],
)
def test_a_metric_is_found_by_its_name_and_has_it(spec):
    assert metric_name(named_metric(spec)) == spec


@pytest.mark.parametrize(
    "name", [name for name in names() if name not in (*JUDGES, "execution_accuracy")]
)
def test_a_metric_can_be_sent_to_another_process(name):
    metric = named_metric(name)
    copy = pickle.loads(pickle.dumps(metric))
    assert (copy, hash(copy), metric_name(copy)) == (metric, hash(metric), name)


def test_metrics_that_need_something_are_given_it(make_database):
    shop = SQLDatabase(make_database("sqlite", ["CREATE TABLE items (name TEXT)"]))
    judge = named_metric("groundedness", model=ScriptedChatModel(Script([])))
    assert metric_name(judge) == "groundedness"
    assert metric_name(named_metric("execution_accuracy", database=shop)) == "execution_accuracy"
    assert named_metric("agentkit.evaluation.metrics:exact_match").name == "exact_match"


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("exakt_match", "Did you mean 'exact_match'"),
        ("recall@", "recall@5, for example"),
        ("recall@x", "recall@5, for example"),
        ("recall@0", "`k` is a whole number"),
        ("exact_match@3", "There is no metric"),
        ("execution_accuracy", "needs the database"),
        ("nowhere:metric", "No module named 'nowhere'"),
        ("sys:argv", "cannot be called"),
        ("tools_", "There is no metric"),
        ("recall_by_", "`by` is the name of a metadata key"),
        ("recall_by_source@x", "recall_by_source@5, for example"),
        ("memory_recall_by_source", "There is no metric"),
    ],
)
def test_a_name_that_is_none_is_told(spec, told):
    with pytest.raises(ConfigurationError, match=told):
        named_metric(spec)


def test_a_match_that_is_none_is_refused():
    with pytest.raises(ConfigurationError, match="'strict', 'unordered'"):
        tool_trajectory("loose")
