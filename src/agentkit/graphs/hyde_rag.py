"""HyDE: searching for what an answer would look like instead of for the question."""

from __future__ import annotations

from typing import Any, Unpack

from langchain_core.language_models import BaseChatModel

from agentkit.graphs.rag import RagGraph, RagOptions, create_rag
from agentkit.retrieval.rewriting import HyDE


def create_hyde_rag(
    model: str | BaseChatModel | None, data: Any, *, n: int = 4, **options: Unpack[RagOptions]
) -> RagGraph:
    """`create_rag` that searches by the mean vector of the question and n hypothetical passages.

    Args:
        model: A chat model or its spec.
        data: What to search; a retriever that cannot be searched by vector is searched for the
            passages' texts instead, which an event says.
        n: How many passages are written, all at once.
        options: As `create_rag` takes them.

    Returns:
        A compiled LangGraph graph.

    Source: Gao et al., "Precise Zero-Shot Dense Retrieval without Relevance Labels", 2022.
    """
    settings: RagOptions = {"name": "hyde_rag", **options}
    return create_rag(model, data, rewrite=HyDE(n=n), search_question=False, **settings)
