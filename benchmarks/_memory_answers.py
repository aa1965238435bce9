"""How well a model answers questions about long conversations, in several ways to know them."""

from __future__ import annotations

import asyncio
import html
import math
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.outputs import LLMResult
from langchain_core.runnables import RunnableLambda

from benchmarks._locomo import Conversation, Question, sample, score
from benchmarks._memory_ways import WAYS, Setting, Way


class Calls(AsyncCallbackHandler):
    """The calls of the model in a run: which answer a question, and what all of them take."""

    def __init__(self, question: str | None = None) -> None:
        self.prompt: Sequence[BaseMessage] = ()
        self.prompt_tokens = 0
        self.other_tokens = 0
        self._question = question
        self._prompts: dict[UUID, Sequence[BaseMessage]] = {}

    async def on_chat_model_start(
        self, _: Any, messages: list[list[BaseMessage]], *, run_id: UUID, **options: Any
    ) -> None:
        """Keep the prompt."""
        self._prompts[run_id] = messages[0]

    async def on_llm_end(self, response: LLMResult, *, run_id: UUID, **options: Any) -> None:
        """Count the tokens."""
        prompt = self._prompts.pop(run_id)
        reply: Any = response.generations[0][0]
        usage = reply.message.usage_metadata
        read = usage["input_tokens"] if usage else count_tokens_approximately(prompt)
        written = usage["output_tokens"] if usage else count_tokens_approximately([reply.message])
        if prompt[-1].text == self._question:
            self.prompt, self.prompt_tokens = prompt, self.prompt_tokens + read
        else:
            self.other_tokens += read + written


@dataclass
class Outcome:
    """What a way did with a question; `recall` is None where the question names no evidence."""

    question: Question
    score: float = 0.0
    recall: float | None = None
    prompt_tokens: int = 0
    other_tokens: int = 0
    seconds: float = 0.0
    error: str = ""


@dataclass
class Outcomes:
    """What a way did with all conversations."""

    asked: list[Outcome] = field(default_factory=list)
    history_tokens: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def row(self, way: str) -> dict[str, Any]:
        """The figures."""
        answered = [each for each in self.asked if not each.error]
        recalls = [each.recall for each in answered if each.recall is not None]
        seconds = sorted(each.seconds for each in answered)
        figures = {
            "score": _mean([each.score for each in self.asked]),
            "token F1": _mean([each.score for each in self.asked if each.question.answerable]),
            "said unanswerable": _mean(
                [each.score for each in self.asked if not each.question.answerable]
            ),
            "evidence recall": _mean(recalls),
            "prompt tokens": _mean([each.prompt_tokens for each in answered], digits=1),
            "other tokens": _mean([each.other_tokens for each in answered], digits=1),
            "p50 s": _percentile(seconds, 0.5),
            "p95 s": _percentile(seconds, 0.95),
            "history tokens": _mean(self.history_tokens, digits=1),
            "failed steps": len(self.failures),
            "failed": len(self.asked) - len(answered),
            "questions": len(self.asked),
        }
        return {"way": way, **{name: value for name, value in figures.items() if value is not None}}

    @property
    def errors(self) -> dict[str, int]:
        """What failed, and how often."""
        return dict(Counter([*self.failures, *(each.error for each in self.asked if each.error)]))


def _mean(values: Sequence[float], *, digits: int = 3) -> float | None:
    return round(statistics.fmean(values), digits) if values else None


def _percentile(ordered: Sequence[float], share: float) -> float | None:
    """The nearest rank."""
    return round(ordered[math.ceil(share * len(ordered)) - 1], 3) if ordered else None


async def answers(
    data: Sequence[Conversation],
    model: BaseChatModel,
    *,
    budget: int,
    ways: Sequence[str] | None = None,
    questions: int | None = None,
    concurrency: int = 1,
    extract_every: int = 0,
    embeddings: str | Embeddings | None = None,
) -> tuple[list[dict[str, Any]], dict[str, dict[str, int]]]:
    """A row for each way to answer, and its errors with how often each came."""
    setting = Setting(model, budget, embeddings, extract_every)
    rows, errors = [], {}
    for name in ways or WAYS:
        outcomes = Outcomes()
        for conversation in data:
            asked = sample(conversation.questions, questions)
            way = WAYS[name](conversation, setting)
            await _asked(way, conversation, asked, outcomes, concurrency=concurrency)
        rows.append(outcomes.row(name))
        errors[name] = outcomes.errors
    return rows, errors


async def _asked(
    way: Way,
    conversation: Conversation,
    questions: Sequence[Question],
    outcomes: Outcomes,
    *,
    concurrency: int,
) -> None:
    """Have a way take a conversation in and answer questions about it."""
    history, at_once = Calls(), asyncio.Semaphore(concurrency)
    error = ""
    for exchange in conversation.exchanges():
        if error := await _failure(way.take, exchange, history):
            break
    outcomes.history_tokens.append(history.other_tokens)

    async def ask(question: Question) -> Outcome:
        async with at_once:
            return await _outcome(way, question)

    if error:
        told = f"while the conversation was taken in: {error}"
        outcomes.asked += [Outcome(question, error=told) for question in questions]
    else:
        outcomes.asked += await asyncio.gather(*map(ask, questions))
    outcomes.failures += way.failures


async def _outcome(way: Way, question: Question) -> Outcome:
    calls, said = Calls(question.text), ""

    async def answer(asked: HumanMessage) -> None:
        nonlocal said
        said = await way.answer(asked)

    started = time.perf_counter()
    error = await _failure(answer, HumanMessage(question.text), calls)
    seconds = time.perf_counter() - started
    if error:
        return Outcome(question, error=error)
    return Outcome(
        question,
        score(question, said),
        evidence_recall(question, calls.prompt),
        calls.prompt_tokens,
        calls.other_tokens,
        seconds,
    )


def evidence_recall(question: Question, prompt: Sequence[BaseMessage]) -> float | None:
    """The share of a question's evidence turns that stand in a prompt; None without evidence."""
    text = " ".join(html.unescape("\n".join(message.text for message in prompt)).split())
    reached = [turn.text in text for turn in question.evidence]
    return statistics.fmean(reached) if reached else None


async def _failure(run: Callable[[Any], Awaitable[None]], given: Any, calls: Calls) -> str:
    """Run, with its calls told; what went wrong, or nothing."""
    try:
        await RunnableLambda(run).ainvoke(given, {"callbacks": [calls]})
    except Exception as error:  # noqa: BLE001 - whatever a model or a library raises is told
        return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return ""
