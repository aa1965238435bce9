"""The whole conversation of a thread, found in its checkpoints."""

from __future__ import annotations

from itertools import chain
from typing import Any

from langchain_core.messages import AnyMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import StateSnapshot

Graph = CompiledStateGraph[Any, Any, Any, Any]


def conversation_history(graph: Graph, config: RunnableConfig) -> list[AnyMessage]:
    """Every message of a thread, also those that have left the state for the summary.

    They are read from the checkpoints, the last first; a message that was edited is told as it
    was last. A thread of thousands of turns takes seconds.

    Args:
        graph: A graph with a checkpointer, whose state holds `messages`.
        config: The configuration of its runs, with the `thread_id`.

    Returns:
        The messages, the oldest first.
    """
    history = _History()
    for snapshot in graph.get_state_history(config):
        history.add(snapshot)
    return history.messages


async def aconversation_history(graph: Graph, config: RunnableConfig) -> list[AnyMessage]:
    """The same as `conversation_history`, async."""
    history = _History()
    async for snapshot in graph.aget_state_history(config):
        history.add(snapshot)
    return history.messages


class _History:
    """Each message of snapshots, of which the newest come first, once and in its place."""

    def __init__(self) -> None:
        self.messages: list[AnyMessage] = []
        self._known: set[str | None] = set()

    def add(self, snapshot: StateSnapshot) -> None:
        """Take in the messages of an older snapshot."""
        place = 0
        for message in snapshot.values.get("messages", ()):
            if message.id in self._known:
                place = self._place_of(message, place) + 1
            else:
                self._known.add(message.id)
                self.messages.insert(place, message)
                place += 1

    def _place_of(self, message: AnyMessage, expected: int) -> int:
        """Where a message stands, which most often is where the one before it lets expect."""
        places = chain(range(expected, len(self.messages)), range(expected))
        return next(place for place in places if self.messages[place].id == message.id)
