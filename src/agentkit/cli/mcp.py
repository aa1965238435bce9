"""`agentkit mcp`: the graphs of a LangGraph app as the tools of an MCP server."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from agentkit.cli.console import err
from agentkit.cli.listening import (
    AllowHostOption,
    HostOption,
    PortOption,
    address_of,
    check_reach,
    listening,
    serve,
)
from agentkit.errors import ConfigurationError

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server


def named_graphs(context: typer.Context, incomplete: str) -> list[str]:
    """The graphs of `--config` whose names begin so, for the shell to complete."""
    from agentkit.serving.graphs_file import read_config

    with contextlib.suppress(ConfigurationError):
        names = read_config(Path(context.params.get("config") or "langgraph.json"))["graphs"]
        return [name for name in names if name.startswith(incomplete)]
    return []


def mcp(
    graphs: Annotated[
        list[str] | None,
        typer.Argument(help="Which graphs; all of them by default.", autocompletion=named_graphs),
    ] = None,
    *,
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The app's langgraph.json.")
    ] = Path("langgraph.json"),
    http: Annotated[
        bool, typer.Option("--http", help="Serve over HTTP instead of standard input and output.")
    ] = False,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
    allow_host: AllowHostOption = None,
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
    from agentkit.serving.mcp import http_app

    check_reach(host, allowed_hosts)
    app = http_app(server(), allowed_hosts=allowed_hosts)
    with listening(host, port) as listener:
        err.print(f"Serving at {escape(address_of(listener))}/mcp")
        serve(app, listener)
