"""A graph database from a URI, a path, a driver or an object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agentkit.databases.graph import GraphDatabase

_NEO4J_SCHEMES = ("neo4j", "bolt")


def graph_database(database: Any, **options: Any) -> GraphDatabase:
    """The database itself, or what a Neo4j URI or driver, or a Ladybug path or database, makes.

    Args:
        database: One of these.
        options: The options of `GraphDatabase`, for one that is made here.

    Raises:
        ConfigurationError: When it is none of these.
        DatabaseError: When there is no Ladybug database at the path.
        MissingExtraError: When the `neo4j` or `cypher` extra is not installed.
    """
    if isinstance(database, GraphDatabase):
        return database
    if is_neo4j(database):
        from agentkit.databases.neo4j import Neo4jDatabase

        return Neo4jDatabase(database, **options)
    from agentkit.databases.ladybug import LadybugDatabase

    return LadybugDatabase(database, **options)


def is_neo4j(database: Any) -> bool:
    """Whether it is Neo4j's URI or driver."""
    if isinstance(database, str):
        return database.partition("://")[0].partition("+")[0] in _NEO4J_SCHEMES
    return not isinstance(database, Path) and type(database).__module__.partition(".")[0] == "neo4j"
