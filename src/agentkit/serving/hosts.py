"""Who may call a server that runs on a person's own machine."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
"""The names by which this machine calls itself, as they stand in an address."""


def is_loopback(host: str) -> bool:
    """Whether a host is this machine and no other can reach it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class OwnPagesOnly:
    """An ASGI application that only its own pages may call.

    A request whose `Host` is no name of this server is refused, so that no other site can take its
    place by changing what a name resolves to; so is one whose `Origin` is another than the host
    that it calls, so that no other site's page can act through a reader's browser.

    Args:
        app: The application.
        hosts: The names of the server, without a port.
    """

    def __init__(self, app: ASGIApp, *, hosts: Sequence[str]) -> None:
        self._app = app
        self._hosts = {name for host in hosts if (name := _host_name(host))}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of an own page, and refuse others."""
        if scope["type"] == "http" and not self._is_own(scope):
            from starlette.responses import PlainTextResponse

            refusal = PlainTextResponse("This server answers its own pages only.", status_code=403)
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_own(self, scope: Scope) -> bool:
        from starlette.datastructures import Headers

        headers = Headers(scope=scope)
        host = headers.get("host", "")
        origin = headers.get("origin")
        return _host_name(host) in self._hosts and (
            origin is None or origin.partition("://")[2] == host
        )


def _host_name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
