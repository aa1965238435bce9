"""`agentkit mcp`: the graphs of a LangGraph app as the tools of an MCP server."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from agentkit.cli.console import err
from agentkit.errors import ConfigurationError

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

_SECONDS_TO_FINISH = 3
"""Seconds that open requests are given when the server is stopped."""


def mcp(
    graphs: Annotated[
        list[str] | None, typer.Argument(help="Which graphs; all of them by default.")
    ] = None,
    *,
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The app's langgraph.json.")
    ] = Path("langgraph.json"),
    http: Annotated[
        bool, typer.Option("--http", help="Serve over HTTP instead of standard input and output.")
    ] = False,
    host: Annotated[str, typer.Option(help="The address to serve HTTP at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to serve HTTP at; 0 for a free one.")] = 8000,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="A host name by which clients call the server; repeatable."),
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds that one answer may take.")] = 300,
) -> None:
    """Serve graphs to MCP clients, over standard input and output or HTTP."""
    from agentkit.serving import load_graphs, mcp_server

    def server() -> Server[Any, Any]:
        return mcp_server(load_graphs(config, names=graphs), timeout=timeout)

    if http:
        _serve_http(server, host, port, allow_host or [])
    else:
        _serve_stdio(server)


def _serve_stdio(server: Callable[[], Server[Any, Any]]) -> None:
    from agentkit.serving.mcp import reserved_stdio, serve_stdio

    with reserved_stdio() as (stdin, stdout):
        served = server()  # loading the graphs may print, too
        # the thread that waits for the client's next line would keep an interrupted process alive
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        asyncio.run(serve_stdio(served, stdin=stdin, stdout=stdout))


def _serve_http(
    server: Callable[[], Server[Any, Any]], host: str, port: int, allowed_hosts: list[str]
) -> None:
    from agentkit.serving.mcp import http_app, is_loopback

    if not is_loopback(host) and not allowed_hosts:
        raise ConfigurationError(
            f"{host} can be reached from other machines. Name the host by which clients call this "
            "server with --allow-host, and put a proxy in front of it: it asks for no login."
        )
    import uvicorn

    app = http_app(server(), allowed_hosts=allowed_hosts)
    with _listening(host, port) as listener:
        name = f"[{host}]" if ":" in host else host
        err.print(f"Serving at http://{escape(name)}:{listener.getsockname()[1]}/mcp")
        config = uvicorn.Config(
            app, log_level="warning", timeout_graceful_shutdown=_SECONDS_TO_FINISH
        )
        uvicorn.Server(config).run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigurationError(
            f"Nothing can be served at port {port} of {host}: {error}. Take another --port."
        ) from error
