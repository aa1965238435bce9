"""The texts that a property in a Cypher query must equal."""

from __future__ import annotations

from collections.abc import Callable

from agentkit.databases.cypher_words import Reading

_FOLDING = {"TOLOWER", "LOWER", "TOUPPER", "UPPER"}
_WRAPPERS: dict[str, Callable[[str], str]] = {
    "TOLOWER": str.lower,
    "LOWER": str.lower,
    "TOUPPER": str.upper,
    "UPPER": str.upper,
    "TRIM": str.strip,
    "LTRIM": str.lstrip,
    "RTRIM": str.rstrip,
}
_BEFORE = frozenset(("", "(", ",", "[", "|"))
_BEHIND = frozenset(("", ")", ",", "]", "}", "|", ";"))


def compared(reading: Reading, place: int) -> tuple[str, list[str], bool] | None:
    """What `n.name` at a place is compared with by `=` or `IN`.

    Returns:
        The operator, the texts and whether the property is folded to one case first; None where
        the comparison is another, is part of an expression, or stands behind NOT.
    """
    start, end, folds = _unwrapped(reading, place, place + 2)
    values: list[str] = []
    op, behind = "=", end + 1
    if reading.text(end + 1) == "=":
        values, behind = _text(reading, end + 2)
    elif reading.word(end + 1) == "IN":
        op = "IN"
        values, behind = _texts(reading, end + 2)
    elif reading.text(start - 1) == "=":
        start -= 2
        values, _ = _text(reading, start)
    if not values or not _begins(reading, start) or not _ends(reading, behind):
        return None
    return op, values, folds


def _unwrapped(reading: Reading, start: int, end: int) -> tuple[int, int, bool]:
    """The places of a value with the text functions around it; whether they fold its case."""
    folds = False
    while (
        reading.text(start - 1) == "("
        and reading.word(start - 2) in _WRAPPERS
        and reading.text(end + 1) == ")"
    ):
        folds = folds or reading.word(start - 2) in _FOLDING
        start, end = start - 2, end + 1
    return start, end, folds


def _text(reading: Reading, place: int) -> tuple[list[str], int]:
    """The text at a place, as the functions around it make it, and the place behind them."""
    functions: list[str] = []
    while reading.word(place) in _WRAPPERS and reading.text(place + 1) == "(":
        functions.append(reading.word(place))
        place += 2
    if place >= len(reading.tokens) or reading.tokens[place].kind != "string":
        return [], place
    value = reading.tokens[place].value
    for function in reversed(functions):
        value = _WRAPPERS[function](value)
    return [value], place + len(functions) + 1


def _texts(reading: Reading, place: int) -> tuple[list[str], int]:
    """The texts of a list that holds nothing else."""
    if reading.text(place) != "[":
        return [], place
    end = reading.closes[place]
    inner = reading.tokens[place + 1 : end]
    plain = all(token.kind == "string" for token in inner[::2])
    commas = all(token.text == "," for token in inner[1::2])
    return [token.value for token in inner[::2]] if plain and commas else [], end + 1


def _begins(reading: Reading, place: int) -> bool:
    """Whether a comparison begins at a place, and no NOT stands before it."""
    before = place - 1
    if reading.word(before) == "NOT":
        return False
    return reading.text(before) in _BEFORE or reading.roles[before] in ("keyword", "clause")


def _ends(reading: Reading, place: int) -> bool:
    if place >= len(reading.tokens):
        return True
    return reading.text(place) in _BEHIND or reading.roles[place] in ("keyword", "clause")
