"""Metrics: how well an output does on an example, without a model or by a judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit._lazy import lazy_names

if TYPE_CHECKING:
    from agentkit.evaluation.metrics.adapters import from_deepeval, from_ragas
    from agentkit.evaluation.metrics.answers import contains, exact_match, token_f1
    from agentkit.evaluation.metrics.citations import (
        CitationCorrectness,
        citation_correctness,
        citation_coverage,
    )
    from agentkit.evaluation.metrics.judges import (
        Judge,
        answer_relevance,
        context_precision,
        context_recall,
        groundedness,
        semantic_f1,
    )
    from agentkit.evaluation.metrics.labels import Agreement, aagreement, agreement
    from agentkit.evaluation.metrics.named import named_metric
    from agentkit.evaluation.metrics.queries import (
        aassert_same_result,
        assert_same_result,
        execution_accuracy,
        row_accuracy,
    )
    from agentkit.evaluation.metrics.retrieval import (
        average_precision,
        hit_rate,
        mrr,
        ndcg,
        precision,
        recall,
    )
    from agentkit.evaluation.metrics.steps import memory_recall, route_accuracy, tool_trajectory

__all__ = [
    "Agreement",
    "CitationCorrectness",
    "Judge",
    "aagreement",
    "aassert_same_result",
    "agreement",
    "answer_relevance",
    "assert_same_result",
    "average_precision",
    "citation_correctness",
    "citation_coverage",
    "contains",
    "context_precision",
    "context_recall",
    "exact_match",
    "execution_accuracy",
    "from_deepeval",
    "from_ragas",
    "groundedness",
    "hit_rate",
    "memory_recall",
    "mrr",
    "named_metric",
    "ndcg",
    "precision",
    "recall",
    "route_accuracy",
    "row_accuracy",
    "semantic_f1",
    "token_f1",
    "tool_trajectory",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Agreement": "labels",
        "CitationCorrectness": "citations",
        "Judge": "judges",
        "aagreement": "labels",
        "aassert_same_result": "queries",
        "agreement": "labels",
        "answer_relevance": "judges",
        "assert_same_result": "queries",
        "average_precision": "retrieval",
        "citation_correctness": "citations",
        "citation_coverage": "citations",
        "contains": "answers",
        "context_precision": "judges",
        "context_recall": "judges",
        "exact_match": "answers",
        "execution_accuracy": "queries",
        "from_deepeval": "adapters",
        "from_ragas": "adapters",
        "groundedness": "judges",
        "hit_rate": "retrieval",
        "memory_recall": "steps",
        "mrr": "retrieval",
        "named_metric": "named",
        "ndcg": "retrieval",
        "precision": "retrieval",
        "recall": "retrieval",
        "route_accuracy": "steps",
        "row_accuracy": "queries",
        "semantic_f1": "judges",
        "token_f1": "answers",
        "tool_trajectory": "steps",
    },
)
