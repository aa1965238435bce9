"""Queries by their results: execution accuracy, as a metric and as an assertion for tests."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from agentkit._sync import run_sync
from agentkit._text import shortened
from agentkit.databases.answering import cell_text
from agentkit.databases.results import QueryResult, different_rows, same_result
from agentkit.errors import AgentkitError, ConfigurationError, DatabaseError, ScoringError
from agentkit.evaluation.examples import Example
from agentkit.evaluation.metrics._reading import acceptable, expected, returned
from agentkit.evaluation.scores import Output, Score

_SHOWN_ROWS = 10
_ORDER = re.compile(r"\border\s+by\b", re.IGNORECASE)
_SAME = Score(1.0, "The same rows.")


@runtime_checkable
class Queried(Protocol):
    """A database of agentkit: `SQLDatabase`, `LadybugDatabase` or `Neo4jDatabase`."""

    def acheck(self, query: str) -> Awaitable[Any]:
        """The query, found to read only."""

    def arun(self, query: str) -> Awaitable[QueryResult]:
        """The rows of a query."""


@dataclass(frozen=True)
class ExecutionAccuracy:
    """Whether a graph's query returns what the reference query returns, both run anew.

    `output["query"]` is compared with `expected["query"]`, or the best of several, or else with
    `expected["rows"]`, by the rule of Yu et al. (Spider, 2018) as `same_result` has it: further
    columns are allowed, and the order of rows counts where `ordered` says so. Queries go through
    agentkit's own check and read-only door.

    Args:
        database: The database that the graph reads.
        ordered: Whether the order of rows counts: None for where the reference query orders them
            and the expected field `ordered` does not say otherwise.

    Raises:
        ConfigurationError: When the database is none of agentkit's.
    """

    database: Queried = field(repr=False)
    ordered: bool | None = False
    name: str = "execution_accuracy"

    def __post_init__(self) -> None:
        if not isinstance(self.database, Queried):
            raise ConfigurationError(
                "Queries are run by a SQLDatabase, a LadybugDatabase or a Neo4jDatabase; got "
                f"{self.database!r:.200}."
            )

    async def __call__(self, example: Example, output: Output) -> Score:
        """Score the query of an output.

        Raises:
            ScoringError: When there is nothing to compare with, the reference query cannot be run,
                or the database cannot be reached.
        """
        wanted = self._expected(example)
        told, first, ordered = await anext(wanted)
        query = str(returned(output, "query") or "").strip()
        if not query:
            return Score(0.0, f"No query was written. Expected: {told}.")
        try:
            actual = await _rows(self.database, query)
        except DatabaseError as error:
            raise ScoringError(f"The query could not be run: {error}") from error
        except AgentkitError as error:
            return Score(0.0, f"The query fails: {error}")
        if same_result(first, actual, ordered=ordered):
            return _SAME
        async for _, other, in_order in wanted:
            if same_result(other, actual, ordered=in_order):
                return _SAME
        return Score(0.0, _difference(first, actual, told))

    async def _expected(self, example: Example) -> AsyncIterator[tuple[str, QueryResult, bool]]:
        """What is expected: as told, its rows, and whether their order counts."""
        if "rows" in example.expected and "query" not in example.expected:
            yield "`rows`", _expected_rows(example), _counts_order(self.ordered, example)
            return
        for gold in acceptable(example, "query"):
            try:
                rows = await _rows(self.database, gold)
            except AgentkitError as error:
                raise ScoringError(f"The reference query {gold!r} fails: {error}") from error
            yield shortened(gold), rows, _counts_order(self.ordered, example, gold)


@dataclass(frozen=True)
class RowAccuracy:
    """Whether a graph returned the rows that `expected["rows"]` lists: no database is needed.

    Rows are lists of values, or mappings from columns to values; they are compared as execution
    accuracy does it.

    Args:
        ordered: Whether the order of rows counts: None for where the expected field `ordered` says
            so.
    """

    ordered: bool | None = None
    name: str = "row_accuracy"

    def __call__(self, example: Example, output: Output) -> Score:
        """Score the `rows` of an output.

        Raises:
            ScoringError: When there are no rows, or none are expected.
        """
        wanted = _expected_rows(example)
        actual = _as_result(returned(output, "rows"), "The output's `rows`")
        actual = QueryResult(actual.columns, actual.rows, bool(output.get("truncated")))
        if same_result(wanted, actual, ordered=_counts_order(self.ordered, example)):
            return _SAME
        return Score(0.0, _difference(wanted, actual, "`rows`"))


def execution_accuracy(database: Queried, *, ordered: bool | None = False) -> ExecutionAccuracy:
    """Whether the graph's query returns what the reference query returns; see the class."""
    return ExecutionAccuracy(database, ordered)


row_accuracy = RowAccuracy()
"""Whether the graph returned the expected rows."""


async def aassert_same_result(
    database: Queried, query: str, gold: str | Sequence[str], *, ordered: bool = False
) -> None:
    """Assert in a test that a query returns what a reference query, or any of several, returns.

    Args:
        database: The database.
        query: The query, such as a graph's `result["query"]`.
        gold: The reference query, or queries.
        ordered: Whether the order of rows counts.

    Raises:
        AssertionError: When it returns something else; it shows the rows that differ.
        AgentkitError: When a query is refused or cannot be run.
    """
    golds = [gold] if isinstance(gold, str) else list(gold)
    if not golds:
        raise ConfigurationError("There is no reference query to compare with.")
    results = await asyncio.gather(*(_rows(database, each) for each in [query, *golds]))
    actual, *wanted = results
    if not any(same_result(each, actual, ordered=ordered) for each in wanted):
        raise AssertionError(f"{query}\n{_difference(wanted[0], actual, shortened(golds[0]))}")


def assert_same_result(
    database: Queried, query: str, gold: str | Sequence[str], *, ordered: bool = False
) -> None:
    """The same as `aassert_same_result`, for sync tests."""
    run_sync(lambda: aassert_same_result(database, query, gold, ordered=ordered))


async def _rows(database: Queried, query: str) -> QueryResult:
    checked = await database.acheck(query)
    return await database.arun(getattr(checked, "sql", None) or checked.cypher)


def _counts_order(ordered: bool | None, example: Example, gold: str = "") -> bool:
    if ordered is not None:
        return ordered
    return bool(example.expected.get("ordered", _ORDER.search(gold)))


def _expected_rows(example: Example) -> QueryResult:
    return _as_result(expected(example, "rows"), "The expected `rows`")


def _as_result(rows: Any, told: str) -> QueryResult:
    """Rows as a result, if they are such.

    Raises:
        ScoringError: When they are not, or not all of one length.
    """
    try:
        columns = list(rows[0]) if rows and isinstance(rows[0], Mapping) else []
        listed = [_row(row, columns) for row in rows]
    except (TypeError, KeyError, IndexError) as error:
        raise ScoringError(
            f"{told} are lists of values, or mappings from columns to values; got {rows!r:.200}."
        ) from error
    if len({len(row) for row in listed}) > 1:
        raise ScoringError(f"{told} are not all of one length: {rows!r:.200}.")
    return QueryResult(columns, listed)


def _row(row: Any, columns: Sequence[str]) -> tuple[Any, ...]:
    if isinstance(row, Mapping):
        return tuple(row[column] for column in columns)
    if isinstance(row, str):
        raise TypeError(row)
    return tuple(row)


def _difference(expected: QueryResult, actual: QueryResult, gold: str) -> str:
    """Which rows are missing, and which were not expected."""
    missing, extra = different_rows(expected, actual)
    head = f"Expected {_extent(expected)}, by {gold}; got {_extent(actual)}."
    if not missing and not extra:
        return f"{head} {_out_of_order(expected, actual)}"
    names = [" | ".join(actual.columns or expected.columns)]
    told = [*_listed("-", missing), *_listed("+", extra)]
    return "\n".join([f"{head} (-: missing, +: not expected)", *filter(str.strip, names), *told])


def _out_of_order(expected: QueryResult, actual: QueryResult) -> str:
    if expected.truncated != actual.truncated:
        return "One of them is cut off at the most rows that are read."
    return (
        "The same rows, in another order. Expected first: "
        f"{_told(expected.rows[0])}; got first: {_told(actual.rows[0])}."
    )


def _extent(result: QueryResult) -> str:
    count = len(result.rows)
    more = "more than " if result.truncated else ""
    return f"{more}{count:,} row{'' if count == 1 else 's'}"


def _listed(mark: str, rows: Sequence[tuple[Any, ...]]) -> list[str]:
    lines = [f"{mark} {_told(row)}" for row in rows[:_SHOWN_ROWS]]
    left = len(rows) - len(lines)
    return [*lines, f"{mark} … and {left:,} more"] if left else lines


def _told(row: Sequence[Any]) -> str:
    return " | ".join(map(cell_text, row))
