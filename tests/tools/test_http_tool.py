"""Calling HTTP APIs on hosts that were named."""

import json
import socket

import pytest

from agentkit.errors import ConfigurationError
from agentkit.tools import _making
from agentkit.tools.http import http_request
from tests.support.web import Names, WebServer, as_json, watched

TOKEN = "Bearer swordfish-123"


@pytest.fixture
def api():
    server = WebServer()
    server.does("/cities", lambda _: as_json([{"name": "Bern"}]))
    server.does("/echo", lambda asked: as_json({"headers": asked.headers}))
    yield server
    server.close()


@pytest.fixture
def names(monkeypatch):
    names = Names()
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    return names


def host(server):
    return f"127.0.0.1:{server.port}"


def call(tool, **arguments):
    return tool.invoke({"type": "tool_call", "id": "1", "name": tool.name, "args": arguments})


def test_an_answer_is_told_with_its_status_and_parsed(api):
    message = call(http_request([host(api)]), url=f"{api.url}/cities?q=a b")
    assert message.content == (
        'HTTP 200 OK\ncontent-type: application/json\ncontent-length: 18\n\n[{"name": "Bern"}]'
    )
    assert message.artifact == {
        "url": f"{api.url}/cities?q=a%20b",
        "status": 200,
        "body": [{"name": "Bern"}],
        "sources": [{"title": f"{api.url}/cities?q=a%20b", "url": f"{api.url}/cities?q=a%20b"}],
    }


async def test_it_is_async_too(api):
    assert "Bern" in await http_request([host(api)]).ainvoke({"url": f"{api.url}/cities"})


def test_an_error_is_told_with_what_the_api_says(api):
    api.does("/no", lambda _: as_json({"error": "no such city"}, status=422))
    message = call(http_request([host(api)]), url=f"{api.url}/no")
    assert message.status == "error"
    assert message.content.startswith("HTTP 422 ")
    assert "no such city" in message.content


def test_a_long_answer_is_cut_and_said_so(api):
    api.answers("/long", "x" * 1_000, kind="text/plain")
    message = call(http_request([host(api)], max_chars=100), url=f"{api.url}/long")
    assert message.content.endswith("x\n(the first 100 of 1000 characters; ask for less)")
    assert message.artifact["body"] == "x" * 1_000


def test_json_nested_without_end_is_told_as_text(api):
    api.answers("/deep", "[" * 200_000, kind="application/json")
    message = call(http_request([host(api)]), url=f"{api.url}/deep")
    assert message.status == "success"
    assert message.artifact["body"] == "[" * 200_000


def test_a_body_is_sent_as_json(api):
    tool = http_request([host(api)], methods=["POST"])
    call(tool, url=f"{api.url}/cities", body={"name": "Genève"})
    (asked,) = api.asked
    assert asked.method == "POST"
    assert asked.headers["content-type"] == "application/json"
    assert json.loads(asked.body) == {"name": "Genève"}


def test_a_body_that_is_text_is_sent_as_it_is(api):
    tool = http_request([host(api)], methods=["PUT", "GET"])
    call(tool, url=f"{api.url}/cities", body="a=b", headers={"content-type": "text/plain"})
    (asked,) = api.asked
    assert (asked.method, asked.body) == ("PUT", b"a=b")
    assert asked.headers["content-type"] == "text/plain"


def test_a_head_request_tells_the_headers(api):
    message = call(http_request([host(api)], methods=["HEAD"]), url=f"{api.url}/cities")
    assert message.content == "HTTP 200 OK\ncontent-type: application/json\ncontent-length: 18"


def test_the_developers_headers_are_sent_and_never_shown(api):
    tool = http_request([host(api)], headers={"authorization": TOKEN, "X-Api-Key": "key-987654"})
    message = call(tool, url=f"{api.url}/echo")
    assert api.asked[0].headers["authorization"] == TOKEN
    assert api.asked[0].headers["x-api-key"] == "key-987654"
    shown = f"{message.content} {message.artifact} {tool.description} {tool.args}"
    assert "swordfish" not in shown
    assert "987654" not in shown
    assert message.content.count("[hidden]") == 2


def test_the_developers_headers_are_not_shown_by_an_error_either(api):
    api.does(
        "/no", lambda asked: (403, {"Location": "/swordfish-123"}, f"{asked.headers}".encode())
    )
    tool = http_request([host(api)], headers={"Authorization": TOKEN})
    message = call(tool, url=f"{api.url}/no")
    assert message.status == "error"
    assert "[hidden]" in message.content
    assert "swordfish" not in message.content


def test_they_do_not_follow_a_redirect_to_another_host(api, names):
    names.lead("other.example", "127.0.0.1")
    api.redirects("/away", f"http://other.example:{api.port}/echo")
    tool = http_request(
        [host(api), f"http://other.example:{api.port}"],
        headers={"Authorization": TOKEN},
        allow_private=["127.0.0.1/32"],
    )
    message = call(tool, url=f"{api.url}/away")
    assert message.status == "success"
    assert [asked.headers.get("authorization") for asked in api.asked] == [TOKEN, None]


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "Authorization",
        "authorization",
        "Cookie",
        "Proxy-Authorization",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "X-Forwarded-For",
        "X-HTTP-Method-Override",
        "Origin",
        "X-Api-Key",
        "Accept-Encoding",
        "Accept\r\nX",
        "",
    ],
)
def test_the_model_sets_no_header_but_a_few(api, name):
    message = call(http_request([host(api)]), url=f"{api.url}/echo", headers={name: "x"})
    assert message.status == "error"
    assert "may not be set here; these may: accept, accept-language" in message.content
    assert api.connections == 0


def test_the_model_does_not_change_what_the_developer_set(api):
    tool = http_request([host(api)], headers={"accept": "application/vnd.api+json"})
    message = call(tool, url=f"{api.url}/echo", headers={"Accept": "text/html"})
    assert message.status == "error"
    call(tool, url=f"{api.url}/echo")
    assert api.asked[0].headers["accept"] == "application/vnd.api+json"


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "ü", "a\x00"])
def test_a_header_is_one_line_of_ascii(api, value):
    message = call(http_request([host(api)]), url=f"{api.url}/echo", headers={"Accept": value})
    assert message.status == "error"
    assert "one line of ASCII" in message.content
    assert api.connections == 0
    with pytest.raises(ConfigurationError, match="one line of ASCII") as raised:
        http_request([host(api)], headers={"X-Token": value})
    assert value not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.0.0.1:{port}@evil.example/",
        "http://evil.example/",
        "http://localhost:{port}/",
        "http://[::1]:{port}/",
        "http://2130706433:{port}/",
        "https://api.example.com.evil.example/",
        "http://api.example.com/",
        "https://api.example.com:8443/",
        "file:///etc/passwd",
    ],
)
def test_a_host_that_was_not_named_is_not_called(api, names, url):
    for name in ("evil.example", "localhost", "api.example.com", "api.example.com.evil.example"):
        names.lead(name, "127.0.0.1")
    tool = http_request([host(api), "api.example.com"], allow_private=["127.0.0.1/32"])
    with watched() as witness:
        message = call(tool, url=url.replace("{port}", str(api.port)))
    assert message.status == "error"
    assert "was not asked for" in message.content
    assert witness.dialled == []
    assert names.asked == []


def test_a_redirect_to_a_host_that_was_not_named_is_not_followed(api):
    api.redirects("/away", "http://127.0.0.1:1/")
    message = call(http_request([host(api)]), url=f"{api.url}/away")
    assert message.status == "error"
    assert f"only these hosts may be called, by https unless http is named: {host(api)}" in (
        message.content
    )


def test_a_named_host_that_leads_inside_is_not_called(names):
    names.lead("api.example.com", "10.0.0.1")
    with watched() as witness:
        message = call(http_request(["api.example.com"]), url="https://api.example.com/")
    assert "not on the public internet" in message.content
    assert witness.dialled == []


def test_an_address_that_was_named_opens_no_other_host(api, names):
    names.lead("api.example.com", "127.0.0.1")
    tool = http_request([host(api), f"http://api.example.com:{api.port}"])
    with watched() as witness:
        message = call(tool, url=f"http://api.example.com:{api.port}/cities")
    assert "not on the public internet" in message.content
    assert witness.dialled == []


def test_a_redirect_of_a_write_is_told_and_not_followed(api):
    api.redirects("/cities", "/moved", status=307)
    message = call(http_request([host(api)], methods=["POST"]), url=f"{api.url}/cities", body={})
    assert message.content.startswith("HTTP 307 ")
    assert "location: /moved" in message.content
    assert len(api.asked) == 1


def test_a_method_that_was_not_named_cannot_be_used(api):
    with pytest.raises(ValueError, match="method"):
        call(http_request([host(api)]), url=f"{api.url}/cities", method="DELETE")
    assert api.connections == 0


@pytest.mark.parametrize(
    ("methods", "permission", "arguments"),
    [
        (("GET",), "read", ["url", "method", "headers"]),
        (("get", "HEAD"), "read", ["url", "method", "headers"]),
        (("GET", "POST"), "write", ["url", "method", "headers", "body"]),
        ("PATCH", "write", ["url", "method", "headers", "body"]),
        (("GET", "DELETE"), "danger", ["url", "method", "headers", "body"]),
    ],
)
def test_the_permission_follows_from_the_methods(methods, permission, arguments):
    tool = http_request(["api.example.com"], methods=methods)
    assert _making.permission_of(tool) == permission
    assert list(tool.args) == arguments


def test_the_tool_says_what_it_is_for():
    tool = http_request(
        ["api.example.com", "*.example.org"],
        name="weather",
        description="The weather of cities.",
        untrusted=False,
    )
    assert tool.name == "weather"
    assert tool.description == (
        "The weather of cities. Call an HTTP API and get its answer. Only these hosts can be "
        "called, by https unless http is named: api.example.com, *.example.org."
    )
    assert not _making.is_untrusted(tool)
    assert _making.is_untrusted(http_request(["api.example.com"]))


@pytest.mark.parametrize(
    ("hosts", "options"),
    [
        ([], {}),
        ("api.example.com", {}),
        (["*"], {}),
        (["a.example"], {"methods": []}),
        (["a.example"], {"methods": ["TRACE"]}),
        (["a.example"], {"headers": {"Host": "b.example"}}),
        (["a.example"], {"headers": {"X Y": "1"}}),
        (["a.example"], {"allow_private": ["inside"]}),
        (["a.example"], {"timeout": 0}),
    ],
)
def test_options_that_cannot_work_are_refused(hosts, options):
    with pytest.raises(ConfigurationError):
        http_request(hosts, **options)
