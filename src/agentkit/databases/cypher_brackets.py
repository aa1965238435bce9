"""The brackets of a Cypher query: which close each other, and what those in braces hold."""

from __future__ import annotations

from collections.abc import Sequence

from agentkit.databases.cypher_tokens import Token
from agentkit.databases.cypher_words import UPDATES, Reading
from agentkit.errors import QueryError, QueryRefusedError

CLOSERS = {"(": ")", "[": "]", "{": "}"}
"""Each opening bracket with the one that closes it."""

_MAX_DEPTH = 100
_AFTER_BAR = UPDATES | {"DETACH", "NODETACH"}


def matched_brackets(tokens: Sequence[Token]) -> dict[int, int]:
    """For the place of each opening bracket, that of its partner."""
    closes: dict[int, int] = {}
    opened: list[int] = []
    for place, token in enumerate(tokens):
        if token.kind != "symbol":
            continue
        if token.text in CLOSERS:
            opened.append(place)
            if len(opened) > _MAX_DEPTH:
                raise QueryRefusedError(
                    f"The query has more than {_MAX_DEPTH} brackets inside each other. Write a "
                    "flatter one."
                )
        elif token.text in ")]}":
            if not opened or CLOSERS[tokens[opened[-1]].text] != token.text:
                raise QueryError(
                    f"The query has a {token.text} at offset {token.start} that closes nothing."
                )
            closes[opened.pop()] = place
    if opened:
        token = tokens[opened[-1]]
        raise QueryError(f"The query has a {token.text} at offset {token.start} left open.")
    return closes


def holds_map(reading: Reading, start: int) -> bool:
    """Whether braces hold a map, a projection or a quantifier, and no clause or pattern."""
    first, second = reading.text(start + 1), reading.text(start + 2)
    if first in ("}", ".", ",") or reading.tokens[start + 1].kind == "number":
        return True
    if reading.is_name(start + 1) or first.startswith("$"):
        ends = second == "}" and reading.word(start + 1) != "FINISH"
        return ends or second in (":", ",")
    return False


def bar_of(reading: Reading, start: int) -> int:
    """The place of the bar that ends the head of FOREACH or of a list comprehension, or -1.

    A bar between labels is none: `[n IN ns WHERE n:A|B | n.x]`.
    """
    foreach = reading.kinds[start] == "foreach"
    if not foreach and not _comprehends(reading, start + 1):
        return -1
    found, place = -1, start + 1
    while place < reading.closes[start]:
        if reading.text(place) == "|":
            found = place
            if foreach and reading.word(place + 1) in _AFTER_BAR:
                break
        place = reading.closes.get(place, place) + 1
    return found


def _comprehends(reading: Reading, place: int) -> bool:
    """Whether a list is built from another, or from a pattern."""
    if reading.is_name(place) and reading.text(place + 1) == "=":
        place += 2
    return reading.text(place) == "(" or (
        reading.is_name(place) and reading.word(place + 1) == "IN"
    )
