"""Memory: conversations that stay short, and what is remembered of a user across them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit._lazy import lazy_names

if TYPE_CHECKING:
    from agentkit.memory.counting import TokenCounter, token_counter
    from agentkit.memory.history import aconversation_history, conversation_history
    from agentkit.memory.middleware import SummarizedAgentState, SummarizingMiddleware
    from agentkit.memory.node import SummarizingMemory
    from agentkit.memory.short_term import SummarizedState
    from agentkit.memory.summary import RunningSummary

__all__ = [
    "RunningSummary",
    "SummarizedAgentState",
    "SummarizedState",
    "SummarizingMemory",
    "SummarizingMiddleware",
    "TokenCounter",
    "aconversation_history",
    "conversation_history",
    "token_counter",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "RunningSummary": "summary",
        "SummarizedAgentState": "middleware",
        "SummarizedState": "short_term",
        "SummarizingMemory": "node",
        "SummarizingMiddleware": "middleware",
        "TokenCounter": "counting",
        "aconversation_history": "history",
        "conversation_history": "history",
        "token_counter": "counting",
    },
)
