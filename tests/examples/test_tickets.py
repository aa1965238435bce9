"""The ticket system of the examples."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from agentkit.testing import ModelServer, Reply, Script
from agentkit.tools._making import is_untrusted, permission_of
from examples.tickets.server import create_app
from examples.tickets.tools import TicketSystem, ticket_tools
from tests.support.mcp_servers import serving

README = Path(__file__).parent.parent.parent / "examples" / "tickets" / "README.md"


@pytest.fixture
def address():
    with serving(create_app()) as port:
        yield f"http://127.0.0.1:{port}"


def tools_at(address, token="example"):
    return {tool.name: tool for tool in ticket_tools(TicketSystem(address, token=token))}


@pytest.fixture
def tools(address):
    return tools_at(address)


def call(tool, **arguments):
    return tool.invoke({"type": "tool_call", "id": "1", "name": tool.name, "args": arguments})


def test_tickets_are_found_by_their_words_and_status(tools, address):
    message = call(tools["search_tickets"], text="printer", status="Open")
    assert message.content == (
        "DESK-2 (Open, by Reading room): Printer in the reading room jams – Pages come out creased."
    )
    assert message.artifact["sources"] == [
        {"title": "DESK-2: Printer in the reading room jams", "url": f"{address}/browse/DESK-2"}
    ]
    assert call(tools["search_tickets"], text="elevator").content == "No ticket was found."


async def test_a_ticket_is_created_and_closed(tools):
    created = await tools["create_ticket"].ainvoke({"summary": "The clock is slow"})
    assert created == "DESK-6 was created."
    assert "DESK-6 (Open, by Assistant)" in call(tools["search_tickets"], text="clock").content
    assert call(tools["close_ticket"], key="DESK-6").content == "DESK-6 is done."
    assert "DESK-6 (Done" in call(tools["search_tickets"], text="clock").content


def test_more_tickets_than_are_shown_are_told_of(tools):
    for number in range(8):
        call(tools["create_ticket"], summary=f"Shelf {number} is loose")
    lines = call(tools["search_tickets"]).content.splitlines()
    assert (len(lines), lines[-1]) == (11, "(3 more: search for more words)")


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("close_ticket", {"key": "DESK-99"}, "status 404. There is no ticket DESK-99."),
        ("close_ticket", {"key": "DESK-4"}, "status 409. DESK-4 is done already."),
        ("create_ticket", {"summary": " "}, "status 400. A summary has 1 to 255 characters."),
    ],
)
def test_a_refusal_is_told_in_the_systems_own_words(tools, name, arguments, told):
    message = call(tools[name], **arguments)
    assert message.status == "error"
    assert message.content == f"The ticket system refused with {told}"


def test_a_wrong_token_is_told_and_never_shown(address):
    message = call(tools_at(address, token="secret")["search_tickets"])
    assert message.status == "error"
    assert "status 401" in message.content
    assert "secret" not in message.content


def test_a_system_that_is_gone_leaves_open_whether_it_did_what_was_asked():
    with serving(create_app()) as port:
        tools = tools_at(f"http://127.0.0.1:{port}")
    message = call(tools["create_ticket"], summary="The clock is slow")
    assert "could not be reached (ConnectError)" in message.content
    assert "look before you ask again" in message.content


def test_a_key_cannot_lead_to_another_path(tools):
    with pytest.raises(ValidationError, match="pattern"):
        tools["close_ticket"].invoke({"key": "../search"})


def test_what_each_tool_may_do_is_declared(tools):
    declared = {name: (permission_of(tool), is_untrusted(tool)) for name, tool in tools.items()}
    assert declared == {
        "search_tickets": ("read", True),
        "create_ticket": ("write", False),
        "close_ticket": ("danger", False),
    }


def test_the_readmes_program_runs(address, monkeypatch, capsys):
    wants = {"name": "create_ticket", "args": {"summary": "The printer jams again"}}
    script = (
        Script()
        .when("DESK-6 was created", reply="I noted it as DESK-6.")
        .when("The printer jams", reply=Reply(tool_calls=[wants]))
    )
    (program,) = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    monkeypatch.setenv("TICKETS_URL", address)
    with ModelServer(script) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        exec(compile(program, "README.md", "exec"), {})
    wanted, said = capsys.readouterr().out.splitlines()
    assert "create_ticket" in wanted
    assert said == "I noted it as DESK-6."
