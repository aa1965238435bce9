"""The application behind `agentkit view`: what it serves, to whom, and what it forwards."""

import asyncio
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from agentkit.errors import ConfigurationError, MissingExtraError
from agentkit.serving import development_server, view_app
from agentkit.serving.view import PAGE
from tests.support.mcp_servers import serving

EVENTS = [
    b"event: values\r\ndata: 1\r\n\r\n",
    b": heartbeat\r\n\r\n",
    b"event: end\r\ndata: 2\r\n\r\n",
]
COMMAND = Path(sys.executable).parent / "agentkit"


async def tell(request):
    """What came: a server that says what it was asked."""
    told = {
        "method": request.method,
        "path": request.url.path,
        "query": request.url.query,
        "key": request.headers.get("x-api-key"),
        "cookie": request.headers.get("cookie"),
        "body": (await request.body()).decode(),
    }
    return JSONResponse(told, headers={"set-cookie": "a=b", "x-inner": "1"})


async def stream(request):
    async def events():
        for event in EVENTS:
            yield event

    return StreamingResponse(events(), media_type="text/event-stream")


async def refuse(request):
    return Response("not here", status_code=422)


@pytest.fixture(scope="module")
def server():
    routes = [
        Route("/threads/stream", stream, methods=["POST"]),
        Route("/threads/refused", refuse),
        Route("/{path:path}", tell, methods=["GET", "POST", "PATCH", "DELETE", "PUT"]),
    ]
    with serving(Starlette(routes=routes)) as port:
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def opened(app, host="127.0.0.1:8123"):
    """A client of the application, which has started up."""
    transport = httpx.ASGITransport(app)
    client = httpx.AsyncClient(transport=transport, base_url=f"http://{host}")
    async with app.router.lifespan_context(app), client:
        yield client


async def test_the_page_and_all_that_it_names_are_served_by_itself(server):
    async with opened(view_app(server)) as client:
        page = await client.get("/")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        for named in re.findall(r'(?:src|href)="([^"#]+)"', page.text):
            assert (await client.get(f"/{named}")).status_code == 200, named
        assert (await client.get("/js/none.js")).status_code == 404


def test_the_page_takes_nothing_from_elsewhere_and_reads_no_markup():
    for file in PAGE.rglob("*.*"):
        text = file.read_text(encoding="utf-8")
        addresses = set(re.findall(r"https?://[\w.]+", text))
        assert addresses <= {"http://www.w3.org"}, file  # the name of SVG, which nothing fetches
        for risky in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert risky not in text, file


async def test_nothing_but_the_page_s_own_scripts_may_run(server):
    async with opened(view_app(server)) as client:
        for path in ("/", "/js/main.js", "/api/assistants/1"):
            headers = (await client.get(path)).headers
            assert "default-src 'none'; script-src 'self'" in headers["content-security-policy"]
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
async def test_a_request_is_forwarded_with_the_server_s_key_and_no_cookies(server, method):
    app = view_app(f"{server}/", headers={"x-api-key": "secret"})
    async with opened(app) as client:
        reply = await client.request(
            method, "/api/threads/a%20b?limit=3&x=%26", content="{}", headers={"cookie": "c=d"}
        )
    assert reply.json() == {
        "method": method,
        "path": "/threads/a b",
        "query": "limit=3&x=%26",
        "key": "secret",
        "cookie": None,
        "body": "{}",
    }
    assert "set-cookie" not in reply.headers
    assert "x-inner" not in reply.headers


async def test_a_stream_comes_through_and_so_does_a_refusal(server):
    async with opened(view_app(server)) as client:
        streamed = await client.post("/api/threads/stream")
        assert streamed.headers["content-type"].startswith("text/event-stream")
        assert streamed.content == b"".join(EVENTS)
        refused = await client.get("/api/threads/refused")
        assert (refused.status_code, refused.text) == (422, "not here")


@pytest.mark.parametrize(
    "path",
    ["/api/store/items", "/api/", "/api/mcp", "/api/threads/%2e%2e/store/items", "/api/metrics"],
)
async def test_what_the_page_does_not_use_is_not_forwarded(server, path):
    async with opened(view_app(server)) as client:
        assert (await client.get(path)).status_code == 404


async def test_a_connection_that_ends_without_an_answer_is_told_by_its_error():
    async def hang_up(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        now = struct.pack("ii", 1, 0)  # closes without a word: the error has no message
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
        writer.close()

    listening = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with listening, opened(view_app(f"http://127.0.0.1:{_port(listening)}")) as client:
        reply = await client.get("/api/assistants/1")
    assert reply.status_code == 502
    assert re.search(r"cannot be reached: \w.*\.$", reply.json()["detail"])


async def test_a_stream_that_breaks_off_ends_with_an_event_that_says_so():
    async def break_off(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
        writer.write(head + b"transfer-encoding: chunked\r\n\r\n8\r\ndata: 1\n\r\n")
        writer.close()

    listening = await asyncio.start_server(break_off, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{_port(listening)}"
    async with listening, opened(view_app(url)) as client:
        reply = await client.get("/api/threads/1/stream")
    begun, *_, last = reply.text.strip().split("\n\n")
    assert begun == "data: 1"
    event, data = last.strip().splitlines()
    assert event == "event: error"
    told = json.loads(data.removeprefix("data: "))["message"]
    assert told.startswith(f"The server at {url} broke off: ")


def _port(listening):
    return listening.sockets[0].getsockname()[1]


async def test_a_server_that_is_gone_is_told():
    async with opened(view_app("http://127.0.0.1:1")) as client:
        reply = await client.get("/api/assistants/1")
    assert reply.status_code == 502
    assert "http://127.0.0.1:1 cannot be reached" in reply.json()["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:8123"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "[::1"},
        {"host": ""},
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:9999"},  # another program of this machine
        {"origin": "null"},
    ],
)
async def test_another_site_can_neither_be_the_page_nor_act_through_it(server, headers):
    async with opened(view_app(server)) as client:
        for path in ("/", "/api/threads"):
            refused = await client.post(path, headers=headers)
            assert (refused.status_code, refused.text) == (
                403,
                "This server answers its own pages only.",
            )


@pytest.mark.parametrize("host", ["", "[::1", "evil.example"])
async def test_a_host_without_a_name_allows_no_other(server, host):
    async with opened(view_app(server, allowed_hosts=["", "[::1"])) as client:
        refused = await client.post("/api/threads", headers={"host": host})
    assert refused.status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1:8123", "localhost:8123", "[::1]:8123", "view.example"])
async def test_the_page_may_call_its_own_host(server, host):
    app = view_app(server, allowed_hosts=["view.example"])
    async with opened(app, host) as client:
        reply = await client.post("/api/threads", headers={"origin": f"http://{host}"})
    assert reply.status_code == 200


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:2024", "ftp://x", "http://", "http://[", "http://a:b", "/threads"]
)
def test_what_is_no_address_of_a_server_is_refused(url):
    with pytest.raises(ConfigurationError, match="address"):
        view_app(url)


# -- the command -----------------------------------------------------------------------------------


def command(*words, folder):
    return subprocess.run(
        [COMMAND, "view", *words], capture_output=True, text=True, check=False, cwd=folder
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "There is no"),
        (["--url", "nowhere"], "The address of a LangGraph server is like"),
        (
            ["--url", "http://127.0.0.1:1", "--host", "0.0.0.0"],
            "can be reached from other machines",
        ),
        (
            ["--url", "http://127.0.0.1:1", "--host", "0.0.0.0", "--allow-host", ""],
            "can be reached from other machines",
        ),
        (["--url", "http://127.0.0.1:1", "--header", "key"], "A header is 'Name: value'"),
    ],
)
def test_what_cannot_be_viewed_is_told(tmp_path, words, told):
    done = command("--port", "0", *words, folder=tmp_path)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_deployed_server_is_viewed_with_its_key(server):
    environment = {**os.environ, "LANGSMITH_API_KEY": "secret"}
    words = [COMMAND, "view", "--url", server, "--port", "0", "--header", "X-Other: 1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as viewing:
        said = viewing.stdout.readline()
        address = said.split()[-1]
        reply = httpx.get(f"{address}/api/assistants/1", trust_env=False)
        viewing.terminate()
    assert reply.json()["key"] == "secret"


# -- the development server ------------------------------------------------------------------------

BROKEN_APP = "raise RuntimeError('this app is broken')\n"


def write_app(folder, text):
    (folder / "app.py").write_text(text)
    graphs = {"dependencies": ["."], "graphs": {"broken": "./app.py:graph"}}
    (folder / "langgraph.json").write_text(json.dumps(graphs))


@pytest.mark.studio
def test_a_server_that_does_not_start_says_why(tmp_path):
    write_app(tmp_path, BROKEN_APP)
    with (
        pytest.raises(ConfigurationError) as told,
        development_server(tmp_path / "langgraph.json"),
    ):
        raise AssertionError("it has started")
    assert re.fullmatch(
        r"LangGraph's server did not start\. .*'broken' from \./app\.py: this app is broken",
        str(told.value),
    )


def test_a_server_needs_its_extra(tmp_path, monkeypatch):
    write_app(tmp_path, BROKEN_APP)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with (
        pytest.raises(MissingExtraError, match=r"agentkit-graphs\[studio\]"),
        development_server(tmp_path / "langgraph.json"),
    ):
        raise AssertionError("it has started")


@pytest.mark.studio
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_server_that_the_command_started_ends_with_it(tmp_path, number):
    write_app(
        tmp_path,
        "from langgraph.graph import START, MessagesState, StateGraph\n"
        "def step(state): return {}\n"
        "graph = StateGraph(MessagesState).add_node(step).add_edge(START, 'step').compile()\n",
    )
    words = [COMMAND, "view", "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as viewing:
        address = viewing.stdout.readline().split()[-1]
        psutil = pytest.importorskip("psutil")
        [started] = psutil.Process(viewing.pid).children()
        listed = httpx.post(f"{address}/api/assistants/search", json={}, trust_env=False).json()
        viewing.send_signal(number)
        viewing.wait(30)
    assert [each["graph_id"] for each in listed] == ["broken"]
    assert not started.is_running()
