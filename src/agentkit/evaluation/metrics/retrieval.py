"""Retrieval: are the relevant documents among those that were found, and how far in front?

The measures are those of `ir_measures` (MacAvaney et al., 2022), which TREC's evaluations use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentkit.errors import MissingExtraError, ScoringError
from agentkit.evaluation.examples import Example
from agentkit.evaluation.metrics._reading import at_least_one, document_ids, expected
from agentkit.evaluation.scores import Output, Score

_SHOWN = 5


@dataclass(frozen=True)
class Retrieval:
    """A measure of ranked retrieval, of `output["documents"]` against `expected["documents"]`.

    What is expected are the ids of relevant documents, or a mapping from ids to grades, of which
    0 is not relevant.

    Args:
        measure: What `ir_measures` calls it: `R`, `P`, `RR`, `nDCG` or `Success`.
        title: What reports call it.
        k: How many of the documents count; None for all.
    """

    measure: str
    title: str
    k: int | None = None

    def __post_init__(self) -> None:
        at_least_one("k", self.k)

    @property
    def name(self) -> str:
        """Such as `recall@5`."""
        return f"{self.title}@{self.k}" if self.k else self.title

    def __call__(self, example: Example, output: Output) -> Score:
        """Score the documents of an output.

        Raises:
            ScoringError: When there are no documents, or none that is relevant is known.
        """
        grades, found = _grades(example), document_ids(output)
        value = self._measured(grades, found)
        return Score(min(1.0, max(0.0, value)), _told(grades, found, self.k))

    def _measured(self, grades: Mapping[str, int], found: list[str]) -> float:
        try:
            import ir_measures
        except ImportError as error:
            raise MissingExtraError("A retrieval metric", "eval") from error
        if not found:
            return 0.0
        measure = ir_measures.parse_measure(self.measure) @ (self.k or len(found))
        # scores by rank, as documents with the same score would be put in the order of their ids
        run = {name: float(len(found) - place) for place, name in enumerate(found)}
        values = ir_measures.calc_aggregate([measure], {"q": dict(grades)}, {"q": run})
        return float(values[measure])


def recall(*, k: int | None = None) -> Retrieval:
    """The share of the relevant documents that are among the first k."""
    return Retrieval("R", "recall", k)


def precision(*, k: int | None = None) -> Retrieval:
    """The share of the first k documents that are relevant."""
    return Retrieval("P", "precision", k)


def mrr(*, k: int | None = None) -> Retrieval:
    """One over the rank of the first relevant document; its mean is the mean reciprocal rank."""
    return Retrieval("RR", "mrr", k)


def ndcg(*, k: int | None = None) -> Retrieval:
    """Normalised discounted cumulative gain (Järvelin & Kekäläinen, 2002), as trec_eval has it."""
    return Retrieval("nDCG", "ndcg", k)


def hit_rate(*, k: int | None = None) -> Retrieval:
    """Whether any relevant document is among the first k."""
    return Retrieval("Success", "hit_rate", k)


def _grades(example: Example) -> dict[str, int]:
    wanted: Any = expected(example, "documents")
    listed = wanted.items() if isinstance(wanted, Mapping) else ((each, 1) for each in wanted)
    try:
        grades = {str(name): int(grade) for name, grade in listed}
    except (TypeError, ValueError) as error:
        raise ScoringError(
            "The expected `documents` are ids, or a mapping from ids to whole numbers; got "
            f"{wanted!r:.200}."
        ) from error
    if not any(grade > 0 for grade in grades.values()):
        raise ScoringError("No document is relevant to the example, so nothing can be measured.")
    return grades


def _told(grades: Mapping[str, int], found: list[str], k: int | None) -> str:
    """Where the relevant documents are, in words."""
    counted = found[:k]
    relevant = [name for name, grade in grades.items() if grade > 0]
    ranks = [f"{name} at rank {counted.index(name) + 1}" for name in relevant if name in counted]
    missing = [name for name in relevant if name not in counted]
    parts = [
        f"Found {', '.join(ranks[:_SHOWN])}." if ranks else "",
        f"Not found: {', '.join(missing[:_SHOWN])}." if missing else "",
    ]
    return " ".join(filter(None, parts))
