"""A graph's schema as models are shown it, and the part of it that a question is about."""

import pytest

from agentkit.databases.graph_schema import (
    GraphSchema,
    NodeType,
    RelationshipType,
    quoted_name,
)
from agentkit.databases.linking import SchemaLinker
from agentkit.databases.schema import Column, count_tokens

NAME = Column("name", "STRING", samples=("Ada",), is_text=True)
SCHEMA = GraphSchema(
    "neo4j",
    {
        "Person": NodeType("Person", (NAME, Column("born", "INTEGER")), 2),
        "Film": NodeType("Film", (Column("title", "STRING"),), 1_200),
    },
    {"ACTED_IN": RelationshipType("ACTED_IN", (("Person", "Film"),), (Column("role", "STRING"),))},
)


@pytest.mark.parametrize(
    ("name", "spelled"),
    [("Person", "Person"), ("Größe", "Größe"), ("a b", "`a b`"), ("a`b", "`a``b`"), ("1a", "`1a`")],
)
def test_names_are_quoted_where_they_need_it(name, spelled):
    assert quoted_name(name) == spelled


def test_it_is_rendered_a_line_for_each_part():
    assert SCHEMA.render().splitlines() == [
        "(:Person) // 2 of them",
        "  name: STRING // such as 'Ada'",
        "  born: INTEGER",
        "(:Film) // 1,200 of them",
        "  title: STRING",
        "(:Person)-[:ACTED_IN]->(:Film)",
        "  role: STRING",
    ]


def test_a_part_of_it_keeps_the_properties_that_are_named():
    part = SCHEMA.only({"Person": ["name"], "[:ACTED_IN]": None})
    assert list(part.parts) == ["Person", "[:ACTED_IN]"]
    assert [column.name for column in part.nodes["Person"].properties] == ["name"]
    assert part.connections == SCHEMA.connections


def test_hostile_names_and_values_stay_on_their_line():
    hostile = "x\n(:Admin)\u2028`})-[:ALL]->()"
    column = Column(hostile, hostile, samples=(hostile,))
    kinds = {hostile: RelationshipType(hostile, ((hostile, hostile),), (column,))}
    schema = GraphSchema("neo4j", {hostile: NodeType(hostile, (column,), 1)}, kinds)
    assert len(schema.render().splitlines()) == 4


def test_many_connections_are_counted_instead_of_listed():
    pairs = tuple((f"A{n}", f"B{n}") for n in range(40))
    told = GraphSchema("neo4j", {}, {"R": RelationshipType("R", pairs)}).render()
    assert "and between 28 more pairs of labels" in told
    assert len(told.splitlines()) == 13


async def test_the_part_that_a_question_is_about_is_found_in_a_large_graph():
    noise = {
        f"Noise{n}": NodeType(f"Noise{n}", tuple(Column(f"field{i}", "STRING") for i in range(6)))
        for n in range(1_000)
    }
    large = GraphSchema("neo4j", {**noise, **SCHEMA.nodes}, SCHEMA.relationships)
    linked = await SchemaLinker(large).alink("Which person acted in the film?", max_tokens=400)
    assert {"Person", "Film", "[:ACTED_IN]"} <= set(linked.parts)
    assert count_tokens(linked.render()) <= 400
