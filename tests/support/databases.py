"""Fresh databases for tests, on every engine: SQLite, DuckDB, PostgreSQL, MariaDB."""

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import URL, NullPool, create_engine, make_url

ENGINES = ("sqlite", "duckdb", "postgresql", "mariadb")
SERVERS = {
    "postgresql": ("AGENTKIT_TEST_POSTGRESQL", "scripts/postgresql.sh start"),
    "mariadb": ("AGENTKIT_TEST_MARIADB", "scripts/mariadb.sh start"),
}


def server_url(kind: str) -> URL:
    """The address of a server; a test without it is skipped, or fails where it must run."""
    variable, command = SERVERS[kind]
    if url := os.environ.get(variable):
        return make_url(url)
    told = f"needs {kind}: `{command}` starts one and prints {variable}"
    if os.environ.get("AGENTKIT_REQUIRE_SERVICES"):
        pytest.fail(told)
    pytest.skip(told)


@contextmanager
def fresh_database(kind: str, folder: Path, script: Sequence[str] = ()) -> Iterator[URL]:
    """An empty database of its own, in which the statements have been run."""
    if kind in SERVERS:
        server, name = server_url(kind), f"agentkit_{uuid.uuid4().hex[:12]}"
        run(server, [f"CREATE DATABASE {name}"], autocommit=True)
        url = server.set(database=name)
        try:
            run(url, script)
            yield url
        finally:
            force = " WITH (FORCE)" if kind == "postgresql" else ""
            run(server, [f"DROP DATABASE {name}{force}"], autocommit=True)
        return
    url = URL.create(kind, database=str(folder / f"{uuid.uuid4().hex[:12]}.{kind}"))
    run(url, script or ["CREATE TABLE unused (id INTEGER)"])
    yield url


def run(url: URL, script: Sequence[str], *, autocommit: bool = False) -> None:
    """Run statements as a user who may do anything."""
    options = {"isolation_level": "AUTOCOMMIT"} if autocommit else {}
    engine = create_engine(url, poolclass=NullPool, **options)
    with engine.begin() as connection:
        for statement in script:
            connection.exec_driver_sql(statement)
    engine.dispose()
