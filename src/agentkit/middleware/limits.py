"""Limits of a run that end in an answer: when they are reached, the model may only answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired, Protocol, cast

from langchain.agents.middleware import (
    AgentMiddleware,
    AgentState,
    ExtendedModelResponse,
    ModelRequest,
    ModelResponse,
)
from langchain.agents.middleware.types import PrivateStateAttr
from langchain_core.messages import AnyMessage, SystemMessage, ToolMessage
from langgraph.types import Command
from pydantic import ValidationError
from typing_extensions import TypedDict

from agentkit.events import emit
from agentkit.middleware.replies import problems, readable, reply_of, unreadable
from agentkit.middleware.results import is_question, results_told, run_messages
from agentkit.middleware.sizes import rough_tokens

_LAST = (
    "The limit of this run is reached: no tool can be called any more. Answer now from what is "
    "known so far, and say what could not be done or found out."
)
_UNANSWERED = "The limit of this run was reached before there was an answer. Its tools said:"
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
        """Tokens that the model reads and writes; estimated where it reports none."""


class Taken(TypedDict):
    """What a run has taken; `question` is the id of the message that it answers."""

    question: str
    model_calls: int
    tool_calls: int
    tokens: int


class LimitsState(AgentState[Any]):
    """What `AnswerWithinLimits` keeps."""

    taken: NotRequired[Annotated[Taken, PrivateStateAttr]]


@dataclass(frozen=True)
class _Left:
    """What a run may still take."""

    model_calls: int
    tool_calls: int
    tokens: int

    @property
    def is_last(self) -> bool:
        return self.model_calls <= 1 or self.tool_calls <= 0 or self.tokens <= 0


class AnswerWithinLimits(AgentMiddleware[LimitsState, Any, Any]):
    """Ends a run in an answer from what is known so far, and never in an error, at its limits.

    The model is asked once more then, with no tools. A reply that cannot be read, or is empty, is
    asked for again, with the error. Calls beyond the number that is left are dropped.

    Args:
        limits: The limits of the run whose runtime it is given.
        messages_leave: Whether messages may leave the state during a run, as by a summary. What a
            run has taken is then kept beside them, which costs a change of the state at each step.
    """

    state_schema = LimitsState

    def __init__(self, limits: Callable[[Any], Limits], *, messages_leave: bool = True) -> None:
        super().__init__()
        self._limits = limits
        self._messages_leave = messages_leave

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """Ask the model, within what is left of the run."""
        taken, left = self._taken_and_left(request)
        attempts = _Attempts(request, left)
        while attempts.response is None:
            try:
                attempts.came(handler(attempts.asked))
            except ValidationError as error:
                attempts.failed(error)
        return self._told(request, attempts.response, taken)

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """The same as `wrap_model_call`, async."""
        taken, left = self._taken_and_left(request)
        attempts = _Attempts(request, left)
        while attempts.response is None:
            try:
                attempts.came(await handler(attempts.asked))
            except ValidationError as error:
                attempts.failed(error)
        return self._told(request, attempts.response, taken)

    def _taken_and_left(self, request: ModelRequest[Any]) -> tuple[Taken, _Left]:
        limits = self._limits(request.runtime)
        taken = _kept(request) if self._messages_leave else _counted(request)
        called = max(len(cast("Any", request.state).get("trace") or ()), taken["tool_calls"])
        return taken, _Left(
            limits.max_model_calls - taken["model_calls"],
            limits.max_tool_calls - called,
            limits.max_tokens - taken["tokens"],
        )

    def _told(
        self, request: ModelRequest[Any], response: ModelResponse[Any], taken: Taken
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """The response, and what the run has taken with it, where that is to be kept."""
        reply = reply_of(response)
        if not self._messages_leave or reply is None:
            return response
        usage = reply.usage_metadata
        read = [*request.messages, reply]
        tokens = usage["total_tokens"] if usage else sum(map(rough_tokens, read))
        more: Taken = {
            "question": taken["question"],
            "model_calls": taken["model_calls"] + 1,
            "tool_calls": taken["tool_calls"] + len(reply.tool_calls),
            "tokens": taken["tokens"] + tokens,
        }
        return ExtendedModelResponse(response, Command(update={"taken": more}))


class _Attempts:
    """A call of the model, made again while nothing can be made of the reply."""

    def __init__(self, request: ModelRequest[Any], left: _Left) -> None:
        self.asked = _last(request) if left.is_last else request
        self.response: ModelResponse[Any] | None = None
        self._request = request
        self._left = left
        self._again = _ATTEMPTS - 1

    def came(self, response: ModelResponse[Any]) -> None:
        """Take a response, unless it is to be asked for again."""
        response = readable(response, self._request.messages)
        wrong = problems(response)
        if wrong and self._again:
            self._ask_again(wrong)
        else:
            self.response = _bounded(response, self._left, self._request)

    def failed(self, error: ValidationError) -> None:
        """Ask again for a reply that could not be read at all.

        Raises:
            ValidationError: When it was the last attempt, or the error is of something else.
        """
        wrong = unreadable(error)
        if not wrong or not self._again:
            raise error
        self._ask_again(wrong)

    def _ask_again(self, wrong: Sequence[AnyMessage]) -> None:
        self._again -= 1
        self.asked = self.asked.override(messages=[*self.asked.messages, *wrong])


def _counted(request: ModelRequest[Any]) -> Taken:
    """What the run has taken, by its messages."""
    run = run_messages(request.messages)
    replies = [m for m in run if m.type == "ai"]
    usages = [m.usage_metadata for m in replies]
    if all(usages):
        tokens = sum([usage["total_tokens"] for usage in usages if usage])
    else:
        tokens = _estimated(request.messages, run)
    return {
        "question": "",
        "model_calls": len(replies),
        "tool_calls": sum([len(m.tool_calls) for m in replies]),
        "tokens": tokens,
    }


def _estimated(messages: Sequence[AnyMessage], run: Sequence[AnyMessage]) -> int:
    """The tokens of a run's calls: each reads all messages before its reply."""
    read = sum([rough_tokens(message) for message in messages[: len(messages) - len(run)]])
    total = 0
    for message in run:
        read += rough_tokens(message)
        if message.type == "ai":
            usage = message.usage_metadata
            total += usage["total_tokens"] if usage else read
    return total


def _kept(request: ModelRequest[Any]) -> Taken:
    """What the run has taken, as the state keeps it; nothing where that is of another run."""
    question = next((m.id for m in reversed(request.messages) if is_question(m)), None)
    kept = cast("Taken | None", cast("Any", request.state).get("taken"))
    if kept and question in (None, kept["question"]):
        return kept
    return {"question": question or "", "model_calls": 0, "tool_calls": 0, "tokens": 0}


def _last(request: ModelRequest[Any]) -> ModelRequest[Any]:
    """The request without tools, and with the reason for that."""
    emit({"type": "notice", "message": "The limit of the run is reached: the agent answers now."})
    before = request.system_message.text if request.system_message else ""
    told = SystemMessage("\n\n".join(filter(None, [before, _LAST])))
    return request.override(tools=[], tool_choice=None, system_message=told)


def _bounded(
    response: ModelResponse[Any], left: _Left, request: ModelRequest[Any]
) -> ModelResponse[Any]:
    """The response with no more calls than are left, none unreadable, and an answer at the end."""
    reply = reply_of(response)
    may = 0 if left.is_last else left.tool_calls
    corrected = any(isinstance(message, ToolMessage) for message in response.result)
    done = response.structured_response is not None or (corrected and left.model_calls > -_ATTEMPTS)
    if reply is None or done:
        return response
    is_empty = left.is_last and not reply.text.strip()
    if len(reply.tool_calls) <= may and not reply.invalid_tool_calls and not is_empty:
        return response
    changes: dict[str, Any] = {"tool_calls": reply.tool_calls[:may], "invalid_tool_calls": []}
    if is_empty and (told := results_told(request.messages)):
        changes["content"] = f"{_UNANSWERED}\n\n{told}"
    kept = reply.model_copy(update=changes)
    kept.additional_kwargs.pop("tool_calls", None)
    return ModelResponse(result=[kept], structured_response=response.structured_response)
