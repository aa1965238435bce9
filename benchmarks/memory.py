"""Which turns of long conversations reach a prompt: is the evidence of a question among them?

The data are conversations of LoCoMo (Maharana et al., 2024): two people talk over months, and each
question names the turns that hold its answer. Every turn is remembered word by word with its time,
as `create_memory_chat` does it without a model; for each question the turns are taken, best first,
that fit into a budget of tokens. Evidence recall is the share of a question's evidence turns among
these, its mean over the questions. The peers, over the same turns and budget: the most recent
turns, and BM25 (bm25s, stemmed).
"""

import asyncio
import json
import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bm25s
import Stemmer
from langchain_core.messages import SystemMessage
from langchain_core.messages.utils import count_tokens_approximately
from langgraph.store.memory import InMemoryStore

from agentkit.memory import Memories, Memory, MemorySource
from benchmarks._report import parser, report

_SESSION = re.compile(r"session_(\d+)")
_TIME = "%I:%M %p on %d %B, %Y"
_USER = "user"
_MOST = 200


@dataclass(frozen=True)
class Turn:
    """What somebody said."""

    id: str
    text: str
    time: datetime

    @property
    def line(self) -> str:
        """The turn as a prompt shows it."""
        return f"[{self.time:%Y-%m-%d}] {self.text}"


@dataclass(frozen=True)
class Conversation:
    """A conversation, and questions with the ids of the turns that hold their answers."""

    turns: Sequence[Turn]
    questions: Sequence[tuple[str, Sequence[str]]]


def conversations(folder: Path) -> list[Conversation]:
    """The conversations of `locomo_open.json`, each with its questions that have evidence."""
    content = json.loads((folder / "locomo_open.json").read_text(encoding="utf-8"))
    return [_conversation(each) for each in content]


def _conversation(content: dict[str, Any]) -> Conversation:
    turns = [
        _turn(said, datetime.strptime(content[f"{name}_date_time"], _TIME).replace(tzinfo=UTC))
        for name, session in content.items()
        if _SESSION.fullmatch(name)
        for said in session
    ]
    known = {turn.id for turn in turns}
    questions = [
        (asked["question"], [each for each in asked["evidence"] if each in known])
        for asked in content["qa"]
    ]
    return Conversation(turns, [each for each in questions if each[1]])


def _turn(said: dict[str, Any], time: datetime) -> Turn:
    picture = f" [shows {said['blip_caption']}]" if said.get("blip_caption") else ""
    return Turn(said["dia_id"], f"{said['speaker']}: {said['text']}{picture}", time)


def within(turns: Sequence[Turn], budget: int) -> set[str]:
    """The ids of the first turns that fit into a budget of tokens."""
    fitting: set[str] = set()
    for turn in turns:
        budget -= count_tokens_approximately([SystemMessage(turn.line)])
        if budget < 0:
            break
        fitting.add(turn.id)
    return fitting


class Recency:
    """The last turns."""

    def __init__(self, conversation: Conversation) -> None:
        self._turns = list(reversed(conversation.turns))

    async def ranked(self, _: str) -> Sequence[Turn]:
        """The turns, the last first."""
        return self._turns


class BM25:
    """The turns that share most words with the question."""

    def __init__(self, conversation: Conversation) -> None:
        self._turns = conversation.turns
        self._stemmer = Stemmer.Stemmer("english")
        self._index = bm25s.BM25()
        self._index.index(self._words([turn.line for turn in self._turns]), show_progress=False)

    async def ranked(self, question: str) -> Sequence[Turn]:
        """The turns, the best first."""
        found, _ = self._index.retrieve(self._words([question]), k=_MOST, show_progress=False)
        return [self._turns[place] for place in found[0]]

    def _words(self, texts: list[str]) -> Any:
        return bm25s.tokenize(texts, stopwords="en", stemmer=self._stemmer, show_progress=False)


class Remembered:
    """The turns that agentkit's memories find."""

    def __init__(self, conversation: Conversation, embeddings: Any) -> None:
        self._turns = {turn.id: turn for turn in conversation.turns}
        last = max(turn.time for turn in conversation.turns)
        self._memories = Memories(InMemoryStore(), embeddings, now=lambda: last)
        self._added = False

    async def ranked(self, question: str) -> Sequence[Turn]:
        """The turns, the best first."""
        if not self._added:
            await self._memories.aadd(_USER, [_memory(turn) for turn in self._turns.values()])
            self._added = True
        found = await self._memories.asearch(_USER, question, limit=_MOST)
        return [self._turns[memory.id] for memory in found]


def _memory(turn: Turn) -> Memory:
    source = MemorySource(thread=turn.id.split(":")[0], message=turn.id, time=turn.time)
    return Memory(id=turn.id, kind="turn", text=turn.text, source=source, valid_from=turn.time)


async def measure(
    given: Sequence[Conversation], *, budget: int, embeddings: Any = "local"
) -> list[dict[str, Any]]:
    """Evidence recall and milliseconds a question, for each way to choose turns."""
    ways: dict[str, Any] = {
        "most recent": Recency,
        "BM25 (bm25s)": BM25,
        "agentkit": lambda each: Remembered(each, embeddings),
    }
    rows = []
    for name, make in ways.items():
        recalls, seconds = [], []
        for conversation in given:
            way = make(conversation)
            await way.ranked("warm up")
            for question, evidence in conversation.questions:
                started = time.perf_counter()
                chosen = within(await way.ranked(question), budget)
                seconds.append(time.perf_counter() - started)
                recalls.append(len(chosen & set(evidence)) / len(set(evidence)))
        rows.append(
            {
                "turns": name,
                "evidence recall": round(statistics.mean(recalls), 3),
                "all evidence": round(statistics.mean(each == 1 for each in recalls), 3),
                "ms": round(statistics.median(seconds) * 1e3, 1),
            }
        )
    return rows


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--data", type=Path, required=True, help="the folder of the data")
    options.add_argument("--budget", type=int, default=2_000, help="tokens of turns")
    given = options.parse_args()
    data = conversations(given.data)
    rows = asyncio.run(measure(data, budget=given.budget))
    settings = {
        "budget": given.budget,
        "turns": sum(len(each.turns) for each in data),
        "questions": sum(len(each.questions) for each in data),
    }
    report("evidence in the prompt", rows, settings=settings, json_file=given.json)


if __name__ == "__main__":
    main()
