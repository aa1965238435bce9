"""Approval: which tool calls a person is asked about before they run."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any

from langchain.agents.middleware import AgentState, HumanInTheLoopMiddleware, InterruptOnConfig
from langchain_core.messages import ToolCall
from langchain_core.tools import BaseTool
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.runtime import Runtime

from agentkit._text import shortened
from agentkit.tools._making import Permission, permission_of

_SHOWN_CHARS = 4_000
_MAY = {
    "write": "It changes something.",
    "danger": "It does what cannot be undone, or runs what is given to it.",
}
_TAINTED = "This conversation holds what strangers wrote, which may be what asks for this call."


def approval(
    tools: Sequence[BaseTool], *, approved: Callable[[Any], Collection[str]]
) -> HumanInTheLoopMiddleware[Any, Any, Any]:
    """LangChain's approval of tool calls, asked for by what the tools may do.

    A tool that may write asks, unless it is approved beforehand; so does a dangerous one, and that
    asks all the same once the conversation holds a result of an untrusted tool. One that reads
    never asks. Each call is an interrupt of its own, with the decisions `approve`, `edit` and
    `reject`; several calls at once are asked about together.

    Args:
        tools: The agent's tools.
        approved: The names of tools approved beforehand, of the run whose runtime it is given.
    """
    asking = [tool for tool in tools if permission_of(tool) != "read"]
    return HumanInTheLoopMiddleware(
        {tool.name: _asked(permission_of(tool), approved) for tool in asking},
        interrupt_mode="per_call",
    )


def _asked(permission: Permission, approved: Callable[[Any], Collection[str]]) -> InterruptOnConfig:
    def is_to_be_asked(request: ToolCallRequest) -> bool:
        if permission == "danger" and request.state.get("tainted"):
            return True
        return request.tool_call["name"] not in approved(request.runtime)

    def told(tool_call: ToolCall, state: AgentState[Any], runtime: Runtime[Any]) -> str:  # noqa: ARG001
        arguments = json.dumps(tool_call["args"], ensure_ascii=False, indent=2, default=repr)
        sentences = [f"The agent wants to call {tool_call['name']}.", _MAY[permission]]
        if state.get("tainted"):
            sentences.append(_TAINTED)
        return f"{' '.join(sentences)}\n{shortened(arguments, _SHOWN_CHARS)}"

    return InterruptOnConfig(
        allowed_decisions=["approve", "edit", "reject"], description=told, when=is_to_be_asked
    )
