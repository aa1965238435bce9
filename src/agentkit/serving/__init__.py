"""Serving graphs to people and to programs that are not Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit._lazy import lazy_names

if TYPE_CHECKING:
    from agentkit.serving.development import development_server
    from agentkit.serving.graphs_file import ServedGraph, load_graphs
    from agentkit.serving.mcp import http_app, mcp_server, reserved_stdio, serve_stdio
    from agentkit.serving.view import view_app

__all__ = [
    "ServedGraph",
    "development_server",
    "http_app",
    "load_graphs",
    "mcp_server",
    "reserved_stdio",
    "serve_stdio",
    "view_app",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "ServedGraph": "graphs_file",
        "development_server": "development",
        "http_app": "mcp",
        "load_graphs": "graphs_file",
        "mcp_server": "mcp",
        "reserved_stdio": "mcp",
        "serve_stdio": "mcp",
        "view_app": "view",
    },
)
