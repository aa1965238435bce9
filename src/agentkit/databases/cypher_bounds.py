"""How large a Cypher query may be.

No database looks at the clock while it plans a query, nor within one value. What would keep it
busy for long there is refused before: patterns and conditions in numbers that nobody writes, and
lists and texts whose length is written in the query. A length that the query computes is not seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from agentkit.databases.cypher_syntax import CypherSyntax
from agentkit.databases.cypher_words import Reading
from agentkit.errors import QueryRefusedError

MOST_ITEMS = 1_000_000
"""How long a list or text may be that a query makes."""

_MOST_RELATIONSHIPS = {"neo4j": 30, "ladybug": 12}
_MOST_NODES = 100
_MOST_CLAUSES = 100
_MOST_SUBQUERIES = 40
_MOST_SUBQUERIES_DEEP = 8
_MOST_CONDITIONS = 250
_MOST_XORS = 10
_REPEATING = ("range", "repeat")
_PADDING = ("lpad", "rpad", "apoc.text.lpad", "apoc.text.rpad")


@dataclass(frozen=True)
class _Length:
    """How long a list or text is made, and the tokens between which that counts."""

    place: int
    items: float
    within: range


def check_bounds(syntax: CypherSyntax, dialect: str) -> None:
    """Refuse a query that would take a database long where no time limit ends it.

    Raises:
        QueryRefusedError: When it is too large; it says in what.
    """
    for count, most, what in _counts(syntax, dialect):
        if count > most:
            raise QueryRefusedError(
                f"The query has {count} {what}; at most {most} are planned. Write a smaller one."
            )
    lengths = list(_lengths(syntax.reading))
    for length in lengths:
        if math.prod(each.items for each in lengths if each.place in length.within) > MOST_ITEMS:
            raise QueryRefusedError(
                f"The query makes a list or text of more than {MOST_ITEMS:,} items, and no time "
                "limit would end that. Write a shorter one."
            )


def _counts(syntax: CypherSyntax, dialect: str) -> Iterator[tuple[int, int, str]]:
    reading = syntax.reading
    words = [
        reading.word(place) for place, role in enumerate(reading.roles) if role in ("keyword", "")
    ]
    subqueries = [place for place, kind in reading.kinds.items() if kind == "query"]
    deepest = max((_depth(reading, place, subqueries) for place in subqueries), default=0)
    yield deepest, _MOST_SUBQUERIES_DEEP, "subqueries inside each other"
    yield len(subqueries), _MOST_SUBQUERIES, "subqueries"
    yield len(syntax.clauses), _MOST_CLAUSES, "clauses"
    yield len(syntax.relationships), _MOST_RELATIONSHIPS[dialect], "relationships in its patterns"
    yield len(syntax.nodes), _MOST_NODES, "nodes in its patterns"
    yield sum(word in ("AND", "OR", "XOR", "NOT") for word in words), _MOST_CONDITIONS, "conditions"
    yield words.count("XOR"), _MOST_XORS, "conditions joined by XOR"


def _depth(reading: Reading, place: int, subqueries: list[int]) -> int:
    return sum(start <= place < reading.closes[start] for start in subqueries)


def _lengths(reading: Reading) -> Iterator[_Length]:
    """The lists and texts that are made, as far as their length is written."""
    place = 0
    while place < len(reading.tokens):
        if reading.roles[place] == "function":
            end = reading.dotted_end(place)
            name = reading.dotted(place, end).lower()
            if name in _REPEATING:
                yield _Length(place, _items(reading, end + 1, name), _within(reading, place, end))
            elif name in _PADDING:
                yield _Length(place, _items(reading, end + 1, name), range(place, place + 1))
            place = end
        place += 1


def _items(reading: Reading, start: int, name: str) -> float:
    """How long what a call makes is, as far as that is written; 1 where it is not."""
    texts = [reading.text(place) for place in range(start + 1, reading.closes[start])]
    numbers = _numbers(reading, start)
    plain = [text for text in texts if text not in ("-", "+", ",")]
    if name == "range" and len(numbers) == len(plain) in (2, 3):
        first, last, *step = _signed(texts)
        return max(1.0, abs(last - first) / max(1.0, abs(step[0]) if step else 1.0))
    if "^" in texts:
        return math.inf if numbers else 1.0
    if "*" in texts:
        return max(1.0, math.prod(number for number in numbers if number))
    return max(1.0, *numbers) if numbers else 1.0


def _numbers(reading: Reading, start: int) -> list[float]:
    """The numbers written between two brackets, but for those in other brackets."""
    found, place = [], start + 1
    while place < reading.closes[start]:
        if reading.tokens[place].kind == "number":
            found.append(_number(reading.text(place)))
        place = reading.closes.get(place, place) + 1
    return found


def _signed(texts: list[str]) -> list[float]:
    """The numbers among tokens, each with its sign."""
    return [
        -_number(text) if at and texts[at - 1] == "-" else _number(text)
        for at, text in enumerate(texts)
        if text not in ("-", "+", ",")
    ]


def _number(text: str) -> float:
    folded = text.lower().replace("_", "")
    if folded[:2] in ("0x", "0o"):
        return float(int(folded, 0))
    try:
        return float(folded.rstrip("fd"))
    except ValueError:
        return math.inf


def _within(reading: Reading, place: int, end: int) -> range:
    """Where what a call makes is made again for every item of what other calls make."""
    around = [
        start
        for start, closing in reading.closes.items()
        if start < place < closing and reading.kinds.get(start) != "query"
    ]
    start = max(around, default=place)
    return range(start, reading.closes[start] if around else reading.closes[end + 1])
