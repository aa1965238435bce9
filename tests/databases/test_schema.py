"""A schema as models are shown it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.databases.schema import Column, ForeignKey, Schema, Table, count_tokens

CITY = Table(
    "city",
    (
        Column("id", "INTEGER", nullable=False, samples=("1", "2")),
        Column("name", "VARCHAR(40)", nullable=False, comment="as spoken", samples=("Bern",)),
        Column("people", "INTEGER", samples=("7", "-1.5")),
    ),
    primary_key=("id",),
    comment="where people live",
)
ORDER = Table(
    "order",
    (Column("city_id", "INTEGER"), Column("Größe m²", ""), Column("day", "DATE")),
    schema="sales",
    primary_key=("city_id", "day"),
    foreign_keys=(ForeignKey(("city_id",), "city", ("id",)),),
)
SCHEMA = Schema("postgres", {"city": CITY, "sales.order": ORDER})


def test_a_schema_is_rendered_as_ddl_with_comments_and_samples():
    assert SCHEMA.render() == (
        "CREATE TABLE city ( -- where people live\n"
        "  id INTEGER PRIMARY KEY,\n"
        "  name VARCHAR(40) NOT NULL, -- as spoken; such as 'Bern'\n"
        "  people INTEGER -- such as 7, -1.5\n"
        ");\n\n"
        'CREATE TABLE sales."order" (\n'
        "  city_id INTEGER,\n"
        '  "Größe m²",\n'
        "  day DATE,\n"
        "  PRIMARY KEY (city_id, day),\n"
        "  FOREIGN KEY (city_id) REFERENCES city (id)\n"
        ");"
    )


@pytest.mark.parametrize(
    ("dialect", "name", "quoted"),
    [
        ("sqlite", "order", '"order"'),
        ("postgres", "Name", '"Name"'),
        ("duckdb", "a b", '"a b"'),
        ("mysql", "order", "`order`"),
        ("mysql", "a`b", "`a``b`"),
        ("sqlite", 'a"b', '"a""b"'),
        ("postgres", "city", "city"),
    ],
)
def test_names_are_quoted_where_the_dialect_needs_it(dialect, name, quoted):
    assert Schema(dialect).quoted(name) == quoted


def test_a_view_is_said_to_be_one():
    view = Table("v", (Column("a", "INTEGER"),), is_view=True)
    assert Schema("sqlite", {"v": view}).render().startswith("CREATE VIEW v (")


def test_a_part_keeps_its_keys_and_loses_what_leads_out_of_it():
    part = SCHEMA.only({"city": ["name"]})
    assert [column.name for column in part.tables["city"].columns] == ["id", "name"]
    alone = SCHEMA.only({"sales.order": ["Größe m²"]}).tables["sales.order"]
    assert [column.name for column in alone.columns] == ["city_id", "Größe m²", "day"]
    assert alone.foreign_keys == ()
    assert SCHEMA.only({"city": None, "nope": None}).tables == {"city": CITY}


@given(st.text(max_size=300), st.sampled_from(["sqlite", "postgres", "mysql", "duckdb"]))
def test_hostile_text_stays_in_its_place(text, dialect):
    column = Column("a", "INTEGER", comment=text, samples=(text,))
    rendered = Schema(dialect, {"t": Table("t", (column,), comment=text)}).render()
    assert len(rendered.split("\n")) == 3
    assert rendered.splitlines() == rendered.split("\n")


def test_tokens_are_estimated_by_characters():
    assert [count_tokens(text) for text in ("", "a", "abcd", "abcde")] == [0, 1, 1, 2]
