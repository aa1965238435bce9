"""Citations, without a model: do they hold, and does each sentence have one?"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.documents import Document

from agentkit.errors import ScoringError
from agentkit.evaluation.examples import Example
from agentkit.evaluation.metrics._reading import answer_of, documents_of
from agentkit.evaluation.scores import Output, Score
from agentkit.retrieval.answering import says_not_in_documents
from agentkit.retrieval.citations import (
    cited_numbers,
    judge_citations,
    stands_in,
    without_citations,
)
from agentkit.retrieval.documents import document_id
from agentkit.retrieval.extraction import FEWEST_WORDS, sentences_of
from agentkit.retrieval.words import folded_words

_SHOWN = 3
_AFTER_THE_STOP = re.compile(
    r"(?<![.!?…。！？])([.!?…。！？]+[\"”’»」』)]*)((?:\s*\[\d[\d,;\s]*\])+)"
)
_CLAIMS_NOTHING = Score(1.0, "The answer says that the documents do not hold it.")


@dataclass(frozen=True)
class CitationCorrectness:
    """The share of an answer's citations that hold: each points to a document that is there.

    A quotation in a citation's own sentence must stand in that document, word by word. Where the
    output has `citations`, each must be one of the answer's, name the id of its document, and quote
    what stands there.

    Args:
        quotes: Whether each citation must follow a quotation.
    """

    quotes: bool = False
    name: str = "citation_correctness"

    def __call__(self, example: Example, output: Output) -> Score:  # noqa: ARG002 - a metric's form
        """Score the citations of an answer; one without any scores 0, unless it claims nothing.

        Raises:
            ScoringError: When there is no answer, there are no documents, or `citations` are others
                than those of `create_rag`.
        """
        answer, documents = answer_of(output), documents_of(output)
        if says_not_in_documents(answer):
            return _CLAIMS_NOTHING
        problems = {
            (each.number, each.start, each.end): each.problem
            for each in judge_citations(answer, documents, quotes=self.quotes)
        }
        for told in output.get("citations") or ():
            place = _place(told)
            missing = f"The citation [{place[0]}] does not stand in the answer where it is said to."
            problems[place] = problems.get(place, missing) or _problem(told, documents)
        if not problems:
            return Score(0.0, "No document is cited.")
        wrong = list(filter(None, problems.values()))
        told = " ".join(list(dict.fromkeys(wrong))[:_SHOWN])
        return Score(1 - len(wrong) / len(problems), told or "Every citation holds.")


@dataclass(frozen=True)
class CitationCoverage:
    """The share of an answer's sentences that have a citation.

    Sentences of less than three words without one, such as "Yes.", count only where there are no
    others.
    """

    name: str = "citation_coverage"

    def __call__(self, example: Example, output: Output) -> Score:  # noqa: ARG002 - a metric's form
        """Score the sentences of an answer."""
        answer = answer_of(output)
        if says_not_in_documents(answer):
            return _CLAIMS_NOTHING
        within = _AFTER_THE_STOP.sub(r"\2\1", answer)
        found = sentences_of([Document(within)], fewest_words=1)
        every = [each.text for each in found if _words_said(each.text)]
        sentences = list(filter(_counts, every)) or every
        bare = [sentence for sentence in sentences if not cited_numbers(sentence)]
        if not sentences:
            return Score(0.0, "The answer has no sentence.")
        told = f"Without a citation: {' '.join(bare[:_SHOWN])}" if bare else "Every sentence cites."
        return Score(1 - len(bare) / len(sentences), told)


citation_correctness = CitationCorrectness()
"""The share of citations that hold; `CitationCorrectness(quotes=True)` asks for quotations."""

citation_coverage = CitationCoverage()
"""The share of sentences with a citation."""


def _place(told: Any) -> tuple[int, int, int]:
    """Which of the answer's citations one of the output's is."""
    try:
        return told["number"], told["start"], told["end"]
    except (TypeError, KeyError) as error:
        raise ScoringError(
            "`citations` are mappings with `number`, `start`, `end`, `document_id` and `quote`, as "
            f"those of `create_rag`; got {told!r:.200}."
        ) from error


def _problem(told: Mapping[str, Any], documents: Sequence[Document]) -> str:
    """What is wrong with one of the output's citations, whose document is there."""
    number, quote = told["number"], told.get("quote")
    document = documents[number - 1]
    if told.get("document_id") != document_id(document):
        return f"[{number}] names the document {told.get('document_id')!r}, which is another."
    if quote and not stands_in(quote, document):
        return f'"{quote}" does not stand in document [{number}].'
    return ""


def _counts(sentence: str) -> bool:
    """Whether a sentence has a citation, or is long enough that it should."""
    return bool(cited_numbers(sentence)) or _words_said(sentence) >= FEWEST_WORDS


def _words_said(sentence: str) -> int:
    """How many words a sentence has beside its citations."""
    return len(folded_words(without_citations(sentence)).split())
