"""Ladybug as it is read: its schema, its values, its rows, and everything that may go wrong."""

import asyncio
import datetime
import subprocess
import sys

import ladybug
import pytest

from agentkit import LadybugDatabase
from agentkit.errors import (
    ConfigurationError,
    DatabaseError,
    QueryError,
    QueryRefusedError,
    QueryTimeoutError,
)
from tests.support.graphs import ladybug_path

SCRIPT = [
    "CREATE NODE TABLE Person(name STRING PRIMARY KEY, born DATE, tags STRING[], secret STRING)",
    "CREATE NODE TABLE `Old Film 🎬`(`the title` STRING PRIMARY KEY, score DOUBLE)",
    "CREATE REL TABLE ACTED_IN(FROM Person TO `Old Film 🎬`, role STRING)",
    "CREATE REL TABLE LIKES(FROM Person TO Person, FROM Person TO `Old Film 🎬`, since INT64)",
    "CREATE (:Person {name: 'Ada', born: date('1970-05-01'), tags: ['x', 'y'], secret: 's3cret'})",
    "CREATE (:Person {name: 'Bo', born: date('1980-01-01')})",
    "CREATE (:`Old Film 🎬` {`the title`: 'Night Train', score: 7.5})",
    "MATCH (a:Person {name: 'Ada'}), (f:`Old Film 🎬`) CREATE (a)-[:ACTED_IN {role: 'Eve'}]->(f)",
    "MATCH (a:Person {name: 'Ada'}), (b:Person {name: 'Bo'}) "
    "CREATE (a)-[:LIKES {since: 2001}]->(b)",
]
ENDLESS = "UNWIND range(1, 100000000) AS x UNWIND range(1, 1000) AS y RETURN sum(x + y)"


@pytest.fixture
def path(tmp_path):
    return ladybug_path(tmp_path, SCRIPT)


@pytest.fixture
def database(path):
    with LadybugDatabase(path, private=["Person.secret"]) as opened:
        yield opened


def test_the_schema_has_labels_types_connections_properties_and_counts(database):
    schema = database.schema()
    assert schema.complete
    assert {label: node.count for label, node in schema.nodes.items()} == {
        "Person": 2,
        "Old Film 🎬": 1,
    }
    assert schema.connections == {
        ("Person", "ACTED_IN", "Old Film 🎬"),
        ("Person", "LIKES", "Old Film 🎬"),
        ("Person", "LIKES", "Person"),
    }
    told = schema.render()
    assert "(:Person)-[:ACTED_IN]->(:`Old Film 🎬`) // 1 of them" in told
    assert "  tags: STRING[] // such as 'x', 'y'" in told
    assert "s3cret" not in told


def test_rows_are_plain_data_with_labels_and_ids(database):
    query = "MATCH p = (a:Person {name: 'Ada'})-[r:LIKES]->(b:Person) RETURN a.born, r, p"
    born, relationship, path = database.run(query).rows[0]
    assert born == datetime.date(1970, 5, 1)
    assert (relationship["type"], relationship["properties"]) == ("LIKES", {"since": 2001})
    assert [node["labels"] for node in path["nodes"]] == [["Person"], ["Person"]]
    assert relationship["start"] == path["nodes"][0]["id"]
    assert path["nodes"][1]["properties"] == {"name": "Bo", "born": datetime.date(1980, 1, 1)}


def test_rows_are_capped_and_said_to_be(database):
    result = database.run("UNWIND range(1, 1000) AS x RETURN x", max_rows=3)
    assert (result.rows, result.truncated) == ([(1,), (2,), (3,)], True)


def test_a_query_that_takes_too_long_is_stopped(database):
    with pytest.raises(QueryTimeoutError, match=r"may take 0\.5 seconds"):
        database.run(ENDLESS, timeout=0.5)
    assert database.run("RETURN 1 AS x").rows == [(1,)]


def test_a_product_of_everything_with_everything_is_stopped(tmp_path):
    rows = "UNWIND range(1, 300) AS n CREATE (:Person {name: string(n)})"
    path = ladybug_path(tmp_path, ["CREATE NODE TABLE Person(name STRING PRIMARY KEY)", rows])
    with LadybugDatabase(path) as database, pytest.raises(QueryError, match=r"memory|may take"):
        database.run(
            "MATCH (a), (b), (c), (d), (e), (f), (g), (h) RETURN a.name, h.name", timeout=5
        )


async def test_a_query_that_is_cancelled_ends(database):
    waiting = asyncio.ensure_future(database.arun(ENDLESS))
    await asyncio.sleep(0.2)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (await database.arun("RETURN 1 AS x")).rows == [(1,)]


async def test_many_queries_run_at_once(database):
    results = await asyncio.gather(*(database.arun(f"RETURN {n} AS n") for n in range(30)))
    assert [result.rows for result in results] == [[(n,)] for n in range(30)]


async def test_values_and_whether_they_are_there(database):
    assert sorted(await database.avalues("Person", "name")) == ["Ada", "Bo"]
    assert sorted(await database.avalues("Person", "tags")) == ["x", "y"]
    assert await database.avalues("[:ACTED_IN]", "role") == ["Eve"]
    assert await database.avalues("Person", "secret") == []
    with pytest.raises(QueryError, match="no property 'nothing'"):
        await database.avalues("Person", "nothing")
    assert await database.aholds("`Old Film 🎬`", "the title", "Night Train") is True
    assert await database.aholds("Person", "name", "ada") is False
    assert await database.aholds("Person", "name", "ada", ignore_case=True) is True
    assert await database.aholds("Person", "tags", "y") is True
    assert await database.aholds("Person", "secret", "s3cret") is None


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("MATCH (p:Persn) RETURN p", "Did you mean Person"),
        ("MATCH (p:Person) RETURN p.nam", "Did you mean name"),
        ("MATCH (p:Person)-[:LIKE]->(x) RETURN p", "Did you mean LIKES"),
    ],
)
def test_an_unknown_name_is_an_error_that_tells_the_nearest(database, query, why):
    with pytest.raises(QueryError, match=why):
        database.check(query)


def test_a_private_property_without_its_label_is_refused(path):
    with pytest.raises(ConfigurationError, match=r"label\.property; got 'secret'"):
        LadybugDatabase(path, private=["secret"])


def test_excluded_labels_are_neither_shown_nor_named(path):
    with LadybugDatabase(path, exclude=["LIKES"]) as database:
        assert "LIKES" not in database.schema().render()
        with pytest.raises(QueryRefusedError, match="LIKES may not be read"):
            database.check("MATCH (a)-[:LIKES]->(b) RETURN a")


def test_relationships_that_lead_to_excluded_labels_are_not_shown(path):
    with LadybugDatabase(path, exclude=["old*"]) as database:
        schema = database.schema()
    assert "Film" not in schema.render()
    assert schema.connections == {("Person", "LIKES", "Person")}
    assert set(schema.relationships) == {"LIKES"}
    assert not schema.complete


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("COPY (RETURN 1) TO '{out}.csv'", "COPY_TO"),
        ("EXPORT DATABASE '{out}'", "EXPORT_DATABASE|COPY_TO|not supported"),
        ("LOAD FROM '{out}' (file_format='csv', header=false) RETURN *", "READ_CSV|No file found"),
        ("ATTACH '{out}' AS other (dbtype lbug)", "ATTACH_DATABASE|read-only"),
        ("INSTALL httpfs", "INSTALL_EXTENSION"),
        ("CALL timeout=100000000", "STANDALONE_CALL"),
        ("ANALYZE", "ANALYZE"),
        ("CALL show_tables() RETURN *", "SHOW_TABLES"),
        ("RETURN 1; COPY (RETURN 1) TO '{out}.csv'", "more than one statement"),
    ],
)
def test_the_planner_alone_refuses_what_reaches_beyond_the_graph(database, tmp_path, query, named):
    with pytest.raises((QueryRefusedError, QueryError), match=named):
        database.explain(query.format(out=tmp_path / "out"))
    assert not list(tmp_path.glob("out*"))


def test_a_text_that_looks_like_a_plan_is_a_text(database):
    database.explain("MATCH (p:Person) WHERE p.name = 'COPY_TO[2]' RETURN p.name")


def test_the_engine_alone_refuses_a_write(database):
    with pytest.raises(QueryRefusedError):
        database.run("CREATE (:Person {name: 'Cy'})")
    assert database.run("MATCH (p:Person) RETURN count(p)").rows == [(2,)]


def test_an_open_database_of_the_user_is_read_and_left_open(path):
    with ladybug.Database(path) as given:
        database = LadybugDatabase(given)
        with pytest.raises(QueryRefusedError, match="read-only transaction"):
            database.run("CREATE (:Person {name: 'Cy'})")
        assert database.run("MATCH (p:Person) RETURN count(p)").rows == [(2,)]
        database.close()
        with ladybug.Connection(given) as connection:
            assert connection.execute("RETURN 1").get_all() == [[1]]


def test_a_closed_database_opens_again(database):
    database.run("RETURN 1 AS x")
    database.close()
    assert database.run("RETURN 2 AS x").rows == [(2,)]


def test_more_than_one_statement_is_refused_by_the_engine_door_too(database):
    with pytest.raises((QueryRefusedError, QueryError)):
        database.run("RETURN 1; RETURN 2")


@pytest.mark.parametrize("wrong", [None, 3, "", " "])
def test_what_is_no_path_is_refused(wrong):
    with pytest.raises(ConfigurationError, match="path of one"):
        LadybugDatabase(wrong)


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path):
    (tmp_path / "text.lbug").write_text("no database")
    with pytest.raises(DatabaseError, match="cannot be opened"):
        LadybugDatabase(tmp_path / "text.lbug").schema()
    with pytest.raises(DatabaseError, match="no database at"):
        LadybugDatabase(tmp_path / "none.lbug")


@pytest.mark.local
def test_the_embedded_chat_model_can_be_loaded_after_it(path):
    program = (
        "import sys; from agentkit import LadybugDatabase; "
        "LadybugDatabase(sys.argv[1]).run('RETURN 1 AS x'); import xllamacpp; print('loaded')"
    )
    command = [sys.executable, "-c", program, path]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.stdout == "loaded\n"
