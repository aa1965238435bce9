"""SQL databases, which are only read: their schemas, their values, the rows of checked queries."""

from __future__ import annotations

import asyncio
import datetime
import threading
import time
import uuid
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Self, TypeAlias, TypeVar

from agentkit._numbers import above_zero, whole_number
from agentkit._sync import run_sync
from agentkit._text import shortened, well_formed
from agentkit.databases.options import matches, patterns, private_patterns
from agentkit.databases.reading import Reading, read_in_thread
from agentkit.databases.results import FirstRows, QueryResult
from agentkit.databases.schema import Column, Schema, Table
from agentkit.databases.sql_guard import CheckedQuery, check_query
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
    from sqlalchemy import URL, Connection, Engine, make_url
    from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
    from sqlalchemy.ext.asyncio import AsyncEngine
except ImportError as missing:
    raise MissingExtraError("SQLDatabase", "sql") from missing

from agentkit.databases.sql_engines import sql_engine
from agentkit.databases.sql_reflection import reflected_tables

Database: TypeAlias = "str | Path | URL | Engine | AsyncEngine | SQLDatabase"
Result = TypeVar("Result")

_MOST_PASSED = 64
_SAMPLED_ROWS = 20
_SAMPLING_SECONDS = 10.0
_TABLE_SECONDS = 1.0
_SAMPLE_CHARS = 40
_SCANNED_ROWS = 200_000
_GRACE_SECONDS = 10.0
_PLAIN = (
    bool,
    int,
    float,
    Decimal,
    str,
    bytes,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    uuid.UUID,
    type(None),
)


class SQLDatabase:
    """A SQL database that can only be read: SQLite, PostgreSQL, MariaDB, MySQL or DuckDB.

    Every query runs in the engine's own read-only mode, within a time limit and up to a number of
    rows, and nothing is left open behind it. An `AsyncEngine`, or an engine with another driver
    than ours (psycopg, pymysql), is opened again by its URL.

    Args:
        database: A SQLAlchemy URL, the path of a SQLite file, an `Engine` or an `AsyncEngine`.
        include: Patterns (`fnmatch`) of the tables that may be read, by full name; None for all.
        exclude: Patterns of tables that may not be read.
        schemas: The database schemas that may be read; None for the default one.
        private: Patterns of columns, as `table.column`, whose values are never sampled and never
            matched with a question's words. A query may still return them.
        functions: Names of functions of yours that only compute, which queries may call; of the
            engine's own, those that do are known.
        samples: How many sample values of a column to show.
        max_rows: Rows that a query returns at most.
        timeout: Seconds that a query may take.

    Raises:
        ConfigurationError: When this is no database, or of a kind that is not supported.
        DatabaseError: When a database file is missing.
        MissingExtraError: When the database's driver is not installed.
    """

    def __init__(
        self,
        database: str | Path | URL | Engine | AsyncEngine,
        *,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        schemas: Sequence[str] | None = None,
        private: Sequence[str] = (),
        functions: Sequence[str] = (),
        samples: int = 3,
        max_rows: int = 1_000,
        timeout: float = 30.0,
    ) -> None:
        given = _url_or_engine(database)
        self._url = given.url if isinstance(given, Engine) else given
        self._sql = sql_engine(given)
        self._owned = self._sql.engine is not database
        if self._owned:  # a graph made from a URL has nobody to close it
            weakref.finalize(self, self._sql.engine.dispose)
        self._include = None if include is None else patterns("include", include)
        self._exclude = patterns("exclude", exclude)
        self._schemas = None if schemas is None else patterns("schemas", schemas)
        self._private = private_patterns(private, form="table.column")
        self._functions = patterns("functions", functions)
        self._samples = whole_number("samples", samples, least=0)
        self._max_rows = whole_number("max_rows", max_rows)
        self._timeout = above_zero("timeout", timeout, unit="seconds")
        self._schema: Schema | None = None
        self._passed: dict[str, CheckedQuery] = {}
        self._reflecting = threading.Lock()

    @classmethod
    def of(cls, database: Database) -> SQLDatabase:
        """The database itself, or what a URL, path or engine makes."""
        return database if isinstance(database, SQLDatabase) else cls(database)

    @property
    def dialect(self) -> str:
        """The dialect by sqlglot's name: `sqlite`, `postgres`, `mysql` or `duckdb`."""
        return self._sql.dialect

    def __repr__(self) -> str:
        return f"SQLDatabase({self._url.render_as_string(hide_password=True)!r})"

    @property
    def fingerprint(self) -> str:
        """Which database this is, and what of it may be read: for the keys of caches."""
        seen = (self._include, self._exclude, self._schemas, self._private, self._functions)
        return f"{self!r} {seen} {self._samples} {self._max_rows} {self._timeout}"

    async def aschema(self, *, refresh: bool = False) -> Schema:
        """The tables and views that may be read: reflected once, and again on `refresh`.

        Raises:
            DatabaseError: When the database cannot be reached or read.
        """
        if self._schema is None or refresh:
            return await asyncio.to_thread(self._reflect_once, self._schema)
        return self._schema

    def schema(self, *, refresh: bool = False) -> Schema:
        """The same as `aschema`, for sync code."""
        return run_sync(lambda: self.aschema(refresh=refresh))

    async def acheck(self, query: str) -> CheckedQuery:
        """Find that a query is one statement that only reads, and that the database can plan it.

        A query that has passed lately passes again, while the schema is the same.

        Raises:
            QueryRefusedError: When it does more than read, or what may not be read.
            QueryError: When its syntax or a name in it is wrong.
            DatabaseError: When the database cannot be reached.
        """
        schema, known = await self.aschema(), self._passed
        if (passed := known.get(query)) is not None:
            return passed
        checked = check_query(query, schema, dialect=self.dialect, allow_functions=self._functions)
        await self.aexplain(checked.sql)
        while len(known) >= _MOST_PASSED:
            known.pop(next(iter(known)), None)
        known[query] = checked
        return checked

    def check(self, query: str) -> CheckedQuery:
        """The same as `acheck`, for sync code."""
        return run_sync(lambda: self.acheck(query))

    async def aexplain(self, query: str) -> None:
        """Have the database plan a query, without running it.

        Raises:
            QueryError: When the database cannot plan it.
            DatabaseError: When the database cannot be reached.
        """
        await self._run(f"EXPLAIN {query}", max_rows=1, seconds=self._timeout)

    def explain(self, query: str) -> None:
        """The same as `aexplain`, for sync code."""
        run_sync(lambda: self.aexplain(query))

    async def arun(
        self,
        query: str,
        *,
        max_rows: int | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the database keeps to it
    ) -> QueryResult:
        """The rows of a query, run in the engine's own read-only mode.

        This is the one door; `acheck` is the other. Graphs and tools go through both.

        Args:
            query: One statement.
            max_rows: Rows to return at most, up to the database's own `max_rows`.
            timeout: Seconds it may take, up to the database's own `timeout`.

        Raises:
            QueryRefusedError: When the engine refuses what it does.
            QueryTimeoutError: When it takes too long.
            QueryError: When the engine can make nothing of it.
            DatabaseError: When the database cannot be reached.
        """
        rows = min(max_rows or self._max_rows, self._max_rows)
        limit = min(timeout or self._timeout, self._timeout)
        return await self._run(query, max_rows=rows, seconds=limit)

    def run(
        self, query: str, *, max_rows: int | None = None, timeout: float | None = None
    ) -> QueryResult:
        """The same as `arun`, for sync code."""
        return run_sync(lambda: self.arun(query, max_rows=max_rows, timeout=timeout))

    async def avalues(
        self,
        table: str,
        column: str,
        *,
        limit: int = 10_000,
        timeout: float = 2.0,  # noqa: ASYNC109 - the database keeps to it
    ) -> list[str]:
        """Distinct values of a text column; none of a private one.

        Args:
            table: The table's full name.
            column: The column's name.
            limit: How many values to return at most; of a large table only the first rows are
                looked at.
            timeout: Seconds it may take.

        Raises:
            QueryTimeoutError: When it takes too long.
            QueryError: When there is no such table or column.
            DatabaseError: When the database cannot be reached.
        """
        if self._is_private(table, column):
            return []
        known = (await self.aschema()).tables.get(table)
        if known is None or column not in {each.name for each in known.columns}:
            raise QueryError(f"There is no column {column!r} of a table {table!r}.")
        name, source = self._quoted(column), self._source(known)
        query = (
            f"SELECT DISTINCT {name} FROM (SELECT {name} FROM {source} WHERE {name} IS NOT NULL "  # noqa: S608 - quoted names of the schema
            f"LIMIT {_SCANNED_ROWS}) AS looked_at LIMIT {int(limit)}"
        )
        result = await self._run(query, max_rows=limit, seconds=timeout)
        return [str(value) for (value,) in result.rows if value is not None]

    def values(
        self, table: str, column: str, *, limit: int = 10_000, timeout: float = 2.0
    ) -> list[str]:
        """The same as `avalues`, for sync code."""
        return run_sync(lambda: self.avalues(table, column, limit=limit, timeout=timeout))

    async def acandidates(self, phrases: Sequence[str]) -> Mapping[tuple[str, str], list[str]]:  # noqa: ARG002
        """Values found by an index: none, as the columns themselves are read."""
        return {}

    async def aholds(
        self,
        table: str,
        column: str,
        value: str,
        *,
        ignore_case: bool = False,
        timeout: float = 2.0,  # noqa: ASYNC109 - the database keeps to it
    ) -> bool | None:
        """Whether a text column has a value; None when that cannot be known, or is private.

        Args:
            table: The table's full name.
            column: The column's name.
            value: The value.
            ignore_case: Whether upper and lower case are the same.
            timeout: Seconds that looking may take.
        """
        known = (await self.aschema()).tables.get(table)
        texts = {each.name for each in known.columns if each.is_text} if known else set()
        if known is None or column not in texts or self._is_private(table, column):
            return None
        name, literal = self._quoted(column), self._literal(value)
        if ignore_case:
            name, literal = f"LOWER({name})", f"LOWER({literal})"
        query = f"SELECT 1 FROM {self._source(known)} WHERE {name} = {literal} LIMIT 1"  # noqa: S608 - quoted
        try:
            return bool((await self._run(query, max_rows=1, seconds=timeout)).rows)
        except QueryError:
            return None

    async def aclose(self) -> None:
        """Close the connections that this object opened."""
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Close the connections that this object opened; an engine that was given stays open.

        A later query opens them again.
        """
        if self._owned:
            self._sql.engine.dispose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _run(self, query: str, *, max_rows: int, seconds: float) -> QueryResult:
        """Run a query in a thread; when this is cancelled, so is the query."""
        return await read_in_thread(
            lambda reading: self._read(query, max_rows, seconds, reading),
            self._sql.interrupt,
            seconds=seconds,
            grace=_GRACE_SECONDS,
            late=DatabaseError(f"The database did not answer within {seconds:g} seconds."),
        )

    def _read(
        self, query: str, max_rows: int, seconds: float, reading: Reading | None = None
    ) -> QueryResult:
        with self._connected() as connection:
            try:
                with self._sql.reading(connection, seconds):
                    if reading is not None:
                        reading.connection = connection.connection.driver_connection
                        reading.check()
                    with self._sql.executed(connection, query) as cursor:
                        return _fetched(cursor, max_rows)
            except AgentkitError:
                raise
            except Exception as error:
                raise self._explained(error, connection, seconds) from error
            finally:
                if reading is not None:
                    reading.connection = None  # which another query may have next

    def _explained(self, error: Exception, connection: Connection, seconds: float) -> AgentkitError:
        kind = self._sql.kind_of(error)
        if kind is DatabaseError:
            connection.invalidate()
        told = _message(error)
        sentences = {
            DatabaseError: f"The database failed: {told}",
            QueryTimeoutError: f"The query was stopped: it may take {seconds:g} seconds. ({told})",
            QueryRefusedError: f"The database refuses this query: {told}",
        }
        return kind(sentences.get(kind, told))

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        try:
            connection = self._sql.engine.connect()
        except (SQLAlchemyError, OSError, ImportError) as error:
            raise self._unreachable(error) from error
        with connection:
            yield connection

    def _unreachable(self, error: Exception) -> DatabaseError:
        url = self._url.render_as_string(hide_password=True)
        told = _message(error.orig if isinstance(error, DBAPIError) and error.orig else error)
        if password := self._url.password:
            told = told.replace(str(password), "***")
        return DatabaseError(f"The database {url} cannot be opened: {told}")

    # -- the schema --------------------------------------------------------------------------------

    def _reflect_once(self, known: Schema | None) -> Schema:
        with self._reflecting:
            if self._schema is None or self._schema is known:  # else another thread has done it
                self._schema = self._reflect()
                self._passed = {}
            return self._schema

    def _reflect(self) -> Schema:
        with self._connected() as connection:
            try:
                found = reflected_tables(connection, self._schemas)
                tables = [table for table in found if self._may_read(table)]
            except (SQLAlchemyError, OSError) as error:
                raise self._unreachable(error) from error
        ends = time.monotonic() + _SAMPLING_SECONDS
        sampled = [self._sampled(table, ends) for table in tables]
        return Schema(self.dialect, {table.full_name: table for table in sampled})

    def _may_read(self, table: Table) -> bool:
        name = table.full_name
        included = self._include is None or matches(name, self._include)
        return included and not matches(name, self._exclude)

    def _is_private(self, table: str, column: str) -> bool:
        return matches(f"{table}.{column}", self._private)

    def _sampled(self, table: Table, ends: float) -> Table:
        """The table with a few values of each column that is not private, while there is time."""
        shown = [c.name for c in table.columns if not self._is_private(table.full_name, c.name)]
        if not self._samples or not shown or table.is_view or time.monotonic() > ends:
            return table
        names = ", ".join(self._quoted(name) for name in shown)
        source = self._source(table)
        query = f"SELECT {names} FROM {source} LIMIT {_SAMPLED_ROWS}"  # noqa: S608 - quoted names
        try:
            rows = self._read(query, _SAMPLED_ROWS, _TABLE_SECONDS).rows
        except (AgentkitError, SQLAlchemyError):
            return table  # it can be asked about all the same
        found = {
            name: _samples([row[place] for row in rows], self._samples)
            for place, name in enumerate(shown)
        }
        columns = tuple(
            Column(c.name, c.type, c.nullable, c.comment, found.get(c.name, ()), c.is_text)
            for c in table.columns
        )
        return Table(
            table.name,
            columns,
            table.schema,
            table.primary_key,
            table.foreign_keys,
            table.comment,
            table.is_view,
        )

    def _quoted(self, name: str) -> str:
        return self._sql.engine.dialect.identifier_preparer.quote_identifier(name)

    def _literal(self, text: str) -> str:
        doubled = text.replace("'", "''")
        if self.dialect == "mysql":
            doubled = doubled.replace("\\", "\\\\")
        return f"'{doubled}'"

    def _source(self, table: Table) -> str:
        name = self._quoted(table.name)
        return f"{self._quoted(table.schema)}.{name}" if table.schema else name


def _url_or_engine(database: Any) -> URL | Engine:
    if isinstance(database, AsyncEngine):
        return database.sync_engine.url
    if isinstance(database, Engine | URL):
        return database
    if isinstance(database, Path):
        return URL.create("sqlite", database=str(database))
    if not isinstance(database, str) or not database.strip():
        raise ConfigurationError(
            "A database is a SQLAlchemy URL, the path of a SQLite file, an Engine or an "
            f"AsyncEngine; got {type(database).__name__} {shortened(repr(database), 80)}."
        )
    try:
        return make_url(database)
    except ArgumentError:
        if "://" in database:
            raise ConfigurationError(
                "This is no SQLAlchemy URL (its text is not shown, as it may "
                "hold a password); one looks like sqlite:///file.db."
            ) from None
        return URL.create("sqlite", database=database)


def _fetched(cursor: Any, max_rows: int) -> QueryResult:
    """The first rows, up to a number of rows and of bytes."""
    rows, asked, full = FirstRows(max_rows), max_rows + 1, False
    while not full and (batch := cursor.fetchmany(min(500, asked))):
        asked -= len(batch)
        full = any(rows.add(tuple(map(_plain, row))) for row in batch)
    return rows.result([str(column[0]) for column in cursor.description or ()])


def _plain(value: Any) -> Any:
    """The value as a plain Python one."""
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return str(value)


def _message(error: BaseException) -> str:
    """The database's own words."""
    diagnosis = getattr(error, "diag", None)
    primary = getattr(diagnosis, "message_primary", None)
    if primary:
        hint = getattr(diagnosis, "message_hint", None)
        return f"{primary}. {hint}" if hint else str(primary)
    if len(error.args) > 1 and isinstance(error.args[0], int):  # MySQL: a number and a text
        return str(error.args[1])
    return shortened(" ".join(str(error).split()), 1_000) or type(error).__name__


def _samples(values: Iterable[Any], count: int) -> tuple[str, ...]:
    texts = (
        " ".join(str(value).split())
        for value in values
        if value is not None and not isinstance(value, bytes)
    )
    return tuple(
        list(dict.fromkeys(shortened(text, _SAMPLE_CHARS) for text in texts if text))[:count]
    )
