"""Answers from the rows of a query: how rows are shown, and which numbers they bear out."""

from __future__ import annotations

import datetime
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from numbers import Real
from typing import Any

from agentkit._text import shortened, well_formed
from agentkit.databases.results import QueryResult

NO_ROWS = "The database holds nothing that answers this: the query found no rows."
"""The answer where a query found no rows."""

_MOST_CELL_CHARS = 400
_SCALE_WORDS = r"%|(?:percent|k|thousand|m|million|bn|billion|trillion)\b"
_NUMBER = re.compile(
    r"(?<![^\W\d_])(?P<digits>\d+(?:[.,'’\u00a0\u202f\u2009]\d+)*)"
    rf"(?:[ \u00a0\u202f-]?(?P<scale>{_SCALE_WORDS}))?",
    re.IGNORECASE,
)
_LIST_MARK = re.compile(r"^[^\S\n]*\d{1,3}[.)](?=\s)", re.MULTILINE)
_SEPARATORS = ".,'’\u00a0\u202f\u2009"
_THOUSANDS = re.compile(rf"\d{{1,3}}(?:([{_SEPARATORS}])\d{{3}})(?:\1\d{{3}})*")
_SCALES = {
    "k": 3,
    "thousand": 3,
    "m": 6,
    "million": 6,
    "bn": 9,
    "billion": 9,
    "trillion": 12,
}


def cell_text(value: Any) -> str:
    """A value as one line of text: NULL for None, bytes in hexadecimal, nodes as in Cypher."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes | bytearray | memoryview):
        return shortened(f"0x{bytes(value).hex()}", _MOST_CELL_CHARS)
    return shortened(" ".join(well_formed(_spelled(value)).split()), _MOST_CELL_CHARS)


def _spelled(value: Any) -> str:
    """A value as text; of a graph's nodes, relationships and paths what they say, without ids."""
    if isinstance(value, list):
        return f"[{', '.join(map(_inner, value))}]"
    if not isinstance(value, dict):
        return str(value)
    if "properties" in value and ("labels" in value or "type" in value):
        names = ":".join(value.get("labels", [value.get("type")]))
        brackets = "[:{}{}]" if "type" in value else "(:{}{})"
        told = f" {_spelled(value['properties'])}" if value["properties"] else ""
        return brackets.format(names, told)
    if value.keys() == {"nodes", "relationships"}:
        return _path(value["nodes"], value["relationships"])
    return "{" + ", ".join(f"{key}: {_inner(item)}" for key, item in value.items()) + "}"


def _inner(value: Any) -> str:
    return repr(value) if isinstance(value, str) else _spelled(value)


def _path(nodes: Sequence[Any], steps: Sequence[Any]) -> str:
    told = _spelled(nodes[0]) if nodes else ""
    for node, step in zip(nodes[1:], steps, strict=False):
        leaves = step["end"] == node["id"]
        told += f"-{_spelled(step)}->" if leaves else f"<-{_spelled(step)}-"
        told += _spelled(node)
    return told


def table_text(result: QueryResult, *, max_chars: int = 8_000) -> str:
    """The rows as a table for a model to read, and how many there are.

    Args:
        result: The columns and rows.
        max_chars: How many characters of rows to show.
    """
    lines = [" | ".join(cell_text(column) for column in result.columns)]
    left = max_chars
    for row in result.rows:
        line = " | ".join(cell_text(value).replace("|", "¦") for value in row)
        left -= len(line) + 1
        if left < 0:
            break
        lines.append(line)
    return "\n".join([*lines, f"({_extent(result, shown=len(lines) - 1)})"])


def plain_answer(result: QueryResult, *, max_chars: int = 2_000) -> str:
    """The rows as an answer by themselves, without a model."""
    if not result.rows:
        return NO_ROWS
    if len(result.rows) == len(result.columns) == 1 and not result.truncated:
        return f"{result.columns[0]}: {cell_text(result.rows[0][0])}"
    return table_text(result, max_chars=max_chars)


def _extent(result: QueryResult, *, shown: int) -> str:
    count = len(result.rows)
    if result.truncated:
        return f"the first {shown:,} of more than {count:,} rows"
    if shown < count:
        return f"the first {shown:,} of {count:,} rows"
    return "1 row" if count == 1 else f"{count:,} rows"


def unsupported_numbers(answer: str, result: QueryResult, *texts: str) -> list[str]:
    """The numbers of an answer that stand neither in the rows nor in the texts.

    A number may be rounded, scaled ("1.2 million") or a percentage of what it states; the count of
    the rows is known too. Numbers that are spelled out are not looked at.

    Args:
        answer: The answer.
        result: The columns and rows.
        texts: What else may be repeated, such as the question and the query.

    Returns:
        The numbers as the answer writes them, each once.
    """
    known = sorted({abs(number) for number in _known_numbers(result, texts)})
    written = _LIST_MARK.sub(" ", answer)
    missing = [match.group() for match in _NUMBER.finditer(written) if not _is_known(match, known)]
    return list(dict.fromkeys(missing))


def _known_numbers(result: QueryResult, texts: Sequence[str]) -> Iterator[Decimal]:
    yield Decimal(len(result.rows))
    for text in (*texts, *result.columns):
        yield from _numbers_in(text)
    for row in result.rows:
        for value in row:
            yield from _numbers_of(value)


def _numbers_of(value: Any) -> Iterator[Decimal]:
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, Decimal | Real):
        number = Decimal(str(value))
        if number.is_finite():
            yield number
    elif isinstance(value, datetime.timedelta):
        seconds = Decimal(str(value.total_seconds()))
        yield from (seconds, seconds / 60, seconds / 3600, seconds / 86400)
    elif isinstance(value, dict):
        yield from _numbers_of_all(value.values())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from _numbers_of_all(value)
    elif not isinstance(value, bytes | bytearray | memoryview):
        yield from _numbers_in(str(value))


def _numbers_of_all(values: Iterable[Any]) -> Iterator[Decimal]:
    for value in values:
        yield from _numbers_of(value)


def _numbers_in(text: str) -> Iterator[Decimal]:
    for match in _NUMBER.finditer(text):
        yield from (value for value, _ in _readings(match))


def _is_known(match: re.Match[str], known: Sequence[Decimal]) -> bool:
    """Whether a known number, rounded to the written one's last place, is the written one."""
    return any(_near(value, step / 2, known) for value, step in _readings(match))


def _near(value: Decimal, tolerance: Decimal, known: Sequence[Decimal]) -> bool:
    place = bisect_left(known, value - tolerance)
    return place < len(known) and known[place] <= value + tolerance


def _readings(match: re.Match[str]) -> Iterator[tuple[Decimal, Decimal]]:
    """What a number may mean, and the unit of its last place: 1,234 has two readings."""
    digits, scale = match["digits"], (match["scale"] or "").lower()
    for whole in _as_decimals(digits):
        step = Decimal(1).scaleb(min(int(whole.as_tuple().exponent), 0))
        power = _SCALES.get(scale, 0)
        yield whole.scaleb(power), step.scaleb(power)
        if power:
            yield whole, step  # "5 m" may be metres
        if scale in ("%", "percent"):
            yield whole.scaleb(-2), step.scaleb(-2)


def _as_decimals(digits: str) -> Iterator[Decimal]:
    if _THOUSANDS.fullmatch(digits):
        yield Decimal(re.sub(rf"[{_SEPARATORS}]", "", digits))
    parts = re.split(rf"([{_SEPARATORS}])", digits)
    if len(parts) == 1:
        yield Decimal(digits)
        return
    *whole, separator, fraction = parts
    if separator in ".,":  # the last separator divides whole from fraction
        try:
            yield Decimal(f"{''.join(p for p in whole if p not in _SEPARATORS)}.{fraction}")
        except InvalidOperation:
            return
