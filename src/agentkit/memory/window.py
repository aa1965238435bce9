"""What of a conversation a model is sent: its last messages, no call without its result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage

from agentkit.memory.counting import TokenCounter

_CALL_BLOCKS = frozenset({"tool_use", "tool_call", "function_call"})


@dataclass(frozen=True)
class Window:
    """A conversation in two: what is sent, and what is left out; each in its order."""

    sent: Sequence[AnyMessage]
    left_out: Sequence[AnyMessage]


def window_of(messages: Sequence[AnyMessage], *, budget: int, count: TokenCounter) -> Window:
    """The last messages of a conversation that fit into a budget.

    A call and its results stay together. The newest human message is always sent, and so is the
    last message with what belongs to it, even where they do not fit; system messages are never
    left out and do not count here. Where it can, the window begins with a human message.

    Args:
        messages: The conversation, the oldest first.
        budget: Tokens that the window may have.
        count: Counts them.
    """
    steps = inseparable([message for message in messages if not is_system(message)])
    newest = max((n for n, step in enumerate(steps) if _has_human(step)), default=None)
    left = budget - (0 if newest is None else count(steps[newest]))
    kept = set() if newest is None else {newest}
    for place in range(len(steps) - 1, -1, -1):
        if place in kept:
            continue
        left -= count(steps[place])
        if left < 0 and place != len(steps) - 1:
            break
        kept.add(place)
    kept -= _before_the_first_question(steps, kept, newest)
    sent = {id(message) for place in kept for message in steps[place]}
    return Window(
        [message for message in messages if is_system(message) or id(message) in sent],
        [message for message in messages if not is_system(message) and id(message) not in sent],
    )


def inseparable(messages: Sequence[AnyMessage]) -> list[list[AnyMessage]]:
    """The messages in groups that cannot be parted: a call, its results and what is between."""
    groups: list[list[AnyMessage]] = []
    made_in: dict[str, int] = {}
    for message in messages:
        place = made_in.get(message.tool_call_id) if isinstance(message, ToolMessage) else None
        if place is None:
            groups.append([message])
        else:
            groups[place:] = [[each for group in groups[place:] for each in group] + [message]]
            made_in = {name: min(at, place) for name, at in made_in.items()}
        if isinstance(message, AIMessage):
            made_in |= {str(call["id"]): len(groups) - 1 for call in message.tool_calls}
    return groups


def sound(messages: Sequence[AnyMessage]) -> list[AnyMessage]:
    """The messages as servers accept them: no result without its call, no call without its result.

    A result counts for the nearest call before it; of several for one call the first is kept.
    """
    open_calls: set[str] = set()
    answered: set[tuple[int, str]] = set()
    made_by: dict[str, int] = {}
    kept: list[AnyMessage] = []
    for place, message in enumerate(messages):
        if isinstance(message, ToolMessage):
            if message.tool_call_id not in open_calls:
                continue
            open_calls.discard(message.tool_call_id)
            answered.add((made_by[message.tool_call_id], message.tool_call_id))
        elif isinstance(message, AIMessage):
            for call in message.tool_calls:
                open_calls.add(str(call["id"]))
                made_by[str(call["id"])] = place
        kept.append(message)
    places = {id(message): place for place, message in enumerate(messages)}
    sounded = [_with_answered(each, places[id(each)], answered) for each in kept]
    return [message for message in sounded if message is not None]


def is_system(message: AnyMessage) -> bool:
    """Whether a message instructs the model."""
    return isinstance(message, SystemMessage)


def _has_human(step: Sequence[AnyMessage]) -> bool:
    return any(isinstance(message, HumanMessage) for message in step)


def _before_the_first_question(
    steps: Sequence[Sequence[AnyMessage]], kept: set[int], newest: int | None
) -> set[int]:
    """The steps at the window's beginning that answer a question which is left out."""
    if newest is None:
        return set()
    first = min(place for place in kept if _has_human(steps[place]))
    return {place for place in kept if place < first and min(kept) > 0}


def _with_answered(
    message: AnyMessage, place: int, answered: set[tuple[int, str]]
) -> AnyMessage | None:
    """A message with only those calls that have a result; None where nothing is left of it."""
    if not isinstance(message, AIMessage) or not (message.tool_calls or message.invalid_tool_calls):
        return message
    calls = [call for call in message.tool_calls if (place, str(call["id"])) in answered]
    if len(calls) == len(message.tool_calls) and not message.invalid_tool_calls:
        return message
    names = {str(call["id"]) for call in calls}
    content = message.content
    if isinstance(content, list):
        content = [block for block in content if not _is_other_call(block, names)]
    if not calls and not content:
        return None
    extra = {k: v for k, v in message.additional_kwargs.items() if k != "tool_calls"}
    changes = {
        "content": content,
        "tool_calls": calls,
        "invalid_tool_calls": [],
        "additional_kwargs": extra,
    }
    return cast("AnyMessage", message.model_copy(update=changes))


def _is_other_call(block: Any, names: set[str]) -> bool:
    """Whether a content block is a call that has no result."""
    if not isinstance(block, dict) or block.get("type") not in _CALL_BLOCKS:
        return False
    return str(block.get("id") or block.get("call_id")) not in names
