"""Leaving old results out of what a model is sent, once a conversation is long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from langchain.agents.middleware import ContextEditingMiddleware, ModelRequest, ModelResponse
from langchain.agents.middleware.context_editing import ClearToolUsesEdit
from langchain_core.messages import AIMessage, AnyMessage

from agentkit.middleware.sizes import rough_tokens

_KEPT_RESULTS = 4


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


def _is_short(messages: Sequence[AnyMessage], tokens: int) -> bool:
    """Whether messages surely have no more tokens."""
    return sum([rough_tokens(message) for message in messages]) <= tokens
