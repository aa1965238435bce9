"""The parts of retrieval, each usable alone: index, rewriting, fusion, re-ranking, answering."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit._lazy import lazy_names

if TYPE_CHECKING:
    from agentkit.retrieval.answering import (
        NOT_IN_DOCUMENTS,
        check_answer,
        extract_answer,
        repair_answer,
        write_answer,
    )
    from agentkit.retrieval.citations import Citation, check_citations, render_documents
    from agentkit.retrieval.documents import annotate, document_id
    from agentkit.retrieval.fusion import (
        distribution_score_fusion,
        reciprocal_rank_fusion,
        relative_score_fusion,
    )
    from agentkit.retrieval.grading import new_query, relevant_documents
    from agentkit.retrieval.index import Index
    from agentkit.retrieval.ingestion import IngestReport, aingest, ingest
    from agentkit.retrieval.late_interaction import LateInteraction
    from agentkit.retrieval.reranking import (
        CompressorReranker,
        CrossEncoderReranker,
        ListwiseReranker,
        MaximalMarginalRelevance,
        PointwiseReranker,
        Reranker,
    )
    from agentkit.retrieval.rewriting import Decompose, HyDE, MultiQuery, Rewriter, StepBack
    from agentkit.retrieval.sources import Query, Source, query

__all__ = [
    "NOT_IN_DOCUMENTS",
    "Citation",
    "CompressorReranker",
    "CrossEncoderReranker",
    "Decompose",
    "HyDE",
    "Index",
    "IngestReport",
    "LateInteraction",
    "ListwiseReranker",
    "MaximalMarginalRelevance",
    "MultiQuery",
    "PointwiseReranker",
    "Query",
    "Reranker",
    "Rewriter",
    "Source",
    "StepBack",
    "aingest",
    "annotate",
    "check_answer",
    "check_citations",
    "distribution_score_fusion",
    "document_id",
    "extract_answer",
    "ingest",
    "new_query",
    "query",
    "reciprocal_rank_fusion",
    "relative_score_fusion",
    "relevant_documents",
    "render_documents",
    "repair_answer",
    "write_answer",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "NOT_IN_DOCUMENTS": "answering",
        "Citation": "citations",
        "CompressorReranker": "reranking",
        "CrossEncoderReranker": "reranking",
        "Decompose": "rewriting",
        "HyDE": "rewriting",
        "Index": "index",
        "IngestReport": "ingestion",
        "LateInteraction": "late_interaction",
        "ListwiseReranker": "reranking",
        "MaximalMarginalRelevance": "reranking",
        "MultiQuery": "rewriting",
        "PointwiseReranker": "reranking",
        "Query": "sources",
        "Reranker": "reranking",
        "Rewriter": "rewriting",
        "Source": "sources",
        "StepBack": "rewriting",
        "aingest": "ingestion",
        "annotate": "documents",
        "check_answer": "answering",
        "check_citations": "citations",
        "distribution_score_fusion": "fusion",
        "document_id": "documents",
        "extract_answer": "answering",
        "ingest": "ingestion",
        "new_query": "grading",
        "query": "sources",
        "reciprocal_rank_fusion": "fusion",
        "relative_score_fusion": "fusion",
        "relevant_documents": "grading",
        "render_documents": "citations",
        "repair_answer": "answering",
        "write_answer": "answering",
    },
)
