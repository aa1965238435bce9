"""Extraction: an answer made of whole sentences of the documents, chosen by number.

The model can only name sentences that exist, so that even a weak one cannot invent an answer.
"""

from __future__ import annotations

import asyncio
import functools
import math
import operator
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import sentencex
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from pydantic import BaseModel, Field, create_model

from agentkit.prompts import Prompt
from agentkit.retrieval.words import folded_words

NONE = "none"
"""The choice that no sentence answers the question."""

FEWEST_WORDS = 3
"""What has less words answers no question."""

_MOST_CHOSEN = 3
# the sentence splitter crashes on these, or cannot take them
_UNSPLITTABLE = re.compile(r"[^\S\n ]|[\0\ud800-\udfff]")
_BLOCK = re.compile(r"[ \t]*#[^\n]*|[^\n]+(?:\n(?![ \t]*(?:\n|[-*#|>]|\d+[.)]))[^\n]+)*")


class Sentence(NamedTuple):
    """A sentence of a document: its text, its document's number from 1, and where it starts."""

    text: str
    number: int
    start: int


class ChosenSentences(BaseModel):
    """The sentences that answer the question."""

    sentences: list[str] = Field(
        description="The numbers of the sentences that answer the question, or 'none'"
    )


EXTRACT = Prompt(
    "rag.extract",
    "Choose the sentences that answer the question, by number. Choose as few as are needed, most "
    'often one. If no sentence answers the question, choose "none".',
    {"candidates": list[str], "question": str},
    ChosenSentences,
    # a small model copies the last demo's choice: that it chooses nothing must not come last
    demos=(
        {
            "candidates": [
                "The bridge is painted every ten years.",
                "It has six arches.",
                "It was opened in 1931.",
            ],
            "question": "Who designed the bridge?",
            "sentences": [NONE],
        },
        {
            "candidates": [
                "The museum was founded in 1871.",
                "Tickets cost nine euros for adults.",
                "It is closed on Mondays.",
            ],
            "question": "How much is a ticket?",
            "sentences": ["2"],
        },
        {
            "candidates": [
                "Mix the flour with water.",
                "Let the dough rest overnight.",
                "Bake it for forty minutes.",
            ],
            "question": "How long does it bake?",
            "sentences": ["3"],
        },
        {
            "candidates": [
                "The train to the coast leaves at nine.",
                "Dogs need a ticket of their own.",
                "The first class has power sockets.",
            ],
            "question": "When does the train go?",
            "sentences": ["1"],
        },
    ),
)


def sentences_of(
    documents: Sequence[Document], *, language: str = "en", fewest_words: int = FEWEST_WORDS
) -> list[Sentence]:
    """The sentences of documents, in order.

    Args:
        documents: The documents, numbered from 1 in this order.
        language: The ISO 639 code of the language whose rules split the text.
        fewest_words: Words that a sentence has; those with less are left out.
    """
    return [
        sentence
        for number, document in enumerate(documents, 1)
        for sentence in _split(document.page_content, number, language)
        if len(folded_words(sentence.text).split()) >= fewest_words
    ]


def nearest_sentences(question: str, sentences: Sequence[Sentence], *, most: int) -> list[Sentence]:
    """The sentences that share the question's rarest words, in the documents' order.

    Args:
        question: The question.
        sentences: The sentences of the documents.
        most: How many to keep; where there are no more, all are kept.
    """
    if len(sentences) <= most:
        return list(sentences)
    stems = [_stems(sentence.text) for sentence in sentences]
    holding = Counter(stem for held in stems for stem in held)
    asked = _stems(question)

    def nearness(place: int) -> float:
        shared = asked & stems[place]
        return math.fsum(math.log(1 + len(sentences) / holding[stem]) for stem in sorted(shared))

    best = sorted(range(len(sentences)), key=lambda place: (-nearness(place), place))[:most]
    return [sentences[place] for place in sorted(best)]


async def similar_sentences(
    question: str, sentences: Sequence[Sentence], *, most: int, embeddings: Embeddings
) -> list[Sentence]:
    """The sentences whose vectors are nearest to the question's, the nearest first.

    Args:
        question: The question.
        sentences: The sentences of the documents.
        most: How many to keep.
        embeddings: LangChain embeddings; nearness is the dot product of their vectors.
    """
    if not sentences:
        return []
    asked, vectors = await asyncio.gather(
        embeddings.aembed_query(question),
        embeddings.aembed_documents([sentence.text for sentence in sentences]),
    )
    nearness = [math.fsum(map(operator.mul, asked, vector)) for vector in vectors]
    best = sorted(range(len(sentences)), key=lambda place: (-nearness[place], place))[:most]
    return [sentences[place] for place in best]


@functools.lru_cache(maxsize=128)
def choice_among(count: int) -> type[ChosenSentences]:
    """The output model whose only values are the numbers from 1 to `count` and "none"."""
    numbers: Any = Literal[(NONE, *(str(number) for number in range(1, count + 1)))]  # type: ignore[misc, unused-ignore]
    return create_model(
        "ChosenSentences",
        __base__=ChosenSentences,
        sentences=(
            list[numbers],
            Field(
                description=ChosenSentences.model_fields["sentences"].description,
                min_length=1,
                max_length=min(_MOST_CHOSEN, count),
            ),
        ),
    )


def chosen(sentences: Sequence[Sentence], choice: ChosenSentences) -> list[Sentence]:
    """The chosen sentences in the model's order, each once; empty when "none" was chosen."""
    if NONE in choice.sentences:
        return []
    return [sentences[int(number) - 1] for number in dict.fromkeys(choice.sentences)]


def _split(text: str, number: int, language: str) -> Iterator[Sentence]:
    plain = _UNSPLITTABLE.sub(" ", text)
    for part in sentencex.get_sentence_boundaries(language, plain):
        # a sentence does not go past a blank line, nor into a heading or a list item
        for block in _BLOCK.finditer(plain, part["start_index"], part["end_index"]):
            written = text[block.start() : block.end()]
            indent = len(written) - len(written.lstrip())
            yield Sentence(written.strip(), number, block.start() + indent)


def _stems(text: str) -> set[str]:
    """The words' first five letters: enough to match "refund" with "refunds"."""
    return {word[:5] for word in folded_words(text).split()}
