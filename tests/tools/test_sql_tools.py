"""A database as an agent's tools."""

import pytest
from langchain.agents import create_agent

from agentkit import SQLDatabase
from agentkit.testing import Reply, Script, ScriptedChatModel
from agentkit.tools import sql_tools

SCRIPT = [
    "CREATE TABLE city (id INTEGER PRIMARY KEY, name VARCHAR(40))",
    "INSERT INTO city VALUES (1, 'Bern'), (2, 'Genève')",
    'CREATE TABLE "order" (id INTEGER, city_id INTEGER REFERENCES city (id))',
    "CREATE VIEW first_city AS SELECT name FROM city WHERE id = 1",
]


@pytest.fixture
def tools(make_database):
    made = sql_tools(make_database("sqlite", SCRIPT), max_rows=1)
    return {tool.name: tool for tool in made}


def call(tool, **arguments):
    return tool.invoke({"type": "tool_call", "id": "1", "name": tool.name, "args": arguments})


def test_tables_are_listed_with_what_they_are(tools):
    message = call(tools["list_tables"])
    assert message.content.splitlines() == [
        "city (table, 2 columns)",
        "first_city (view, 1 columns)",
        "order (table, 2 columns)",
    ]
    assert message.artifact == {"tables": ["city", "first_city", "order"]}


def test_tables_are_described_as_ddl(tools):
    message = call(tools["describe_tables"], tables=["ORDER", "city"])
    assert 'CREATE TABLE "order"' in message.content
    assert "such as 'Bern', 'Genève'" in message.content
    assert "first_city" not in message.content
    assert message.artifact == {"tables": ["order", "city"]}


def test_an_unknown_table_is_told_with_the_nearest(tools):
    message = call(tools["describe_tables"], tables=["citys"])
    assert message.status == "error"
    assert message.content == "There is no table 'citys'. Did you mean city?"


def test_a_query_returns_rows_as_text_and_as_an_artifact(tools):
    message = call(tools["query_database"], query="SELECT id, name FROM city ORDER BY id -- all")
    assert message.content == "id | name\n1 | Bern\n(the first 1 of more than 1 rows)"
    assert message.artifact == {
        "query": "SELECT id, name FROM city ORDER BY id",
        "columns": ["id", "name"],
        "rows": [[1, "Bern"]],
        "truncated": True,
        "sources": [
            {"title": "The database's rows", "query": "SELECT id, name FROM city ORDER BY id"}
        ],
    }


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("DELETE FROM city", "DELETE"),
        ("SELECT nam FROM city", "nam"),
        ("SELECT name FROM citi", "city"),
        ("", "query"),
    ],
)
def test_a_query_that_cannot_run_is_an_error_the_model_can_act_on(tools, query, told):
    message = call(tools["query_database"], query=query)
    assert message.status == "error"
    assert told in message.content


async def test_the_tools_are_async_too(tools):
    arguments = {"query": "SELECT COUNT(*) AS n FROM city"}
    assert await tools["query_database"].ainvoke(arguments) == "n\n2\n(1 row)"


def test_tools_are_described_with_the_dialect_and_typed(tools):
    assert "sqlite" in tools["query_database"].description
    assert list(tools["query_database"].args) == ["query"]


async def test_an_agent_answers_with_them(make_database):
    script = (
        Script()
        .when("(1 row)", reply="There are two cities.")
        .when(
            "How many",
            reply=Reply(
                tool_calls=[
                    {"name": "query_database", "args": {"query": "SELECT COUNT(*) FROM city"}}
                ]
            ),
        )
    )
    agent = create_agent(ScriptedChatModel(script), sql_tools(make_database("sqlite", SCRIPT)))
    state = await agent.ainvoke({"messages": [("user", "How many cities are there?")]})
    assert state["messages"][-1].text == "There are two cities."


def test_an_open_database_is_shared(make_database):
    with SQLDatabase(make_database("sqlite", SCRIPT), exclude=["order"]) as database:
        (listing, *_) = sql_tools(database)
        assert "order" not in listing.invoke({})
