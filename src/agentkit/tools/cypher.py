"""A graph database as tools: its schema, and checked read-only queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.tools import BaseTool
from pydantic import BaseModel, Field

from agentkit.databases.graph_schema import GraphSchema
from agentkit.databases.graphs import graph_database
from agentkit.databases.linking import SchemaLinker
from agentkit.tools._making import make_tool
from agentkit.tools._rows import rows_told

if TYPE_CHECKING:
    from agentkit.graphs.text_to_cypher import Graph

_MOST_SCHEMA_TOKENS = 4_000


class About(BaseModel):
    """What the description should be about."""

    about: str = Field(
        default="", description="What is looked for; of a large graph only what fits it is shown"
    )


class CypherQuery(BaseModel):
    """A query."""

    query: str = Field(description="One read-only Cypher query")


def graph_tools(
    database: Graph, *, max_rows: int = 50, timeout: float = 30, max_chars: int = 8_000
) -> list[BaseTool]:
    """The tools `describe_graph` and `query_graph` over one graph database.

    A query passes the same doors as those of `create_text_to_cypher`: it is found to read only, the
    database plans it, and it runs in the engine's own read-only mode. A failure is told to the
    model, so that it can write another query; so is a name that the graph lacks.

    Args:
        database: What `create_text_to_cypher` takes.
        max_rows: Rows that a query returns at most.
        timeout: Seconds that a query may take.
        max_chars: Characters of rows that the model is shown.

    Returns:
        LangChain tools; the artifact of `query_graph` holds `query`, `columns`, `rows`,
        `truncated` and `sources`.

    Raises:
        ConfigurationError: When the database cannot be opened as one.
        DatabaseError: When there is no Ladybug database at the path.
        MissingExtraError: When the `neo4j` or `cypher` extra is not installed.
    """
    opened = graph_database(database)
    linker: SchemaLinker[GraphSchema] | None = None

    async def describe_graph(about: str = "") -> tuple[str, dict[str, Any]]:
        nonlocal linker
        schema = await opened.aschema()
        if linker is None or linker.schema is not schema:
            linker = SchemaLinker(schema)
        shown = await linker.alink(about, max_tokens=_MOST_SCHEMA_TOKENS)
        return shown.render() or "The graph is empty.", {"parts": list(shown.parts)}

    async def query_graph(query: str) -> tuple[str, dict[str, Any]]:
        checked = await opened.acheck(query)
        result = await opened.arun(checked.cypher, max_rows=max_rows, timeout=timeout)
        told, artifact = rows_told(
            checked.text, result, title="The graph's rows", max_chars=max_chars
        )
        notes = [*checked.corrections, *checked.unknown]
        return "\n".join([told, *(f"Note: {note}" for note in notes)]), artifact

    return [
        make_tool(
            describe_graph,
            "Show the labels, relationship types, properties and sample values of the graph.",
            About,
        ),
        make_tool(
            query_graph,
            f"Run one read-only query on the graph, and get its rows. {opened.dialect_notes} Look "
            "at the graph first. On an error, correct the query by what the error says.",
            CypherQuery,
        ),
    ]
