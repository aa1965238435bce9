"""The schema of a Neo4j graph, by looking at a bounded part of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from agentkit.databases.graph_schema import (
    GraphIndex,
    GraphSchema,
    NodeType,
    RelationshipType,
    quoted_name,
)
from agentkit.databases.results import QueryResult
from agentkit.databases.schema import Column
from agentkit.errors import QueryError

Read: TypeAlias = Callable[..., Awaitable[QueryResult]]
"""Reads the rows of a query, as `GraphDatabase._aread` does."""

_LOOKED_AT = 50_000
_LOOKED_AT_ONCE = 5_000
_LOOKED_AT_EACH = 100
_HEAD_SECONDS = 8.0
_EACH_SECONDS = 2.0
_SECONDS = 12.0
_AT_ONCE = 4
_MOST_ROWS = 100_000
_SAMPLE_CHARS = 40

_COUNTS = "CALL db.stats.retrieve('GRAPH COUNTS') YIELD data RETURN data"
_INDEXES = (
    "SHOW INDEXES YIELD name, type, state, entityType, labelsOrTypes, properties "
    "WHERE state = 'ONLINE' AND type <> 'LOOKUP' "
    "RETURN name, type, entityType, labelsOrTypes, properties"
)
_TOTALS = (
    "CALL () { MATCH (n) RETURN count(n) AS nodes } "
    "CALL () { MATCH ()-[r]->() RETURN count(r) AS relationships } RETURN nodes, relationships"
)
_TEXT = (
    "left(CASE WHEN valueType({0}) STARTS WITH 'LIST<STRING' THEN {0}[0] "
    f"ELSE toStringOrNull({{0}}) END, {_SAMPLE_CHARS})"
)
_SEEN = (
    "min(value) AS least, max(value) AS most WITH labels, collect(key) AS keys, "
    "collect(valueType(least) + '|' + valueType(most)) AS types, "
    f"collect(coalesce({_TEXT.format('least')}, '')) AS least, "
    f"collect(coalesce({_TEXT.format('most')}, '')) AS most "
    "RETURN collect([labels, keys, types, least, most]) AS rows"
)
"""Of each property the least and the greatest value, which are of two types where types are mixed.

All in one row, of flat lists: the driver takes longer over many rows, and over lists in lists.
"""
_LABELS = (
    "MATCH (n) WITH labels(n) AS labels, count(*) AS count RETURN collect([labels, count]) AS rows"
)
_NODES = (
    "MATCH (n) WITH n LIMIT $most WITH labels(n) AS labels, n UNWIND keys(n) AS key "
    f"WITH labels, key, n[key] AS value WITH labels, key, {_SEEN}"
)
_CONNECTIONS = (
    "MATCH (a)-[r]->(b) WITH a, r, b LIMIT $most "
    "WITH labels(a) AS starts, type(r) AS type, labels(b) AS ends, count(*) AS count "
    "RETURN collect([starts, type, ends, count]) AS rows"
)
_RELATIONSHIPS = (
    "MATCH ()-[r]->() WITH r LIMIT $most WITH type(r) AS type, r UNWIND keys(r) AS key "
    f"WITH type, key, r[key] AS value WITH [type] AS labels, key, {_SEEN}"
)


_LOOKS = (_NODES, _CONNECTIONS, _RELATIONSHIPS)


@dataclass
class _Counts:
    """How many nodes and relationships there are; -1 where that is not known."""

    nodes: dict[str, int] = field(default_factory=dict)
    relationships: dict[str, int] = field(default_factory=dict)
    starts: dict[str, set[str]] = field(default_factory=dict)


@dataclass
class _Properties:
    """The properties that were seen, by label or type and by name."""

    types: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    samples: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """Add rows of labels, and of their properties the names, types and samples."""
        for labels, *properties in rows:
            for label in labels:
                types = self.types.setdefault(label, {})
                samples = self.samples.setdefault(label, {})
                for key, kinds, *texts in zip(*properties, strict=True):
                    types.setdefault(key, set()).update(kinds.split("|"))
                    known = samples.setdefault(key, [])
                    known.extend(text for text in texts if text and text not in known)

    def columns(self, label: str, shows: Callable[[str], bool], most: int) -> tuple[Column, ...]:
        """The properties of a label or type, by name."""
        found = []
        for name, types in sorted(self.types.get(label, {}).items()):
            kinds = sorted({kind.removesuffix(" NOT NULL") for kind in types} - {"NULL"})
            samples = self.samples[label][name][:most] if shows(name) else []
            is_text = any(kind.startswith(("STRING", "LIST<STRING")) for kind in kinds)
            found.append(
                Column(
                    name,
                    " | ".join(kinds).replace(" NOT NULL", "") or "ANY",
                    samples=tuple(samples),
                    is_text=is_text,
                )
            )
        return tuple(found)


class Neo4jReflection:
    """Looks at the first nodes and relationships, and then at what these did not show.

    Labels, types and their counts are exact. Of a small graph every property and connection is
    seen; of a large one those of a sample, within a time limit.

    Args:
        read: Reads the rows of a query.
        is_private: Whether the values of a property of a label or type may not be shown.
        samples: How many sample values of a property to keep, of the least and the greatest.
    """

    def __init__(self, read: Read, *, is_private: Callable[[str, str], bool], samples: int) -> None:
        self._read = read
        self._is_private = is_private
        self._samples = samples
        self._nodes = _Properties()
        self._relationships = _Properties()
        self._connections: dict[str, dict[tuple[str, str], int]] = {}
        self._seen: dict[str, int] = {}
        self._unseen: list[str] = []

    async def schema(self) -> GraphSchema:
        """The schema."""
        ends = time.monotonic() + _SECONDS
        # alone: a wrong password is not tried several times at once
        ((nodes, relationships),) = (await self._rows(_TOTALS)).rows
        most = max(nodes, relationships)
        few = most <= _LOOKED_AT
        in_one = few and most <= _LOOKED_AT_ONCE
        looking = self._looked_in_one() if in_one else self._looked_in_parts(few=few)
        counts, indexes = await asyncio.gather(looking, self._indexes())
        complete = few and not self._unseen
        if not complete:
            await self._look_closer(counts, ends)
        return GraphSchema(
            "neo4j",
            {label: self._node_type(label, counts) for label in sorted(counts.nodes)},
            {kind: self._relationship_type(kind, counts) for kind in sorted(counts.relationships)},
            indexes,
            complete,
        )

    async def _looked_in_one(self) -> _Counts:
        """Look at a small graph in one query, where going to and fro takes longest."""
        parts = [_LABELS, *_LOOKS]
        queries = (
            f"CALL () {{ {part.removesuffix('rows')}rows{at} }}" for at, part in enumerate(parts)
        )
        returned = ", ".join(f"rows{at}" for at in range(len(parts)))
        result = await self._rows(f"{' '.join(queries)} RETURN {returned}", most=_LOOKED_AT)
        ((labelled, *looked),) = result.rows
        for query, rows in zip(_LOOKS, looked, strict=True):
            self._keep(query, rows)
        return _Counts(_by_label(labelled), self._seen)

    async def _looked_in_parts(self, *, few: bool) -> _Counts:
        """Look at the first nodes and relationships, each query within its time."""
        counting = self._counted() if few else self._stated()
        looking = asyncio.gather(*(self._add(query) for query in _LOOKS))
        counts, _ = await asyncio.gather(counting, looking)
        return _Counts(counts.nodes, self._seen) if few else counts

    async def _counted(self) -> _Counts:
        """The labels of all nodes, counted."""
        ((rows,),) = (await self._rows(_LABELS)).rows
        return _Counts(_by_label(rows))

    async def _stated(self) -> _Counts:
        """What the database's own statistics say, which are exact."""
        try:
            ((data,),) = (await self._rows(_COUNTS)).rows
        except QueryError:  # not every account may ask
            return await self._names()
        counts = _Counts()
        for row in data["nodes"]:
            if "label" in row and row["count"]:
                counts.nodes[row["label"]] = row["count"]
        for row in (row for row in data["relationships"] if row["count"]):
            if "startLabel" in row:
                counts.starts.setdefault(row["relationshipType"], set()).add(row["startLabel"])
            elif "relationshipType" in row and "endLabel" not in row:
                counts.relationships[row["relationshipType"]] = row["count"]
        return counts

    async def _names(self) -> _Counts:
        labels = await self._rows("CALL db.labels() YIELD label RETURN label")
        kinds = await self._rows(
            "CALL db.relationshipTypes() YIELD relationshipType RETURN relationshipType"
        )
        counts = _Counts()
        counts.nodes = {label: -1 for (label,) in labels.rows}
        counts.relationships = {kind: -1 for (kind,) in kinds.rows}
        return counts

    async def _indexes(self) -> tuple[GraphIndex, ...]:
        try:
            rows = (await self._rows(_INDEXES)).rows
        except QueryError:
            return ()
        return tuple(
            GraphIndex(name, kind, tuple(parts or ()), tuple(names or ()), entity != "NODE")
            for name, kind, entity, parts, names in rows
        )

    async def _add(self, query: str, **given: Any) -> None:
        """Read one of the queries that look, and keep what it shows."""
        seconds = _EACH_SECONDS if given else _HEAD_SECONDS
        most = {"most": _LOOKED_AT_EACH if given else _LOOKED_AT}
        try:
            ((rows,),) = (await self._rows(query, seconds=seconds, **most)).rows
        except QueryError:
            self._unseen.append(query)
            return
        self._keep(query, rows)

    def _keep(self, query: str, rows: Sequence[Sequence[Any]]) -> None:
        """Keep what one of the queries that look has shown."""
        if "AS starts" in query:
            for starts, kind, ends, count in rows:
                self._seen[kind] = self._seen.get(kind, 0) + count
                known = self._connections.setdefault(kind, {})
                for pair in ((start, end) for start in starts for end in ends):
                    known[pair] = known.get(pair, 0) + count
        elif "()-[r" in query:
            self._relationships.add(rows)
        else:
            self._nodes.add(rows)

    async def _look_closer(self, counts: _Counts, ends: float) -> None:
        """Look at the labels and connections that the first nodes and relationships lack."""
        waiting = [
            _NODES.replace("(n)", f"(n:{quoted_name(label)})", 1)
            for label in counts.nodes
            if label not in self._nodes.types
        ]
        for kind in counts.relationships:
            seen = {start for start, _ in self._connections.get(kind, {})}
            named = f"[r:{quoted_name(kind)}]"
            if kind not in self._relationships.types:
                waiting.append(_RELATIONSHIPS.replace("[r]", named, 1))
            for start in counts.starts.get(kind, {""} - seen) - seen:
                of_label = f"(a:{quoted_name(start)})-{named}" if start else f"(a)-{named}"
                waiting.append(_CONNECTIONS.replace("(a)-[r]", of_label, 1))
        at_once = asyncio.Semaphore(_AT_ONCE)

        async def look(query: str) -> None:
            async with at_once:
                if time.monotonic() < ends:
                    await self._add(query, each=True)

        await asyncio.gather(*(look(query) for query in waiting))

    def _node_type(self, label: str, counts: _Counts) -> NodeType:
        columns = self._nodes.columns(
            label, lambda name: not self._is_private(label, name), self._samples
        )
        return NodeType(label, columns, _known(counts.nodes[label]))

    def _relationship_type(self, kind: str, counts: _Counts) -> RelationshipType:
        columns = self._relationships.columns(
            kind, lambda name: not self._is_private(kind, name), self._samples
        )
        seen: Mapping[tuple[str, str], int] = self._connections.get(kind, {})
        pairs = tuple(sorted(seen, key=lambda pair: (-seen[pair], pair)))
        return RelationshipType(kind, pairs, columns, _known(counts.relationships[kind]))

    async def _rows(
        self, query: str, *, seconds: float = _HEAD_SECONDS, **parameters: Any
    ) -> QueryResult:
        return await self._read(query, parameters, max_rows=_MOST_ROWS, seconds=seconds)


def _by_label(rows: Iterable[tuple[list[str], int]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for labels, count in rows:
        for label in labels:
            counts[label] = counts.get(label, 0) + count
    return counts


def _known(count: int) -> int | None:
    return count if count >= 0 else None
