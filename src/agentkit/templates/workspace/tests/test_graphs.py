"""Each graph is asked a question about the example's data."""

import pytest


@pytest.mark.parametrize("name", ["rag", "hyde_rag", "fusion_rag"])
def test_documents_are_found_and_cited(graphs, name):
    result = graphs[name].invoke({"question": "How long may I return tea?"})
    assert result["answer"] == "Within 30 days [1]."
    assert result["citations"][0]["title"] == "Returns"


def test_the_database_is_asked(graphs):
    result = graphs["text_to_sql"].invoke({"question": "How many products are there?"})
    assert result["answer"] == "There are 3 products."
    assert result["rows"] == [[3]]


def test_the_graph_database_is_asked(graphs):
    result = graphs["text_to_cypher"].invoke({"question": "How many films are there?"})
    assert result["answer"] == "There are 2 films."
    assert result["rows"] == [[2]]


def test_the_agent_uses_its_tools(graphs):
    result = graphs["agent"].invoke({"question": "What is 6 times 7?"})
    assert result["answer"] == "It is 42 [1]."
    assert [call["tool"] for call in result["trace"]] == ["python"]


def test_the_conversation_replies(graphs):
    result = graphs["memory_chat"].invoke({"question": "I am Ada."})
    assert result["answer"] == "Hello Ada."


def test_the_router_asks_the_documents(graphs):
    result = graphs["router"].invoke({"question": "How long may I return tea?"})
    assert result["answer"] == "Within 30 days [1]."
    assert list(result["outputs"]) == ["documents"]
