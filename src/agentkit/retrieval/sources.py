"""Where documents come from: any retriever, vector store, query engine or index, behind one door.

LangChain retrievers and vector stores, LlamaIndex retrievers and query engines, and agentkit's
`Index` are each searched natively. A `Source` adds what belongs to the search and not to the
retriever: a name, a weight in fusion, a filter and a time-out.
"""

from __future__ import annotations

import asyncio
import functools
import math
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeAlias, cast

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore, VectorStoreRetriever
from typing_extensions import TypedDict

from agentkit._numbers import above_zero
from agentkit._sync import all_of
from agentkit.errors import ConfigurationError, RetrievalError
from agentkit.retrieval.documents import annotate, document_of

QueryKind: TypeAlias = Literal["question", "variant", "step_back", "sub_question", "hypothetical"]
Filter: TypeAlias = Mapping[str, Any]

_MMR_OPTIONS = frozenset({"fetch_k", "lambda_mult"})


class Query(TypedDict):
    """One search.

    `passages` are hypothetical answers (HyDE): where a source can, it searches by the mean vector
    of the text and the passages; where not, by their texts.
    """

    text: str
    passages: list[str]
    kind: QueryKind


def query(text: str, *, kind: QueryKind = "variant", passages: Sequence[str] = ()) -> Query:
    """A query from its text."""
    return {"text": text, "passages": list(passages), "kind": kind}


@dataclass(frozen=True)
class Source:
    """A retriever, and how to use it.

    Args:
        retriever: A LangChain retriever or vector store, a LlamaIndex retriever or query engine,
            or an `Index`.
        name: How it is called in events and errors; its class's name by default.
        weight: How much its rankings count in fusion.
        where: A filter on the documents' metadata; an index takes agentkit's filters, a vector
            store its own, whatever their type.
        timeout: Seconds that one search may take; None for the run's `timeout`.

    Raises:
        ConfigurationError: When the retriever is none of these, or cannot filter, or a number is
            out of bounds.
    """

    retriever: Any
    name: str = ""
    weight: float = 1.0
    where: Filter | Any = None
    timeout: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or type(self.retriever).__name__)
        filters = self.engine.filters  # finding the engine says what is no retriever
        if self.where is not None and not filters:
            raise ConfigurationError(f"{self.name} cannot filter by metadata: drop `where`.")
        if not 0 <= self.weight < math.inf:
            raise ConfigurationError(
                f"The weight of {self.name} is finite and not negative; got {self.weight}."
            )
        if self.timeout is not None:
            above_zero(f"timeout of {self.name}", self.timeout, unit="seconds")

    @functools.cached_property
    def engine(self) -> Engine:
        """What searches the retriever."""
        return engine_for(self.retriever)

    async def asearch(
        self,
        query: Query,
        *,
        k: int,
        where: Filter | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - a retriever's own calls know no other
        scored: bool = False,
    ) -> list[list[Document]]:
        """Search, and return one ranking, or several to be fused.

        There are several where the query has hypothetical passages and the source cannot search
        by vector (see `can_search_by_vector`): one for the query's text, one for each passage's.

        Args:
            query: What to look for.
            k: How many documents a ranking may hold.
            where: A further filter, left out where the source cannot filter; for a field that
                both name, and where one of them is no mapping, the source's own filter holds.
            timeout: Seconds, where the source has no `timeout` of its own.
            scored: Whether the documents must carry scores.

        Raises:
            TimeoutError: When it takes too long.
            RetrievalError: When what comes back is not documents.
        """
        seconds = self.timeout if self.timeout is not None else timeout
        wanted = _Wanted(k, _both(self.where, where) if self.engine.filters else None, scored)
        try:
            async with asyncio.timeout(seconds) as limit:
                rankings = await self._rankings(query, wanted)
        except TimeoutError as error:
            if not limit.expired():
                raise  # the retriever's own
            raise TimeoutError(f"no answer within {seconds:g} seconds") from error
        return [self._checked(ranking, k) for ranking in rankings]

    @property
    def embeddings(self) -> Embeddings | None:
        """What the retriever embeds texts with, where it says so."""
        return self.engine.embeddings

    def can_search_by_vector(self, *, scored: bool = False) -> bool:
        """Whether hypothetical passages are searched by their mean vector.

        Args:
            scored: Whether the documents must carry scores, which LangChain's vector stores do
                not give when they are searched by vector.
        """
        return self.engine.vectors and (self.engine.scores_vectors or not scored)

    async def _rankings(self, query: Query, wanted: _Wanted) -> list[Any]:
        if not query["passages"]:
            return [await self.engine.search(query["text"], wanted)]
        texts = [query["text"], *query["passages"]]
        if self.can_search_by_vector(scored=wanted.scored):
            return [await self.engine.search_mean(texts, wanted)]
        return await all_of(self.engine.search(text, wanted) for text in texts)

    def _checked(self, ranking: Any, k: int) -> list[Document]:
        if not isinstance(ranking, Sequence) or isinstance(ranking, str):
            raise RetrievalError(
                f"{self.name} returned a {type(ranking).__name__}, not a list of documents."
            )
        best = ranking[:k]
        for document in best:
            if not isinstance(document, Document):
                raise RetrievalError(
                    f"{self.name} returned a list that holds a {type(document).__name__}, not "
                    "only documents."
                )
        return [
            annotate(document, retriever=self.name, retriever_rank=rank)
            for rank, document in enumerate(best, 1)
        ]


def as_sources(data: Any) -> list[Source]:
    """The sources in what a factory was given: one retriever or source, or several.

    Those that share a name get a number behind it.

    Raises:
        ConfigurationError: When there is none, or one is of no known kind.
    """
    given = list(data) if isinstance(data, Sequence) and not isinstance(data, str) else [data]
    if not given:
        raise ConfigurationError("At least one retriever is needed; got an empty list.")
    sources = [item if isinstance(item, Source) else Source(item) for item in given]
    return _named_apart(sources)


@dataclass(frozen=True)
class _Wanted:
    k: int
    where: Any
    scored: bool


class Engine(Protocol):
    """One kind of retriever: how it is searched, and what it can do."""

    filters: bool
    vectors: bool
    scores_vectors: bool
    embeddings: Embeddings | None

    async def search(self, text: str, wanted: _Wanted) -> Any:
        """The ranking for a text."""

    async def search_mean(self, texts: Sequence[str], wanted: _Wanted) -> Any:
        """The ranking for the mean of the texts' vectors."""


def engine_for(retriever: Any) -> Engine:
    """The engine that searches a retriever.

    Raises:
        ConfigurationError: When it is of no known kind.
    """
    index = sys.modules.get("agentkit.retrieval.index")  # who has no index need not import one
    if index is not None and isinstance(retriever, index.Index):
        return _IndexEngine(retriever)
    if index is not None and isinstance(retriever, index.IndexRetriever):
        return _IndexEngine(retriever.index, mode=retriever.mode, where=retriever.where)
    if isinstance(retriever, VectorStoreRetriever):
        return _VectorStoreRetrieverEngine(retriever)
    if isinstance(retriever, VectorStore):
        return _VectorStoreEngine(retriever)
    if isinstance(retriever, BaseRetriever):
        return _RetrieverEngine(retriever)
    if _is_llama_index(retriever):
        return _LlamaIndexEngine(retriever)
    raise ConfigurationError(
        "A retriever is a LangChain retriever or vector store, a LlamaIndex retriever or query "
        f"engine, or an agentkit Index; got {type(retriever).__name__}."
    )


class _IndexEngine:
    """An index, or its retriever, which keeps its own mode and filter."""

    filters = True
    scores_vectors = True

    def __init__(self, index: Any, *, mode: str = "hybrid", where: Filter | None = None) -> None:
        self.index = index
        self.embeddings = index.embeddings
        self.mode = mode
        self.where = where
        self.vectors = mode != "sparse"

    async def search(self, text: str, wanted: _Wanted) -> Any:
        where = _both(self.where, wanted.where)
        return await self.index.asearch(text, k=wanted.k, mode=self.mode, where=where)

    async def search_mean(self, texts: Sequence[str], wanted: _Wanted) -> Any:
        where = _both(self.where, wanted.where)
        vector = await _mean_vector(self.index.embeddings, texts)
        return await self.index.asearch_vector(vector, k=wanted.k, where=where)


class _VectorStoreEngine:
    filters = True
    scores_vectors = False

    def __init__(self, store: VectorStore, options: Mapping[str, Any] | None = None) -> None:
        self.store = store
        self.embeddings = store.embeddings
        self.options = dict(options or {})
        own_method = type(store).similarity_search_by_vector
        self.vectors = (
            store.embeddings is not None
            and own_method is not VectorStore.similarity_search_by_vector
        )

    async def search(self, text: str, wanted: _Wanted) -> Any:
        options = self._options(wanted)
        if not wanted.scored:
            return await self.store.asimilarity_search(text, **options)
        pairs = await self._scored(text, _without(options, _MMR_OPTIONS))
        return [annotate(document, score=float(score)) for document, score in pairs]

    async def _scored(self, text: str, options: dict[str, Any]) -> list[tuple[Document, float]]:
        try:
            return await self.store.asimilarity_search_with_relevance_scores(text, **options)
        except NotImplementedError:  # a store whose scores have no scale from 0 to 1
            if "score_threshold" in options:
                raise
        pairs = await self.store.asimilarity_search_with_score(text, **options)
        if pairs and pairs[0][1] < pairs[-1][1]:  # distances: the best document has the least
            return [(document, -distance) for document, distance in pairs]
        return pairs

    async def search_mean(self, texts: Sequence[str], wanted: _Wanted) -> Any:
        vector = await _mean_vector(cast("Embeddings", self.store.embeddings), texts)
        options = _without(self._options(wanted), {*_MMR_OPTIONS, "score_threshold"})
        return await self.store.asimilarity_search_by_vector(vector, **options)

    def _options(self, wanted: _Wanted) -> dict[str, Any]:
        where = _both(self.options.get("filter"), wanted.where)
        filtered = {} if where is None else {"filter": where}
        return {**self.options, **filtered, "k": wanted.k}


class _VectorStoreRetrieverEngine(_VectorStoreEngine):
    """A store's retriever keeps its own search type and options, but for how many are wanted."""

    def __init__(self, retriever: VectorStoreRetriever) -> None:
        super().__init__(retriever.vectorstore, retriever.search_kwargs)
        self.retriever = retriever

    async def search(self, text: str, wanted: _Wanted) -> Any:
        if wanted.scored:
            return await super().search(text, wanted)
        return await self.retriever.ainvoke(text, **self._options(wanted))


class _TextEngine:
    """A retriever that takes a text and nothing else."""

    filters = False
    vectors = False
    scores_vectors = False
    embeddings: Embeddings | None = None

    async def search_mean(self, texts: Sequence[str], wanted: _Wanted) -> Any:
        raise NotImplementedError


class _RetrieverEngine(_TextEngine):
    def __init__(self, retriever: BaseRetriever) -> None:
        self.retriever = retriever

    async def search(self, text: str, wanted: _Wanted) -> Any:  # noqa: ARG002
        return await self.retriever.ainvoke(text)


class _LlamaIndexEngine:
    """LlamaIndex averages the vectors of a query bundle's texts itself.

    How many documents it finds is its own setting, `similarity_top_k`.
    """

    filters = False
    scores_vectors = True
    embeddings: Embeddings | None = None

    def __init__(self, retriever: Any) -> None:
        from llama_index.core.indices.vector_store import VectorIndexRetriever

        self.retriever = retriever
        inner = getattr(retriever, "retriever", retriever)
        self.vectors = isinstance(inner, VectorIndexRetriever)

    async def search(self, text: str, wanted: _Wanted) -> Any:  # noqa: ARG002 - it takes a text only
        return await self._retrieve(text, None)

    async def search_mean(self, texts: Sequence[str], wanted: _Wanted) -> Any:  # noqa: ARG002
        return await self._retrieve(texts[0], list(texts))

    async def _retrieve(self, text: str, embedded: list[str] | None) -> Any:
        from llama_index.core import QueryBundle
        from llama_index.core.base.base_query_engine import BaseQueryEngine

        bundle = QueryBundle(query_str=text, custom_embedding_strs=embedded)
        if hasattr(self.retriever, "aretrieve"):
            nodes = await self.retriever.aretrieve(bundle)
        elif type(self.retriever).retrieve is not BaseQueryEngine.retrieve:
            nodes = await asyncio.to_thread(self.retriever.retrieve, bundle)
        else:  # a query engine that can only answer
            nodes = (await self.retriever.aquery(bundle)).source_nodes
        return [_from_node(node) for node in nodes] if isinstance(nodes, list) else nodes


def _from_node(scored: Any) -> Any:
    node = getattr(scored, "node", None)
    if node is None:
        return scored
    document = document_of(node)
    return document if scored.score is None else annotate(document, score=float(scored.score))


async def _mean_vector(embeddings: Embeddings, texts: Sequence[str]) -> list[float]:
    """The mean of the vectors of a question (the first text) and passages.

    Source: Gao et al., "Precise Zero-Shot Dense Retrieval without Relevance Labels", 2022, eq. 8.
    """
    question, passages = await asyncio.gather(
        embeddings.aembed_query(texts[0]), embeddings.aembed_documents(list(texts[1:]))
    )
    vectors = [question, *passages]
    return [sum(parts) / len(vectors) for parts in zip(*vectors, strict=True)]


def _is_llama_index(retriever: Any) -> bool:
    of_llama_index = any(
        base.__module__.split(".")[0] == "llama_index" for base in type(retriever).__mro__
    )
    return of_llama_index and (hasattr(retriever, "aretrieve") or hasattr(retriever, "aquery"))


def _both(own: Any, further: Any) -> Any:
    """Both filters in one; for a field that both name, the own one."""
    if not own or not further:
        return own or further
    if not isinstance(own, Mapping) or not isinstance(further, Mapping):
        return own
    added = {
        key: wanted for key, wanted in further.items() if key not in own or str(key).startswith("$")
    }
    if own.keys() & added.keys():  # the same operator, such as $or, in both
        return {"$and": [own, added]}
    return {**added, **own}


def _without(options: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in names}


def _named_apart(sources: list[Source]) -> list[Source]:
    """The sources with a number behind each name that another has already."""
    taken = {source.name for source in sources}
    seen: set[str] = set()
    apart = []
    for source in sources:
        name, number = source.name, 1
        while name in seen or (number > 1 and name in taken):
            number += 1
            name = f"{source.name} {number}"
        seen.add(name)
        apart.append(replace(source, name=name))
    return apart
