"""A ticket system's HTTP interface as an agent's tools.

Copy this for an interface of your own. Each tool is an async function of its arguments, which
returns what the model is told and what is kept beside it; its permission says whether it reads,
writes, or does what cannot be undone. An error that the function raises as a `ToolException` is
told to the model, which can then do otherwise.
"""

from __future__ import annotations

from typing import Any, Literal

import httpx
from langchain_core.tools import BaseTool, ToolException
from pydantic import BaseModel, Field

from agentkit.tools import make_tool

MOST_TICKETS = 10
MOST_CHARS = 500


class Search(BaseModel):
    """What to look for."""

    text: str = Field(default="", description="Words that the ticket holds; empty for any ticket")
    status: Literal["Open", "Done"] | None = Field(default=None, description="Only such tickets")


class NewTicket(BaseModel):
    """A ticket."""

    summary: str = Field(description="What is wrong, in one line")
    description: str = Field(default="", description="All that helps to put it right")


class TicketKey(BaseModel):
    """Which ticket."""

    key: str = Field(pattern=r"^[A-Z]+-\d+$", description="The ticket's key, such as DESK-7")


class TicketSystem:
    """The ticket system at an address.

    Args:
        url: Its address.
        token: What it knows the asker by.
        timeout: Seconds that one request may take.
    """

    def __init__(self, url: str, *, token: str, timeout: float = 20) -> None:
        self.url = url.rstrip("/")
        self._options: dict[str, Any] = {
            "base_url": self.url,
            "headers": {"authorization": f"Bearer {token}"},
            "timeout": timeout,
        }

    async def ask(self, method: str, path: str, **given: Any) -> Any:
        """The JSON of an answer.

        Raises:
            ToolException: When the system cannot be reached, or refuses; a request is sent once.
        """
        try:
            async with httpx.AsyncClient(**self._options) as client:
                answer = await client.request(method, path, **given)
        except httpx.HTTPError as error:
            raise ToolException(
                f"The ticket system could not be reached ({type(error).__name__}). Whether it did "
                "what was asked is not known: look before you ask again."
            ) from error
        if answer.is_error:
            raise ToolException(_refusal(answer))
        return answer.json() if answer.content else None


def ticket_tools(system: TicketSystem) -> list[BaseTool]:
    """The tools `search_tickets`, `create_ticket` and `close_ticket`.

    Anybody may write a ticket, so that what a search returns is not to be trusted.

    Args:
        system: The ticket system.
    """

    async def search_tickets(
        text: str = "", status: str | None = None
    ) -> tuple[str, dict[str, Any]]:
        asked = {"text": text, "status": status, "maxResults": MOST_TICKETS}
        given = {name: value for name, value in asked.items() if value is not None}
        found = await system.ask("GET", "/rest/search", params=given)
        told = [_told(issue) for issue in found["issues"]]
        left = found["total"] - len(told)
        if left:
            told.append(f"({left} more: search for more words)")
        sources = [_source(system.url, issue) for issue in found["issues"]]
        return "\n".join(told) or "No ticket was found.", {"sources": sources}

    async def create_ticket(summary: str, description: str = "") -> tuple[str, dict[str, Any]]:
        fields = {"summary": summary, "description": description}
        created = await system.ask("POST", "/rest/issue", json={"fields": fields})
        key = created["key"]
        return f"{key} was created.", {"key": key, "sources": [_place(system.url, key, summary)]}

    async def close_ticket(key: str) -> tuple[str, dict[str, Any]]:
        await system.ask("POST", f"/rest/issue/{key}/close")
        return f"{key} is done.", {"key": key}

    return [
        make_tool(search_tickets, "Search the tickets, the newest first.", Search, untrusted=True),
        make_tool(
            create_ticket,
            "Create a ticket. Search first, so that none is created twice.",
            NewTicket,
            permission="write",
        ),
        make_tool(
            close_ticket,
            "Close a ticket for good: it cannot be opened again.",
            TicketKey,
            permission="danger",
        ),
    ]


def _told(issue: dict[str, Any]) -> str:
    fields = issue["fields"]
    description = " ".join(str(fields["description"]).split())[:MOST_CHARS]
    return (
        f"{issue['key']} ({fields['status']['name']}, by {fields['reporter']['displayName']}): "
        f"{fields['summary']} – {description}"
    )


def _source(url: str, issue: dict[str, Any]) -> dict[str, str]:
    return _place(url, issue["key"], issue["fields"]["summary"])


def _place(url: str, key: str, summary: str) -> dict[str, str]:
    return {"title": f"{key}: {summary}", "url": f"{url}/browse/{key}"}


def _refusal(answer: httpx.Response) -> str:
    try:
        said = " ".join(answer.json()["errorMessages"])
    except (ValueError, KeyError, TypeError):
        said = "It does not say why."
    return f"The ticket system refused with status {answer.status_code}. {said}"
