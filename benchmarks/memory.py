"""Which turns of long conversations reach a prompt, and how well a model answers from them.

The data are conversations of LoCoMo (Maharana et al., 2024): two people talk over months, and each
question names the turns that hold its answer.

Without a model: every turn is remembered word by word with its time, as `create_memory_chat` does
it, and for each question the turns are taken, best first, that fit into a budget of tokens.
Evidence recall is the share of a question's evidence turns among these, its mean over the
questions. The peers, over the same turns and budget: the most recent turns, and BM25 (bm25s,
stemmed).

With `--model` the questions are answered, by the same model in four ways: with the full history in
the prompt; by `create_memory_chat` with a store; by LangChain's agent with
`SummarizationMiddleware`; and with langmem's `asummarize_messages`. Each takes the conversation in
once, exchange by exchange, the one speaker as the user and the other as the assistant; then each
question is asked of what it knew at the end, apart from the others. The columns:

- score: token F1 as LoCoMo has it, and of an unanswerable question whether it is said to be so; of
  all questions, where one that failed has 0. Beside it the mean of each kind by itself.
- evidence recall: the share of a question's evidence turns that stand word by word in the prompt.
- prompt tokens: of the call that answers; other tokens: of the other calls for the question, such
  as for a summary that is due.
- p50 s, p95 s: seconds of a question. They hold what waits for other questions, where
  `--concurrency` is more than 1.
- history tokens: of all calls while a conversation is taken in, prompts and replies: summaries,
  and with `--extract-every` what agentkit finds worth remembering.
- failed steps: what was gone on without; failed: questions that have no answer, because of an
  error then or while the conversation was taken in.

Tokens are those that the model reports, or else estimated. Recall, tokens and seconds are of the
questions that were answered.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bm25s
import Stemmer
from langchain_core.messages import SystemMessage
from langchain_core.messages.utils import count_tokens_approximately
from langgraph.store.memory import InMemoryStore

from agentkit import chat_model
from agentkit.memory import Memories, Memory, MemorySource
from benchmarks._locomo import Conversation, Turn, conversations
from benchmarks._memory_answers import answers
from benchmarks._memory_ways import WAYS
from benchmarks._report import parser, report

_USER = "user"
_MOST = 200


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
        most = min(_MOST, len(self._turns))
        found, _ = self._index.retrieve(self._words([question]), k=most, show_progress=False)
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
            for question in filter(lambda asked: asked.evidence, conversation.questions):
                started = time.perf_counter()
                chosen = within(await way.ranked(question.text), budget)
                seconds.append(time.perf_counter() - started)
                recalls.append(statistics.mean(turn.id in chosen for turn in question.evidence))
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
    options.formatter_class = argparse.RawDescriptionHelpFormatter
    options.add_argument("--data", type=Path, required=True, help="the folder of the data")
    options.add_argument("--budget", type=int, default=2_000, help="tokens of a prompt")
    options.add_argument("--model", help="a chat model that answers: provider:model, or local")
    options.add_argument("--ways", nargs="+", choices=list(WAYS), help="all by default")
    options.add_argument("--questions", type=int, help="how many of a conversation; all by default")
    options.add_argument("--concurrency", type=int, default=1, help="questions at once")
    options.add_argument("--extract-every", type=int, default=0, help="exchanges; 0 for never")
    given = options.parse_args()
    data = conversations(given.data)
    (answered if given.model else recalled)(data, given)


def recalled(data: Sequence[Conversation], given: argparse.Namespace) -> None:
    """Report recall without a model."""
    rows = asyncio.run(measure(data, budget=given.budget))
    settings = {
        "budget": given.budget,
        "turns": sum(len(each.turns) for each in data),
        "questions": sum(bool(question.evidence) for each in data for question in each.questions),
    }
    report("evidence in the prompt", rows, settings=settings, json_file=given.json)


def answered(data: Sequence[Conversation], given: argparse.Namespace) -> None:
    """Report answers, and what failed."""
    names = ("budget", "ways", "questions", "concurrency", "extract_every")
    options = {name: getattr(given, name) for name in names}
    rows, errors = asyncio.run(answers(data, chat_model(given.model), **options))
    settings = {"model": given.model, **options, "errors": errors}
    report("answers about long conversations", rows, settings=settings, json_file=given.json)
    for way, counts in errors.items():
        for error, count in counts.items():
            print(f"{way}: {count} x {error}")


if __name__ == "__main__":
    main()
