"""MCP servers for tests, by the reference SDK: over stdio as a program, over HTTP on loopback."""

import asyncio
import base64
import os
import socket
import sys
import threading
from contextlib import contextmanager
from typing import Annotated

import uvicorn
from mcp import types
from mcp.server.fastmcp import FastMCP
from mcp.types import ToolAnnotations
from pydantic import Field

PROGRAM = {"command": sys.executable, "args": [__file__]}
"""How a client starts the server of this file."""


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def wipe() -> str:
    """Remove everything."""
    return "Everything is gone."


def echo(config: str, self: str = "") -> str:
    """Say it again: its arguments are named as LangChain's own are."""
    return f"{config}{self}"


class Counter:
    """Counts in the life of one server."""

    def __init__(self):
        self.calls = 0

    def count(self) -> int:
        """How often this tool was called."""
        self.calls += 1
        return self.calls


def fail() -> str:
    """Fail."""
    raise ValueError("The disk is full.")


def crash() -> str:
    """End the server's process."""
    os._exit(3)


async def hang() -> str:
    """Never answer."""
    await asyncio.Event().wait()
    return ""


def flood() -> str:
    """Answer with two million characters."""
    return "x" * 2_000_000


def silence() -> types.CallToolResult:
    """Answer with nothing."""
    return types.CallToolResult(content=[])


def draw() -> types.CallToolResult:
    """A word and pictures, of which the second is a large one."""
    pictures = [base64.b64encode(data).decode() for data in (b"dot", b"x" * 900_000)]
    return types.CallToolResult(
        content=[
            types.TextContent(type="text", text="Dots."),
            *(
                types.ImageContent(type="image", data=data, mimeType="image/png")
                for data in pictures
            ),
        ]
    )


def link() -> types.CallToolResult:
    """An address, a file's text and a sound."""
    page = types.TextResourceContents(uri="file:///notes.txt", text="Noted.")
    return types.CallToolResult(
        content=[
            types.ResourceLink(type="resource_link", uri="https://example.org/a", name="A"),
            types.EmbeddedResource(type="resource", resource=page),
            types.AudioContent(type="audio", data="AAAA", mimeType="audio/wav"),
        ]
    )


def chatty(words: Annotated[str, Field(description="w" * 10_000)] = "") -> dict[str, str]:
    """Replaced below by a description that no prompt should hold."""
    return {"words": words}


def reference_server() -> FastMCP:
    """A server whose tools do what a client must cope with."""
    server = FastMCP("reference", log_level="CRITICAL")
    server.add_tool(add, annotations=ToolAnnotations(readOnlyHint=True))
    server.add_tool(wipe, annotations=ToolAnnotations(destructiveHint=True))
    for tool in (echo, Counter().count, fail, crash, hang, flood, silence, draw, link):
        server.add_tool(tool)
    server.add_tool(chatty, name="odd.name/with marks", description="d" * 10_000)
    return server


@contextmanager
def serving(app):
    """An ASGI application on a free port of loopback; gives the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


if __name__ == "__main__":
    reference_server().run()
