"""Metrics by name, as a command line gives them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast

from agentkit._importing import named_object
from agentkit._text import did_you_mean
from agentkit.errors import ConfigurationError
from agentkit.evaluation.metrics import answers, citations, judges, queries, retrieval, steps
from agentkit.evaluation.scores import Metric

READY: Mapping[str, Metric] = {
    "exact_match": answers.exact_match,
    "token_f1": answers.token_f1,
    "contains": answers.contains,
    "citation_correctness": citations.citation_correctness,
    "citation_coverage": citations.citation_coverage,
    "route_accuracy": steps.route_accuracy,
    "row_accuracy": queries.row_accuracy,
}
"""Metrics that need nothing more."""

RANKED: Mapping[str, Callable[..., Metric]] = {
    "recall": retrieval.recall,
    "precision": retrieval.precision,
    "mrr": retrieval.mrr,
    "ndcg": retrieval.ndcg,
    "average_precision": retrieval.average_precision,
    "hit_rate": retrieval.hit_rate,
}
"""Metrics of documents, by their ids, or as `recall_by_source` by what their metadata say."""

AT_K: Mapping[str, Callable[..., Metric]] = {**RANKED, "memory_recall": steps.memory_recall}
"""Metrics that look at the first k, as `recall@5`, or at all."""

JUDGES: Mapping[str, Callable[..., Metric]] = {
    "semantic_f1": judges.semantic_f1,
    "groundedness": judges.groundedness,
    "answer_relevance": judges.answer_relevance,
    "context_precision": judges.context_precision,
    "context_recall": judges.context_recall,
}
"""Metrics that ask a model."""

_BY = "_by_"
_TOOLS = "tools_"
_EXECUTION = "execution_accuracy"


def names() -> list[str]:
    """The names of the metrics, those at k without it."""
    tools = [f"{_TOOLS}{match}" for match in steps.MATCHES]
    return sorted([*READY, *AT_K, *JUDGES, *tools, _EXECUTION])


def named_metric(spec: str, *, model: Any = None, database: Any = None) -> Metric:
    """The metric of a name, such as `token_f1`, `recall_by_source@5` or `my_module:my_metric`.

    Args:
        spec: The name, or a module and what it calls a metric.
        model: The model of a judge, or its spec.
        database: The database of `execution_accuracy`.

    Raises:
        ConfigurationError: When there is none of that name, or what it needs is missing.
    """
    name, at, k = spec.partition("@")
    if ":" in spec:
        return _imported(spec)
    title, by_key, key = name.partition(_BY)
    if name in AT_K or title in RANKED:
        if at and not k.isdecimal():
            raise ConfigurationError(f"A metric at k is {name}@5, for example; got {spec!r}.")
        named_by = {"by": key} if by_key else {}
        return AT_K[title](k=int(k) if at else None, **named_by)
    if spec in READY:
        return READY[spec]
    if spec in JUDGES:
        return JUDGES[spec](model)
    if spec.removeprefix(_TOOLS) in steps.MATCHES and spec.startswith(_TOOLS):
        return steps.tool_trajectory(cast("steps.Match", spec.removeprefix(_TOOLS)))
    if spec == _EXECUTION:
        if database is None:
            raise ConfigurationError(f"{_EXECUTION} needs the database that the queries are for.")
        return queries.execution_accuracy(database)
    hint = did_you_mean(name, names())
    raise ConfigurationError(f"There is no metric {spec!r}.{hint} Metrics: {', '.join(names())}.")


def _imported(spec: str) -> Metric:
    found = named_object(spec, "metric")
    if inspect.isclass(found):
        found = found()
    if not callable(found):
        raise ConfigurationError(f"{spec} is no metric: it cannot be called.")
    return cast("Metric", found)
