"""Web requests that reach public addresses only, whatever a URL, a name or a redirect says."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.metadata
import ipaddress
import socket
import ssl
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from langchain_core.tools import ToolException

from agentkit._numbers import above_zero, whole_number
from agentkit._text import error_text, shortened
from agentkit.errors import MissingExtraError
from agentkit.tools._addresses import (
    Address,
    HostRule,
    Network,
    checked_url,
    host_of,
    is_public,
    literal_address,
    port_of,
    private_networks,
)

try:
    import httpx2
except ImportError as error:
    raise MissingExtraError("A web tool", "web") from error

READING = frozenset({"GET", "HEAD"})
"""Methods that change nothing, whose redirects are followed."""

_MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GZIP = {"gzip", "x-gzip"}
_GZIP_WINDOW = zlib.MAX_WBITS | 16


@dataclass(frozen=True)
class _Request:
    method: str
    url: httpx2.URL
    headers: Mapping[str, str]
    content: bytes | None


@dataclass(frozen=True)
class Fetched:
    """What a server answered.

    Args:
        url: Where it came from in the end.
        status: The HTTP status code.
        reason: The status in words.
        headers: The response's headers.
        body: The body, decompressed.
    """

    url: str
    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def answer(self) -> str:
        """The status as it is told, such as `404 Not Found`."""
        return f"{self.status} {self.reason}".strip()


class Fetcher:
    """Asks for URLs that a model wrote.

    A name is looked up once; when any of its addresses is not public, it is refused, and else the
    connection goes to the very address that was checked, so that a name which changes its address
    in between gains nothing. Every redirect is checked in the same way. No cookie is kept, and no
    proxy is taken from the environment.

    Args:
        timeout: Seconds that a request may take, with its redirects and its body.
        max_bytes: Bytes of a body that are read at most, as they are sent and decompressed.
        allow_private: Networks in CIDR notation that may be reached though they are not public.
        hosts: The hosts that may be asked; None for all.
        proxy: The URL of a proxy for every request. Names are looked up here all the same.
        user_agent: How the requests name their sender; None for agentkit's name and version.

    Raises:
        ConfigurationError: When a network is not one, or a limit is not above 0.
    """

    def __init__(
        self,
        *,
        timeout: float,
        max_bytes: int,
        allow_private: Sequence[str] = (),
        hosts: Sequence[HostRule] | None = None,
        proxy: str | None = None,
        user_agent: str | None = None,
    ) -> None:
        self._timeout = above_zero("timeout", timeout, unit="seconds")
        self._max_bytes = whole_number("max_bytes", max_bytes)
        self._networks = private_networks(allow_private)
        self._hosts = hosts
        self._proxy = proxy
        self._user_agent = user_agent or default_user_agent()

    async def fetch(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Fetched:
        """Ask for a URL and follow where it leads.

        Args:
            url: An http or https URL.
            method: The HTTP method; redirects are followed for GET and HEAD.
            headers: Sent to the URL's own scheme, host and port only, and nowhere that it leads.
            content: The request's body.

        Raises:
            ToolException: When the URL or where it leads may not be asked for, cannot be reached,
                takes too long, or answers with too much.
        """
        request = _Request(method, checked_url(url), dict(headers or {}), content)
        try:
            async with asyncio.timeout(self._timeout):
                return await self._followed(request)
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise ToolException(
                f"{host_of(request.url)} did not answer within {self._timeout:g} seconds. "
                "Try another address, or go on without it."
            ) from error

    async def _followed(self, first: _Request) -> Fetched:
        request = first
        for _ in range(_MOST_REDIRECTS + 1):
            answer = await self._answer(request)
            if not (location := _leads_to(request, answer.status, answer.headers)):
                return answer
            url = _redirected(request.url, location)
            headers = first.headers if _origin(url) == _origin(first.url) else {}
            request = replace(request, url=url, headers=headers)
        raise ToolException(
            f"{shortened(str(first.url), 200)} redirects more than {_MOST_REDIRECTS} times. "
            "Try another address."
        )

    async def _answer(self, request: _Request) -> Fetched:
        addresses = await self._checked_addresses(request.url)
        # The bare transport, made for each request: it follows nothing, keeps no cookie and no
        # connection that was opened for another name, and belongs to no event loop.
        async with httpx2.AsyncHTTPTransport(verify=self._tls, proxy=self._proxy) as transport:
            try:
                response = await self._sent(transport, addresses, request)
                async with contextlib.aclosing(response):
                    body = await self._body(response, request)
            except httpx2.TimeoutException:
                raise
            except httpx2.HTTPError as error:
                raise ToolException(
                    f"{host_of(request.url)} cannot be reached ({error_text(error)}). "
                    "Try another address, or go on without it."
                ) from error
        return Fetched(
            url=str(request.url),
            status=response.status_code,
            reason=response.reason_phrase,
            headers=response.headers,
            body=body,
        )

    @functools.cached_property
    def _tls(self) -> ssl.SSLContext:
        return httpx2.create_ssl_context()

    async def _sent(
        self,
        transport: httpx2.AsyncHTTPTransport,
        addresses: Sequence[Address],
        request: _Request,
    ) -> httpx2.Response:
        url = request.url
        seconds = httpx2.Timeout(self._timeout, connect=self._timeout / len(addresses))
        headers = {"User-Agent": self._user_agent, "Accept-Encoding": "gzip", **request.headers}
        for address in addresses:
            # the address that was checked takes the name's place; TLS and the Host header keep it
            sent = httpx2.Request(
                request.method,
                url.copy_with(host=str(address)),
                headers={"Host": url.netloc.decode("ascii"), **headers},
                content=request.content,
                extensions={"sni_hostname": host_of(url), "timeout": seconds.as_dict()},
            )
            try:
                return await transport.handle_async_request(sent)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                if address == addresses[-1]:
                    raise
        raise AssertionError("a name that was found has an address")

    async def _checked_addresses(self, url: httpx2.URL) -> list[Address]:
        networks = (*self._networks, *self._opened_by(url))
        literal = literal_address(url)
        addresses = [literal] if literal else await _looked_up(url)
        for address in addresses:
            if not is_public(address) and not any(address in network for network in networks):
                raise ToolException(
                    f"{shortened(str(url), 200)} was not asked for: its host is not on the public "
                    "internet. Only public addresses can be reached."
                )
        return addresses

    def _opened_by(self, url: httpx2.URL) -> Sequence[Network]:
        if self._hosts is None:
            return ()
        for rule in self._hosts:
            if rule.allows(url):
                return rule.networks
        allowed = ", ".join(rule.text for rule in self._hosts)
        raise ToolException(
            f"{shortened(str(url), 200)} was not asked for: only these hosts may be called, by "
            f"https unless http is named: {allowed}."
        )

    async def _body(self, response: httpx2.Response, request: _Request) -> bytes:
        if request.method == "HEAD" or _leads_to(request, response.status_code, response.headers):
            return b""
        host = host_of(request.url)
        encoding = response.headers.get("content-encoding", "").strip().lower() or "identity"
        if encoding not in {"identity", *_GZIP}:
            raise ToolException(f"{host} answered in the encoding {encoding!r}, not asked for.")
        unpack = zlib.decompressobj(_GZIP_WINDOW) if encoding in _GZIP else None
        received, body = 0, bytearray()
        async for piece in response.aiter_raw():
            received += len(piece)
            room = self._max_bytes - len(body) + 1
            body += _unpacked(unpack, piece, room, host) if unpack else piece
            if max(received, len(body)) > self._max_bytes:
                raise ToolException(
                    f"What {host} answers is larger than {self._max_bytes:,} bytes, which is the "
                    "most that is read. Try another address."
                )
        return bytes(body)


def default_user_agent() -> str:
    """How a request names agentkit: `agentkit/VERSION`."""
    return f"agentkit/{importlib.metadata.version('agentkit-graphs')}"


def _unpacked(unpack: zlib._Decompress, piece: bytes, room: int, host: str) -> bytes:
    try:
        return unpack.decompress(piece, room)
    except zlib.error as error:
        raise ToolException(f"{host} answered with compressed data that is damaged.") from error


async def _looked_up(url: httpx2.URL) -> list[Address]:
    host = host_of(url)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port_of(url), type=socket.SOCK_STREAM
        )
    except (socket.gaierror, UnicodeError) as error:
        raise ToolException(
            f"The host {host!r} was not found: either there is no such name, or there is no "
            "network here. Check the address, or go on without it."
        ) from error
    return [ipaddress.ip_address(address) for address in dict.fromkeys(e[4][0] for e in found)]


def _redirected(url: httpx2.URL, location: str) -> httpx2.URL:
    try:
        return checked_url(str(url.join(location)))
    except httpx2.InvalidURL as error:
        raise ToolException(f"{url} redirects to an address that cannot be read.") from error


def _origin(url: httpx2.URL) -> tuple[str, str, int]:
    return url.scheme, host_of(url), port_of(url)


def _leads_to(request: _Request, status: int, headers: Mapping[str, str]) -> str | None:
    if request.method in READING and status in _REDIRECTS:
        return headers.get("location")
    return None
