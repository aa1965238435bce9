"""Graphs as the tools of an MCP server, over stdio and streamable HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
import os
import re
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from langchain_core.tools import ToolException
from pydantic import ValidationError

from agentkit._text import shortened
from agentkit.errors import AgentkitError, ConfigurationError, MissingExtraError
from agentkit.serving.graphs_file import ServedGraph
from agentkit.serving.hosts import LOOPBACK
from agentkit.tools._making import Permission
from agentkit.tools.graph import Graph, GraphRun, Question, answered

try:
    import anyio
    from mcp import types
    from mcp.server.lowlevel import Server
    from mcp.server.stdio import stdio_server
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
    from mcp.server.transport_security import TransportSecuritySettings
    from starlette.applications import Starlette
    from starlette.routing import Route
except ImportError as missing:
    raise MissingExtraError("An MCP server", "mcp") from missing

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

Result = TypeVar("Result")

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_MOST_EVENT_CHARS = 200
_OUTPUT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "answer": {"type": "string", "description": "The answer."},
        "sources": {
            "type": "array",
            "items": {"type": "object"},
            "description": "What the answer stands on; [n] in the answer is the n-th.",
        },
    },
    "required": ["answer", "sources"],
}
"""What every result has; a graph's other outputs stand beside it."""

_TOLD_BY = ("message", "error", "query", "queries", "tables")
"""The fields of a progress event that say most, the first one first."""


def mcp_server(
    graphs: Mapping[str, Graph | ServedGraph],
    *,
    permissions: Mapping[str, Permission] | None = None,
    name: str = "agentkit",
    instructions: str | None = None,
    timeout: float = 300,
) -> Server[Any, Any]:
    """An MCP server whose tools are graphs.

    Each tool takes a `question`. Its result is the answer, the sources as text for clients that
    show nothing else, and as structured content the answer with all that the graph returns beside
    it. The graph's progress events become progress notifications, for a client that asks for them.

    Args:
        graphs: The graphs by the names that their tools get, such as `load_graphs` returns: graphs
            of agentkit, or any compiled LangGraph graphs that `as_tool` takes.
        permissions: What a run may do, by name, where it is not what `as_tool` takes it to be.
            "read" is announced as read-only, "danger" as destructive.
        name: The server's name.
        instructions: How to use the server, which clients may tell their models.
        timeout: Seconds that one answer may take.

    Returns:
        A `Server` of the reference SDK: for `serve_stdio`, `http_app`, or any transport of its.

    Raises:
        ConfigurationError: When a graph cannot be asked, or a name cannot be a tool's.
        MissingExtraError: When the `mcp` extra is not installed.

    Source: Model Context Protocol, revision 2025-11-25, "Tools" and "Progress".
    """
    known = dict(permissions or {})
    if unknown := known.keys() - graphs.keys():
        raise ConfigurationError(f"No graph is named {', '.join(map(repr, sorted(unknown)))}.")
    served = {key: _Tool(key, graph, known.get(key)) for key, graph in graphs.items()}
    version = importlib.metadata.version("agentkit-graphs")
    server: Server[Any, Any] = Server(name, version=version, instructions=instructions)

    async def list_tools(_: types.ListToolsRequest) -> types.ServerResult:
        return types.ServerResult(
            types.ListToolsResult(tools=[tool.declaration for tool in served.values()])
        )

    async def call_tool(request: types.CallToolRequest) -> types.ServerResult:
        asked = request.params
        if asked.name not in served:
            known = ", ".join(served) or "none"
            return types.ServerResult(
                _failed(f"There is no tool {asked.name!r}; there are: {known}.")
            )
        progress = _Progress(server)
        return types.ServerResult(
            await served[asked.name].call(asked.arguments or {}, progress, timeout)
        )

    server.request_handlers[types.ListToolsRequest] = list_tools
    server.request_handlers[types.CallToolRequest] = call_tool
    return server


async def serve_stdio(
    server: Server[Any, Any], *, stdin: TextIO | None = None, stdout: TextIO | None = None
) -> None:
    """Serve one client over standard input and output, until it closes them.

    Nothing else may write to standard output meanwhile: see `reserved_stdio`.

    Args:
        server: What `mcp_server` returned.
        stdin: Where the client's messages come from; None for standard input.
        stdout: Where the server's messages go; None for standard output.
    """
    given = anyio.wrap_file(stdin) if stdin is not None else None
    taken = anyio.wrap_file(stdout) if stdout is not None else None
    async with stdio_server(given, taken) as (read, write):
        await server.run(read, write, server.create_initialization_options())


@contextlib.contextmanager
def reserved_stdio() -> Iterator[tuple[TextIO, TextIO]]:
    """Standard input and output for the protocol alone.

    Whatever else this process prints meanwhile, native libraries included, goes to standard error,
    and whatever reads standard input finds it empty.
    """
    sys.stdout.flush()
    given, taken, empty = os.dup(0), os.dup(1), os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.dup2(2, 1)
    os.close(empty)
    with (
        open(given, encoding="utf-8", errors="replace") as stdin,  # noqa: PTH123 - no path
        open(taken, "w", encoding="utf-8", newline="\n") as stdout,  # noqa: PTH123
    ):
        try:
            yield stdin, stdout
        finally:
            sys.stdout.flush()
            os.dup2(given, 0)
            os.dup2(taken, 1)


def http_app(
    server: Server[Any, Any], *, path: str = "/mcp", allowed_hosts: Sequence[str] = ()
) -> Starlette:
    """The server as an ASGI application that speaks streamable HTTP.

    A request whose `Host` or `Origin` names another host is refused, so that no web page can reach
    the server through the reader's browser. There is no login: what faces more than this machine
    belongs behind a proxy that has one.

    Args:
        server: What `mcp_server` returned.
        path: The path that clients call.
        allowed_hosts: Host names by which clients call the server, beside those of loopback.
    """
    hosts = [*LOOPBACK, *allowed_hosts]
    origins = [f"{scheme}://{host}" for scheme in ("http", "https") for host in hosts]
    manager = StreamableHTTPSessionManager(
        server,
        stateless=True,  # a question is asked by itself; a client that goes away ends its run
        security_settings=TransportSecuritySettings(
            allowed_hosts=_at_any_port(hosts), allowed_origins=_at_any_port(origins)
        ),
    )

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with manager.run():
            yield

    return Starlette(routes=[Route(path, endpoint=_Endpoint(manager))], lifespan=lifespan)


class _Endpoint:
    """The session manager as an ASGI application, which a route takes only as an object."""

    def __init__(self, manager: StreamableHTTPSessionManager) -> None:
        self._manager = manager

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._manager.handle_request(scope, receive, send)


class _Tool:
    """One graph as a tool."""

    def __init__(
        self, name: str, graph: Graph | ServedGraph, permission: Permission | None
    ) -> None:
        if not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"A tool's name is 1 to 128 letters, digits, '_', '-' and '.'; got {name!r}."
            )
        served = graph if isinstance(graph, ServedGraph) else ServedGraph(graph)
        self._run = GraphRun(served.graph)
        may = permission or self._run.permission
        self.declaration = types.Tool(
            name=name,
            description=served.description or self._run.description,
            inputSchema=Question.model_json_schema(),
            outputSchema=_OUTPUT,
            annotations=types.ToolAnnotations(
                readOnlyHint=may == "read", destructiveHint=may == "danger"
            ),
        )

    async def call(
        self,
        arguments: Mapping[str, Any],
        progress: _Progress,
        timeout: float,  # noqa: ASYNC109 - told with its number of seconds
    ) -> types.CallToolResult:
        """The graph's answer; what goes wrong is a result that says so."""
        name = self.declaration.name
        try:
            question = Question.model_validate(arguments).question
        except ValidationError:
            return _failed("The argument `question` is a text that is not empty.")
        try:
            async with asyncio.timeout(timeout) as limit:
                result = await _cancelled_once(self._run.ainvoke(question, on_event=progress.tell))
            answer, artifact = answered(result, name=name)
        except (AgentkitError, ToolException) as error:
            return _failed(str(error))
        except Exception as error:
            if limit.expired():
                return _failed(f"{name} took longer than {timeout:g} seconds.")
            logger.exception("The graph %s failed.", name)
            return _failed(f"{name} failed with {type(error).__name__}; the server's log says why.")
        return types.CallToolResult(
            content=[_text(answer), *_sources_text(artifact["sources"])],
            structuredContent={"answer": answer, **artifact},
        )


class _Progress:
    """A graph's progress events as notifications, to a client that asked for them."""

    def __init__(self, server: Server[Any, Any]) -> None:
        self._context = server.request_context
        self._told = 0

    async def tell(self, event: Any) -> None:
        meta = self._context.meta
        if meta is None or meta.progressToken is None:
            return
        self._told += 1
        await self._context.session.send_progress_notification(
            progress_token=meta.progressToken,
            progress=self._told,
            message=_event_text(event),
            related_request_id=str(self._context.request_id),
        )


async def _cancelled_once(run: Coroutine[Any, Any, Result]) -> Result:
    """Await a run in a task of its own, which is cancelled once when this one is.

    The SDK's task groups cancel a task again at every step until it ends, which would also cancel
    LangGraph's ending of its nodes and leave them running.
    """
    task = asyncio.ensure_future(run)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.cancel()
        raise


def _event_text(event: Any) -> str:
    if not isinstance(event, Mapping):
        return shortened(str(event), _MOST_EVENT_CHARS)
    kind = str(event.get("type", "")).replace("_", " ")
    said = next((event[field] for field in _TOLD_BY if event.get(field)), "")
    said = " · ".join(map(str, said)) if isinstance(said, list) else str(said)
    return shortened(": ".join(part for part in (kind, said) if part), _MOST_EVENT_CHARS)


def _sources_text(sources: Sequence[Mapping[str, str]]) -> list[types.ContentBlock]:
    if not sources:
        return []
    lines = []
    for number, source in enumerate(sources, 1):
        shown = (source["title"], source.get("url"), source.get("query"))
        lines.append(f"[{number}] {' – '.join(part for part in shown if part)}")
    return [_text("\n".join(["Sources:", *lines]))]


def _failed(text: str) -> types.CallToolResult:
    return types.CallToolResult(content=[_text(text)], isError=True)


def _text(text: str) -> types.TextContent:
    return types.TextContent(type="text", text=text)


def _at_any_port(hosts: Sequence[str]) -> list[str]:
    return [form for host in hosts for form in (host, f"{host}:*")]
