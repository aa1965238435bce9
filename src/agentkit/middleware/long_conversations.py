"""Leaving out or summarising what is old, once a conversation is long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from langchain.agents.middleware import (
    AgentState,
    ContextEditingMiddleware,
    ModelRequest,
    ModelResponse,
    SummarizationMiddleware,
)
from langchain.agents.middleware.context_editing import ClearToolUsesEdit
from langchain_core.messages import AIMessage, AnyMessage, RemoveMessage
from langgraph.runtime import Runtime

from agentkit.middleware.limits import taken
from agentkit.middleware.results import Taken, ToolResultsState

_KEPT_RESULTS = 4
_MESSAGE_CHARS = 80
_CHARS_A_TOKEN = 4  # as LangChain counts


class LongConversations(ContextEditingMiddleware[Any, Any]):
    """LangChain's context editing, at no cost while the conversation is short.

    Args:
        trigger: Tokens of conversation above which results but for the last four are left out.
    """

    def __init__(self, *, trigger: int) -> None:
        super().__init__(edits=[ClearToolUsesEdit(trigger=trigger, keep=_KEPT_RESULTS)])
        self._trigger = trigger

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any] | AIMessage:
        """Leave out old results where there is too much of them."""
        if _is_short(request.messages, self._trigger):
            return handler(request)
        return super().wrap_model_call(request, handler)

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Any]
    ) -> ModelResponse[Any] | AIMessage:
        """The same as `wrap_model_call`, async."""
        if _is_short(request.messages, self._trigger):
            return cast("ModelResponse[Any]", await handler(request))
        return await super().awrap_model_call(request, handler)


class Summaries(SummarizationMiddleware[Any, Any]):
    """LangChain's summaries of older messages, with what a run took for them kept in its count."""

    state_schema = ToolResultsState

    def before_model(self, state: AgentState[Any], runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Summarise older messages where there is too much of them."""
        return _counted(state, super().before_model(state, runtime))

    async def abefore_model(
        self, state: AgentState[Any], runtime: Runtime[Any]
    ) -> dict[str, Any] | None:
        """The same as `before_model`, async."""
        return _counted(state, await super().abefore_model(state, runtime))


def _counted(state: AgentState[Any], changes: dict[str, Any] | None) -> dict[str, Any] | None:
    """The changes, with what the run took for replies that they take out."""
    if changes is None:
        return None
    kept = taken([m for m in changes["messages"] if not isinstance(m, RemoveMessage)])
    took = taken(state["messages"])
    before = cast("Taken | None", state.get("summarized")) or {"model_calls": 0, "tokens": 0}
    summarized: Taken = {
        "model_calls": before["model_calls"] + took["model_calls"] - kept["model_calls"],
        "tokens": before["tokens"] + took["tokens"] - kept["tokens"],
    }
    return {**changes, "summarized": summarized}


def _is_short(messages: Sequence[AnyMessage], tokens: int) -> bool:
    """Whether messages surely have no more tokens: to count them takes longer than to call."""
    chars = _MESSAGE_CHARS * len(messages)
    for message in messages:
        content = message.content
        chars += len(content if isinstance(content, str) else str(content))
        for call in message.tool_calls if message.type == "ai" else ():
            chars += sum([len(str(value)) for value in call["args"].values()])
    return chars // _CHARS_A_TOKEN <= tokens
