"""What comes of tool calls: numbered for citation, bounded, fenced, and kept in a trace."""

from __future__ import annotations

import difflib
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, NotRequired, TypeAlias, cast

from langchain.agents.middleware import AgentMiddleware, AgentState
from langchain.agents.middleware.types import OmitFromInput, PrivateStateAttr
from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    BaseMessage,
    RemoveMessage,
    ToolCall,
    ToolMessage,
    convert_to_messages,
)
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.types import Command

from agentkit._text import shortened, well_formed
from agentkit.databases.schema import count_tokens
from agentkit.events import Outcome, ToolCallRecord
from agentkit.middleware.fences import bare, fenced, holds_untrusted, number_of, numbered
from agentkit.tools._making import is_untrusted

ToolResult: TypeAlias = ToolMessage | Command[Any]
"""What a call comes to; a tool of a user may give several of these at once."""

DECISION = "agentkit_decision"
"""Where a tool message tells what a person decided about the call, among `additional_kwargs`."""

_BY_TOOL = "agentkit_by_tool"  # marks other messages that a tool put into the conversation
_MOST_RECORDS = 500
_EARLIER_RECORDS = 200
_MOST_ARGUMENT_CHARS = 2_000
_MOST_SOURCES = 50
_MOST_NAMES = 20
_TOLD_CHARS = 1_500
_EDITED = (
    "A person changed this call before it ran, as they may; do not make it again as it was. What "
    "ran: {name} with {arguments}"
)


def recorded(
    kept: Sequence[ToolCallRecord] | None, new: Sequence[ToolCallRecord]
) -> list[ToolCallRecord]:
    """The calls of a run, the latest ones."""
    return [*(kept or ()), *new][-_MOST_RECORDS:]


def either(kept: bool | None, new: bool) -> bool:
    """Whether one of two is so."""
    return bool(kept) or new


class ToolResultsState(AgentState[Any]):
    """What `ToolResults` keeps.

    `tainted` says whether the conversation holds what strangers wrote, even when the message that
    held it is gone.
    """

    trace: NotRequired[Annotated[list[ToolCallRecord], OmitFromInput, recorded]]
    earlier: NotRequired[Annotated[list[ToolCallRecord], PrivateStateAttr]]
    tainted: NotRequired[Annotated[bool, PrivateStateAttr, either]]


class ToolResults(AgentMiddleware[ToolResultsState, Any, Any]):
    """Numbers, bounds and fences the results of tools, and keeps a trace of the calls.

    A call that failed before in the run is not run again; nor is one of a tool that does not
    exist, for which the nearest names are told. Put it before all others that wrap tool calls.

    Args:
        max_chars: Characters of a result that the model is shown.
    """

    state_schema = ToolResultsState

    def __init__(self, *, max_chars: int = 20_000) -> None:
        super().__init__()
        self._max_chars = max_chars

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolResult]
    ) -> ToolResult:
        """Run a call, unless it is one that cannot work, and say how it ended."""
        started = time.perf_counter()
        if refused := _refusal(request):
            return self._told(request, *refused, started)
        return self._told(request, handler(request), None, started)

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[ToolResult]]
    ) -> ToolResult:
        """The same as `wrap_tool_call`, async."""
        started = time.perf_counter()
        if refused := _refusal(request):
            return self._told(request, *refused, started)
        return self._told(request, await handler(request), None, started)

    def _told(
        self, request: ToolCallRequest, result: Any, outcome: Outcome | None, started: float
    ) -> ToolResult:
        """The result as the model and the trace are told it."""
        if isinstance(result, ToolMessage):
            told, changes = self._recorded(request, result, outcome, started)
            return Command(update={"messages": [told], **changes})
        parts = with_messages(result)
        call = request.tool_call["id"]
        answer = next((m for m in tool_messages(parts) if m.tool_call_id == call), None)
        told, changes = self._recorded(request, answer, outcome, started)
        untrusted = _is_untrusted(request)
        shown = [_shown_otherwise(part, answer, told, untrusted=untrusted) for part in parts]
        # LangGraph takes several, as a tool may give them, though its types know of one only
        return cast("ToolResult", [*shown, Command(update=changes)])

    def _recorded(
        self,
        request: ToolCallRequest,
        message: ToolMessage | None,
        outcome: Outcome | None,
        started: float,
    ) -> tuple[ToolMessage | None, dict[str, Any]]:
        """A call's message as the model is told it, and what else changes in the state."""
        decision = _decision(message)
        is_rejected = decision.get("type") == "reject"
        untrusted = _is_untrusted(request) and not is_rejected
        number = _number(request)
        told = None if message is None else self._shown(message, number, untrusted=untrusted)
        record: ToolCallRecord = {
            "number": number,
            "tool": request.tool_call["name"],
            "arguments": _short_arguments(decision.get("arguments", request.tool_call["args"])),
            "seconds": round(time.perf_counter() - started, 6),
            "tokens": count_tokens(str(told.content)) if told else 0,
            "outcome": outcome or _outcome(message),
            "sources": _sources(message),
        }
        request.runtime.stream_writer({"type": "tool_finished", **record})
        changes: dict[str, Any] = {"trace": [record]}
        if untrusted:  # not told where it is not: each change of the state takes time
            changes["tainted"] = True
        return told, changes

    def _shown(self, message: ToolMessage, number: int, *, untrusted: bool) -> ToolMessage:
        text = well_formed(_text_of(message.content)).replace("\0", "�")
        if len(text) > self._max_chars:
            left_out = len(text) - self._max_chars
            text = f"{text[: self._max_chars]}\n[{left_out:,} further characters were left out]"
        if untrusted:
            text = fenced(text)
        decision = _decision(message)
        if decision.get("type") == "edit":
            arguments = json.dumps(decision["arguments"], ensure_ascii=False, default=repr)
            text = f"{_EDITED.format(name=message.name, arguments=arguments)}\n{text}"
        return message.model_copy(update={"content": numbered(text, number)})


def is_question(message: BaseMessage) -> bool:
    """Whether a person asks with a message: no tool put it there, and no summary stands as it."""
    # by its type's name: pydantic's isinstance takes longer than all else that a step does here
    if message.type != "human":
        return False
    told = message.additional_kwargs
    return not (told and (_BY_TOOL in told or told.get("lc_source") == "summarization"))


def run_messages(messages: Sequence[AnyMessage]) -> Sequence[AnyMessage]:
    """The messages of the present run: those after the last question."""
    for place in range(len(messages) - 1, -1, -1):
        if is_question(messages[place]):
            return messages[place + 1 :]
    return messages


def calls_in(messages: Sequence[AnyMessage]) -> list[ToolCall]:
    """The calls that a model makes in messages."""
    # by the type's name, for the same reason
    return [call for m in messages if m.type == "ai" for call in m.tool_calls]


def results_told(messages: Sequence[AnyMessage]) -> str:
    """The results of the present run as they are, each with the number that cites it behind it."""
    results = [m for m in run_messages(messages) if isinstance(m, ToolMessage)]
    return "\n\n".join(_as_cited(message.text) for message in results)


def _as_cited(text: str) -> str:
    number = number_of(text)
    told = shortened(bare(text).strip(), _TOLD_CHARS)
    return told if number is None else f"{told} [{number}]"


def error_message(call: Mapping[str, Any], told: str) -> ToolMessage:
    """What the model is told in place of a call's result."""
    return ToolMessage(told, tool_call_id=call["id"], name=call["name"], status="error")


def records_of(state: Mapping[str, Any]) -> list[ToolCallRecord]:
    """The calls of a conversation, those of the present run last."""
    return [*(state.get("earlier") or ()), *(state.get("trace") or ())]


def what_is_known(state: Mapping[str, Any]) -> dict[str, Any]:
    """What a conversation that was kept elsewhere tells: its calls, and whether it is tainted.

    Args:
        state: A state; what it knows of the calls of its messages comes first.

    Returns:
        The changes of the state at the beginning of a run: `earlier`, and `tainted` where it is.
    """
    records = records_of(state)
    results = [m for m in state.get("messages") or () if isinstance(m, ToolMessage)]
    known = {None, *(record["number"] for record in records)}
    if unknown := [message for message in results if number_of(message.text) not in known]:
        calls = {call["id"]: call for call in reversed(calls_in(state["messages"]))}
        records[:0] = [
            _told_before(message, calls.get(message.tool_call_id)) for message in unknown
        ]
    records.sort(key=lambda record: record["number"])
    is_tainted = not state.get("tainted") and any(holds_untrusted(m.text) for m in results)
    changes: dict[str, Any] = {"earlier": records[-_EARLIER_RECORDS:]}
    return {**changes, "tainted": True} if is_tainted else changes


def _told_before(message: ToolMessage, call: Mapping[str, Any] | None) -> ToolCallRecord:
    """The record of a call by its numbered result."""
    made = call or {"name": "", "args": {}}
    return {
        "number": cast("int", number_of(message.text)),
        "tool": str(message.name or made["name"]),
        "arguments": _short_arguments(_ran(message, made)),
        "seconds": 0.0,
        "tokens": count_tokens(message.text),
        "outcome": _outcome(message),
        "sources": _sources(message),
    }


def _refusal(request: ToolCallRequest) -> tuple[ToolMessage, Outcome] | None:
    """What is told in place of a call that cannot work, and why."""
    call = request.tool_call
    if request.tool is None:
        names = [tool.name for tool in request.runtime.tools]
        near = difflib.get_close_matches(call["name"], names, n=3)
        known = near or names[:_MOST_NAMES]
        told = f"There is no tool {shortened(call['name'], 60)!r}. Tools: {', '.join(known)}."
        return error_message(call, told), "unknown"
    if failed := _failed_before(request):
        told = (
            "This same call failed before, so it was not run again. Call it otherwise, call "
            f"another tool, or answer without it. It said: {shortened(failed, 500)}"
        )
        return error_message(call, told), "repeated"
    return None


def _failed_before(request: ToolCallRequest) -> str:
    """What a call of the same tool with the same arguments said, if it failed in this run."""
    messages = run_messages(request.state["messages"])
    failures = {
        m.tool_call_id: m for m in messages if isinstance(m, ToolMessage) and m.status == "error"
    }
    if not failures:
        return ""
    wanted = _key(request.tool_call, request.tool_call["args"])
    calls = calls_in(messages)
    failed = ((call, failures[call["id"]]) for call in calls if call["id"] in failures)
    # what ran counts, not what the model asked for: a person may have changed it
    told = (m.text for call, m in failed if _key(call, _ran(m, call)) == wanted)
    return next(told, "")


def _ran(message: ToolMessage, call: Mapping[str, Any]) -> Any:
    return _decision(message).get("arguments", call["args"])


def _key(call: Mapping[str, Any], arguments: Any) -> str:
    return json.dumps([call["name"], arguments], sort_keys=True, default=repr)


def _number(request: ToolCallRequest) -> int:
    """The number of a call's result: they go on through the conversation."""
    last = max((record["number"] for record in records_of(request.state)), default=0)
    return last + 1 + _place(request)


def _place(request: ToolCallRequest) -> int:
    """Which of the model's calls at once this is, from 0."""
    for message in reversed(request.state["messages"]):
        if isinstance(message, AIMessage):
            ids = [call["id"] for call in message.tool_calls]
            return ids.index(request.tool_call["id"]) if request.tool_call["id"] in ids else 0
    return 0


def _is_untrusted(request: ToolCallRequest) -> bool:
    return request.tool is not None and is_untrusted(request.tool)


def with_messages(result: Any) -> list[ToolResult]:
    """The parts of a result, with messages for what stands for some, such as mappings."""
    return [_with_messages(part) for part in (result if isinstance(result, list) else [result])]


def _with_messages(part: ToolResult) -> ToolResult:
    if isinstance(part, ToolMessage) or not isinstance(part.update, Mapping):
        return part
    given = part.update.get("messages")
    if given is None:
        return part
    return replace(part, update={**part.update, "messages": convert_to_messages(given)})


def tool_messages(parts: Sequence[ToolResult]) -> list[ToolMessage]:
    """The tool messages in the parts of a result."""
    messages = [message for part in parts for message in _messages(part)]
    return [message for message in messages if isinstance(message, ToolMessage)]


def _messages(part: ToolResult) -> Sequence[BaseMessage]:
    if isinstance(part, ToolMessage):
        return [part]
    return part.update.get("messages", ()) if isinstance(part.update, Mapping) else ()


def _shown_otherwise(
    part: ToolResult, answer: ToolMessage | None, told: ToolMessage | None, *, untrusted: bool
) -> ToolResult:
    """A part with the answer as it is told, and all else marked, and fenced if of strangers."""

    def shown(message: BaseMessage) -> BaseMessage:
        if message is answer and told is not None:
            return told
        if isinstance(message, RemoveMessage):
            return message
        content = fenced(well_formed(_text_of(message.content))) if untrusted else message.content
        marked = {**message.additional_kwargs, _BY_TOOL: True}
        return message.model_copy(update={"content": content, "additional_kwargs": marked})

    if isinstance(part, ToolMessage):
        return cast("ToolMessage", shown(part))
    if not (messages := _messages(part)):
        return part
    update = cast("Mapping[str, Any]", part.update)
    return replace(part, update={**update, "messages": [shown(message) for message in messages]})


def _decision(message: ToolMessage | None) -> Mapping[str, Any]:
    """What a person decided about a call: `type`, and the `arguments` that ran if changed."""
    return message.additional_kwargs.get(DECISION, {}) if message is not None else {}


def _outcome(message: ToolMessage | None) -> Outcome:
    if message is None or message.status != "error":
        return "ok"
    return "rejected" if _decision(message).get("type") == "reject" else "error"


def _text_of(content: Any) -> str:
    """The text of a result; of what is not text, what it is."""
    if isinstance(content, str):
        return content
    parts = []
    for block in content if isinstance(content, list) else [content]:
        if isinstance(block, str):
            parts.append(block)
        elif isinstance(block, Mapping) and block.get("type") == "text":
            parts.append(str(block.get("text", "")))
        else:
            kind = block.get("type", "data") if isinstance(block, Mapping) else type(block).__name__
            parts.append(f"[{kind}, which is no text, was left out]")
    return "\n".join(parts)


def _short_arguments(arguments: Any) -> dict[str, Any]:
    """The arguments as a trace keeps them: long ones are cut."""
    told = json.dumps(arguments, default=repr, ensure_ascii=False)
    if len(told) <= _MOST_ARGUMENT_CHARS and isinstance(arguments, dict):
        return arguments
    if not isinstance(arguments, dict):
        return {"value": shortened(told, _MOST_ARGUMENT_CHARS)}
    share = max(20, _MOST_ARGUMENT_CHARS // max(1, len(arguments)))
    return {name: shortened(str(value), share) for name, value in list(arguments.items())[:50]}


def _sources(message: ToolMessage | None) -> list[dict[str, Any]]:
    artifact = message.artifact if message is not None else None
    found = artifact.get("sources") if isinstance(artifact, Mapping) else None
    if not isinstance(found, list):
        return []
    return [dict(each) for each in found[:_MOST_SOURCES] if isinstance(each, Mapping)]
