"""Fusion: one ranking of documents out of several.

A ranking is a list of documents, best first. All three methods share the same rules: a document
counts once a ranking, at its best place; documents with the same id, then documents with the same
content, are one document; the order in which the rankings are given changes nothing; and no
metadata is overwritten, a document's own or another copy's.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, Protocol, TypeAlias

from langchain_core.documents import Document

from agentkit.errors import ConfigurationError, InvalidInputError
from agentkit.retrieval.documents import annotate, document_id, score_of

FusionMethod: TypeAlias = Literal["reciprocal_rank", "relative_score", "distribution_score"]

Ranking: TypeAlias = Sequence[Document]
Shares: TypeAlias = Sequence[tuple[Document, float]]


class Fusion(Protocol):
    """A way to fuse rankings."""

    def __call__(
        self, rankings: Sequence[Ranking], *, weights: Sequence[float] | None = None
    ) -> list[Document]:
        """One ranking, best first."""


def reciprocal_rank_fusion(
    rankings: Sequence[Ranking], *, weights: Sequence[float] | None = None, k: float = 60
) -> list[Document]:
    """Fuse rankings by the sum of weight / (k + rank), ranks counted from 1.

    Args:
        rankings: Lists of documents, each best first.
        weights: One a ranking, not negative; all 1 by default.
        k: How little the first places stand out; 60 in the paper.

    Returns:
        Each document once, best first, with its `score`, `rank` and how many rankings held it
        (`found`) under the `agentkit` key of its metadata.

    Raises:
        ConfigurationError: When weights and rankings do not match, or a weight or `k` is negative
            or not finite.

    Source: Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and
    individual rank learning methods", SIGIR 2009.
    """
    if not 0 <= k < math.inf:
        raise ConfigurationError(
            f"k of reciprocal rank fusion is finite and not negative; got {k}."
        )
    return _fuse(
        rankings,
        weights,
        lambda ranking: [(document, 1 / (k + rank)) for rank, document in enumerate(ranking, 1)],
    )


def fused_keys(
    rankings: Sequence[Sequence[str]], *, weights: Sequence[float] | None = None, k: float = 60
) -> dict[str, float]:
    """Fuse rankings of keys by reciprocal rank, as `reciprocal_rank_fusion` does documents.

    Args:
        rankings: Lists of keys, each best first.
        weights: One a ranking, not negative; all 1 by default.
        k: How little the first places stand out.

    Returns:
        The score of each key, best first.

    Raises:
        ConfigurationError: As `reciprocal_rank_fusion`.
    """
    named = [[Document(key, id=key) for key in ranking] for ranking in rankings]
    fused = reciprocal_rank_fusion(named, weights=weights, k=k)
    return {str(document.id): score_of(document) or 0.0 for document in fused}


def relative_score_fusion(
    rankings: Sequence[Ranking], *, weights: Sequence[float] | None = None
) -> list[Document]:
    """Fuse rankings by the weighted sum of their scores, each ranking's scaled from 0 to 1.

    A ranking's best score counts 1 and its worst 0; where all are equal, each counts 1.

    Args:
        rankings: Lists of documents with a `score` under the `agentkit` key of their metadata.
        weights: One a ranking, not negative; all 1 by default.

    Returns:
        As `reciprocal_rank_fusion`.

    Raises:
        ConfigurationError: When weights and rankings do not match, or a weight is negative or not
            finite.
        InvalidInputError: When a document has no finite score.
    """
    return _fuse(rankings, weights, _scaled_by_range)


def distribution_score_fusion(
    rankings: Sequence[Ranking], *, weights: Sequence[float] | None = None
) -> list[Document]:
    """Fuse rankings by the weighted sum of their scores, scaled by each ranking's distribution.

    Three standard deviations below a ranking's mean score count 0, three above count 1, and
    scores beyond are cut off there; where all are equal, each counts 0.5.

    Args:
        rankings: Lists of documents with a `score` under the `agentkit` key of their metadata.
        weights: One a ranking, not negative; all 1 by default.

    Returns:
        As `reciprocal_rank_fusion`.

    Raises:
        ConfigurationError: When weights and rankings do not match, or a weight is negative or not
            finite.
        InvalidInputError: When a document has no finite score.
    """
    return _fuse(rankings, weights, _scaled_by_distribution)


FUSIONS: dict[FusionMethod, Fusion] = {
    "reciprocal_rank": reciprocal_rank_fusion,
    "relative_score": relative_score_fusion,
    "distribution_score": distribution_score_fusion,
}


def _fuse(
    rankings: Sequence[Ranking],
    weights: Sequence[float] | None,
    shares_of: Callable[[Ranking], Shares],
) -> list[Document]:
    checked = _checked_weights(rankings, weights)
    identity = _identities(document for ranking in rankings for document in ranking)
    copies: dict[str, list[Document]] = {}
    shares: dict[str, list[float]] = {}
    for ranking, weight in zip(rankings, checked, strict=True):
        for document, share in shares_of(_distinct(ranking, identity)):
            key = identity[document_id(document)]
            copies.setdefault(key, []).append(document)
            shares.setdefault(key, []).append(weight * share)
    # fsum is exact, so that the order of the rankings cannot change a score
    scores = {key: math.fsum(parts) for key, parts in shares.items()}
    order = sorted(scores, key=lambda key: (-scores[key], key))
    return [
        annotate(_shown(copies[key]), score=scores[key], rank=rank, found=len(copies[key]))
        for rank, key in enumerate(order, 1)
    ]


def _identities(documents: Iterable[Document]) -> dict[str, str]:
    """For each document id the smallest id among the documents that are one with it.

    Those with the same id are one, and those with the same content, white space aside; so are
    those that a chain of these joins.
    """
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(node: tuple[str, str]) -> tuple[str, str]:
        while (above := parent.setdefault(node, node)) != node:
            parent[node] = parent[above]
            node = parent[node]
        return node

    # rankings mostly hold the same documents, and each needs joining once
    for name, content in {(document_id(item), item.page_content): None for item in documents}:
        ends = root(("id", name)), root(("text", " ".join(content.split())))
        # the smaller one on top: an id before a text, and so the smallest id of all
        parent[max(ends)] = min(ends)
    return {name: root((kind, name))[1] for kind, name in list(parent) if kind == "id"}


def _distinct(ranking: Ranking, identity: dict[str, str]) -> list[Document]:
    first: dict[str, Document] = {}
    for document in ranking:
        first.setdefault(identity[document_id(document)], document)
    return list(first.values())


def _shown(copies: Sequence[Document]) -> Document:
    """The copy that stands for all: the same whatever order they came in."""
    return min(copies, key=lambda copy: (document_id(copy), copy.page_content, repr(copy.metadata)))


def _checked_weights(rankings: Sequence[Ranking], weights: Sequence[float] | None) -> list[float]:
    if weights is None:
        return [1.0] * len(rankings)
    if len(weights) != len(rankings):
        raise ConfigurationError(f"{len(rankings)} rankings need as many weights; got {weights}.")
    if any(not math.isfinite(weight) or weight < 0 for weight in weights):
        raise ConfigurationError(f"Weights are finite and not negative; got {list(weights)}.")
    return list(weights)


def _scaled_by_range(ranking: Ranking) -> Shares:
    scores = [_score(document) for document in ranking]
    low, high = min(scores, default=0.0), max(scores, default=0.0)
    span = high - low
    return [
        (document, (score - low) / span if span else 1.0)
        for document, score in zip(ranking, scores, strict=True)
    ]


def _scaled_by_distribution(ranking: Ranking) -> Shares:
    scores = [_score(document) for document in ranking]
    if not scores:
        return []
    deviation = statistics.pstdev(scores)
    low, span = statistics.fmean(scores) - 3 * deviation, 6 * deviation
    return [
        (document, min(1.0, max(0.0, (score - low) / span)) if span else 0.5)
        for document, score in zip(ranking, scores, strict=True)
    ]


def _score(document: Document) -> float:
    score = score_of(document)
    if score is None or not math.isfinite(score):
        has = "no score" if score is None else f"the score {score}"
        raise InvalidInputError(
            f"Document {document_id(document)!r} has {has}, and this fusion needs a finite one. "
            "Reciprocal rank fusion needs none."
        )
    return score
