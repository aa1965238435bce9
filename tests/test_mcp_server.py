"""Graphs served by MCP, asked by the reference SDK's client."""

import asyncio
import importlib
import json
import os
import signal
import subprocess
import sys
import textwrap
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from typer.testing import CliRunner
from typing_extensions import TypedDict

from agentkit import create_rag, create_text_to_sql
from agentkit.cli import app
from agentkit.errors import ConfigurationError, MissingExtraError, RetrievalError
from agentkit.serving import http_app, load_graphs, mcp_server
from agentkit.testing import HashEmbeddings, Script, ScriptedChatModel
from tests.support.mcp_servers import serving

LOANS = Document(
    id="loans",
    page_content="Books may be kept for four weeks.",
    metadata={"source": "https://library.example/loans", "title": "Loans"},
)
QUESTION = {"question": "How long may I keep a book?"}
COMMAND = str(Path(sys.executable).parent / "agentkit")

# an app as `agentkit mcp` finds it: what it prints would break the protocol
LANGGRAPH_JSON = {
    "dependencies": ["."],
    "graphs": {
        "library": {"path": "./app.py:graph", "description": "Knows the library's rules."},
        "shout": "./app.py:make_shout",
    },
    "env": ".env",
}
APP = """
import os

from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore
from langgraph.graph import START, MessagesState, StateGraph

from agentkit import create_rag
from agentkit.testing import HashEmbeddings, Script, ScriptedChatModel

print("loading")
os.write(1, b"from a native library\\n")
store = InMemoryVectorStore(HashEmbeddings())
store.add_documents([Document(id="loans", page_content="Books may be kept for four weeks.")])
script = Script().when("Answer the question", reply=os.environ["ANSWER"])
graph = create_rag(ScriptedChatModel(script), store)


def shout(state):
    print("shouting")
    return {"messages": [("ai", state["messages"][-1].text.upper())]}


def make_shout(config):
    return StateGraph(MessagesState).add_node(shout).add_edge(START, "shout")
"""


class Asked(TypedDict, total=False):
    question: str
    answer: str


def make_graph(run, **options):
    return StateGraph(Asked).add_node("run", run).add_edge(START, "run").compile(**options)


def make_rag():
    store = InMemoryVectorStore(HashEmbeddings())
    store.add_documents([LOANS])
    script = Script().when("Answer the question", reply="Four weeks [1].")
    return create_rag(ScriptedChatModel(script), store)


@pytest.fixture
def project(tmp_path):
    (tmp_path / "langgraph.json").write_text(json.dumps(LANGGRAPH_JSON))
    (tmp_path / "app.py").write_text(textwrap.dedent(APP))
    (tmp_path / ".env").write_text('ANSWER="Four weeks [1]."\n')
    return tmp_path


@asynccontextmanager
async def connected(graphs, **options):
    """A client's session with the graphs over HTTP."""
    with serving(http_app(mcp_server(graphs, **options))) as port:
        async with session_at(f"http://127.0.0.1:{port}/mcp") as session:
            yield session


@asynccontextmanager
async def session_at(url):
    async with (
        streamable_http_client(url) as (read, write, _),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        yield session


@asynccontextmanager
async def session_with(project, *options):
    program = StdioServerParameters(command=COMMAND, args=["mcp", *options], cwd=project)
    async with stdio_client(program) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        yield session


async def test_a_graph_is_a_tool_that_takes_a_question_and_says_that_it_reads():
    async with connected({"library": make_rag()}) as session:
        (tool,) = (await session.list_tools()).tools
    assert (tool.name, tool.inputSchema["required"]) == ("library", ["question"])
    assert "documents" in tool.description
    assert (tool.annotations.readOnlyHint, tool.annotations.destructiveHint) == (True, False)


async def test_an_answer_comes_as_text_and_as_data():
    async with connected({"library": make_rag()}) as session:
        result = await session.call_tool("library", QUESTION)
    answer, sources = result.content
    assert answer.text == "Four weeks [1]."
    assert sources.text == "Sources:\n[1] Loans – https://library.example/loans"
    data = result.structuredContent
    assert data["answer"] == "Four weeks [1]."
    assert data["citations"][0]["document_id"] == data["documents"][0]["id"] == "loans"
    assert not result.isError


async def test_a_query_and_its_rows_come_as_data(make_database):
    database = make_database("sqlite", ["CREATE TABLE city (name TEXT)"])
    count = "SELECT COUNT(*) AS cities FROM city"
    script = Script().when("Write one read-only SQL", reply={"query": count})
    script = script.when("Answer the question from the rows", reply="There are 0 cities.")
    graph = create_text_to_sql(ScriptedChatModel(script), database)
    async with connected({"cities": graph}) as session:
        result = await session.call_tool("cities", {"question": "How many cities?"})
    kept = {key: result.structuredContent[key] for key in ("query", "columns", "rows")}
    assert kept == {"query": count, "columns": ["cities"], "rows": [[0]]}
    assert result.content[1].text.endswith(count)


async def test_progress_is_told_to_a_client_that_asks_for_it():
    told = []

    async def note(progress, total, message):
        told.append((progress, message))

    async with connected({"library": make_rag()}) as session:
        await session.call_tool("library", QUESTION, progress_callback=note)
    assert told == [(1, f"documents found: {QUESTION['question']}"), (2, "documents ranked")]


def refuse(state):
    raise RetrievalError("No search succeeded. archive: no route")


def break_down(state):
    raise KeyError("a password in the message")


def ask_person(state):
    return {"answer": interrupt("Shall I?")}


async def never(state):
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("run", "told"),
    [
        (refuse, "No search succeeded. archive: no route"),
        (break_down, "it failed with KeyError; the server's log says why."),
        (ask_person, "it waits for a person's decision, which nobody can give here: Shall I?"),
        (never, "it took longer than 0.2 seconds."),
    ],
)
async def test_what_goes_wrong_is_a_result_that_says_so(run, told):
    async with connected({"it": make_graph(run)}, timeout=0.2) as session:
        result = await session.call_tool("it", QUESTION)
    assert result.isError
    assert result.content[0].text.startswith(told)


@pytest.mark.parametrize("arguments", [{}, {"question": ""}, {"question": 1}, {"query": "?"}])
async def test_arguments_that_are_no_question_are_told_as_that(arguments):
    async with connected({"library": make_rag()}) as session:
        result = await session.call_tool("library", arguments)
    assert result.isError
    assert result.content[0].text == "The argument `question` is a text that is not empty."


async def test_an_unknown_tool_is_told_with_those_there_are():
    async with connected({"library": make_rag()}) as session:
        result = await session.call_tool("archive", QUESTION)
    assert result.content[0].text == "There is no tool 'archive'; there are: library."


async def test_graphs_of_the_user_are_announced_as_what_they_are_said_to_do():
    graphs = {name: make_graph(refuse) for name in ("writes", "reads", "ruins")}
    permissions = {"reads": "read", "ruins": "danger"}
    async with connected(graphs, permissions=permissions) as session:
        tools = (await session.list_tools()).tools
    hints = {t.name: (t.annotations.readOnlyHint, t.annotations.destructiveHint) for t in tools}
    assert hints == {"writes": (False, False), "reads": (True, False), "ruins": (False, True)}


async def test_a_client_that_goes_away_ends_its_run():
    started, ended = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    async def wait(state):
        loop.call_soon_threadsafe(started.set)
        try:
            await asyncio.Event().wait()
        finally:
            loop.call_soon_threadsafe(ended.set)

    with serving(http_app(mcp_server({"slow": make_graph(wait)}))) as port:

        async def ask():
            async with session_at(f"http://127.0.0.1:{port}/mcp") as session:
                await session.call_tool("slow", QUESTION)

        asking = asyncio.create_task(ask())
        await started.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.wait_for(ended.wait(), 10)


async def test_many_clients_ask_at_once():
    with serving(http_app(mcp_server({"library": make_rag()}))) as port:

        async def ask():
            async with session_at(f"http://127.0.0.1:{port}/mcp") as session:
                return (await session.call_tool("library", QUESTION)).content[0].text

        answers = await asyncio.gather(*(ask() for _ in range(8)))
    assert answers == ["Four weeks [1]."] * 8


INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://localhost:3000"}, 200),
        ({"host": "mcp.example.org"}, 200),
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example:80"}, 421),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://localhost.evil.example"}, 403),
        ({"origin": "null"}, 403),
    ],
)
def test_a_page_of_another_site_cannot_reach_the_server(headers, status):
    server = mcp_server({"library": make_rag()})
    accepted = {"accept": "application/json, text/event-stream"}
    with serving(http_app(server, allowed_hosts=["mcp.example.org"])) as port:
        url = f"http://127.0.0.1:{port}/mcp"
        answer = httpx.post(url, json=INITIALIZE, headers={**accepted, **headers})
    assert answer.status_code == status


def test_what_is_too_large_is_refused():
    with serving(http_app(mcp_server({"library": make_rag()}))) as port:
        url = f"http://127.0.0.1:{port}/mcp"
        answer = httpx.post(url, content=b"x" * (5 << 20), headers={"content-type": "text/json"})
    assert answer.status_code == 413


async def test_over_stdio_nothing_that_the_graphs_print_gets_between(project):
    async with session_with(project) as session:
        tools = (await session.list_tools()).tools
        assert {tool.name: tool.description for tool in tools} == {
            "library": "Knows the library's rules.",
            "shout": "Answers a question by the graph 'LangGraph'.",
        }
        assert (await session.call_tool("library", QUESTION)).content[0].text == "Four weeks [1]."
        assert (await session.call_tool("shout", {"question": "hi"})).content[0].text == "HI"


async def test_over_stdio_only_the_graphs_that_are_named_are_served(project):
    async with session_with(project, "shout", "--config", "langgraph.json") as session:
        assert [tool.name for tool in (await session.list_tools()).tools] == ["shout"]


def start(project, *options, **streams):
    return subprocess.Popen([COMMAND, "mcp", *options], cwd=project, text=True, **streams)


def test_over_stdio_the_server_ends_with_its_client(project):
    server = start(project, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    printed, _ = server.communicate("", timeout=60)
    assert (server.returncode, printed) == (0, "")


def test_over_stdio_ctrl_c_ends_the_server_although_it_waits_for_a_line(project):
    server = start(project, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        server.stdin.write(json.dumps(INITIALIZE) + "\n")
        server.stdin.flush()
        assert json.loads(server.stdout.readline())["result"]["serverInfo"]["name"] == "agentkit"
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=60) == -signal.SIGINT
    finally:
        server.kill()
        server.communicate()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_the_command_serves_http_on_loopback(project, host):
    server = start(project, "--http", "--port", "0", "--host", host, stderr=subprocess.PIPE)
    try:
        line = next(line for line in server.stderr if line.startswith("Serving at"))
        async with session_at(line.split()[-1]) as session:
            result = await session.call_tool("library", QUESTION)
        assert result.content[0].text == "Four weeks [1]."
        server.send_signal(signal.SIGINT)
        # as of any command that Ctrl-C ends; 0 where a background job of a shell ignores it
        assert server.wait(timeout=60) in (130, 0)
    finally:
        server.kill()
        server.communicate()


@pytest.fixture
def in_project(project, monkeypatch):
    """The project as the current folder of this process, which is left as it was."""
    monkeypatch.chdir(project)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("ANSWER", "Six weeks [1].")
    return project


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--config", "other.json"], "Name the file by --config"),
        (["archive"], "names no graph 'archive'; it names 'library', 'shout'."),
        (["--http", "--host", "0.0.0.0"], "put a proxy in front of it"),
    ],
)
def test_the_command_says_what_it_cannot_serve(in_project, options, told):
    done = CliRunner().invoke(app, ["mcp", *options])
    assert isinstance(done.exception, ConfigurationError)
    assert told in str(done.exception)


def test_the_command_says_that_a_port_is_taken(in_project):
    with serving(http_app(mcp_server({}))) as port:
        done = CliRunner().invoke(app, ["mcp", "--http", "--port", str(port)])
    assert "Take another --port." in str(done.exception)


def test_graphs_are_loaded_with_the_environment_that_they_name(in_project, monkeypatch):
    monkeypatch.delenv("ANSWER")
    loaded = load_graphs()
    monkeypatch.setenv("ANSWER", os.environ["ANSWER"])  # so that it is unset again afterwards
    assert loaded["library"].graph.invoke(QUESTION)["answer"] == "Four weeks [1]."
    assert loaded["library"].description == "Knows the library's rules."
    assert list(load_graphs(in_project / "langgraph.json", names=["shout"])) == ["shout"]


def test_the_environment_that_is_set_already_holds(in_project):
    graph = load_graphs(names=["library"])["library"].graph
    assert graph.invoke(QUESTION)["answer"] == "Six weeks [1]."


WAYS = """
from langgraph.graph import START, MessagesState, StateGraph

builder = StateGraph(MessagesState).add_node("echo", lambda state: state).add_edge(START, "echo")
compiled = builder.compile()


def make():
    return compiled


async def amake(config):
    return builder
"""


@pytest.mark.parametrize("variable", ["builder", "compiled", "make", "amake"])
def test_a_graph_is_found_in_every_way_that_langgraph_knows(in_project, variable):
    (in_project / "ways.py").write_text(WAYS)
    for where in ("./ways.py", "ways"):
        told = {"dependencies": ["."], "graphs": {"echo": f"{where}:{variable}"}, "env": {"A_B": 1}}
        (in_project / "langgraph.json").write_text(json.dumps(told))
        graph = load_graphs()["echo"].graph
        assert graph.invoke({"messages": [("user", "Hi")]})["messages"][-1].text == "Hi"
    sys.modules.pop("ways")
    assert os.environ.pop("A_B") == "1"


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", 'it has no "graphs" object'),
        ('{"graphs": {"it": "app.py"}}', "named by \"path/to/file.py:variable\"; got 'app.py'"),
        ('{"graphs": {"it": "./none.py:graph"}}', "none.py, which is to hold the graph 'it'"),
        ('{"graphs": {"it": "./app.py:none"}}', "has no 'none', which is to be the graph 'it'"),
        ('{"graphs": {"it": "./app.py:script"}}', "or a function that returns one; got Script"),
    ],
)
def test_what_is_wrong_with_a_langgraph_json_is_told(in_project, told, problem):
    (in_project / "langgraph.json").write_text(told)
    with pytest.raises(ConfigurationError) as caught:
        load_graphs()
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("graph = = 1", r"SyntaxError: invalid syntax \(broken\.py, line 1\)"),
        ("import nothing_of_this_name", "ModuleNotFoundError: No module named 'nothing_of_this"),
        ("def graph():\n    return undefined", "NameError: name 'undefined' is not defined"),
    ],
)
def test_of_a_graph_that_cannot_be_loaded_the_file_and_the_reason_are_told(
    in_project, written, told
):
    (in_project / "broken.py").write_text(written)
    (in_project / "langgraph.json").write_text('{"graphs": {"it": "./broken.py:graph"}}')
    where = r"The graph 'it' cannot be loaded from \./broken\.py: "
    with pytest.raises(ConfigurationError, match=where + told):
        load_graphs()


def test_a_tools_name_is_one_that_clients_take():
    with pytest.raises(ConfigurationError, match="letters, digits"):
        mcp_server({"my library": make_rag()})
    with pytest.raises(ConfigurationError, match="No graph is named 'archive'"):
        mcp_server({"library": make_rag()}, permissions={"archive": "read"})


def test_without_the_sdk_the_extra_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "agentkit.serving.mcp")
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(MissingExtraError, match=r"agentkit-graphs\[mcp\]"):
        importlib.import_module("agentkit.serving.mcp")
