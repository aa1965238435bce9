"""LangGraph's development server over this project's own graphs, as Studio uses it."""

import os
import uuid
from pathlib import Path

import pytest
from langgraph_sdk import get_client

from agentkit.serving import development_server
from agentkit.testing import ModelServer, Reply, Script

pytestmark = [pytest.mark.local, pytest.mark.studio, pytest.mark.timeout(300)]

ROOT = Path(__file__).parent.parent
QUESTION = {"question": "How long may I keep a book?"}
GRAPHS = ["rag", "hyde_rag", "fusion_rag"]
QUERIES = ["text_to_sql", "text_to_cypher"]
AGENT, CHAT, ROUTER = "agent", "memory_chat", "router"
SIX_TIMES_SEVEN = {"name": "python", "args": {"code": "6 * 7"}}
DOCUMENTS_PART = {"question": "How long?", "routes": ["documents"], "confidence": 0.9}
SHOP_PART = {"question": "How many?", "routes": ["shop"], "confidence": 0.9}
COUNT = "SELECT COUNT(*) AS customers FROM customer"
COUNT_TOPICS = "MATCH (t:Topic) RETURN count(t) AS topics"


def _calculating(messages):
    has_result = messages[-1].type == "tool"
    return "It is 42 [1]." if has_result else Reply(tool_calls=[SIX_TIMES_SEVEN])


@pytest.fixture(scope="module")
def models():
    script = (
        Script()
        .when("Say which route", reply={"parts": [DOCUMENTS_PART, SHOP_PART]})
        .when("Parts of a question", reply="Four weeks [1], and 120 customers [2].")
        .when("Write search queries", reply={"queries": ["loan period of books"]})
        .when("Order the documents", reply={"numbers": [1, 2]})
        .when("Write one short passage", reply="Books may be kept for some weeks.")
        .when("Write one read-only SQL", reply={"query": COUNT})
        .when("Write one read-only Cypher", reply={"query": COUNT_TOPICS})
        .when("query on a graph returned", reply="There are 21 topics.")
        .when("Answer the question from the rows", reply="There are 120 customers.")
        .when("Answer the question", reply="Four weeks [1].")
        .when("Find what is worth remembering", reply={"learnt": []})
        .when("Reply to the user", reply="Minka [m1], I see.")
        .when("What is 6 times 7?", reply=_calculating)
    )
    with ModelServer(script) as server:
        yield server


@pytest.fixture(scope="module")
def address(models):
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("NEO4J_")},
        "AGENTKIT_MODEL": "openai:scripted",
        "OPENAI_BASE_URL": models.base_url,
        "OPENAI_API_KEY": "none",
    }
    with development_server(ROOT / "langgraph.json", environment=environment) as address:
        yield address


@pytest.fixture
async def client(address):
    async with get_client(url=address, api_key=None) as client:
        yield client


async def test_every_graph_is_listed_with_its_description(client):
    assistants = await client.assistants.search()
    named = {*GRAPHS, *QUERIES, AGENT, CHAT, ROUTER}
    assert {assistant["graph_id"] for assistant in assistants} == named
    assert all(assistant["description"] for assistant in assistants)


@pytest.mark.parametrize("graph", GRAPHS)
async def test_a_graph_is_drawn_with_its_steps_and_no_loose_ends(client, graph):
    drawn = await client.assistants.get_graph(graph)
    nodes = {node["id"] for node in drawn["nodes"]}
    assert {"read_question", "fuse", "answer", "repair_citations"} <= nodes
    joined = {end for edge in drawn["edges"] for end in (edge["source"], edge["target"])}
    assert nodes == joined


@pytest.mark.parametrize("graph", GRAPHS)
async def test_a_graph_shows_its_input_and_a_form_for_its_context(client, graph):
    assistant = (await client.assistants.search(graph_id=graph))[0]
    schemas = await client.assistants.get_schemas(assistant["assistant_id"])
    assert {"question", "messages"} <= schemas["input_schema"]["properties"].keys()
    assert {"answer", "citations"} <= schemas["output_schema"]["properties"].keys()
    form = schemas["context_schema"]["properties"]
    assert {"model", "k", "answer", "prompts"} <= form.keys()
    assert all(field["description"] for field in form.values())


@pytest.mark.parametrize("graph", [*GRAPHS, *QUERIES, AGENT, CHAT, ROUTER])
async def test_question_and_steps_are_described_and_every_prompt_is_edited_in_place(client, graph):
    drawn = await client.assistants.get_graph(graph, xray=True)
    steps = [node for node in drawn["nodes"] if not node["id"].endswith("__")]
    assert all(step["metadata"]["description"] for step in steps)
    assistant = (await client.assistants.search(graph_id=graph))[0]
    schemas = await client.assistants.get_schemas(assistant["assistant_id"])
    assert schemas["input_schema"]["properties"]["question"]["description"]
    form = schemas["context_schema"]
    assert all(field["title"] and field["description"] for field in form["properties"].values())
    prompts = {
        name: field["default"]
        for name, field in form["properties"].items()
        if field.get("langgraph_type") == "prompt"
    }
    assert prompts
    assert all(prompts.values())


async def test_a_form_that_is_sent_whole_changes_only_the_prompt_that_was_edited(client, models):
    assistant = (await client.assistants.search(graph_id="rag"))[0]
    form = (await client.assistants.get_schemas(assistant["assistant_id"]))["context_schema"]
    told = {
        name: field["default"] for name, field in form["properties"].items() if "default" in field
    }
    edited = f"{told['rag.answer']} Be brief."
    await client.runs.wait(None, "rag", input=QUESTION, context={**told, "rag.answer": edited})
    assert "Be brief." in models.script.calls[-1].text


@pytest.mark.parametrize("graph", GRAPHS)
async def test_a_run_streams_its_answer_and_its_progress_and_takes_a_context(client, graph):
    thread = await client.threads.create()
    tokens, events, values = [], [], {}
    async for part in client.runs.stream(
        thread["thread_id"],
        graph,
        input=QUESTION,
        context={"k": 2},
        stream_mode=["messages-tuple", "custom", "values"],
    ):
        assert part.event != "error", part.data
        if part.event == "messages":
            tokens.append(part.data[0]["content"])
        elif part.event == "custom":
            events.append(part.data["type"])
        elif part.event == "values":
            values = part.data
    assert "".join(tokens) == values["answer"] == "Four weeks [1]."
    assert len(values["documents"]) == 2
    assert "documents_ranked" in events


@pytest.mark.parametrize(
    ("graph", "answer", "query", "rows"),
    [
        ("text_to_sql", "There are 120 customers.", COUNT, [[120]]),
        ("text_to_cypher", "There are 21 topics.", COUNT_TOPICS, [[21]]),
    ],
)
async def test_a_question_to_a_database_streams_its_answer_and_returns_the_rows(
    client, graph, answer, query, rows
):
    drawn = await client.assistants.get_graph(graph)
    nodes = {node["id"] for node in drawn["nodes"]}
    assert {"link_schema", "draft_query", "check_query", "run_query", "repair_query"} <= nodes
    tokens, values = [], {}
    async for part in client.runs.stream(
        None,
        graph,
        input={"question": "How many are there?"},
        context={"max_rows": 5},
        stream_mode=["messages-tuple", "values"],
    ):
        assert part.event != "error", part.data
        if part.event == "messages":
            tokens.append(part.data[0]["content"])
        elif part.event == "values":
            values = part.data
    assert "".join(tokens) == values["answer"] == answer
    assert (values["query"], values["rows"]) == (query, rows)


async def test_the_history_of_a_thread_can_be_read_and_forked(client):
    thread = await client.threads.create()
    await client.runs.wait(thread["thread_id"], "rag", input=QUESTION)
    history = await client.threads.get_history(thread["thread_id"])
    before_answer = next(state for state in history if state["next"] == ["answer"])
    assert before_answer["values"]["documents"]
    forked = await client.runs.wait(
        thread["thread_id"],
        "rag",
        input=None,
        checkpoint_id=before_answer["checkpoint"]["checkpoint_id"],
    )
    assert forked["answer"] == "Four weeks [1]."


@pytest.mark.parametrize(
    ("graph", "before", "edit", "answer"),
    [
        ("rag", "answer", {"documents": []}, "The documents do not answer"),
        ("text_to_sql", "run_query", {"pending": ["DELETE FROM customer"]}, "DELETE is not"),
        ("text_to_cypher", "answer", {"rows": [[7]]}, "topics: 7"),
        (AGENT, "tools", {"question": None}, "It is 42 [1]."),
        (CHAT, "reply", {"messages": [{"role": "user", "content": "Once more."}]}, "Minka"),
        (ROUTER, "choose_routes", {"searched": "Both?"}, "Four weeks [1], and 120 customers [2]."),
    ],
)
async def test_a_state_is_edited_and_run_on_from(client, graph, before, edit, answer):
    thread = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, graph, input={"question": "What is 6 times 7?"})
    history = await client.threads.get_history(thread, limit=100)
    earlier = next(state for state in history if state["next"] == [before])
    edited = await client.threads.update_state(
        thread, edit, checkpoint_id=earlier["checkpoint"]["checkpoint_id"]
    )
    forked = await client.threads.get_state(
        thread, checkpoint_id=edited["checkpoint"]["checkpoint_id"]
    )
    # whether a chat's user is known is seen by the run that goes on
    assert forked["next"] == ["recall" if graph == CHAT else before]
    result = await client.runs.wait(
        thread, graph, input=None, checkpoint_id=edited["checkpoint"]["checkpoint_id"]
    )
    assert answer in result["answer"]


async def test_a_wrong_question_is_an_error_that_says_so(client):
    with pytest.raises(Exception, match="question is empty"):
        await client.runs.wait(None, "rag", input={"question": " "})


async def test_the_agent_calls_its_tools_and_shows_each_call(client):
    thread = await client.threads.create()
    events, values = [], {}
    async for part in client.runs.stream(
        thread["thread_id"],
        AGENT,
        input={"question": "What is 6 times 7?"},
        stream_mode=["custom", "values"],
    ):
        assert part.event != "error", part.data
        if part.event == "custom":
            events.append(part.data["type"])
        elif part.event == "values":
            values = part.data
    assert values["answer"] == "It is 42 [1]."
    assert [(call["tool"], call["outcome"]) for call in values["trace"]] == [("python", "ok")]
    assert values["citations"][0]["tool"] == "python"
    assert events == ["tool_called", "tool_finished"]
    assistant = (await client.assistants.search(graph_id=AGENT))[0]
    schemas = await client.assistants.get_schemas(assistant["assistant_id"])
    form = schemas["context_schema"]["properties"]
    assert {"model", "max_tool_calls", "approved", "prompts"} <= form.keys()
    assert all(field["description"] for field in form.values())


async def test_a_chat_remembers_its_user_in_another_thread(client):
    answers = []
    user = uuid.uuid4().hex  # the server keeps what it remembers
    for question in ("My cat is called Minka.", "What is my cat called?"):
        thread = await client.threads.create()
        tokens, values = [], {}
        async for part in client.runs.stream(
            thread["thread_id"],
            CHAT,
            input={"question": question},
            context={"user": user},
            stream_mode=["messages-tuple", "values"],
        ):
            assert part.event != "error", part.data
            if part.event == "messages":
                tokens.append(part.data[0]["content"])
            elif part.event == "values":
                values = part.data
        assert values["failures"] == []
        assert "".join(tokens) == "Minka [m1], I see."
        answers.append(values["answer"])
    assert answers == ["Minka, I see.", "Minka [m1], I see."]
    assert "Minka" in values["citations"][0]["text"]


async def test_the_router_shows_its_routes_and_streams_their_combined_answer(client):
    drawn = await client.assistants.get_graph(ROUTER, xray=True)
    nodes = {node["id"] for node in drawn["nodes"]}
    assert {"choose_routes", "documents:fuse", "shop:run_query", "network:draft_query"} <= nodes
    tokens, values = [], {}
    async for part in client.runs.stream(
        None,
        ROUTER,
        input={"question": "How long may I keep a book, and how many customers are there?"},
        stream_mode=["messages-tuple", "values"],
    ):
        assert part.event != "error", part.data
        if part.event == "messages":
            tokens.append(part.data[0]["content"])
        elif part.event == "values":
            values = part.data
    assert "".join(tokens) == values["answer"] == "Four weeks [1], and 120 customers [2]."
    assert set(values["outputs"]) == {"documents", "shop"}
    assistant = (await client.assistants.search(graph_id=ROUTER))[0]
    schemas = await client.assistants.get_schemas(assistant["assistant_id"])
    form = schemas["context_schema"]["properties"]
    assert {"model", "min_confidence", "max_parts", "when_unsure", "prompts"} <= form.keys()
    assert all(field["description"] for field in form.values())
