"""A page that talks to the graphs of a LangGraph server, and shows what they do."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx

from agentkit._text import error_text
from agentkit.errors import ConfigurationError, MissingExtraError
from agentkit.serving.hosts import LOOPBACK, OwnPagesOnly

try:
    from starlette.applications import Starlette
    from starlette.background import BackgroundTask
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response, StreamingResponse
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
except ImportError as missing:
    raise MissingExtraError("The view", "view") from missing

PAGE = Path(__file__).with_name("page")

_OFFERED = ("assistants", "runs", "threads")
"""The parts of the server's API that the page uses; it reaches no others."""

_SENT = ("accept", "content-type", "last-event-id")
_RETURNED = ("content-type", "content-location", "location")
_SECONDS_TO_CONNECT = 10.0
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "cache-control": "no-cache",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def view_app(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    allowed_hosts: Sequence[str] = (),
) -> Starlette:
    """The page as an ASGI application, in front of a LangGraph server.

    The page calls the server through this application, which adds the headers: no key comes into
    the browser. There is no login: what faces more than this machine belongs behind a proxy that
    has one.

    Args:
        url: The server's address, a development server's or a deployed one's.
        headers: What to send with each request to it, such as its key.
        allowed_hosts: Host names by which browsers call the page, beside those of loopback.

    Raises:
        ConfigurationError: When the address is none.
        MissingExtraError: When the `view` extra is not installed.
    """
    base = _checked(url)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        # a run streams for as long as it takes, and a step of it may be silent for minutes
        timeout = httpx.Timeout(None, connect=_SECONDS_TO_CONNECT)
        async with httpx.AsyncClient(headers=headers, timeout=timeout) as client:
            app.state.client = client
            yield

    async def forward(request: Request) -> Response:
        return await _forwarded(request, base)

    methods = ["GET", "POST", "PATCH", "DELETE"]
    return Starlette(
        routes=[
            Route("/api/{path:path}", forward, methods=methods),
            Mount("/", StaticFiles(directory=PAGE, html=True)),
        ],
        middleware=[
            Middleware(OwnPagesOnly, hosts=[*LOOPBACK, *allowed_hosts]),
            Middleware(_WithHeaders),
        ],
        lifespan=lifespan,
    )


def _checked(url: str) -> str:
    told = f"The address of a LangGraph server is like http://127.0.0.1:2024; got {url!r}"
    try:
        parsed = urlsplit(url)
        host, _ = parsed.hostname, parsed.port  # what is no port is found out when it is asked for
    except ValueError as error:
        raise ConfigurationError(f"{told}: {error}.") from error
    if parsed.scheme not in ("http", "https") or not host:
        raise ConfigurationError(f"{told}.")
    return parsed._replace(query="", fragment="").geturl().rstrip("/")


async def _forwarded(request: Request, base: str) -> Response:
    """The server's answer, as it comes."""
    parts = request.path_params["path"].split("/")
    if parts[0] not in _OFFERED or ".." in parts:
        return JSONResponse({"detail": "The view does not use this."}, status_code=404)
    client: httpx.AsyncClient = request.app.state.client
    sent = client.build_request(
        request.method,
        f"{base}/{quote('/'.join(parts))}",
        params=str(request.query_params),
        headers={name: request.headers[name] for name in _SENT if name in request.headers},
        content=await request.body(),
    )
    try:
        reply = await client.send(sent, stream=True)
    except httpx.HTTPError as error:
        told = f"The server at {base} cannot be reached: {error_text(error)}."
        return JSONResponse({"detail": told}, status_code=502)
    return StreamingResponse(
        _body_of(reply, base),
        status_code=reply.status_code,
        headers={name: reply.headers[name] for name in _RETURNED if name in reply.headers},
        background=BackgroundTask(reply.aclose),
    )


async def _body_of(reply: httpx.Response, base: str) -> AsyncIterator[bytes]:
    """The answer's body; a stream of events that breaks off ends with one that says so."""
    try:
        async for part in reply.aiter_bytes():
            yield part
    except httpx.HTTPError as error:
        if not reply.headers.get("content-type", "").startswith("text/event-stream"):
            raise
        told = json.dumps({"message": f"The server at {base} broke off: {error_text(error)}."})
        yield f"\n\nevent: error\ndata: {told}\n\n".encode()


class _WithHeaders:
    """Adds the headers that keep what the page shows from acting, to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        added = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await self._app(scope, receive, send_with_headers)
