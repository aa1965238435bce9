"""Wikipedia as a tool: an article's introduction, the whole of it, or the nearest titles."""

from __future__ import annotations

import asyncio
import html
import json
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from langchain_core.tools import BaseTool, ToolException
from pydantic import BaseModel, Field

from agentkit._numbers import whole_number
from agentkit._text import well_formed
from agentkit.errors import ConfigurationError
from agentkit.tools._addresses import host_rule
from agentkit.tools._decoding import decoded
from agentkit.tools._fetching import Fetched, Fetcher
from agentkit.tools._making import make_tool
from agentkit.tools._pages import html_page, part_of

_LANGUAGE = re.compile(r"[a-z]{2,12}(-[a-z]{2,12})*")
_TAG = re.compile(r"<[^<>]*>")
_MOST_BYTES = 10_000_000
_OK = 200
_NOT_FOUND = 404


class Lookup(BaseModel):
    """What to look up."""

    query: str = Field(description="An article's title, or words to search for")
    full: bool = Field(
        default=False, description="True for the whole article instead of its introduction"
    )
    offset: int = Field(
        default=0, ge=0, description="Where to read on in a long article, as the last call said"
    )


def wikipedia(
    *,
    language: str = "en",
    max_titles: int = 5,
    max_chars: int = 20_000,
    timeout: float = 20.0,
    base_url: str | None = None,
    allow_private: Sequence[str] = (),
    user_agent: str | None = None,
    proxy: str | None = None,
) -> BaseTool:
    """The tool `wikipedia`, which looks an article up by its title.

    The introduction comes from the Wikimedia REST API's page summary, the whole article and the
    search from the MediaWiki REST API. When no article has the title, or several may be meant, the
    nearest ones are listed with what was found in them.

    Args:
        language: The edition, by its language code.
        max_titles: Articles that are listed at most.
        max_chars: Characters of a whole article that one call returns.
        timeout: Seconds that each of a call's two requests may take.
        base_url: The site of another wiki with the same two APIs, such as a mirror; only this host
            is asked. An IP address and `localhost` may be given.
        allow_private: Networks in CIDR notation that the name in `base_url` may lead to.
        user_agent: How the requests name their sender. Wikimedia's policy asks for a way to reach
            you in it, such as `my-app/1.0 (me@example.com)`.
        proxy: The URL of a proxy; none is taken from the environment.

    Returns:
        A LangChain tool whose artifact holds `title`, `text` and `sources`, or `titles` and
        `sources`.

    Raises:
        ConfigurationError: When an option cannot work.
        MissingExtraError: When the `web` extra is not installed.
    """
    if not _LANGUAGE.fullmatch(language):
        raise ConfigurationError(f"A Wikipedia is named by a code such as 'en'; got {language!r}.")
    whole_number("max_titles", max_titles)
    whole_number("max_chars", max_chars)
    site = (base_url or f"https://{language}.wikipedia.org").rstrip("/")
    scheme, _, rest = site.partition("://")
    fetcher = Fetcher(
        timeout=timeout,
        max_bytes=_MOST_BYTES,
        allow_private=allow_private,
        hosts=[host_rule(f"{scheme}://{rest.partition('/')[0]}")],
        proxy=proxy,
        user_agent=user_agent,
    )
    wiki = _Wiki(fetcher, site)

    async def wikipedia(
        query: str, full: bool = False, offset: int = 0
    ) -> tuple[str, dict[str, Any]]:
        query = " ".join(query.split())
        if not query:
            raise ToolException("There is nothing to look up: give a title or some words.")
        summary = await wiki.summary(query)
        if summary is None or summary.get("type") == "disambiguation":
            return _listed(query, await wiki.nearest(query, max_titles), several=bool(summary))
        title = str(summary.get("title") or query)
        url = wiki.address(summary, title)
        text = str(summary.get("extract") or "")
        if full or offset or not text:
            text = part_of(
                await wiki.article(title),
                offset,
                max_chars,
                "call wikipedia again with full=true and offset={}",
            )
        return well_formed(f"{title}\n{url}\n\n{text}"), {
            "title": title,
            "text": text,
            "sources": [{"title": title, "url": url}],
        }

    return make_tool(
        wikipedia,
        f"Look something up in Wikipedia ({language}): the introduction of the article with that "
        "title, or the whole of it; where there is none, the titles of the nearest articles.",
        Lookup,
        untrusted=True,
    )


class _Wiki:
    """A wiki's two REST APIs.

    See https://www.mediawiki.org/wiki/API:REST_API/Reference and
    https://www.mediawiki.org/wiki/Specs/Summary/1.3.0.
    """

    def __init__(self, fetcher: Fetcher, site: str) -> None:
        self._fetcher = fetcher
        self._site = site

    async def summary(self, title: str) -> dict[str, Any] | None:
        """An article's summary; None when there is no such article."""
        answer = await self._fetcher.fetch(
            f"{self._site}/api/rest_v1/page/summary/{_in_path(title)}",
            headers={"Accept": "application/json"},
        )
        if answer.status == _NOT_FOUND:
            return None
        return _json(answer)

    async def nearest(self, query: str, limit: int) -> list[dict[str, str]]:
        """The articles that fit a query best: `title`, `url` and what is said of them."""
        answer = await self._fetcher.fetch(
            f"{self._site}/w/rest.php/v1/search/page?q={quote(query, safe='')}&limit={limit}",
            headers={"Accept": "application/json"},
        )
        pages = _json(answer).get("pages") or []
        return [
            {
                "title": str(page["title"]),
                "url": f"{self._site}/wiki/{_in_path(str(page['title']))}",
                "description": str(page.get("description") or ""),
                "excerpt": html.unescape(_TAG.sub("", str(page.get("excerpt") or ""))).strip(),
            }
            for page in pages
        ]

    async def article(self, title: str) -> str:
        """The whole of an article, in Markdown."""
        answer = await self._fetcher.fetch(
            f"{self._site}/w/rest.php/v1/page/{_in_path(title)}/html",
            headers={"Accept": "text/html"},
        )
        _checked(answer)
        text = decoded(answer.body, answer.headers.get("content-type", ""))
        url = f"{self._site}/wiki/{_in_path(title)}"
        return (await asyncio.to_thread(html_page, text, url, links=False)).text

    def address(self, summary: dict[str, Any], title: str) -> str:
        """The article's page, for people."""
        try:
            return str(summary["content_urls"]["desktop"]["page"])
        except (KeyError, TypeError):
            return f"{self._site}/wiki/{_in_path(title)}"


def _in_path(title: str) -> str:
    return quote(title.replace(" ", "_"), safe="")


def _checked(answer: Fetched) -> None:
    if answer.status != _OK:
        raise ToolException(
            f"Wikipedia answered {answer.answer}. Try again later, or go on without it."
        )


def _json(answer: Fetched) -> dict[str, Any]:
    _checked(answer)
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ToolException("Wikipedia answered with something else than was asked for.")
    return found


def _listed(
    query: str, found: list[dict[str, str]], *, several: bool
) -> tuple[str, dict[str, Any]]:
    if not found:
        raise ToolException(f"There is no article {query!r}, and none like it. Try other words.")
    begin = f"{query!r} can mean several things." if several else f"There is no article {query!r}."
    lines = [
        f"- {article['title']}"
        + "".join(f": {said}" for said in (article["description"], article["excerpt"]) if said)
        for article in found
    ]
    told = f"{begin} The nearest:\n" + "\n".join(lines) + "\nLook one of these titles up."
    return well_formed(told), {
        "titles": [article["title"] for article in found],
        "sources": [{"title": article["title"], "url": article["url"]} for article in found],
    }
