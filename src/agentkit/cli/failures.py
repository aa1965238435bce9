"""What is said of an error: a sentence that says what to do."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from agentkit._text import error_text, shortened
from agentkit.errors import AgentkitError

if TYPE_CHECKING:
    import httpx

_WHAT_TO_DO: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "Check its key.",
    HTTPStatus.FORBIDDEN: "Check its key, and what it may do.",
    HTTPStatus.NOT_FOUND: "Check its address, and the model's name.",
    HTTPStatus.TOO_MANY_REQUESTS: "Wait, or raise the limits of its key.",
}


def told(error: Exception) -> str:
    """What to say of an error."""
    said = expected(error)
    return f"{type(error).__name__}: {error}" if said is None else said


def expected(error: Exception) -> str | None:
    """What to say of an error of which that says all; None where a traceback may say more."""
    return str(error) if isinstance(error, AgentkitError) else _of_server(error)


def _of_server(error: Exception) -> str | None:
    """What to say where a server, such as a model's, refused or was not reached."""
    import httpx

    from agentkit.graphs.nodes import causes_of, status_of

    causes = list(causes_of(error))
    if (status := next(filter(None, map(status_of, causes)), None)) is not None:
        reply = shortened(" ".join(str(error).split()))
        return f"A server answered with status {status}: {reply} {_WHAT_TO_DO.get(status, '')}"
    for cause in causes:
        if isinstance(cause, httpx.TransportError):
            return (
                f"{_address(cause)} cannot be reached: {error_text(cause).rstrip('.')}. "
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
