"""`agentkit view`: a page to talk to the graphs of a LangGraph server."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from agentkit.cli.console import err, out
from agentkit.cli.listening import (
    AllowHostOption,
    HostOption,
    PortOption,
    address_of,
    check_reach,
    end_tidily,
    listening,
    serve,
)
from agentkit.errors import ConfigurationError

_KEYS = ("LANGGRAPH_API_KEY", "LANGSMITH_API_KEY", "LANGCHAIN_API_KEY")
"""Where LangGraph's own clients look for a server's key, in this order."""


def view(
    *,
    url: Annotated[
        str | None,
        typer.Option(help="A LangGraph server; without it one is started for --config."),
    ] = None,
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The app's langgraph.json.")
    ] = Path("langgraph.json"),
    header: Annotated[
        list[str] | None,
        typer.Option(help="Sent to the server with each request, as 'Name: value'; repeatable."),
    ] = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8123,
    allow_host: AllowHostOption = None,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the page in the browser.")
    ] = False,
) -> None:
    """Talk to graphs on a page that shows each step, and approve what they ask for.

    The page works with every LangGraph server, and needs no account and no network.

    A deployed server's key is LANGGRAPH_API_KEY or LANGSMITH_API_KEY; the browser never has it.
    """
    from agentkit.serving import development_server, view_app

    hosts = allow_host or []
    check_reach(host, hosts)
    headers = _headers(header or [])
    end_tidily()
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(listening(host, port))
        if url is None:
            err.print(f"[dim]Starting LangGraph's server for {escape(str(config))}…[/]")
            app = view_app(stack.enter_context(development_server(config)), allowed_hosts=hosts)
        else:
            key = next((os.environ[name] for name in _KEYS if os.environ.get(name)), None)
            keyed = {"x-api-key": key} if key else {}
            app = view_app(url, headers={**keyed, **headers}, allowed_hosts=hosts)
        out.print(f"The page is at {escape(address_of(listener))}")
        if open_page:
            typer.launch(address_of(listener))
        serve(app, listener)


def _headers(given: list[str]) -> Mapping[str, str]:
    headers = {}
    for header in given:
        name, colon, value = header.partition(":")
        if not colon or not name.strip() or not header.isascii():
            raise ConfigurationError(f"A header is 'Name: value'; got {header!r}.")
        headers[name.strip().lower()] = value.strip()
    return headers
