"""Answers to the parts of a question, made one: citations numbered through, numbers checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from typing_extensions import TypedDict

from agentkit.databases.answering import unsupported_numbers
from agentkit.databases.results import QueryResult
from agentkit.graphs.routes import Tried
from agentkit.retrieval.citations import cited_numbers, renumbered, without_citations


class RoutedCitation(TypedDict):
    """What the answer cites as `[number]`: the route, and what that cites itself.

    `source` is the route's own citation, with the route's own number; of a database it is the
    query; of a route that names no source it is empty.
    """

    number: int
    route: str
    source: Mapping[str, Any]


@dataclass(frozen=True)
class AnsweredParts:
    """The answers to the parts of a question, whose citations are numbered through.

    `texts` are the answers by part, `answered` is how many of them a route did answer.
    """

    questions: Sequence[str]
    texts: Sequence[str]
    citations: Sequence[RoutedCitation]
    answered: int

    @classmethod
    def of(cls, parts: Sequence[tuple[str, str, Tried | None]]) -> AnsweredParts:
        """The parts with their answers.

        Args:
            parts: Each part's question, its answer, and what a route made of it; None for no route.
        """
        texts: list[str] = []
        citations: list[RoutedCitation] = []
        answered = 0
        for question, answer, tried in parts:
            if tried is None or tried["outcome"] != "answered":
                texts.append(f"{question} {answer}")
                continue
            answered += 1
            text, cited = _numbered_from(len(citations) + 1, answer, tried)
            texts.append(text)
            citations += cited
        return cls([question for question, _, _ in parts], texts, citations, answered)

    @property
    def shown(self) -> str:
        """The parts and their answers, as the model is shown them."""
        parts = zip(self.questions, self.texts, strict=True)
        return "\n\n".join(f"{question}\n{text}" for question, text in parts)

    @property
    def joined(self) -> str:
        """The answers one after the other."""
        return "\n\n".join(self.texts)

    def check(self, answer: str, question: str) -> tuple[str, list[str]]:
        """The answer without the citations that no part has, and what else is wrong with it.

        Args:
            answer: An answer made of the parts' answers.
            question: The whole question.
        """
        known = {citation["number"] for citation in self.citations}
        cited = set(cited_numbers(answer))
        text = without_citations(answer, cited - known) if cited - known else answer
        if not text.strip():
            return text, ["The answer is empty."]
        missing = unsupported_numbers(
            without_citations(text), QueryResult([], []), question, *self.texts
        )
        problems = [f"{number} stands in no part's answer." for number in missing]
        if not cited & known:
            problems.append("No part's answer is cited.")
        return text, problems


def own_citations(tried: Tried) -> list[RoutedCitation]:
    """What a route's answer cites, each number once, in the order of the text."""
    listed = tried["output"].get("citations")
    known: dict[int, Mapping[str, Any]] = {}
    for item in listed if isinstance(listed, list) else []:
        if isinstance(item, Mapping) and "number" in item:
            known.setdefault(item["number"], item)
    return [
        {"number": number, "route": tried["route"], "source": known[number]}
        for number in cited_numbers(tried["message"].text)
        if number in known
    ]


def _numbered_from(first: int, answer: str, tried: Tried) -> tuple[str, list[RoutedCitation]]:
    """The answer and what it cites, numbered from `first`; without citations, its route."""
    own = own_citations(tried)
    if not own:
        query = tried["output"].get("query")
        source = {"query": query} if query else {}
        text = f"{without_citations(answer)} [{first}]"
        return text, [{"number": first, "route": tried["route"], "source": source}]
    numbers = {cited["number"]: first + place for place, cited in enumerate(own)}
    for cited in own:
        cited["number"] = numbers[cited["number"]]
    return renumbered(answer, numbers), own
