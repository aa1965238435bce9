"""Approval: which tool calls a person is asked about before they run."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, NotRequired, cast

from langchain.agents.middleware import (
    AgentState,
    ExtendedModelResponse,
    HumanInTheLoopMiddleware,
    InterruptOnConfig,
    ModelRequest,
    ModelResponse,
)
from langchain.agents.middleware.types import PrivateStateAttr
from langchain_core.messages import AIMessage, ToolCall
from langchain_core.tools import BaseTool
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.runtime import Runtime
from langgraph.types import Command
from pydantic import ValidationError

from agentkit._structured import told_problems
from agentkit._text import shortened
from agentkit.errors import InvalidInputError
from agentkit.middleware.results import DECISION, tool_messages, with_messages
from agentkit.tools._making import Permission, permission_of

_SHOWN_CHARS = 4_000
_MAY = {
    "write": "It changes something.",
    "danger": "It does what cannot be undone, or runs what is given to it.",
}
_RESUME = "Resume with"
_TAINTED = "This conversation holds what strangers wrote, which may be what asks for this call."


class ApprovalState(AgentState[Any]):
    """What `Approval` keeps: the calls that nobody is asked about, by id, with their tools."""

    unasked: NotRequired[Annotated[dict[str, str], PrivateStateAttr]]


class Approval(HumanInTheLoopMiddleware[Any, Any, Any]):
    """LangChain's approval of tool calls, asked for by what the tools may do.

    A tool that may write asks, unless it is approved beforehand; so does a dangerous one, and that
    asks all the same once the conversation holds a result of an untrusted tool. One that reads
    never asks. Each call is an interrupt of its own, with the decisions `approve`, `edit` and
    `reject`; several calls at once are asked about together.

    Whether a call asks is settled when the model makes it: a run that goes on with other settings
    changes nothing about the calls that it was asked about before.

    Args:
        tools: The agent's tools.
        approved: The names of tools approved beforehand, of the run whose runtime it is given.
    """

    state_schema = ApprovalState  # type: ignore[assignment]

    def __init__(
        self, tools: Sequence[BaseTool], *, approved: Callable[[Any], Collection[str]]
    ) -> None:
        self._permissions = {each.name: permission_of(each) for each in tools}
        self._approved = approved
        asking = {name: may for name, may in self._permissions.items() if may != "read"}
        super().__init__(
            {name: _asked(may) for name, may in asking.items()},
            interrupt_mode="per_call",
            edit_notice=None,  # `ToolResults` says it, outside the fence of an untrusted result
        )

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """Settle which of the calls that the model makes nobody is asked about."""
        return self._settled(request, handler(request))

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """The same as `wrap_model_call`, async."""
        return self._settled(request, await handler(request))

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Any]
    ) -> Any:
        """Ask, and tell `ToolResults` what was decided."""
        ran: list[ToolCall] = []

        def noted(given: ToolCallRequest) -> Any:
            ran.append(given.tool_call)
            return handler(given)

        with _answered(request, ran):
            result = super().wrap_tool_call(request, noted)
        return _decided(result, request, ran)

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[Any]]
    ) -> Any:
        """The same as `wrap_tool_call`, async."""
        ran: list[ToolCall] = []

        async def noted(given: ToolCallRequest) -> Any:
            ran.append(given.tool_call)
            return await handler(given)

        with _answered(request, ran):
            result = await super().awrap_tool_call(request, noted)
        return _decided(result, request, ran)

    def _settled(
        self, request: ModelRequest[Any], response: ModelResponse[Any]
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        replies = [m for m in response.result if isinstance(m, AIMessage)]
        calls = [call for reply in replies for call in reply.tool_calls]
        unasked = {str(call["id"]): call["name"] for call in calls if self._is_free(call, request)}
        if not unasked and not request.state.get("unasked"):
            return response
        return ExtendedModelResponse(response, Command(update={"unasked": unasked}))

    def _is_free(self, call: ToolCall, request: ModelRequest[Any]) -> bool:
        """Whether a call that may do more than read needs no question."""
        name = call["name"]
        permission = self._permissions.get(name, "read")
        is_tainted = permission == "danger" and request.state.get("tainted")
        return permission != "read" and not is_tainted and name in self._approved(request.runtime)


def _asked(permission: Permission) -> InterruptOnConfig:
    def is_to_be_asked(request: ToolCallRequest) -> bool:
        unasked = request.state.get("unasked") or {}
        return bool(unasked.get(request.tool_call["id"]) != request.tool_call["name"])

    def told(tool_call: ToolCall, state: AgentState[Any], runtime: Runtime[Any]) -> str:  # noqa: ARG001
        arguments = json.dumps(tool_call["args"], ensure_ascii=False, indent=2, default=repr)
        sentences = [f"The agent wants to call {tool_call['name']}.", _MAY[permission]]
        if cast("Mapping[str, Any]", state).get("tainted"):
            sentences.append(_TAINTED)
        return f"{' '.join(sentences)}\n{shortened(arguments, _SHOWN_CHARS)}\n{_how(tool_call)}"

    return InterruptOnConfig(
        allowed_decisions=["approve", "edit", "reject"], description=told, when=is_to_be_asked
    )


def without_how(description: str) -> str:
    """What a call's description asks, without what a program is to resume with."""
    asked, _, _ = description.rpartition(f"\n{_RESUME} ")
    return asked or description


def _how(tool_call: ToolCall) -> str:
    edited = f'{{"name": {json.dumps(tool_call["name"])}, "args": {{…}}}}'
    return (
        f'{_RESUME} {{"type": "approve"}}, {{"type": "edit", "edited_action": {edited}}} or '
        '{"type": "reject", "message": "…"}.'
    )


@contextmanager
def _answered(request: ToolCallRequest, ran: Sequence[ToolCall]) -> Iterator[None]:
    """Say of an answer that is no decision what one is; the call can be decided about again."""
    try:
        yield
    except ValidationError as error:
        if ran:
            raise
        raise InvalidInputError(
            f"This is no decision about the call of {request.tool_call['name']}: "
            f"{told_problems(error)} {_how(request.tool_call)}"
        ) from error


def _decided(result: Any, request: ToolCallRequest, ran: Sequence[ToolCall]) -> Any:
    """The result, its message telling what a person decided where that changed something."""
    if not ran:
        decision: dict[str, Any] = {"type": "reject"}
    elif ran[-1]["args"] != request.tool_call["args"]:
        decision = {"type": "edit", "arguments": ran[-1]["args"]}
    else:
        return result
    parts = with_messages(result)
    for message in tool_messages(parts):
        message.additional_kwargs[DECISION] = decision
    return parts if len(parts) > 1 else parts[0]
