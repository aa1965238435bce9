"""Neo4j, which is only read, through its official driver."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

from agentkit._sync import on_loop, shared_loop
from agentkit._text import shortened
from agentkit.databases.cypher_functions import is_read_procedure
from agentkit.databases.graph import GraphDatabase
from agentkit.databases.graph_schema import GraphSchema, NodeType, quoted_name
from agentkit.databases.neo4j_reflection import Neo4jReflection
from agentkit.databases.results import FirstRows, QueryResult
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
    import neo4j
    from neo4j.exceptions import (
        AuthError,
        DriverError,
        Neo4jError,
        ServiceUnavailable,
        SessionExpired,
    )

    from agentkit.databases.neo4j_values import plain
except ImportError as missing:
    raise MissingExtraError("Neo4jDatabase", "neo4j") from missing

Neo4jLike: TypeAlias = "str | neo4j.Driver | neo4j.AsyncDriver"
Auth: TypeAlias = "tuple[str, str] | neo4j.Auth | None"
Result = TypeVar("Result")

SCHEMES = ("neo4j", "neo4j+s", "neo4j+ssc", "bolt", "bolt+s", "bolt+ssc")
_FETCHED = 2_000
_LARGE = 500
_GRACE_SECONDS = 20.0
_CONNECT_SECONDS = 10.0
_LUCENE = frozenset('+-&|!(){}[]^"~*?:\\/')
_REFUSED_STEPS = {
    "LoadCSV": "reads a file (LOAD CSV)",
    "TransactionForeach": "opens transactions of its own",
    "TransactionApply": "opens transactions of its own",
}


@dataclass(frozen=True)
class _Asked:
    """What the driver is asked."""

    query: str
    parameters: Mapping[str, Any]
    max_rows: int
    seconds: float


@dataclass(frozen=True)
class _Answer:
    """What the driver brought back."""

    result: QueryResult
    kind: str | None
    plan: Mapping[str, Any] | None


class Neo4jDatabase(GraphDatabase):
    """A Neo4j database that can only be read.

    Every query is planned by `EXPLAIN` before it runs, and runs in a read transaction within a
    time limit, up to a number of rows.

    Args:
        database: A URI such as `neo4j://localhost:7687`, in which a user and password may stand,
            or a `neo4j` driver, sync or async. With None, `NEO4J_URI` of the environment. An async
            driver serves on the event loop on which it is first used.
        auth: The user and password; with None those of the URI, else `NEO4J_USERNAME` and
            `NEO4J_PASSWORD` of the environment, else none.
        name: The database's name on the server; with None `NEO4J_DATABASE`, else the user's
            default one.
        options: The options of `GraphDatabase`.

    Raises:
        ConfigurationError: When this is no Neo4j URI or driver.
        MissingExtraError: When the `neo4j` extra is not installed.
    """

    dialect = "neo4j"
    dialect_notes = (
        "Cypher 5 as Neo4j reads it. Write (a)-[:TYPE]->(b) in the direction that the schema shows."
    )

    def __init__(
        self,
        database: Neo4jLike | None = None,
        *,
        auth: Auth = None,
        name: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._name = name or os.environ.get("NEO4J_DATABASE") or None
        given = database or os.environ.get("NEO4J_URI")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: weakref.finalize[..., Any] | None = None
        self._driver: neo4j.Driver | neo4j.AsyncDriver | None = None
        self._uri, self._auth = "", auth
        if isinstance(given, neo4j.Driver | neo4j.AsyncDriver):
            self._driver = given
        else:
            self._uri, of_uri = _address(given)
            self._auth = auth or of_uri or _environment_auth()
        self._owned = self._driver is None

    def __repr__(self) -> str:
        return f"Neo4jDatabase({self._uri or type(self._driver).__name__!r}, name={self._name!r})"

    async def aexplain(self, query: str) -> None:
        """Have the database plan a query, without running it."""
        answer = await self._ask(f"EXPLAIN {query}", {}, max_rows=1, seconds=self._timeout)
        for step in _steps(answer.plan):
            self._refuse_step(step)
        if answer.kind != "r":
            told = {"w": "writes", "rw": "reads and writes", "s": "changes or shows the schema"}
            raise QueryRefusedError(
                f"The database says that this query {told.get(str(answer.kind), 'does more')}. "
                "Write one query that only reads."
            )

    async def aclose(self) -> None:
        """Close the driver that this object opened; one that was given stays open."""
        if self._owned and isinstance(self._driver, neo4j.AsyncDriver):
            driver, self._driver = self._driver, None
            if self._closing is not None:
                self._closing.detach()
            await self._on_own_loop(driver.close)

    async def acandidates(self, phrases: Sequence[str]) -> dict[tuple[str, str], list[str]]:
        """Values that may be meant by phrases, of labels too large to be read whole.

        Full-text indexes are searched by the phrases' words; range and text indexes are asked for
        values that are equal to a phrase.
        """
        schema = await self.aschema()
        found, equal = await asyncio.gather(
            self._by_words(schema, phrases), self._by_equality(schema, phrases)
        )
        for place, values in equal.items():
            found.setdefault(place, []).extend(values)
        return found

    # -- asking ------------------------------------------------------------------------------------

    async def _areflect(self) -> GraphSchema:
        looking = Neo4jReflection(self._aread, is_private=self.is_private_of, samples=self._samples)
        return await looking.schema()

    async def _aread(
        self, query: str, parameters: Mapping[str, Any], *, max_rows: int, seconds: float
    ) -> QueryResult:
        return (await self._ask(query, parameters, max_rows=max_rows, seconds=seconds)).result

    async def _ask(
        self, query: str, parameters: Mapping[str, Any], *, max_rows: int, seconds: float
    ) -> _Answer:
        """Ask once; where the connection was lost, once more, as reading is safe to repeat."""
        asked = _Asked(query, parameters, max_rows, seconds)
        try:
            try:
                return await self._ask_once(asked)
            except (ServiceUnavailable, SessionExpired):
                return await self._ask_once(asked)
        except AgentkitError:
            raise
        except (Neo4jError, DriverError, OSError, ValueError) as error:
            raise self._explained(error, seconds) from error

    async def _ask_once(self, asked: _Asked) -> _Answer:
        driver = self._opened()
        settings = {
            "database": self._name,
            "default_access_mode": neo4j.READ_ACCESS,
            "fetch_size": min(_FETCHED, asked.max_rows + 1),
            "notifications_min_severity": neo4j.NotificationMinimumSeverity.OFF,
        }
        waiting: Awaitable[_Answer]
        if isinstance(driver, neo4j.AsyncDriver):
            waiting = self._on_own_loop(lambda: _ask_async(driver, settings, asked))
        else:
            waiting = asyncio.to_thread(_ask_sync, driver, settings, asked)
        try:
            return await asyncio.wait_for(waiting, asked.seconds + _GRACE_SECONDS)
        except TimeoutError as error:
            raise DatabaseError(
                f"The database did not answer within {asked.seconds + _GRACE_SECONDS:g} seconds."
            ) from error

    def _opened(self) -> neo4j.Driver | neo4j.AsyncDriver:
        if self._driver is None:
            self._loop = shared_loop()
            try:
                self._driver = neo4j.AsyncGraphDatabase.driver(
                    self._uri,
                    auth=self._auth,
                    connection_timeout=_CONNECT_SECONDS,
                    connection_acquisition_timeout=_CONNECT_SECONDS,
                    user_agent="agentkit",
                )
            except (DriverError, ValueError, TypeError) as error:
                raise ConfigurationError(
                    f"No driver can be made for {self._uri}: {error}"
                ) from error
        return self._driver

    async def _on_own_loop(self, start: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Run on the loop that the driver's connections belong to."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        if self._loop.is_closed():
            raise ConfigurationError(
                "The async driver belongs to an event loop that is closed. Give the URI, or a sync "
                "driver, where a graph is used on several loops."
            )
        return await on_loop(self._loop, start)

    def _explained(self, error: Exception, seconds: float) -> AgentkitError:
        message = error.message if isinstance(error, Neo4jError) else str(error)
        told = shortened(" ".join(str(message).split()), 1_000)
        where = self._uri or "the driver's server"
        if isinstance(error, AuthError):
            return DatabaseError(f"{where} refuses the user and password: {told}")
        if not isinstance(error, Neo4jError):
            return DatabaseError(f"The database at {where} cannot be reached: {told}")
        kind = _kind_of(str(error.code or ""))
        sentences = {
            DatabaseError: f"The database at {where} failed: {told}",
            QueryTimeoutError: f"The query was stopped: it may take {seconds:g} seconds.",
            QueryRefusedError: f"The database refuses this query: {told}",
        }
        return kind(sentences.get(kind, told))

    def _refuse_step(self, step: Mapping[str, Any]) -> None:
        operator = str(step.get("operatorType", "")).partition("@")[0]
        if told := _REFUSED_STEPS.get(operator):
            raise QueryRefusedError(f"The query {told}, so it is not run.")
        if operator == "ProcedureCall":
            details = str(step.get("args", {}).get("Details", ""))
            name = details.partition("(")[0].strip().replace("`", "")
            if not is_read_procedure(name, self._procedures):
                raise QueryRefusedError(f"The procedure {name} may not be called.")

    # -- values by index ---------------------------------------------------------------------------

    async def _by_words(
        self, schema: GraphSchema, phrases: Sequence[str]
    ) -> dict[tuple[str, str], list[str]]:
        words = lucene_query(" ".join(phrase for phrase in phrases if " " not in phrase))
        found: dict[tuple[str, str], list[str]] = {}
        indexes = [i for i in schema.indexes if i.kind == "FULLTEXT" and not i.of_relationships]
        for index in indexes if words else ():
            result = await self._tried(
                "CALL db.index.fulltext.queryNodes($name, $words, {limit: 20}) YIELD node "
                "UNWIND $properties AS key RETURN labels(node), key, node[key]",
                {"name": index.name, "words": words, "properties": list(index.properties)},
            )
            for labels, key, value in result.rows if result else ():
                for label in labels:
                    part = schema.nodes.get(label)
                    if part and isinstance(value, str) and not self.is_private(part, key):
                        found.setdefault((part.full_name, key), []).append(value)
        return found

    async def _by_equality(
        self, schema: GraphSchema, phrases: Sequence[str]
    ) -> dict[tuple[str, str], list[str]]:
        found: dict[tuple[str, str], list[str]] = {}
        for part, name in self._indexed(schema):
            query = (
                f"UNWIND $values AS value MATCH (x:{quoted_name(part.label)}) "
                f"WHERE x.{quoted_name(name)} = value RETURN DISTINCT value"
            )
            if result := await self._tried(query, {"values": list(phrases)}):
                found[(part.full_name, name)] = [value for (value,) in result.rows]
        return found

    def _indexed(self, schema: GraphSchema) -> Iterator[tuple[NodeType, str]]:
        """The text properties of large labels that a range or text index covers alone."""
        for index in schema.indexes:
            is_usual = index.kind in ("RANGE", "TEXT") and not index.of_relationships
            if not is_usual or len(index.properties) != 1:
                continue
            for part in (schema.nodes[label] for label in index.parts if label in schema.nodes):
                name = index.properties[0]
                texts = {column.name for column in part.properties if column.is_text}
                is_large = (part.count or 0) > _LARGE
                if name in texts and is_large and not self.is_private(part, name):
                    yield part, name

    async def _tried(self, query: str, parameters: Mapping[str, Any]) -> QueryResult | None:
        """The rows; None where they cannot be had in time."""
        try:
            return await self._aread(query, parameters, max_rows=200, seconds=2.0)
        except QueryError:
            return None


async def _ask_async(
    driver: neo4j.AsyncDriver, settings: Mapping[str, Any], asked: _Asked
) -> _Answer:
    async with driver.session(**settings) as session:
        async with await session.begin_transaction(timeout=asked.seconds) as transaction:
            result = await transaction.run(asked.query, dict(asked.parameters))
            rows = FirstRows(asked.max_rows)
            async for record in result:
                if rows.add(tuple(map(plain, record.values()))):
                    break
            columns = list(result.keys())
            summary = await result.consume()
        return _Answer(rows.result(columns), summary.query_type, summary.plan)


def _ask_sync(driver: neo4j.Driver, settings: Mapping[str, Any], asked: _Asked) -> _Answer:
    with (
        driver.session(**settings) as session,
        session.begin_transaction(timeout=asked.seconds) as transaction,
    ):
        result = transaction.run(asked.query, dict(asked.parameters))
        rows = FirstRows(asked.max_rows)
        for record in result:
            if rows.add(tuple(map(plain, record.values()))):
                break
        columns = list(result.keys())
        summary = result.consume()
        return _Answer(rows.result(columns), summary.query_type, summary.plan)


def _kind_of(code: str) -> type[AgentkitError]:
    """What an error of the server means, by its code."""
    if "TransactionTimedOut" in code:
        return QueryTimeoutError
    if code.endswith((".AccessMode", "Security.Forbidden")):
        return QueryRefusedError
    if "MemoryPoolOutOfMemory" in code:
        return QueryError
    unusable = (".Database.", ".Security.", ".General.", ".Cluster.")
    return DatabaseError if any(part in code for part in unusable) else QueryError


def _close_behind(driver: neo4j.AsyncDriver, loop: asyncio.AbstractEventLoop) -> None:
    """Close a driver whose owner is gone; wait for it, except on the loop that has to do it."""
    closing = asyncio.run_coroutine_threadsafe(driver.close(), loop)
    try:
        on_the_loop = asyncio.get_running_loop() is loop
    except RuntimeError:
        on_the_loop = False
    if not on_the_loop:
        with suppress(TimeoutError, Neo4jError, DriverError, OSError):
            closing.result(timeout=_GRACE_SECONDS)


def _steps(plan: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    """The steps of a plan, each with its arguments."""
    waiting = [plan] if plan else []
    while waiting:
        step = waiting.pop()
        yield step
        waiting.extend(step.get("children", ()))


def _address(given: Any) -> tuple[str, tuple[str, str] | None]:
    """A URI without its user, and the user and password that stood in it."""
    parts = urlsplit(given) if isinstance(given, str) else None
    if parts is None or parts.scheme not in SCHEMES or not parts.hostname:
        kind = "text" if isinstance(given, str) else type(given).__name__
        raise ConfigurationError(
            f"A Neo4j database is a URI such as neo4j://localhost:7687 or a driver; got a {kind} "
            "(not shown, as it may hold a password). NEO4J_URI of the environment is used when "
            "none is given."
        )
    user, password = parts.username, parts.password
    host = parts.netloc.rpartition("@")[2]
    uri = urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
    return uri, (unquote(user), unquote(password or "")) if user else None


def _environment_auth() -> tuple[str, str] | None:
    password = os.environ.get("NEO4J_PASSWORD")
    user = os.environ.get("NEO4J_USERNAME", "neo4j")
    return (user, password) if password else None


def lucene_query(text: str) -> str:
    """The words of a text, without what Lucene's query syntax gives a meaning."""
    words = "".join(" " if c in _LUCENE else c for c in text).split()
    return " ".join(word for word in words if word not in ("AND", "OR", "NOT", "TO"))
