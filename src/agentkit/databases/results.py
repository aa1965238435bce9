"""What a query returned, and whether two queries returned the same."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

from agentkit.errors import QueryError

_NINE_DIGITS, _WITHOUT_NOISE = Context(prec=9), Context(prec=14)
_NOTHING = Decimal("1e-9")
_MOST_BYTES = 20_000_000
_DAY_AND_TIME = re.compile(r"^(\d{4}-\d\d-\d\d)T(?=\d\d:)")
_MIDNIGHT = re.compile(r"(?<=^.{10}) 00:00:00(\.0+)?$")


@dataclass(frozen=True)
class QueryResult:
    """The rows of a query, as plain Python values.

    Args:
        columns: The names of the columns, in order; names may repeat.
        rows: The rows, each with a value for each column.
        truncated: Whether there were more rows than were asked for.
    """

    columns: Sequence[str]
    rows: Sequence[tuple[Any, ...]]
    truncated: bool = False


class FirstRows:
    """The first rows of a query, up to a number of rows and of bytes.

    Args:
        max_rows: How many rows to keep.
    """

    def __init__(self, max_rows: int) -> None:
        self._rows: list[tuple[Any, ...]] = []
        self._max_rows = max_rows
        self._left = _MOST_BYTES
        self._truncated = False

    def add(self, row: tuple[Any, ...]) -> bool:
        """Add a row of plain values; whether there was no room for it.

        Raises:
            QueryError: When there is no room for the first one, which would look like no rows.
        """
        self._left -= sum(map(_size, row))
        if self._left < 0 and not self._rows:
            raise QueryError(
                "The query finds rows, but the first one alone is too large to be read (more than "
                f"{_MOST_BYTES:,} bytes). Return fewer columns, or a part of a long text or list."
            )
        self._truncated = len(self._rows) == self._max_rows or self._left < 0
        if not self._truncated:
            self._rows.append(row)
        return self._truncated

    def result(self, columns: Sequence[str]) -> QueryResult:
        """The rows as a result."""
        return QueryResult(columns, self._rows, self._truncated)


def _size(value: Any) -> int:
    """About how many bytes a plain value takes."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_size, value.values()))
    return 8 + sum(map(_size, value)) if isinstance(value, list) else 8


def result_key(result: QueryResult) -> Hashable:
    """What two results have in common whose rows are the same, in any order."""
    return frozenset(Counter(tuple(map(_comparable, row)) for row in result.rows).items())


def same_result(expected: QueryResult, actual: QueryResult, *, ordered: bool = False) -> bool:
    """Whether a result holds what was expected: the rule of execution accuracy.

    The columns' names and order do not matter, and further columns are allowed: some choice of
    the actual columns must have the expected rows, as often as expected. Numbers are the same
    when they are equal to nine significant digits, whole ones when they are equal; dates are the
    same as their text.

    Args:
        expected: The result of the reference query.
        actual: The result of the query that is judged.
        ordered: Whether the rows' order matters.
    """
    if len(expected.rows) != len(actual.rows) or expected.truncated != actual.truncated:
        return False
    if not expected.rows:
        return True
    wanted = [tuple(map(_comparable, row)) for row in expected.rows]
    found = [tuple(map(_comparable, row)) for row in actual.rows]
    return _has_columns_for(wanted, found) and _columns_match(wanted, found, [], ordered=ordered)


def different_rows(
    expected: QueryResult, actual: QueryResult
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """What a reader looks at first where two results are not the same.

    Args:
        expected: The result of the reference query.
        actual: The result of the query that is judged.

    Returns:
        The expected rows that are missing, and the actual rows that were not expected, each in its
        order. Rows are compared by those of the actual columns that are nearest to the expected
        ones; of results that differ in nothing but their rows' order there are none.
    """
    if same_result(expected, actual):
        return [], []
    wanted = [tuple(map(_comparable, row)) for row in expected.rows]
    found = [tuple(map(_comparable, row)) for row in actual.rows]
    chosen = _nearest_columns(wanted, found)
    projected = [tuple(row[column] for column in chosen) for row in found]
    return _besides(expected.rows, wanted, projected), _besides(actual.rows, projected, wanted)


def _nearest_columns(
    wanted: Sequence[tuple[Hashable, ...]], found: Sequence[tuple[Hashable, ...]]
) -> list[int]:
    """For each expected column the one of the others that shares most values with it."""
    contents = [Counter(column) for column in zip(*found, strict=True)]
    left = list(range(len(contents)))
    chosen = []
    for column in zip(*wanted, strict=True):
        values = Counter(column)
        if not left:
            break
        best = max(left, key=lambda place: (values & contents[place]).total())
        left.remove(best)
        chosen.append(best)
    return chosen or left  # where none is expected, the rows are told as they are


def _besides(
    rows: Sequence[tuple[Any, ...]],
    keys: Sequence[tuple[Hashable, ...]],
    others: Sequence[tuple[Hashable, ...]],
) -> list[tuple[Any, ...]]:
    """The rows whose keys are not among others, as often as they are more."""
    left = Counter(others)
    besides = []
    for row, key in zip(rows, keys, strict=True):
        if left[key]:
            left[key] -= 1
        else:
            besides.append(row)
    return besides


def _has_columns_for(
    wanted: Sequence[tuple[Hashable, ...]], found: Sequence[tuple[Hashable, ...]]
) -> bool:
    """Whether there are enough columns that differ, of each content, to choose from at all."""
    needed, there = _kinds(wanted), _kinds(found)
    return all(number <= there[kind] for kind, number in needed.items())


def _kinds(rows: Sequence[tuple[Hashable, ...]]) -> Counter[Hashable]:
    """How many different columns have the same values, in whatever order."""
    columns = set(zip(*rows, strict=True))
    return Counter(frozenset(Counter(column).items()) for column in columns)


def _columns_match(
    wanted: Sequence[tuple[Hashable, ...]],
    found: Sequence[tuple[Hashable, ...]],
    chosen: list[int],
    *,
    ordered: bool,
) -> bool:
    """Whether the columns chosen so far can be completed, each next one by backtracking."""
    place = len(chosen)
    prefix = [row[:place] for row in wanted]
    taken = [tuple(row[column] for column in chosen) for row in found]
    if prefix != taken if ordered else Counter(prefix) != Counter(taken):
        return False
    if place == len(wanted[0]):
        return True
    values = Counter(row[place] for row in wanted)
    tried = set()
    for column in range(len(found[0])):
        content = tuple(row[column] for row in found)
        if column in chosen or content in tried or Counter(content) != values:
            continue
        tried.add(content)  # of columns that are the same, one is enough
        if _columns_match(wanted, found, [*chosen, column], ordered=ordered):
            return True
    return False


def _comparable(value: Any) -> Hashable:
    """A value by which two are compared that different drivers may have read."""
    if isinstance(value, int | float | Decimal):
        return _number(value)
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        value = value.isoformat()
    if isinstance(value, str):
        return _MIDNIGHT.sub("", _DAY_AND_TIME.sub(r"\1 ", value))
    if isinstance(value, list | tuple):
        return tuple(map(_comparable, value))
    if isinstance(value, dict):
        return frozenset((key, _comparable(item)) for key, item in value.items())
    return bytes(value) if isinstance(value, bytearray) else value


def _number(value: float | Decimal) -> Hashable:
    """Whole numbers as they are, others to nine significant digits, and none nearer 0 than 1e-9."""
    if isinstance(value, int):
        return Decimal(int(value))
    exact = Decimal(value)
    if not exact.is_finite():
        return ("not a number", str(exact))
    rounded = _NINE_DIGITS.plus(_WITHOUT_NOISE.plus(exact))  # else a float's noise breaks a tie
    if abs(rounded) < _NOTHING:
        return Decimal(0)
    return exact.to_integral_value() if exact == exact.to_integral_value() else rounded
