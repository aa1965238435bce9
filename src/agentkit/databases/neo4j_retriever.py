"""Documents from a Neo4j graph: what full-text and vector search find, with its neighbourhood."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field, PrivateAttr

from agentkit._sync import run_sync
from agentkit.databases.answering import cell_text
from agentkit.databases.graphs import graph_database
from agentkit.databases.neo4j import Neo4jDatabase, lucene_query
from agentkit.errors import RetrievalError
from agentkit.models import embeddings as made_embeddings
from agentkit.retrieval.fusion import reciprocal_rank_fusion

_SECONDS = 10.0
_MOST_PROPERTY_CHARS = 4_000
_BY_WORDS = (
    "CALL db.index.fulltext.queryNodes($index, $words, {limit: $k}) YIELD node, score "
    "RETURN elementId(node) AS id, labels(node) AS labels, properties(node) AS properties "
    "ORDER BY score DESC"
)
_BY_MEANING = (
    "CALL db.index.vector.queryNodes($index, $k, $vector) YIELD node, score "
    "RETURN elementId(node) AS id, labels(node) AS labels, properties(node) AS properties "
    "ORDER BY score DESC"
)
_NEIGHBOURS = (
    "UNWIND $ids AS id MATCH (n) WHERE elementId(n) = id "
    "CALL (n) { MATCH (n)-[r]-(m) RETURN r, m, startNode(r) = n AS leaves LIMIT $most } "
    "RETURN id, type(r) AS type, leaves, labels(m) AS labels, properties(m) AS properties"
)


class Neo4jRetriever(BaseRetriever):
    """Finds nodes by full-text and vector indexes, and shows each with what it is connected to.

    What several indexes find is fused by reciprocal rank fusion. A document's text is the node's
    own properties and a line for each neighbour; its id is the node's element id, its metadata
    `labels` and the node's properties. It can be searched by `create_rag` like any retriever.

    Args:
        database: A Neo4j URI, driver or `Neo4jDatabase`.
        fulltext: Names of full-text indexes of nodes; with neither these nor `vector`, all that the
            database has.
        vector: Names of vector indexes of nodes, filled by the embeddings that are given.
        embeddings: Embeddings or their spec, for the vector indexes.
        text: The properties that make up the text; None for all that are text or numbers.
        k: How many nodes to find.
        neighbours: Neighbours to show of a node at most; 0 for none.

    Raises:
        pydantic.ValidationError: When this is no Neo4j database, or vector indexes are named
            without embeddings.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    database: Any
    fulltext: Sequence[str] = ()
    vector: Sequence[str] = ()
    embeddings: Any = None
    text: Sequence[str] | None = None
    k: int = Field(default=8, ge=1, le=1_000)
    neighbours: int = Field(default=10, ge=0, le=1_000)

    _opened: Neo4jDatabase = PrivateAttr()
    _embeddings: Embeddings | None = PrivateAttr(default=None)

    def model_post_init(self, _: Any) -> None:
        """Open the database and make the embeddings."""
        opened = graph_database(self.database)
        if not isinstance(opened, Neo4jDatabase):
            raise ValueError(f"Neo4jRetriever searches Neo4j; got {opened!r}.")
        if self.vector and self.embeddings is None:
            raise ValueError("vector= needs embeddings=, those that filled the index.")
        self._opened = opened
        if self.embeddings is not None:
            self._embeddings = made_embeddings(self.embeddings)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,  # noqa: ARG002
    ) -> list[Document]:
        return await self._found_by_all(query)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002
    ) -> list[Document]:
        return run_sync(lambda: self._found_by_all(query))

    async def _found_by_all(self, query: str) -> list[Document]:
        names = await self._names()
        searches = [self._by_words(query, name) for name in names]
        searches += [self._by_meaning(query, name) for name in self.vector]
        rankings = await asyncio.gather(*searches)
        found = reciprocal_rank_fusion([ranking for ranking in rankings if ranking])[: self.k]
        return await self._with_neighbours(found)

    async def _names(self) -> Sequence[str]:
        """The full-text indexes to search."""
        if self.fulltext or self.vector:
            return self.fulltext
        indexes = (await self._opened.aschema()).indexes
        names = [i.name for i in indexes if i.kind == "FULLTEXT" and not i.of_relationships]
        if not names:
            raise RetrievalError(
                "The Neo4j database has no full-text index of nodes. Create one with: CREATE "
                "FULLTEXT INDEX name FOR (n:Label) ON EACH [n.property]"
            )
        return names

    async def _by_words(self, query: str, index: str) -> list[Document]:
        words = lucene_query(query)
        if not words:
            return []
        return await self._found(_BY_WORDS, index=index, words=words)

    async def _by_meaning(self, query: str, index: str) -> list[Document]:
        if self._embeddings is None:
            return []
        vector = await self._embeddings.aembed_query(query)
        return await self._found(_BY_MEANING, index=index, vector=[float(x) for x in vector])

    async def _found(self, search: str, **given: Any) -> list[Document]:
        asked = {"k": self.k, **given}
        result = await self._opened.arun(
            search, parameters=asked, max_rows=self.k, timeout=_SECONDS
        )
        return [self._document(*row) for row in result.rows]

    def _document(self, id_: str, labels: list[str], properties: dict[str, Any]) -> Document:
        kept = {
            name: value
            for name, value in properties.items()
            if not _is_vector(value) and not self._is_private(labels, name)
        }
        shown = kept if self.text is None else {n: kept[n] for n in self.text if n in kept}
        lines = [f"{':'.join(labels)}"] if labels else []
        lines += [f"{name}: {_line(value)}" for name, value in shown.items()]
        return Document(
            "\n".join(lines), id=id_, metadata={**kept, "labels": labels, "source": id_}
        )

    def _is_private(self, labels: Sequence[str], name: str) -> bool:
        return any(self._opened.is_private_of(label, name) for label in labels)

    async def _with_neighbours(self, found: Sequence[Document]) -> list[Document]:
        if not found or not self.neighbours:
            return list(found)
        asked = {"ids": [document.id for document in found], "most": self.neighbours}
        most = len(found) * self.neighbours
        result = await self._opened.arun(
            _NEIGHBOURS, parameters=asked, max_rows=most, timeout=_SECONDS
        )
        lines: dict[str | None, list[str]] = {}
        for id_, kind, leaves, labels, properties in result.rows:
            lines.setdefault(id_, []).append(self._told(kind, leaves, labels, properties))
        return [
            document.model_copy(
                update={"page_content": "\n".join([document.page_content, *lines[document.id]])}
            )
            if document.id in lines
            else document
            for document in found
        ]

    def _told(self, kind: str, leaves: bool, labels: list[str], properties: dict[str, Any]) -> str:
        arrow = f"-[{kind}]->" if leaves else f"<-[{kind}]-"
        told = [
            f"{name}: {cell_text(value)}"
            for name, value in properties.items()
            if isinstance(value, str | int | float) and not self._is_private(labels, name)
        ]
        return f"{arrow} {':'.join(labels)} ({', '.join(told)})"


def _is_vector(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 16 and isinstance(value[0], float)  # noqa: PLR2004


def _line(value: Any) -> str:
    text = value if isinstance(value, str) else cell_text(value)
    return text[:_MOST_PROPERTY_CHARS]
