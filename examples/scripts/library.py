"""The graph that the scripts of this folder use: put your own in its place."""

from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langgraph.graph.state import CompiledStateGraph

from agentkit import Index, create_rag, ingest

EXAMPLES = Path(__file__).parent.parent

Graph = CompiledStateGraph[Any, Any, Any, Any]


def library_graph(
    model: str | BaseChatModel | None = None,
    *,
    index: Path = Path(".agentkit/library"),
    **options: Any,
) -> Graph:
    """Answers from the example documents; by the embedded model, where none is given.

    Args:
        model: A chat model or its spec, such as `openai:gpt-5-mini`.
        index: Where the index of the documents is kept.
        options: Those of `create_rag`.
    """
    opened = Index.open(index)
    ingest(EXAMPLES / "documents", opened)
    return create_rag(model, opened, **options)
