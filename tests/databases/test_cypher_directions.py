"""Relationships that are turned to point as those of the graph do, and all that stays as it is."""

import csv
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.databases.cypher_directions import turned
from agentkit.databases.cypher_syntax import read_syntax

DATA = os.environ.get("AGENTKIT_DATA")

MOVIES = [
    ("Person", "ACTED_IN", "Movie"),
    ("Person", "DIRECTED", "Movie"),
    ("Person", "FOLLOWS", "Person"),
    ("Actor", "ACTED_IN", "Movie"),
    ("Movie", "IN_GENRE", "Genre"),
    ("Some Label", "SOME TYPE", "Øther"),
]


def turn(query, connections=MOVIES):
    return turned(query, read_syntax(query), connections)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            "MATCH (m:Movie)-[r:ACTED_IN]->(p:Person) RETURN m",
            "MATCH (m:Movie)<-[r:ACTED_IN]-(p:Person) RETURN m",
        ),
        (
            "MATCH (p:Person)<-[:ACTED_IN]-(m:Movie) RETURN m",
            "MATCH (p:Person)-[:ACTED_IN]->(m:Movie) RETURN m",
        ),
        ("MATCH (p:Person)<--(m:Movie) RETURN m", "MATCH (p:Person)-->(m:Movie) RETURN m"),
        ("MATCH (m:Movie)-->(p:Person) RETURN m", "MATCH (m:Movie)<--(p:Person) RETURN m"),
        ("MATCH (p:Person)<-[]-(m:Movie) RETURN m", "MATCH (p:Person)-[]->(m:Movie) RETURN m"),
        ("MATCH (p)<-[:ACTED_IN]-(:Movie) RETURN p", "MATCH (p)-[:ACTED_IN]->(:Movie) RETURN p"),
        ("MATCH (p:Person)<-[:ACTED_IN]-() RETURN p", "MATCH (p:Person)-[:ACTED_IN]->() RETURN p"),
        (
            "MATCH (p:Person)<-[:ACTED_IN|DIRECTED {x: '->'}]-(m) RETURN p",
            "MATCH (p:Person)-[:ACTED_IN|DIRECTED {x: '->'}]->(m) RETURN p",
        ),
        (
            "MATCH (p:Person)<-[:!FOLLOWS]-(:Movie) RETURN p",
            "MATCH (p:Person)-[:!FOLLOWS]->(:Movie) RETURN p",
        ),
        (
            "MATCH (a:Person:Actor)<-[:ACTED_IN]-(:Movie) RETURN a",
            "MATCH (a:Person:Actor)-[:ACTED_IN]->(:Movie) RETURN a",
        ),
        (
            "MATCH (a:`Some Label`)<-[:`SOME TYPE`]-(b:Øther) RETURN a",
            "MATCH (a:`Some Label`)-[:`SOME TYPE`]->(b:Øther) RETURN a",
        ),
        (
            "MATCH (m:Movie)<--(g:Genre), (m)-[:ACTED_IN]->(p) RETURN p",
            "MATCH (m:Movie)-->(g:Genre), (m)<-[:ACTED_IN]-(p) RETURN p",
        ),
        (
            "MATCH (p)<-[:ACTED_IN]-(m) MATCH (m:Movie) RETURN p",
            "MATCH (p)-[:ACTED_IN]->(m) MATCH (m:Movie) RETURN p",
        ),
        (
            "MATCH (p:Person) WITH p AS q MATCH (q)<-[:DIRECTED]-(m) RETURN m",
            "MATCH (p:Person) WITH p AS q MATCH (q)-[:DIRECTED]->(m) RETURN m",
        ),
        (
            "MATCH (p:Person) RETURN [(p)<-[:ACTED_IN]-(m) | m.title]",
            "MATCH (p:Person) RETURN [(p)-[:ACTED_IN]->(m) | m.title]",
        ),
        (
            "MATCH (p:Person) WHERE NOT (p)<-[:DIRECTED]-() RETURN p",
            "MATCH (p:Person) WHERE NOT (p)-[:DIRECTED]->() RETURN p",
        ),
        (
            "MATCH (p:Person) WHERE EXISTS { (p)<-[:DIRECTED]-() } RETURN p",
            "MATCH (p:Person) WHERE EXISTS { (p)-[:DIRECTED]->() } RETURN p",
        ),
        (
            "MATCH (p:Person) CALL (p) { MATCH (p)<--(m:Movie) RETURN m } RETURN m",
            "MATCH (p:Person) CALL (p) { MATCH (p)-->(m:Movie) RETURN m } RETURN m",
        ),
        (
            "MATCH x = ((p:Person)<-[:DIRECTED]-(m:Movie)) RETURN x",
            "MATCH x = ((p:Person)-[:DIRECTED]->(m:Movie)) RETURN x",
        ),
        (
            "MATCH (p:Person) < - /* -> */ [:DIRECTED] - (m:Movie) RETURN p",
            "MATCH (p:Person)  - /* -> */ [:DIRECTED] -> (m:Movie) RETURN p",
        ),
    ],
)
def test_relationships_against_the_graph_are_turned(query, expected):
    found = turn(query)
    assert found.query == expected
    assert found.turned
    assert not found.impossible
    assert turn(expected).query == expected


@pytest.mark.parametrize(
    "query",
    [
        "MATCH (p:Person)-[:ACTED_IN]->(m:Movie) RETURN p",
        "MATCH (p:Person)<-[:FOLLOWS]-(q:Person) RETURN p",
        "MATCH (p:Person)-[:ACTED_IN]-(m:Movie) RETURN p",
        "MATCH (m:Movie)<-[:ACTED_IN]->(p:Person) RETURN p",
        "MATCH (m:Movie)-[:ACTED_IN*]->(p:Person) RETURN p",
        "MATCH (m:Movie)-[:ACTED_IN*1..2]->(p:Person) RETURN p",
        "MATCH (m:Movie)-[:ACTED_IN]->+(p:Person) RETURN p",
        "MATCH (m:Movie)-[:ACTED_IN]->{1,2}(p:Person) RETURN p",
        "MATCH (x) ((m:Movie)-[:ACTED_IN]->(p:Person)){1,2} (y) RETURN x",
        "MATCH (m:Movie)-[:UNKNOWN]->(p:Person) RETURN p",
        "MATCH (m:Movie)-[:ACTED_IN]->(p:Unknown) RETURN p",
        "MATCH (m)-[:ACTED_IN]->(p) RETURN p",
        "MATCH (m)-->(p) RETURN p",
        "MATCH (m:!Person)-[:ACTED_IN]->(p) RETURN p",
        "MATCH (m:Movie|Person)-[:ACTED_IN]->(p) RETURN p",
        "MATCH (m:Movie)-[:$('ACTED_IN')]-(p) RETURN p",
        "RETURN '(m:Movie)-[:ACTED_IN]->(p:Person)'",
        '"MATCH (m:Movie)-[:ACTED_IN]->(p:Person) RETURN p"',
        "RETURN 1 // (m:Movie)-[:ACTED_IN]->(p:Person)",
        "RETURN 1 /* (m:Movie)-[:ACTED_IN]->(p:Person) */",
        "MATCH (`(m:Movie)-[:ACTED_IN]->(p:Person)`) RETURN 1",
        "WITH 1 AS a, 2 AS b RETURN a < -b, (a)<-(b), (a.x - (b))",
        "MATCH (m:Movie) WITH m.title AS m MATCH (m)-[:ACTED_IN]->(p) RETURN p",
        "MATCH (m:Movie) CALL { MATCH (m)-[:ACTED_IN]->(p) RETURN p } RETURN p",
    ],
)
def test_other_relationships_stay_as_they_are(query):
    found = turn(query)
    assert (found.query, found.turned, found.impossible) == (query, (), ())


def test_what_the_graph_cannot_hold_is_reported_and_left():
    query = "MATCH (p:Person)-[:FOLLOWS]->(m:Movie)<-[:DIRECTED]-(p) RETURN p"
    found = turn(query)
    assert found.query == query
    (impossible,) = found.impossible
    assert (impossible.start, impossible.types, impossible.end) == (
        {"Person"},
        {"FOLLOWS"},
        {"Movie"},
    )
    assert impossible.text == "(p:Person)-[:FOLLOWS]->(m:Movie)"


def test_a_turn_says_what_was_written():
    found = turn("MATCH (p:Person)<-[:DIRECTED]-(m:Movie) RETURN p")
    (made,) = found.turned
    assert (made.start, made.types, made.end) == ({"Movie"}, {"DIRECTED"}, {"Person"})
    assert made.text == "(p:Person)<-[:DIRECTED]-(m:Movie)"


@pytest.mark.skipif(not DATA, reason="AGENTKIT_DATA is not set: no cypher/directions.csv to read")
def test_published_direction_pairs_are_reproduced():
    with (Path(str(DATA)) / "cypher" / "directions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 92
    wrong = []
    for row in rows:
        triples = re.findall(r"\(([^,]+), ([^,]+), ([^)]+)\)", row["schema"])
        found = turn(row["statement"], triples)
        if ("" if found.impossible else found.query) != row["correct_query"]:
            wrong.append(row["statement"])
    assert wrong == []


LABELS = ["A", "B", "C", "D e"]
CONNECTIONS = [("A", "R", "B"), ("B", "S", "C"), ("C", "T t", "D e"), ("A", "U", "D e")]


def quoted(name):
    return f"`{name}`" if " " in name else name


def relationship(triple, *, outward, variable="", extra="", tail=""):
    start, kind, end = triple
    middle = f"-[{variable}:{quoted(kind)}{extra}]-"
    if outward:
        return f"(a:{quoted(start)}){middle}>{tail}(b:{quoted(end)})"
    return f"(a:{quoted(end)})<{middle}{tail}(b:{quoted(start)})"


TRIPLES = st.sampled_from(CONNECTIONS)
VARIABLES = st.sampled_from(["", "r", "`r s`"])
EXTRAS = st.sampled_from(["", " {x: '<-[]-'}", " {x: 1, y: [1, 2]}", "/* <- */"])
FRAMES = st.sampled_from(
    [
        "MATCH {} RETURN a",
        "MATCH p = ({}) RETURN p",
        "OPTIONAL MATCH (z), {} WHERE a.x < -1 RETURN b",
        "MATCH (z) WHERE EXISTS {{ {} }} RETURN z",
        "MATCH (z) RETURN [{} | a.x], '(a:B)-[:R]->(b:A)' // (a:B)-[:R]->(b:A)",
        "CALL {{ MATCH {} RETURN a }} RETURN a.x <-1",
    ]
)


@given(TRIPLES, st.booleans(), VARIABLES, EXTRAS, FRAMES)
def test_legal_directions_are_never_turned(triple, outward, variable, extra, frame):
    query = frame.format(relationship(triple, outward=outward, variable=variable, extra=extra))
    assert turn(query, CONNECTIONS).query == query


@given(TRIPLES, st.booleans(), VARIABLES, EXTRAS, FRAMES)
def test_flipped_directions_are_turned_back(triple, outward, variable, extra, frame):
    start, kind, end = triple
    legal = frame.format(relationship(triple, outward=outward, variable=variable, extra=extra))
    pattern = relationship((end, kind, start), outward=not outward, variable=variable, extra=extra)
    flipped = frame.format(pattern)
    found = turn(flipped, CONNECTIONS)
    assert found.query == legal
    assert len(found.turned) == 1
    backward = [(last, middle, first) for first, middle, last in CONNECTIONS]
    assert turn(legal, backward).query == flipped


@given(
    st.sampled_from(LABELS),
    st.sampled_from(LABELS),
    st.sampled_from(
        ["--", "-[]-", "-[r]-", "-[:R]-", "-[:R*]->", "<-[:R*..2]-", "<-[:R]->", "<-->"]
    ),
    FRAMES,
)
def test_undirected_and_variable_length_patterns_stay(left, right, arrow, frame):
    query = frame.format(f"(a:{quoted(left)}){arrow}(b:{quoted(right)})")
    assert turn(query, CONNECTIONS).query == query


@given(
    st.sampled_from(LABELS), st.sampled_from(["R", "S", "`T t`", "U", "R|S", "!R"]), st.booleans()
)
def test_turned_queries_are_not_turned_again(label, kind, outward):
    arrow = f"-[:{kind}]->" if outward else f"<-[:{kind}]-"
    once = turn(f"MATCH (a:{quoted(label)}){arrow}(b) RETURN a", CONNECTIONS).query
    assert turn(once, CONNECTIONS).query == once
