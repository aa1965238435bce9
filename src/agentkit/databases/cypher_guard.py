"""The check of a Cypher query before it runs: one statement, that only reads, by known names.

The check is one of three doors. The others are the database's own planner, which says whether a
query reads or writes, and the engine's read-only mode, with time limits: patterns without end and
products of everything with everything are legal, and are stopped there.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from agentkit._text import shortened
from agentkit.databases.cypher_bounds import check_bounds
from agentkit.databases.cypher_directions import Turn, turned
from agentkit.databases.cypher_functions import is_read_function, is_read_procedure
from agentkit.databases.cypher_syntax import CypherSyntax, PropertyUse, read_syntax
from agentkit.databases.cypher_tokens import cypher_tokens, respelled
from agentkit.databases.graph_schema import (
    Connection,
    GraphSchema,
    NodeType,
    RelationshipType,
    quoted_name,
)
from agentkit.databases.options import matches
from agentkit.databases.schema import Column
from agentkit.errors import QueryError, QueryRefusedError

READ_CLAUSES = frozenset(
    [
        "MATCH",
        "OPTIONAL MATCH",
        "WITH",
        "UNWIND",
        "RETURN",
        "CALL",
        "OPTIONAL CALL",
        "UNION",
        "UNION ALL",
        "UNION DISTINCT",
    ]
)
"""The clauses that a query may have."""

_ADVICE = "Write one query of MATCH, WITH, UNWIND and RETURN."


@dataclass(frozen=True)
class ComparedValue:
    """A text that a query compares with a property, and the part of the schema that has it."""

    part: str
    name: str
    value: str
    ignore_case: bool = False

    @property
    def place(self) -> tuple[str, str, str]:
        """Part, property and value."""
        return self.part, self.name, self.value


@dataclass(frozen=True)
class CheckedCypher:
    """A query that only reads.

    Args:
        text: The query as it was written, with relationships turned that pointed the wrong way.
        cypher: The text to run: the same without comments and unusual escapes.
        turns: The relationships that were turned.
        impossible: The relationships that the schema has in neither direction.
        unknown: What the schema does not know of the query's names, each in a sentence.
        filters: The texts that it compares with properties.
    """

    text: str
    cypher: str
    turns: tuple[Turn, ...] = ()
    impossible: tuple[Turn, ...] = ()
    unknown: tuple[str, ...] = ()
    filters: tuple[ComparedValue, ...] = ()

    @property
    def corrections(self) -> tuple[str, ...]:
        """What the check put right, each in a sentence."""
        return tuple(f"Turned {turn.text} the way the graph has it." for turn in self.turns)


def check_cypher(
    query: str,
    schema: GraphSchema,
    *,
    allow_functions: Collection[str] = (),
    allow_procedures: Collection[str] = (),
    excluded: Sequence[str] = (),
    also: Collection[Connection] = (),
) -> CheckedCypher:
    """Check that a query is one statement that reads, and compare its names with the schema's.

    A clause that is not known to read is refused; so is a function that is not known only to
    compute, a procedure that is not known only to read, and what is too large for time limits
    (`cypher_bounds`). An unknown name is no error, as Cypher has none for it: it is reported.

    Args:
        query: The query, of at most 50,000 characters.
        schema: The graph's schema.
        allow_functions: Names of further functions that only compute.
        allow_procedures: Names of further procedures that only read.
        excluded: Patterns (`fnmatch`) of labels and types that a query may not name.
        also: Connections that the graph has beside those of the schema, which may be of a sample.

    Returns:
        The query as it may be run, and what is to be said of it.

    Raises:
        QueryRefusedError: When it does more than read, or reads what it may not; it says what.
        QueryError: When it cannot be read.
    """
    syntax = read_syntax(query)
    check_bounds(syntax, schema.dialect)
    _check_clauses(syntax)
    _check_calls(syntax, schema.dialect, allow_functions, allow_procedures)
    _check_excluded(syntax, excluded)
    _check_parameters(syntax)
    directions = turned(query, syntax, {*schema.connections, *also})
    text = directions.query
    return CheckedCypher(
        text,
        respelled(text, cypher_tokens(text)),
        directions.turned,
        directions.impossible,
        tuple(_unknown(syntax, schema)),
        tuple(_filters(syntax, schema)),
    )


def _check_clauses(syntax: CypherSyntax) -> None:
    if syntax.statements != 1:
        raise QueryRefusedError(f"There are {syntax.statements} statements. Write one query.")
    for clause in syntax.clauses:
        if clause not in READ_CLAUSES:
            raise QueryRefusedError(
                f"{shortened(clause, 60)} is not a clause that only reads the graph. {_ADVICE}"
            )


def _check_calls(
    syntax: CypherSyntax, dialect: str, functions: Collection[str], procedures: Collection[str]
) -> None:
    for name in syntax.procedures:
        if not is_read_procedure(name, procedures):
            raise QueryRefusedError(
                f"The procedure {shortened(name, 60)} may not be called: it is not known to read "
                f"the graph alone. {_ADVICE}"
            )
    for name in syntax.functions:
        if not is_read_function(name, dialect, functions):
            raise QueryRefusedError(
                f"The function {shortened(name, 60)} is not known to compute only, so it is not "
                "called. Use Cypher's usual functions."
            )


def _check_excluded(syntax: CypherSyntax, excluded: Sequence[str]) -> None:
    for use in (*syntax.labels, *syntax.types):
        if matches(use.name, excluded):
            told = quoted_name(use.name)
            raise QueryRefusedError(f"{told} may not be read. Write a query without it.")


def _check_parameters(syntax: CypherSyntax) -> None:
    for token in syntax.reading.tokens:
        if token.kind == "parameter":
            raise QueryError(
                f"The query has a parameter, {shortened(token.text, 40)}, which nobody fills in. "
                "Write the value itself."
            )


def _unknown(syntax: CypherSyntax, schema: GraphSchema) -> Iterator[str]:
    """What the schema does not know, each name once."""
    labels, types = list(schema.nodes), list(schema.relationships)
    for name in dict.fromkeys(use.name for use in syntax.labels):
        if name not in schema.nodes:
            yield f"The graph has no label {quoted_name(name)}.{_nearest(name, labels)}"
    for name in dict.fromkeys(use.name for use in syntax.types):
        if name not in schema.relationships:
            yield f"The graph has no relationship type {quoted_name(name)}.{_nearest(name, types)}"
    yield from dict.fromkeys(
        told for use in syntax.properties if (told := _unknown_property(use, schema))
    )


def _unknown_property(use: PropertyUse, schema: GraphSchema) -> str | None:
    owners = _owners(use.labels, use.types, schema)
    known = [column.name for owner in owners for column in owner]
    if not owners:
        parts = schema.parts.values()
        known = [column.name for part in parts for column in part.columns]
    if not known or use.property in known:
        return None
    of = " or ".join(sorted(map(quoted_name, use.labels or use.types or ()))) if owners else ""
    told = f"{of} has no property" if of else "The graph has no property"
    return f"{told} {quoted_name(use.property)}.{_nearest(use.property, known)}"


def _owners(
    labels: Collection[str] | None, types: Collection[str] | None, schema: GraphSchema
) -> list[tuple[Column, ...]]:
    """The properties of each known label or type; nothing where one of them is not known."""
    if labels and all(label in schema.nodes for label in labels):
        return [schema.nodes[label].properties for label in sorted(labels)]
    if types and all(kind in schema.relationships for kind in types):
        return [schema.relationships[kind].properties for kind in sorted(types)]
    return []


def _nearest(name: str, known: Iterable[str]) -> str:
    folded = {each.casefold(): each for each in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)
    told = " or ".join(quoted_name(folded[each]) for each in near)
    return f" Did you mean {told}?" if near else ""


def _filters(syntax: CypherSyntax, schema: GraphSchema) -> Iterator[ComparedValue]:
    for found in syntax.filters:
        nodes = [schema.nodes[name] for name in found.labels or () if name in schema.nodes]
        kinds = [
            schema.relationships[name] for name in found.types or () if name in schema.relationships
        ]
        parts: list[NodeType | RelationshipType] = [*nodes, *kinds]
        owners = [
            part
            for part in parts
            if any(column.name == found.property and column.is_text for column in part.columns)
        ]
        if len(owners) == 1 and _is_all_of(owners[0], found.labels, found.types):
            yield ComparedValue(owners[0].full_name, found.property, found.value, found.ignore_case)


def _is_all_of(part: object, labels: Collection[str] | None, types: Collection[str] | None) -> bool:
    """Whether the value can be in no other part: else its absence there says nothing."""
    return len((labels if isinstance(part, NodeType) else types) or ()) == 1
