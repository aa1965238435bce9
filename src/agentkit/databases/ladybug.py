"""Ladybug, the embedded graph database, which is only read."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

from agentkit._text import shortened, well_formed
from agentkit.databases.cypher_functions import is_read_procedure
from agentkit.databases.cypher_syntax import read_syntax
from agentkit.databases.graph import GraphDatabase
from agentkit.databases.graph_schema import (
    GraphSchema,
    NodeType,
    RelationshipType,
    quoted_name,
)
from agentkit.databases.reading import Reading, read_in_thread
from agentkit.databases.results import FirstRows, QueryResult
from agentkit.databases.schema import Column
from agentkit.errors import (
    AgentkitError,
    ConfigurationError,
    DatabaseError,
    MissingExtraError,
    QueryError,
    QueryRefusedError,
    QueryTimeoutError,
)

try:
    import ladybug

    with suppress(ImportError):
        # Loaded here, its symbols stay its own. Left to itself it shares them with the whole
        # process, and the embedded chat model, loaded after it, aborts.
        import ladybug._lbug
except ImportError as missing:
    raise MissingExtraError("LadybugDatabase", "cypher") from missing

LadybugLike: TypeAlias = "str | Path | ladybug.Database"

_STEP = re.compile(
    r"│ +(?:(COPY_TO|EXPORT_DATABASE|ATTACH\w*|\w*EXTENSION|STANDALONE_CALL|TRANSACTION|ANALYZE)"
    r"\[\d+\]|Function: (\w+)) +│"
)
"""The steps of a plan that reach files, other databases or settings, and the functions called."""
_BUFFER_BYTES = 512 << 20
_SAMPLED = 20
_SAMPLE_CHARS = 40
_GRACE_SECONDS = 10.0


class LadybugDatabase(GraphDatabase):
    """A Ladybug database that can only be read.

    A path is opened in read-only mode, with 512 MiB for what queries hold; every query runs in a
    read-only transaction, within a time limit and up to a number of rows.

    Args:
        database: The path of a database, or a `ladybug.Database` that is open.
        options: The options of `GraphDatabase`.

    Raises:
        ConfigurationError: When this is neither.
        DatabaseError: When there is no database at the path.
        MissingExtraError: When the `cypher` extra is not installed.
    """

    dialect = "ladybug"
    dialect_notes = (
        "Cypher as Ladybug (formerly Kuzu) reads it. Every node has one label: label(n) gives it, "
        "and label(r) the type of a relationship; there is no type(r). Labels stand in patterns, "
        "never in WHERE. One relationship may be matched twice in a pattern: add "
        "WHERE a.id <> b.id where two ends must differ. A shortest path is written "
        "-[:TYPE* SHORTEST 1..6]->, for there is no shortestPath(), and a variable length has an "
        "upper bound of at most 30, as in [:TYPE*1..3]. There are no CALL { } subqueries, pattern "
        "comprehensions, list comprehensions or map projections; EXISTS { MATCH … } and "
        "COUNT { MATCH … } there are, with the word MATCH. Lists and substring() count from 1. "
        "Dates: date('2024-05-01'), date_part('year', d), interval('1 year'), current_date(). "
        "Casts: cast(x AS STRING), cast(x AS INT64). round(x, 0) has two arguments. Do not "
        "aggregate over WITH … ORDER BY … LIMIT: order in RETURN."
    )

    def __init__(self, database: LadybugLike, **options: Any) -> None:
        super().__init__(**options)
        self._given = database if isinstance(database, ladybug.Database) else None
        self._path = "" if self._given else _existing(database)
        self._database: Any = self._given
        self._opening = threading.Lock()

    def __repr__(self) -> str:
        return f"LadybugDatabase({self._path or self._given!r})"

    async def aexplain(self, query: str) -> None:
        """Have the database plan a query, without running it."""
        if read_syntax(query).statements != 1:  # it would plan the first, and run the others
            raise QueryRefusedError("There is more than one statement. Write one query.")
        read = await self._aread(f"EXPLAIN {query}", {}, max_rows=1, seconds=self._timeout)
        for step, function in _STEP.findall(str(read.rows)):
            if step or not (function == "READ_FTABLE" or self._may_call(function.lower())):
                raise QueryRefusedError(
                    f"The query does more than read the graph ({step or function}), so it is not "
                    "run."
                )

    def _may_call(self, procedure: str) -> bool:
        return is_read_procedure(procedure, self._procedures)

    async def aclose(self) -> None:
        """Close the database that this object opened; one that was given stays open."""
        with self._opening:
            opened, self._database = self._database, self._given
        if opened is not None and opened is not self._given:
            await asyncio.to_thread(opened.close)

    async def _areflect(self) -> GraphSchema:
        tables = await self._rows("CALL show_tables() RETURN name, type")
        names = {kind: [n for n, k in tables if k == kind] for kind in ("NODE", "REL")}
        nodes = [await self._node_type(name) for name in sorted(names["NODE"])]
        relationships = [await self._relationship_type(name) for name in sorted(names["REL"])]
        return GraphSchema(
            "ladybug",
            {node.label: node for node in nodes},
            {kind.type: kind for kind in relationships},
        )

    async def _node_type(self, name: str) -> NodeType:
        pattern = f"(x:{quoted_name(name)})"
        return NodeType(name, await self._columns(name, pattern), await self._count(pattern))

    async def _relationship_type(self, name: str) -> RelationshipType:
        pattern = f"()-[x:{quoted_name(name)}]->()"
        pairs = await self._rows(f"CALL show_connection({_literal(name)}) RETURN *")
        connections = tuple((start, end) for start, end, *_ in pairs)
        columns = await self._columns(name, pattern)
        return RelationshipType(name, connections, columns, await self._count(pattern))

    async def _count(self, pattern: str) -> int | None:
        try:
            ((count,),) = await self._rows(f"MATCH {pattern} RETURN count(x)", seconds=2.0)
        except QueryError:
            return None
        return int(count)

    async def _columns(self, table: str, pattern: str) -> tuple[Column, ...]:
        """The properties of a table, with a few of the values that may be shown."""
        info = await self._rows(f"CALL table_info({_literal(table)}) RETURN name, type")
        shown = [name for name, _ in info if not self.is_private_of(table, name)]
        values: dict[str, list[Any]] = {}
        if shown and self._samples:
            listed = ", ".join(f"x.{quoted_name(name)}" for name in shown)
            with suppress(QueryError):  # it can be asked about all the same
                rows = await self._rows(f"MATCH {pattern} RETURN {listed} LIMIT {_SAMPLED}")
                values = {name: [row[at] for row in rows] for at, name in enumerate(shown)}
        return tuple(
            Column(
                name,
                kind,
                samples=_samples(values.get(name, ()), self._samples),
                is_text=kind in ("STRING", "STRING[]"),
            )
            for name, kind in info
        )

    async def _rows(self, query: str, *, seconds: float | None = None) -> list[tuple[Any, ...]]:
        limit = seconds or self._timeout
        return list((await self._aread(query, {}, max_rows=100_000, seconds=limit)).rows)

    async def _aread(
        self, query: str, parameters: Mapping[str, Any], *, max_rows: int, seconds: float
    ) -> QueryResult:
        """Run a query in a thread; when this is cancelled, so is the query."""
        told = f"The query was stopped: it may take {seconds:g} seconds."
        return await read_in_thread(
            lambda reading: self._read(query, dict(parameters), max_rows, seconds, reading),
            lambda connection: connection.interrupt(),
            seconds=seconds,
            grace=_GRACE_SECONDS,
            late=QueryTimeoutError(told),
        )

    def _read(
        self,
        query: str,
        parameters: dict[str, Any],
        max_rows: int,
        seconds: float,
        reading: Reading,
    ) -> QueryResult:
        with self._connected() as connection:
            reading.connection = connection
            try:
                connection.set_query_timeout(max(1, int(seconds * 1000)))
                connection.execute("BEGIN TRANSACTION READ ONLY").close()
                reading.check()
                result = connection.execute(query, parameters)
                if isinstance(result, list):
                    raise QueryRefusedError("There is more than one statement. Write one query.")
                return _fetched(result, max_rows, time.monotonic() + seconds)
            except RuntimeError as error:
                raise _explained(error, seconds) from error
            finally:
                reading.connection = None

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        with self._opening:
            if self._database is None:
                try:
                    self._database = ladybug.Database(
                        self._path, read_only=True, buffer_pool_size=_BUFFER_BYTES
                    )
                except RuntimeError as error:
                    told = shortened(" ".join(str(error).split()))
                    raise DatabaseError(f"{self._path} cannot be opened: {told}") from error
            database = self._database
        try:
            connection = ladybug.Connection(database)
        except RuntimeError as error:
            raise DatabaseError(f"The database cannot be read: {error}") from error
        try:
            yield connection
        finally:
            connection.close()


def _existing(database: Any) -> str:
    if not isinstance(database, str | Path) or not str(database).strip():
        raise ConfigurationError(
            "A Ladybug database is the path of one, or a ladybug.Database; got "
            f"{type(database).__name__} {shortened(repr(database), 80)}."
        )
    path = Path(database)
    if not path.exists():
        raise DatabaseError(f"There is no database at {path}.")
    return str(path)


def _fetched(result: Any, max_rows: int, ends: float) -> QueryResult:
    """The first rows, up to a number of rows and of bytes."""
    rows = FirstRows(max_rows)
    try:
        while result.has_next() and not rows.add(tuple(map(plain, result.get_next()))):
            if time.monotonic() > ends:
                raise QueryTimeoutError("The query was stopped: its rows took too long to read.")
        return rows.result(list(result.get_column_names()))
    finally:
        result.close()


def plain(value: Any) -> Any:
    """A value as plain Python: nodes, relationships and paths as `neo4j_values.plain` has them."""
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, dict):
        return _element(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def _element(value: Mapping[str, Any]) -> dict[str, Any]:
    if "_NODES" in value and "_RELS" in value:
        return {"nodes": plain(value["_NODES"]), "relationships": plain(value["_RELS"])}
    if "_LABEL" not in value:
        return {str(key): plain(item) for key, item in value.items()}
    properties = {
        name: plain(item)
        for name, item in value.items()
        if item is not None and name not in ("_ID", "_LABEL", "_SRC", "_DST")
    }
    told: dict[str, Any] = {"id": _id(value.get("_ID"))}
    if "_SRC" in value:
        told |= {"type": value["_LABEL"], "start": _id(value["_SRC"]), "end": _id(value["_DST"])}
    else:
        told["labels"] = [value["_LABEL"]]
    return {**told, "properties": properties}


def _id(value: Any) -> str | None:
    return f"{value['table']}:{value['offset']}" if isinstance(value, dict) else None


def _samples(values: Any, most: int) -> tuple[str, ...]:
    flat = (item for value in values for item in (value if isinstance(value, list) else [value]))
    texts = (" ".join(str(item).split()) for item in flat if item is not None)
    return tuple(dict.fromkeys(shortened(text, _SAMPLE_CHARS) for text in texts if text))[:most]


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _explained(error: RuntimeError, seconds: float) -> AgentkitError:
    told = shortened(" ".join(str(error).split()), 1_000)
    if "Interrupted" in told:
        return QueryTimeoutError(f"The query was stopped: it may take {seconds:g} seconds.")
    if "Buffer manager" in told:
        return QueryError(f"The query needs more memory than it may have: {told}")
    if "read-only" in told or "read only" in told.lower():
        return QueryRefusedError(f"The database refuses this query: {told}")
    if told.startswith(("IO exception", "Storage exception")):
        return DatabaseError(f"The database failed: {told}")
    return QueryError(told.removeprefix("Binder exception: ").removeprefix("Parser exception: "))
