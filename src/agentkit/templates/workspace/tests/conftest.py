"""A model that says what the tests want, so that they need no key and no network."""

import pytest

from agentkit.serving import load_graphs
from agentkit.testing import ModelServer, Reply, Script

COUNT_PRODUCTS = "SELECT COUNT(*) AS products FROM product"
COUNT_FILMS = "MATCH (f:Film) RETURN count(f) AS films"
CALCULATE = Reply(tool_calls=[{"name": "python", "args": {"code": "6 * 7"}}])
TO_DOCUMENTS = {"question": "When is tea returned?", "routes": ["documents"], "confidence": 0.9}

# what a prompt holds, and the reply to it; the first that fits
SCRIPT = (
    Script()
    .when("Reply to the user", reply="Hello Ada.")
    .when("Say which route", reply={"parts": [TO_DOCUMENTS]})
    .when("Write search queries", reply={"queries": ["time to bring tea back"]})
    .when("Order the documents", reply={"numbers": [1, 2]})
    .when("Write one short passage", reply="Tea may be brought back for some weeks.")
    .when("Write one read-only SQL", reply={"query": COUNT_PRODUCTS})
    .when("Write one read-only Cypher", reply={"query": COUNT_FILMS})
    .when("query on a graph returned", reply="There are 2 films.")
    .when("Answer the question from the rows", reply="There are 3 products.")
    .when("Answer the question", reply="Within 30 days [1].")
    .when("Result: 42", reply="It is 42 [1].")
    .when("What is 6 times 7?", reply=CALCULATE)
)


@pytest.fixture(scope="session")
def graphs():
    """The graphs of `langgraph.json`, as LangGraph's server loads them."""
    with ModelServer(SCRIPT) as server, pytest.MonkeyPatch.context() as patch:
        for name in ("AGENTKIT_INDEX", "AGENTKIT_DATABASE", "AGENTKIT_GRAPH", "NEO4J_URI"):
            patch.setenv(name, "")  # the example's data, whatever .env says
        patch.setenv("AGENTKIT_MODEL", "openai:scripted")
        patch.setenv("AGENTKIT_EMBEDDINGS", "local")
        patch.setenv("OPENAI_BASE_URL", server.base_url)
        patch.setenv("OPENAI_API_KEY", "none")
        yield {name: served.graph for name, served in load_graphs().items()}
