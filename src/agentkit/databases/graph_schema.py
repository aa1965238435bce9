"""A property graph's schema, as models are shown it."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from agentkit.databases.schema import Column, count_tokens, one_line, sample_text

Connection: TypeAlias = tuple[str, str, str]
"""A label, a relationship type and the label it leads to."""

_PLAIN_NAME = re.compile(r"[^\W\d]\w*")
_MOST_CONNECTIONS = 12


def quoted_name(name: str) -> str:
    """A label, type or property as Cypher spells it: in backticks where it needs them."""
    return name if _PLAIN_NAME.fullmatch(name) else f"`{name.replace('`', '``')}`"


@dataclass(frozen=True)
class NodeType:
    """The nodes with a label.

    Args:
        label: The label, unquoted.
        properties: What such nodes have been seen to have.
        count: How many there are; None where that is not known.
    """

    label: str
    properties: tuple[Column, ...] = ()
    count: int | None = None
    comment: str | None = None

    @property
    def name(self) -> str:
        """The label."""
        return self.label

    @property
    def full_name(self) -> str:
        """The name by which a schema holds it: the label as Cypher spells it."""
        return quoted_name(self.label)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The properties."""
        return self.properties

    @property
    def joined(self) -> tuple[str, ...]:
        """Nothing: relationships lead to nodes, not the other way."""
        return ()


@dataclass(frozen=True)
class RelationshipType:
    """The relationships of a type.

    Args:
        type: The type, unquoted.
        connections: Pairs of labels between which it has been seen to lead.
        properties: What such relationships have been seen to have.
        count: How many there are; None where that is not known.
    """

    type: str
    connections: tuple[tuple[str, str], ...] = ()
    properties: tuple[Column, ...] = ()
    count: int | None = None
    comment: str | None = None

    @property
    def name(self) -> str:
        """The type."""
        return self.type

    @property
    def full_name(self) -> str:
        """The name by which a schema holds it: `[:TYPE]`."""
        return f"[:{quoted_name(self.type)}]"

    @property
    def columns(self) -> tuple[Column, ...]:
        """The properties."""
        return self.properties

    @property
    def joined(self) -> tuple[str, ...]:
        """The labels that it connects."""
        ends = (quoted_name(label) for pair in self.connections for label in pair)
        return tuple(dict.fromkeys(ends))


@dataclass(frozen=True)
class GraphIndex:
    """An index, by which values are found.

    Args:
        name: Its name.
        kind: `RANGE`, `TEXT`, `FULLTEXT`, `VECTOR`, or as the database says.
        parts: The labels or relationship types that it covers, unquoted.
        properties: The properties that it covers.
        of_relationships: Whether it covers relationships.
    """

    name: str
    kind: str
    parts: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()
    of_relationships: bool = False


@dataclass(frozen=True)
class GraphSchema:
    """The labels and relationship types of a graph.

    Args:
        dialect: `neo4j` or `ladybug`.
        nodes: Kinds of nodes by label.
        relationships: Kinds of relationships by type.
        indexes: The graph's indexes.
        complete: Whether all of the graph was looked at, or a sample.
    """

    dialect: str
    nodes: Mapping[str, NodeType] = field(default_factory=dict)
    relationships: Mapping[str, RelationshipType] = field(default_factory=dict)
    indexes: tuple[GraphIndex, ...] = ()
    complete: bool = True

    @functools.cached_property
    def parts(self) -> Mapping[str, NodeType | RelationshipType]:
        """What a question may be about, as Cypher spells it: `Person`, `[:ACTED_IN]`."""
        found: list[NodeType | RelationshipType] = [*self.nodes.values()]
        return {part.full_name: part for part in [*found, *self.relationships.values()]}

    @functools.cached_property
    def connections(self) -> frozenset[Connection]:
        """Which labels a relationship type leads from and to."""
        return frozenset(
            (start, kind.type, end)
            for kind in self.relationships.values()
            for start, end in kind.connections
        )

    def tokens(self, name: str, columns: Collection[str] | None = None) -> int:
        """About how many tokens a part has in a prompt, with these properties; None for all."""
        return count_tokens("\n".join(self._lines(_narrowed(self.parts[name], columns)))) + 1

    def only(self, parts: Mapping[str, Collection[str] | None]) -> GraphSchema:
        """The schema with these parts alone, and of each these properties.

        Args:
            parts: By name, as in `parts`, the names of properties; None for all.
        """
        kept = [_narrowed(part, parts[name]) for name, part in self.parts.items() if name in parts]
        return replace(
            self,
            nodes={part.label: part for part in kept if isinstance(part, NodeType)},
            relationships={part.type: part for part in kept if isinstance(part, RelationshipType)},
        )

    def render(self) -> str:
        """The schema, a line for each label, relationship type and property.

        What stands in names and values cannot leave its place: it is one line each.
        """
        return self._rendered

    @functools.cached_property
    def _rendered(self) -> str:
        return "\n".join(line for part in self.parts.values() for line in self._lines(part))

    def _lines(self, part: NodeType | RelationshipType) -> Iterator[str]:
        count = f" // {part.count:,} of them" if part.count is not None else ""
        if isinstance(part, NodeType):
            yield f"(:{one_line(part.full_name)}){count}"
        else:
            yield from self._connection_lines(part, count)
        for column in part.properties:
            samples = ", ".join(sample_text(value) for value in column.samples)
            told = f" // such as {samples}" if samples else ""
            yield f"  {one_line(quoted_name(column.name))}: {one_line(column.type)}{told}"

    def _connection_lines(self, part: RelationshipType, count: str) -> Iterator[str]:
        shown = self._shown(part.connections)
        name = one_line(part.full_name)
        if not shown:
            yield f"()-{name}-(){count}"
        for place, (start, end) in enumerate(shown):
            left, right = (one_line(quoted_name(label)) for label in (start, end))
            yield f"(:{left})-{name}->(:{right}){count if place == 0 else ''}"
        if len(shown) < len(part.connections):
            yield f"  // and between {len(part.connections) - len(shown):,} more pairs of labels"

    def _shown(self, connections: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
        """The first pairs of labels, those that this schema has before others."""
        within = [pair for pair in connections if pair[0] in self.nodes and pair[1] in self.nodes]
        return (within or list(connections))[:_MOST_CONNECTIONS]


def _narrowed(
    part: NodeType | RelationshipType, columns: Collection[str] | None
) -> NodeType | RelationshipType:
    if columns is None:
        return part
    return replace(part, properties=tuple(c for c in part.properties if c.name in columns))
