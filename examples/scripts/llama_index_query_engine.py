"""A graph as a LlamaIndex query engine, for its routers, agents and evaluators.

It needs `pip install "agentkit-graphs[index,ingest,local]"`, with which llama-index-core comes.
Start it with a question:

    python -m examples.scripts.llama_index_query_engine "How long may I keep a book?"
"""

import sys
from collections.abc import Mapping
from typing import Any

from langchain_core.documents import Document
from llama_index.core.base.response.schema import Response
from llama_index.core.query_engine import CustomQueryEngine
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.tools import QueryEngineTool

from examples.scripts.library import Graph, library_graph


class GraphQueryEngine(CustomQueryEngine):
    """Answers by a graph that takes a `question`; its documents are the response's nodes."""

    graph: Graph

    def custom_query(self, query_str: str) -> Response:
        return response_of(self.graph.invoke({"question": query_str}))

    async def acustom_query(self, query_str: str) -> Response:
        return response_of(await self.graph.ainvoke({"question": query_str}))


def response_of(state: Mapping[str, Any]) -> Response:
    """A graph's output; what it returns beside answer and documents is the metadata."""
    beside = {k: v for k, v in state.items() if k not in ("answer", "documents", "messages")}
    nodes = [node_of(document) for document in state.get("documents") or ()]
    return Response(state["answer"], source_nodes=nodes, metadata=beside)


def node_of(document: Document) -> NodeWithScore:
    """A document with its id; the score is that of agentkit's ranking."""
    score = document.metadata.get("agentkit", {}).get("score")
    metadata = {key: value for key, value in document.metadata.items() if key != "agentkit"}
    node = TextNode(id_=document.id, text=document.page_content, metadata=metadata)
    return NodeWithScore(node=node, score=score)


def library_tool(graph: Graph) -> QueryEngineTool:
    """The graph as one of the tools among which a LlamaIndex router or agent chooses."""
    told = "Answers questions about the library: loans, opening hours, rooms and events."
    engine = GraphQueryEngine(graph=graph)
    return QueryEngineTool.from_defaults(engine, name="library", description=told)


if __name__ == "__main__":
    response = library_tool(library_graph()).query_engine.query(sys.argv[1])
    print(response)
    for found in response.source_nodes:
        print(f"  {found.node.metadata.get('source')}: {found.node.get_content()[:60]!r}")
