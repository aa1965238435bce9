"""Tools by which an agent tells, corrects and forgets what is remembered of its user."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from langchain_core.runnables import ensure_config
from langchain_core.tools import BaseTool, ToolException
from pydantic import BaseModel, Field

from agentkit.memory.memories import Memories
from agentkit.memory.records import Memory
from agentkit.tools._making import NoArguments, make_tool

_MOST_TOLD = 100


class About(BaseModel):
    """What to remember about."""

    question: str = Field(min_length=1, description="What is to be known, as a whole question")


class Which(BaseModel):
    """One memory."""

    id: str = Field(min_length=1, description="The memory's id, as the other tools tell it")


class Correction(Which):
    """A memory and what is right."""

    text: str = Field(min_length=1, max_length=500, description="What holds instead, in a sentence")


def memory_tools(memories: Memories, *, user: str | None = None) -> list[BaseTool]:
    """Tools for what is remembered: tell all, recall, correct and forget.

    Whose memories they are is never the model's to say.

    Args:
        memories: The memories.
        user: Whose. With None that of the run: whom the server has authenticated, or else
            `user_id` among the run's `configurable` values.

    Returns:
        LangChain tools; those that correct and forget write.
    """

    def who() -> str:
        given = ensure_config().get("configurable", {})
        found = user or given.get("langgraph_auth_user_id") or given.get("user_id")
        if not found:
            raise ToolException("Nobody is remembered in this run: it has no user.")
        return str(found)

    async def what_is_remembered() -> tuple[str, dict[str, Any]]:
        return _told(await memories.aremembered(who()))

    async def recall_memories(question: str) -> tuple[str, dict[str, Any]]:
        return _told(await memories.asearch(who(), question))

    async def correct_memory(id: str, text: str) -> tuple[str, dict[str, Any]]:
        known = await _known(memories, who(), id)
        now = datetime.now(UTC)
        source = known.source.model_copy(update={"time": now})
        changes = {"id": f"{known.id[:24]}-{int(now.timestamp()):x}", "text": text}
        new = known.model_copy(update={**changes, "source": source, "valid_from": now})
        return _told([await memories.asupersede(who(), id, new)])

    async def forget_memory(id: str) -> tuple[str, dict[str, Any]]:
        await _known(memories, who(), id)
        gone = await memories.adelete(who(), id)
        return "Forgotten.", {"memories": [memory.id for memory in gone]}

    return [
        make_tool(
            what_is_remembered,
            "Everything that is remembered of the user, the oldest first, each with its id.",
            NoArguments,
        ),
        make_tool(
            recall_memories,
            "What is remembered of the user that a question is about, best first, each with its id "
            "and when it was said. Also what was said word by word.",
            About,
        ),
        make_tool(
            correct_memory,
            "Put something right that is remembered of the user. What it says now is kept as what "
            "held until then.",
            Correction,
            permission="write",
        ),
        make_tool(
            forget_memory,
            "Forget something that is remembered of the user, as the user asks for, for good.",
            Which,
            permission="write",
        ),
    ]


async def _known(memories: Memories, user: str, key: str) -> Memory:
    memory = await memories.aget(user, key)
    if memory is None:
        raise ToolException(f"There is no memory {key!r}: recall it first, and take its id.")
    return memory


def _told(memories: Sequence[Memory]) -> tuple[str, dict[str, Any]]:
    lines = [
        f"{memory.id}: {memory.text} ({memory.kind}, said {memory.source.time:%Y-%m-%d})"
        for memory in memories[:_MOST_TOLD]
    ]
    more = len(memories) - _MOST_TOLD
    lines += [f"… and {more} more."] * (more > 0)
    told = [memory.model_dump(mode="json", exclude_none=True) for memory in memories]
    return "\n".join(lines) or "Nothing is remembered.", {"memories": told}
