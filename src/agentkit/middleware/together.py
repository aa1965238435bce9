"""Several middleware as one, which costs an agent one wrapper for each call instead of many."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeAlias, cast

from langchain.agents.middleware import (
    AgentMiddleware,
    AgentState,
    ExtendedModelResponse,
    ModelRequest,
    ModelResponse,
)
from langchain_core.tools import BaseTool
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.types import Command

from agentkit.middleware.results import ToolResult

Middleware: TypeAlias = AgentMiddleware[Any, Any, Any]


class Together(AgentMiddleware[Any, Any, Any]):
    """The `wrap_model_call` and `wrap_tool_call` of several middleware, the first outermost.

    LangChain makes a traced span of each middleware's wrapper, and hops to a thread and back for
    it twice, whether anything is traced or not: that takes longer than all that these do. Other
    hooks of theirs, which would be nodes of the graph, are not called.

    Args:
        parts: The middleware.
        state_schema: The state that they need, of them all.
    """

    def __init__(
        self, parts: Sequence[Middleware], *, state_schema: type[Any] = AgentState
    ) -> None:
        super().__init__()
        self.state_schema = state_schema
        self._around_models = [each for each in parts if _wraps(each, "model")]
        self._around_tools = [each for each in parts if _wraps(each, "tool")]
        self.tools: list[BaseTool] = [tool for each in parts for tool in getattr(each, "tools", ())]
        for name in ("wrap_model_call", "awrap_model_call", "wrap_tool_call", "awrap_tool_call"):
            setattr(self, name, _with_signature(getattr(self, name)))

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """Ask the model, each part around the next."""
        changes: dict[str, Any] = {}
        for part in reversed(self._around_models):
            handler = _model_call(part, handler, changes)
        return _with_changes(handler(request), changes)

    # no coroutine function, or LangChain would hop to a thread for it

    def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> Coroutine[Any, Any, ModelResponse[Any] | ExtendedModelResponse[Any]]:
        """The same as `wrap_model_call`, async."""
        changes: dict[str, Any] = {}
        for part in reversed(self._around_models):
            handler = _async_model_call(part, handler, changes)
        return _response_awaited(handler(request), changes)

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolResult]
    ) -> ToolResult:
        """Run the tool, each part around the next."""
        for part in reversed(self._around_tools):
            handler = _tool_call(part, handler)
        return handler(request)

    def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[ToolResult]]
    ) -> Coroutine[Any, Any, ToolResult]:
        """The same as `wrap_tool_call`, async."""
        for part in reversed(self._around_tools):
            handler = _async_tool_call(part, handler)
        return _awaited(handler(request))


def _with_signature(method: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The method as a function that knows its signature: LangSmith asks for it at each call."""

    def call(request: Any, handler: Any) -> Any:
        return method(request, handler)

    call.__signature__ = inspect.signature(call)  # type: ignore[attr-defined]
    return call


def _wraps(part: Middleware, what: str) -> bool:
    names = (f"wrap_{what}_call", f"awrap_{what}_call")
    return any(getattr(type(part), name) is not getattr(AgentMiddleware, name) for name in names)


def _model_call(
    part: Middleware, handler: Callable[..., Any], changes: dict[str, Any]
) -> Callable[..., Any]:
    return lambda request: _response(part.wrap_model_call(request, handler), changes)


def _async_model_call(
    part: Middleware, handler: Callable[..., Any], changes: dict[str, Any]
) -> Callable[..., Any]:
    async def call(request: ModelRequest[Any]) -> ModelResponse[Any]:
        return _response(await part.awrap_model_call(request, handler), changes)

    return call


def _tool_call(part: Middleware, handler: Callable[..., Any]) -> Callable[..., Any]:
    return lambda request: part.wrap_tool_call(request, handler)


def _async_tool_call(part: Middleware, handler: Callable[..., Any]) -> Callable[..., Any]:
    return lambda request: part.awrap_tool_call(request, handler)


def _response(result: Any, changes: dict[str, Any]) -> ModelResponse[Any]:
    """A part's result as the next part expects it; what it changes in the state is kept."""
    # asked in this way round, as pydantic's isinstance takes long
    if isinstance(result, ModelResponse):
        return result
    if not isinstance(result, ExtendedModelResponse):
        return ModelResponse(result=[result])
    if result.command is not None:
        changes |= cast("Mapping[str, Any]", result.command.update)
    return result.model_response


def _with_changes(
    response: ModelResponse[Any], changes: Mapping[str, Any]
) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
    return ExtendedModelResponse(response, Command(update=changes)) if changes else response


async def _response_awaited(
    waiting: Awaitable[ModelResponse[Any]], changes: Mapping[str, Any]
) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
    return _with_changes(await waiting, changes)


async def _awaited(waiting: Awaitable[Any]) -> Any:
    return await waiting
