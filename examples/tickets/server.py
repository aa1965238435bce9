"""A small ticket system with an HTTP interface like Jira's: in memory, with made-up tickets.

`python -m examples.tickets.server` serves it at http://127.0.0.1:8765 with the token "example".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

TOKEN = "example"
PROJECT = "DESK"
MOST_SUMMARY_CHARS = 255

MADE_UP = [
    ("The returns box is full", "It has to be emptied twice a day.", "Front desk", "Open"),
    ("Printer in the reading room jams", "Pages come out creased.", "Reading room", "Open"),
    ("Lamp above the map table is out", "The spare lamps are used up.", "Night guard", "Open"),
    ("Opening hours on the door are old", "The sign shows last year's.", "Front desk", "Done"),
    ("Printer needs toner", "Black and cyan.", "Office", "Done"),
]


@dataclass
class Ticket:
    key: str
    summary: str
    description: str
    reporter: str
    status: str = "Open"

    def told(self) -> dict[str, Any]:
        fields = {
            "summary": self.summary,
            "description": self.description,
            "reporter": {"displayName": self.reporter},
            "status": {"name": self.status},
        }
        return {"key": self.key, "fields": fields}


@dataclass
class Tickets:
    """All tickets, by their keys."""

    by_key: dict[str, Ticket] = field(default_factory=dict)

    def add(self, summary: str, description: str, reporter: str, status: str = "Open") -> Ticket:
        key = f"{PROJECT}-{len(self.by_key) + 1}"
        self.by_key[key] = Ticket(key, summary, description, reporter, status)
        return self.by_key[key]

    def search(self, text: str, status: str | None) -> list[Ticket]:
        """The tickets that hold every word of the text, the newest first."""
        words = text.casefold().split()
        return [
            ticket
            for ticket in reversed(self.by_key.values())
            if status in (None, ticket.status)
            and all(word in f"{ticket.summary} {ticket.description}".casefold() for word in words)
        ]


def create_app() -> Starlette:
    """The ticket system as an ASGI application, with fresh tickets."""
    tickets = Tickets()
    for summary, description, reporter, status in MADE_UP:
        tickets.add(summary, description, reporter, status)

    async def search(request: Request) -> Response:
        asked = request.query_params
        found = tickets.search(asked.get("text", ""), asked.get("status"))
        most = int(asked.get("maxResults", "50"))
        issues = [ticket.told() for ticket in found[:most]]
        return JSONResponse({"total": len(found), "issues": issues})

    async def create(request: Request) -> Response:
        fields = (await request.json())["fields"]
        summary = str(fields.get("summary", "")).strip()
        if not 0 < len(summary) <= MOST_SUMMARY_CHARS:
            return _refused(400, f"A summary has 1 to {MOST_SUMMARY_CHARS} characters.")
        ticket = tickets.add(summary, str(fields.get("description", "")), "Assistant")
        return JSONResponse({"key": ticket.key}, status_code=201)

    async def close(request: Request) -> Response:
        ticket = tickets.by_key.get(request.path_params["key"])
        if ticket is None:
            return _refused(404, f"There is no ticket {request.path_params['key']}.")
        if ticket.status == "Done":
            return _refused(409, f"{ticket.key} is done already.")
        ticket.status = "Done"
        return Response(status_code=204)

    return Starlette(
        routes=[
            Route("/rest/search", search),
            Route("/rest/issue", create, methods=["POST"]),
            Route("/rest/issue/{key}/close", close, methods=["POST"]),
        ],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=_with_token)],
    )


async def _with_token(
    request: Request, answer: Callable[[Request], Awaitable[Response]]
) -> Response:
    if request.headers.get("authorization") != f"Bearer {TOKEN}":
        return _refused(401, "The token is missing or wrong.")
    return await answer(request)


def _refused(status: int, message: str) -> Response:
    return JSONResponse({"errorMessages": [message]}, status_code=status)


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(create_app(), host="127.0.0.1", port=8765)
