"""What the graph of text-to-Cypher reads: put your own graph database here."""

import functools
import os
from pathlib import Path

from agentkit import GraphDatabase, LadybugDatabase, Neo4jDatabase
from examples.research_network.load import load

EXAMPLE = Path(__file__).parent.parent / ".agentkit" / "research_network.lbug"


@functools.cache
def network() -> GraphDatabase:
    """Neo4j at `NEO4J_URI`, else Ladybug at `AGENTKIT_GRAPH`, else the example's network."""
    if os.environ.get("NEO4J_URI"):
        return Neo4jDatabase()
    return LadybugDatabase(os.environ.get("AGENTKIT_GRAPH") or load(EXAMPLE))
