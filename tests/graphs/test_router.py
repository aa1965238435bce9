"""The router: who is asked what, what becomes of the answers, and every way it may fail."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import InMemoryVectorStore
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command
from typing_extensions import TypedDict

from agentkit import (
    Route,
    create_rag,
    create_router,
    create_text_to_sql,
    create_tool_agent,
    prompts_of,
)
from agentkit.errors import ConfigurationError, InvalidInputError, UnknownPromptError
from agentkit.graphs.router import ALL_FAILED, NO_ROUTE, UNCLEAR, RouteIndex
from agentkit.retrieval import NOT_IN_DOCUMENTS
from agentkit.testing import HashEmbeddings, ModelServer, Reply, Script, ScriptedChatModel

CHOOSE = "Say which route answers"
COMBINE = "Parts of a question were answered"
CHAT = "Reply briefly"
DOCUMENTS = "Answer the question from the documents"
ROWS = "Answer the question from the rows"
COUNT = "SELECT COUNT(*) AS customers FROM customer"
HOW_LONG, HOW_MANY = "How long may I keep a book?", "How many customers are there?"
FOUR_WEEKS, THREE = "For four weeks [1].", "There are 3 customers."
BOTH = f"{HOW_LONG} And: {HOW_MANY}"
SCRIPT = [
    "CREATE TABLE customer (id INTEGER PRIMARY KEY, name VARCHAR(40))",
    "INSERT INTO customer VALUES (1, 'Ada'), (2, 'Bo'), (3, 'Cy')",
]
THREAD = {"configurable": {"thread_id": "1"}}


class Answered(TypedDict):
    question: str
    answer: str


class WeakModel(ScriptedChatModel):
    """A scripted model that can choose among a few things, and do no more."""

    max_choices: int = 4


def part(question, *routes, confidence=0.9, clarification=""):
    return {
        "question": question,
        "routes": list(routes),
        "confidence": confidence,
        "clarification": clarification,
    }


def choice(*parts):
    return {"parts": list(parts)}


def saying(answer):
    """A graph of one's own that takes a question and gives this answer, or raises it."""

    def reply(state):
        if isinstance(answer, Exception):
            raise answer
        return {"answer": answer(state["question"]) if callable(answer) else answer}

    graph = StateGraph(Answered)
    graph.add_node("reply", reply)
    graph.add_edge(START, "reply")
    graph.add_edge("reply", END)
    return graph.compile(name="saying")


def router(reply, *, answers, script=None, **options):
    """A router whose model chooses so, over routes that say these things."""
    model = ScriptedChatModel((script or Script()).when(CHOOSE, reply=reply))
    routes = [
        Route(name, answer if answer is None else saying(answer), f"All about {name}.")
        for name, answer in answers.items()
    ]
    return create_router(model, routes, embeddings=HashEmbeddings(), **options)


@pytest.fixture
def library():
    store = InMemoryVectorStore(HashEmbeddings())
    store.add_texts(["Books may be kept for four weeks.", "Films are lent for one week."])
    return store


@pytest.fixture
def town(library, make_database):
    """A router over documents and a database, whose model chooses so."""
    url = make_database("sqlite", SCRIPT)

    def make(reply, *, approve="never", script=None, **options):
        script = (
            (script or Script())
            .when(CHOOSE, reply=reply)
            .when("Write one read-only SQL", reply={"query": COUNT})
            .when(ROWS, reply=THREE)
            .when(DOCUMENTS, reply=FOUR_WEEKS)
            .when(COMBINE, reply="Four weeks [1]; 3 customers [2].")
        )
        model = ScriptedChatModel(script)
        shop = create_text_to_sql(model, url, approve=approve, embeddings=HashEmbeddings())
        routes = [
            Route("documents", create_rag(model, library), "The library."),
            Route("shop", shop, "The shop's customers."),
        ]
        return create_router(model, routes, embeddings=HashEmbeddings(), **options)

    return make


def streamed(graph, question, **options):
    """The text of the `messages` stream, and the types of the events."""
    text, events = "", []
    for mode, item in graph.stream(
        {"question": question}, stream_mode=["messages", "custom"], **options
    ):
        if mode == "messages":
            text += item[0].text
        else:
            events.append(item["type"])
    return text, events


# -- one route -------------------------------------------------------------------------------------


def test_a_question_goes_to_its_route_and_the_answer_comes_back_as_it_is(town):
    state = town(choice(part("How long?", "documents"))).invoke({"question": HOW_LONG})
    assert state["answer"] == state["messages"][-1].text == FOUR_WEEKS
    assert [message.text for message in state["messages"]] == [HOW_LONG, FOUR_WEEKS]
    assert state["parts"] == [
        {**part(HOW_LONG, "documents"), "route": "documents", "answer": FOUR_WEEKS}
    ]
    [output] = state["outputs"]["documents"]
    assert len(output["documents"]) == 2
    [citation] = state["citations"]
    assert (citation["number"], citation["route"]) == (1, "documents")
    assert citation["source"] == output["citations"][0]
    assert state["failures"] == []


async def test_rows_and_query_are_kept_by_route(town):
    state = await town(choice(part(HOW_MANY, "shop"))).ainvoke({"question": HOW_MANY})
    assert state["answer"] == THREE
    [output] = state["outputs"]["shop"]
    assert (output["query"], output["rows"]) == (COUNT, [[3]])
    assert "documents" not in state["outputs"]


def test_an_agent_is_a_route_too():
    script = (
        Script()
        .when(CHOOSE, reply=choice(part("Add.", "calculator")))
        .when("Do what is asked", reply=[Reply(tool_calls=[ADD]), "It is 5 [1]."])
    )
    agent = create_tool_agent(ScriptedChatModel(script), [add], permissions={"add": "read"})
    routes = [Route("calculator", agent, "Calculations.")]
    state = create_router(ScriptedChatModel(script), routes).invoke({"question": "2 and 3?"})
    assert state["answer"] == "It is 5 [1]."
    assert state["citations"][0]["source"]["tool"] == "add"
    assert state["outputs"]["calculator"][0]["trace"][0]["outcome"] == "ok"


ADD = {"name": "add", "args": {"a": 2, "b": 3}}


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_a_chat_model_is_a_route_with_the_routers_model_or_its_own():
    own = ScriptedChatModel(Script().when(CHAT, reply="Hello from my own."))
    script = Script().when(CHOOSE, reply=choice(part("Hi", "chat"))).when(CHAT, reply="Hello.")
    for answers, said in ((None, "Hello."), (own, "Hello from my own.")):
        routes = [Route("chat", answers, "Small talk.")]
        graph = create_router(ScriptedChatModel(script), routes)
        assert graph.invoke({"question": "Hi"})["answer"] == said
        assert streamed(graph, "Hi")[0] == said


def test_a_graph_of_ones_own_takes_messages_and_returns_messages():
    def reply(state):
        assert [message.type for message in state["messages"]] == ["human"]
        return {"messages": [AIMessage(f"You said: {state['messages'][0].text}")]}

    graph = StateGraph(MessagesState)
    graph.add_node("reply", reply)
    graph.add_edge(START, "reply")
    script = Script().when(CHOOSE, reply=choice(part("Hi", "own")))
    routes = [Route("own", graph.compile(), "Anything.")]
    answering = create_router(ScriptedChatModel(script), routes)
    assert answering.invoke({"question": "Hi"})["answer"] == "You said: Hi"
    assert streamed(answering, "Hi")[0] == "You said: Hi"


def test_a_router_is_a_route_of_another():
    inner = router(choice(part("x", "cats")), answers={"cats": "Meow."})
    script = Script().when(CHOOSE, reply=choice(part("x", "animals")))
    outer = create_router(ScriptedChatModel(script), [Route("animals", inner, "Animals.")])
    assert streamed(outer, "What do cats say?") == ("Meow.", ["routes_chosen"] * 2)


def test_the_model_is_told_names_and_descriptions_and_only_those_names_are_in_the_schema(town):
    script = Script()
    town(choice(part(HOW_MANY, "shop")), script=script).invoke({"question": HOW_MANY})
    told = script.calls[0]
    assert "[1] documents: The library.\n[2] shop: The shop's customers." in told.text
    schema = str(told.response_format)
    assert "'enum': ['documents', 'shop']" in schema


# -- several routes --------------------------------------------------------------------------------


def test_parts_go_to_their_routes_at_once_and_are_combined_with_their_sources(town):
    script = Script()
    graph = town(choice(part(HOW_LONG, "documents"), part(HOW_MANY, "shop")), script=script)
    state = graph.invoke({"question": BOTH})
    assert state["answer"] == state["messages"][-1].text == "Four weeks [1]; 3 customers [2]."
    assert [(part["route"], part["answer"]) for part in state["parts"]] == [
        ("documents", FOUR_WEEKS),
        ("shop", THREE),
    ]
    assert [(c["number"], c["route"]) for c in state["citations"]] == [
        (1, "documents"),
        (2, "shop"),
    ]
    assert state["citations"][1]["source"] == {"query": COUNT}
    assert set(state["outputs"]) == {"documents", "shop"}
    combined = next(call for call in script.calls if COMBINE in call.text)
    assert f"{HOW_LONG}\n{FOUR_WEEKS}\n\n{HOW_MANY}\n{THREE} [2]" in combined.text
    assert BOTH in combined.text


async def test_parts_run_in_parallel():
    together = asyncio.Barrier(2)

    async def wait(state):
        await together.wait()
        return {"answer": state["question"]}

    graph = StateGraph(Answered)
    graph.add_node("wait", wait)
    graph.add_edge(START, "wait")
    waiting = graph.compile()
    script = Script().when(COMBINE, reply="a [1] b [2]")
    script.when(CHOOSE, reply=choice(part("a", "one"), part("b", "two")))
    routes = [Route("one", waiting, "a"), Route("two", waiting, "b")]
    answering = create_router(ScriptedChatModel(script), routes)
    assert (await answering.ainvoke({"question": "a and b?"}))["answer"] == "a [1] b [2]"


def test_two_parts_of_one_route_are_both_kept():
    script = Script().when(COMBINE, reply="one [1] two [2]")
    graph = router(
        choice(part("one", "echo"), part("two", "echo")),
        answers={"echo": lambda question: f"{question}."},
        script=script,
    )
    state = graph.invoke({"question": "one and two"})
    assert [part["answer"] for part in state["parts"]] == ["one.", "two."]
    assert len(state["outputs"]["echo"]) == 2


class Cited(TypedDict):
    question: str
    answer: str
    citations: list[dict]


def citing(answer, *numbers):
    graph = StateGraph(Cited)
    citations = [{"number": number, "title": f"document {number}"} for number in numbers]
    graph.add_node("reply", lambda state: {"answer": answer, "citations": citations})
    graph.add_edge(START, "reply")
    return graph.compile()


def test_citations_are_numbered_through_and_those_that_nobody_cites_are_left_out():
    script = Script().when(COMBINE, reply="A [2], B [3] and C [1][9].")
    script.when(CHOOSE, reply=choice(part("a", "one"), part("b", "two")))
    routes = [
        Route("one", citing("x [4], y [2].", 2, 4, 7), "a"),
        Route("two", citing("z [2, 5].", 2), "b"),
    ]
    state = create_router(ScriptedChatModel(script), routes).invoke({"question": "a, b?"})
    shown = next(call for call in script.calls if COMBINE in call.text).text
    assert "x [1], y [2]." in shown
    assert "z [3]." in shown
    assert state["answer"] == "A [2], B [3] and C [1]."
    assert [(c["number"], c["route"], c["source"]["number"]) for c in state["citations"]] == [
        (1, "one", 4),
        (2, "one", 2),
        (3, "two", 2),
    ]
    assert state["parts"][0]["answer"] == "x [4], y [2]."


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("Four weeks [1]; 77 customers [2].", "77 stands in no part's answer."),
        ("Four weeks, 3 customers.", "No part's answer is cited."),
        (" ", "The answer is empty."),
    ],
)
def test_a_combined_answer_that_the_parts_do_not_bear_out_gives_way_to_theirs(town, written, told):
    script = Script().when(COMBINE, reply=written)
    graph = town(choice(part(HOW_LONG, "documents"), part(HOW_MANY, "shop")), script=script)
    state = graph.invoke({"question": BOTH})
    assert state["answer"] == f"{FOUR_WEEKS}\n\n{THREE} [2]"
    assert [c["number"] for c in state["citations"]] == [1, 2]
    assert told in state["failures"][0]["error"]
    assert "answer_repaired" in streamed(graph, BOTH)[1]


def test_a_model_that_fails_at_combining_leaves_the_parts_answers(town):
    script = Script().when(COMBINE, reply=RuntimeError("no"))
    graph = town(choice(part(HOW_LONG, "documents"), part(HOW_MANY, "shop")), script=script)
    state = graph.invoke({"question": BOTH})
    assert state["answer"] == f"{FOUR_WEEKS}\n\n{THREE} [2]"
    assert [(f["step"], f["name"]) for f in state["failures"]] == [("answer", "router.combine")]


def test_more_parts_than_may_be_are_told_and_one_is_the_whole_question(town):
    chosen = choice(part(HOW_LONG, "documents"), part(HOW_MANY, "shop"), part("C?", "shop"))
    state = town(chosen, max_parts=2).invoke({"question": BOTH})
    assert [part["question"] for part in state["parts"]] == [HOW_LONG, HOW_MANY]
    assert [(f["step"], f["name"]) for f in state["failures"]] == [("choose_routes", "C?")]
    state = town(chosen, max_parts=1).invoke({"question": BOTH})
    assert [part["question"] for part in state["parts"]] == [BOTH]
    assert state["failures"] == []


# -- streams, drawing, state -----------------------------------------------------------------------


def test_the_answer_of_one_route_streams_once_and_its_progress_is_told(town):
    graph = town(choice(part(HOW_LONG, "documents")))
    text, events = streamed(graph, HOW_LONG)
    assert text == FOUR_WEEKS
    assert events == ["routes_chosen", "documents_found", "documents_ranked"]


async def test_it_streams_token_by_token_async_too(town):
    graph = town(choice(part(HOW_LONG, "documents")))
    tokens = [
        token.text
        async for token, _ in graph.astream({"question": HOW_LONG}, stream_mode="messages")
    ]
    assert "".join(tokens) == FOUR_WEEKS
    assert len(tokens) > 3


def test_who_asks_for_subgraphs_gets_every_token_once_too(town):
    graph = town(choice(part(HOW_LONG, "documents")))
    items = list(graph.stream({"question": HOW_LONG}, stream_mode="messages", subgraphs=True))
    assert "".join(item[0].text for _, item in items) == FOUR_WEEKS
    assert {place[0].partition(":")[0] for place, _ in items} == {"documents"}


@pytest.mark.filterwarnings("ignore:The v3 streaming protocol")
async def test_langgraphs_newer_stream_shows_the_tokens_of_a_route_too(town):
    graph = town(choice(part(HOW_LONG, "documents")))
    events = await graph.astream_events({"question": HOW_LONG}, version="v3")
    said = [event["params"]["data"][0] async for event in events if event["method"] == "messages"]
    deltas = [item["delta"]["text"] for item in said if item["event"] == "content-block-delta"]
    assert "".join(deltas) == FOUR_WEEKS
    assert len(deltas) > 3


def test_only_the_combined_answer_streams(town):
    graph = town(choice(part(HOW_LONG, "documents"), part(HOW_MANY, "shop")))
    text, events = streamed(graph, BOTH)
    assert text == "Four weeks [1]; 3 customers [2]."
    assert {"documents_ranked", "query_tried"} <= set(events)


def test_an_answer_without_a_message_is_streamed_as_one():
    graph = router(choice(part("x", "echo")), answers={"echo": "Done."})
    assert streamed(graph, "x")[0] == "Done."


async def test_an_answer_that_a_model_streams_inside_a_graph_of_ones_own_is_not_doubled():
    model = ScriptedChatModel("One two three.")

    async def reply(state):
        return {"answer": (await model.ainvoke(state["question"])).text}

    graph = StateGraph(Answered)
    graph.add_node("reply", reply)
    graph.add_edge(START, "reply")
    script = Script().when(CHOOSE, reply=choice(part("x", "own")))
    routes = [Route("own", graph.compile(), "Anything.")]
    answering = create_router(ScriptedChatModel(script), routes)

    stream = answering.astream({"question": "x"}, stream_mode="messages")
    assert "".join([token.text async for token, _ in stream]) == "One two three."


def test_the_drawing_shows_the_steps_of_the_routes(town):
    graph = town(choice(part(HOW_LONG, "documents")))
    plain = set(graph.get_graph().nodes)
    assert {"choose_routes", "ask_back", "documents", "shop", "collect_answers"} <= plain
    inside = set(graph.get_graph(xray=True).nodes)
    assert {"documents:fuse", "documents:answer", "shop:draft_query", "shop:run_query"} <= inside
    assert not [name for name in inside if "error_handler" in name]
    assert [name for name, _ in graph.get_subgraphs()] == ["documents", "shop"]


def test_a_conversation_goes_on_with_a_question_that_stands_alone(town):
    script = Script().when("Rewrite the last question", reply="How long may I keep a film?")
    graph = town(choice(part(HOW_LONG, "documents")), script=script, checkpointer=InMemorySaver())
    graph.invoke({"question": HOW_LONG}, THREAD)
    state = graph.invoke({"question": "And a film?"}, THREAD)
    assert state["parts"][0]["question"] == "How long may I keep a film?"
    assert len(state["messages"]) == 4
    assert len(state["outputs"]["documents"]) == 1


def test_messages_are_a_question_too(town):
    given = {"messages": [HumanMessage(HOW_LONG)]}
    assert town(choice(part(HOW_LONG, "documents"))).invoke(given)["answer"] == FOUR_WEEKS


# -- interrupts ------------------------------------------------------------------------------------


def test_an_interrupt_of_a_route_reaches_the_caller_and_survives_a_restart(town, tmp_path):
    chosen = choice(part(HOW_MANY, "shop"))
    file = str(tmp_path / "threads.sqlite")
    with SqliteSaver.from_conn_string(file) as saver:
        graph = town(chosen, approve="always", checkpointer=saver)
        state = graph.invoke({"question": HOW_MANY}, THREAD)
        assert state["__interrupt__"][0].value["queries"] == [COUNT]
        inner = graph.get_state(THREAD, subgraphs=True).tasks[0].state
        assert inner.values["pending"] == [COUNT]
    with SqliteSaver.from_conn_string(file) as saver:
        graph = town(chosen, approve="always", checkpointer=saver)
        state = graph.invoke(Command(resume="accept"), THREAD)
    assert state["answer"] == THREE
    assert state["outputs"]["shop"][0]["rows"] == [[3]]


async def test_an_interrupt_of_one_part_keeps_the_other_parts_answer(town, tmp_path):
    chosen = choice(part(HOW_LONG, "documents"), part(HOW_MANY, "shop"))
    script = Script()
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "threads.sqlite")) as saver:
        graph = town(chosen, approve="always", checkpointer=saver, script=script)
        state = await graph.ainvoke({"question": BOTH}, THREAD)
        assert len(state["__interrupt__"]) == 1
        state = await graph.ainvoke(Command(resume={"decision": "accept"}), THREAD)
    assert state["answer"] == "Four weeks [1]; 3 customers [2]."
    assert sum(DOCUMENTS in call.text for call in script.calls) == 1


def test_interrupts_of_two_parts_are_answered_by_their_ids(town):
    chosen = choice(part(HOW_MANY, "shop"), part("How many again?", "shop"))
    graph = town(chosen, approve="always", checkpointer=InMemorySaver())
    waits = graph.invoke({"question": BOTH}, THREAD)["__interrupt__"]
    assert len(waits) == 2
    decided = {waits[0].id: "accept", waits[1].id: {"decision": "decline"}}
    state = graph.invoke(Command(resume=decided), THREAD)
    assert sorted(len(output["rows"]) for output in state["outputs"]["shop"]) == [0, 1]


@pytest.mark.parametrize("decided", ["approve", "reject"])
async def test_a_call_of_an_agent_is_approved_through_the_router(decided):
    sent = []

    def send(text: str) -> str:
        """Send a text."""
        sent.append(text)
        return "sent"

    calling = Reply(tool_calls=[{"name": "send", "args": {"text": "Hi"}}])
    script = (
        Script()
        .when(CHOOSE, reply=choice(part("Send Hi.", "post")))
        .when("Do what is asked", reply=[calling, "Done [1]."])
    )
    routes = [Route("post", create_tool_agent(ScriptedChatModel(script), [send]), "Letters.")]
    graph = create_router(ScriptedChatModel(script), routes, checkpointer=InMemorySaver())
    [wait] = (await graph.ainvoke({"question": "Send Hi."}, THREAD))["__interrupt__"]
    assert (wait.value["name"], sent) == ("send", [])
    state = await graph.ainvoke(Command(resume={wait.id: {"type": decided}}), THREAD)
    assert state["answer"] == "Done [1]."
    assert sent == (["Hi"] if decided == "approve" else [])


# -- unsure, unknown -------------------------------------------------------------------------------

UNSURE = part("Which bank?", "river", "money", confidence=0.3, clarification="Money or water?")
BANKS = {"river": "Of the river.", "money": "Of money."}


def test_an_unsure_choice_tries_the_likeliest_and_stops_at_an_answer():
    state = router(choice(UNSURE), answers=BANKS).invoke({"question": "Which bank?"})
    assert (state["answer"], state["parts"][0]["route"]) == ("Of the river.", "river")


@pytest.mark.parametrize("nothing", [NOT_IN_DOCUMENTS, "", " "])
def test_an_unsure_choice_tries_the_next_where_the_first_has_no_answer(nothing):
    graph = router(choice(UNSURE), answers={**BANKS, "river": nothing})
    state = graph.invoke({"question": "Which bank?"})
    assert (state["answer"], state["parts"][0]["route"]) == ("Of money.", "money")
    assert list(state["outputs"]) == ["money"]
    assert streamed(graph, "Which bank?")[0] == "Of money."


def test_no_rows_are_no_answer_to_an_unsure_choice(town):
    no_rows = {"query": "SELECT name FROM customer WHERE id > 9"}
    script = Script().when("finds no rows", reply=no_rows)
    script.when("Write one read-only SQL", reply=no_rows)
    graph = town(choice(part(HOW_LONG, "shop", "documents", confidence=0.2)), script=script)
    assert graph.invoke({"question": HOW_LONG})["parts"][0]["route"] == "documents"


def test_a_sure_choice_that_has_no_answer_says_so():
    graph = router(
        choice(part("x", "river", "money")), answers={**BANKS, "river": NOT_IN_DOCUMENTS}
    )
    assert graph.invoke({"question": "x"})["answer"] == NOT_IN_DOCUMENTS


def test_where_no_likely_route_has_an_answer_the_first_one_says_so():
    answers = {"river": NOT_IN_DOCUMENTS, "money": ""}
    state = router(choice(UNSURE), answers=answers).invoke({"question": "Which bank?"})
    assert state["answer"] == NOT_IN_DOCUMENTS


@pytest.mark.parametrize(
    ("written", "said"), [("Money or water?", "Money or water?"), ("", UNCLEAR)]
)
def test_an_unsure_choice_is_answered_with_a_question_back(written, said):
    unsure = {**UNSURE, "clarification": written}
    graph = router(choice(unsure), answers=BANKS, when_unsure="clarify")
    state = graph.invoke({"question": "Which bank?"})
    assert state["answer"] == said
    assert state["outputs"] == {}


def test_a_person_says_which_route_is_meant():
    graph = router(choice(UNSURE), answers=BANKS, when_unsure="ask", checkpointer=InMemorySaver())
    [wait] = graph.invoke({"question": "Which bank?"}, THREAD)["__interrupt__"]
    assert wait.value["likely"] == ["river", "money"]
    assert wait.value["clarification"] == "Money or water?"
    assert wait.value["routes"] == {"river": "All about river.", "money": "All about money."}
    state = graph.invoke(Command(resume={"route": "money"}), THREAD)
    assert state["answer"] == "Of money."
    assert state["parts"][0]["routes"] == ["money", "river"]


@pytest.mark.parametrize("decision", ["ocean", 7, {"route": "ocean"}, {"question": " "}, []])
def test_what_is_no_route_is_asked_for_again(decision):
    graph = router(choice(UNSURE), answers=BANKS, when_unsure="ask", checkpointer=InMemorySaver())
    graph.invoke({"question": "Which bank?"}, THREAD)
    [wait] = graph.invoke(Command(resume=decision), THREAD)["__interrupt__"]
    assert "is no route and no question" in wait.value["problem"]
    assert graph.invoke(Command(resume="river"), THREAD)["answer"] == "Of the river."


def test_a_person_may_say_that_no_route_is_meant_or_ask_otherwise():
    sure = choice(part("x", "money"))
    for resume, said in (("none", NO_ROUTE), ({"question": "Where is my money?"}, "Of money.")):
        graph = router(
            [choice(UNSURE), sure], answers=BANKS, when_unsure="ask", checkpointer=InMemorySaver()
        )
        graph.invoke({"question": "Which bank?"}, THREAD)
        state = graph.invoke(Command(resume=resume), THREAD)
        assert state["answer"] == said
    assert state["parts"][0]["question"] == "Where is my money?"


def test_a_sure_choice_asks_nobody():
    graph = router(choice(part("x", "money")), answers=BANKS, when_unsure="ask")
    assert graph.invoke({"question": "x"})["answer"] == "Of money."


def test_a_question_that_no_route_can_answer_is_said_to_be_so():
    graph = router(choice(part("Who won?")), answers=BANKS)
    state = graph.invoke({"question": "Who won?"})
    assert state["answer"] == state["messages"][-1].text == NO_ROUTE
    assert (state["outputs"], state["citations"]) == ({}, [])
    assert streamed(graph, "Who won?")[0] == NO_ROUTE


def test_a_part_that_no_route_can_answer_is_said_beside_the_others_answer():
    script = Script()
    graph = router(choice(part("Bank?", "money"), part("Who won?")), answers=BANKS, script=script)
    state = graph.invoke({"question": "Bank, and who won?"})
    assert state["answer"] == f"Of money. [1]\n\nWho won? {NO_ROUTE}"
    assert len(script.calls) == 1


# -- what fails ------------------------------------------------------------------------------------


def test_a_route_that_fails_is_told_and_the_next_is_asked():
    graph = router(
        choice(part("x", "river", "money")),
        answers={**BANKS, "river": ConnectionError("The river is closed.")},
    )
    state = graph.invoke({"question": "x"})
    assert state["answer"] == "Of money."
    [failure] = state["failures"]
    assert (failure["step"], failure["name"]) == ("ask_route", "river")
    assert "The river is closed." in failure["error"]
    assert "step_failed" in streamed(graph, "x")[1]


async def test_the_next_route_of_one_part_does_not_hold_the_others_answers_back_or_repeat_them():
    asked = []

    def echo(question):
        asked.append(question)
        return question

    graph = router(
        choice(part("a", "broken", "echo"), part("b", "echo")),
        answers={"broken": RuntimeError("no"), "echo": echo},
        script=Script().when(COMBINE, reply="a [1] b [2]"),
    )
    state = await graph.ainvoke({"question": "a, b"})
    assert asked == ["b", "a"]
    assert [part["answer"] for part in state["parts"]] == ["a", "b"]
    assert state["answer"] == "a [1] b [2]"


def test_where_every_route_fails_that_is_said():
    answers = {"river": RuntimeError("dry"), "money": RuntimeError("gone")}
    state = router(choice(part("x", "river", "money")), answers=answers).invoke({"question": "x"})
    assert state["answer"] == ALL_FAILED
    assert [failure["name"] for failure in state["failures"]] == ["river", "money"]


def test_a_chat_model_that_fails_is_a_route_that_fails():
    script = Script().when(CHAT, reply=RuntimeError("no model"))
    graph = router(
        choice(part("x", "chat", "money")), answers={"chat": None, **BANKS}, script=script
    )
    assert graph.invoke({"question": "x"})["parts"][0]["route"] == "money"


class Unreachable(BaseRetriever):
    """A retriever whose server is gone."""

    def _get_relevant_documents(self, query, *, run_manager):
        raise ConnectionError("unreachable")


def test_what_failed_inside_a_route_is_told(library):
    script = Script().when(CHOOSE, reply=choice(part("x", "documents")))
    model = ScriptedChatModel(script.when(DOCUMENTS, reply=FOUR_WEEKS))
    rag = create_rag(model, [library, Unreachable()], retry=None)
    state = create_router(model, [Route("documents", rag, "Books.")]).invoke({"question": "x"})
    assert state["answer"] == FOUR_WEEKS
    assert [failure["step"] for failure in state["failures"]] == ["retrieve"]


@pytest.mark.parametrize(
    "reply",
    [
        "I would ask the river.",
        {"parts": []},
        choice(part("x", "ocean")),
        choice(part("x", "river", confidence=7)),
        {"parts": "river"},
        '{"parts": [{"question": "x", "routes": ["riv',
    ],
)
def test_a_choice_that_cannot_be_read_is_an_unsure_one_among_all_routes(reply):
    answers = {"river": "Of the river.", "money": NOT_IN_DOCUMENTS}
    state = router(reply, answers=answers).invoke({"question": "What about money?"})
    assert state["answer"] == "Of the river."
    assert set(state["parts"][0]["routes"]) == {"river", "money"}
    assert state["parts"][0]["confidence"] == 0
    assert [failure["step"] for failure in state["failures"]] == ["choose_routes"]
    state = router(reply, answers=answers, when_unsure="clarify").invoke({"question": "x"})
    assert state["answer"] == UNCLEAR


def test_an_unknown_name_is_repaired_by_the_model():
    replies = [choice(part("x", "ocean")), choice(part("x", "river"))]
    state = router(replies, answers=BANKS).invoke({"question": "x"})
    assert (state["answer"], state["failures"]) == ("Of the river.", [])


def test_a_model_that_fails_at_choosing_is_an_error():
    with pytest.raises(RuntimeError, match="no model"):
        router(RuntimeError("no model"), answers=BANKS).invoke({"question": "x"})


def test_blank_parts_are_left_out_and_a_blank_question_is_the_askers():
    graph = router(choice(part(" "), part("x", "money")), answers=BANKS)
    assert [part["question"] for part in graph.invoke({"question": "Which?"})["parts"]] == [
        "Which?"
    ]
    graph = router(choice(part(" ", "money")), answers=BANKS)
    assert graph.invoke({"question": "Which?"})["answer"] == "Of money."


# -- the embedded model's like ---------------------------------------------------------------------


def test_in_place_of_a_weak_model_the_nearest_route_is_taken_and_others_where_it_fails():
    routes = [
        Route(name, saying(answer), f"All about {name}.")
        for name, answer in (("trains", "By rail."), ("money", RuntimeError("gone")))
    ]
    script = Script("It is asked nothing.")
    graph = create_router(WeakModel(script), routes, embeddings=HashEmbeddings())
    state = graph.invoke({"question": "All about money?"})
    assert state["parts"][0]["routes"] == ["money", "trains"]
    assert (state["answer"], state["failures"][0]["name"]) == ("By rail.", "money")
    assert script.calls == []


@pytest.mark.local
def test_the_embedded_default_finds_a_route():
    routes = [
        Route("trains", saying("By train."), "The timetable of trains."),
        Route("recipes", saying("By oven."), "How dishes are cooked and baked."),
    ]
    graph = create_router("local", routes)
    assert graph.invoke({"question": "How is a cake baked?"})["answer"] == "By oven."
    assert graph.invoke({"question": "When can I go to Bergen?"})["answer"] == "By train."


async def test_routes_are_found_by_words_without_embeddings_and_none_is_left_out():
    routes = {name: Route(name, None, f"All about {name}.") for name in ("a", "trains", "ships")}
    found = await RouteIndex(routes, None).asearch("When do ships leave?")
    assert found[0] == "ships"
    assert sorted(found) == sorted(routes)


# -- settings and bad input ------------------------------------------------------------------------


def test_a_run_overrides_settings_model_and_prompts():
    unsure = choice({**UNSURE, "confidence": 0.6})
    graph = router(unsure, answers=BANKS)
    strict = {"min_confidence": 0.7, "when_unsure": "clarify"}
    assert graph.invoke({"question": "x"})["answer"] == "Of the river."
    assert graph.invoke({"question": "x"}, context=strict)["answer"] == "Money or water?"
    other = ScriptedChatModel(Script().when("Choose well.", reply=choice(part("x", "money"))))
    context = {"model": other, "prompts": {"router.choose": "Choose well."}}
    assert graph.invoke({"question": "x"}, context=context)["answer"] == "Of money."


def test_the_prompts_are_listed_and_an_unknown_one_is_an_error():
    chat, plain = router("x", answers={"chat": None}), router("x", answers=BANKS)
    names = {"question.standalone", "router.choose", "router.combine"}
    assert set(prompts_of(plain)) == names
    assert set(prompts_of(chat)) == {*names, "router.chat"}
    with pytest.raises(UnknownPromptError, match=r"router\.choice"):
        router("x", answers=BANKS, prompts={"router.choice": "x"})


@pytest.mark.parametrize(
    ("routes", "told"),
    [
        ([], "at least one route"),
        ([Route("a", None, "x"), Route("a", None, "y")], "Two routes are called 'a'"),
        ([Route("answer", None, "x")], "is a step of the router"),
        ([saying("x")], "A route is a Route"),
        ([Route("a", "nobody:knows", "x")], "nobody"),
    ],
)
def test_routes_that_cannot_work_are_told(routes, told):
    with pytest.raises(ConfigurationError, match=told):
        create_router(ScriptedChatModel("x"), routes)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("", None, "x"), "name is made of"),
        (("a:b", None, "x"), "name is made of"),
        (("none", None, "x"), "name is made of"),
        ((None, None, "x"), "name is made of"),
        (("a", None, " "), "needs a description"),
        (("a", None, None), "needs a description"),
        (("a", 7, "x"), "got int"),
        (("a", StateGraph(Answered), "x"), "compiled LangGraph graph"),
    ],
)
def test_a_route_that_is_none_is_told(given, told):
    with pytest.raises(ConfigurationError, match=told):
        Route(*given)


def test_a_graph_that_takes_neither_question_nor_messages_is_told():
    class Topic(TypedDict):
        topic: str

    graph = StateGraph(Topic)
    graph.add_node("reply", lambda state: {})
    graph.add_edge(START, "reply")
    with pytest.raises(ConfigurationError, match="takes topic"):
        create_router(ScriptedChatModel("x"), [Route("a", graph.compile(), "x")])


def test_a_graph_that_returns_neither_answer_nor_messages_is_told():
    class Asked(TypedDict):
        question: str
        verdict: str

    graph = StateGraph(Asked)
    graph.add_node("reply", lambda state: {"verdict": "yes"})
    graph.add_edge(START, "reply")
    with pytest.raises(ConfigurationError, match="returns question, verdict; to be an answer"):
        create_router(ScriptedChatModel("x"), [Route("a", graph.compile(), "x")])


@pytest.mark.parametrize(
    "options",
    [{"min_confidence": 2}, {"max_parts": 0}, {"when_unsure": "guess"}, {"nonsense": 1}],
)
def test_options_that_cannot_work_are_told(options):
    with pytest.raises(ConfigurationError):
        router("x", answers=BANKS, **options)


@pytest.mark.parametrize("given", [{}, {"question": " "}, {"question": 7}, {"messages": []}])
def test_no_question_is_an_error(given):
    with pytest.raises(InvalidInputError):
        router("x", answers=BANKS).invoke(given)


def test_a_huge_question_is_an_error():
    with pytest.raises(InvalidInputError, match="max_question_chars"):
        router("x", answers=BANKS).invoke({"question": "x" * 30_000})


@given(question=st.text(min_size=1).filter(lambda text: text.replace("\0", " ").strip()))
def test_any_question_may_be_asked(question):
    graph = router(choice(part("x", "echo")), answers={"echo": "Done."})
    assert graph.invoke({"question": question})["answer"] == "Done."


# -- many at once, and over HTTP -------------------------------------------------------------------


async def test_a_hundred_questions_at_once_keep_apart():
    def chosen(messages):
        number = messages[-1].text.partition("number ")[2].partition("<")[0].strip()
        if int(number) % 2:
            return choice(part(f"left {number}", "echo"), part(f"right {number}", "echo"))
        return choice(part("x", "echo"))

    script = Script().when(COMBINE, reply="Both [1] [2].")
    graph = router(chosen, answers={"echo": lambda question: question}, script=script)
    states = await asyncio.gather(*(graph.ainvoke({"question": f"number {n}"}) for n in range(100)))
    for number, state in enumerate(states):
        answers = [part["answer"] for part in state["parts"]]
        assert answers == (
            [f"left {number}", f"right {number}"] if number % 2 else [f"number {number}"]
        )


def test_it_runs_over_a_real_server(monkeypatch):
    script = (
        Script()
        .when(CHOOSE, reply=choice(part("a", "one"), part("b", "two")))
        .when(COMBINE, reply="Both [1] [2].")
    )
    with ModelServer(script) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        routes = [Route(name, saying(name), name) for name in ("one", "two")]
        graph = create_router("openai:scripted", routes)
        assert streamed(graph, "a and b?")[0] == "Both [1] [2]."
