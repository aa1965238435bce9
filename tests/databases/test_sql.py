"""Reading SQL databases: what is opened, reflected, run, stopped and refused, on every engine."""

import asyncio
import datetime
import sqlite3
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, event, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import StaticPool

from agentkit import SQLDatabase
from agentkit.errors import (
    AgentkitError,
    ConfigurationError,
    DatabaseError,
    QueryError,
    QueryRefusedError,
    QueryTimeoutError,
)
from tests.support.databases import run, server_url


def quoted(kind, name):
    return f"`{name}`" if kind == "mariadb" else f'"{name}"'


def script(kind):
    order = quoted(kind, "order")
    return [
        "CREATE TABLE city (id INTEGER PRIMARY KEY, name VARCHAR(50) NOT NULL, people INTEGER)",
        "INSERT INTO city VALUES (1, 'Zürich', 400000), (2, 'Genève', 200000), (3, 'Bern', NULL)",
        f"CREATE TABLE {order} (id INTEGER PRIMARY KEY, city_id INTEGER, "
        f"{quoted(kind, 'größe m²')} DECIMAL(10, 2), {quoted(kind, 'select')} VARCHAR(20), "
        "FOREIGN KEY (city_id) REFERENCES city (id))",
        f"INSERT INTO {order} VALUES (1, 1, 12.50, 'x')",
        "CREATE VIEW large_city AS SELECT name FROM city WHERE people > 300000",
    ]


ENDLESS = {
    "sqlite": "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) "
    "SELECT COUNT(*) FROM r",
    "duckdb": "SELECT COUNT(*) FROM range(10000000) a, range(10000000) b "
    "WHERE a.range * b.range = 7",
    "postgresql": "SELECT COUNT(*) FROM generate_series(1, 10000000) a, "
    "generate_series(1, 10000000) b WHERE a * b = 7",
    "mariadb": "SELECT COUNT(*) FROM seq_1_to_10000000 a, seq_1_to_10000000 b "
    "WHERE a.seq * b.seq = 7",
}
FIFTY_MILLION = {
    "sqlite": "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r "
    "WHERE n < 50000000) SELECT n FROM r",
    "duckdb": "SELECT * FROM range(50000000)",
    "postgresql": "SELECT a.n + b.n FROM (SELECT generate_series(1, 5000) n) a, "
    "(SELECT generate_series(1, 10000) n) b",
    "mariadb": "SELECT seq FROM seq_1_to_50000000",
}


@pytest.fixture
def url(engine_kind, make_database):
    return make_database(engine_kind, script(engine_kind))


@pytest.fixture
def database(url):
    with SQLDatabase(url) as opened:
        yield opened


def busy(database):
    """How many connections of a database are in use."""
    return database._sql.engine.pool.checkedout()


# -- the schema ------------------------------------------------------------------------------------


def test_the_schema_holds_tables_views_keys_and_names_as_they_are(database, engine_kind):
    tables = database.schema().tables
    assert list(tables) == ["city", "large_city", "order"]
    assert tables["large_city"].is_view
    assert not tables["city"].is_view
    assert tables["city"].primary_key == ("id",)
    assert [column.name for column in tables["order"].columns] == [
        "id",
        "city_id",
        "größe m²",
        "select",
    ]
    (key,) = tables["order"].foreign_keys
    assert (key.columns, key.table, key.referred) == (("city_id",), "city", ("id",))
    name, people = tables["city"].columns[1:]
    assert name.is_text
    assert not name.nullable
    assert not people.is_text
    assert "VARCHAR" in name.type


def test_columns_have_sample_values(database):
    columns = {column.name: column for column in database.schema().tables["city"].columns}
    assert set(columns["name"].samples) == {"Zürich", "Genève", "Bern"}
    assert set(columns["people"].samples) == {"400000", "200000"}


def test_values_of_private_columns_are_never_read(url):
    with SQLDatabase(url, private=["CITY.name", "order.*"]) as database:
        tables = database.schema().tables
        assert [bool(column.samples) for column in tables["city"].columns] == [True, False, True]
        assert not any(column.samples for column in tables["order"].columns)
        assert database.values("city", "name") == []
        assert database.values("order", "select") == []


def test_a_private_column_without_its_table_is_refused_as_it_would_keep_nothing_private(url):
    with pytest.raises(ConfigurationError, match=r"table\.column; got 'name'.*'\*\.name'"):
        SQLDatabase(url, private=["order.*", "name"])
    with SQLDatabase(url, private=["*.name"]) as database:
        assert database.values("city", "name") == []


def test_what_is_no_list_of_names_is_refused(url):
    with pytest.raises(ConfigurationError, match="exclude is a list of texts; got None"):
        SQLDatabase(url, exclude=None)


def test_tables_are_included_and_excluded_by_pattern(url):
    with SQLDatabase(url, include=["*city"]) as database:
        assert list(database.schema().tables) == ["city", "large_city"]
    with SQLDatabase(url, exclude=["CITY", "order"]) as database:
        assert list(database.schema().tables) == ["large_city"]


def test_a_table_that_is_not_included_cannot_be_asked(url):
    with (
        SQLDatabase(url, exclude=["city"]) as database,
        pytest.raises((QueryError, QueryRefusedError), match="city"),
    ):
        database.check("SELECT name FROM city")


def test_the_schema_is_reflected_once_and_again_on_refresh(url, database):
    before = database.schema()
    run(url, ["CREATE TABLE later (id INTEGER)"]) if database.dialect != "duckdb" else None
    assert database.schema() is before
    if database.dialect != "duckdb":  # which lets no other connection write meanwhile
        assert "later" in database.schema(refresh=True).tables


def test_a_table_dropped_after_reflection_is_a_failed_query(url, database):
    if database.dialect == "duckdb":
        pytest.skip("DuckDB lets no other connection write while a file is open for reading")
    database.schema()
    run(url, ["DROP VIEW large_city"])
    with pytest.raises(QueryError, match="large_city"):
        database.run(database.check("SELECT name FROM large_city").sql)


@pytest.mark.parametrize("kind", ["postgresql", "duckdb"])
def test_several_schemas_are_read_by_full_name(kind, make_database):
    url = make_database(
        kind,
        [
            "CREATE TABLE city (id INTEGER PRIMARY KEY)",
            "CREATE SCHEMA sales",
            "CREATE TABLE sales.deal (id INTEGER, note VARCHAR(20))",
            "COMMENT ON TABLE sales.deal IS 'what was sold'",
            "COMMENT ON COLUMN sales.deal.note IS 'free text'",
        ],
    )
    default = {"postgresql": "public", "duckdb": "main"}[kind]
    with SQLDatabase(url, schemas=[default, "sales"]) as database:
        tables = database.schema().tables
        assert list(tables) == ["city", "sales.deal"]
        assert tables["sales.deal"].comment == "what was sold"
        assert tables["sales.deal"].columns[1].comment == "free text"
        assert database.run("SELECT COUNT(*) FROM sales.deal").rows == [(0,)]
    with SQLDatabase(url) as database:
        assert list(database.schema().tables) == ["city"]
    with (
        SQLDatabase(url, schemas=["nope"]) as database,
        pytest.raises(ConfigurationError, match="sales"),
    ):
        database.schema()


async def test_schemas_asked_for_at_once_are_reflected_once(database):
    first, second = await asyncio.gather(database.aschema(), database.aschema())
    assert first is second


# -- rows ------------------------------------------------------------------------------------------


def test_rows_come_as_plain_values(database):
    result = database.run("SELECT id, name, people FROM city ORDER BY id")
    assert result.columns == ["id", "name", "people"]
    assert result.rows == [(1, "Zürich", 400000), (2, "Genève", 200000), (3, "Bern", None)]
    assert not result.truncated


TYPED = {
    "sqlite": (
        "SELECT 9223372036854775807, x'00ff', NULL, 1.5",
        (2**63 - 1, b"\x00\xff", None, 1.5),
    ),
    "duckdb": (
        "SELECT 170141183460469231731687303715884105727::HUGEINT, 1.50::DECIMAL(4,2), "
        "DATE '2021-03-04', TIMESTAMP '2021-03-04 05:06:07', NULL, [1, 2], {'a': 1}, "
        "'\\x00'::BLOB, '00000000-0000-0000-0000-000000000007'::UUID, TRUE, INTERVAL 3 DAY",
        (
            2**127 - 1,
            Decimal("1.50"),
            datetime.date(2021, 3, 4),
            datetime.datetime(2021, 3, 4, 5, 6, 7),
            None,
            [1, 2],
            {"a": 1},
            b"\x00",
            uuid.UUID(int=7),
            True,
            datetime.timedelta(days=3),
        ),
    ),
    "postgresql": (
        "SELECT 9223372036854775807, 1.50::NUMERIC(4,2), DATE '2021-03-04', "
        "TIMESTAMP '2021-03-04 05:06:07', NULL, ARRAY[1, 2], '{\"a\": 1}'::JSONB, "
        "'\\x00'::BYTEA, '00000000-0000-0000-0000-000000000007'::UUID, TRUE, "
        "INTERVAL '3 days', TIME '05:06', '10.0.0.1'::INET",
        (
            2**63 - 1,
            Decimal("1.50"),
            datetime.date(2021, 3, 4),
            datetime.datetime(2021, 3, 4, 5, 6, 7),
            None,
            [1, 2],
            {"a": 1},
            b"\x00",
            uuid.UUID(int=7),
            True,
            datetime.timedelta(days=3),
            datetime.time(5, 6),
            "10.0.0.1",
        ),
    ),
    "mariadb": (
        "SELECT 18446744073709551615, CAST(1.50 AS DECIMAL(4,2)), DATE '2021-03-04', "
        "TIMESTAMP '2021-03-04 05:06:07', NULL, x'00ff'",
        (
            2**64 - 1,
            Decimal("1.50"),
            datetime.date(2021, 3, 4),
            datetime.datetime(2021, 3, 4, 5, 6, 7),
            None,
            b"\x00\xff",
        ),
    ),
}


def test_types_are_kept(database, engine_kind):
    query, row = TYPED[engine_kind]
    assert database.run(query).rows == [row]


def test_an_empty_result_has_its_columns(database):
    result = database.run("SELECT id, name FROM city WHERE id > 99")
    assert (result.columns, result.rows) == (["id", "name"], [])


def test_a_percent_sign_and_a_colon_are_no_parameters(database):
    query = "SELECT name FROM city WHERE name LIKE 'B%' AND name <> ':x %s'"
    assert database.run(query).rows == [("Bern",)]


def test_rows_are_capped(database):
    result = database.run("SELECT id FROM city ORDER BY id", max_rows=2)
    assert (result.rows, result.truncated) == ([(1,), (2,)], True)
    assert not database.run("SELECT id FROM city", max_rows=3).truncated


def test_fifty_million_rows_are_not_fetched(database, engine_kind):
    result = database.run(FIFTY_MILLION[engine_kind], timeout=20)
    assert len(result.rows) == 1_000
    assert result.truncated
    assert database.run("SELECT COUNT(*) FROM city").rows == [(3,)]


def test_large_values_are_capped_too(make_database, monkeypatch):
    monkeypatch.setattr("agentkit.databases.results._MOST_BYTES", 1_000)
    with SQLDatabase(make_database("sqlite", script("sqlite"))) as database:
        result = database.run("SELECT printf('%.400c', 'x') FROM city")
        assert (len(result.rows), result.truncated) == (2, True)


def test_a_row_that_is_too_large_is_said_to_be_and_is_not_taken_for_none(
    database, engine_kind, monkeypatch
):
    monkeypatch.setattr("agentkit.databases.results._MOST_BYTES", 1_000)
    long = "printf('%.1001c', 'x')" if engine_kind == "sqlite" else "REPEAT('x', 1001)"
    with pytest.raises(QueryError, match="the first one alone is too large"):
        database.run(f"SELECT {long} FROM city")
    assert database.run("SELECT COUNT(*) FROM city").rows == [(3,)]


def test_large_values_within_lists_are_capped_too(make_database, monkeypatch):
    monkeypatch.setattr("agentkit.databases.results._MOST_BYTES", 1_000)
    with SQLDatabase(make_database("postgresql", script("postgresql"))) as database:
        result = database.run("SELECT ARRAY[REPEAT('x', 400)] FROM city")
        assert (len(result.rows), result.truncated) == (2, True)


def test_distinct_values_of_a_column(database):
    assert sorted(database.values("city", "name")) == ["Bern", "Genève", "Zürich"]
    assert len(database.values("city", "name", limit=2)) == 2
    with pytest.raises(QueryError, match="nope"):
        database.values("nope", "name")
    with pytest.raises(QueryError, match="nope"):
        database.values("city", "nope")


# -- what fails ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query", ["SELECT nope FROM city", "SELECT * FROM nope", "SELECT (1", "nope"]
)
def test_a_query_the_database_cannot_make_out_is_told_in_its_words(query, database):
    with pytest.raises((QueryError, QueryRefusedError)) as failed:
        database.run(query)
    assert "sqlalche" not in str(failed.value)
    assert busy(database) == 0


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO city VALUES (9, 'Basel', 1)",
        "UPDATE city SET people = 0",
        "DELETE FROM city",
        "DROP VIEW large_city",
        "CREATE TABLE stolen AS SELECT * FROM city",
        "CREATE TEMPORARY TABLE stolen (id INTEGER)",
        "ALTER TABLE city ADD COLUMN x INTEGER",
        "SELECT 1; DELETE FROM city",
        "COMMIT; DELETE FROM city",
    ],
)
def test_the_engine_itself_refuses_to_write(statement, url):
    with SQLDatabase(url) as database:
        with pytest.raises((QueryRefusedError, QueryError)):
            database.run(statement)
        with suppress(QueryRefusedError, QueryError):  # PostgreSQL plans some, and does nothing
            database.explain(statement)
        assert database.run("SELECT COUNT(*), SUM(people) FROM city").rows == [(3, 600000)]
        assert list(database.schema().tables) == ["city", "large_city", "order"]


def test_a_query_that_takes_too_long_is_stopped(database, engine_kind):
    with pytest.raises(QueryTimeoutError, match=r"0\.3 seconds"):
        database.run(ENDLESS[engine_kind], timeout=0.3)
    assert busy(database) == 0
    assert database.run("SELECT COUNT(*) FROM city").rows == [(3,)]


async def test_a_cancelled_query_stops_and_leaves_nothing_open(database, engine_kind):
    await database.aschema()
    running = asyncio.create_task(database.arun(ENDLESS[engine_kind]))
    async with asyncio.timeout(20):
        while not busy(database):  # noqa: ASYNC110 - nothing tells when a connection is taken
            await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 10)
    assert busy(database) == 0
    assert (await database.arun("SELECT COUNT(*) FROM city")).rows == [(3,)]


async def test_queries_stop_at_once_though_they_hold_every_thread(make_database):
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    with SQLDatabase(make_database("sqlite", script("sqlite"))) as database:
        await database.aschema()
        running = asyncio.create_task(database.arun(ENDLESS["sqlite"]))
        async with asyncio.timeout(20):
            while not busy(database):  # noqa: ASYNC110 - nothing tells when a connection is taken
                await asyncio.sleep(0.01)
        waiting = asyncio.create_task(database.arun("SELECT COUNT(*) FROM city"))
        await asyncio.sleep(0)
        for cancelled in (waiting, running):
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(cancelled, 8)
        assert (await database.arun("SELECT COUNT(*) FROM city")).rows == [(3,)]


async def test_what_has_ended_is_not_stopped_on_a_connection_that_another_query_may_have(
    make_database, monkeypatch
):
    with SQLDatabase(make_database("sqlite", script("sqlite"))) as database:
        ended, go, stopped = threading.Event(), threading.Event(), []
        given_back = lambda *_: ended.set() or go.wait(60)  # noqa: E731
        event.listen(database._sql.engine, "checkin", given_back)
        monkeypatch.setattr(database._sql, "interrupt", stopped.append)
        running = asyncio.create_task(database.arun("SELECT COUNT(*) FROM city"))
        await asyncio.to_thread(ended.wait, 60)
        running.cancel()
        for _ in range(10):
            await asyncio.sleep(0)
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert stopped == []


async def test_many_questions_at_once(database):
    results = await asyncio.gather(
        *(database.arun(f"SELECT name FROM city WHERE id = {n % 3 + 1}") for n in range(30))
    )
    assert [len(result.rows) for result in results] == [1] * 30


@pytest.mark.parametrize(
    "query",
    [
        "SELECT set_config('role', 'none', true), query_to_xml('{asked}', true, true, '')",
        "SELECT query_to_xml('SELECT set_con' || 'fig(''role'', ''none'', true)', true, true, ''), "
        "query_to_xml('{asked}', true, true, '')",
        "SELECT U&\"set\\005fconfig\"('role', 'none', true), "
        "U&\"query\\005fto_xml\"('{asked}', true, true, '')",
        "SELECT * FROM ts_stat('SELECT to_tsvector(set_con' || 'fig(''role'', ''none'', true))') a,"
        " ts_stat('SELECT to_tsvector(''simple'', x::text) FROM ({asked}) x') b",
    ],
)
def test_a_superuser_stays_the_reader_that_the_query_runs_as(query, make_database):
    url = make_database("postgresql", script("postgresql"))
    with SQLDatabase(url) as database, pytest.raises(QueryRefusedError):
        database.run(query.format(asked="SELECT pg_ls_dir(''.'')"))


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_the_server_keeps_nothing_of_a_query(kind, make_database):
    url = make_database(kind, script(kind))
    with SQLDatabase(url) as database:
        with pytest.raises(QueryTimeoutError):
            database.run(ENDLESS[kind], timeout=0.2)
        database.run(FIFTY_MILLION[kind])
        engine = create_engine(url)
        with engine.connect() as other:
            asked = {
                "postgresql": "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = "
                "current_database() AND pid <> pg_backend_pid() AND state <> 'idle'",
                "mariadb": "SELECT COUNT(*) FROM information_schema.processlist WHERE db = "
                "DATABASE() AND id <> CONNECTION_ID() AND command <> 'Sleep'",
            }[kind]
            for _ in range(100):
                if (open_ := other.execute(text(asked)).scalar()) == 0:
                    break
                other.rollback()
                threading.Event().wait(0.05)
            assert open_ == 0
        engine.dispose()


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_lost_connection_is_told_and_made_again(kind, make_database):
    url = make_database(kind, script(kind))
    with SQLDatabase(url) as database:
        database.run("SELECT 1")
        kill = {
            "postgresql": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
            "mariadb": "SELECT id FROM information_schema.processlist WHERE db = DATABASE() "
            "AND id <> CONNECTION_ID()",
        }[kind]
        engine = create_engine(url)
        with engine.connect() as other:
            for (found,) in other.execute(text(kill)).all():
                if kind == "mariadb":
                    other.exec_driver_sql(f"KILL {found}")
        engine.dispose()
        assert database.run("SELECT COUNT(*) FROM city").rows == [(3,)]


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_server_that_goes_away_under_a_query_is_an_error_and_comes_back(kind, make_database):
    url = make_database(kind, script(kind))
    with SQLDatabase(url) as database:
        database.schema()
        failed = []

        def ask():
            try:
                database.run(ENDLESS[kind], timeout=20)
            except AgentkitError as error:
                failed.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        engine = create_engine(url)
        find = {
            "postgresql": "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND "
            "datname = current_database() AND pid <> pg_backend_pid()",
            "mariadb": "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND "
            "id <> CONNECTION_ID() AND command = 'Query' AND info LIKE '%seq_1_to%'",
        }[kind]
        with engine.connect() as other:
            for _ in range(500):
                if found := other.execute(text(find)).scalar():
                    break
                other.rollback()
                threading.Event().wait(0.02)
            end = (
                f"SELECT pg_terminate_backend({found})" if kind == "postgresql" else f"KILL {found}"
            )
            other.exec_driver_sql(end)
        engine.dispose()
        asking.join(20)
        assert [type(error) for error in failed] == [DatabaseError]
        assert database.run("SELECT COUNT(*) FROM city").rows == [(3,)]


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_wrong_password_is_told_and_not_shown(kind):
    url = server_url(kind).set(password="wr0ng-secret")
    database = SQLDatabase(url)
    with pytest.raises(DatabaseError) as failed:
        database.run("SELECT 1")
    assert "wr0ng-secret" not in f"{failed.value} {failed.value.__cause__!r} {database!r}"


@pytest.mark.parametrize(
    "url", ["postgresql://u:s3cret@127.0.0.1:1/x", "mysql://u:s3cret@127.0.0.1:1/x"]
)
def test_a_server_that_is_down_is_told(url):
    with pytest.raises(DatabaseError, match=r"127\.0\.0\.1:1") as failed:
        SQLDatabase(url).schema()
    assert "s3cret" not in str(failed.value)


def test_a_missing_file_is_told_and_not_made(tmp_path):
    for url in (tmp_path / "no.db", f"sqlite:///{tmp_path}/no.db", f"duckdb:///{tmp_path}/no.db"):
        with pytest.raises(DatabaseError, match=r"no\.db"):
            SQLDatabase(str(url))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_told(tmp_path):
    for kind in ("sqlite", "duckdb"):
        file = tmp_path / f"junk.{kind}"
        file.write_bytes(b"junk" * 1000)
        with pytest.raises(DatabaseError, match="junk"):
            SQLDatabase(f"{kind}:///{file}").schema()


@pytest.mark.parametrize(
    "database", ["", " ", None, 7, b"x", "nope://x", "oracle://u:s3cret@h/x", "://", "sqlite://"]
)
def test_what_is_no_database_is_told(database):
    with pytest.raises((ConfigurationError, DatabaseError)) as failed:
        SQLDatabase(database)
    assert "s3cret" not in str(failed.value)


@pytest.mark.parametrize(
    "options",
    [{"include": "city"}, {"exclude": [1]}, {"samples": -1}, {"max_rows": 0}, {"timeout": 0}],
)
def test_options_that_cannot_work_are_told(options, make_database):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        SQLDatabase(make_database("sqlite"), **options)


def test_a_locked_file_is_told(make_database):
    url = make_database("sqlite", script("sqlite"))
    writer = sqlite3.connect(url.database, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    database = SQLDatabase(url, timeout=0.3)
    with pytest.raises(DatabaseError, match="locked"):
        database.run("SELECT * FROM city")
    writer.execute("COMMIT")
    writer.close()
    assert len(database.run("SELECT * FROM city").rows) == 3
    database.close()


# -- what may be given -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_is_enough_for_sqlite(make_database, kind):
    path = make_database("sqlite", script("sqlite")).database
    with SQLDatabase(kind(path)) as database:
        assert database.run("SELECT COUNT(*) FROM city").rows == [(3,)]


def test_an_engine_is_used_and_left_as_it_was(url, engine_kind):
    engine = create_engine(url)
    database = SQLDatabase(engine)
    assert len(database.run("SELECT * FROM city").rows) == 3
    with pytest.raises((QueryRefusedError, QueryError)):
        database.run("DELETE FROM city")
    database.close()
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO city VALUES (4, 'Basel', 1)")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT COUNT(*) FROM city").scalar() == 4
    engine.dispose()


def test_a_database_in_memory_is_read_by_its_own_connection():
    engine = create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a INTEGER)")
    database = SQLDatabase(engine)
    assert database.run("SELECT COUNT(*) FROM t").rows == [(0,)]
    with pytest.raises(QueryRefusedError):
        database.run("INSERT INTO t VALUES (1)")
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO t VALUES (1)")
    assert database.run("SELECT COUNT(*) FROM t").rows == [(1,)]
    engine.dispose()


def test_a_database_in_memory_of_each_thread_is_refused():
    with pytest.raises(ConfigurationError, match="StaticPool"):
        SQLDatabase(create_engine("sqlite://"))


@pytest.mark.parametrize(("kind", "driver"), [("sqlite", "aiosqlite"), ("postgresql", "psycopg")])
async def test_an_async_engine_is_read_too(kind, driver, make_database):
    url = make_database(kind, script(kind))
    engine = create_async_engine(url.set(drivername=f"{kind}+{driver}"))
    async with SQLDatabase(engine) as database:
        assert (await database.arun("SELECT COUNT(*) FROM city")).rows == [(3,)]
    await engine.dispose()


async def test_sync_calls_work_inside_a_running_loop(database):
    assert database.run("SELECT COUNT(*) FROM city").rows == [(3,)]
    assert (await database.arun("SELECT COUNT(*) FROM city")).rows == [(3,)]


def test_the_password_is_not_in_the_representation():
    url = URL.create("postgresql", username="u", password="s3cret", host="h", database="d")
    assert "s3cret" not in repr(SQLDatabase(url))
    assert SQLDatabase.of(database := SQLDatabase(url)) is database
