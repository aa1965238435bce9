"""The check of a Cypher query: what is refused, what is reported, what runs."""

import pytest

from agentkit.databases.cypher_guard import ComparedValue, check_cypher
from agentkit.databases.graph_schema import GraphSchema, NodeType, RelationshipType
from agentkit.databases.schema import Column
from agentkit.errors import QueryError, QueryRefusedError

NAME, TITLE = Column("name", "STRING", is_text=True), Column("title", "STRING", is_text=True)
SCHEMA = GraphSchema(
    "neo4j",
    {
        "Person": NodeType("Person", (NAME, Column("born", "INTEGER"))),
        "Film": NodeType("Film", (TITLE,)),
    },
    {
        "ACTED_IN": RelationshipType(
            "ACTED_IN", (("Person", "Film"),), (Column("role", "STRING", is_text=True),)
        ),
        "KNOWS": RelationshipType("KNOWS", (("Person", "Person"),)),
    },
)


def check(query, **options):
    return check_cypher(query, SCHEMA, **options)


def test_what_runs_is_the_query_without_its_comments():
    checked = check("MATCH (p:Person) // all\nRETURN p.name /* only */ AS name;")
    assert checked.text == "MATCH (p:Person) // all\nRETURN p.name /* only */ AS name;"
    assert "all" not in checked.cypher
    assert "only" not in checked.cypher
    assert check(checked.cypher).cypher == checked.cypher


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("MATCH (n) DELETE n", "DELETE is not a clause"),
        ("MATCH (n) RETURN n; MATCH (m) RETURN m", "2 statements"),
        ("CALL dbms.listConfig()", "procedure dbms.listConfig"),
        ("RETURN apoc.cypher.runFirstColumnSingle('x', {})", "function apoc.cypher"),
        ("LOAD CSV FROM 'file:///x' AS l RETURN l", "LOAD CSV"),
        ("USE other MATCH (n) RETURN n", "USE"),
        ("SHOW USERS", "SHOW"),
        ("EXPLAIN MATCH (n) RETURN n", "EXPLAIN"),
    ],
)
def test_what_does_more_than_read_is_refused_with_its_name(query, why):
    with pytest.raises(QueryRefusedError, match=why):
        check(query)


def test_a_parameter_is_an_error_as_nobody_fills_it():
    with pytest.raises(QueryError, match=r"parameter, \$name"):
        check("MATCH (p:Person {name: $name}) RETURN p")


def test_functions_and_procedures_of_the_user_may_be_allowed():
    with pytest.raises(QueryRefusedError):
        check("CALL my.read() YIELD x RETURN my.area(x)")
    allowed = {"allow_functions": ["my.area"], "allow_procedures": ["My.Read"]}
    assert check("CALL my.read() YIELD x RETURN my.area(x)", **allowed)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("MATCH (p:Persn) RETURN p", "The graph has no label Persn. Did you mean Person?"),
        ("MATCH (p:person) RETURN p", "The graph has no label person. Did you mean Person?"),
        (
            "MATCH ()-[:ACTEDIN]->() RETURN 1",
            "no relationship type ACTEDIN. Did you mean ACTED_IN?",
        ),
        ("MATCH (p:Person) RETURN p.nam", "Person has no property nam. Did you mean name?"),
        ("MATCH (p:Person) WHERE p.title = 'x' RETURN p", "Person has no property title."),
        ("MATCH ()-[r:ACTED_IN]->() RETURN r.roles", "ACTED_IN has no property roles."),
        ("MATCH (n) RETURN n.nothing", "The graph has no property nothing."),
    ],
)
def test_unknown_names_are_reported_with_the_nearest_known(query, told):
    assert told in " ".join(check(query).unknown)


@pytest.mark.parametrize(
    "query",
    [
        "MATCH (n) RETURN n.name, n.title",
        "MATCH (p:Person|Film) RETURN p.title",
        "UNWIND [{nam: 1}] AS row RETURN row.nam",
        "MATCH (p:Person) WITH {nam: p.name} AS m RETURN m.nam",
        "MATCH (p:Person) RETURN p {.name, age: 3}",
        "MATCH (p:Person) RETURN date('2024-01-01').year",
    ],
)
def test_known_names_and_those_of_maps_are_not_reported(query):
    assert check(query).unknown == ()


def test_a_relationship_is_turned_and_said_to_be():
    checked = check("MATCH (f:Film)-[:ACTED_IN]->(p:Person) RETURN p")
    assert checked.text == "MATCH (f:Film)<-[:ACTED_IN]-(p:Person) RETURN p"
    assert checked.corrections == (
        "Turned (f:Film)-[:ACTED_IN]->(p:Person) the way the graph has it.",
    )


def test_a_relationship_is_not_turned_that_the_graph_was_found_to_have():
    query = "MATCH (f:Film)-[:ACTED_IN]->(p:Person) RETURN p"
    assert check(query, also=[("Film", "ACTED_IN", "Person")]).text == query


def test_texts_that_are_compared_are_found_with_their_place():
    checked = check(
        "MATCH (p:Person {name: 'Ada'})-[r:ACTED_IN]->(f) "
        "WHERE toLower(r.role) = 'eve' AND NOT p.name = 'Bo' RETURN f"
    )
    assert checked.filters == (
        ComparedValue("Person", "name", "Ada"),
        ComparedValue("[:ACTED_IN]", "role", "eve", ignore_case=True),
    )


def test_excluded_names_may_not_be_read():
    with pytest.raises(QueryRefusedError, match="KNOWS may not be read"):
        check("MATCH (a)-[:KNOWS]->(b) RETURN a", excluded=["know*"])
