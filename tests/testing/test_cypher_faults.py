"""Faults that are made in right Cypher queries."""

import pytest

from agentkit import LadybugDatabase, create_text_to_cypher
from agentkit.databases.cypher_syntax import read_syntax
from agentkit.errors import QueryError, QueryRefusedError
from agentkit.testing import CYPHER_FAULTS, NoisyOracle
from tests.support.graphs import ladybug_path

SCRIPT = [
    "CREATE NODE TABLE Person(name STRING PRIMARY KEY)",
    "CREATE NODE TABLE City(name STRING PRIMARY KEY)",
    "CREATE REL TABLE LIVES_IN(FROM Person TO City)",
    "CREATE (:Person {name: 'Ada'})-[:LIVES_IN]->(:City {name: 'Bern'})",
]
QUERY = "MATCH (p:Person)-[:LIVES_IN]->(c:City) WHERE c.name = 'Bern' RETURN p.name"
ANSWERS = {f"Question {n}?": QUERY for n in range(20)}


@pytest.fixture
def database(tmp_path):
    with LadybugDatabase(ladybug_path(tmp_path, SCRIPT)) as database:
        yield database


@pytest.mark.parametrize("fault", CYPHER_FAULTS)
async def test_every_fault_makes_a_query_that_fails_or_finds_nothing(fault, database):
    wrong = CYPHER_FAULTS[fault](QUERY, "ladybug")
    assert wrong != QUERY
    try:
        rows = (await database.arun(wrong)).rows
    except (QueryError, QueryRefusedError):
        assert fault not in ("flipped direction", "wrong-case literal")
    else:
        assert rows == []


@pytest.mark.parametrize(
    ("fault", "query", "wrong"),
    [
        ("flipped direction", "MATCH (a:A)-->(b:B) RETURN b", "MATCH (a:A)<--(b:B) RETURN b"),
        (
            "flipped direction",
            "MATCH (a:A) MATCH (a) <-[:T {k: '->'}]- (b:B) RETURN b",
            "MATCH (a:A) MATCH (a) -[:T {k: '->'}]-> (b:B) RETURN b",
        ),
        (
            "flipped direction",
            "MATCH (:A)-[:S]->(:A)-[:T]->(:B) RETURN 1",
            "MATCH (:A)-[:S]->(:A)<-[:T]-(:B) RETURN 1",
        ),
        ("unknown property", "MATCH (a {`b c`: 1}) RETURN a", "MATCH (a {`b c_no`: 1}) RETURN a"),
        ("wrong label", "MATCH (a) WHERE a:A RETURN a", "MATCH (a) WHERE a:A_no RETURN a"),
        (
            "wrong-case literal",
            "MATCH (a:A) WHERE a.x IN ['42', 'b'] RETURN 'b'",
            "MATCH (a:A) WHERE a.x IN ['42', 'B'] RETURN 'b'",
        ),
        (
            "wrong-case literal",
            "WITH 'it\\'s' AS s MATCH (a:A {x: \"it's\"}) RETURN a",
            "WITH 'it\\'s' AS s MATCH (a:A {x: 'IT\\'S'}) RETURN a",
        ),
        ("syntax error", "/* so */ MATCH (a) RETURN a", "/* so */ MATCH FROM (a) RETURN a"),
        ("write", "MATCH (a:`A b`) RETURN a", "MATCH (n:`A b`) DETACH DELETE n"),
        ("write", "RETURN 1", "MATCH (n) DETACH DELETE n"),
    ],
)
def test_a_fault_is_made_where_it_belongs(fault, query, wrong):
    assert CYPHER_FAULTS[fault](query, "neo4j") == wrong


@pytest.mark.parametrize(
    ("fault", "query"),
    [
        ("flipped direction", "MATCH (a:A)-[:T]->(b:A) RETURN a"),
        ("flipped direction", "MATCH (a:A)-[:T]-(b:B) RETURN a"),
        ("flipped direction", "MATCH (a:A)-[:T]->(b) RETURN a"),
        ("flipped direction", "MATCH (a:A)-[:T*1..2]->(b:B) RETURN a"),
        ("flipped direction", "MATCH (a:A)-[:T]->(b:A|B) RETURN a"),
        ("unknown property", "MATCH (a:A) RETURN count(a)"),
        ("wrong label", "MATCH (a)-[:T]->(b) RETURN a"),
        ("wrong-case literal", "MATCH (a:A) WHERE a.x = '42' RETURN a"),
        ("wrong-case literal", "MATCH (a:A) WHERE toLower(a.x) = 'b' RETURN a"),
        ("wrong-case literal", "MATCH (a:A) WHERE a.x STARTS WITH 'b' RETURN 'b'"),
    ],
)
def test_a_fault_that_would_change_nothing_is_not_made(fault, query):
    assert read_syntax(query)
    assert CYPHER_FAULTS[fault](query, "neo4j") is None


async def test_with_a_fault_in_every_draft_repair_decides(database):
    faults = {name: make for name, make in CYPHER_FAULTS.items() if name != "flipped direction"}
    oracle = NoisyOracle(ANSWERS, dialect="ladybug", faults=faults)
    for repair, right in ((True, len(ANSWERS)), (False, 0)):
        graph = create_text_to_cypher(oracle.model(), database, repair=repair, answer="none")
        states = [await graph.ainvoke({"question": question}) for question in ANSWERS]
        assert sum(state["rows"] == [["Ada"]] for state in states) == right
    assert oracle.counts().total() == len(ANSWERS)
    assert len(oracle.counts()) > 2


async def test_a_flipped_relationship_is_put_right_without_repair(database):
    faults = {"flipped direction": CYPHER_FAULTS["flipped direction"]}
    oracle = NoisyOracle(ANSWERS, dialect="ladybug", faults=faults)
    graph = create_text_to_cypher(oracle.model(), database, repair=False, answer="none")
    state = await graph.ainvoke({"question": "Question 0?"})
    assert state["rows"] == [["Ada"]]
    assert oracle.counts() == {"flipped direction": 1}
