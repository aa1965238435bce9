"""What is remembered of a user, as a reply is given it and cites it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from typing_extensions import TypedDict

from agentkit.memory.counting import TokenCounter, text_tokens

if TYPE_CHECKING:
    from agentkit.memory.records import Memory

_MARK = re.compile(r" ?\[m(\d{1,4})\]")


class RecalledMemory(TypedDict):
    """Something remembered that a reply may draw on, and cites as `[m1]` by its `number`.

    `kind` is `fact`, `preference`, `event` or `turn`; `thread`, `message` and `time` say in which
    conversation, in which message and when it was said (ISO 8601), `happened` when it happened, or
    empty.
    """

    number: int
    id: str
    kind: str
    text: str
    thread: str
    message: str
    time: str
    happened: str


def recalled(
    memories: Sequence[Memory], *, max_tokens: int, count: TokenCounter
) -> list[RecalledMemory]:
    """The memories that fit, the best first, numbered from 1.

    Args:
        memories: The memories, the best first.
        max_tokens: Tokens that they may take in the prompt.
        count: Counts them.
    """
    fitting: list[RecalledMemory] = []
    for memory in memories:
        numbered = [*fitting, _numbered(memory, len(fitting) + 1)]
        if text_tokens(rendered(numbered), count) <= max_tokens:
            fitting = numbered
    return fitting


def rendered(memories: Sequence[RecalledMemory]) -> str:
    """The memories as a prompt shows them, each fenced as data."""
    return "\n".join(_element(memory) for memory in memories)


def cited(answer: str, memories: Sequence[RecalledMemory]) -> tuple[str, list[RecalledMemory]]:
    """The answer without marks of memories that there are not, and the memories that it cites."""
    known = {memory["number"]: memory for memory in memories}
    marked = [int(number) for number in _MARK.findall(answer)]
    if any(number not in known for number in marked):
        answer = _MARK.sub(lambda mark: mark[0] if int(mark[1]) in known else "", answer)
    return answer, [known[number] for number in dict.fromkeys(marked) if number in known]


def unmarked(answer: str) -> str:
    """The answer without its marks, which mean nothing outside it."""
    return _MARK.sub("", answer)


def _numbered(memory: Memory, number: int) -> RecalledMemory:
    return {
        "number": number,
        "id": memory.id,
        "kind": memory.kind,
        "text": memory.text,
        "thread": memory.source.thread,
        "message": memory.source.message,
        "time": _told(memory.source.time),
        "happened": _told(memory.happened),
    }


def _told(time: datetime | None) -> str:
    return time.isoformat(timespec="seconds") if time else ""


def _element(memory: RecalledMemory) -> str:
    happened = f" happened={quoteattr(memory['happened'][:10])}" if memory["happened"] else ""
    return (
        f'<memory number="m{memory["number"]}" kind={quoteattr(memory["kind"])}'
        f" said={quoteattr(memory['time'][:10])}{happened}>{escape(memory['text'])}</memory>"
    )
