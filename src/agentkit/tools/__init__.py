"""Tools for agents, each a LangChain tool with a typed schema, sync and async."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit._lazy import lazy_names

if TYPE_CHECKING:
    from agentkit.tools._making import (
        Permission,
        declared,
        is_untrusted,
        make_tool,
        permission_of,
    )
    from agentkit.tools.cypher import graph_tools
    from agentkit.tools.documents import search_documents
    from agentkit.tools.encyclopedia import wikipedia
    from agentkit.tools.graph import as_tool
    from agentkit.tools.http import http_request
    from agentkit.tools.llama_index import from_llama_index
    from agentkit.tools.mcp import amcp_tools, mcp_tools, open_mcp_tools
    from agentkit.tools.python import python_tool
    from agentkit.tools.sql import sql_tools
    from agentkit.tools.web import read_page, web_search

__all__ = [
    "Permission",
    "amcp_tools",
    "as_tool",
    "declared",
    "from_llama_index",
    "graph_tools",
    "http_request",
    "is_untrusted",
    "make_tool",
    "mcp_tools",
    "open_mcp_tools",
    "permission_of",
    "python_tool",
    "read_page",
    "search_documents",
    "sql_tools",
    "web_search",
    "wikipedia",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Permission": "_making",
        "amcp_tools": "mcp",
        "as_tool": "graph",
        "declared": "_making",
        "from_llama_index": "llama_index",
        "graph_tools": "cypher",
        "http_request": "http",
        "is_untrusted": "_making",
        "make_tool": "_making",
        "mcp_tools": "mcp",
        "open_mcp_tools": "mcp",
        "permission_of": "_making",
        "python_tool": "python",
        "read_page": "web",
        "search_documents": "documents",
        "sql_tools": "sql",
        "web_search": "web",
        "wikipedia": "encyclopedia",
    },
)
