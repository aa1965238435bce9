"""What is said of an error: a sentence that says what to do."""

from __future__ import annotations

from http import HTTPStatus

import httpx

from agentkit._text import shortened
from agentkit.errors import AgentkitError

_WHAT_TO_DO: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "Check its key.",
    HTTPStatus.FORBIDDEN: "Check its key, and what it may do.",
    HTTPStatus.NOT_FOUND: "Check its address, and the model's name.",
    HTTPStatus.TOO_MANY_REQUESTS: "Wait, or raise the limits of its key.",
}


def told(error: Exception) -> str:
    """What to say of an error."""
    if isinstance(error, AgentkitError):
        return str(error)
    return _of_server(error) or f"{type(error).__name__}: {error}"


def is_expected(error: Exception) -> bool:
    """Whether what is said of it says all, so that no traceback is worth looking at."""
    return isinstance(error, AgentkitError) or _of_server(error) is not None


def _of_server(error: Exception) -> str | None:
    """What to say where a server, such as a model's, refused or was not reached."""
    from agentkit.graphs.nodes import causes_of, status_of

    causes = list(causes_of(error))
    if (status := next(filter(None, map(status_of, causes)), None)) is not None:
        reply = shortened(" ".join(str(error).split()))
        return f"A server answered with status {status}: {reply} {_WHAT_TO_DO.get(status, '')}"
    for cause in causes:
        if isinstance(cause, httpx.TransportError):
            why = str(cause) or type(cause).__name__
            return (
                f"{_address(cause)} cannot be reached: {why.rstrip('.')}. "
                "Start the server, or correct its address."
            )
    return None


def _address(error: httpx.TransportError) -> str:
    """Where the request went, without the keys that an address may hold."""
    try:
        url = error.request.url
    except RuntimeError:  # it was never made
        return "A server"
    return str(url.copy_with(query=None, fragment=None, username=None, password=None))
