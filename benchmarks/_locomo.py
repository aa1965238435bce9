"""Conversations of LoCoMo (Maharana et al., 2024), their questions, and how answers are scored."""

from __future__ import annotations

import itertools
import json
import re
import statistics
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import Stemmer
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

MULTI_HOP, OPEN_DOMAIN, UNANSWERABLE = 1, 3, 5

_SESSION = re.compile(r"session_(\d+)")
_TIME = "%I:%M %p on %d %B, %Y"
_WITHOUT_MEANING = re.compile(r"\b(a|an|the|and)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_HEAD = re.compile(r"^\s*\[\d{4}-\d\d-\d\d\]( \w+:)?")
_NOT_TOLD = ("not mentioned", "no information available")


@dataclass(frozen=True)
class Turn:
    """What somebody said."""

    id: str
    speaker: str
    text: str
    time: datetime

    @property
    def line(self) -> str:
        """The turn as a prompt shows it."""
        return f"[{self.time:%Y-%m-%d}] {self.text}"


@dataclass(frozen=True)
class Question:
    """A question, its answer, and the turns that hold it."""

    text: str
    answer: str
    category: int
    evidence: Sequence[Turn]

    @property
    def answerable(self) -> bool:
        """Whether the conversation holds the answer."""
        return self.category != UNANSWERABLE


@dataclass(frozen=True)
class Exchange:
    """What one speaker said and the other replied, as a user and an assistant."""

    said: HumanMessage
    reply: AIMessage
    time: datetime


@dataclass(frozen=True)
class Conversation:
    """A conversation of two people over months, and questions about it."""

    turns: Sequence[Turn]
    questions: Sequence[Question]

    def exchanges(self) -> list[Exchange]:
        """The turns as a user's messages with their replies.

        The user is who speaks first. Turns of one speaker in a row are one message. At the end both
        say goodbye, so that no summary of the last turns is due when a question comes.
        """
        messages: list[tuple[AnyMessage, datetime]] = []
        for speaker, group in itertools.groupby(self.turns, lambda turn: turn.speaker):
            turns, number = list(group), len(messages)
            kind = HumanMessage if speaker == self.turns[0].speaker else AIMessage
            text = "\n".join(turn.line for turn in turns)
            messages.append((kind(text, id=f"said-{number}"), turns[-1].time))
        last = messages[-1][1]
        for number in range(len(messages), len(messages) + 2 + len(messages) % 2):
            kind = AIMessage if number % 2 else HumanMessage
            messages.append((kind("Goodbye.", id=f"said-{number}"), last))
        pairs = zip(messages[::2], messages[1::2], strict=True)
        return [Exchange(said, reply, time) for (said, _), (reply, time) in pairs]


def conversations(folder: Path) -> list[Conversation]:
    """The conversations of `locomo_open.json`."""
    content = json.loads((folder / "locomo_open.json").read_text(encoding="utf-8"))
    return [_conversation(each) for each in content]


def sample(questions: Sequence[Question], count: int | None) -> list[Question]:
    """So many of the questions, evenly from first to last; all of them with None."""
    count = min(len(questions), count or len(questions))
    return [questions[place * len(questions) // count] for place in range(count)]


def score(question: Question, answer: str) -> float:
    """How right an answer is, as LoCoMo's evaluation has it (section 4.1 and its code).

    Token F1 of stemmed words, as SQuAD normalises them; of a question of several parts, which
    commas part, the mean of what is best for each. An unanswerable question wants to hear so. A
    date and name before the answer, as the messages have them, do not count.
    """
    answer = _HEAD.sub("", answer)
    if not question.answerable:
        return float(any(told in answer.lower() for told in _NOT_TOLD))
    if question.category == MULTI_HOP:
        given = answer.split(",")
        parts = question.answer.split(",")
        return statistics.mean(max(token_f1(each, part) for each in given) for part in parts)
    wanted = question.answer
    if question.category == OPEN_DOMAIN:  # behind a semicolon stands why
        wanted = wanted.split(";")[0]
    return token_f1(answer, wanted)


def token_f1(given: str, wanted: str) -> float:
    """The harmonic mean of the words' precision and recall."""
    given_words, wanted_words = _words(given), _words(wanted)
    shared = sum((Counter(given_words) & Counter(wanted_words)).values())
    return 2 * shared / (len(given_words) + len(wanted_words)) if shared else 0.0


def _words(text: str) -> list[str]:
    bare = _WITHOUT_MEANING.sub(" ", text.lower().translate(_PUNCTUATION))
    stems: list[str] = Stemmer.Stemmer("porter").stemWords(bare.split())
    return stems


def _conversation(content: dict[str, Any]) -> Conversation:
    turns = [
        _turn(said, datetime.strptime(content[f"{name}_date_time"], _TIME).replace(tzinfo=UTC))
        for name, session in content.items()
        if _SESSION.fullmatch(name)
        for said in session
    ]
    by_id = {turn.id: turn for turn in turns}
    questions = [
        Question(
            asked["question"],
            str(asked.get("answer", "")),
            asked["category"],
            [by_id[each] for each in dict.fromkeys(asked["evidence"]) if each in by_id],
        )
        for asked in content["qa"]
    ]
    return Conversation(turns, questions)


def _turn(said: dict[str, Any], time: datetime) -> Turn:
    picture = f" [shows {said['blip_caption']}]" if said.get("blip_caption") else ""
    text = " ".join(f"{said['speaker']}: {said['text']}{picture}".split())
    return Turn(said["dia_id"], said["speaker"], text, time)
