"""Read-only running on each engine: its own read-only mode, its time limit, its way to cancel."""

from __future__ import annotations

import re
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, Protocol
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine
from sqlalchemy.pool import QueuePool, StaticPool

from agentkit.errors import (
    AgentkitError,
    ConfigurationError,
    DatabaseError,
    MissingExtraError,
    QueryError,
    QueryRefusedError,
    QueryTimeoutError,
)

_CONNECT_SECONDS = 10
_CHECKED_EVERY = 10_000  # instructions of SQLite's virtual machine
_READER_ROLE_SINCE = 140_000  # PostgreSQL 14
_MOST_SQLITE_BYTES = 100_000_000


class Cursor(Protocol):
    """What is used of a DB-API cursor."""

    @property
    def description(self) -> Any:
        """A sequence for each column, its name first."""

    def fetchmany(self, size: int) -> Sequence[Sequence[Any]]:
        """The next rows."""


class SQLEngine(Protocol):
    """How one engine is opened, read and interrupted."""

    dialect: ClassVar[str]
    """sqlglot's name for the dialect."""

    engine: Engine

    def reading(self, connection: Connection, seconds: float) -> AbstractContextManager[None]:
        """A context in which the connection can only read, for so long."""

    def executed(self, connection: Connection, query: str) -> AbstractContextManager[Cursor]:
        """The cursor of one statement that runs, of whose rows none has been fetched."""

    def interrupt(self, driver: Any) -> None:
        """Stop what a driver's connection runs; called from another thread."""

    def kind_of(self, error: BaseException) -> type[AgentkitError]:
        """What a driver's error says: a time-out, a refusal, a lost connection, a bad query."""


def sql_engine(given: URL | Engine) -> SQLEngine:
    """The engine for a URL, or for an engine that there is.

    Raises:
        ConfigurationError: When the URL is none, or the engine is of another kind.
        DatabaseError: When a database file is missing.
        MissingExtraError: When the database's driver is not installed.
    """
    url = given.url if isinstance(given, Engine) else given
    kind = _KINDS.get(url.get_backend_name())
    if kind is None:
        raise ConfigurationError(
            f"{url.get_backend_name()!r} databases are not supported; these are: "
            f"{', '.join(sorted(_KINDS))}."
        )
    try:
        return kind(given)
    except ImportError as error:
        extra = _EXTRAS[url.get_backend_name()]
        raise MissingExtraError(f"Reading a {url.get_backend_name()} database", extra) from error


def _driver_engine(given: URL | Engine, drivername: str, **options: Any) -> Engine:
    """The given engine where it has the driver, else a new one."""
    if isinstance(given, Engine):
        if given.dialect.driver == drivername.partition("+")[2]:
            return given
        given = given.url
    return create_engine(given.set(drivername=drivername), pool_pre_ping=True, **options)


class SQLite:
    """SQLite: a file opened read-only, or a connection that is kept from everything but reading.

    Source: https://www.sqlite.org/security.html
    """

    dialect: ClassVar[str] = "sqlite"
    _ALLOWED: ClassVar[frozenset[int]] = frozenset(
        {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
    )
    _REFUSED_FUNCTIONS: ClassVar[frozenset[str]] = frozenset(
        {"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer", "sqlar_uncompress"}
    )

    def __init__(self, given: URL | Engine) -> None:
        url = given.url if isinstance(given, Engine) else given
        path = _sqlite_file(url)
        self._shared = threading.Lock() if path is None else None
        if path is not None:
            opener = _read_only_opener(path)
            self.engine = create_engine("sqlite://", creator=opener, poolclass=QueuePool)
        elif isinstance(given, Engine) and isinstance(given.pool, StaticPool):
            self.engine = given
        else:
            raise ConfigurationError(
                "A SQLite database in memory belongs to one connection: give its engine, made with "
                "`poolclass=StaticPool` and `connect_args={'check_same_thread': False}`."
            )

    @contextmanager
    def reading(self, connection: Connection, seconds: float) -> Iterator[None]:
        """Let the connection read alone, until the time is over."""
        driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
        ends = time.monotonic() + seconds
        lock = self._shared
        if lock is not None and not lock.acquire(timeout=seconds):
            raise DatabaseError("The database in memory is busy with another query.")
        limit = driver.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_SQLITE_BYTES)
        try:
            driver.set_authorizer(self._authorize)
            driver.set_progress_handler(lambda: time.monotonic() > ends, _CHECKED_EVERY)
            yield
        finally:
            driver.set_progress_handler(None, 0)
            driver.set_authorizer(None)
            driver.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, limit)
            if lock is not None:
                lock.release()

    @contextmanager
    def executed(self, connection: Connection, query: str) -> Iterator[Cursor]:
        """Run one statement; SQLite's module takes no second one."""
        driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
        with closing(driver.execute(query)) as cursor:
            yield cursor

    def interrupt(self, driver: sqlite3.Connection) -> None:
        """Stop the query."""
        driver.interrupt()

    def kind_of(self, error: BaseException) -> type[AgentkitError]:
        """What SQLite's error says."""
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith("SQLITE_INTERRUPT"):
            return QueryTimeoutError
        if name.startswith(("SQLITE_AUTH", "SQLITE_READONLY")) or "not authorized" in str(error):
            return QueryRefusedError
        if name.startswith(
            ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_CANTOPEN", "SQLITE_NOTADB", "SQLITE_CORRUPT")
        ):
            return DatabaseError
        return QueryError

    def _authorize(self, action: int, _: str | None, second: str | None, *__: Any) -> int:
        if action in self._ALLOWED:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION and second not in self._REFUSED_FUNCTIONS:
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY


def _sqlite_file(url: URL) -> Path | None:
    """The file of a SQLite URL; None for a database in memory."""
    name = url.database
    if not name or name == ":memory:" or url.query.get("mode") == "memory":
        return None
    path = Path(name.removeprefix("file:").partition("?")[0] if name.startswith("file:") else name)
    if not path.is_file():
        raise DatabaseError(f"There is no SQLite database file {str(path)!r}.")
    return path


def _read_only_opener(path: Path) -> Callable[[], sqlite3.Connection]:
    address = f"file:{quote(str(path.absolute()))}?mode=ro"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(
            address, uri=True, check_same_thread=False, timeout=5, isolation_level=None
        )

    return connect


class PostgreSQL:
    """PostgreSQL: a read-only transaction with a statement time-out, always rolled back.

    The query runs as a server-side cursor, which takes one statement that returns rows; a superuser
    reads as `pg_read_all_data`, who cannot touch the server's files. As `set_config` would lead out
    of that role, and out of the time limit, it is refused, and what may run it out of a text.

    Source: https://www.postgresql.org/docs/current/sql-set-transaction.html
    """

    dialect: ClassVar[str] = "postgres"
    _SETS: ClassVar[re.Pattern[str]] = re.compile(
        r"\b(?:set_config|(?:query|cursor)_to_xml\w*|ts_stat|ts_rewrite|dblink\w*|crosstab\w*|"
        r'connectby|xpath_table)\b|\bU&"',  # U&"…" may spell any of them
        re.IGNORECASE,
    )

    def __init__(self, given: URL | Engine) -> None:
        self.engine = _driver_engine(
            given, "postgresql+psycopg", connect_args={"connect_timeout": _CONNECT_SECONDS}
        )
        _ = self.engine.dialect

    @contextmanager
    def reading(self, connection: Connection, seconds: float) -> Iterator[None]:
        """A read-only transaction, rolled back at its end."""
        driver: Any = connection.connection.driver_connection
        settings = [
            "SET TRANSACTION READ ONLY",
            f"SET LOCAL statement_timeout = {max(1, int(seconds * 1000))}",
            "SET LOCAL cursor_tuple_fraction = 1",
        ]
        info = driver.info
        if (
            info.parameter_status("is_superuser") == "on"
            and info.server_version >= _READER_ROLE_SINCE
        ):
            settings.append("SET LOCAL ROLE pg_read_all_data")
        driver.execute("; ".join(settings))
        try:
            yield
        finally:
            if not driver.closed:
                driver.rollback()

    @contextmanager
    def executed(self, connection: Connection, query: str) -> Iterator[Cursor]:
        """Open a cursor for the query, on the server."""
        if found := self._SETS.search(query):
            raise QueryRefusedError(f"{found[0]} is refused: a query may only read.")
        driver: Any = connection.connection.driver_connection
        if query.startswith("EXPLAIN "):
            with driver.cursor() as cursor:
                yield cursor.execute(query, prepare=True)
        else:
            with driver.cursor(name="agentkit") as cursor:
                yield cursor.execute(query)

    def interrupt(self, driver: Any) -> None:
        """Ask the server to stop the query."""
        driver.cancel_safe(timeout=5)

    def kind_of(self, error: BaseException) -> type[AgentkitError]:
        """What PostgreSQL's SQLSTATE says."""
        state = getattr(error, "sqlstate", None) or ""
        if state == "57014":
            return QueryTimeoutError
        if state in ("25006", "42501"):
            return QueryRefusedError
        lost = not state and isinstance(error, _operational_errors("psycopg"))
        return DatabaseError if lost or state[:2] in ("08", "28", "53", "57", "3D") else QueryError


class MySQL:
    """MariaDB and MySQL: a read-only transaction with the server's time limit.

    Neither stops `SELECT … INTO OUTFILE` or `SET GLOBAL` for a user with the privilege, so INTO is
    refused, and every statement that does not begin as a read.

    Source: https://mariadb.com/kb/en/start-transaction/
    """

    dialect: ClassVar[str] = "mysql"
    _READ: ClassVar[re.Pattern[str]] = re.compile(
        r"[\s(]*(EXPLAIN\s+)?[\s(]*(SELECT|WITH|VALUES|TABLE)\b", re.IGNORECASE
    )
    _INTO: ClassVar[re.Pattern[str]] = re.compile(r"\binto\b", re.IGNORECASE)
    _QUOTED: ClassVar[re.Pattern[str]] = re.compile(
        r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\"|`(?:[^`]|``)*`", re.DOTALL
    )
    _MULTI_STATEMENTS: ClassVar[int] = 1 << 16
    _CLIENT_ERRORS: ClassVar[int] = 2000

    def __init__(self, given: URL | Engine) -> None:
        name = (given.url if isinstance(given, Engine) else given).get_backend_name()
        self.engine = _driver_engine(
            given,
            f"{name}+pymysql",
            connect_args={"connect_timeout": _CONNECT_SECONDS, "charset": "utf8mb4"},
        )

    @contextmanager
    def reading(self, connection: Connection, seconds: float) -> Iterator[None]:
        """A read-only transaction, rolled back at its end."""
        driver: Any = connection.connection.driver_connection
        if driver.client_flag & self._MULTI_STATEMENTS:
            raise ConfigurationError(
                "The connection takes several statements at once: turn it off."
            )
        is_mariadb = "mariadb" in driver.get_server_info().lower()
        limit = "max_statement_time" if is_mariadb else "max_execution_time"
        most = f"{seconds:.3f}" if is_mariadb else max(1, int(seconds * 1000))
        with driver.cursor() as cursor:
            cursor.execute(f"SET SESSION {limit} = {most}")
            # of the session too: DDL would end a transaction and begin one of the session's kind
            cursor.execute("SET SESSION TRANSACTION READ ONLY")
            cursor.execute("START TRANSACTION READ ONLY")
        try:
            yield
        finally:
            if driver.open:
                driver.rollback()
                with driver.cursor() as cursor:
                    cursor.execute(f"SET SESSION {limit} = DEFAULT")
                    cursor.execute("SET SESSION TRANSACTION READ WRITE")

    @contextmanager
    def executed(self, connection: Connection, query: str) -> Iterator[Cursor]:
        """Run one statement, its rows left on the server."""
        from pymysql.cursors import SSCursor

        if not self._READ.match(query):
            raise QueryRefusedError("This statement is refused: a query may only read.")
        unquoted = self._QUOTED.sub("''", query)
        # where a comment or a backslash may hide the end of a string, INTO counts inside of one too
        hidden = "\\" in query or any(mark in unquoted for mark in ("/*", "--", "#"))
        if self._INTO.search(query if hidden else unquoted):
            raise QueryRefusedError("INTO is refused: a query may only read. Write one SELECT.")
        driver: Any = connection.connection.driver_connection
        cursor = driver.cursor(SSCursor)
        try:
            cursor.execute(query)
            yield cursor
        finally:
            if driver._result is not None and driver._result.unbuffered_active:
                # to close the cursor would read the rest of the rows: rather give up the connection
                driver._result.unbuffered_active = False
                driver._force_close()
                connection.invalidate()
            cursor.close()

    def interrupt(self, driver: Any) -> None:
        """Kill the query by another connection."""
        with self.engine.connect() as other:
            other.exec_driver_sql(f"KILL QUERY {driver.thread_id()}")

    def kind_of(self, error: BaseException) -> type[AgentkitError]:
        """What the server's error number says."""
        number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        if number in (1317, 1969, 3024):
            return QueryTimeoutError
        if number in (1044, 1142, 1143, 1227, 1290, 1370, 1792):
            return QueryRefusedError
        if number in (0, 1040, 1045, 1049, 1053, 1205) or number >= self._CLIENT_ERRORS:
            return DatabaseError
        return QueryError


class DuckDB:
    """DuckDB: a file opened read-only without access to other files; read-only transactions.

    Source: https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview
    """

    dialect: ClassVar[str] = "duckdb"
    _SAFE: ClassVar[dict[str, Any]] = {
        "read_only": True,
        "config": {
            "enable_external_access": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
            "lock_configuration": "true",
        },
    }

    def __init__(self, given: URL | Engine) -> None:
        import duckdb_engine  # noqa: F401 - the dialect, which SQLAlchemy finds by itself

        if isinstance(given, Engine):
            self.engine = given
            return
        if not given.database or given.database == ":memory:":
            raise ConfigurationError(
                "A DuckDB database in memory belongs to one connection: give its SQLAlchemy engine."
            )
        if not Path(given.database).is_file():
            raise DatabaseError(f"There is no DuckDB database file {given.database!r}.")
        self.engine = create_engine(given, connect_args=self._SAFE)

    @contextmanager
    def reading(self, connection: Connection, seconds: float) -> Iterator[None]:
        """A read-only transaction, rolled back at its end; DuckDB has no time limit of its own."""
        driver: Any = connection.connection.driver_connection
        timer = threading.Timer(seconds, self.interrupt, [driver])
        timer.daemon = True
        with suppress(Exception):  # SQLAlchemy may have begun one
            driver.execute("ROLLBACK")
        driver.execute("BEGIN TRANSACTION READ ONLY")
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            with suppress(Exception):  # what a failed query has rolled back already
                driver.execute("ROLLBACK")

    @contextmanager
    def executed(self, connection: Connection, query: str) -> Iterator[Cursor]:
        """Run what DuckDB's own parser finds to be one SELECT."""
        import duckdb

        driver: Any = connection.connection.driver_connection
        explained = query.removeprefix("EXPLAIN ")
        statements = duckdb.extract_statements(explained)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            kinds = ", ".join(statement.type.name for statement in statements) or "nothing"
            raise QueryRefusedError(f"{kinds} is refused: write one SELECT.")
        driver.execute(query)
        yield driver

    def interrupt(self, driver: Any) -> None:
        """Stop the query."""
        driver.interrupt()

    def kind_of(self, error: BaseException) -> type[AgentkitError]:
        """What the class of DuckDB's error says."""
        name = type(error).__name__
        if name == "InterruptException":
            return QueryTimeoutError
        if name == "PermissionException" or "read-only" in str(error):
            return QueryRefusedError
        return DatabaseError if name in ("IOException", "ConnectionException") else QueryError


def _operational_errors(driver: str) -> tuple[type[BaseException], ...]:
    module = sys.modules.get(driver)
    return (module.OperationalError, module.InterfaceError) if module is not None else ()


_KINDS: dict[str, Callable[[Any], SQLEngine]] = {
    "sqlite": SQLite,
    "postgresql": PostgreSQL,
    "mysql": MySQL,
    "mariadb": MySQL,
    "duckdb": DuckDB,
}
_EXTRAS = {
    "sqlite": "sql",
    "postgresql": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
    "duckdb": "duckdb",
}
