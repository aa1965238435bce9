"""Tools for agents, each a LangChain tool with a typed schema, sync and async."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit._lazy import lazy_names

if TYPE_CHECKING:
    from agentkit.tools.cypher import graph_tools
    from agentkit.tools.sql import sql_tools

__all__ = ["graph_tools", "sql_tools"]

__getattr__, __dir__ = lazy_names(__name__, {"graph_tools": "cypher", "sql_tools": "sql"})
