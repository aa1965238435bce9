"""Documents as a tool: whatever `create_rag` can search, searched by an agent itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.tools import BaseTool
from pydantic import BaseModel, Field
from pydantic_core import to_jsonable_python

from agentkit._numbers import whole_number
from agentkit._text import well_formed
from agentkit.errors import RetrievalError
from agentkit.events import step_failed
from agentkit.retrieval.citations import render_documents, shortened
from agentkit.retrieval.documents import document_id
from agentkit.retrieval.fusion import reciprocal_rank_fusion
from agentkit.retrieval.sources import Source, as_sources, query
from agentkit.tools._making import make_tool

DESCRIPTION = (
    "Search the documents and get the passages that fit best, numbered from 1. Search for what a "
    "passage would say, in a few words or a sentence; search again with other words when nothing "
    "fits."
)

_CANDIDATES_PER_RESULT = 4
"""Documents that each of several sources is asked for, for one that is kept after fusion."""


class Search(BaseModel):
    """A search."""

    query: str = Field(min_length=1, description="What to look for, in words of its own")


def search_documents(
    source: Any,
    *,
    k: int = 5,
    where: Mapping[str, Any] | None = None,
    max_chars: int = 8_000,
    timeout: float = 30,
    name: str = "search_documents",
    description: str = DESCRIPTION,
    untrusted: bool = False,
) -> BaseTool:
    """A tool that searches documents and returns numbered passages.

    Several sources are searched at once and their rankings fused. One that fails is gone on
    without and said so; when all fail, the model is told why.

    Args:
        source: What to search, as `create_rag` takes it: a LangChain retriever or vector store, a
            LlamaIndex retriever or query engine, an `Index`, any of them in a `Source`, or a list
            of these.
        k: Passages to return at most.
        where: A filter on the documents' metadata, for the sources that can filter.
        max_chars: Characters of passages that the model is shown, all together.
        timeout: Seconds that one source may take.
        name: The tool's name.
        description: What the documents are about, as the model is told.
        untrusted: Whether anybody may have written the documents, as with a crawl or an inbox.

    Returns:
        A LangChain tool; its artifact holds `query`, `documents` (each with `id`, `content` and
        `metadata`) and `sources` in the order of the numbers.

    Raises:
        ConfigurationError: When the source is of no known kind, or a number is out of bounds.

    Source: several rankings are fused as `reciprocal_rank_fusion` says.
    """
    whole_number("k", k)
    whole_number("max_chars", max_chars)
    sources = as_sources(source)
    wanted = k if len(sources) == 1 else k * _CANDIDATES_PER_RESULT

    async def search(query: str) -> tuple[str, dict[str, Any]]:
        found, problems = await _searched(sources, query, k=wanted, where=where, timeout=timeout)
        documents = found[:k]
        shown = shortened(documents, max_chars)
        told = render_documents(shown) or "No passage was found."
        artifact = {"query": query, **documents_data(documents)}
        return "\n".join([told, *(f"Not searched: {problem}" for problem in problems)]), artifact

    return make_tool(search, description, Search, name=name, untrusted=untrusted)


def documents_data(documents: Sequence[Document]) -> dict[str, Any]:
    """What documents are in an artifact: `documents` as plain data, and `sources`."""
    return {
        "documents": [document_data(document) for document in documents],
        "sources": [document_source(document) for document in documents],
    }


def document_data(document: Document) -> dict[str, Any]:
    """A document as plain data, fit for JSON."""
    return {
        "id": document_id(document),
        "content": document.page_content,
        "metadata": plain(document.metadata),
    }


def document_source(document: Document) -> dict[str, str]:
    """Where a document is from: its title and id, and its address where it has one."""
    metadata = document.metadata
    named = (metadata.get(key) for key in ("title", "source", "file_name"))
    source = {
        "title": str(next((name for name in named if name), "a document")),
        "document_id": document_id(document),
    }
    address = str(metadata.get("url") or metadata.get("source") or "")
    return {**source, "url": address} if address.startswith(("http://", "https://")) else source


def plain(value: Any) -> Any:
    """A value as JSON can hold it: what JSON has no kind for as text, what is no number as null."""
    kinds = to_jsonable_python(value, fallback=str, bytes_mode="base64")
    text = json.dumps(kinds, ensure_ascii=False)
    return json.loads(well_formed(text), parse_constant=lambda _: None)


async def _searched(
    sources: Sequence[Source],
    text: str,
    *,
    k: int,
    where: Mapping[str, Any] | None,
    timeout: float,  # noqa: ASYNC109 - each source keeps to it
) -> tuple[list[Document], list[str]]:
    """The fused documents, and what kept a source from being searched."""
    done = await asyncio.gather(
        *(source.asearch(query(text), k=k, where=where, timeout=timeout) for source in sources),
        return_exceptions=True,
    )
    rankings, weights, problems = [], [], []
    for source, result in zip(sources, done, strict=True):
        if isinstance(result, Exception):
            problems.append(
                f"{source.name}: {step_failed('retrieve', source.name, result)['error']}"
            )
        elif isinstance(result, BaseException):
            raise result
        else:
            rankings += result
            weights += [source.weight / len(result)] * len(result)
    if len(problems) == len(sources):
        raise RetrievalError(f"No search succeeded. {'; '.join(problems)}")
    return reciprocal_rank_fusion(rankings, weights=weights), problems
