"""Running a tool: what is said while it runs, and how long it may take."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from langchain.agents.middleware import AgentMiddleware, AgentState
from langchain_core.messages import ToolMessage
from langgraph.prebuilt.tool_node import ToolCallRequest

from agentkit._sync import in_thread
from agentkit.middleware.results import ToolResult, error_message


class ToolRuns(AgentMiddleware[AgentState[Any], Any, Any]):
    """Says when a tool begins to run, and stops waiting for one that takes too long.

    An async tool is cancelled then. A sync one cannot be: its thread goes on behind, and nothing
    waits for it. Put this after all others that wrap tool calls.

    Args:
        timeout: Seconds that a call may take; a tool's own limit may be shorter.
    """

    def __init__(self, *, timeout: float = 60.0) -> None:
        super().__init__()
        self._timeout = timeout

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolResult]
    ) -> ToolResult:
        """Run a call in a thread, for as long as it may take."""
        _say(request)
        waiting = in_thread(lambda: handler(request), name="agentkit-tool")
        try:
            return waiting.result(self._timeout)
        except FutureTimeoutError:
            if waiting.done():
                raise
            return self._late(request)

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[ToolResult]]
    ) -> ToolResult:
        """Run a call for as long as it may take."""
        _say(request)
        try:
            async with asyncio.timeout(self._timeout) as limit:
                return await handler(request)
        except TimeoutError:
            if not limit.expired():
                raise
            return self._late(request)

    def _late(self, request: ToolCallRequest) -> ToolMessage:
        told = f"It took longer than {self._timeout:g} seconds, and was given up."
        return error_message(request.tool_call, told)


def _say(request: ToolCallRequest) -> None:
    call = request.tool_call
    request.runtime.stream_writer(
        {"type": "tool_called", "tool": call["name"], "arguments": call["args"]}
    )
