"""A graph database as an agent's tools."""

import pytest
from langchain.agents import create_agent

from agentkit.testing import Reply, Script, ScriptedChatModel
from agentkit.tools import graph_tools
from tests.support.graphs import ladybug_path

SCRIPT = [
    "CREATE NODE TABLE City(name STRING PRIMARY KEY)",
    "CREATE NODE TABLE Country(name STRING PRIMARY KEY)",
    "CREATE REL TABLE LIES_IN(FROM City TO Country)",
    "CREATE (:City {name: 'Bern'})-[:LIES_IN]->(:Country {name: 'Switzerland'})",
    "CREATE (:City {name: 'Genève'})",
]
AGAINST = "MATCH (c:City)<-[:LIES_IN]-(l:Country) RETURN c.name AS city"


@pytest.fixture
def tools(tmp_path):
    made = graph_tools(ladybug_path(tmp_path, SCRIPT), max_rows=1)
    return {tool.name: tool for tool in made}


def call(tool, **arguments):
    return tool.invoke({"type": "tool_call", "id": "1", "name": tool.name, "args": arguments})


def test_the_graph_is_described(tools):
    message = call(tools["describe_graph"])
    assert "(:City)-[:LIES_IN]->(:Country) // 1 of them" in message.content
    assert "such as 'Bern', 'Genève'" in message.content
    assert message.artifact == {"parts": ["City", "Country", "[:LIES_IN]"]}


def test_a_query_returns_its_rows_as_text_and_as_data(tools):
    message = call(tools["query_graph"], query="MATCH (c:City) RETURN c.name AS city")
    assert message.content.splitlines()[:2] == ["city", "Bern"]
    assert "the first 1 of more than 1 rows" in message.content
    assert message.artifact["rows"] == [["Bern"]]
    assert message.artifact["truncated"]


def test_the_model_is_told_what_the_check_put_right(tools):
    message = call(tools["query_graph"], query=AGAINST)
    assert "Note: Turned (c:City)<-[:LIES_IN]-(l:Country)" in message.content
    assert message.artifact["query"] == AGAINST.replace("<-[:LIES_IN]-", "-[:LIES_IN]->")


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("MATCH (n) DETACH DELETE n", "DETACH DELETE is not a clause that only reads"),
        ("MATCH (c:Citi) RETURN c", "Did you mean City?"),
        ("MATCH (c:City RETURN c", ""),
        ("", "empty"),
    ],
)
def test_what_fails_is_told_to_the_model(tools, query, told):
    message = call(tools["query_graph"], query=query)
    assert message.status == "error"
    assert told in message.content


async def test_an_agent_answers_with_them(tools):
    look = Reply(tool_calls=[{"name": "describe_graph", "args": {}}])
    ask = Reply(tool_calls=[{"name": "query_graph", "args": {"query": AGAINST}}])
    script = Script().when("Bern", reply="Bern lies in Switzerland.")
    model = ScriptedChatModel(script.when("(:City)", reply=ask).when("Which city", reply=look))
    agent = create_agent(model, list(tools.values()))
    state = await agent.ainvoke({"messages": [("user", "Which city lies in Switzerland?")]})
    assert state["messages"][-1].text == "Bern lies in Switzerland."
