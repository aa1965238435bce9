"""Replies of a model as the rest can work with them: what is wrong with one, and its repair."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

from langchain.agents.middleware import ModelResponse
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, ToolMessage
from pydantic import ValidationError

from agentkit._text import shortened, well_formed
from agentkit.middleware.results import calls_in

_EMPTY = "That reply was empty. Call a tool, or answer."
_NOT_READ = "That reply could not be read ({told}). Arguments are one JSON object. Reply again."
_OPEN = "(I was about to call {names}. That was left open: I do not know whether it was done.)"


def reply_of(response: ModelResponse[Any]) -> AIMessage | None:
    """What the model said."""
    replies = [m for m in response.result if isinstance(m, AIMessage)]
    return replies[-1] if replies else None


def readable(response: ModelResponse[Any], before: Sequence[AnyMessage]) -> ModelResponse[Any]:
    """The response with calls that can be told apart, and text that can be written down.

    Servers repeat the ids of calls or leave them out, and write halves of characters: neither a
    result nor an approval could be matched to its call then, nor the state be saved.

    Args:
        response: What came of a call of the model.
        before: The messages that it was sent.
    """
    reply = reply_of(response)
    if reply is None:
        return response
    changes: dict[str, Any] = {}
    if reply.tool_calls and (calls := _told_apart(reply.tool_calls, before)) != reply.tool_calls:
        changes["tool_calls"] = calls
    if (content := _well_formed(reply.content)) != reply.content:
        changes["content"] = content
    if not changes:
        return response
    changed = reply.model_copy(update=changes)
    changed.additional_kwargs.pop("tool_calls", None)
    result: list[BaseMessage] = [changed if each is reply else each for each in response.result]
    return replace(response, result=result)


def problems(response: ModelResponse[Any]) -> Sequence[AnyMessage]:
    """What stands for the reply and what is wrong with it, where nothing can be made of it.

    Arguments that are no JSON are not sent back: servers refuse to read them.
    """
    reply = reply_of(response)
    if reply is None or response.structured_response is not None:
        return ()
    if reply.invalid_tool_calls:
        names = ", ".join(str(call.get("name")) for call in reply.invalid_tool_calls)
        told = f"The arguments of {names} are not JSON, so nothing was called. Call again."
        return (AIMessage(reply.text or "…"), HumanMessage(told))
    if not reply.tool_calls and not reply.text.strip():
        return (AIMessage("…"), HumanMessage(_EMPTY))
    return ()


def unreadable(error: ValidationError) -> Sequence[AnyMessage]:
    """What stands for a reply that LangChain could make no message of; none for another error."""
    if error.title != AIMessage.__name__:
        return ()
    told = shortened("; ".join(each["msg"] for each in error.errors()), 300)
    return (AIMessage("…"), HumanMessage(_NOT_READ.format(told=told)))


def without_open_calls(messages: Sequence[AnyMessage]) -> list[AIMessage]:
    """Replacements of the replies whose calls have no result, which servers refuse to read.

    So it is when a person is asked about a call, and asks something else instead of deciding.

    Args:
        messages: A conversation between runs.
    """
    done = {message.tool_call_id for message in messages if isinstance(message, ToolMessage)}
    replies = [message for message in messages if isinstance(message, AIMessage)]
    return [reply for each in replies if (reply := _without_open(each, done)) is not each]


def _without_open(reply: AIMessage, done: Collection[str | None]) -> AIMessage:
    open_calls = [call for call in reply.tool_calls if call["id"] not in done]
    if not open_calls:
        return reply
    names = ", ".join(call["name"] for call in open_calls)
    changes = {
        "content": "\n".join(filter(None, [reply.text, _OPEN.format(names=names)])),
        "tool_calls": [call for call in reply.tool_calls if call["id"] in done],
    }
    kept = {k: v for k, v in reply.additional_kwargs.items() if k != "tool_calls"}
    return reply.model_copy(update={**changes, "additional_kwargs": kept})


def _told_apart(calls: Sequence[Any], before: Sequence[AnyMessage]) -> list[Any]:
    """The calls, each with an id of its own and arguments that can be written down."""
    seen = {call["id"] for call in calls_in(before)}
    found = []
    for call in calls:
        name = call["id"] if call["id"] and call["id"] not in seen else f"call_{uuid4().hex}"
        seen.add(name)
        found.append({**call, "id": name, "args": _well_formed(call["args"])})
    return found


def _well_formed(value: Any) -> Any:
    """A value whose texts can be encoded."""
    if isinstance(value, str):
        return value if value.isascii() else well_formed(value)
    if isinstance(value, Mapping):
        return {_well_formed(key): _well_formed(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_well_formed(each) for each in value]
    return value
