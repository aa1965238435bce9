"""Messages as text, for a model that is to sum them up or to find in them what to remember."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

from agentkit._text import shortened, well_formed
from agentkit.memory.counting import MEDIA
from agentkit.memory.window import is_system

_RESULT_CHARS = 1_500
_ARGUMENT_CHARS = 500


def lines_of(messages: Iterable[AnyMessage]) -> list[str]:
    """A line for each thing that was said, called or returned.

    Results of tools are shortened, and what is no text, such as a picture, is named.
    """
    return [line for message in messages for line in _lines(message)]


def pieces_of(lines: Sequence[str], *, chars: int) -> list[str]:
    """The lines joined to texts of at most so many characters; a longer line is cut in several."""
    pieces: list[str] = []
    for line in (part for whole in lines for part in _cut(whole, chars)):
        if pieces and len(pieces[-1]) + 1 + len(line) <= chars:
            pieces[-1] += f"\n{line}"
        else:
            pieces.append(line)
    return pieces


def said(message: AnyMessage) -> str:
    """The text of a message, with what is no text in brackets."""
    if isinstance(message.content, str):
        return well_formed(message.content.strip())
    kinds = [
        f"[{block['type']}]"
        for block in message.content
        if isinstance(block, dict) and block.get("type") in MEDIA
    ]
    return well_formed(" ".join(filter(None, [message.text.strip(), *kinds])))


def _lines(message: AnyMessage) -> list[str]:
    if is_system(message):
        return []
    text = said(message)
    if isinstance(message, HumanMessage):
        return [f"User: {text}"] if text else []
    if isinstance(message, ToolMessage):
        return [f"Result of {message.name or 'a tool'}: {shortened(text, _RESULT_CHARS)}"]
    spoken = [f"Assistant: {text}"] if text else []
    return [*spoken, *_calls(message)] if isinstance(message, AIMessage) else spoken


def _calls(message: AIMessage) -> list[str]:
    return [
        f"Assistant called {call['name']} with "
        + shortened(json.dumps(call["args"], ensure_ascii=False, default=repr), _ARGUMENT_CHARS)
        for call in message.tool_calls
    ]


def _cut(line: str, chars: int) -> list[str]:
    return [line[at : at + chars] for at in range(0, len(line), chars)] or [""]
