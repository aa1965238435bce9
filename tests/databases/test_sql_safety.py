"""Two doors, each alone and both together: no statement writes, waits, or reads what it may not."""

import os
import re
import sqlite3
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from hostile_sql import HOSTILE, filled

from agentkit.databases.schema import Column, Schema, Table
from agentkit.databases.sql import SQLDatabase
from agentkit.databases.sql_guard import check_query
from agentkit.errors import AgentkitError, QueryError, QueryRefusedError, QueryTimeoutError
from tests.support.databases import ENGINES, fresh_database, run, server_url

DIALECTS = {"sqlite": "sqlite", "duckdb": "duckdb", "postgresql": "postgres", "mariadb": "mysql"}
TOKEN = "the-token-of-nobody"
FILE_SECRET = "the-contents-of-a-file"
TABLES = ("artist", "album", "secret")
SCRIPT = [
    "CREATE TABLE artist (id INTEGER PRIMARY KEY, name VARCHAR(80), country VARCHAR(40))",
    "CREATE TABLE album (id INTEGER PRIMARY KEY, title VARCHAR(80), artist_id INTEGER)",
    "CREATE TABLE secret (id INTEGER PRIMARY KEY, token VARCHAR(80))",
    "INSERT INTO artist VALUES (1, 'Ada', 'Germany'), (2, 'Bo', 'Chile')",
    "INSERT INTO album VALUES (1, 'One', 1), (2, 'Two', 2)",
    f"INSERT INTO secret VALUES (1, '{TOKEN}')",
]
EXTRAS = {
    "sqlite": [],
    "duckdb": ["CREATE SEQUENCE counter"],
    "postgresql": [
        "CREATE SEQUENCE counter",
        "CREATE FUNCTION write_artist() RETURNS int LANGUAGE sql VOLATILE "
        "AS 'DELETE FROM artist RETURNING 1'",
        "CREATE PROCEDURE my_procedure() LANGUAGE sql AS 'DELETE FROM artist'",
        "CREATE FUNCTION write_row(artist) RETURNS int LANGUAGE sql VOLATILE "
        "AS 'DELETE FROM artist RETURNING 1'",
        "CREATE SCHEMA evil",
        "CREATE FUNCTION evil.lower(varchar) RETURNS int LANGUAGE sql VOLATILE "
        "AS 'DELETE FROM artist RETURNING 1'",
    ],
    "mariadb": [
        "CREATE SEQUENCE counter",
        "CREATE FUNCTION write_artist() RETURNS INT MODIFIES SQL DATA "
        "BEGIN DELETE FROM artist; RETURN 1; END",
        "CREATE PROCEDURE my_procedure() BEGIN DELETE FROM artist; END",
    ],
}
# what only the server's state shows: the catalogues' entries and the sequences' places
STATE = {
    "sqlite": ["SELECT type, name, sql FROM sqlite_master", "PRAGMA user_version"],
    "duckdb": [
        "SELECT table_name FROM duckdb_tables()",
        "SELECT sequence_name, last_value FROM duckdb_sequences()",
        "SELECT database_name FROM duckdb_databases()",
    ],
    "postgresql": [
        "SELECT relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace",
        "SELECT last_value, is_called FROM counter",
        "SELECT rolname FROM pg_roles",
        "SELECT count(*) FROM pg_largeobject_metadata",
        "SELECT extname FROM pg_extension",
        "SELECT name, setting FROM pg_file_settings WHERE name = 'archive_command'",
    ],
    "mariadb": [
        "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()",
        "SELECT next_not_cached_value FROM counter",
        "SELECT user FROM mysql.user WHERE user NOT LIKE 'reader_%%'",  # other tests' readers
        "SELECT @@global.general_log",
        "SELECT name FROM mysql.plugin",
    ],
}
BUDGET = 0.4  # seconds that a statement may take; what waits for longer is stopped


class Place:
    """A database with a secret in it, and a folder with a secret in a file."""

    def __init__(self, kind, url, folder):
        self.kind, self.url, self.folder = kind, url, folder
        self.file, self.new = folder / "secret.csv", folder / "new"
        self.file.write_text(f"column\n{FILE_SECRET}\n")
        self.file.chmod(0o644)
        self.database = SQLDatabase(url, exclude=["secret"], max_rows=50, timeout=BUDGET)

    async def reads(self):
        """Whether the door lets a read through: what it stops would else say nothing."""
        return len((await self.database.arun("SELECT name FROM artist")).rows) == 2

    def statements(self):
        return [
            filled(hostile.sql, file=self.file, new=self.new)
            for hostile in HOSTILE
            if hostile.dialect == DIALECTS[self.kind]
        ]

    def snapshot(self):
        from sqlalchemy import NullPool, create_engine

        self.database.close()  # DuckDB opens a file once in each mode
        engine = create_engine(self.url, poolclass=NullPool)
        with engine.connect() as connection:
            queries = [f"SELECT * FROM {table} ORDER BY 1" for table in TABLES]
            rows = [
                sorted(map(repr, connection.exec_driver_sql(query).fetchall()))
                for query in queries + STATE[self.kind]
            ]
        engine.dispose()
        return rows, files_of(self.folder)


def files_of(folder):
    return {
        path.relative_to(folder): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if not path.name.endswith((".wal", "-journal", "-wal", "-shm")) and path.suffix != ".duckdb"
    }


@pytest.fixture(scope="module", params=ENGINES)
def place(request, tmp_path_factory):
    kind = request.param
    folder = tmp_path_factory.mktemp("hostile")
    for made in (folder, folder.parent, folder.parent.parent):
        made.chmod(0o777)  # a server's user could read and write here
    with fresh_database(kind, folder, [*SCRIPT, *EXTRAS[kind]]) as url:
        made = Place(kind, url, folder)
        yield made
        made.database.close()


@pytest.fixture
def reader(place):
    """The address as a user without rights over the server's files.

    MariaDB's read-only transaction keeps nobody who has the FILE privilege from LOAD_FILE: the
    recommended account has none. The others are asked as users who may do anything.
    """
    if place.kind != "mariadb":
        yield place.url
        return
    name = f"reader_{place.url.database[-12:]}"
    server = server_url("mariadb")
    run(
        server,
        [
            f"CREATE USER {name}@'%%' IDENTIFIED BY 'reader'",
            f"GRANT SELECT ON {place.url.database}.* TO {name}@'%%'",
        ],
    )
    yield place.url.set(username=name, password="reader")
    run(server, [f"DROP USER {name}@'%%'"])


async def outcome(operation):
    try:
        return await operation
    except AgentkitError as error:
        return error


@pytest.fixture
def schema_of():
    def make(dialect):
        columns = {
            "artist": ["id", "name", "country"],
            "album": ["id", "title", "artist_id"],
        }
        return Schema(
            dialect,
            {
                name: Table(name, tuple(Column(column, "TEXT") for column in held))
                for name, held in columns.items()
            },
        )

    return make


def test_the_corpus_is_large_and_has_every_dialect():
    assert len({hostile.sql for hostile in HOSTILE}) >= 150
    for dialect in DIALECTS.values():
        assert sum(hostile.dialect == dialect for hostile in HOSTILE) >= 60


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda h: f"{h.dialect}:{ascii(h.sql)[1:60]}")
def test_the_check_alone_refuses_and_names_what(hostile, schema_of, tmp_path):
    sql = filled(hostile.sql, file=tmp_path / "secret.csv", new=tmp_path / "new")

    with pytest.raises((QueryRefusedError, QueryError)) as refused:
        check_query(sql, schema_of(hostile.dialect), dialect=hostile.dialect)

    assert hostile.names.lower() in str(refused.value).lower()
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda h: f"{h.dialect}:{ascii(h.sql)[1:60]}")
def test_without_a_schema_only_tables_and_columns_pass(hostile, tmp_path):
    sql = filled(hostile.sql, file=tmp_path / "secret.csv", new=tmp_path / "new")
    try:
        checked = check_query(sql, None, dialect=hostile.dialect)
    except (QueryRefusedError, QueryError):
        return

    reads_secret = "secret" in unqualified(checked.tables)
    assert reads_secret or hostile.names == "write_row"


async def test_the_engine_alone_lets_nothing_be_written(place):
    assert await place.reads()
    before = place.snapshot()
    changed = []
    for sql in place.statements():
        await outcome(place.database.arun(sql))
        after = place.snapshot()
        if after != before:
            changed.append(sql)
            before = after

    assert changed == []


async def test_the_engine_alone_reads_no_file(place, reader):
    place.database.close()
    place = Place(place.kind, reader, place.folder)
    assert await place.reads()
    read = []
    for sql in place.statements():
        result = await outcome(place.database.arun(sql))
        shown = str(result) if isinstance(result, AgentkitError) else repr(result.rows)
        if FILE_SECRET in shown or FILE_SECRET.encode().hex() in shown:
            read.append(sql)
    place.database.close()

    assert read == []


async def test_both_doors_together_let_nothing_through(place):
    before = place.snapshot()
    passed = []
    for sql in place.statements():
        try:
            checked = await place.database.acheck(sql)
        except (QueryRefusedError, QueryError):
            continue
        passed.append((sql, await outcome(place.database.arun(checked.sql))))

    assert passed == []
    assert place.snapshot() == before


async def test_a_plain_read_passes_both_doors(place):
    checked = await place.database.acheck(
        "SELECT a.name, count(*) AS albums FROM artist a JOIN album b ON b.artist_id = a.id "
        "WHERE a.country = 'Germany' GROUP BY a.name; -- the end"
    )
    result = await place.database.arun(checked.sql)

    assert list(result.rows) == [("Ada", 1)]
    assert checked.tables == ("artist", "album")


async def test_endless_statements_are_legal_and_stopped_by_time(place):
    recursion = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i > 0) "
    crossed = ", ".join(f"album t{i}" for i in range(30))
    place.database.close()
    patient = SQLDatabase(place.url, timeout=30)  # planning thirty tables takes a while
    for sql in (
        f"{recursion} SELECT count(*) FROM n",
        f"SELECT count(*) FROM {crossed} WHERE t0.id + t1.id + t29.id > 0",
    ):
        checked = await patient.acheck(sql)
        result = await outcome(patient.arun(checked.sql, timeout=0.3))
        if place.kind == "mariadb" and sql.startswith("WITH"):
            continue  # it ends by itself, at max_recursive_iterations or the column's range
        assert isinstance(result, QueryTimeoutError), sql
    patient.close()


# no statement that the check accepts changes a SQLite database

PIECES = """
    SELECT FROM WHERE artist album secret name id title country * , ( ) = 1 'x' "name" [id] `id`
    ; -- /* */ # UNION ALL WITH x AS RECURSIVE INSERT INTO VALUES UPDATE SET DELETE DROP TABLE
    REPLACE CREATE VIEW TRIGGER PRAGMA ATTACH DETACH VACUUM REINDEX ANALYZE RETURNING BEGIN COMMIT
    EXPLAIN QUERY PLAN user_version writable_schema load_extension( zeroblob( sqlite_master main.
    temp. ORDER BY LIMIT JOIN ON EXISTS CASE WHEN THEN END ' " \\ $$ \x00 \u00a0 ſ ? @x :y {# #}
    GROUP HAVING NOT NULL count(*) printf( REPLACE( json_each( writer( . || E' x'00'
"""
WORDS = st.sampled_from(PIECES.split())
READS = [
    "SELECT name FROM artist WHERE country = 'Germany' ORDER BY name LIMIT 3",
    "WITH a AS (SELECT id FROM artist) SELECT * FROM a JOIN album ON artist_id = a.id",
    "SELECT (SELECT max(title) FROM album WHERE artist_id = artist.id) FROM artist",
    "SELECT id AS secret, name IN (SELECT title FROM album) FROM artist",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5) SELECT i FROM n",
    "VALUES (1, 'x'), (2, 'y')",
    "SELECT replace(name, 'a', 'b') AS \"insert\" FROM artist -- DELETE FROM artist",
]


@st.composite
def mutated(draw, dialect):
    hostile = st.sampled_from([each.sql for each in HOSTILE if each.dialect == dialect])
    seeds = st.one_of(st.sampled_from(READS), hostile)
    pieces = re.findall(r"\w+|\s+|.", draw(seeds), re.DOTALL)
    other = re.findall(r"\w+|\s+|.", draw(seeds), re.DOTALL)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(pieces)))
        end = draw(st.integers(start, min(len(pieces), start + 6)))
        from_ = draw(st.integers(0, len(other)))
        piece = draw(
            st.one_of(
                st.lists(WORDS, max_size=3).map(" ".join),
                st.just("".join(other[from_ : from_ + draw(st.integers(0, 12))])),
            )
        )
        pieces[start:end] = [piece]
    return "".join(pieces)


STATEMENTS = st.one_of(st.lists(WORDS, max_size=12).map(" ".join), mutated("sqlite"))


@pytest.fixture(scope="module")
def writable(tmp_path_factory):
    """A connection that may do anything, in a folder of its own."""
    folder = tmp_path_factory.mktemp("writable")
    connection = sqlite3.connect(folder / "music.sqlite", isolation_level=None)
    for statement in SCRIPT:
        connection.execute(statement)
    connection.create_function("writer", -1, lambda *_: (folder / "written").touch())
    connection.execute("PRAGMA journal_mode = MEMORY")
    old = Path.cwd()
    os.chdir(folder)
    yield connection, folder
    os.chdir(old)
    connection.close()


@settings(max_examples=1_500, deadline=None)
@given(sql=STATEMENTS, with_schema=st.booleans())
def test_no_accepted_statement_changes_the_database(writable, sql, with_schema):
    connection, folder = writable
    columns = tuple(
        Column(name, "TEXT") for name in ("id", "name", "country", "title", "artist_id")
    )
    schema = Schema("sqlite", {name: Table(name, columns) for name in ("artist", "album")})
    try:
        checked = check_query(sql, schema if with_schema else None, dialect="sqlite")
    except (QueryRefusedError, QueryError):
        return

    before = state_of(connection, folder)
    steps = iter(range(1_000))
    did = set()

    def watch(action, *_):
        did.add(action)
        return sqlite3.SQLITE_OK

    connection.set_progress_handler(lambda: next(steps, None) is None, 1_000)
    connection.set_authorizer(watch)
    opened = set()
    try:
        opened = opened_by(connection, checked.sql)
        connection.execute(checked.sql).fetchmany(50)
    except (sqlite3.Error, sqlite3.Warning):
        pass  # accepted, and then SQLite's own error: nothing was run
    finally:
        connection.set_progress_handler(None, 0)
        connection.set_authorizer(None)

    assert did <= READING, checked.sql
    assert opened <= unqualified(checked.tables), checked.sql
    assert state_of(connection, folder) == before, checked.sql


READING = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}


def opened_by(connection, sql):
    """The tables that SQLite's program for a statement opens, by the pages they begin at."""
    program = connection.execute(f"EXPLAIN {sql}").fetchall()
    pages = {step[3] for step in program if step[1] in ("OpenRead", "OpenWrite")}
    names = dict(connection.execute("SELECT rootpage, tbl_name FROM sqlite_master").fetchall())
    return {names.get(page, "sqlite_master") for page in pages}


@pytest.fixture(scope="module")
def planner():
    import duckdb

    connection = duckdb.connect(":memory:", config={"enable_external_access": "false"})
    for statement in SCRIPT:
        connection.execute(statement)
    yield connection
    connection.close()


@settings(max_examples=600, deadline=None)
@given(sql=mutated("duckdb"))
def test_duckdb_finds_every_accepted_statement_to_be_a_read_of_the_same_tables(planner, sql):
    import duckdb

    try:
        checked = check_query(sql, None, dialect="duckdb")
        statements = planner.extract_statements(checked.sql)
    except (QueryRefusedError, QueryError, duckdb.Error):
        return

    assert [statement.type for statement in statements] == [duckdb.StatementType.SELECT]
    try:
        tables = planner.get_table_names(checked.sql)
    except duckdb.Error:
        return
    assert {name.lower() for name in tables} <= unqualified(checked.tables)


def unqualified(tables):
    return {table.rpartition(".")[2].lower() for table in tables}


def state_of(connection, folder):
    return (
        connection.total_changes,
        connection.in_transaction,
        connection.execute("PRAGMA user_version").fetchone(),
        connection.execute("PRAGMA schema_version").fetchone(),
        connection.execute("PRAGMA writable_schema").fetchone(),
        connection.execute("PRAGMA journal_mode").fetchone(),
        connection.execute("PRAGMA database_list").fetchall(),
        connection.execute("SELECT * FROM secret").fetchall(),
        sorted(path.name for path in folder.iterdir()),
    )
