"""What is known about a database: examples of questions with queries, and a glossary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from langchain_core.embeddings import Embeddings

from agentkit._text import shortened
from agentkit.databases.meaning_index import MeaningIndex
from agentkit.databases.schema import count_tokens
from agentkit.databases.words_index import WordIndex
from agentkit.errors import ConfigurationError
from agentkit.retrieval.fusion import fused_keys

Examples: TypeAlias = Sequence[tuple[str, str] | Mapping[str, str]]
GlossaryLike: TypeAlias = Mapping[str, str] | Sequence[str] | str

_MOST_TOKENS = 1_500


class ExamplePicker:
    """Picks the examples that are most like a question.

    Args:
        examples: Pairs of a question and its query, or mappings with `question` and `query`.
        embeddings: LangChain embeddings of the questions, made once and kept; without any, the
            words that questions share decide.

    Raises:
        ConfigurationError: When an example is not such a pair.
    """

    def __init__(self, examples: Examples = (), *, embeddings: Embeddings | None = None) -> None:
        if isinstance(examples, str | Mapping):
            raise ConfigurationError("Examples are a list of pairs of a question and a query.")
        self._pairs = [_pair(example) for example in examples]
        fields = {place: [asked] for place, asked in self._asked().items()}
        self._words = WordIndex(fields, weights=[1])
        self._meaning = MeaningIndex(self._asked, embeddings)

    @property
    def fingerprint(self) -> str:
        """Which examples these are: for the keys of caches."""
        return repr(self._pairs)

    async def apick(self, question: str, *, k: int = 3) -> list[tuple[str, str]]:
        """The k pairs whose questions are most like this one, best first."""
        if not self._pairs or k < 1:
            return []
        by_words = self._words.search(question, k=len(self._pairs))
        by_meaning = await self._meaning.asearch(question, k=len(self._pairs))
        best = [int(place) for place in fused_keys([by_words, by_meaning])]
        others = [place for place in range(len(self._pairs)) if place not in set(best)]
        return [self._pairs[place] for place in [*best, *others][:k]]

    def _asked(self) -> dict[str, str]:
        """The examples' questions, by their places."""
        return {str(place): asked for place, (asked, _) in enumerate(self._pairs)}


class Glossary:
    """Terms, formulas and hints about a database, shown to the model with each question.

    Args:
        entries: Meanings by term, or lines of text, or one text of several lines.

    Raises:
        ConfigurationError: When the entries are of another kind.
    """

    def __init__(self, entries: GlossaryLike = ()) -> None:
        self._lines = _lines(entries)
        self._words = WordIndex(
            {str(place): [line] for place, line in enumerate(self._lines)}, weights=[1]
        )

    @property
    def fingerprint(self) -> str:
        """What it says: for the keys of caches."""
        return "\n".join(self._lines)

    def render(self, question: str, *, max_tokens: int = _MOST_TOKENS) -> str:
        """The glossary; where it is larger, the part that shares most words with the question."""
        if count_tokens("\n".join(self._lines)) <= max_tokens:
            return "\n".join(self._lines)
        kept: list[int] = []
        left = max_tokens
        for place in map(int, self._words.search(question, k=len(self._lines))):
            left -= count_tokens(self._lines[place]) + 1
            if left < 0:
                break
            kept.append(place)
        return "\n".join(self._lines[place] for place in sorted(kept))


def _pair(example: Any) -> tuple[str, str]:
    if isinstance(example, Mapping):
        example = (example.get("question"), example.get("query"))
    if (
        isinstance(example, Sequence)
        and not isinstance(example, str)
        and len(example) == 2  # noqa: PLR2004
        and all(isinstance(part, str) and part.strip() for part in example)
    ):
        return example[0].strip(), example[1].strip()
    raise ConfigurationError(
        "An example is a pair of a question and its query, or a mapping with `question` and "
        f"`query`, none of them empty; got {shortened(repr(example), 120)}."
    )


def _lines(entries: Any) -> list[str]:
    if isinstance(entries, str):
        found = entries.splitlines()
    elif isinstance(entries, Mapping):
        found = [f"{term}: {meaning}" for term, meaning in entries.items()]
    elif isinstance(entries, Sequence) and all(isinstance(entry, str) for entry in entries):
        found = list(entries)
    else:
        raise ConfigurationError(
            "A glossary is a text, a list of texts, or meanings by term; got "
            f"{type(entries).__name__}."
        )
    return [line for entry in found if (line := " ".join(entry.split()))]
