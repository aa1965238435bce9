"""Retrieval: are the relevant documents among those that were found, and how far in front?

The measures are those of `ir_measures` (MacAvaney et al., 2022), which TREC's evaluations use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentkit._numbers import whole_number
from agentkit.errors import ConfigurationError, MissingExtraError, ScoringError
from agentkit.evaluation.examples import Example
from agentkit.evaluation.metrics._reading import document_ids, expected
from agentkit.evaluation.scores import Output, Score

_SHOWN = 5


@dataclass(frozen=True)
class Retrieval:
    """A measure of ranked retrieval, of `output["documents"]` against `expected["documents"]`.

    What is expected are the ids of relevant documents, or a mapping from ids to grades, of which
    0 is not relevant.

    Args:
        measure: What `ir_measures` calls it: `R`, `P`, `RR`, `nDCG`, `AP` or `Success`.
        title: What reports call it.
        k: How many of the documents count; None for all.
        by: A metadata key, such as `source`, by whose values relevant documents are named in place
            of their ids, which change when files are split otherwise. A value counts once, at its
            first document.

    Raises:
        ConfigurationError: When `k` is no whole number of 1 or more, or `by` is no name.
    """

    measure: str
    title: str
    k: int | None = None
    by: str | None = None

    def __post_init__(self) -> None:
        if self.k is not None:
            whole_number("k", self.k)
        if self.by is not None and not (isinstance(self.by, str) and self.by):
            raise ConfigurationError(f"`by` is the name of a metadata key; got {self.by!r}.")

    @property
    def name(self) -> str:
        """Such as `recall@5` or `recall_by_source@5`."""
        title = f"{self.title}_by_{self.by}" if self.by else self.title
        return f"{title}@{self.k}" if self.k else title

    def __call__(self, example: Example, output: Output) -> Score:
        """Score the documents of an output.

        Raises:
            ScoringError: When there are no documents, or none that is relevant is known.
        """
        grades, found = _grades(example), document_ids(output, by=self.by)
        value = self._measured(grades, found)
        return Score(min(1.0, max(0.0, value)), _told(grades, found, self.k))

    def _measured(self, grades: Mapping[str, int], found: list[str]) -> float:
        try:
            import ir_measures
        except ImportError as error:
            raise MissingExtraError("A retrieval metric", "eval") from error
        if not found:
            return 0.0
        # as the ideal order of a measure with a cutoff ends there, all that is relevant is within
        whole = len(found) if self.measure == "P" else len(found) + len(grades)
        measure = ir_measures.parse_measure(self.measure) @ (self.k or whole)
        # scores by rank, as documents with the same score would be put in the order of their ids
        run = {name: float(len(found) - place) for place, name in enumerate(found)}
        values = ir_measures.calc_aggregate([measure], {"q": dict(grades)}, {"q": run})
        return float(values[measure])


def recall(*, k: int | None = None, by: str | None = None) -> Retrieval:
    """The share of the relevant documents that are among the first k."""
    return Retrieval("R", "recall", k, by)


def precision(*, k: int | None = None, by: str | None = None) -> Retrieval:
    """The share of the first k documents that are relevant."""
    return Retrieval("P", "precision", k, by)


def mrr(*, k: int | None = None, by: str | None = None) -> Retrieval:
    """One over the rank of the first relevant document; its mean is the mean reciprocal rank."""
    return Retrieval("RR", "mrr", k, by)


def ndcg(*, k: int | None = None, by: str | None = None) -> Retrieval:
    """Normalised discounted cumulative gain (Järvelin & Kekäläinen, 2002), as trec_eval has it."""
    return Retrieval("nDCG", "ndcg", k, by)


def average_precision(*, k: int | None = None, by: str | None = None) -> Retrieval:
    """The mean, over the relevant documents, of precision where each is found, 0 where it is not.

    Its mean over examples is MAP.
    """
    return Retrieval("AP", "average_precision", k, by)


def hit_rate(*, k: int | None = None, by: str | None = None) -> Retrieval:
    """Whether any relevant document is among the first k."""
    return Retrieval("Success", "hit_rate", k, by)


def _grades(example: Example) -> dict[str, int]:
    wanted: Any = expected(example, "documents")
    named = [wanted] if isinstance(wanted, str) else wanted
    try:
        listed = named.items() if isinstance(named, Mapping) else ((each, 1) for each in named)
        grades = {str(name): _grade(grade) for name, grade in listed}
    except (TypeError, ValueError) as error:
        raise ScoringError(
            "The expected `documents` are ids, or a mapping from ids to whole numbers; got "
            f"{wanted!r:.200}."
        ) from error
    if not any(grade > 0 for grade in grades.values()):
        raise ScoringError("No document is relevant to the example, so nothing can be measured.")
    return grades


def _grade(value: Any) -> int:
    if not float(value).is_integer():
        raise ValueError(value)
    return int(float(value))


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
