"""Queries by their results: execution accuracy, as a metric and as an assertion for tests."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from agentkit._sync import run_sync
from agentkit._text import shortened
from agentkit.databases.answering import table_text
from agentkit.databases.results import QueryResult, same_result
from agentkit.errors import AgentkitError, ScoringError
from agentkit.evaluation.examples import Example
from agentkit.evaluation.metrics._reading import acceptable, returned
from agentkit.evaluation.scores import Output, Score

_SHOWN_CHARS = 1_500
_ORDER = re.compile(r"\border\s+by\b", re.IGNORECASE)


class Queried(Protocol):
    """A database of agentkit: `SQLDatabase`, `LadybugDatabase` or `Neo4jDatabase`."""

    def acheck(self, query: str) -> Awaitable[Any]:
        """The query, found to read only."""

    def arun(self, query: str) -> Awaitable[QueryResult]:
        """The rows of a query."""


@dataclass(frozen=True)
class ExecutionAccuracy:
    """Whether a graph's query returns what the reference query returns, both run anew.

    `output["query"]` is compared with `expected["query"]`, or the best of several, by the rule of
    Yu et al. (Spider, 2018) as `same_result` has it: further columns are allowed, and the order of
    rows counts where `ordered` says so. Queries go through agentkit's own check and read-only door.

    Args:
        database: The database that the graph reads.
        ordered: Whether the order of rows counts: None for where the reference query orders them
            and the expected field `ordered` does not say otherwise.
    """

    database: Queried = field(repr=False)
    ordered: bool | None = False
    name: str = "execution_accuracy"

    async def __call__(self, example: Example, output: Output) -> Score:
        """Score the query of an output.

        Raises:
            ScoringError: When there is no reference query, or it cannot be run.
        """
        wanted = acceptable(example, "query")
        query = str(returned(output, "query") or "").strip()
        if not query:
            return Score(0.0, f"No query was written. Expected: {wanted[0]}")
        try:
            actual = await _rows(self.database, query)
        except AgentkitError as error:
            return Score(0.0, f"The query fails: {error}")
        for gold in wanted:
            expected = await self._expected(gold)
            if same_result(expected, actual, ordered=self._counts_order(example, gold)):
                return Score(1.0, "The same rows.")
        return Score(0.0, _difference(await self._expected(wanted[0]), actual, wanted[0]))

    async def _expected(self, gold: str) -> QueryResult:
        try:
            return await _rows(self.database, gold)
        except AgentkitError as error:
            raise ScoringError(f"The reference query {gold!r} fails: {error}") from error

    def _counts_order(self, example: Example, gold: str) -> bool:
        if self.ordered is not None:
            return self.ordered
        return bool(example.expected.get("ordered", _ORDER.search(gold)))


def execution_accuracy(database: Queried, *, ordered: bool | None = False) -> ExecutionAccuracy:
    """Whether the graph's query returns what the reference query returns; see the class."""
    return ExecutionAccuracy(database, ordered)


def assert_same_result(
    database: Queried, query: str, gold: str | Sequence[str], *, ordered: bool = False
) -> None:
    """Assert in a test that a query returns what a reference query, or any of several, returns.

    Args:
        database: The database.
        query: The query, such as a graph's `result["query"]`.
        gold: The reference query, or queries.
        ordered: Whether the order of rows counts.

    Raises:
        AssertionError: When it returns something else; it shows both results.
        AgentkitError: When a query is refused or cannot be run.
    """
    golds = [gold] if isinstance(gold, str) else list(gold)

    async def results() -> list[QueryResult]:
        return await asyncio.gather(*(_rows(database, each) for each in [query, *golds]))

    actual, *wanted = run_sync(results)
    if not any(same_result(each, actual, ordered=ordered) for each in wanted):
        raise AssertionError(f"{query}\n{_difference(wanted[0], actual, golds[0])}")


async def _rows(database: Queried, query: str) -> QueryResult:
    checked = await database.acheck(query)
    return await database.arun(getattr(checked, "sql", None) or checked.cypher)


def _difference(expected: QueryResult, actual: QueryResult, gold: str) -> str:
    return (
        f"Expected, by {shortened(gold)}:\n{table_text(expected, max_chars=_SHOWN_CHARS)}\n"
        f"but got:\n{table_text(actual, max_chars=_SHOWN_CHARS)}"
    )
