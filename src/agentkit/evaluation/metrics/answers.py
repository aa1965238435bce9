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
        compare: Scores the words of an answer against those of an acceptable one.
    """

    name: str
    compare: Callable[[list[str], list[str]], float]

    def __call__(self, example: Example, output: Output) -> Score:
        """Score the answer of an output, whose citations do not count.

        Raises:
            ScoringError: When there is no answer, or none that is expected.
        """
        answer = answer_of(output)
        given = words_of(without_citations(answer))
        wanted = acceptable(example)
        value = max(self.compare(given, words_of(each)) for each in wanted)
        told = f"Expected: {shortened(' / '.join(wanted), _SHOWN)}. "
        return Score(value, f"{told}Answered: {shortened(answer, _SHOWN) or 'nothing'}.")


def words_of(text: str) -> list[str]:
    """The words of a text that count."""
    return [word for word in folded_words(text).split() if word not in _ARTICLES]


def f1(given: list[str], wanted: list[str]) -> float:
    """The harmonic mean of precision and recall of words, each as often as it stands there."""
    if not given or not wanted:
        return float(given == wanted)
    shared = sum((Counter(given) & Counter(wanted)).values())
    return 2 * shared / (len(given) + len(wanted))


def _is_same(given: list[str], wanted: list[str]) -> float:
    return float(given == wanted)


def _holds(given: list[str], wanted: list[str]) -> float:
    return float(f" {' '.join(wanted)} " in f" {' '.join(given)} ")


exact_match = AnswerMatch("exact_match", _is_same)
"""Whether the answer is an acceptable one, word by word."""

token_f1 = AnswerMatch("token_f1", f1)
"""How many words the answer shares with an acceptable one: F1 of its words."""

contains = AnswerMatch("contains", _holds)
"""Whether an acceptable answer stands in the answer, word by word."""
