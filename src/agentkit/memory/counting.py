"""Counting the tokens of messages: by the model's own tokenizer, or scaled by what it reported."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, SystemMessage
from langchain_core.messages.utils import count_tokens_approximately

TokenCounter: TypeAlias = Callable[[Sequence[BaseMessage]], int]
"""Counts the tokens of messages; a list has the sum of what its messages have."""

_A_MESSAGE = 4  # tokens around the content of each
_AN_IMAGE = 85  # what LangChain takes a picture for

MEDIA = frozenset({"image", "image_url", "audio", "video", "file"})
"""The types of content blocks that hold no text."""

_LEAST_SCALE, _MOST_SCALE = 0.5, 6.0


def token_counter(model: BaseChatModel, *, scale: float = 1.0) -> TokenCounter:
    """How many tokens a model makes of messages.

    A model that has a tokenizer of its own (`custom_get_token_ids`) counts by it. For another one,
    a token is taken for four characters, times a scale that its own reports of usage give; no
    tokenizer is fetched from the network.

    Args:
        model: The chat model.
        scale: Tokens that the model reported for each one estimated, as `reported_scale` finds.
    """
    ids = model.custom_get_token_ids
    if ids is not None:
        return lambda messages: sum([_A_MESSAGE + _counted(each, ids) for each in messages])
    return lambda messages: sum(
        [math.ceil(scale * count_tokens_approximately([each])) for each in messages]
    )


def reported_scale(reply: AIMessage, sent: Sequence[BaseMessage], tools: Sequence[Any]) -> float:
    """How many tokens the model counted for each one estimated; 0 where it reported none.

    Args:
        reply: The model's reply, with its `usage_metadata`.
        sent: The messages that it replies to.
        tools: The tools that it was offered.
    """
    reported = reply.usage_metadata["input_tokens"] if reply.usage_metadata else 0
    estimated = count_tokens_approximately(sent) + tool_tokens(tools)
    if not reported or not estimated:
        return 0.0
    return min(_MOST_SCALE, max(_LEAST_SCALE, float(reported) / estimated))


def tool_tokens(tools: Sequence[Any]) -> int:
    """About how many tokens the schemas of tools take.

    Args:
        tools: LangChain tools, or schemas as mappings.
    """
    return count_tokens_approximately([], tools=list(tools)) if tools else 0


def text_tokens(text: str, count: TokenCounter) -> int:
    """How many tokens a text takes in a prompt; none where it is empty."""
    return count([SystemMessage(text)]) if text else 0


def _counted(message: BaseMessage, ids: Callable[[str], Sequence[int]]) -> int:
    blocks = [message.content] if isinstance(message.content, str) else message.content
    texts = [block if isinstance(block, str) else _text(block) for block in blocks]
    if isinstance(message, AIMessage) and message.tool_calls:
        texts.append(json.dumps(message.tool_calls, default=repr))
    pictures = sum([_is_media(block) for block in blocks])
    return len(ids("\n".join(filter(None, texts)))) + _AN_IMAGE * pictures


def _text(block: Mapping[str, Any]) -> str:
    if _is_media(block):
        return ""
    text = block.get("text")
    return text if isinstance(text, str) else json.dumps(block, default=repr)


def _is_media(block: Any) -> bool:
    return isinstance(block, Mapping) and block.get("type") in MEDIA
