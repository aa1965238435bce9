"""Nothing that sandboxed code does is seen outside of it, and all of it ends."""

import json
import os
import threading
import time
from contextlib import contextmanager, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer

import psutil
import pytest

from agentkit.tools.python import python_tool
from tests.tools.python_escapes import ESCAPES

SECRET = "the-secret-of-the-host"
VARIABLE = "AGENTKIT_TEST_SECRET"
SECONDS = 0.2
# the limit, the grace of a process that does not stop, and room for a busy machine
MOST_SECONDS = SECONDS + 1 + 20


class Host:
    """What an escape would touch."""

    def __init__(self, folder, port):
        self.file = folder / "secret.txt"
        self.file.write_text(SECRET)
        self.new = folder / "owned"
        self.port = port
        self.connections = []
        self.data = {"a": ["plain"], "secret": SECRET}
        self.kept = []
        self.others = others()

    def functions(self):
        def lookup(key: str) -> list:
            """A part of what the host has."""
            return self.data["a"] if key == "a" else []

        def keep(value: object) -> None:
            """Take a value."""
            self.kept[:] = [value]

        def fail() -> None:
            """Fail."""
            secret_local = SECRET
            error = RuntimeError("It failed.")
            error.details = secret_local
            error.add_note(secret_local)
            raise error from ValueError(secret_local)

        return [lookup, keep, fail]

    def check(self, shown):
        """Nothing of the host was seen, changed or started."""
        assert SECRET not in shown
        assert self.file.read_text() == SECRET
        assert sorted(self.file.parent.iterdir()) == [self.file]
        assert self.data == {"a": ["plain"], "secret": SECRET}
        assert os.environ[VARIABLE] == SECRET
        assert self.connections == []
        for worker in started_beside(self.others):
            with suppress(psutil.NoSuchProcess):  # it ended meanwhile
                assert worker.name().startswith("monty")
                assert worker.children() == []


def others():
    """The processes that other tests have started."""
    found = []
    for process in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if not process.name().startswith("monty"):
                found.append(process)
    return found


def started_beside(known):
    """The processes that were started beside these."""
    return [each for each in psutil.Process().children() if each not in known]


@contextmanager
def listening(connections):
    class Handler(BaseRequestHandler):
        def handle(self):
            connections.append(self.client_address)

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    connections = []
    with listening(connections) as port, pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, SECRET)
        made = Host(tmp_path_factory.mktemp("host"), port)
        made.connections = connections
        yield made


@pytest.fixture(scope="module")
def python(host):
    with python_tool(
        functions=host.functions(), timeout=SECONDS, max_memory=32 * 2**20, max_sessions=2
    ) as made:
        yield made


def attempt(python, code, thread):
    """What is shown of a run in a new session, and whether the tool works after it."""
    start = time.monotonic()
    message = python.invoke(
        {"type": "tool_call", "id": "1", "name": "python", "args": {"code": code}},
        {"configurable": {"thread_id": thread}},
    )
    assert time.monotonic() - start < MOST_SECONDS
    return message.content + json.dumps(message.artifact, default=repr)


def works(python):
    told = python.invoke({"code": "lookup('a')"}, {"configurable": {"thread_id": "works"}})
    return told == "Result: ['plain']"


@pytest.mark.parametrize(
    ("number", "escape"),
    list(enumerate(ESCAPES)),
    ids=[f"{each.kind}-{number}" for number, each in enumerate(ESCAPES)],
)
def test_no_code_leaves_its_sandbox_or_goes_on_for_ever(python, host, number, escape):
    code = escape.code.format(file=host.file, new=host.new, port=host.port, variable=VARIABLE)
    shown = attempt(python, code, str(number))
    host.check(shown)
    if escape.kind in ("endless", "huge"):
        assert len(shown) < 100_000
    assert any(works(python) for _ in range(5))  # not at once, on a machine that is very busy


def test_there_are_many_attempts_and_none_twice():
    assert len({each.code for each in ESCAPES}) == len(ESCAPES) >= 80


def test_an_escape_would_be_seen(host):
    """With functions that do what the sandbox does not, every witness speaks."""

    def read() -> str:
        return host.file.read_text()

    def write() -> None:
        host.new.write_text("owned")

    def change() -> None:
        host.data["a"].append("owned")

    with python_tool(functions=[read, write, change]) as made:
        with pytest.raises(AssertionError):
            host.check(attempt(made, "read()", "a"))
        attempt(made, "change()", "a")
        with pytest.raises(AssertionError):
            host.check("")
        host.data["a"].remove("owned")
        attempt(made, "write()", "a")
        with pytest.raises(AssertionError):
            host.check("")
        host.new.unlink()
        host.check("")


def test_the_process_of_a_session_is_given_nothing_of_its_hosts_environment(python):
    known = others()
    python.invoke({"code": "1"}, {"configurable": {"thread_id": "environment"}})
    for worker in started_beside(known):
        assert VARIABLE not in worker.environ()
        assert SECRET not in worker.environ().values()
