"""Execution accuracy, as the benchmarks of text-to-SQL and text-to-Cypher measure it."""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, SystemMessage

from agentkit.databases.results import QueryResult, same_result
from agentkit.errors import AgentkitError

ORDERS = re.compile(
    r"\b(order(ed)?|sort(ed)?|ascending|descending|alphabetical\w*)\b", re.IGNORECASE
)
ABLATIONS: dict[str, dict[str, Any]] = {
    "no value grounding": {"ground_values": False},
    "no repair": {"repair": False},
    "schema of 1,000 tokens": {"max_schema_tokens": 1_000},
    "three candidates": {"candidates": 3},
}


class Database(Protocol):
    """A database whose queries are judged by their rows."""

    @property
    def dialect(self) -> str:
        """The name of its dialect."""

    async def aschema(self) -> Any:
        """The schema."""

    async def arun(self, query: str) -> QueryResult:
        """The rows of a query."""


@dataclass
class Item:
    """A question, and the queries that answer it."""

    db: str
    question: str
    gold: Sequence[str]


@dataclass
class Outcome:
    """What one system did with one question."""

    query: str = ""
    attempts: int = 1
    seconds: float = 0
    tokens: int = 0
    right: bool = False
    runs: bool = False
    error: str = ""


@dataclass
class Setting:
    """The databases and questions."""

    databases: Mapping[str, Database]
    items: Sequence[Item]


Answers: TypeAlias = Callable[[Item], Awaitable[tuple[str, int]]]


def graph_answers(
    create: Callable[..., Any], model: BaseChatModel, databases: Mapping[str, Any], **options: Any
) -> Answers:
    """A graph of agentkit, up to its rows."""
    graphs = {
        name: create(model, database, answer="none", **options)
        for name, database in databases.items()
    }

    async def ask(item: Item) -> tuple[str, int]:
        state = await graphs[item.db].ainvoke({"question": item.question})
        return state["query"], len(state["attempts"])

    return ask


def zero_shot_answers(model: BaseChatModel, databases: Mapping[str, Any], language: str) -> Answers:
    """One call with the whole schema."""

    async def ask(item: Item) -> tuple[str, int]:
        schema = (await databases[item.db].aschema()).render()
        told = f"Write one {language} query that answers the question. Query only."
        asked = f"{schema}\n\nQuestion: {item.question}"
        reply = await model.ainvoke([SystemMessage(told), HumanMessage(asked)])
        fenced = re.search(r"```(?:\w+)?\s*(.*?)```", reply.text, re.DOTALL)
        return (fenced[1] if fenced else reply.text).strip().rstrip(";"), 1

    return ask


async def judged(ask: Answers, item: Item, setting: Setting) -> Outcome:
    """Ask one question and judge the query."""
    outcome = Outcome()
    start = time.perf_counter()
    with get_usage_metadata_callback() as usage:
        try:
            outcome.query, outcome.attempts = await ask(item)
        except Exception as error:  # noqa: BLE001 - whatever a model or an agent raises
            outcome.error = f"{type(error).__name__}: {error}"
    outcome.seconds = time.perf_counter() - start
    outcome.tokens = sum(used["total_tokens"] for used in usage.usage_metadata.values())
    if outcome.query:
        await _judge(outcome, item, setting)
    return outcome


async def _judge(outcome: Outcome, item: Item, setting: Setting) -> None:
    database = setting.databases[item.db]
    try:
        actual = await database.arun(outcome.query)
    except AgentkitError as error:
        outcome.error = str(error)
        return
    outcome.runs = True
    for query in item.gold:
        ordered = bool(ORDERS.search(item.question)) and "ORDER BY" in query.upper()
        if same_result(await database.arun(query), actual, ordered=ordered):
            outcome.right = True
            return


async def measured(
    name: str, ask: Answers, setting: Setting, *, concurrency: int
) -> dict[str, Any]:
    """A row of figures for one system over all questions."""
    at_once = asyncio.Semaphore(concurrency)

    async def one(item: Item) -> Outcome:
        async with at_once:
            return await judged(ask, item, setting)

    outcomes = await asyncio.gather(*(one(item) for item in setting.items))
    count = len(outcomes)
    return {
        "system": name,
        "execution accuracy": round(sum(o.right for o in outcomes) / count, 4),
        "executable": round(sum(o.runs for o in outcomes) / count, 4),
        "attempts": round(statistics.fmean(o.attempts for o in outcomes), 2),
        "tokens": round(statistics.fmean(o.tokens for o in outcomes)),
        "seconds": round(statistics.fmean(o.seconds for o in outcomes), 3),
        "questions": count,
    }
