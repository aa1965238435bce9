"""Rewriting: the search queries that a question is turned into.

Each technique is a `Rewriter`: it has the prompts it asks a model with, and turns a question into
queries. Any mix of them can be given to `create_rag`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel, Field

from agentkit._sync import all_of
from agentkit.errors import ConfigurationError
from agentkit.prompts import Prompt, PromptSet
from agentkit.retrieval.sources import Query, query

MOST_QUERIES = 16
"""The most queries or passages that one technique may be asked for."""


class Rewriter(Protocol):
    """Turns a question into search queries."""

    prompts: ClassVar[Sequence[Prompt[Any]]]
    """The prompts it asks a model with."""

    async def rewrite(
        self, question: str, *, model: BaseChatModel, prompts: PromptSet | None = None
    ) -> list[Query]:
        """The queries for a question, in the order in which the model wrote them."""


class Queries(BaseModel):
    """Search queries."""

    queries: list[str] = Field(description="Search queries, each on its own")


class BroaderQuestion(BaseModel):
    """A question one step back from another."""

    broader: str = Field(description="The broader question")


class SubQuestions(BaseModel):
    """The parts of a question."""

    questions: list[str] = Field(
        description="Simple questions that stand on their own; one alone if it is simple already"
    )


MULTI_QUERY = Prompt(
    "rag.multi_query",
    "Write search queries that find passages answering the question. Each says the same need in "
    "other words: use synonyms, and the terms that a document would use. Write exactly as many "
    "as asked for. Keep names and numbers as they are. Do not answer the question.",
    {"question": str, "count": int},
    Queries,
    demos=(
        {
            "question": "How do I get my money back?",
            "count": 2,
            "queries": ["refund policy and how to request one", "return an order for repayment"],
        },
        {
            "question": "Why is the sky blue?",
            "count": 2,
            "queries": ["cause of the sky's blue colour", "Rayleigh scattering of sunlight in air"],
        },
    ),
)

HYPOTHETICAL_PASSAGE = Prompt(
    "rag.hypothetical_passage",
    "Write one short passage, of about 80 words, that answers the question as a passage of a "
    "good reference document would. State it as fact even where you are not sure: the passage "
    "is only used to search for real ones. Write the passage alone.",
    {"question": str},
    str,
)

STEP_BACK = Prompt(
    "rag.step_back",
    "Take one step back from the question: write the broader question whose answer gives the "
    "background, principle or definition that the question rests on. Do not answer it.",
    {"question": str},
    BroaderQuestion,
)

DECOMPOSE = Prompt(
    "rag.decompose",
    "Split the question into the simple questions that must be answered to answer it. Each "
    "stands on its own, with names in place of pronouns. Use as few as needed; a question that "
    "is simple already stays as it is. Do not answer them.",
    {"question": str},
    SubQuestions,
)


@dataclass(frozen=True)
class MultiQuery:
    """The question in other words, n times.

    Args:
        n: How many variants to ask for, from 1 to 16.

    Raises:
        ConfigurationError: When n is out of bounds.

    Source: Rackauckas, "RAG-Fusion: a New Take on Retrieval-Augmented Generation", 2024.
    """

    n: int = 4
    prompts: ClassVar[Sequence[Prompt[Any]]] = (MULTI_QUERY,)

    def __post_init__(self) -> None:
        _check_count(self.n)

    async def rewrite(
        self, question: str, *, model: BaseChatModel, prompts: PromptSet | None = None
    ) -> list[Query]:
        """The question in other words, each once, and at most `n` times."""
        prompt = MULTI_QUERY.using(prompts)
        written = await prompt.ainvoke(model, question=question, count=self.n)
        return distinct(query(text) for text in written.queries)[: self.n]


@dataclass(frozen=True)
class HyDE:
    """Hypothetical passages that answer the question, searched for by their mean vector.

    A source that cannot search by vector is searched for the passages' texts instead.

    Args:
        n: How many passages to write, at once, from 1 to 16. They differ only where the model's
            temperature lets them.

    Raises:
        ConfigurationError: When n is out of bounds.

    Source: Gao et al., "Precise Zero-Shot Dense Retrieval without Relevance Labels", 2022,
    section 3.2.
    """

    n: int = 4
    prompts: ClassVar[Sequence[Prompt[Any]]] = (HYPOTHETICAL_PASSAGE,)

    def __post_init__(self) -> None:
        _check_count(self.n)

    async def rewrite(
        self, question: str, *, model: BaseChatModel, prompts: PromptSet | None = None
    ) -> list[Query]:
        """One query: the question with its hypothetical passages; none if all are empty."""
        prompt = HYPOTHETICAL_PASSAGE.using(prompts)
        written = await all_of(prompt.ainvoke(model, question=question) for _ in range(self.n))
        passages = [text.strip() for text in written if text.strip()]
        return [query(question, kind="hypothetical", passages=passages)] if passages else []


@dataclass(frozen=True)
class StepBack:
    """The broader question behind the question, for its background.

    Source: Zheng et al., "Take a Step Back: Evoking Reasoning via Abstraction in Large Language
    Models", 2023.
    """

    prompts: ClassVar[Sequence[Prompt[Any]]] = (STEP_BACK,)

    async def rewrite(
        self, question: str, *, model: BaseChatModel, prompts: PromptSet | None = None
    ) -> list[Query]:
        """One query: the broader question; none when the model repeats the question."""
        written = await STEP_BACK.using(prompts).ainvoke(model, question=question)
        return distinct([query(written.broader, kind="step_back")], known=[question])


@dataclass(frozen=True)
class Decompose:
    """The simple questions that a compound one is made of, each answered, then combined.

    Args:
        most: The most sub-questions that are kept, from 1 to 16.

    Raises:
        ConfigurationError: When `most` is out of bounds.

    Source: Khot et al., "Decomposed Prompting: A Modular Approach for Solving Complex Tasks",
    2022.
    """

    most: int = 4
    prompts: ClassVar[Sequence[Prompt[Any]]] = (DECOMPOSE,)

    def __post_init__(self) -> None:
        _check_count(self.most)

    async def rewrite(
        self, question: str, *, model: BaseChatModel, prompts: PromptSet | None = None
    ) -> list[Query]:
        """A query for each sub-question; none when the question is a simple one."""
        written = await DECOMPOSE.using(prompts).ainvoke(model, question=question)
        parts = distinct(
            [query(text, kind="sub_question") for text in written.questions], known=[question]
        )
        return parts[: self.most] if len(parts) > 1 else []


def distinct(queries: Iterable[Query], *, known: Iterable[str] = ()) -> list[Query]:
    """The queries without empty ones, repeated ones and those that say what is known already.

    Two are the same when they have the same hypothetical passages and differ only in case, white
    space or the mark at their end; a sub-question, which is to be answered, stands for both. A
    query with hypothetical passages is never known already.
    """
    seen = {_normalized(text) for text in known}
    kept: dict[tuple[str, ...], Query] = {}
    for item in queries:
        text = _normalized(item["text"])
        key = (text, *item["passages"])
        if not item["passages"] and (not text or text in seen):
            continue
        repeated = kept.get(key)
        if repeated is None or (
            item["kind"] == "sub_question" and repeated["kind"] != "sub_question"
        ):
            kept[key] = item
    return list(kept.values())


def _normalized(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip("?.!？。！ ")


def _check_count(count: int) -> None:
    if not isinstance(count, int) or not 1 <= count <= MOST_QUERIES:
        raise ConfigurationError(f"Ask for 1 to {MOST_QUERIES} queries; got {count!r}.")
