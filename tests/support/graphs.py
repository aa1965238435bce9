"""Fresh graphs for tests: Ladybug in a folder, and the one database of a real Neo4j."""

import os
import uuid
from collections.abc import Sequence
from pathlib import Path

import ladybug
import neo4j
import pytest

from agentkit.databases import ladybug as _loaded_first  # noqa: F401 - see there

VARIABLES = ("NEO4J_URI", "NEO4J_USERNAME", "NEO4J_PASSWORD", "NEO4J_DATABASE")
# taken at once: tests see none of them, so that nothing is configured from outside
_GIVEN = {name: os.environ.get(name) for name in VARIABLES}


def neo4j_url() -> tuple[str, tuple[str, str]]:
    """The address, user and password of the server; a test without it is skipped, or fails."""
    if uri := _GIVEN["NEO4J_URI"]:
        return uri, (_GIVEN["NEO4J_USERNAME"] or "neo4j", _GIVEN["NEO4J_PASSWORD"] or "")
    told = "needs Neo4j: `scripts/neo4j.sh start` starts one and prints NEO4J_URI"
    if os.environ.get("AGENTKIT_REQUIRE_SERVICES"):
        pytest.fail(told)
    pytest.skip(told)


def connected() -> neo4j.Driver:
    """A driver that may do anything."""
    uri, auth = neo4j_url()
    return neo4j.GraphDatabase.driver(uri, auth=auth, notifications_min_severity="OFF")


def fill(script: Sequence[str]) -> None:
    """Empty the server's database, if it is the tests' own, and run the statements."""
    with connected() as driver, driver.session() as session:
        _check_ours(session)
        for shown, kind in (("CONSTRAINTS", "CONSTRAINT"), ("INDEXES", "INDEX")):
            rows = list(session.run(f"SHOW {shown} YIELD name, type"))
            for row in (row for row in rows if row["type"] != "LOOKUP"):
                session.run(f"DROP {kind} `{row['name']}` IF EXISTS").consume()
        session.run("MATCH (n) DETACH DELETE n").consume()
        for statement in script:
            session.run(statement).consume()
        session.run("CALL db.awaitIndexes(60)").consume()


def _check_ours(session: neo4j.Session) -> None:
    """Whoever runs the tests with a server of theirs loses nothing."""
    if _seen_empty:
        return
    (count,) = session.run("MATCH (n) RETURN count(n)").single()
    if count:
        pytest.fail(
            f"The database of NEO4J_URI holds {count} nodes, and these tests empty it: "
            "give them an empty one."
        )
    _seen_empty.append(True)


_seen_empty: list[bool] = []


def ladybug_path(folder: Path, script: Sequence[str] = ()) -> str:
    """The path of a new Ladybug database in which the statements have been run."""
    path = folder / f"{uuid.uuid4().hex[:12]}.lbug"
    with ladybug.Database(str(path)) as database, ladybug.Connection(database) as connection:
        for statement in script:
            connection.execute(statement)
    return str(path)
