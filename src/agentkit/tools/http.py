"""HTTP as a tool: JSON APIs on hosts that the developer has named."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from langchain_core.tools import BaseTool, ToolException
from pydantic import BaseModel, Field, create_model

from agentkit._text import well_formed
from agentkit.errors import ConfigurationError
from agentkit.tools._addresses import host_rule
from agentkit.tools._decoding import decoded
from agentkit.tools._fetching import READING, Fetched, Fetcher
from agentkit.tools._making import Permission, make_tool

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_MODELS_HEADERS = frozenset(
    {"accept", "accept-language", "content-type", "if-match", "if-modified-since", "if-none-match"}
)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_SECRET = re.compile(r"auth|key|token|secret|cookie|session|password|signature", re.IGNORECASE)
_TOLD_HEADERS = ("content-type", "content-length", "last-modified", "etag", "location")
_MOST_BYTES = 5_000_000
_LOWEST_ERROR = 400
_SHORTEST_SECRET = 6


def http_request(
    hosts: Sequence[str],
    *,
    methods: Sequence[str] = ("GET",),
    headers: Mapping[str, str] | None = None,
    allow_private: Sequence[str] = (),
    timeout: float = 20.0,
    max_chars: int = 20_000,
    untrusted: bool = True,
    proxy: str | None = None,
    user_agent: str | None = None,
    name: str = "http_request",
    description: str = "",
) -> BaseTool:
    """The tool `http_request`, which calls JSON APIs on the hosts that are named.

    A redirect is followed for GET and HEAD, to one of the hosts; for other methods the model is
    told where it leads.

    Args:
        hosts: The hosts that may be called: `api.example.com`, `*.example.com` (its subdomains) or
            `api.example.com:8443`. They are called by https; `http://` before one allows http, and
            an IP address or `localhost` allows both.
        methods: HTTP methods the model may use. GET and HEAD alone make the tool's permission
            `read`; DELETE makes it `danger`, and the others `write`.
        headers: Headers that every call has, such as `Authorization`. The model is not shown them
            and cannot change them; they go to the host that is called and not where it redirects
            to. A header goes to every one of `hosts`: give a host with a secret of its own a tool
            of its own.
        allow_private: Networks in CIDR notation, such as `10.0.0.0/8`, that the hosts' names may
            lead to. An IP address and `localhost` among `hosts` need none.
        timeout: Seconds that a call may take.
        max_chars: Characters of an answer that the model is shown; 5,000,000 bytes are read.
        untrusted: Whether what the hosts answer may have been written by anybody.
        proxy: The URL of a proxy; none is taken from the environment.
        user_agent: How the requests name their sender; None for agentkit's name and version.
        name: The tool's name.
        description: What the API is for, as the model is told, before which hosts there are.

    Returns:
        A LangChain tool whose artifact holds `url`, `status`, `body` (parsed where it is JSON) and
        `sources`.

    Raises:
        ConfigurationError: When a host, a method or a header cannot be one.
        MissingExtraError: When the `web` extra is not installed.
    """
    allowed = _checked_methods(methods)
    own = _checked_headers(headers or {})
    if isinstance(hosts, str) or not hosts:
        raise ConfigurationError(f"http_request takes a list of hosts; got {hosts!r}.")
    fetcher = Fetcher(
        timeout=timeout,
        max_bytes=_MOST_BYTES,
        allow_private=allow_private,
        hosts=[host_rule(host) for host in hosts],
        proxy=proxy,
        user_agent=user_agent,
    )

    async def call(
        url: str, method: str = allowed[0], headers: dict[str, str] | None = None, body: Any = None
    ) -> tuple[str, dict[str, Any]]:
        sent = {"Accept": "application/json", **_models_headers(headers or {}, own)}
        content = None
        if body is not None:
            sent = {"Content-Type": "application/json", **sent}
            content = well_formed(body if isinstance(body, str) else json.dumps(body)).encode()
        answer = await fetcher.fetch(url, method=method, headers={**sent, **own}, content=content)
        return _told(answer, own, max_chars)

    return make_tool(
        call,
        f"{description} Call an HTTP API and get its answer. Only these hosts can be called, by "
        f"https unless http is named: {', '.join(hosts)}.".strip(),
        _arguments(allowed),
        name=name,
        permission=_permission(allowed),
        untrusted=untrusted,
    )


def _checked_methods(methods: Sequence[str]) -> tuple[str, ...]:
    named = (methods,) if isinstance(methods, str) else methods
    allowed = tuple(dict.fromkeys(method.upper() for method in named))
    if not allowed or not set(allowed) <= _METHODS:
        raise ConfigurationError(
            f"methods takes one or more of {', '.join(sorted(_METHODS))}; got {methods!r}."
        )
    return allowed


def _checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            # the value may be a secret, and is not told
            raise ConfigurationError(
                f"The header {name!r} cannot be sent: a name is letters, digits and hyphens, and a "
                "value is one line of ASCII."
            )
        if name.lower() in {"host", "content-length", "transfer-encoding", "connection"}:
            raise ConfigurationError(f"The header {name!r} follows from the request itself.")
    return {name.title(): value for name, value in headers.items()}


def _models_headers(headers: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if name.lower() not in _MODELS_HEADERS or name.title() in own:
            raise ToolException(
                f"The header {name!r} may not be set here; these may: "
                f"{', '.join(sorted(_MODELS_HEADERS))}."
            )
        if not _HEADER_VALUE.fullmatch(value):
            raise ToolException(f"The value of the header {name!r} must be one line of ASCII.")
    return {name.title(): value for name, value in headers.items()}


def _permission(methods: Sequence[str]) -> Permission:
    if "DELETE" in methods:
        return "danger"
    return "read" if READING.issuperset(methods) else "write"


def _arguments(methods: tuple[str, ...]) -> type[BaseModel]:
    fields: dict[str, Any] = {
        "url": (str, Field(description="The full address, with its query string")),
        "method": (Literal[methods], Field(default=methods[0], description="The HTTP method")),
        "headers": (
            dict[str, str] | None,
            Field(default=None, description=f"Any of {', '.join(sorted(_MODELS_HEADERS))}"),
        ),
    }
    if not READING.issuperset(methods):
        fields["body"] = (Any, Field(default=None, description="What is sent, as JSON"))
    return create_model("HttpRequest", __doc__="A request.", **fields)


def _told(answer: Fetched, own: Mapping[str, str], max_chars: int) -> tuple[str, dict[str, Any]]:
    text = _without_secrets(decoded(answer.body, answer.headers.get("content-type", "")), own)
    heads = [f"{name}: {answer.headers[name]}" for name in _TOLD_HEADERS if name in answer.headers]
    status = _without_secrets("\n".join([f"HTTP {answer.answer}", *heads]), own)
    shown = text[:max_chars]
    if len(text) > max_chars:
        shown += f"\n(the first {max_chars} of {len(text)} characters; ask for less)"
    told = well_formed(f"{status}\n\n{shown}".strip())
    if answer.status >= _LOWEST_ERROR:
        raise ToolException(told)
    return told, {
        "url": answer.url,
        "status": answer.status,
        "body": _parsed(text),
        "sources": [{"title": answer.url, "url": answer.url}],
    }


def _without_secrets(text: str, own: Mapping[str, str]) -> str:
    # an API may repeat what it was sent
    for name, value in own.items():
        if _SECRET.search(name):
            for secret in (value, value.rpartition(" ")[2]):  # "Bearer x", and x alone
                if len(secret) >= _SHORTEST_SECRET:
                    text = text.replace(secret, "[hidden]")
    return text


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
