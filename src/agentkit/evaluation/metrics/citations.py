"""Citations, without a model: do they hold, and does each sentence have one?"""

from __future__ import annotations

import re
from dataclasses import dataclass

from langchain_core.documents import Document

from agentkit.evaluation.examples import Example
from agentkit.evaluation.metrics._reading import answer_of, documents_of
from agentkit.evaluation.scores import Output, Score
from agentkit.retrieval.answering import says_not_in_documents
from agentkit.retrieval.citations import check_citations, cited_numbers
from agentkit.retrieval.extraction import sentences_of

_SHOWN = 3
_AFTER_THE_STOP = re.compile(r"([.!?…。！？]+)((?:\s*\[\d[\d,;\s]*\])+)")


@dataclass(frozen=True)
class CitationCorrectness:
    """The share of an answer's citations that hold: of a document that is there, and whose words.

    Args:
        quotes: Whether each citation must follow a quotation that stands in its document.
    """

    quotes: bool = False
    name: str = "citation_correctness"

    def __call__(self, example: Example, output: Output) -> Score:  # noqa: ARG002 - a metric's form
        """Score the citations of an answer; one without any scores 0, unless it claims nothing."""
        answer, documents = answer_of(output), documents_of(output)
        if says_not_in_documents(answer):
            return Score(1.0, "The answer says that the documents do not hold it.")
        cited = cited_numbers(answer)
        if not cited:
            return Score(0.0, "No document is cited.")
        checked = check_citations(answer, documents, quotes=self.quotes)
        held = {citation["number"] for citation in checked.citations}
        share = len(held & set(cited)) / len(set(cited))
        return Score(share, " ".join(checked.problems[:_SHOWN]) or "Every citation holds.")


@dataclass(frozen=True)
class CitationCoverage:
    """The share of an answer's sentences, of three words or more, that have a citation."""

    name: str = "citation_coverage"

    def __call__(self, example: Example, output: Output) -> Score:  # noqa: ARG002 - a metric's form
        """Score the sentences of an answer."""
        answer = answer_of(output)
        if says_not_in_documents(answer):
            return Score(1.0, "The answer says that the documents do not hold it.")
        within = _AFTER_THE_STOP.sub(r"\2\1", answer)
        sentences = [each.text for each in sentences_of([Document(within)])]
        bare = [sentence for sentence in sentences if not cited_numbers(sentence)]
        if not sentences:
            return Score(0.0, "The answer has no sentence.")
        told = f"Without a citation: {' '.join(bare[:_SHOWN])}" if bare else "Every sentence cites."
        return Score(1 - len(bare) / len(sentences), told)


citation_correctness = CitationCorrectness()
"""The share of citations that hold; `CitationCorrectness(quotes=True)` asks for quotations."""

citation_coverage = CitationCoverage()
"""The share of sentences with a citation."""
