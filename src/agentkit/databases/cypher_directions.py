"""Relationships that point against the graph, turned the way in which it holds them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from agentkit.databases.cypher_syntax import CypherSyntax, RelationshipPattern

_Names = frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Turn:
    """A relationship in a query, in the direction in which it was written.

    Args:
        start: Labels one of which the node has from which it leads; None when any may.
        types: The types it may have; None when any may.
        end: Labels one of which the node has to which it leads; None when any may.
        text: The pattern as it was written.
    """

    start: _Names
    types: _Names
    end: _Names
    text: str


@dataclass(frozen=True, slots=True)
class Turned:
    """A query whose relationships point as those of the graph do.

    Args:
        query: The query, in which arrow heads alone have moved.
        turned: The relationships that were turned.
        impossible: Those that the graph holds in neither direction; they are left as written.
    """

    query: str
    turned: tuple[Turn, ...] = ()
    impossible: tuple[Turn, ...] = ()


def turned(
    query: str, syntax: CypherSyntax, connections: Collection[tuple[str, str, str]]
) -> Turned:
    """Turn the relationships of a query that the graph holds the other way round only.

    A relationship is looked at when it has one arrow head and stands for a single hop. It stays
    when the graph holds it as written, when its type or a label is not the graph's, and when
    nothing is known of it.

    Args:
        query: The query.
        syntax: What `read_syntax` made of it.
        connections: Triples of a label, a type and the label that it leads to.
    """
    labels = {label for start, _, end in connections for label in (start, end)}
    types = {kind for _, kind, _ in connections}
    edits: list[tuple[int, int, str]] = []
    moved: list[Turn] = []
    impossible: list[Turn] = []
    for pattern in syntax.relationships:
        if pattern.many or pattern.head is None:
            continue
        left, right = _known(pattern.left.known, labels), _known(pattern.right.known, labels)
        kinds = _kinds(pattern, types)
        if left == set() or right == set() or kinds == set():
            continue
        start, end = (left, right) if pattern.direction == "out" else (right, left)
        if _holds(start, kinds, end, connections):
            continue
        turn = _turn(query, pattern)
        if _holds(end, kinds, start, connections):
            moved.append(turn)
            edits.extend(_edits(pattern))
        else:
            impossible.append(turn)
    return Turned(_edited(query, edits), tuple(moved), tuple(impossible))


def _known(names: _Names, schema: Collection[str]) -> set[str] | None:
    """The names that the graph has; empty when it lacks one of them all."""
    if names is None:
        return None
    return set(names) & set(schema)


def _kinds(pattern: RelationshipPattern, types: Collection[str]) -> set[str] | None:
    if pattern.known is None and pattern.negated:
        return set(types) - pattern.negated
    return _known(pattern.known, types)


def _holds(
    start: set[str] | None,
    kinds: set[str] | None,
    end: set[str] | None,
    connections: Collection[tuple[str, str, str]],
) -> bool:
    return any(
        (start is None or first in start)
        and (kinds is None or kind in kinds)
        and (end is None or last in end)
        for first, kind, last in connections
    )


def _turn(query: str, pattern: RelationshipPattern) -> Turn:
    left, right = pattern.left, pattern.right
    start, end = (left, right) if pattern.direction == "out" else (right, left)
    return Turn(start.known, pattern.known, end.known, query[left.start : right.end])


def _edits(pattern: RelationshipPattern) -> Iterator[tuple[int, int, str]]:
    """The arrow head that goes and the one that comes: start, end and new text."""
    if pattern.head is None:
        return
    yield pattern.head, pattern.head + 1, ""
    if pattern.direction == "out":
        yield pattern.first_dash, pattern.first_dash, "<"
    else:
        yield pattern.last_dash + 1, pattern.last_dash + 1, ">"


def _edited(query: str, edits: list[tuple[int, int, str]]) -> str:
    parts: list[str] = []
    place = 0
    for start, end, text in sorted(edits):
        parts += [query[place:start], text]
        place = end
    return "".join([*parts, query[place:]])
