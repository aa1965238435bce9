"""Limits of a run that end in an answer: when they are reached, the model may only answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage

from agentkit.events import emit
from agentkit.middleware.results import run_messages

_LAST = (
    "The limit of this run is reached: no tool can be called any more. Answer now from what is "
    "known so far, and say what could not be done or found out."
)
_EMPTY = "That reply was empty. Call a tool, or answer."
_ATTEMPTS = 3


class Limits(Protocol):
    """How much a run may take: a run's context, or any object with these fields."""

    @property
    def max_model_calls(self) -> int:
        """Calls of the model."""

    @property
    def max_tool_calls(self) -> int:
        """Calls of tools."""

    @property
    def max_tokens(self) -> int:
        """Tokens that the model reads and writes."""


@dataclass(frozen=True)
class _Left:
    """What a run may still take."""

    model_calls: int
    tool_calls: int
    tokens: int

    @property
    def is_last(self) -> bool:
        return self.model_calls <= 1 or self.tool_calls <= 0 or self.tokens <= 0


class AnswerWithinLimits(AgentMiddleware[AgentState[Any], Any, Any]):
    """Ends a run in an answer from what is known so far, and never in an error, at its limits.

    The model is asked once more then, with no tools. A reply that cannot be read, or is empty, is
    asked for again, with the error. Calls beyond the number that is left are dropped.

    Args:
        limits: The limits of the run whose runtime it is given.
    """

    def __init__(self, limits: Callable[[Any], Limits]) -> None:
        super().__init__()
        self._limits = limits

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Ask the model, within what is left of the run."""
        left = self._left(request)
        asked = _last(request) if left.is_last else request
        for _ in range(_ATTEMPTS - 1):
            response = handler(asked)
            if not (wrong := _problems(response)):
                return _bounded(response, left)
            asked = asked.override(messages=[*asked.messages, *wrong])
        return _bounded(handler(asked), left)

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """The same as `wrap_model_call`, async."""
        left = self._left(request)
        asked = _last(request) if left.is_last else request
        for _ in range(_ATTEMPTS - 1):
            response = await handler(asked)
            if not (wrong := _problems(response)):
                return _bounded(response, left)
            asked = asked.override(messages=[*asked.messages, *wrong])
        return _bounded(await handler(asked), left)

    def _left(self, request: ModelRequest[Any]) -> _Left:
        limits = self._limits(request.runtime)
        replies = [m for m in run_messages(request.messages) if m.type == "ai"]
        trace = cast("Sequence[Any]", request.state.get("trace") or ())
        called = max(len(trace), sum([len(m.tool_calls) for m in replies]))
        usages = [m.usage_metadata for m in replies]
        spent = sum([usage["total_tokens"] for usage in usages if usage])
        return _Left(
            limits.max_model_calls - len(replies),
            limits.max_tool_calls - called,
            limits.max_tokens - spent,
        )


def _last(request: ModelRequest[Any]) -> ModelRequest[Any]:
    """The request without tools, and with the reason for that."""
    emit({"type": "notice", "message": "The limit of the run is reached: the agent answers now."})
    before = request.system_message.text if request.system_message else ""
    told = SystemMessage("\n\n".join(filter(None, [before, _LAST])))
    return request.override(tools=[], tool_choice=None, system_message=told)


def _reply(response: ModelResponse[Any]) -> AIMessage | None:
    replies = [m for m in response.result if isinstance(m, AIMessage)]
    return replies[-1] if replies else None


def _problems(response: ModelResponse[Any]) -> Sequence[AnyMessage]:
    """What stands for the reply and what is wrong with it, where nothing can be made of it.

    Arguments that are no JSON are not sent back: servers refuse to read them.
    """
    reply = _reply(response)
    if reply is None or response.structured_response is not None:
        return ()
    if reply.invalid_tool_calls:
        names = ", ".join(str(call.get("name")) for call in reply.invalid_tool_calls)
        told = f"The arguments of {names} are not JSON, so nothing was called. Call again."
        return (AIMessage(reply.text or "…"), HumanMessage(told))
    if not reply.tool_calls and not reply.text.strip():
        return (AIMessage("…"), HumanMessage(_EMPTY))
    return ()


def _bounded(response: ModelResponse[Any], left: _Left) -> ModelResponse[Any]:
    """The response with no more calls than are left, none at the end, and none unreadable."""
    reply = _reply(response)
    may = 0 if left.is_last else left.tool_calls
    corrected = any(isinstance(message, ToolMessage) for message in response.result)
    done = response.structured_response is not None or (corrected and left.model_calls > -_ATTEMPTS)
    if reply is None or done or (len(reply.tool_calls) <= may and not reply.invalid_tool_calls):
        return response
    changes = {"tool_calls": reply.tool_calls[:may], "invalid_tool_calls": []}
    kept = reply.model_copy(update=changes)
    kept.additional_kwargs.pop("tool_calls", None)
    return ModelResponse(result=[kept], structured_response=response.structured_response)
