"""What the tools over databases share: how rows are told."""

from __future__ import annotations

from typing import Any

from agentkit.databases.answering import table_text
from agentkit.databases.results import QueryResult


def rows_told(
    query: str, result: QueryResult, *, title: str, max_chars: int
) -> tuple[str, dict[str, Any]]:
    """The rows as a model is shown them, and as an artifact."""
    artifact = {
        "query": query,
        "columns": list(result.columns),
        "rows": [list(row) for row in result.rows],
        "truncated": result.truncated,
        "sources": [{"title": title, "query": query}],
    }
    return table_text(result, max_chars=max_chars), artifact
