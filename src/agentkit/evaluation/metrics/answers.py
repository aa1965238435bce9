"""Answers against expected ones, without a model.

Words are compared as SQuAD does (Rajpurkar et al., 2016), but in every script: case, punctuation
and typography do not count, nor do the English articles; where a script has no spaces, each
character is a word. Of several acceptable answers the best one counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from agentkit._text import shortened
from agentkit.evaluation.examples import Example
from agentkit.evaluation.metrics._reading import acceptable, answer_of
from agentkit.evaluation.scores import Output, Score
from agentkit.retrieval.citations import without_citations
from agentkit.retrieval.words import folded_words

_ARTICLES = frozenset({"a", "an", "the"})
_SHOWN = 200


@dataclass(frozen=True)
class AnswerMatch:
    """How an answer matches the nearest of the acceptable ones, `expected["answer"]`.

    Args:
        name: What reports call it.
        compare: Scores an answer against an acceptable one.
    """

    name: str
    compare: Callable[[str, str], float]

    def __call__(self, example: Example, output: Output) -> Score:
        """Score the answer of an output, whose citations do not count.

        Raises:
            ScoringError: When there is no answer, or none that is expected.
        """
        answer = answer_of(output)
        given, wanted = without_citations(answer), acceptable(example)
        value = max(self.compare(given, each) for each in wanted)
        told = f"Expected: {shortened(' / '.join(wanted), _SHOWN)}. "
        return Score(value, f"{told}Answered: {shortened(answer, _SHOWN) or 'nothing'}.")


def words_of(text: str) -> list[str]:
    """The words of a text that count; where none does, as in "A" or "+", those that there are."""
    words = all_words(text)
    return [word for word in words if word not in _ARTICLES] or words


def all_words(text: str) -> list[str]:
    """The words of a text with its articles; of one that has no words, its signs."""
    return folded_words(text).split() or text.split()


def _f1(answer: str, wanted: str) -> float:
    """The harmonic mean of precision and recall of words, each as often as it stands there."""
    given, known = words_of(answer), words_of(wanted)
    shared = sum((Counter(given) & Counter(known)).values())
    return 2 * shared / ((len(given) + len(known)) or 1)


def _is_same(answer: str, wanted: str) -> float:
    return float(words_of(answer) == words_of(wanted))


def _holds(answer: str, wanted: str) -> float:
    """Whether one stands in the other, both with articles or both without: "A" in "It is A"."""
    return float(any(_stands_in(read(wanted), read(answer)) for read in (words_of, all_words)))


def _stands_in(some: list[str], words: list[str]) -> bool:
    return f" {' '.join(some)} " in f" {' '.join(words)} "


exact_match = AnswerMatch("exact_match", _is_same)
"""Whether the answer is an acceptable one, word by word."""

token_f1 = AnswerMatch("token_f1", _f1)
"""How many words the answer shares with an acceptable one: F1 of its words."""

contains = AnswerMatch("contains", _holds)
"""Whether an acceptable answer stands in the answer, word by word."""
