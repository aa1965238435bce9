"""The embedded index: vectors, full text and metadata of documents, on LanceDB."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, PositiveInt

from agentkit._numbers import whole_number
from agentkit._sync import run_sync
from agentkit._text import well_formed
from agentkit.errors import (
    ConfigurationError,
    IndexMismatchError,
    InvalidInputError,
    MissingExtraError,
)
from agentkit.models import identity_of
from agentkit.retrieval.documents import METADATA_KEY, document_id
from agentkit.retrieval.filters import Where, condition_of, one_of
from agentkit.retrieval.fusion import reciprocal_rank_fusion
from agentkit.retrieval.rows import (
    DOCUMENT_COLUMNS,
    Vectors,
    checked,
    document_of,
    schema_of,
    table_of,
    vectors_of,
)

if TYPE_CHECKING:
    from lancedb.db import AsyncConnection
    from lancedb.table import AsyncTable

BatchProgress: TypeAlias = Callable[[int], None]
SearchMode: TypeAlias = Literal["hybrid", "dense", "sparse"]

LANGUAGES = (
    "Arabic", "Danish", "Dutch", "English", "Finnish", "French", "German", "Greek", "Hungarian",
    "Italian", "Norwegian", "Portuguese", "Romanian", "Russian", "Spanish", "Swedish", "Tamil",
    "Turkish", "multilingual",
)  # fmt: skip
"""The languages that full text is stemmed in; `multilingual` segments any script, unstemmed."""

LONGEST_QUERY = 8_000
"""Characters of a query that are searched for; what follows is ignored."""

_FORMAT = 1
_TABLE = "documents"
_TEXT_INDEX = "content_idx"
_VECTOR_INDEX = "vector_idx"
_CANDIDATES = 50  # of each ranking that hybrid search fuses: fewer lose nDCG, more gain none
_IDS_PER_LOOKUP = 500
_UNINDEXED_ROWS = 500  # full-text search reads rows that are not indexed yet one by one
_VERSIONS_BETWEEN_COMPACTIONS = 32
_EXACT_SEARCH_ROWS = 100_000  # up to here comparing every vector is fast enough, and exact
_RETENTION = timedelta(hours=1)


@dataclass(frozen=True)
class _Settings:
    """What an index was built with, stored in its table's schema."""

    format: int
    embeddings: str
    dimensions: int
    language: str


class Index:
    """Documents searchable by meaning, by words and by metadata; open one with `Index.open`.

    An index is a LanceDB table in a local folder or an object store. Each `add`, `replace` or
    `delete` is one atomic version: a process killed half-way leaves the last whole one, and
    readers in other threads, event loops and processes go on undisturbed.

    Every method that waits has an async form with an `a` in front, to be awaited on any event
    loop. Searches return documents with their own metadata and, under its `agentkit` key, `id`,
    `score` and `rank` (from 1). The score is

    - dense: the cosine similarity of query and document, from -1 to 1;
    - sparse: BM25 over the stemmed words of the document, 0 and more;
    - hybrid: the reciprocal rank fusion of both, 2 / 61 at most.
    """

    def __init__(
        self,
        connection: AsyncConnection,
        table: AsyncTable,
        embeddings: Embeddings,
        settings: _Settings,
    ) -> None:
        self.embeddings = embeddings
        self.dimensions = settings.dimensions
        self.language = settings.language
        self._connection = connection
        self._opened: AsyncTable | None = table

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        embeddings: Embeddings | str | None = None,
        create: bool = True,
        language: str | None = None,
        storage_options: Mapping[str, str] | None = None,
    ) -> Index:
        """Open the index at a path, creating it if need be.

        Args:
            path: A local folder, or the URI of one in an object store such as `s3://bucket/docs`.
            embeddings: LangChain embeddings or a spec for `agentkit.models.embeddings`.
            create: Whether to create the index if the path holds none.
            language: Whose word stems and stop words full-text search uses, one of `LANGUAGES`.
                By default what the index was created with, and English for a new one.
            storage_options: Credentials and settings of the object store, as LanceDB takes them.

        Raises:
            IndexMismatchError: When the index was built with other embeddings, another language
                or another format.
            ConfigurationError: When there is no index and `create` is false, or it cannot be
                opened.
            MissingExtraError: When LanceDB is not installed.
        """
        return run_sync(
            lambda: cls.aopen(
                path,
                embeddings=embeddings,
                create=create,
                language=language,
                storage_options=storage_options,
            )
        )

    @classmethod
    async def aopen(
        cls,
        path: str | Path,
        *,
        embeddings: Embeddings | str | None = None,
        create: bool = True,
        language: str | None = None,
        storage_options: Mapping[str, str] | None = None,
    ) -> Index:
        """As `open`."""
        from agentkit.models import embeddings as embeddings_of

        if language not in (None, *LANGUAGES):
            raise ConfigurationError(
                f"Full text knows the languages {', '.join(LANGUAGES)}; got {language!r}."
            )
        model = await asyncio.to_thread(embeddings_of, embeddings)
        _check_folder(path, create=create)
        connection = await _connect(path, storage_options)
        try:
            table = await _open_table(connection)
            if table is None:
                if not create:
                    raise _no_index(path)
                table = await _create_table(connection, model, language or "English")
            settings = _settings_of(await table.schema(), path)
            _check(settings, identity_of(model), language, path)
            await _ensure_text_index(table, settings.language)
        except BaseException:
            connection.close()  # type: ignore[no-untyped-call]
            raise
        return cls(connection, table, model, settings)

    def add(
        self,
        documents: Iterable[Document | str],
        *,
        batch_size: int = 128,
        progress: BatchProgress | None = None,
    ) -> list[str]:
        """Add documents; one with the id of an indexed document takes its place.

        All are added in one atomic step, after all are embedded. A document that is indexed
        already with the same id and content is not embedded again.

        Args:
            documents: LangChain documents, or strings. A document without an id gets one made of
                its content and source. Metadata must be JSON; its `agentkit` key is not stored.
                Surrogate code points, which are no text, are replaced.
            batch_size: How many documents are embedded in one call.
            progress: Called after each batch with the number of documents embedded so far.

        Returns:
            The documents' ids, in the order given.

        Raises:
            InvalidInputError: When a document is empty, is none, or its metadata is not JSON.
                Nothing is added then.
        """
        return run_sync(lambda: self.aadd(documents, batch_size=batch_size, progress=progress))

    async def aadd(
        self,
        documents: Iterable[Document | str],
        *,
        batch_size: int = 128,
        progress: BatchProgress | None = None,
    ) -> list[str]:
        """As `add`."""
        return await self._write(documents, None, batch_size, progress)

    def replace(
        self,
        documents: Iterable[Document | str],
        *,
        where: Where,
        batch_size: int = 128,
        progress: BatchProgress | None = None,
    ) -> list[str]:
        """Add documents and delete all others that match the filter, in one atomic step.

        No reader ever sees the old documents gone and the new ones missing. Arguments, result and
        errors are those of `add`.
        """
        return run_sync(
            lambda: self.areplace(documents, where=where, batch_size=batch_size, progress=progress)
        )

    async def areplace(
        self,
        documents: Iterable[Document | str],
        *,
        where: Where,
        batch_size: int = 128,
        progress: BatchProgress | None = None,
    ) -> list[str]:
        """As `replace`."""
        superseded = condition_of(where) or "true"
        return await self._write(documents, superseded, batch_size, progress)

    def delete(self, *, ids: Sequence[str] | None = None, where: Where | None = None) -> int:
        """Delete the documents with these ids, those that match the filter, or, given both, both.

        Returns:
            How many documents were deleted. Unknown ids are no error.

        Raises:
            InvalidInputError: When neither is given, or the filter is malformed.
        """
        return run_sync(lambda: self.adelete(ids=ids, where=where))

    async def adelete(self, *, ids: Sequence[str] | None = None, where: Where | None = None) -> int:
        """As `delete`."""
        if ids is None and where is None:
            raise InvalidInputError(
                "Give the ids or a filter of what to delete; where={} deletes everything."
            )
        by_id = None if ids is None else one_of("id", _checked_ids(ids))
        conditions = [part for part in (by_id, condition_of(where)) if part]
        result = await self._table.delete(" AND ".join(conditions) or "true")
        await self._maintain()
        return int(result.num_deleted_rows)  # type: ignore[attr-defined]  # the stub lacks it

    def search(
        self,
        query: str,
        *,
        k: int = 10,
        mode: SearchMode = "hybrid",
        where: Where | None = None,
    ) -> list[Document]:
        """The documents that match a query best.

        Args:
            query: Words, a question or a passage. It is never parsed as a query language, and
                only its first 8,000 characters are searched for.
            k: How many documents at most.
            mode: `dense` compares meanings, `sparse` words, `hybrid` fuses the two rankings.
            where: A filter on metadata, applied before the search and not to its results.

        Returns:
            At most `k` documents, best first. See the class for their scores.

        Raises:
            InvalidInputError: When the query is blank or not a string, `k` is not positive, or
                the filter is malformed.
            ConfigurationError: When there is no such mode.
        """
        return run_sync(lambda: self.asearch(query, k=k, mode=mode, where=where))

    async def asearch(
        self,
        query: str,
        *,
        k: int = 10,
        mode: SearchMode = "hybrid",
        where: Where | None = None,
    ) -> list[Document]:
        """As `search`."""
        text, limit, condition = _checked_query(query), _checked_k(k), condition_of(where)
        if mode == "sparse":
            return await self._sparse(text, limit, condition)
        if mode == "dense":
            return await self._dense(text, limit, condition)
        if mode != "hybrid":
            raise ConfigurationError(f"mode is 'hybrid', 'dense' or 'sparse'; got {mode!r}.")
        depth = max(limit, _CANDIDATES)
        rankings = await asyncio.gather(
            self._dense(text, depth, condition), self._sparse(text, depth, condition)
        )
        return reciprocal_rank_fusion(rankings)[:limit]

    def search_vector(
        self, vector: Sequence[float], *, k: int = 10, where: Where | None = None
    ) -> list[Document]:
        """The documents nearest to a vector of the index's embeddings, as a dense search.

        Raises:
            IndexMismatchError: When the vector has not the index's number of dimensions.
            InvalidInputError: When it holds something else than finite numbers.
        """
        return run_sync(lambda: self.asearch_vector(vector, k=k, where=where))

    async def asearch_vector(
        self, vector: Sequence[float], *, k: int = 10, where: Where | None = None
    ) -> list[Document]:
        """As `search_vector`."""
        return await self._nearest(vector, _checked_k(k), condition_of(where))

    def get(self, ids: Sequence[str]) -> list[Document]:
        """The documents with these ids, in their order; unknown ids are left out."""
        return run_sync(lambda: self.aget(ids))

    async def aget(self, ids: Sequence[str]) -> list[Document]:
        """As `get`."""
        rows = await self._lookup(_checked_ids(ids), DOCUMENT_COLUMNS)
        return [document_of(rows[identifier]) for identifier in ids if identifier in rows]

    def metadata(self, where: Where | None = None) -> dict[str, dict[str, Any]]:
        """The metadata of all documents that match the filter, by id."""
        return run_sync(lambda: self.ametadata(where))

    async def ametadata(self, where: Where | None = None) -> dict[str, dict[str, Any]]:
        """As `metadata`."""
        rows = await self._select(["id", "metadata"], condition_of(where))
        return {row["id"]: json.loads(row["metadata"]) for row in rows}

    def count(self, where: Where | None = None) -> int:
        """How many documents match the filter; without one, how many there are."""
        return run_sync(lambda: self.acount(where))

    async def acount(self, where: Where | None = None) -> int:
        """As `count`."""
        return await self._table.count_rows(condition_of(where))

    def version(self) -> int:
        """A number that grows whenever the index changes, such as for cache keys."""
        return run_sync(self.aversion)

    async def aversion(self) -> int:
        """As `version`."""
        return await self._table.version()

    @property
    def fingerprint(self) -> str:
        """Which index this is, as it is now: another one as soon as it changes."""
        return f"{self._connection.uri} {self.version()}"

    def compact(self, *, retention: timedelta = _RETENTION) -> None:
        """Merge small files, index what is not indexed yet, and remove old versions.

        Adding and deleting does this by itself from time to time. From 100,000 documents on it
        also builds an approximate vector index, without which every vector is compared.

        Args:
            retention: How old a version must be to be removed; a search that has run for longer
                than this may fail.
        """
        run_sync(lambda: self.acompact(retention=retention))

    async def acompact(self, *, retention: timedelta = _RETENTION) -> None:
        """As `compact`."""
        await self._table.optimize(cleanup_older_than=retention)
        if await self._table.count_rows() >= _EXACT_SEARCH_ROWS:
            await self._ensure_vector_index()

    def as_retriever(
        self, *, k: int = 10, mode: SearchMode = "hybrid", where: Where | None = None
    ) -> IndexRetriever:
        """A LangChain retriever over `search`; each option can be given to `invoke` as well."""
        return IndexRetriever(index=self, k=k, mode=mode, where=where)

    def close(self) -> None:
        """Close the index; it cannot be used after that."""
        if self._opened is not None:
            self._opened.close()  # type: ignore[no-untyped-call]
            self._opened = None
        self._connection.close()  # type: ignore[no-untyped-call]

    async def aclose(self) -> None:
        """As `close`."""
        self.close()

    @property
    def _table(self) -> AsyncTable:
        if self._opened is None:  # LanceDB panics, past `except Exception`
            raise ConfigurationError("This index is closed. Open it again with Index.open.")
        return self._opened

    async def _write(
        self,
        documents: Iterable[Document | str],
        superseded: str | None,
        batch_size: int,
        progress: BatchProgress | None,
    ) -> list[str]:
        whole_number("batch_size", batch_size)
        given = await asyncio.to_thread(_checked_documents, documents)
        distinct = list({document_id(document): document for document in given}.values())
        batches = []
        for start in range(0, len(distinct), batch_size):
            batches.append(await self._vectors(distinct[start : start + batch_size]))
            if progress:
                progress(start + len(batches[-1]))
        await self._commit(distinct, batches, superseded)
        await self._maintain()
        return [document_id(document) for document in given]

    async def _commit(
        self, documents: list[Document], vectors: list[Vectors], superseded: str | None
    ) -> None:
        if documents:
            rows = await asyncio.to_thread(table_of, documents, vectors)
            merge = self._table.merge_insert("id")
            merge = merge.when_matched_update_all().when_not_matched_insert_all()
            if superseded:
                merge = merge.when_not_matched_by_source_delete(superseded)
            await merge.execute(rows)
        elif superseded:
            await self._table.delete(superseded)

    async def _vectors(self, documents: Sequence[Document]) -> Vectors:
        """The documents' vectors, taken from the index where the same content has one."""
        ids = [document_id(document) for document in documents]
        rows = await self._lookup(ids, ["id", "content", "vector"])
        known = {(row["id"], row["content"]): row["vector"] for row in rows.values()}
        keys = [(document_id(document), document.page_content) for document in documents]
        missing = [key for key in keys if key not in known]
        if missing:
            embedded = await self.embeddings.aembed_documents([content for _, content in missing])
            fresh = vectors_of(embedded, len(missing), self.dimensions)
            known.update(zip(missing, fresh, strict=True))
        return vectors_of([known[key] for key in keys], len(keys), self.dimensions)

    async def _dense(self, query: str, k: int, condition: str | None) -> list[Document]:
        return await self._nearest(await self.embeddings.aembed_query(query), k, condition)

    async def _nearest(
        self, vector: Sequence[float], k: int, condition: str | None
    ) -> list[Document]:
        (wanted,) = vectors_of([vector], 1, self.dimensions)
        search = self._table.query().nearest_to(wanted).distance_type("cosine")
        if condition:
            search = search.where(condition)
        rows = await search.select([*DOCUMENT_COLUMNS, "_distance"]).limit(k).to_list()
        return _ranked(rows, [1 - row["_distance"] for row in rows])

    async def _sparse(self, query: str, k: int, condition: str | None) -> list[Document]:
        from lancedb.query import MatchQuery

        words = MatchQuery(query, "content")  # type: ignore[call-arg]  # the stub lacks defaults
        search = self._table.query().nearest_to_text(words)
        if condition:
            search = search.where(condition)
        rows = await search.select([*DOCUMENT_COLUMNS, "_score"]).limit(k).to_list()
        return _ranked(rows, [row["_score"] for row in rows])

    async def _select(self, columns: list[str], condition: str | None) -> list[dict[str, Any]]:
        query = self._table.query().select(columns)
        if condition:
            query = query.where(condition)
        return await query.to_list()

    async def _lookup(self, ids: Sequence[str], columns: list[str]) -> dict[str, dict[str, Any]]:
        rows: dict[str, dict[str, Any]] = {}
        remaining = iter(ids)
        while part := list(islice(remaining, _IDS_PER_LOOKUP)):
            found = await self._select(columns, one_of("id", part))
            rows.update((row["id"], row) for row in found)
        return rows

    async def _maintain(self) -> None:
        """Compact when enough has changed; another writer's change meanwhile only delays it."""
        version = await self._table.version()
        statistics = await self._table.index_stats(_TEXT_INDEX)
        unindexed = statistics.num_unindexed_rows if statistics else 0
        if unindexed >= _UNINDEXED_ROWS or version % _VERSIONS_BETWEEN_COMPACTIONS == 0:
            try:
                await self.acompact()
            except RuntimeError as error:
                if "conflict" not in str(error).lower():
                    raise

    async def _ensure_vector_index(self) -> None:
        from lancedb.index import IvfFlat

        if not await _has_index(self._table, _VECTOR_INDEX):
            await self._table.create_index("vector", config=IvfFlat(distance_type="cosine"))


class IndexRetriever(BaseRetriever):
    """A LangChain retriever over an `Index`; `k`, `mode` and `where` can be given to `invoke`."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    index: Index
    k: PositiveInt = 10
    mode: SearchMode = "hybrid"
    where: dict[str, Any] | None = None

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002 - LangChain passes it
        **options: Any,
    ) -> list[Document]:
        return self.index.search(query, **self._options(options))

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,  # noqa: ARG002 - LangChain passes it
        **options: Any,
    ) -> list[Document]:
        return await self.index.asearch(query, **self._options(options))

    def _options(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"k": self.k, "mode": self.mode, "where": self.where, **given}


def _check_folder(path: str | Path, *, create: bool) -> None:
    """See that a local path can be an index's; LanceDB would make the folder that it is to read."""
    if not isinstance(path, str | os.PathLike):
        raise ConfigurationError(
            "An index is opened at the path of a folder, or the URI of one; got "
            f"{type(path).__name__}."
        )
    folder = Path(path)
    if "://" in str(path) or folder.is_dir():
        return
    if folder.exists():
        raise ConfigurationError(
            f"No index can be opened at {str(path)!r}: it is a file, and an index is a folder."
        )
    if not create:
        raise _no_index(path)


def _no_index(path: str | Path) -> ConfigurationError:
    return ConfigurationError(
        f"There is no index at {str(path)!r}. Create it by adding documents, with "
        "Index.open(path) or `agentkit ingest`."
    )


async def _connect(path: str | Path, storage_options: Mapping[str, str] | None) -> AsyncConnection:
    try:
        import lancedb
        import numpy as np  # noqa: F401 - an extra
    except ImportError as error:
        raise MissingExtraError("Index", "index") from error
    try:
        return await lancedb.connect_async(
            str(path),
            # every search sees what other processes have committed
            read_consistency_interval=timedelta(0),
            storage_options=dict(storage_options) if storage_options else None,
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise ConfigurationError(f"No index can be opened at {str(path)!r}: {error}") from error


async def _open_table(connection: AsyncConnection) -> AsyncTable | None:
    names = (await connection.list_tables()).tables
    return await connection.open_table(_TABLE) if _TABLE in names else None


async def _create_table(
    connection: AsyncConnection, embeddings: Embeddings, language: str
) -> AsyncTable:
    dimensions = len(await embeddings.aembed_query("How many dimensions?"))
    settings = _Settings(_FORMAT, identity_of(embeddings), dimensions, language)
    schema = schema_of(dimensions).with_metadata({METADATA_KEY: json.dumps(asdict(settings))})
    return await connection.create_table(_TABLE, schema=schema, exist_ok=True)


async def _ensure_text_index(table: AsyncTable, language: str) -> None:
    from lancedb.index import FTS

    if await _has_index(table, _TEXT_INDEX):
        return
    multilingual = language == "multilingual"
    config = (
        FTS(base_tokenizer="icu", stem=False, remove_stop_words=False)
        if multilingual
        else FTS(language=language, stem=True, remove_stop_words=True)
    )
    await table.create_index("content", config=config)


async def _has_index(table: AsyncTable, name: str) -> bool:
    return any(index.name == name for index in await table.list_indices())


def _settings_of(schema: Any, path: str | Path) -> _Settings:
    try:
        stored = json.loads(schema.metadata[METADATA_KEY.encode()])
        if stored["format"] != _FORMAT:
            raise IndexMismatchError(
                f"The index at {str(path)!r} has format {stored['format']}; this version of "
                f"agentkit reads format {_FORMAT}. Build it again, into a new folder."
            )
        return _Settings(**stored)
    except (KeyError, TypeError, ValueError) as error:
        raise IndexMismatchError(
            f"The LanceDB table {_TABLE!r} at {str(path)!r} is not an index of agentkit."
        ) from error


def _check(settings: _Settings, identity: str, language: str | None, path: str | Path) -> None:
    if settings.embeddings != identity:
        raise IndexMismatchError(
            f"The index at {str(path)!r} was built with the embeddings {settings.embeddings!r} "
            f"and cannot be searched with {identity!r}: their vectors cannot be compared. Open it "
            "with the embeddings it was built with, or build it again into a new folder."
        )
    if language is not None and language != settings.language:
        raise IndexMismatchError(
            f"The index at {str(path)!r} was built for {settings.language}, not for {language}. "
            "Leave the language out, or build the index again into a new folder."
        )


def _checked_documents(documents: Iterable[Document | str]) -> list[Document]:
    if isinstance(documents, (str, Document)):
        raise InvalidInputError("Expected a list of documents; got a single one.")
    return [checked(document, position) for position, document in enumerate(documents)]


def _checked_query(query: str) -> str:
    if not isinstance(query, str):
        raise InvalidInputError(f"A query is a string; got {type(query).__name__}.")
    if not query.strip():
        raise InvalidInputError("The query is blank. Give at least one word to search for.")
    return well_formed(query[:LONGEST_QUERY])


def _checked_k(k: int) -> int:
    if not isinstance(k, int) or isinstance(k, bool) or k < 1:
        raise InvalidInputError(f"k, the number of documents, is 1 or more; got {k!r}.")
    return k


def _checked_ids(ids: Sequence[str]) -> list[str]:
    if isinstance(ids, str) or not all(isinstance(identifier, str) for identifier in ids):
        raise InvalidInputError(f"Expected a list of ids, each a string; got {ids!r}.")
    return list(ids)


def _ranked(rows: Sequence[Mapping[str, Any]], scores: Sequence[float]) -> list[Document]:
    return [
        document_of(row, score=score, rank=rank)
        for rank, (row, score) in enumerate(zip(rows, scores, strict=True), 1)
    ]
