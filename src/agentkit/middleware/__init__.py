"""Middleware for LangChain's `create_agent`: what `create_tool_agent` adds to it, for your own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit._lazy import lazy_names

if TYPE_CHECKING:
    from agentkit.events import ToolCallRecord
    from agentkit.middleware.limits import AnswerWithinLimits, Limits
    from agentkit.middleware.long_conversations import LongConversations
    from agentkit.middleware.permissions import Approval
    from agentkit.middleware.results import ToolResults
    from agentkit.middleware.running import ToolRuns
    from agentkit.middleware.selection import ToolSelection
    from agentkit.middleware.together import Together

__all__ = [
    "AnswerWithinLimits",
    "Approval",
    "Limits",
    "LongConversations",
    "Together",
    "ToolCallRecord",
    "ToolResults",
    "ToolRuns",
    "ToolSelection",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "AnswerWithinLimits": "limits",
        "Approval": "permissions",
        "Limits": "limits",
        "LongConversations": "long_conversations",
        "Together": "together",
        "ToolCallRecord": "results",
        "ToolResults": "results",
        "ToolRuns": "running",
        "ToolSelection": "selection",
    },
)
