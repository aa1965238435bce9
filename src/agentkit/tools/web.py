"""The web as tools: searching it, and reading one page."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from langchain_core.tools import BaseTool, ToolException
from pydantic import BaseModel, Field

from agentkit._numbers import above_zero, whole_number
from agentkit._text import shortened, well_formed
from agentkit.errors import ConfigurationError, MissingExtraError
from agentkit.tools._aged import AgedCache
from agentkit.tools._fetching import Fetcher
from agentkit.tools._making import make_tool

try:
    import ddgs
    import primp
    from ddgs.engines import ENGINES
    from ddgs.exceptions import DDGSException, TimeoutException
except ImportError as error:
    raise MissingExtraError("Searching the web", "web") from error

Search: TypeAlias = Callable[[str, int], Awaitable[Sequence[Mapping[str, Any]]]]
"""Another search engine: from a query and a number of results to `title`, `href` and `body`."""

_NO_NETWORK = "Go on without the web, and say in the answer that it could not be searched."
_ENCYCLOPAEDIAS = {"wikipedia", "grokipedia"}
_ENGINE_SECONDS = 5
_SEARCHES_KEPT = 128
_PAGES_KEPT = 8
_TITLE_CHARS = 200
_SNIPPET_CHARS = 500
_ACCEPT = "text/html, application/xhtml+xml, text/markdown, text/plain;q=0.9, */*;q=0.5"
_LOWEST_ERROR = 400


class WebQuery(BaseModel):
    """A search."""

    query: str = Field(description="What to search for, as it would be typed into a search engine")


class PageAddress(BaseModel):
    """A page."""

    url: str = Field(description="The page's full address, beginning with https:// or http://")
    offset: int = Field(
        default=0, ge=0, description="Where to read on in a long page, as the last call said"
    )


def web_search(
    *,
    max_results: int = 5,
    region: str = "us-en",
    backends: Sequence[str] | None = None,
    timeout: float = 20.0,
    retries: int = 2,
    backoff: float = 1.0,
    cache_seconds: float = 900.0,
    proxy: str | None = None,
    search: Search | None = None,
) -> BaseTool:
    """The tool `web_search`, which finds pages by public search engines that need no key.

    Two engines are asked at a time, and the next ones when they give too little; when none gives
    anything, the whole is tried again after a wait. What was found is kept for a while.

    Args:
        max_results: Results at most.
        region: Country and language, such as `uk-en` or `de-de`.
        backends: Engines of the `ddgs` package, the first asked first; None for all that search
            the whole web.
        timeout: Seconds that a call may take, with its retries.
        retries: How often a search that failed is tried again.
        backoff: Seconds before the first retry; each next wait is twice as long.
        cache_seconds: How long results are kept, for 128 queries at most; 0 keeps none.
        proxy: The URL of a proxy for the search engines.
        search: Another search engine in place of `ddgs`, with the same retries and the same cache.

    Returns:
        A LangChain tool whose artifact holds `query`, `results` and `sources`.

    Raises:
        ConfigurationError: When an option cannot work, or an engine is not known.
        MissingExtraError: When the `web` extra is not installed.
    """
    whole_number("max_results", max_results)
    whole_number("retries", retries, least=0)
    above_zero("timeout", timeout, unit="seconds")
    if not backoff >= 0:
        raise ConfigurationError(f"`backoff` is a number of seconds, 0 or more; got {backoff!r}.")
    engine = search or _ddgs_search(region, _engines(backends), timeout, proxy)
    kept: AgedCache[list[dict[str, str]]] = AgedCache(_SEARCHES_KEPT, cache_seconds)

    async def web_search(query: str) -> tuple[str, dict[str, Any]]:
        query = " ".join(query.split())
        if not query:
            raise ToolException("There is nothing to search for: give some words.")
        results = kept.get(query)
        if results is None:
            try:
                async with asyncio.timeout(timeout):
                    found = await _persistently(engine, query, max_results, retries, backoff)
            except TimeoutError as error:
                raise ToolException(
                    f"The search engines did not answer within {timeout:g} seconds. {_NO_NETWORK}"
                ) from error
            results = list(_results(found))[:max_results]
            if results:  # an engine that finds nothing may have been kept from looking
                kept.put(query, results)
        return _results_told(query, results)

    return make_tool(
        web_search,
        "Search the web and get titles, addresses and short extracts of pages. Read a page that "
        "looks right before relying on it.",
        WebQuery,
        untrusted=True,
    )


def read_page(
    *,
    max_bytes: int = 5_000_000,
    max_chars: int = 20_000,
    timeout: float = 20.0,
    cache_seconds: float = 300.0,
    allow_private: Sequence[str] = (),
    proxy: str | None = None,
    user_agent: str | None = None,
) -> BaseTool:
    """The tool `read_page`, which reads one page of the public web as Markdown.

    The main content is kept, and menus and the like are left out. HTML, plain text, Markdown, JSON
    and XML are read. Addresses that are not public are refused, however they are spelt and
    whatever leads to them.

    Args:
        max_bytes: Bytes of a page at most, as sent and decompressed; a larger one is refused.
        max_chars: Characters that one call returns; the model reads on with `offset`.
        timeout: Seconds that a page may take.
        cache_seconds: How long a page is kept, for reading on; 8 pages at most, 0 keeps none.
        allow_private: Networks in CIDR notation, such as `10.0.0.0/8`, that may be read though
            they are not public: for an intranet.
        proxy: The URL of a proxy; none is taken from the environment. Names are looked up and
            checked here all the same, so that an http page is asked of the proxy by its address.
        user_agent: How the requests name their sender; None for agentkit's name and version.

    Returns:
        A LangChain tool whose artifact holds `url`, `title`, `text` (the part that the model was
        shown), `offset`, `chars` (of the whole page) and `sources`.

    Raises:
        ConfigurationError: When an option cannot work.
        MissingExtraError: When the `web` extra is not installed.
    """
    from agentkit.tools._pages import Page, page_of, part_of

    whole_number("max_chars", max_chars)
    fetcher = Fetcher(
        timeout=timeout,
        max_bytes=max_bytes,
        allow_private=allow_private,
        proxy=proxy,
        user_agent=user_agent,
    )
    kept: AgedCache[Page] = AgedCache(_PAGES_KEPT, cache_seconds)

    async def fetched(url: str) -> Page:
        answer = await fetcher.fetch(url, headers={"Accept": _ACCEPT})
        if answer.status >= _LOWEST_ERROR:
            raise ToolException(
                f"{answer.url} answered {answer.answer}. Check the address, or try another page."
            )
        page = await asyncio.to_thread(page_of, answer)
        kept.put(url, page)
        return page

    async def read_page(url: str, offset: int = 0) -> tuple[str, dict[str, Any]]:
        page = kept.get(url) or await fetched(url)
        text = part_of(page.text, offset, max_chars, "call read_page with offset={}")
        head = "\n".join(dict.fromkeys((page.title, page.url)))  # a text file's title is its URL
        return well_formed(f"{head}\n\n{text}"), {
            "url": page.url,
            "title": page.title,
            "text": text,
            "offset": offset,
            "chars": len(page.text),
            "sources": [{"title": page.title, "url": page.url}],
        }

    return make_tool(
        read_page,
        "Read one page of the public web, as Markdown. A long page is read in parts: call again "
        "with the offset that the last part names.",
        PageAddress,
        untrusted=True,
    )


def _engines(given: Sequence[str] | None) -> list[str]:
    known = ENGINES["text"]
    if given is None:
        return [name for name in known if name not in _ENCYCLOPAEDIAS]
    unknown = [name for name in given if name not in known]
    if isinstance(given, str) or unknown or not given:
        raise ConfigurationError(
            f"backends takes a list of search engines, of {', '.join(sorted(known))}; "
            f"got {given!r}."
        )
    return list(given)


def _ddgs_search(region: str, backends: Sequence[str], timeout: float, proxy: str | None) -> Search:
    seconds = math.ceil(min(_ENGINE_SECONDS, timeout))

    def asked(query: str, max_results: int) -> list[dict[str, Any]]:
        # made for each search: its engines hold what is being searched for
        return ddgs.DDGS(proxy=proxy, timeout=seconds).text(
            query, region=region, backend=",".join(backends), max_results=max_results
        )

    async def search(query: str, max_results: int) -> list[dict[str, Any]]:
        return await asyncio.to_thread(asked, query, max_results)

    return search


async def _persistently(
    search: Search, query: str, max_results: int, retries: int, backoff: float
) -> Sequence[Mapping[str, Any]]:
    for attempt in range(retries + 1):
        try:
            return await search(query, max_results)
        except (DDGSException, OSError) as error:
            if attempt == retries:
                raise _explained(query, error) from error
            await asyncio.sleep(backoff * 2**attempt)
    raise AssertionError("the last attempt returns or raises")


def _explained(query: str, error: Exception) -> ToolException:
    causes = list(_causes(error))
    if any(isinstance(cause, primp.ConnectError | primp.DNSError | OSError) for cause in causes):
        return ToolException(f"The web cannot be reached from here. {_NO_NETWORK}")
    if any(isinstance(cause, TimeoutException) for cause in causes):
        return ToolException(f"The search engines did not answer in time. {_NO_NETWORK}")
    # ddgs tells an engine that refuses and an engine that finds nothing in the same way
    return ToolException(
        f"Nothing was found for {shortened(query, 200)!r}: no page fits, or the search engines "
        "refuse to answer for now. Try other words once, or go on without the web."
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    # ddgs raises its last engine's error as the argument of its own
    while error is not None:
        yield error
        inner = error.args[0] if error.args and isinstance(error.args[0], BaseException) else None
        error = inner or error.__cause__


def _results(found: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    for result in found:
        url = str(result.get("href") or "").strip()
        if url.startswith(("http://", "https://")):
            title = _in_a_line(result.get("title"), _TITLE_CHARS) or url
            yield {
                "title": title,
                "url": url,
                "snippet": _in_a_line(result.get("body"), _SNIPPET_CHARS),
            }


def _in_a_line(text: Any, chars: int) -> str:
    return shortened(" ".join(well_formed(str(text or "")).split()), chars)


def _results_told(query: str, results: list[dict[str, str]]) -> tuple[str, dict[str, Any]]:
    told = "\n\n".join(
        "\n   ".join(filter(None, (f"{number}. {found['title']}", found["url"], found["snippet"])))
        for number, found in enumerate(results, 1)
    )
    return told or f"No page was found for {query!r}. Try other words.", {
        "query": query,
        "results": results,
        "sources": [{"title": found["title"], "url": found["url"]} for found in results],
    }
