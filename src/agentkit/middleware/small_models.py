"""The answer of a model that can choose, and can neither plan nor write: the embedded one."""

from __future__ import annotations

import re
from typing import Any

from langchain.agents.middleware import ModelRequest, ModelResponse
from langchain_core.messages import AIMessage, ToolMessage

from agentkit._text import shortened
from agentkit.middleware.results import run_messages

_SHOWN_CHARS = 1_500
_NUMBER = re.compile(r"\[(\d+)\] (.*)", re.DOTALL)


def results_told(request: ModelRequest[Any]) -> ModelResponse[Any] | None:
    """The results of the run as they are, in place of an answer; None before there is one."""
    results = [m for m in run_messages(request.messages) if isinstance(m, ToolMessage)]
    if not results:
        return None
    told = [_told(message) for message in results]
    return ModelResponse(result=[AIMessage("\n\n".join(told))])


def _told(message: ToolMessage) -> str:
    """A result with its number behind it, where a citation stands."""
    numbered = _NUMBER.match(message.text)
    if numbered is None:
        return shortened(message.text, _SHOWN_CHARS)
    return f"{shortened(numbered[2].strip(), _SHOWN_CHARS)} [{numbered[1]}]"
