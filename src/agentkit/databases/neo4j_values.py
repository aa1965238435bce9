"""Neo4j's values as plain data: what a checkpoint can keep and a model can read."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from neo4j.graph import Node, Path, Relationship
from neo4j.spatial import Point
from neo4j.time import Date, DateTime, Duration, Time

from agentkit._text import well_formed

_PLAIN = (bool, int, float, bytes, datetime.date, datetime.time, type(None))


def plain(value: Any) -> Any:
    """A value as plain Python.

    Nodes have `id`, `labels` and `properties`; relationships `id`, `type`, `start`, `end` (the ids
    of their nodes) and `properties`; paths `nodes` and `relationships`; points `srid` and their
    coordinates. Dates and times are those of `datetime`, cut to microseconds; durations are ISO
    8601 texts, as their months and days have no fixed length.
    """
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, list):
        return list(map(plain, value))
    return value if isinstance(value, _PLAIN) else _rarer(value)


def _rarer(value: Any) -> Any:
    """What a result may not hold by the ten thousand."""
    if isinstance(value, Node | Relationship | Path):
        return _element(value)
    if isinstance(value, Date | DateTime | Time | Duration | Point):
        return _moment_or_place(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return list(map(plain, value)) if isinstance(value, tuple | set | frozenset) else str(value)


def _element(value: Node | Relationship | Path) -> dict[str, Any]:
    if isinstance(value, Path):
        return {
            "nodes": [plain(node) for node in value.nodes],
            "relationships": [plain(step) for step in value.relationships],
        }
    properties = {key: plain(item) for key, item in value.items()}
    if isinstance(value, Node):
        labels = sorted(value.labels)
        return {"id": value.element_id, "labels": labels, "properties": properties}
    start, end = (node.element_id if node else None for node in value.nodes)
    told = {"id": value.element_id, "type": value.type, "start": start, "end": end}
    return {**told, "properties": properties}


def _moment_or_place(value: Date | DateTime | Time | Duration | Point) -> Any:
    if isinstance(value, Duration):
        return value.iso_format()
    if isinstance(value, Point):
        return {"srid": value.srid, **dict(zip("xyz", value, strict=False))}
    try:
        return value.to_native()
    except (ValueError, OverflowError):
        return value.iso_format()
