"""What a Cypher query mentions: clauses, calls, patterns, names and the texts it looks for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from agentkit.databases.cypher_clauses import read_roles
from agentkit.databases.cypher_patterns import (
    NodePattern,
    Patterns,
    RelationshipPattern,
    read_patterns,
    with_known,
)
from agentkit.databases.cypher_scopes import Binding, Scopes
from agentkit.databases.cypher_tokens import cypher_tokens
from agentkit.databases.cypher_words import Reading

__all__ = [
    "CypherSyntax",
    "Filter",
    "NameUse",
    "NodePattern",
    "PropertyUse",
    "RelationshipPattern",
    "read_syntax",
]


@dataclass(frozen=True, slots=True)
class NameUse:
    """A label or a relationship type, unquoted, and the offset at which it stands."""

    name: str
    offset: int


@dataclass(frozen=True, slots=True)
class PropertyUse:
    """A property of a node or a relationship that a pattern binds.

    Args:
        property: Its name, unquoted.
        owner: `node` or `relationship`.
        labels: Labels one of which the node is known to have; None when none is known.
        types: Types one of which the relationship is known to have; None when none is known.
        offset: Where the name stands.
    """

    property: str
    owner: str
    labels: frozenset[str] | None
    types: frozenset[str] | None
    offset: int


@dataclass(frozen=True, slots=True)
class Filter:
    """A text that a query compares a property with.

    Args:
        labels: As in `PropertyUse`.
        types: As in `PropertyUse`.
        property: The property's name, unquoted.
        op: `=` or `IN`.
        value: The text.
        ignore_case: Whether the property is folded to one case first.
    """

    labels: frozenset[str] | None
    types: frozenset[str] | None
    property: str
    op: str
    value: str
    ignore_case: bool


@dataclass(frozen=True, slots=True)
class CypherSyntax:
    """What a query mentions, in the order in which it stands there.

    Args:
        reading: The query's tokens, and what each of them is.
        statements: How many statements there are.
        clauses: The clauses' keywords in upper case, and the first word of each statement
            and subquery; without WHERE, ORDER BY and other parts of clauses.
        procedures: The dotted names that CALL calls, unquoted, in the case written.
        functions: The dotted names before a bracket of arguments, likewise.
        nodes: The nodes in patterns.
        relationships: The relationships in patterns.
        labels: The labels named in patterns and elsewhere.
        types: The relationship types named.
        properties: The properties of nodes and relationships named.
        filters: The texts that properties are compared with, but for those ruled out by NOT.
    """

    reading: Reading
    statements: int
    clauses: tuple[str, ...]
    procedures: tuple[str, ...]
    functions: tuple[str, ...]
    nodes: tuple[NodePattern, ...]
    relationships: tuple[RelationshipPattern, ...]
    labels: tuple[NameUse, ...]
    types: tuple[NameUse, ...]
    properties: tuple[PropertyUse, ...]
    filters: tuple[Filter, ...]


def read_syntax(query: str) -> CypherSyntax:
    """What a query mentions.

    The query is not parsed in full: whether it is right, the server's `EXPLAIN` says. A clause
    that a server would run is never missed.

    Raises:
        QueryError: When it cannot be read: something is left open, or a character is not Cypher's.
        QueryRefusedError: When it is too long, nests too deep, or is spelled so that servers
            could read it otherwise.
    """
    tokens = cypher_tokens(query)
    while len(tokens) > 1 and tokens[-1].text == ";":
        tokens.pop()
    reading = read_roles(tokens)
    patterns = read_patterns(reading)
    scopes = Scopes(reading, patterns)
    nodes = {
        place: replace(node, known=scopes.nodes[place].known())
        for place, node in sorted(patterns.nodes.items())
    }
    relationships = (
        with_known(found, nodes[left], nodes[right], scopes.relationships[place].known())
        for place, (found, _, left, right) in sorted(patterns.relationships.items())
    )
    labels, types = _label_uses(reading, patterns, scopes)
    return CypherSyntax(
        reading=reading,
        statements=reading.statements,
        clauses=tuple(clause for _, clause in sorted(reading.clauses.items())),
        procedures=_dotted(reading, "procedure"),
        functions=_dotted(reading, "function"),
        nodes=tuple(nodes.values()),
        relationships=tuple(relationships),
        labels=labels,
        types=types,
        properties=_properties(scopes),
        filters=_filters(scopes),
    )


def _dotted(reading: Reading, role: str) -> tuple[str, ...]:
    names: list[str] = []
    place = 0
    while place < len(reading.tokens):
        if reading.roles[place] == role:
            end = reading.dotted_end(place)
            names.append(reading.dotted(place, end))
            place = end
        place += 1
    return tuple(names)


def _label_uses(
    reading: Reading, patterns: Patterns, scopes: Scopes
) -> tuple[tuple[NameUse, ...], tuple[NameUse, ...]]:
    labels: list[NameUse] = []
    types: list[NameUse] = []
    for place, role in enumerate(reading.roles):
        if role != "label":
            continue
        owner = None if place in patterns.labels else scopes.label_owners.get(place)
        is_type = place in patterns.types or (owner is not None and owner.kind == "relationship")
        token = reading.tokens[place]
        (types if is_type else labels).append(NameUse(token.value, token.start))
    return tuple(labels), tuple(types)


def _owned(binding: Binding) -> tuple[frozenset[str] | None, frozenset[str] | None]:
    known = binding.known()
    return (known, None) if binding.kind == "node" else (None, known)


def _properties(scopes: Scopes) -> tuple[PropertyUse, ...]:
    uses = (
        PropertyUse(use.property, use.binding.kind, *_owned(use.binding), use.offset)
        for use in scopes.accesses
    )
    return tuple(sorted(uses, key=lambda use: use.offset))


def _filters(scopes: Scopes) -> tuple[Filter, ...]:
    found: dict[Filter, None] = {}
    for use in scopes.comparisons:
        labels, types = _owned(use.binding)
        found[Filter(labels, types, use.property, use.op, use.value, use.ignore_case)] = None
    return tuple(found)
