"""What the commands share that serve HTTP: where they listen, and how they stop."""

from __future__ import annotations

import signal
import socket
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from agentkit.errors import ConfigurationError
from agentkit.serving.hosts import is_loopback

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_SECONDS_TO_FINISH = 3
"""Seconds that open requests are given when the server is stopped."""

HostOption = Annotated[str, typer.Option(help="The address to serve HTTP at.")]
PortOption = Annotated[
    int, typer.Option(min=0, max=65_535, help="The port to serve HTTP at; 0 for a free one.")
]
AllowHostOption = Annotated[
    list[str] | None,
    typer.Option(help="A host name by which clients call the server; repeatable."),
]


def check_reach(host: str, allowed_hosts: list[str]) -> None:
    """See that whoever serves to other machines meant to.

    Raises:
        ConfigurationError: When other machines can reach the host and no name for it is allowed.
    """
    if not is_loopback(host) and not any(name.strip() for name in allowed_hosts):
        raise ConfigurationError(
            f"{host} can be reached from other machines. Name the host by which clients call this "
            "server with --allow-host, and put a proxy in front of it: it asks for no login."
        )


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        ConfigurationError: When it cannot.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigurationError(
            f"Nothing can be served at port {port} of {host}: {error}. Take another --port."
        ) from error


def address_of(listener: socket.socket) -> str:
    """The address by which a browser on this machine calls it."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Answer requests until the process is told to stop."""
    import uvicorn

    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=_SECONDS_TO_FINISH)
    uvicorn.Server(config).run(sockets=[listener])


def end_tidily() -> None:
    """Have a request to terminate unwind what runs, so that what was started is stopped, too."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
