"""Neo4j as it is read: its schema, its values, its rows, and everything that may go wrong."""

import asyncio
import datetime
import socket

import neo4j
import pytest

from agentkit import Neo4jDatabase
from agentkit.databases import neo4j_reflection
from agentkit.errors import (
    ConfigurationError,
    DatabaseError,
    QueryError,
    QueryRefusedError,
    QueryTimeoutError,
)
from tests.support.graphs import connected, neo4j_url

needs_server = pytest.mark.xdist_group("neo4j")

GRAPH = [
    "CREATE (:Person:Actor {name: 'Ada', born: date('1970-05-01'), tags: ['x', 'y']})",
    "CREATE (:Person {name: 'Bo', born: date('1980-01-01'), secret: 's3cret'})",
    "CREATE (:`Old \"Film\" 🎬` {`the title`: 'Night Train', mixed: 1})",
    "CREATE (:`Old \"Film\" 🎬` {`the title`: 'Dawn', mixed: 'one'})",
    "MATCH (a:Person), (f {`the title`: 'Night Train'}) "
    "CREATE (a)-[:`ACTED IN` {role: 'Eve'}]->(f)",
    "MATCH (a:Person {name: 'Ada'}), (b:Person {name: 'Bo'}) "
    "CREATE (a)-[:KNOWS {since: 2001}]->(b)",
]
FILM = '`Old "Film" 🎬`'
ENDLESS = (
    "UNWIND range(1, 100000000) AS x UNWIND range(1, 1000) AS y WITH x, y WHERE x + y < 0 RETURN x"
)


@pytest.fixture
def database(neo4j_graph):
    neo4j_graph(GRAPH)
    uri, auth = neo4j_url()
    with Neo4jDatabase(uri, auth=auth, private=["Person.secret"]) as opened:
        yield opened


def running():
    """The queries that the server runs beside this one."""
    with connected() as driver:
        rows = driver.execute_query("SHOW TRANSACTIONS YIELD currentQuery RETURN currentQuery")
    return [row[0] for row in rows.records if "SHOW TRANSACTIONS" not in row[0]]


async def until(holds):
    """Wait until something holds of the server, which tells no event, as long as tests may take."""
    while not await asyncio.to_thread(holds):  # noqa: ASYNC110
        await asyncio.sleep(0.02)


# -- the schema ------------------------------------------------------------------------------------


@needs_server
def test_the_schema_has_labels_types_connections_properties_and_counts(database):
    schema = database.schema()
    assert schema.complete
    assert {label: node.count for label, node in schema.nodes.items()} == {
        "Person": 2,
        "Actor": 1,
        'Old "Film" 🎬': 2,
    }
    person = {column.name: column.type for column in schema.nodes["Person"].properties}
    assert person == {"name": "STRING", "born": "DATE", "tags": "LIST<STRING>", "secret": "STRING"}
    mixed = {column.name: column.type for column in schema.nodes['Old "Film" 🎬'].properties}
    assert mixed == {"the title": "STRING", "mixed": "INTEGER | STRING"}
    assert ("Person", "ACTED IN", 'Old "Film" 🎬') in schema.connections
    assert schema.relationships["KNOWS"].properties[0].type == "INTEGER"


@needs_server
def test_the_schema_is_rendered_with_names_as_cypher_spells_them(database):
    told = database.schema().render()
    assert f"(:Person)-[:`ACTED IN`]->(:{FILM}) // 2 of them" in told
    assert "  `the title`: STRING // such as 'Dawn', 'Night Train'" in told
    assert "secret: STRING\n" in f"{told}\n"
    assert "s3cret" not in told


@needs_server
def test_indexes_are_known(neo4j_graph):
    neo4j_graph(
        [
            "CREATE (:Person {name: 'Ada'})",
            "CREATE INDEX by_name FOR (n:Person) ON (n.name)",
            "CREATE FULLTEXT INDEX words FOR (n:Person) ON EACH [n.name]",
        ]
    )
    uri, auth = neo4j_url()
    with Neo4jDatabase(uri, auth=auth) as database:
        indexes = {index.name: index for index in database.schema().indexes}
    assert (indexes["by_name"].kind, indexes["words"].kind) == ("RANGE", "FULLTEXT")
    assert indexes["words"].properties == ("name",)


@needs_server
def test_a_sample_is_completed_by_a_closer_look(database, monkeypatch):
    monkeypatch.setattr(neo4j_reflection, "_LOOKED_AT", 1)
    schema = database.schema(refresh=True)
    assert not schema.complete
    assert all(node.properties for node in schema.nodes.values())
    assert {kind for _, kind, _ in schema.connections} == {"ACTED IN", "KNOWS"}


@needs_server
def test_a_connection_that_the_sample_lacks_is_not_turned(neo4j_graph, monkeypatch):
    monkeypatch.setattr(neo4j_reflection, "_LOOKED_AT", 1)
    monkeypatch.setattr(neo4j_reflection, "_LOOKED_AT_EACH", 1)
    neo4j_graph(
        [
            "CREATE (:A)-[:R]->(:B), (:A)-[:R]->(:B)",
            "CREATE (:B)-[:R]->(:A)",
        ]
    )
    uri, auth = neo4j_url()
    with Neo4jDatabase(uri, auth=auth) as database:
        for query in ("MATCH (a:A)-[:R]->(b:B) RETURN 1", "MATCH (a:A)<-[:R]-(b:B) RETURN 1"):
            assert database.check(query).text == query


@needs_server
def test_an_empty_graph_has_an_empty_schema(neo4j_graph):
    neo4j_graph([])
    uri, auth = neo4j_url()
    with Neo4jDatabase(uri, auth=auth) as database:
        assert database.schema().render() == ""
        assert database.run("MATCH (n) RETURN n").rows == []


# -- rows ------------------------------------------------------------------------------------------


@needs_server
def test_values_come_back_as_plain_data(database):
    result = database.run(
        "RETURN date('2024-02-29') AS day, duration('P1M2D') AS long, [1, null, 'x'] AS list, "
        "point({x: 1, y: 2, crs: 'cartesian'}) AS place, {a: {b: 1.5}} AS map, "
        "datetime('2024-01-01T10:00:00Z') AS moment"
    )
    day, long, items, place, map_, moment = result.rows[0]
    assert (day, long, items) == (datetime.date(2024, 2, 29), "P1M2D", [1, None, "x"])
    assert place == {"srid": 7203, "x": 1.0, "y": 2.0}
    assert map_ == {"a": {"b": 1.5}}
    assert moment == datetime.datetime(2024, 1, 1, 10, tzinfo=datetime.UTC)


@needs_server
def test_nodes_relationships_and_paths_keep_their_labels_and_ids(database):
    query = "MATCH p = (:Person {name: 'Ada'})-[r:KNOWS]->(b) RETURN r, p"
    relationship, path = database.run(query).rows[0]
    assert (relationship["type"], relationship["properties"]) == ("KNOWS", {"since": 2001})
    assert [node["labels"] for node in path["nodes"]] == [["Actor", "Person"], ["Person"]]
    assert relationship["start"] == path["nodes"][0]["id"]
    assert path["relationships"] == [relationship]


@needs_server
def test_rows_are_capped_and_said_to_be(database):
    result = database.run("UNWIND range(1, 10000000) AS x RETURN x", max_rows=3)
    assert (result.rows, result.truncated) == ([(1,), (2,), (3,)], True)
    assert running() == []


@needs_server
def test_a_query_that_takes_too_long_is_stopped_and_gone(database):
    with pytest.raises(QueryTimeoutError, match=r"may take 0\.5 seconds"):
        database.run(ENDLESS, timeout=0.5)
    assert running() == []


@needs_server
async def test_a_query_that_is_cancelled_is_gone(database):
    waiting = asyncio.ensure_future(database.arun(ENDLESS))
    await until(lambda: running() != [])
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await until(lambda: running() == [])


@needs_server
def test_values_and_whether_they_are_there(database):
    assert database.schema()
    read = lambda *place: asyncio.run(database.avalues(*place))  # noqa: E731
    assert sorted(read("Person", "name")) == ["Ada", "Bo"]
    assert read("Person", "tags") == ["x", "y"]
    assert read("[:`ACTED IN`]", "role") == ["Eve"]
    assert read("Person", "secret") == []
    with pytest.raises(QueryError, match="no property 'nothing'"):
        read("Person", "nothing")
    holds = lambda *place, **how: asyncio.run(database.aholds(*place, **how))  # noqa: E731
    assert holds("Person", "name", "Ada") is True
    assert holds("Person", "name", "ada") is False
    assert holds("Person", "name", "ada", ignore_case=True) is True
    assert holds("Person", "tags", "y") is True
    assert holds("Person", "secret", "s3cret") is None


@needs_server
def test_values_of_large_labels_are_found_by_their_indexes(neo4j_graph):
    neo4j_graph(
        [
            "CREATE FULLTEXT INDEX words FOR (n:Place) ON EACH [n.name]",
            "CREATE INDEX codes FOR (n:Place) ON (n.code)",
            "UNWIND range(1, 600) AS i CREATE (:Place {name: 'Place ' + i, code: 'C' + i})",
            "CREATE (:Place {name: 'Great Orrin Basin', code: 'GOB'})",
        ]
    )
    uri, auth = neo4j_url()
    with Neo4jDatabase(uri, auth=auth) as database:
        found = asyncio.run(database.acandidates(["orrin", "basin", "GOB"]))
    assert found[("Place", "name")][0] == "Great Orrin Basin"
    assert found[("Place", "code")] == ["GOB"]


# -- what is refused, and what fails ---------------------------------------------------------------


@needs_server
@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("MATCH (n) SET n.x = 1 RETURN n", "writes"),
        ("CREATE INDEX i FOR (n:A) ON (n.x)", "schema"),
        ("LOAD CSV FROM 'file:///x.csv' AS line RETURN line", "LOAD CSV"),
        ("CALL dbms.components() YIELD name RETURN name", "procedure dbms.components"),
    ],
)
def test_the_planner_alone_refuses_what_does_more_than_read(database, query, why):
    with pytest.raises(QueryRefusedError, match=why):
        database.explain(query)


@needs_server
def test_read_mode_alone_refuses_a_write(database):
    with pytest.raises(QueryRefusedError, match="refuses"):
        database.run("CREATE (:Hacked)")
    assert database.run("MATCH (n:Hacked) RETURN n").rows == []


@needs_server
def test_a_wrong_password_is_said_to_be_wrong():
    uri, _ = neo4j_url()
    with (
        Neo4jDatabase(uri, auth=("neo4j", "not-the-password")) as database,
        pytest.raises(DatabaseError, match="refuses the user and password") as caught,
    ):
        database.schema()
    assert "not-the-password" not in str(caught.value)


@needs_server
def test_a_wrong_database_name_is_said_to_be_wrong():
    uri, auth = neo4j_url()
    with (
        Neo4jDatabase(uri, auth=auth, name="nowhere") as database,
        pytest.raises(DatabaseError, match="nowhere"),
    ):
        database.schema()


@needs_server
def test_a_database_is_chosen_by_name(database):
    uri, auth = neo4j_url()
    with Neo4jDatabase(uri, auth=auth, name="neo4j") as named:
        assert named.run("MATCH (n:Actor) RETURN n.name").rows == [("Ada",)]


@needs_server
async def test_drivers_of_the_user_serve_and_stay_open(database):
    uri, auth = neo4j_url()
    async with neo4j.AsyncGraphDatabase.driver(uri, auth=auth) as driver:
        async with Neo4jDatabase(driver) as opened:
            assert (await opened.arun("RETURN 1 AS x")).rows == [(1,)]
        await driver.verify_connectivity()
    with neo4j.GraphDatabase.driver(uri, auth=auth) as driver:
        async with Neo4jDatabase(driver) as opened:
            assert (await opened.arun("RETURN 1 AS x")).rows == [(1,)]
        driver.verify_connectivity()


@needs_server
def test_an_async_driver_of_a_closed_loop_is_said_to_be_useless():
    uri, auth = neo4j_url()

    async def first():
        driver = neo4j.AsyncGraphDatabase.driver(uri, auth=auth)
        opened = Neo4jDatabase(driver)
        await opened.arun("RETURN 1 AS x")
        await driver.close()
        return opened

    opened = asyncio.run(first())
    with pytest.raises(ConfigurationError, match="loop that is closed"):
        opened.run("RETURN 1 AS x")


@needs_server
def test_a_connection_that_was_lost_is_made_again(database):
    database.run("RETURN 1 AS x")
    with connected() as driver:
        rows = driver.execute_query(
            "SHOW TRANSACTIONS YIELD connectionId RETURN collect(connectionId)"
        )
        assert rows.records
        ids = driver.execute_query(
            "CALL dbms.listConnections() YIELD connectionId, userAgent "
            "WHERE userAgent = 'agentkit' RETURN collect(connectionId) AS ids"
        ).records[0]["ids"]
        driver.execute_query("CALL dbms.killConnections($ids)", ids=ids)
    assert database.run("RETURN 1 AS x").rows == [(1,)]


@needs_server
def test_a_closed_database_opens_again(database):
    database.run("RETURN 1 AS x")
    database.close()
    assert database.run("RETURN 2 AS x").rows == [(2,)]


def test_a_server_that_never_answers_is_given_up(monkeypatch):
    monkeypatch.setattr("agentkit.databases.neo4j._CONNECT_SECONDS", 0.5)
    monkeypatch.setattr("agentkit.databases.neo4j._GRACE_SECONDS", 0.5)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        uri = f"bolt://127.0.0.1:{deaf.getsockname()[1]}"
        with (
            Neo4jDatabase(uri, auth=("neo4j", "x"), timeout=0.5) as database,
            pytest.raises(DatabaseError),
        ):
            database.run("RETURN 1")


@pytest.mark.parametrize("wrong", ["", "http://localhost", "bolt://", 5, "localhost:7687"])
def test_what_is_no_address_is_refused_without_showing_it(wrong):
    with pytest.raises(ConfigurationError, match="URI such as neo4j://"):
        Neo4jDatabase(wrong)


def test_the_environment_says_where_where_nobody_else_does(monkeypatch):
    monkeypatch.setenv("NEO4J_URI", "bolt://reader:s3cret@localhost:7687")
    monkeypatch.setenv("NEO4J_DATABASE", "films")
    told = repr(Neo4jDatabase())
    assert told == "Neo4jDatabase('bolt://localhost:7687', name='films')"
