"""RAG-fusion: searching for the question in several wordings, and fusing what is found."""

from __future__ import annotations

from typing import Any, Unpack

from langchain_core.language_models import BaseChatModel

from agentkit.graphs.rag import RagGraph, RagOptions, create_rag
from agentkit.models import chat_model, most_choices
from agentkit.retrieval.reranking import ListwiseReranker
from agentkit.retrieval.rewriting import MultiQuery


def create_fusion_rag(
    model: str | BaseChatModel | None, data: Any, *, n: int = 4, **options: Unpack[RagOptions]
) -> RagGraph:
    """`create_rag` with n query variants searched at once, fused by rank, and re-ranked.

    Args:
        model: A chat model or its spec.
        data: What to search.
        n: How many variants of the question are written; the question itself is searched too.
        options: As `create_rag` takes them; `reranker` is a `ListwiseReranker` by default (none
            for the embedded model, which cannot rank), and None leaves re-ranking out.

    Returns:
        A compiled LangGraph graph.

    Source: Rackauckas, "RAG-Fusion: a New Take on Retrieval-Augmented Generation", 2024; Cormack
    et al., SIGIR 2009, for reciprocal rank fusion.
    """
    ranks = most_choices(chat_model(model)) is None
    reranker = ListwiseReranker() if ranks else None
    settings: RagOptions = {"name": "fusion_rag", "reranker": reranker, **options}
    return create_rag(model, data, rewrite=MultiQuery(n), **settings)
