"""One front door: sends a question, or its parts, to the graph that can answer it."""

from agentkit import Route, create_router, create_tool_agent
from examples.routing.routes import DESCRIPTIONS
from graphs import rag, text_to_cypher, text_to_sql
from tools import python

ANSWERS = {
    "documents": rag.graph,
    "shop": text_to_sql.graph,
    "network": text_to_cypher.graph,
    "calculator": create_tool_agent(None, python.tools, name="calculator"),
    "chat": None,
}

graph = create_router(
    None, [Route(name, ANSWERS[name], told) for name, told in DESCRIPTIONS.items()]
)
