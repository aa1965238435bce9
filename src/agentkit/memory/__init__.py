"""Memory: conversations that stay short, and what is remembered of a user across them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit._lazy import lazy_names

if TYPE_CHECKING:
    from agentkit.memory.counting import TokenCounter, token_counter
    from agentkit.memory.history import aconversation_history, conversation_history
    from agentkit.memory.memories import Memories
    from agentkit.memory.middleware import SummarizedAgentState, SummarizingMiddleware
    from agentkit.memory.node import SummarizingMemory
    from agentkit.memory.opening import OpenMemory, open_memory
    from agentkit.memory.records import Memory, MemorySource
    from agentkit.memory.short_term import SummarizedState
    from agentkit.memory.summary import RunningSummary
    from agentkit.memory.tools import memory_tools

__all__ = [
    "Memories",
    "Memory",
    "MemorySource",
    "OpenMemory",
    "RunningSummary",
    "SummarizedAgentState",
    "SummarizedState",
    "SummarizingMemory",
    "SummarizingMiddleware",
    "TokenCounter",
    "aconversation_history",
    "conversation_history",
    "memory_tools",
    "open_memory",
    "token_counter",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Memories": "memories",
        "Memory": "records",
        "MemorySource": "records",
        "OpenMemory": "opening",
        "RunningSummary": "summary",
        "SummarizedAgentState": "middleware",
        "SummarizedState": "short_term",
        "SummarizingMemory": "node",
        "SummarizingMiddleware": "middleware",
        "TokenCounter": "counting",
        "aconversation_history": "history",
        "conversation_history": "history",
        "memory_tools": "tools",
        "open_memory": "opening",
        "token_counter": "counting",
    },
)
