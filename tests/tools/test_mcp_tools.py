"""The tools of MCP servers as an agent's own, against servers of the reference SDK."""

import asyncio
import importlib
import sys

import pytest
from langchain.agents import create_agent
from mcp import types
from mcp.server.fastmcp import FastMCP
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from agentkit.errors import ConfigurationError, MCPServerError, MissingExtraError
from agentkit.testing import Reply, Script, ScriptedChatModel
from agentkit.tools._making import is_untrusted, permission_of
from agentkit.tools.mcp import amcp_tools, mcp_tools, open_mcp_tools
from tests.support.mcp_servers import PROGRAM, reference_server, serving


@pytest.fixture(scope="module")
def address():
    """The reference server over HTTP."""
    with serving(reference_server().streamable_http_app()) as port:
        yield f"http://127.0.0.1:{port}/mcp"


@pytest.fixture(scope="module")
def tools(address):
    return {tool.name: tool for tool in mcp_tools({"ref": address}, timeout=20)}


def called(name, **arguments):
    return {"type": "tool_call", "id": "1", "name": name, "args": arguments}


def call(tool, **arguments):
    return tool.invoke(called(tool.name, **arguments))


def served(server):
    return serving(server.streamable_http_app())


def test_a_tool_is_called_and_its_result_kept(tools):
    message = call(tools["ref_add"], a=1, b=2)
    assert message.content == "3"
    assert message.artifact == {
        "server": "ref",
        "tool": "add",
        "structured": {"result": 3},
        "files": [],
        "sources": [{"title": "add of ref"}],
    }


async def test_tools_are_async_too(address):
    tools = {tool.name: tool for tool in await amcp_tools({"ref": address})}
    assert await tools["ref_add"].ainvoke({"a": 1, "b": 2}) == "3"


def test_a_server_is_started_by_a_command():
    (tool,) = mcp_tools({"local": PROGRAM}, include=["local_add"])
    assert call(tool, a=2, b=3).content == "5"


def test_a_server_may_be_described_as_in_a_clients_configuration(address):
    told = {"type": "http", "url": address, "headers": {"x-key": "1"}}
    (tool,) = mcp_tools({"ref": told}, include=["ref_add"])
    assert call(tool, a=2, b=3).content == "5"


def test_arguments_are_typed_as_the_server_says(tools):
    assert tools["ref_add"].args["a"]["type"] == "integer"
    message = call(tools["ref_add"], a="one", b=2)
    assert message.status == "error"
    assert "valid integer" in message.content


def test_arguments_that_are_named_as_langchains_own_arrive(tools):
    assert set(tools["ref_echo"].args) == {"config_", "self_"}
    assert tools["ref_echo"].args_schema["required"] == ["config_"]
    assert call(tools["ref_echo"], config_="a", self_="b").content == "ab"


def test_a_failure_of_the_tool_is_told_to_the_model(tools):
    message = call(tools["ref_fail"])
    assert message.status == "error"
    assert message.content.endswith("The disk is full.")


def test_a_call_that_takes_too_long_is_told(address):
    (tool,) = mcp_tools({"ref": address}, include=["ref_hang"], timeout=3)
    message = call(tool)
    assert (message.status, message.content) == ("error", "It took longer than 3 seconds.")


def test_what_the_model_is_shown_is_bounded(tools, address):
    message = call(tools["ref_flood"])
    assert len(message.content) == 8_001
    assert message.artifact["structured"] is None
    (tool,) = mcp_tools({"ref": address}, include=["ref_flood"], max_chars=10)
    assert call(tool).content == "x" * 10 + "…"


def test_a_result_without_content_is_told_as_that(tools):
    assert call(tools["ref_silence"]).content == "The tool returned nothing."


def test_pictures_are_told_of_and_kept_as_long_as_they_are_not_large(tools):
    message = call(tools["ref_draw"])
    assert message.content.splitlines() == [
        "Dots.",
        "[image, image/png, 3 bytes]",
        "[image, image/png, 900,000 bytes, too large to keep]",
    ]
    assert message.artifact["files"] == [{"mime_type": "image/png", "base64": "ZG90"}]


def test_addresses_are_sources_and_files_of_text_are_text(tools):
    message = call(tools["ref_link"])
    assert message.content.splitlines() == [
        "A: https://example.org/a",
        "Noted.",
        "[audio, audio/wav, 3 bytes]",
    ]
    assert message.artifact["sources"] == [
        {"title": "link of ref"},
        {"title": "A", "url": "https://example.org/a"},
        {"title": "file:///notes.txt"},
    ]


def test_names_fit_every_model_and_descriptions_are_cut(tools):
    tool = tools["ref_odd_name_with_marks"]
    assert len(tool.description) == 2_001
    assert len(tool.args["words"]["description"]) == 501
    assert call(tool, words="hi").artifact["structured"] == {"words": "hi"}


def test_a_server_is_believed_that_a_tool_is_dangerous_and_not_that_it_only_reads(tools):
    assert permission_of(tools["ref_add"]) == "write"
    assert permission_of(tools["ref_wipe"]) == "danger"
    assert permission_of(tools["ref_echo"]) == "write"
    assert all(is_untrusted(tool) for tool in tools.values())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"trusted_annotations": True}, "read"),
        ({"trusted_annotations": ["ref"]}, "read"),
        ({"trusted_annotations": ["other"]}, "write"),
        ({"permissions": {"ref_add": "danger"}, "trusted_annotations": True}, "danger"),
        ({"permissions": {"ref_add": "read"}}, "read"),
    ],
)
def test_the_developer_says_whom_to_believe_and_what_a_tool_may_do(address, options, expected):
    (tool,) = mcp_tools({"ref": address}, include=["ref_add"], **options)
    assert permission_of(tool) == expected


def test_two_servers_tools_are_told_apart_by_the_servers_names(address):
    tools = mcp_tools({"one": address, "two": address})
    assert {"one_add", "two_add"} <= {tool.name for tool in tools}
    with pytest.raises(ConfigurationError, match="Two tools would be called 'add'"):
        mcp_tools({"one": address, "two": address}, prefix=False)
    assert "add" in {tool.name for tool in mcp_tools({"one": address}, prefix=False)}


@pytest.mark.parametrize("option", ["include", "permissions"])
def test_a_tool_that_there_is_not_is_told_with_those_there_are(address, option):
    value = ["ref_sub"] if option == "include" else {"ref_sub": "read"}
    with pytest.raises(ConfigurationError, match="no tool 'ref_sub'; the servers have ref_add, "):
        mcp_tools({"ref": address}, **{option: value})


@pytest.mark.parametrize(
    ("servers", "told"),
    [
        ({}, "At least one MCP server"),
        ({"it": "localhost:8000"}, "starts with http:// or https://"),
        ({"it": {"address": "x"}}, "got 'address'"),
        ({"it": {}}, "got an empty mapping"),
    ],
)
def test_a_server_that_is_described_wrongly_is_told(servers, told):
    with pytest.raises(ConfigurationError, match=told):
        mcp_tools(servers)


@pytest.mark.parametrize("wrong", [{"timeout": 0}, {"max_chars": 0}])
def test_options_out_of_bounds_are_refused(address, wrong):
    with pytest.raises(ConfigurationError, match=r"`(timeout|max_chars)` is a"):
        mcp_tools({"ref": address}, **wrong)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ({"command": "/no/such/program"}, "No such file or directory"),
        ({"command": sys.executable, "args": ["-c", "pass"]}, "closed"),
        ({"command": sys.executable, "args": ["-c", "print('hello')"]}, "closed"),
        ({"command": "cat"}, "Invalid request parameters"),
    ],
)
def test_a_command_that_is_no_server_is_told(command, told):
    with pytest.raises(MCPServerError, match="'it' failed: ") as caught:
        mcp_tools({"it": command}, timeout=20)
    assert told in str(caught.value)


def test_a_server_that_never_answers_is_waited_for_no_longer_than_the_limit():
    silent = {"command": sys.executable, "args": ["-c", "import sys; sys.stdin.read()"]}
    with pytest.raises(MCPServerError, match="it did not answer in time"):
        mcp_tools({"it": silent}, timeout=0.5)


def test_an_address_where_nothing_serves_is_told():
    with serving(Starlette()) as port:
        gone = f"http://127.0.0.1:{port}/mcp?key=secret"
    with pytest.raises(MCPServerError, match="'it' failed: ConnectError") as caught:
        mcp_tools({"it": gone})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "told"),
    [(401, "HTTP status 401"), (404, "Session terminated"), (500, "HTTP status 500")],
)
def test_an_address_that_refuses_is_told_without_what_may_be_secret(status, told):
    async def refuse(request):
        return PlainTextResponse("no", status)

    refusing = Starlette(routes=[Route("/mcp", refuse, methods=["GET", "POST"])])
    with serving(refusing) as port, pytest.raises(MCPServerError) as caught:
        mcp_tools({"it": f"http://127.0.0.1:{port}/mcp?key=secret"}, timeout=20)
    assert told in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_server_that_goes_away_is_an_error_of_the_call():
    with served(reference_server()) as port:
        (tool,) = mcp_tools({"ref": f"http://127.0.0.1:{port}/mcp"}, include=["ref_add"])
        assert call(tool, a=1, b=1).content == "2"
    message = call(tool, a=1, b=1)
    assert message.status == "error"
    assert message.content.startswith("The MCP server 'ref' failed: ")


def test_a_server_that_crashed_is_started_again_by_the_next_call():
    crash, count = mcp_tools({"local": PROGRAM}, include=["local_crash", "local_count"])[::-1]
    message = call(crash)
    assert message.status == "error"
    assert "'local' failed: Connection closed" in message.content
    assert call(count).content == "1"


async def test_an_open_session_is_one_for_all_calls_and_ends_with_a_crash():
    async with open_mcp_tools({"local": PROGRAM}) as opened:
        tools = {tool.name: tool for tool in opened}
        assert await tools["local_count"].ainvoke({}) == "1"
        assert await tools["local_count"].ainvoke({}) == "2"
        assert await asyncio.to_thread(tools["local_count"].invoke, {}) == "3"
        assert "Connection closed" in await tools["local_crash"].ainvoke({})
        assert "it closed the connection" in await tools["local_count"].ainvoke({})


async def test_an_error_of_the_caller_leaves_an_open_session_as_it_is(address):
    with pytest.raises(KeyError, match="mine"):
        async with open_mcp_tools({"ref": address}, include=["ref_add"]):
            raise KeyError("mine")


async def test_sessions_that_cannot_be_opened_are_told(address):
    with pytest.raises(MCPServerError, match="'gone' failed"):
        async with open_mcp_tools({"ref": address, "gone": {"command": "/no/such"}}):
            pytest.fail("there is no session")


def paged(pages, *, size=1):
    """A server that lists so many tools a page, over so many pages."""
    server = FastMCP("paged", log_level="CRITICAL")

    async def list_tools(request):
        number = int(request.params.cursor) if request.params and request.params.cursor else 0
        tools = [
            types.Tool(name=f"tool{number * size + place}", inputSchema={"type": "object"})
            for place in range(size)
        ]
        cursor = str(number + 1) if number + 1 < pages else None
        return types.ServerResult(types.ListToolsResult(tools=tools, nextCursor=cursor))

    server._mcp_server.request_handlers[types.ListToolsRequest] = list_tools
    return server


def test_tools_are_listed_page_by_page():
    with served(paged(3)) as port:
        tools = mcp_tools({"it": f"http://127.0.0.1:{port}/mcp"})
    assert [tool.name for tool in tools] == ["it_tool0", "it_tool1", "it_tool2"]
    assert tools[0].description == "tool0 of it."


def test_a_server_that_lists_tools_without_end_is_refused():
    with (
        served(paged(10_000, size=100)) as port,
        pytest.raises(MCPServerError, match="more than 1,000 tools"),
    ):
        mcp_tools({"it": f"http://127.0.0.1:{port}/mcp"})


def test_arguments_that_no_prompt_should_hold_are_refused_unless_left_out():
    server = FastMCP("wordy", log_level="CRITICAL")
    values = [f"value {number}" for number in range(5_000)]

    async def list_tools(request):
        schema = {"type": "object", "properties": {"word": {"enum": values}}}
        tools = [
            types.Tool(name="wordy", inputSchema=schema),
            types.Tool(name="plain", inputSchema={"type": "object"}),
        ]
        return types.ServerResult(types.ListToolsResult(tools=tools))

    server._mcp_server.request_handlers[types.ListToolsRequest] = list_tools
    with served(server) as port:
        servers = {"it": f"http://127.0.0.1:{port}/mcp"}
        with pytest.raises(MCPServerError, match=r"'wordy' .* Name the tools to take by `include`"):
            mcp_tools(servers)
        assert [tool.name for tool in mcp_tools(servers, include=["it_plain"])] == ["it_plain"]


@pytest.mark.parametrize("way", ["sync", "async"])
async def test_an_agent_uses_them(tools, way):
    add = tools["ref_add"]
    asks = Reply(tool_calls=[{"name": "ref_add", "args": {"a": 20, "b": 22}}])
    script = Script().when("42", reply="It is 42.").when("Add", reply=asks)
    agent = create_agent(ScriptedChatModel(script), [add])
    asked = {"messages": [("user", "Add twenty and twenty-two.")]}
    if way == "async":
        state = await agent.ainvoke(asked)
    else:
        state = await asyncio.to_thread(agent.invoke, asked)
    assert state["messages"][-1].text == "It is 42."


def test_without_the_adapters_the_extra_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "agentkit.tools.mcp")
    monkeypatch.setitem(sys.modules, "langchain_mcp_adapters.client", None)
    with pytest.raises(MissingExtraError, match=r"agentkit-graphs\[mcp\]"):
        importlib.import_module("agentkit.tools.mcp")
