"""The tools of MCP servers, as an agent's own: bounded, permitted and not trusted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar, Unpack

from langchain_core.tools import BaseTool, ToolException
from typing_extensions import TypedDict

from agentkit._numbers import above_zero, whole_number
from agentkit._sync import on_loop, run_sync
from agentkit._text import shortened, well_formed
from agentkit.errors import AgentkitError, ConfigurationError, MCPServerError, MissingExtraError
from agentkit.tools._making import Permission, make_tool

try:
    import anyio
    import httpx
    from langchain_mcp_adapters.client import MultiServerMCPClient
    from mcp import ClientSession, McpError, types
except ImportError as missing:
    raise MissingExtraError("A tool of an MCP server", "mcp") from missing

Result = TypeVar("Result")
Ask: TypeAlias = Callable[[ClientSession], Awaitable[Result]]

MCPServer: TypeAlias = str | Mapping[str, Any]
"""An MCP server: the address of one that is reached by HTTP, or how to reach or to start one."""

_MOST_TOOLS = 1_000
_MOST_NAME_CHARS = 64
_MOST_DESCRIPTION_CHARS = 2_000
_MOST_ARGUMENT_CHARS = 500
_MOST_SCHEMA_CHARS = 20_000
_MOST_KEPT_CHARS = 1_000_000
_TAKEN = frozenset({"config", "run_manager", "self"})
"""Names of arguments that LangChain passes to every tool, and so takes from a server's."""


class MCPOptions(TypedDict, total=False):
    """How the tools of MCP servers are taken.

    `include` names the tools to take; `permissions` says what tools may do, by name;
    `trusted_annotations` says whose word is taken for it; `prefix` puts the server's name before a
    tool's; `timeout` is in seconds; `max_chars` bounds what the model is shown of a result.
    """

    include: Collection[str] | None
    permissions: Mapping[str, Permission] | None
    trusted_annotations: bool | Collection[str]
    prefix: bool
    timeout: float
    max_chars: int


def mcp_tools(servers: Mapping[str, MCPServer], **options: Unpack[MCPOptions]) -> list[BaseTool]:
    """The tools of MCP servers, as `amcp_tools` gives them; they work sync and async alike."""
    return run_sync(lambda: amcp_tools(servers, **options))


async def amcp_tools(
    servers: Mapping[str, MCPServer], **options: Unpack[MCPOptions]
) -> list[BaseTool]:
    """The tools of MCP servers, each as a LangChain tool that opens a session for each call.

    A server that crashed is thus reached again by the next call, and one that is started by a
    command is started for every call. `open_mcp_tools` keeps sessions open instead.

    What a server writes is by strangers: its results are marked as untrusted, its descriptions
    are cut to 2,000 characters, and its tools count as "write" although they call themselves
    read-only, unless `permissions` or `trusted_annotations` says otherwise. A tool that calls
    itself destructive is believed, and counts as "danger".

    Args:
        servers: The servers, by names of yours. Each is the URL of a streamable HTTP endpoint, or
            a mapping as MCP clients' configuration files have it: `url` with optional `headers`,
            or `command` with optional `args`, `env` and `cwd`. Any other key is one of
            `langchain_mcp_adapters`' connections. Of the environment a started server gets only
            PATH, HOME and the like, and what `env` names.
        options: `include`: names of the tools to take; None for all. `permissions`: what tools
            may do, by their names. `trusted_annotations`: True, or names of servers, to believe
            servers that a tool only reads. `prefix`: whether a tool is called `server_tool`, as
            by default, or by the server's name for it alone. `timeout`: seconds that a call may
            take, the session's opening included (60). `max_chars`: characters of a result that the
            model is shown (8,000).

    Returns:
        LangChain tools; an artifact holds `server`, `tool`, the `structured` result, `files` such
        as images (`mime_type`, `base64`), each of these up to a million characters, and `sources`.

    Raises:
        ConfigurationError: When a server is described wrongly, two tools have one name, or an
            option names a tool that there is not.
        MCPServerError: When a server cannot be reached, or its tools cannot be taken.
        MissingExtraError: When the `mcp` extra is not installed.

    Source: Model Context Protocol, revision 2025-11-25, "Tools".
    """
    sessions = _SessionPerCall(_client(servers))
    return await _tools(list(servers), sessions, _Options(**options))


@contextlib.asynccontextmanager
async def open_mcp_tools(
    servers: Mapping[str, MCPServer], **options: Unpack[MCPOptions]
) -> AsyncIterator[list[BaseTool]]:
    """The same tools over sessions that stay open until the end of the `async with`.

    For servers that are slow to start or that remember a session's earlier calls. A server that
    crashes stays away; its tools say so.

    Args:
        servers: As `amcp_tools` takes them.
        options: As `amcp_tools` takes them.

    Raises:
        ConfigurationError: As `amcp_tools`.
        MCPServerError: As `amcp_tools`.
    """
    client, chosen = _client(servers), _Options(**options)
    async with _opened(client, list(servers), chosen.timeout) as opened:
        sessions = _OpenSessions(opened, asyncio.get_running_loop())
        yield await _tools(list(servers), sessions, chosen)


@dataclass(frozen=True)
class _Options:
    include: Collection[str] | None = None
    permissions: Mapping[str, Permission] | None = None
    trusted_annotations: bool | Collection[str] = False
    prefix: bool = True
    timeout: float = 60
    max_chars: int = 8_000

    def __post_init__(self) -> None:
        above_zero("timeout", self.timeout, unit="seconds")
        whole_number("max_chars", self.max_chars)

    def name_of(self, server: str, tool: types.Tool) -> str:
        """How the agent calls a tool, in the characters and length that every model takes."""
        name = f"{server}_{tool.name}" if self.prefix else tool.name
        return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:_MOST_NAME_CHARS]

    def permission_of(self, name: str, server: str, tool: types.Tool) -> Permission:
        """What a tool may do: what the developer says, else what may be believed of the server."""
        if said := (self.permissions or {}).get(name):
            return said
        hints = tool.annotations or types.ToolAnnotations()
        trusted = self.trusted_annotations
        if hints.readOnlyHint and (trusted if isinstance(trusted, bool) else server in trusted):
            return "read"
        return "danger" if hints.destructiveHint else "write"


class _Sessions(Protocol):
    """How a server is asked."""

    async def ask(self, server: str, ask: Ask[Result]) -> Result:
        """What a server answers."""


class _SessionPerCall:
    """Asks in a session that is opened for it."""

    def __init__(self, client: MultiServerMCPClient) -> None:
        self._client = client

    async def ask(self, server: str, ask: Ask[Result]) -> Result:
        with _explained(server):
            async with self._client.session(server) as session:
                return await ask(session)
        # a session may swallow the error of a connection that broke off
        raise MCPServerError(f"The MCP server {server!r} broke off the connection.")


class _OpenSessions:
    """Asks in sessions that are open, on the loop that they were opened on."""

    def __init__(
        self, sessions: Mapping[str, ClientSession], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._sessions = sessions
        self._loop = loop

    async def ask(self, server: str, ask: Ask[Result]) -> Result:
        async def asked() -> Result:
            with _explained(server):
                return await ask(self._sessions[server])

        return await on_loop(self._loop, asked)


@contextlib.asynccontextmanager
async def _opened(
    client: MultiServerMCPClient,
    servers: Sequence[str],
    timeout: float,  # noqa: ASYNC109 - told as the server's failure
) -> AsyncIterator[Mapping[str, ClientSession]]:
    """Open sessions, by the servers' names.

    A task of their own holds them: around the caller's code, their task groups would put its
    errors into exception groups.
    """
    ready: asyncio.Future[Mapping[str, ClientSession]] = asyncio.Future()
    end = asyncio.Event()

    async def hold() -> None:
        async with contextlib.AsyncExitStack() as stack:
            sessions = {}
            try:
                for name in servers:
                    with _explained(name):
                        async with asyncio.timeout(timeout):
                            sessions[name] = await stack.enter_async_context(client.session(name))
            except MCPServerError as error:
                ready.set_exception(error)
                return
            ready.set_result(sessions)
            await end.wait()

    holding = asyncio.create_task(hold())
    try:
        either: set[asyncio.Future[Any]] = {ready, holding}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            await holding  # it failed, and says why
        yield ready.result()
    finally:
        end.set()
        if not ready.done():
            holding.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await holding  # closing what broke off is no failure


@contextlib.contextmanager
def _explained(server: str) -> Iterator[None]:
    """Any failure to speak with a server as one that says which server, and what to do."""
    try:
        yield
    except AgentkitError:
        raise
    except Exception as error:
        raise MCPServerError(
            f"The MCP server {server!r} failed: {_reason(error)}. Check that it runs, and how it "
            "is to be reached or started."
        ) from error


def _reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, anyio.ClosedResourceError | anyio.BrokenResourceError):
        return "it closed the connection"
    if isinstance(error, McpError):
        return shortened(error.error.message.rstrip("."))
    if isinstance(error, httpx.HTTPStatusError):  # its own text holds the address, and so may a key
        return f"it answered with HTTP status {error.response.status_code}"
    return shortened(f"{type(error).__name__}: {error}".rstrip(".: "))


def _client(servers: Mapping[str, MCPServer]) -> MultiServerMCPClient:
    if not servers:
        raise ConfigurationError("At least one MCP server is needed; got none.")
    return MultiServerMCPClient({name: _connection(name, told) for name, told in servers.items()})


def _connection(name: str, server: MCPServer) -> Any:
    """A server as langchain_mcp_adapters describes it."""
    if isinstance(server, str):
        server = {"url": server}
    told = dict(server) if isinstance(server, Mapping) else {}
    kind = told.pop("type", None)  # as several clients' configuration files call the transport
    if "command" in told:
        return {"transport": "stdio", "args": [], **told}
    if str(told.get("url", "")).startswith(("http://", "https://")):
        return {"transport": kind or "streamable_http", **told}
    if isinstance(server, Mapping):
        got = ", ".join(map(repr, server)) or "an empty mapping"
    else:
        got = shortened(repr(server), 80)
    raise ConfigurationError(
        f"The MCP server {name!r} is a URL that starts with http:// or https://, or a mapping with "
        f"`url` or `command`; got {got}."
    )


async def _tools(servers: Sequence[str], sessions: _Sessions, options: _Options) -> list[BaseTool]:
    listed = await asyncio.gather(
        *(_listed(server, sessions, options.timeout) for server in servers)
    )
    named: dict[str, tuple[str, types.Tool]] = {}
    for server, tools in zip(servers, listed, strict=True):
        for tool in tools:
            name = options.name_of(server, tool)
            if name in named:
                raise ConfigurationError(
                    f"Two tools would be called {name!r}: of {named[name][0]!r} and of {server!r}. "
                    "Leave `prefix` on, or name the servers otherwise."
                )
            named[name] = (server, tool)
    wanted = named.keys() if options.include is None else set(options.include)
    if unknown := (wanted | (options.permissions or {}).keys()) - named.keys():
        raise ConfigurationError(
            f"There is no tool {', '.join(map(repr, sorted(unknown)))}; the servers have "
            f"{', '.join(named) or 'none'}."
        )
    return [
        _made(name, server, tool, sessions, options)
        for name, (server, tool) in named.items()
        if name in wanted
    ]


async def _listed(
    server: str,
    sessions: _Sessions,
    timeout: float,  # noqa: ASYNC109 - told as the server's failure
) -> list[types.Tool]:
    async def listed(session: ClientSession) -> list[types.Tool]:
        tools: list[types.Tool] = []
        page = await session.list_tools()
        tools += page.tools
        while page.nextCursor and len(tools) <= _MOST_TOOLS:
            params = types.PaginatedRequestParams(cursor=page.nextCursor)
            page = await session.list_tools(params=params)
            tools += page.tools
        if len(tools) > _MOST_TOOLS:
            raise MCPServerError(
                f"The MCP server {server!r} lists more than {_MOST_TOOLS:,} tools."
            )
        return tools

    with _explained(server):
        async with asyncio.timeout(timeout):
            return await sessions.ask(server, listed)


def _made(
    name: str, server: str, tool: types.Tool, sessions: _Sessions, options: _Options
) -> BaseTool:
    schema, own_names = _schema(server, tool)

    async def call(**given: Any) -> tuple[str, dict[str, Any]]:
        arguments = {own_names.get(key, key): value for key, value in given.items()}
        result = await sessions.ask(server, lambda session: session.call_tool(tool.name, arguments))
        content = _Content(result)
        text = shortened(content.text, options.max_chars)
        if result.isError:
            raise ToolException(text or "The tool failed and does not say why.")
        artifact = {"server": server, "tool": tool.name, **content.kept}
        artifact["sources"] = [{"title": f"{tool.name} of {server}"}, *content.links]
        return text or "The tool returned nothing.", artifact

    return make_tool(
        call,
        shortened(tool.description or f"{tool.name} of {server}.", _MOST_DESCRIPTION_CHARS),
        schema,
        name=name,
        permission=options.permission_of(name, server, tool),
        untrusted=True,
        timeout=options.timeout,
    )


def _schema(server: str, tool: types.Tool) -> tuple[dict[str, Any], dict[str, str]]:
    """The arguments' schema with short descriptions, and the own names of those renamed."""
    schema = {"type": "object", "properties": {}, **_with_short_descriptions(tool.inputSchema)}
    if len(json.dumps(schema)) > _MOST_SCHEMA_CHARS:
        raise MCPServerError(
            f"The arguments of {tool.name!r} of the MCP server {server!r} take more than "
            f"{_MOST_SCHEMA_CHARS:,} characters to describe. Name the tools to take by `include`."
        )
    own_names = {f"{name}_": name for name in schema["properties"] if name in _TAKEN}
    new_names = {name: new for new, name in own_names.items()}
    schema["properties"] = {
        new_names.get(name, name): told for name, told in schema["properties"].items()
    }
    if "required" in schema:
        schema["required"] = [new_names.get(name, name) for name in schema["required"]]
    return schema, own_names


def _with_short_descriptions(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_with_short_descriptions(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: shortened(value, _MOST_ARGUMENT_CHARS)
        if key == "description" and isinstance(value, str)
        else _with_short_descriptions(value)
        for key, value in schema.items()
    }


class _Content:
    """A result's blocks as text, what is kept of it beside, and the addresses that it names."""

    def __init__(self, result: types.CallToolResult) -> None:
        self.files: list[dict[str, str]] = []
        self.links: list[dict[str, str]] = []
        self._left = _MOST_KEPT_CHARS
        structured = result.structuredContent
        written = json.dumps(structured, ensure_ascii=False, default=str) if structured else ""
        told = [self._told(block) for block in result.content]
        self.text = well_formed("\n".join(part for part in told if part) or written)
        self.kept = {
            "structured": structured if len(written) <= _MOST_KEPT_CHARS else None,
            "files": self.files,
        }

    def _told(self, block: types.ContentBlock) -> str:
        if isinstance(block, types.TextContent):
            return block.text
        if isinstance(block, types.ImageContent | types.AudioContent):
            return self._file(block.type, block.mimeType, block.data)
        if isinstance(block, types.ResourceLink):
            self._link(str(block.uri), block.title or block.name)
            return f"{block.title or block.name}: {block.uri}"
        resource = block.resource
        self._link(str(resource.uri), str(resource.uri))
        if isinstance(resource, types.TextResourceContents):
            return resource.text
        return self._file("file", resource.mimeType or "of an unknown type", resource.blob)

    def _file(self, kind: str, mime_type: str, data: str) -> str:
        size = f"[{kind}, {mime_type}, {len(data) * 3 // 4:,} bytes"
        self._left -= len(data)
        if self._left < 0:
            return f"{size}, too large to keep]"
        self.files.append({"mime_type": mime_type, "base64": data})
        return f"{size}]"

    def _link(self, uri: str, title: str) -> None:
        source = {"title": title}
        self.links.append({**source, "url": uri} if uri.startswith("http") else source)
