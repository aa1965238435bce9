"""Between LangChain's messages and what the embedded model reads and writes.

The model knows system, user and assistant turns of text and nothing of tools. Tools are told in
the system message, their calls are JSON in the assistant's turns, their results user turns.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolCallChunk,
    ToolMessage,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk

from agentkit.errors import AgentkitError, InvalidInputError
from agentkit.local.engine import Chunk
from agentkit.local.schema import call_prefix

Function = Mapping[str, Any]
"""A tool as OpenAI describes one: its name, description and the JSON schema of its arguments."""

_TURN_MARKUP = re.compile(r"<\|(im_start|im_end|endoftext)\|>")
_TOOL_INSTRUCTIONS = (
    'To call a tool, reply only with JSON: {"name": "<tool>", "arguments": {...}}\nTools:'
)


def as_turns(messages: Sequence[BaseMessage], tools: Sequence[Function] = ()) -> list[Chunk]:
    """The turns that the model reads, in the form of OpenAI's chat completions API.

    Markup of turns inside a message is defused, so that no text can end its own turn.

    Raises:
        InvalidInputError: When there are no messages, or one is of a kind that is not text.
    """
    if not messages:
        raise InvalidInputError("Expected at least one message; got none.")
    called = {
        call["id"]: call["name"]
        for message in messages
        if isinstance(message, AIMessage)
        for call in message.tool_calls
    }
    turns = [_turn(message, called) for message in messages]
    return _with_tools(turns, tools) if tools else turns


def _turn(message: BaseMessage, called: Mapping[str | None, str]) -> Chunk:
    text = _text(message)
    if isinstance(message, ToolMessage):
        name = message.name or called.get(message.tool_call_id) or "the tool"
        outcome = "Error from" if message.status == "error" else "Result of"
        return {"role": "user", "content": f"{outcome} {name}: {text}"}
    if isinstance(message, AIMessage):
        calls = [_call_text(call) for call in message.tool_calls]
        return {"role": "assistant", "content": "\n".join([text, *calls] if text else calls)}
    return {"role": _role(message), "content": text}


def _role(message: BaseMessage) -> str:
    if isinstance(message, SystemMessage):
        return "system"
    if isinstance(message, HumanMessage):
        return "user"
    if isinstance(message, ChatMessage) and message.role in ("system", "user", "assistant"):
        return message.role
    raise InvalidInputError(
        f"The embedded model takes system, human, AI and tool messages; got a "
        f"{type(message).__name__} with role {getattr(message, 'role', message.type)!r}."
    )


def _text(message: BaseMessage) -> str:
    blocks = [] if isinstance(message.content, str) else message.content
    for block in blocks:
        kind = "text" if isinstance(block, str) else block.get("type")
        if kind not in ("text", "tool_use", "tool_call", "reasoning", "thinking"):
            raise InvalidInputError(
                f"The embedded model reads text only; a {type(message).__name__} has a block of "
                f"type {kind!r}."
            )
    readable = str(message.text).encode("utf-8", "replace").decode()  # no lone surrogates
    return _TURN_MARKUP.sub(r"< |\1| >", readable)


def _call_text(call: ToolCall) -> str:
    return f"{call_prefix(call['name'])}{json.dumps(call['args'], ensure_ascii=False)}}}"


def _with_tools(turns: list[Chunk], tools: Sequence[Function]) -> list[Chunk]:
    told = "\n".join([_TOOL_INSTRUCTIONS, *(_signature(tool) for tool in tools)])
    if turns[0]["role"] != "system":
        return [{"role": "system", "content": told}, *turns]
    first = {"role": "system", "content": f"{turns[0]['content']}\n\n{told}"}
    return [first, *turns[1:]]


def _signature(tool: Function) -> str:
    """A tool in one line; its JSON schema would cost the model seconds of reading."""
    properties = tool.get("parameters", {}).get("properties", {})
    parameters = ", ".join(
        f"{name}: {schema.get('type', 'any')}" for name, schema in properties.items()
    )
    description = " ".join(tool.get("description", "").split())
    return f"- {tool['name']}({parameters}): {description}"


class ReplyReader:
    """Reads the chunks of one reply into LangChain's.

    Text is passed on as it comes. A call of a tool is held back until it is whole; when the
    token limit cuts it, its text is the reply, since arguments with a missing end must not run.

    Args:
        model: The model's name, for the reply's metadata.
        tools: The names of the tools that may be called.
        is_json: Whether the reply must be JSON.
    """

    def __init__(self, model: str, *, tools: Sequence[str] = (), is_json: bool = False) -> None:
        self._model = model
        self._tools = tools
        self._is_json = is_json
        self._text = ""
        self._held = ""
        self._finish_reason = ""

    def read(self, chunk: Chunk) -> Iterator[ChatGenerationChunk]:
        """What one chunk adds to the reply.

        Raises:
            AgentkitError: When a reply that had to be JSON ended without being it.
        """
        for choice in chunk["choices"]:
            self._finish_reason = choice["finish_reason"] or self._finish_reason
            if text := choice["delta"].get("content"):
                yield from self._read_text(text)
        if usage := chunk.get("usage"):
            yield self._end(usage)

    def _read_text(self, text: str) -> Iterator[ChatGenerationChunk]:
        self._text += text
        if self._tools and self._text.startswith("{"):
            self._held += text
        else:
            yield ChatGenerationChunk(text=text, message=AIMessageChunk(content=text))

    def _end(self, usage: Mapping[str, int]) -> ChatGenerationChunk:
        call = self._call()
        if self._is_json and not call and self._finish_reason == "stop":
            _check_json(self._text)
        text = "" if call else self._held
        message = AIMessageChunk(
            content=text,
            tool_call_chunks=[call] if call else [],
            usage_metadata=UsageMetadata(
                input_tokens=usage["prompt_tokens"],
                output_tokens=usage["completion_tokens"],
                total_tokens=usage["total_tokens"],
            ),
            response_metadata={
                "model_name": self._model,
                "finish_reason": "tool_calls" if call else self._finish_reason,
            },
            chunk_position="last",
        )
        return ChatGenerationChunk(text=text, message=message)

    def _call(self) -> ToolCallChunk | None:
        for name in self._tools:
            arguments = self._held.removeprefix(call_prefix(name)).removesuffix("}")
            if self._held.startswith(call_prefix(name)) and _is_json(arguments):
                return ToolCallChunk(
                    name=name,
                    args=arguments,
                    id=f"call_{uuid.uuid4().hex}",
                    index=0,
                    type="tool_call_chunk",
                )
        return None


def _check_json(text: str) -> None:
    if not _is_json(text):
        raise AgentkitError(
            "The embedded model's reply is not the JSON that was asked for, because llama.cpp "
            "could not make a grammar of the JSON schema: simplify the schema. "
            f"The reply: {text[:200]!r}"
        )


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
