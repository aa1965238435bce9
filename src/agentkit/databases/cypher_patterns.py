"""The node and relationship patterns of a Cypher query, wherever they stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from agentkit.databases.cypher_words import Reading

_NAMED_ENDS = frozenset((")", "]", ":", "{", "*"))


@dataclass(frozen=True, slots=True)
class NodePattern:
    """A node in a pattern.

    Args:
        variable: Its variable, unquoted.
        labels: The labels written in it; None when there are none or they leave others possible.
        conjunctive: Whether it has all the labels, rather than one of them.
        known: The labels that it is known to have one of, also from other patterns of its
            variable; None when nothing is known.
        start: The offset of its opening bracket.
        end: The offset behind its closing one.
    """

    variable: str | None
    labels: frozenset[str] | None
    conjunctive: bool
    known: frozenset[str] | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class RelationshipPattern:
    """A relationship in a pattern.

    Args:
        variable: Its variable, unquoted.
        types: The types written in it; None when there are none or they leave others possible.
        negated: The types it may not have.
        known: The types it is known to have one of, also from other patterns of its variable.
        direction: `out` from left to right, `in`, or `both`.
        many: Whether it stands for paths: variable-length, or quantified.
        left: The node before it.
        right: The node behind it.
        first_dash: The offset of its first dash.
        last_dash: The offset of its last dash.
        head: The offset of its arrow head; None when it has none or two.
    """

    variable: str | None
    types: frozenset[str] | None
    negated: frozenset[str]
    known: frozenset[str] | None
    direction: str
    many: bool
    left: NodePattern
    right: NodePattern
    first_dash: int
    last_dash: int
    head: int | None


@dataclass(slots=True)
class Patterns:
    """The patterns of a query by the places of their brackets.

    Args:
        nodes: By the place of the opening bracket.
        relationships: By the place of the first dash, with that of its square bracket, or None,
            and those of the nodes' brackets.
        labels: The places of the labels written in nodes.
        types: The places of the types written in relationships.
    """

    nodes: dict[int, NodePattern] = field(default_factory=dict)
    relationships: dict[int, tuple[RelationshipPattern, int | None, int, int]] = field(
        default_factory=dict
    )
    labels: set[int] = field(default_factory=set)
    types: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Joint:
    """What joins two nodes, by the places of its tokens."""

    first_dash: int
    bracket: int | None
    last_dash: int
    right: int
    incoming: bool
    outgoing: bool
    quantified: bool


def read_patterns(reading: Reading) -> Patterns:
    """The patterns of a query.

    In MATCH and its like every round bracket is a node or a path. In an expression `(a)` is a
    node only where a relationship joins it to another: `count(a)-(b)` has none.
    """
    patterns = Patterns()
    quantified_until = -1
    for place, kind in sorted(reading.kinds.items()):
        if kind == "path" and _quantifier_end(reading, reading.closes[place] + 1):
            quantified_until = max(quantified_until, reading.closes[place])
        if kind not in ("node", "group") or not _is_node(reading, place):
            continue
        joint = _joint(reading, reading.closes[place] + 1)
        if joint:
            _add_node(patterns, reading, place)
            _add_node(patterns, reading, joint.right)
            _add_relationship(patterns, reading, place, joint, many=place < quantified_until)
        elif kind == "node":
            _add_node(patterns, reading, place)
    return patterns


def _is_node(reading: Reading, start: int) -> bool:
    """Whether a bracket could hold a node or a relationship: a variable, labels, a map."""
    place = start + 1
    if reading.is_name(place) and reading.roles[place] in ("variable", "literal"):
        place += 1
    token = reading.tokens[place]
    return (
        token.text in _NAMED_ENDS
        or token.kind == "parameter"
        or reading.word(place) in ("WHERE", "IS")
    )


def _joint(reading: Reading, place: int) -> _Joint | None:
    """The relationship at a place, when it leads to a node."""
    incoming = reading.text(place) == "<"
    first = place + incoming
    if reading.text(first) != "-":
        return None
    bracket, last = None, first + 1
    if reading.text(last) == "[" and _is_node(reading, last):
        bracket, last = last, reading.closes[last] + 1
    outgoing = reading.text(last + 1) == ">"
    right = last + 1 + outgoing
    quantifier = _quantifier_end(reading, right)
    right = quantifier or right
    leads = reading.kinds.get(right) in ("node", "group") and reading.text(right) == "("
    if reading.text(last) != "-" or not leads or not _is_node(reading, right):
        return None
    return _Joint(first, bracket, last, right, incoming, outgoing, quantifier is not None)


def _quantifier_end(reading: Reading, place: int) -> int | None:
    """The place behind `+`, `*` or `{1,3}`."""
    if reading.text(place) in ("+", "*"):
        return place + 1
    if reading.text(place) == "{":
        first = reading.tokens[place + 1]
        if first.kind == "number" or first.text == ",":
            return reading.closes[place] + 1
    return None


def _head(reading: Reading, start: int) -> Iterator[int]:
    """The places in a bracket that come before its map and its WHERE."""
    for place in range(start + 1, reading.closes[start]):
        if reading.text(place) == "{" or (
            reading.word(place) == "WHERE" and reading.roles[place] == "keyword"
        ):
            return
        yield place


def _variable(reading: Reading, start: int) -> str | None:
    place = start + 1
    if reading.is_name(place) and reading.roles[place] in ("variable", "literal"):
        return reading.tokens[place].value
    return None


def _names(reading: Reading, start: int) -> tuple[frozenset[str], frozenset[str], set[int]]:
    """The names in a label expression, its operators, and the names' places."""
    places = {place for place in _head(reading, start) if reading.roles[place] == "label"}
    names = frozenset(reading.tokens[place].value for place in places)
    used = frozenset(
        "$" if reading.tokens[place].kind == "parameter" else reading.text(place)
        for place in _head(reading, start)
        if place not in places
    )
    return names, used, places


def _add_node(patterns: Patterns, reading: Reading, start: int) -> None:
    if start in patterns.nodes:
        return
    names, used, places = _names(reading, start)
    decided = names and not used & {"!", "%", "$"}
    labels = names if decided else None
    patterns.labels |= places
    patterns.nodes[start] = NodePattern(
        _variable(reading, start),
        labels,
        bool(decided and "|" not in used),
        labels,
        reading.tokens[start].start,
        reading.tokens[reading.closes[start]].end,
    )


def _add_relationship(
    patterns: Patterns, reading: Reading, left: int, joint: _Joint, *, many: bool
) -> None:
    tokens, bracket = reading.tokens, joint.bracket
    names: frozenset[str] = frozenset()
    used: frozenset[str] = frozenset()
    if bracket is not None:
        names, used, places = _names(reading, bracket)
        patterns.types |= places
    types = names if names and not used & {"!", "%", "$"} else None
    only_negated = "!" in used and not used & {"%", "$", "(", "|"}
    direction = "both" if joint.incoming == joint.outgoing else "in" if joint.incoming else "out"
    head = joint.first_dash - 1 if joint.incoming else joint.last_dash + 1
    relationship = RelationshipPattern(
        _variable(reading, bracket) if bracket is not None else None,
        types,
        names if only_negated and _all_negated(reading, bracket) else frozenset(),
        types,
        direction,
        many or joint.quantified or "*" in used,
        patterns.nodes[left],
        patterns.nodes[joint.right],
        tokens[joint.first_dash].start,
        tokens[joint.last_dash].start,
        tokens[head].start if direction != "both" else None,
    )
    patterns.relationships[joint.first_dash] = (relationship, bracket, left, joint.right)


def _all_negated(reading: Reading, bracket: int | None) -> bool:
    """Whether each type in a bracket has an exclamation mark before it, and only one."""
    places = [] if bracket is None else list(_head(reading, bracket))
    return all(
        reading.text(place - 1) == "!" and reading.text(place - 2) != "!"
        for place in places
        if reading.roles[place] == "label"
    )


def with_known(
    relationship: RelationshipPattern,
    left: NodePattern,
    right: NodePattern,
    known: frozenset[str] | None,
) -> RelationshipPattern:
    """The relationship with what its variables are known to be."""
    return replace(relationship, left=left, right=right, known=known)
