"""A scripted reply as the caller asked for it: text, tool calls or structured output."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from agentkit.errors import ScriptError

if TYPE_CHECKING:
    from agentkit.testing.script import Call, Reply

_WORD = re.compile(r"\s*\S+|\s+")


@dataclass(frozen=True)
class CompletedToolCall:
    """A tool call with its arguments as JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Completion:
    """What a model gives back for one call; tokens are counted as words, unless scripted."""

    text: str
    tool_calls: tuple[CompletedToolCall, ...]
    finish_reason: str
    input_tokens: int
    output_tokens: int
    delay: float

    @classmethod
    def of(cls, reply: Reply, call: Call, numbers: Iterator[int]) -> Completion:
        """The completion of a call by a reply, numbering the tool calls that have no id.

        Raises:
            ScriptError: When structured output is for one of several tools and fits none.
        """
        text, wanted = reply.text, reply.tool_calls
        if reply.data is not None:
            tool = _forced_tool(call, reply.data)
            if tool is None:
                text = as_json(reply.data)
            else:
                wanted = [{"name": tool, "args": reply.data}]
        text = _stopped(text, call)
        tool_calls = tuple(_completed(tool_call, numbers) for tool_call in wanted)
        input_tokens, output_tokens = reply.usage or (
            len(call.text.split()),
            len(text.split()) + sum(len(made.arguments.split()) + 1 for made in tool_calls),
        )
        finish_reason = reply.finish_reason or ("tool_calls" if tool_calls else "stop")
        return cls(text, tool_calls, finish_reason, input_tokens, output_tokens, reply.delay)


def pieces(text: str) -> list[str]:
    """The chunks in which a text is streamed: words, each with the space before it."""
    return _WORD.findall(text)


def as_json(value: Any) -> str:
    """A value as JSON; pydantic objects by their own rules, also inside others.

    Raises:
        ScriptError: When it holds what JSON cannot.
    """
    try:
        return json.dumps(value, ensure_ascii=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise ScriptError(f"This cannot be sent as JSON: {value!r} ({error})") from error


def json_object(text: str) -> dict[str, Any] | None:
    """The JSON object that a text is, or None when it is not one."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _completed(tool_call: Mapping[str, Any], numbers: Iterator[int]) -> CompletedToolCall:
    args = tool_call.get("args", {})
    arguments = args if isinstance(args, str) else as_json(args)
    return CompletedToolCall(
        tool_call.get("id") or f"call_{next(numbers)}", tool_call["name"], arguments
    )


def _forced_tool(call: Call, data: Mapping[str, Any] | BaseModel) -> str | None:
    """The tool that the caller wants the structured output to be a call of, if it wants one."""
    if isinstance(call.tool_choice, Mapping):
        return str(call.tool_choice["function"]["name"])
    if call.tool_choice != "required" or not call.tools:
        return None
    names = [str(tool["function"]["name"]) for tool in call.tools]
    if len(names) == 1:
        return names[0]
    if type(data).__name__ in names:
        return type(data).__name__
    raise ScriptError(
        f"Structured output cannot tell which of the tools {', '.join(names)} it calls; reply "
        "with Reply(tool_calls=[{'name': …, 'args': …}])."
    )


def _stopped(text: str, call: Call) -> str:
    ends = [end for stop in call.stop if stop and (end := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else text
