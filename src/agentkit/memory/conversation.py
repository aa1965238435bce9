"""A compiled graph whose runs are the turns of conversations."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from typing import Any, cast
from uuid import UUID

from langchain_core.runnables import RunnableConfig, ensure_config
from langchain_core.runnables.config import merge_configs
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.base.id import uuid6
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Durability

from agentkit.errors import ClockError
from agentkit.events import StepFailed, step_failed
from agentkit.graphs.nodes import DrawableGraph
from agentkit.memory.turns import Turns

UNSAVED = "agentkit_unsaved"
"""Where the configuration of a run holds why its conversation is not saved."""

_PART_OF_A_RUN = "__pregel_task_id"
_MOST_WAITED = 2.0  # seconds that a clock may be set back without a word


class ConversationGraph(DrawableGraph):
    """A compiled graph whose runs are the turns of conversations.

    Two runs of one thread go one after the other, since of two at once LangGraph would keep the
    later one alone. Where the checkpointer is down, a turn goes on without it. A turn that would
    come before the last one, because the clock was set back, is refused.

    Args:
        turns: Who waits for whom.
        turn_timeout: Seconds that a run waits for another one of its thread.
        saves: When the state is saved, for runs that do not say; None for LangGraph's default.
        attributes: What a compiled graph has.
    """

    def __init__(
        self,
        *,
        turns: Turns | None = None,
        turn_timeout: float = 60.0,
        saves: Durability | None = None,
        **attributes: Any,
    ) -> None:
        super().__init__(**attributes)
        self.turns = turns or Turns()
        self.turn_timeout = turn_timeout
        self.saves = saves

    def stream(
        self,
        input: Any,
        config: RunnableConfig | None = None,
        *,
        durability: Durability | None = None,
        **options: Any,
    ) -> Iterator[Any]:
        """Stream one turn, after those of the thread that came before."""
        saver, thread = self._saver(config)
        if saver is None:
            yield from super().stream(input, config, durability=durability, **options)
            return
        with self.turns.taken(thread, timeout=self.turn_timeout):
            try:
                last = saver.get_tuple(_latest(thread))
            except Exception as error:  # noqa: BLE001 - told, or raised again
                graph, config = self._unsaved(input, config, error)
                yield from graph.stream(input, config, **options)
                return
            if behind := _behind(last, thread):
                time.sleep(behind)
            saved = durability or self.saves
            yield from super().stream(input, config, durability=saved, **options)

    async def astream(
        self,
        input: Any,
        config: RunnableConfig | None = None,
        *,
        durability: Durability | None = None,
        **options: Any,
    ) -> AsyncIterator[Any]:
        """The same as `stream`, async."""
        saver, thread = self._saver(config)
        if saver is None:
            async for part in super().astream(input, config, durability=durability, **options):
                yield part
            return
        async with self.turns.ataken(thread, timeout=self.turn_timeout):
            try:
                last = await saver.aget_tuple(_latest(thread))
            except Exception as error:  # noqa: BLE001 - told, or raised again
                graph, config = self._unsaved(input, config, error)
                async with _closing(graph.astream(input, config, **options)) as parts:
                    async for part in parts:
                        yield part
                return
            if behind := _behind(last, thread):
                await asyncio.sleep(behind)
            saved = durability or self.saves
            running = super().astream(input, config, durability=saved, **options)
            async with _closing(running) as parts:
                async for part in parts:
                    yield part

    def _saver(self, config: RunnableConfig | None) -> tuple[BaseCheckpointSaver[Any] | None, str]:
        """The checkpointer and the thread; none for a run that is a part of another."""
        settings = merge_configs(self.config, config).get("configurable", {})
        thread = settings.get("thread_id")
        saver = self.checkpointer
        if not isinstance(saver, BaseCheckpointSaver) or _PART_OF_A_RUN in settings or not thread:
            return None, ""
        return saver, str(thread)

    def _unsaved(
        self, given: Any, config: RunnableConfig | None, error: Exception
    ) -> tuple[CompiledStateGraph[Any, Any, Any, Any], RunnableConfig]:
        """This graph without its checkpointer, and a configuration that says why."""
        wrongly_used = isinstance(error, NotImplementedError | asyncio.InvalidStateError)
        if wrongly_used or not isinstance(given, Mapping):
            raise error
        told = ensure_config(config)
        told["configurable"] = {
            **told.get("configurable", {}),
            UNSAVED: step_failed("save", type(self.checkpointer).__name__, error),
        }
        return self.copy({"checkpointer": None}), told


def unsaved(config: RunnableConfig) -> list[StepFailed]:
    """Why a run's conversation is not saved; nothing where it is."""
    failure = config.get("configurable", {}).get(UNSAVED)
    return [failure] if failure else []


def _closing(parts: AsyncIterator[Any]) -> aclosing[AsyncGenerator[Any]]:
    """Ends a run before its turn, also where nobody takes the rest of its parts."""
    return aclosing(cast("AsyncGenerator[Any]", parts))


def _latest(thread: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}


def _behind(last: CheckpointTuple | None, thread: str) -> float:
    """Seconds to wait until the clock has passed a thread's last checkpoint.

    Raises:
        ClockError: When they are too many.
    """
    if last is None:
        return 0.0
    # the ids of one process never go back, whatever the clock does
    behind = _seconds(last.checkpoint["id"]) - _seconds(str(uuid6()))
    if behind > _MOST_WAITED:
        raise ClockError(
            f"The last turn of the thread {thread!r} is {behind:,.0f} seconds ahead of this "
            "machine's clock, and a new one would come before it. Set the clock right."
        )
    return max(0.0, behind)


def _seconds(checkpoint_id: str) -> float:
    """When a checkpoint was made, in seconds; 0 where its id does not say."""
    try:
        made = UUID(checkpoint_id)
    except ValueError:
        return 0.0
    if made.version != 6:  # noqa: PLR2004 - the version whose ids begin with the time
        return 0.0
    ticks = (made.time_low << 28) | (made.time_mid << 12) | (made.time_hi_version & 0x0FFF)
    return ticks / 1e7  # of 100 ns (RFC 9562, 5.6)
