"""How long messages are, told fast: to count tokens takes longer than to call a tool."""

from __future__ import annotations

from langchain_core.messages import AnyMessage

_MESSAGE_CHARS = 80
_CHARS_A_TOKEN = 4  # as LangChain counts


def rough_tokens(message: AnyMessage) -> int:
    """About the tokens of a message, rather too many than too few."""
    content = message.content
    chars = _MESSAGE_CHARS + (len(content) if type(content) is str else len(str(content)))
    if message.type == "ai":
        for call in message.tool_calls:
            chars += len(str(call["args"]))
    return chars // _CHARS_A_TOKEN + 1
