"""Faults that models make in Cypher, for `NoisyOracle`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from agentkit.databases.cypher_syntax import read_syntax
from agentkit.databases.cypher_tokens import Token, cypher_tokens
from agentkit.databases.graph_schema import quoted_name
from agentkit.testing.oracle import Mutation


def flipped_direction(query: str, dialect: str) -> str | None:  # noqa: ARG001 - as every fault
    """The query with a relationship that leads the other way.

    Only one between nodes that are known to differ in their labels: others may be there both ways.
    """
    for pattern in read_syntax(query).relationships:
        left, right = pattern.left.known, pattern.right.known
        if pattern.many or pattern.head is None or not left or not right or left & right:
            continue
        first, last, head = pattern.first_dash, pattern.last_dash + 1, pattern.head
        if pattern.direction == "out":
            return f"{query[:first]}<{query[first:head]}{query[head + 1 :]}"
        return f"{query[:head]}{query[head + 1 : last]}>{query[last:]}"
    return None


def unknown_property(query: str, dialect: str) -> str | None:  # noqa: ARG001 - as every fault
    """The query with a property that no node and no relationship has."""
    uses = read_syntax(query).properties
    return _renamed(query, uses[0].offset) if uses else None


def wrong_label(query: str, dialect: str) -> str | None:  # noqa: ARG001 - as every fault
    """The query with a label that there is not."""
    uses = read_syntax(query).labels
    return _renamed(query, uses[0].offset) if uses else None


def wrong_case_literal(query: str, dialect: str) -> str | None:  # noqa: ARG001 - as every fault
    """The query with a text in the wrong case, where a property is compared by `=`, IN or a map."""
    syntax = read_syntax(query)
    for compared in syntax.filters:
        swapped = compared.value.swapcase()
        if compared.ignore_case or swapped == compared.value:
            continue
        for token in syntax.reading.tokens:
            if token.kind == "string" and token.value == compared.value:
                wrong = _with(query, token.start, token.end, _string(swapped))
                # the same text may stand where it is not compared
                if replace(compared, value=swapped) in read_syntax(wrong).filters:
                    return wrong
    return None


def syntax_error(query: str, dialect: str) -> str | None:  # noqa: ARG001 - as every fault
    """The query with a word that no database understands."""
    first = cypher_tokens(query)[0]
    return _with(query, first.end, first.end, " FROM")


def write(query: str, dialect: str) -> str | None:  # noqa: ARG001 - as every fault
    """A statement that deletes, in place of the query."""
    labels = read_syntax(query).labels
    label = f":{quoted_name(labels[0].name)}" if labels else ""
    return f"MATCH (n{label}) DETACH DELETE n"


CYPHER_FAULTS: Mapping[str, Mutation] = {
    "flipped direction": flipped_direction,
    "unknown property": unknown_property,
    "wrong label": wrong_label,
    "wrong-case literal": wrong_case_literal,
    "syntax error": syntax_error,
    "write": write,
}
"""Faults by name: each makes a wrong query of a right one, or None where it does not apply."""


def _renamed(query: str, offset: int) -> str:
    """The query with another name in place of the one at an offset."""
    token = _token_at(query, offset)
    return _with(query, token.start, token.end, quoted_name(f"{token.value}_no"))


def _token_at(query: str, offset: int) -> Token:
    return next(token for token in cypher_tokens(query) if token.start == offset)


def _with(query: str, start: int, end: int, text: str) -> str:
    return query[:start] + text + query[end:]


def _string(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
