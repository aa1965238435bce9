"""What the graph of text-to-Cypher reads: your graph database."""

import functools
import os
from pathlib import Path

import ladybug

from agentkit import GraphDatabase, LadybugDatabase

FOLDER = Path(__file__).parent.parent


@functools.cache
def network() -> GraphDatabase:
    """Neo4j at `NEO4J_URI`, else Ladybug at `AGENTKIT_GRAPH`, else that of `data/films.cypher`."""
    if os.environ.get("NEO4J_URI"):
        from agentkit import Neo4jDatabase  # pip install 'agentkit-graphs[neo4j]'

        return Neo4jDatabase()
    return LadybugDatabase(os.environ.get("AGENTKIT_GRAPH") or example())


def example() -> Path:
    """The example's graph, which is made once: remove it after you have changed the data."""
    file = FOLDER / ".agentkit" / "films.lbug"
    if not file.exists():
        file.parent.mkdir(exist_ok=True)
        statements = (FOLDER / "data" / "films.cypher").read_text(encoding="utf-8")
        made = file.with_suffix(".part")
        made.unlink(missing_ok=True)
        with ladybug.Database(str(made)) as database, ladybug.Connection(database) as connection:
            connection.execute(statements)
        made.replace(file)
    return file
